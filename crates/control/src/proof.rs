//! Proves that a database and a vault belong together: every row that grants power holds, every secret opens. What a
//! restore and a recovery end with.

use crate::{integrity, publish};
use keyward_store::{Error, Store};
use keyward_vault::Vault;

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
    fn row<R: integrity::Guarded>(&mut self, vault: &Vault, row: &R) {
        if integrity::holds(vault, row) {
            self.rows += 1;
        } else {
            self.bad.push(format!("{} {} '{}' was changed outside of Keyward", R::KIND, row.id(), row.name()));
        }
    }
}

/// Looks at everything.
///
/// # Errors
/// The database's.
pub async fn prove(store: &Store, vault: &Vault) -> Result<Proof, Error> {
    let mut proof = Proof::default();
    store.projects().await?.iter().for_each(|row| proof.row(vault, row));
    store.environments().await?.iter().for_each(|row| proof.row(vault, row));
    store.tokens().await?.iter().for_each(|row| proof.row(vault, row));
    store.each_key(None, |row| proof.row(vault, &row)).await?;
    for credential in store.credentials(None).await? {
        proof.row(vault, &credential);
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
    Ok(proof)
}
