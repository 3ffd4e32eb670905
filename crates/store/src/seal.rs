//! The code over every audit row. This room holds no key: whoever does hands over two functions when it is wired up.

use crate::{Error, Store};
use std::sync::Arc;

/// Puts codes over audit rows and checks them.
pub trait AuditSeal: Send + Sync {
    /// The code over the fields of the row with this number.
    fn code(&self, seq: i64, fields: &[&[u8]]) -> Vec<u8>;

    /// Whether a code is the one over these fields.
    fn holds(&self, seq: i64, fields: &[&[u8]], code: &[u8]) -> bool;
}

impl Store {
    /// Says who seals audit rows. Nothing can be committed before; the first to say so counts.
    pub fn seal_audit_with(&self, seal: Arc<dyn AuditSeal>) {
        drop(self.seal_slot().set(seal));
    }

    /// Who seals audit rows.
    ///
    /// # Errors
    /// [`Error::Unsealed`] when nobody was named yet.
    pub(crate) fn seal(&self) -> Result<&dyn AuditSeal, Error> {
        self.seal_slot().get().map(AsRef::as_ref).ok_or(Error::Unsealed)
    }
}
