//! Whether the found secrets still work, asked of the provider that each belongs to, each secret once. What cannot be told
//! stays in the report, with the reason.

use super::{Scan, work::Interrupts};
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

/// How the asking ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ended {
    /// Everybody was asked.
    Asked,
    /// Somebody stopped it.
    Stopped,
}

/// Asks the providers and writes down what they say.
pub(super) async fn run(
    scan: &Scan,
    app: &mut App,
    rows: &mut [Row],
    interrupts: &mut Interrupts,
) -> Result<Ended, Failure> {
    let catalogue = check::catalogue(app, scan.config_dir.as_ref())?;
    let extra_ca = scan.extra_ca.clone().or_else(|| app.context.variables.path("KEYWARD_EXTRA_CA"));
    let prober = Arc::new(Prober::new(catalogue, extra_ca.as_deref(), app.wishes.timeout_ms)?);
    let places = Arc::new(Semaphore::new(AT_ONCE));
    let mut asking = JoinSet::new();
    let mut known: BTreeMap<Box<str>, Verified> = BTreeMap::new();
    let mut groups: BTreeMap<Box<str>, Vec<&Row>> = BTreeMap::new();
    for row in rows.iter() {
        groups.entry(row.group.clone()).or_default().push(row);
    }
    for (group, rows) in groups {
        match whose(&rows) {
            Err(reason) => drop(known.insert(group, unknown(&reason))),
            Ok((provider, row)) => {
                let secret = PlainKey::new(row.finding.secret.expose().to_vec());
                let (prober, places) = (Arc::clone(&prober), Arc::clone(&places));
                let allow_private = scan.allow_private_address;
                asking.spawn(async move {
                    // The semaphore is never closed.
                    let _place = places.acquire().await.ok();
                    (group, prober.verify(&provider, &secret, allow_private).await)
                });
            }
        }
    }
    let all = asking.len();
    let mut ended = Ended::Asked;
    loop {
        let answered = tokio::select! {
            answered = asking.join_next() => answered,
            () = interrupts.pressed() => {
                ended = Ended::Stopped;
                None
            }
        };
        let Some(answered) = answered else { break };
        let (group, verdict) = answered.map_err(|error| Failure::failed(format!("a check broke off: {error}")))?;
        let mut reason = verdict.because;
        for note in verdict.notes.iter().chain(verdict.said.as_ref()) {
            reason.push_str("; ");
            reason.push_str(note);
        }
        known.insert(group, Verified { state: verdict.state.name().to_owned(), reason });
        check::progress(app, all - asking.len(), all);
    }
    asking.abort_all();
    app.context.ui.progress("");
    for row in rows {
        let stopped = || unknown("the scan was stopped before its provider had answered");
        row.verified = Some(known.get(&row.group).cloned().unwrap_or_else(stopped));
    }
    Ok(ended)
}

fn unknown(reason: &str) -> Verified {
    Verified { state: "unknown".to_owned(), reason: reason.to_owned() }
}

/// Whose a secret is that was found in these places, as the surest of them tell; or why nobody is asked. Each place tells
/// what stands around the secret there: one may say much and another nothing.
fn whose<'r>(rows: &[&'r Row]) -> Result<(Box<str>, &'r Row), String> {
    if let Some(ours) = rows.iter().find_map(|row| row.ours.as_ref()) {
        return Err(format!("the server knows it: {}", ours.status));
    }
    let told = rows.iter().filter_map(|row| Some((row.finding.confidence, row.finding.kind.provider.as_ref()?, *row)));
    let Some(best) = told.clone().map(|(confidence, ..)| confidence).max() else {
        return Err("nothing says whose this is, so nobody was asked".to_owned());
    };
    if best == Confidence::Low {
        return Err("it is not sure enough whose this is to show it to anybody".to_owned());
    }
    let mut surest = told.filter(|(confidence, ..)| *confidence == best);
    let Some((_, provider, row)) = surest.next() else {
        return Err("nothing says whose this is, so nobody was asked".to_owned());
    };
    match surest.find(|(_, other, _)| *other != provider) {
        Some((_, other, _)) => {
            Err(format!("it may be a secret of {provider} or of {other}: it is shown to neither of them"))
        }
        None => Ok((provider.clone(), row)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use keyward_scanner::{Finding, Kind, Place, Secret, Where, report::Ours};

    fn row(confidence: Confidence, provider: Option<&str>) -> Row {
        let kind = Kind { rule: "a/b".into(), provider: provider.map(Into::into), name: "A key".into(), admin: false };
        let place = Place {
            place: Where::Worktree,
            path: Box::default(),
            within: Vec::new(),
            object: None,
            commits: Vec::new(),
            more_commits: 0,
        };
        let finding = Finding {
            kind: Arc::new(kind),
            confidence,
            reasons: Vec::new(),
            place,
            line: 1,
            column: 1,
            units: 1,
            end: (1, 2),
            span: 0..1,
            secret: Secret::new(b"x"),
            allowed: None,
        };
        Row { finding, fingerprint: "fp1_0".into(), group: "g".into(), ours: None, verified: None, note: None }
    }

    fn asked(rows: &[Row]) -> Result<String, String> {
        whose(&rows.iter().collect::<Vec<_>>()).map(|(provider, _)| provider.into())
    }

    #[test]
    fn the_surest_place_tells_whose_a_secret_is() {
        use Confidence::{High, Low, Medium};
        let (a, b) = (Some("a"), Some("b"));
        for (rows, provider) in [
            (vec![row(Low, a), row(High, a)], Ok("a")),
            (vec![row(High, a), row(Low, b)], Ok("a")),
            (vec![row(Low, a), row(Medium, b)], Ok("b")),
            (vec![row(High, None), row(Medium, b)], Ok("b")),
            (vec![row(Medium, a), row(Medium, a)], Ok("a")),
            (vec![row(Low, a), row(Low, b)], Err("not sure enough")),
            (vec![row(High, None)], Err("nothing says")),
            (vec![row(Medium, a), row(High, b), row(High, a)], Err("b or of a")),
        ] {
            match (asked(&rows), provider) {
                (Ok(asked), Ok(provider)) => assert_eq!(asked, provider),
                (Err(why), Err(words)) => assert!(why.contains(words), "{why}"),
                (asked, expected) => panic!("{asked:?} instead of {expected:?}"),
            }
        }
    }

    #[test]
    fn what_the_server_knows_is_shown_to_nobody() {
        let mut known = row(Confidence::Low, None);
        known.ours = Some(Ours {
            kind: "key".to_owned(),
            id: "key_1".to_owned(),
            name: "web".to_owned(),
            project: None,
            environment: None,
            provider: None,
            status: "active".to_owned(),
            current: true,
            last_used_at: None,
            limits: Vec::new(),
            contained: None,
        });
        assert!(asked(&[row(Confidence::High, Some("a")), known]).is_err_and(|why| why.contains("active")));
    }
}
