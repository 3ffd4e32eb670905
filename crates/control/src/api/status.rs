//! `/whoami` and `/status`: who the caller is, and how the server is.

use super::vault::{self, RecoveryStatus, VaultStatus};
use crate::{
    Control,
    auth::{Reader, Role},
    error::Answer,
    tamper::Tampered,
};
use axum::{Json, extract::State};
use keyward_domain::audit::Actor;
use keyward_store::Health;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

pub(crate) fn router() -> OpenApiRouter<Control> {
    OpenApiRouter::new().routes(routes!(whoami)).routes(routes!(status))
}

/// Who calls.
#[derive(Debug, Serialize, ToSchema)]
struct Identity {
    /// The token's name; `operator` for the local user.
    name: String,
    /// What its holder may do.
    role: Role,
}

/// Who the token belongs to
#[utoipa::path(get, path = "/whoami", tag = "status", responses((status = 200, body = Identity)))]
async fn whoami(Reader(caller): Reader) -> Json<Identity> {
    let name = match caller.actor {
        Actor::Token { name, .. } => name,
        Actor::Setup => "setup".to_owned(),
        Actor::Operator => "operator".to_owned(),
        Actor::System { part } => part,
    };
    Json(Identity { name, role: caller.role })
}

/// How the server is.
#[derive(Debug, Serialize, ToSchema)]
struct Status {
    /// The program's version.
    version: String,
    /// This installation's id.
    instance: String,
    /// Whether this is a demo.
    demo: bool,
    /// The database.
    database: Database,
    /// The offline way back in.
    recovery: RecoveryStatus,
    /// The keyring.
    vault: VaultStatus,
    /// Where applications reach the gateway.
    gateway: String,
    /// Records that were changed outside of Keyward and are not used.
    tampered: Vec<Tampered>,
}

/// The database.
#[derive(Debug, Serialize, ToSchema)]
struct Database {
    /// `sqlite` or `postgres`.
    kind: &'static str,
    /// `sound`, `disk_full`, `read_only` or `damaged`.
    state: &'static str,
    /// What is wrong.
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<String>,
}

/// How the server is
#[utoipa::path(get, path = "/status", tag = "status", responses((status = 200, body = Status)))]
async fn status(_: Reader, State(control): State<Control>) -> Answer<Json<Status>> {
    let settings = control.settings();
    let (state, detail) = match control.store().health() {
        Health::Sound => ("sound", None),
        Health::DiskFull => ("disk_full", None),
        Health::ReadOnly => ("read_only", None),
        Health::Corrupt { detail } => ("damaged", Some(detail)),
    };
    let tampered = control.tampered_rows().values().cloned().collect();
    Ok(Json(Status {
        version: settings.version.clone(),
        instance: control.instance().to_owned(),
        demo: settings.demo,
        database: Database { kind: control.store().kind(), state, detail },
        recovery: vault::recovery_status(&control).await?,
        vault: vault::vault_status(&control).await?,
        gateway: settings.gateway_url.clone(),
        tampered,
    }))
}
