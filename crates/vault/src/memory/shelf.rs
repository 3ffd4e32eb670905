//! Many keys on few pages, each in a slot of its own: for what every call needs, where a page for each key would use up
//! the memory that may be locked.

use super::{KEY, KeyPage, MemoryKind, SLOTS};
use crate::Error;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use zeroize::Zeroize;

/// One bit for each slot of a page; set: free.
type Free = u128;

const _: () = assert!(SLOTS == Free::BITS as usize);

/// Pages with slots. Pages stay until the shelf and all its slots are gone.
#[derive(Default)]
pub(crate) struct Shelf {
    pages: Mutex<Vec<Arc<Page>>>,
}

struct Page {
    memory: KeyPage,
    free: Mutex<Free>,
}

/// Thirty-two secret bytes that belong to this value alone. Wiped when dropped.
pub(crate) struct Slot {
    page: Arc<Page>,
    index: usize,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Shelf {
    /// Copies a key to a free slot. The caller wipes its copy.
    pub(crate) fn hold(&self, key: &[u8; KEY]) -> Result<Slot, Error> {
        let mut pages = lock(&self.pages);
        let taken = pages.iter().find_map(|page| Some(Slot { index: page.take()?, page: Arc::clone(page) }));
        let slot = match taken {
            Some(slot) => slot,
            None => {
                let page = Arc::new(Page { memory: KeyPage::holding(&[0; KEY])?, free: Mutex::new(Free::MAX) });
                pages.push(Arc::clone(&page));
                // A page that was just made has a free slot.
                Slot { index: page.take().unwrap_or_default(), page }
            }
        };
        drop(pages);
        slot.write(key);
        Ok(slot)
    }
}

impl Page {
    fn take(&self) -> Option<usize> {
        let mut free = lock(&self.free);
        let index = free.trailing_zeros();
        *free &= !1_u128.checked_shl(index)?;
        Some(index as usize)
    }
}

impl Slot {
    /// The key.
    #[expect(unsafe_code, reason = "reads the slot that this value alone owns")]
    pub(crate) fn bytes(&self) -> &[u8; KEY] {
        // SAFETY: the slot is KEY initialised bytes within the page, which lives as long as `self.page`. Only the owner
        // of the slot's bit writes to it: in `hold`, before anybody can borrow, and in `drop`, when no borrow is left.
        unsafe { self.page.memory.slot(self.index).as_ref() }
    }

    /// How well the memory is protected.
    pub(crate) fn kind(&self) -> MemoryKind {
        self.page.memory.kind()
    }

    #[expect(unsafe_code, reason = "writes the slot that this value alone owns")]
    fn write(&self, key: &[u8; KEY]) {
        // SAFETY: as in `bytes`; called while nobody else has this value.
        unsafe { self.page.memory.slot(self.index).write(*key) }
    }
}

impl Drop for Slot {
    #[expect(unsafe_code, reason = "wipes the slot that this value alone owns")]
    fn drop(&mut self) {
        // SAFETY: as in `bytes`; the value ends here, so no borrow of the slot can be left.
        unsafe { self.page.memory.slot(self.index).as_mut() }.zeroize();
        if let Some(bit) = u32::try_from(self.index).ok().and_then(|index| 1_u128.checked_shl(index)) {
            *lock(&self.page.free) |= bit;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(number: usize) -> [u8; KEY] {
        [u8::try_from(number % 251).unwrap() + 1; KEY]
    }

    #[test]
    fn every_key_has_its_place_and_more_pages_come_when_they_are_needed() {
        let shelf = Shelf::default();
        let slots: Vec<Slot> = (0..3 * SLOTS).map(|number| shelf.hold(&key(number)).unwrap()).collect();
        assert_eq!(lock(&shelf.pages).len(), 3);
        for (number, slot) in slots.iter().enumerate() {
            assert_eq!(slot.bytes(), &key(number), "{number}");
        }
    }

    #[test]
    fn a_slot_that_is_given_back_is_wiped_and_used_again() {
        let shelf = Shelf::default();
        let (one, two) = (shelf.hold(&key(1)).unwrap(), shelf.hold(&key(2)).unwrap());
        let (page, index) = (Arc::clone(&one.page), one.index);
        drop(one);
        let seen = Slot { page: Arc::clone(&page), index };
        assert_eq!(seen.bytes(), &[0; KEY]);
        drop(seen);
        assert_eq!(two.bytes(), &key(2));
        let three = shelf.hold(&key(3)).unwrap();
        assert_eq!((three.index, three.bytes()), (index, &key(3)));
        assert_eq!(lock(&shelf.pages).len(), 1);
    }

    #[test]
    fn threads_do_not_get_each_others_slots() {
        let shelf = Shelf::default();
        std::thread::scope(|scope| {
            for thread in 0..4 {
                let shelf = &shelf;
                scope.spawn(move || {
                    for round in 0..500 {
                        let mine = key(thread * 500 + round);
                        let slot = shelf.hold(&mine).unwrap();
                        assert_eq!(slot.bytes(), &mine);
                        assert_ne!(slot.kind(), MemoryKind::Ordinary);
                    }
                });
            }
        });
    }
}
