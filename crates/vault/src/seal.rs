//! The form of a sealed value, and how it is made, opened and moved to another wrapping key. Pure functions over bytes.
//!
//! Format 1: `1 ‖ wrapping key id (8) ‖ algorithm (1) ‖ commitment (32) ‖ salt (32) ‖ wrapped data key (32 + 16) ‖
//! nonce (12) ‖ ciphertext ‖ tag (16)`. A fresh data key encrypts the value; a key derived from the wrapping key and the
//! salt encrypts the data key. Both layers bind the place; the outer one binds the wrapping key's id too, the inner one
//! does not, so that a move to another wrapping key never touches the plaintext.
//!
//! A new format gets a new first byte and its own module; this one stays readable for ever (`tests/vectors`).

use crate::{
    Error,
    error::named,
    keyring::{KeyringId, KeyringKey},
    memory::{KEY, Shelf, Slot},
    primitives::{NONCE, OneTimeKey, SALT, TAG, decrypt, encrypt, equal, length, random, random_key},
};
use keyward_domain::secret::{Place, PlainKey, Sealed};
use std::fmt;
use zeroize::Zeroizing;

/// The format that new values get.
pub const FORMAT: u8 = 1;
/// HKDF-SHA256 and AES-256-GCM in both layers.
const ALGORITHM: u8 = 1;
const WRAPPED: usize = KEY + TAG;
const HEAD: usize = 1 + 8 + 1 + KEY + SALT + WRAPPED + NONCE;

/// What a ciphertext says about itself, readable without any key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// The format.
    pub format: u8,
    /// The algorithm within the format.
    pub algorithm: u8,
    /// The wrapping key it is sealed under.
    pub wrapping_key: KeyringId,
    /// How many bytes of plaintext it holds.
    pub length: usize,
}

/// Reads the header of a ciphertext: for counting records by wrapping key. Says nothing about authenticity.
///
/// # Errors
/// [`Error::UnknownFormat`] or [`Error::Tampered`] (too short), with "a ciphertext" for its place.
pub fn inspect(sealed: &Sealed) -> Result<Header, Error> {
    let parts = read(sealed, &|| "a ciphertext".to_owned())?;
    Ok(Header {
        format: FORMAT,
        algorithm: ALGORITHM,
        wrapping_key: parts.key,
        length: parts.cipher.len().saturating_sub(TAG),
    })
}

/// The random bytes of one sealing. Never used twice.
pub(crate) struct Fresh {
    pub(crate) data_key: Zeroizing<[u8; KEY]>,
    pub(crate) salt: [u8; SALT],
    pub(crate) nonce: [u8; NONCE],
}

impl Fresh {
    pub(crate) fn draw() -> Result<Self, Error> {
        Ok(Self { data_key: random_key()?, salt: random()?, nonce: random()? })
    }
}

/// Seals a value under a wrapping key.
#[expect(clippy::needless_pass_by_value, reason = "fresh bytes serve one sealing only")]
pub(crate) fn seal(key: &KeyringKey, place: &Place, plain: &PlainKey, fresh: Fresh) -> Result<Sealed, Error> {
    // SECRET: in through here, into a buffer that is encrypted in place; it has its full size from the start, so no
    // growing leaves a copy behind.
    #[expect(clippy::disallowed_methods, reason = "the vault encrypts it")]
    let plain = plain.expose();
    let mut bytes = Vec::with_capacity(HEAD + plain.len() + TAG);
    bytes.extend_from_slice(&head(key, place, &fresh.data_key, &fresh.salt)?);
    bytes.extend_from_slice(&fresh.nonce);
    bytes.extend_from_slice(plain);
    let text = bytes.get_mut(HEAD..).unwrap_or_default();
    match encrypt(&fresh.data_key, fresh.nonce, &associated(place, None), text) {
        Ok(tag) => bytes.extend_from_slice(&tag),
        Err(error) => {
            zeroize::Zeroize::zeroize(&mut bytes);
            return Err(error);
        }
    }
    Ok(Sealed::from_bytes(bytes))
}

