//! Reading the audit log. Rows get in only through [`crate::Write::commit`]; nothing changes or removes them, and a code
//! over each shows it when somebody did. Its rows also say which version every row that grants power has reached, so
//! that an earlier one that was put back is noticed.

use crate::{
    AuditSeal, Error, Store,
    each::{each, each_packed},
    packed,
    sql::clean,
};
use keyward_domain::{AuditId, Millis, audit::AuditEntry};
use serde::{Serialize, de::DeserializeOwned};

/// Reads [`PackedAudit`]. Versions only grow, so the newest row about a record has its highest. The inner query reads one
/// index; in the order of the numbers every page of the log is read once.
macro_rules! newest_versions {
    ($and:literal) => {
        concat!(
            "select id, mac, ",
            packed!(
                "audit.seq",
                "at",
                "actor",
                "action",
                "subject_kind",
                "subject",
                "row_version",
                "before",
                "after",
                "'=' || reason",
                "'=' || source",
            ),
            " from (select max(seq) as seq from audit where row_version is not null",
            $and,
            " group by subject_kind, subject order by seq) newest join audit on audit.seq = newest.seq"
        )
    };
}

statements! {
    LATEST = "select seq, id, at, actor, action, subject_kind, subject, row_version, mac, before, after, reason, source
        from audit where seq < $1 order by seq desc limit $2";
    LATEST_OF = "select seq, id, at, actor, action, subject_kind, subject, row_version, mac, before, after, reason,
        source from audit where subject = $3 and seq < $1 order by seq desc limit $2";
    NEWEST_VERSION = "select seq, id, at, actor, action, subject_kind, subject, row_version, mac, before, after, reason,
        source from audit where subject_kind = $1 and subject = $2 and row_version is not null
        order by row_version desc limit 1";
    ONE = "select seq, id, at, actor, action, subject_kind, subject, row_version, mac, before, after, reason, source
        from audit where id = $1";
    NEWEST_VERSIONS = newest_versions!("");
    NEWEST_VERSIONS_OF = newest_versions!(" and subject_kind = $1");
    NEWEST_VERSIONS_BESIDES = newest_versions!(" and subject_kind <> $1 and subject_kind <> $2");
    EACH = "select seq, id, at, actor, action, subject_kind, subject, row_version, mac, before, after, reason, source
        from audit order by seq";
    EXTENT = "select (select count(*) from audit), (select coalesce(min(seq), 0) from audit),
        (select coalesce(max(seq), 0) from audit),
        (select coalesce(max(number), -1) from meta where name = 'audit_sequence')";
}

/// An audit row: its place in the log, without gaps and in the order of commits, and what it says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditRow {
    /// Its number; the first row has 1.
    pub seq: i64,
    /// What it says.
    pub entry: AuditEntry,
    /// The row version that the change left the record at, when it is one that grants power.
    pub row_version: Option<i64>,
}

/// What the log says of the version that a record has reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditedVersion {
    /// The kind of record.
    pub kind: String,
    /// Its id.
    pub subject: String,
    /// The highest version that the log knows.
    pub version: i64,
    /// Whether the code over the audit row that says so holds.
    pub holds: bool,
}

/// The audit row of the last change of a record that grants power.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LastAudit {
    /// The record as the change left it, without secrets.
    pub after: serde_json::Value,
    /// Whether the code over the audit row holds.
    pub holds: bool,
}

row! {
    /// How far the log reaches. Without gaps and cuts all but `first` are the same number.
    pub struct AuditExtent {
        /// How many rows there are.
        pub rows: i64,
        /// The lowest number; 0 without rows.
        pub first: i64,
        /// The highest number; 0 without rows.
        pub last: i64,
        /// The number given out last; -1 when that is no longer known.
        pub given: i64,
    }
}

impl AuditExtent {
    /// Whether no row is missing.
    #[must_use]
    pub const fn is_whole(&self) -> bool {
        self.rows == self.last && self.last == self.given && (self.rows == 0 || self.first == 1)
    }
}

