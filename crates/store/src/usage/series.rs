//! Series: the numbers that stand for combinations of key, project, environment, provider, model, operation and
//! credential. Rows of usage name a series, so they stay small; the numbers that were seen are remembered.

use super::day::Day;
use crate::{Error, Store, pool::Open, sql::clean};
use keyward_domain::{CredentialId, Environment, KeyId, ProjectId, usage::UsageEvent};
use rustc_hash::FxHashMap;
use std::collections::HashSet;

statements! {
    INSERT = "insert into usage_series (project_id, environment, key_id, provider, model, operation, credential_id)
        values ($1, $2, $3, $4, $5, $6, $7) on conflict do nothing";
    FIND = "select id from usage_series where project_id = $1 and environment = $2 and key_id = $3 and provider = $4
        and model = $5 and operation = $6 and credential_id = $7";
}

/// More than this many series are not remembered: a gigabyte of names is no cache.
const REMEMBERED: usize = 200_000;

/// One combination of dimensions.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Series {
    key: KeyId,
    credential: CredentialId,
    project: ProjectId,
    environment: Environment,
    provider: Box<str>,
    model: Box<str>,
    operation: Box<str>,
}

impl Series {
    fn of(event: &UsageEvent) -> Self {
        Self {
            key: event.key,
            credential: event.credential,
            project: event.project,
            environment: event.environment,
            provider: clean(&event.provider).into(),
            model: clean(&event.model).into(),
            operation: clean(&event.operation).into(),
        }
    }

    fn is_of(&self, event: &UsageEvent) -> bool {
        self.project == event.project
            && self.environment == event.environment
            && *self.model == *clean(&event.model)
            && *self.operation == *clean(&event.operation)
            && *self.provider == *clean(&event.provider)
    }
}

/// The series and the day tables known to exist. Filled only from what was committed.
#[derive(Debug, Default)]
pub(crate) struct SeriesCache {
    // HOT: looked up for each call. Ids are made here, so nobody can choose them to collide.
    known: FxHashMap<(KeyId, CredentialId), Vec<(Series, i64)>>,
    count: usize,
    days: HashSet<Day>,
}

impl SeriesCache {
    fn find(&self, event: &UsageEvent) -> Option<i64> {
        let known = self.known.get(&(event.key, event.credential))?;
        known.iter().find(|(series, _)| series.is_of(event)).map(|(_, id)| *id)
    }

    fn remember(&mut self, series: Series, id: i64) {
        if self.count >= REMEMBERED {
            self.known.clear();
            self.count = 0;
        }
        self.count += 1;
        self.known.entry((series.key, series.credential)).or_default().push((series, id));
    }

    pub(crate) fn knows_day(&self, day: Day) -> bool {
        self.days.contains(&day)
    }

    /// Forgets everything: after a restore, or when a table turned out to be gone.
    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }
}

/// What a transaction found out and the cache may learn once it is committed.
#[derive(Debug, Default)]
pub(crate) struct Learned {
    series: Vec<(Series, i64)>,
    days: Vec<Day>,
}

impl Learned {
    pub(crate) fn day(&mut self, day: Day) {
        self.days.push(day);
    }

    pub(crate) fn teach(self, store: &Store) {
        let mut cache = store.cache();
        for (series, id) in self.series {
            cache.remember(series, id);
        }
        cache.days.extend(self.days);
    }
}

/// The series of every event, in their order. Those not known yet are looked up or made within the transaction.
pub(crate) async fn resolve(
    store: &Store,
    open: &mut Open,
    events: &[UsageEvent],
    learned: &mut Learned,
) -> Result<Vec<i64>, Error> {
    let known: Vec<Option<i64>> = {
        let cache = store.cache();
        events.iter().map(|event| cache.find(event)).collect()
    };
    let mut missing: Vec<Series> =
        events.iter().zip(&known).filter(|(_, id)| id.is_none()).map(|(event, _)| Series::of(event)).collect();
    if missing.is_empty() {
        return Ok(known.into_iter().flatten().collect());
    }
    // The same order on every node, so that two nodes with the same news do not block each other.
    missing.sort_unstable();
    missing.dedup();
    let mut fresh = SeriesCache::default();
    for series in missing {
        let id = number(store, open, &series).await?;
        fresh.remember(series.clone(), id);
        learned.series.push((series, id));
    }
    let resolved: Option<Vec<i64>> =
        known.into_iter().zip(events).map(|(id, event)| id.or_else(|| fresh.find(event))).collect();
    resolved.ok_or_else(|| Error::BadRow { detail: "a usage series was not found again".to_owned() })
}

/// The number of a series: an existing one, or a new one.
async fn number(store: &Store, open: &mut Open, series: &Series) -> Result<i64, Error> {
    macro_rules! number {
        ($tx:expr) => {{
            macro_rules! bound {
                ($query:expr) => {
                    $query
                        .bind(series.project.uuid())
                        .bind(series.environment.name())
                        .bind(series.key.uuid())
                        .bind(&*series.provider)
                        .bind(&*series.model)
                        .bind(&*series.operation)
                        .bind(series.credential.uuid())
                };
            }
            match bound!(sqlx::query(INSERT)).execute(&mut **$tx).await {
                Ok(_) => bound!(sqlx::query_scalar(FIND)).fetch_one(&mut **$tx).await,
                Err(error) => Err(error),
            }
        }};
    }
    let id: Result<i64, sqlx::Error> = match open {
        Open::Lite(tx) => number!(tx),
        Open::Pg(tx) => number!(tx),
    };
    id.map_err(|error| store.failed(error, "a usage series"))
}
