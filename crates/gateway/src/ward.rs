//! The open calls of one thread, and what can end them from outside: a deadline, a revoked key, the end of the service.
//! One periodic look at all of them replaces a timer and a wake-up list per call. Nothing here decides what a call is.

use crate::{live::Live, near::Near};
use std::{
    cell::{Cell, OnceCell, RefCell},
    future::Future,
    pin::pin,
    rc::Rc,
    sync::Arc,
    task::{Context, Poll, Waker},
    time::Duration,
};

/// How often the calls are looked at; deadlines are that much late at most.
pub(crate) const TICK: Duration = Duration::from_millis(500);

/// Why a call was ended from outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// Nothing happened for too long while waiting for this.
    Overdue(Waiting),
    /// Its key was revoked.
    Revoked,
    /// The service stops and its deadline has passed.
    Stopped,
}

/// What a call waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Waiting {
    /// The client's request body.
    Body,
    /// The provider, to connect and to take the request.
    Provider,
    /// The answer's head.
    Answer,
    /// More of the answer.
    More,
    /// The client, to take what is there.
    Client,
    /// Either side of a WebSocket.
    Socket,
}

/// What can be taken away from a call in the middle, so that it ends at once whatever its task is waiting for.
pub(crate) trait Held {
    /// Ends the call: whatever it holds is let go and settled.
    fn end(&self, end: End);
}

/// One open call.
pub(crate) struct Ward {
    slot: Cell<usize>,
    /// In ticks of the registry's clock.
    deadline: Cell<u64>,
    waiting: Cell<Waiting>,
    /// Something of the request may have reached a provider.
    out: Cell<bool>,
    end: Cell<Option<End>>,
    waker: RefCell<Option<Waker>>,
    /// The key and the era in which the call was admitted, once they are known.
    key: OnceCell<(Near<Live>, u32)>,
    held: RefCell<Option<Rc<dyn Held>>>,
    registry: Rc<Registry>,
}

/// How long each kind of waiting may take, in ticks.
#[derive(Debug, Clone, Copy)]
struct Patience {
    body: u64,
    provider: u64,
    answer: u64,
    more: u64,
    client: u64,
    socket: u64,
}

struct Registry {
    now: Cell<u64>,
    patience: Patience,
    calls: RefCell<Calls>,
}

#[derive(Default)]
struct Calls {
    slots: Vec<Option<Rc<Ward>>>,
    free: Vec<usize>,
}

/// All open calls of one thread.
#[derive(Clone)]
pub(crate) struct Wards(Rc<Registry>);

impl Wards {
    pub(crate) fn new(limits: &crate::settings::Limits) -> Self {
        let ticks = |limit: Duration| u64::try_from(limit.as_millis().div_ceil(TICK.as_millis())).unwrap_or(u64::MAX);
        let patience = Patience {
            body: ticks(limits.request_body),
            // Connecting has a limit of its own; this one is for a provider that does not take the request.
            provider: ticks(limits.connect.saturating_add(limits.request_body)),
            answer: ticks(limits.first_byte),
            more: ticks(limits.answer_idle),
            client: ticks(limits.client_stall),
            socket: ticks(limits.websocket_idle),
        };
        Self(Rc::new(Registry { now: Cell::new(0), patience, calls: RefCell::default() }))
    }

    /// Registers a call that waits for its request's body.
    pub(crate) fn open(&self) -> Guard {
        let ward = Rc::new(Ward {
            slot: Cell::new(0),
            deadline: Cell::new(0),
            waiting: Cell::new(Waiting::Body),
            out: Cell::new(false),
            end: Cell::new(None),
            waker: RefCell::new(None),
            key: OnceCell::new(),
            held: RefCell::new(None),
            registry: Rc::clone(&self.0),
        });
        ward.wait_for(Waiting::Body);
        let mut calls = self.0.calls.borrow_mut();
        let slot = calls.free.pop().unwrap_or(calls.slots.len());
        ward.slot.set(slot);
        match calls.slots.get_mut(slot) {
            Some(place) => *place = Some(Rc::clone(&ward)),
            None => calls.slots.push(Some(Rc::clone(&ward))),
        }
        Guard(ward)
    }

    /// One look at all calls, once every [`TICK`].
    pub(crate) fn tick(&self) {
        let now = self.0.now.get() + 1;
        self.0.now.set(now);
        self.end_where(|ward| {
            if ward.is_revoked() {
                Some(End::Revoked)
            } else {
                (ward.deadline.get() <= now).then(|| End::Overdue(ward.waiting.get()))
            }
        });
    }

    /// Ends the calls of revoked keys, at once.
    pub(crate) fn cut_revoked(&self) {
        self.end_where(|ward| ward.is_revoked().then_some(End::Revoked));
    }

