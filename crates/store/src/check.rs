//! Looking after the database: damage, statements that do not fit the tables, and the columns there are.

use crate::{
    Error, Store, audit, budgets, credentials, health::Condition, jobs, keys, ledger, meta, objects, pool::Pool,
    projects,
};
use crate::{rates, tokens, usage, vault, write};
use sqlx::{AssertSqlSafe, Executor as _, SqlSafeStr as _};
use std::{fs, path::Path};

/// Files up to this size, in bytes, are checked whole at each start; of larger ones only the tables that grant power
/// are, and the daily job does the rest. Reading this much takes about a sixth of a second.
pub(crate) const WHOLE: u64 = 64 << 20;
const QUICK: &str = "pragma quick_check(20)";
const FULL: &str = "pragma integrity_check(20)";
const FOREIGN: &str = "select \"table\" || ': ' || count(*) || ' rows name records that do not exist'
    from pragma_foreign_key_check group by \"table\"";
/// Each of these reads one table that grants power, from its first page to its last. The two halves are about as long.
const QUICK_TABLES: [&[&str]; 2] = [QUICK_RECORDS, &["pragma quick_check(audit)"]];
const QUICK_RECORDS: &[&str] = &[
    "pragma quick_check(meta)",
    "pragma quick_check(projects)",
    "pragma quick_check(environments)",
    "pragma quick_check(credentials)",
    "pragma quick_check(credential_versions)",
    "pragma quick_check(keys)",
    "pragma quick_check(budgets)",
    "pragma quick_check(shared_rates)",
    "pragma quick_check(tokens)",
    "pragma quick_check(keyring)",
];

/// A column of a table: what both databases must agree on.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Column {
    /// The table.
    pub table: String,
    /// The column.
    pub name: String,
    /// Its kind, in the store's own words: `integer`, `text`, `bytes`.
    pub kind: &'static str,
    /// Whether it may be null.
    pub nullable: bool,
}

/// All statements by the name of the file that holds them.
fn statements() -> impl Iterator<Item = (&'static str, &'static str, &'static str)> {
    let families: [(&'static str, &'static [(&'static str, &'static str)]); 23] = [
        ("audit", audit::ALL),
        ("budgets", budgets::ALL),
        ("credentials", credentials::ALL),
        ("jobs", jobs::ALL),
        ("keys", keys::ALL),
        ("ledger::accounts", ledger::ALL_ACCOUNTS),
        ("ledger::facts", ledger::ALL_FACTS),
        ("ledger::holds", ledger::ALL_HOLDS),
        ("ledger::lend", ledger::ALL_LEND),
        ("ledger::nodes", ledger::ALL_NODES),
        ("ledger::rebuild", ledger::ALL_REBUILD),
        ("ledger::thresholds", ledger::ALL_THRESHOLDS),
        ("meta", meta::ALL),
        ("objects", objects::ALL),
        ("projects", projects::ALL),
        ("rates", rates::ALL),
        ("tokens", tokens::ALL),
        ("usage::calls", usage::ALL_CALLS),
        ("usage::collect", usage::ALL_COLLECT),
        ("usage::raw", usage::ALL_RAW),
        ("usage::series", usage::ALL_SERIES),
        ("vault", vault::ALL),
        ("write", write::ALL),
    ];
    families.into_iter().flat_map(|(family, all)| all.iter().map(move |(name, sql)| (family, *name, *sql)))
}

/// Checks a SQLite file as it is opened, before anything is written to it: whole up to a size in bytes. Answers what is
/// wrong.
pub(crate) async fn at_start(store: &Store, path: &Path, whole: u64) -> Result<Vec<String>, Error> {
    let Pool::Lite(pool) = store.writer() else { return Ok(Vec::new()) };
    let size = fs::metadata(path).map_or(0, |about| about.len());
    if size <= whole {
        return problems(pool, QUICK).await;
    }
    quickly(store.readers()).await
}

