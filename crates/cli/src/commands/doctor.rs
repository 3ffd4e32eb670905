//! `keyward doctor`: what is wrong with this installation, and what to do about it.

use super::{App, Outcome};
use crate::{
    client::Route,
    failure::{Failure, Verdict},
    text,
    ui::table,
};
use serde_json::{Value, json};

/// Check the installation and say what to do; exit status 1 when something is wrong
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  keyward doctor
  keyward doctor --format json | jq '.checks[] | select(.state != \"ok\")'
  keyward doctor --rebuild")]
pub(crate) struct Doctor {
    /// Derive what budgets stand at from the ledger once more; exit status 1 when an account differed
    #[arg(long)]
    rebuild: bool,
    /// With --rebuild: set accounts that differ to what follows from the ledger
    #[arg(long, requires = "rebuild")]
    fix: bool,
}

impl Doctor {
    pub(crate) async fn run(self, app: &mut App) -> Outcome {
        let client = app.client()?;
        if self.rebuild {
            let report = client.post(Route::new(&["doctor", "rebuild"])?, &json!({"fix": self.fix})).await?;
            Failure::unless_closed(app.context.ui.answer(&report, rebuilt))?;
            let equal = report.get("equal").and_then(Value::as_bool) == Some(true);
            return Ok(if equal { Verdict::Yes } else { Verdict::No });
        }
        let report = client.get(Route::new(&["doctor"])?).await?;
        let address = client.target().address.to_string();
        Failure::unless_closed(app.context.ui.answer(&report, |report, _| words(report, &address)))?;
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

/// What follows from the ledger, where that is not what the accounts say.
fn rebuilt(report: &Value, width: Option<u16>) -> String {
    let differences = report.get("differences").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    let columns = [
        table::plain("BUDGET", "/budget"),
        table::time("SINCE", "/start"),
        table::plain("WHAT", "/what"),
        table::plain("ACCOUNT USD", "/stored_usd"),
        table::plain("LEDGER USD", "/derived_usd"),
    ];
    let mut out = table::table(differences, &columns, "Every account is what the ledger says.", width);
    if !differences.is_empty() {
        let mended = report.get("mended").and_then(Value::as_bool) == Some(true);
        out.push_str(if mended {
            "They are now set to what the ledger says.\n"
        } else {
            "Set them right: keyward doctor --rebuild --fix\n"
        });
    }
    out
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