    /// Ends all calls.
    pub(crate) fn stop(&self) {
        self.end_where(|_| Some(End::Stopped));
    }

    /// How many calls are open.
    pub(crate) fn len(&self) -> usize {
        let calls = self.0.calls.borrow();
        calls.slots.len() - calls.free.len()
    }

    fn end_where(&self, verdict: impl Fn(&Ward) -> Option<End>) {
        // Ending a call may close it, and so change the list.
        let ended: Vec<_> = self
            .0
            .calls
            .borrow()
            .slots
            .iter()
            .flatten()
            .filter_map(|ward| Some((Rc::clone(ward), verdict(ward)?)))
            .collect();
        for (ward, end) in ended {
            ward.end(end);
        }
    }
}

impl Ward {
    /// Says what the call waits for from now on; the time for it starts anew.
    pub(crate) fn wait_for(&self, waiting: Waiting) {
        let patience = &self.registry.patience;
        let ticks = match waiting {
            Waiting::Body => patience.body,
            Waiting::Provider => patience.provider,
            Waiting::Answer => patience.answer,
            Waiting::More => patience.more,
            Waiting::Client => patience.client,
            Waiting::Socket => patience.socket,
        };
        self.waiting.set(waiting);
        // One more, because the current tick has begun already.
        self.deadline.set(self.registry.now.get().saturating_add(ticks).saturating_add(1));
    }

    /// The same, but the time goes on if that is what the call has been waiting for already.
    pub(crate) fn now_waits_for(&self, waiting: Waiting) {
        if self.waiting.get() != waiting {
            self.wait_for(waiting);
        }
    }

    /// A provider is sought that takes the request. One that had it before has refused it.
    pub(crate) fn seeks_provider(&self) {
        self.out.set(false);
        self.wait_for(Waiting::Provider);
    }

    /// A connection stands, and the request goes out.
    pub(crate) fn goes_out(&self) {
        self.out.set(true);
    }

    /// Whether something of the request may have reached a provider.
    pub(crate) fn is_out(&self) -> bool {
        self.out.get()
    }

    /// Whether a provider has the whole request, and its answer has not begun.
    pub(crate) fn awaits_answer(&self) -> bool {
        self.waiting.get() == Waiting::Answer
    }

    /// Says whose call this is and in which era of the key it was admitted, so that it ends when that has passed.
    pub(crate) fn belongs_to(&self, live: &Arc<Live>, epoch: u32) {
        let _ = self.key.set((Near::of(live), epoch));
    }

    /// Why the call was ended from outside, if it was.
    pub(crate) fn ended(&self) -> Option<End> {
        self.end.get()
    }

    /// Has the task woken when the call is ended from outside.
    pub(crate) fn wake_with(&self, cx: &Context<'_>) {
        let mut waker = self.waker.borrow_mut();
        if !waker.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
            *waker = Some(cx.waker().clone());
        }
    }

    /// Gives what must be let go when the call is ended from outside.
    pub(crate) fn hold(&self, held: Rc<dyn Held>) {
        *self.held.borrow_mut() = Some(held);
    }

    fn is_revoked(&self) -> bool {
        self.key.get().is_some_and(|(live, epoch)| live.epoch() != *epoch)
    }

    fn end(&self, end: End) {
        if self.end.replace(Some(end)).is_some() {
            return;
        }
        let held = self.held.borrow_mut().take();
        if let Some(held) = held {
            held.end(end);
        }
        if let Some(waker) = self.waker.borrow_mut().take() {
            waker.wake();
        }
    }

    /// Runs a part of the call until it is done or the call is ended from outside.
    pub(crate) async fn guard<T>(&self, part: impl Future<Output = T>) -> Result<T, End> {
        let mut part = pin!(part);
        std::future::poll_fn(|cx| {
            if let Some(end) = self.ended() {
                return Poll::Ready(Err(end));
            }
            self.wake_with(cx);
            part.as_mut().poll(cx).map(Ok)
        })
        .await
    }
}

/// A registered call; dropped, it is not registered any more.
pub(crate) struct Guard(Rc<Ward>);

impl Guard {
    /// The call itself, for those who only say what it waits for.
    pub(crate) fn ward(&self) -> &Rc<Ward> {
        &self.0
    }
}

impl std::ops::Deref for Guard {
    type Target = Ward;

    fn deref(&self) -> &Ward {
        &self.0
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        let ward = {
            let mut calls = self.0.registry.calls.borrow_mut();
            let slot = self.0.slot.get();
            calls.free.push(slot);
            calls.slots.get_mut(slot).and_then(Option::take)
        };
        // What it still holds settles itself while it is dropped; the list must not be borrowed then. The ward and
        // what it holds may know each other, so the circle is opened here.
        let held = self.0.held.borrow_mut().take();
        drop((ward, held));
    }
}

#[cfg(test)]
mod tests;
