//! The words that names are made of, and what they say of what is named so.

use aho_corasick::{AhoCorasick, AhoCorasickKind};
use rustc_hash::FxHashMap;
use std::sync::LazyLock;

/// Words in a name that say: a secret.
#[rustfmt::skip]
const SECRET: &[&[u8]] = &[
    b"key", b"keys", b"apikey", b"token", b"secret", b"secrets", b"auth", b"authorization", b"bearer", b"password",
    b"passwd", b"pwd", b"pass", b"credential", b"credentials", b"cred", b"creds", b"authtoken", b"accesskey",
    b"secretkey", b"pat", b"accesstoken", b"passphrase", b"clientsecret",
];

/// Words in a name that say: not a secret, although it looks random.
#[rustfmt::skip]
const OTHER: &[&[u8]] = &[
    b"hash", b"hashes", b"md5", b"checksum", b"checksums", b"crc", b"digest", b"etag", b"commit", b"commits",
    b"revision", b"rev", b"sha", b"integrity", b"resolved", b"request", b"requestid", b"trace", b"traceid", b"span",
    b"spanid", b"uuid", b"guid", b"version", b"fingerprint", b"cache", b"cachekey", b"build", b"ref", b"tree",
    b"blob", b"parent", b"session", b"sessionid", b"correlation", b"id", b"ids", b"signature", b"sig", b"nonce",
    b"salt", b"iv", b"thumbprint", b"public", b"publickey", b"pubkey", b"pub", b"publishable", b"image", b"file",
    b"filename", b"url", b"uri", b"path", b"src", b"href", b"asset", b"chunk", b"chunkhash", b"color", b"colour",
    b"tenant", b"subscription", b"object", b"oid", b"gitsha", b"head", b"base", b"branch", b"tag", b"snapshot",
    b"serial", b"model", b"voice", b"transcript", b"deployment", b"etags", b"sri", b"vector", b"seed", b"baseline",
];

/// Names that say nothing of their own, so that the next one before them counts.
#[rustfmt::skip]
const NEUTRAL: &[&[u8]] = &[
    b"value", b"val", b"v", b"s", b"string", b"str", b"text", b"default", b"let", b"const", b"var", b"final",
    b"static", b"new", b"b", b"r", b"f", b"u8", b"is", b"the", b"my", b"type", b"data", b"content", b"this", b"a",
    b"i", b"o", b"n", b"x", b"u", b"e", b"d", b"w", b"eq", b"of", b"here", b"public", b"private", b"export", b"set",
    b"setx", b"string_value", b"return", b"name", b"env", b"quot", b"amp", b"x22", b"u0022",
];

/// Words that make a secret's name the name of something else when they come last.
const LAST: &[&[u8]] = &[
    b"id",
    b"ids",
    b"hash",
    b"digest",
    b"checksum",
    b"fingerprint",
    b"md5",
    b"sha256",
    b"sha1",
    b"name",
    b"version",
    b"etag",
];

/// Names of hashes.
const HASH: &[&[u8]] =
    &[b"md5", b"sha1", b"sha256", b"sha512", b"checksum", b"digest", b"sha1sum", b"sha256sum", b"md5sum"];

/// Words that stand in names which anybody gives to any secret.
const GENERAL: &[&[u8]] = &[
    b"api",
    b"access",
    b"x",
    b"http",
    b"https",
    b"header",
    b"headers",
    b"client",
    b"service",
    b"prod",
    b"production",
    b"dev",
    b"live",
    b"main",
    b"primary",
    b"default",
];

/// Words that are found in a name wherever they stand: first those of secrets, then those of public things.
const JOINED: &[&[u8]] =
    &[b"apikey", b"secretkey", b"accesskey", b"authtoken", b"accesstoken", b"public", b"publishable", b"pubkey"];
/// How many of them are of secrets.
const OF_SECRETS: usize = 5;

/// The longest word of all.
const LONGEST: usize = 16;

