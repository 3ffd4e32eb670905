//! What changes from call to call, one small record per key: rates, calls in flight, and the switch that cuts them; and
//! the rates that the calls of a project, or all of them, share. Atomics only on the way of a call; time is an argument.

mod shared;

pub(crate) use shared::{InFlight, Limits, Taken};
pub use shared::{Refused, Shared, Whose};

use keyward_domain::Millis;
use std::sync::atomic::{AtomicI64, AtomicU32, Ordering};

const NANOS_PER_MINUTE: i64 = 60_000_000_000;

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
    in_flight: AtomicU32,
}

impl Live {
    /// How many calls are open.
    #[must_use]
    pub fn in_flight(&self) -> u32 {
        self.pace.in_flight.load(Ordering::Acquire)
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

/// A rate as a single atomic (the generic cell rate algorithm): the moment at which the allowance is full again.
/// A full allowance may be spent at once; it refills evenly over a minute.
#[derive(Debug, Default)]
struct Rate {
    /// Nanoseconds since 1970.
    full_at: AtomicI64,
    /// The time of the last look, so that a clock that was put back is noticed.
    seen: AtomicI64,
}

/// A clock that went back by less was not put back: threads look at it one after the other.
const PUT_BACK: i64 = 1_000_000_000;

impl Rate {
    fn take(&self, count: u64, per_minute: u64, now: Millis) -> Result<(), u64> {
        let now = now.saturating_mul(1_000_000);
        let cost = nanos(count, per_minute);
        // HOT: written once in a millisecond, not by every call.
        let seen = self.seen.load(Ordering::Acquire);
        let back = if seen == now { 0 } else { self.seen.swap(now, Ordering::AcqRel).saturating_sub(now) };
        if back > PUT_BACK {
            // The moment goes back with the clock: what was taken counts no longer than it would have.
            self.full_at.fetch_sub(back, Ordering::AcqRel);
        }
        let mut full_at = self.full_at.load(Ordering::Acquire);
        loop {
            let next = full_at.max(now).saturating_add(cost);
            if let Some(wait) = wait(next, now) {
                return Err(wait);
            }
            match self.full_at.compare_exchange_weak(full_at, next, Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) => return Ok(()),
                Err(seen) => full_at = seen,
            }
        }
    }

    /// How long until so many can be taken. None: now.
    fn wait(&self, count: u64, per_minute: u64, now: Millis) -> Option<u64> {
        let now = now.saturating_mul(1_000_000);
        wait(self.full_at.load(Ordering::Acquire).max(now).saturating_add(nanos(count, per_minute)), now)
    }

    /// Puts back what was taken for a call that was refused after all.
    fn put_back(&self, count: u64, per_minute: u64) {
        self.full_at.fetch_sub(nanos(count, per_minute), Ordering::AcqRel);
    }

    /// Moves the moment by the difference. A call that used more than its estimate puts the key into debt.
    fn correct(&self, estimate: u64, used: u64, per_minute: u64) {
        let shift = nanos(used, per_minute).saturating_sub(nanos(estimate, per_minute));
        self.full_at.fetch_add(shift, Ordering::AcqRel);
    }
}

/// The milliseconds by which an allowance that is full again at `next` was taken too early; None when it was not.
fn wait(next: i64, now: i64) -> Option<u64> {
    let late = next.saturating_sub(now).saturating_sub(NANOS_PER_MINUTE);
    u64::try_from(late).ok().filter(|late| *late > 0).map(|late| late.div_ceil(1_000_000))
}

/// How long an allowance takes to grow by `count`; at most about a month, so that sums never overflow.
fn nanos(count: u64, per_minute: u64) -> i64 {
    const LONGEST: i64 = NANOS_PER_MINUTE * 60 * 24 * 30;
    // Rounded down, so that a whole minute's allowance can be taken one by one.
    let exact = u128::from(count) * u128::from(NANOS_PER_MINUTE.unsigned_abs()) / u128::from(per_minute.max(1));
    i64::try_from(exact).unwrap_or(LONGEST).min(LONGEST)
}

#[cfg(test)]
mod tests;
