//! `keyward usage`: what was used and what it cost.

use super::{App, Outcome, items};
use crate::{
    client::Route,
    parse,
    ui::table::{self, count, dollars, plain},
};
use clap::ValueEnum;
use keyward_domain::{Environment, Money};
use serde_json::{Value, json};

/// Show what was used and what it cost
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  keyward usage
  keyward usage --by model --since 7d
  keyward usage --by day --since 2026-11-01 --until 2026-12-01 --project shop
  keyward usage --by key --format json | jq '.rows[] | {key, cost_usd}'")]
pub(crate) struct Usage {
    /// What a row stands for
    #[arg(long, value_enum, default_value_t = By::Key)]
    by: By,
    /// From when: how long ago (24h, 7d), a date, or an RFC 3339 time
    #[arg(long, value_name = "WHEN", default_value = "24h", value_parser = parse::since)]
    since: String,
    /// Until when [default: now]
    #[arg(long, value_name = "WHEN", value_parser = parse::since)]
    until: Option<String>,
    /// Only this project
    #[arg(long)]
    project: Option<String>,
    /// Only this environment
    #[arg(long, value_name = "ENVIRONMENT")]
    env: Option<Environment>,
    /// Only this key
    #[arg(long)]
    key: Option<String>,
    /// Only this provider
    #[arg(long, value_name = "ID")]
    provider: Option<String>,
    /// Only this model
    #[arg(long, value_name = "NAME")]
    model: Option<String>,
}

/// What a row stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum By {
    /// A virtual key.
    Key,
    /// A model.
    Model,
    /// A project.
    Project,
    /// A day, UTC.
    Day,
    /// A credential.
    Credential,
    /// An operation.
    Operation,
}

impl By {
    const fn name(self) -> &'static str {
        match self {
            Self::Key => "key",
            Self::Model => "model",
            Self::Project => "project",
            Self::Day => "day",
            Self::Credential => "credential",
            Self::Operation => "operation",
        }
    }
}

impl Usage {
    pub(crate) async fn run(self, app: &mut App) -> Outcome {
        let route = Route::new(&["usage"])?
            .query("by", Some(self.by.name()))
            .query("since", Some(&self.since))
            .query("until", self.until.as_deref())
            .query("project", self.project.as_deref())
            .query("environment", self.env.map(Environment::name))
            .query("key", self.key.as_deref())
            .query("provider", self.provider.as_deref())
            .query("model", self.model.as_deref());
        let usage = app.client()?.get(route).await?;
        for warning in doubts(items(&usage)) {
            app.context.ui.warn(&warning);
        }
        let since = table::moment(&table::at(&usage, "/since"));
        app.done(&usage, |usage, width| {
            let rows = with_sum(items(usage));
            table::table(&rows, &COLUMNS, &format!("nothing was used since {since}"), width)
        })
    }
}

const COLUMNS: [table::Column; 17] = [
    plain("DAY", "/day"),
    plain("PROJECT", "/project"),
    plain("KEY", "/key"),
    plain("CREDENTIAL", "/credential"),
    plain("PROVIDER", "/provider"),
    plain("MODEL", "/model"),
    plain("OPERATION", "/operation"),
    count("REQUESTS", "/requests"),
    count("ERRORS", "/errors"),
    count("INPUT", "/input_tokens"),
    count("CACHE READ", "/cache_read_tokens"),
    count("CACHE WRITE", "/cache_write_tokens"),
    count("OUTPUT", "/output_tokens"),
    count("REASONING", "/reasoning_tokens"),
    count("AUDIO", "/audio_tokens"),
    count("IMAGE", "/image_tokens"),
    dollars("COST", "/cost"),
];

