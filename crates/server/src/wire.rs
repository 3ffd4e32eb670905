//! Connects the rooms, once: what the control plane publishes goes to the gateway, what the gateway journals goes to the
//! control plane.

use crate::background;
use keyward_control::{Batch, Control};
use keyward_domain::snapshot::Update;
use keyward_gateway::{Gateway, StopReport, journal::Reader};
use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread::JoinHandle,
    time::{Duration, Instant},
};
use tokio::{runtime::Handle, sync::watch};

/// How many events are stored at once, at most.
const BATCH: usize = 2_000;
/// How often the journal is looked at: events reach the database well within a second, and under load there is a good
/// batch of them. A batch costs a commit and a hand-over between threads for each statement, however small it is.
const LOOK: Duration = Duration::from_millis(200);
/// How long to wait before a batch is offered again.
const AGAIN: Duration = Duration::from_secs(1);
/// How often a batch is offered at the end, before it is left to the next start.
const LAST_TRIES: u32 = 3;

/// The gateway as the control plane knows it: what is published before it runs waits for it.
#[derive(Clone)]
pub(crate) struct Outlet(Arc<Mutex<State>>);

enum State {
    Waiting(Vec<Update>),
    Running(Box<Gateway>),
    Stopped,
}

impl Outlet {
    /// Before the gateway runs.
    pub(crate) fn new() -> Self {
        Self(Arc::new(Mutex::new(State::Waiting(Vec::new()))))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Hands an update over; when this returns, new calls see it.
    pub(crate) fn publish(&self, update: Update) {
        match &mut *self.state() {
            State::Waiting(waiting) => waiting.push(update),
            State::Running(gateway) => gateway.apply(update),
            State::Stopped => {}
        }
    }

    /// Starts the gateway with what has waited; from then on it is told at once.
    pub(crate) fn connect<E>(&self, start: impl FnOnce(Vec<Update>) -> Result<Gateway, E>) -> Result<Reader, E> {
        let mut state = self.state();
        let waiting = match &mut *state {
            State::Waiting(waiting) => std::mem::take(waiting),
            State::Running(_) | State::Stopped => Vec::new(),
        };
        let gateway = start(waiting)?;
        let reader = gateway.journal().skipping_settled();
        *state = State::Running(Box::new(gateway));
        Ok(reader)
    }

    /// The gateway's metrics.
    pub(crate) fn metrics(&self) -> String {
        match &*self.state() {
            State::Running(gateway) => gateway.metrics(),
            State::Waiting(_) | State::Stopped => String::new(),
        }
    }

    /// Stops the gateway: calls may end until the deadline. Blocks.
    pub(crate) fn stop(&self, deadline: Duration) -> Option<StopReport> {
        let state = std::mem::replace(&mut *self.state(), State::Stopped);
        match state {
            State::Running(gateway) => Some(gateway.stop(deadline)),
            State::Waiting(_) | State::Stopped => None,
        }
    }
}

/// Starts the thread that carries the journal into the database. It ends when `stop` is true and nothing is left, and
/// answers whether that was so. When all that earlier runs left is stored, it has them accounted for and makes `recovered`
/// true.
///
/// # Errors
/// When the thread cannot be made.
pub(crate) fn collector(
    mut reader: Reader,
    control: Control,
    runtime: Handle,
    stop: watch::Receiver<bool>,
    recovered: watch::Sender<bool>,
) -> std::io::Result<JoinHandle<bool>> {
    std::thread::Builder::new().name("collector".to_owned()).spawn(move || {
        background::give_way();
        let _keeps = keyward_heap::keep();
        let mut recovery = Recovery { recovered, said: false, next: Instant::now() };
        loop {
            // All that was read until here is stored.
            recovery.look(&reader, &control, &runtime);
            // Looked at first: what was written before the stop is then surely read.
            let stopping = *stop.borrow();
            let events = reader.next_batch(BATCH);
            let more = events.len() >= BATCH;
            if events.is_empty() {
                match (stopping, reader.is_waiting()) {
                    (true, false) => return recovery.is_done(),
                    (true, true) => {}
                    (false, _) => std::thread::sleep(LOOK),
                }
                continue;
            }
            let streams: BTreeSet<u64> = events.iter().map(|(position, _)| position.stream).collect();
            let positions: Vec<_> = streams.into_iter().filter_map(|stream| reader.read_until(stream)).collect();
            let read = positions.iter().map(|position| (position.stream, position.sequence));
            let batch = Batch::new(events.into_iter().map(|(_, event)| event), read);
            let batch = batch.without_holds_of(reader.take_skipped());
            if !store(&control, &runtime, &batch, &stop) {
                return false;
            }
            for position in positions {
                reader.release(position);
            }
            if !more && !stopping {
                std::thread::sleep(LOOK);
            }
        }
    })
}

/// Accounting for earlier runs of this node, once.
struct Recovery {
    recovered: watch::Sender<bool>,
    said: bool,
    next: Instant,
}

impl Recovery {
    fn is_done(&self) -> bool {
        *self.recovered.borrow()
    }

    /// Does it when what earlier runs left is read and stored; tries again now and then while the database refuses.
    fn look(&mut self, reader: &Reader, control: &Control, runtime: &Handle) {
        if self.is_done() || !reader.old_are_done() || Instant::now() < self.next {
            return;
        }
        match runtime.block_on(control.recover_nodes(reader.old_are_whole())) {
            Ok(_) => drop(self.recovered.send_replace(true)),
            Err(error) => {
                if !self.said {
                    tracing::error!(%error, "what an earlier run left of budgets cannot be accounted for yet");
                    self.said = true;
                }
                self.next = Instant::now() + AGAIN;
            }
        }
    }
}

/// Offers a batch until it is stored. At the end only a few times: the journal keeps it for the next start.
fn store(control: &Control, runtime: &Handle, batch: &Batch, stop: &watch::Receiver<bool>) -> bool {
    let mut left = LAST_TRIES;
    let mut said = false;
    loop {
        match runtime.block_on(control.collect(batch)) {
            Ok(_) => {
                if said {
                    tracing::info!("events are stored again");
                }
                return true;
            }
            // Said once, not every second for as long as the disk is full or the database away.
            Err(error) if !said => {
                tracing::error!(%error, "events cannot be stored; the journal keeps them");
                said = true;
            }
            Err(error) => tracing::debug!(%error, "events can still not be stored"),
        }
        if *stop.borrow() {
            left -= 1;
            if left == 0 {
                return false;
            }
        }
        std::thread::sleep(AGAIN);
    }
}
