//! The control plane: the API that people and automation use, what it tells the gateway, what it learns from it, and
//! the jobs that keep an installation sound.
//!
//! No SQL (that is the store's), no cryptography (the vault's), no sockets (the server's). Plaintext comes in through
//! the credential calls of the API, is sealed there, and leaves only in a check of the credential at its provider.

mod api;
mod auth;
mod backup;
mod body;
mod budgets;
pub mod clock;
mod collect;
mod control;
mod doctor;
mod error;
mod expiry;
mod follow;
mod health;
mod integrity;
mod jobs;
pub mod keyring;
mod lend;
mod nearest;
mod nodes;
pub mod outbound;
mod pages;
mod policy_check;
pub mod proof;
mod publish;
mod recovery;
mod router;
mod seal;
mod settings;
mod tamper;
mod thresholds;
mod verify;
mod versions;

pub use auth::Role;
pub use collect::{Batch, Taken};
pub use control::{Control, OpenError};
pub use error::ApiError;
pub use lend::Node;
pub use nodes::Recovered;
pub use seal::audit_seal;
pub use settings::{Bootstrap, Settings};
pub use thresholds::Crossed;