row! {
    /// A row as it is stored.
    pub(crate) struct StoredAudit {
        pub(crate) seq: i64,
        pub(crate) id: AuditId,
        pub(crate) at: Millis,
        pub(crate) actor: String,
        pub(crate) action: String,
        pub(crate) subject_kind: String,
        pub(crate) subject: String,
        pub(crate) row_version: Option<i64>,
        pub(crate) mac: Vec<u8>,
        pub(crate) before: String,
        pub(crate) after: String,
        pub(crate) reason: Option<String>,
        pub(crate) source: Option<String>,
    }
}

impl StoredAudit {
    /// The stored form of an entry, without its code.
    pub(crate) fn of(seq: i64, entry: &AuditEntry, row_version: Option<i64>) -> Result<Self, Error> {
        Ok(Self {
            seq,
            id: entry.id,
            at: entry.at,
            actor: to_json(&entry.actor)?,
            action: entry.action.clone(),
            subject_kind: entry.subject_kind.clone(),
            subject: clean(&entry.subject).into_owned(),
            row_version,
            mac: Vec::new(),
            before: entry.before.to_string(),
            after: entry.after.to_string(),
            reason: entry.reason.as_deref().map(|reason| clean(reason).into_owned()),
            source: entry.source.map(|source| source.to_string()),
        })
    }

    /// The same row with its code.
    pub(crate) fn sealed(self, seal: &dyn AuditSeal) -> Self {
        let mac = self.covered().with(|fields| seal.code(self.seq, fields));
        Self { mac, ..self }
    }

    /// Whether the row is as it was written.
    fn holds(&self, seal: &dyn AuditSeal) -> bool {
        self.covered().with(|fields| seal.holds(self.seq, fields, &self.mac))
    }

    fn covered(&self) -> Covered<'_> {
        Covered {
            id: self.id,
            at: self.at,
            actor: &self.actor,
            action: &self.action,
            subject_kind: &self.subject_kind,
            subject: &self.subject,
            row_version: self.row_version,
            before: &self.before,
            after: &self.after,
            reason: self.reason.as_deref(),
            source: self.source.as_deref(),
        }
    }

    /// What it says of its record's version.
    fn version(self, seal: &dyn AuditSeal) -> Option<AuditedVersion> {
        let holds = self.holds(seal);
        Some(AuditedVersion { version: self.row_version?, kind: self.subject_kind, subject: self.subject, holds })
    }
}

/// Everything that the code covers besides the number.
struct Covered<'a> {
    id: AuditId,
    at: Millis,
    actor: &'a str,
    action: &'a str,
    subject_kind: &'a str,
    subject: &'a str,
    row_version: Option<i64>,
    before: &'a str,
    after: &'a str,
    reason: Option<&'a str>,
    source: Option<&'a str>,
}

impl Covered<'_> {
    /// Its fields. The order is fixed for ever; a new field goes to the end.
    fn with<T>(&self, take: impl FnOnce(&[&[u8]]) -> T) -> T {
        let given = [self.row_version.is_some(), self.reason.is_some(), self.source.is_some()].map(u8::from);
        take(&[
            self.id.uuid().as_bytes(),
            &self.at.to_be_bytes(),
            self.actor.as_bytes(),
            self.action.as_bytes(),
            self.subject_kind.as_bytes(),
            self.subject.as_bytes(),
            // Nothing and an empty value are two things.
            &given,
            &self.row_version.unwrap_or(0).to_be_bytes(),
            self.before.as_bytes(),
            self.after.as_bytes(),
            self.reason.unwrap_or("").as_bytes(),
            self.source.unwrap_or("").as_bytes(),
        ])
    }
}

row! {
    /// A row as the statements that read very many answer it.
    struct PackedAudit {
        id: AuditId,
        mac: Vec<u8>,
        rest: String,
    }
}

impl PackedAudit {
    /// What it says of its record's version; its id when it must be read column by column.
    fn version(&self, seal: &dyn AuditSeal) -> Result<AuditedVersion, AuditId> {
        self.read(seal).ok_or(self.id)
    }

    fn read(&self, seal: &dyn AuditSeal) -> Option<AuditedVersion> {
        let [seq, at, actor, action, kind, subject, version, before, after, reason, source] =
            packed::columns(&self.rest)?;
        let version = version.parse().ok()?;
        let covered = Covered {
            id: self.id,
            at: at.parse().ok()?,
            actor,
            action,
            subject_kind: kind,
            subject,
            row_version: Some(version),
            before,
            after,
            reason: packed::optional_text(reason)?,
            source: packed::optional_text(source)?,
        };
        let seq = seq.parse().ok()?;
        let holds = covered.with(|fields| seal.holds(seq, fields, &self.mac));
        Some(AuditedVersion { kind: kind.to_owned(), subject: subject.to_owned(), version, holds })
    }
}

