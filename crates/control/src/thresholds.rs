//! Thresholds of budgets: when part of a limit is spent, that is said once in a window: in the log, in the audit log, and
//! to whoever collects.

use crate::{Control, control::lock, lend};
use keyward_domain::{
    BudgetId, Millis, Money,
    audit::Actor,
    budget::{Account, Budget},
    times,
};
use keyward_store::{Change, Error, Touched};
use serde_json::{Value, json};
use std::collections::{BTreeMap, HashSet};

/// So many thresholds are remembered as said; the database knows them all.
const REMEMBERED: usize = 100_000;

/// A part of a limit was spent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Crossed {
    /// The budget, and the window it was in; of a rolling one the start of a span of its length.
    pub account: Account,
    /// The part, in percent.
    pub percent: u32,
    /// What was spent.
    pub spent: Money,
    /// The limit.
    pub limit: Money,
}

/// What was said already.
pub(crate) type Said = HashSet<(BudgetId, Millis, u32)>;

fn reached(spent: Money, limit: Money, percent: u32) -> bool {
    i128::from(spent.nano()) * 100 >= i128::from(limit.nano()) * i128::from(percent)
}

impl Control {
    /// Looks at accounts on which something was booked, and says which thresholds were reached. What cannot be said now
    /// is said the next time something is booked.
    pub(crate) async fn say_thresholds(&self, touched: &[Touched]) -> Vec<Crossed> {
        match self.find_thresholds(touched).await {
            Ok(crossed) => crossed,
            Err(error) => {
                tracing::error!(%error, "that a budget reached a threshold could not be noted");
                Vec::new()
            }
        }
    }

    async fn find_thresholds(&self, touched: &[Touched]) -> Result<Vec<Crossed>, Error> {
        let now = self.now();
        let known: BTreeMap<Account, (Budget, Touched)> = {
            let budgets = lock(self.budgets());
            let all = touched.iter();
            all.filter_map(|one| Some((one.account, (budgets.get(one.account.budget)?.clone(), *one)))).collect()
        };
        let mut found = Vec::new();
        for (account, (budget, one)) in known {
            let (account, spent) = match (budget.window.rolling(), lend::rolling(&budget, now)) {
                (Some(length), Some(rolling)) if one.rolling => {
                    let spent = self.store().stand(account, Some(rolling)).await?.0;
                    (Account { start: now - now.rem_euclid(length.max(1)), ..account }, spent)
                }
                _ => (account, one.spent),
            };
            let thresholds = self.thresholds(account.budget).await?;
            let said = lock(self.said_thresholds());
            let percents = thresholds.into_iter().map(u32::from);
            let percents = percents.filter(|percent| reached(spent, budget.limit, *percent));
            let new = percents.filter(|percent| !said.contains(&(account.budget, account.start, *percent)));
            found.extend(new.map(|percent| Crossed { account, percent, spent, limit: budget.limit }));
        }
        if found.is_empty() { Ok(found) } else { self.note(found).await }
    }

    /// At how many percent of a budget's limit something is said.
    async fn thresholds(&self, id: BudgetId) -> Result<Vec<u8>, Error> {
        if let Some(percents) = lock(self.budgets()).thresholds(id) {
            return Ok(percents.to_vec());
        }
        let percents = self.terms(id).await?.map(|terms| terms.thresholds).unwrap_or_default();
        lock(self.budgets()).learn_thresholds(id, percents.clone());
        Ok(percents)
    }

    /// Writes down those that nobody has written down before, and answers them.
    async fn note(&self, found: Vec<Crossed>) -> Result<Vec<Crossed>, Error> {
        let actor = Actor::System { part: "budgets".to_owned() };
        let mut write = self.store().write(actor, None, self.now()).await?;
        let (mut new, mut changes) = (Vec::new(), Vec::new());
        for crossed in &found {
            if write.note_threshold(crossed.account, crossed.percent).await? {
                changes.push(change(crossed));
                new.push(crossed.clone());
            }
        }
        if new.is_empty() {
            drop(write);
        } else {
            self.commit(write, changes).await?;
        }
        let mut said = lock(self.said_thresholds());
        if said.len() > REMEMBERED {
            said.clear();
        }
        said.extend(found.iter().map(|one| (one.account.budget, one.account.start, one.percent)));
        for Crossed { account, percent, spent, limit } in &new {
            tracing::warn!(budget = %account.budget, percent, %spent, %limit, "a budget has reached a threshold");
        }
        Ok(new)
    }
}

fn change(crossed: &Crossed) -> Change {
    let Crossed { account, percent, spent, limit } = crossed;
    Change {
        action: "budget.threshold".to_owned(),
        subject_kind: "budget".to_owned(),
        subject: account.budget.to_string(),
        before: Value::Null,
        after: json!({
            "percent": percent, "spent_usd": spent.to_string(), "limit_usd": limit.to_string(),
            "window_start": times::show(account.start)
        }),
        reason: None,
        row_version: None,
    }
}
