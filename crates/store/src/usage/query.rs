//! Questions about usage, answered from the rollups: whole days from the daily one, what is left at the ends from the
//! hourly one. Bounds are rounded outward to full hours.

use super::{
    DAY, HOUR,
    rollup::{self, CELLS, Totals},
};
use crate::{Error, Store};
use keyward_domain::{CredentialId, Environment, KeyId, Millis, ProjectId};
use sqlx::{AssertSqlSafe, Row as _};
use std::collections::HashMap;
use uuid::Uuid;

/// What usage is grouped by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GroupBy {
    /// Virtual key.
    Key,
    /// Provider and model.
    Model,
    /// Project.
    Project,
    /// UTC day.
    Day,
    /// Credential.
    Credential,
    /// Operation.
    Operation,
}

impl GroupBy {
    /// All of them.
    pub const ALL: [Self; 6] = [Self::Key, Self::Model, Self::Project, Self::Day, Self::Credential, Self::Operation];

    /// The four cells of the group in the answer (an id, two texts, a moment), and what to group by.
    const fn columns(self) -> (&'static str, &'static str) {
        match self {
            Self::Key => ("s.key_id, '', '', cast(0 as bigint)", "s.key_id"),
            Self::Model => ("null, s.provider, s.model, cast(0 as bigint)", "s.provider, s.model"),
            Self::Project => ("s.project_id, '', '', cast(0 as bigint)", "s.project_id"),
            Self::Day => ("null, '', '', u.bucket - u.bucket % 86400000", "u.bucket - u.bucket % 86400000"),
            Self::Credential => ("s.credential_id, '', '', cast(0 as bigint)", "s.credential_id"),
            Self::Operation => ("null, '', s.operation, cast(0 as bigint)", "s.operation"),
        }
    }
}

/// Which calls count. All that is given must hold.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct UsageFilter {
    /// The project.
    pub project: Option<ProjectId>,
    /// The environment.
    pub environment: Option<Environment>,
    /// The key.
    pub key: Option<KeyId>,
    /// The credential.
    pub credential: Option<CredentialId>,
    /// The provider's id.
    pub provider: Option<String>,
    /// The model asked for.
    pub model: Option<String>,
    /// The operation.
    pub operation: Option<String>,
}

/// A question about usage.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UsageQuery {
    /// What to group by.
    pub by: GroupBy,
    /// The first moment, rounded down to the hour.
    pub since: Millis,
    /// The first moment that no longer counts, rounded up to the hour.
    pub until: Millis,
    /// Which calls count.
    pub filter: UsageFilter,
}

/// What a line of the answer is about.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Group {
    /// A virtual key.
    Key(KeyId),
    /// A provider's model.
    Model {
        /// The provider's id.
        provider: String,
        /// The model asked for.
        model: String,
    },
    /// A project.
    Project(ProjectId),
    /// A UTC day, by its midnight.
    Day(Millis),
    /// A credential.
    Credential(CredentialId),
    /// An operation.
    Operation(String),
}

/// One line of the answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UsageLine {
    /// What it is about.
    pub group: Group,
    /// The sums.
    pub totals: Totals,
}

struct LineRow {
    id: Option<Uuid>,
    provider: String,
    name: String,
    day: Millis,
    cells: [i64; CELLS],
}

macro_rules! line_from_row {
    ($row:ty) => {
        impl sqlx::FromRow<'_, $row> for LineRow {
            fn from_row(row: &$row) -> Result<Self, sqlx::Error> {
                let mut cells = [0; CELLS];
                for (index, cell) in cells.iter_mut().enumerate() {
                    *cell = row.try_get(index + 4)?;
                }
                Ok(Self {
                    id: row.try_get(0)?,
                    provider: row.try_get(1)?,
                    name: row.try_get(2)?,
                    day: row.try_get(3)?,
                    cells,
                })
            }
        }
    };
}
line_from_row!(sqlx::sqlite::SqliteRow);
line_from_row!(sqlx::postgres::PgRow);

/// The statement for a grouping. Made of constants only.
pub(crate) fn statement(by: GroupBy) -> String {
    let (cells, group) = by.columns();
    let sums: Vec<String> = rollup::COLUMNS.iter().map(|column| format!("cast(sum(u.{column}) as bigint)")).collect();
    let columns = rollup::COLUMNS.join(", ");
    format!(
        "select {cells}, {} from (
            select bucket, series, {columns} from usage_daily where bucket >= $3 and bucket < $4
            union all
            select bucket, series, {columns} from usage_hourly
            where (bucket >= $1 and bucket < $3) or (bucket >= $4 and bucket < $2)
        ) u join usage_series s on s.id = u.series
        where (s.project_id = $5 or $5 is null) and (s.environment = $6 or $6 is null)
        and (s.key_id = $7 or $7 is null) and (s.credential_id = $8 or $8 is null)
        and (s.provider = $9 or $9 is null) and (s.model = $10 or $10 is null)
        and (s.operation = $11 or $11 is null)
        group by {group}",
        sums.join(", ")
    )
}

