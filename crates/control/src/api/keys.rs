//! `/keys`: virtual keys. A key's text is in the answer that makes it and nowhere else; only its hash is stored.

mod list;
mod secrets;

use super::{ReasonBody, budgets, checked_name, checked_reason, projects, schema};
use crate::{
    Control,
    auth::{Caller, Operator, Reader},
    body::{Json as Body, MaybeJson, Name},
    clock,
    control::change,
    error::{Answer, ApiError},
    expiry::{self, ending},
    integrity, policy_check,
    publish::{self, ARCHIVED, Bases, read_policy},
    versions::fault,
};
use axum::{Json, extract::State, http::StatusCode};
use keyward_domain::{Environment, KeyId, Millis, grant::SecretSlot, policy::Policy, times, token::PublicId};
use keyward_store::{Change, KeyRow, KeyStatus, ProjectRow, Write, encode_secrets};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};
use zeroize::Zeroizing;

pub(crate) fn router() -> OpenApiRouter<Control> {
    OpenApiRouter::new()
        .routes(routes!(list::list, create))
        .routes(routes!(show, update))
        .routes(routes!(secrets::rotate))
        .routes(routes!(revoke))
}

/// How a key's text begins.
#[derive(Debug, Clone, Copy, Default, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
enum Style {
    /// `kw_…`
    #[default]
    Kw,
    /// `sk-kw_…`, for clients that insist on it.
    Sk,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct NewKey {
    /// The project, by id or name.
    project: String,
    /// `development`, `staging` or `production`.
    #[schema(value_type = String, example = "production")]
    environment: Environment,
    /// A name of your own.
    name: String,
    /// What it may do; what is left out is inherited.
    #[serde(default)]
    #[schema(value_type = Option<schema::Policy>)]
    policy: Policy,
    /// When it ends, in RFC 3339 or as a date.
    expires_at: Option<String>,
    /// How long it lives, such as `30d`; instead of `expires_at`.
    expires_in: Option<String>,
    /// What it may spend, each limit with its window: `5 USD/month`, `0.50 USD/hour`. They are made together with the key.
    #[serde(default)]
    #[schema(example = json!(["5 USD/month", "0.50 USD/hour"]))]
    budgets: Vec<String>,
    /// How its text begins.
    #[serde(default)]
    style: Style,
    /// Why, for the audit log.
    reason: Option<String>,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct KeyChange {
    /// A new name.
    name: Option<String>,
    /// A new policy, whole.
    #[schema(value_type = Option<schema::Policy>)]
    policy: Option<Policy>,
    /// When it ends, in RFC 3339; null: never.
    #[serde(default, deserialize_with = "expiry::given")]
    #[schema(value_type = Option<String>)]
    expires_at: Option<Option<String>>,
    /// How long it lives from now, such as `30d`; instead of `expires_at`.
    expires_in: Option<String>,
    /// The `revision` that the change is meant for: it is refused when the key has another by now.
    revision: Option<String>,
    /// Why, for the audit log.
    reason: Option<String>,
}

/// A virtual key, without its text.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Key {
    /// Its id.
    id: String,
    /// The public part of its text.
    public_id: String,
    /// Its name.
    name: String,
    /// Its project's name.
    project: String,
    /// Its project's id.
    project_id: String,
    /// Its environment.
    environment: String,
    /// `active`, `expired`, `revoked`, `archived` when its project is, or `tampered` when its record was changed outside
    /// of Keyward.
    status: &'static str,
    /// Another after every change.
    revision: String,
    /// Its own policy.
    #[schema(value_type = schema::Policy)]
    policy: Policy,
    /// Its policy with everything it inherits.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<schema::Policy>)]
    effective_policy: Option<Policy>,
    /// The budgets on the key itself; those of its project and of the organisation bound it as well.
    #[serde(skip_serializing_if = "Option::is_none")]
    budgets: Option<Vec<budgets::Budget>>,
    /// When it ends, in RFC 3339.
    expires_at: Option<String>,
    /// Until when the secret before the last rotation works, in RFC 3339.
    old_secret_until: Option<String>,
    /// When it was made, in RFC 3339.
    created_at: String,
    /// When it was last used, in RFC 3339.
    last_used_at: Option<String>,
    /// When it was revoked, in RFC 3339.
    #[serde(skip_serializing_if = "Option::is_none")]
    revoked_at: Option<String>,
}

/// A virtual key with its text, this once.
#[derive(Serialize, ToSchema)]
pub(crate) struct KeyMade {
    /// The text that the application holds; shown only here.
    #[serde(serialize_with = "super::shown_once")]
    #[schema(value_type = String)]
    key: Zeroizing<String>,
    #[serde(flatten)]
    about: Key,
}

/// What a key's answer is made of besides its row.
struct Around<'a> {
    project: Option<&'a ProjectRow>,
    effective: Option<Policy>,
    budgets: Option<Vec<budgets::Budget>>,
    last_used: Option<Millis>,
    now: Millis,
}

