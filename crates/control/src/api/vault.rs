//! `/vault`: the keyring, its rotation, and the offline recovery identity.

use super::{ReasonBody, checked_reason};
use crate::{
    Control,
    auth::{Administrator, Caller, Owner, Reader},
    body::{Json as Body, MaybeJson},
    clock,
    error::{Answer, ApiError},
    keyring, recovery as sealed,
};
use axum::{Json, extract::State, http::StatusCode};
use keyward_domain::{Millis, digest, times};
use keyward_store::{Change, RecoveryRow, Write};
use keyward_vault::{KeyringRow, recovery};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};
use uuid::Uuid;

/// How long a challenge can be answered.
const CHALLENGE: Millis = 10 * 60_000;
/// More open challenges than anybody needs.
const MOST_CHALLENGES: usize = 32;

pub(crate) fn router() -> OpenApiRouter<Control> {
    OpenApiRouter::new()
        .routes(routes!(show))
        .routes(routes!(rotate))
        .routes(routes!(create_recovery))
        .routes(routes!(challenge))
        .routes(routes!(prove))
}

/// A question that waits for its answer.
pub(crate) struct Open {
    recipient: String,
    expected: [u8; 32],
    until: Millis,
}

/// The offline way back in.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct RecoveryStatus {
    /// Whether there is one.
    exists: bool,
    /// The public half.
    recipient: Option<String>,
    /// When it was made, in RFC 3339.
    created_at: Option<String>,
    /// When somebody last proved to hold the secret half, in RFC 3339.
    proven_at: Option<String>,
}

/// A key of the keyring; never its bytes.
#[derive(Debug, Serialize, ToSchema)]
struct KeyringKey {
    /// Its id.
    id: String,
    /// `wrap`, `mac` or `fingerprint`.
    purpose: &'static str,
    /// `active`, `retiring` or `retired`.
    state: &'static str,
    /// When it was made, in RFC 3339.
    created_at: String,
    /// The master key that wraps it.
    master_id: String,
}

/// How far the move to the active wrapping key is.
#[derive(Debug, Serialize, ToSchema)]
struct Rewrap {
    /// `idle` or `running`.
    state: &'static str,
    /// Secrets under the active wrapping key.
    done: u64,
    /// Secrets in all.
    total: u64,
}

/// The keyring.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct VaultStatus {
    /// The master key's id; safe to show.
    master_key: String,
    /// How the memory that holds it is protected: `secret`, `locked` or `ordinary`.
    #[schema(value_type = String)]
    memory: keyward_vault::MemoryKind,
    /// The keys.
    keyring: Vec<KeyringKey>,
    /// How far the move to the active wrapping key is.
    rewrap: Rewrap,
}

impl VaultStatus {
    /// How far the move to the active wrapping key is, in words.
    pub(crate) fn progress(&self) -> String {
        match self.rewrap.state {
            "idle" => format!("all {} secrets under the active wrapping key", self.rewrap.total),
            _ => format!("{} of {} secrets moved to the active wrapping key", self.rewrap.done, self.rewrap.total),
        }
    }
}

/// The vault.
#[derive(Debug, Serialize, ToSchema)]
struct Vault {
    #[serde(flatten)]
    status: VaultStatus,
    /// The offline way back in.
    recovery: RecoveryStatus,
}

/// How far along things are.
pub(crate) async fn vault_status(control: &Control) -> Answer<VaultStatus> {
    let vault = control.vault();
    let left = control.store().count_versions_outside(&vault.active_wrapping_key().to_string()).await?;
    let total = control.store().count_versions_outside("").await?;
    let keyring = vault
        .keyring()
        .into_iter()
        .map(|key| KeyringKey {
            id: key.id,
            purpose: key.purpose.name(),
            state: key.state.name(),
            created_at: times::show(key.created_at),
            master_id: key.master_id,
        })
        .collect();
    Ok(VaultStatus {
        master_key: vault.master_id().to_string(),
        memory: vault.memory(),
        keyring,
        rewrap: Rewrap { state: if left == 0 { "idle" } else { "running" }, done: total.saturating_sub(left), total },
    })
}

