//! The pots of this node, and the way to the lender: asking ahead of need, waiting for an answer, giving back.

use super::{
    Place, Purse,
    hold::MoneyHold,
    pot::{Outlook, Pot, Taken},
    till::{Count, seat},
};
use crate::{
    clock,
    lender::{Lender, Unavailable},
};
use keyward_domain::{
    Millis, Money,
    budget::{Account, Granted},
};
use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};
use tokio::time::{Instant, timeout_at};

/// How long calls wait for money at most.
const PATIENCE: Duration = Duration::from_secs(5);
/// How often a call tries anew while others take what it has seen.
const TRIES: u32 = 64;

/// All pots that may have money, and who lends it.
pub(crate) struct Bank {
    lender: Arc<dyn Lender>,
    pots: Mutex<Pots>,
    began: Instant,
    /// How long a call waits for money at most.
    patience: Duration,
    pub(crate) counts: Counts,
}

/// A pot, and the budget whose it is.
type Kept = (Arc<Purse>, Arc<Pot>);

#[derive(Default)]
struct Pots {
    open: HashMap<Account, Kept>,
    /// Pots whose budget has got another window: what they still hold comes back to them.
    closing: Vec<Kept>,
}

/// What the metrics tell of the bank.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    /// Holds that were taken.
    pub(crate) holds: Count,
    /// Holds that were smaller than what the call could have cost as it was asked for.
    pub(crate) clamped: AtomicU64,
    /// Calls that cost more than was held for them.
    pub(crate) underestimates: AtomicU64,
    /// Asks that were granted, denied, and not answered.
    pub(crate) asks: [AtomicU64; 3],
}

/// Why nothing is held.
#[derive(Debug)]
pub(crate) enum Short {
    /// There is not enough money in this account.
    Money {
        purse: Arc<Purse>,
        outlook: Outlook,
        /// What the call would have needed.
        amount: Money,
    },
    /// The budget's span is over, or has not begun.
    Outside(Arc<Purse>),
    /// Whether there is money cannot be found out now.
    Unavailable,
}

/// What a call may cost.
pub(crate) trait Cost {
    /// The most that it can cost as it is.
    fn amount(&self) -> Money;
    /// Makes it cheaper, so that it can cost this much at most. Says whether that was possible.
    fn lower_to(&mut self, affordable: Money) -> bool;
}

