//! Places where keys are made to be seen: tests, examples, documentation. Programs that work with private keys keep some
//! there by the hundred, and each has the form of a real one. Those are told, and not as alarms.

use crate::{Confidence, Hit};

/// What the path says of such a key.
const REASON: &str = "it stands among tests or examples";

/// Kinds of secrets that such places are full of. Nobody makes keys of vendors up by the hundred.
const KINDS: &[&str] = &["private-key/pem", "age/key"];

/// Words in the names of such places.
const WORDS: &[&[u8]] = &[
    b"test",
    b"tests",
    b"testing",
    b"spec",
    b"specs",
    b"fixture",
    b"fixtures",
    b"example",
    b"examples",
    b"sample",
    b"samples",
    b"demo",
    b"demos",
    b"mock",
    b"mocks",
    b"doc",
    b"docs",
    b"readme",
    b"bench",
    b"benches",
    b"corpus",
    b"vectors",
];

/// What `test` is put before without anything between.
const TESTED: &[&[u8]] =
    &[b"data", b"kit", b"util", b"utils", b"cert", b"certs", b"key", b"keys", b"cases", b"lib", b"server", b"suite"];

/// Lowers what was hit where keys are made to be seen.
pub(crate) fn lower<'n>(hit: &mut Hit, path: &[u8], within: impl Iterator<Item = &'n [u8]>) {
    let is_such = hit.confidence > Confidence::Low && KINDS.contains(&&*hit.kind.rule);
    if is_such && (is_shown(path) || within.into_iter().any(is_shown)) {
        hit.confidence = Confidence::Low;
        hit.reasons.push(REASON.into());
    }
}

/// Whether a path is that of such a place.
fn is_shown(path: &[u8]) -> bool {
    let mut names = path.rsplit(|byte| matches!(byte, b'/' | b'\\'));
    let file = names.next().unwrap_or_default();
    // A file may be named like a host, as its key is: `docs.company.net.key`. A folder may, too.
    let is_host = file.iter().filter(|byte| **byte == b'.').count() > 2;
    has_word(file, if is_host { b"_-" } else { b"._-" })
        || names.any(|folder| folder == b"t" || has_word(folder, b"_-"))
}

fn has_word(name: &[u8], between: &[u8]) -> bool {
    name.split(|byte| between.contains(byte)).any(|part| {
        let part = part.to_ascii_lowercase();
        WORDS.contains(&&*part) || part.strip_prefix(b"test").is_some_and(|rest| TESTED.contains(&rest))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_tell_tests_from_places_that_serve() {
        for path in [
            "tests/key.pem",
            "crate/src/testdata/a.key",
            "web/__tests__/server.pem",
            "git/t/lib-gpg/keyring.gpg",
            "demos/cms/signer.pem",
            "integration-tests/ca.key",
            "src/server_test.go",
            "src/tls.spec.ts",
            "docs\\tls\\key.pem",
            "README.md",
            "test.key",
        ] {
            assert!(is_shown(path.as_bytes()), "{path}");
        }
        for path in [
            "deploy/server.key",
            "live/test.company.net/privkey.pem",
            "tls/docs.company.net.key",
            "src/contest/key.pem",
            "attest/key.pem",
            "t.key",
            "backup/latest/id_rsa",
            "",
        ] {
            assert!(!is_shown(path.as_bytes()), "{path}");
        }
    }
}
