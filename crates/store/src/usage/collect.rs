//! Taking over what the gateway's journal holds: events, objects and the journal's position in one transaction, so
//! that each event counts exactly once, whatever is killed when.

use super::{
    DAY, HOUR,
    day::{Day, within},
    raw,
    rollup::{self, Rollup, Totals},
    series::{self, Learned},
};
use crate::{
    Error, Store,
    ledger::{self, Booked, Overrun, Touched},
    pool::Open,
    sql::{clean, stored},
};
use keyward_domain::{
    Millis, RequestId,
    budget::Hold,
    usage::{OwnedObject, UsageEvent},
};
use rustc_hash::FxHashMap;
use sqlx::{Arguments as _, AssertSqlSafe};
use std::collections::BTreeMap;
use uuid::Uuid;

statements! {
    OBJECT = "insert into objects (provider, object, kind, project_id, key_id, credential_id, at)
        values ($1, $2, $3, $4, $5, $6, $7) on conflict (provider, object) do nothing";
    POSITION = "insert into journal_positions (stream, seq) values ($1, $2)
        on conflict (stream) do update set seq = excluded.seq where journal_positions.seq < excluded.seq";
    POSITIONS = "select stream, seq from journal_positions order by stream";
    FORGET_POSITION = "delete from journal_positions where stream = $1";
}

row! {
    /// How far a journal stream has been taken over.
    pub struct Position {
        /// The stream: one for each journal of each gateway.
        pub stream: String,
        /// The last sequence number taken over.
        pub seq: u64,
    }
}

/// What is taken over at once. 500 to 2,000 events make a good batch.
#[derive(Debug, Clone, Default)]
pub struct Batch {
    /// Calls.
    pub usage: Vec<UsageEvent>,
    /// Calls that are under way: what is held for them.
    pub holds: Vec<Hold>,
    /// Calls that began and ended within this batch, and whose holds were left out of it: nothing of them is stored.
    pub ended: Vec<RequestId>,
    /// Objects that clients made.
    pub objects: Vec<OwnedObject>,
    /// How far the journal is taken over with this batch.
    pub positions: Vec<Position>,
}

/// What a batch changed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Collected {
    /// Calls that were new.
    pub inserted: u64,
    /// Calls that were stored before and were left alone.
    pub repeated: u64,
    /// Accounts on which something was booked.
    pub touched: Vec<Touched>,
    /// Leases whose calls cost more than was left of them.
    pub overruns: Vec<Overrun>,
    /// How often a call named a lease that there is not: its cost is in the usage and on no account.
    pub unknown_leases: u64,
}

/// Events of one day with their series.
type Days<'a> = BTreeMap<Day, Vec<(&'a UsageEvent, i64)>>;

impl Store {
    /// Stores a batch, in one transaction. An event whose id is stored already changes nothing, in the raw rows and
    /// in the totals. After an error nothing was stored; the batch can be offered again.
    ///
    /// # Errors
    /// [`Error::Corrupt`], [`Error::DiskFull`], [`Error::Unreachable`]; the database's.
    pub async fn collect(&self, batch: &Batch) -> Result<Collected, Error> {
        self.condition().writable()?;
        let collected = match self.collect_once(batch).await {
            // A day table may have been dropped by another node since it was seen here: look again, once.
            Err(Error::Database { .. }) => {
                self.cache().clear();
                self.collect_once(batch).await?
            }
            done => done?,
        };
        self.condition().wrote();
        Ok(collected)
    }

    async fn collect_once(&self, batch: &Batch) -> Result<Collected, Error> {
        let quick = self.transact(batch, true).await?;
        match quick {
            Some(collected) => Ok(collected),
            None => self.transact(batch, false).await.map(Option::unwrap_or_default),
        }
    }

    /// Stores a batch. In a hurry it supposes that all events are new, and answers `None` (having changed nothing)
    /// when they are not.
    async fn transact(&self, batch: &Batch, hurry: bool) -> Result<Option<Collected>, Error> {
        let mut open = self.writer().begin().await.map_err(|error| self.failed(error, "usage"))?;
        let mut learned = Learned::default();
        let resolved = series::resolve(self, &mut open, &batch.usage, &mut learned).await?;
        let mut days = Days::new();
        for (event, series) in batch.usage.iter().zip(resolved) {
            days.entry(Day::of(event.at)).or_default().push((event, series));
        }
        let all = batch.usage.len() as u64;
        let mut inserted = 0;
        for (day, events) in &mut days {
            // HOT: in the order of their ids, which is nearly that of time, rows are put at the end of the table.
            events.sort_unstable_by_key(|(event, _)| event.id);
            raw::ensure(self, &mut open, *day, &mut learned).await?;
            if hurry {
                let new = raw::insert(&mut open, *day, events).await.map_err(|error| self.failed(error, "usage"))?;
                if new != events.len() as u64 {
                    return Ok(None);
                }
            } else {
                let mut new =
                    raw::insert_new(&mut open, *day, events).await.map_err(|error| self.failed(error, "usage"))?;
                events.retain(|(event, _)| new.remove(&event.id));
            }
            inserted += events.len() as u64;
        }
        let rest = store_rest(&mut open, batch, &days).await;
        rest.map_err(|error| self.failed(error, "usage"))?;
        // Last, since it makes other nodes wait that want a lease of the same accounts.
        let new: Vec<&UsageEvent> = days.values().flatten().map(|(event, _)| *event).collect();
        let booked = ledger::book(self, &mut open, &new, batch).await;
        let booked = booked.map_err(|error| self.failed(error, "usage on the accounts"))?;
        open.commit().await.map_err(|error| self.failed(error, "usage"))?;
        learned.teach(self);
        let Booked { touched, overruns, unknown } = booked;
        Ok(Some(Collected { inserted, repeated: all - inserted, touched, overruns, unknown_leases: unknown }))
    }

