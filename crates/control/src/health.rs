//! A credential's health: what the gateway saw on the path of calls and what checks found, and how long the credential
//! stays out because of it.

use crate::{Control, publish};
use keyward_catalogue::probing::{State, Verdict};
use keyward_domain::{
    CredentialId, Millis,
    audit::Actor,
    provider::{Cause, Provider},
    usage::CredentialReport,
};
use keyward_store::{Change, CredentialHealthRow, CredentialRow, Error};
use serde_json::{Value, json};
use std::net::IpAddr;

/// How long a credential without money stays out before it is tried again: somebody may have paid.
const BROKE: Millis = 5 * 60_000;

/// Nothing is known.
pub(crate) fn unknown(credential: CredentialId, now: Millis) -> CredentialHealthRow {
    CredentialHealthRow {
        credential,
        state: "unknown".to_owned(),
        cause: None,
        remedy: None,
        http_status: None,
        checked_at: now,
        out_until: None,
    }
}

/// The name of a cause, as in the catalogue.
pub(crate) fn cause_name(cause: Cause) -> String {
    match serde_json::to_value(cause) {
        Ok(Value::String(name)) => name,
        _ => "unknown".to_owned(),
    }
}

/// Until when a cause keeps a credential out. A dead key does not come back by itself: only a check or a person
/// brings it back.
fn out_until(cause: Cause, now: Millis) -> Option<Millis> {
    if cause.is_dead() {
        Some(Millis::MAX)
    } else if cause.is_broke() {
        Some(now.saturating_add(BROKE))
    } else {
        None
    }
}

fn state_of(cause: Cause) -> &'static str {
    match cause {
        Cause::Healthy => "healthy",
        cause if cause.is_dead() => "dead",
        cause if cause.is_broke() => "no_money",
        _ => "limited",
    }
}

/// What a check says about health; none when it says nothing.
pub(crate) fn of_check(row: &CredentialRow, verdict: &Verdict, now: Millis) -> Option<CredentialHealthRow> {
    if matches!(verdict.state, State::Unreachable | State::Unknown) {
        return None;
    }
    Some(CredentialHealthRow {
        credential: row.id,
        state: state_of(verdict.cause).to_owned(),
        cause: (verdict.cause != Cause::Healthy).then(|| cause_name(verdict.cause)),
        remedy: (!verdict.remedy.is_empty()).then(|| verdict.remedy.clone()),
        http_status: verdict.http_status,
        checked_at: now,
        out_until: out_until(verdict.cause, now),
    })
}

/// What the gateway's report says about health; none when it is about an older secret.
pub(crate) fn of_report(
    row: &CredentialRow,
    report: &CredentialReport,
    provider: Option<&Provider>,
) -> Option<CredentialHealthRow> {
    if report.version != row.version {
        return None;
    }
    let rule = provider.and_then(|provider| provider.errors.iter().find(|rule| rule.cause == report.cause));
    Some(CredentialHealthRow {
        credential: row.id,
        state: state_of(report.cause).to_owned(),
        cause: (report.cause != Cause::Healthy).then(|| cause_name(report.cause)),
        remedy: rule.map(|rule| rule.remedy.to_string()),
        http_status: None,
        checked_at: report.at,
        out_until: out_until(report.cause, report.at),
    })
}

/// Who found something out about a credential.
pub(crate) struct Finder {
    actor: Actor,
    source: Option<IpAddr>,
    /// Whether the provider was asked for it. Then the answer is news even when it is the same as before: the gateway
    /// may have seen otherwise meanwhile, and not have said so yet.
    asked: bool,
}

impl Finder {
    /// Somebody who asked the provider.
    pub(crate) const fn asking(actor: Actor, source: Option<IpAddr>) -> Self {
        Self { actor, source, asked: true }
    }

    /// The gateway, on the path of a call.
    pub(crate) fn gateway() -> Self {
        Self { actor: Actor::System { part: "gateway".to_owned() }, source: None, asked: false }
    }
}

/// Stores what is known and tells the gateway, unless something newer is known.
pub(crate) async fn put(
    control: &Control,
    finder: Finder,
    row: &CredentialRow,
    found: CredentialHealthRow,
) -> Result<(), Error> {
    let before = control.store().credential_health(row.id).await?;
    // Events travel for up to a second: what was seen earlier says nothing against what is known since.
    if before.as_ref().is_some_and(|before| before.checked_at > found.checked_at) {
        return Ok(());
    }
    let state = |health: &CredentialHealthRow| json!({"health": health.state, "cause": health.cause});
    let unchanged = before.as_ref().is_some_and(|before| {
        before.state == found.state && before.cause == found.cause && before.out_until == found.out_until
    });
    if unchanged && !finder.asked {
        return Ok(());
    }
    match found.state.as_str() {
        _ if unchanged => {}
        "dead" | "no_money" => tracing::warn!(
            credential = row.name,
            provider = row.provider,
            cause = found.cause,
            remedy = found.remedy,
            "this credential is taken out"
        ),
        _ => tracing::info!(credential = row.name, provider = row.provider, health = found.state, "credential health"),
    }
    let change = Change {
        action: if finder.asked { "credential.verify" } else { "credential.health" }.to_owned(),
        subject_kind: "credential".to_owned(),
        subject: row.id.to_string(),
        before: before.as_ref().map_or(Value::Null, state),
        after: state(&found),
        reason: None,
        row_version: None,
    };
    let mut write = control.store().write(finder.actor, finder.source, control.now()).await?;
    // Something newer may have been stored since it was looked at above: a verification, while a report was on its way.
    if !write.put_newer_credential_health(&found).await? {
        return Ok(());
    }
    control.commit(write, vec![change]).await?;
    publish::route(control, row.project, &row.provider).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dead_stays_out_and_broke_is_tried_again() {
        assert_eq!(out_until(Cause::KeyLeaked, 5), Some(Millis::MAX));
        assert_eq!(out_until(Cause::NoMoney, 5), Some(5 + BROKE));
        assert_eq!(out_until(Cause::RateLimited, 5), None);
        assert_eq!(out_until(Cause::Healthy, 5), None);
        assert_eq!(cause_name(Cause::KeyUnknown), "key_unknown");
    }
}
