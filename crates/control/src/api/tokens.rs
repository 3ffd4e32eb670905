//! `/tokens`: who may use this API. A token's text is in the answer that makes it and nowhere else.

use super::{Items, checked_name, checked_reason};
use crate::{
    Control,
    auth::{Owner, Reader, Role},
    body::{Json as Body, MaybeJson, Name},
    clock,
    control::change,
    error::{Answer, ApiError, taken},
    expiry::ending,
    integrity,
    versions::fault,
};
use axum::{Json, extract::State, http::StatusCode};
use keyward_domain::{Millis, TokenId, audit::Actor, times, token::TokenHash};
use keyward_store::TokenRow;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::net::IpAddr;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};
use zeroize::Zeroizing;

pub(crate) fn router() -> OpenApiRouter<Control> {
    OpenApiRouter::new().routes(routes!(list, create)).routes(routes!(revoke))
}

/// A token to be made.
pub(crate) struct Draft {
    /// Its name.
    pub name: String,
    /// What its holder may do.
    pub role: Role,
    /// When it ends.
    pub expires_at: Option<Millis>,
    /// Why.
    pub reason: Option<String>,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct NewToken {
    /// A name: a person, or what it is for.
    name: String,
    /// What its holder may do.
    role: Role,
    /// When it ends, in RFC 3339 or as a date.
    expires_at: Option<String>,
    /// How long it lives, such as `90d`; instead of `expires_at`.
    expires_in: Option<String>,
    /// Why, for the audit log.
    reason: Option<String>,
}

/// A token, without its text.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Token {
    /// Its id.
    id: String,
    /// Its name.
    name: String,
    /// What its holder may do.
    role: String,
    /// `active`, `expired`, `revoked`, or `tampered` when its record was changed outside of Keyward.
    status: &'static str,
    /// When it was made, in RFC 3339.
    created_at: String,
    /// When it ends, in RFC 3339.
    expires_at: Option<String>,
    /// When it was last used, in RFC 3339.
    last_used_at: Option<String>,
    /// When it was revoked, in RFC 3339.
    revoked_at: Option<String>,
}

/// A token with its text, this once.
#[derive(Serialize, ToSchema)]
struct TokenMade {
    /// The text; shown only here.
    #[serde(serialize_with = "super::shown_once")]
    #[schema(value_type = String)]
    token: Zeroizing<String>,
    #[serde(flatten)]
    about: Token,
}

fn present(control: &Control, row: &TokenRow, last_used: Option<Millis>) -> Token {
    let ended = row.expires_at.is_some_and(|end| end <= control.now());
    let status = if !control.shows_sound(row) {
        "tampered"
    } else if row.revoked_at.is_some() {
        "revoked"
    } else if ended {
        "expired"
    } else {
        "active"
    };
    Token {
        id: row.id.to_string(),
        name: row.name.clone(),
        role: row.role.clone(),
        status,
        created_at: times::show(row.created_at),
        expires_at: row.expires_at.map(times::show),
        last_used_at: last_used.map(times::show),
        revoked_at: row.revoked_at.map(times::show),
    }
}

/// Makes a token; the text is to be shown once.
pub(crate) async fn make(
    control: &Control,
    actor: Actor,
    source: Option<IpAddr>,
    draft: Draft,
) -> Answer<(TokenRow, Zeroizing<String>)> {
    let token = clock::new_api_token()?;
    let row = store(control, actor, source, draft, token.hash).await?;
    Ok((row, token.text))
}

/// Stores a token by its hash.
pub(crate) async fn store(
    control: &Control,
    actor: Actor,
    source: Option<IpAddr>,
    draft: Draft,
    hash: TokenHash,
) -> Answer<TokenRow> {
    let now = control.now();
    let mut row = TokenRow {
        id: control.new_id(TokenId::new)?,
        name: draft.name,
        role: draft.role.name().to_owned(),
        hash: hash.0.to_vec(),
        created_at: now,
        expires_at: draft.expires_at,
        revoked_at: None,
        row_version: 1,
        mac: Vec::new(),
    };
    integrity::seal(control.vault(), &mut row);
    let mut write = control.store().write(actor, source, now).await?;
    write.insert_token(&row).await.map_err(taken("token", &row.name))?;
    control.commit(write, vec![change("token.create", &row, Value::Null, summary(&row), draft.reason)]).await?;
    Ok(row)
}

fn summary(row: &TokenRow) -> Value {
    json!({"name": row.name, "role": row.role, "expires_at": row.expires_at.map(times::show)})
}

/// All tokens, without their texts
#[utoipa::path(get, path = "/tokens", tag = "tokens", responses((status = 200, body = Items<Token>)))]
async fn list(_: Reader, State(control): State<Control>) -> Answer<Json<Items<Token>>> {
    let rows = control.store().tokens().await?;
    let ids: Vec<uuid::Uuid> = rows.iter().map(|row| row.id.uuid()).collect();
    let used = control.store().last_used(&ids).await?;
    let items = rows.iter().map(|row| present(&control, row, used.get(&row.id.uuid()).copied())).collect();
    Ok(Json(Items { items }))
}

/// Make a token
#[utoipa::path(post, path = "/tokens", tag = "tokens", request_body = NewToken,
    responses((status = 201, body = TokenMade)))]
async fn create(
    Owner(caller): Owner,
    State(control): State<Control>,
    Body(new): Body<NewToken>,
) -> Answer<(StatusCode, Json<TokenMade>)> {
    let draft = Draft {
        name: checked_name("token", &new.name)?,
        role: new.role,
        expires_at: ending(new.expires_in.as_deref(), new.expires_at.as_deref(), control.now())?,
        reason: checked_reason(new.reason)?,
    };
    let (row, token) = make(&control, caller.actor, caller.source, draft).await?;
    Ok((StatusCode::CREATED, Json(TokenMade { token, about: present(&control, &row, None) })))
}

#[derive(Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
struct Revocation {
    /// Why, for the audit log.
    reason: Option<String>,
}

/// Revoke a token
#[utoipa::path(delete, path = "/tokens/{token}", tag = "tokens", request_body = Revocation,
    params(("token" = String, Path, description = "Id or name")), responses((status = 200, body = Token)))]
async fn revoke(
    Owner(caller): Owner,
    State(control): State<Control>,
    Name(name): Name,
    MaybeJson(asked): MaybeJson<Revocation>,
) -> Answer<Json<Token>> {
    let reason = checked_reason(asked.reason)?;
    let id = name.parse::<TokenId>().ok();
    let mut write = control.write(&caller).await?;
    let rows = control.store().tokens().await?;
    let named = |row: &&TokenRow| id == Some(row.id) || row.name == name;
    let before = rows
        .iter()
        .filter(named)
        .min_by_key(|row| row.revoked_at.is_some())
        .ok_or_else(|| ApiError::not_found("token", &name))?;
    let mut row = before.clone();
    // A record that somebody changed can be revoked, too: that only takes power away.
    if row.revoked_at.is_none() || fault(control.store(), control.vault(), &row).await?.is_some() {
        row.revoked_at = Some(control.now());
        let stored = control.renew(&write, &mut row).await?;
        write.update_token(&row, stored).await?;
        control.commit(write, vec![change("token.revoke", &row, summary(before), Value::Null, reason)]).await?;
    }
    Ok(Json(present(&control, &row, None)))
}
