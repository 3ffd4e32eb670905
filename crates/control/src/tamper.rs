//! What happens when a row is not as it should be: it is not used, the log and the audit log say so, and the status
//! names it until it is mended. The same for the audit log itself, which is the witness for all rows.

use crate::{
    Control,
    error::{Answer, ApiError},
    integrity::{self, Guarded},
    recovery,
    versions::{self, Fault, place},
};
use keyward_domain::audit::Actor;
use keyward_store::{Change, Error, RecoveryRow, Write};
use serde::Serialize;
use serde_json::Value;

/// A record that was changed outside of Keyward.
#[derive(Debug, Clone, Serialize, utoipa::ToSchema)]
pub(crate) struct Tampered {
    /// The kind of record; `audit` for the audit log.
    pub kind: &'static str,
    /// Its id.
    pub id: String,
    /// Its name, as it stands in the row.
    pub name: String,
    /// What is wrong.
    pub why: String,
    /// When it was noticed, in RFC 3339.
    pub noticed_at: String,
    /// What was found, so that a second change is noticed as such.
    #[serde(skip)]
    state: Vec<u8>,
}

/// Whether a row may be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Trust {
    /// It is the newest, and as Keyward wrote it.
    Sound,
    /// Somebody changed it by proper means since it was read. Whoever did so publishes it.
    Stale,
    /// It is not as it should be, which was reported.
    Tampered,
}

/// How often a record is read anew because it was changed meanwhile.
const TRIES: u32 = 100;

/// The audit log as a subject of its own.
pub(crate) const LOG: &str = "audit";

impl Control {
    /// Whether a row may be used. One that is not as it should be is reported.
    ///
    /// # Errors
    /// The database's.
    pub(crate) async fn look<R: Guarded + Sync>(&self, row: &R) -> Result<Trust, Error> {
        match versions::fault(self.store(), self.vault(), row).await? {
            None => {
                self.tampered_rows().remove(&place(R::KIND, &row.id()));
                Ok(Trust::Sound)
            }
            Some(Fault::Stale) => Ok(Trust::Stale),
            Some(fault) => {
                self.report_tampered(row, fault).await;
                Ok(Trust::Tampered)
            }
        }
    }

    /// Whether a row may be used now.
    ///
    /// # Errors
    /// The database's.
    pub(crate) async fn trusts<R: Guarded + Sync>(&self, row: &R) -> Result<bool, Error> {
        Ok(self.look(row).await? == Trust::Sound)
    }

    /// The row, or what has taken its place since it was read, if that may be used. None: it is gone, or not as it should
    /// be, which was reported. A row that was changed by proper means must not be taken for none: its key's calls would be
    /// cut.
    ///
    /// # Errors
    /// The database's; [`Error::Stale`] when there is no end to the changes.
    pub(crate) async fn newest<R: Guarded + Sync + Send>(&self, row: R) -> Result<Option<R>, Error> {
        let mut row = row;
        for _ in 0..TRIES {
            match self.look(&row).await? {
                Trust::Sound => return Ok(Some(row)),
                Trust::Tampered => return Ok(None),
                Trust::Stale => match R::again(self.store(), &row).await? {
                    Some(newer) => row = newer,
                    None => return Ok(None),
                },
            }
        }
        Err(Error::Stale { what: R::KIND })
    }

    /// Refuses to build on a row that was changed outside of Keyward: writing it again would make it look right.
    ///
    /// # Errors
    /// 409 when the row is not to be trusted.
    pub(crate) async fn trusted<R: Guarded + Sync>(&self, row: &R) -> Answer<()> {
        match self.look(row).await? {
            Trust::Sound => Ok(()),
            Trust::Stale => Err(Error::Stale { what: R::KIND }.into()),
            Trust::Tampered => Err(ApiError::conflict(
                "tampered",
                format!("the record of {} '{}' was changed outside of Keyward", R::KIND, row.name()),
            )
            .hint("revoke or archive it and make it anew, or restore a backup; `keyward doctor` lists such records")),
        }
    }

    /// As [`Self::trusted`], within a write. A report is a write of its own, so this one ends before.
    ///
    /// # Errors
    /// 409 when the row is not to be trusted.
    pub(crate) async fn trusted_within<R: Guarded + Sync>(&self, write: Write, row: &R) -> Answer<Write> {
        if versions::fault(self.store(), self.vault(), row).await?.is_none() {
            return Ok(write);
        }
        drop(write);
        self.trusted(row).await?;
        Err(Error::Stale { what: R::KIND }.into())
    }

