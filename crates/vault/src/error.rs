//! Everything that can go wrong in the vault, one variant for each thing the caller or the operator does differently.
//! Texts name records, ids and paths, and say what to do. Never a secret.

use keyward_domain::secret::Place;
use std::{io, path::PathBuf};

/// Why the vault refused.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The master key is not the one the keyring was wrapped with.
    #[error(
        "wrong master key: expected master key {expected}, got {got}: give the key file, passphrase or credential of \
         {expected}, or restore access with the recovery identity (keyward vault recover)"
    )]
    WrongMasterKey {
        /// The id of the master key that the keyring wants.
        expected: String,
        /// The id of the master key that was given.
        got: String,
    },
    /// A ciphertext names a wrapping key that the keyring does not hold.
    #[error(
        "{place} is sealed under wrapping key {id}, which is not in the keyring: restore the keyring row from a backup, \
         or give the secret anew"
    )]
    UnknownWrappingKey {
        /// Which ciphertext.
        place: String,
        /// The id of the wrapping key it names.
        id: String,
    },
    /// A ciphertext names a wrapping key that we hold, but was sealed under a different key.
    #[error(
        "{place} names wrapping key {id} but was sealed under another key: it comes from another installation, or its \
         header was changed: restore the record from a backup, or give the secret anew"
    )]
    WrongWrappingKey {
        /// Which ciphertext.
        place: String,
        /// The id it names.
        id: String,
    },
    /// A ciphertext was changed, cut short, or moved from another record, version or field.
    #[error(
        "{place} was changed or belongs to another record: do not trust it; restore the record from a backup, or give \
         the secret anew and find out who can write to the database"
    )]
    Tampered {
        /// Which ciphertext.
        place: String,
    },
    /// A ciphertext has a format (or algorithm) that this version does not know.
    #[error(
        "{place} is in sealed format {format}, which this version does not know: it was written by a newer version (upgrade), or damaged"
    )]
    UnknownFormat {
        /// Which ciphertext.
        place: String,
        /// The format, or `format/algorithm`.
        format: String,
    },
    /// There is no keyring to unlock.
    #[error(
        "the keyring is empty: this is a new installation, or its keyring rows were lost (restore them from a backup)"
    )]
    EmptyKeyring,
    /// The keyring lacks a key that must be there.
    #[error("the keyring has no active {purpose} key: restore its rows from a backup")]
    IncompleteKeyring {
        /// What the missing key is for.
        purpose: &'static str,
    },
    /// A keyring row does not open although the master key is the right one.
    #[error("keyring row {id} was changed: do not trust it; restore the keyring rows from a backup")]
    KeyringTampered {
        /// The row's id.
        id: String,
    },
    /// Text that should hold a master key does not.
    #[error("{from} does not hold a master key: {reason}")]
    BadMasterKey {
        /// Where the text came from.
        from: String,
        /// What is wrong with it, and what is expected.
        reason: &'static str,
    },
    /// There is a file already where a new key would be written.
    #[error("{} exists already: a master key is never overwritten; move it away first if you are sure", path.display())]
    KeyFileExists {
        /// The file.
        path: PathBuf,
    },
    /// Others than the owner may read or change the file.
    #[error("{} can be read or changed by others (mode {mode:04o}): run: chmod 600 {}", path.display(), path.display())]
    LooseMode {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// The file belongs to another user.
    #[error("{} belongs to user id {owner}, the server runs as {user}: run: chown {user} {}", path.display(), path.display())]
    WrongOwner {
        /// The file.
        path: PathBuf,
        /// Who owns it.
        owner: u32,
        /// Who we are.
        user: u32,
    },
    /// The path leads to something other than a plain file.
    #[error("{} is not a plain file (a symbolic link, folder or device): put the key file itself there, then run: chmod 600 {}", path.display(), path.display())]
    NotAPlainFile {
        /// The path.
        path: PathBuf,
    },
    /// The passphrase does not open the master key.
    #[error("wrong passphrase for {}: try again, or restore access with the recovery identity (keyward vault recover)", path.display())]
    WrongPassphrase {
        /// The file with the wrapped master key.
        path: PathBuf,
    },
    /// The passphrase is too short to protect anything.
    #[error("the passphrase is too short: use at least {minimum} characters, better five or six random words")]
    WeakPassphrase {
        /// The fewest characters accepted.
        minimum: usize,
    },
    /// A master key cannot be written to this source.
    #[error("{from} cannot be written by the server: {how}")]
    ReadOnlySource {
        /// The source.
        from: String,
        /// How the operator stores a key there.
        how: &'static str,
    },
    /// The text is not a recovery recipient.
    #[error("not a recovery recipient: {reason}")]
    BadRecipient {
        /// What is wrong, and what is expected.
        reason: &'static str,
    },
    /// The text is not a recovery identity.
    #[error("not a recovery identity: {reason}")]
    BadIdentity {
        /// What is wrong, and what is expected.
        reason: &'static str,
    },
    /// The data is encrypted to another recipient.
    #[error(
        "{what} is encrypted to another recipient: use the identity file that belongs to it (its first lines name the recipient)"
    )]
    WrongIdentity {
        /// What was to be opened.
        what: &'static str,
    },
    /// Encrypted data that is no age file, or was changed or cut short.
    #[error("{what} is damaged or was changed: use another copy")]
    Damaged {
        /// What was to be opened.
        what: &'static str,
    },
    /// Core dumps and debuggers could not be shut out.
    #[error(
        "cannot protect the process: {what}: secrets could end in a core dump: fix that, or run anyway with {flag}",
        flag = crate::harden::OVERRIDE_FLAG
    )]
    NotHardened {
        /// Which protection failed.
        what: &'static str,
    },
    /// No memory page for a key.
    #[error("cannot map memory for a key: {0}")]
    Memory(#[source] io::Error),
    /// The operating system gave no random bytes, or a cryptographic primitive failed for want of memory.
    #[error("the cryptographic library failed: no random bytes or no memory")]
    Crypto,
    /// A file could not be read or written.
    #[error("cannot {action} {}: {source}", path.display())]
    File {
        /// What was tried: `read`, `write`…
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The passphrase could not be read.
    #[error("cannot read the passphrase: {0}")]
    Prompt(#[source] io::Error),
    /// A stream could not be written or read.
    #[error("cannot read or write the encrypted stream: {0}")]
    Stream(#[source] io::Error),
}

/// A place in words: `credential 0189… version 3, field secret`.
pub(crate) fn named(place: &Place) -> String {
    format!("{} {} version {}, field {}", place.table, place.record, place.version, place.field)
}
