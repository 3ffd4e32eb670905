//! The few cryptographic operations the vault is made of, each with one way to use it: derive, encrypt once, decrypt,
//! compare, length-prefix, random bytes. Formats are built elsewhere.

use crate::{Error, memory::KEY};
use aws_lc_rs::{
    aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey},
    constant_time, hkdf, rand,
};
use zeroize::Zeroizing;

/// Bytes of an AES-GCM nonce.
pub(crate) const NONCE: usize = 12;
/// Bytes of an AES-GCM tag.
pub(crate) const TAG: usize = 16;
/// Bytes of a random salt.
pub(crate) const SALT: usize = 32;

/// A key and nonce that encrypt exactly one message: both come out of a derivation with a fresh salt, so that the limit
/// on random nonces under one key is never approached, however long the parent key lives.
pub(crate) struct OneTimeKey {
    key: Zeroizing<[u8; KEY]>,
    nonce: [u8; NONCE],
}

impl OneTimeKey {
    /// Derives from a parent key and a salt that was never used before for this purpose.
    pub(crate) fn derive(parent: &[u8], salt: &[u8; SALT], purpose: &[u8]) -> Result<Self, Error> {
        let mut both = Zeroizing::new([0; KEY + NONCE]);
        derive(parent, salt, &[purpose], both.as_mut_slice())?;
        let mut made = Self { key: Zeroizing::new([0; KEY]), nonce: [0; NONCE] };
        let (key, nonce) = both.split_at(KEY);
        made.key.copy_from_slice(key);
        made.nonce.copy_from_slice(nonce);
        Ok(made)
    }

    /// Encrypts in place and returns the tag.
    pub(crate) fn encrypt(self, associated: &[u8], text: &mut [u8]) -> Result<[u8; TAG], Error> {
        encrypt(&self.key, self.nonce, associated, text)
    }

    /// Decrypts into `text`, which is as long as `cipher` without its tag. `false`: not authentic.
    pub(crate) fn decrypt(self, associated: &[u8], cipher: &[u8], text: &mut [u8]) -> Result<bool, Error> {
        decrypt(&self.key, self.nonce, associated, cipher, text)
    }
}

/// AES-256-GCM in place. The pair of key and nonce must never have been used before.
pub(crate) fn encrypt(
    key: &[u8; KEY],
    nonce: [u8; NONCE],
    associated: &[u8],
    text: &mut [u8],
) -> Result<[u8; TAG], Error> {
    let nonce = Nonce::assume_unique_for_key(nonce);
    let tag = cipher(key)?.seal_in_place_separate_tag(nonce, Aad::from(associated), text).map_err(|_| Error::Crypto)?;
    tag.as_ref().try_into().map_err(|_| Error::Crypto)
}

/// AES-256-GCM from `cipher` (with its tag at the end) into `text`. `false`: not authentic; `text` is then worthless.
pub(crate) fn decrypt(
    key: &[u8; KEY],
    nonce: [u8; NONCE],
    associated: &[u8],
    cipher: &[u8],
    text: &mut [u8],
) -> Result<bool, Error> {
    let Some((body, tag)) = cipher.split_at_checked(text.len()) else { return Ok(false) };
    let nonce = Nonce::assume_unique_for_key(nonce);
    Ok(self::cipher(key)?.open_separate_gather(nonce, Aad::from(associated), body, tag, text).is_ok())
}

/// HKDF-SHA256: extract with the salt, expand with the purpose.
pub(crate) fn derive(parent: &[u8], salt: &[u8], purpose: &[&[u8]], out: &mut [u8]) -> Result<(), Error> {
    struct Length(usize);
    impl hkdf::KeyType for Length {
        fn len(&self) -> usize {
            self.0
        }
    }
    let extracted = hkdf::Salt::new(hkdf::HKDF_SHA256, salt).extract(parent);
    let expanded = extracted.expand(purpose, Length(out.len())).map_err(|_| Error::Crypto)?;
    expanded.fill(out).map_err(|_| Error::Crypto)
}

/// Compares without telling by time where the difference is. Different lengths are unequal.
pub(crate) fn equal(one: &[u8], other: &[u8]) -> bool {
    constant_time::verify_slices_are_equal(one, other).is_ok()
}

