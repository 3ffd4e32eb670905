//! `/projects`: one for each site, client or application, with the policies that its keys inherit.

use super::{Items, ReasonBody, checked_name, checked_reason, schema};
use crate::{
    Control,
    auth::{Administrator, Caller, Reader},
    body::{Json as Body, MaybeJson, Name},
    control::change,
    error::{Answer, ApiError},
    integrity, policy_check,
    publish::{self, ACTIVE, ARCHIVED, read_policy},
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
    let holds = integrity::holds(control.vault(), row)
        && environments.iter().all(|environment| integrity::holds(control.vault(), environment));
    Project {
        id: row.id.to_string(),
        name: row.name.clone(),
        status: if holds { row.status.clone() } else { "tampered".to_owned() },
        policy: read_policy("project", &row.id.to_string(), &row.policy).unwrap_or_default(),
        environments: environments
            .iter()
            .filter_map(|row| Some((row.environment, read_policy("environment", row.environment.name(), &row.policy)?)))
            .collect(),
        created_at: times::show(row.created_at),
        archived_at: row.archived_at.map(times::show),
    }
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
    write.insert_project(&row).await?;
    for environment in &environments {
        write.insert_environment(environment).await?;
    }
    let after = json!({"name": row.name, "policy": new.policy, "environments": new.environments});
    control.commit(write, vec![change("project.create", &row, Value::Null, after, reason)]).await?;
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
    let before = find(&control, &name).await?;
    let reason = checked_reason(asked.reason.clone())?;
    // Who states name and policy anew leaves nothing of what somebody else may have written into the record.
    if asked.name.is_none() || asked.policy.is_none() {
        control.trusted(&before).await?;
    }
    let environments = control.store().environments_of(before.id).await?;
    let mut row = before.clone();
    let mut changes = Vec::new();
    if let Some(name) = &asked.name {
        row.name = checked_name("project", name)?;
    }
    if let Some(policy) = &asked.policy {
        row.policy = policy_text(&control, policy)?;
    }
    let project_changes = asked.name.is_some() || asked.policy.is_some();
    if project_changes {
        restamp(&control, &mut row);
        changes.push(change("project.update", &row, summary(&before), summary(&row), reason.clone()));
    }
    let mut drafts = Vec::new();
    for (environment, policy) in &asked.environments {
        let known = environments.iter().find(|row| row.environment == *environment);
        let draft = environment_draft(&control, &row, *environment, policy, known)?;
        let old = known.map_or(Value::Null, |row| json_text(&row.policy));
        changes.push(change("environment.update", &draft.row, old, json_text(&draft.row.policy), reason.clone()));
        drafts.push(draft);
    }
    if changes.is_empty() {
        return Err(ApiError::invalid("nothing_to_change", "the body names nothing to change"));
    }
    let mut write = control.write(&caller).await?;
    if project_changes {
        write.update_project(&row).await?;
    }
    for draft in &drafts {
        draft.store(&mut write).await?;
    }
    finish(&control, write, changes, row.id).await?;
    shown(&control, &row).await.map(Json)
}

/// An environment's row, new or changed.
struct EnvironmentDraft {
    row: EnvironmentRow,
    is_new: bool,
}

impl EnvironmentDraft {
    async fn store(&self, write: &mut Write) -> Answer<()> {
        if self.is_new {
            write.insert_environment(&self.row).await?;
        } else {
            write.update_environment(&self.row).await?;
        }
        Ok(())
    }
}

fn environment_draft(
    control: &Control,
    project: &ProjectRow,
    environment: Environment,
    policy: &Policy,
    known: Option<&EnvironmentRow>,
) -> Answer<EnvironmentDraft> {
    let mut row = first_environment(control, project.id, environment, policy, control.now())?;
    if let Some(known) = known {
        row.row_version = known.row_version + 1;
        integrity::seal(control.vault(), &mut row);
    }
    Ok(EnvironmentDraft { row, is_new: known.is_none() })
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
    let before = find(&control, &name).await?;
    let reason = checked_reason(reason)?;
    if before.status != ARCHIVED || !integrity::holds(control.vault(), &before) {
        archive_row(&control, &caller, before.clone(), reason).await?;
    }
    let row = find(&control, &before.id.to_string()).await?;
    shown(&control, &row).await.map(Json)
}

async fn archive_row(control: &Control, caller: &Caller, before: ProjectRow, reason: Option<String>) -> Answer<()> {
    let mut row = before.clone();
    row.status = ARCHIVED.to_owned();
    row.archived_at = Some(control.now());
    restamp(control, &mut row);
    let mut write = control.write(caller).await?;
    write.update_project(&row).await?;
    let said = change("project.archive", &row, json!({"status": before.status}), json!({"status": row.status}), reason);
    finish(control, write, vec![said], row.id).await
}

fn restamp(control: &Control, row: &mut ProjectRow) {
    row.updated_at = control.now();
    row.row_version += 1;
    integrity::seal(control.vault(), row);
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
