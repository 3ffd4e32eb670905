//! Rotation: a key gets a new secret, and the old one lives on for a while so that applications can change over.

use super::{Key, KeyMade, alive, find, finish, hold, put, shown, styled, summary};
use crate::{
    Control,
    api::checked_reason,
    auth::Operator,
    body::{MaybeJson, Name},
    clock,
    control::change,
    error::{Answer, ApiError},
    publish::{self, read_policy},
};
use axum::{Json, extract::State};
use keyward_domain::{Millis, grant::SecretSlot, times};
use keyward_store::{KeyRow, decode_secrets, encode_secrets};
use serde::Deserialize;
use serde_json::json;
use utoipa::ToSchema;

/// How long the old secret lives on when nobody says: a day.
const OVERLAP: u64 = 86_400_000;

#[derive(Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Rotation {
    /// How long the old secret lives on, such as `24h`; `0s`: not at all. Left out: what the policy says, else a day.
    overlap: Option<String>,
    /// Why, for the audit log.
    reason: Option<String>,
}

/// Give a key a new secret; the old one lives on for a while. A still older one ends now
#[utoipa::path(post, path = "/keys/{key}/rotate", tag = "keys", request_body = Rotation,
    params(("key" = String, Path, description = "Id, public id, or a name that only one has")),
    responses((status = 200, body = KeyMade)))]
pub(super) async fn rotate(
    Operator(caller): Operator,
    State(control): State<Control>,
    Name(name): Name,
    MaybeJson(asked): MaybeJson<Rotation>,
) -> Answer<Json<KeyMade>> {
    let known = find(&control, &name).await?;
    let reason = checked_reason(asked.reason)?;
    let now = control.now();
    let overlap = overlap(&control, &known, asked.overlap.as_deref()).await?;
    let (write, before) = hold(&control, &caller, known.id).await?;
    let mut write = control.trusted_within(write, &before).await?;
    alive(&before)?;
    let slots = decode_secrets(&before.secrets)
        .ok_or_else(|| ApiError::internal(format!("the stored secrets of key {} cannot be read", before.id)))?;
    let token = clock::new_key(before.environment, Some(before.public_id))?;
    let until = now.saturating_add(Millis::try_from(overlap).unwrap_or(Millis::MAX));
    let mut secrets = vec![SecretSlot { hash: token.hash, until: None }];
    // Two secrets at most: the one before this one, and no older.
    secrets.extend(slots.first().filter(|_| overlap > 0).map(|slot| SecretSlot { until: Some(until), ..*slot }));
    let mut row = before.clone();
    row.secrets = encode_secrets(&secrets);
    put(&control, &mut write, &mut row).await?;
    let mut after = summary(&row);
    if let Some(fields) = after.as_object_mut() {
        fields.insert("old_secret_until".to_owned(), json!((overlap > 0).then(|| times::show(until))));
    }
    let said = change("key.rotate", &row, summary(&before), after, reason);
    finish(&control, write, vec![said], row.id).await?;
    let about: Key = shown(&control, &row).await?;
    Ok(Json(KeyMade { key: styled(&row.style, &token.text), about }))
}

async fn overlap(control: &Control, row: &KeyRow, asked: Option<&str>) -> Answer<u64> {
    if let Some(text) = asked {
        return times::duration(text)
            .map_err(|error| ApiError::invalid("invalid_overlap", format!("overlap: {error}")));
    }
    let bases = publish::bases_of(control, row.project).await?;
    let own = read_policy("key", &row.id.to_string(), &row.policy).unwrap_or_default();
    let effective = bases.effective(row.project, row.environment, &own);
    Ok(effective.and_then(|policy| policy.rotation_overlap_ms).unwrap_or(OVERLAP))
}
