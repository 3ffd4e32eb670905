//! `/credentials`: the real provider keys. A secret comes in through `create` and `add_version`, is sealed there, and no
//! call ever answers it.

#![expect(unused_qualifications, reason = "the macro of the description writes whole paths")]

mod secret;
mod state;

pub(crate) use state::ask;

use super::{Items, checked_name, checked_reason, projects};
use crate::{
    Control,
    auth::{Administrator, Caller, Reader},
    body::{Json as Body, Name, Params, SecretText},
    control::change,
    error::{self, Answer, ApiError},
    integrity, policy_check,
    publish::{self, ACTIVE},
    recovery,
};
use axum::{Json, extract::State, http::StatusCode};
use keyward_domain::{CredentialId, Environment, Millis, ProjectId, provider::Provider, secret::Fingerprint, times};
use keyward_store::{Change, CredentialHealthRow, CredentialRow, Write};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::HashMap;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};

/// The status of a credential that somebody switched off.
const DISABLED: &str = "disabled";
/// The status of a credential whose secret is destroyed.
const REVOKED: &str = "revoked";

pub(crate) fn router() -> OpenApiRouter<Control> {
    OpenApiRouter::new()
        .routes(routes!(list, create))
        .routes(routes!(show))
        .routes(routes!(secret::add_version))
        .routes(routes!(state::verify))
        .routes(routes!(state::enable))
        .routes(routes!(state::disable))
        .routes(routes!(state::revoke))
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct NewCredential {
    /// The project, by id or name.
    project: String,
    /// The one environment it serves; left out: all.
    #[schema(value_type = Option<String>)]
    environment: Option<Environment>,
    /// The provider's id.
    #[schema(example = "openai")]
    provider: String,
    /// A name of your own; unique within project and provider.
    name: String,
    /// The provider's key. Sealed at once; no call ever answers it.
    #[schema(value_type = String, write_only)]
    secret: SecretText,
    /// The API root, instead of the provider's.
    #[schema(example = "https://llm.example.com/v1")]
    base_url: Option<String>,
    /// Whether loopback and private addresses may be called.
    #[serde(default)]
    allow_private_address: bool,
    /// Credentials with a lower order are used first.
    #[serde(default)]
    order: u32,
    /// Among those with the same order, calls are shared in proportion to this; 1 when left out.
    weight: Option<u32>,
    /// Why, for the audit log.
    reason: Option<String>,
}

/// A credential, without its secret.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Credential {
    /// Its id.
    id: String,
    /// Its project's name.
    project: String,
    /// Its project's id.
    project_id: String,
    /// The one environment it serves; null: all.
    environment: Option<String>,
    /// The provider's id.
    provider: String,
    /// Its name.
    name: String,
    /// Tells two secrets apart, reveals neither.
    fingerprint: String,
    /// `active`, `disabled`, `revoked`, or `tampered` when its record was changed outside of Keyward.
    status: String,
    /// `unknown`, `healthy`, `dead`, `no_money` or `limited`, as last seen.
    health: String,
    /// Why, as the provider's error table names it.
    #[serde(skip_serializing_if = "Option::is_none")]
    health_cause: Option<String>,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    health_remedy: Option<String>,
    /// When that was seen, in RFC 3339.
    #[serde(skip_serializing_if = "Option::is_none")]
    health_at: Option<String>,
    /// Not used until then, in RFC 3339; `until somebody acts` when only a check or `enable` brings it back.
    #[serde(skip_serializing_if = "Option::is_none")]
    out_until: Option<String>,
    /// The API root that is called.
    base_url: Option<String>,
    /// Whether loopback and private addresses may be called.
    allow_private_address: bool,
    /// The version of its secret.
    version: u64,
    /// Credentials with a lower order are used first.
    order: u32,
    /// Its share among those with the same order.
    weight: u32,
    /// When it was made, in RFC 3339.
    created_at: String,
    /// When it was last used, in RFC 3339.
    last_used_at: Option<String>,
    /// What to know about it, such as another credential with the same secret.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    warnings: Vec<String>,
}

/// What a credential's answer is made of besides its row.
#[derive(Default)]
struct Around {
    project: Option<String>,
    health: Option<CredentialHealthRow>,
    last_used: Option<Millis>,
    warnings: Vec<String>,
}

