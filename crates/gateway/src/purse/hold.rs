//! What a call holds of every budget above its key, from before it is sent until what it cost is known.

use super::{Place, till::seat};
use keyward_domain::{Millis, Money, budget::LeaseId};
use smallvec::SmallVec;
use std::sync::Arc;

/// How many scopes there are: organisation, project, environment, key. HOT: so many places need no memory of their own.
const SCOPES: usize = 4;

/// Money set aside for one call, the same amount on every account. Dropped before the call was sent, it is free again;
/// dropped afterwards without a settlement (a panic, a lost task), it stays gone: in doubt it is charged.
#[derive(Debug, Default)]
pub(crate) struct MoneyHold {
    places: SmallVec<[Arc<Place>; SCOPES]>,
    amount: i64,
    sent: bool,
    /// Once it stands in the journal: what it is charged to there.
    leases: Vec<LeaseId>,
}

impl MoneyHold {
    pub(super) fn new(budgets: usize, amount: i64) -> Self {
        Self { places: SmallVec::with_capacity(budgets), amount, sent: false, leases: Vec::new() }
    }

    pub(super) fn add(&mut self, place: Arc<Place>) {
        self.places.push(place);
    }

    /// How much is held on each account.
    pub(crate) const fn amount(&self) -> Money {
        Money::from_nano(self.amount)
    }

    /// What is left for further calls, as far as this thread knows: the least of the budgets.
    pub(crate) fn remaining(&self, now: Millis) -> Option<Money> {
        let seat = seat();
        self.places.iter().map(|place| place.pot().remaining(seat, now)).min().map(Money::from_nano)
    }

    /// The leases that it is to be charged to.
    pub(crate) fn leases(&self) -> Vec<LeaseId> {
        let mut leases = Vec::with_capacity(self.places.len());
        leases.extend(self.places.iter().filter_map(|place| place.pot().lease()));
        leases
    }

    /// The hold stands in the journal under these leases, and the call goes out: from now on only a settlement frees
    /// anything.
    pub(crate) fn sent(&mut self, leases: Vec<LeaseId>) {
        self.sent = true;
        self.leases = leases;
    }

    /// The leases that the journal has it under, for the settlement.
    pub(crate) fn take_leases(&mut self) -> Vec<LeaseId> {
        std::mem::take(&mut self.leases)
    }

    /// Whether the call went out.
    pub(crate) const fn is_sent(&self) -> bool {
        self.sent
    }

    /// The call costs more than is held: holds the difference as well, if every account has it. Otherwise nothing more
    /// is held, and the difference is booked without being taken from a lease: that money is what other calls hold.
    pub(crate) fn grow_to(&mut self, cost: Money) {
        let more = cost.nano().saturating_sub(self.amount);
        if more <= 0 {
            return;
        }
        for (taken, place) in self.places.iter().enumerate() {
            if place.take(more).is_err() {
                self.places.iter().take(taken).for_each(|place| place.end(more, 0));
                self.places.iter().for_each(|place| place.pot().overrun());
                return;
            }
        }
        self.amount = cost.nano();
    }

    /// Puts the true cost in the place of what was held. Once: the second time nothing is held any more.
    pub(crate) fn settle(&mut self, cost: Money) {
        for place in self.places.drain(..) {
            place.end(self.amount, cost.nano());
        }
    }
}

impl Drop for MoneyHold {
    fn drop(&mut self) {
        if !self.sent {
            self.settle(Money::ZERO);
        }
    }
}
