//! How what was found is shown: one key as a record, several as a table, all of it as JSON.

use super::Row;
use crate::{
    commands::items,
    ui::table::{self, plain},
};
use serde_json::{Value, json};
use std::fmt::Write as _;

/// How many models are named for people.
const FEW: usize = 6;

/// Everything, for programs.
pub(super) fn json(rows: &[Row]) -> Value {
    let count = |usable: Option<bool>| rows.iter().filter(|row| row.verdict.usable == usable).count();
    let item = |row: &Row| {
        let mut item = json!({"name": row.name, "from": row.from, "provider": row.provider});
        if let (Some(item), Ok(Value::Object(verdict))) = (item.as_object_mut(), serde_json::to_value(&row.verdict)) {
            item.extend(verdict);
            item.insert("in_words".to_owned(), row.verdict.state.words().into());
        }
        if row.provider.is_empty() {
            item["provider"] = Value::Null;
        }
        item
    };
    json!({
        "items": rows.iter().map(item).collect::<Vec<_>>(),
        "usable": count(Some(true)), "not_usable": count(Some(false)), "unknown": count(None),
    })
}

/// The same for people.
pub(super) fn words(answer: &Value, width: Option<u16>) -> String {
    match items(answer) {
        [one] => record(one),
        several => list(several, answer, width),
    }
}

fn record(item: &Value) -> String {
    let mut fields = vec![
        ("key", if table::at(item, "/name") == "key" { String::new() } else { table::at(item, "/name") }),
        ("provider", table::at(item, "/provider")),
        ("state", table::at(item, "/in_words")),
        ("because", table::at(item, "/because")),
        ("what to do", table::at(item, "/remedy")),
        ("it said", table::at(item, "/said")),
        ("http status", table::at(item, "/http_status")),
    ];
    fields.extend(facts(item));
    fields.extend(trial(item));
    let notes = item.get("notes").and_then(Value::as_array).into_iter().flatten();
    fields.extend(notes.map(|note| ("note", table::words(note))));
    table::pairs(&fields)
}

fn list(rows: &[Value], answer: &Value, width: Option<u16>) -> String {
    let shown: Vec<Value> = rows
        .iter()
        .map(|item| {
            let mut row = item.clone();
            row["can"] = facts(item)
                .into_iter()
                .map(|(name, value)| format!("{name}: {value}"))
                .collect::<Vec<_>>()
                .join("; ")
                .into();
            row["where"] = match (table::at(item, "/name"), table::at(item, "/from")) {
                (name, from) if from.starts_with("line ") => format!("{name} ({from})"),
                (name, _) => name,
            }
            .into();
            row
        })
        .collect();
    let columns = [
        plain("KEY", "/where"),
        plain("PROVIDER", "/provider"),
        plain("STATE", "/in_words"),
        plain("BECAUSE", "/because"),
        plain("WHAT TO DO", "/remedy"),
        plain("IT HAS", "/can"),
    ];
    let mut out = table::table(&shown, &columns, "no keys", width);
    let count = |name: &str| table::at(answer, &format!("/{name}"));
    let (usable, bad, unknown) = (count("usable"), count("not_usable"), count("unknown"));
    // Writing to a string cannot fail.
    let _written = writeln!(out, "\n{usable} can be used, {bad} cannot, {unknown} not known");
    out
}

/// What the provider told, in the order in which people ask.
pub(in crate::commands) fn facts(item: &Value) -> Vec<(&'static str, String)> {
    let of = |name: &str| item.pointer(&format!("/facts/{name}")).and_then(Value::as_array);
    let joined = |name: &str| of(name).map_or_else(String::new, |values| table::words(&Value::Array(values.clone())));
    let models = of("models").map_or_else(String::new, |models| {
        let named = table::words(&Value::Array(models.iter().take(FEW).cloned().collect()));
        if models.len() > FEW { format!("{}: {named} …", models.len()) } else { format!("{}: {named}", models.len()) }
    });
    let of_limit = |left: &str, limit: &str| match (joined(left), joined(limit)) {
        (left, limit) if left.is_empty() => limit,
        (left, limit) if limit.is_empty() => format!("{left} left"),
        (left, limit) => format!("{left} of {limit} left"),
    };
    [
        ("models", models),
        ("credit", joined("credit")),
        ("limit", joined("limit")),
        ("used", joined("used")),
        ("resets", joined("resets")),
        ("scopes", joined("scopes")),
        ("name", joined("name")),
        ("owner", joined("owner")),
        ("organization", joined("organization")),
        ("project", joined("project")),
        ("team", joined("team")),
        ("plan", joined("plan")),
        ("expires", joined("expires")),
        ("requests", of_limit("requests_left", "request_limit")),
        ("tokens", of_limit("tokens_left", "token_limit")),
    ]
    .into_iter()
    .filter(|(_, value)| !value.is_empty())
    .collect()
}

fn trial(item: &Value) -> Vec<(&'static str, String)> {
    let Some(trial) = item.get("trial") else { return Vec::new() };
    let model = table::at(trial, "/model");
    if trial.get("answered").and_then(Value::as_bool) == Some(true) {
        return vec![("model", format!("{model} answers"))];
    }
    let mut said = format!("{model} does not answer ({})", table::at(trial, "/cause"));
    for part in [table::at(trial, "/said"), table::at(trial, "/remedy")] {
        if !part.is_empty() {
            said.push_str(": ");
            said.push_str(&part);
        }
    }
    vec![("model", said)]
}
