//! `/audit`: who changed what, newest first.

#![expect(unused_qualifications, reason = "the macro of the description writes whole paths")]

use crate::{Control, auth::Reader, body::Params, error::Answer};
use axum::{Json, extract::State};
use keyward_domain::{audit::Actor, times};
use keyward_store::AuditRow;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};

pub(crate) fn router() -> OpenApiRouter<Control> {
    OpenApiRouter::new().routes(routes!(list))
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
struct Query {
    /// At most this many, up to 1,000; 100 when left out.
    limit: Option<u32>,
    /// Only rows before this number: `next_before` of the page before.
    before: Option<i64>,
    /// Only rows about the record with this id.
    subject: Option<String>,
}

/// One change.
#[derive(Debug, Serialize, ToSchema)]
struct Entry {
    /// Its id.
    id: String,
    /// Its number; without gaps.
    seq: i64,
    /// When, in RFC 3339.
    at: String,
    /// Who.
    #[schema(value_type = Object)]
    actor: Actor,
    /// What, as `noun.verb`.
    action: String,
    /// The kind of record.
    subject_kind: String,
    /// The record's id.
    subject: String,
    /// The version that the record reached with it, when it is one that grants power.
    #[serde(skip_serializing_if = "Option::is_none")]
    row_version: Option<i64>,
    /// The record before, without secrets.
    #[schema(value_type = Object)]
    before: Value,
    /// The record after, without secrets.
    #[schema(value_type = Object)]
    after: Value,
    /// Why, as somebody said.
    reason: Option<String>,
    /// The address the request came from.
    source: Option<String>,
}

/// A page of changes, newest first.
#[derive(Debug, Serialize, ToSchema)]
struct AuditPage {
    /// The changes.
    items: Vec<Entry>,
    /// Where the next page begins, when there is one.
    next_before: Option<i64>,
}

/// Who changed what
#[utoipa::path(get, path = "/audit", tag = "audit", params(Query), responses((status = 200, body = AuditPage)))]
async fn list(_: Reader, State(control): State<Control>, Params(query): Params<Query>) -> Answer<Json<AuditPage>> {
    let limit = query.limit.unwrap_or(100).clamp(1, 1_000);
    let rows = control.store().audit(query.subject.as_deref(), query.before, limit).await?;
    let full = u32::try_from(rows.len()).is_ok_and(|count| count == limit);
    let next_before = rows.last().map(|row| row.seq).filter(|seq| full && *seq > 1);
    Ok(Json(AuditPage { items: rows.into_iter().map(entry).collect(), next_before }))
}

fn entry(AuditRow { seq, entry, row_version }: AuditRow) -> Entry {
    Entry {
        id: entry.id.to_string(),
        seq,
        at: times::show(entry.at),
        actor: entry.actor,
        action: entry.action,
        subject_kind: entry.subject_kind,
        subject: entry.subject,
        row_version,
        before: entry.before,
        after: entry.after,
        reason: entry.reason,
        source: entry.source.map(|source| source.to_string()),
    }
}
