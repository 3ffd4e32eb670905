//! What a node has of one account: money that it may spend without asking. Atomics only on the way of a call.

use super::till::{Drawn, Till};
use keyward_domain::{
    Millis, Money,
    budget::{Account, Granted, LeaseId, Scope, Wish},
    window::Span,
};
use std::sync::atomic::{
    AtomicBool, AtomicI64, AtomicU32, AtomicU64,
    Ordering::{AcqRel, Acquire, Relaxed, Release, SeqCst},
};
use tokio::sync::Notify;

/// No lease was granted yet.
const NO_LEASE: u64 = u64::MAX;
/// How long a "no" is believed, in milliseconds: other nodes give money back, limits are raised.
const NO_FOR: u64 = 200;
/// How much of the limit a lease has at least: one part in so many.
const LEAST_PART: i64 = 100;
/// For how many milliseconds of the holds that are taken a lease should be enough.
const ENOUGH_FOR: i64 = 2_000;
/// Holds are counted over at least this long, so that a burst's first moment is not taken for a rate.
const COUNTED_OVER: u64 = 250;
/// After so many looks without a hold, the money goes back.
const IDLE_LOOKS: u32 = 6;

/// One account on this node.
#[derive(Debug)]
pub(crate) struct Pot {
    account: Account,
    span: Span,
    scope: Scope,
    /// What may still be held, and what is.
    till: Till,
    /// More is asked for when less than this is free.
    low: AtomicI64,
    lease: AtomicU64,
    limit: AtomicI64,
    /// What is neither spent nor leased, as of the last answer.
    left: AtomicI64,
    asking: AtomicBool,
    /// When the answer was last that there is not enough; 0: never.
    denied_at: AtomicU64,
    /// How often nobody answered.
    failures: AtomicU64,
    /// What the calls that wait lack, all together.
    lacking: AtomicI64,
    /// The last ask: when, and what had been taken by then.
    asked_at: AtomicU64,
    taken_then: AtomicI64,
    /// Moves when what was asked for before must not be kept any more.
    era: AtomicU32,
    /// The limit was lowered, and no answer since has said that there is room below it: what calls in flight leave
    /// over goes back as well.
    over: AtomicBool,
    /// The money is to be given back at the next look.
    recalled: AtomicBool,
    /// The budget is gone, or has another window.
    closed: AtomicBool,
    looked: AtomicI64,
    idle: AtomicU32,
    pub(crate) answered: Notify,
}

/// How an account stands as far as this node knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Outlook {
    pub(crate) limit: i64,
    /// What is free here, or neither spent nor leased to anybody.
    pub(crate) spendable: i64,
    /// What calls in flight on this node hold.
    pub(crate) held: i64,
}

impl Outlook {
    /// What is gone, or leased to other nodes.
    pub(crate) fn used(&self) -> i64 {
        self.limit.saturating_sub(self.spendable).saturating_sub(self.held).max(0)
    }
}

impl Pot {
    pub(crate) fn new(account: Account, span: Span, scope: Scope, limit: Money) -> Self {
        Self {
            account,
            span,
            scope,
            till: Till::default(),
            low: AtomicI64::new(i64::MIN),
            lease: AtomicU64::new(NO_LEASE),
            limit: AtomicI64::new(limit.nano()),
            left: AtomicI64::new(limit.nano()),
            asking: AtomicBool::new(false),
            denied_at: AtomicU64::new(0),
            failures: AtomicU64::new(0),
            lacking: AtomicI64::new(0),
            asked_at: AtomicU64::new(0),
            taken_then: AtomicI64::new(0),
            era: AtomicU32::new(0),
            over: AtomicBool::new(false),
            recalled: AtomicBool::new(false),
            closed: AtomicBool::new(false),
            looked: AtomicI64::new(0),
            idle: AtomicU32::new(0),
            answered: Notify::new(),
        }
    }

    pub(crate) const fn account(&self) -> Account {
        self.account
    }

    pub(crate) const fn span(&self) -> Span {
        self.span
    }

    pub(crate) const fn scope(&self) -> Scope {
        self.scope
    }

    /// Whether a call that is admitted now belongs here.
    pub(crate) fn contains(&self, now: Millis) -> bool {
        self.span.start <= now && now < self.span.end && !self.closed.load(Relaxed)
    }

