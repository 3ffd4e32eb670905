//! The data folder: made with mode 0700, used by one server at a time, with `local.json` in it so that the same
//! user's command line finds the server.

use crate::advice::{Advise, advised};
use anyhow::Context;
use nix::fcntl::{Flock, FlockArg};
use serde_json::json;
use std::{
    fs::{self, File, OpenOptions},
    io::Write,
    os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
};

/// What to do when the folder is not ours.
const ANOTHER: &str = "run this as the user whose folder it is, or name another with --data-dir FOLDER";

/// The data folder while this process uses it. The lock goes with the process, however it ends.
pub(crate) struct DataFolder {
    path: PathBuf,
    _lock: Flock<File>,
}

impl DataFolder {
    /// Makes the folder when it is not there, and takes it for this process.
    ///
    /// # Errors
    /// When the folder cannot be made or written, is open to others, or another server uses it.
    pub(crate) fn take(path: &Path) -> anyhow::Result<Self> {
        make(path)?;
        let lock_path = path.join("keyward.lock");
        let file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .read(true)
            .mode(0o600)
            .open(&lock_path)
            .with_context(|| format!("opening {}", lock_path.display()))
            .hint(ANOTHER)?;
        let mut lock = match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
            Ok(lock) => lock,
            Err((_, nix::errno::Errno::EWOULDBLOCK)) => {
                let holder = fs::read_to_string(&lock_path).unwrap_or_default();
                let holder = holder.trim();
                let who = if holder.is_empty() { String::new() } else { format!(" (process {holder})") };
                return Err(advised(
                    format!("the data folder {} is in use by another server{who}", path.display()),
                    "stop it first, or name another folder with --data-dir",
                ));
            }
            Err((_, error)) => return Err(error).with_context(|| format!("locking {}", lock_path.display())),
        };
        lock.set_len(0)?;
        writeln!(lock, "{}", std::process::id()).with_context(|| format!("writing {}", lock_path.display()))?;
        Ok(Self { path: path.to_path_buf(), _lock: lock })
    }

    /// Writes `local.json`: where the control API is, a token for it, and the certificate to trust.
    ///
    /// # Errors
    /// When it cannot be written.
    pub(crate) fn write_local(&self, admin: &str, token: &str, ca: Option<&Path>) -> anyhow::Result<()> {
        let mut content = json!({"admin": admin, "token": token});
        if let (Some(ca), Some(fields)) = (ca, content.as_object_mut()) {
            fields.insert("ca".to_owned(), ca.display().to_string().into());
        }
        let (path, new) = (self.path.join("local.json"), self.path.join("local.json.new"));
        drop(fs::remove_file(&new));
        let mut file = OpenOptions::new()
            .create_new(true)
            .write(true)
            .mode(0o600)
            .open(&new)
            .with_context(|| format!("writing {}", new.display()))?;
        writeln!(file, "{content}").with_context(|| format!("writing {}", new.display()))?;
        fs::rename(&new, &path).with_context(|| format!("writing {}", path.display()))
    }

    /// Takes `local.json` away at the end, so that the command line does not look for a server that is gone.
    pub(crate) fn remove_local(&self) {
        drop(fs::remove_file(self.path.join("local.json")));
    }
}

/// Makes a folder that only its owner may enter; an existing one keeps its mode unless others may write in it.
fn make(path: &Path) -> anyhow::Result<()> {
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .with_context(|| format!("making the data folder {}", path.display()))
        .hint(ANOTHER)?;
    let mode = fs::metadata(path)?.permissions().mode();
    if mode & 0o022 != 0 {
        return Err(advised(
            format!("the data folder {} can be written by others (mode {:o})", path.display(), mode & 0o777),
            format!("run: chmod 700 {}", path.display()),
        ));
    }
    Ok(())
}