/// Of which kinds of records something is read.
#[derive(Debug, Clone, Copy)]
pub enum Kinds<'a> {
    /// Every kind.
    All,
    /// One kind.
    Only(&'a str),
    /// Every kind but two.
    Besides([&'a str; 2]),
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

    /// The highest version of one record that the log knows; none when it knows none.
    ///
    /// # Errors
    /// [`Error::Unsealed`]; the database's.
    pub async fn audited_version(&self, kind: &str, subject: &str) -> Result<Option<AuditedVersion>, Error> {
        let seal = self.seal()?;
        let row = read!(self, fetch_optional, StoredAudit, "the audit log", NEWEST_VERSION, kind, subject)?;
        Ok(row.and_then(|row| row.version(seal)))
    }

    /// What the log says of a record's last change; none when it knows none.
    ///
    /// # Errors
    /// [`Error::Unsealed`]; the database's.
    pub async fn last_audit(&self, kind: &str, subject: &str) -> Result<Option<LastAudit>, Error> {
        let seal = self.seal()?;
        let row = read!(self, fetch_optional, StoredAudit, "the audit log", NEWEST_VERSION, kind, subject)?;
        Ok(row.map(|row| LastAudit { after: from_json(&row.after).unwrap_or_default(), holds: row.holds(seal) }))
    }

    /// Hands over the highest version of every record that the log knows, in no particular order.
    ///
    /// # Errors
    /// [`Error::Unsealed`]; the database's.
    pub async fn each_audited_version(
        &self,
        kinds: Kinds<'_>,
        mut take: impl FnMut(AuditedVersion) + Send,
    ) -> Result<(), Error> {
        let seal = self.seal()?;
        let (sql, kinds): (_, &[&str]) = match &kinds {
            Kinds::All => (NEWEST_VERSIONS, &[]),
            Kinds::Only(kind) => (NEWEST_VERSIONS_OF, std::slice::from_ref(kind)),
            Kinds::Besides(kinds) => (NEWEST_VERSIONS_BESIDES, kinds),
        };
        let odd = on!(self.readers(), pool => {
            let query = sqlx::query(sql);
            let rows = kinds.iter().fold(query, |query, kind| query.bind(*kind)).fetch(pool);
            each_packed(rows, |row: PackedAudit| row.version(seal), &mut take).await
        });
        for id in odd.map_err(|error| self.failed(error, "the audit log"))? {
            let row = read!(self, fetch_optional, StoredAudit, "the audit log", ONE, id.uuid())?;
            row.and_then(|row| row.version(seal)).into_iter().for_each(&mut take);
        }
        Ok(())
    }

    /// The numbers of the rows whose code does not hold. Reads the whole log.
    ///
    /// # Errors
    /// [`Error::Unsealed`]; the database's.
    pub async fn changed_audit_rows(&self) -> Result<Vec<i64>, Error> {
        let seal = self.seal()?;
        let mut changed = Vec::new();
        let look = |row: StoredAudit| changed.extend((!row.holds(seal)).then_some(row.seq));
        let done = on!(self.readers(), pool => each(sqlx::query(EACH).fetch(pool), look).await);
        done.map_err(|error| self.failed(error, "the audit log"))?;
        Ok(changed)
    }

    /// How far the log reaches, all figures of one moment.
    ///
    /// # Errors
    /// The database's.
    pub async fn audit_extent(&self) -> Result<AuditExtent, Error> {
        read!(self, fetch_one, AuditExtent, "the audit log", EXTENT)
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
    Ok(AuditRow { seq: row.seq, entry, row_version: row.row_version })
}

fn bad(seq: i64, field: &str) -> Error {
    Error::BadRow { detail: format!("audit row {seq}, {field}") }
}

fn from_json<T: DeserializeOwned>(text: &str) -> Option<T> {
    serde_json::from_str(text).ok()
}

fn to_json<T: Serialize>(value: &T) -> Result<String, Error> {
    serde_json::to_string(value).map_err(|error| Error::BadRow { detail: error.to_string() })
}
