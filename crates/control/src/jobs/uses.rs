//! Writes down when tokens were last used. In between it is only in memory: no call waits for it.

use super::job::{Job, Outcome};
use crate::Control;
use keyward_store::Error;
use std::time::Duration;

/// The job.
pub(super) const JOB: Job = Job {
    name: "uses",
    every: Duration::from_secs(30),
    lease: Duration::from_secs(30),
    on_every_node: true,
    run: |control| Box::pin(run(control)),
};

async fn run(control: &Control) -> Outcome {
    flush(control).await.map(|()| "written".to_owned()).map_err(|error| error.to_string())
}

/// Writes down what is noted so far.
pub(super) async fn flush(control: &Control) -> Result<(), Error> {
    let used = control.take_uses();
    if used.is_empty() { Ok(()) } else { control.store().note_used(&used).await }
}
