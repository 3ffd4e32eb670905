//! A timer for HTTP/1.1 connections that is as exact as the thread's tick, and costs next to nothing to arm: every request
//! arms it, hardly any timer ever goes off.

use crate::clock;
use hyper::rt::{Sleep, Timer};
use std::{
    cell::RefCell,
    pin::Pin,
    task::{Context, Poll, Waker},
    time::{Duration, Instant},
};

thread_local! {
    static THREAD: RefCell<Thread> = RefCell::new(Thread::default());
}

#[derive(Default)]
struct Thread {
    /// The time of the last tick.
    now: Option<Instant>,
    sleepers: Vec<Option<(Instant, Waker)>>,
    free: Vec<usize>,
}

/// The timer. Its sleepers belong to the thread on which they are first polled.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Coarse;

/// One look at all sleepers of this thread: wakes those whose time has come.
pub(crate) fn tick() {
    tick_at(clock::instant().into_std());
}

fn tick_at(now: Instant) {
    let woken: Vec<Waker> = THREAD.with_borrow_mut(|thread| {
        thread.now = Some(now);
        let due = thread.sleepers.iter().flatten().filter(|(at, _)| *at <= now);
        due.map(|(_, waker)| waker.clone()).collect()
    });
    woken.into_iter().for_each(Waker::wake);
}

fn now() -> Instant {
    THREAD.with_borrow_mut(|thread| *thread.now.get_or_insert_with(|| clock::instant().into_std()))
}

impl Timer for Coarse {
    fn sleep(&self, duration: Duration) -> Pin<Box<dyn Sleep>> {
        self.sleep_until(now() + duration)
    }

    fn sleep_until(&self, deadline: Instant) -> Pin<Box<dyn Sleep>> {
        Box::pin(Sleeper { deadline, slot: None })
    }

    fn now(&self) -> Instant {
        now()
    }
}

/// One who sleeps until a tick at or behind the deadline.
struct Sleeper {
    deadline: Instant,
    slot: Option<usize>,
}

impl Sleep for Sleeper {}

impl Future for Sleeper {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if self.deadline <= now() {
            return Poll::Ready(());
        }
        let deadline = self.deadline;
        let slot = THREAD.with_borrow_mut(|thread| {
            let slot = self.slot.or_else(|| thread.free.pop()).unwrap_or(thread.sleepers.len());
            if slot == thread.sleepers.len() {
                thread.sleepers.push(None);
            }
            if let Some(place) = thread.sleepers.get_mut(slot) {
                match place {
                    Some((_, waker)) => waker.clone_from(cx.waker()),
                    None => *place = Some((deadline, cx.waker().clone())),
                }
            }
            slot
        });
        self.slot = Some(slot);
        Poll::Pending
    }
}

impl Drop for Sleeper {
    fn drop(&mut self) {
        let Some(slot) = self.slot else { return };
        // While a thread ends, its list may be gone before its connections are.
        let waker = THREAD.try_with(|thread| {
            let mut thread = thread.borrow_mut();
            thread.free.push(slot);
            thread.sleepers.get_mut(slot).and_then(Option::take)
        });
        // Outside of the list: what a waker's end sets free may be another sleeper.
        drop(waker);
    }
}

#[cfg(test)]
mod tests;
