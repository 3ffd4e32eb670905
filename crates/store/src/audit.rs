//! Reading the audit log. Rows get in only through [`crate::Write::commit`]; nothing changes or removes them.

use crate::{Error, Store};
use keyward_domain::{AuditId, Millis, audit::AuditEntry};
use serde::{Serialize, de::DeserializeOwned};

statements! {
    LATEST = "select seq, id, at, actor, action, subject_kind, subject, before, after, reason, source
        from audit where seq < $1 order by seq desc limit $2";
    LATEST_OF = "select seq, id, at, actor, action, subject_kind, subject, before, after, reason, source
        from audit where subject = $3 and seq < $1 order by seq desc limit $2";
}

/// An audit row: its place in the log, without gaps and in the order of commits, and what it says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditRow {
    /// Its number; the first row has 1.
    pub seq: i64,
    /// What it says.
    pub entry: AuditEntry,
}

row! {
    struct StoredAudit {
        seq: i64,
        id: AuditId,
        at: Millis,
        actor: String,
        action: String,
        subject_kind: String,
        subject: String,
        before: String,
        after: String,
        reason: Option<String>,
        source: Option<String>,
    }
}

impl Store {
    /// Audit rows, newest first, before a given number, perhaps only about one subject (a record's id or name).
    ///
    /// # Errors
    /// [`Error::BadRow`] when a row was tampered with so that it cannot be read; the database's.
    pub async fn audit(&self, subject: Option<&str>, before: Option<i64>, limit: u32) -> Result<Vec<AuditRow>, Error> {
        let before = before.unwrap_or(i64::MAX);
        let limit = i64::from(limit);
        let rows = match subject {
            None => read!(self, fetch_all, StoredAudit, "the audit log", LATEST, before, limit)?,
            Some(subject) => read!(self, fetch_all, StoredAudit, "the audit log", LATEST_OF, before, limit, subject)?,
        };
        rows.into_iter().map(read_row).collect()
    }
}

fn read_row(row: StoredAudit) -> Result<AuditRow, Error> {
    let source = match row.source {
        None => None,
        Some(text) => Some(text.parse().map_err(|_| bad(row.seq, "source"))?),
    };
    let entry = AuditEntry {
        id: row.id,
        at: row.at,
        actor: from_json(&row.actor).ok_or_else(|| bad(row.seq, "actor"))?,
        action: row.action,
        subject_kind: row.subject_kind,
        subject: row.subject,
        before: from_json(&row.before).ok_or_else(|| bad(row.seq, "before"))?,
        after: from_json(&row.after).ok_or_else(|| bad(row.seq, "after"))?,
        reason: row.reason,
        source,
    };
    Ok(AuditRow { seq: row.seq, entry })
}

fn bad(seq: i64, field: &str) -> Error {
    Error::BadRow { detail: format!("audit row {seq}, {field}") }
}

fn from_json<T: DeserializeOwned>(text: &str) -> Option<T> {
    serde_json::from_str(text).ok()
}

pub(crate) fn to_json<T: Serialize>(value: &T) -> Result<String, Error> {
    serde_json::to_string(value).map_err(|error| Error::BadRow { detail: error.to_string() })
}
