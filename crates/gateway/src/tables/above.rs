//! The budgets and shared rates, by whose they are: what is above a key is put together here, once for each change and
//! never for a call.

use crate::{live::Shared, purse::Purse};
use keyward_domain::{
    BudgetId,
    budget::{Budget, Scope, SharedRates},
    grant::Grant,
};
use rustc_hash::{FxHashMap, FxHashSet};
use std::sync::Arc;

/// All budgets and shared rates.
#[derive(Debug, Default)]
pub(super) struct Above {
    purses: FxHashMap<BudgetId, Arc<Purse>>,
    by_scope: FxHashMap<Scope, Vec<Arc<Purse>>>,
    rates: FxHashMap<Scope, Arc<Shared>>,
    /// Keys of the same project share one list.
    lists: FxHashMap<Option<Scope>, Arc<[Arc<Shared>]>>,
}

impl Above {
    /// The budgets above a key. Its own come first: they are the ones that refuse most, and what refuses a call before
    /// others were touched disturbs nobody.
    pub(super) fn purses(&self, grant: &Grant) -> Box<[Arc<Purse>]> {
        let scopes = [
            Scope::Key(grant.key),
            Scope::Environment(grant.project, grant.environment),
            Scope::Project(grant.project),
            Scope::Organisation,
        ];
        scopes.iter().filter_map(|scope| self.by_scope.get(scope)).flatten().cloned().collect()
    }

    /// The rates that a key shares with others.
    pub(super) fn rates(&mut self, grant: &Grant) -> Arc<[Arc<Shared>]> {
        let project = Scope::Project(grant.project);
        let of_project = self.rates.get(&project).cloned();
        let list = of_project.as_ref().map(|_| project);
        let all = self.rates.get(&Scope::Organisation);
        Arc::clone(self.lists.entry(list).or_insert_with(|| of_project.into_iter().chain(all.cloned()).collect()))
    }

    /// Takes over a budget that is new or changed. Returns whose keys must be told: none, when only its terms changed.
    pub(super) fn put(&mut self, budget: Budget) -> Vec<Scope> {
        let known = self.purses.get(&budget.id).filter(|purse| purse.scope() == budget.scope);
        if let Some(purse) = known {
            purse.change(budget.limit, budget.window);
            return Vec::new();
        }
        let moved = self.forget(&budget.id);
        let (id, scope) = (budget.id, budget.scope);
        let purse = Arc::new(Purse::new(budget));
        self.by_scope.entry(scope).or_default().push(Arc::clone(&purse));
        self.purses.insert(id, purse);
        moved.into_iter().chain([scope]).collect()
    }

    /// Forgets a budget. Returns whose keys must be told.
    pub(super) fn forget(&mut self, id: &BudgetId) -> Option<Scope> {
        let gone = self.purses.remove(id)?;
        gone.close();
        let scope = gone.scope();
        if let Some(purses) = self.by_scope.get_mut(&scope) {
            purses.retain(|purse| !Arc::ptr_eq(purse, &gone));
            if purses.is_empty() {
                self.by_scope.remove(&scope);
            }
        }
        Some(scope)
    }

    /// Takes over the rates of a scope; without any they are gone. Returns whose keys must be told.
    pub(super) fn set_rates(&mut self, rates: &SharedRates) -> Option<Scope> {
        let any =
            rates.requests_per_minute.is_some() || rates.tokens_per_minute.is_some() || rates.concurrency.is_some();
        match self.rates.get(&rates.scope) {
            Some(shared) if any => {
                shared.change(rates);
                return None;
            }
            Some(_) => drop(self.rates.remove(&rates.scope)),
            None if any => drop(self.rates.insert(rates.scope, Arc::new(Shared::new(rates)))),
            None => return None,
        }
        self.lists.clear();
        Some(rates.scope)
    }

    /// Takes over all budgets and rates. What was used of those that stay stays.
    pub(super) fn replace(&mut self, budgets: Vec<Budget>, rates: &[SharedRates]) {
        let wanted: FxHashSet<BudgetId> = budgets.iter().map(|budget| budget.id).collect();
        let gone: Vec<BudgetId> = self.purses.keys().filter(|id| !wanted.contains(id)).copied().collect();
        for id in gone {
            self.forget(&id);
        }
        self.purses.reserve(budgets.len());
        self.by_scope.reserve(budgets.len());
        for budget in budgets {
            self.put(budget);
        }
        let kept: Vec<Scope> = rates.iter().map(|rates| rates.scope).collect();
        self.rates.retain(|scope, _| kept.contains(scope));
        self.lists.clear();
        for rates in rates {
            self.set_rates(rates);
        }
    }
}
