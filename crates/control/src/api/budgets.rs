//! `/budgets`: what an organisation, a project, an environment or a key may spend in a window. A budget's limit and its
//! thresholds can be changed, and that never touches what was used; its scope and its window are what use is counted
//! for, so another window is another budget.

mod draft;
mod list;
mod shape;

pub(crate) use draft::{Draft, Place, apart, insert};
pub(crate) use shape::{Budget, of_key};

use super::{ReasonBody, checked_reason, expected};
use crate::{
    Control,
    auth::{Caller, Operator, Permission, Reader},
    body::{Json as Body, MaybeJson, Name},
    budgets::{scope_of, summary},
    control::change,
    error::{Answer, ApiError},
    integrity::{self, Guarded},
    publish::{self, ACTIVE, ARCHIVED},
    versions::fault,
};
use axum::{Json, extract::State, http::StatusCode};
use draft::{Asked, limit_of, thresholds_of};
use keyward_domain::{BudgetId, Environment, budget::Scope, window::Window};
use keyward_store::{BudgetRow, Write};
use serde::Deserialize;
use serde_json::Value;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

pub(crate) fn router() -> OpenApiRouter<Control> {
    OpenApiRouter::new()
        .routes(routes!(list::list, create))
        .routes(routes!(show, update))
        .routes(routes!(list::history))
        .routes(routes!(archive))
}

/// A budget to be made. Its scope is one of `organisation`, `project` (with or without `environment`) and `key`; its limit
/// is one text, or `limit_usd` and `window`.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct NewBudget {
    /// True: it bounds all calls.
    #[serde(default)]
    organisation: bool,
    /// The project whose calls it bounds, by id or name.
    project: Option<String>,
    /// Only those of this environment of the project.
    #[schema(value_type = Option<String>)]
    environment: Option<Environment>,
    /// The key whose calls it bounds, by id, public id, or a name that only one has.
    key: Option<String>,
    /// The limit and its window: `5 USD/month`, `0.50 USD/hour`, `20 USD/month Europe/Vienna`, `10 USD/rolling 24h`,
    /// `100 USD/2026-11-01..2026-12-01`, `500 USD/total`.
    #[schema(example = "20 USD/month Europe/Vienna")]
    limit: Option<String>,
    /// The limit in dollars, as a decimal number.
    #[schema(example = "20")]
    limit_usd: Option<String>,
    /// The window.
    #[schema(example = "month Europe/Vienna")]
    window: Option<String>,
    /// At how many percent of the limit an event says so, once in each window: 1 to 100. Left out: 50, 80 and 100.
    thresholds: Option<Vec<u32>>,
    /// Why, for the audit log.
    reason: Option<String>,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct BudgetChange {
    /// A new limit with the window that the budget has, such as `30 USD/month`.
    limit: Option<String>,
    /// A new limit in dollars, as a decimal number; instead of `limit`.
    limit_usd: Option<String>,
    /// New thresholds, all of them.
    thresholds: Option<Vec<u32>>,
    /// The `revision` that the change is meant for: it is refused when the budget has another by now.
    revision: Option<String>,
    /// Why, for the audit log.
    reason: Option<String>,
}

/// Finds a budget by its id.
async fn find(control: &Control, name: &str) -> Answer<BudgetRow> {
    let id = id_of(name)?;
    control.store().budget(id).await?.ok_or_else(|| ApiError::not_found("budget", name))
}

fn id_of(name: &str) -> Answer<BudgetId> {
    name.parse()
        .map_err(|_| ApiError::not_found("budget", name).hint("a budget is named by its id: keyward budget list"))
}

/// Refuses callers who may make keys, and no more, to change what bounds more than a key.
fn may_change(caller: &Caller, scope: Option<Scope>) -> Answer<()> {
    if matches!(scope, Some(Scope::Key(_))) || caller.role.may(Permission::Administer) {
        return Ok(());
    }
    Err(ApiError::forbidden(format!("the role {} changes the budgets of keys only", caller.role))
        .hint("use a token with the role owner or admin"))
}

