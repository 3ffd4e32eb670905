//! Virtual keys: `kw_<env>_<public id><secret><checksum>`, optionally with `sk-` in front.
//!
//! The parts are base 62. The public id (12 characters) may be shown and is what a look-up uses; the secret
//! (33 characters, 196 bits) is never stored; the checksum (6 characters, CRC-32 of all before it) makes a hit by
//! a scanner certain and turns away garbage before any look-up. The hash covers the whole key without `sk-`.

use crate::{Environment, digest};
use serde::{Deserialize, Serialize};
use std::fmt;
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
const PUBLIC: usize = 12;
const SECRET: usize = 33;
pub(crate) const CHECKSUM: usize = 6;

/// The public part of a virtual key: safe to show, log and index.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PublicId([u8; PUBLIC]);

impl PublicId {
    /// The twelve characters.
    #[must_use]
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or("")
    }
}

impl fmt::Display for PublicId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl TryFrom<String> for PublicId {
    type Error = Malformed;

    fn try_from(text: String) -> Result<Self, Malformed> {
        text.parse()
    }
}

impl std::str::FromStr for PublicId {
    type Err = Malformed;

    fn from_str(text: &str) -> Result<Self, Malformed> {
        let bytes: [u8; PUBLIC] = text.as_bytes().try_into().map_err(|_| Malformed::Shape)?;
        if bytes.iter().all(u8::is_ascii_alphanumeric) { Ok(Self(bytes)) } else { Err(Malformed::Shape) }
    }
}

impl From<PublicId> for String {
    fn from(id: PublicId) -> Self {
        id.as_str().to_owned()
    }
}

/// The stored form of a virtual key: SHA-256 of the whole key. The secret has 196 random bits, so a fast hash is safe.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct TokenHash(pub [u8; 32]);

impl TokenHash {
    /// Compares in constant time.
    #[must_use]
    pub fn matches(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

/// What is wrong with text offered as a virtual key. Tells nothing about which keys exist.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// The text does not have the shape at all.
    #[error("this is not a Keyward key: it should start with kw_dev_, kw_stg_ or kw_prod_")]
    Shape,
    /// The shape is right and the checksum is not: a typing or copying mistake.
    #[error("this Keyward key is damaged (its checksum does not match): copy it again")]
    Checksum,
}

/// A presented key whose shape and checksum hold. Says nothing about whether the key exists.
#[derive(Debug, Clone, Copy)]
pub struct Presented {
    /// The environment tag in the text.
    pub environment: Environment,
    /// The public id, for the look-up.
    pub public_id: PublicId,
    /// The hash, for the comparison.
    pub hash: TokenHash,
}

/// Whether the text begins the way our keys do, so that an error can say "damaged" instead of "foreign".
#[must_use]
pub fn looks_like_ours(text: &str) -> bool {
    text.strip_prefix("sk-").unwrap_or(text).starts_with("kw_")
}

/// Reads a presented key: shape first, then checksum, then the hash.
///
/// # Errors
/// [`Malformed`] when the shape or the checksum is wrong.
pub fn parse(text: &str) -> Result<Presented, Malformed> {
    let text = text.strip_prefix("sk-").unwrap_or(text);
    let (environment, body) = text
        .strip_prefix("kw_")
        .and_then(|rest| rest.split_once('_'))
        .and_then(|(tag, body)| Environment::from_tag(tag).map(|environment| (environment, body)))
        .ok_or(Malformed::Shape)?;
    if body.len() != PUBLIC + SECRET + CHECKSUM || !body.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        return Err(Malformed::Shape);
    }
    let (covered, checksum) = text.split_at(text.len() - CHECKSUM);
    if checksum.as_bytes() != encode_checksum(digest::crc32(covered.as_bytes())) {
        return Err(Malformed::Checksum);
    }
    let public_id = body.get(..PUBLIC).ok_or(Malformed::Shape)?.parse()?;
    Ok(Presented { environment, public_id, hash: TokenHash(digest::sha256(text.as_bytes())) })
}