/// The range in four moments: its two ends on full hours, and the whole days inside.
fn split(since: Millis, until: Millis) -> [Millis; 4] {
    let since = since.clamp(0, i64::MAX / 2);
    let until = until.clamp(since, i64::MAX / 2);
    let first = since - since % HOUR;
    let last = until + (HOUR - until % HOUR) % HOUR;
    let first_day = first + (DAY - first % DAY) % DAY;
    let last_day = last - last % DAY;
    if first_day <= last_day { [first, last, first_day, last_day] } else { [first, last, last, last] }
}

impl Store {
    /// Sums over calls, dearest first (days in their order).
    ///
    /// # Errors
    /// The database's.
    pub async fn usage(&self, query: &UsageQuery) -> Result<Vec<UsageLine>, Error> {
        let [first, last, first_day, last_day] = split(query.since, query.until);
        let filter = &query.filter;
        let sql = AssertSqlSafe(statement(query.by));
        let rows = on!(self.readers(), pool => sqlx::query_as::<_, LineRow>(sql)
            .bind(first)
            .bind(last)
            .bind(first_day)
            .bind(last_day)
            .bind(filter.project.map(ProjectId::uuid))
            .bind(filter.environment.map(Environment::name))
            .bind(filter.key.map(KeyId::uuid))
            .bind(filter.credential.map(CredentialId::uuid))
            .bind(filter.provider.as_deref())
            .bind(filter.model.as_deref())
            .bind(filter.operation.as_deref())
            .fetch_all(pool)
            .await);
        let rows = rows.map_err(|error| self.failed(error, "usage"))?;
        let mut lines = rows.into_iter().map(|row| line(query.by, row)).collect::<Result<Vec<_>, _>>()?;
        lines.sort_by(|a, b| match (&a.group, &b.group) {
            (Group::Day(a), Group::Day(b)) => a.cmp(b),
            _ => b.totals.cost.cmp(&a.totals.cost).then_with(|| a.group.cmp(&b.group)),
        });
        Ok(lines)
    }

    /// When records (keys, credentials, tokens) were last used. Those never used are left out.
    ///
    /// # Errors
    /// The database's.
    pub async fn last_used(&self, subjects: &[Uuid]) -> Result<HashMap<Uuid, Millis>, Error> {
        let mut found = HashMap::with_capacity(subjects.len());
        for chunk in super::chunks(subjects, super::ROWS) {
            // INVARIANT: only the number of parameters varies.
            let sql = format!("select subject, at from last_used where subject in {}", super::numbered(1, chunk.len()));
            let rows: Result<Vec<(Uuid, Millis)>, _> = on!(self.readers(), pool => {
                let query = sqlx::query_as(AssertSqlSafe(sql));
                chunk.iter().fold(query, |query, subject| query.bind(*subject)).fetch_all(pool).await
            });
            found.extend(rows.map_err(|error| self.failed(error, "the last uses"))?);
        }
        Ok(found)
    }
}

fn line(by: GroupBy, row: LineRow) -> Result<UsageLine, Error> {
    let id = || row.id.ok_or_else(|| Error::BadRow { detail: "a usage line without its id".to_owned() });
    let group = match by {
        GroupBy::Key => Group::Key(KeyId::from_uuid(id()?)),
        GroupBy::Project => Group::Project(ProjectId::from_uuid(id()?)),
        GroupBy::Credential => Group::Credential(CredentialId::from_uuid(id()?)),
        GroupBy::Day => Group::Day(row.day),
        GroupBy::Model => Group::Model { provider: row.provider, model: row.name },
        GroupBy::Operation => Group::Operation(row.name),
    };
    Ok(UsageLine { group, totals: Totals::from_cells(row.cells) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_split_into_hours_and_days() {
        const H: i64 = HOUR;
        const D: i64 = DAY;
        for (since, until, expected) in [
            (0, 2 * D, [0, 2 * D, 0, 2 * D]),
            (H + 1, 3 * D + H / 2, [H, 3 * D + H, D, 3 * D]),
            (H, 2 * H, [H, 2 * H, 2 * H, 2 * H]),
            (23 * H, D + H, [23 * H, D + H, D, D]),
            (5, 5, [0, H, 0, 0]),
            (10 * D, 0, [10 * D, 10 * D, 10 * D, 10 * D]),
        ] {
            assert_eq!(split(since, until), expected, "{since}..{until}");
        }
    }
}
