//! `/doctor`: looks at everything that can be wrong and says what to do about it.

use crate::{
    Control,
    auth::{Owner, Reader},
    body, doctor,
    error::Answer,
};
use axum::{Json, extract::State};
use keyward_domain::times;
use keyward_store::Change;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

pub(crate) fn router() -> OpenApiRouter<Control> {
    OpenApiRouter::new().routes(routes!(examine)).routes(routes!(rebuild))
}

/// What the doctor says.
#[derive(Debug, Serialize, ToSchema)]
struct Report {
    /// Whether nothing failed.
    healthy: bool,
    /// What was looked at.
    checks: Vec<doctor::Check>,
}

/// Look at everything that can be wrong
#[utoipa::path(get, path = "/doctor", tag = "status", responses((status = 200, body = Report)))]
async fn examine(_: Reader, State(control): State<Control>) -> Answer<Json<Report>> {
    let checks = doctor::examine(&control).await?;
    Ok(Json(Report { healthy: checks.iter().all(doctor::Check::is_fine), checks }))
}

/// How the accounts are to be derived.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
struct Rebuild {
    /// Set accounts to what follows from the ledger.
    fix: bool,
}

/// What follows from the ledger.
#[derive(Debug, Serialize, ToSchema)]
struct Rebuilt {
    /// Whether every account was what the ledger says.
    equal: bool,
    /// Whether those that were not are now.
    mended: bool,
    /// Accounts that were not.
    differences: Vec<Difference>,
}

/// An account that was not what the ledger says.
#[derive(Debug, Serialize, ToSchema)]
struct Difference {
    /// The budget's id.
    budget: String,
    /// When the window, or the slot of a rolling budget, began; RFC 3339.
    start: String,
    /// What differs: `spent` or `leased`.
    what: &'static str,
    /// What the account said, in dollars.
    stored_usd: String,
    /// What follows from the ledger, in dollars.
    derived_usd: String,
}

/// How many differences an audit row names.
const NAMED: usize = 100;

/// Derive what budgets stand at from the ledger once more, and compare
#[utoipa::path(post, path = "/doctor/rebuild", tag = "status", request_body = Option<Rebuild>,
    responses((status = 200, body = Rebuilt)))]
async fn rebuild(
    Owner(caller): Owner,
    State(control): State<Control>,
    body::MaybeJson(wanted): body::MaybeJson<Rebuild>,
) -> Answer<Json<Rebuilt>> {
    let found = control.store().rebuild_accounts().await?;
    if !wanted.fix || found.is_empty() {
        let differences = shown(found);
        return Ok(Json(Rebuilt { equal: differences.is_empty(), mended: false, differences }));
    }
    let mut write = control.write(&caller).await?;
    // Once more, now that nobody moves them.
    let differences = shown(write.rebuild_accounts().await?);
    let said = Change {
        action: "budget.rebuild".to_owned(),
        subject_kind: "budget".to_owned(),
        subject: "accounts".to_owned(),
        before: Value::Null,
        after: json!({"mended": differences.len(), "first": differences.iter().take(NAMED).collect::<Vec<_>>()}),
        reason: None,
        row_version: None,
    };
    control.commit(write, vec![said]).await?;
    Ok(Json(Rebuilt { equal: differences.is_empty(), mended: true, differences }))
}

fn shown(found: Vec<keyward_store::Difference>) -> Vec<Difference> {
    let show = |found: keyward_store::Difference| Difference {
        budget: found.account.budget.to_string(),
        start: times::show(found.account.start),
        what: found.what,
        stored_usd: found.stored.to_string(),
        derived_usd: found.derived.to_string(),
    };
    found.into_iter().map(show).collect()
}
