//! What happens to a credential after it was made: checked, switched off and on, revoked.

use super::{Credential, DISABLED, REVOKED, find, finish, hold, put, shown, summary};
use crate::{
    Control,
    api::{ReasonBody, checked_reason},
    auth::{Administrator, Caller, Operator},
    body::{MaybeJson, Name},
    control::change,
    error::{Answer, ApiError},
    health::{self, Finder},
    publish::{self, ACTIVE},
    verify::{self as check, State as Found},
    versions::fault,
};
use axum::{Json, extract::State};
use keyward_catalogue::probing::{Told, Verdict};
use keyward_domain::times;
use keyward_store::CredentialRow;
use serde::Serialize;
use utoipa::ToSchema;

/// What a check at the provider found.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Check {
    /// In one word.
    state: Found,
    /// The same more finely: `live`, `live_restricted`, `rate_limited`, `no_money`, `wrong_network`, `revoked`, `expired`,
    /// `leaked`, `invalid`, `unreachable` or `unknown`.
    detail: &'static str,
    /// Whether calls can be made with it; null when that cannot be told.
    usable: Option<bool>,
    /// As the provider's error table names it; `healthy` when all is well.
    cause: String,
    /// The cause in plain words.
    because: String,
    /// What to do; empty when there is nothing to do.
    remedy: String,
    /// What the provider said, without anything secret.
    said: Option<String>,
    /// What the provider told about the key besides: models, scopes, organization, limits, what is left to spend.
    #[schema(value_type = std::collections::BTreeMap<String, Vec<String>>)]
    facts: Told,
    /// What was not told, or is not certain.
    notes: Vec<String>,
    /// The provider's HTTP status, when it answered.
    http_status: Option<u16>,
    /// When, in RFC 3339.
    checked_at: String,
}

/// Refuses what a revoked credential cannot do any more.
pub(super) fn not_revoked(row: &CredentialRow) -> Answer<()> {
    if row.status == REVOKED {
        return Err(ApiError::conflict(
            "credential_revoked",
            format!("the credential '{}' was revoked, which is final", row.name),
        )
        .hint("add the provider's key anew: keyward credential add"));
    }
    Ok(())
}

/// Ask the provider, with a call that costs nothing, whether it takes the key
#[utoipa::path(post, path = "/credentials/{credential}/verify", tag = "credentials",
    params(("credential" = String, Path, description = "Id, or a name that only one has")),
    responses((status = 200, body = Check)))]
pub(super) async fn verify(
    Operator(caller): Operator,
    State(control): State<Control>,
    Name(name): Name,
) -> Answer<Json<Check>> {
    let row = find(&control, &name).await?;
    control.trusted(&row).await?;
    not_revoked(&row)?;
    let verdict = ask(&control, &row).await?;
    let now = control.now();
    if let Some(found) = health::of_check(&row, &verdict, now) {
        health::put(&control, Finder::asking(caller.actor, caller.source), &row, found).await?;
    }
    Ok(Json(Check {
        state: Found::of(verdict.state),
        detail: verdict.state.name(),
        usable: verdict.usable,
        cause: verdict.named,
        because: verdict.because,
        remedy: verdict.remedy,
        said: verdict.said,
        facts: verdict.facts,
        notes: verdict.notes,
        http_status: verdict.http_status,
        checked_at: times::show(now),
    }))
}

/// Opens the credential and makes its provider's zero-cost call.
pub(crate) async fn ask(control: &Control, row: &CredentialRow) -> Answer<Verdict> {
    let provider = control.catalogue().provider(&row.provider).ok_or_else(|| {
        ApiError::conflict("unknown_provider", format!("the provider '{}' is no longer in the catalogue", row.provider))
    })?;
    let version =
        control.store().credential_version(row.id, row.version).await?.filter(|version| version.erased_at.is_none());
    let version = version.ok_or_else(|| ApiError::internal(format!("credential {} has no secret", row.id)))?;
    let secret = control.vault().open(&publish::place(row, row.version), &version.sealed)?;
    let target = check::Target {
        provider,
        base_url: row.base_url.as_deref().unwrap_or(&provider.api.base_url),
        own: row.base_url.is_some(),
        allow_private: row.allow_private,
    };
    check::verify(control.settings().outbound.as_ref(), &target, &secret).await
}

/// Use a credential again: it was switched off, or taken out for its health
#[utoipa::path(post, path = "/credentials/{credential}/enable", tag = "credentials", request_body = ReasonBody,
    params(("credential" = String, Path, description = "Id, or a name that only one has")),
    responses((status = 200, body = Credential)))]
pub(super) async fn enable(
    Administrator(caller): Administrator,
    State(control): State<Control>,
    Name(name): Name,
    MaybeJson(ReasonBody { reason }): MaybeJson<ReasonBody>,
) -> Answer<Json<Credential>> {
    set(&control, &caller, &name, ACTIVE, reason).await
}

/// Keep a credential from being used, without destroying it
#[utoipa::path(post, path = "/credentials/{credential}/disable", tag = "credentials", request_body = ReasonBody,
    params(("credential" = String, Path, description = "Id, or a name that only one has")),
    responses((status = 200, body = Credential)))]
pub(super) async fn disable(
    Administrator(caller): Administrator,
    State(control): State<Control>,
    Name(name): Name,
    MaybeJson(ReasonBody { reason }): MaybeJson<ReasonBody>,
) -> Answer<Json<Credential>> {
    set(&control, &caller, &name, DISABLED, reason).await
}

/// Revoke a credential for good: its secret is destroyed here. It still has to be revoked at the provider
#[utoipa::path(post, path = "/credentials/{credential}/revoke", tag = "credentials", request_body = ReasonBody,
    params(("credential" = String, Path, description = "Id, or a name that only one has")),
    responses((status = 200, body = Credential)))]
pub(super) async fn revoke(
    Administrator(caller): Administrator,
    State(control): State<Control>,
    Name(name): Name,
    MaybeJson(ReasonBody { reason }): MaybeJson<ReasonBody>,
) -> Answer<Json<Credential>> {
    set(&control, &caller, &name, REVOKED, reason).await
}

async fn set(
    control: &Control,
    caller: &Caller,
    name: &str,
    status: &str,
    reason: Option<String>,
) -> Answer<Json<Credential>> {
    let reason = checked_reason(reason)?;
    let known = find(control, name).await?;
    let (mut write, before) = hold(control, caller, known.id).await?;
    // A record that somebody changed can be revoked, too: that only takes power away.
    if status != REVOKED {
        write = control.trusted_within(write, &before).await?;
        not_revoked(&before)?;
    } else if before.status == REVOKED && fault(control.store(), control.vault(), &before).await?.is_none() {
        drop(write);
        return shown(control, &before, Vec::new()).await.map(Json);
    }
    let mut row = before.clone();
    row.status = status.to_owned();
    put(control, &mut write, &mut row).await?;
    let action = match status {
        ACTIVE => "credential.enable",
        DISABLED => "credential.disable",
        _ => "credential.revoke",
    };
    if status == ACTIVE {
        write.put_credential_health(&health::unknown(row.id, control.now())).await?;
    }
    if status == REVOKED {
        for version in control.store().credential_versions(row.id).await? {
            write.erase_credential_version(row.id, version.version).await?;
        }
    }
    let said = change(action, &row, summary(&before), summary(&row), reason);
    finish(control, write, vec![said], &row).await?;
    shown(control, &row, Vec::new()).await.map(Json)
}
