//! The money of one account on this node, laid out so that threads do not contend for it: each has a drawer of its own, in
//! which what its calls do not spend stays. A thread whose drawer has not enough goes to the common money, and only when
//! that is not enough either, to the drawers of the others.

use keyward_domain::Millis;
use std::{
    ops::Deref,
    sync::{
        Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{
            AtomicI64, AtomicU64, AtomicUsize,
            Ordering::{AcqRel, Acquire, Relaxed, SeqCst},
        },
    },
    thread,
};

/// The most drawers; threads beyond that share.
const MOST: usize = 16;

/// How many drawers there are: one for each thread of the gateway, unless it was told to start more than there are cores.
pub(crate) fn drawers() -> usize {
    static COUNT: OnceLock<usize> = OnceLock::new();
    *COUNT.get_or_init(|| thread::available_parallelism().map_or(1, usize::from).min(MOST))
}

/// This thread's drawer.
pub(crate) fn seat() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    thread_local! {
        static SEAT: usize = NEXT.fetch_add(1, Relaxed) % drawers();
    }
    SEAT.with(|seat| *seat)
}

/// In cache lines of its own: two, because processors fetch them in pairs.
#[derive(Debug, Default)]
#[repr(align(128))]
pub(crate) struct Apart<T>(pub(crate) T);

impl<T> Deref for Apart<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

/// A count to which every thread adds.
#[derive(Debug)]
pub(crate) struct Count(Box<[Apart<AtomicU64>]>);

impl Default for Count {
    fn default() -> Self {
        Self((0..drawers()).map(|_| Apart::default()).collect())
    }
}

impl Count {
    /// One more.
    pub(crate) fn add(&self) {
        if let Some(part) = self.0.get(seat()) {
            part.fetch_add(1, Relaxed);
        }
    }

    /// How many there are.
    pub(crate) fn sum(&self) -> u64 {
        self.0.iter().map(|part| part.load(Relaxed)).sum()
    }
}

/// One thread's part.
#[derive(Debug)]
struct Drawer {
    free: AtomicI64,
    /// The sum of all holds that were ever taken. Counted before the money is, so that a look never sees neither.
    taken: AtomicI64,
    /// The sum of those that have ended. Counted after the money is.
    ended: AtomicI64,
    /// What was free elsewhere when this thread last looked, and the moment of that.
    others: AtomicI64,
    looked_at: AtomicI64,
}

impl Default for Drawer {
    fn default() -> Self {
        let [free, taken, ended, others] = [0; 4].map(AtomicI64::new);
        Self { free, taken, ended, others, looked_at: AtomicI64::new(Millis::MIN) }
    }
}

impl Drawer {
    /// HOT: one look and one exchange, in memory that only this thread writes to, nearly always.
    fn draw(&self, amount: i64) -> bool {
        if self.free.load(Acquire) < amount {
            return false;
        }
        self.taken.fetch_add(amount, AcqRel);
        let drawn = self.free.fetch_update(AcqRel, Acquire, |free| (free >= amount).then(|| free - amount)).is_ok();
        if !drawn {
            self.taken.fetch_sub(amount, AcqRel);
        }
        drawn
    }
}

/// All of it.
#[derive(Debug)]
pub(crate) struct Till {
    /// Changed only by who has the lock.
    common: Apart<AtomicI64>,
    lock: Mutex<()>,
    drawers: Box<[Apart<Drawer>]>,
}

/// How a hold was taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Drawn {
    /// From the thread's own drawer.
    Own,
    /// With a look at all there is: so much is left.
    Common(i64),
}

impl Default for Till {
    fn default() -> Self {
        Self::with(drawers())
    }
}

impl Till {
    fn with(drawers: usize) -> Self {
        let drawers = (0..drawers.max(1)).map(|_| Apart::default()).collect();
        Self { common: Apart::default(), lock: Mutex::default(), drawers }
    }

    fn locked(&self) -> MutexGuard<'_, ()> {
        self.lock.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn drawer(&self, seat: usize) -> Option<&Drawer> {
        self.drawers.get(seat % self.drawers.len()).map(|drawer| &**drawer)
    }

