//! The way back in when the master key is lost: an age identity kept offline, to which the master key and every backup
//! are encrypted. Also its proof, its printed sheet, and the streams for backups.

use crate::{Error, MasterKey};
use age::{secrecy::ExposeSecret, x25519};
use keyward_domain::digest;
use std::io::{self, Read, Write};
use zeroize::Zeroizing;

mod sheet;

pub use sheet::sheet;

/// A new recovery identity.
pub struct Generated {
    /// The secret half, `AGE-SECRET-KEY-1…`: shown or written once, then kept offline.
    pub identity: Zeroizing<String>,
    /// The public half, `age1…`: stored.
    pub recipient: String,
}

/// Makes a recovery identity.
#[must_use]
pub fn generate() -> Generated {
    let identity = x25519::Identity::generate();
    let text = Zeroizing::new(identity.to_string().expose_secret().to_owned());
    Generated { identity: text, recipient: identity.to_public().to_string() }
}

/// Checks a recipient and returns it without the blank space around it.
///
/// # Errors
/// [`Error::BadRecipient`], which says what was given instead if that can be seen.
pub fn check_recipient(text: &str) -> Result<String, Error> {
    parse_recipient(text).map(|recipient| recipient.to_string())
}

/// The recipient of an identity. Takes the identity alone or a whole identity file with comments.
///
/// # Errors
/// [`Error::BadIdentity`].
pub fn recipient_of(identity: &str) -> Result<String, Error> {
    parse_identity(identity).map(|identity| identity.to_public().to_string())
}

/// Gets the master key back from what [`crate::Vault::recovery_blob`] made.
///
/// # Errors
/// [`Error::BadIdentity`], [`Error::WrongIdentity`], [`Error::Damaged`].
pub fn recover(identity: &str, blob: &[u8]) -> Result<MasterKey, Error> {
    let text = decrypt_small(identity, blob, "the recovery copy of the master key")?;
    let text =
        std::str::from_utf8(&text).map_err(|_| Error::Damaged { what: "the recovery copy of the master key" })?;
    MasterKey::parse(text, "the recovery copy")
}

/// A question that only the holder of the recovery identity can answer.
pub struct Challenge {
    /// What to send: 32 random bytes in an age file. `age -d -i FILE | sha256sum` gives the answer too.
    pub question: Vec<u8>,
    /// What to keep until the answer comes. Not secret once answered, useless for anything else.
    pub expected: [u8; 32],
}

/// Makes a question for a recipient. Each is good for one answer.
///
/// # Errors
/// [`Error::BadRecipient`].
pub fn challenge(recipient: &str) -> Result<Challenge, Error> {
    let secret = Zeroizing::new(crate::primitives::random::<32>()?);
    let question = encrypt_small(recipient, secret.as_slice())?;
    Ok(Challenge { question, expected: digest::sha256(secret.as_slice()) })
}

/// Answers a question: SHA-256 of the bytes inside.
///
/// # Errors
/// [`Error::BadIdentity`], [`Error::WrongIdentity`], [`Error::Damaged`].
pub fn answer(identity: &str, question: &[u8]) -> Result<[u8; 32], Error> {
    decrypt_small(identity, question, "the challenge").map(|secret| digest::sha256(&secret))
}

/// Whether an answer is the expected one. Takes the same time wherever the difference is.
#[must_use]
pub fn proves(expected: &[u8; 32], answer: &[u8]) -> bool {
    crate::primitives::equal(expected, answer)
}

/// A writer that encrypts to a recipient. [`Encrypting::finish`] must be called: without it the file counts as cut short.
pub struct Encrypting<W>(age::stream::StreamWriter<W>);

/// Encrypts everything that is written to a recipient.
///
/// # Errors
/// [`Error::BadRecipient`]; [`Error::Stream`] when the header cannot be written.
pub fn encrypt_stream<W: Write>(recipient: &str, output: W) -> Result<Encrypting<W>, Error> {
    let recipient = parse_recipient(recipient)?;
    let encryptor = age::Encryptor::with_recipients(std::iter::once(&recipient as &dyn age::Recipient))
        .map_err(|_| Error::Crypto)?;
    encryptor.wrap_output(output).map(Encrypting).map_err(Error::Stream)
}

impl<W: Write> Encrypting<W> {
    /// Writes the end and hands the output back.
    ///
    /// # Errors
    /// [`Error::Stream`] when the output cannot be written.
    pub fn finish(self) -> Result<W, Error> {
        let mut output = self.0.finish().map_err(Error::Stream)?;
        output.flush().map_err(Error::Stream)?;
        Ok(output)
    }
}

