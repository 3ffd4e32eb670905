//! Lends budgets' money to this node's gateway: looks up what a budget allows, and lets the store grant it.

use crate::{Control, control::lock};
use keyward_domain::{
    BudgetId, Millis, Money,
    budget::{Budget, Granted, LeaseId, Standing, Wish},
    snapshot::Update,
    window::SLOTS,
};
use keyward_store::{Error, LeaseAsk, Rolling};
use rustc_hash::FxHashMap;
use std::{collections::HashMap, sync::atomic::Ordering};

/// This run of this node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// Its number, chosen at random: no two runs have the same.
    pub incarnation: u64,
    /// The name of its journal: whoever starts with the same name reads that to its end.
    pub name: String,
    /// The run of the machine. Empty when the system does not tell.
    pub boot: String,
    /// Whether no other node can use the database.
    pub alone: bool,
}

/// The budgets as they were last published, which is after their rows were proven.
#[derive(Debug, Default)]
pub(crate) struct Budgets {
    known: FxHashMap<BudgetId, Budget>,
    /// Read when they are first needed, and again when the budget has changed.
    thresholds: HashMap<BudgetId, Vec<u8>>,
}

impl Budgets {
    pub(crate) fn get(&self, id: BudgetId) -> Option<&Budget> {
        self.known.get(&id)
    }

    /// At how many percent of a budget's limit something is said, if that was read since the budget has changed.
    pub(crate) fn thresholds(&self, id: BudgetId) -> Option<&[u8]> {
        self.thresholds.get(&id).map(Vec::as_slice)
    }

    pub(crate) fn learn_thresholds(&mut self, id: BudgetId, percents: Vec<u8>) {
        self.thresholds.insert(id, percents);
    }

    /// Follows what is published.
    pub(crate) fn learn(&mut self, update: &Update) {
        let known = |budget: &Budget| (budget.id, budget.clone());
        match update {
            Update::Everything(all) => {
                self.thresholds.clear();
                self.known = all.budgets.iter().map(known).collect();
            }
            Update::Budgets(budgets) => {
                budgets.iter().for_each(|budget| drop(self.thresholds.remove(&budget.id)));
                self.known.extend(budgets.iter().map(known));
            }
            Update::ForgetBudgets(gone) => gone.iter().for_each(|id| {
                self.thresholds.remove(id);
                self.known.remove(id);
            }),
            Update::Grants(_) | Update::Forget(_) | Update::Routes(_) | Update::Rates(_) => {}
        }
    }
}

/// How the slots of a rolling budget are counted at a moment.
pub(crate) fn rolling(budget: &Budget, now: Millis) -> Option<Rolling> {
    let slot_ms = (budget.window.rolling()? / SLOTS).max(1);
    Some(Rolling { slot_ms, first_slot: budget.window.first_slot(now)? })
}

/// What the store is asked. None: there is no such account.
fn ask(budget: &Budget, wish: Wish, now: Millis) -> Option<LeaseAsk> {
    let span = budget.window.span(wish.account.start)?;
    // A wish for any other moment would find an account of its own, with the whole limit in it.
    (span.start == wish.account.start).then_some(LeaseAsk {
        wish,
        limit: budget.limit,
        ends_at: span.end,
        rolling: rolling(budget, now),
    })
}

impl Control {
    /// Notes that this node begins to spend. Once, before [`Control::lend`], which does it again when the database could
    /// not take the note.
    ///
    /// # Errors
    /// The database's.
    pub async fn begin_node(&self, node: Node) -> Result<(), Error> {
        self.set_node(node.clone());
        self.store().begin_node(node.incarnation, &node.name, &node.boot, self.now()).await?;
        self.node_begun().store(true, Ordering::Release);
        Ok(())
    }

    /// Grants wishes of this node's gateway, in their order. What was granted is on the disk. A wish for a budget or a
    /// window that there is not gets nothing.
    ///
    /// # Errors
    /// [`Error::NodeEnded`] when this run was given up or has not begun; the database's. Then nothing may be spent.
    pub async fn lend(&self, wishes: &[Wish]) -> Result<Vec<Granted>, Error> {
        let node = self.node().ok_or(Error::NodeEnded)?;
        if !self.node_begun().load(Ordering::Acquire) {
            self.begin_node(node.clone()).await?;
        }
        let now = self.now();
        let asks: Vec<Option<LeaseAsk>> = {
            let budgets = lock(self.budgets());
            wishes.iter().map(|wish| ask(budgets.get(wish.account.budget)?, *wish, now)).collect()
        };
        let known: Vec<LeaseAsk> = asks.iter().flatten().copied().collect();
        let granted =
            if known.is_empty() { Vec::new() } else { self.store().lease(node.incarnation, &known, now).await? };
        let mut granted = granted.into_iter();
        let nothing = Granted { lease: LeaseId(0), amount: Money::ZERO, standing: Standing::default() };
        Ok(asks.iter().map(|ask| ask.as_ref().and_then(|_| granted.next()).unwrap_or(nothing)).collect())
    }

    /// Takes back what this node's gateway does not need. It has taken it out of its own memory already, and does not
    /// try again after an error: then the money stays counted until the node ends.
    ///
    /// # Errors
    /// The database's.
    pub async fn give_back(&self, given: &[(LeaseId, Money)]) -> Result<(), Error> {
        self.store().give_back(given).await.map(drop)
    }
}

#[cfg(test)]
pub(crate) mod tests;