/// Opens a value with the wrapping key it names, which `find` looks up.
pub(crate) fn open<'k>(
    find: impl FnOnce(KeyringId) -> Option<&'k KeyringKey>,
    place: &Place,
    sealed: &Sealed,
) -> Result<PlainKey, Error> {
    let parts = read(sealed, &|| named(place))?;
    let key =
        find(parts.key).ok_or_else(|| Error::UnknownWrappingKey { place: named(place), id: parts.key.to_string() })?;
    let data_key = data_key(key, place, &parts)?;
    decipher(&data_key, parts.nonce, &associated(place, None), parts.cipher)?
        .ok_or_else(|| Error::Tampered { place: named(place) })
}

/// A sealed value whose data key lies unwrapped in protected memory: opening it again costs one decryption. The value
/// itself is plaintext only in what [`Ready::open`] returns.
pub struct Ready {
    data_key: Slot,
    nonce: [u8; NONCE],
    associated: Vec<u8>,
    cipher: Box<[u8]>,
    place: Place,
}

impl Ready {
    /// Opens the value. About a microsecond, no lock: meant to be called for every call through the gateway.
    ///
    /// # Errors
    /// [`Error::Tampered`].
    pub fn open(&self) -> Result<PlainKey, Error> {
        decipher(self.data_key.bytes(), self.nonce, &self.associated, &self.cipher)?
            .ok_or_else(|| Error::Tampered { place: named(&self.place) })
    }
}

impl fmt::Debug for Ready {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Ready({}, {:?} memory)", named(&self.place), self.data_key.kind())
    }
}

/// Unwraps the data key of a value that will be opened often.
pub(crate) fn ready<'k>(
    find: impl FnOnce(KeyringId) -> Option<&'k KeyringKey>,
    shelf: &Shelf,
    place: &Place,
    sealed: &Sealed,
) -> Result<Ready, Error> {
    let parts = read(sealed, &|| named(place))?;
    let key =
        find(parts.key).ok_or_else(|| Error::UnknownWrappingKey { place: named(place), id: parts.key.to_string() })?;
    Ok(Ready {
        data_key: shelf.hold(&*data_key(key, place, &parts)?)?,
        nonce: parts.nonce,
        associated: associated(place, None),
        cipher: parts.cipher.into(),
        place: place.clone(),
    })
}

/// Decrypts a value; `None` when it is not authentic.
fn decipher(
    data_key: &[u8; KEY],
    nonce: [u8; NONCE],
    associated: &[u8],
    cipher: &[u8],
) -> Result<Option<PlainKey>, Error> {
    let mut plain = Zeroizing::new(vec![0; cipher.len().saturating_sub(TAG)]);
    if !decrypt(data_key, nonce, associated, cipher, &mut plain)? {
        return Ok(None);
    }
    Ok(Some(PlainKey::new(std::mem::take(&mut *plain))))
}

/// Moves a value to another wrapping key: only the data key is wrapped anew. `None` when it is under `to` already.
pub(crate) fn rewrap<'k>(
    find: impl FnOnce(KeyringId) -> Option<&'k KeyringKey>,
    to: &KeyringKey,
    place: &Place,
    sealed: &Sealed,
) -> Result<Option<Sealed>, Error> {
    let parts = read(sealed, &|| named(place))?;
    if parts.key == to.id {
        return Ok(None);
    }
    let key =
        find(parts.key).ok_or_else(|| Error::UnknownWrappingKey { place: named(place), id: parts.key.to_string() })?;
    let data_key = data_key(key, place, &parts)?;
    let head = head(to, place, &data_key, &random()?)?;
    Ok(Some(Sealed::from_bytes([head.as_slice(), &parts.nonce, parts.cipher].concat())))
}

struct Parts<'s> {
    key: KeyringId,
    commitment: &'s [u8; KEY],
    salt: &'s [u8; SALT],
    wrapped: &'s [u8; WRAPPED],
    nonce: [u8; NONCE],
    cipher: &'s [u8],
}