/// Set a budget; calls of its scope are bound by it before the answer. What was used before does not count
#[utoipa::path(post, path = "/budgets", tag = "budgets", request_body = NewBudget,
    responses((status = 201, body = Budget)))]
async fn create(
    Operator(caller): Operator,
    State(control): State<Control>,
    Body(new): Body<NewBudget>,
) -> Answer<(StatusCode, Json<Budget>)> {
    let reason = checked_reason(new.reason)?;
    let asked = Asked { organisation: new.organisation, project: new.project.as_deref(), key: new.key.as_deref() };
    let place = Place::find(&control, asked, new.environment).await?;
    may_change(&caller, Some(place.scope))?;
    let draft = Draft {
        limit: limit_of(new.limit.as_deref(), new.limit_usd.as_deref(), new.window.as_deref())?,
        thresholds: thresholds_of(new.thresholds)?,
    };
    let mut write = control.write(&caller).await?;
    let (row, said) = insert(&control, &mut write, place, draft, reason).await?;
    control.commit(write, vec![said]).await?;
    publish::budgets(&control, &[row.id]).await?;
    Ok((StatusCode::CREATED, Json(shape::shown(&control, &row).await?)))
}

/// One budget: its limit, and what is used of it
#[utoipa::path(get, path = "/budgets/{budget}", tag = "budgets", params(("budget" = String, Path, description = "Id")),
    responses((status = 200, body = Budget)))]
async fn show(_: Reader, State(control): State<Control>, Name(name): Name) -> Answer<Json<Budget>> {
    let row = find(&control, &name).await?;
    shape::shown(&control, &row).await.map(Json)
}

/// Change a budget's limit or thresholds; what was used stays used
#[utoipa::path(patch, path = "/budgets/{budget}", tag = "budgets", request_body = BudgetChange,
    params(("budget" = String, Path, description = "Id")), responses((status = 200, body = Budget)))]
async fn update(
    Operator(caller): Operator,
    State(control): State<Control>,
    Name(name): Name,
    Body(asked): Body<BudgetChange>,
) -> Answer<Json<Budget>> {
    let known = find(&control, &name).await?;
    let reason = checked_reason(asked.reason)?;
    let thresholds = asked.thresholds.map(|wanted| thresholds_of(Some(wanted))).transpose()?;
    let write = control.write(&caller).await?;
    let before = find(&control, &known.id.to_string()).await?;
    let mut write = control.trusted_within(write, &before).await?;
    may_change(&caller, before.scope())?;
    if before.status == ARCHIVED {
        return Err(ApiError::conflict("budget_archived", "this budget was archived, which is final")
            .hint("set a new one: keyward budget set"));
    }
    expected(asked.revision.as_deref(), &before.row_version.to_string())?;
    let mut row = before.clone();
    if asked.limit.is_some() || asked.limit_usd.is_some() {
        let window = asked.limit_usd.is_some().then_some(before.window.as_str());
        let limit = limit_of(asked.limit.as_deref(), asked.limit_usd.as_deref(), window)?;
        if before.window.parse::<Window>().is_ok_and(|window| !window.is_same(&limit.window)) {
            return Err(ApiError::conflict(
                "window_is_fixed",
                format!("this budget is for '{}': a budget's window does not change", before.window),
            )
            .hint("what was used is counted for the window: set a second budget with the other window, then archive this one"));
        }
        row.amount = limit.amount.nano();
    }
    if let Some(thresholds) = thresholds {
        row.thresholds = serde_json::to_string(&thresholds).map_err(ApiError::internal)?;
    }
    if row == before {
        return Err(ApiError::invalid("nothing_to_change", "the body names nothing that would change"));
    }
    put(&control, &mut write, &mut row).await?;
    let said = change("budget.update", &row, summary(&before), summary(&row), reason);
    control.commit(write, vec![said]).await?;
    publish::budgets(&control, &[row.id]).await?;
    shape::shown(&control, &row).await.map(Json)
}