/// A try that failed.
enum Missing<'p> {
    Outside(&'p Arc<Purse>),
    Money(&'p Arc<Purse>, Arc<Pot>, i64),
}

impl Bank {
    pub(crate) fn new(lender: Arc<dyn Lender>) -> Arc<Self> {
        Self::with_patience(lender, PATIENCE)
    }

    fn with_patience(lender: Arc<dyn Lender>, patience: Duration) -> Arc<Self> {
        let (pots, began, counts) = (Mutex::default(), clock::instant(), Counts::default());
        Arc::new(Self { lender, pots, began, patience, counts })
    }

    fn pots(&self) -> MutexGuard<'_, Pots> {
        self.pots.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The steady time, in milliseconds, from 1.
    fn at(&self) -> u64 {
        let since = clock::instant().saturating_duration_since(self.began);
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX).saturating_add(1)
    }

    fn pot(&self, purse: &Arc<Purse>, now: Millis) -> Option<Arc<Pot>> {
        self.place(purse, 0, now).map(|place| Arc::clone(place.pot()))
    }

    fn place(&self, purse: &Arc<Purse>, seat: usize, now: Millis) -> Option<Arc<Place>> {
        purse.place(seat, now, |fresh| {
            let mut pots = self.pots();
            let known = pots.open.get(&fresh.account());
            if let Some((_, pot)) = known.filter(|(_, pot)| pot.contains(now) && pot.span() == fresh.span()) {
                return Arc::clone(pot);
            }
            let before = pots.open.insert(fresh.account(), (Arc::clone(purse), Arc::clone(&fresh)));
            if let Some((purse, pot)) = before {
                pot.close();
                pots.closing.push((purse, pot));
            }
            fresh
        })
    }

    /// Holds an amount on all budgets, or on none of them.
    fn try_hold<'p>(
        self: &Arc<Self>,
        purses: &'p [Arc<Purse>],
        amount: i64,
        now: Millis,
    ) -> Result<MoneyHold, Missing<'p>> {
        let seat = seat();
        let mut hold = MoneyHold::new(purses.len(), amount);
        for purse in purses {
            let place = self.place(purse, seat, now).ok_or(Missing::Outside(purse))?;
            match place.take(amount) {
                Ok(Taken::Well) => {}
                Ok(Taken::Low) => self.ask(purse, place.pot(), 0),
                // What was taken before is put back as `hold` is dropped.
                Err(missing) => return Err(Missing::Money(purse, Arc::clone(place.pot()), missing)),
            }
            hold.add(place);
        }
        Ok(hold)
    }

    /// Holds what a call may cost on all budgets above its key, if this node has it: it has, nearly always. Nobody is
    /// asked and nothing waits; [`Self::hold`] finds out the rest.
    pub(crate) fn hold_at_once(
        self: &Arc<Self>,
        purses: &[Arc<Purse>],
        cost: &impl Cost,
        now: Millis,
    ) -> Option<MoneyHold> {
        // HOT: all there is to it for most calls.
        let amount = cost.amount().nano().max(1);
        self.try_hold(purses, amount, now).ok().map(|hold| self.counted(hold))
    }

    /// Holds what a call may cost on all budgets above its key. Waits only where this node has not enough: then for the
    /// lender, and not for long. Where there is not enough anywhere, the call is made cheaper if that can be.
    ///
    /// # Errors
    /// [`Short`]: nothing is held.
    pub(crate) async fn hold(
        self: &Arc<Self>,
        purses: &[Arc<Purse>],
        cost: &mut impl Cost,
        now: Millis,
    ) -> Result<MoneyHold, Short> {
        let mut amount = cost.amount().nano().max(1);
        let mut missing = match self.try_hold(purses, amount, now) {
            Ok(hold) => return Ok(self.counted(hold)),
            Err(missing) => missing,
        };
        let until = clock::instant() + self.patience;
        let mut clamped = false;
        for _ in 0..TRIES {
            let (purse, pot, lacks) = match missing {
                Missing::Outside(purse) => return Err(Short::Outside(Arc::clone(purse))),
                Missing::Money(purse, pot, lacks) => (purse, pot, lacks),
            };
            if pot.is_denied(lacks, self.at()) {
                let (purse, outlook) = self.tightest(purses, now).unwrap_or_else(|| (purse, pot.outlook()));
                let affordable = outlook.spendable;
                let lower = affordable > 0 && affordable < amount && cost.lower_to(Money::from_nano(affordable));
                let cheaper = cost.amount().nano().max(1);
                if !lower || cheaper >= amount {
                    let (purse, amount) = (Arc::clone(purse), Money::from_nano(amount));
                    return Err(Short::Money { purse, outlook, amount });
                }
                (amount, clamped) = (cheaper, true);
            } else {
                self.wait(purse, &pot, lacks, until).await?;
            }
            missing = match self.try_hold(purses, amount, now) {
                Ok(hold) => {
                    if clamped {
                        self.counts.clamped.fetch_add(1, Relaxed);
                    }
                    return Ok(self.counted(hold));
                }
                Err(missing) => missing,
            };
        }
        Err(Short::Unavailable)
    }

    fn counted(&self, hold: MoneyHold) -> MoneyHold {
        self.counts.holds.add();
        hold
    }

    /// Asks for what a call lacks, unless somebody asks already, and waits for the answer.
    async fn wait(
        self: &Arc<Self>,
        purse: &Arc<Purse>,
        pot: &Arc<Pot>,
        lacks: i64,
        until: Instant,
    ) -> Result<(), Short> {
        if pot.is_recalled() {
            self.give_back(pot);
        }
        // From here on no answer is missed.
        let answered = pot.answered.notified();
        let failures = pot.failures();
        let waits = pot.waits(lacks);
        self.ask(purse, pot, lacks);
        if pot.is_asking() {
            timeout_at(until, answered).await.map_err(|_| Short::Unavailable)?;
        }
        drop(waits);
        if pot.failures() == failures { Ok(()) } else { Err(Short::Unavailable) }
    }

    /// The budget that can pay least, as far as this node knows.
    fn tightest<'p>(&self, purses: &'p [Arc<Purse>], now: Millis) -> Option<(&'p Arc<Purse>, Outlook)> {
        let outlooks = purses.iter().filter_map(|purse| Some((purse, self.pot(purse, now)?.outlook())));
        outlooks.min_by_key(|(_, outlook)| outlook.spendable)
    }

    /// What the tightest budget can pay at least, as far as this node knows; of one that is not open yet, its limit. None:
    /// there is no budget.
    pub(crate) fn left(purses: &[Arc<Purse>], now: Millis) -> Option<Money> {
        let left =
            |purse: &Arc<Purse>| purse.look(now, |pot| pot.at_least()).unwrap_or_else(|| purse.terms().limit.nano());
        purses.iter().map(left).min().map(Money::from_nano)
    }

    /// What is left for further calls of a key, as far as this thread knows: the least of its budgets.
    pub(crate) fn remaining(purses: &[Arc<Purse>], now: Millis) -> Option<Money> {
        let seat = seat();
        let known = |purse: &Arc<Purse>| purse.look(now, |pot| pot.remaining(seat, now));
        purses.iter().filter_map(known).min().map(Money::from_nano)
    }

    /// Asks the lender, in a task of its own: the answer matters even if who asked is gone.
    fn ask(self: &Arc<Self>, purse: &Arc<Purse>, pot: &Arc<Pot>, needed: i64) {
        let Some((wish, era)) = pot.begin_to_ask(needed, self.at()) else { return };
        let asking = Asking(Arc::clone(pot));
        let (bank, purse, answer) = (Arc::clone(self), Arc::clone(purse), self.lender.lease(wish));
        tokio::spawn(async move {
            let answer = answer.await;
            bank.answered(&purse, &asking.0, era, answer);
            drop(asking);
        });
    }

    fn answered(&self, purse: &Arc<Purse>, pot: &Arc<Pot>, era: u32, answer: Result<Granted, Unavailable>) {
        let count = |kind: usize| {
            if let Some(count) = self.counts.asks.get(kind) {
                count.fetch_add(1, Relaxed);
            }
        };
        let granted = match answer {
            Ok(granted) => granted,
            Err(Unavailable) => {
                count(2);
                return pot.note_failure();
            }
        };
        let nothing = granted.amount <= Money::ZERO;
        count(usize::from(nothing));
        if !nothing && !pot.may_keep(era) {
            return self.lender.give_back(granted.lease, granted.amount);
        }
        pot.note(&granted, self.at());
        if nothing {
            return;
        }
        let keeper = {
            // INVARIANT: money is only in pots that looks find. One that was let go of meanwhile comes back, or another
            // has taken its place and takes its money.
            let mut pots = self.pots();
            let (_, keeper) = pots.open.entry(pot.account()).or_insert_with(|| (Arc::clone(purse), Arc::clone(pot)));
            Arc::clone(keeper)
        };
        keeper.add(granted.lease, granted.amount.nano());
    }

    /// Gives back what is wanted back at once.
    pub(crate) fn recall(&self) {
        for (_, pot) in self.all() {
            if pot.is_recalled() {
                self.give_back(&pot);
            }
        }
    }

    /// One of the looks at regular times: gives back what has not been needed for a while, and what is left of windows
    /// that are over; forgets pots in which nothing is left.
    pub(crate) fn look(&self, now: Millis) {
        let mut gone = Vec::new();
        for (purse, pot) in self.all() {
            let recalled = pot.is_recalled();
            if pot.is_idle(now) {
                self.give_back(&pot);
                if pot.is_bare() {
                    gone.push((purse, pot));
                }
            } else if recalled {
                self.give_back(&pot);
            }
        }
        if gone.is_empty() {
            return;
        }
        let mut pots = self.pots();
        for (purse, pot) in gone {
            purse.forget(&pot);
            let here = pots.open.get(&pot.account()).is_some_and(|(_, known)| Arc::ptr_eq(known, &pot));
            if here && pot.is_bare() {
                pots.open.remove(&pot.account());
            }
            pots.closing.retain(|(_, known)| !Arc::ptr_eq(known, &pot) || !pot.is_bare());
        }
    }

    /// Gives everything back that is free: the node stops.
    pub(crate) fn stop(&self) {
        for (_, pot) in self.all() {
            pot.close();
            self.give_back(&pot);
        }
    }

    fn all(&self) -> Vec<Kept> {
        let pots = self.pots();
        pots.open.values().chain(&pots.closing).cloned().collect()
    }

    fn give_back(&self, pot: &Pot) {
        // INVARIANT: out of this node's memory first. Then nobody here can hold it while somebody else may.
        let free = pot.empty();
        if let Some(lease) = pot.lease().filter(|_| free > 0) {
            self.lender.give_back(lease, Money::from_nano(free));
        }
    }

    /// Free and held money by the kind of budget, in nano-dollars, and how many accounts are open.
    pub(crate) fn sums(&self) -> Sums {
        let mut sums = Sums::default();
        for (_, pot) in self.all() {
            let at = KINDS.iter().position(|kind| *kind == pot.scope().kind()).unwrap_or(0);
            if let Some((free, held)) = sums.money.get_mut(at) {
                *free = free.saturating_add(pot.free());
                *held = held.saturating_add(pot.held());
            }
            sums.accounts += 1;
        }
        sums
    }
}

/// The kinds of budgets, as the metrics name them.
pub(crate) const KINDS: [&str; 4] = ["organisation", "project", "environment", "key"];

/// What all pots have.
#[derive(Debug, Default)]
pub(crate) struct Sums {
    /// Free and held, by kind.
    pub(crate) money: [(i64, i64); 4],
    pub(crate) accounts: u64,
}

/// A question that is open. When it ends, those who wait are told.
struct Asking(Arc<Pot>);

impl Drop for Asking {
    fn drop(&mut self) {
        self.0.end_ask();
    }
}

#[cfg(test)]
mod tests;
