//! What an answer says about a key besides its state: models, scopes, organization, limits, what is left to spend.

use super::without;
use crate::{path::JsonPath, reading::Answer};
use keyward_domain::provider::{Fact, Probe, ProbeFact};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// How many values of one kind are kept.
const MOST: usize = 2_000;

/// Everything that was told, by kind.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Told(BTreeMap<Fact, Vec<String>>);

impl Told {
    /// What was told of a kind.
    #[must_use]
    pub fn of(&self, fact: Fact) -> &[String] {
        self.0.get(&fact).map_or(&[], Vec::as_slice)
    }

    /// Whether nothing was told.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The kinds and what was told of each.
    pub fn iter(&self) -> impl Iterator<Item = (Fact, &[String])> {
        self.0.iter().map(|(fact, values)| (*fact, values.as_slice()))
    }

    /// Adds what another answer told; what is known already stays.
    pub(super) fn extend(&mut self, other: Self) {
        for (fact, values) in other.0 {
            self.0.entry(fact).or_insert(values);
        }
    }
}

/// Reads an answer's facts: of the headers always, of the body when the key was taken.
pub(super) fn told(probe: &Probe, answer: Answer<'_>, alive: bool, secret: &[u8]) -> Told {
    let body = match serde_json::from_str(answer.body) {
        Ok(items @ Value::Array(_)) if alive => json!({ "items": items }),
        Ok(body) if alive => body,
        _ => Value::Null,
    };
    let mut told = Told::default();
    for fact in &probe.facts {
        let in_header = || fact.header.as_ref().and_then(|name| answer.headers.get(name)).map(ToString::to_string);
        let mut values = fact.path.as_deref().map_or_else(Vec::new, |path| texts(path, &body));
        if values.is_empty() {
            values.extend(in_header().filter(|text| !text.is_empty()));
        }
        with_units(&mut values, fact, &body);
        if !values.is_empty() && told.of(fact.what).is_empty() {
            values.truncate(MOST);
            let values = values.iter().map(|value| without(value, secret)).collect();
            told.0.insert(fact.what, values);
        }
    }
    told
}

fn with_units(values: &mut [String], fact: &ProbeFact, body: &Value) {
    let units = fact.unit_path.as_deref().map_or_else(Vec::new, |path| texts(path, body));
    for (at, value) in values.iter_mut().enumerate() {
        if let Some(unit) = units.get(at).map(String::as_str).or(fact.unit.as_deref()) {
            value.push(' ');
            value.push_str(unit);
        }
    }
}

/// The values at a path as text; those that are nothing are left out.
fn texts(path: &str, body: &Value) -> Vec<String> {
    let values = JsonPath::parse(path).map(|path| path.values(body)).unwrap_or_default();
    let text = |value: &Value| match value {
        Value::String(text) if !text.is_empty() => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(yes) => Some(yes.to_string()),
        _ => None,
    };
    let flat = values.into_iter().flat_map(|value| match value {
        Value::Array(items) => items.iter().collect::<Vec<_>>(),
        other => vec![other],
    });
    flat.filter_map(text).collect()
}