    /// The lease that what is held here is charged to. None: nothing was ever granted, so nothing is held.
    pub(crate) fn lease(&self) -> Option<LeaseId> {
        Some(self.lease.load(Acquire)).filter(|lease| *lease != NO_LEASE).map(LeaseId)
    }

    pub(crate) fn free(&self) -> i64 {
        self.till.free()
    }

    pub(crate) fn held(&self) -> i64 {
        let ended = self.till.ended();
        self.till.taken().saturating_sub(ended)
    }

    pub(crate) fn outlook(&self) -> Outlook {
        let left = self.left.load(Relaxed).max(0);
        Outlook { limit: self.limit.load(Relaxed), spendable: self.free().saturating_add(left), held: self.held() }
    }

    /// What is left for further calls, as far as the thread of this seat knows.
    pub(crate) fn remaining(&self, seat: usize, now: Millis) -> i64 {
        self.till.about(seat, now).saturating_add(self.left.load(Relaxed).max(0)).max(0)
    }

    /// What is left at least: without looking into any thread's drawer.
    pub(crate) fn at_least(&self) -> i64 {
        self.till.common().saturating_add(self.left.load(Relaxed).max(0)).max(0)
    }

    /// Holds an amount, for a call on the thread of this seat.
    ///
    /// # Errors
    /// How much is missing.
    pub(crate) fn take(&self, seat: usize, amount: i64) -> Result<Taken, i64> {
        if self.over.load(Relaxed) {
            return Err(amount);
        }
        // Looked at only now and then: what is in the drawers lasts a while.
        Ok(match self.till.take(seat, amount)? {
            Drawn::Common(left) if left < self.low.load(Relaxed) => Taken::Low,
            Drawn::Common(_) | Drawn::Own => Taken::Well,
        })
    }

    /// Ends a hold. What it cost is gone; the rest is free again. What it cost beyond the hold is not taken from here:
    /// it is what other calls hold, or nobody's.
    pub(crate) fn end(&self, seat: usize, held: i64, cost: i64) {
        self.till.end(seat, held, held.saturating_sub(cost).max(0));
    }

    /// Takes everything that is free, to give it back.
    pub(crate) fn empty(&self) -> i64 {
        self.till.empty()
    }

    /// Begins to ask for money, unless somebody does already. `at` is the steady time in milliseconds, not 0.
    pub(crate) fn begin_to_ask(&self, needed: i64, at: u64) -> Option<(Wish, u32)> {
        if self.closed.load(Acquire) || self.asking.load(Relaxed) || self.asking.swap(true, AcqRel) {
            return None;
        }
        let era = self.era.load(Acquire);
        let taken = self.till.taken();
        let before = self.asked_at.swap(at, Relaxed);
        let then = self.taken_then.swap(taken, Relaxed);
        let for_long = i64::try_from(at.saturating_sub(before).max(COUNTED_OVER)).unwrap_or(i64::MAX);
        let lately = i128::from(taken.saturating_sub(then).max(0)) * i128::from(ENOUGH_FOR) / i128::from(for_long);
        let usual = i64::try_from(lately).unwrap_or(i64::MAX).max(self.limit.load(Relaxed) / LEAST_PART);
        self.low.store(usual / 2, Relaxed);
        let needed = needed.max(1);
        let lacking = self.lacking.load(Relaxed).max(needed);
        let wanted = usual.saturating_sub(self.free().max(0)).max(0).saturating_add(lacking);
        let wish = Wish { account: self.account, needed: Money::from_nano(needed), wanted: Money::from_nano(wanted) };
        Some((wish, era))
    }

    /// Whether what was asked for in an era may be kept.
    pub(crate) fn may_keep(&self, era: u32) -> bool {
        self.era.load(Acquire) == era && !self.closed.load(Acquire)
    }

    /// Notes an answer. The money is not free yet: [`Self::add`] makes it so, when the pot is where looks find it.
    pub(crate) fn note(&self, granted: &Granted, at: u64) {
        self.lease.store(granted.lease.0, Release);
        self.limit.store(granted.standing.limit.nano(), Relaxed);
        let left = granted.standing.left().nano();
        self.left.store(left, Relaxed);
        if left >= 0 {
            self.over.store(false, Release);
        }
        if granted.amount > Money::ZERO {
            self.denied_at.store(0, Relaxed);
        } else {
            self.denied_at.store(at, Relaxed);
            self.low.store(i64::MIN, Relaxed);
        }
    }

