//! `/rates`: requests, tokens and open calls that all calls of a project, or of the organisation, share. A key's own rates
//! are in its policy; a call passes all of them.

use super::{Items, ReasonBody, checked_reason, expected, projects};
use crate::{
    Control,
    auth::{Administrator, Caller, Reader},
    body::{Json as Body, MaybeJson, Name},
    control::change,
    error::{Answer, ApiError},
    integrity::{self, Guarded},
    publish,
    versions::fault,
};
use axum::{Json, extract::State};
use keyward_domain::{ProjectId, budget::Scope, times};
use keyward_store::RatesRow;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Value, json};
use std::collections::HashMap;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

pub(crate) fn router() -> OpenApiRouter<Control> {
    OpenApiRouter::new()
        .routes(routes!(list))
        .routes(routes!(set_organisation, clear_organisation))
        .routes(routes!(set_project, clear_project))
}

/// New rates. What is left out stays; null takes a rate away.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct RatesChange {
    /// Requests per minute.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<u64>)]
    requests_per_minute: Option<Option<u64>>,
    /// Tokens per minute, input and output together.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<u64>)]
    tokens_per_minute: Option<Option<u64>>,
    /// Calls at once.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<u32>)]
    concurrency: Option<Option<u32>>,
    /// The `revision` that the change is meant for: it is refused when the rates have another by now.
    revision: Option<String>,
    /// Why, for the audit log.
    reason: Option<String>,
}

/// Reads a field that may be left out, null, or given: three different things.
fn given<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<Option<Option<T>>, D::Error> {
    Option::deserialize(deserializer).map(Some)
}

/// Rates that all calls of a scope share.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Rates {
    /// Whose calls: `organisation` or `project`.
    scope: &'static str,
    /// The project's name.
    project: Option<String>,
    /// The project's id.
    project_id: Option<String>,
    /// `active`, `none` without any rate, or `tampered` when the record was changed outside of Keyward: then no call of
    /// the scope is let through until the rates are set or cleared.
    status: &'static str,
    /// Another after every change.
    revision: String,
    /// Requests per minute.
    requests_per_minute: Option<u64>,
    /// Tokens per minute.
    tokens_per_minute: Option<u64>,
    /// Calls at once.
    concurrency: Option<u32>,
    /// When they were last changed, in RFC 3339.
    updated_at: String,
}

fn present(control: &Control, row: &RatesRow, project: Option<&str>) -> Rates {
    let scope = RatesRow::scope_of(&row.scope);
    Rates {
        scope: if matches!(scope, Some(Scope::Project(_))) { "project" } else { "organisation" },
        project: project.map(str::to_owned),
        project_id: matches!(scope, Some(Scope::Project(_))).then(|| row.scope.clone()),
        status: match (control.shows_sound(row), row.is_clear()) {
            (false, _) => "tampered",
            (true, true) => "none",
            (true, false) => "active",
        },
        revision: row.row_version.to_string(),
        requests_per_minute: row.requests_per_minute,
        tokens_per_minute: row.tokens_per_minute,
        concurrency: row.concurrency,
        updated_at: times::show(row.updated_at),
    }
}

/// Rates that the organisation and projects share among their calls
#[utoipa::path(get, path = "/rates", tag = "rates", responses((status = 200, body = Items<Rates>)))]
async fn list(_: Reader, State(control): State<Control>) -> Answer<Json<Items<Rates>>> {
    let projects = control.store().projects().await?;
    let names: HashMap<ProjectId, &str> = projects.iter().map(|row| (row.id, row.name.as_str())).collect();
    let mut items = Vec::new();
    for row in control.store().all_rates().await? {
        let project = match RatesRow::scope_of(&row.scope) {
            Some(Scope::Project(id)) => names.get(&id).copied(),
            _ => None,
        };
        let rates = present(&control, &row, project);
        if rates.status != "none" {
            items.push(rates);
        }
    }
    Ok(Json(Items { items }))
}

/// Set rates that all calls share; in effect before the answer
#[utoipa::path(patch, path = "/rates/organisation", tag = "rates", request_body = RatesChange,
    responses((status = 200, body = Rates)))]
async fn set_organisation(
    Administrator(caller): Administrator,
    State(control): State<Control>,
    Body(asked): Body<RatesChange>,
) -> Answer<Json<Rates>> {
    set(&control, &caller, Scope::Organisation, None, asked).await
}

/// Set rates that all calls of a project share; in effect before the answer
#[utoipa::path(patch, path = "/rates/projects/{project}", tag = "rates", request_body = RatesChange,
    params(("project" = String, Path, description = "Id or name")), responses((status = 200, body = Rates)))]
async fn set_project(
    Administrator(caller): Administrator,
    State(control): State<Control>,
    Name(name): Name,
    Body(asked): Body<RatesChange>,
) -> Answer<Json<Rates>> {
    let project = projects::find(&control, &name).await?;
    projects::usable(&control, &project).await?;
    set(&control, &caller, Scope::Project(project.id), Some(&project.name), asked).await
}

