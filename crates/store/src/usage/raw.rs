//! Raw rows: one call each, in the table of its UTC day. Complete, and as small as they can be: dimensions are in the
//! series, what is nearly always absent is null.

use super::{day::Day, series::Learned};
use crate::{
    Error, Store, Write,
    check::Kind,
    ledger::{self, encode_leases},
    pool::Open,
    sql::{clean, stored},
};
use keyward_domain::{
    Millis, Money, RequestId,
    usage::{Buckets, CostBasis, Outcome, Units, Usage, UsageEvent},
};
use serde::{Deserialize, Serialize};
use sqlx::{Arguments as _, AssertSqlSafe};
use std::{
    collections::{BTreeMap, HashSet},
    net::IpAddr,
    sync::Arc,
};

statements! {
    NOTE_DAY = "insert into usage_days (day) values ($1) on conflict (day) do nothing";
    DAYS = "select day from usage_days order by day desc";
    FORGET_DAYS = "delete from usage_days where day < $1 returning day";
}

/// Keeps nodes from making the same day table at once, which PostgreSQL answers with an error; ends with the
/// transaction. The number is an arbitrary constant.
const LOCK_TABLES: &str = "select pg_advisory_xact_lock(7525017803302)";

/// The columns of a day table, in order; backups name them too.
pub(crate) const COLUMNS: &[(&str, Kind)] = &[
    ("id", Kind::Id),
    ("at", Kind::Integer),
    ("series", Kind::Integer),
    ("input", Kind::Integer),
    ("cache_read", Kind::Integer),
    ("cache_write", Kind::Integer),
    ("cache_write_long", Kind::Integer),
    ("output", Kind::Integer),
    ("reasoning", Kind::Integer),
    ("cost", Kind::Integer),
    ("basis", Kind::Integer),
    ("price_version", Kind::Text),
    ("status", Kind::Integer),
    ("outcome", Kind::Integer),
    ("first_byte_us", Kind::Integer),
    ("total_us", Kind::Integer),
    ("client", Kind::Text),
    ("user_agent", Kind::Text),
    ("secret_slot", Kind::Integer),
    ("upstream_id", Kind::Text),
    ("answered", Kind::Text),
    ("tier", Kind::Text),
    ("extra", Kind::Text),
    ("held", Kind::Integer),
    ("leases", Kind::Bytes),
];
/// Those that tables of earlier versions lack.
const LATER: [&str; 2] = ["held", "leases"];

/// The id is the only index, and ids grow with time, so that rows are appended. Another index would cost more than the
/// rows themselves: with a thousand keys, each batch would touch a thousand of its pages.
///
/// Basis and outcome are numbers in the order of [`BASES`] and [`OUTCOMES`]; `answered` is the model that answered,
/// empty when it is the one asked for; `extra` is JSON. Behind these come those of [`later`].
const BODY: &str = "at bigint not null, series bigint not null,
    input bigint not null, cache_read bigint not null, cache_write bigint not null, cache_write_long bigint not null,
    output bigint not null, reasoning bigint not null, cost bigint not null, basis bigint not null,
    price_version text not null, status bigint not null, outcome bigint not null, first_byte_us bigint not null,
    total_us bigint not null, client text not null, user_agent text not null, secret_slot bigint not null,
    upstream_id text not null, answered text, tier text, extra text";

/// INVARIANT: the order is stored; add at the end only.
pub(super) const BASES: [CostBasis; 6] = [
    CostBasis::Priced,
    CostBasis::Provider,
    CostBasis::Estimated,
    CostBasis::Free,
    CostBasis::Unpriced,
    CostBasis::Incomplete,
];
/// INVARIANT: the order is stored; add at the end only.
pub(super) const OUTCOMES: [Outcome; 6] = [
    Outcome::Completed,
    Outcome::ProviderError,
    Outcome::ClientGone,
    Outcome::UpstreamLost,
    Outcome::Cut,
    Outcome::Lost,
];

