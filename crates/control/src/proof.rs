//! Proves that a database and a vault belong together: every row that grants power holds and is the newest, the audit
//! log is whole, every secret opens. What a
//! restore and a recovery end with.

use crate::{
    integrity::Guarded,
    publish, recovery, seal,
    versions::{self, Fault, Versions, fault},
};
use keyward_store::{Error, KeyRow, Store};
use keyward_vault::Vault;
use std::sync::Arc;

/// What was looked at, and what does not fit.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Proof {
    /// Rows whose code holds.
    pub rows: u64,
    /// Secrets that open.
    pub secrets: u64,
    /// What does not hold or open, by kind and id.
    pub bad: Vec<String>,
}

impl Proof {
    async fn row<R: Guarded + Sync>(&mut self, store: &Store, vault: &Vault, row: &R) -> Result<(), Error> {
        match fault(store, vault, row).await? {
            // A server may be running beside.
            None | Some(Fault::Stale) => self.rows += 1,
            Some(what) => self.bad.push(format!(
                "{} {} '{}' was changed outside of Keyward: {what}",
                R::KIND,
                row.id(),
                row.name()
            )),
        }
        Ok(())
    }
}

/// Looks at everything.
///
/// # Errors
/// The database's.
pub async fn prove(store: &Store, vault: &Arc<Vault>) -> Result<Proof, Error> {
    store.seal_audit_with(seal::audit_seal(vault));
    let mut proof = Proof::default();
    let mut versions = Versions::read(store).await?;
    for row in store.projects().await? {
        proof.row(store, vault, &row).await?;
        versions.strike(&row);
    }
    for row in store.environments().await? {
        proof.row(store, vault, &row).await?;
        versions.strike(&row);
    }
    for row in store.tokens().await? {
        proof.row(store, vault, &row).await?;
        versions.strike(&row);
    }
    let mut doubtful = Vec::new();
    let take = |row: KeyRow| {
        if versions.know(vault, &row) {
            proof.rows += 1;
        } else {
            doubtful.push(row.clone());
        }
        versions.strike(&row);
    };
    store.each_key(None, take).await?;
    for row in &doubtful {
        proof.row(store, vault, row).await?;
    }
    let mut budgets = Vec::new();
    store.each_budget(|row| budgets.push(row)).await?;
    for row in &budgets {
        proof.row(store, vault, row).await?;
        versions.strike(row);
    }
    for row in store.all_rates().await? {
        proof.row(store, vault, &row).await?;
        versions.strike(&row);
    }
    for credential in store.credentials(None).await? {
        proof.row(store, vault, &credential).await?;
        versions.strike(&credential);
        for version in store.credential_versions(credential.id).await? {
            if version.erased_at.is_some() {
                continue;
            }
            match vault.open(&publish::place(&credential, version.version), &version.sealed) {
                Ok(_) => proof.secrets += 1,
                Err(error) => proof.bad.push(error.to_string()),
            }
        }
    }
    if let Some((_, false)) = recovery::look(store, vault).await? {
        proof.bad.push(recovery::WHY.to_owned());
    }
    for kind in versions::KINDS {
        proof.bad.extend(versions.left(kind).iter().map(|id| format!("{kind} {id}: {}", Fault::Gone)));
    }
    if !store.audit_extent().await?.is_whole() {
        proof.bad.push("rows are missing from the audit log".to_owned());
    }
    let changed = store.changed_audit_rows().await?;
    proof.bad.extend(changed.iter().map(|seq| format!("row {seq} of the audit log was changed outside of Keyward")));
    Ok(proof)
}
