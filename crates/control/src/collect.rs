//! Takes over what the gateway reports: calls and objects go to the store, together with how far the journal was read;
//! what it saw of credentials' health is stored and told back to the gateway's routes.

use crate::{
    Control,
    health::{self, Finder},
    thresholds::Crossed,
};
use keyward_domain::{
    CredentialId, RequestId,
    usage::{CredentialReport, GatewayEvent},
};
use keyward_store::{Batch as Stored, Collected, Error, Overrun, Position};
use std::collections::HashMap;

/// What was read from the journal at once, sorted.
#[derive(Debug, Default)]
pub struct Batch {
    stored: Stored,
    reports: HashMap<CredentialId, CredentialReport>,
}

impl Batch {
    /// Sorts events, given in their order, together with how far each stream was read: its id and the last sequence
    /// number.
    #[must_use]
    pub fn new(
        events: impl IntoIterator<Item = GatewayEvent>,
        positions: impl IntoIterator<Item = (u64, u64)>,
    ) -> Self {
        let mut batch = Self::default();
        let events = events.into_iter();
        // HOT: nearly all are calls, and making room bit by bit would copy each of them once more.
        batch.stored.usage.reserve(events.size_hint().0);
        for event in events {
            match event {
                GatewayEvent::Usage(event) => batch.stored.usage.push(*event),
                GatewayEvent::Hold(hold) => batch.stored.holds.push(*hold),
                GatewayEvent::Object(object) => batch.stored.objects.push(object),
                // The last word on a credential counts.
                GatewayEvent::Credential(report) => {
                    batch.reports.insert(report.credential, report);
                }
            }
        }
        batch.stored.positions =
            positions.into_iter().map(|(stream, seq)| Position { stream: stream_name(stream), seq }).collect();
        batch
    }
}

impl Batch {
    /// Names the calls of the batch whose holds were left out of it.
    #[must_use]
    pub fn without_holds_of(mut self, calls: Vec<RequestId>) -> Self {
        self.stored.ended = calls;
        self
    }
}

/// What a batch changed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Taken {
    /// In the database.
    pub collected: Collected,
    /// Thresholds of budgets that were reached.
    pub crossed: Vec<Crossed>,
}

impl Control {
    /// Stores a batch, exactly once. After an error nothing was stored and the batch can be offered again.
    ///
    /// # Errors
    /// The database's: no room, damaged, out of reach.
    pub async fn collect(&self, batch: &Batch) -> Result<Taken, Error> {
        let taken = self.take(&batch.stored).await?;
        for report in batch.reports.values() {
            if let Err(error) = self.take_report(report).await {
                // The gateway has taken the credential out itself, and will report again.
                tracing::error!(credential = %report.credential, %error, "a credential's health could not be stored");
            }
        }
        Ok(taken)
    }

    /// Stores calls, and says what that did to budgets.
    pub(crate) async fn take(&self, batch: &Stored) -> Result<Taken, Error> {
        let collected = self.store().collect(batch).await?;
        for Overrun { lease, account, by } in &collected.overruns {
            tracing::error!(
                budget = %account.budget, lease = lease.0, %by,
                "calls cost more than was held for them; all of it is booked"
            );
        }
        if collected.unknown_leases > 0 {
            let count = collected.unknown_leases;
            tracing::error!(count, "calls name leases that the database does not know: no budget counts them");
        }
        let crossed = self.say_thresholds(&collected.touched).await;
        Ok(Taken { collected, crossed })
    }

    async fn take_report(&self, report: &CredentialReport) -> Result<(), Error> {
        let Some(row) = self.store().credential(report.credential).await? else { return Ok(()) };
        let provider = self.catalogue().provider(&row.provider).map(AsRef::as_ref);
        let Some(found) = health::of_report(&row, report, provider) else { return Ok(()) };
        health::put(self, Finder::gateway(), &row, found).await
    }

    /// How far each stream of the journal is stored: where its reader goes on after a crash.
    ///
    /// # Errors
    /// The database's.
    pub async fn journal_positions(&self) -> Result<Vec<(u64, u64)>, Error> {
        let stored = self.store().journal_positions().await?;
        Ok(stored.into_iter().filter_map(|at| Some((u64::from_str_radix(&at.stream, 16).ok()?, at.seq))).collect())
    }
}

fn stream_name(stream: u64) -> String {
    format!("{stream:016x}")
}