    /// Notes that nobody answered: calls that fit go on, and nobody asks ahead of need.
    pub(crate) fn note_failure(&self) {
        self.low.store(i64::MIN, Relaxed);
        self.failures.fetch_add(1, AcqRel);
    }

    pub(crate) fn failures(&self) -> u64 {
        self.failures.load(Acquire)
    }

    /// Adds money that was granted under a lease.
    pub(crate) fn add(&self, lease: LeaseId, amount: i64) {
        self.lease.store(lease.0, Release);
        self.idle.store(0, Relaxed);
        self.till.add(amount);
    }

    /// The ask is over, whatever came of it.
    pub(crate) fn end_ask(&self) {
        self.asking.store(false, Release);
        self.answered.notify_waiters();
    }

    /// Whether an answer is still to come.
    pub(crate) fn is_asking(&self) -> bool {
        self.asking.load(Acquire)
    }

    /// Whether there is no use in asking for so much: the answer was no a moment ago.
    pub(crate) fn is_denied(&self, missing: i64, at: u64) -> bool {
        let denied = self.denied_at.load(Relaxed);
        denied != 0 && at.saturating_sub(denied) < NO_FOR && missing > self.left.load(Relaxed)
    }

    /// A call waits that lacks this much.
    pub(crate) fn waits(&self, missing: i64) -> Waits<'_> {
        self.lacking.fetch_add(missing, Relaxed);
        Waits(self, missing)
    }

    /// The limit was changed. What is free goes back when it was lowered: there may be less than this node believes.
    pub(crate) fn limit_changed(&self, limit: Money) {
        let before = self.limit.swap(limit.nano(), AcqRel);
        self.left.fetch_add(limit.nano().saturating_sub(before), Relaxed);
        self.denied_at.store(0, Relaxed);
        if limit.nano() < before {
            self.era.fetch_add(1, AcqRel);
            self.over.store(true, Release);
            self.recalled.store(true, Release);
        }
    }

    /// A call has cost more than it held, and nothing was free to make up for it: what becomes free goes back, and nothing
    /// is held until an answer says that there is room.
    pub(crate) fn overrun(&self) {
        self.era.fetch_add(1, AcqRel);
        self.over.store(true, Release);
        self.recalled.store(true, Release);
    }

    /// Nothing is to be lent for this any more.
    pub(crate) fn close(&self) {
        self.closed.store(true, Release);
        self.recalled.store(true, Release);
    }

    /// Whether the money is wanted back at once.
    pub(crate) fn is_recalled(&self) -> bool {
        self.over.load(Acquire) || (self.recalled.load(Relaxed) && self.recalled.swap(false, AcqRel))
    }

    /// One of the looks at regular times: whether what is free should go back.
    pub(crate) fn is_idle(&self, now: Millis) -> bool {
        let taken = self.till.taken();
        let unused = self.looked.swap(taken, Relaxed) == taken;
        let idle = if unused { self.idle.fetch_add(1, Relaxed) + 1 } else { 0 };
        if !unused {
            self.idle.store(0, Relaxed);
        }
        idle >= IDLE_LOOKS || !self.contains(now)
    }

    /// Whether nothing is left here: no money, no hold, no question.
    pub(crate) fn is_bare(&self) -> bool {
        let taken = self.till.taken();
        let held = taken.wrapping_sub(self.till.ended());
        let free = self.till.free();
        held == 0 && free == 0 && !self.asking.load(SeqCst) && self.till.taken() == taken
    }
}

/// A hold was taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Taken {
    /// There is enough for the next ones.
    Well,
    /// It is time to ask for more.
    Low,
}

/// A call that waits for money.
#[derive(Debug)]
pub(crate) struct Waits<'p>(&'p Pot, i64);

impl Drop for Waits<'_> {
    fn drop(&mut self) {
        self.0.lacking.fetch_sub(self.1, Relaxed);
    }
}
