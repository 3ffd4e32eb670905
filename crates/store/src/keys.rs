//! Virtual keys. The hashes of their secrets and their policies are JSON text, kept byte for byte as the caller wrote
//! them, because the caller's MAC covers the text.

use crate::{Error, Store, Write, each::each_packed, packed};
use keyward_domain::{
    Environment, KeyId, Millis, ProjectId, digest,
    grant::SecretSlot,
    token::{PublicId, TokenHash},
};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// The columns of [`PackedKey`].
macro_rules! packed_key {
    () => {
        concat!(
            "id, project_id, mac, ",
            packed!(
                "public_id",
                "environment",
                "name",
                "status",
                "style",
                "secrets",
                "policy",
                "expires_at",
                "created_at",
                "updated_at",
                "revoked_at",
                "row_version",
            )
        )
    };
}

statements! {
    KEY = "select id, public_id, project_id, environment, name, status, style, secrets, policy, expires_at, created_at,
        updated_at, revoked_at, row_version, mac from keys where id = $1";
    KEY_BY_PUBLIC_ID = "select id, public_id, project_id, environment, name, status, style, secrets, policy, expires_at,
        created_at, updated_at, revoked_at, row_version, mac from keys where public_id = $1";
    KEYS_BY_NAME = "select id, public_id, project_id, environment, name, status, style, secrets, policy, expires_at,
        created_at, updated_at, revoked_at, row_version, mac from keys where name = $1 order by id limit 100";
    EACH_KEY = concat!("select ", packed_key!(), " from keys");
    EACH_KEY_OF = concat!("select ", packed_key!(), " from keys where project_id = $1");
    LIST = "select id, public_id, project_id, environment, name, status, style, secrets, policy, expires_at, created_at,
        updated_at, revoked_at, row_version, mac from keys
        where id > $1 and ($2 = '' or environment = $2) and ($3 = '' or status = $3) order by id limit $4";
    LIST_OF = "select id, public_id, project_id, environment, name, status, style, secrets, policy, expires_at,
        created_at, updated_at, revoked_at, row_version, mac from keys
        where project_id = $5 and id > $1 and ($2 = '' or environment = $2) and ($3 = '' or status = $3)
        order by id limit $4";
    COUNT = "select count(*) from keys";
    INSERT_KEY = "insert into keys
        (id, public_id, project_id, environment, name, status, style, secrets, policy, expires_at, created_at,
        updated_at, revoked_at, row_version, mac)
        values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)";
    UPDATE_KEY = "update keys
        set name = $2, status = $3, secrets = $4, policy = $5, expires_at = $6, updated_at = $7, revoked_at = $8,
        row_version = $9, mac = $10
        where id = $1 and row_version = $11";
}

/// Whether a key is alive. Expiry is not a status: it is a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum KeyStatus {
    /// It works.
    Active,
    /// It was revoked and never works again.
    Revoked,
}

impl KeyStatus {
    /// The word that is stored.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Revoked => "revoked",
        }
    }

    fn named(name: &str) -> Option<Self> {
        [Self::Active, Self::Revoked].into_iter().find(|status| status.name() == name)
    }
}

impl crate::sql::Stored for KeyStatus {
    type Raw = String;

    fn from_raw(raw: String) -> Option<Self> {
        Self::named(&raw)
    }
}

row! {
    /// A virtual key. Holds hashes, never a secret.
    pub struct KeyRow {
        /// Its id.
        pub id: KeyId,
        /// The public id in the key text; unique.
        pub public_id: PublicId,
        /// The project.
        pub project: ProjectId,
        /// The environment.
        pub environment: Environment,
        /// Its name; need not be unique.
        pub name: String,
        /// Whether it is alive.
        pub status: KeyStatus,
        /// How its text looks: `kw` or `sk`.
        pub style: String,
        /// The hashes of its secrets, as [`encode_secrets`] writes them.
        pub secrets: String,
        /// Its own policy (not what it inherits), as JSON.
        pub policy: String,
        /// First moment at which it no longer works.
        pub expires_at: Option<Millis>,
        /// When it was made.
        pub created_at: Millis,
        /// When it was last changed.
        pub updated_at: Millis,
        /// When it was revoked.
        pub revoked_at: Option<Millis>,
        /// Starts at 1 and grows by 1 with every change.
        pub row_version: i64,
        /// The caller's MAC over the row.
        pub mac: Vec<u8>,
    }
}

