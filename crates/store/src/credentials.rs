//! Credentials, the versions of their secrets (as ciphertext), and their health. The credential row says which
//! version counts and carries the MAC; health changes often and grants nothing, so it has its own table without one.

use crate::{Error, Store, Write, sql::stored};
use keyward_domain::{CredentialId, Environment, Millis, ProjectId, secret::Sealed};

statements! {
    CREDENTIAL = "select id, project_id, environment, provider, name, status, base_url, allow_private, use_order,
        weight, version, fingerprint, created_at, updated_at, row_version, mac from credentials where id = $1";
    CREDENTIALS_BY_NAME = "select id, project_id, environment, provider, name, status, base_url, allow_private,
        use_order, weight, version, fingerprint, created_at, updated_at, row_version, mac
        from credentials where name = $1 order by id";
    CREDENTIALS_BY_FINGERPRINT = "select id, project_id, environment, provider, name, status, base_url, allow_private,
        use_order, weight, version, fingerprint, created_at, updated_at, row_version, mac
        from credentials where fingerprint = $1 order by id";
    CREDENTIALS = "select id, project_id, environment, provider, name, status, base_url, allow_private, use_order,
        weight, version, fingerprint, created_at, updated_at, row_version, mac from credentials order by id";
    CREDENTIALS_OF = "select id, project_id, environment, provider, name, status, base_url, allow_private, use_order,
        weight, version, fingerprint, created_at, updated_at, row_version, mac
        from credentials where project_id = $1 order by id";
    INSERT_CREDENTIAL = "insert into credentials
        (id, project_id, environment, provider, name, status, base_url, allow_private, use_order, weight, version,
        fingerprint, created_at, updated_at, row_version, mac)
        values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)";
    UPDATE_CREDENTIAL = "update credentials
        set environment = $2, name = $3, status = $4, base_url = $5, allow_private = $6, use_order = $7, weight = $8,
        version = $9, fingerprint = $10, updated_at = $11, row_version = $12, mac = $13
        where id = $1 and row_version = $14";
    VERSION = "select credential_id, version, sealed, wrapping_key, fingerprint, created_at, erased_at, leak_mark
        from credential_versions where credential_id = $1 and version = $2";
    VERSIONS_OF = "select credential_id, version, sealed, wrapping_key, fingerprint, created_at, erased_at, leak_mark
        from credential_versions where credential_id = $1 order by version";
    CURRENT_VERSIONS = "select v.credential_id, v.version, v.sealed, v.wrapping_key, v.fingerprint, v.created_at,
        v.erased_at, v.leak_mark
        from credential_versions v join credentials c on c.id = v.credential_id and c.version = v.version
        order by v.credential_id";
    VERSIONS_OUTSIDE = "select credential_id, version, sealed, wrapping_key, fingerprint, created_at, erased_at, leak_mark
        from credential_versions
        where erased_at is null and wrapping_key <> $1 and (credential_id > $2 or (credential_id = $2 and version > $3))
        order by credential_id, version limit $4";
    COUNT_OUTSIDE = "select count(*) from credential_versions where erased_at is null and wrapping_key <> $1";
    INSERT_VERSION = "insert into credential_versions
        (credential_id, version, sealed, wrapping_key, fingerprint, created_at, erased_at, leak_mark)
        values ($1, $2, $3, $4, $5, $6, $7, $8)";
    VERSIONS_MARKED = "select credential_id, version, sealed, wrapping_key, fingerprint, created_at, erased_at, leak_mark
        from credential_versions where leak_mark = $1 order by credential_id, version";
    VERSIONS_UNMARKED = "select credential_id, version, sealed, wrapping_key, fingerprint, created_at, erased_at, leak_mark
        from credential_versions
        where leak_mark is null and erased_at is null and (credential_id > $1 or (credential_id = $1 and version > $2))
        order by credential_id, version limit $3";
    MARK_VERSION = "update credential_versions set leak_mark = $3
        where credential_id = $1 and version = $2 and leak_mark is null";
    REWRAP_VERSION = "update credential_versions set sealed = $3, wrapping_key = $4
        where credential_id = $1 and version = $2 and wrapping_key = $5 and erased_at is null";
    ERASE_VERSION = "update credential_versions set sealed = $3, erased_at = $4
        where credential_id = $1 and version = $2 and erased_at is null";
    HEALTH = "select credential_id, state, cause, remedy, http_status, checked_at, out_until
        from credential_health order by credential_id";
    HEALTH_OF = "select credential_id, state, cause, remedy, http_status, checked_at, out_until
        from credential_health where credential_id = $1";
    PUT_HEALTH = "insert into credential_health
        (credential_id, state, cause, remedy, http_status, checked_at, out_until)
        values ($1, $2, $3, $4, $5, $6, $7)
        on conflict (credential_id) do update set state = excluded.state, cause = excluded.cause,
        remedy = excluded.remedy, http_status = excluded.http_status, checked_at = excluded.checked_at,
        out_until = excluded.out_until where credential_health.checked_at <= $8";
}

