//! Tells the gateway of budgets and of rates that scopes share. One whose record cannot be trusted is told as closed,
//! never left out.

use crate::{
    Control,
    budgets::{Terms, rates_of},
    integrity::{self, Guarded},
    publish::ACTIVE,
    versions::Versions,
};
use keyward_domain::{
    BudgetId, KeyId,
    budget::{Budget, SharedRates},
    snapshot::Update,
};
use keyward_store::{BudgetFilter, BudgetRow, Error, RatesRow};
use rustc_hash::FxHashSet;

/// More budgets than this are on no key: the API refuses them.
const PAGE: u32 = 1_000;

/// Tells of budgets that are new or changed.
pub(crate) async fn budgets(control: &Control, ids: &[BudgetId]) -> Result<(), Error> {
    if ids.is_empty() {
        return Ok(());
    }
    tell_budgets(control, ids).await.inspect_err(|_| control.note_unpublished())
}

async fn tell_budgets(control: &Control, ids: &[BudgetId]) -> Result<(), Error> {
    let _order = control.publishing().lock().await;
    let (mut known, mut gone) = (Vec::new(), Vec::new());
    for id in ids {
        match control.terms(*id).await? {
            Some(terms) => known.push(terms.budget),
            None => gone.push(*id),
        }
    }
    if !known.is_empty() {
        control.tell_gateway(Update::Budgets(known));
    }
    if !gone.is_empty() {
        control.tell_gateway(Update::ForgetBudgets(gone));
    }
    Ok(())
}

/// Tells of the budgets of a key that was revoked.
pub(crate) async fn budgets_of_key(control: &Control, key: KeyId) -> Result<(), Error> {
    let filter = BudgetFilter { key: Some(key), ..BudgetFilter::default() };
    let rows = control.store().budgets(&filter, None, PAGE).await;
    let rows = rows.inspect_err(|_| control.note_unpublished())?;
    budgets(control, &rows.iter().map(|row| row.id).collect::<Vec<_>>()).await
}

/// Tells of the rates of scopes, by the names under which they are stored.
pub(crate) async fn rates(control: &Control, names: &[String]) -> Result<(), Error> {
    if names.is_empty() {
        return Ok(());
    }
    tell_rates(control, names).await.inspect_err(|_| control.note_unpublished())
}

async fn tell_rates(control: &Control, names: &[String]) -> Result<(), Error> {
    let _order = control.publishing().lock().await;
    let mut all = Vec::with_capacity(names.len());
    for name in names {
        all.push(control.shared_rates(name).await?);
    }
    control.tell_gateway(Update::Rates(all));
    Ok(())
}

/// A budget as it was read.
pub(super) struct ReadBudget {
    id: BudgetId,
    version: i64,
    /// Whether the code over it holds.
    holds: bool,
    active: bool,
    key: Option<KeyId>,
    budget: Option<Budget>,
}

/// All budgets, to be compared with what the audit log knows.
pub(super) async fn read_budgets(control: &Control) -> Result<Vec<ReadBudget>, Error> {
    let mut read = Vec::new();
    let take = |row: BudgetRow| {
        read.push(ReadBudget {
            id: row.id,
            version: row.row_version,
            holds: integrity::holds(control.vault(), &row),
            active: row.status == ACTIVE,
            key: row.key,
            budget: Terms::read(&row).map(|terms| terms.budget),
        });
    };
    control.store().each_budget(take).await?;
    Ok(read)
}

/// Budgets after they were compared with what the audit log knows.
pub(super) struct Compared {
    /// What holds, and whose key it is on.
    known: Vec<(Option<KeyId>, BudgetId, Option<Budget>)>,
    /// What must be looked at more closely.
    doubtful: Vec<BudgetId>,
}

/// Compares all budgets. Those that are archived are left out.
pub(super) fn compare(read: Vec<ReadBudget>, mut versions: Versions) -> Compared {
    let mut compared = Compared { known: Vec::with_capacity(read.len()), doubtful: Vec::new() };
    for ReadBudget { id, version, holds, active, key, budget } in read {
        let reached = versions.reaches(BudgetRow::KIND, &id.to_string(), version);
        match (holds && reached, active) {
            (true, true) => compared.known.push((key, id, budget)),
            (true, false) => {}
            (false, _) => compared.doubtful.push(id),
        }
    }
    let gone = versions.left(BudgetRow::KIND);
    compared.doubtful.extend(gone.iter().filter_map(|id| id.parse::<BudgetId>().ok()));
    compared
}

/// All budgets that hold, but those of keys that were revoked.
pub(super) async fn trusted_budgets(
    control: &Control,
    Compared { known, mut doubtful }: Compared,
    revoked: &FxHashSet<KeyId>,
) -> Result<Vec<Budget>, Error> {
    let mut budgets = Vec::with_capacity(known.len());
    for (key, id, budget) in known {
        match budget {
            _ if key.is_some_and(|key| revoked.contains(&key)) => {}
            Some(budget) => budgets.push(budget),
            None => doubtful.push(id),
        }
    }
    for id in doubtful {
        budgets.extend(control.terms(id).await?.map(|terms| terms.budget));
    }
    Ok(budgets)
}

/// The rates of all scopes that have some.
pub(super) async fn all_rates(control: &Control, versions: &mut Versions) -> Result<Vec<SharedRates>, Error> {
    let (mut rates, mut doubtful) = (Vec::new(), Vec::new());
    for row in control.store().all_rates().await? {
        let known = versions.know(control.vault(), &row);
        versions.strike(&row);
        match RatesRow::scope_of(&row.scope) {
            Some(scope) if known => rates.extend((!row.is_clear()).then(|| rates_of(&row, scope))),
            _ => doubtful.push(row.scope),
        }
    }
    doubtful.extend(versions.left(RatesRow::KIND));
    for name in doubtful {
        rates.push(control.shared_rates(&name).await?);
    }
    Ok(rates)
}
