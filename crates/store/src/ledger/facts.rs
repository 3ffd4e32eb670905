//! What never changes of a lease: whose it is and which account it belongs to. Remembered, so that collecting need not
//! ask for it with every batch.

use super::{
    rows::{Bind, fetch},
    slot,
};
use crate::{Error, Store, pool::Open, sql::stored};
use keyward_domain::{
    BudgetId, Millis,
    budget::{Account, LeaseId},
};
use rustc_hash::{FxHashMap, FxHashSet};
use std::sync::{MutexGuard, PoisonError};

statements! {
    /// As the dynamic statement below, for one lease.
    FACTS = "select id, node, budget, start, slot_ms from leases where id = $1";
}

/// More than this many are not remembered.
const REMEMBERED: usize = 300_000;

/// What never changes of a lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Facts {
    /// The node, as stored.
    pub(crate) node: i64,
    /// Its account.
    pub(crate) account: Account,
    /// The length of a slot of a rolling budget; 0 for others.
    pub(crate) slot_ms: Millis,
}

impl Facts {
    /// Where something spent at a moment is counted, when that is a slot.
    pub(crate) fn slot(&self, at: Millis) -> Option<Account> {
        (self.slot_ms > 0).then(|| Account { budget: self.account.budget, start: slot(at, self.slot_ms) })
    }

    /// Where something spent at a moment is counted.
    pub(crate) fn counted(&self, at: Millis) -> Account {
        self.slot(at).unwrap_or(self.account)
    }
}

/// The facts that are known.
#[derive(Debug, Default)]
pub(crate) struct LeaseCache(FxHashMap<LeaseId, Facts>);

impl LeaseCache {
    pub(super) fn remember(&mut self, lease: LeaseId, facts: Facts) {
        if self.0.len() >= REMEMBERED {
            self.0.clear();
        }
        self.0.insert(lease, facts);
    }
}

row! {
    struct FactsRow {
        id: LeaseId,
        node: i64,
        budget: BudgetId,
        start: Millis,
        slot_ms: Millis,
    }
}

impl Store {
    pub(super) fn lease_cache(&self) -> MutexGuard<'_, LeaseCache> {
        self.leases().lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The facts of leases, as far as there are such leases.
pub(super) async fn resolve(
    store: &Store,
    open: &mut Open,
    wanted: &FxHashSet<LeaseId>,
) -> Result<FxHashMap<LeaseId, Facts>, sqlx::Error> {
    let mut found = FxHashMap::default();
    let mut missing = Vec::new();
    {
        let cache = store.lease_cache();
        for lease in wanted {
            match cache.0.get(lease) {
                Some(facts) => drop(found.insert(*lease, *facts)),
                None => missing.push([Bind::Number(stored(lease.0))]),
            }
        }
    }
    if missing.is_empty() {
        return Ok(found);
    }
    let rows: Vec<FactsRow> = fetch(
        open,
        "with w(i) as (values ",
        ") select l.id, l.node, l.budget, l.start, l.slot_ms from w join leases l on l.id = w.i",
        "",
        &missing,
    )
    .await?;
    let mut cache = store.lease_cache();
    for FactsRow { id, node, budget, start, slot_ms } in rows {
        let facts = Facts { node, account: Account { budget, start }, slot_ms };
        // Leases are made by transactions of their own: what is seen here is committed.
        cache.remember(id, facts);
        found.insert(id, facts);
    }
    Ok(found)
}

impl Store {
    /// The account of a lease.
    ///
    /// # Errors
    /// The database's.
    pub async fn account_of(&self, lease: LeaseId) -> Result<Option<Account>, Error> {
        let row = read!(self, fetch_optional, FactsRow, "a lease", FACTS, stored(lease.0))?;
        Ok(row.map(|row| Account { budget: row.budget, start: row.start }))
    }
}
