//! `/projects`: one for each site, client or application, with the policies that its keys inherit.

use super::{Items, ReasonBody, checked_name, checked_reason, schema};
use crate::{
    Control,
    auth::{Administrator, Caller, Reader},
    body::{Json as Body, MaybeJson, Name},
    control::change,
    error::{Answer, ApiError, taken},
    integrity, policy_check,
    publish::{self, ACTIVE, ARCHIVED, read_policy},
    versions::fault,
};
use axum::{Json, extract::State, http::StatusCode};
use keyward_domain::{Environment, Millis, ProjectId, policy::Policy, times};
use keyward_store::{Change, EnvironmentRow, ProjectRow, Write};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

pub(crate) fn router() -> OpenApiRouter<Control> {
    OpenApiRouter::new().routes(routes!(list, create)).routes(routes!(show, update)).routes(routes!(archive))
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct NewProject {
    /// A name of your own; unique.
    name: String,
    /// What all its keys inherit.
    #[serde(default)]
    #[schema(value_type = Option<schema::Policy>)]
    policy: Policy,
    /// What the keys of one environment inherit, by `development`, `staging`, `production`.
    #[serde(default)]
    #[schema(value_type = BTreeMap<String, schema::Policy>)]
    environments: BTreeMap<Environment, Policy>,
    /// Why, for the audit log.
    reason: Option<String>,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct ProjectChange {
    /// A new name.
    name: Option<String>,
    /// A new policy, whole.
    #[schema(value_type = Option<schema::Policy>)]
    policy: Option<Policy>,
    /// New policies of environments, each whole; those not named stay.
    #[serde(default)]
    #[schema(value_type = BTreeMap<String, schema::Policy>)]
    environments: BTreeMap<Environment, Policy>,
    /// The `revision` that the change is meant for: it is refused when the project has another by now.
    revision: Option<String>,
    /// Why, for the audit log.
    reason: Option<String>,
}

/// A project.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Project {
    /// Its id.
    id: String,
    /// Its name.
    name: String,
    /// `active`, `archived`, or `tampered` when its record was changed outside of Keyward.
    status: String,
    /// Another after every change, also of an environment's policy.
    revision: String,
    /// What all its keys inherit.
    #[schema(value_type = schema::Policy)]
    policy: Policy,
    /// What the keys of one environment inherit.
    #[schema(value_type = BTreeMap<String, schema::Policy>)]
    environments: BTreeMap<Environment, Policy>,
    /// When it was made, in RFC 3339.
    created_at: String,
    /// When it was archived, in RFC 3339.
    #[serde(skip_serializing_if = "Option::is_none")]
    archived_at: Option<String>,
}

/// Finds a project by id or name.
pub(crate) async fn find(control: &Control, name: &str) -> Answer<ProjectRow> {
    let found = match name.parse::<ProjectId>() {
        Ok(id) => control.store().project(id).await?,
        Err(_) => control.store().project_by_name(name).await?,
    };
    found.ok_or_else(|| ApiError::not_found("project", name))
}

/// Refuses to add to a project that is archived, or whose record cannot be trusted.
pub(crate) async fn usable(control: &Control, row: &ProjectRow) -> Answer<()> {
    control.trusted(row).await?;
    if row.status == ARCHIVED {
        return Err(ApiError::conflict("project_archived", format!("the project '{}' is archived", row.name)));
    }
    Ok(())
}

async fn shown(control: &Control, row: &ProjectRow) -> Answer<Project> {
    let environments = control.store().environments_of(row.id).await?;
    Ok(present(control, row, &environments))
}

fn present(control: &Control, row: &ProjectRow, environments: &[EnvironmentRow]) -> Project {
    let holds = control.shows_sound(row) && environments.iter().all(|environment| control.shows_sound(environment));
    Project {
        id: row.id.to_string(),
        name: row.name.clone(),
        status: if holds { row.status.clone() } else { "tampered".to_owned() },
        revision: revision(row, environments),
        policy: read_policy("project", &row.id.to_string(), &row.policy).unwrap_or_default(),
        environments: environments
            .iter()
            .filter_map(|row| Some((row.environment, read_policy("environment", row.environment.name(), &row.policy)?)))
            .collect(),
        created_at: times::show(row.created_at),
        archived_at: row.archived_at.map(times::show),
    }
}

/// The versions of the project's row and of its environments' rows, 0 where there is none.
fn revision(row: &ProjectRow, environments: &[EnvironmentRow]) -> String {
    let of =
        |environment| environments.iter().find(|row| row.environment == environment).map_or(0, |row| row.row_version);
    let [first, second, third] = Environment::ALL.map(of);
    format!("{}.{first}.{second}.{third}", row.row_version)
}

/// All projects
#[utoipa::path(get, path = "/projects", tag = "projects", responses((status = 200, body = Items<Project>)))]
async fn list(_: Reader, State(control): State<Control>) -> Answer<Json<Items<Project>>> {
    let mut environments: BTreeMap<ProjectId, Vec<EnvironmentRow>> = BTreeMap::new();
    for row in control.store().environments().await? {
        environments.entry(row.project).or_default().push(row);
    }
    let rows = control.store().projects().await?;
    let of = |row: &ProjectRow| environments.get(&row.id).map(Vec::as_slice).unwrap_or_default();
    Ok(Json(Items { items: rows.iter().map(|row| present(&control, row, of(row))).collect() }))
}

/// One project
#[utoipa::path(get, path = "/projects/{project}", tag = "projects", params(("project" = String, Path, description = "Id or name")),
    responses((status = 200, body = Project)))]
