//! A budget as it is answered: what it says, and what is used of it.

use crate::{
    Control,
    budgets::{Terms, edges},
    error::Answer,
    publish::ARCHIVED,
};
use keyward_domain::{KeyId, Millis, Money, ProjectId, budget::Standing, times};
use keyward_store::{BudgetFilter, BudgetRow, KeyRow, KeyStatus, ProjectRow};
use serde::Serialize;
use std::collections::HashMap;
use utoipa::ToSchema;

/// A budget, and what is used of it in the window that is now. Amounts in dollars are decimal texts, exact; beside each
/// stands the same in whole nano-dollars.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Budget {
    /// Its id.
    id: String,
    /// What it bounds: `organisation`, `project`, `environment` or `key`.
    scope: String,
    /// The project's name: the scope's, or the one that its key is in.
    project: Option<String>,
    /// The project's id.
    project_id: Option<String>,
    /// The environment.
    environment: Option<String>,
    /// The key's name.
    key: Option<String>,
    /// The key's id.
    key_id: Option<String>,
    /// `active`, `archived` (also when its project is), `revoked` when its key was, or `tampered` when its record was
    /// changed outside of Keyward: then nothing may be spent in its scope until it is archived.
    status: &'static str,
    /// Another after every change.
    revision: String,
    /// Limit and window in one text.
    #[schema(example = "20 USD/month Europe/Vienna")]
    limit: String,
    /// The most that may be spent in a window.
    #[schema(example = "20")]
    limit_usd: String,
    /// The same in nano-dollars.
    limit_nano_usd: i64,
    /// The window: when use is counted anew.
    window: String,
    /// What settled calls cost.
    spent_usd: String,
    /// The same in nano-dollars.
    spent_nano_usd: i64,
    /// What nodes have set aside: for calls that are open, and for those to come.
    leased_usd: String,
    /// The same in nano-dollars.
    leased_nano_usd: i64,
    /// What is neither spent nor set aside.
    left_usd: String,
    /// The same in nano-dollars.
    left_nano_usd: i64,
    /// What was spent, in percent of the limit.
    percent: f64,
    /// At how many percent something is said, once in each window.
    thresholds: Vec<u8>,
    /// When the window began, in RFC 3339; null when it has no beginning, or is not now.
    window_start: Option<String>,
    /// When the window starts anew, in RFC 3339. None: never, or bit by bit, as what was spent leaves a rolling one.
    resets_at: Option<String>,
    /// When it was made, in RFC 3339.
    created_at: String,
    /// When it was archived, in RFC 3339.
    #[serde(skip_serializing_if = "Option::is_none")]
    archived_at: Option<String>,
}

impl Budget {
    /// What is left of it, in words.
    pub(crate) fn left_words(&self) -> String {
        format!("{} USD left of {}", self.left_usd, self.limit)
    }
}

/// The projects and keys that budgets are about, each read once.
#[derive(Default)]
pub(crate) struct Names {
    projects: HashMap<ProjectId, Option<ProjectRow>>,
    keys: HashMap<KeyId, Option<KeyRow>>,
}

impl Names {
    /// Reads what a budget is about.
    ///
    /// # Errors
    /// The database's.
    pub(super) async fn learn(&mut self, control: &Control, row: &BudgetRow) -> Answer<()> {
        if let Some(id) = row.project
            && !self.projects.contains_key(&id)
        {
            self.projects.insert(id, control.store().project(id).await?);
        }
        if let Some(id) = row.key
            && !self.keys.contains_key(&id)
        {
            self.keys.insert(id, control.store().key(id).await?);
        }
        Ok(())
    }

    fn project(&self, row: &BudgetRow) -> Option<&ProjectRow> {
        self.projects.get(&row.project?)?.as_ref()
    }

    fn key(&self, row: &BudgetRow) -> Option<&KeyRow> {
        self.keys.get(&row.key?)?.as_ref()
    }

