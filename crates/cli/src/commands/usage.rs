//! `keyward usage`: what was used and what it cost.

use super::{App, Outcome, items};
use crate::{
    client::Route,
    parse,
    ui::table::{self, count, dollars, plain},
};
use clap::ValueEnum;
use keyward_domain::Money;
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
    /// Only this key
    #[arg(long)]
    key: Option<String>,
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
            .query("key", self.key.as_deref());
        let usage = app.client()?.get(route).await?;
        let since = table::moment(&table::at(&usage, "/since"));
        app.done(&usage, |usage, width| {
            let rows = with_sum(items(usage));
            let columns = [
                plain("DAY", "/day"),
                plain("PROJECT", "/project"),
                plain("ENVIRONMENT", "/environment"),
                plain("KEY", "/key"),
                plain("CREDENTIAL", "/credential"),
                plain("PROVIDER", "/provider"),
                plain("MODEL", "/model"),
                plain("OPERATION", "/operation"),
                count("REQUESTS", "/requests"),
                count("ERRORS", "/errors"),
                count("INPUT", "/input_tokens"),
                count("OUTPUT", "/output_tokens"),
                dollars("COST", "/cost_usd"),
            ];
            table::table(&rows, &columns, &format!("nothing was used since {since}"), width)
        })
    }
}

/// The rows with a last one that adds them up, when there is more than one.
fn with_sum(rows: &[Value]) -> Vec<Value> {
    let mut all = rows.to_vec();
    if rows.len() < 2 {
        return all;
    }
    let count = |name: &str| rows.iter().filter_map(|row| row.get(name)?.as_u64()).fold(0, u64::saturating_add);
    let cost = rows.iter().filter_map(|row| money(row.get("cost_usd")?)).fold(Money::ZERO, Money::saturating_add);
    let mut sum = json!({
        "requests": count("requests"), "input_tokens": count("input_tokens"), "output_tokens": count("output_tokens"),
        "cost_usd": cost.to_string(),
    });
    // The word goes into whichever column comes first.
    let first = ["day", "project", "environment", "key", "credential", "provider", "model", "operation"];
    let place =
        first.into_iter().find(|name| rows.iter().any(|row| row.get(*name).is_some_and(|value| !value.is_null())));
    if let (Some(place), Some(fields)) = (place, sum.as_object_mut()) {
        fields.insert(place.to_owned(), "total".into());
    }
    all.push(sum);
    all
}

/// Dollars, however the server wrote them.
fn money(value: &Value) -> Option<Money> {
    Money::from_decimal_ceil(&table::words(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_added_up_exactly() {
        let rows = [
            json!({"key": "a", "requests": 2, "input_tokens": 10, "output_tokens": 1, "cost_usd": "0.1"}),
            json!({"key": "b", "requests": 3, "input_tokens": 5, "output_tokens": 0, "cost_usd": "0.2"}),
        ];
        let all = with_sum(&rows);
        let sum = json!({"key": "total", "requests": 5, "input_tokens": 15, "output_tokens": 1, "cost_usd": "0.3"});
        assert_eq!(all.last(), Some(&sum));
        assert_eq!(with_sum(&rows[..1]), rows[..1]);
        assert_eq!(money(&json!(0.000_001)), Some(Money::from_nano(1_000)), "numbers are read as well");
    }
}
