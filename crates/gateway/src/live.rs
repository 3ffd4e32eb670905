//! What changes from call to call, one small record per key: rates, calls in flight, and the switch that cuts them.
//! Atomics only on the way of a call; time is an argument. Money holds will join [`Hold`].

use keyward_domain::Millis;
use std::sync::{
    Arc,
    atomic::{AtomicI64, AtomicU32, Ordering},
};

const NANOS_PER_MINUTE: i64 = 60_000_000_000;

/// The changing state of one key. It outlives every change of the key's policy: editing a limit resets nothing.
#[derive(Debug, Default)]
pub struct Live {
    requests: Rate,
    tokens: Rate,
    in_flight: AtomicU32,
    /// Moves when the key's open calls must end.
    epoch: AtomicU32,
}

impl Live {
    /// Takes one request from the minute's allowance.
    ///
    /// # Errors
    /// The milliseconds after which one more is there.
    pub fn take_request(&self, per_minute: u64, now: Millis) -> Result<(), u64> {
        self.requests.take(1, per_minute, now)
    }

    /// Takes tokens from the minute's allowance, by estimate: [`Hold::settle`] puts the difference right.
    ///
    /// # Errors
    /// The milliseconds after which they are there; `None` when the allowance is never that large.
    pub fn take_tokens(self: &Arc<Self>, estimate: u64, per_minute: u64, now: Millis) -> Result<Hold, Option<u64>> {
        if estimate > per_minute {
            return Err(None);
        }
        self.tokens.take(estimate, per_minute, now)?;
        Ok(Hold { tokens: Some(TokenHold { live: Arc::clone(self), estimate, per_minute }) })
    }

    /// Opens a call. The slot is free again when the guard is dropped.
    ///
    /// # Errors
    /// When `limit` calls are already open.
    pub fn enter(self: &Arc<Self>, limit: Option<u32>) -> Result<InFlight, TooMany> {
        let before = self.in_flight.fetch_add(1, Ordering::AcqRel);
        let guard = InFlight(Arc::clone(self));
        if limit.is_some_and(|limit| before >= limit) { Err(TooMany) } else { Ok(guard) }
    }

    /// How many calls are open.
    #[must_use]
    pub fn in_flight(&self) -> u32 {
        self.in_flight.load(Ordering::Acquire)
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

/// The key's limit of calls at once is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TooMany;

/// An open call of a key.
#[derive(Debug)]
pub struct InFlight(Arc<Live>);

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, Ordering::AcqRel);
    }
}

/// What a call has set aside before it is sent, and the one seam for money: today the token estimate; a budget's
/// reservation joins here as a second field, taken in `admit` after the model is known, settled with the true cost.
/// Dropped without a settlement (a panic, a lost task), the estimate stands: in doubt it is charged.
#[derive(Debug, Default)]
pub struct Hold {
    tokens: Option<TokenHold>,
}

#[derive(Debug)]
struct TokenHold {
    live: Arc<Live>,
    estimate: u64,
    per_minute: u64,
}

impl Hold {
    /// Nothing set aside: the key has no limit that needs it.
    #[must_use]
    pub const fn none() -> Self {
        Self { tokens: None }
    }

    /// Replaces the estimate by what was used. Settling twice changes nothing the second time.
    pub fn settle(&mut self, used_tokens: u64) {
        if let Some(hold) = self.tokens.take() {
            hold.live.tokens.correct(hold.estimate, used_tokens, hold.per_minute);
        }
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
        let back = self.seen.swap(now, Ordering::AcqRel).saturating_sub(now);
        if back > PUT_BACK {
            // The moment goes back with the clock: what was taken counts no longer than it would have.
            self.full_at.fetch_sub(back, Ordering::AcqRel);
        }
        let mut full_at = self.full_at.load(Ordering::Acquire);
        loop {
            let next = full_at.max(now).saturating_add(cost);
            let late = next.saturating_sub(now).saturating_sub(NANOS_PER_MINUTE);
            if late > 0 {
                return Err(u64::try_from(late).unwrap_or(u64::MAX).div_ceil(1_000_000));
            }
            match self.full_at.compare_exchange_weak(full_at, next, Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) => return Ok(()),
                Err(seen) => full_at = seen,
            }
        }
    }

    /// Moves the moment by the difference. A call that used more than its estimate puts the key into debt.
    fn correct(&self, estimate: u64, used: u64, per_minute: u64) {
        let shift = nanos(used, per_minute).saturating_sub(nanos(estimate, per_minute));
        self.full_at.fetch_add(shift, Ordering::AcqRel);
    }
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