/// What a row is about; the word for the sum goes into the first of them that is there.
const ABOUT: [&str; 7] = ["day", "project", "key", "credential", "provider", "model", "operation"];
/// Counts that always have a column.
const MAIN: [&str; 3] = ["requests", "input_tokens", "output_tokens"];
/// Counts whose column is left out when all are zero.
const MORE: [&str; 6] =
    ["errors", "cache_read_tokens", "cache_write_tokens", "reasoning_tokens", "audio_tokens", "image_tokens"];

/// The rows as they are shown, with a last one that adds them up when there is more than one.
fn with_sum(rows: &[Value]) -> Vec<Value> {
    let sum = |name: &str| rows.iter().filter_map(|row| row.get(name)?.as_u64()).fold(0, u64::saturating_add);
    let used: Vec<&str> = MAIN.into_iter().chain(MORE.into_iter().filter(|name| sum(name) > 0)).collect();
    let shown = |row: &Value| {
        let about = ABOUT.into_iter().map(|name| (name.to_owned(), row.get(name).cloned().unwrap_or_default()));
        let counts = used.iter().map(|name| ((*name).to_owned(), row.get(*name).cloned().unwrap_or_default()));
        about.chain(counts).chain([("cost".to_owned(), Value::from(cost(row).to_string()))]).collect::<Value>()
    };
    let mut all: Vec<Value> = rows.iter().map(shown).collect();
    if rows.len() > 1 {
        let total = rows.iter().map(cost).fold(Money::ZERO, Money::saturating_add);
        let mut last = json!({"cost": total.to_string()});
        let place =
            ABOUT.into_iter().find(|name| rows.iter().any(|row| row.get(*name).is_some_and(|about| !about.is_null())));
        if let Some(fields) = last.as_object_mut() {
            fields.extend(used.iter().map(|name| ((*name).to_owned(), Value::from(sum(name)))));
            fields.extend(place.map(|place| (place.to_owned(), Value::from("total"))));
        }
        all.push(last);
    }
    all
}

/// A row's cost: the exact amount, else the one for show.
fn cost(row: &Value) -> Money {
    let exact = row.get("cost_nano_usd").and_then(Value::as_i64).map(Money::from_nano);
    exact.or_else(|| Money::from_decimal_ceil(&table::at(row, "/cost_usd"))).unwrap_or(Money::ZERO)
}

/// What makes the costs less than exact.
fn doubts(rows: &[Value]) -> Vec<String> {
    let sum = |name: &str| rows.iter().filter_map(|row| row.get(name)?.as_u64()).fold(0, u64::saturating_add);
    let doubts = [
        ("unpriced_requests", "calls have no price, or none for all that they used: what that cost is missing"),
        ("estimated_requests", "calls did not report their use in full: an upper bound stands in"),
    ];
    doubts.into_iter().filter(|(name, _)| sum(name) > 0).map(|(name, words)| format!("{} {words}", sum(name))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_added_up_exactly() {
        let rows = [
            json!({"key": "a", "requests": 2, "input_tokens": 10, "output_tokens": 1, "errors": 0, "cost_nano_usd": 1}),
            json!({"key": "b", "requests": 3, "input_tokens": 5, "output_tokens": 0, "errors": 1, "cost_usd": 0.2}),
        ];
        let all = with_sum(&rows);
        let sum = json!({"key": "total", "requests": 5, "input_tokens": 15, "output_tokens": 1, "errors": 1, "cost": "0.200000001"});
        assert_eq!(all.last(), Some(&sum));
        let one = with_sum(&rows[..1]);
        assert_eq!(one.len(), 1);
        assert!(one[0].get("errors").is_none(), "nothing but zeros is no column");
        assert_eq!(cost(&json!({"cost_usd": "0.5"})), Money::from_nano(500_000_000));
    }

    #[test]
    fn costs_that_are_not_exact_are_said_to_be_so() {
        let rows = [json!({"unpriced_requests": 2, "estimated_requests": 0}), json!({"unpriced_requests": 1})];
        assert_eq!(doubts(&rows), ["3 calls have no price, or none for all that they used: what that cost is missing"]);
    }
}
