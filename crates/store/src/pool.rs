//! Opening either database. Some connections read, others write; on SQLite exactly one writes.

use crate::{Error, Limits};
use sqlx::{
    ConnectOptions, Connection, PgConnection, PgPool, Postgres, Sqlite, SqlitePool, Transaction,
    postgres::{PgConnectOptions, PgPoolOptions},
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous},
};
use std::{fs, path::Path, str::FromStr, time::Duration};

/// Connections to whichever database is open.
#[derive(Debug, Clone)]
pub(crate) enum Pool {
    Lite(SqlitePool),
    Pg(PgPool),
}

/// An open transaction.
pub(crate) enum Open {
    Lite(Transaction<'static, Sqlite>),
    Pg(Transaction<'static, Postgres>),
}

impl Open {
    pub(crate) async fn commit(self) -> Result<(), sqlx::Error> {
        match self {
            Self::Lite(tx) => tx.commit().await,
            Self::Pg(tx) => tx.commit().await,
        }
    }
}

impl Pool {
    /// Begins a transaction that may write. On SQLite it holds the write lock from the start: a transaction that only
    /// asks for it later fails at once when somebody else wrote in between.
    pub(crate) async fn begin(&self) -> Result<Open, sqlx::Error> {
        match self {
            Self::Lite(pool) => Ok(Open::Lite(pool.begin_with("begin immediate").await?)),
            Self::Pg(pool) => Ok(Open::Pg(pool.begin().await?)),
        }
    }

    /// Begins a transaction that reads one consistent picture.
    pub(crate) async fn begin_picture(&self) -> Result<Open, sqlx::Error> {
        match self {
            Self::Lite(pool) => Ok(Open::Lite(pool.begin().await?)),
            Self::Pg(pool) => Ok(Open::Pg(pool.begin_with("begin isolation level repeatable read, read only").await?)),
        }
    }

    pub(crate) async fn close(&self) {
        on!(self, pool => pool.close().await);
    }
}

const BUSY: Duration = Duration::from_secs(5);
const ACQUIRE: Duration = Duration::from_secs(30);
const READERS: u32 = 4;
const PG_WRITERS: u32 = 4;
/// One of them listens for changes.
const PG_READERS: u32 = 6;
/// Rows that a reading connection may run ahead: fewer hand-overs between its thread and ours.
const ROWS_AHEAD: usize = 512;
/// SQLite's page size, in bytes; ours to set, since only new files are made with it.
const PAGE: u64 = 4096;
/// The write-ahead log is cut back to this many bytes when it has grown beyond.
const WAL_LIMIT: &str = "67108864";
/// Pages in the write-ahead log before they are moved into the database: with more, pages that change with every batch
/// are moved less often.
const WAL_PAGES: &str = "4000";
/// Page cache of each connection; negative means KiB.
const CACHE_KIB: &str = "-3000";

/// PostgreSQL only.
const SYNCED: &str =
    "select set_config('synchronous_commit', 'on', false) where current_setting('synchronous_commit') = 'off'";

/// Opens a SQLite file: the writer, then the readers.
pub(crate) async fn open_file(path: &Path, limits: Limits) -> Result<(Pool, Pool), Error> {
    create_private(path)?;
    let mut options = SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .page_size(4096)
        .synchronous(SqliteSynchronous::Full)
        .foreign_keys(true)
        .busy_timeout(BUSY)
        .pragma("journal_size_limit", WAL_LIMIT)
        .pragma("wal_autocheckpoint", WAL_PAGES)
        .pragma("cache_size", CACHE_KIB)
        .statement_cache_capacity(256)
        .row_buffer_size(ROWS_AHEAD)
        .disable_statement_logging();
    if let Some(bytes) = limits.file_bytes {
        options = options.pragma("max_page_count", (bytes / PAGE).max(1).to_string());
    }
    let writer = SqlitePoolOptions::new()
        .max_connections(1)
        .min_connections(1)
        .idle_timeout(None)
        .max_lifetime(None)
        .test_before_acquire(false)
        .acquire_timeout(ACQUIRE)
        .after_release(|connection, _| {
            // SQLite ends a transaction by itself when the disk is full; the driver does not notice and would count
            // one level too many for ever. Such a connection is closed.
            Box::pin(async move {
                connection.ping().await?;
                Ok(!connection.is_in_transaction())
            })
        })
        .connect_with(options.clone())
        .await
        .map_err(|error| Error::sort(error, "the database file"))?;
    let readers = SqlitePoolOptions::new()
        .max_connections(READERS)
        .max_lifetime(None)
        .test_before_acquire(false)
        .acquire_timeout(ACQUIRE)
        .connect_lazy_with(options.pragma("query_only", "on"));
    Ok((Pool::Lite(readers), Pool::Lite(writer)))
}

/// Makes the file before SQLite does, so that nobody else can read it; SQLite gives its side files the same mode.
fn create_private(path: &Path) -> Result<(), Error> {
    let mut options = fs::OpenOptions::new();
    options.create_new(true).write(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    match options.open(path) {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(Error::Io(error)),
    }
}

/// What keeps one connection from being made, where it shows soon.
async fn fault(options: &PgConnectOptions) -> Option<sqlx::Error> {
    match tokio::time::timeout(BUSY, PgConnection::connect_with(options)).await {
        Ok(Ok(connection)) => {
            // One that does not end well ends all the same.
            drop(connection.close().await);
            None
        }
        Ok(Err(error)) => Some(error),
        Err(_) => None,
    }
}

/// Connects to PostgreSQL: connections that read, and others that write. Writes wait for each other while they hold a
/// connection; if they could hold all of them, the one whose turn it is could not read.
pub(crate) async fn open_postgres(url: &str) -> Result<(Pool, Pool), Error> {
    let options = PgConnectOptions::from_str(url)
        .map_err(|error| Error::sort(error, "the database address"))?
        .application_name("keyward")
        .statement_cache_capacity(256)
        .disable_statement_logging();
    let pool = |connections| PgPoolOptions::new().max_connections(connections).acquire_timeout(ACQUIRE);
    // A node that hangs in the middle of a write must not hold up the others for ever.
    let patient = options.clone().options([("lock_timeout", "30s"), ("idle_in_transaction_session_timeout", "60s")]);
    // The pool tries again for a while and does not say why it had to.
    let fault = fault(&options).await;
    if let Some(error @ sqlx::Error::Io(_)) = &fault {
        tracing::warn!(%error, "the database does not answer; trying again for {} seconds", ACQUIRE.as_secs());
    }
    let writing = pool(PG_WRITERS).after_connect(|connection, _| {
        // Where somebody has told the server that a commit need not be on the disk, ours must be all the same: what
        // is granted from a budget or revoked must not be undone by a power cut.
        Box::pin(async move { sqlx::query(SYNCED).execute(connection).await.map(drop) })
    });
    let writer = writing.connect_with(patient).await.map_err(|error| match (error, fault) {
        (sqlx::Error::PoolTimedOut, Some(fault)) => fault,
        (error, _) => error,
    });
    let writer = writer.map_err(|error| Error::sort(error, "the database"))?;
    Ok((Pool::Pg(pool(PG_READERS).connect_lazy_with(options)), Pool::Pg(writer)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SYNCHRONOUS: &str = "pragma synchronous";

    /// What was granted from a budget must be on the disk before it is spent. In the write-ahead log anything less than
    /// full (2) loses the last commits with the power.
    #[tokio::test]
    async fn every_commit_is_synced() {
        let files = tempfile::TempDir::new().unwrap();
        let (_, writer) = open_file(&files.path().join("keyward.db"), Limits::default()).await.unwrap();
        let Pool::Lite(writer) = writer else { panic!("a file expected") };
        let level: i64 = sqlx::query_scalar(SYNCHRONOUS).fetch_one(&writer).await.unwrap();
        assert_eq!(level, 2);
    }
}
