//! The one place with unsafe code: writing into a memory-mapped file. Bounds are checked here; that only one thread
//! writes at a time is seen to by the lane's lock. Nobody reads through the map: readers use the file.

use memmap2::{MmapOptions, MmapRaw};
use std::{
    fs::File,
    io,
    sync::atomic::{AtomicU32, Ordering},
};

/// A file in memory, for writing.
#[derive(Debug)]
pub(super) struct Map(MmapRaw);

impl Map {
    /// Maps the first bytes of a file that is at least that long. Its blocks must have been allocated, so that no
    /// write can fail for want of space.
    pub(super) fn new(file: &File, length: usize) -> io::Result<Self> {
        MmapOptions::new().len(length).map_raw(file).map(Self)
    }

    /// Writes bytes at a place; whether they fit.
    pub(super) fn write(&self, at: usize, bytes: &[u8]) -> bool {
        let fits = at.checked_add(bytes.len()).is_some_and(|end| end <= self.0.len());
        if fits {
            #[expect(unsafe_code, reason = "within the map, as just checked; no reference into the map ever exists")]
            // SAFETY: source and target do not overlap (the source is an ordinary slice), the target is in the map,
            // and the lane's lock keeps other writers out.
            unsafe {
                std::ptr::copy_nonoverlapping(bytes.as_ptr(), self.0.as_mut_ptr().add(at), bytes.len());
            }
        }
        fits
    }

    /// Stores four bytes so that they are seen only after everything written before; whether they fit. The place
    /// must be aligned to four.
    pub(super) fn commit(&self, at: usize, value: u32) -> bool {
        let fits = at.is_multiple_of(4) && at.checked_add(4).is_some_and(|end| end <= self.0.len());
        if fits {
            #[expect(unsafe_code, reason = "within the map and aligned, as just checked")]
            // SAFETY: the pointer is in the map, aligned (maps begin at a page), and only ever used for atomic or locked writes.
            let place = unsafe { AtomicU32::from_ptr(self.0.as_mut_ptr().add(at).cast()) };
            place.store(value, Ordering::Release);
        }
        fits
    }

    /// Has the system put pages below a range at once, which it else does one by one, at the first write
    /// to each. Nothing but speed depends on it.
    pub(super) fn prepare(&self, from: usize, length: usize) {
        #[cfg(target_os = "linux")]
        if let Err(error) =
            self.0.advise_range(memmap2::Advice::PopulateWrite, from, length.min(self.0.len().saturating_sub(from)))
        {
            tracing::trace!(%error, "pages of the journal come one by one");
        }
    }

    /// Brings a range to the disk.
    pub(super) fn sync(&self, from: usize, length: usize) -> io::Result<()> {
        self.0.flush_range(from, length.min(self.0.len().saturating_sub(from)))
    }
}