async fn show(_: Reader, State(control): State<Control>, Name(name): Name) -> Answer<Json<Project>> {
    let row = find(&control, &name).await?;
    shown(&control, &row).await.map(Json)
}

fn policy_text(control: &Control, policy: &Policy) -> Answer<String> {
    policy_check::check(policy, control.catalogue().providers())?;
    serde_json::to_string(policy).map_err(ApiError::internal)
}

/// Make a project
#[utoipa::path(post, path = "/projects", tag = "projects", request_body = NewProject,
    responses((status = 201, body = Project)))]
async fn create(
    Administrator(caller): Administrator,
    State(control): State<Control>,
    Body(new): Body<NewProject>,
) -> Answer<(StatusCode, Json<Project>)> {
    let now = control.now();
    let reason = checked_reason(new.reason)?;
    let mut row = ProjectRow {
        id: control.new_id(ProjectId::new)?,
        name: checked_name("project", &new.name)?,
        status: ACTIVE.to_owned(),
        policy: policy_text(&control, &new.policy)?,
        created_at: now,
        updated_at: now,
        archived_at: None,
        row_version: 1,
        mac: Vec::new(),
    };
    integrity::seal(control.vault(), &mut row);
    let environments = new
        .environments
        .iter()
        .map(|(environment, policy)| first_environment(&control, row.id, *environment, policy, now))
        .collect::<Answer<Vec<_>>>()?;
    let mut write = control.write(&caller).await?;
    write.insert_project(&row).await.map_err(taken("project", &row.name))?;
    let after = json!({"name": row.name, "policy": new.policy, "environments": new.environments});
    let mut changes = vec![change("project.create", &row, Value::Null, after, reason.clone())];
    for environment in &environments {
        write.insert_environment(environment).await?;
        let after = json_text(&environment.policy);
        changes.push(change("environment.create", environment, Value::Null, after, reason.clone()));
    }
    control.commit(write, changes).await?;
    Ok((StatusCode::CREATED, Json(present(&control, &row, &environments))))
}

fn first_environment(
    control: &Control,
    project: ProjectId,
    environment: Environment,
    policy: &Policy,
    now: Millis,
) -> Answer<EnvironmentRow> {
    let policy = policy_text(control, policy)?;
    let mut row = EnvironmentRow { project, environment, policy, updated_at: now, row_version: 1, mac: Vec::new() };
    integrity::seal(control.vault(), &mut row);
    Ok(row)
}

/// Change a project's name or policies; its keys follow at once
#[utoipa::path(patch, path = "/projects/{project}", tag = "projects", request_body = ProjectChange,
    params(("project" = String, Path, description = "Id or name")), responses((status = 200, body = Project)))]
