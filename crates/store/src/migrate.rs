//! Bringing the tables up to date. A migration, once shipped, never changes: its checksum is stored and compared.

use crate::{Error, pool::Pool};
use sqlx::{
    SqlStr,
    migrate::{MigrateError, Migration, MigrationType, Migrator},
};

/// One migration: its number, its name, and its text for each database.
struct Step {
    number: i64,
    name: &'static str,
    sqlite: &'static str,
    postgres: &'static str,
}

macro_rules! steps {
    ($($number:literal $name:literal),* $(,)?) => {
        &[$(Step {
            number: $number,
            name: $name,
            sqlite: include_str!(concat!("../migrations/sqlite/", $name, ".sql")),
            postgres: include_str!(concat!("../migrations/postgres/", $name, ".sql")),
        }),*]
    };
}

const STEPS: &[Step] = steps![1 "0001_first", 2 "0002_budgets", 3 "0003_ledger", 4 "0004_leaks"];

/// How often a migration is tried again that another process may have applied.
const AGAIN: usize = 3 * STEPS.len();

/// The number of the last migration.
pub(crate) fn known() -> i64 {
    STEPS.iter().map(|step| step.number).max().unwrap_or(0)
}

fn migrator(text: impl Fn(&Step) -> &'static str) -> Migrator {
    Migrator::with_migrations(
        STEPS
            .iter()
            .map(|step| {
                let sql = SqlStr::from_static(text(step));
                Migration::new(step.number, step.name.into(), MigrationType::Simple, sql, false)
            })
            .collect(),
    )
}

/// Applies what is missing. PostgreSQL holds an advisory lock meanwhile, so that nodes that start at once take turns.
pub(crate) async fn run(pool: &Pool) -> Result<(), Error> {
    let done = match pool {
        Pool::Lite(pool) => {
            let run = || async { migrator(|step| step.sqlite).run(pool).await };
            let mut done = run().await;
            for _ in 0..AGAIN {
                // SQLite has no such lock: another process may have applied the same migration first. Then this run,
                // which failed whole, finds that one done, and may meet the other again at the next.
                if !matches!(done, Err(MigrateError::Execute(_) | MigrateError::ExecuteMigration(..))) {
                    break;
                }
                done = run().await;
            }
            done
        }
        Pool::Pg(pool) => migrator(|step| step.postgres).run(pool).await,
    };
    done.map_err(|error| match error {
        MigrateError::VersionMissing(found) => Error::Newer { found, known: known() },
        MigrateError::Execute(error) => Error::sort(error, "a migration"),
        MigrateError::ExecuteMigration(error, number) => match Error::sort(error, "a migration") {
            Error::Database { source } => Error::Migration { number, source },
            error => error,
        },
        MigrateError::VersionMismatch(number) | MigrateError::Dirty(number) => {
            Error::Migration { number, source: Box::new(error) }
        }
        error => Error::Migration { number: 0, source: Box::new(error) },
    })
}

/// Whether all migrations are in, without touching anything.
pub(crate) async fn is_current(pool: &Pool) -> bool {
    const APPLIED: &str = "select max(version) from _sqlx_migrations where success";
    let applied: Result<Option<i64>, _> = on!(pool, pool => sqlx::query_scalar(APPLIED).fetch_one(pool).await);
    matches!(applied, Ok(Some(version)) if version == known())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What shipped. Add a line for a new migration; never change one.
    const FROZEN: &[(i64, &str, &str)] = &[
        (1, "29d64abb544abb7f3e1b108b37986156", "24a74b42fcea2069b692a6e3fd3fa0fc"),
        (2, "1b7b63b00e0e5a6ca6223f311b65f1ff", "9934dfe6875c699f1fabf67c8a043f1b"),
        (3, "77a59256ec01a4a3295146d3ee76da01", "83e99ca7ab508aee9fb2704e1a94204c"),
        (4, "7567b8cb27ed8a94c1b48c5fb22eb079", "b2fc58ada63cf525b3c592d6cde5356d"),
    ];

    fn hex(checksum: &[u8]) -> String {
        keyward_domain::digest::hex(checksum).chars().take(32).collect()
    }

    #[test]
    fn shipped_migrations_are_frozen() {
        let all = |migrator: Migrator| -> Vec<(i64, String)> {
            migrator.iter().map(|step| (step.version, hex(&step.checksum))).collect()
        };
        let frozen = |pick: fn(&(i64, &str, &str)) -> String| -> Vec<(i64, String)> {
            FROZEN.iter().map(|row| (row.0, pick(row))).collect()
        };
        assert_eq!(all(migrator(|step| step.sqlite)), frozen(|row| row.1.to_owned()));
        assert_eq!(all(migrator(|step| step.postgres)), frozen(|row| row.2.to_owned()));
    }
}
