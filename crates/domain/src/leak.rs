//! How a client asks a server whose a found secret is, without sending it: both sides make the same keyed hash.
//!
//! The key is made for nothing else. Whoever may read the control API may have it, so consider what it is good for: it
//! makes the question, and the server's answer tells whether a secret *that one has already* is this installation's.
//! Guessing keys of 128 bits and more with it is hopeless. Against a weak secret in the vault every guess is a call of
//! the API, for what the server stores is hashed once more with a key that never leaves the vault: the key and a stolen
//! database together still allow no guessing.

use crate::{
    digest::{hmac_sha256, unhex},
    token::TokenHash,
};
use zeroize::Zeroizing;

/// The key of an installation for asking whose a secret is.
pub struct LeakKey(Zeroizing<[u8; 32]>);

/// The question: a keyed hash of a secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct LeakPrint(pub [u8; 32]);

impl LeakKey {
    /// Takes the key.
    #[must_use]
    pub fn new(key: [u8; 32]) -> Self {
        Self(Zeroizing::new(key))
    }

    /// Reads the key as the API writes it: 64 hex digits.
    #[must_use]
    pub fn from_hex(text: &str) -> Option<Self> {
        unhex(text)?.try_into().ok().map(Self::new)
    }

    /// The key itself: for the answer that hands it out, and for fingerprints.
    #[must_use]
    pub fn bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Asks for a virtual key. The server stores its hash, so that is what is hashed.
    #[must_use]
    pub fn of_key(&self, hash: &TokenHash) -> LeakPrint {
        self.print(b"key", &hash.0)
    }

    /// Asks for a token of the control API.
    #[must_use]
    pub fn of_token(&self, hash: &TokenHash) -> LeakPrint {
        self.print(b"token", &hash.0)
    }

    /// Asks for a provider's key. Blank space around it does not count.
    #[must_use]
    pub fn of_secret(&self, secret: &[u8]) -> LeakPrint {
        self.print(b"secret", secret.trim_ascii())
    }

    fn print(&self, kind: &[u8], about: &[u8]) -> LeakPrint {
        LeakPrint(hmac_sha256(&self.0, &[b"keyward leak 1 ", kind, &[0], about]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prints_tell_kinds_keys_and_secrets_apart() {
        let key = LeakKey::new([1; 32]);
        let hash = TokenHash([9; 32]);
        let prints = [
            key.of_key(&hash),
            key.of_token(&hash),
            key.of_secret(&hash.0),
            key.of_secret(b"other"),
            LeakKey::new([2; 32]).of_key(&hash),
        ];
        for (index, print) in prints.iter().enumerate() {
            assert!(prints.iter().skip(index + 1).all(|other| other != print), "{index}");
        }
        assert_eq!(key.of_secret(b" other\r\n"), key.of_secret(b"other"));
        assert_eq!(LeakKey::from_hex(&"01".repeat(32)).unwrap().of_key(&hash), key.of_key(&hash));
        assert!(LeakKey::from_hex("01").is_none() && LeakKey::from_hex(&"zz".repeat(32)).is_none());
    }
}
