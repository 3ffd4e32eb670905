//! The recovery recipient. Every backup is encrypted to it and it holds the master key, so a row that somebody wrote into
//! the database must not become one: a code over it stands among the facts about the installation.

use crate::{
    Control,
    error::{Answer, ApiError},
    versions::place,
};
use keyward_domain::digest;
use keyward_store::{Error, RecoveryRow, Store, Write};
use keyward_vault::Vault;

/// The kind of record, as the code covers it and as it is reported.
pub(crate) const KIND: &str = "recovery";
/// There is only one.
pub(crate) const ID: &str = "recipient";
/// Under which name the code is kept.
const SEAL: &str = "recovery_seal";
/// What is wrong with a row whose code does not hold.
pub(crate) const WHY: &str = "the recovery recipient was changed outside of Keyward: whoever did so could read the next \
                              backup, and you could not";

/// Stores the recipient, and the code over it.
///
/// # Errors
/// The database's.
pub(crate) async fn put(write: &mut Write, vault: &Vault, row: &RecoveryRow) -> Result<(), Error> {
    write.put_recovery(row).await?;
    write.put_meta(SEAL, &digest::hex(&code(vault, row))).await
}

/// Everything but when it was last proven, which offline commands note down without the vault's keys.
fn code(vault: &Vault, row: &RecoveryRow) -> [u8; 32] {
    let fields = [row.master_id.as_bytes(), row.wrapped.as_slice(), &row.created_at.to_be_bytes()];
    vault.row_mac(KIND, row.recipient.as_bytes(), &fields)
}

/// The newest recipient, and whether it is the one that an owner named.
///
/// # Errors
/// The database's.
pub(crate) async fn look(store: &Store, vault: &Vault) -> Result<Option<(RecoveryRow, bool)>, Error> {
    let Some(row) = store.recoveries().await?.pop() else { return Ok(None) };
    let code = code(vault, &row);
    let stored = store.meta(SEAL).await?.and_then(|text| digest::unhex(&text));
    let holds = stored.is_some_and(|stored| keyward_vault::recovery::proves(&code, &stored));
    Ok(Some((row, holds)))
}

/// As [`look`]; one that no owner named is reported.
///
/// # Errors
/// The database's.
pub(crate) async fn watch(control: &Control) -> Result<Option<(RecoveryRow, bool)>, Error> {
    let found = look(control.store(), control.vault()).await?;
    match &found {
        Some((row, false)) => control.report_recovery(row).await,
        Some((_, true)) | None => drop(control.tampered_rows().remove(&place(KIND, ID))),
    }
    Ok(found)
}

/// The newest recipient, if an owner named it.
///
/// # Errors
/// 409 when it was changed outside of Keyward; the database's.
pub(crate) async fn trusted(control: &Control) -> Answer<Option<RecoveryRow>> {
    match watch(control).await? {
        None => Ok(None),
        Some((row, true)) => Ok(Some(row)),
        Some((_, false)) => Err(ApiError::conflict("tampered", WHY).hint(
            "find out who can write to the database, then name it anew: keyward vault recovery create --replace \
                 --output FILE",
        )),
    }
}
