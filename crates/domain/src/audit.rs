//! The audit row that every write carries: who did what to which record, before and after, why and from where.
//! Values are already free of secrets when they get here.

use crate::{AuditId, Millis};
use serde::{Deserialize, Serialize};
use std::net::IpAddr;

/// Who acts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Actor {
    /// Somebody with a token for the control API.
    Token {
        /// The token's id.
        id: crate::TokenId,
        /// Its name.
        name: String,
    },
    /// Whoever holds the one-time set-up link.
    Setup,
    /// Somebody at the machine itself (offline commands).
    Operator,
    /// The server on its own: a job, the gateway's observation.
    System {
        /// Which part, such as `health` or `rewrap`.
        part: String,
    },
}

/// What a write says about itself. The store adds the sequence number.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditEntry {
    /// The row's id.
    pub id: AuditId,
    /// When.
    pub at: Millis,
    /// Who.
    pub actor: Actor,
    /// What, as `noun.verb`: `key.revoke`.
    pub action: String,
    /// The kind of record: `key`, `credential`, `project`…
    pub subject_kind: String,
    /// The record's id or name.
    pub subject: String,
    /// The record before, without secrets; null when it is new.
    pub before: serde_json::Value,
    /// The record after, without secrets; null when it is gone.
    pub after: serde_json::Value,
    /// The reason somebody gave.
    pub reason: Option<String>,
    /// Where the request came from; none for the server itself.
    pub source: Option<IpAddr>,
}
