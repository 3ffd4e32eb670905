//! Whether a row that grants power is the newest one. Its code shows that Keyward wrote it, not that nothing followed:
//! an earlier row that somebody put back holds as well. The audit log knows which version each record has reached, and
//! its own rows are sealed, too.

use crate::{
    Control,
    integrity::{self, Guarded},
};
use keyward_store::{
    AuditedVersion, BudgetRow, CredentialRow, EnvironmentRow, Error, KeyRow, Kinds, ProjectRow, RatesRow, Store,
    TokenRow, Write,
};
use keyward_vault::Vault;
use rustc_hash::FxHashMap;
use std::{cmp::Ordering, fmt};
use uuid::{Uuid, fmt::Hyphenated};

/// The kinds of rows that grant power.
pub(crate) const KINDS: [&str; 7] = [
    ProjectRow::KIND,
    EnvironmentRow::KIND,
    CredentialRow::KIND,
    TokenRow::KIND,
    KeyRow::KIND,
    BudgetRow::KIND,
    RatesRow::KIND,
];

/// Why a row is not used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Its code does not hold.
    Changed,
    /// It is older than what the audit log knows of it.
    PutBack {
        /// The row's version.
        row: i64,
        /// The version that the record has reached.
        reached: i64,
    },
    /// The audit log does not know how it came about.
    Unaudited,
    /// The audit row of its last change was changed.
    Log,
    /// There was such a record, and nothing of it is left.
    Gone,
    /// It was changed by proper means since it was read: nothing is wrong, but this one is not to be used.
    Stale,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Changed => f.write_str("the code over the record does not hold"),
            Self::PutBack { row, reached } => {
                write!(
                    f,
                    "an earlier record was put back: it is at version {row}, the audit log knows version {reached}"
                )
            }
            Self::Unaudited => f.write_str("the audit log does not know this version of the record"),
            Self::Log => f.write_str("the audit row of its last change was changed"),
            Self::Gone => f.write_str("the record was removed"),
            Self::Stale => f.write_str("the record was changed since it was read"),
        }
    }
}

/// The version that every record has reached, read at once: by kind and id.
pub(crate) struct Versions(FxHashMap<String, FxHashMap<Subject, Known>>);

/// An id. There may be very many, and nearly all are UUIDs.
#[derive(PartialEq, Eq, Hash)]
enum Subject {
    Uuid(Uuid),
    Other(Box<str>),
}

impl Subject {
    fn of(id: &str) -> Self {
        // Only the one form that ids are written in: another text is another id.
        let is_plain = id.len() == Hyphenated::LENGTH && !id.bytes().any(|byte| byte.is_ascii_uppercase());
        match Uuid::parse_str(id) {
            Ok(uuid) if is_plain => Self::Uuid(uuid),
            _ => Self::Other(id.into()),
        }
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Uuid(uuid) => uuid.fmt(f),
            Self::Other(id) => id.fmt(f),
        }
    }
}

/// What the audit log knows of a record.
#[derive(Clone, Copy)]
struct Known {
    version: i64,
    /// Whether the code over the audit row that says so holds.
    holds: bool,
}

impl Known {
    const fn is(self, version: i64) -> bool {
        self.holds && self.version == version
    }
}

impl Versions {
    /// Reads them all. To be read before the rows: what is written meanwhile is then newer, which a second look explains.
    ///
    /// # Errors
    /// The database's.
    pub(crate) async fn read(store: &Store) -> Result<Self, Error> {
        Self::of(store, Kinds::All).await
    }

    /// Reads those of some kinds.
    ///
    /// # Errors
    /// The database's.
    pub(crate) async fn of(store: &Store, kinds: Kinds<'_>) -> Result<Self, Error> {
        let mut all = FxHashMap::<_, FxHashMap<_, _>>::default();
        let take = |AuditedVersion { kind, subject, version, holds }| {
            all.entry(kind).or_default().insert(Subject::of(&subject), Known { version, holds });
        };
        store.each_audited_version(kinds, take).await?;
        Ok(Self(all))
    }

