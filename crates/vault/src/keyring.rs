//! The keyring: wrapping keys with ids, the key for row seals and the key for fingerprints, each wrapped by the master key.
//! A keyring key only ever wraps data keys or keys a hash; it never encrypts data itself.
//!
//! A row's wrapped form, format 1: `1 ‖ algorithm (1) ‖ salt (32) ‖ AES-256-GCM(key) (32) ‖ tag (16)`. Key and nonce come
//! from HKDF(master key, salt); the associated data binds id, purpose, state, time and master key, so that no column of
//! the row can be edited.

use crate::{
    Error, MasterKey,
    memory::{KEY, KeyPage},
    primitives::{OneTimeKey, SALT, TAG, derive, joined, random, random_key},
};
use keyward_domain::{
    Millis,
    digest::{hex, unhex},
};
use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};
use zeroize::Zeroizing;

const FORMAT: u8 = 1;
const ALGORITHM: u8 = 1;
const WRAPPED: usize = 2 + SALT + KEY + TAG;

/// What a key of the keyring is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Purpose {
    /// Wraps the data keys of sealed values.
    Wrap,
    /// Seals rows that grant power.
    Mac,
    /// Makes fingerprints of secrets.
    Fingerprint,
}

impl Purpose {
    /// The name, as stored: `wrap`, `mac` or `fingerprint`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Wrap => "wrap",
            Self::Mac => "mac",
            Self::Fingerprint => "fingerprint",
        }
    }
}

/// Where a key of the keyring is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum KeyState {
    /// Used for everything new.
    Active,
    /// Opens what it sealed while records move to the active key.
    Retiring,
    /// No record should need it any more. Kept, and able to open, so that a straggler is never lost.
    Retired,
}

impl KeyState {
    /// The name, as stored: `active`, `retiring` or `retired`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Retiring => "retiring",
            Self::Retired => "retired",
        }
    }
}

/// A stored word that is no purpose or state.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown word {0:?} in a keyring row: written by a newer version, or damaged")]
pub struct UnknownWord(String);

impl FromStr for Purpose {
    type Err = UnknownWord;

    fn from_str(text: &str) -> Result<Self, UnknownWord> {
        let all = [Self::Wrap, Self::Mac, Self::Fingerprint];
        all.into_iter().find(|one| one.name() == text).ok_or_else(|| UnknownWord(text.to_owned()))
    }
}

impl FromStr for KeyState {
    type Err = UnknownWord;

    fn from_str(text: &str) -> Result<Self, UnknownWord> {
        let all = [Self::Active, Self::Retiring, Self::Retired];
        all.into_iter().find(|one| one.name() == text).ok_or_else(|| UnknownWord(text.to_owned()))
    }
}

/// A key of the keyring as it is stored. Useless without the master key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyringRow {
    /// 16 hex digits.
    pub id: String,
    /// What it is for.
    pub purpose: Purpose,
    /// Where it is in its life.
    pub state: KeyState,
    /// When it was made.
    pub created_at: Millis,
    /// The id of the master key that wraps it.
    pub master_id: String,
    /// The wrapped key.
    pub wrapped: Vec<u8>,
}

/// A key of the keyring as it may be shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct KeyringStatus {
    /// 16 hex digits.
    pub id: String,
    /// What it is for.
    pub purpose: Purpose,
    /// Where it is in its life.
    pub state: KeyState,
    /// When it was made, in milliseconds since 1970.
    pub created_at: Millis,
    /// The id of the master key that wraps it.
    pub master_id: String,
}

/// The id of a keyring key, as it stands in ciphertexts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyringId(pub(crate) [u8; 8]);

impl fmt::Display for KeyringId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex(&self.0))
    }
}

/// A key of the keyring, unwrapped.
pub(crate) struct KeyringKey {
    pub(crate) id: KeyringId,
    pub(crate) purpose: Purpose,
    pub(crate) state: KeyState,
    pub(crate) created_at: Millis,
    /// Commits to the key: stands in every ciphertext, so that a wrong key is told apart from a changed text.
    pub(crate) commitment: [u8; KEY],
    page: KeyPage,
}

impl KeyringKey {
    /// A new random key.
    pub(crate) fn generate(purpose: Purpose, state: KeyState, now: Millis) -> Result<Self, Error> {
        Self::new(KeyringId(random()?), purpose, state, now, &random_key()?)
    }

    pub(crate) fn new(
        id: KeyringId,
        purpose: Purpose,
        state: KeyState,
        created_at: Millis,
        key: &Zeroizing<[u8; KEY]>,
    ) -> Result<Self, Error> {
        let mut commitment = [0; KEY];
        derive(key.as_slice(), b"keyward keyring key", &[b"commitment", &id.0], &mut commitment)?;
        Ok(Self { id, purpose, state, created_at, commitment, page: KeyPage::holding(key)? })
    }

    /// The same key in another state.
    pub(crate) fn in_state(&self, state: KeyState) -> Result<Self, Error> {
        Ok(Self {
            id: self.id,
            purpose: self.purpose,
            state,
            created_at: self.created_at,
            commitment: self.commitment,
            page: KeyPage::holding(self.page.bytes())?,
        })
    }

    pub(crate) fn bytes(&self) -> &[u8; KEY] {
        self.page.bytes()
    }

    /// The row to store, wrapped by a master key.
    pub(crate) fn wrap(&self, master: &MasterKey) -> Result<KeyringRow, Error> {
        self.wrap_with(master, &random()?)
    }

