//! JSON: one value, or one a line.

use super::{
    Report, Row, escape,
    sheet::{moment, name, sure},
};
use crate::{Commit, Missed, Place};
use keyward_domain::{digest::hex, times};
use serde_json::{Map, Value, json};

pub(super) fn write(report: &Report) -> String {
    let mut text = serde_json::to_string_pretty(&value(report)).unwrap_or_default();
    text.push('\n');
    escape::json(&text)
}

pub(super) fn lines(report: &Report) -> String {
    let mut out = String::new();
    let findings = report.rows.iter().map(|row| finding(report, row));
    let incomplete = report.missed.iter().map(|missed| json!({"incomplete": incomplete(missed)}));
    for value in findings.chain(incomplete).chain([json!({"stats": stats(report)})]) {
        out.push_str(&escape::json(&value.to_string()));
        out.push('\n');
    }
    out
}

pub(super) fn value(report: &Report) -> Value {
    json!({
        "findings": report.rows.iter().map(|row| finding(report, row)).collect::<Vec<_>>(),
        "incomplete": report.missed.iter().map(incomplete).collect::<Vec<_>>(),
        "stats": stats(report),
    })
}

fn stats(report: &Report) -> Value {
    json!({
        "items": report.stats.items,
        "bytes": report.stats.bytes,
        "commits": report.stats.commits,
        "repositories": report.stats.repositories,
        "findings": report.rows.len(),
        "secrets": report.secrets(),
        "incomplete": report.missed.len(),
        "left_out": report.left,
        "stopped": report.stopped,
        "at": times::show(report.at),
        "version": report.version,
    })
}

fn finding(report: &Report, row: &Row) -> Value {
    let found = &row.finding;
    let mut fields = Map::new();
    let mut put = |name: &str, value: Value| drop(fields.insert(name.to_owned(), value));
    put("rule", json!(found.kind.rule));
    put("name", json!(found.kind.name));
    put("provider", json!(found.kind.provider));
    put("admin", json!(found.kind.admin));
    put("confidence", json!(sure(found.confidence)));
    put("reasons", json!(found.reasons));
    put("line", json!(found.line));
    put("column", json!(found.column));
    put("span", json!([found.span.start, found.span.end]));
    put("commit", json!(row.commit().map(|commit| &commit.id)));
    put("commits", json!(found.place.commits.iter().map(commit).collect::<Vec<_>>()));
    put("more_commits", json!(found.place.more_commits));
    put("fingerprint", json!(row.fingerprint));
    put("group", json!(row.group));
    put("preview", json!(super::preview(found.secret.expose())));
    if let Some(note) = &row.note {
        put("note", json!(note));
    }
    if let Some(ours) = &row.ours {
        put("ours", json!(ours));
    }
    if let Some(verified) = &row.verified {
        put("verified", json!(verified));
    }
    if report.reveal {
        match std::str::from_utf8(found.secret.expose()) {
            Ok(secret) => put("secret", json!(secret)),
            Err(_) => {
                put("secret", json!(String::from_utf8_lossy(found.secret.expose())));
                put("secret_hex", json!(hex(found.secret.expose())));
            }
        }
    }
    place(&found.place, &mut fields);
    Value::Object(fields)
}

fn incomplete(missed: &Missed) -> Value {
    let mut fields = Map::new();
    place(&missed.place, &mut fields);
    fields.insert("cause".to_owned(), json!(missed.cause));
    fields.insert("detail".to_owned(), json!(missed.detail));
    Value::Object(fields)
}

/// A path that is no text stands there as well as text can, and exactly in `path_hex`.
fn place(place: &Place, fields: &mut Map<String, Value>) {
    fields.insert("path".to_owned(), json!(String::from_utf8_lossy(&place.path)));
    if std::str::from_utf8(&place.path).is_err() {
        fields.insert("path_hex".to_owned(), json!(hex(&place.path)));
    }
    fields.insert("within".to_owned(), json!(place.within));
    fields.insert("where".to_owned(), json!(name(place.place)));
    fields.insert("object".to_owned(), json!(place.object));
}

fn commit(commit: &Commit) -> Value {
    json!({"id": commit.id, "author": commit.author, "date": moment(commit)})
}
