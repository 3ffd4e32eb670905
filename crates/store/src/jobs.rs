//! Background jobs: who runs which, until when, and how it went. Bookkeeping of the server itself, so without audit;
//! what a job changes goes through a [`crate::Write`] like everything else.

use crate::{Error, Store};
use keyward_domain::Millis;

statements! {
    JOBS = "select name, owner, lease_until, started_at, finished_at, outcome, state from jobs order by name";
    JOB = "select name, owner, lease_until, started_at, finished_at, outcome, state from jobs where name = $1";
    CLAIM = "insert into jobs (name, owner, lease_until, started_at) values ($1, $2, $3, $4)
        on conflict (name) do update
        set owner = excluded.owner, lease_until = excluded.lease_until, started_at = excluded.started_at
        where jobs.lease_until <= excluded.started_at or jobs.owner = excluded.owner";
    FINISH = "update jobs set owner = null, lease_until = 0, finished_at = $3, outcome = $4, state = $5
        where name = $1 and owner = $2";
    SAVE = "update jobs set state = $4, lease_until = $3 where name = $1 and owner = $2";
}

row! {
    /// A background job.
    pub struct JobRow {
        /// Its name.
        pub name: String,
        /// The node that runs it now.
        pub owner: Option<String>,
        /// Until when the node may run it without saying more; 0 when nobody does.
        pub lease_until: Millis,
        /// When it last began.
        pub started_at: Option<Millis>,
        /// When it last ended.
        pub finished_at: Option<Millis>,
        /// How it ended, in words.
        pub outcome: Option<String>,
        /// Where it stands, in its own form, so that it can go on after a restart.
        pub state: Option<String>,
    }
}

impl Store {
    /// All jobs that ever ran.
    ///
    /// # Errors
    /// The database's.
    pub async fn jobs(&self) -> Result<Vec<JobRow>, Error> {
        read!(self, fetch_all, JobRow, "the jobs", JOBS)
    }

    /// A job by name.
    ///
    /// # Errors
    /// The database's.
    pub async fn job(&self, name: &str) -> Result<Option<JobRow>, Error> {
        read!(self, fetch_optional, JobRow, "a job", JOB, name)
    }

    /// Takes a job for a node until a moment, when nobody else holds it. Answers whether it is ours.
    ///
    /// # Errors
    /// The database's.
    pub async fn claim_job(&self, name: &str, owner: &str, until: Millis, now: Millis) -> Result<bool, Error> {
        self.note_job(|| async {
            on!(self.writer(), pool => sqlx::query(CLAIM).bind(name).bind(owner).bind(until).bind(now)
                .execute(pool).await.map(|done| done.rows_affected()))
        })
        .await
    }

    /// Saves where a running job stands and holds it until a later moment. Answers whether it was still ours.
    ///
    /// # Errors
    /// The database's.
    pub async fn save_job(&self, name: &str, owner: &str, until: Millis, state: Option<&str>) -> Result<bool, Error> {
        self.note_job(|| async {
            on!(self.writer(), pool => sqlx::query(SAVE).bind(name).bind(owner).bind(until).bind(state)
                .execute(pool).await.map(|done| done.rows_affected()))
        })
        .await
    }

    /// Ends a job. Answers whether it was still ours.
    ///
    /// # Errors
    /// The database's.
    pub async fn finish_job(
        &self,
        name: &str,
        owner: &str,
        now: Millis,
        outcome: &str,
        state: Option<&str>,
    ) -> Result<bool, Error> {
        self.note_job(|| async {
            on!(self.writer(), pool => sqlx::query(FINISH).bind(name).bind(owner).bind(now).bind(outcome).bind(state)
                .execute(pool).await.map(|done| done.rows_affected()))
        })
        .await
    }

    async fn note_job<F>(&self, run: impl FnOnce() -> F) -> Result<bool, Error>
    where
        F: Future<Output = Result<u64, sqlx::Error>>,
    {
        self.condition().writable()?;
        let rows = run().await.map_err(|error| self.failed(error, "a job"))?;
        Ok(rows > 0)
    }
}
