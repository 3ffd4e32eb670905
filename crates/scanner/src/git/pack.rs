//! Packs: many objects in one file, most of them as differences from others.
//!
//! Packs are read with plain reads and never mapped: a file that is cut off underneath is then an error and not a crash.

mod delta;
mod entry;
mod index;
mod layout;
mod recover;
mod walk;

pub(crate) use delta::{Changes, apply, sizes};
pub(crate) use entry::{Base, Header};
pub(crate) use index::Index;
pub(crate) use layout::Layout;
pub(crate) use recover::{name, recover};
pub(crate) use walk::{Fault, Seen, Visit, Walker};

use super::{id::Format, open};
use std::{
    fs::File,
    io,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
};

/// How many bytes the header of a pack has.
pub(crate) const PACK_HEADER: u64 = 12;

/// One pack with its index.
#[derive(Debug)]
pub(crate) struct Pack {
    pub(crate) path: PathBuf,
    pub(crate) index: Index,
    file: File,
    /// Where the entries end and the checksum begins.
    end: u64,
}

impl Pack {
    /// Opens a pack. Its index is read whole.
    pub(crate) fn open(path: &Path, format: Format) -> Result<Self, PackError> {
        let mut pack = Self::open_bare(path, format)?;
        let index = open::read(&path.with_extension("idx"))?;
        pack.index = Index::parse(&index, format, pack.end).ok_or(PackError::Index)?;
        Ok(pack)
    }

    /// Opens a pack whose index is missing or broken.
    pub(crate) fn open_bare(path: &Path, format: Format) -> Result<Self, PackError> {
        let file = open::open(path)?;
        let mut header = [0; 12];
        file.read_exact_at(&mut header, 0).map_err(|_| PackError::Header)?;
        if !header.starts_with(b"PACK\0\0\0\x02") && !header.starts_with(b"PACK\0\0\0\x03") {
            return Err(PackError::Header);
        }
        let checksum = u64::try_from(format.len()).unwrap_or(u64::MAX);
        let end = file.metadata()?.len().saturating_sub(checksum).max(PACK_HEADER);
        Ok(Self { path: path.to_owned(), index: Index::empty(format), file, end })
    }

    /// Reads the header of the entry at an offset.
    pub(crate) fn header(&self, offset: u64) -> io::Result<Option<Header>> {
        let mut bytes = [0; entry::LONGEST];
        let read = self.read(offset, &mut bytes)?;
        Ok(Header::parse(bytes.get(..read).unwrap_or_default(), self.index.format()))
    }

    /// Where the entries end.
    pub(crate) const fn end(&self) -> u64 {
        self.end
    }

    /// Reads as much as there is at an offset, up to the length of the buffer.
    pub(crate) fn read(&self, offset: u64, to: &mut [u8]) -> io::Result<usize> {
        let mut read = 0;
        while let Some(rest) = to.get_mut(read..).filter(|rest| !rest.is_empty()) {
            match self.file.read_at(rest, offset + u64::try_from(read).unwrap_or(u64::MAX)) {
                Ok(0) => break,
                Ok(more) => read += more,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(read)
    }
}

/// The bytes of a pack from an offset on.
pub(crate) struct From<'p> {
    pub(crate) pack: &'p Pack,
    pub(crate) offset: u64,
}

impl io::Read for From<'_> {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        let read = self.pack.read(self.offset, to)?;
        self.offset += u64::try_from(read).unwrap_or(0);
        Ok(read)
    }
}

/// Why a pack cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PackError {
    #[error("{0}")]
    Io(#[from] io::Error),
    #[error("it does not begin as a pack does")]
    Header,
    #[error("its index is broken")]
    Index,
}
