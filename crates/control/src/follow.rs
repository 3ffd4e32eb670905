//! Follows what other nodes (or an offline command) changed: the audit log says exactly which records, and only those
//! are published again.

use crate::{Control, keyring, publish};
use keyward_domain::{BudgetId, CredentialId, KeyId, ProjectId};
use keyward_store::{AuditRow, Error};
use std::{collections::BTreeSet, time::Duration};

/// How often the change version is looked at when nobody tells.
const POLL: Duration = Duration::from_millis(500);
/// With more changes than this at once, everything is read anew.
const MOST: u32 = 500;
/// How long to wait after the database failed.
const PAUSE: Duration = Duration::from_secs(1);

/// Follows for ever.
pub(crate) async fn run(control: Control) {
    let mut seen = control.first_seen();
    let mut said = false;
    loop {
        if let Err(error) = follow(&control, &mut seen, &mut said).await {
            // Said once, not every second for as long as the database is away.
            if !std::mem::replace(&mut said, true) {
                tracing::warn!(%error, "changes of other nodes cannot be followed at the moment");
            }
            tokio::time::sleep(PAUSE).await;
        }
    }
}

async fn follow(control: &Control, seen: &mut i64, said: &mut bool) -> Result<(), Error> {
    let mut changes = control.store().changes().await?;
    loop {
        // Also what came while nobody listened.
        catch_up(control, seen).await?;
        if std::mem::take(said) {
            tracing::info!("changes of other nodes are followed again");
        }
        changes.next(POLL).await?;
    }
}

/// Publishes what the audit log says was changed since, except by this node.
async fn catch_up(control: &Control, seen: &mut i64) -> Result<(), Error> {
    let rows = control.store().audit(None, None, MOST).await?;
    let Some(newest) = rows.first().map(|row| row.seq) else { return Ok(()) };
    if control.take_unpublished() {
        publish::everything(control).await?;
    }
    let oldest = rows.last().map_or(newest, |row| row.seq);
    let gap = oldest > *seen + 1;
    let foreign: Vec<&AuditRow> = rows.iter().filter(|row| row.seq > *seen && !control.is_own(row.seq)).collect();
    if gap {
        adopt_keyring(control).await?;
        publish::everything(control).await?;
    } else if !foreign.is_empty() {
        publish_foreign(control, &foreign).await?;
    }
    control.forget_own(newest);
    *seen = newest;
    Ok(())
}

async fn publish_foreign(control: &Control, rows: &[&AuditRow]) -> Result<(), Error> {
    let subjects = |kind: &str| -> BTreeSet<String> {
        rows.iter().filter(|row| row.entry.subject_kind == kind).map(|row| row.entry.subject.clone()).collect()
    };
    if !subjects("vault").is_empty() {
        adopt_keyring(control).await?;
    }
    // Limits first: no key may be known before the budgets that bound it.
    let budgets: Vec<BudgetId> = subjects("budget").iter().filter_map(|id| id.parse().ok()).collect();
    publish::budgets(control, &budgets).await?;
    publish::rates(control, &subjects("rates").into_iter().collect::<Vec<_>>()).await?;
    let mut projects: BTreeSet<ProjectId> = subjects("project").iter().filter_map(|id| id.parse().ok()).collect();
    projects.extend(subjects("environment").iter().filter_map(|id| id.split('/').next()?.parse::<ProjectId>().ok()));
    for project in projects {
        publish::project(control, project).await?;
    }
    let keys: Vec<KeyId> = subjects("key").iter().filter_map(|id| id.parse().ok()).collect();
    publish::keys(control, &keys).await?;
    let mut routes = BTreeSet::new();
    for id in subjects("credential").iter().filter_map(|id| id.parse::<CredentialId>().ok()) {
        routes.extend(control.store().credential(id).await?.map(|row| (row.project, row.provider)));
    }
    for (project, provider) in routes {
        publish::route(control, project, &provider).await?;
    }
    Ok(())
}

/// Takes over the keyring as it is stored: another node rotated it.
async fn adopt_keyring(control: &Control) -> Result<(), Error> {
    let adopted = keyring::from_stored(control.store().keyring().await?)
        .map_err(|error| error.to_string())
        .and_then(|rows| control.vault().adopt(&rows).map_err(|error| error.to_string()));
    if let Err(error) = adopted {
        tracing::error!(error, "the keyring was changed elsewhere and cannot be taken over: restart this node");
    }
    Ok(())
}