/// Checks the tables that grant power, on two connections.
async fn quickly(readers: &Pool) -> Result<Vec<String>, Error> {
    let Pool::Lite(pool) = readers else { return Ok(Vec::new()) };
    let half = async |checks: &[&'static str]| -> Result<_, Error> {
        let mut found = Vec::new();
        for check in checks {
            found.extend(problems(pool, check).await?);
        }
        Ok(found)
    };
    let [records, log] = QUICK_TABLES;
    let (records, log) = futures_util::try_join!(half(records), half(log))?;
    Ok([records, log].concat())
}

/// Runs one of SQLite's checks. Damage that keeps even the check from running is a finding, not a failure.
async fn problems(pool: &sqlx::SqlitePool, check: &'static str) -> Result<Vec<String>, Error> {
    match sqlx::query_scalar::<_, String>(check).fetch_all(pool).await {
        Ok(lines) => Ok(lines.into_iter().filter(|line| line != "ok").collect()),
        Err(error) => match Error::sort(error, "the integrity check") {
            Error::Corrupt { detail } => Ok(vec![detail]),
            error => Err(error),
        },
    }
}

impl Store {
    /// Reads the whole database and looks for damage. What is found is answered, and on SQLite stops all writes.
    /// Takes seconds per gigabyte; calls go on meanwhile.
    ///
    /// # Errors
    /// The database's, when the check itself cannot run.
    pub async fn integrity_check(&self) -> Result<Vec<String>, Error> {
        let found = match self.readers() {
            Pool::Lite(pool) => {
                let mut found = problems(pool, FULL).await?;
                if found.is_empty() {
                    found.extend(problems(pool, FOREIGN).await?);
                }
                found
            }
            Pool::Pg(_) => self.unreadable_tables().await?,
        };
        if !found.is_empty() {
            note(self.condition(), &found);
        }
        Ok(found)
    }

    /// PostgreSQL checks each page as it reads it: reading every row of every table finds what is damaged.
    async fn unreadable_tables(&self) -> Result<Vec<String>, Error> {
        let Pool::Pg(pool) = self.readers() else { return Ok(Vec::new()) };
        let mut found = Vec::new();
        for table in self.tables().await? {
            // INVARIANT: table names come from the catalogue of our own schema and are quoted.
            let sql = format!("select count(t.*::text) from \"{}\" t", table.replace('"', "\"\""));
            let read: Result<i64, _> = sqlx::query_scalar(AssertSqlSafe(sql)).fetch_one(pool).await;
            match read.map_err(|error| Error::sort(error, "the integrity check")) {
                Ok(_) => {}
                Err(Error::Corrupt { detail }) => found.push(format!("table {table}: {detail}")),
                Err(error) => return Err(error),
            }
        }
        Ok(found)
    }

    async fn tables(&self) -> Result<Vec<String>, Error> {
        let mut tables: Vec<String> = self.catalog().await?.into_iter().map(|column| column.table).collect();
        tables.dedup();
        Ok(tables)
    }

    /// Prepares every statement of this room: a statement that does not fit the tables is named. Answers how many
    /// there are.
    ///
    /// # Errors
    /// [`Error::BadRow`] naming the statement.
    pub async fn check_statements(&self) -> Result<usize, Error> {
        let mut count = 0;
        for (family, name, sql) in statements() {
            let fits = on!(self.readers(), pool => pool.prepare(sql.into_sql_str()).await.map(drop));
            fits.map_err(|error| Error::BadRow { detail: format!("statement {family}::{name}: {error}") })?;
            count += 1;
        }
        for by in usage::GroupBy::ALL {
            let sql = AssertSqlSafe(usage::statement(by)).into_sql_str();
            let fits = on!(self.readers(), pool => pool.prepare(sql).await.map(drop));
            fits.map_err(|error| Error::BadRow { detail: format!("usage by {by:?}: {error}") })?;
            count += 1;
        }
        Ok(count)
    }

    /// All columns of all tables of the migrations (day tables left out), sorted.
    ///
    /// # Errors
    /// The database's.
    pub async fn columns(&self) -> Result<Vec<Column>, Error> {
        let columns = self.catalog().await?.into_iter().filter(|column| usage::Day::named(&column.table).is_none());
        Ok(columns
            .map(|KnownColumn { table, name, kind, nullable }| Column { table, name, kind: kind.name(), nullable })
            .collect())
    }

