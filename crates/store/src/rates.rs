//! Rates that all calls of a scope share: the organisation's and those of projects. A key's own are in its policy.

use crate::{Error, Store, Write, sql::stored};
use keyward_domain::{Millis, budget::Scope};

statements! {
    RATES = "select scope, requests_per_minute, tokens_per_minute, concurrency, updated_at, row_version, mac
        from shared_rates where scope = $1";
    ALL_RATES = "select scope, requests_per_minute, tokens_per_minute, concurrency, updated_at, row_version, mac
        from shared_rates order by scope";
    INSERT_RATES = "insert into shared_rates
        (scope, requests_per_minute, tokens_per_minute, concurrency, updated_at, row_version, mac)
        values ($1, $2, $3, $4, $5, $6, $7)";
    UPDATE_RATES = "update shared_rates
        set requests_per_minute = $2, tokens_per_minute = $3, concurrency = $4, updated_at = $5, row_version = $6,
        mac = $7
        where scope = $1 and row_version = $8";
}

/// How the organisation's scope is stored.
const ORGANISATION: &str = "organisation";

row! {
    /// The rates of a scope. One whose rates were taken away stays, so that the audit log misses nothing.
    pub struct RatesRow {
        /// `organisation`, or the project's id.
        pub scope: String,
        /// Requests per minute.
        pub requests_per_minute: Option<u64>,
        /// Tokens per minute.
        pub tokens_per_minute: Option<u64>,
        /// Calls at once.
        pub concurrency: Option<u32>,
        /// When it was last changed.
        pub updated_at: Millis,
        /// Starts at 1 and grows by 1 with every change.
        pub row_version: i64,
        /// The caller's MAC over the row.
        pub mac: Vec<u8>,
    }
}

impl RatesRow {
    /// How a scope is stored; none when it has no shared rates.
    #[must_use]
    pub fn name_of(scope: Scope) -> Option<String> {
        match scope {
            Scope::Organisation => Some(ORGANISATION.to_owned()),
            Scope::Project(project) => Some(project.to_string()),
            Scope::Environment(..) | Scope::Key(_) => None,
        }
    }

    /// The scope that is stored like this.
    #[must_use]
    pub fn scope_of(name: &str) -> Option<Scope> {
        if name == ORGANISATION { Some(Scope::Organisation) } else { name.parse().ok().map(Scope::Project) }
    }

    /// Whether it limits nothing.
    #[must_use]
    pub const fn is_clear(&self) -> bool {
        self.requests_per_minute.is_none() && self.tokens_per_minute.is_none() && self.concurrency.is_none()
    }
}

impl Store {
    /// The rates of a scope, by the name under which it is stored.
    ///
    /// # Errors
    /// The database's.
    pub async fn rates(&self, scope: &str) -> Result<Option<RatesRow>, Error> {
        read!(self, fetch_optional, RatesRow, "rates", RATES, scope)
    }

    /// The rates of all scopes.
    ///
    /// # Errors
    /// The database's.
    pub async fn all_rates(&self) -> Result<Vec<RatesRow>, Error> {
        read!(self, fetch_all, RatesRow, "the rates", ALL_RATES)
    }
}

impl Write {
    /// Adds the first rates of a scope.
    ///
    /// # Errors
    /// [`Error::Taken`] when the scope has some; the database's.
    pub async fn insert_rates(&mut self, row: &RatesRow) -> Result<(), Error> {
        run!(
            self,
            "rates",
            INSERT_RATES,
            row.scope.as_str(),
            row.requests_per_minute.map(stored),
            row.tokens_per_minute.map(stored),
            row.concurrency.map(i64::from),
            row.updated_at,
            row.row_version,
            row.mac.as_slice()
        )
        .map(drop)
    }

    /// Changes the rates of a scope. The row carries its new version; `from` is the stored one.
    ///
    /// # Errors
    /// [`Error::Stale`] when the stored version is another; the database's.
    pub async fn update_rates(&mut self, row: &RatesRow, from: i64) -> Result<(), Error> {
        let rows = run!(
            self,
            "rates",
            UPDATE_RATES,
            row.scope.as_str(),
            row.requests_per_minute.map(stored),
            row.tokens_per_minute.map(stored),
            row.concurrency.map(i64::from),
            row.updated_at,
            row.row_version,
            row.mac.as_slice(),
            from
        )?;
        self.found(rows, "the rates")
    }
}