row! {
    /// A credential, without its secret.
    pub struct CredentialRow {
        /// Its id.
        pub id: CredentialId,
        /// The project it serves.
        pub project: ProjectId,
        /// The one environment it serves; none: all of them.
        pub environment: Option<Environment>,
        /// The provider's id.
        pub provider: String,
        /// Its name; unique in its project and provider among those whose status is not `revoked`.
        pub name: String,
        /// `active`, `disabled` or `revoked`.
        pub status: String,
        /// The API root that replaces the provider's.
        pub base_url: Option<String>,
        /// Whether loopback and private addresses may be called.
        pub allow_private: bool,
        /// Credentials with a lower order are used first.
        pub order: u32,
        /// Among those with the same order, calls are shared in proportion to this.
        pub weight: u32,
        /// The version of the secret that counts.
        pub version: u64,
        /// The fingerprint of that secret.
        pub fingerprint: Vec<u8>,
        /// When it was made.
        pub created_at: Millis,
        /// When it was last changed.
        pub updated_at: Millis,
        /// Starts at 1 and grows by 1 with every change.
        pub row_version: i64,
        /// The caller's MAC over the row.
        pub mac: Vec<u8>,
    }
}

row! {
    /// One version of a credential's secret, as ciphertext.
    pub struct CredentialVersionRow {
        /// The credential.
        pub credential: CredentialId,
        /// Which version; starts at 1.
        pub version: u64,
        /// The ciphertext; empty once erased.
        pub sealed: Sealed,
        /// The id of the wrapping key it is sealed under.
        pub wrapping_key: String,
        /// The fingerprint of the secret.
        pub fingerprint: Vec<u8>,
        /// When it was made.
        pub created_at: Millis,
        /// When the ciphertext was erased.
        pub erased_at: Option<Millis>,
        /// What tells that a found secret was this one. None until it is made.
        pub leak_mark: Option<Vec<u8>>,
    }
}

row! {
    /// What is known of a credential's health.
    pub struct CredentialHealthRow {
        /// The credential.
        pub credential: CredentialId,
        /// The caller's word, such as `well`, `dead` or `no_money`.
        pub state: String,
        /// Why.
        pub cause: Option<String>,
        /// What to do about it.
        pub remedy: Option<String>,
        /// The HTTP status that told.
        pub http_status: Option<u16>,
        /// When.
        pub checked_at: Millis,
        /// Not to be used until this moment; `i64::MAX` means until somebody acts.
        pub out_until: Option<Millis>,
    }
}

row! {
    struct Count { value: u64, }
}

impl Store {
    /// A credential by id.
    ///
    /// # Errors
    /// The database's.
    pub async fn credential(&self, id: CredentialId) -> Result<Option<CredentialRow>, Error> {
        read!(self, fetch_optional, CredentialRow, "a credential", CREDENTIAL, id.uuid())
    }

    /// All credentials with a name, oldest first: a name need not be unique across projects.
    ///
    /// # Errors
    /// The database's.
    pub async fn credentials_by_name(&self, name: &str) -> Result<Vec<CredentialRow>, Error> {
        read!(self, fetch_all, CredentialRow, "the credentials", CREDENTIALS_BY_NAME, name)
    }

    /// All credentials whose current secret has this fingerprint.
    ///
    /// # Errors
    /// The database's.
    pub async fn credentials_by_fingerprint(&self, fingerprint: &[u8]) -> Result<Vec<CredentialRow>, Error> {
        read!(self, fetch_all, CredentialRow, "the credentials", CREDENTIALS_BY_FINGERPRINT, fingerprint)
    }

    /// All credentials, or those of one project, oldest first.
    ///
    /// # Errors
    /// The database's.
    pub async fn credentials(&self, project: Option<ProjectId>) -> Result<Vec<CredentialRow>, Error> {
        match project {
            None => read!(self, fetch_all, CredentialRow, "the credentials", CREDENTIALS),
            Some(project) => {
                read!(self, fetch_all, CredentialRow, "the credentials", CREDENTIALS_OF, project.uuid())
            }
        }
    }