/// The newest recovery recipient.
pub(crate) async fn recovery_status(control: &Control) -> Answer<RecoveryStatus> {
    let newest = control.store().recoveries().await?.pop();
    Ok(status_of(newest.as_ref()))
}

fn status_of(row: Option<&RecoveryRow>) -> RecoveryStatus {
    RecoveryStatus {
        exists: row.is_some(),
        recipient: row.map(|row| row.recipient.clone()),
        created_at: row.map(|row| times::show(row.created_at)),
        proven_at: row.and_then(|row| row.proven_at).map(times::show),
    }
}

/// The keyring and the offline way back in
#[utoipa::path(get, path = "/vault", tag = "vault", responses((status = 200, body = Vault)))]
async fn show(_: Reader, State(control): State<Control>) -> Answer<Json<Vault>> {
    whole(&control).await.map(Json)
}

async fn whole(control: &Control) -> Answer<Vault> {
    Ok(Vault { status: vault_status(control).await?, recovery: recovery_status(control).await? })
}

fn about_vault(action: &str, before: Value, after: Value, reason: Option<String>) -> Change {
    Change {
        action: action.to_owned(),
        subject_kind: "vault".to_owned(),
        subject: "vault".to_owned(),
        before,
        after,
        reason,
        row_version: None,
    }
}

/// Stores keyring rows.
pub(crate) async fn put_keyring(write: &mut Write, rows: &[KeyringRow]) -> Result<(), keyward_store::Error> {
    for row in rows {
        write.put_keyring(&keyring::to_stored(row)).await?;
    }
    Ok(())
}

/// Put a new wrapping key in place; every secret moves to it in the background
#[utoipa::path(post, path = "/vault/rotate", tag = "vault", request_body = ReasonBody,
    responses((status = 200, body = Vault)))]
async fn rotate(
    Administrator(caller): Administrator,
    State(control): State<Control>,
    MaybeJson(ReasonBody { reason }): MaybeJson<ReasonBody>,
) -> Answer<Json<Vault>> {
    let reason = checked_reason(reason)?;
    let before = control.vault().active_wrapping_key().to_string();
    let mut write = control.write(&caller).await?;
    let rows = control.vault().rotate(control.now())?;
    put_keyring(&mut write, &rows).await?;
    let after = rows.first().map(|row| row.id.clone());
    let said = about_vault("vault.rotate", json!({"wrapping_key": before}), json!({"wrapping_key": after}), reason);
    control.commit(write, vec![said]).await?;
    control.vault().adopt(&rows)?;
    control.rewrap_wanted().notify_one();
    whole(&control).await.map(Json)
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct NewRecovery {
    /// The public half of the recovery identity.
    #[schema(example = "age1…")]
    recipient: String,
    /// Whether it may replace the one that exists.
    #[serde(default)]
    replace: bool,
    /// Why, for the audit log.
    reason: Option<String>,
}

/// Name the recovery identity's public half; the master key and backups are encrypted to it
#[utoipa::path(post, path = "/vault/recovery", tag = "vault", request_body = NewRecovery,
    responses((status = 201, body = RecoveryStatus), (status = 409, description = "There is one already")))]
async fn create_recovery(
    Owner(caller): Owner,
    State(control): State<Control>,
    Body(new): Body<NewRecovery>,
) -> Answer<(StatusCode, Json<RecoveryStatus>)> {
    let reason = checked_reason(new.reason)?;
    let recipient = recovery::check_recipient(&new.recipient)?;
    let known = control.store().recoveries().await?;
    if !known.is_empty() && !new.replace {
        return Err(ApiError::conflict("recovery_exists", "a recovery identity exists already")
            .hint("to replace it, say so: keyward vault recovery create --replace --output FILE"));
    }
    let vault = control.vault();
    let row = RecoveryRow {
        wrapped: vault.recovery_blob(&recipient)?,
        master_id: vault.master_id().to_string(),
        recipient,
        created_at: control.now(),
        proven_at: None,
    };
    store_recovery(&control, &caller, &known, &row, reason).await?;
    Ok((StatusCode::CREATED, Json(status_of(Some(&row)))))
}

