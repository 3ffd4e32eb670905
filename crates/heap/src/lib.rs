//! The program's allocator: the system's, and in front of it, for threads that ask for it, lists of blocks that were
//! given back and will be wanted again by the next call.
//!
//! A gateway thread works on dozens of calls at once, each with some thirty blocks of always the same sizes, and one
//! buffer of 8 KiB. The system's allocator keeps seven blocks of a size for each thread; what is beyond takes its long
//! way, twice a call and block, which was a good part of what a call costs. Blocks always come from the system's
//! allocator and go back to it, so it does not matter which thread gives one back.

#![expect(unsafe_code, reason = "an allocator works on raw memory; this crate is nothing else, and small")]

use std::{
    alloc::{GlobalAlloc, Layout, System},
    cell::Cell,
    marker::PhantomData,
    ptr,
};

/// The allocator. `#[global_allocator] static HEAP: Heap = Heap;`
#[derive(Debug, Clone, Copy, Default)]
pub struct Heap;

/// The smallest block, in bytes, and by how much they grow: what the GNU C library hands out for anything less anyway.
const FIRST: usize = 24;
const STEP: usize = 16;
/// How many sizes of small blocks there are: up to 1,032 bytes.
const SMALL: usize = 64;
const LARGEST: usize = FIRST + STEP * (SMALL - 1);
/// By how much the larger ones grow, and how many sizes of them there are: up to 4,104 bytes. A call's future is one.
const STRIDE: usize = 256;
const LARGE: usize = 12;
/// The size of a connection's buffers, which are of one size because hyper makes them so.
const BUFFER: usize = 8 << 10;
/// The class of those.
const BUFFERS: usize = SMALL + LARGE;
const CLASSES: usize = BUFFERS + 1;
/// What every block is aligned to.
const ALIGNED: usize = 16;

/// How many blocks of a class a thread keeps at most: as many as come and go at once when it is busy. 2.6 MiB in all, if
/// it ever used every size so much.
const fn most(class: usize) -> u32 {
    match class {
        BUFFERS => 24,
        0..16 => 96,
        16..SMALL => 40,
        _ => 32,
    }
}

/// The class of blocks for a layout. None: the system's own way.
const fn class(layout: Layout) -> Option<usize> {
    if layout.align() > ALIGNED {
        return None;
    }
    match layout.size() {
        BUFFER => Some(BUFFERS),
        size if size <= LARGEST => Some(size.saturating_sub(FIRST).div_ceil(STEP)),
        size if size <= LARGEST + STRIDE * LARGE => Some(SMALL + (size - LARGEST - 1) / STRIDE),
        _ => None,
    }
}

/// What blocks of a class are asked of the system as.
const fn block(class: usize) -> Layout {
    let size = match class {
        BUFFERS => BUFFER,
        0..SMALL => FIRST + STEP * class,
        _ => LARGEST + STRIDE * (class - SMALL + 1),
    };
    // SAFETY: the alignment is a power of two, and the size is far from the largest.
    unsafe { Layout::from_size_align_unchecked(size, ALIGNED) }
}

/// Free blocks of one class. Each holds the address of the next in its first bytes.
struct List {
    first: Cell<*mut u8>,
    /// How many more may be kept.
    room: Cell<u32>,
}

impl List {
    const fn closed() -> Self {
        Self { first: Cell::new(ptr::null_mut()), room: Cell::new(0) }
    }

    /// A block, if there is one.
    fn take(&self) -> Option<*mut u8> {
        let first = self.first.get();
        if first.is_null() {
            return None;
        }
        // SAFETY: blocks in the list are ours alone, aligned, of 24 bytes at least, and begin with the next's address.
        let next = unsafe { first.cast::<*mut u8>().read() };
        self.first.set(next);
        self.room.set(self.room.get().saturating_add(1));
        Some(first)
    }

    /// Keeps a block; whether there was room.
    ///
    /// # Safety
    /// It is of this class, and nobody uses it any more.
    unsafe fn keep(&self, free: *mut u8) -> bool {
        let Some(room) = self.room.get().checked_sub(1) else { return false };
        // SAFETY: aligned and of 24 bytes at least, as every block of a class is; the caller says that nobody uses it.
        unsafe { free.cast::<*mut u8>().write(self.first.get()) };
        self.first.set(free);
        self.room.set(room);
        true
    }
}

