//! `keyward audit`: who did what, and why.

use super::{App, Outcome, items};
use crate::{
    client::Route,
    ui::table::{self, plain, time},
};
use serde_json::Value;

/// The audit log
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Audit {
    /// Show the newest entries, the latest first
    #[command(after_help = "\
Examples:
  keyward audit log
  keyward audit log --limit 500 --format json
  keyward audit log --before 1200")]
    Log(Log),
}

/// Options of `audit log`.
#[derive(Debug, clap::Args)]
pub(crate) struct Log {
    /// How many entries
    #[arg(long, value_name = "COUNT", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=1000))]
    limit: u32,
    /// Only entries before this number
    #[arg(long, value_name = "NUMBER")]
    before: Option<u64>,
}

impl Audit {
    pub(crate) async fn run(self, app: &mut App) -> Outcome {
        let Self::Log(log) = self;
        let (limit, before) = (log.limit.to_string(), log.before.map(|before| before.to_string()));
        let route = Route::new(&["audit"])?.query("limit", Some(&limit)).query("before", before.as_deref());
        let entries = app.client()?.get(route).await?;
        app.done(&entries, |entries, width| {
            let rows: Vec<Value> = items(entries).iter().map(with_actor).collect();
            let columns = [
                plain("NUMBER", "/sequence"),
                time("TIME", "/at"),
                plain("WHO", "/who"),
                plain("WHAT", "/action"),
                plain("WHICH", "/subject"),
                plain("WHY", "/reason"),
                plain("FROM", "/source"),
            ];
            table::table(&rows, &columns, "the audit log is empty", width)
        })
    }
}

/// The entry with the actor as one word.
fn with_actor(entry: &Value) -> Value {
    let mut entry = entry.clone();
    let actor = entry.get("actor").cloned().unwrap_or_default();
    let who = match (actor.get("kind").and_then(Value::as_str), actor.get("name").or_else(|| actor.get("part"))) {
        (Some("token") | None, Some(name)) => table::words(name),
        (Some(kind), Some(name)) => format!("{kind} {}", table::words(name)),
        (Some(kind), None) => kind.to_owned(),
        (None, None) => table::words(&actor),
    };
    if let Some(fields) = entry.as_object_mut() {
        fields.insert("who".to_owned(), who.into());
    }
    entry
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn actors_are_one_word() {
        for (actor, who) in [
            (json!({"kind": "token", "id": "1", "name": "ci"}), "ci"),
            (json!({"kind": "system", "part": "health"}), "system health"),
            (json!({"kind": "operator"}), "operator"),
            (json!("anna"), "anna"),
        ] {
            assert_eq!(with_actor(&json!({"actor": actor}))["who"], who);
        }
    }
}
