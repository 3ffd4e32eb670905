//! The master key: the one secret from which the whole keyring opens, and its id and text form.
//! Where it is kept is the business of `source`.

use crate::{
    Error,
    memory::{KEY, KeyPage, MemoryKind},
    primitives::{derive, random_key},
};
use keyward_domain::digest::hex;
use std::fmt;
use zeroize::Zeroizing;

/// What the text form of a master key begins with.
const PREFIX: &str = "keyward-master-key-v1.";

/// The master key: 32 bytes on a locked page of memory, wiped when dropped. No `Debug`, `Display`, `Clone` or `Serialize`.
pub struct MasterKey {
    page: KeyPage,
    id: MasterKeyId,
}

impl MasterKey {
    /// A new random master key.
    ///
    /// # Errors
    /// When the operating system gives no random bytes or no memory.
    pub fn generate() -> Result<Self, Error> {
        Self::from_bytes(random_key()?)
    }

    /// Takes over 32 bytes of key.
    ///
    /// # Errors
    /// When there is no memory for it.
    #[expect(clippy::needless_pass_by_value, reason = "takes the caller's copy, which is wiped here")]
    pub fn from_bytes(bytes: Zeroizing<[u8; KEY]>) -> Result<Self, Error> {
        let mut id = [0; 8];
        derive(bytes.as_slice(), b"keyward master key", &[b"id"], &mut id)?;
        Ok(Self { page: KeyPage::holding(&bytes)?, id: MasterKeyId(id) })
    }

    /// Reads the text form: what a key file holds, or 64 hex digits such as `openssl rand -hex 32` prints.
    /// White space around it does not matter. `from` names the source in errors.
    ///
    /// # Errors
    /// [`Error::BadMasterKey`] when it is neither, or a digit was changed.
    pub fn parse(text: &str, from: &str) -> Result<Self, Error> {
        let bad = |reason| Error::BadMasterKey { from: from.to_owned(), reason };
        let text = text.trim();
        if text.is_empty() {
            return Err(bad("it is empty"));
        }
        let (stated, digits) = match text.strip_prefix(PREFIX) {
            Some(rest) => {
                let (id, digits) = rest.split_once('.').ok_or_else(|| bad("it is cut short"))?;
                (Some(id), digits)
            }
            None => (None, text),
        };
        let key = read_hex(digits)
            .ok_or_else(|| bad(if stated.is_some() { "it is cut short or changed" } else { EXPECTED }))?;
        let made = Self::from_bytes(key)?;
        if stated.is_some_and(|id| id != made.id.to_string()) {
            return Err(bad("a digit was changed: the key does not fit the id before it; use another copy"));
        }
        Ok(made)
    }

    /// The text form, as written to a key file: what it is, its id, and the key in hex. Secret.
    #[must_use]
    pub fn to_text(&self) -> Zeroizing<String> {
        let mut text = Zeroizing::new(String::with_capacity(PREFIX.len() + 16 + 1 + 2 * KEY + 1));
        for part in [PREFIX, &self.id.to_string(), "."] {
            text.push_str(part);
        }
        for byte in self.page.bytes() {
            text.extend([byte >> 4, byte & 15].into_iter().filter_map(|digit| char::from_digit(u32::from(digit), 16)));
        }
        text.push('\n');
        text
    }

    /// Its id: derived from the key, safe to show and to store.
    #[must_use]
    pub const fn id(&self) -> MasterKeyId {
        self.id
    }

    /// How well the memory that holds it is protected.
    #[must_use]
    pub const fn memory(&self) -> MemoryKind {
        self.page.kind()
    }

    pub(crate) fn bytes(&self) -> &[u8; KEY] {
        self.page.bytes()
    }
}

const EXPECTED: &str = "expected the text of a key file, or 64 hex digits such as `openssl rand -hex 32` prints";

/// Reads 64 hex digits without leaving copies of the key in freed memory, as a growing vector would.
fn read_hex(digits: &str) -> Option<Zeroizing<[u8; KEY]>> {
    let mut key = Zeroizing::new([0; KEY]);
    if digits.len() != 2 * KEY {
        return None;
    }
    for (byte, pair) in key.iter_mut().zip(digits.as_bytes().chunks_exact(2)) {
        for digit in pair {
            let value = char::from(*digit).to_digit(16).and_then(|value| u8::try_from(value).ok())?;
            *byte = *byte << 4 | value;
        }
    }
    Some(key)
}

/// Which master key: 16 hex digits. Tells keys apart, reveals nothing of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct MasterKeyId([u8; 8]);

impl fmt::Display for MasterKeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex(&self.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(text: &str) -> String {
        MasterKey::parse(text, "the variable X").err().expect("must fail").to_string()
    }

    #[test]
    fn the_text_form_reads_back() {
        let key = MasterKey::generate().unwrap();
        let text = key.to_text();
        assert!(text.starts_with(PREFIX) && text.ends_with('\n'));
        let back = MasterKey::parse(&text, "x").unwrap();
        assert_eq!(back.id(), key.id());
        assert_eq!(back.bytes(), key.bytes());
        let bare = MasterKey::parse(&hex(key.bytes()), "x").unwrap();
        assert_eq!(bare.id(), key.id());
    }

    #[test]
    fn every_changed_or_missing_character_is_noticed() {
        let text = MasterKey::generate().unwrap().to_text();
        let text = text.trim();
        for position in 0..text.len() {
            let mut bytes = text.as_bytes().to_vec();
            bytes[position] = if bytes[position] == b'0' { b'1' } else { b'0' };
            let changed = String::from_utf8(bytes).unwrap();
            assert!(MasterKey::parse(&changed, "x").is_err(), "position {position}");
            assert!(MasterKey::parse(&text[..position], "x").is_err(), "cut at {position}");
        }
    }

    #[test]
    fn errors_name_the_source_and_never_the_text() {
        assert_eq!(error(" \n"), "the variable X does not hold a master key: it is empty");
        let long = "ab".repeat(33);
        for text in ["hunter2", long.as_str(), "keyward-master-key-v1.00"] {
            let said = error(text);
            assert!(said.starts_with("the variable X does not hold a master key: "), "{said}");
            assert!(!said.contains(text), "{said}");
        }
    }
}