/// What each word says, one bit for each list it is in.
static SAYS: LazyLock<FxHashMap<&[u8], u8>> = LazyLock::new(|| {
    let mut all = FxHashMap::default();
    for (bit, words) in [SECRET, OTHER, NEUTRAL, LAST, HASH, GENERAL].into_iter().enumerate() {
        words.iter().for_each(|word| *all.entry(*word).or_default() |= 1 << bit);
    }
    all
});

static IN_NAMES: LazyLock<Option<AhoCorasick>> = LazyLock::new(|| {
    AhoCorasick::builder().kind(Some(AhoCorasickKind::DFA)).ascii_case_insensitive(true).build(JOINED).ok()
});

/// What a word says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Says(u8);

/// What a word says, in whatever case it is written.
pub(super) fn says(word: &[u8]) -> Says {
    let mut lower = [0; LONGEST];
    let known = lower.get_mut(..word.len()).and_then(|lower| {
        lower.copy_from_slice(word);
        lower.make_ascii_lowercase();
        SAYS.get(&*lower).copied()
    });
    Says(known.unwrap_or(0))
}

impl Says {
    /// A secret.
    pub(super) const fn secret(self) -> bool {
        self.0 & 1 != 0
    }

    /// Not a secret.
    pub(super) const fn other(self) -> bool {
        self.0 & 2 != 0
    }

    /// Nothing of its own.
    pub(super) const fn neutral(self) -> bool {
        self.0 & 4 != 0
    }

    /// That something else is named, when it is the last word of the name.
    pub(super) const fn last(self) -> bool {
        self.0 & 8 != 0
    }

    /// A hash.
    pub(super) const fn hash(self) -> bool {
        self.0 & 16 != 0
    }

    /// Nothing that is not said of any secret.
    pub(super) const fn general(self) -> bool {
        self.0 & (1 | 4 | 32) != 0
    }
}

/// Whether a word is `sha` with or without a number.
pub(super) fn is_sha(word: &[u8]) -> bool {
    word.split_at_checked(3)
        .is_some_and(|(head, rest)| head.eq_ignore_ascii_case(b"sha") && rest.iter().all(u8::is_ascii_digit))
}

/// Whether a name holds a word of secrets, and one of public things, wherever they stand.
pub(super) fn joined(name: &[u8]) -> (bool, bool) {
    let (mut secret, mut public) = (false, false);
    if let Some(words) = IN_NAMES.as_ref().filter(|_| name.len() >= 6) {
        for word in words.find_overlapping_iter(name) {
            match word.pattern().as_usize() < OF_SECRETS {
                true => secret = true,
                false => public = true,
            }
        }
    }
    (secret, public)
}

/// The words that a name is made of: `mistralApiKey` and `MISTRAL_API_KEY` are three.
pub(super) fn parts(name: &[u8], mut found: impl FnMut(&[u8])) {
    for part in name.split(|byte| !byte.is_ascii_alphanumeric()) {
        let (mut start, mut before) = (0, b' ');
        for (at, byte) in part.iter().enumerate() {
            let next_lower = part.get(at + 1).is_some_and(u8::is_ascii_lowercase);
            let begins = byte.is_ascii_uppercase()
                && (before.is_ascii_lowercase() || (before.is_ascii_uppercase() && next_lower));
            if begins && at > start {
                found(part.get(start..at).unwrap_or_default());
                start = at;
            }
            before = *byte;
        }
        if start < part.len() {
            found(part.get(start..).unwrap_or_default());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_word_is_too_long_to_be_known() {
        for word in SAYS.keys() {
            assert_ne!(says(&word.to_ascii_uppercase()), Says(0), "{}", String::from_utf8_lossy(word));
        }
    }

    #[test]
    fn names_are_taken_apart() {
        for name in ["mistralApiKey", "MISTRAL_API_KEY", "mistral-APIKey", "--mistral_api--KEY"] {
            let mut all = Vec::new();
            parts(name.as_bytes(), |part| all.push(String::from_utf8(part.to_ascii_lowercase()).unwrap()));
            assert_eq!(all, ["mistral", "api", "key"], "{name}");
        }
    }
}