/// A new virtual key, alive only until it has been shown.
pub struct NewToken {
    /// The text to show once.
    pub text: Zeroizing<String>,
    /// Its public id.
    pub public_id: PublicId,
    /// What to store.
    pub hash: TokenHash,
}

/// Makes a key for an environment.
///
/// `random` must come from the operating system's generator; each byte gives at most one character (bytes that
/// would bias the choice are skipped), and 128 bytes are enough in all but one of 10^18 cases. `public_id` is kept
/// when a key gets a second secret on rotation.
/// Returns `None` when the random bytes ran out.
#[must_use]
pub fn generate(environment: Environment, public_id: Option<PublicId>, random: &[u8; 128]) -> Option<NewToken> {
    let mut characters = characters(random);
    let public_id = if let Some(id) = public_id {
        id
    } else {
        let mut fresh = [0; PUBLIC];
        for slot in &mut fresh {
            *slot = characters.next()?;
        }
        PublicId(fresh)
    };
    let mut text = Zeroizing::new(String::with_capacity(64));
    text.push_str("kw_");
    text.push_str(environment.tag());
    text.push('_');
    text.push_str(public_id.as_str());
    for _ in 0..SECRET {
        text.push(char::from(characters.next()?));
    }
    let checksum = encode_checksum(digest::crc32(text.as_bytes()));
    text.extend(checksum.into_iter().map(char::from));
    let hash = TokenHash(digest::sha256(text.as_bytes()));
    Some(NewToken { text, public_id, hash })
}

/// Characters of the alphabet, each equally likely, from random bytes.
pub(crate) fn characters(random: &[u8]) -> impl Iterator<Item = u8> {
    // 248 = 4 * 62: bytes above it would make the first characters of the alphabet more likely.
    random.iter().filter(|byte| **byte < 248).filter_map(|byte| ALPHABET.get(usize::from(byte % 62)).copied())
}

pub(crate) fn encode_checksum(mut crc: u32) -> [u8; CHECKSUM] {
    let mut out = [b'0'; CHECKSUM];
    for slot in out.iter_mut().rev() {
        *slot = ALPHABET.get((crc % 62) as usize).copied().unwrap_or(b'0');
        crc /= 62;
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(fill: impl Fn(usize) -> u8) -> NewToken {
        let mut random = [0; 128];
        random.iter_mut().enumerate().for_each(|(index, byte)| *byte = fill(index));
        generate(Environment::Production, None, &random).expect("enough bytes")
    }

    #[test]
    fn a_new_key_reads_back() {
        let new = token(|index| u8::try_from(index * 7 % 248).unwrap());
        let read = parse(&new.text).expect("valid");
        assert_eq!(read.public_id, new.public_id);
        assert_eq!(read.environment, Environment::Production);
        assert!(read.hash.matches(&new.hash));
        assert!(new.text.starts_with("kw_prod_"));
        assert_eq!(new.text.len(), "kw_prod_".len() + 51);
    }

    #[test]
    fn the_sk_style_is_the_same_key() {
        let new = token(|index| u8::try_from(index % 200).unwrap());
        let styled = format!("sk-{}", *new.text);
        assert!(parse(&styled).expect("valid").hash.matches(&new.hash));
    }

    #[test]
    fn any_changed_character_is_noticed() {
        let new = token(|index| u8::try_from(index % 61).unwrap());
        for position in 0..new.text.len() {
            let mut bytes = new.text.as_bytes().to_vec();
            bytes[position] = if bytes[position] == b'x' { b'y' } else { b'x' };
            let changed = String::from_utf8(bytes).unwrap();
            assert!(parse(&changed).is_err(), "position {position} went unnoticed");
        }
    }

    #[test]
    fn foreign_text_is_turned_away() {
        for text in ["", "sk-", "kw_", "kw_prod_", "kw_live_abc", "Bearer", "kw_prod_\u{1F600}"] {
            assert!(matches!(parse(text), Err(Malformed::Shape)), "{text}");
        }
    }

    #[test]
    fn biased_bytes_are_skipped_and_running_out_is_said() {
        assert!(generate(Environment::Staging, None, &[255; 128]).is_none());
    }
}
