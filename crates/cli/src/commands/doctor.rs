//! `keyward doctor`: what is wrong with this installation, and what to do about it.

use super::{App, Outcome};
use crate::{client::Route, failure::Verdict, text, ui::table};
use serde_json::Value;

/// Check the installation and say what to do; exit status 1 when something is wrong
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  keyward doctor
  keyward doctor --format json | jq '.checks[] | select(.state != \"ok\")'")]
pub(crate) struct Doctor {}

impl Doctor {
    pub(crate) async fn run(self, app: &mut App) -> Outcome {
        let client = app.client()?;
        let report = client.get(Route::new(&["doctor"])?).await?;
        let address = client.target().address.to_string();
        app.context.ui.answer(&report, |report, _| words(report, &address))?;
        Ok(if healthy(&report) { Verdict::Yes } else { Verdict::No })
    }
}

/// Whether the report finds nothing that must be mended. Warnings do not count.
fn healthy(report: &Value) -> bool {
    match report.get("healthy").and_then(Value::as_bool) {
        Some(healthy) => healthy,
        None => !checks(report).iter().any(|check| table::at(check, "/state") == "failed"),
    }
}

fn checks(report: &Value) -> &[Value] {
    report.get("checks").and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

fn words(report: &Value, address: &str) -> String {
    let mut out = format!("{}\n", text::line(address));
    for check in checks(report) {
        let [state, name, detail, hint] = ["/state", "/name", "/detail", "/hint"].map(|place| table::at(check, place));
        out.push_str(&format!("{state:9}{name}: {detail}\n"));
        if !hint.is_empty() {
            out.push_str(&format!("{:9}-> {hint}\n", ""));
        }
    }
    out
}