async fn store_recovery(
    control: &Control,
    caller: &Caller,
    known: &[RecoveryRow],
    row: &RecoveryRow,
    reason: Option<String>,
) -> Answer<()> {
    let mut write = control.write(caller).await?;
    for old in known {
        write.remove_recovery(&old.recipient).await?;
    }
    sealed::put(&mut write, control.vault(), row).await?;
    let before: Vec<&str> = known.iter().map(|row| row.recipient.as_str()).collect();
    let said = about_vault("recovery.create", json!(before), json!([row.recipient]), reason);
    Ok(control.commit(write, vec![said]).await?)
}

/// A question for the holder of the recovery identity.
#[derive(Debug, Serialize, ToSchema)]
struct Challenge {
    /// To be sent back with the answer.
    id: String,
    /// An age file in hex. The answer is the SHA-256 of what is inside.
    challenge: String,
    /// Whose identity opens it.
    recipient: String,
}

/// Ask for a proof that somebody holds the recovery identity
#[utoipa::path(post, path = "/vault/recovery/challenge", tag = "vault", responses((status = 200, body = Challenge)))]
async fn challenge(_: Owner, State(control): State<Control>) -> Answer<Json<Challenge>> {
    let row = sealed::trusted(&control).await?.ok_or_else(|| {
        ApiError::conflict("recovery_missing", "there is no recovery identity yet")
            .hint("make one: keyward vault recovery create --output FILE")
    })?;
    let made = recovery::challenge(&row.recipient)?;
    let id = uuid::Builder::from_random_bytes(clock::random()?).into_uuid();
    let now = control.now();
    let mut open = control.challenges();
    open.retain(|_, waiting| waiting.until > now);
    if open.len() >= MOST_CHALLENGES {
        return Err(ApiError::new(
            StatusCode::TOO_MANY_REQUESTS,
            "too_many_challenges",
            "too many challenges are open",
        )
        .hint("answer one, or wait ten minutes"));
    }
    open.insert(id, Open { recipient: row.recipient.clone(), expected: made.expected, until: now + CHALLENGE });
    Ok(Json(Challenge { id: id.to_string(), challenge: digest::hex(&made.question), recipient: row.recipient }))
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Proof {
    /// The challenge's id.
    #[schema(value_type = String)]
    id: Uuid,
    /// SHA-256 of what is inside, in hex.
    answer: String,
}

/// Answer the question: the recovery identity is proven to work
#[utoipa::path(post, path = "/vault/recovery/prove", tag = "vault", request_body = Proof,
    responses((status = 200, body = RecoveryStatus)))]
async fn prove(
    Owner(caller): Owner,
    State(control): State<Control>,
    Body(proof): Body<Proof>,
) -> Answer<Json<RecoveryStatus>> {
    let now = control.now();
    // Taken away whatever the answer is: each question is good for one.
    let open = control.challenges().remove(&proof.id).filter(|open| open.until > now);
    let open = open.ok_or_else(|| {
        ApiError::conflict("no_such_challenge", "this challenge was answered already, has ended, or is not from here")
            .hint("ask for a new one")
    })?;
    let answer = digest::unhex(proof.answer.trim()).unwrap_or_default();
    if !recovery::proves(&open.expected, &answer) {
        return Err(ApiError::conflict("wrong_answer", "the answer is wrong: this is not the recovery identity")
            .hint("use the identity whose public half `keyward vault status` shows"));
    }
    let row = control.store().recoveries().await?.into_iter().find(|row| row.recipient == open.recipient);
    let mut row =
        row.ok_or_else(|| ApiError::conflict("recovery_replaced", "the recovery identity was replaced meanwhile"))?;
    row.proven_at = Some(now);
    let mut write = control.write(&caller).await?;
    write.put_recovery(&row).await?;
    let said = about_vault("recovery.prove", Value::Null, json!({"recipient": row.recipient}), None);
    control.commit(write, vec![said]).await?;
    Ok(Json(status_of(Some(&row))))
}