    /// Whether a row is surely as it should be. When not, a closer look tells.
    pub(crate) fn know<R: Guarded>(&self, vault: &Vault, row: &R) -> bool {
        self.reached(R::KIND, &row.id(), row.row_version()) && integrity::holds(vault, row)
    }

    /// Whether a record has reached exactly this version.
    pub(crate) fn reached(&self, kind: &str, id: &str, version: i64) -> bool {
        self.0.get(kind).and_then(|known| known.get(&Subject::of(id))).is_some_and(|known| known.is(version))
    }

    /// The same, and strikes the record.
    pub(crate) fn reaches(&mut self, kind: &str, id: &str, version: i64) -> bool {
        self.0.get_mut(kind).and_then(|known| known.remove(&Subject::of(id))).is_some_and(|known| known.is(version))
    }

    /// The row, or what has taken its place since it was read, if that may be used. One that is not as it should be is
    /// reported.
    ///
    /// # Errors
    /// The database's.
    pub(crate) async fn trusted<R: Guarded + Sync + Send>(
        &self,
        control: &Control,
        row: R,
    ) -> Result<Option<R>, Error> {
        if self.know(control.vault(), &row) { Ok(Some(row)) } else { control.newest(row).await }
    }

    /// Strikes a record that is still there.
    pub(crate) fn strike<R: Guarded>(&mut self, row: &R) {
        self.0.get_mut(R::KIND).and_then(|known| known.remove(&Subject::of(&row.id())));
    }

    /// The ids of a kind that were not struck.
    pub(crate) fn left(&self, kind: &str) -> Vec<String> {
        self.0.get(kind).into_iter().flat_map(FxHashMap::keys).map(Subject::to_string).collect()
    }
}

/// What identifies a record of any kind.
pub(crate) fn place(kind: &str, id: &str) -> String {
    format!("{kind}/{id}")
}

/// What is wrong with a row, if anything is.
///
/// # Errors
/// The database's.
pub(crate) async fn fault<R: Guarded + Sync>(store: &Store, vault: &Vault, row: &R) -> Result<Option<Fault>, Error> {
    if !integrity::holds(vault, row) {
        return Ok(Some(Fault::Changed));
    }
    let Some(known) = store.audited_version(R::KIND, &row.id()).await? else { return Ok(Some(Fault::Unaudited)) };
    if !known.holds {
        return Ok(Some(Fault::Log));
    }
    let (at, reached) = (row.row_version(), known.version);
    match at.cmp(&reached) {
        Ordering::Equal => Ok(None),
        Ordering::Greater => Ok(Some(Fault::Unaudited)),
        // The row was perhaps read just before a change: then what is stored now has moved on.
        Ordering::Less => Ok(Some(match R::again(store, row).await? {
            Some(stored) if stored.row_version() >= reached => Fault::Stale,
            _ => Fault::PutBack { row: at, reached },
        })),
    }
}

impl Control {
    /// Prepares a row to be written anew, within a write: the version after every one that the record ever had, and
    /// the code. Answers the version that is stored.
    ///
    /// # Errors
    /// The database's.
    pub(crate) async fn renew<R: Guarded + Sync>(&self, _within: &Write, row: &mut R) -> Result<i64, Error> {
        let stored = row.row_version();
        let reached = self.store().audited_version(R::KIND, &row.id()).await?.map_or(0, |known| known.version);
        row.set_row_version(stored.max(reached).saturating_add(1));
        integrity::seal(self.vault(), row);
        Ok(stored)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_text_is_an_id_of_its_own() {
        let plain = "0199aaaa-bbbb-7ccc-8ddd-eeeeffff0000";
        let texts =
            [plain, &plain.to_uppercase(), &plain.replace('-', ""), &format!("{{{plain}}}"), "organisation", ""];
        let known: FxHashMap<Subject, usize> = texts.iter().map(|text| Subject::of(text)).zip(0..).collect();
        for (number, text) in texts.iter().enumerate() {
            assert_eq!(known.get(&Subject::of(text)), Some(&number), "{text}");
            assert_eq!(Subject::of(text).to_string(), *text);
        }
        assert!(matches!(Subject::of(plain), Subject::Uuid(_)));
    }
}
