//! Opens and reads one file: never waits for a pipe, never follows a link, and notices what changes meanwhile.

use crate::{
    Bounds, Cause, Look,
    unpack::{AT_ONCE, Budget, Spare, Store, Unpack, Whole, WithLog, has_log},
};
use rustix::{
    fs::{self, FileType, Mode, OFlags, SeekFrom, Stat},
    io::Errno,
};
use std::{
    io::{self, Read, Seek},
    os::fd::{AsFd, BorrowedFd, OwnedFd},
};

/// What is kept from file to file.
#[derive(Default)]
pub(super) struct Reader {
    buffer: Vec<u8>,
    spare: Spare,
}

/// Opens the file beside the one at hand whose name has this end.
pub(super) type Beside<'a> = dyn Fn(&[u8]) -> Option<(OwnedFd, Stat)> + 'a;

/// Why a file was not read, or not as it was.
pub(super) type Failure = (Cause, Box<str>);

/// Opens a file of a folder. A pipe is not waited for, a link is an error.
pub(super) fn open(folder: BorrowedFd<'_>, name: &[u8], follow: bool) -> Result<(OwnedFd, Stat), Failure> {
    let mut flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
    if !follow {
        flags |= OFlags::NOFOLLOW;
    }
    let file = fs::openat(folder, name, flags, Mode::empty()).map_err(|error| match error {
        Errno::LOOP => (Cause::Changed, "it became a link while it was looked at".into()),
        // Sockets, and devices without a driver.
        Errno::NXIO | Errno::NODEV => (Cause::Special, "it is a socket or a device".into()),
        other => failure(other),
    })?;
    let stat = fs::fstat(&file).map_err(failure)?;
    Ok((file, stat))
}

pub(super) fn failure(error: Errno) -> Failure {
    let cause = if error == Errno::NOENT { Cause::Changed } else { Cause::Unreadable };
    (cause, io::Error::from(error).to_string().into())
}

/// What a thing is that is no file.
pub(super) fn special(kind: FileType) -> Failure {
    let name = match kind {
        FileType::Fifo => "it is a pipe",
        FileType::Socket => "it is a socket",
        FileType::CharacterDevice | FileType::BlockDevice => "it is a device",
        _ => "it is no file",
    };
    (Cause::Special, name.into())
}

impl Reader {
    /// Unpacks an open file.
    pub(super) fn read(
        &mut self,
        file: &OwnedFd,
        stat: &Stat,
        beside: &Beside<'_>,
        bounds: &Bounds,
        look: &mut dyn Look,
    ) -> Result<(), Failure> {
        let size = u64::try_from(stat.st_size).unwrap_or(0);
        if size > bounds.file {
            return Err((Cause::TooLarge, format!("it has {size} bytes").into()));
        }
        let budget = Budget::new(bounds);
        let mut unpack = Unpack::new(bounds, &budget, look, &mut self.spare);
        // Files that the kernel makes up say that they are empty.
        let Some(small) = usize::try_from(size).ok().filter(|size| (1..=AT_ONCE).contains(size)) else {
            let mut sparse = Sparse::new(file, stat);
            if FileType::from_raw_mode(stat.st_mode) == FileType::Fifo {
                unpack.pipe(&mut sparse);
                return Ok(());
            }
            let mut head = [0; 20];
            let is_logged = rustix::io::pread(file, &mut head, 0) == Ok(head.len()) && has_log(&head);
            if !is_logged || !with_log(&mut unpack, &mut sparse, beside) {
                sparse.rewind().map_err(|error| (Cause::Unreadable, error.to_string().into()))?;
                unpack.file(&mut sparse);
            }
            return match fs::fstat(file) {
                Ok(now) if now.st_size != stat.st_size || now.st_mtime != stat.st_mtime => Err(changed()),
                _ => Ok(()),
            };
        };
        if self.buffer.len() < small {
            self.buffer.resize(small.next_power_of_two(), 0);
        }
        let mut filled = 0;
        let failed = loop {
            let Some(into) = self.buffer.get_mut(filled..small).filter(|into| !into.is_empty()) else { break None };
            match rustix::io::read(file, into) {
                Ok(0) => break Some(changed()),
                Ok(count) => filled += count,
                Err(Errno::INTR) => {}
                Err(error) => break Some(failure(error)),
            }
        };
        let bytes = self.buffer.get(..filled).unwrap_or_default();
        if !has_log(bytes) || !with_log(&mut unpack, &mut Whole(io::Cursor::new(bytes)), beside) {
            unpack.memory(bytes);
        }
        failed.map_or(Ok(()), Err)
    }
}

/// Reads a database with the log beside it. False: there is none that counts.
fn with_log(unpack: &mut Unpack<'_>, base: &mut dyn Store, beside: &Beside<'_>) -> bool {
    let Some((log, stat)) = beside(b"-wal") else { return false };
    let mut log = Sparse::new(&log, &stat);
    let Ok(Some(mut both)) = WithLog::new(base, &mut log) else { return false };
    unpack.database(&mut both);
    true
}

fn changed() -> Failure {
    (Cause::Changed, "it changed while it was read".into())
}

/// A file that may have holes.
struct Sparse<'f> {
    file: &'f OwnedFd,
    /// Where the stretch of data ends that the place is in. Behind it, a hole may begin.
    data_to: u64,
    at: u64,
    is_sparse: bool,
}

impl<'f> Sparse<'f> {
    fn new(file: &'f OwnedFd, stat: &Stat) -> Self {
        // Blocks are counted in 512 bytes, whatever their size.
        let stored = u64::try_from(stat.st_blocks).unwrap_or(u64::MAX).saturating_mul(512);
        let is_sparse = stored < u64::try_from(stat.st_size).unwrap_or(0);
        Self { file, data_to: 0, at: 0, is_sparse }
    }
}

impl Read for Sparse<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let left = usize::try_from(self.data_to.saturating_sub(self.at)).unwrap_or(usize::MAX);
        let most = if self.is_sparse && left > 0 { left.min(into.len()) } else { into.len() };
        let count = rustix::io::read(self.file, into.get_mut(..most).unwrap_or_default())?;
        self.at += u64::try_from(count).unwrap_or(0);
        Ok(count)
    }
}

impl Seek for Sparse<'_> {
    fn seek(&mut self, to: io::SeekFrom) -> io::Result<u64> {
        let to = match to {
            io::SeekFrom::Start(at) => SeekFrom::Start(at),
            io::SeekFrom::End(at) => SeekFrom::End(at),
            io::SeekFrom::Current(at) => SeekFrom::Current(at),
        };
        self.at = fs::seek(self.file.as_fd(), to)?;
        self.data_to = 0;
        Ok(self.at)
    }
}

impl Store for Sparse<'_> {
    fn skip_hole(&mut self) -> io::Result<u64> {
        if !self.is_sparse || self.at < self.data_to {
            return Ok(0);
        }
        let at = self.at;
        let data = match fs::seek(self.file, SeekFrom::Data(at)) {
            Ok(data) => data,
            // Only a hole is left.
            Err(Errno::NXIO) => fs::seek(self.file, SeekFrom::End(0))?,
            Err(_) => {
                self.is_sparse = false;
                fs::seek(self.file, SeekFrom::Start(at))?;
                return Ok(0);
            }
        };
        self.data_to = fs::seek(self.file, SeekFrom::Hole(data)).unwrap_or(data);
        self.at = fs::seek(self.file, SeekFrom::Start(data))?;
        Ok(data.saturating_sub(at))
    }
}