thread_local! {
    // Neither made nor dropped by any code, so that it is there in every moment of a thread's life.
    static LISTS: [List; CLASSES] = const { [const { List::closed() }; CLASSES] };
}

fn with<T>(class: usize, work: impl FnOnce(&List) -> T) -> Option<T> {
    LISTS.with(|lists| lists.get(class).map(work))
}

/// For as long as this lives, its thread keeps blocks. There should be one for a thread: whichever goes first ends it.
#[derive(Debug)]
#[must_use = "blocks are kept for as long as this lives"]
pub struct Keeps {
    /// It stays on its thread.
    thread: PhantomData<*mut u8>,
}

/// Lets this thread keep the blocks that it gives back, for itself. For threads that do the same again and again.
pub fn keep() -> Keeps {
    LISTS.with(|lists| {
        for (class, list) in lists.iter().enumerate().filter(|(_, list)| list.first.get().is_null()) {
            list.room.set(most(class));
        }
    });
    Keeps { thread: PhantomData }
}

impl Drop for Keeps {
    fn drop(&mut self) {
        LISTS.with(|lists| {
            for (class, list) in lists.iter().enumerate() {
                while let Some(free) = list.take() {
                    // SAFETY: it came from the system with this layout, and nobody uses it.
                    unsafe { System.dealloc(free, block(class)) };
                }
                list.room.set(0);
            }
        });
    }
}

// SAFETY: every block comes from the system's allocator, with the layout of its class where it has one, which is no smaller
// than what was asked for; the class follows from the layout alone, so it is the same when the block comes back. A block
// is in one list or in use, never both: it leaves the list before it is handed out.
unsafe impl GlobalAlloc for Heap {
    #[inline]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        match class(layout) {
            Some(class) => match with(class, List::take) {
                Some(Some(kept)) => kept,
                // SAFETY: the layout of a class has a size.
                _ => unsafe { System.alloc(block(class)) },
            },
            // SAFETY: handed on as it came.
            None => unsafe { System.alloc(layout) },
        }
    }

    #[inline]
    unsafe fn dealloc(&self, used: *mut u8, layout: Layout) {
        let Some(class) = class(layout) else {
            // SAFETY: handed on as it came.
            return unsafe { System.dealloc(used, layout) };
        };
        // SAFETY: the caller gives it up, and its layout says which class it is of.
        let kept = with(class, |list| unsafe { list.keep(used) });
        if kept != Some(true) {
            // SAFETY: it came from the system with this layout.
            unsafe { System.dealloc(used, block(class)) }
        }
    }

    #[inline]
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        let Some(class) = class(layout) else {
            // SAFETY: handed on as it came.
            return unsafe { System.alloc_zeroed(layout) };
        };
        match with(class, List::take) {
            Some(Some(kept)) => {
                // SAFETY: the block is at least as large as the layout.
                unsafe { kept.write_bytes(0, layout.size()) };
                kept
            }
            // SAFETY: the layout of a class has a size.
            _ => unsafe { System.alloc_zeroed(block(class)) },
        }
    }

    #[inline]
    unsafe fn realloc(&self, used: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: the caller promises that the size, rounded up to the alignment, is not too large.
        let wanted = unsafe { Layout::from_size_align_unchecked(size, layout.align()) };
        match (class(layout), class(wanted)) {
            (Some(before), Some(after)) if before == after => used,
            // SAFETY: handed on as it came.
            (None, None) => unsafe { System.realloc(used, layout, size) },
            _ => {
                // SAFETY: the caller promises that the size is not zero.
                let moved = unsafe { self.alloc(wanted) };
                if !moved.is_null() {
                    // SAFETY: two blocks that are in use, each at least as large as the smaller of the two sizes.
                    unsafe { ptr::copy_nonoverlapping(used, moved, layout.size().min(size)) };
                    // SAFETY: the caller gives it up.
                    unsafe { self.dealloc(used, layout) };
                }
                moved
            }
        }
    }
}

#[cfg(test)]
mod tests;