row! {
    /// A key as the statements that read very many answer it.
    struct PackedKey {
        id: KeyId,
        project: ProjectId,
        mac: Vec<u8>,
        rest: String,
    }
}

impl PackedKey {
    /// The key; its id when it must be read column by column.
    fn unpack(self) -> Result<KeyRow, KeyId> {
        let id = self.id;
        self.unpacked().ok_or(id)
    }

    fn unpacked(self) -> Option<KeyRow> {
        let [public_id, environment, name, status, style, secrets, policy, until, created, updated, revoked, version] =
            packed::columns(&self.rest)?;
        Some(KeyRow {
            id: self.id,
            public_id: public_id.parse().ok()?,
            project: self.project,
            environment: environment.parse().ok()?,
            name: name.to_owned(),
            status: KeyStatus::named(status)?,
            style: style.to_owned(),
            secrets: secrets.to_owned(),
            policy: policy.to_owned(),
            expires_at: packed::optional(until)?,
            created_at: created.parse().ok()?,
            updated_at: updated.parse().ok()?,
            revoked_at: packed::optional(revoked)?,
            row_version: version.parse().ok()?,
            mac: self.mac,
        })
    }
}

row! {
    struct Count { value: u64, }
}

/// Which keys a list shows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct KeyFilter {
    /// Only this project's.
    pub project: Option<ProjectId>,
    /// Only this environment's.
    pub environment: Option<Environment>,
    /// Only those in this state.
    pub status: Option<KeyStatus>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct StoredSecret<'a> {
    #[serde(borrow)]
    hash: std::borrow::Cow<'a, str>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    until: Option<Millis>,
}

/// Writes the secrets of a key for [`KeyRow::secrets`]: a JSON array of `{"hash": hex, "until": ms}`, newest first.
#[must_use]
pub fn encode_secrets(secrets: &[SecretSlot]) -> String {
    let stored: Vec<StoredSecret<'_>> =
        secrets.iter().map(|slot| StoredSecret { hash: digest::hex(&slot.hash.0).into(), until: slot.until }).collect();
    serde_json::to_string(&stored).unwrap_or_default()
}

/// Reads what [`encode_secrets`] wrote; `None` when the text is not that.
#[must_use]
pub fn decode_secrets(text: &str) -> Option<Vec<SecretSlot>> {
    let stored: Vec<StoredSecret<'_>> = serde_json::from_str(text).ok()?;
    stored
        .into_iter()
        .map(|secret| {
            let hash: [u8; 32] = digest::unhex(&secret.hash)?.try_into().ok()?;
            Some(SecretSlot { hash: TokenHash(hash), until: secret.until })
        })
        .collect()
}

impl Store {
    /// A key by id.
    ///
    /// # Errors
    /// The database's.
    pub async fn key(&self, id: KeyId) -> Result<Option<KeyRow>, Error> {
        read!(self, fetch_optional, KeyRow, "a key", KEY, id.uuid())
    }

    /// A key by the public id in its text.
    ///
    /// # Errors
    /// The database's.
    pub async fn key_by_public_id(&self, public_id: &str) -> Result<Option<KeyRow>, Error> {
        read!(self, fetch_optional, KeyRow, "a key", KEY_BY_PUBLIC_ID, public_id)
    }

    /// The keys with a name (at most 100), oldest first.
    ///
    /// # Errors
    /// The database's.
    pub async fn keys_by_name(&self, name: &str) -> Result<Vec<KeyRow>, Error> {
        read!(self, fetch_all, KeyRow, "the keys", KEYS_BY_NAME, name)
    }