/// How one of the later columns is declared: what was held for the call, and the leases that its cost was taken from,
/// eight bytes each. Null: no budget was above the key.
fn later(column: &str, lite: bool) -> &'static str {
    match (column, lite) {
        ("held", _) => "held bigint",
        (_, true) => "leases blob",
        (_, false) => "leases bytea",
    }
}

/// Gives day tables that an earlier version made the columns they lack.
pub(crate) async fn widen_days(store: &Store) -> Result<(), Error> {
    let mut known = BTreeMap::<String, Vec<String>>::new();
    for column in store.catalog().await?.into_iter().filter(|column| Day::named(&column.table).is_some()) {
        known.entry(column.table).or_default().push(column.name);
    }
    known.retain(|_, columns| LATER.iter().any(|later| !columns.iter().any(|column| column == later)));
    if known.is_empty() {
        return Ok(());
    }
    let failed = |error| store.failed(error, "a usage table");
    let mut open = store.writer().begin().await.map_err(failed)?;
    for (table, columns) in known {
        for column in LATER.into_iter().filter(|later| !columns.iter().any(|column| column == later)) {
            // INVARIANT: only the eight digits of the day vary. SQLite has one process at a start; on PostgreSQL
            // another node may be doing the same.
            let done = match &mut open {
                Open::Lite(tx) => {
                    let sql = AssertSqlSafe(format!("alter table {table} add column {}", later(column, true)));
                    sqlx::query(sql).execute(&mut **tx).await.map(drop)
                }
                Open::Pg(tx) => {
                    let column = later(column, false);
                    let sql = AssertSqlSafe(format!("alter table {table} add column if not exists {column}"));
                    sqlx::query(sql).execute(&mut **tx).await.map(drop)
                }
            };
            done.map_err(failed)?;
        }
    }
    open.commit().await.map_err(failed)
}

/// What few calls have. Left out when it is nothing.
#[derive(Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Extra {
    #[serde(skip_serializing_if = "is_zero")]
    pub(super) audio_input: u64,
    #[serde(skip_serializing_if = "is_zero")]
    pub(super) audio_output: u64,
    #[serde(skip_serializing_if = "is_zero")]
    pub(super) image_input: u64,
    #[serde(skip_serializing_if = "is_zero")]
    pub(super) image_output: u64,
    #[serde(skip_serializing_if = "is_no_units")]
    pub(super) units: Units,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) provider_cost: Option<Money>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) region: Option<Box<str>>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it with a reference")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

fn is_no_units(units: &Units) -> bool {
    *units == Units::default()
}

impl Extra {
    fn of(usage: &Usage) -> Option<String> {
        let Buckets { audio_input, audio_output, image_input, image_output, .. } = usage.buckets;
        let extra = Self {
            audio_input,
            audio_output,
            image_input,
            image_output,
            units: usage.units,
            provider_cost: usage.provider_cost,
            region: usage.region.clone(),
        };
        if extra == Self::default() { None } else { serde_json::to_string(&extra).ok() }
    }
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
            let [held, leases] = LATER.map(|column| later(column, true));
            let make = format!(
                "create table if not exists {table} (id blob primary key not null, {BODY}, {held}, {leases}) without rowid"
            );
            async {
                sqlx::query(NOTE_DAY).bind(day.begins()).execute(&mut **tx).await?;
                sqlx::query(AssertSqlSafe(make)).execute(&mut **tx).await?;
                Ok(())
            }
            .await
        }
        Open::Pg(tx) => {
            let [held, leases] = LATER.map(|column| later(column, false));
            let make =
                format!("create table if not exists {table} (id uuid primary key not null, {BODY}, {held}, {leases})");
            async {
                sqlx::query(LOCK_TABLES).execute(&mut **tx).await?;
                sqlx::query(NOTE_DAY).bind(day.begins()).execute(&mut **tx).await?;
                sqlx::query(AssertSqlSafe(make)).execute(&mut **tx).await?;
                Ok(())
            }
            .await
        }
    };
    done.map_err(|error| store.failed(error, "a usage table"))?;
    learned.day(day);
    Ok(())
}

