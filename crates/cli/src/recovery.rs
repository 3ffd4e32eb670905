//! The recovery identity: an age X25519 key pair. Made, read and used here; only the recipient and proofs leave.

use crate::{failure::Failure, files, text};
use age::secrecy::ExposeSecret;
use keyward_domain::{Millis, digest, times};
use std::{io::Read, path::Path};
use zeroize::Zeroizing;

/// More bytes than a challenge has inside.
const LONGEST_CHALLENGE: usize = 4 << 10;

/// The secret half.
pub(crate) struct Identity(age::x25519::Identity);

/// Makes a new identity from the operating system's randomness.
#[must_use]
pub(crate) fn generate() -> Identity {
    Identity(age::x25519::Identity::generate())
}

/// The public half, `age1…`.
#[must_use]
pub(crate) fn recipient(identity: &Identity) -> String {
    identity.0.to_public().to_string()
}

/// What goes into the identity file: age's own format, so that the `age` program can use it too, with words for
/// whoever finds the printed page in ten years.
#[must_use]
pub(crate) fn file(identity: &Identity, server: &str, now: Millis) -> Zeroizing<String> {
    let (created, recipient, secret) = (times::show(now), recipient(identity), identity.0.to_string());
    // A name that brings its own line breaks would end the comment it stands in.
    let server = text::line(server);
    // SECRET: the one place where the identity becomes text, on its way into the file.
    Zeroizing::new(format!(
        "# Keyward recovery identity\n\
         # made at:   {created}\n\
         # for:       {server}\n\
         # recipient: {recipient}\n\
         #\n\
         # Whoever holds the line below can open this server's backups and its vault. Keep it offline.\n\
         #   keyward vault recover --identity THIS-FILE           when the master key is lost\n\
         #   keyward restore BACKUP --identity THIS-FILE          from a backup\n\
         {}\n",
        secret.expose_secret()
    ))
}

/// Reads an identity file.
///
/// # Errors
/// When it is not there or holds no identity.
pub(crate) fn read(path: &Path) -> Result<Identity, Failure> {
    let bytes = files::read_small(path)?.ok_or_else(|| Failure::failed(format!("{} is not there", path.display())))?;
    let text = std::str::from_utf8(&bytes).unwrap_or_default();
    let line = text.lines().map(str::trim).find(|line| !line.is_empty() && !line.starts_with('#'));
    line.and_then(|line| line.parse().ok()).map(Identity).ok_or_else(|| {
        Failure::failed(format!("{} holds no recovery identity", path.display()))
            .hint("it has a line that begins with AGE-SECRET-KEY-1, as `keyward vault recovery create` wrote it")
    })
}

/// Answers a challenge, which is an age file in hex: SHA-256 of the bytes inside, in hex.
///
/// # Errors
/// When the identity is not the one it was sealed to, or it is damaged.
pub(crate) fn answer(identity: &Identity, challenge: &str) -> Result<String, Failure> {
    let damaged = || Failure::failed("the server's challenge is damaged");
    let sealed = digest::unhex(challenge.trim()).ok_or_else(damaged)?;
    let decryptor = age::Decryptor::new(&*sealed).map_err(|_| damaged())?;
    let reader =
        decryptor.decrypt(std::iter::once(&identity.0 as &dyn age::Identity)).map_err(|error| match error {
            age::DecryptError::NoMatchingKeys => Failure::no("this identity is not the one that the server knows"),
            _ => damaged(),
        })?;
    let mut opened = Zeroizing::new(Vec::with_capacity(LONGEST_CHALLENGE));
    let length = reader.take(LONGEST_CHALLENGE as u64).read_to_end(&mut opened).map_err(|_| damaged())?;
    if length == 0 {
        return Err(damaged());
    }
    Ok(digest::hex(&digest::sha256(&opened)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn challenge(recipient: &str, secret: &[u8]) -> String {
        let recipient: age::x25519::Recipient = recipient.parse().unwrap();
        let encryptor = age::Encryptor::with_recipients(std::iter::once(&recipient as &dyn age::Recipient)).unwrap();
        let mut out = encryptor.wrap_output(Vec::new()).unwrap();
        out.write_all(secret).unwrap();
        digest::hex(&out.finish().unwrap())
    }

    #[test]
    fn the_file_brings_the_identity_back() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("identity");
        let identity = generate();
        std::fs::write(&path, file(&identity, "http://x\nAGE-SECRET-KEY-1FAKE", 0).as_bytes()).unwrap();
        let again = read(&path).ok().unwrap();
        assert_eq!(recipient(&again), recipient(&identity));
        assert!(recipient(&again).starts_with("age1"));
        std::fs::write(&path, "# nothing\nhello\n").unwrap();
        assert!(read(&path).err().unwrap().error.contains("holds no recovery identity"));
        assert!(read(&folder.path().join("gone")).err().unwrap().error.contains("is not there"));
    }

    #[test]
    fn only_the_right_identity_answers() {
        let (identity, other) = (generate(), generate());
        let sealed = challenge(&recipient(&identity), b"question");
        assert_eq!(answer(&identity, &sealed).unwrap(), digest::hex(&digest::sha256(b"question")));
        assert_eq!(answer(&other, &sealed).unwrap_err().status(), 1);
        for damaged in ["", "zz", "00", &sealed[..sealed.len() - 2]] {
            assert_eq!(answer(&identity, damaged).unwrap_err().status(), 2, "{damaged}");
        }
    }
}
