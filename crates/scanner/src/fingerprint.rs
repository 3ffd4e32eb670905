//! A name for a finding that stays the same from scan to scan and tells nothing about the secret.
//!
//! It covers the secret and where it lies (the path and the way within the file), not the line, the rule or the commit:
//! code moves, rules improve, and the same file is in many commits. With the key of an installation (`fp2_…`) nobody who
//! reads a report can try guesses against it. Without one (`fp1_…`) a *weak* secret, such as a short password, could be
//! guessed from it; keys of 128 bits and more cannot.

use keyward_domain::digest::{hex, hmac_sha256, sha256};
use zeroize::Zeroizing;

/// How many bytes of the code a fingerprint shows.
const SHOWN: usize = 20;

/// Makes fingerprints.
pub struct Fingerprinter {
    key: Zeroizing<[u8; 32]>,
    prefix: &'static str,
}

impl Fingerprinter {
    /// Begins every fingerprint that was made without a key.
    pub const PLAIN: &'static str = "fp1_";
    /// Begins every fingerprint that was made with the key of an installation.
    pub const KEYED: &'static str = "fp2_";

    /// Makes fingerprints that are the same everywhere.
    #[must_use]
    pub fn plain() -> Self {
        Self { key: Zeroizing::new(sha256(b"keyward finding, no installation known, 1")), prefix: Self::PLAIN }
    }

    /// Makes fingerprints that mean something only to whoever has this installation's key.
    #[must_use]
    pub fn keyed(key: &[u8; 32]) -> Self {
        Self { key: Zeroizing::new(hmac_sha256(key, &[b"keyward finding 1"])), prefix: Self::KEYED }
    }

    /// The fingerprint of a secret in its place: the path, best from the root of the repository, so that it is the same
    /// from wherever somebody scans, and the way to it within the file.
    #[must_use]
    pub fn of(&self, secret: &[u8], path: &[u8], within: &[Box<str>]) -> Box<str> {
        let mut parts: Vec<&[u8]> = vec![b"place", secret, path];
        parts.extend(within.iter().map(|step| step.as_bytes()));
        self.code(&parts)
    }

    /// The fingerprint of a secret wherever it lies: what findings are grouped by.
    #[must_use]
    pub fn group(&self, secret: &[u8]) -> Box<str> {
        self.code(&[b"secret", secret])
    }

    fn code(&self, parts: &[&[u8]]) -> Box<str> {
        // Each part stands after its length, so that no two lists of parts read alike.
        let lengths: Vec<[u8; 8]> =
            parts.iter().map(|part| u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes()).collect();
        let all: Vec<&[u8]> = lengths.iter().zip(parts).flat_map(|(length, part)| [length.as_slice(), part]).collect();
        let code = hmac_sha256(&self.key, &all);
        format!("{}{}", self.prefix, hex(code.get(..SHOWN).unwrap_or(&code))).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(prints: &Fingerprinter, secret: &str, path: &str, within: &[&str]) -> Box<str> {
        let within: Vec<Box<str>> = within.iter().map(|step| Box::from(*step)).collect();
        prints.of(secret.as_bytes(), path.as_bytes(), &within)
    }

    #[test]
    fn a_fingerprint_is_of_the_secret_and_the_place_alone() {
        let plain = Fingerprinter::plain();
        let print = of(&plain, "secret", "a/.env", &[]);
        assert!(print.starts_with("fp1_") && print.len() == 44, "{print}");
        assert_eq!(print, of(&Fingerprinter::plain(), "secret", "a/.env", &[]));
        let others = [
            of(&plain, "secreu", "a/.env", &[]),
            of(&plain, "secret", "b/.env", &[]),
            of(&plain, "secret", "a/.env", &["x"]),
            of(&plain, "secreta", "/.env", &[]),
            plain.group(b"secret"),
        ];
        assert!(others.iter().all(|other| *other != print), "{others:?}");
        assert_ne!(of(&plain, "s", "p", &["ab", "c"]), of(&plain, "s", "p", &["a", "bc"]));
    }

    #[test]
    fn a_key_makes_other_fingerprints() {
        let (one, two) = (Fingerprinter::keyed(&[1; 32]), Fingerprinter::keyed(&[2; 32]));
        let told = |prints: &Fingerprinter| of(prints, "s", "x", &[]);
        assert!(told(&one).starts_with("fp2_"));
        assert_ne!(told(&one), told(&two));
        assert_ne!(told(&one).get(4..), told(&Fingerprinter::plain()).get(4..));
        assert_eq!(told(&one), told(&Fingerprinter::keyed(&[1; 32])));
    }
}
