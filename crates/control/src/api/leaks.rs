//! `/leaks`: whose a secret is that somebody found. The secret itself never comes here: clients ask with keyed hashes
//! (see `keyward_domain::leak` for what that protects against).

use super::{Items, budgets};
use crate::{
    Control,
    auth::Reader,
    body::Json as Body,
    error::{Answer, ApiError},
    publish::{ACTIVE, ARCHIVED},
};
use axum::{Json, extract::State};
use keyward_domain::{
    CredentialId, digest,
    leak::{LeakKey, LeakPrint},
    times,
    token::{PublicId, TokenHash},
};
use keyward_store::{CredentialRow, KeyRow, KeyStatus, TokenRow, decode_secrets};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};
use uuid::Uuid;
use zeroize::Zeroizing;

/// How many secrets one call may ask about.
const MOST: usize = 1_000;

pub(crate) fn router() -> OpenApiRouter<Control> {
    OpenApiRouter::new().routes(routes!(key)).routes(routes!(find))
}

/// The key that questions are made with.
#[derive(Serialize, ToSchema)]
struct Asking {
    /// 32 bytes in hex. It opens nothing; the same for everybody until the vault is made anew.
    #[serde(serialize_with = "super::shown_once")]
    #[schema(value_type = String)]
    key: Zeroizing<String>,
}

/// What a found secret looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
enum Kind {
    /// A virtual key of Keyward.
    Key,
    /// A token of the control API.
    Token,
    /// A provider's key, or anything else.
    Credential,
}

/// A question about one found secret.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Question {
    /// What it looks like.
    kind: Kind,
    /// A virtual key's public id.
    #[schema(value_type = Option<String>)]
    public_id: Option<PublicId>,
    /// HMAC-SHA256 with the key of `/leaks/key` over `keyward leak 1 `, `key`, `token` or `secret`, a zero byte, and the
    /// secret's SHA-256 (keys, without `sk-`, and tokens) or the secret itself without the blank space around it; in hex.
    fingerprint: String,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Questions {
    /// At most 1,000.
    items: Vec<Question>,
}

/// Whose a found secret is.
#[derive(Serialize, ToSchema)]
pub(super) struct Owner {
    /// The question's fingerprint.
    fingerprint: String,
    /// What it is.
    kind: Kind,
    /// Its id.
    id: String,
    /// Its name.
    name: String,
    /// Its project's name.
    project: Option<String>,
    /// Its environment.
    environment: Option<String>,
    /// The provider whose key a credential is.
    provider: Option<String>,
    /// `active`, `expired`, `revoked`, `disabled`, `archived`, or `tampered` when its record was changed outside of
    /// Keyward.
    status: &'static str,
    /// Whether the secret is one that counts now. False for one that was replaced: here it opens nothing any more, and
    /// where a provider made it, it may still.
    current: bool,
    /// When it was last used, in RFC 3339.
    last_used_at: Option<String>,
    /// What is left of a key's own limits, in words.
    limits: Vec<String>,
}

/// The key with which clients ask whose a secret is, instead of sending it
#[utoipa::path(get, path = "/leaks/key", tag = "leaks", responses((status = 200, body = Asking)))]
async fn key(_: Reader, State(control): State<Control>) -> Json<Asking> {
    Json(Asking { key: Zeroizing::new(digest::hex(control.vault().leak_key().bytes())) })
}

/// Whose secrets are, by keyed hashes. Only those that are this installation's own are answered
#[utoipa::path(post, path = "/leaks/match", tag = "leaks", request_body = Questions,
    responses((status = 200, body = Items<Owner>)))]
async fn find(_: Reader, State(control): State<Control>, Body(asked): Body<Questions>) -> Answer<Json<Items<Owner>>> {
    if asked.items.len() > MOST {
        return Err(ApiError::invalid("too_many_questions", format!("one call may ask about {MOST} secrets")));
    }
    let leak = control.vault().leak_key();
    let tokens = match asked.items.iter().any(|item| item.kind == Kind::Token) {
        true => control.store().tokens().await?,
        false => Vec::new(),
    };
    let mut items = Vec::new();
    for question in &asked.items {
        let print = digest::unhex(&question.fingerprint).and_then(|bytes| bytes.try_into().ok()).map(LeakPrint);
        let print = print
            .ok_or_else(|| ApiError::invalid("invalid_fingerprint", "a fingerprint is 64 hex digits of HMAC-SHA256"))?;
        match question.kind {
            Kind::Key => items.extend(of_key(&control, &leak, question, print).await?),
            Kind::Token => items.extend(of_token(&control, &leak, &tokens, question, print).await?),
            Kind::Credential => items.extend(of_secret(&control, question, print).await?),
        }
    }
    Ok(Json(Items { items }))
}

