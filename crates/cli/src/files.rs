//! Files that only their owner may read, and files that are never overwritten.

use crate::failure::Failure;
use serde::de::DeserializeOwned;
use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, Read, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
};
use zeroize::Zeroizing;

/// The longest small file that is read, in bytes.
const LONGEST: usize = 64 << 10;

/// Makes a new file that only its owner may read and write.
///
/// # Errors
/// When something of that name is there already, or the file cannot be made.
pub(crate) fn create(path: &Path) -> Result<File, Failure> {
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).map_err(|error| match error.kind() {
        io::ErrorKind::AlreadyExists => exists(path),
        _ => Failure::failed(format!("cannot create {}: {error}", path.display())),
    })
}

/// The refusal to overwrite.
#[must_use]
pub(crate) fn exists(path: &Path) -> Failure {
    Failure::failed(format!("{} exists already and is not overwritten", path.display()))
        .hint("choose another name, or move the old file away first")
}

/// Puts a finished file into its place without overwriting anything that appeared there meanwhile.
///
/// # Errors
/// When the place is taken or the file cannot be moved.
pub(crate) fn settle(finished: &Path, place: &Path) -> Result<(), Failure> {
    match fs::hard_link(finished, place) {
        Ok(()) => fs::remove_file(finished).map_err(|error| cannot_write(finished, &error)),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Err(exists(place)),
        // Some file systems (FAT, many network mounts) have no hard links.
        Err(_) if place.symlink_metadata().is_ok() => Err(exists(place)),
        Err(_) => fs::rename(finished, place).map_err(|error| cannot_write(place, &error)),
    }
}

/// The failure to write a file.
#[must_use]
pub(crate) fn cannot_write(path: &Path, error: &io::Error) -> Failure {
    Failure::failed(format!("cannot write {}: {error}", path.display()))
}

/// Writes a small file that only its owner may read, in one step: readers see the old content or the new. Makes the
/// folder when it is not there.
///
/// # Errors
/// When the folder or the file cannot be written.
pub(crate) fn replace(path: &Path, content: &[u8]) -> Result<(), Failure> {
    let folder = path.parent().unwrap_or_else(|| Path::new("."));
    DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(|error| cannot_write(folder, &error))?;
    overwrite(path, |file| file.write_all(content))
}

/// Writes a file beside a place and puts it there. What could not be written whole does not stay.
fn overwrite(path: &Path, write: impl FnOnce(&mut File) -> io::Result<()>) -> Result<(), Failure> {
    let (mut file, draft) = draft(path)?;
    write(&mut file).and_then(|()| file.sync_all()).and_then(|()| fs::rename(&draft, path)).map_err(|error| {
        // The failure is told; a second one to clear up would hide it.
        let _gone = fs::remove_file(&draft);
        cannot_write(path, &error)
    })
}

/// A new file beside a place, and where it lies.
fn draft(path: &Path) -> Result<(File, PathBuf), Failure> {
    let draft = beside(path, ".new");
    match fs::remove_file(&draft) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(cannot_write(&draft, &error)),
        _ => {}
    }
    Ok((create(&draft)?, draft))
}

/// Writes a report: as [`replace`], but what is no file of content (a device, a pipe, standard output by name) is written
/// into and stays what it is. Who may do everything would otherwise put a file into the place of `/dev/null`.
///
/// # Errors
/// When it cannot be written.
pub(crate) fn deliver(path: &Path, content: &[u8]) -> Result<(), Failure> {
    if !is_channel(path) {
        return overwrite(path, |file| file.write_all(content));
    }
    let written = OpenOptions::new().append(true).open(path).and_then(|mut file| file.write_all(content));
    written.map_err(|error| cannot_write(path, &error))
}

/// Whether a report can be delivered there, found out before the work for it is done.
///
/// # Errors
/// When nothing can be written there.
pub(crate) fn try_deliver(path: &Path) -> Result<(), Failure> {
    if is_channel(path) {
        return Ok(());
    }
    if path.is_dir() {
        return Err(cannot_write(path, &io::ErrorKind::IsADirectory.into()));
    }
    // A folder that is not there is a typing mistake more often than a wish.
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty() && !folder.is_dir()) {
        let why = if folder.exists() { "is no folder" } else { "is not there: make the folder first" };
        return Err(Failure::failed(format!("cannot write {}: {} {why}", path.display(), folder.display())));
    }
    let draft = draft(path)?.1;
    fs::remove_file(&draft).map_err(|error| cannot_write(&draft, &error))
}

/// Whether something stands there that passes on what is written to it.
fn is_channel(path: &Path) -> bool {
    let Ok(there) = path.symlink_metadata() else { return false };
    let passes_on = |about: &fs::Metadata| !about.is_file() && !about.is_dir() && !about.is_symlink();
    if !there.is_symlink() {
        return passes_on(&there);
    }
    // `/dev/stdout` leads to a file as often as to a pipe.
    fs::read_link(path).is_ok_and(|target| target.starts_with("/proc"))
        || path.metadata().is_ok_and(|to| passes_on(&to))
}

/// A name beside a file: the same with an ending.
#[must_use]
pub(crate) fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(ending);
    name.into()
}

