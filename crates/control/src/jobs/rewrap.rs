//! Moves every secret to the active wrapping key after a rotation, a batch at a time. What is left to do is what the
//! database says, so a kill at any point costs nothing but the batch at hand.

use super::{
    MINUTE,
    job::{Job, Outcome},
};
use crate::{Control, api::vault::put_keyring, publish};
use keyward_domain::{CredentialId, audit::Actor};
use keyward_store::{Change, CredentialVersionRow, Error};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use uuid::Uuid;

/// The job's name.
pub(super) const NAME: &str = "rewrap";
/// How many secrets move in one transaction.
const BATCH: u32 = 50;

/// The job.
pub(super) const JOB: Job = Job {
    name: NAME,
    every: MINUTE.saturating_mul(10),
    lease: MINUTE.saturating_mul(5),
    on_every_node: false,
    run: |control| Box::pin(run(control)),
};

async fn run(control: &Control) -> Outcome {
    rewrap(control).await.map_err(|error| error.to_string())
}

async fn rewrap(control: &Control) -> Result<String, Error> {
    let active = control.vault().active_wrapping_key().to_string();
    let (mut moved, mut stuck) = (0_u64, BTreeSet::new());
    let mut after = (CredentialId::from_uuid(Uuid::nil()), 0);
    loop {
        let rows = control.store().versions_outside(&active, after, BATCH).await?;
        let Some(last) = rows.last() else { break };
        after = (last.credential, last.version);
        moved += batch(control, &rows, &active, &mut stuck).await?;
    }
    if stuck.is_empty() {
        retire(control, &active).await?;
    }
    Ok(format!("{moved} secrets moved, {} cannot be moved", stuck.len()))
}

/// Moves one batch, in one transaction. Those that cannot be moved are named in the log and left.
async fn batch(
    control: &Control,
    rows: &[CredentialVersionRow],
    active: &str,
    stuck: &mut BTreeSet<CredentialId>,
) -> Result<u64, Error> {
    let mut fresh = Vec::new();
    for row in rows {
        let Some(credential) = control.store().credential(row.credential).await? else { continue };
        match control.vault().rewrap(&publish::place(&credential, row.version), &row.sealed) {
            Ok(Some(sealed)) => fresh.push((row, sealed)),
            Ok(None) => {}
            Err(error) => {
                tracing::error!(credential = credential.name, %error, "this secret cannot be moved to the new wrapping key");
                stuck.insert(row.credential);
            }
        }
    }
    if fresh.is_empty() {
        return Ok(0);
    }
    let actor = Actor::System { part: NAME.to_owned() };
    let mut write = control.store().write(actor, None, control.now()).await?;
    for (row, sealed) in &fresh {
        match write.rewrap_credential_version(row, sealed, active).await {
            // Erased or moved meanwhile: this batch is undone, the next run sees how it is.
            Err(Error::Stale { .. }) => return Ok(0),
            other => other?,
        }
    }
    let moved = u64::try_from(fresh.len()).unwrap_or(0);
    let said = about(json!({"moved": moved, "wrapping_key": active}), "vault.rewrap");
    control.commit(write, vec![said]).await?;
    Ok(moved)
}

/// Ends the rotation: wrapping keys that nothing needs any more are retired.
async fn retire(control: &Control, active: &str) -> Result<(), Error> {
    if control.store().count_versions_outside(active).await? > 0 {
        return Ok(());
    }
    let rows = match control.vault().retire(&[active.to_owned()]) {
        Ok(rows) if !rows.is_empty() => rows,
        Ok(_) => return Ok(()),
        Err(error) => {
            tracing::error!(%error, "old wrapping keys cannot be retired");
            return Ok(());
        }
    };
    let actor = Actor::System { part: NAME.to_owned() };
    let mut write = control.store().write(actor, None, control.now()).await?;
    put_keyring(&mut write, &rows).await?;
    let ids: Vec<&str> = rows.iter().map(|row| row.id.as_str()).collect();
    control.commit(write, vec![about(json!({"retired": ids}), "vault.retire")]).await?;
    if let Err(error) = control.vault().adopt(&rows) {
        tracing::error!(%error, "the keyring cannot be taken over");
    }
    Ok(())
}

fn about(after: Value, action: &str) -> Change {
    Change {
        action: action.to_owned(),
        subject_kind: "vault".to_owned(),
        subject: "vault".to_owned(),
        before: Value::Null,
        after,
        reason: None,
        row_version: None,
    }
}