    /// One version of a credential's secret.
    ///
    /// # Errors
    /// The database's.
    pub async fn credential_version(
        &self,
        credential: CredentialId,
        version: u64,
    ) -> Result<Option<CredentialVersionRow>, Error> {
        let version = stored(version);
        read!(self, fetch_optional, CredentialVersionRow, "a credential's secret", VERSION, credential.uuid(), version)
    }

    /// All versions of a credential's secret, oldest first.
    ///
    /// # Errors
    /// The database's.
    pub async fn credential_versions(&self, credential: CredentialId) -> Result<Vec<CredentialVersionRow>, Error> {
        read!(self, fetch_all, CredentialVersionRow, "a credential's secrets", VERSIONS_OF, credential.uuid())
    }

    /// The version that counts of every credential.
    ///
    /// # Errors
    /// The database's.
    pub async fn current_versions(&self) -> Result<Vec<CredentialVersionRow>, Error> {
        read!(self, fetch_all, CredentialVersionRow, "the credentials' secrets", CURRENT_VERSIONS)
    }

    /// Versions that are not sealed under this wrapping key, in a fixed order, after a given one: the work list of a
    /// rewrap. Begin with the nil id and version 0.
    ///
    /// # Errors
    /// The database's.
    pub async fn versions_outside(
        &self,
        wrapping_key: &str,
        after: (CredentialId, u64),
        limit: u32,
    ) -> Result<Vec<CredentialVersionRow>, Error> {
        let (credential, version) = (after.0.uuid(), stored(after.1));
        let limit = i64::from(limit);
        read!(
            self,
            fetch_all,
            CredentialVersionRow,
            "the credentials' secrets",
            VERSIONS_OUTSIDE,
            wrapping_key,
            credential,
            version,
            limit
        )
    }

    /// All versions whose secret has this mark, also those whose secret is destroyed.
    ///
    /// # Errors
    /// The database's.
    pub async fn versions_marked(&self, mark: &[u8]) -> Result<Vec<CredentialVersionRow>, Error> {
        read!(self, fetch_all, CredentialVersionRow, "the credentials' secrets", VERSIONS_MARKED, mark)
    }

    /// Versions with a secret and without a mark, in a fixed order, after a given one. Begin with the nil id and version 0.
    ///
    /// # Errors
    /// The database's.
    pub async fn versions_unmarked(
        &self,
        after: (CredentialId, u64),
        limit: u32,
    ) -> Result<Vec<CredentialVersionRow>, Error> {
        let (credential, version, limit) = (after.0.uuid(), stored(after.1), i64::from(limit));
        read!(
            self,
            fetch_all,
            CredentialVersionRow,
            "the credentials' secrets",
            VERSIONS_UNMARKED,
            credential,
            version,
            limit
        )
    }

    /// How many versions are not sealed under this wrapping key.
    ///
    /// # Errors
    /// The database's.
    pub async fn count_versions_outside(&self, wrapping_key: &str) -> Result<u64, Error> {
        Ok(read!(self, fetch_one, Count, "the credentials' secrets", COUNT_OUTSIDE, wrapping_key)?.value)
    }

    /// What is known of all credentials' health.
    ///
    /// # Errors
    /// The database's.
    pub async fn credential_healths(&self) -> Result<Vec<CredentialHealthRow>, Error> {
        read!(self, fetch_all, CredentialHealthRow, "the credentials' health", HEALTH)
    }

    /// What is known of one credential's health.
    ///
    /// # Errors
    /// The database's.
    pub async fn credential_health(&self, id: CredentialId) -> Result<Option<CredentialHealthRow>, Error> {
        read!(self, fetch_optional, CredentialHealthRow, "a credential's health", HEALTH_OF, id.uuid())
    }
}

impl Write {
    /// Adds a credential. Its secret goes in with [`Write::insert_credential_version`].
    ///
    /// # Errors
    /// [`Error::Taken`] when the name exists, [`Error::Dangling`] without the project; the database's.
    pub async fn insert_credential(&mut self, row: &CredentialRow) -> Result<(), Error> {
        run!(
            self,
            "credential name",
            INSERT_CREDENTIAL,
            row.id.uuid(),
            row.project.uuid(),
            row.environment.map(Environment::name),
            row.provider.as_str(),
            row.name.as_str(),
            row.status.as_str(),
            row.base_url.as_deref(),
            i64::from(row.allow_private),
            i64::from(row.order),
            i64::from(row.weight),
            stored(row.version),
            row.fingerprint.as_slice(),
            row.created_at,
            row.updated_at,
            row.row_version,
            row.mac.as_slice()
        )
        .map(drop)
    }