/// The name of the journal in a data folder, made with `fresh` when it has none. It names the very folder and not a copy
/// of it: whoever copies a folder must not account for what the server on the first one is doing.
///
/// # Errors
/// When it cannot be read or written.
pub(crate) fn journal_name(folder: &Path, fresh: &str) -> anyhow::Result<String> {
    let path = folder.join("node");
    let failed = || format!("the name of this node in {}", path.display());
    if let Ok(text) = fs::read_to_string(&path)
        && let Some((name, inode)) = text.trim().split_once(' ')
        && inode.parse() == Ok(fs::metadata(&path).with_context(failed)?.ino())
        && !name.is_empty()
    {
        return Ok(name.to_owned());
    }
    // Written whole under another name: a file that was cut off would be a new name at each start.
    let new = folder.join("node.new");
    drop(fs::remove_file(&new));
    let mut file = OpenOptions::new().create_new(true).write(true).mode(0o600).open(&new).with_context(failed)?;
    let inode = file.metadata().with_context(failed)?.ino();
    writeln!(file, "{fresh} {inode}").and_then(|()| file.sync_all()).with_context(failed)?;
    fs::rename(&new, &path).with_context(failed)?;
    File::open(folder).and_then(|folder| folder.sync_all()).with_context(failed)?;
    Ok(fresh.to_owned())
}

/// Which run of the machine this is. None where the system does not tell: then every start counts as another.
pub(crate) fn boot_id() -> Option<String> {
    let id = fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    Some(id.trim().to_owned()).filter(|id| !id.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::advice::hints;

    #[test]
    fn one_server_at_a_time() {
        let place = tempfile::tempdir().expect("a folder");
        let path = place.path().join("data");
        let first = DataFolder::take(&path).expect("free");
        assert_eq!(fs::metadata(&path).expect("made").permissions().mode() & 0o777, 0o700);
        let error = DataFolder::take(&path).err().expect("taken");
        assert!(error.to_string().contains("another server"), "{error}");
        assert!(hints(&error).concat().contains("--data-dir"), "{error}");
        drop(first);
        DataFolder::take(&path).map(|_| ()).expect("free again");
    }

    #[test]
    fn a_folder_that_others_can_write_is_refused_with_the_remedy() {
        let place = tempfile::tempdir().expect("a folder");
        fs::set_permissions(place.path(), fs::Permissions::from_mode(0o777)).expect("changed");
        let error = DataFolder::take(place.path()).err().expect("refused");
        assert!(hints(&error).concat().contains("chmod 700"), "{error}");
    }

    #[test]
    fn a_journal_keeps_its_name_and_a_copy_gets_another() {
        let place = tempfile::tempdir().expect("a folder");
        let (first, copy) = (place.path().join("first"), place.path().join("copy"));
        fs::create_dir(&first).expect("made");
        fs::create_dir(&copy).expect("made");
        assert_eq!(journal_name(&first, "one").expect("made"), "one");
        assert_eq!(journal_name(&first, "two").expect("read"), "one");
        fs::copy(first.join("node"), copy.join("node")).expect("copied");
        assert_eq!(journal_name(&copy, "two").expect("made"), "two");
        fs::write(first.join("node"), "damaged").expect("written");
        assert_eq!(journal_name(&first, "three").expect("made"), "three");
        assert_eq!(journal_name(&first, "four").expect("read"), "three");
    }

    #[test]
    fn the_local_file_is_for_its_owner_alone() {
        let place = tempfile::tempdir().expect("a folder");
        let data = DataFolder::take(&place.path().join("data")).expect("free");
        data.write_local("http://127.0.0.1:1", "token", None).expect("written");
        data.write_local("http://127.0.0.1:2", "token", None).expect("written again");
        let path = place.path().join("data/local.json");
        assert_eq!(fs::metadata(&path).expect("there").permissions().mode() & 0o777, 0o600);
        assert!(fs::read_to_string(&path).expect("text").contains("127.0.0.1:2"));
        data.remove_local();
        assert!(!path.exists());
    }
}
