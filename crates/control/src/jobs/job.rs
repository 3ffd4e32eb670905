//! What a job is, and how it is run: now and then, by one node at a time, with its outcome written down.

use crate::Control;
use keyward_domain::Millis;
use std::{future::Future, pin::Pin, time::Duration};

/// How a job went: a few words for the record, or what went wrong.
pub(super) type Outcome = Result<String, String>;

/// How soon to look again while another node has the job: it may have died.
const ANOTHER: Duration = Duration::from_secs(30);

type Running<'a> = Pin<Box<dyn Future<Output = Outcome> + Send + 'a>>;

/// A background job.
pub(super) struct Job {
    /// Its name in the record of jobs.
    pub name: &'static str,
    /// How often it runs.
    pub every: Duration,
    /// How long it may go without a sign of life before another node takes over.
    pub lease: Duration,
    /// Whether every node runs it, because it is about the node itself.
    pub on_every_node: bool,
    /// Runs it once.
    pub run: for<'a> fn(&'a Control) -> Running<'a>,
}

fn millis(duration: Duration) -> Millis {
    Millis::try_from(duration.as_millis()).unwrap_or(Millis::MAX)
}

impl Job {
    /// Runs the job until the server stops.
    pub(super) async fn run_for_ever(self, control: Control) {
        if let Err(error) = self.take_over(&control).await {
            tracing::warn!(job = self.name, %error, "the record of jobs cannot be reached");
        }
        loop {
            let next = if self.on_every_node {
                self.report(&(self.run)(&control).await);
                self.every
            } else {
                match self.run_alone(&control).await {
                    Ok(true) => self.every,
                    Ok(false) => self.every.min(ANOTHER),
                    Err(error) => {
                        tracing::warn!(job = self.name, %error, "the record of jobs cannot be reached");
                        self.every.min(ANOTHER)
                    }
                }
            };
            self.wait(&control, next).await;
        }
    }

    /// Ends the run of an earlier process that was killed, where no other node can be alive: its hold on the job would
    /// otherwise have to run out first.
    async fn take_over(&self, control: &Control) -> Result<(), keyward_store::Error> {
        if !control.node().is_some_and(|node| node.alone) {
            return Ok(());
        }
        let Some(row) = control.store().job(self.name).await? else { return Ok(()) };
        if let Some(owner) = row.owner.filter(|owner| *owner != control.settings().node) {
            let (now, state) = (control.now(), row.state.as_deref());
            control.store().finish_job(self.name, &owner, now, "ended with its process", state).await?;
        }
        Ok(())
    }

    /// Runs it unless another node does; whether it was run.
    async fn run_alone(&self, control: &Control) -> Result<bool, keyward_store::Error> {
        let (store, node) = (control.store(), control.settings().node.as_str());
        let now = control.now();
        if !store.claim_job(self.name, node, now.saturating_add(millis(self.lease)), now).await? {
            return Ok(false);
        }
        let outcome = (self.run)(control).await;
        self.report(&outcome);
        let words = match &outcome {
            Ok(words) | Err(words) => words.as_str(),
        };
        store.finish_job(self.name, node, control.now(), words, None).await?;
        Ok(true)
    }

    fn report(&self, outcome: &Outcome) {
        match outcome {
            Ok(words) => tracing::debug!(job = self.name, outcome = words, "job done"),
            Err(error) => tracing::error!(job = self.name, error, "job failed"),
        }
    }

    /// Waits for the next time; a rotation wakes the rewrap.
    async fn wait(&self, control: &Control, next: Duration) {
        let next = tokio::time::sleep(next);
        if self.name == super::rewrap::NAME {
            tokio::select! {
                () = next => (),
                () = control.rewrap_wanted().notified() => (),
            }
        } else {
            next.await;
        }
    }
}
