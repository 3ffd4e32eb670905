//! The jobs that run beside the API, each with its own file. One node at a time runs a job; whoever dies loses it after
//! a while to another.

mod credentials;
pub(crate) mod integrity;
mod job;
mod leaks;
mod retention;
mod rewrap;
mod seen;
mod uses;

use crate::{Control, follow};
use job::Job;
use std::time::Duration;
use tokio::task::JoinSet;

/// All jobs.
const JOBS: [Job; 7] =
    [leaks::JOB, rewrap::JOB, retention::JOB, integrity::JOB, credentials::JOB, uses::JOB, seen::JOB];

impl Control {
    /// Starts the jobs and the following of other nodes' changes. They end when the set is dropped.
    pub fn start_jobs(&self) -> JoinSet<()> {
        let mut running = JoinSet::new();
        running.spawn(follow::run(self.clone()));
        for job in JOBS {
            running.spawn(job.run_for_ever(self.clone()));
        }
        running
    }

    /// Writes down what is only in memory; at the end.
    ///
    /// # Errors
    /// The database's.
    pub async fn flush(&self) -> Result<(), keyward_store::Error> {
        uses::flush(self).await
    }
}

/// A minute.
const MINUTE: Duration = Duration::from_secs(60);