fn present(control: &Control, row: &KeyRow, around: Around<'_>) -> Key {
    let ended = row.expires_at.is_some_and(|end| end <= around.now);
    let status = match row.status {
        _ if !control.shows_sound(row) => "tampered",
        KeyStatus::Revoked => "revoked",
        KeyStatus::Active if ended => "expired",
        KeyStatus::Active if around.project.is_some_and(|project| project.status == ARCHIVED) => "archived",
        KeyStatus::Active => "active",
    };
    let old = keyward_store::decode_secrets(&row.secrets).and_then(|slots| slots.get(1)?.until);
    Key {
        id: row.id.to_string(),
        public_id: row.public_id.to_string(),
        name: row.name.clone(),
        project: around.project.map_or_else(|| row.project.to_string(), |project| project.name.clone()),
        project_id: row.project.to_string(),
        environment: row.environment.name().to_owned(),
        status,
        revision: row.row_version.to_string(),
        policy: read_policy("key", &row.id.to_string(), &row.policy).unwrap_or_default(),
        effective_policy: around.effective,
        budgets: around.budgets,
        expires_at: row.expires_at.map(times::show),
        old_secret_until: old.filter(|until| *until > around.now).map(times::show),
        created_at: times::show(row.created_at),
        last_used_at: around.last_used.map(times::show),
        revoked_at: row.revoked_at.map(times::show),
    }
}

async fn shown(control: &Control, row: &KeyRow) -> Answer<Key> {
    let project = control.store().project(row.project).await?;
    let bases = publish::bases_of(control, row.project).await?;
    let own = read_policy("key", &row.id.to_string(), &row.policy).unwrap_or_default();
    let used = control.store().last_used(&[row.id.uuid()]).await?;
    let around = Around {
        project: project.as_ref(),
        effective: bases.effective(row.project, row.environment, &own),
        budgets: Some(budgets::of_key(control, row).await?),
        last_used: used.get(&row.id.uuid()).copied(),
        now: control.now(),
    };
    Ok(present(control, row, around))
}

/// Finds a key by id, public id, or a name that only one has. Of several with a name, the one that still works counts.
pub(crate) async fn find(control: &Control, name: &str) -> Answer<KeyRow> {
    if let Ok(id) = name.parse::<KeyId>() {
        return control.store().key(id).await?.ok_or_else(|| ApiError::not_found("key", name));
    }
    if name.parse::<PublicId>().is_ok()
        && let Some(row) = control.store().key_by_public_id(name).await?
    {
        return Ok(row);
    }
    let mut rows = control.store().keys_by_name(name).await?;
    if rows.len() > 1 {
        let active = rows.iter().filter(|row| row.status == KeyStatus::Active).count();
        if active == 1 {
            rows.retain(|row| row.status == KeyStatus::Active);
        }
    }
    match (rows.pop(), rows.is_empty()) {
        (Some(row), true) => Ok(row),
        (Some(_), false) => Err(ApiError::conflict(
            "ambiguous_name",
            format!("several keys have the name '{}'", crate::error::shown(name)),
        )
        .hint("use the key's id or public id: keyward key list")),
        (None, _) => Err(ApiError::not_found("key", name)),
    }
}

