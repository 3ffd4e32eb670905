//! The keyring between its two forms: the vault's, with meaning, and the store's, as bytes and words.

use keyward_store::KeyringRow as Stored;
use keyward_vault::{KeyringRow, keyring::UnknownWord};

/// For storage.
#[must_use]
pub fn to_stored(row: &KeyringRow) -> Stored {
    Stored {
        id: row.id.clone(),
        purpose: row.purpose.name().to_owned(),
        state: row.state.name().to_owned(),
        created_at: row.created_at,
        master_id: row.master_id.clone(),
        wrapped: row.wrapped.clone(),
    }
}

/// From storage.
///
/// # Errors
/// [`UnknownWord`] when a newer version wrote it, or somebody changed it.
pub fn from_stored(rows: Vec<Stored>) -> Result<Vec<KeyringRow>, UnknownWord> {
    rows.into_iter()
        .map(|row| {
            Ok(KeyringRow {
                purpose: row.purpose.parse()?,
                state: row.state.parse()?,
                id: row.id,
                created_at: row.created_at,
                master_id: row.master_id,
                wrapped: row.wrapped,
            })
        })
        .collect()
}