    /// How far each journal stream has been taken over.
    ///
    /// # Errors
    /// The database's.
    pub async fn journal_positions(&self) -> Result<Vec<Position>, Error> {
        read!(self, fetch_all, Position, "the journal positions", POSITIONS)
    }

    /// Forgets a stream that will never come back.
    ///
    /// # Errors
    /// The database's.
    pub async fn forget_journal(&self, stream: &str) -> Result<(), Error> {
        self.condition().writable()?;
        let done = on!(self.writer(), pool => sqlx::query(FORGET_POSITION).bind(stream).execute(pool).await.map(drop));
        done.map_err(|error| self.failed(error, "a journal position"))
    }

    /// Takes note of when records (tokens, say) were used.
    ///
    /// # Errors
    /// The database's.
    pub async fn note_used(&self, used: &[(Uuid, Millis)]) -> Result<(), Error> {
        self.condition().writable()?;
        let mut latest = BTreeMap::new();
        used.iter().for_each(|(subject, at)| later(&mut latest, *subject, *at));
        let mut open = self.writer().begin().await.map_err(|error| self.failed(error, "a use"))?;
        let done = upsert_used(&mut open, latest).await;
        done.map_err(|error| self.failed(error, "a use"))?;
        open.commit().await.map_err(|error| self.failed(error, "a use"))
    }
}

/// Everything but the raw rows: totals, times of last use, objects and positions.
async fn store_rest(open: &mut Open, batch: &Batch, days: &Days<'_>) -> Result<(), sqlx::Error> {
    let mut hours = Rollup::default();
    let mut dimensions = FxHashMap::default();
    for (event, series) in days.values().flatten() {
        let at = within(event.at);
        hours.add(at - at % HOUR, *series, &Totals::of(event), at);
        dimensions.entry(*series).or_insert((event.key, event.credential));
    }
    let mut used = BTreeMap::new();
    for (series, at) in hours.last() {
        if let Some((key, credential)) = dimensions.get(&series) {
            later(&mut used, key.uuid(), at);
            later(&mut used, credential.uuid(), at);
        }
    }
    let daily = hours.widened(DAY);
    upsert_totals(open, "usage_hourly", hours).await?;
    upsert_totals(open, "usage_daily", daily).await?;
    upsert_used(open, used).await?;
    macro_rules! rest {
        ($tx:expr) => {{
            for object in &batch.objects {
                sqlx::query(OBJECT)
                    .bind(clean(&object.provider))
                    .bind(clean(&object.object))
                    .bind(clean(&object.kind))
                    .bind(object.project.uuid())
                    .bind(object.key.uuid())
                    .bind(object.credential.uuid())
                    .bind(object.at)
                    .execute(&mut **$tx)
                    .await?;
            }
            for position in &batch.positions {
                let seq = stored(position.seq);
                sqlx::query(POSITION).bind(position.stream.as_str()).bind(seq).execute(&mut **$tx).await?;
            }
        }};
    }
    match open {
        Open::Lite(tx) => rest!(tx),
        Open::Pg(tx) => rest!(tx),
    }
    Ok(())
}

fn later(used: &mut BTreeMap<Uuid, Millis>, subject: Uuid, at: Millis) {
    used.entry(subject).and_modify(|known| *known = at.max(*known)).or_insert(at);
}

async fn upsert_totals(open: &mut Open, table: &'static str, rollup: Rollup) -> Result<(), sqlx::Error> {
    let rows = rollup.rows();
    let columns = rollup::CELLS + 2;
    for chunk in super::chunks(&rows, super::ROWS) {
        macro_rules! upsert {
            ($tx:expr, $arguments:ty, $values:expr, $least:literal) => {{
                let mut arguments = <$arguments>::default();
                for (bucket, series, totals) in chunk {
                    for cell in [*bucket, *series].into_iter().chain(totals.cells()) {
                        arguments.add(cell).map_err(sqlx::Error::Encode)?;
                    }
                }
                let sql = AssertSqlSafe(rollup::upsert(table, $least, &$values(chunk.len(), columns)));
                sqlx::query_with(sql, arguments).execute(&mut **$tx).await?;
            }};
        }
        match open {
            Open::Lite(tx) => upsert!(tx, sqlx::sqlite::SqliteArguments, super::question_marks, "min"),
            Open::Pg(tx) => upsert!(tx, sqlx::postgres::PgArguments, super::numbered, "least"),
        }
    }
    Ok(())
}

async fn upsert_used(open: &mut Open, used: BTreeMap<Uuid, Millis>) -> Result<(), sqlx::Error> {
    let rows: Vec<(Uuid, Millis)> = used.into_iter().collect();
    for chunk in super::chunks(&rows, super::ROWS) {
        macro_rules! upsert {
            ($tx:expr, $arguments:ty, $values:expr) => {{
                let mut arguments = <$arguments>::default();
                for (subject, at) in chunk {
                    arguments.add(*subject).map_err(sqlx::Error::Encode)?;
                    arguments.add(*at).map_err(sqlx::Error::Encode)?;
                }
                let sql = format!(
                    "insert into last_used (subject, at) values {} on conflict (subject) do update
                     set at = excluded.at where last_used.at < excluded.at",
                    $values(chunk.len(), 2)
                );
                sqlx::query_with(AssertSqlSafe(sql), arguments).execute(&mut **$tx).await?;
            }};
        }
        match open {
            Open::Lite(tx) => upsert!(tx, sqlx::sqlite::SqliteArguments, super::question_marks),
            Open::Pg(tx) => upsert!(tx, sqlx::postgres::PgArguments, super::numbered),
        }
    }
    Ok(())
}
