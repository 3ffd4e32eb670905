//! Opens files of a repository. In the place of any of them there may be a pipe, which would be waited for, for ever.

use super::pack::Fault;
use crate::Cause;
use rustix::{
    fs::{self, Mode, OFlags},
    io::Errno,
};
use std::{fs::File, io, io::Read, path::Path};

/// What is said of something that is no file.
const NO_FILE: &str = "it is not a file";

/// Opens a file. A pipe, a socket, a device and a folder are errors.
pub(crate) fn open(path: &Path) -> io::Result<File> {
    // Opened so, a pipe is not waited for, and told from a file afterwards: whatever happens to the name meanwhile.
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
    let file = match fs::open(path, flags, Mode::empty()) {
        Ok(file) => File::from(file),
        Err(Errno::NXIO | Errno::NODEV) => return Err(special()),
        Err(error) => return Err(error.into()),
    };
    if !file.metadata()?.is_file() {
        return Err(special());
    }
    // Files that are kept by another program may say "later" to whoever does not wait.
    let flags = fs::fcntl_getfl(&file)?;
    fs::fcntl_setfl(&file, flags - OFlags::NONBLOCK)?;
    Ok(file)
}

/// Reads a whole file.
pub(crate) fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    open(path)?.read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Why a file could not be opened or read.
pub(crate) fn fault(error: &io::Error) -> Fault {
    let cause = if is_special(error) { Cause::Special } else { Cause::Unreadable };
    Fault { cause, detail: error.to_string().into() }
}

/// Whether it was no file.
pub(crate) fn is_special(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::InvalidInput && error.to_string() == NO_FILE
}

fn special() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, NO_FILE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_files_are_opened() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        std::fs::write(path("file"), "text").unwrap();
        assert_eq!(read(&path("file")).unwrap(), b"text");
        assert!(std::process::Command::new("mkfifo").arg(path("pipe")).status().unwrap().success());
        let _socket = std::os::unix::net::UnixListener::bind(path("socket")).unwrap();
        std::os::unix::fs::symlink("pipe", path("link")).unwrap();
        std::fs::create_dir(path("folder")).unwrap();
        for name in ["pipe", "socket", "link", "folder"] {
            let error = open(&path(name)).unwrap_err();
            assert_eq!(fault(&error).cause, Cause::Special, "{name}: {error}");
        }
        let error = open(&path("nothing")).unwrap_err();
        assert_eq!((error.kind(), fault(&error).cause), (io::ErrorKind::NotFound, Cause::Unreadable));
    }
}
