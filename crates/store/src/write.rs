//! The only way to change control data: a transaction that cannot be committed without its audit rows.

use crate::{AuditRow, Error, Store, audit::StoredAudit, pool::Open};
use keyward_domain::{
    AuditId, Millis,
    audit::{Actor, AuditEntry},
};
use std::net::IpAddr;

statements! {
    /// Also the lock that puts control writes of all nodes in one order: the row stays locked until the end.
    MOVE_VERSION = "update meta set number = number + 1 where name = 'change_version' returning number";
    TAKE_SEQUENCE = "update meta set number = number + $1 where name = 'audit_sequence' returning number";
    INSERT_AUDIT = "insert into audit
        (seq, id, at, actor, action, subject_kind, subject, row_version, mac, before, after, reason, source)
        values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)";
}

/// Tells the other nodes; PostgreSQL only.
const NOTIFY: &str = "select pg_notify('keyward_change', $1)";

/// What a write says about itself. The actor, the time and the source address come from the write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
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
    /// The row version that the change leaves the record at, when it is a row that grants power and it was written. No
    /// two changes of a record lead to the same one.
    pub row_version: Option<i64>,
}

/// What a commit answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Committed {
    /// The change version that this write made.
    pub change_version: i64,
    /// The audit rows as stored, in the order of the changes.
    pub audit: Vec<AuditRow>,
}

/// A transaction. Control writes run one after the other, on all nodes: what is read through the store while a write
/// is open is changed by nobody else. Dropping it without [`Write::commit`] undoes it.
#[must_use = "a write that is not committed is undone"]
pub struct Write {
    store: Store,
    open: Open,
    actor: Actor,
    source: Option<IpAddr>,
    now: Millis,
    version: i64,
    failed: bool,
}

impl Store {
    /// Begins a write on behalf of somebody.
    ///
    /// # Errors
    /// [`Error::Corrupt`] when the database is damaged, [`Error::DiskFull`], [`Error::Unreachable`].
    pub async fn write(&self, actor: Actor, source: Option<IpAddr>, now: Millis) -> Result<Write, Error> {
        self.condition().writable()?;
        let open = self.writer().begin().await.map_err(|error| self.failed(error, "a write"))?;
        let mut write = Write { store: self.clone(), open, actor, source, now, version: 0, failed: false };
        write.version = write.counter(MOVE_VERSION, None).await?;
        Ok(write)
    }
}

impl Write {
    /// The time of this write.
    #[must_use]
    pub const fn now(&self) -> Millis {
        self.now
    }

    /// Stores the audit rows and makes everything permanent, or nothing.
    ///
    /// # Errors
    /// [`Error::Unaudited`] without a change, [`Error::Unsealed`] before anybody seals audit rows, [`Error::Taken`]
    /// when a record's row version was there before, [`Error::Broken`] when a statement failed before,
    /// [`Error::DiskFull`] and the like when the database cannot keep it. After an error nothing was kept.
    pub async fn commit(mut self, changes: Vec<Change>) -> Result<Committed, Error> {
        if changes.is_empty() {
            return Err(Error::Unaudited);
        }
        let count = i64::try_from(changes.len()).unwrap_or(i64::MAX);
        let last = self.counter(TAKE_SEQUENCE, Some(count)).await?;
        let mut audit = Vec::with_capacity(changes.len());
        for (change, seq) in changes.into_iter().zip(last - count + 1..) {
            audit.push(self.insert_audit(change, seq).await?);
        }
        let version = self.version.to_string();
        if let Open::Pg(tx) = self.open()? {
            let told = sqlx::query(NOTIFY).bind(version).execute(&mut **tx).await;
            self.settled(told.map(|_| 0), "a notification")?;
        }
        let Self { store, open, version, .. } = self;
        open.commit().await.map_err(|error| store.failed(error, "a commit"))?;
        store.condition().wrote();
        Ok(Committed { change_version: version, audit })
    }

    async fn insert_audit(&mut self, change: Change, seq: i64) -> Result<AuditRow, Error> {
        let Change { action, subject_kind, subject, before, after, reason, row_version } = change;
        let entry = AuditEntry {
            id: audit_id(self.now, seq),
            at: self.now,
            actor: self.actor.clone(),
            action,
            subject_kind,
            subject,
            before,
            after,
            reason,
            source: self.source,
        };
        let row = StoredAudit::of(seq, &entry, row_version)?.sealed(self.store.seal()?);
        run!(
            self,
            "row version",
            INSERT_AUDIT,
            row.seq,
            row.id.uuid(),
            row.at,
            row.actor,
            row.action,
            row.subject_kind,
            row.subject,
            row.row_version,
            row.mac,
            row.before,
            row.after,
            row.reason,
            row.source
        )?;
        Ok(AuditRow { seq, entry, row_version })
    }

    async fn counter(&mut self, sql: &'static str, by: Option<i64>) -> Result<i64, Error> {
        let moved = match self.open()? {
            Open::Lite(tx) => match by {
                Some(by) => sqlx::query_scalar(sql).bind(by).fetch_one(&mut **tx).await,
                None => sqlx::query_scalar(sql).fetch_one(&mut **tx).await,
            },
            Open::Pg(tx) => match by {
                Some(by) => sqlx::query_scalar(sql).bind(by).fetch_one(&mut **tx).await,
                None => sqlx::query_scalar(sql).fetch_one(&mut **tx).await,
            },
        };
        self.settled(moved, "a counter")
    }

    pub(crate) const fn store(&self) -> &Store {
        &self.store
    }

    /// The transaction, unless a statement failed before: SQLite may have ended it then, and what followed would be
    /// kept without an audit row.
    pub(crate) fn open(&mut self) -> Result<&mut Open, Error> {
        if self.failed { Err(Error::Broken) } else { Ok(&mut self.open) }
    }

    /// Sorts what a statement answered, and remembers that it failed.
    pub(crate) fn settled<T>(&mut self, done: Result<T, sqlx::Error>, what: &'static str) -> Result<T, Error> {
        done.map_err(|error| {
            self.failed = true;
            self.store.failed(error, what)
        })
    }

    /// Requires that a guarded update found its row.
    pub(crate) fn found(&mut self, rows: u64, what: &'static str) -> Result<(), Error> {
        if rows == 0 {
            self.failed = true;
            return Err(Error::Stale { what });
        }
        Ok(())
    }
}

/// An id for an audit row. The sequence number is unique in this installation, so it stands where randomness would.
fn audit_id(now: Millis, seq: i64) -> AuditId {
    let mut filling = [0; 10];
    filling.iter_mut().skip(2).zip(seq.to_be_bytes()).for_each(|(to, from)| *to = from);
    AuditId::new(now, filling)
}