async fn of_key(control: &Control, leak: &LeakKey, question: &Question, print: LeakPrint) -> Answer<Option<Owner>> {
    let Some(public_id) = question.public_id else {
        return Err(ApiError::invalid("public_id_missing", "a question about a key names its public id"));
    };
    let Some(row) = control.store().key_by_public_id(public_id.as_str()).await? else { return Ok(None) };
    let now = control.now();
    // A public id is no secret: only who had the whole text may take a key's life, so that is what `current` says.
    let current = decode_secrets(&row.secrets).is_some_and(|slots| {
        slots.iter().any(|slot| slot.until.is_none_or(|until| until > now) && leak.of_key(&slot.hash) == print)
    });
    let project = control.store().project(row.project).await?;
    let archived = project.as_ref().is_some_and(|project| project.status == ARCHIVED);
    Ok(Some(Owner {
        fingerprint: question.fingerprint.clone(),
        kind: Kind::Key,
        id: row.id.to_string(),
        name: row.name.clone(),
        project: project.map(|project| project.name),
        environment: Some(row.environment.name().to_owned()),
        provider: None,
        status: key_status(control, &row, archived),
        current,
        last_used_at: last_used(control, row.id.uuid()).await?,
        limits: budgets::of_key(control, &row).await?.iter().map(budgets::Budget::left_words).collect(),
    }))
}

fn key_status(control: &Control, row: &KeyRow, archived: bool) -> &'static str {
    match row.status {
        _ if !control.shows_sound(row) => "tampered",
        KeyStatus::Revoked => "revoked",
        KeyStatus::Active if row.expires_at.is_some_and(|end| end <= control.now()) => "expired",
        KeyStatus::Active if archived => "archived",
        KeyStatus::Active => "active",
    }
}

async fn of_token(
    control: &Control,
    leak: &LeakKey,
    tokens: &[TokenRow],
    question: &Question,
    print: LeakPrint,
) -> Answer<Option<Owner>> {
    let is = |row: &&TokenRow| {
        <[u8; 32]>::try_from(row.hash.as_slice()).is_ok_and(|hash| leak.of_token(&TokenHash(hash)) == print)
    };
    let Some(row) = tokens.iter().find(is) else { return Ok(None) };
    let status = if !control.shows_sound(row) {
        "tampered"
    } else if row.revoked_at.is_some() {
        "revoked"
    } else if row.expires_at.is_some_and(|end| end <= control.now()) {
        "expired"
    } else {
        "active"
    };
    Ok(Some(Owner {
        fingerprint: question.fingerprint.clone(),
        kind: Kind::Token,
        id: row.id.to_string(),
        name: row.name.clone(),
        project: None,
        environment: None,
        provider: None,
        status,
        current: true,
        last_used_at: last_used(control, row.id.uuid()).await?,
        limits: Vec::new(),
    }))
}

/// The credentials that have or had this secret, those that have it first.
async fn of_secret(control: &Control, question: &Question, print: LeakPrint) -> Answer<Vec<Owner>> {
    let mut owners = Vec::new();
    let mut seen: Vec<CredentialId> = Vec::new();
    let mut versions = control.store().versions_marked(&control.vault().leak_mark(&print)).await?;
    versions.sort_by_key(|version| version.erased_at.is_some());
    for version in versions {
        if seen.contains(&version.credential) {
            continue;
        }
        seen.push(version.credential);
        let Some(row) = control.store().credential(version.credential).await? else { continue };
        owners.push(Owner {
            fingerprint: question.fingerprint.clone(),
            kind: Kind::Credential,
            id: row.id.to_string(),
            name: row.name.clone(),
            project: control.store().project(row.project).await?.map(|project| project.name),
            environment: row.environment.map(|environment| environment.name().to_owned()),
            provider: Some(row.provider.clone()),
            status: credential_status(control, &row),
            current: version.version == row.version && version.erased_at.is_none(),
            last_used_at: last_used(control, row.id.uuid()).await?,
            limits: Vec::new(),
        });
    }
    Ok(owners)
}

fn credential_status(control: &Control, row: &CredentialRow) -> &'static str {
    match row.status.as_str() {
        _ if !control.shows_sound(row) => "tampered",
        ACTIVE => "active",
        "disabled" => "disabled",
        _ => "revoked",
    }
}

async fn last_used(control: &Control, id: Uuid) -> Answer<Option<String>> {
    Ok(control.store().last_used(&[id]).await?.get(&id).copied().map(times::show))
}
