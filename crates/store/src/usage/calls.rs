//! Reading single calls back: for people who look at one key, never for the path of a call.

use super::{
    day::Day,
    detail,
    raw::{COLUMNS, DayRow, names},
};
use crate::{Error, Store, ledger::decode_leases};
use keyward_domain::{CredentialId, KeyId, Money, ProjectId, RequestId, usage::UsageEvent};
use sqlx::{AssertSqlSafe, Row as _};
use std::sync::Arc;
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
                let text = |index: usize| row.try_get::<&str, _>(index).map(Arc::<str>::from);
                let model = text(SERIES + 4)?;
                let detail = detail::decode(row.try_get(4)?, &model).ok_or_else(|| unknown("detail"))?;
                let event = UsageEvent {
                    id: RequestId::from_uuid(row.try_get(0)?),
                    at: row.try_get(1)?,
                    cost: Money::from_nano(row.try_get(3)?),
                    basis: detail.basis,
                    price_version: detail.price_version,
                    status: detail.status,
                    outcome: detail.outcome,
                    first_byte_us: detail.first_byte_us,
                    total_us: detail.total_us,
                    client: detail.client,
                    user_agent: detail.user_agent,
                    secret_slot: detail.secret_slot,
                    upstream_id: detail.upstream_id,
                    usage: detail.usage,
                    project: ProjectId::from_uuid(row.try_get(SERIES)?),
                    environment: row.try_get::<&str, _>(SERIES + 1)?.parse().map_err(|_| unknown("environment"))?,
                    key: KeyId::from_uuid(row.try_get(SERIES + 2)?),
                    provider: text(SERIES + 3)?,
                    model,
                    operation: text(SERIES + 5)?,
                    credential: CredentialId::from_uuid(row.try_get(SERIES + 6)?),
                    held: detail.held,
                    leases: match row.try_get::<Option<&[u8]>, _>(5)? {
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
