//! What the threads have taken ahead from limits that many calls share, so that not every call moves memory that another
//! thread has just written to. Only where much is going on: most keys never have this.

use crate::purse::till::{Apart, drawers, seat};
use std::sync::{OnceLock, atomic::AtomicI64};

/// One thread's part.
#[derive(Debug, Default)]
pub(super) struct Part {
    /// Requests taken ahead, in nanoseconds of their rate.
    pub(super) requests: AtomicI64,
    /// Tokens, in the same way.
    pub(super) tokens: AtomicI64,
    /// Places for open calls.
    pub(super) places: AtomicI64,
}

/// The threads' parts, once there are any.
#[derive(Debug, Default)]
pub(super) struct Ahead(OnceLock<Box<[Apart<Part>]>>);

impl Ahead {
    /// Gives every thread a part.
    #[cold]
    pub(super) fn open(&self) {
        self.0.get_or_init(|| (0..drawers()).map(|_| Apart::default()).collect());
    }

    /// This thread's part.
    pub(super) fn own(&self) -> Option<&Part> {
        let part: &Apart<Part> = self.0.get()?.get(seat())?;
        Some(part)
    }

    /// All parts.
    pub(super) fn all(&self) -> impl Iterator<Item = &Part> {
        self.0.get().into_iter().flatten().map(|part| &**part)
    }
}