    /// A page of keys, oldest first, after the given one.
    ///
    /// # Errors
    /// The database's.
    pub async fn keys(&self, filter: KeyFilter, after: Option<KeyId>, limit: u32) -> Result<Vec<KeyRow>, Error> {
        let after = after.map_or(Uuid::nil(), KeyId::uuid);
        let environment = filter.environment.map_or("", Environment::name);
        let status = filter.status.map_or("", KeyStatus::name);
        let limit = i64::from(limit);
        match filter.project {
            None => read!(self, fetch_all, KeyRow, "the keys", LIST, after, environment, status, limit),
            Some(project) => {
                let project = project.uuid();
                read!(self, fetch_all, KeyRow, "the keys", LIST_OF, after, environment, status, limit, project)
            }
        }
    }

    /// How many keys there are.
    ///
    /// # Errors
    /// The database's.
    pub async fn count_keys(&self) -> Result<u64, Error> {
        Ok(read!(self, fetch_one, Count, "the keys", COUNT)?.value)
    }

    /// Hands over every key (or those of one project), in no particular order, without holding them all.
    ///
    /// # Errors
    /// The database's.
    pub async fn each_key(&self, project: Option<ProjectId>, mut take: impl FnMut(KeyRow) + Send) -> Result<(), Error> {
        let odd = on!(self.readers(), pool => {
            let query = match project {
                None => sqlx::query(EACH_KEY),
                Some(project) => sqlx::query(EACH_KEY_OF).bind(project.uuid()),
            };
            each_packed(query.fetch(pool), PackedKey::unpack, &mut take).await
        });
        for id in odd.map_err(|error| self.failed(error, "the keys"))? {
            self.key(id).await?.into_iter().for_each(&mut take);
        }
        Ok(())
    }
}

impl Write {
    /// Adds a key.
    ///
    /// # Errors
    /// [`Error::Taken`] when the public id exists, [`Error::Dangling`] without the project; the database's.
    pub async fn insert_key(&mut self, row: &KeyRow) -> Result<(), Error> {
        run!(
            self,
            "key id",
            INSERT_KEY,
            row.id.uuid(),
            row.public_id.as_str(),
            row.project.uuid(),
            row.environment.name(),
            row.name.as_str(),
            row.status.name(),
            row.style.as_str(),
            row.secrets.as_str(),
            row.policy.as_str(),
            row.expires_at,
            row.created_at,
            row.updated_at,
            row.revoked_at,
            row.row_version,
            row.mac.as_slice()
        )
        .map(drop)
    }

    /// Changes a key (all but its ids, project, environment, style and birth). The row carries its new version; `from`
    /// is the stored one.
    ///
    /// # Errors
    /// [`Error::Stale`] when the stored version is another; the database's.
    pub async fn update_key(&mut self, row: &KeyRow, from: i64) -> Result<(), Error> {
        let rows = run!(
            self,
            "key",
            UPDATE_KEY,
            row.id.uuid(),
            row.name.as_str(),
            row.status.name(),
            row.secrets.as_str(),
            row.policy.as_str(),
            row.expires_at,
            row.updated_at,
            row.revoked_at,
            row.row_version,
            row.mac.as_slice(),
            from
        )?;
        self.found(rows, "the key")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_read_back_and_damage_is_noticed() {
        let slots = [
            SecretSlot { hash: TokenHash([7; 32]), until: None },
            SecretSlot { hash: TokenHash([9; 32]), until: Some(42) },
        ];
        let text = encode_secrets(&slots);
        let read = decode_secrets(&text).expect("our own text");
        assert_eq!(read.len(), 2);
        for (read, slot) in read.iter().zip(&slots) {
            assert!(read.hash.matches(&slot.hash));
            assert_eq!(read.until, slot.until);
        }
        for text in ["", "{}", r#"[{"hash":"00"}]"#, r#"[{"hash":"zz","until":1}]"#, r#"[{"hash":"","more":1}]"#] {
            assert!(decode_secrets(text).is_none(), "{text}");
        }
    }
}
