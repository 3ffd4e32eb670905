//! What can go wrong in the store, sorted by what the caller does about it. Never carries stored values.

use sqlx::error::{DatabaseError, ErrorKind};
use std::io;

/// A failure of the store.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The database file or its pages are damaged. Nothing is written any more.
    #[error("the database is damaged ({detail}): nothing is written any more; stop Keyward and restore a backup")]
    Corrupt {
        /// What the database said.
        detail: String,
    },
    /// There is no room. Nothing accepted was lost; writing works again once there is room.
    #[error("the disk is full: nothing new is accepted until there is room; nothing that was accepted is lost")]
    DiskFull,
    /// The database can be read and not written: its disk was mounted so, its file was moved away, or another server of
    /// PostgreSQL has taken over. Nothing accepted was lost; writing works again once it is possible.
    #[error("the database can only be read: nothing new is accepted meanwhile; nothing that was accepted is lost")]
    ReadOnly,
    /// A name or number that must be unique exists already.
    #[error("{what} is taken already")]
    Taken {
        /// What, such as `project name`.
        what: &'static str,
    },
    /// The row was changed since it was read (its row version moved on), or it is gone.
    #[error("{what} was changed meanwhile: read it again and repeat the change")]
    Stale {
        /// Which kind of row.
        what: &'static str,
    },
    /// The row names another one that does not exist.
    #[error("{what} names a record that does not exist")]
    Dangling {
        /// Which kind of row.
        what: &'static str,
    },
    /// A commit without audit entries.
    #[error("a write without an audit entry is refused")]
    Unaudited,
    /// A commit, or a look at the audit log, before anybody was named who seals it.
    #[error("the audit log cannot be used before the vault is open")]
    Unsealed,
    /// A statement of this write failed before, so it can only be dropped.
    #[error("an earlier statement of this write failed: it can only be dropped")]
    Broken,
    /// The node was given up: what was left of its leases is accounted for, and it gets no more.
    #[error("this run of the node was given up: start it again")]
    NodeEnded,
    /// The database was last opened by a newer version.
    #[error(
        "the database has migration {found}, this version of Keyward knows {known}: run the newer version, \
         or restore a backup from before the upgrade"
    )]
    Newer {
        /// The database's last migration.
        found: i64,
        /// The last one known here.
        known: i64,
    },
    /// A migration failed, or a migration that was applied differs from the one built in.
    #[error("migration {number} does not fit this database")]
    Migration {
        /// Its number; 0 when it is not about a single one.
        number: i64,
        /// The database's words.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A stored value has a form that this version does not know.
    #[error("a stored value cannot be read: {detail}")]
    BadRow {
        /// Where, without the value.
        detail: String,
    },
    /// A restore into a store that holds something.
    #[error("the store is not empty: restore only into a fresh one (table {table} has rows)")]
    NotEmpty {
        /// The first table with rows.
        table: &'static str,
    },
    /// A backup that cannot be restored.
    #[error("the backup cannot be restored: {detail}")]
    BadBackup {
        /// Why.
        detail: String,
    },
    /// Reading or writing a backup, or making the database file, failed.
    #[error("input or output failed")]
    Io(#[from] io::Error),
    /// The database does not answer, is locked by somebody else, or was shut down. Trying again may help.
    #[error("the database does not answer")]
    Unreachable {
        /// The driver's words.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// Anything else the database says.
    #[error("the database refused a statement")]
    Database {
        /// The driver's words.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

/// SQLite primary result codes (the low byte of the extended code).
const SQLITE_BUSY: u32 = 5;
const SQLITE_LOCKED: u32 = 6;
const SQLITE_READONLY: u32 = 8;
const SQLITE_CORRUPT: u32 = 11;
const SQLITE_FULL: u32 = 13;
const SQLITE_NOTADB: u32 = 26;
/// SQLite's code for "the shared-memory file could not grow", which a full disk causes.
const SQLITE_IOERR_SHMSIZE: u32 = 4874;

impl Error {
    /// Sorts a driver's error. `what` names the row or statement for people.
    pub(crate) fn sort(error: sqlx::Error, what: &'static str) -> Self {
        match error {
            sqlx::Error::Database(inner) => Self::sort_database(inner, what),
            sqlx::Error::Io(inner) if is_full(&inner) => Self::DiskFull,
            error @ (sqlx::Error::Io(_)
            | sqlx::Error::Tls(_)
            | sqlx::Error::PoolTimedOut
            | sqlx::Error::PoolClosed
            | sqlx::Error::WorkerCrashed) => Self::Unreachable { source: Box::new(error) },
            sqlx::Error::ColumnDecode { index, source } => {
                Self::BadRow { detail: format!("{what}, column {index}: {source}") }
            }
            sqlx::Error::Decode(source) => Self::BadRow { detail: format!("{what}: {source}") },
            error => Self::Database { source: Box::new(error) },
        }
    }

    fn sort_database(error: Box<dyn DatabaseError>, what: &'static str) -> Self {
        match error.kind() {
            ErrorKind::UniqueViolation => return Self::Taken { what },
            ErrorKind::ForeignKeyViolation => return Self::Dangling { what },
            _ => {}
        }
        let code = error.code().unwrap_or_default().into_owned();
        if error.try_downcast_ref::<sqlx::sqlite::SqliteError>().is_some() {
            let extended: u32 = code.parse().unwrap_or(0);
            return match extended & 0xff {
                SQLITE_CORRUPT | SQLITE_NOTADB => Self::Corrupt { detail: error.message().to_owned() },
                SQLITE_FULL => Self::DiskFull,
                SQLITE_READONLY => Self::ReadOnly,
                _ if extended == SQLITE_IOERR_SHMSIZE => Self::DiskFull,
                SQLITE_BUSY | SQLITE_LOCKED => Self::Unreachable { source: Box::new(sqlx::Error::Database(error)) },
                _ => Self::Database { source: Box::new(sqlx::Error::Database(error)) },
            };
        }
        match code.as_str() {
            "53100" => Self::DiskFull,
            "25006" => Self::ReadOnly,
            "XX001" | "XX002" => Self::Corrupt { detail: error.message().to_owned() },
            // The lock was not to be had in time, or too many connections are open.
            "55P03" | "53300" => Self::Unreachable { source: Box::new(sqlx::Error::Database(error)) },
            code if code.starts_with("08") || code.starts_with("57P") => {
                Self::Unreachable { source: Box::new(sqlx::Error::Database(error)) }
            }
            _ => Self::Database { source: Box::new(sqlx::Error::Database(error)) },
        }
    }
}

pub(crate) fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

#[cfg(test)]
mod tests {
    use super::*;
    use sqlx::{ConnectOptions, sqlite::SqliteConnectOptions};

    const MADE: &str = "create table t (a integer)";
    const REFUSED: &str = "insert into t values (1)";

    #[tokio::test]
    async fn a_file_that_can_only_be_read_is_not_just_any_fault() {
        let folder = tempfile::tempdir().unwrap();
        let options = SqliteConnectOptions::new().filename(folder.path().join("db")).create_if_missing(true);
        let mut writer = options.clone().connect().await.unwrap();
        sqlx::query(MADE).execute(&mut writer).await.unwrap();
        let mut reader = options.create_if_missing(false).read_only(true).connect().await.unwrap();
        let refused = sqlx::query(REFUSED).execute(&mut reader).await.unwrap_err();
        assert!(matches!(Error::sort(refused, "a row"), Error::ReadOnly));
    }
}