impl<W: Write> Write for Encrypting<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

/// A reader that decrypts. Every byte it gives is authentic; only its regular end says that none are missing.
pub struct Decrypting<R>(age::stream::StreamReader<R>);

/// Decrypts what [`encrypt_stream`] (or `age -r`) made.
///
/// # Errors
/// [`Error::BadIdentity`], [`Error::WrongIdentity`], [`Error::Damaged`] when the header is none; [`Error::Stream`] when
/// the input cannot be read.
pub fn decrypt_stream<R: Read>(identity: &str, input: R) -> Result<Decrypting<R>, Error> {
    open_stream(identity, input, "the encrypted file")
}

impl<R: Read> Read for Decrypting<R> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        self.0.read(bytes).map_err(|error| match error.kind() {
            io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof => io::Error::new(
                error.kind(),
                "the encrypted file is damaged, cut short or was changed: use another copy",
            ),
            _ => error,
        })
    }
}

/// The master key in an age file. Inside is the text of a key file, so that `age -d` alone makes one.
pub(crate) fn wrap(master: &MasterKey, recipient: &str) -> Result<Vec<u8>, Error> {
    encrypt_small(recipient, master.to_text().as_bytes())
}

/// The age crate keeps a copy of the last chunk in a buffer that it frees without wiping: the one place where a copy of
/// the master key is out of our hands. It happens when a recovery copy is made, never while serving.
fn encrypt_small(recipient: &str, secret: &[u8]) -> Result<Vec<u8>, Error> {
    let mut stream = encrypt_stream(recipient, Vec::new())?;
    stream.write_all(secret).map_err(Error::Stream)?;
    stream.finish()
}

/// Decrypts something that is known to be short.
fn decrypt_small(identity: &str, blob: &[u8], what: &'static str) -> Result<Zeroizing<Vec<u8>>, Error> {
    const MOST: usize = 4096;
    // One byte more than allowed, so that what is too long shows; full size from the start, so that nothing is copied.
    let mut secret = Zeroizing::new(Vec::with_capacity(MOST + 1));
    let stream = open_stream(identity, blob, what)?;
    stream.take(MOST as u64 + 1).read_to_end(&mut secret).map_err(|_| Error::Damaged { what })?;
    if secret.len() > MOST { Err(Error::Damaged { what }) } else { Ok(secret) }
}

fn open_stream<R: Read>(identity: &str, input: R, what: &'static str) -> Result<Decrypting<R>, Error> {
    let identity = parse_identity(identity)?;
    let failed = |error| match error {
        age::DecryptError::NoMatchingKeys => Error::WrongIdentity { what },
        age::DecryptError::Io(error) if error.kind() != io::ErrorKind::UnexpectedEof => Error::Stream(error),
        _ => Error::Damaged { what },
    };
    let decryptor = age::Decryptor::new(input).map_err(failed)?;
    decryptor.decrypt(std::iter::once(&identity as &dyn age::Identity)).map(Decrypting).map_err(failed)
}

fn parse_recipient(text: &str) -> Result<x25519::Recipient, Error> {
    let text = text.trim();
    let reason = if text.is_empty() {
        "it is empty: give the line that begins with age1"
    } else if text.to_ascii_uppercase().starts_with("AGE-SECRET-KEY-") {
        "this is the secret identity, which must stay offline: give the public line that begins with age1"
    } else if text.starts_with("age1") {
        "it begins with age1 but a character is missing or wrong, or it is of a kind other than X25519: copy the whole line"
    } else {
        "expected the public line that begins with age1"
    };
    text.parse().map_err(|_| Error::BadRecipient { reason })
}

/// Finds the one identity in the text of an identity file.
fn parse_identity(text: &str) -> Result<x25519::Identity, Error> {
    let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    let bad = |reason| Error::BadIdentity { reason };
    let line = lines.next().ok_or_else(|| bad("it is empty: give the line that begins with AGE-SECRET-KEY-1"))?;
    if lines.next().is_some() {
        return Err(bad("there is more than one line: give the one that begins with AGE-SECRET-KEY-1"));
    }
    let reason = if line.starts_with("age1") {
        "this is the public recipient: give the secret line that begins with AGE-SECRET-KEY-1"
    } else if line.to_ascii_uppercase().starts_with("AGE-SECRET-KEY-") {
        "a character is missing or wrong: copy the whole line that begins with AGE-SECRET-KEY-1"
    } else {
        "expected the line that begins with AGE-SECRET-KEY-1"
    };
    line.parse().map_err(|_| bad(reason))
}

#[cfg(test)]
mod tests;