/// Random bytes from the operating system's generator.
pub(crate) fn random<const N: usize>() -> Result<[u8; N], Error> {
    let mut bytes = [0; N];
    rand::fill(&mut bytes).map_err(|_| Error::Crypto)?;
    Ok(bytes)
}

/// A random key, wiped after use.
pub(crate) fn random_key() -> Result<Zeroizing<[u8; KEY]>, Error> {
    let mut key = Zeroizing::new([0; KEY]);
    rand::fill(key.as_mut_slice()).map_err(|_| Error::Crypto)?;
    Ok(key)
}

/// Joins parts so that no two different lists of parts give the same bytes: each part after its length, 4 bytes big-endian.
pub(crate) fn joined(parts: &[&[u8]]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(parts.iter().map(|part| part.len() + 4).sum());
    for part in parts {
        bytes.extend_from_slice(&length(part));
        bytes.extend_from_slice(part);
    }
    bytes
}

/// The length of a part, as it stands before it. Parts of 4 GiB do not occur; they would be told apart no more.
pub(crate) fn length(part: &[u8]) -> [u8; 4] {
    u32::try_from(part.len()).unwrap_or(u32::MAX).to_be_bytes()
}

fn cipher(key: &[u8; KEY]) -> Result<LessSafeKey, Error> {
    UnboundKey::new(&AES_256_GCM, key).map(LessSafeKey::new).map_err(|_| Error::Crypto)
}

#[cfg(test)]
mod tests {
    use super::*;
    use keyward_domain::digest::{hex, unhex};

    /// RFC 5869, test case 1.
    #[test]
    fn derivation_matches_the_standard() {
        let salt = unhex("000102030405060708090a0b0c").unwrap();
        let info = unhex("f0f1f2f3f4f5f6f7f8f9").unwrap();
        let mut out = [0; 42];
        derive(&[0x0b; 22], &salt, &[&info], &mut out).unwrap();
        assert_eq!(hex(&out), "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865");
    }

    /// The AES-256 cases 13, 14 and 16 of the GCM specification (McGrew and Viega).
    #[test]
    fn encryption_matches_the_standard() {
        let zero = [0; KEY];
        assert_eq!(hex(&encrypt(&zero, [0; NONCE], b"", &mut []).unwrap()), "530f8afbc74536b9a963b4f1c4cb738b");

        let mut block = [0; 16];
        assert_eq!(hex(&encrypt(&zero, [0; NONCE], b"", &mut block).unwrap()), "d0d1c8a799996bf0265b98b5d48ab919");
        assert_eq!(hex(&block), "cea7403d4d606b6e074ec5d3baf39d18");

        let key: [u8; KEY] =
            unhex("feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308").unwrap().try_into().unwrap();
        let nonce: [u8; NONCE] = unhex("cafebabefacedbaddecaf888").unwrap().try_into().unwrap();
        let associated = unhex("feedfacedeadbeeffeedfacedeadbeefabaddad2").unwrap();
        let plain = unhex(concat!(
            "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a72",
            "1c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39"
        ))
        .unwrap();
        let mut text = plain.clone();
        let tag = encrypt(&key, nonce, &associated, &mut text).unwrap();
        assert_eq!(
            hex(&text),
            concat!(
                "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa",
                "8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662"
            )
        );
        assert_eq!(hex(&tag), "76fc6ece0f4e1768cddf8853bb2d551b");

        let mut back = vec![0; plain.len()];
        let cipher = [text.as_slice(), &tag].concat();
        assert!(decrypt(&key, nonce, &associated, &cipher, &mut back).unwrap());
        assert_eq!(back, plain);
        assert!(!decrypt(&key, nonce, b"elsewhere", &cipher, &mut back).unwrap());
        assert!(!decrypt(&key, nonce, &associated, &cipher[..10], &mut back).unwrap());
    }

    #[test]
    fn joined_parts_cannot_be_shifted() {
        assert_ne!(joined(&[b"ab", b"c"]), joined(&[b"a", b"bc"]));
        assert_ne!(joined(&[b"a", b""]), joined(&[b"a"]));
        assert_eq!(joined(&[b"ab"]), [0, 0, 0, 2, b'a', b'b']);
    }
}