    /// The word for a budget's state.
    pub(super) fn status(&self, control: &Control, row: &BudgetRow) -> &'static str {
        if !control.shows_sound(row) {
            "tampered"
        } else if row.status == ARCHIVED || self.project(row).is_some_and(|project| project.status == ARCHIVED) {
            "archived"
        } else if self.key(row).is_some_and(|key| key.status == KeyStatus::Revoked) {
            "revoked"
        } else {
            "active"
        }
    }
}

/// One budget.
pub(super) async fn shown(control: &Control, row: &BudgetRow) -> Answer<Budget> {
    let mut names = Names::default();
    names.learn(control, row).await?;
    present(control, row, &names).await
}

/// The budgets on a key that hold.
///
/// # Errors
/// The database's.
pub(crate) async fn of_key(control: &Control, key: &KeyRow) -> Answer<Vec<Budget>> {
    const MOST: u32 = 100;
    let filter = BudgetFilter { key: Some(key.id), status: Some("active".to_owned()), ..BudgetFilter::default() };
    let mut names = Names::default();
    let mut budgets = Vec::new();
    for row in control.store().budgets(&filter, None, MOST).await? {
        names.learn(control, &row).await?;
        budgets.push(present(control, &row, &names).await?);
    }
    Ok(budgets)
}

/// A budget whose names were learnt.
pub(super) async fn present(control: &Control, row: &BudgetRow, names: &Names) -> Answer<Budget> {
    let now = control.now();
    let status = names.status(control, row);
    let terms = Terms::read(row);
    let standing = match &terms {
        Some(terms) => control.standing(&terms.budget, now).await?,
        None => Standing { limit: row.limit(), ..Standing::default() },
    };
    let window = terms.as_ref().map(|terms| &terms.budget.window);
    let moment = |at: Option<Millis>| at.map(times::show);
    Ok(Budget {
        id: row.id.to_string(),
        scope: row.scope.clone(),
        project: names.project(row).map(|project| project.name.clone()),
        project_id: row.project.map(|id| id.to_string()),
        environment: row.environment.map(|stage| stage.name().to_owned()),
        key: names.key(row).map(|key| key.name.clone()),
        key_id: row.key.map(|id| id.to_string()),
        status,
        revision: row.row_version.to_string(),
        limit: format!("{} USD/{}", row.limit(), row.window),
        limit_usd: row.limit().to_string(),
        limit_nano_usd: row.amount,
        window: row.window.clone(),
        spent_usd: standing.spent.to_string(),
        spent_nano_usd: standing.spent.nano(),
        leased_usd: standing.leased.to_string(),
        leased_nano_usd: standing.leased.nano(),
        left_usd: standing.left().max(Money::ZERO).to_string(),
        left_nano_usd: standing.left().max(Money::ZERO).nano(),
        percent: percent(standing.spent, row.limit()),
        thresholds: terms.as_ref().map(|terms| terms.thresholds.clone()).unwrap_or_default(),
        window_start: moment(window.and_then(|window| edges(window, now)).map(|span| span.start)),
        resets_at: moment(window.and_then(|window| window.resets_at(now))),
        created_at: times::show(row.created_at),
        archived_at: moment(row.archived_at),
    })
}

/// A part of a whole in percent, to a tenth; never rounded up to 100.
fn percent(part: Money, whole: Money) -> f64 {
    if whole <= Money::ZERO {
        return 100.0;
    }
    let tenths = i128::from(part.nano()).saturating_mul(1_000) / i128::from(whole.nano());
    f64::from(i32::try_from(tenths).unwrap_or(i32::MAX)) / 10.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentages_are_never_rounded_up() {
        for (part, whole, expected) in
            [(0, 5, 0.0), (1, 3, 33.3), (999_999, 1_000_000, 99.9), (5, 5, 100.0), (6, 5, 120.0), (0, 0, 100.0)]
        {
            let found = percent(Money::from_nano(part), Money::from_nano(whole));
            assert!((found - expected).abs() < 1e-9, "{part}/{whole}: {found}");
        }
    }
}
