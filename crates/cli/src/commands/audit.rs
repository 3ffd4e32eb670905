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
  keyward audit log --before 1200
  keyward audit log --subject 01890a5d-ac96-774b-bcce-b302099a8057")]
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
    /// Only entries about the record with this id
    #[arg(long, value_name = "ID")]
    subject: Option<String>,
}

impl Audit {
    pub(crate) async fn run(self, app: &mut App) -> Outcome {
        let Self::Log(log) = self;
        let (limit, before) = (log.limit.to_string(), log.before.map(|before| before.to_string()));
        let route = Route::new(&["audit"])?
            .query("limit", Some(&limit))
            .query("before", before.as_deref())
            .query("subject", log.subject.as_deref());
        let entries = app.client()?.get(route).await?;
        app.done(&entries, |entries, width| {
            let rows: Vec<Value> = items(entries).iter().map(row).collect();
            let columns = [
                plain("NUMBER", "/seq"),
                time("TIME", "/at"),
                plain("WHO", "/who"),
                plain("WHAT", "/action"),
                plain("WHICH", "/which"),
                plain("WHY", "/reason"),
                plain("FROM", "/source"),
            ];
            table::table(&rows, &columns, "the audit log is empty", width)
        })
    }
}

/// The entry with whoever acted and whatever was changed as one word each.
fn row(entry: &Value) -> Value {
    let actor = entry.get("actor").cloned().unwrap_or_default();
    let who = match (actor.get("kind").and_then(Value::as_str), actor.get("name").or_else(|| actor.get("part"))) {
        (Some("token") | None, Some(name)) => table::words(name),
        (Some(kind), Some(name)) => format!("{kind} {}", table::words(name)),
        (Some(kind), None) => kind.to_owned(),
        (None, None) => table::words(&actor),
    };
    let name =
        ["/after/name", "/before/name"].into_iter().map(|place| table::at(entry, place)).find(|name| !name.is_empty());
    let mut row = entry.clone();
    if let Some(fields) = row.as_object_mut() {
        fields.insert("who".to_owned(), who.into());
        fields.insert("which".to_owned(), name.unwrap_or_else(|| table::at(entry, "/subject")).into());
    }
    row
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn actors_and_subjects_are_one_word() {
        for (actor, who) in [
            (json!({"kind": "token", "id": "1", "name": "ci"}), "ci"),
            (json!({"kind": "system", "part": "health"}), "system health"),
            (json!({"kind": "operator"}), "operator"),
        ] {
            assert_eq!(row(&json!({"actor": actor}))["who"], who);
        }
        let renamed = json!({"subject": "id-1", "before": {"name": "old"}, "after": {"name": "new"}});
        assert_eq!(row(&renamed)["which"], "new");
        assert_eq!(row(&json!({"subject": "id-1", "before": {"name": "old"}, "after": null}))["which"], "old");
        assert_eq!(row(&json!({"subject": "id-1", "before": null, "after": null}))["which"], "id-1");
    }
}