/// Texts that many events share: each is made once for as long as the same one comes again, and then only counted.
#[derive(Default)]
struct Texts {
    last: [Option<Arc<str>>; 4],
    client: Option<(IpAddr, Arc<str>)>,
}

impl Texts {
    // HOT: a copy for every text of every event would be most of what collecting costs this thread.
    fn of(&mut self, column: usize, text: &str) -> Arc<str> {
        let Some(last) = self.last.get_mut(column) else { return clean(text).into() };
        match last {
            Some(last) if **last == *text => Arc::clone(last),
            _ => Arc::clone(last.insert(clean(text).into())),
        }
    }

    fn client(&mut self, address: IpAddr) -> Arc<str> {
        match &self.client {
            Some((last, text)) if *last == address => Arc::clone(text),
            _ => Arc::clone(&self.client.insert((address, address.to_string().into())).1),
        }
    }
}

macro_rules! add {
    ($arguments:ident, $($value:expr),*) => {
        { $($arguments.add($value).map_err(sqlx::Error::Encode)?;)* }
    };
}

/// The columns of one event, added to the arguments of a statement.
macro_rules! add_event {
    ($arguments:expr, $event:expr, $series:expr, $texts:expr) => {{
        let (event, usage): (&UsageEvent, &Usage) = ($event, &$event.usage);
        let buckets = &usage.buckets;
        // Nearly every provider answers with the model that was asked for: that is stored as nothing at all.
        let answered = usage.model.as_deref().map(|model| if *model == *event.model { "" } else { model });
        let arguments = &mut $arguments;
        add!(
            arguments,
            event.id.uuid(),
            event.at,
            $series,
            stored(buckets.input),
            stored(buckets.cache_read),
            stored(buckets.cache_write),
            stored(buckets.cache_write_long),
            stored(buckets.output),
            stored(buckets.reasoning),
            event.cost.nano(),
            place(&BASES, &event.basis),
            $texts.of(0, &event.price_version),
            i64::from(event.status),
            place(&OUTCOMES, &event.outcome),
            stored(event.first_byte_us),
            stored(event.total_us),
            $texts.client(event.client),
            $texts.of(1, &event.user_agent),
            i64::from(event.secret_slot),
            clean(&event.upstream_id),
            answered.map(|answered| $texts.of(2, answered)),
            usage.tier.as_deref().map(|tier| $texts.of(3, tier)),
            Extra::of(usage),
            event.held.map(Money::nano),
            (event.held.is_some() || !event.leases.is_empty()).then(|| encode_leases(&event.leases))
        );
    }};
}

/// Stores events of one day. Answers how many were new.
pub(crate) async fn insert(open: &mut Open, day: Day, events: &[(&UsageEvent, i64)]) -> Result<u64, sqlx::Error> {
    let (head, tail) = texts(day);
    let mut inserted = 0;
    let mut texts = Texts::default();
    for chunk in super::chunks(events, super::ROWS) {
        let rows = match open {
            Open::Lite(tx) => {
                let mut arguments = sqlx::sqlite::SqliteArguments::default();
                arguments.reserve(chunk.len() * COLUMNS.len(), 0);
                for (event, series) in chunk {
                    add_event!(arguments, event, *series, texts);
                }
                let sql = format!("{head}{}{tail}", super::question_marks(chunk.len(), COLUMNS.len()));
                sqlx::query_with(AssertSqlSafe(sql), arguments).execute(&mut **tx).await?.rows_affected()
            }
            Open::Pg(tx) => {
                let mut arguments = sqlx::postgres::PgArguments::default();
                arguments.reserve(chunk.len() * COLUMNS.len(), 0);
                for (event, series) in chunk {
                    add_event!(arguments, event, *series, texts);
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

fn place<T: PartialEq>(list: &[T], value: &T) -> i64 {
    list.iter().zip(0..).find(|(one, _)| *one == value).map_or(-1, |(_, index)| index)
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
