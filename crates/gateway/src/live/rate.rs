//! A rate, smooth and with a burst.

use crate::purse::till::drawers;
use keyward_domain::Millis;
use std::sync::atomic::{
    AtomicI64,
    Ordering::{AcqRel, Acquire},
};

pub(super) const NANOS_PER_MINUTE: i64 = 60_000_000_000;
/// How much of a wide rate's allowance a thread takes ahead, in nanoseconds.
const AHEAD: i64 = 5_000_000;
/// A clock that went back by less was not put back: threads look at it one after the other.
const PUT_BACK: i64 = 1_000_000_000;

/// A rate as a single atomic (the generic cell rate algorithm): the moment at which the allowance is full again.
/// A full allowance may be spent at once; it refills evenly over a minute. Of a wide rate threads take a little ahead: at
/// most what that is together stays unused while others are refused, and the allowance is less by so much, so that never
/// more is taken than it says.
#[derive(Debug, Default)]
pub(super) struct Rate {
    /// Nanoseconds since 1970.
    full_at: AtomicI64,
    /// The time of the last look, so that a clock that was put back is noticed.
    seen: AtomicI64,
}

impl Rate {
    /// Takes so many. `ahead`: what this thread has taken ahead, where the rate is wide.
    pub(super) fn take(&self, ahead: Option<&AtomicI64>, count: u64, per_minute: u64, now: Millis) -> Result<(), u64> {
        let cost = nanos(count, per_minute);
        let Some(ahead) = ahead else { return self.advance(cost, NANOS_PER_MINUTE, now) };
        // HOT: nearly always the thread has it.
        if ahead.fetch_sub(cost, AcqRel) >= cost {
            return Ok(());
        }
        ahead.fetch_add(cost, AcqRel);
        if cost <= AHEAD && self.advance(AHEAD, least_allowance(), now).is_ok() {
            ahead.fetch_add(AHEAD - cost, AcqRel);
            return Ok(());
        }
        self.advance(cost, least_allowance().max(cost), now)
    }

    fn advance(&self, cost: i64, allowance: i64, now: Millis) -> Result<(), u64> {
        let now = now.saturating_mul(1_000_000);
        // HOT: written once in a millisecond, not by every call.
        let seen = self.seen.load(Acquire);
        let back = if seen == now { 0 } else { self.seen.swap(now, AcqRel).saturating_sub(now) };
        if back > PUT_BACK {
            // The moment goes back with the clock: what was taken counts no longer than it would have.
            self.full_at.fetch_sub(back, AcqRel);
        }
        let mut full_at = self.full_at.load(Acquire);
        loop {
            let next = full_at.max(now).saturating_add(cost);
            if let Some(wait) = wait(next, allowance, now) {
                return Err(wait);
            }
            match self.full_at.compare_exchange_weak(full_at, next, AcqRel, Acquire) {
                Ok(_) => return Ok(()),
                Err(seen) => full_at = seen,
            }
        }
    }

    /// How long until so many can be taken. None: now. `wide`: threads take some ahead.
    pub(super) fn wait(&self, wide: bool, count: u64, per_minute: u64, now: Millis) -> Option<u64> {
        let (now, cost) = (now.saturating_mul(1_000_000), nanos(count, per_minute));
        let allowance = if wide { least_allowance().max(cost) } else { NANOS_PER_MINUTE };
        wait(self.full_at.load(Acquire).max(now).saturating_add(cost), allowance, now)
    }

    /// Puts back what was taken for a call that was refused after all.
    pub(super) fn put_back(&self, count: u64, per_minute: u64) {
        self.full_at.fetch_sub(nanos(count, per_minute), AcqRel);
    }

    /// Moves the moment by the difference. A call that used more than its estimate puts the key into debt.
    pub(super) fn correct(&self, ahead: Option<&AtomicI64>, estimate: u64, used: u64, per_minute: u64) {
        let shift = nanos(used, per_minute).saturating_sub(nanos(estimate, per_minute));
        if let Some(ahead) = ahead.filter(|_| shift.abs() <= AHEAD) {
            // HOT: within what the thread has ahead, no other thread's memory moves.
            let left = ahead.fetch_sub(shift, AcqRel).saturating_sub(shift);
            if (0..=2 * AHEAD).contains(&left) {
                return;
            }
            ahead.fetch_add(shift, AcqRel);
        }
        self.full_at.fetch_add(shift, AcqRel);
    }
}

/// What of a wide rate's minute can be taken at once: all but what the threads may have left over.
fn least_allowance() -> i64 {
    let parts = i64::try_from(drawers()).unwrap_or(i64::MAX);
    NANOS_PER_MINUTE.saturating_sub(parts.saturating_mul(2 * AHEAD))
}

/// The milliseconds by which an allowance that is full again at `next` was taken too early; None when it was not.
fn wait(next: i64, allowance: i64, now: i64) -> Option<u64> {
    let late = next.saturating_sub(now).saturating_sub(allowance);
    u64::try_from(late).ok().filter(|late| *late > 0).map(|late| late.div_ceil(1_000_000))
}

/// How long an allowance takes to grow by `count`; at most about a month, so that sums never overflow.
fn nanos(count: u64, per_minute: u64) -> i64 {
    const LONGEST: i64 = NANOS_PER_MINUTE * 60 * 24 * 30;
    let per_minute = per_minute.max(1);
    // Rounded down, so that a whole minute's allowance can be taken one by one.
    let exact = match count.checked_mul(NANOS_PER_MINUTE.unsigned_abs()) {
        // HOT: a division of 64 bits takes a tenth of one of 128.
        Some(product) => product / per_minute,
        None => {
            let exact = u128::from(count) * u128::from(NANOS_PER_MINUTE.unsigned_abs()) / u128::from(per_minute);
            u64::try_from(exact).unwrap_or(u64::MAX)
        }
    };
    i64::try_from(exact).unwrap_or(LONGEST).min(LONGEST)
}
