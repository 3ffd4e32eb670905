//! Who is calling and what they may do. A handler names the permission it needs by the type it takes; a layer in
//! front of every route turns away whoever has no valid token, so that a forgotten type fails closed.
//!
//! Bearer tokens only, never cookies: another site's page cannot make a browser send one.

use crate::{
    Control,
    error::{Answer, ApiError},
    tamper::Trust,
};
use axum::{
    extract::{ConnectInfo, FromRequestParts, Request, State},
    http::{HeaderMap, header, request::Parts},
    middleware::Next,
    response::{IntoResponse, Response},
};
use keyward_domain::{
    api_token,
    audit::Actor,
    digest,
    token::{Malformed, TokenHash},
};
use serde::{Deserialize, Serialize};
use std::{fmt, net::IpAddr, net::SocketAddr, str::FromStr};

/// What a token's holder is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Everything, also tokens, recovery and backups.
    Owner,
    /// Projects, credentials, keys.
    Admin,
    /// Keys; sees the rest.
    Developer,
    /// Sees everything, changes nothing.
    Auditor,
}

impl Role {
    /// All roles, the strongest first.
    pub const ALL: [Self; 4] = [Self::Owner, Self::Admin, Self::Developer, Self::Auditor];

    /// The name in the API and the database.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Owner => "owner",
            Self::Admin => "admin",
            Self::Developer => "developer",
            Self::Auditor => "auditor",
        }
    }

    /// Whether the role includes a permission.
    #[must_use]
    pub(crate) const fn may(self, permission: Permission) -> bool {
        match permission {
            Permission::Read => true,
            Permission::Operate => matches!(self, Self::Owner | Self::Admin | Self::Developer),
            Permission::Administer => matches!(self, Self::Owner | Self::Admin),
            Permission::Own => matches!(self, Self::Owner),
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The name of a role that does not exist.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown role: use owner, admin, developer or auditor")]
pub struct UnknownRole;

impl FromStr for Role {
    type Err = UnknownRole;

    fn from_str(text: &str) -> Result<Self, UnknownRole> {
        Self::ALL.into_iter().find(|role| role.name() == text).ok_or(UnknownRole)
    }
}

/// What a call needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Permission {
    /// To look.
    Read,
    /// To make and change keys, to check credentials.
    Operate,
    /// To change projects and credentials, to rotate the vault.
    Administer,
    /// To make tokens, to set recovery, to take a backup.
    Own,
}

/// Whoever makes a call.
#[derive(Debug, Clone)]
pub(crate) struct Caller {
    /// As the audit log names them.
    pub actor: Actor,
    /// What they are.
    pub role: Role,
    /// Where the request came from.
    pub source: Option<IpAddr>,
}

macro_rules! permissions {
    ($($(#[$doc:meta])* $name:ident needs $permission:ident;)*) => {$(
        $(#[$doc])*
        pub(crate) struct $name(pub Caller);

        impl FromRequestParts<Control> for $name {
            type Rejection = ApiError;

            async fn from_request_parts(parts: &mut Parts, _: &Control) -> Answer<Self> {
                allowed(parts, Permission::$permission).map(Self)
            }
        }
    )*};
}

permissions! {
    /// A caller who may look.
    Reader needs Read;
    /// A caller who may make and change keys.
    Operator needs Operate;
    /// A caller who may change projects and credentials.
    Administrator needs Administer;
    /// A caller who may do everything.
    Owner needs Own;
}

fn allowed(parts: &Parts, needed: Permission) -> Answer<Caller> {
    // The layer in front has put the caller there; without it nobody gets in.
    let caller = parts
        .extensions
        .get::<Caller>()
        .ok_or_else(|| ApiError::unauthorized("token_missing", "this call needs a token of the control API"))?;
    if caller.role.may(needed) {
        return Ok(caller.clone());
    }
    let role = caller.role;
    let enough: Vec<&str> = Role::ALL.into_iter().filter(|role| role.may(needed)).map(Role::name).collect();
    Err(ApiError::forbidden(format!("the role {role} may not do this"))
        .hint(format!("use a token with the role {}", enough.join(" or "))))
}

/// Holder of the one-time set-up token. Taken by the one route that uses it up.
pub(crate) struct SetUp {
    /// The presented token's hash, to be used up by the handler.
    pub presented: TokenHash,
    /// Where the request came from.
    pub source: Option<IpAddr>,
}

impl FromRequestParts<Control> for SetUp {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, control: &Control) -> Answer<Self> {
        let presented = bearer(&parts.headers)?;
        let Ok(hash) = api_token::parse(presented) else { return Err(unknown_token()) };
        if !control.setup_token_is(&hash) {
            return Err(ApiError::unauthorized("setup_over", "this set-up link was used already or is not from here")
                .hint("the server prints a new link when it starts and has no owner yet"));
        }
        Ok(Self { presented: hash, source: source(parts.extensions.get()) })
    }
}

/// The layer in front of the API: finds the caller, or answers 401.
pub(crate) async fn require_token(State(control): State<Control>, mut request: Request, next: Next) -> Response {
    let source = source(request.extensions().get());
    match identify(&control, request.headers(), source).await {
        Ok(caller) => {
            request.extensions_mut().insert(caller);
            next.run(request).await
        }
        Err(error) => error.into_response(),
    }
}

fn source(peer: Option<&ConnectInfo<SocketAddr>>) -> Option<IpAddr> {
    peer.map(|ConnectInfo(peer)| peer.ip().to_canonical())
}

fn bearer(headers: &HeaderMap) -> Answer<&str> {
    let mut all = headers.get_all(header::AUTHORIZATION).iter();
    let (Some(value), None) = (all.next(), all.next()) else {
        return Err(ApiError::unauthorized("token_missing", "this call needs a token of the control API")
            .hint("send it as: authorization: Bearer kwt_…"));
    };
    let text = value.to_str().map_err(|_| unknown_token())?;
    match text.split_once(' ') {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => Ok(token.trim()),
        _ => Err(ApiError::unauthorized("token_missing", "the authorization header is not a bearer token")
            .hint("send it as: authorization: Bearer kwt_…")),
    }
}

fn unknown_token() -> ApiError {
    ApiError::unauthorized("token_unknown", "this token is not known here, was revoked or has expired")
        .hint("check that it was copied whole and is for this server; an owner can make a new one")
}

async fn identify(control: &Control, headers: &HeaderMap, source: Option<IpAddr>) -> Answer<Caller> {
    let presented = bearer(headers)?;
    let hash = match api_token::parse(presented) {
        Ok(hash) => hash,
        // A token for automation that somebody chose has no checksum; only that one is compared.
        Err(Malformed::Shape) if !presented.starts_with(api_token::PREFIX) => {
            let hash = TokenHash(digest::sha256(presented.as_bytes()));
            if !control.is_chosen_token(&hash) {
                return Err(if presented.starts_with("kw_") || presented.starts_with("sk-kw_") {
                    ApiError::unauthorized("token_unknown", "this is a virtual key; the control API needs a token")
                        .hint("virtual keys (kw_…) open the gateway, tokens (kwt_…) the control API")
                } else {
                    unknown_token()
                });
            }
            hash
        }
        Err(Malformed::Shape | Malformed::Checksum) => {
            return Err(ApiError::unauthorized("token_damaged", "this token is damaged: its checksum does not match")
                .hint("copy it again, whole"));
        }
    };
    if control.local_token_is(&hash) {
        return Ok(Caller { actor: Actor::Operator, role: Role::Owner, source });
    }
    stored(control, &hash, source).await
}

/// Looks a token up; only a row that is the newest, and as Keyward wrote it, lets anybody in.
async fn stored(control: &Control, hash: &TokenHash, source: Option<IpAddr>) -> Answer<Caller> {
    let Some(row) = control.store().token_by_hash(hash).await? else { return Err(unknown_token()) };
    let same = <[u8; 32]>::try_from(row.hash.as_slice()).is_ok_and(|stored| TokenHash(stored).matches(hash));
    if !same {
        return Err(unknown_token());
    }
    match control.look(&row).await? {
        Trust::Sound => {}
        // Revoked a moment ago.
        Trust::Stale => return Err(unknown_token()),
        Trust::Tampered => {
            return Err(ApiError::unauthorized("token_tampered", "this token's record was changed outside of Keyward")
                .hint("an owner can make a new token; `keyward doctor` lists changed records"));
        }
    }
    let now = control.now();
    if row.revoked_at.is_some() || row.expires_at.is_some_and(|end| end <= now) {
        return Err(unknown_token());
    }
    let role = row.role.parse().map_err(|UnknownRole| unknown_token())?;
    control.note_use(row.id.uuid(), now);
    Ok(Caller { actor: Actor::Token { id: row.id, name: row.name }, role, source })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roles_include_what_weaker_ones_may() {
        for (role, read, operate, administer, own) in [
            (Role::Owner, true, true, true, true),
            (Role::Admin, true, true, true, false),
            (Role::Developer, true, true, false, false),
            (Role::Auditor, true, false, false, false),
        ] {
            assert_eq!(role.may(Permission::Read), read, "{role}");
            assert_eq!(role.may(Permission::Operate), operate, "{role}");
            assert_eq!(role.may(Permission::Administer), administer, "{role}");
            assert_eq!(role.may(Permission::Own), own, "{role}");
            assert_eq!(role.name().parse(), Ok(role));
        }
    }
}
