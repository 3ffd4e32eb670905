//! `keyward key calls`: a key's single calls, for as long as the server keeps them.

use super::{App, Outcome, items};
use crate::{
    client::Route,
    ui::table::{self, count, dollars, plain, time},
};
use keyward_domain::Money;
use serde_json::{Value, json};

/// Options of `key calls`.
#[derive(Debug, clap::Args)]
pub(crate) struct Calls {
    /// The key's id, public id, or its name when only one has it
    key: String,
    /// How many calls
    #[arg(long, value_name = "COUNT", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=1000))]
    limit: u32,
    /// Only calls before the one with this id
    #[arg(long, value_name = "ID")]
    before: Option<String>,
}

const COLUMNS: [table::Column; 11] = [
    time("TIME", "/at"),
    plain("CALL", "/id"),
    plain("MODEL", "/model"),
    plain("OPERATION", "/operation"),
    count("STATUS", "/status"),
    plain("ENDED", "/outcome"),
    count("INPUT", "/input"),
    count("OUTPUT", "/output"),
    dollars("COST", "/cost"),
    plain("MS", "/ms"),
    plain("FROM", "/client"),
];

impl Calls {
    pub(crate) async fn run(self, app: &mut App) -> Outcome {
        let limit = self.limit.to_string();
        let route = Route::new(&["keys", &self.key, "calls"])?
            .query("limit", Some(&limit))
            .query("before", self.before.as_deref());
        let calls = app.client()?.get(route).await?;
        if let Some(next) = calls.get("next_before").and_then(Value::as_str) {
            app.context.ui.note(&format!("there may be more: keyward key calls {} --before {next}", self.key));
        }
        app.done(&calls, |calls, width| {
            let rows: Vec<Value> = items(calls).iter().map(row).collect();
            table::table(&rows, &COLUMNS, "no call of this key is kept", width)
        })
    }
}

/// A call in few columns: all input, all output, what it cost exactly.
fn row(call: &Value) -> Value {
    let sum = |names: &[&str]| names.iter().filter_map(|name| call.get(*name)?.as_u64()).fold(0, u64::saturating_add);
    let cost = call.get("cost_nano_usd").and_then(Value::as_i64).map(|nano| Money::from_nano(nano).to_string());
    let ms = call.get("total_ms").and_then(Value::as_f64).map(|ms| format!("{ms:.1}"));
    let mut row = call.clone();
    if let Some(fields) = row.as_object_mut() {
        fields.insert("input".to_owned(), json!(sum(&["input_tokens", "cache_read_tokens", "cache_write_tokens"])));
        fields.insert("output".to_owned(), json!(sum(&["output_tokens", "reasoning_tokens"])));
        fields.insert("cost".to_owned(), json!(cost));
        fields.insert("ms".to_owned(), json!(ms));
    }
    row
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_is_shown_with_all_it_used() {
        let call = json!({"input_tokens": 1, "cache_read_tokens": 2, "cache_write_tokens": 4, "output_tokens": 8,
            "reasoning_tokens": 16, "cost_nano_usd": 1_500, "total_ms": 12.6});
        let row = row(&call);
        assert_eq!((&row["input"], &row["output"], &row["ms"]), (&json!(7), &json!(24), &json!("12.6")));
        assert_eq!(row["cost"], "0.0000015");
    }
}
