//! The vault: envelope encryption, the keyring, the master key and where it comes from, recovery, and process hardening.
//!
//! No database, no HTTP, no clock, no environment: rows, times and paths come in as arguments. Nothing here prints,
//! logs or returns a secret except through `PlainKey` and `MasterKey`, which can be neither shown nor copied.

pub mod error;
pub mod harden;
pub mod keyring;
pub mod master;
pub mod memory;
mod primitives;
pub mod recovery;
pub mod seal;
pub mod source;
pub mod vault;

pub use error::Error;
pub use keyring::{KeyState, KeyringRow, KeyringStatus, Purpose};
pub use master::{MasterKey, MasterKeyId};
pub use memory::MemoryKind;
pub use seal::Ready;
pub use source::{EnvironmentKey, KeyFile, MasterKeySource, Passphrase, SystemdCredential};
pub use vault::Vault;