    /// Changes a credential (all but its id, project, provider and birth). The row carries its new version; `from` is
    /// the stored one.
    ///
    /// # Errors
    /// [`Error::Stale`] when the stored row version is another, [`Error::Taken`] when the name exists; the database's.
    pub async fn update_credential(&mut self, row: &CredentialRow, from: i64) -> Result<(), Error> {
        let rows = run!(
            self,
            "credential name",
            UPDATE_CREDENTIAL,
            row.id.uuid(),
            row.environment.map(Environment::name),
            row.name.as_str(),
            row.status.as_str(),
            row.base_url.as_deref(),
            i64::from(row.allow_private),
            i64::from(row.order),
            i64::from(row.weight),
            stored(row.version),
            row.fingerprint.as_slice(),
            row.updated_at,
            row.row_version,
            row.mac.as_slice(),
            from
        )?;
        self.found(rows, "the credential")
    }

    /// Adds a version of a credential's secret.
    ///
    /// # Errors
    /// [`Error::Taken`] when the version exists, [`Error::Dangling`] without the credential; the database's.
    pub async fn insert_credential_version(&mut self, row: &CredentialVersionRow) -> Result<(), Error> {
        run!(
            self,
            "credential version",
            INSERT_VERSION,
            row.credential.uuid(),
            stored(row.version),
            row.sealed.as_bytes(),
            row.wrapping_key.as_str(),
            row.fingerprint.as_slice(),
            row.created_at,
            row.erased_at,
            row.leak_mark.as_deref()
        )
        .map(drop)
    }

    /// Stores what tells that a found secret was this version's. Answers whether it was missing.
    ///
    /// # Errors
    /// The database's.
    pub async fn mark_credential_version(
        &mut self,
        credential: CredentialId,
        version: u64,
        mark: &[u8],
    ) -> Result<bool, Error> {
        let rows = run!(self, "credential version", MARK_VERSION, credential.uuid(), stored(version), mark)?;
        Ok(rows > 0)
    }

    /// Replaces a version's ciphertext with one under another wrapping key. `before` is the row as it was read.
    ///
    /// # Errors
    /// [`Error::Stale`] when it was rewrapped or erased meanwhile; the database's.
    pub async fn rewrap_credential_version(
        &mut self,
        before: &CredentialVersionRow,
        sealed: &Sealed,
        wrapping_key: &str,
    ) -> Result<(), Error> {
        let rows = run!(
            self,
            "credential version",
            REWRAP_VERSION,
            before.credential.uuid(),
            stored(before.version),
            sealed.as_bytes(),
            wrapping_key,
            before.wrapping_key.as_str()
        )?;
        self.found(rows, "the credential's secret")
    }

    /// Erases a version's ciphertext for good. Answers whether there was one.
    ///
    /// # Errors
    /// The database's.
    pub async fn erase_credential_version(&mut self, credential: CredentialId, version: u64) -> Result<bool, Error> {
        let now = self.now();
        let nothing: &[u8] = &[];
        run!(self, "credential version", ERASE_VERSION, credential.uuid(), stored(version), nothing, now)
            .map(|rows| rows > 0)
    }

    /// Sets what is known of a credential's health.
    ///
    /// # Errors
    /// [`Error::Dangling`] without the credential; the database's.
    pub async fn put_credential_health(&mut self, row: &CredentialHealthRow) -> Result<(), Error> {
        self.put_health(row, Millis::MAX).await.map(drop)
    }

    /// Stores what was found out about a credential, unless something newer is known. Answers whether it was stored.
    ///
    /// # Errors
    /// [`Error::Dangling`] without the credential; the database's.
    pub async fn put_newer_credential_health(&mut self, row: &CredentialHealthRow) -> Result<bool, Error> {
        Ok(self.put_health(row, row.checked_at).await? > 0)
    }

    /// Stores it over what was found out up to a moment.
    async fn put_health(&mut self, row: &CredentialHealthRow, over: Millis) -> Result<u64, Error> {
        run!(
            self,
            "a credential's health",
            PUT_HEALTH,
            row.credential.uuid(),
            row.state.as_str(),
            row.cause.as_deref(),
            row.remedy.as_deref(),
            row.http_status.map(i64::from),
            row.checked_at,
            row.out_until,
            over
        )
    }
}
