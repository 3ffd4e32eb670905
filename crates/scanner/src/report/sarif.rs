//! SARIF 2.1.0, as code scanning reads it.

use super::{
    Report, Row, escape,
    sheet::{name, path, sure},
};
use crate::{Confidence, Kind, Missed};
use serde_json::{Map, Value, json};
use std::sync::Arc;

pub(super) fn write(report: &Report) -> String {
    let mut kinds: Vec<&Arc<Kind>> = report.rows.iter().map(|row| &row.finding.kind).collect();
    kinds.sort_by(|one, other| one.rule.cmp(&other.rule));
    kinds.dedup_by(|one, other| one.rule == other.rule);
    let value = json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": {"driver": {
                "name": "Keyward",
                "semanticVersion": report.version,
                "rules": kinds.iter().map(|kind| rule(kind)).collect::<Vec<_>>(),
            }},
            "invocations": [{
                "executionSuccessful": report.missed.is_empty() && !report.stopped,
                "toolExecutionNotifications": report.missed.iter().map(notification).collect::<Vec<_>>(),
            }],
            // A column is a place in a line as editors count them.
            "columnKind": "utf16CodeUnits",
            "results": report.rows.iter().map(|row| result(report, row, &kinds)).collect::<Vec<_>>(),
        }],
    });
    let mut text = serde_json::to_string_pretty(&value).unwrap_or_default();
    text.push('\n');
    escape::json(&text)
}

fn rule(kind: &Kind) -> Value {
    json!({
        "id": kind.rule,
        "name": kind.name,
        "shortDescription": {"text": kind.name},
        "help": {"text": "Revoke the secret where it was made, put a new one into a vault, and take it out of here."},
        "properties": {"tags": ["security", "secret"], "security-severity": if kind.admin { "9.5" } else { "8.5" }},
    })
}

fn result(report: &Report, row: &Row, kinds: &[&Arc<Kind>]) -> Value {
    let found = &row.finding;
    let level = match found.confidence {
        Confidence::Certain | Confidence::High => "error",
        Confidence::Medium => "warning",
        Confidence::Low => "note",
    };
    let mut message = format!("{} ({})", found.kind.name, report.shown(row));
    if let Some(ours) = &row.ours {
        message.push_str(": ");
        message.push_str(&ours.words());
    }
    let mut region = Map::new();
    region.insert("startLine".to_owned(), json!(found.line.max(1)));
    region.insert("startColumn".to_owned(), json!(found.units.max(1)));
    region.insert("endLine".to_owned(), json!(found.end.0.max(found.line.max(1))));
    region.insert("endColumn".to_owned(), json!(found.end.1.max(1)));
    // Within an archive the file's own bytes are others.
    if found.place.within.is_empty() {
        region.insert("byteOffset".to_owned(), json!(found.span.start));
        region.insert("byteLength".to_owned(), json!(found.span.end.saturating_sub(found.span.start)));
    }
    let mut location = json!({
        "physicalLocation": {"artifactLocation": {"uri": escape::uri(&found.place.path)}, "region": region},
    });
    if let (Some(fields), false) = (location.as_object_mut(), found.place.within.is_empty()) {
        let logical = json!([{"fullyQualifiedName": path(&found.place), "kind": "member"}]);
        fields.insert("logicalLocations".to_owned(), logical);
    }
    json!({
        "ruleId": found.kind.rule,
        "ruleIndex": kinds.iter().position(|kind| kind.rule == found.kind.rule),
        "level": level,
        "message": {"text": message},
        "locations": [location],
        "partialFingerprints": {"keyward/v1": row.fingerprint},
        "properties": {
            "confidence": sure(found.confidence),
            "reasons": row.reasons(),
            "where": name(found.place.place),
            "commit": row.commit().map(|commit| &commit.id),
            "group": row.group,
        },
    })
}

fn notification(missed: &Missed) -> Value {
    let mut notification = json!({
        "level": "warning",
        "message": {"text": format!("not scanned: {} ({})", path(&missed.place), missed.detail)},
        "descriptor": {"id": missed.cause},
    });
    if let (Some(fields), false) = (notification.as_object_mut(), missed.place.path.is_empty()) {
        let uri = escape::uri(&missed.place.path);
        let locations = json!([{"physicalLocation": {"artifactLocation": {"uri": uri}}}]);
        fields.insert("locations".to_owned(), locations);
    }
    notification
}
