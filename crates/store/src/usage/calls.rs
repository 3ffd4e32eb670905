//! Reading single calls back: for people who look at one key, never for the path of a call.

use super::{
    day::Day,
    raw::{BASES, COLUMNS, DayRow, Extra, OUTCOMES, names},
};
use crate::{Error, Store, ledger::decode_leases};
use keyward_domain::{
    CredentialId, KeyId, Money, ProjectId, RequestId,
    usage::{Buckets, Usage, UsageEvent},
};
use sqlx::{AssertSqlSafe, Row as _};
use uuid::Uuid;

statements! {
    DAYS_OF_KEY = "select day from usage_days where day in
        (select u.bucket from usage_daily u join usage_series s on s.id = u.series where s.key_id = $1)
        order by day desc";
}

/// Where the columns of the series begin, after those of the row.
const SERIES: usize = COLUMNS.len();

struct RawRow {
    event: UsageEvent,
}

macro_rules! raw_from_row {
    ($row:ty) => {
        impl sqlx::FromRow<'_, $row> for RawRow {
            fn from_row(row: &$row) -> Result<Self, sqlx::Error> {
                let unknown = |field: &'static str| sqlx::Error::Decode(format!("unknown form of {field}").into());
                let tokens =
                    |index: usize| row.try_get::<i64, _>(index).map(|tokens| u64::try_from(tokens).unwrap_or(0));
                let text = |index: usize| row.try_get::<String, _>(index).map(String::into_boxed_str);
                let maybe =
                    |index: usize| row.try_get::<Option<String>, _>(index).map(|text| text.map(String::into_boxed_str));
                let extra: Extra = match row.try_get::<Option<&str>, _>(22)? {
                    None => Extra::default(),
                    Some(json) => serde_json::from_str(json).map_err(|_| unknown("extra"))?,
                };
                let model = text(SERIES + 4)?;
                let answered = maybe(20)?.map(|answered| if answered.is_empty() { model.clone() } else { answered });
                let buckets = Buckets {
                    input: tokens(3)?,
                    cache_read: tokens(4)?,
                    cache_write: tokens(5)?,
                    cache_write_long: tokens(6)?,
                    output: tokens(7)?,
                    reasoning: tokens(8)?,
                    audio_input: extra.audio_input,
                    audio_output: extra.audio_output,
                    image_input: extra.image_input,
                    image_output: extra.image_output,
                };
                let event = UsageEvent {
                    id: RequestId::from_uuid(row.try_get(0)?),
                    at: row.try_get(1)?,
                    cost: Money::from_nano(row.try_get(9)?),
                    basis: at_place(&BASES, row.try_get(10)?).ok_or_else(|| unknown("basis"))?,
                    price_version: text(11)?,
                    status: u16::try_from(row.try_get::<i64, _>(12)?).map_err(|_| unknown("status"))?,
                    outcome: at_place(&OUTCOMES, row.try_get(13)?).ok_or_else(|| unknown("outcome"))?,
                    first_byte_us: tokens(14)?,
                    total_us: tokens(15)?,
                    client: row.try_get::<&str, _>(16)?.parse().map_err(|_| unknown("client"))?,
                    user_agent: text(17)?,
                    secret_slot: u8::try_from(row.try_get::<i64, _>(18)?).map_err(|_| unknown("secret_slot"))?,
                    upstream_id: text(19)?,
                    usage: Usage {
                        buckets,
                        units: extra.units,
                        provider_cost: extra.provider_cost,
                        tier: maybe(21)?,
                        model: answered,
                        region: extra.region,
                    },
                    project: ProjectId::from_uuid(row.try_get(SERIES)?),
                    environment: row.try_get::<&str, _>(SERIES + 1)?.parse().map_err(|_| unknown("environment"))?,
                    key: KeyId::from_uuid(row.try_get(SERIES + 2)?),
                    provider: text(SERIES + 3)?,
                    model,
                    operation: text(SERIES + 5)?,
                    credential: CredentialId::from_uuid(row.try_get(SERIES + 6)?),
                    held: row.try_get::<Option<i64>, _>(23)?.map(Money::from_nano),
                    leases: match row.try_get::<Option<&[u8]>, _>(24)? {
                        None => Vec::new(),
                        Some(leases) => decode_leases(leases).ok_or_else(|| unknown("leases"))?,
                    },
                };
                Ok(Self { event })
            }
        }
    };
}
raw_from_row!(sqlx::sqlite::SqliteRow);
raw_from_row!(sqlx::postgres::PgRow);

impl Store {
    /// Single calls of a key, newest first, before a given one. Looks through the days on which the key was used: for
    /// people, never for a call's path.
    ///
    /// # Errors
    /// The database's.
    pub async fn calls_of_key(
        &self,
        key: KeyId,
        before: Option<RequestId>,
        limit: u32,
    ) -> Result<Vec<UsageEvent>, Error> {
        let mut calls = Vec::new();
        let before = before.map_or(Uuid::max(), RequestId::uuid);
        for DayRow { day } in read!(self, fetch_all, DayRow, "the usage days", DAYS_OF_KEY, key.uuid())? {
            let wanted = i64::from(limit) - i64::try_from(calls.len()).unwrap_or(i64::MAX);
            if wanted <= 0 {
                break;
            }
            let rows = self.calls_on(Day::of(day), key, before, wanted).await?;
            calls.extend(rows.into_iter().map(|row| row.event));
        }
        Ok(calls)
    }

    async fn calls_on(&self, day: Day, key: KeyId, before: Uuid, limit: i64) -> Result<Vec<RawRow>, Error> {
        // INVARIANT: only the eight digits of the day vary. `cross join` keeps SQLite from turning the order of the
        // tables around, which would read the day once for each series.
        let sql = format!(
            "select {}, s.project_id, s.environment, s.key_id, s.provider, s.model, s.operation, s.credential_id
             from {} r cross join usage_series s
             where s.id = r.series and r.series in (select id from usage_series where key_id = $1) and r.id < $2
             order by r.id desc limit $3",
            names("r.").join(", "),
            day.table()
        );
        let rows = on!(self.readers(), pool => sqlx::query_as::<_, RawRow>(AssertSqlSafe(sql))
            .bind(key.uuid()).bind(before).bind(limit).fetch_all(pool).await);
        rows.map_err(|error| self.failed(error, "the calls of a key"))
    }
}

fn at_place<T: Copy>(list: &[T], index: i64) -> Option<T> {
    usize::try_from(index).ok().and_then(|index| list.get(index)).copied()
}