    /// As [`Self::wrap`], with a salt that was never used before.
    pub(crate) fn wrap_with(&self, master: &MasterKey, salt: &[u8; SALT]) -> Result<KeyringRow, Error> {
        let mut row = KeyringRow {
            id: self.id.to_string(),
            purpose: self.purpose,
            state: self.state,
            created_at: self.created_at,
            master_id: master.id().to_string(),
            wrapped: Vec::with_capacity(WRAPPED),
        };
        let mut key = Zeroizing::new(*self.page.bytes());
        let tag = wrapping(master, salt)?.encrypt(&associated(&row, FORMAT, ALGORITHM), key.as_mut_slice())?;
        for part in [&[FORMAT, ALGORITHM], salt.as_slice(), key.as_slice(), &tag] {
            row.wrapped.extend_from_slice(part);
        }
        Ok(row)
    }

    /// Unwraps a stored row.
    ///
    /// # Errors
    /// [`Error::WrongMasterKey`] when another master key wraps it, [`Error::KeyringTampered`] when it was changed.
    pub(crate) fn unwrap(row: &KeyringRow, master: &MasterKey) -> Result<Self, Error> {
        let got = master.id().to_string();
        if row.master_id != got {
            return Err(Error::WrongMasterKey { expected: row.master_id.clone(), got });
        }
        let tampered = || Error::KeyringTampered { id: row.id.clone() };
        let id = unhex(&row.id).and_then(|id| id.try_into().ok()).map(KeyringId).ok_or_else(tampered)?;
        let (head, rest) = row.wrapped.split_first_chunk::<2>().ok_or_else(tampered)?;
        let [format, algorithm] = *head;
        if (format, algorithm) != (FORMAT, ALGORITHM) {
            let format = format!("{format}/{algorithm}");
            return Err(Error::UnknownFormat { place: format!("keyring row {}", row.id), format });
        }
        let (salt, cipher) = rest.split_first_chunk::<SALT>().ok_or_else(tampered)?;
        let mut key = Zeroizing::new([0; KEY]);
        let associated = associated(row, FORMAT, ALGORITHM);
        if !wrapping(master, salt)?.decrypt(&associated, cipher, key.as_mut_slice())? {
            return Err(tampered());
        }
        Self::new(id, row.purpose, row.state, row.created_at, &key)
    }
}

fn wrapping(master: &MasterKey, salt: &[u8; SALT]) -> Result<OneTimeKey, Error> {
    OneTimeKey::derive(master.bytes(), salt, b"keyward keyring wrap")
}

fn associated(row: &KeyringRow, format: u8, algorithm: u8) -> Vec<u8> {
    joined(&[
        b"keyward keyring",
        &[format],
        &[algorithm],
        row.id.as_bytes(),
        row.purpose.name().as_bytes(),
        row.state.name().as_bytes(),
        &row.created_at.to_be_bytes(),
        row.master_id.as_bytes(),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row() -> (MasterKey, KeyringRow) {
        let master = MasterKey::generate().unwrap();
        let row = KeyringKey::generate(Purpose::Wrap, KeyState::Active, 42).unwrap().wrap(&master).unwrap();
        (master, row)
    }

    #[test]
    fn a_row_unwraps_to_the_key_it_holds() {
        let master = MasterKey::generate().unwrap();
        let key = KeyringKey::generate(Purpose::Mac, KeyState::Retiring, 7).unwrap();
        let row = key.wrap(&master).unwrap();
        assert_eq!(row.wrapped.len(), WRAPPED);
        let back = KeyringKey::unwrap(&row, &master).unwrap();
        assert_eq!((back.id, back.purpose, back.state, back.created_at), (key.id, key.purpose, key.state, 7));
        assert_eq!(back.bytes(), key.bytes());
        assert_eq!(back.commitment, key.commitment);
    }

    #[test]
    fn every_column_is_bound() {
        let (master, row) = row();
        let edits: [fn(&mut KeyringRow); 4] = [
            |row| row.id.replace_range(..2, if row.id.starts_with("00") { "01" } else { "00" }),
            |row| row.purpose = Purpose::Mac,
            |row| row.state = KeyState::Retired,
            |row| row.created_at += 1,
        ];
        for (number, edit) in edits.into_iter().enumerate() {
            let mut changed = row.clone();
            edit(&mut changed);
            let error = KeyringKey::unwrap(&changed, &master).err().unwrap();
            assert!(matches!(error, Error::KeyringTampered { id } if id == changed.id), "edit {number}");
        }
    }

    #[test]
    fn every_byte_is_bound() {
        let (master, row) = row();
        for position in 0..row.wrapped.len() {
            let mut changed = row.clone();
            changed.wrapped[position] ^= 1;
            let error = KeyringKey::unwrap(&changed, &master).err().unwrap();
            match position {
                0 | 1 => assert!(matches!(error, Error::UnknownFormat { .. }), "byte {position}: {error}"),
                _ => assert!(matches!(error, Error::KeyringTampered { .. }), "byte {position}: {error}"),
            }
            changed.wrapped.truncate(position);
            assert!(KeyringKey::unwrap(&changed, &master).is_err(), "cut at {position}");
        }
    }

    #[test]
    fn another_master_key_is_named() {
        let (master, row) = row();
        let other = MasterKey::generate().unwrap();
        let said = KeyringKey::unwrap(&row, &other).err().unwrap().to_string();
        assert!(said.contains(&format!("expected master key {}, got {}", master.id(), other.id())), "{said}");
    }

    #[test]
    fn stored_words_read_back() {
        for purpose in [Purpose::Wrap, Purpose::Mac, Purpose::Fingerprint] {
            assert_eq!(purpose.name().parse(), Ok(purpose));
        }
        for state in [KeyState::Active, KeyState::Retiring, KeyState::Retired] {
            assert_eq!(state.name().parse(), Ok(state));
        }
        assert!("".parse::<Purpose>().is_err() && "ACTIVE".parse::<KeyState>().is_err());
    }
}
