//! How many calls are open, counted so that threads do not wait for each other's memory, and yet exactly when it matters.

use super::ahead::{Ahead, Part};
use std::sync::atomic::{AtomicI64, Ordering::AcqRel, Ordering::Acquire};

/// How many places a thread takes ahead.
const BATCH: i64 = 16;
/// With so many calls open at once, threads get parts of their own.
const BUSY: i64 = 16;

/// Places that are taken: by open calls, and by threads for their next ones. What the threads have left over in their
/// parts, taken from this, is how many calls are open.
#[derive(Debug, Default)]
pub(super) struct Places(AtomicI64);

impl Places {
    /// Opens a call. Says whether it is time that the threads have parts of their own.
    pub(super) fn enter(&self, part: Option<&Part>) -> bool {
        let Some(part) = part else { return self.0.fetch_add(1, AcqRel) + 1 >= BUSY };
        // HOT: nearly always the thread has a place left. It is taken before it is there, which evens out.
        if part.places.fetch_sub(1, AcqRel) <= 0 {
            self.0.fetch_add(BATCH, AcqRel);
            part.places.fetch_add(BATCH, AcqRel);
        }
        false
    }

    /// Ends one.
    pub(super) fn leave(&self, part: Option<&Part>) {
        let Some(part) = part else {
            self.0.fetch_sub(1, AcqRel);
            return;
        };
        if part.places.fetch_add(1, AcqRel) >= 2 * BATCH {
            part.places.fetch_sub(BATCH, AcqRel);
            self.0.fetch_sub(BATCH, AcqRel);
        }
    }

    /// How many calls are open.
    pub(super) fn taken(&self, ahead: &Ahead) -> u32 {
        let spare: i64 = ahead.all().map(|part| part.places.load(Acquire)).sum();
        u32::try_from(self.0.load(Acquire).saturating_sub(spare).max(0)).unwrap_or(u32::MAX)
    }

    /// Whether more are open than may be.
    pub(super) fn is_over(&self, most: u64, ahead: &Ahead) -> bool {
        let most = i64::try_from(most).unwrap_or(i64::MAX);
        // HOT: what the threads have left over counts as open until that would be too many.
        if self.0.load(Acquire) <= most {
            return false;
        }
        for part in ahead.all() {
            let spare = part.places.swap(0, AcqRel);
            self.0.fetch_sub(spare, AcqRel);
        }
        self.0.load(Acquire) > most
    }
}