    /// All columns of all tables but those of the migrator, sorted.
    pub(crate) async fn catalog(&self) -> Result<Vec<KnownColumn>, Error> {
        const LITE: &str = "select m.name, p.name, lower(p.type), case when p.\"notnull\" = 0 then 1 else 0 end
            from sqlite_master m join pragma_table_info(m.name) p
            where m.type = 'table' and m.name not like 'sqlite_%' and m.name <> '_sqlx_migrations'";
        const PG: &str = "select table_name::text, column_name::text, data_type::text,
            case when is_nullable = 'YES' then 1::bigint else 0::bigint end
            from information_schema.columns
            where table_schema = current_schema() and table_name <> '_sqlx_migrations'";
        let rows: Result<Vec<(String, String, String, i64)>, _> = match self.readers() {
            Pool::Lite(pool) => sqlx::query_as(LITE).fetch_all(pool).await,
            Pool::Pg(pool) => sqlx::query_as(PG).fetch_all(pool).await,
        };
        let rows = rows.map_err(|error| self.failed(error, "the columns"))?;
        let mut columns = Vec::with_capacity(rows.len());
        for (table, name, declared, nullable) in rows {
            let kind = Kind::of(&declared)
                .ok_or_else(|| Error::BadRow { detail: format!("column {table}.{name} is of a foreign type") })?;
            columns.push(KnownColumn { table, name, kind, nullable: nullable != 0 });
        }
        columns.sort();
        Ok(columns)
    }
}

/// What a column holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    Integer,
    Text,
    Bytes,
    /// A UUID: a type of its own on PostgreSQL, sixteen bytes on SQLite.
    Id,
}

impl Kind {
    fn of(declared: &str) -> Option<Self> {
        match declared {
            "bigint" | "integer" => Some(Self::Integer),
            "text" => Some(Self::Text),
            "blob" | "bytea" => Some(Self::Bytes),
            "uuid" => Some(Self::Id),
            _ => None,
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Integer => "integer",
            Self::Text => "text",
            Self::Bytes | Self::Id => "bytes",
        }
    }
}

/// A column as the open database knows it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct KnownColumn {
    pub(crate) table: String,
    pub(crate) name: String,
    pub(crate) kind: Kind,
    pub(crate) nullable: bool,
}

fn note(condition: &Condition, found: &[String]) {
    condition.note(&Error::Corrupt { detail: found.join("; ") });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Location;
    use std::os::unix::fs::FileExt as _;

    #[tokio::test]
    async fn of_a_large_file_the_tables_that_grant_power_are_checked() {
        let files = tempfile::TempDir::new().unwrap();
        let path = files.path().join("keyward.db");
        let store = Store::open(&Location::File(path.clone())).await.unwrap();
        assert_eq!(at_start(&store, &path, 0).await.unwrap(), Vec::<String>::new());
        store.close().await;
        let options = sqlx::sqlite::SqliteConnectOptions::new().filename(&path);
        let pool = sqlx::SqlitePool::connect_with(options).await.unwrap();
        let root = |table: &'static str| sqlx::query_scalar(ROOT).bind(table).fetch_one(&pool);
        let (keys, jobs): (i64, i64) = (root("keys").await.unwrap(), root("jobs").await.unwrap());
        pool.close().await;
        let file = fs::OpenOptions::new().write(true).open(&path).unwrap();
        for (page, expected) in [(jobs, false), (keys, true)] {
            let at = u64::try_from(page - 1).unwrap() * 4096;
            file.write_all_at(&[0xA5; 64], at).unwrap();
            let (readers, writer) = crate::pool::open_file(&path, crate::Limits::default()).await.unwrap();
            let found = quickly(&readers).await.unwrap();
            assert_eq!(!found.is_empty(), expected, "{found:?}");
            readers.close().await;
            writer.close().await;
        }
    }

    const ROOT: &str = "select rootpage from sqlite_master where name = $1";
}
