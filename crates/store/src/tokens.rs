//! Tokens for the control API, by the hash of their text.

use crate::{Error, Store, Write};
use keyward_domain::{Millis, TokenId, token::TokenHash};

statements! {
    TOKEN = "select id, name, role, hash, created_at, expires_at, revoked_at, row_version, mac
        from tokens where id = $1";
    TOKEN_BY_HASH = "select id, name, role, hash, created_at, expires_at, revoked_at, row_version, mac
        from tokens where hash = $1";
    TOKENS = "select id, name, role, hash, created_at, expires_at, revoked_at, row_version, mac
        from tokens order by id";
    INSERT_TOKEN = "insert into tokens (id, name, role, hash, created_at, expires_at, revoked_at, row_version, mac)
        values ($1, $2, $3, $4, $5, $6, $7, $8, $9)";
    UPDATE_TOKEN = "update tokens
        set name = $2, role = $3, hash = $4, expires_at = $5, revoked_at = $6, row_version = $7, mac = $8
        where id = $1 and row_version = $9";
}

row! {
    /// A token.
    pub struct TokenRow {
        /// Its id.
        pub id: TokenId,
        /// Its name; unique among those that are not revoked.
        pub name: String,
        /// What its holder may do.
        pub role: String,
        /// SHA-256 of its text; unique.
        pub hash: Vec<u8>,
        /// When it was made.
        pub created_at: Millis,
        /// First moment at which it no longer works.
        pub expires_at: Option<Millis>,
        /// When it was revoked.
        pub revoked_at: Option<Millis>,
        /// Starts at 1 and grows by 1 with every change.
        pub row_version: i64,
        /// The caller's MAC over the row.
        pub mac: Vec<u8>,
    }
}

impl Store {
    /// A token by id.
    ///
    /// # Errors
    /// The database's.
    pub async fn token(&self, id: TokenId) -> Result<Option<TokenRow>, Error> {
        read!(self, fetch_optional, TokenRow, "a token", TOKEN, id.uuid())
    }

    /// A token by the hash of its text.
    ///
    /// # Errors
    /// The database's.
    pub async fn token_by_hash(&self, hash: &TokenHash) -> Result<Option<TokenRow>, Error> {
        read!(self, fetch_optional, TokenRow, "a token", TOKEN_BY_HASH, hash.0.as_slice())
    }

    /// All tokens, oldest first.
    ///
    /// # Errors
    /// The database's.
    pub async fn tokens(&self) -> Result<Vec<TokenRow>, Error> {
        read!(self, fetch_all, TokenRow, "the tokens", TOKENS)
    }
}

impl Write {
    /// Adds a token.
    ///
    /// # Errors
    /// [`Error::Taken`] when the name is in use; the database's.
    pub async fn insert_token(&mut self, row: &TokenRow) -> Result<(), Error> {
        run!(
            self,
            "token name",
            INSERT_TOKEN,
            row.id.uuid(),
            row.name.as_str(),
            row.role.as_str(),
            row.hash.as_slice(),
            row.created_at,
            row.expires_at,
            row.revoked_at,
            row.row_version,
            row.mac.as_slice()
        )
        .map(drop)
    }

    /// Changes a token (all but its id and birth). The row carries its new version; `from` is the stored one.
    ///
    /// # Errors
    /// [`Error::Stale`] when the stored version is another, [`Error::Taken`] when the name is in use; the database's.
    pub async fn update_token(&mut self, row: &TokenRow, from: i64) -> Result<(), Error> {
        let rows = run!(
            self,
            "token name",
            UPDATE_TOKEN,
            row.id.uuid(),
            row.name.as_str(),
            row.role.as_str(),
            row.hash.as_slice(),
            row.expires_at,
            row.revoked_at,
            row.row_version,
            row.mac.as_slice(),
            from
        )?;
        self.found(rows, "the token")
    }
}
