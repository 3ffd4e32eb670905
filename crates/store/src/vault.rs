//! The keyring (wrapped keys, states as the vault names them) and the recovery recipients. Bytes in, bytes out.

use crate::{Error, Store, Write};
use keyward_domain::Millis;

statements! {
    KEYRING = "select id, purpose, state, created_at, master_id, wrapped from keyring order by created_at, id";
    PUT_KEYRING = "insert into keyring (id, purpose, state, created_at, master_id, wrapped)
        values ($1, $2, $3, $4, $5, $6)
        on conflict (id) do update set purpose = excluded.purpose, state = excluded.state,
        created_at = excluded.created_at, master_id = excluded.master_id, wrapped = excluded.wrapped";
    RECOVERIES = "select recipient, master_id, wrapped, created_at, proven_at
        from recovery order by created_at, recipient";
    PUT_RECOVERY = "insert into recovery (recipient, master_id, wrapped, created_at, proven_at)
        values ($1, $2, $3, $4, $5)
        on conflict (recipient) do update set master_id = excluded.master_id, wrapped = excluded.wrapped,
        created_at = excluded.created_at, proven_at = excluded.proven_at";
    REMOVE_RECOVERY = "delete from recovery where recipient = $1";
}

row! {
    /// One key of the keyring, wrapped by the master key.
    pub struct KeyringRow {
        /// Its id.
        pub id: String,
        /// The vault's word for what it is for.
        pub purpose: String,
        /// The vault's word for its state.
        pub state: String,
        /// When it was made.
        pub created_at: Millis,
        /// The id of the master key that wraps it.
        pub master_id: String,
        /// The wrapped key.
        pub wrapped: Vec<u8>,
    }
}

row! {
    /// A recipient who can recover the master key without this installation.
    pub struct RecoveryRow {
        /// The public recipient, as text.
        pub recipient: String,
        /// The id of the master key inside.
        pub master_id: String,
        /// The master key, encrypted to the recipient.
        pub wrapped: Vec<u8>,
        /// When it was made.
        pub created_at: Millis,
        /// When somebody proved to hold the identity.
        pub proven_at: Option<Millis>,
    }
}

impl Store {
    /// The whole keyring, oldest first.
    ///
    /// # Errors
    /// The database's.
    pub async fn keyring(&self) -> Result<Vec<KeyringRow>, Error> {
        read!(self, fetch_all, KeyringRow, "the keyring", KEYRING)
    }

    /// All recovery recipients, oldest first.
    ///
    /// # Errors
    /// The database's.
    pub async fn recoveries(&self) -> Result<Vec<RecoveryRow>, Error> {
        read!(self, fetch_all, RecoveryRow, "the recovery recipients", RECOVERIES)
    }
}

impl Write {
    /// Adds or replaces one key of the keyring.
    ///
    /// # Errors
    /// The database's.
    pub async fn put_keyring(&mut self, row: &KeyringRow) -> Result<(), Error> {
        run!(
            self,
            "the keyring",
            PUT_KEYRING,
            row.id.as_str(),
            row.purpose.as_str(),
            row.state.as_str(),
            row.created_at,
            row.master_id.as_str(),
            row.wrapped.as_slice()
        )
        .map(drop)
    }

    /// Adds or replaces a recovery recipient.
    ///
    /// # Errors
    /// The database's.
    pub async fn put_recovery(&mut self, row: &RecoveryRow) -> Result<(), Error> {
        run!(
            self,
            "a recovery recipient",
            PUT_RECOVERY,
            row.recipient.as_str(),
            row.master_id.as_str(),
            row.wrapped.as_slice(),
            row.created_at,
            row.proven_at
        )
        .map(drop)
    }

    /// Removes a recovery recipient. Answers whether there was one.
    ///
    /// # Errors
    /// The database's.
    pub async fn remove_recovery(&mut self, recipient: &str) -> Result<bool, Error> {
        run!(self, "a recovery recipient", REMOVE_RECOVERY, recipient).map(|rows| rows > 0)
    }
}
