//! The code over audit rows, made with the vault's key for rows. The store writes them and holds no key.

use keyward_store::AuditSeal;
use keyward_vault::Vault;
use std::sync::Arc;

/// What the code covers as the kind of row.
const KIND: &str = "audit";

struct Seal(Arc<Vault>);

impl AuditSeal for Seal {
    fn code(&self, seq: i64, fields: &[&[u8]]) -> Vec<u8> {
        self.0.row_mac(KIND, &seq.to_be_bytes(), fields).to_vec()
    }

    fn holds(&self, seq: i64, fields: &[&[u8]], code: &[u8]) -> bool {
        self.0.row_mac_holds(KIND, &seq.to_be_bytes(), fields, code)
    }
}

/// What the store is to seal audit rows with.
#[must_use]
pub fn audit_seal(vault: &Arc<Vault>) -> Arc<dyn AuditSeal> {
    Arc::new(Seal(Arc::clone(vault)))
}
