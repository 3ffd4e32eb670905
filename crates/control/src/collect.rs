//! Takes over what the gateway reports: calls and objects go to the store, together with how far the journal was read;
//! what it saw of credentials' health is stored and told back to the gateway's routes.

use crate::{
    Control,
    health::{self, Finder},
};
use keyward_domain::{
    CredentialId,
    usage::{CredentialReport, GatewayEvent},
};
use keyward_store::{Batch as Stored, Collected, Error, Position};
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
        for event in events {
            match event {
                GatewayEvent::Usage(event) => batch.stored.usage.push(*event),
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

impl Control {
    /// Stores a batch, exactly once. After an error nothing was stored and the batch can be offered again.
    ///
    /// # Errors
    /// The database's: no room, damaged, out of reach.
    pub async fn collect(&self, batch: &Batch) -> Result<Collected, Error> {
        let collected = self.store().collect(&batch.stored).await?;
        for report in batch.reports.values() {
            if let Err(error) = self.take_report(report).await {
                // The gateway has taken the credential out itself, and will report again.
                tracing::error!(credential = %report.credential, %error, "a credential's health could not be stored");
            }
        }
        Ok(collected)
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
