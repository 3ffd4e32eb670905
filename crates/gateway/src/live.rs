//! What changes from call to call, one small record per key: rates, calls in flight, and the switch that cuts them; and
//! the rates that the calls of a project, or all of them, share. Atomics only on the way of a call; time is an argument.

mod ahead;
mod places;
mod rate;
mod shared;

pub(crate) use shared::{InFlight, Limits, Taken};
pub use shared::{Refused, Shared, Whose};

use ahead::{Ahead, Part};
use keyward_domain::Millis;
use places::Places;
use rate::Rate;
use std::sync::atomic::{AtomicU32, Ordering};

/// From so many requests a minute on, threads take requests ahead.
const WIDE_REQUESTS: u64 = 200_000;
/// From so many tokens a minute on, threads take tokens ahead.
const WIDE_TOKENS: u64 = 50_000_000;

/// The changing state of one key. It outlives every change of the key's policy: editing a limit resets nothing.
#[derive(Debug, Default)]
pub struct Live {
    pace: Pace,
    /// Moves when the key's open calls must end.
    epoch: AtomicU32,
}

/// Rates and open calls of whoever has limits for them.
#[derive(Debug, Default)]
pub(crate) struct Pace {
    requests: Rate,
    tokens: Rate,
    open: Places,
    ahead: Ahead,
}

impl Pace {
    /// How many calls are open.
    fn in_flight(&self) -> u32 {
        self.open.taken(&self.ahead)
    }

    fn enter(&self) {
        if self.open.enter(self.ahead.own()) {
            self.ahead.open();
        }
    }

    fn leave(&self) {
        self.open.leave(self.ahead.own());
    }

    /// Whether more calls are open than may be.
    fn is_over(&self, most: u64) -> bool {
        self.open.is_over(most, &self.ahead)
    }

    fn take_request(&self, per_minute: u64, now: Millis) -> Result<(), u64> {
        self.requests.take(self.requests_ahead(per_minute).map(|part| &part.requests), 1, per_minute, now)
    }

    fn wait_for_request(&self, per_minute: u64, now: Millis) -> Option<u64> {
        self.requests.wait(self.requests_ahead(per_minute).is_some(), 1, per_minute, now)
    }

    fn wait_for_tokens(&self, count: u64, per_minute: u64, now: Millis) -> Option<u64> {
        self.tokens.wait(self.tokens_ahead(per_minute).is_some(), count, per_minute, now)
    }

    fn take_tokens(&self, count: u64, per_minute: u64, now: Millis) -> Result<(), u64> {
        self.tokens.take(self.tokens_ahead(per_minute).map(|part| &part.tokens), count, per_minute, now)
    }

    fn correct_tokens(&self, estimate: u64, used: u64, per_minute: u64) {
        self.tokens.correct(self.tokens_ahead(per_minute).map(|part| &part.tokens), estimate, used, per_minute);
    }

    fn requests_ahead(&self, per_minute: u64) -> Option<&Part> {
        self.ahead.own().filter(|_| per_minute >= WIDE_REQUESTS)
    }

    fn tokens_ahead(&self, per_minute: u64) -> Option<&Part> {
        self.ahead.own().filter(|_| per_minute >= WIDE_TOKENS)
    }
}

impl Live {
    /// How many calls are open.
    #[must_use]
    pub fn in_flight(&self) -> u32 {
        self.pace.in_flight()
    }

    /// Ends every call that was admitted until now, from any thread: they see it by [`Self::epoch`].
    pub fn cut(&self) {
        self.epoch.fetch_add(1, Ordering::AcqRel);
    }

    /// The era of the key. A call remembers the one of the grant it was admitted by, and ends when it has passed.
    #[must_use]
    pub fn epoch(&self) -> u32 {
        self.epoch.load(Ordering::Acquire)
    }
}

#[cfg(test)]
mod tests;
