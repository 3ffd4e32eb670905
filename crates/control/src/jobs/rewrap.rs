//! Moves every secret to the active wrapping key after a rotation, a batch at a time. What is left to do is what the
//! database says, so a kill at any point costs nothing but the batch at hand.

use super::{
    MINUTE,
    job::{Job, Outcome},
};
use crate::{Control, api::vault::put_keyring, publish};
use keyward_domain::{
    CredentialId,
    audit::Actor,
    secret::{Place, Sealed},
};
use keyward_store::{Change, CredentialVersionRow, Error};
use keyward_vault::seal;
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
    let (mut moved, mut stuck) = (0, BTreeSet::new());
    loop {
        // Asked for in every pass: another rotation may have begun in the last one.
        let active = control.vault().active_wrapping_key().to_string();
        let in_this_pass = pass(control, &active, &mut stuck).await?;
        moved += in_this_pass;
        if control.store().count_versions_outside(&active).await? == 0 {
            retire(control, &active).await?;
            break;
        }
        if in_this_pass == 0 {
            break;
        }
    }
    Ok(format!("{moved} secrets moved, {} cannot be moved", stuck.len()))
}

/// Goes once through all secrets that are said to be under another key than this one; how many moved.
async fn pass(control: &Control, active: &str, stuck: &mut BTreeSet<CredentialId>) -> Result<u64, Error> {
    let (mut moved, mut after) = (0, (CredentialId::from_uuid(Uuid::nil()), 0));
    loop {
        let rows = control.store().versions_outside(active, after, BATCH).await?;
        let Some(last) = rows.last() else { return Ok(moved) };
        after = (last.credential, last.version);
        moved += batch(control, &rows, stuck).await?;
    }
}

/// Moves one batch, in one transaction. Those that cannot be moved are named in the log and left.
async fn batch(
    control: &Control,
    rows: &[CredentialVersionRow],
    stuck: &mut BTreeSet<CredentialId>,
) -> Result<u64, Error> {
    let mut fresh = Vec::new();
    for row in rows {
        let Some(credential) = control.store().credential(row.credential).await? else { continue };
        match moved(control, &publish::place(&credential, row.version), row) {
            Ok(sealed) => fresh.push((row, sealed)),
            Err(error) if stuck.insert(row.credential) => {
                tracing::error!(credential = credential.name, %error, "this secret cannot be moved to the new wrapping key");
            }
            Err(_) => {}
        }
    }
    if fresh.is_empty() {
        return Ok(0);
    }
    let actor = Actor::System { part: NAME.to_owned() };
    let mut write = control.store().write(actor, None, control.now()).await?;
    let (mut count, mut keys) = (0_u64, BTreeSet::new());
    for (row, (sealed, key)) in &fresh {
        match write.rewrap_credential_version(row, sealed, key).await {
            Ok(()) => {
                count += 1;
                keys.insert(key);
            }
            // Erased or moved meanwhile: there is nothing to do.
            Err(Error::Stale { .. }) => {}
            Err(error) => return Err(error),
        }
    }
    if count > 0 {
        let said = about(json!({"moved": count, "wrapping_keys": keys}), "vault.rewrap");
        control.commit(write, vec![said]).await?;
    }
    Ok(count)
}

/// A secret under the key that is active now, and that key's id. The id is read from the bytes: a rotation at the same
/// time makes another key active than the one the pass began with, and a row that names a key its bytes are not under
/// would be looked at for ever. What is under the active key already gets its right name here.
fn moved(
    control: &Control,
    place: &Place,
    row: &CredentialVersionRow,
) -> Result<(Sealed, String), keyward_vault::Error> {
    let sealed = control.vault().rewrap(place, &row.sealed)?.unwrap_or_else(|| row.sealed.clone());
    let key = seal::inspect(&sealed)?.wrapping_key.to_string();
    Ok((sealed, key))
}

/// Ends the rotation: wrapping keys that nothing needs any more are retired.
async fn retire(control: &Control, active: &str) -> Result<(), Error> {
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
