//! Where the master key is kept: a trait, and one file for each kind of place. A key management service is one more file.
//! Nothing here reads the environment or asks on a terminal: paths, values and questions come from the caller.

use crate::{Error, MasterKey};
use nix::{fcntl::OFlag, unistd};
use std::{
    fs::{self, File, OpenOptions},
    io::{ErrorKind, Read, Write},
    os::unix::fs::{MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
};
use zeroize::Zeroizing;

mod given;
mod key_file;
mod passphrase;

pub use given::{EnvironmentKey, SystemdCredential};
pub use key_file::KeyFile;
pub use passphrase::{Ask, Passphrase};

/// A place where the master key is kept.
///
/// A change of the master key has two steps, so that a crash between them loses nothing: the new key is staged beside the
/// old one, and promoted once the keyring is stored under it. Places that the server cannot write refuse both.
pub trait MasterKeySource: Send + Sync {
    /// The place in words, for messages: `key file /var/lib/keyward/master.key`.
    fn describe(&self) -> String;

    /// The key, or `None` when the place is empty (a first start).
    ///
    /// # Errors
    /// When something is there that cannot be used, with what to do about it.
    fn load(&self) -> Result<Option<MasterKey>, Error>;

    /// Stores the first key. Never overwrites one.
    ///
    /// # Errors
    /// [`Error::KeyFileExists`], [`Error::ReadOnlySource`], or that it cannot be written.
    fn store(&self, master: &MasterKey) -> Result<(), Error>;

    /// Stores a key beside the present one. Replaces one staged earlier, which nothing can need: the vault was unlocked
    /// without it.
    ///
    /// # Errors
    /// [`Error::ReadOnlySource`], or that it cannot be written.
    fn stage(&self, master: &MasterKey) -> Result<(), Error>;

    /// The staged key, if there is one.
    ///
    /// # Errors
    /// As [`Self::load`].
    fn staged(&self) -> Result<Option<MasterKey>, Error>;

    /// Makes the staged key the present one. Without a staged key nothing happens.
    ///
    /// # Errors
    /// When it cannot be written.
    fn promote(&self) -> Result<(), Error>;
}

/// The path of the staged key: the same with `.next` at its end.
fn next(path: &Path) -> PathBuf {
    with_suffix(path, ".next")
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

/// Whether a file must be private to us.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Guard {
    /// Ours, and closed to everybody else.
    Private,
    /// Kept by somebody we trust (systemd), with whatever owner and mode it chose.
    Trusted,
}

/// Reads a small secret file. `None` when there is none.
fn read_secret(path: &Path, guard: Guard) -> Result<Option<Zeroizing<String>>, Error> {
    const MOST: u64 = 4096;
    let failed = |source| Error::File { action: "read", path: path.to_owned(), source };
    let link = if guard == Guard::Private { OFlag::O_NOFOLLOW } else { OFlag::empty() };
    // Not blocking: opening a pipe without a writer would hang here; what it is, is looked at next.
    let flags = (link | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC).bits();
    let file = match OpenOptions::new().read(true).custom_flags(flags).open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) if error.raw_os_error() == Some(nix::errno::Errno::ELOOP as i32) => {
            return Err(Error::NotAPlainFile { path: path.to_owned() });
        }
        Err(error) => return Err(failed(error)),
    };
    // Looked at through the open file: nobody can put another one in its place after this.
    let about = file.metadata().map_err(failed)?;
    if !about.is_file() {
        return Err(Error::NotAPlainFile { path: path.to_owned() });
    }
    if guard == Guard::Private {
        let (owner, user) = (about.uid(), unistd::geteuid().as_raw());
        if owner != user {
            return Err(Error::WrongOwner { path: path.to_owned(), owner, user });
        }
        let mode = about.mode() & 0o7777;
        if mode & 0o077 != 0 {
            return Err(Error::LooseMode { path: path.to_owned(), mode });
        }
    }
    let mut text = Zeroizing::new(String::with_capacity(4096 + 1));
    file.take(MOST + 1).read_to_string(&mut text).map_err(failed)?;
    if text.len() > 4096 {
        return Err(Error::BadMasterKey { from: path.display().to_string(), reason: "it is far too long" });
    }
    Ok(Some(text))
}

/// Writes a secret file that must not exist yet: mode 0600, complete and on the disk before it has its name.
fn write_new(path: &Path, text: &str) -> Result<(), Error> {
    let draft = draft(path, text)?;
    // A hard link, unlike a rename, fails when the name is taken.
    let linked = fs::hard_link(&draft, path);
    drop(fs::remove_file(&draft));
    linked.map_err(|source| match source.kind() {
        ErrorKind::AlreadyExists => Error::KeyFileExists { path: path.to_owned() },
        _ => Error::File { action: "create", path: path.to_owned(), source },
    })?;
    sync_folder(path)
}

/// Writes a secret file, replacing one of that name.
fn write_over(path: &Path, text: &str) -> Result<(), Error> {
    rename(&draft(path, text)?, path)
}

/// Renames and makes the new name last.
fn rename(from: &Path, to: &Path) -> Result<(), Error> {
    fs::rename(from, to).map_err(|source| Error::File { action: "rename a file to", path: to.to_owned(), source })?;
    sync_folder(to)
}

/// The whole text in a file beside `path`, made anew, on the disk.
fn draft(path: &Path, text: &str) -> Result<PathBuf, Error> {
    let draft = with_suffix(path, ".draft");
    let failed = |source| Error::File { action: "write", path: draft.clone(), source };
    match fs::remove_file(&draft) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(failed(error)),
        _ => {}
    }
    let flags = (OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC).bits();
    let mut file =
        OpenOptions::new().write(true).create_new(true).mode(0o600).custom_flags(flags).open(&draft).map_err(failed)?;
    let written = file.write_all(text.as_bytes()).and_then(|()| file.sync_all());
    if let Err(error) = written {
        drop(fs::remove_file(&draft));
        return Err(failed(error));
    }
    Ok(draft)
}

fn sync_folder(path: &Path) -> Result<(), Error> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or_else(|| Path::new("."));
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(|source| Error::File {
        action: "sync",
        path: folder.to_owned(),
        source,
    })
}

/// Promotes the file staged beside `path`.
fn promote_file(path: &Path) -> Result<(), Error> {
    let staged = next(path);
    match fs::symlink_metadata(&staged) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        _ => rename(&staged, path),
    }
}

#[cfg(test)]
mod tests;
