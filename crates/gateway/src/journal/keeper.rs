//! The thread behind the journal: makes files ready before they are needed, and brings what was written to the disk.

use super::{Inner, lane::Unsynced};
use std::{
    collections::HashMap,
    io,
    sync::{Arc, Condvar, Mutex, PoisonError, atomic::Ordering},
    thread::{self, JoinHandle},
};

/// The running thread; ends when this is dropped.
#[derive(Debug)]
pub(super) struct Keeper {
    signal: Arc<Signal>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Signal {
    state: Mutex<Wanted>,
    bell: Condvar,
}

#[derive(Debug, Default)]
struct Wanted {
    stop: bool,
    nudged: bool,
}

impl Keeper {
    pub(super) fn start(inner: Arc<Inner>) -> io::Result<Self> {
        let signal = Arc::new(Signal::default());
        let shared = Arc::clone(&signal);
        let thread = thread::Builder::new().name("journal".to_owned()).spawn(move || run(&inner, &shared))?;
        Ok(Self { signal, thread: Some(thread) })
    }

    /// Asks for a look before the usual time.
    pub(super) fn nudge(&self) {
        self.signal.state.lock().unwrap_or_else(PoisonError::into_inner).nudged = true;
        self.signal.bell.notify_one();
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        self.signal.state.lock().unwrap_or_else(PoisonError::into_inner).stop = true;
        self.signal.bell.notify_one();
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the journal's keeper ended in a panic");
        }
    }
}

fn run(inner: &Inner, signal: &Signal) {
    /// How often lanes are looked at: often enough that a turn almost never has to make its file itself.
    const LOOKS_PER_SYNC: u32 = 10;
    let pause = inner.options.sync_every / LOOKS_PER_SYNC;
    let mut synced = HashMap::new();
    let mut looks = 0;
    loop {
        let guard = signal.state.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = signal.bell.wait_timeout_while(guard, pause, |wanted| !wanted.stop && !wanted.nudged);
        let (mut wanted, _) = waited.unwrap_or_else(PoisonError::into_inner);
        let stop = wanted.stop;
        wanted.nudged = false;
        drop(wanted);
        fill(inner);
        looks += 1;
        if stop || looks % LOOKS_PER_SYNC == 0 {
            sync_changed(inner, &mut synced);
        }
        if stop {
            return;
        }
    }
}

/// Gives every lane the files it will need next.
fn fill(inner: &Inner) {
    for lane in inner.lanes() {
        for _ in 0..lane.wants(inner.files.capacity()) {
            let Some(spare) = inner.files.spare() else { return };
            lane.give(spare);
        }
    }
}

/// Brings everything to the disk.
pub(super) fn sync(inner: &Inner) {
    sync_changed(inner, &mut HashMap::new());
}

/// Brings to the disk what was written since the last time; `synced` remembers how far each stream's file got.
fn sync_changed(inner: &Inner, synced: &mut HashMap<u64, (u64, u64)>) {
    for lane in inner.lanes() {
        let Some(Unsynced { segment, map }) = lane.current() else { continue };
        let (stream, number) = (segment.head.stream, segment.head.number);
        let end = segment.committed.load(Ordering::Acquire);
        let (known, from) = synced.get(&stream).copied().unwrap_or((0, 0));
        // Files that were sealed in between are brought to the disk through their handles.
        for passed in lane.stream.segments().iter().filter(|passed| (known..number).contains(&passed.head.number)) {
            report(passed.file.sync_data());
        }
        let from = if known == number { from } else { 0 };
        if end > from {
            let as_index = |value: u64| usize::try_from(value).unwrap_or(usize::MAX);
            report(map.sync(as_index(from), as_index(end - from)));
        }
        synced.insert(stream, (number, end));
    }
    let alive: Vec<u64> = inner.lanes().iter().map(|lane| lane.stream.id).collect();
    synced.retain(|stream, _| alive.contains(stream));
}

fn report(result: io::Result<()>) {
    if let Err(error) = result {
        tracing::error!(%error, "the journal cannot be brought to the disk");
    }
}