fn present(control: &Control, row: &CredentialRow, around: Around) -> Credential {
    let holds = control.shows_sound(row);
    let provider = control.catalogue().provider(&row.provider);
    let health = around.health.as_ref();
    let fingerprint = <[u8; 32]>::try_from(row.fingerprint.as_slice()).map(Fingerprint);
    Credential {
        id: row.id.to_string(),
        project: around.project.unwrap_or_else(|| row.project.to_string()),
        project_id: row.project.to_string(),
        environment: row.environment.map(|environment| environment.name().to_owned()),
        provider: row.provider.clone(),
        name: row.name.clone(),
        fingerprint: fingerprint.map_or_else(|_| "unreadable".to_owned(), |fingerprint| fingerprint.to_string()),
        status: if holds { row.status.clone() } else { "tampered".to_owned() },
        health: health.map_or_else(|| "unknown".to_owned(), |health| health.state.clone()),
        health_cause: health.and_then(|health| health.cause.clone()),
        health_remedy: health.and_then(|health| health.remedy.clone()),
        health_at: health.map(|health| times::show(health.checked_at)),
        out_until: health.and_then(|health| health.out_until).and_then(|until| shown_end(until, control.now())),
        base_url: row.base_url.clone().or_else(|| Some(provider?.api.base_url.to_string())),
        allow_private_address: row.allow_private,
        version: row.version,
        order: row.order,
        weight: row.weight,
        created_at: times::show(row.created_at),
        last_used_at: around.last_used.map(times::show),
        warnings: around.warnings,
    }
}

fn shown_end(until: Millis, now: Millis) -> Option<String> {
    match until {
        Millis::MAX => Some("until somebody acts".to_owned()),
        until if until > now => Some(times::show(until)),
        _ => None,
    }
}

async fn shown(control: &Control, row: &CredentialRow, warnings: Vec<String>) -> Answer<Credential> {
    let project = control.store().project(row.project).await?;
    let used = control.store().last_used(&[row.id.uuid()]).await?;
    let around = Around {
        project: project.map(|project| project.name),
        health: control.store().credential_health(row.id).await?,
        last_used: used.get(&row.id.uuid()).copied(),
        warnings,
    };
    Ok(present(control, row, around))
}

/// Finds a credential by id, or by a name that only one has. Of several with a name, the one that is not revoked counts.
pub(crate) async fn find(control: &Control, name: &str) -> Answer<CredentialRow> {
    if let Ok(id) = name.parse::<CredentialId>() {
        return control.store().credential(id).await?.ok_or_else(|| ApiError::not_found("credential", name));
    }
    let mut rows = control.store().credentials_by_name(name).await?;
    if rows.iter().any(|row| row.status != REVOKED) {
        rows.retain(|row| row.status != REVOKED);
    }
    match (rows.pop(), rows.is_empty()) {
        (Some(row), true) => Ok(row),
        (Some(_), false) => {
            let detail = format!("several credentials have the name '{}'", crate::error::shown(name));
            Err(ApiError::conflict("ambiguous_name", detail).hint("use the credential's id: keyward credential list"))
        }
        (None, _) => Err(ApiError::not_found("credential", name)),
    }
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
struct ListQuery {
    /// Only this project's, by id or name.
    project: Option<String>,
}

/// Credentials, without their secrets
#[utoipa::path(get, path = "/credentials", tag = "credentials", params(ListQuery),
    responses((status = 200, body = Items<Credential>)))]
async fn list(
    _: Reader,
    State(control): State<Control>,
    Params(query): Params<ListQuery>,
) -> Answer<Json<Items<Credential>>> {
    let project = match &query.project {
        Some(name) => Some(projects::find(&control, name).await?.id),
        None => None,
    };
    let store = control.store();
    let rows = store.credentials(project).await?;
    let names: HashMap<ProjectId, String> = store.projects().await?.into_iter().map(|row| (row.id, row.name)).collect();
    let mut healths: HashMap<CredentialId, CredentialHealthRow> =
        store.credential_healths().await?.into_iter().map(|row| (row.credential, row)).collect();
    let ids: Vec<uuid::Uuid> = rows.iter().map(|row| row.id.uuid()).collect();
    let used = store.last_used(&ids).await?;
    let items = rows
        .iter()
        .map(|row| {
            let around = Around {
                project: names.get(&row.project).cloned(),
                health: healths.remove(&row.id),
                last_used: used.get(&row.id.uuid()).copied(),
                warnings: Vec::new(),
            };
            present(&control, row, around)
        })
        .collect();
    Ok(Json(Items { items }))
}

/// One credential, without its secret
#[utoipa::path(get, path = "/credentials/{credential}", tag = "credentials",
    params(("credential" = String, Path, description = "Id, or a name that only one has")),
    responses((status = 200, body = Credential)))]
async fn show(_: Reader, State(control): State<Control>, Name(name): Name) -> Answer<Json<Credential>> {
    let row = find(&control, &name).await?;
    shown(&control, &row, Vec::new()).await.map(Json)
}

/// Refuses a credential while nobody could get at it without the master key.
async fn recovery_exists(control: &Control) -> Answer<()> {
    if control.settings().demo || recovery::trusted(control).await?.is_some() {
        return Ok(());
    }
    Err(ApiError::conflict(
        "recovery_missing",
        "no credential is accepted before an offline recovery identity exists: without it a lost master key would be final",
    )
    .hint("make one now: keyward vault recovery create --output recovery.txt"))
}

