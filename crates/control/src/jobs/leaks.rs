//! Marks the secrets that were taken in before found ones could be matched, a batch at a time.

use super::{MINUTE, job::Job};
use crate::{Control, publish};
use keyward_domain::{CredentialId, audit::Actor};
use keyward_store::{Change, Error};
use serde_json::{Value, json};
use uuid::Uuid;

/// The job's name.
const NAME: &str = "leaks";
/// How many secrets are marked in one transaction.
const BATCH: u32 = 50;

/// The job. It has nothing to do but after an update, and after a backup of an older version was restored.
pub(super) const JOB: Job = Job {
    name: NAME,
    every: MINUTE.saturating_mul(60),
    lease: MINUTE.saturating_mul(5),
    on_every_node: false,
    run: |control| Box::pin(async move { run(control).await.map_err(|error| error.to_string()) }),
};

async fn run(control: &Control) -> Result<String, Error> {
    let (mut marked, mut stuck) = (0_u64, 0_u64);
    let mut after = (CredentialId::from_uuid(Uuid::nil()), 0);
    loop {
        let rows = control.store().versions_unmarked(after, BATCH).await?;
        let Some(last) = rows.last() else { break };
        after = (last.credential, last.version);
        let mut marks = Vec::new();
        for row in &rows {
            let Some(credential) = control.store().credential(row.credential).await? else { continue };
            match control.vault().open(&publish::place(&credential, row.version), &row.sealed) {
                Ok(secret) => marks.push((row, control.vault().leak_mark_of(&secret))),
                // The integrity job reports it.
                Err(_) => stuck += 1,
            }
        }
        if marks.is_empty() {
            continue;
        }
        let mut write = control.store().write(Actor::System { part: NAME.to_owned() }, None, control.now()).await?;
        let mut count = 0_u64;
        for (row, mark) in &marks {
            count += u64::from(write.mark_credential_version(row.credential, row.version, mark).await?);
        }
        control.commit(write, vec![about(count)]).await?;
        marked += count;
    }
    Ok(format!("{marked} secrets marked, {stuck} cannot be opened"))
}

fn about(count: u64) -> Change {
    Change {
        action: "vault.mark".to_owned(),
        subject_kind: "vault".to_owned(),
        subject: "vault".to_owned(),
        before: Value::Null,
        after: json!({"marked": count}),
        reason: None,
        row_version: None,
    }
}
