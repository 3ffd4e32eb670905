//! Backup and restore in one neutral form that either database writes and reads.

/// What a backup held.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BackupSummary {
    /// The last migration of the database it came from.
    pub migration: i64,
    /// Rows by table, in the order of the file.
    pub tables: Vec<(String, u64)>,
}