    /// Whether a row is fit to be shown as what it says. Looks at the row and at what was found before, asks nothing.
    pub(crate) fn shows_sound<R: Guarded>(&self, row: &R) -> bool {
        let known = self.tampered_rows();
        integrity::holds(self.vault(), row)
            && known.get(&place(R::KIND, &row.id())).is_none_or(|known| known.state != state(row))
    }

    /// Logs, audits and remembers a row that is not used, once for each state of the row.
    pub(crate) async fn report_tampered<R: Guarded + Sync>(&self, row: &R, fault: Fault) {
        self.report(R::KIND, row.id(), row.name().to_owned(), fault.to_string(), state(row)).await;
    }

    /// Reports a record that is not there any more.
    pub(crate) async fn report_gone(&self, kind: &'static str, id: String) {
        self.report(kind, id.clone(), id, Fault::Gone.to_string(), Vec::new()).await;
    }

    /// Reports a recovery recipient that no owner named.
    pub(crate) async fn report_recovery(&self, row: &RecoveryRow) {
        let state = [row.recipient.as_bytes(), &row.wrapped].concat();
        self.report(recovery::KIND, recovery::ID.to_owned(), row.recipient.clone(), recovery::WHY.to_owned(), state)
            .await;
    }

    /// Looks whether rows are missing from the audit log, and reports it. Answers whether it is whole.
    ///
    /// # Errors
    /// The database's.
    pub(crate) async fn audit_log_is_whole(&self) -> Result<bool, Error> {
        const GAP: &str = "gap";
        let found = self.store().audit_extent().await?;
        if found.is_whole() {
            self.tampered_rows().remove(&place(LOG, GAP));
            return Ok(true);
        }
        let why = format!(
            "rows are missing from the audit log: it has {}, from number {} to {}, and {} were written; a record that \
             was changed last in a missing row may have been put back",
            found.rows, found.first, found.last, found.given
        );
        // Rows that come after change the figures, not what is missing.
        let missing = (found.given - found.rows, found.first);
        let state = format!("{missing:?}").into_bytes();
        self.report(LOG, GAP.to_owned(), "the audit log".to_owned(), why, state).await;
        Ok(false)
    }

    /// Reads the whole audit log for rows that were changed, and reports them. Answers how many.
    ///
    /// # Errors
    /// The database's.
    pub(crate) async fn changed_audit_rows(&self) -> Result<usize, Error> {
        const CHANGED: &str = "changed";
        const SHOWN: usize = 20;
        let changed = self.store().changed_audit_rows().await?;
        if changed.is_empty() {
            self.tampered_rows().remove(&place(LOG, CHANGED));
            return Ok(0);
        }
        let numbers: Vec<String> = changed.iter().take(SHOWN).map(ToString::to_string).collect();
        let more = if changed.len() > SHOWN { ", …" } else { "" };
        let why = format!("rows of the audit log were changed: {}{more}", numbers.join(", "));
        let state = format!("{changed:?}").into_bytes();
        self.report(LOG, CHANGED.to_owned(), "the audit log".to_owned(), why, state).await;
        Ok(changed.len())
    }

    async fn report(&self, kind: &'static str, id: String, name: String, why: String, state: Vec<u8>) {
        let now = self.now();
        let noticed_at = keyward_domain::times::show(now);
        let found = Tampered { kind, id: id.clone(), name: name.clone(), why: why.clone(), noticed_at, state };
        if !self.remember(found) {
            return;
        }
        tracing::error!(kind, id, name, why, "changed outside of Keyward: this record is not used");
        let change = Change {
            action: "tamper.detected".to_owned(),
            subject_kind: kind.to_owned(),
            subject: id,
            before: Value::Null,
            after: Value::Null,
            reason: Some(why),
            row_version: None,
        };
        let actor = Actor::System { part: "integrity".to_owned() };
        let written = async {
            let write = self.store().write(actor, None, now).await?;
            self.commit(write, vec![change]).await
        };
        if let Err(error) = written.await {
            tracing::error!(%error, "the audit log could not be told of a changed record");
        }
    }

    /// Remembers what was found; whether it is new.
    fn remember(&self, found: Tampered) -> bool {
        let mut known = self.tampered_rows();
        let place = place(found.kind, &found.id);
        let is_new = known.get(&place).is_none_or(|known| known.state != found.state);
        if is_new {
            known.insert(place, found);
        }
        is_new
    }
}

/// What tells one state of a row from another.
fn state<R: Guarded>(row: &R) -> Vec<u8> {
    [row.fields().slices().concat().as_slice(), row.code()].concat()
}

#[cfg(test)]
mod tests;