/// Take the rates away that all calls share
#[utoipa::path(delete, path = "/rates/organisation", tag = "rates", request_body = ReasonBody,
    responses((status = 200, body = Rates)))]
async fn clear_organisation(
    Administrator(caller): Administrator,
    State(control): State<Control>,
    MaybeJson(ReasonBody { reason }): MaybeJson<ReasonBody>,
) -> Answer<Json<Rates>> {
    set(&control, &caller, Scope::Organisation, None, cleared(reason)).await
}

/// Take the rates away that all calls of a project share
#[utoipa::path(delete, path = "/rates/projects/{project}", tag = "rates", request_body = ReasonBody,
    params(("project" = String, Path, description = "Id or name")), responses((status = 200, body = Rates)))]
async fn clear_project(
    Administrator(caller): Administrator,
    State(control): State<Control>,
    Name(name): Name,
    MaybeJson(ReasonBody { reason }): MaybeJson<ReasonBody>,
) -> Answer<Json<Rates>> {
    let project = projects::find(&control, &name).await?;
    set(&control, &caller, Scope::Project(project.id), Some(&project.name), cleared(reason)).await
}

const fn cleared(reason: Option<String>) -> RatesChange {
    RatesChange {
        requests_per_minute: Some(None),
        tokens_per_minute: Some(None),
        concurrency: Some(None),
        revision: None,
        reason,
    }
}

async fn set(
    control: &Control,
    caller: &Caller,
    scope: Scope,
    project: Option<&str>,
    asked: RatesChange,
) -> Answer<Json<Rates>> {
    let reason = checked_reason(asked.reason)?;
    let zero = [asked.requests_per_minute, asked.tokens_per_minute, asked.concurrency.map(|rate| rate.map(u64::from))];
    if zero.contains(&Some(Some(0))) {
        return Err(ApiError::invalid("invalid_rates", "a rate is 0, so nothing could be called")
            .hint("take a rate away with null; to stop a project, archive it"));
    }
    let Some(name) = RatesRow::name_of(scope) else { return Err(ApiError::internal("a scope without shared rates")) };
    // Who states all rates anew leaves nothing of what somebody else may have written into the record.
    let whole = asked.requests_per_minute.is_some() && asked.tokens_per_minute.is_some() && asked.concurrency.is_some();
    // A record that was removed may have said more than what is asked for now. Looked at before the write begins: it may
    // have to be reported.
    if !whole && control.shared_rates(&name).await?.concurrency == Some(0) {
        return Err(ApiError::conflict("tampered", "the record of these rates was changed outside of Keyward")
            .hint("clear them, or state all three; `keyward doctor` lists such records"));
    }
    let mut write = control.write(caller).await?;
    let before = control.store().rates(&name).await?;
    if !whole && let Some(row) = &before {
        write = control.trusted_within(write, row).await?;
    }
    let now = control.now();
    let none = || RatesRow {
        scope: name.clone(),
        requests_per_minute: None,
        tokens_per_minute: None,
        concurrency: None,
        updated_at: now,
        row_version: 0,
        mac: Vec::new(),
    };
    let mut row = before.clone().unwrap_or_else(none);
    expected(asked.revision.as_deref(), &row.row_version.to_string())?;
    row.requests_per_minute = asked.requests_per_minute.unwrap_or(row.requests_per_minute);
    row.tokens_per_minute = asked.tokens_per_minute.unwrap_or(row.tokens_per_minute);
    row.concurrency = asked.concurrency.unwrap_or(row.concurrency);
    let sound = match &before {
        Some(before) => fault(control.store(), control.vault(), before).await?.is_none(),
        None => false,
    };
    if sound && before.as_ref() == Some(&row) {
        // Taking away what is not there is done already.
        if row.is_clear() {
            return Ok(Json(present(control, &row, project)));
        }
        return Err(ApiError::invalid("nothing_to_change", "the body names nothing that would change"));
    }
    if before.is_none() && row.is_clear() {
        if !whole {
            return Err(ApiError::invalid("nothing_to_change", "the body names no rate"));
        }
        if control.store().audited_version(RatesRow::KIND, &name).await?.is_none() {
            integrity::seal(control.vault(), &mut row);
            return Ok(Json(present(control, &row, project)));
        }
    }
    row.updated_at = now;
    let stored = control.renew(&write, &mut row).await?;
    if before.is_some() {
        write.update_rates(&row, stored).await?;
    } else {
        write.insert_rates(&row).await?;
    }
    let old = before.as_ref().map_or(Value::Null, summary);
    let said = change("rates.update", &row, old, summary(&row), reason);
    control.commit(write, vec![said]).await?;
    publish::rates(control, std::slice::from_ref(&name)).await?;
    Ok(Json(present(control, &row, project)))
}

/// Rates for the audit log; nothing when there are none.
fn summary(row: &RatesRow) -> Value {
    if row.is_clear() {
        return Value::Null;
    }
    json!({
        "requests_per_minute": row.requests_per_minute,
        "tokens_per_minute": row.tokens_per_minute,
        "concurrency": row.concurrency,
    })
}
