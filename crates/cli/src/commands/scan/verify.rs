//! Whether the found secrets still work, asked of the provider that each belongs to, each secret once. What cannot be told
//! stays in the report, with the reason.

use super::Scan;
use crate::{
    commands::{App, check},
    failure::Failure,
    probing::Prober,
};
use keyward_domain::secret::PlainKey;
use keyward_scanner::{
    Confidence,
    report::{Row, Verified},
};
use std::{collections::BTreeMap, sync::Arc};
use tokio::{sync::Semaphore, task::JoinSet};

/// How many secrets are asked about at once.
const AT_ONCE: usize = 8;

/// Asks the providers and writes down what they say.
pub(super) async fn run(scan: &Scan, app: &mut App, rows: &mut [Row]) -> Result<(), Failure> {
    let catalogue = check::catalogue(app, scan.config_dir.as_ref())?;
    let extra_ca = scan.extra_ca.clone().or_else(|| app.context.variables.path("KEYWARD_EXTRA_CA"));
    let prober = Arc::new(Prober::new(catalogue, extra_ca.as_deref(), app.wishes.timeout_ms)?);
    let places = Arc::new(Semaphore::new(AT_ONCE));
    let mut asking = JoinSet::new();
    let mut known: BTreeMap<Box<str>, Verified> = BTreeMap::new();
    for row in rows.iter() {
        if known.contains_key(&row.group) {
            continue;
        }
        let unknown = |reason: &str| Verified { state: "unknown".to_owned(), reason: reason.to_owned() };
        let kind = &row.finding.kind;
        let provider = match (&kind.provider, &row.ours) {
            (_, Some(ours)) => Err(format!("the server knows it: {}", ours.status)),
            (Some(_), _) if row.finding.confidence == Confidence::Low => {
                Err("it is not sure enough whose this is to show it to anybody".to_owned())
            }
            (Some(provider), _) => Ok(provider.clone()),
            (None, _) => Err("nothing says whose this is, so nobody was asked".to_owned()),
        };
        let provider = match provider {
            Ok(provider) => provider,
            Err(reason) => {
                known.insert(row.group.clone(), unknown(&reason));
                continue;
            }
        };
        // Taken by the one task that asks; others of the same secret wait for what it says.
        known.insert(row.group.clone(), unknown("nobody answered"));
        let secret = PlainKey::new(row.finding.secret.expose().to_vec());
        let (prober, places, group) = (Arc::clone(&prober), Arc::clone(&places), row.group.clone());
        let allow_private = scan.allow_private_address;
        asking.spawn(async move {
            // The semaphore is never closed.
            let _place = places.acquire().await.ok();
            (group, prober.verify(&provider, &secret, allow_private).await)
        });
    }
    let all = asking.len();
    while let Some(answered) = asking.join_next().await {
        let (group, verdict) = answered.map_err(|error| Failure::failed(format!("a check broke off: {error}")))?;
        let mut reason = verdict.because;
        for note in verdict.notes.iter().chain(verdict.said.as_ref()) {
            reason.push_str("; ");
            reason.push_str(note);
        }
        known.insert(group, Verified { state: verdict.state.name().to_owned(), reason });
        check::progress(app, all - asking.len(), all);
    }
    app.context.ui.progress("");
    for row in rows {
        row.verified = known.get(&row.group).cloned();
    }
    Ok(())
}
