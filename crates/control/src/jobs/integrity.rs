//! Looks, once a day, through the whole database for damage; and every few minutes through the rows that grant power
//! for changes that did not come from Keyward.

use super::{MINUTE, job::Job};
use crate::{Control, integrity, publish};
use keyward_domain::{KeyId, Millis, ProjectId};
use keyward_store::Error;
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
    let now = control.now();
    let node = control.settings().node.as_str();
    let last = control.store().job(RECORD).await?.and_then(|job| job.finished_at).unwrap_or(0);
    if now.saturating_sub(last) >= WHOLE && control.store().claim_job(RECORD, node, now + WHOLE, now).await? {
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

/// Looks at every row that grants power. What does not hold is reported, and taken from the gateway. Answers how many.
pub(crate) async fn sweep(control: &Control) -> Result<u64, Error> {
    let mut bad = 0;
    let mut projects: BTreeSet<ProjectId> = BTreeSet::new();
    let store = control.store();
    let was_known = control.tampered_rows().len();
    for row in store.projects().await? {
        if !control.trusts(&row).await {
            bad += 1;
            projects.insert(row.id);
        }
    }
    for row in store.environments().await? {
        if !control.trusts(&row).await {
            bad += 1;
            projects.insert(row.project);
        }
    }
    for row in store.credentials(None).await? {
        if !control.trusts(&row).await {
            bad += 1;
            projects.insert(row.project);
        }
    }
    for row in store.tokens().await? {
        bad += u64::from(!control.trusts(&row).await);
    }
    let mut keys = Vec::new();
    let vault = std::sync::Arc::clone(control.vault());
    store
        .each_key(None, |row| {
            if !integrity::holds(&vault, &row) {
                keys.push(row);
            }
        })
        .await?;
    for row in &keys {
        bad += 1;
        control.report_tampered(row).await;
    }
    // Only what is newly found is not yet known to the gateway.
    if control.tampered_rows().len() > was_known {
        for project in projects {
            publish::project(control, project).await?;
        }
        let ids: Vec<KeyId> = keys.iter().map(|row| row.id).collect();
        publish::keys(control, &ids).await?;
    }
    Ok(bad)
}