fn policy_text(control: &Control, bases: &Bases, place: (&ProjectRow, Environment), policy: &Policy) -> Answer<String> {
    policy_check::check(policy, control.catalogue().providers())?;
    let effective = bases.effective(place.0.id, place.1, policy).ok_or_else(|| {
        ApiError::conflict("tampered", "a policy that this key would inherit was changed outside of Keyward")
            .hint("`keyward doctor` names it")
    })?;
    if effective.providers.as_ref().is_none_or(Vec::is_empty) {
        return Err(ApiError::invalid("policy_without_provider", "this key could call nothing: no provider is named")
            .hint("name one, such as --provider openai, or give the project a policy that keys inherit"));
    }
    serde_json::to_string(policy).map_err(ApiError::internal)
}

fn styled(style: &str, text: &Zeroizing<String>) -> Zeroizing<String> {
    let prefix = if style == "sk" { "sk-" } else { "" };
    let mut out = Zeroizing::new(String::with_capacity(prefix.len() + text.len()));
    out.push_str(prefix);
    out.push_str(text);
    out
}

/// Make a virtual key
#[utoipa::path(post, path = "/keys", tag = "keys", request_body = NewKey, responses((status = 201, body = KeyMade)))]
async fn create(
    Operator(caller): Operator,
    State(control): State<Control>,
    Body(new): Body<NewKey>,
) -> Answer<(StatusCode, Json<KeyMade>)> {
    let now = control.now();
    let reason = checked_reason(new.reason)?;
    let project = projects::find(&control, &new.project).await?;
    projects::usable(&control, &project).await?;
    let bases = publish::bases_of(&control, project.id).await?;
    let expires_at = ending(new.expires_in.as_deref(), new.expires_at.as_deref(), now)?;
    let limits = new.budgets.iter().map(|limit| budgets::Draft::of(limit)).collect::<Answer<Vec<_>>>()?;
    budgets::apart(&limits)?;
    let token = clock::new_key(new.environment, None)?;
    let mut row = KeyRow {
        id: control.new_id(KeyId::new)?,
        public_id: token.public_id,
        project: project.id,
        environment: new.environment,
        name: checked_name("key", &new.name)?,
        status: KeyStatus::Active,
        style: match new.style {
            Style::Kw => "kw".to_owned(),
            Style::Sk => "sk".to_owned(),
        },
        secrets: encode_secrets(&[SecretSlot { hash: token.hash, until: None }]),
        policy: policy_text(&control, &bases, (&project, new.environment), &new.policy)?,
        expires_at,
        created_at: now,
        updated_at: now,
        revoked_at: None,
        row_version: 1,
        mac: Vec::new(),
    };
    integrity::seal(control.vault(), &mut row);
    let mut write = control.write(&caller).await?;
    write.insert_key(&row).await?;
    let mut said = vec![change("key.create", &row, Value::Null, summary(&row), reason.clone())];
    let mut bounds = Vec::with_capacity(limits.len());
    for limit in limits {
        let place = budgets::Place::of_key(&row);
        let (budget, change) = budgets::insert(&control, &mut write, place, limit, reason.clone()).await?;
        bounds.push(budget.id);
        said.push(change);
    }
    control.commit(write, said).await?;
    // Limits first: the key is never known without them.
    publish::budgets(&control, &bounds).await?;
    publish::keys(&control, &[row.id]).await?;
    let about = shown(&control, &row).await?;
    Ok((StatusCode::CREATED, Json(KeyMade { key: styled(&row.style, &token.text), about })))
}

/// One key, without its text
#[utoipa::path(get, path = "/keys/{key}", tag = "keys",
    params(("key" = String, Path, description = "Id, public id, or a name that only one has")),
    responses((status = 200, body = Key)))]
async fn show(_: Reader, State(control): State<Control>, Name(name): Name) -> Answer<Json<Key>> {
    let row = find(&control, &name).await?;
    shown(&control, &row).await.map(Json)
}

/// Change a key's name, policy or end; in effect before the answer, without cutting calls in flight
#[utoipa::path(patch, path = "/keys/{key}", tag = "keys", request_body = KeyChange,
    params(("key" = String, Path, description = "Id, public id, or a name that only one has")),
    responses((status = 200, body = Key)))]
