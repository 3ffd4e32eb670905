//! Backup and restore in one neutral form that either database writes and reads.
//!
//! The form is plain: whoever calls gives a sink that encrypts on the fly. Every cell is kept byte for byte, so that
//! MACs and ciphertexts hold after a restore.

mod dump;
mod format;
mod restore;

pub use restore::verify_backup;

/// What a backup holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BackupSummary {
    /// The last migration of the database it came from.
    pub migration: i64,
    /// Rows by table, in the order of the file.
    pub tables: Vec<(String, u64)>,
}

/// The tables in an order in which no row comes before the one it names. Day tables follow after these.
const TABLES: &[&str] = &[
    "meta",
    "projects",
    "environments",
    "credentials",
    "credential_versions",
    "credential_health",
    "keys",
    "budgets",
    "shared_rates",
    "tokens",
    "keyring",
    "recovery",
    "audit",
    "objects",
    "usage_series",
    "usage_hourly",
    "usage_daily",
    "usage_days",
    "last_used",
    "journal_positions",
    "jobs",
    "nodes",
    "accounts",
    "leases",
    "holds",
    "budget_events",
];

/// How many frames may wait between the database and the sink or source.
const FRAMES_AHEAD: usize = 8;