    /// Holds an amount.
    ///
    /// # Errors
    /// How much is missing.
    pub(crate) fn take(&self, seat: usize, amount: i64) -> Result<Drawn, i64> {
        let Some(drawer) = self.drawer(seat) else { return Err(amount) };
        if drawer.draw(amount) {
            return Ok(Drawn::Own);
        }
        let all = self.locked();
        if self.common.load(Acquire) < amount {
            self.collect();
        }
        let common = self.common.load(Acquire);
        if common < amount {
            return Err(amount - common);
        }
        drawer.taken.fetch_add(amount, AcqRel);
        // Some more, so that the next calls find it in the drawer; never so much that another thread must come for it.
        let more = (common - amount) / i64::try_from(2 * self.drawers.len()).unwrap_or(i64::MAX);
        // INVARIANT: nothing is seen in neither place, and what is seen in both can be taken only from one: whoever takes from
        // the common money has the lock.
        drawer.free.fetch_add(more, AcqRel);
        self.common.fetch_sub(amount + more, AcqRel);
        drop(all);
        Ok(Drawn::Common(self.free()))
    }

    /// Puts all drawers' money together. Only for who has the lock.
    fn collect(&self) {
        for drawer in &self.drawers {
            let mut free = drawer.free.load(Acquire);
            while free > 0 {
                // In both places for a moment, never in none.
                self.common.fetch_add(free, AcqRel);
                match drawer.free.compare_exchange(free, 0, AcqRel, Acquire) {
                    Ok(_) => break,
                    Err(now) => {
                        self.common.fetch_sub(free, AcqRel);
                        free = now;
                    }
                }
            }
        }
    }

    /// Ends a hold: this is free again.
    pub(crate) fn end(&self, seat: usize, held: i64, free: i64) {
        let Some(drawer) = self.drawer(seat) else { return };
        drawer.free.fetch_add(free, AcqRel);
        drawer.ended.fetch_add(held, AcqRel);
    }

    /// There is more money.
    pub(crate) fn add(&self, amount: i64) {
        let _all = self.locked();
        self.common.fetch_add(amount, AcqRel);
    }

    /// Takes all that is free.
    pub(crate) fn empty(&self) -> i64 {
        let _all = self.locked();
        self.collect();
        self.common.swap(0, AcqRel).max(0)
    }

    /// What is free. While others take, it may be a little more than there is.
    pub(crate) fn free(&self) -> i64 {
        // Drawers first: what goes from them to the common money in this moment is then seen there at least.
        let drawers: i64 = self.drawers.iter().map(|drawer| drawer.free.load(SeqCst)).fold(0, i64::saturating_add);
        drawers.saturating_add(self.common.load(SeqCst))
    }

    /// What is free, as far as this thread knows: of its own drawer now, of the others at most a millisecond ago. HOT: to
    /// look into the others' drawers at every call would be what drawers are there to avoid.
    pub(crate) fn about(&self, seat: usize, now: Millis) -> i64 {
        let Some(drawer) = self.drawer(seat) else { return 0 };
        if drawer.looked_at.load(Relaxed) != now {
            let own = drawer.free.load(SeqCst);
            drawer.others.store(self.free().saturating_sub(own), Relaxed);
            drawer.looked_at.store(now, Relaxed);
        }
        drawer.free.load(SeqCst).saturating_add(drawer.others.load(Relaxed))
    }

    /// What is free in no drawer: no more than what is free at all.
    pub(crate) fn common(&self) -> i64 {
        self.common.load(Acquire)
    }

    /// The sum of all holds that were ever taken.
    pub(crate) fn taken(&self) -> i64 {
        self.drawers.iter().map(|drawer| drawer.taken.load(SeqCst)).fold(0, i64::saturating_add)
    }

    /// The sum of all that have ended.
    pub(crate) fn ended(&self) -> i64 {
        self.drawers.iter().map(|drawer| drawer.ended.load(SeqCst)).fold(0, i64::saturating_add)
    }
}

#[cfg(test)]
mod tests;
