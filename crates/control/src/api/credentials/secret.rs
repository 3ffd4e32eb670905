//! The door through which secrets come in: looked at for obvious mistakes, sealed, and gone.

use super::{Credential, REVOKED, find, finish, hold, put, recovery_exists, shown, summary};
use crate::{
    Control,
    api::checked_reason,
    auth::Administrator,
    body::{Json as Body, Name, SecretText},
    control::change,
    error::{Answer, ApiError},
    health, publish,
};
use axum::{Json, extract::State};
use keyward_domain::secret::{Fingerprint, PlainKey};
use keyward_store::{CredentialRow, CredentialVersionRow};
use keyward_vault::seal;
use serde::Deserialize;
use utoipa::ToSchema;

/// Far more than any provider's key; service accounts in JSON take about 2,400 bytes.
const LONGEST: usize = 16 << 10;

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewVersion {
    /// The provider's new key. Sealed at once; no call ever answers it.
    #[schema(value_type = String, write_only)]
    secret: SecretText,
    /// Why, for the audit log.
    reason: Option<String>,
}

/// A secret that was taken in.
pub(super) struct Taken {
    /// Its ciphertext, to be stored.
    pub version: CredentialVersionRow,
    /// What the caller should know.
    pub warnings: Vec<String>,
}

/// Looks at a secret, seals it for its place, and drops it.
pub(super) fn take(control: &Control, row: &CredentialRow, secret: SecretText) -> Answer<Taken> {
    let warnings = look(control, row, &secret)?;
    let plain = PlainKey::new(secret.0.trim().as_bytes().to_vec());
    drop(secret);
    let sealed = control.vault().seal(&publish::place(row, row.version), &plain)?;
    let wrapping_key = seal::inspect(&sealed)?.wrapping_key.to_string();
    let Fingerprint(fingerprint) = control.vault().fingerprint(&row.provider, &plain);
    Ok(Taken {
        version: CredentialVersionRow {
            credential: row.id,
            version: row.version,
            sealed,
            wrapping_key,
            fingerprint: fingerprint.to_vec(),
            created_at: control.now(),
            erased_at: None,
            leak_mark: Some(control.vault().leak_mark_of(&plain).to_vec()),
        },
        warnings,
    })
}

/// Refuses what cannot be the provider's key, or must never serve traffic; warns of what looks odd.
fn look(control: &Control, row: &CredentialRow, secret: &SecretText) -> Answer<Vec<String>> {
    let (text, provider) = (secret.0.trim(), row.provider.as_str());
    if text.is_empty() {
        return Err(ApiError::invalid("empty_secret", "the secret is empty"));
    }
    if text.len() > LONGEST || text.contains(char::is_control) {
        let detail = "the secret is longer than 16 KiB, or has a line break or another control character in it";
        return Err(ApiError::invalid("invalid_secret", detail).hint("give the key alone, on one line"));
    }
    if text.starts_with("kw_") || text.starts_with("sk-kw_") || text.starts_with("kwt_") {
        return Err(ApiError::invalid("own_key", "this is a key or token of Keyward, not the provider's")
            .hint("give the key that the provider's own console shows"));
    }
    let shapes = control.catalogue().shapes();
    let fits: Vec<_> = shapes.iter().filter(|shape| shape.is(text)).collect();
    let own = || fits.iter().filter(|shape| &*shape.provider == provider);
    if own().any(|shape| shape.admin) && !own().any(|shape| !shape.admin) {
        return Err(ApiError::invalid(
            "admin_key",
            "this is an administration key: it could change the whole account, and must not serve traffic",
        )
        .hint("make an ordinary key in the provider's console and give that one"));
    }
    if own().next().is_some() {
        return Ok(Vec::new());
    }
    let telling = fits.iter().find(|shape| shape.is_telling());
    if let Some(other) = telling {
        let name = control.catalogue().provider(&other.provider).map_or(&*other.provider, |provider| &*provider.name);
        let detail = format!("this looks like a key of {name}, not of {provider}");
        // Behind an API root of one's own there may be anything.
        if row.base_url.is_some() {
            return Ok(vec![detail]);
        }
        return Err(ApiError::invalid("foreign_key", detail).hint(format!("add it with --provider {}", other.provider)));
    }
    let knows = shapes.iter().any(|shape| &*shape.provider == provider && shape.is_telling());
    Ok(if knows {
        vec![format!(
            "the secret does not look like the keys of {provider} that are known; check it with `keyward credential verify`"
        )]
    } else {
        Vec::new()
    })
}

/// Warnings about other credentials with the same secret.
pub(super) async fn duplicates(control: &Control, row: &CredentialRow) -> Answer<Vec<String>> {
    let others = control.store().credentials_by_fingerprint(&row.fingerprint).await?;
    Ok(others
        .into_iter()
        .filter(|other| other.id != row.id && other.status != REVOKED)
        .map(|other| format!("the credential '{}' ({}) holds the same secret", other.name, other.id))
        .collect())
}

/// Give a credential a new secret; it is used from the next call on, and the old one is destroyed
#[utoipa::path(post, path = "/credentials/{credential}/versions", tag = "credentials", request_body = NewVersion,
    params(("credential" = String, Path, description = "Id, or a name that only one has")),
    responses((status = 200, body = Credential)))]
pub(super) async fn add_version(
    Administrator(caller): Administrator,
    State(control): State<Control>,
    Name(name): Name,
    Body(new): Body<NewVersion>,
) -> Answer<Json<Credential>> {
    recovery_exists(&control).await?;
    let known = find(&control, &name).await?;
    let reason = checked_reason(new.reason)?;
    let (write, before) = hold(&control, &caller, known.id).await?;
    let mut write = control.trusted_within(write, &before).await?;
    super::state::not_revoked(&before)?;
    let mut row = before.clone();
    row.version += 1;
    let taken = take(&control, &row, new.secret)?;
    if taken.version.fingerprint == before.fingerprint {
        return Err(ApiError::conflict("same_secret", "this is the secret that the credential holds already"));
    }
    row.fingerprint.clone_from(&taken.version.fingerprint);
    let mut warnings = taken.warnings;
    warnings.extend(duplicates(&control, &row).await?);
    put(&control, &mut write, &mut row).await?;
    write.insert_credential_version(&taken.version).await?;
    write.erase_credential_version(row.id, before.version).await?;
    write.put_credential_health(&health::unknown(row.id, control.now())).await?;
    let said = change("credential.version", &row, summary(&before), summary(&row), reason);
    finish(&control, write, vec![said], &row).await?;
    shown(&control, &row, warnings).await.map(Json)
}