fn checked_base_url(
    control: &Control,
    provider: &Provider,
    asked: Option<&str>,
    allow_private: bool,
) -> Answer<Option<String>> {
    let Some(base_url) = asked.map(str::trim).filter(|text| !text.is_empty()) else {
        if provider.api.base_url.is_empty() {
            return Err(ApiError::invalid(
                "base_url_missing",
                format!("{} needs a base URL of your own", provider.name),
            )
            .hint("name it with --base-url https://…"));
        }
        return Ok(None);
    };
    let base_url = base_url.trim_end_matches('/');
    control.settings().outbound.check_base_url(base_url, allow_private).map_err(|detail| {
        ApiError::invalid("invalid_base_url", detail)
            .hint("loopback and private addresses, and plain http://, need --allow-private-address")
    })?;
    Ok(Some(base_url.to_owned()))
}

/// Add a provider's key. It is sealed at once; no call ever answers it
#[utoipa::path(post, path = "/credentials", tag = "credentials", request_body = NewCredential,
    responses((status = 201, body = Credential), (status = 409, description = "No recovery identity exists yet")))]
async fn create(
    Administrator(caller): Administrator,
    State(control): State<Control>,
    Body(new): Body<NewCredential>,
) -> Answer<(StatusCode, Json<Credential>)> {
    recovery_exists(&control).await?;
    let reason = checked_reason(new.reason)?;
    let project = projects::find(&control, &new.project).await?;
    projects::usable(&control, &project).await?;
    let catalogue = control.catalogue();
    let provider = catalogue
        .provider(&new.provider)
        .ok_or_else(|| policy_check::unknown_provider(&new.provider, catalogue.providers()))?;
    let base_url = checked_base_url(&control, provider, new.base_url.as_deref(), new.allow_private_address)?;
    let now = control.now();
    let mut row = CredentialRow {
        id: control.new_id(CredentialId::new)?,
        project: project.id,
        environment: new.environment,
        provider: new.provider,
        name: checked_name("credential", &new.name)?,
        status: ACTIVE.to_owned(),
        base_url,
        allow_private: new.allow_private_address,
        order: new.order,
        weight: checked_weight(new.weight)?,
        version: 1,
        fingerprint: Vec::new(),
        created_at: now,
        updated_at: now,
        row_version: 1,
        mac: Vec::new(),
    };
    let taken = secret::take(&control, &row, new.secret)?;
    row.fingerprint.clone_from(&taken.version.fingerprint);
    let mut warnings = taken.warnings;
    warnings.extend(secret::duplicates(&control, &row).await?);
    integrity::seal(control.vault(), &mut row);
    let mut write = control.write(&caller).await?;
    write.insert_credential(&row).await.map_err(error::taken("credential", &row.name))?;
    write.insert_credential_version(&taken.version).await?;
    let said = change("credential.create", &row, Value::Null, summary(&row), reason);
    finish(&control, write, vec![said], &row).await?;
    Ok((StatusCode::CREATED, Json(shown(&control, &row, warnings).await?)))
}

fn checked_weight(weight: Option<u32>) -> Answer<u32> {
    match weight {
        None => Ok(1),
        Some(weight @ 1..=1_000_000) => Ok(weight),
        Some(_) => Err(ApiError::invalid("invalid_weight", "the weight is between 1 and 1,000,000")
            .hint("to keep a credential from being used, disable it")),
    }
}

/// Begins a write and reads a credential in it: nobody changes it until the write ends.
async fn hold(control: &Control, caller: &Caller, id: CredentialId) -> Answer<(Write, CredentialRow)> {
    let write = control.write(caller).await?;
    let row = control.store().credential(id).await?;
    Ok((write, row.ok_or_else(|| ApiError::not_found("credential", &id.to_string()))?))
}

/// Writes a changed credential.
async fn put(control: &Control, write: &mut Write, row: &mut CredentialRow) -> Answer<()> {
    row.updated_at = control.now();
    let stored = control.renew(write, row).await?;
    Ok(write.update_credential(row, stored).await?)
}

async fn finish(control: &Control, write: Write, changes: Vec<Change>, row: &CredentialRow) -> Answer<()> {
    control.commit(write, changes).await?;
    publish::route(control, row.project, &row.provider).await?;
    Ok(())
}

/// What the audit log says of a credential.
fn summary(row: &CredentialRow) -> Value {
    json!({
        "name": row.name,
        "project": row.project.to_string(),
        "environment": row.environment,
        "provider": row.provider,
        "status": row.status,
        "base_url": row.base_url,
        "allow_private_address": row.allow_private,
        "order": row.order,
        "weight": row.weight,
        "version": row.version,
    })
}
