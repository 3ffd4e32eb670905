//! Raw rows: one call each, in the table of its UTC day. Complete, and as small as they can be: dimensions are in the
//! series, and what no statement asks for is one value.

use super::{day::Day, detail, series::Learned};
use crate::{
    Error, Store, Write,
    check::Kind,
    ledger::{self, encode_leases},
    pool::Open,
};
use keyward_domain::{Millis, RequestId, usage::UsageEvent};
use sqlx::{Arguments as _, AssertSqlSafe};
use std::collections::HashSet;

statements! {
    NOTE_DAY = "insert into usage_days (day) values ($1) on conflict (day) do nothing";
    DAYS = "select day from usage_days order by day desc";
    FORGET_DAYS = "delete from usage_days where day < $1 returning day";
}

/// How many rows a statement carries at most: more than elsewhere, since these are narrow and there is one for every call.
const AT_ONCE: usize = 512;

/// Keeps nodes from making the same day table at once, which PostgreSQL answers with an error; ends with the
/// transaction. The number is an arbitrary constant.
const LOCK_TABLES: &str = "select pg_advisory_xact_lock(7525017803302)";

/// The columns of a day table, in order; backups name them too. Those that a statement asks for, and the rest in one
/// value. `leases` is null when no budget was above the key.
pub(crate) const COLUMNS: &[(&str, Kind)] = &[
    ("id", Kind::Id),
    ("at", Kind::Integer),
    ("series", Kind::Integer),
    ("cost", Kind::Integer),
    ("detail", Kind::Bytes),
    ("leases", Kind::Bytes),
];

/// The id is the only index, and ids grow with time, so that rows are appended. Another index would cost more than the
/// rows themselves: with a thousand keys, each batch would touch a thousand of its pages.
fn make(table: &str, lite: bool) -> String {
    let (id, bytes, end) = if lite { ("blob", "blob", " without rowid") } else { ("uuid", "bytea", "") };
    format!(
        "create table if not exists {table} (id {id} primary key not null, at bigint not null, series bigint not null,
            cost bigint not null, detail {bytes} not null, leases {bytes}){end}"
    )
}

/// Makes sure that a day has its table.
pub(crate) async fn ensure(store: &Store, open: &mut Open, day: Day, learned: &mut Learned) -> Result<(), Error> {
    if store.cache().knows_day(day) {
        return Ok(());
    }
    let table = day.table();
    // INVARIANT: only the eight digits of the day vary.
    let done: Result<(), sqlx::Error> = match open {
        Open::Lite(tx) => {
            async {
                sqlx::query(NOTE_DAY).bind(day.begins()).execute(&mut **tx).await?;
                sqlx::query(AssertSqlSafe(make(&table, true))).execute(&mut **tx).await?;
                Ok(())
            }
            .await
        }
        Open::Pg(tx) => {
            async {
                sqlx::query(LOCK_TABLES).execute(&mut **tx).await?;
                sqlx::query(NOTE_DAY).bind(day.begins()).execute(&mut **tx).await?;
                sqlx::query(AssertSqlSafe(make(&table, false))).execute(&mut **tx).await?;
                Ok(())
            }
            .await
        }
    };
    done.map_err(|error| store.failed(error, "a usage table"))?;
    learned.day(day);
    Ok(())
}

macro_rules! add {
    ($arguments:ident, $($value:expr),*) => {
        { $($arguments.add($value).map_err(sqlx::Error::Encode)?;)* }
    };
}

/// The columns of one event, added to the arguments of a statement.
macro_rules! add_event {
    ($arguments:expr, $event:expr, $series:expr) => {{
        let event: &UsageEvent = $event;
        let arguments = &mut $arguments;
        add!(
            arguments,
            event.id.uuid(),
            event.at,
            $series,
            event.cost.nano(),
            detail::encode(event),
            (event.held.is_some() || !event.leases.is_empty()).then(|| encode_leases(&event.leases))
        );
    }};
}

