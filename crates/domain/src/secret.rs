//! One type per state of a secret, so that the compiler knows which bytes may travel.
//! `PlainKey` can be neither printed, copied nor stored; `Sealed` may be stored; `Fingerprint` may be shown.

use serde::{Deserialize, Serialize};
use std::fmt;
use zeroize::Zeroizing;

/// A secret in the clear. No `Debug`, `Display`, `Clone` or `Serialize`; wiped when dropped.
pub struct PlainKey(Zeroizing<Vec<u8>>);

impl PlainKey {
    /// Takes over bytes that hold a secret. The caller must not keep a copy.
    #[must_use]
    pub fn new(bytes: Vec<u8>) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// The bytes. Every call site is listed and justified: this is the one way out.
    #[must_use]
    pub fn expose(&self) -> &[u8] {
        &self.0
    }

    /// The length in bytes.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are no bytes at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Ciphertext in the vault's own format; safe to store, useless without the keyring.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Sealed(Box<[u8]>);

impl Sealed {
    /// Wraps bytes read from storage or made by the vault.
    #[must_use]
    pub fn from_bytes(bytes: Vec<u8>) -> Self {
        Self(bytes.into_boxed_slice())
    }

    /// The bytes to store.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Sealed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Sealed({} bytes)", self.0.len())
    }
}

/// A keyed hash of a secret: tells two secrets apart, reveals neither.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Fingerprint(pub [u8; 32]);

impl fmt::Display for Fingerprint {
    /// `fp_` and the first 16 bytes in hex: enough to compare, short enough to read out.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("fp_")?;
        self.0.iter().take(16).try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// Where a ciphertext belongs. Bound into it as associated data, so that it opens nowhere else.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The table, such as `credential`.
    pub table: &'static str,
    /// The tenant: the project's id, or the nil UUID for what belongs to the whole installation.
    pub tenant: uuid::Uuid,
    /// The record's id.
    pub record: uuid::Uuid,
    /// The version of the record that this ciphertext is.
    pub version: u64,
    /// The field, such as `secret`.
    pub field: &'static str,
}
