//! The store: opening it, its condition, and what every table family's file builds on.

use crate::{
    AuditSeal, Error, Health, Limits, Location, check,
    health::Condition,
    ledger::LeaseCache,
    migrate,
    pool::{self, Pool},
    usage::SeriesCache,
};
use std::sync::{Arc, Mutex, OnceLock};

/// The database. Cheap to clone; all clones share the connections.
#[derive(Clone)]
pub struct Store(Arc<Inner>);

struct Inner {
    readers: Pool,
    writer: Pool,
    condition: Condition,
    series: Mutex<SeriesCache>,
    leases: Mutex<LeaseCache>,
    seal: OnceLock<Arc<dyn AuditSeal>>,
}

impl Store {
    /// Opens the database, checks it and brings its tables up to date.
    ///
    /// When a SQLite file is damaged but its tables are the current ones, the store opens all the same: it can be read
    /// as far as that goes, [`Store::health`] says what is wrong, and every write is refused.
    ///
    /// # Errors
    /// [`Error::Corrupt`] when the file is no database or too damaged to read, [`Error::Newer`] and
    /// [`Error::Migration`] when its tables are not ours, [`Error::Unreachable`], [`Error::DiskFull`], [`Error::Io`].
    pub async fn open(location: &Location) -> Result<Self, Error> {
        Self::open_within(location, Limits::default()).await
    }

    /// As [`Store::open`], within limits.
    ///
    /// # Errors
    /// Those of [`Store::open`].
    pub async fn open_within(location: &Location, limits: Limits) -> Result<Self, Error> {
        let (readers, writer) = match location {
            Location::File(path) => pool::open_file(path, limits).await?,
            Location::Postgres(url) => pool::open_postgres(url).await?,
        };
        let store = Self(Arc::new(Inner {
            readers,
            writer,
            condition: Condition::new(),
            series: Mutex::new(SeriesCache::default()),
            leases: Mutex::new(LeaseCache::default()),
            seal: OnceLock::new(),
        }));
        let problems = match location {
            Location::File(path) => check::at_start(&store, path, check::WHOLE).await?,
            Location::Postgres(_) => Vec::new(),
        };
        if problems.is_empty() {
            migrate::run(store.writer()).await?;
        } else {
            let damage = Error::Corrupt { detail: problems.join("; ") };
            if !migrate::is_current(store.writer()).await {
                return Err(damage);
            }
            store.0.condition.note(&damage);
        }
        Ok(store)
    }

    /// The store's condition as last seen.
    #[must_use]
    pub fn health(&self) -> Health {
        self.0.condition.now()
    }

    /// The database's kind, for status pages: `sqlite` or `postgres`.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self.0.writer {
            Pool::Lite(_) => "sqlite",
            Pool::Pg(_) => "postgres",
        }
    }

    /// Closes all connections; waits for transactions that are open.
    pub async fn close(&self) {
        self.0.readers.close().await;
        self.0.writer.close().await;
    }

    pub(crate) fn readers(&self) -> &Pool {
        &self.0.readers
    }

    pub(crate) fn writer(&self) -> &Pool {
        &self.0.writer
    }

    pub(crate) fn condition(&self) -> &Condition {
        &self.0.condition
    }

    pub(crate) fn seal_slot(&self) -> &OnceLock<Arc<dyn AuditSeal>> {
        &self.0.seal
    }

    pub(crate) fn series(&self) -> &Mutex<SeriesCache> {
        &self.0.series
    }

    pub(crate) fn leases(&self) -> &Mutex<LeaseCache> {
        &self.0.leases
    }

    /// Sorts a driver's error and takes note of what it says about the database.
    pub(crate) fn failed(&self, error: sqlx::Error, what: &'static str) -> Error {
        let error = Error::sort(error, what);
        self.0.condition.note(&error);
        error
    }
}
