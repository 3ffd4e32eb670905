//! The only room with SQL: one text for SQLite and PostgreSQL.
//!
//! [`Store`] reads; [`Write`] is the only way to change control data, and it cannot be committed without audit entries.
//! Usage comes in through [`Store::collect`], exactly once. This room knows nothing of HTTP, cryptography or business
//! rules: ciphertexts, hashes and MACs come in and go out as bytes.

#[macro_use]
mod sql;

mod audit;
mod backup;
mod budgets;
mod changes;
mod check;
mod credentials;
mod each;
mod error;
mod health;
mod jobs;
mod keys;
mod ledger;
mod location;
mod meta;
mod migrate;
mod objects;
mod packed;
mod pool;
mod projects;
mod rates;
mod seal;
mod store;
mod tokens;
mod usage;
mod vault;
mod write;

pub use audit::{AuditExtent, AuditRow, AuditedVersion, Kinds, LastAudit};
pub use backup::{BackupSummary, verify_backup};
pub use budgets::{BudgetFilter, BudgetRow};
pub use changes::Changes;
pub use check::Column;
pub use credentials::{CredentialHealthRow, CredentialRow, CredentialVersionRow};
pub use error::Error;
pub use health::Health;
pub use jobs::JobRow;
pub use keys::{KeyFilter, KeyRow, KeyStatus, decode_secrets, encode_secrets};
pub use ledger::{
    AccountRow, Difference, EndedNode, HoldRow, LeaseAsk, NodeRow, NodeStand, Overrun, Rest, Rolling, ThresholdRow,
    Touched,
};
pub use location::{BadLocation, Limits, Location};
pub use projects::{EnvironmentRow, ProjectRow};
pub use rates::RatesRow;
pub use seal::AuditSeal;
pub use store::Store;
pub use tokens::TokenRow;
pub use usage::{Batch, Collected, DAY, Group, GroupBy, HOUR, Position, Totals, UsageFilter, UsageLine, UsageQuery};
pub use vault::{KeyringRow, RecoveryRow};
pub use write::{Change, Committed, Write};