/// Archive a budget: it bounds nothing any more; what was used of it is kept
#[utoipa::path(post, path = "/budgets/{budget}/archive", tag = "budgets", request_body = ReasonBody,
    params(("budget" = String, Path, description = "Id")), responses((status = 200, body = Budget)))]
async fn archive(
    Operator(caller): Operator,
    State(control): State<Control>,
    Name(name): Name,
    MaybeJson(ReasonBody { reason }): MaybeJson<ReasonBody>,
) -> Answer<Json<Budget>> {
    let id = id_of(&name)?;
    let reason = checked_reason(reason)?;
    let mut write = control.write(&caller).await?;
    let before = control.store().budget(id).await?;
    let sound = match &before {
        Some(row) => fault(control.store(), control.vault(), row).await?.is_none(),
        None => false,
    };
    // A record that somebody changed or removed is put right as far as the audit log knows it: nothing else would open
    // its scope again. Whose it is cannot be read from it, so that takes whoever may change all budgets.
    let witness = if sound { None } else { control.witness(id).await? };
    let mut row = match (&before, &witness) {
        (None, None) => return Err(ApiError::not_found("budget", &name)),
        (Some(row), None) => row.clone(),
        (row, Some(witness)) => restored(&control, id, row.as_ref(), witness),
    };
    may_change(&caller, row.scope().filter(|_| sound))?;
    if sound && row.status == ARCHIVED {
        drop(write);
        return shape::shown(&control, &row).await.map(Json);
    }
    row.status = ARCHIVED.to_owned();
    row.archived_at = Some(control.now());
    if before.is_some() {
        put(&control, &mut write, &mut row).await?;
    } else {
        control.renew(&write, &mut row).await?;
        write.insert_budget(&row).await?;
    }
    let old = before.as_ref().map_or(Value::Null, summary);
    let said = change("budget.archive", &row, old, summary(&row), reason);
    control.commit(write, vec![said]).await?;
    publish::budgets(&control, &[row.id]).await?;
    shape::shown(&control, &row).await.map(Json)
}

/// A budget's row as the audit log knows it.
fn restored(control: &Control, id: BudgetId, row: Option<&BudgetRow>, witness: &Value) -> BudgetRow {
    let now = control.now();
    let text = |field: &str| witness.get(field).and_then(Value::as_str);
    let (limit, window) = text("limit").and_then(|limit| limit.split_once(" USD/")).unwrap_or(("0", "total"));
    BudgetRow {
        id,
        scope: scope_of(witness).map_or("organisation", |scope| scope.kind()).to_owned(),
        project: text("project").and_then(|id| id.parse().ok()),
        environment: text("environment").and_then(|name| name.parse().ok()),
        key: text("key").and_then(|id| id.parse().ok()),
        amount: limit.parse::<keyward_domain::Money>().map_or(0, keyward_domain::Money::nano),
        window: window.to_owned(),
        thresholds: witness.get("thresholds").map_or_else(|| "[]".to_owned(), Value::to_string),
        status: ACTIVE.to_owned(),
        created_at: row.map_or(now, |row| row.created_at),
        updated_at: now,
        archived_at: None,
        row_version: row.map_or(0, Guarded::row_version),
        mac: Vec::new(),
    }
}

/// Writes a changed budget.
async fn put(control: &Control, write: &mut Write, row: &mut BudgetRow) -> Answer<()> {
    row.updated_at = control.now();
    let stored = control.renew(write, row).await?;
    Ok(write.update_budget(row, stored).await?)
}

/// A budget's row with its code, to be written for the first time.
fn sealed(control: &Control, mut row: BudgetRow) -> BudgetRow {
    integrity::seal(control.vault(), &mut row);
    row
}
