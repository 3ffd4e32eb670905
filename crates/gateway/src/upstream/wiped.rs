//! Bytes with a credential among them, wiped when they are let go of.

use std::ops::{Deref, DerefMut};

/// Bytes that are overwritten when they are dropped: at once, where `Zeroizing` goes byte by byte through all the room there
/// is. INVARIANT: whoever fills it finds the room first, since growing would leave a copy behind.
#[derive(Default)]
pub(crate) struct Wiped(Vec<u8>);

impl Wiped {
    /// Empty, with room for so many bytes.
    pub(crate) fn with_capacity(bytes: usize) -> Self {
        Self(Vec::with_capacity(bytes))
    }
}

impl From<Vec<u8>> for Wiped {
    fn from(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }
}

impl Deref for Wiped {
    type Target = Vec<u8>;

    fn deref(&self) -> &Vec<u8> {
        &self.0
    }
}

impl DerefMut for Wiped {
    fn deref_mut(&mut self) -> &mut Vec<u8> {
        &mut self.0
    }
}

impl Drop for Wiped {
    fn drop(&mut self) {
        // HOT: once a call. The barrier keeps the compiler from leaving out what nobody reads any more.
        self.0.fill(0);
        zeroize::optimization_barrier(self.0.as_slice());
    }
}
