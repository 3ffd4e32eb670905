//! What has happened, on disk before anybody waits for it: a journal that survives the process being killed at any
//! moment, without a system call per record. Each thread writes into a memory-mapped file of its own; a record counts
//! from the moment its length is stored, which comes last. A keeper thread makes files ready ahead of time and brings
//! them to the disk every second, for the case of a power cut. A collector reads, stores, and releases.
//!
//! Nothing accepted is lost: a call takes a [`Ticket`] first, and tickets are given only for room that is there.

mod files;
mod keeper;
mod lane;
mod map;
mod reader;
mod record;

pub use lane::{Ticket, Writer};
pub use reader::Reader;
pub use record::{Entry, Position};

use files::Files;
use keeper::Keeper;
use lane::Lane;
use std::{
    io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

/// How large the journal is and how often it is brought to the disk.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// The size of one file, in bytes.
    pub segment_bytes: u64,
    /// The size of all files together, in bytes. When it is reached, no new calls are accepted.
    pub max_bytes: u64,
    /// How often files are brought to the disk.
    pub sync_every: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self { segment_bytes: 1 << 20, max_bytes: 1 << 30, sync_every: Duration::from_secs(1) }
    }
}

/// Why the journal cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Another process has it open.
    #[error("the journal in {0} is in use by another process")]
    InUse(PathBuf),
    /// The folder or a file cannot be used.
    #[error("the journal in {path} cannot be used")]
    Folder {
        /// The folder.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The keeper thread cannot be started.
    #[error("the journal's keeper cannot be started")]
    Keeper(#[source] io::Error),
}

/// There is no room for another call: the disk is full, or the collector is far behind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the journal has no room for another call")]
pub struct Full;

/// How much the journal holds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Depth {
    /// Bytes of records that were not released yet.
    pub bytes: u64,
    /// Whether new calls are refused.
    pub full: bool,
    /// Events that found no room although their calls had tickets: never, unless the disk breaks.
    pub lost: u64,
}

/// The journal of one gateway.
#[derive(Debug)]
pub struct Journal {
    inner: Arc<Inner>,
    keeper: Keeper,
}

/// What writers, readers and the keeper share.
#[derive(Debug)]
struct Inner {
    options: Options,
    files: Files,
    lanes: Mutex<Vec<Arc<Lane>>>,
}

impl Inner {
    fn lanes(&self) -> Vec<Arc<Lane>> {
        self.lanes.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Journal {
    /// Opens the journal in a folder, which is made if need be. What earlier processes left there is read first by
    /// every [`Reader`]. `random` gives numbers that no other process has.
    ///
    /// # Errors
    /// When the folder cannot be used, or another process uses it.
    pub fn open(folder: &Path, options: Options, random: impl FnMut() -> u64) -> Result<Self, Error> {
        let files = Files::open(folder, options, random)?;
        let inner = Arc::new(Inner { options, files, lanes: Mutex::default() });
        let keeper = Keeper::start(Arc::clone(&inner)).map_err(Error::Keeper)?;
        Ok(Self { inner, keeper })
    }

    /// A writer, for one thread to keep: writers never wait for each other.
    #[must_use]
    pub fn writer(&self) -> Writer {
        let lane = Arc::new(Lane::new(self.inner.files.new_stream()));
        self.inner.lanes.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::clone(&lane));
        self.keeper.nudge();
        Writer::new(Arc::clone(&self.inner), lane)
    }

    /// A reader of everything that was not released yet.
    #[must_use]
    pub fn reader(&self) -> Reader {
        Reader::new(Arc::clone(&self.inner))
    }

    /// How much there is to read.
    #[must_use]
    pub fn depth(&self) -> Depth {
        self.inner.files.depth()
    }

    /// Brings everything to the disk now.
    pub fn sync(&self) {
        keeper::sync(&self.inner);
    }
}

#[cfg(test)]
mod tests;