async fn update(
    Operator(caller): Operator,
    State(control): State<Control>,
    Name(name): Name,
    Body(asked): Body<KeyChange>,
) -> Answer<Json<Key>> {
    let known = find(&control, &name).await?;
    let reason = checked_reason(asked.reason)?;
    let name = asked.name.as_deref().map(|name| checked_name("key", name)).transpose()?;
    // What depends on other records is looked at before the write begins: they may have to be reported.
    let policy = match &asked.policy {
        Some(policy) => {
            let project = projects::find(&control, &known.project.to_string()).await?;
            let bases = publish::bases_of(&control, project.id).await?;
            Some(policy_text(&control, &bases, (&project, known.environment), policy)?)
        }
        None => None,
    };
    let (write, before) = hold(&control, &caller, known.id).await?;
    let mut write = control.trusted_within(write, &before).await?;
    alive(&before)?;
    super::expected(asked.revision.as_deref(), &before.row_version.to_string())?;
    let mut row = before.clone();
    row.name = name.unwrap_or(row.name);
    row.policy = policy.unwrap_or(row.policy);
    match (asked.expires_in.as_deref(), &asked.expires_at) {
        (None, None) => {}
        (expires_in, expires_at) => {
            row.expires_at = ending(expires_in, expires_at.as_ref().and_then(Option::as_deref), control.now())?;
        }
    }
    if row == before {
        return Err(ApiError::invalid("nothing_to_change", "the body names nothing that would change"));
    }
    put(&control, &mut write, &mut row).await?;
    let said = change("key.update", &row, summary(&before), summary(&row), reason);
    finish(&control, write, vec![said], row.id).await?;
    shown(&control, &row).await.map(Json)
}

/// Revoke a key: refused from now on, calls in flight are cut
#[utoipa::path(post, path = "/keys/{key}/revoke", tag = "keys", request_body = ReasonBody,
    params(("key" = String, Path, description = "Id, public id, or a name that only one has")),
    responses((status = 200, body = Key)))]
async fn revoke(
    Operator(caller): Operator,
    State(control): State<Control>,
    Name(name): Name,
    MaybeJson(ReasonBody { reason }): MaybeJson<ReasonBody>,
) -> Answer<Json<Key>> {
    let known = find(&control, &name).await?;
    let reason = checked_reason(reason)?;
    let (mut write, before) = hold(&control, &caller, known.id).await?;
    let mut row = before.clone();
    // A record that somebody changed can be revoked, too: that only takes power away.
    if before.status == KeyStatus::Active || fault(control.store(), control.vault(), &before).await?.is_some() {
        row.status = KeyStatus::Revoked;
        row.revoked_at = Some(control.now());
        put(&control, &mut write, &mut row).await?;
        let said = change("key.revoke", &row, summary(&before), summary(&row), reason);
        finish(&control, write, vec![said], row.id).await?;
        publish::budgets_of_key(&control, row.id).await?;
    } else {
        drop(write);
    }
    shown(&control, &row).await.map(Json)
}

/// Begins a write and reads a key in it: nobody changes it until the write ends.
async fn hold(control: &Control, caller: &Caller, id: KeyId) -> Answer<(Write, KeyRow)> {
    let write = control.write(caller).await?;
    let row = control.store().key(id).await?.ok_or_else(|| ApiError::not_found("key", &id.to_string()))?;
    Ok((write, row))
}

fn alive(row: &KeyRow) -> Answer<()> {
    match row.status {
        KeyStatus::Active => Ok(()),
        KeyStatus::Revoked => {
            Err(ApiError::conflict("key_revoked", format!("the key '{}' was revoked, which is final", row.name))
                .hint("make a new one: keyward key create"))
        }
    }
}

/// Writes a changed key.
async fn put(control: &Control, write: &mut Write, row: &mut KeyRow) -> Answer<()> {
    row.updated_at = control.now();
    let stored = control.renew(write, row).await?;
    Ok(write.update_key(row, stored).await?)
}

async fn finish(control: &Control, write: Write, changes: Vec<Change>, id: KeyId) -> Answer<()> {
    control.commit(write, changes).await?;
    publish::keys(control, &[id]).await?;
    Ok(())
}

fn summary(row: &KeyRow) -> Value {
    json!({
        "name": row.name,
        "public_id": row.public_id,
        "project": row.project.to_string(),
        "environment": row.environment,
        "status": row.status,
        "policy": projects::json_text(&row.policy),
        "expires_at": row.expires_at.map(times::show),
    })
}