/// Stores events of one day. Answers how many were new.
pub(crate) async fn insert(open: &mut Open, day: Day, events: &[(&UsageEvent, i64)]) -> Result<u64, sqlx::Error> {
    let (head, tail) = texts(day);
    let mut inserted = 0;
    for chunk in super::chunks(events, AT_ONCE) {
        let rows = match open {
            Open::Lite(tx) => {
                let mut arguments = sqlx::sqlite::SqliteArguments::default();
                arguments.reserve(chunk.len() * COLUMNS.len(), 0);
                for (event, series) in chunk {
                    add_event!(arguments, event, *series);
                }
                let sql = format!("{head}{}{tail}", super::question_marks(chunk.len(), COLUMNS.len()));
                sqlx::query_with(AssertSqlSafe(sql), arguments).execute(&mut **tx).await?.rows_affected()
            }
            Open::Pg(tx) => {
                let mut arguments = sqlx::postgres::PgArguments::default();
                arguments.reserve(chunk.len() * COLUMNS.len(), 0);
                for (event, series) in chunk {
                    add_event!(arguments, event, *series);
                }
                let sql = format!("{head}{}{tail}", super::numbered(chunk.len(), COLUMNS.len()));
                sqlx::query_with(AssertSqlSafe(sql), arguments).execute(&mut **tx).await?.rows_affected()
            }
        };
        inserted += rows;
    }
    Ok(inserted)
}

/// Stores events of one day one by one and answers which were new: the slow way, for when some are known already.
pub(crate) async fn insert_new(
    open: &mut Open,
    day: Day,
    events: &[(&UsageEvent, i64)],
) -> Result<HashSet<RequestId>, sqlx::Error> {
    let mut new = HashSet::new();
    for one in events {
        if insert(open, day, std::slice::from_ref(one)).await? > 0 {
            new.insert(one.0.id);
        }
    }
    Ok(new)
}

fn texts(day: Day) -> (String, &'static str) {
    // INVARIANT: only the eight digits of the day vary.
    let head = format!("insert into {} ({}) values ", day.table(), names("").join(", "));
    (head, " on conflict (id) do nothing")
}

pub(super) fn names(prefix: &str) -> Vec<String> {
    COLUMNS.iter().map(|(name, _)| format!("{prefix}{name}")).collect()
}

row! {
    pub(super) struct DayRow { pub(super) day: Millis, }
}

impl Store {
    /// The days (their midnights) whose single calls are still stored, newest first.
    ///
    /// # Errors
    /// The database's.
    pub async fn usage_days(&self) -> Result<Vec<Millis>, Error> {
        let days = read!(self, fetch_all, DayRow, "the usage days", DAYS)?;
        Ok(days.into_iter().map(|row| row.day).collect())
    }

    pub(crate) fn cache(&self) -> std::sync::MutexGuard<'_, super::SeriesCache> {
        self.series().lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

impl Write {
    /// Drops the single calls of all days that ended before a moment; their totals stay, and what they cost stays in the
    /// accounts of budgets. Answers the days dropped.
    ///
    /// # Errors
    /// The database's.
    pub async fn drop_usage_days(&mut self, before: Millis) -> Result<Vec<Millis>, Error> {
        let before = Day::of(before).begins();
        let days = match self.open()? {
            Open::Lite(tx) => sqlx::query_as::<_, DayRow>(FORGET_DAYS).bind(before).fetch_all(&mut **tx).await,
            Open::Pg(tx) => sqlx::query_as::<_, DayRow>(FORGET_DAYS).bind(before).fetch_all(&mut **tx).await,
        };
        let days: Vec<Millis> = self.settled(days, "the usage days")?.into_iter().map(|row| row.day).collect();
        ledger::fold(self, &days, before).await?;
        for day in &days {
            // INVARIANT: only the eight digits of the day vary.
            let sql = AssertSqlSafe(format!("drop table if exists {}", Day::of(*day).table()));
            let done = match self.open()? {
                Open::Lite(tx) => sqlx::query(sql).execute(&mut **tx).await.map(drop),
                Open::Pg(tx) => sqlx::query(sql).execute(&mut **tx).await.map(drop),
            };
            self.settled(done, "a usage table")?;
        }
        self.store().cache().clear();
        Ok(days)
    }
}