/// Reads a JSON file that holds a secret. `None` when it is not there.
///
/// # Errors
/// When it cannot be read, others may read it, or it is not what it should be.
pub(crate) fn read_private<T: DeserializeOwned>(path: &Path) -> Result<Option<T>, Failure> {
    let Some(file) = open(path)? else { return Ok(None) };
    let mode = file.metadata().map_err(|error| cannot_read(path, &error))?.permissions().mode() & 0o777;
    if mode & 0o077 != 0 {
        return Err(Failure::failed(format!("{} can be read by others (mode {mode:04o})", path.display()))
            .hint(format!("chmod 600 {}", path.display())));
    }
    let bytes = contents(path, file)?;
    serde_json::from_slice(&bytes).map(Some).map_err(|error| {
        Failure::failed(format!("{} is damaged (line {}, column {})", path.display(), error.line(), error.column()))
    })
}

/// Reads a small file, whoever else may read it; wiped when dropped. `None` when it is not there.
///
/// # Errors
/// When it cannot be read or is longer than 64 KiB.
pub(crate) fn read_small(path: &Path) -> Result<Option<Zeroizing<Vec<u8>>>, Failure> {
    open(path)?.map(|file| contents(path, file)).transpose()
}

fn open(path: &Path) -> Result<Option<File>, Failure> {
    match File::open(path) {
        Ok(file) => Ok(Some(file)),
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => Ok(None),
        Err(error) => Err(cannot_read(path, &error)),
    }
}

fn contents(path: &Path, file: File) -> Result<Zeroizing<Vec<u8>>, Failure> {
    // Room for everything from the start: a buffer that grows leaves copies behind that nobody wipes.
    let mut bytes = Zeroizing::new(Vec::with_capacity(LONGEST + 1));
    file.take(LONGEST as u64 + 1).read_to_end(&mut bytes).map_err(|error| cannot_read(path, &error))?;
    if bytes.len() > LONGEST {
        return Err(Failure::failed(format!("{} is longer than {LONGEST} bytes", path.display())));
    }
    Ok(bytes)
}

fn cannot_read(path: &Path, error: &io::Error) -> Failure {
    Failure::failed(format!("cannot read {}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;
    use std::os::unix::fs::FileTypeExt;

    fn mode(path: &Path) -> u32 {
        path.metadata().unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn new_files_are_private_and_old_ones_stay() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        create(&path).unwrap().write_all(b"first").unwrap();
        assert_eq!(mode(&path), 0o600);
        assert!(create(&path).unwrap_err().error.contains("exists already"));
        let draft = folder.path().join("draft");
        fs::write(&draft, "second").unwrap();
        assert!(settle(&draft, &path).unwrap_err().error.contains("exists already"));
        assert_eq!(fs::read(&path).unwrap(), b"first");
        settle(&draft, &folder.path().join("b")).unwrap();
        assert!(!draft.exists() && folder.path().join("b").exists());
    }

    #[test]
    fn a_report_goes_into_devices_and_does_not_take_their_place() {
        let folder = tempfile::tempdir().unwrap();
        let null = folder.path().join("null");
        std::os::unix::fs::symlink("/dev/null", &null).unwrap();
        deliver(&null, b"gone").unwrap();
        assert!(null.symlink_metadata().unwrap().is_symlink());
        assert!(null.metadata().unwrap().file_type().is_char_device());
        // Where a link leads to a file, the link goes: nobody has us write elsewhere by leaving a link.
        let (elsewhere, link) = (folder.path().join("elsewhere"), folder.path().join("link"));
        fs::write(&elsewhere, "kept").unwrap();
        std::os::unix::fs::symlink(&elsewhere, &link).unwrap();
        deliver(&link, b"report").unwrap();
        assert!(link.symlink_metadata().unwrap().is_file());
        assert_eq!((fs::read(&link).unwrap(), fs::read(&elsewhere).unwrap()), (b"report".to_vec(), b"kept".to_vec()));
        let names = || fs::read_dir(folder.path()).unwrap().count();
        let before = names();
        try_deliver(&link).unwrap();
        try_deliver(&folder.path().join("new")).unwrap();
        assert!(try_deliver(folder.path()).unwrap_err().error.contains("cannot write"));
        assert!(try_deliver(&link.join("below")).unwrap_err().error.contains("is no folder"));
        let nowhere = folder.path().join("not/there");
        assert!(try_deliver(&nowhere).unwrap_err().error.contains("make the folder first"));
        assert!(deliver(&nowhere, b"report").is_err() && !folder.path().join("not").exists());
        // A disk that is full while the report is written leaves nothing of it behind.
        let full = |file: &mut File| file.write_all(b"part").and_then(|()| Err(io::ErrorKind::StorageFull.into()));
        assert!(overwrite(&folder.path().join("part.json"), full).unwrap_err().error.contains("cannot write"));
        assert_eq!(names(), before);
        assert!(is_channel(Path::new("/dev/null")) && !is_channel(folder.path()) && !is_channel(&link));
    }

    #[test]
    fn settings_are_replaced_whole_and_read_only_when_private() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("deep/er/client.json");
        assert_eq!(read_private::<Value>(&path).unwrap(), None);
        replace(&path, br#"{"a":1}"#).unwrap();
        replace(&path, br#"{"a":2}"#).unwrap();
        assert_eq!((mode(&path), mode(path.parent().unwrap())), (0o600, 0o700));
        assert_eq!(read_private::<Value>(&path).unwrap().unwrap()["a"], 2);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        let refused = read_private::<Value>(&path).unwrap_err();
        assert!(refused.error.contains("can be read by others (mode 0640)"), "{refused:?}");
        assert!(refused.hints[0].starts_with("chmod 600"));
        replace(&path, b"{").unwrap();
        assert!(read_private::<Value>(&path).unwrap_err().error.contains("damaged"));
    }
}