fn read<'s>(sealed: &'s Sealed, place: &dyn Fn() -> String) -> Result<Parts<'s>, Error> {
    let bytes = sealed.as_bytes();
    match bytes.first() {
        Some(&FORMAT) => {}
        Some(other) => return Err(Error::UnknownFormat { place: place(), format: other.to_string() }),
        None => return Err(Error::Tampered { place: place() }),
    }
    let (algorithm, parts) = split(bytes).ok_or_else(|| Error::Tampered { place: place() })?;
    if algorithm != ALGORITHM {
        return Err(Error::UnknownFormat { place: place(), format: format!("{FORMAT}/{algorithm}") });
    }
    Ok(parts)
}

fn split(bytes: &[u8]) -> Option<(u8, Parts<'_>)> {
    let (_, rest) = bytes.split_first()?;
    let (key, rest) = rest.split_first_chunk()?;
    let (algorithm, rest) = rest.split_first()?;
    let (commitment, rest) = rest.split_first_chunk()?;
    let (salt, rest) = rest.split_first_chunk()?;
    let (wrapped, rest) = rest.split_first_chunk()?;
    let (nonce, cipher) = rest.split_first_chunk()?;
    let parts = Parts { key: KeyringId(*key), commitment, salt, wrapped, nonce: *nonce, cipher };
    (cipher.len() >= TAG).then_some((*algorithm, parts))
}

/// Everything before the nonce.
fn head(key: &KeyringKey, place: &Place, data_key: &[u8; KEY], salt: &[u8; SALT]) -> Result<Vec<u8>, Error> {
    let mut wrapped = Zeroizing::new(*data_key);
    let tag = wrapping(key, salt)?.encrypt(&associated(place, Some(key.id)), wrapped.as_mut_slice())?;
    let mut bytes = Vec::with_capacity(HEAD);
    bytes.push(FORMAT);
    bytes.extend_from_slice(&key.id.0);
    bytes.push(ALGORITHM);
    for part in [key.commitment.as_slice(), salt, wrapped.as_slice(), &tag] {
        bytes.extend_from_slice(part);
    }
    Ok(bytes)
}

fn data_key(key: &KeyringKey, place: &Place, parts: &Parts<'_>) -> Result<Zeroizing<[u8; KEY]>, Error> {
    let mut data_key = Zeroizing::new([0; KEY]);
    let ours = equal(parts.commitment, &key.commitment);
    let associated = associated(place, Some(key.id));
    let opens = wrapping(key, parts.salt)?.decrypt(&associated, parts.wrapped, data_key.as_mut_slice())?;
    match (ours, opens) {
        (true, true) => Ok(data_key),
        // The key fits, only the commitment was changed: tampering, not another key.
        (true, false) | (false, true) => Err(Error::Tampered { place: named(place) }),
        (false, false) => Err(Error::WrongWrappingKey { place: named(place), id: key.id.to_string() }),
    }
}

fn wrapping(key: &KeyringKey, salt: &[u8; SALT]) -> Result<OneTimeKey, Error> {
    OneTimeKey::derive(key.bytes(), salt, b"keyward sealed wrap")
}

/// The associated data: with the wrapping key's id for the data key, without it for the value.
fn associated(place: &Place, key: Option<KeyringId>) -> Vec<u8> {
    let (label, key) = match &key {
        Some(id) => (b"keyward sealed key ".as_slice(), id.0.as_slice()),
        None => (b"keyward sealed data".as_slice(), [].as_slice()),
    };
    let version = place.version.to_be_bytes();
    // HOT: one allocation with room for everything, since every call through the gateway comes by here.
    let mut bytes = Vec::with_capacity(160 + place.table.len() + place.field.len());
    for part in [
        label,
        &[FORMAT],
        place.table.as_bytes(),
        place.tenant.as_bytes(),
        place.record.as_bytes(),
        &version,
        place.field.as_bytes(),
        key,
        &[ALGORITHM],
    ] {
        bytes.extend_from_slice(&length(part));
        bytes.extend_from_slice(part);
    }
    bytes
}

#[cfg(test)]
mod tests;