async fn update(
    Administrator(caller): Administrator,
    State(control): State<Control>,
    Name(name): Name,
    Body(asked): Body<ProjectChange>,
) -> Answer<Json<Project>> {
    let known = find(&control, &name).await?;
    let reason = checked_reason(asked.reason)?;
    if asked.name.is_none() && asked.policy.is_none() && asked.environments.is_empty() {
        return Err(ApiError::invalid("nothing_to_change", "the body names nothing to change"));
    }
    let name = asked.name.as_deref().map(|name| checked_name("project", name)).transpose()?;
    let policy = asked.policy.as_ref().map(|policy| policy_text(&control, policy)).transpose()?;
    let (mut write, before) = hold(&control, &caller, known.id).await?;
    // Who states name and policy anew leaves nothing of what somebody else may have written into the record.
    if name.is_none() || policy.is_none() {
        write = control.trusted_within(write, &before).await?;
    }
    let environments = control.store().environments_of(before.id).await?;
    super::expected(asked.revision.as_deref(), &revision(&before, &environments))?;
    let mut row = before.clone();
    let mut changes = Vec::new();
    if name.is_some() || policy.is_some() {
        row.name = name.unwrap_or(row.name);
        row.policy = policy.unwrap_or(row.policy);
        put(&control, &mut write, &mut row).await?;
        changes.push(change("project.update", &row, summary(&before), summary(&row), reason.clone()));
    }
    for (environment, policy) in &asked.environments {
        let known = environments.iter().find(|row| row.environment == *environment);
        let draft = first_environment(&control, row.id, *environment, policy, control.now())?;
        let written = put_environment(&control, &mut write, draft, known).await?;
        let old = known.map_or(Value::Null, |row| json_text(&row.policy));
        changes.push(change("environment.update", &written, old, json_text(&written.policy), reason.clone()));
    }
    finish(&control, write, changes, row.id).await?;
    shown(&control, &row).await.map(Json)
}

/// Writes an environment's policy, which was stated whole: nothing is left of what may stand there now.
async fn put_environment(
    control: &Control,
    write: &mut Write,
    mut row: EnvironmentRow,
    known: Option<&EnvironmentRow>,
) -> Answer<EnvironmentRow> {
    row.row_version = known.map_or(0, |known| known.row_version);
    let stored = control.renew(write, &mut row).await?;
    if known.is_some() {
        write.update_environment(&row, stored).await?;
    } else {
        write.insert_environment(&row).await?;
    }
    Ok(row)
}

/// Archive a project: its keys stop working, its credentials are no longer used; nothing is deleted
#[utoipa::path(post, path = "/projects/{project}/archive", tag = "projects", request_body = ReasonBody,
    params(("project" = String, Path, description = "Id or name")), responses((status = 200, body = Project)))]
async fn archive(
    Administrator(caller): Administrator,
    State(control): State<Control>,
    Name(name): Name,
    MaybeJson(ReasonBody { reason }): MaybeJson<ReasonBody>,
) -> Answer<Json<Project>> {
    let known = find(&control, &name).await?;
    let reason = checked_reason(reason)?;
    let (mut write, before) = hold(&control, &caller, known.id).await?;
    let mut row = before.clone();
    // A record that somebody changed can be archived, too: that only takes power away.
    if before.status != ARCHIVED || fault(control.store(), control.vault(), &before).await?.is_some() {
        row.status = ARCHIVED.to_owned();
        row.archived_at = Some(control.now());
        put(&control, &mut write, &mut row).await?;
        let (old, new) = (json!({"status": before.status}), json!({"status": row.status}));
        finish(&control, write, vec![change("project.archive", &row, old, new, reason)], row.id).await?;
    } else {
        drop(write);
    }
    shown(&control, &row).await.map(Json)
}

/// Begins a write and reads a project in it: nobody changes it until the write ends.
async fn hold(control: &Control, caller: &Caller, id: ProjectId) -> Answer<(Write, ProjectRow)> {
    let write = control.write(caller).await?;
    let row = control.store().project(id).await?;
    Ok((write, row.ok_or_else(|| ApiError::not_found("project", &id.to_string()))?))
}

/// Writes a changed project.
async fn put(control: &Control, write: &mut Write, row: &mut ProjectRow) -> Answer<()> {
    row.updated_at = control.now();
    let stored = control.renew(write, row).await?;
    write.update_project(row, stored).await.map_err(taken("project", &row.name))
}

async fn finish(control: &Control, write: Write, changes: Vec<Change>, id: ProjectId) -> Answer<()> {
    control.commit(write, changes).await?;
    publish::project(control, id).await?;
    Ok(())
}

fn summary(row: &ProjectRow) -> Value {
    json!({"name": row.name, "policy": json_text(&row.policy)})
}

/// Stored JSON as a value, for the audit log.
pub(crate) fn json_text(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|_| Value::String(text.to_owned()))
}
