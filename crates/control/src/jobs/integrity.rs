//! Looks, once a day and after each start, through the whole audit log, once a day through the whole database for
//! damage; and every few minutes through the rows that grant power for changes that did not come from Keyward.

use super::{MINUTE, job::Job};
use crate::{
    Control,
    integrity::Guarded,
    publish, recovery,
    tamper::Trust,
    versions::{KINDS, Versions, place},
};
use keyward_domain::{BudgetId, KeyId, Millis, ProjectId};
use keyward_store::{BudgetRow, Error, KeyRow, RatesRow};
use std::collections::BTreeSet;

/// How often the whole database is read.
const WHOLE: Millis = 24 * 60 * 60_000;
/// Where the time of the last whole reading is kept.
const RECORD: &str = "integrity-whole";

/// The job.
pub(super) const JOB: Job = Job {
    name: "integrity",
    every: MINUTE.saturating_mul(5),
    lease: MINUTE.saturating_mul(60),
    on_every_node: false,
    run: |control| Box::pin(async move { run(control).await.map_err(|error| error.to_string()) }),
};

async fn run(control: &Control) -> Result<String, Error> {
    let bad = sweep(control).await?;
    let mut words = format!("{bad} rows do not hold");
    if control.audit_log_is_unread() {
        words = format!("{words}; of the audit log {}", control.changed_audit_rows().await?);
    }
    let now = control.now();
    let node = control.settings().node.as_str();
    let last = control.store().job(RECORD).await?.and_then(|job| job.finished_at).unwrap_or(0);
    if now.saturating_sub(last) >= WHOLE && control.store().claim_job(RECORD, node, now + WHOLE, now).await? {
        control.changed_audit_rows().await?;
        let problems = control.store().integrity_check().await?;
        for problem in &problems {
            tracing::error!(problem, "the database is damaged: nothing is written any more; restore a backup");
        }
        let found = if problems.is_empty() { "sound".to_owned() } else { problems.join("; ") };
        words = format!("{words}; the whole database: {found}");
        if problems.is_empty() {
            control.store().finish_job(RECORD, node, control.now(), &found, None).await?;
        }
    }
    Ok(words)
}

/// Looks at every row that grants power, and whether the audit log has gaps. What is not as it should be is reported,
/// and taken from the gateway. Answers how much.
pub(crate) async fn sweep(control: &Control) -> Result<u64, Error> {
    let was_known = control.tampered_rows().len();
    let mut found = Found::default();
    if !control.audit_log_is_whole().await? {
        found.bad += 1;
    }
    if let Some((_, false)) = recovery::watch(control).await? {
        found.bad += 1;
    }
    let store = control.store();
    let mut versions = Versions::read(store).await?;
    for row in store.projects().await? {
        if found.look(control, &mut versions, &row).await? {
            found.projects.insert(row.id);
        }
    }
    for row in store.environments().await? {
        if found.look(control, &mut versions, &row).await? {
            found.projects.insert(row.project);
        }
    }
    for row in store.credentials(None).await? {
        if found.look(control, &mut versions, &row).await? {
            found.projects.insert(row.project);
        }
    }
    for row in store.tokens().await? {
        found.look(control, &mut versions, &row).await?;
    }
    let mut doubtful = Vec::new();
    let take = |row: KeyRow| {
        if versions.know(control.vault(), &row) {
            versions.strike(&row);
        } else {
            doubtful.push(row);
        }
    };
    store.each_key(None, take).await?;
    let mut keys = Vec::new();
    for row in &doubtful {
        if found.look(control, &mut versions, row).await? {
            keys.push(row.id);
        }
    }
    let (budgets, rates) = limits(control, &mut versions, &mut found).await?;
    found.gone(control, &versions).await;
    // Only what is newly found is not yet known to the gateway.
    if control.tampered_rows().len() > was_known {
        for project in found.projects {
            publish::project(control, project).await?;
        }
        keys.extend(versions.left(KeyRow::KIND).iter().filter_map(|id| id.parse::<KeyId>().ok()));
        publish::keys(control, &keys).await?;
        publish::budgets(control, &budgets).await?;
        publish::rates(control, &rates).await?;
    }
    Ok(found.bad)
}

/// Looks at budgets and shared rates. Answers those to be told anew: what is not as it should be, and what is gone.
async fn limits(
    control: &Control,
    versions: &mut Versions,
    found: &mut Found,
) -> Result<(Vec<BudgetId>, Vec<String>), Error> {
    let store = control.store();
    let mut doubtful = Vec::new();
    let take = |row: BudgetRow| {
        // What is known to be bad is looked at again: it may have been mended.
        let bad = control.tampered_rows().contains_key(&place(BudgetRow::KIND, &row.id()));
        if !bad && versions.know(control.vault(), &row) {
            versions.strike(&row);
        } else {
            doubtful.push(row);
        }
    };
    store.each_budget(take).await?;
    let mut budgets = Vec::new();
    for row in &doubtful {
        if found.look(control, versions, row).await? {
            budgets.push(row.id);
        }
    }
    let mut rates = Vec::new();
    for row in store.all_rates().await? {
        if found.look(control, versions, &row).await? {
            rates.push(row.scope);
        }
    }
    budgets.extend(versions.left(BudgetRow::KIND).iter().filter_map(|id| id.parse::<BudgetId>().ok()));
    rates.extend(versions.left(RatesRow::KIND));
    Ok((budgets, rates))
}

/// What a sweep finds.
#[derive(Default)]
struct Found {
    bad: u64,
    /// Those to be published anew.
    projects: BTreeSet<ProjectId>,
}

impl Found {
    /// Looks at one row; whether it is not as it should be.
    async fn look<R: Guarded + Sync>(
        &mut self,
        control: &Control,
        versions: &mut Versions,
        row: &R,
    ) -> Result<bool, Error> {
        let known = versions.know(control.vault(), row);
        versions.strike(row);
        // What is known to be bad is looked at again: it may have been mended.
        let again = !known || !control.tampered_rows().is_empty();
        let bad = again && control.look(row).await? == Trust::Tampered;
        self.bad += u64::from(bad);
        Ok(bad)
    }

    /// Reports records that the audit log knows and that are not there.
    async fn gone(&mut self, control: &Control, versions: &Versions) {
        for kind in KINDS {
            for id in versions.left(kind) {
                self.bad += 1;
                self.projects.extend(publish::environment_of(&id).map(|(project, _)| project));
                control.report_gone(kind, id).await;
            }
        }
    }
}
