//! What all threads share, counted where only one thread counts. A shared count that every call moves up and down is passed
//! between the processors' caches all the time; here the shared count is moved once for each thread, and the calls count on
//! a copy of their own.

use rustc_hash::FxHashMap;
use std::{any::Any, cell::RefCell, fmt, ops::Deref, rc::Rc, sync::Arc};

/// When more things than this are near, all are let go of and come again as they are needed.
const MOST: usize = 4_096;

thread_local! {
    /// By address. What is here is alive, so nothing else can have its address.
    static NEAR: RefCell<FxHashMap<usize, Rc<dyn Any>>> = RefCell::default();
}

/// A shared thing that this thread has at hand.
#[expect(clippy::redundant_allocation, reason = "the two count for different circles: all threads, and this one")]
pub struct Near<T>(Rc<Arc<T>>);

impl<T: Send + Sync + 'static> Near<T> {
    /// The shared thing, at hand.
    #[must_use]
    pub fn of(shared: &Arc<T>) -> Self {
        let address = Arc::as_ptr(shared).addr();
        let (found, gone) = NEAR.with_borrow_mut(|near| {
            let known = near.get(&address).cloned().and_then(|known| known.downcast::<Arc<T>>().ok());
            if let Some(known) = known {
                return (Self(known), None);
            }
            let gone = (near.len() >= MOST).then(|| std::mem::take(near));
            let new = Rc::new(Arc::clone(shared));
            near.insert(address, Rc::<Arc<T>>::clone(&new));
            (Self(new), gone)
        });
        // Outside: the end of one may look for another.
        drop(gone);
        found
    }
}

impl<T> Near<T> {
    /// The shared thing itself.
    #[must_use]
    pub fn shared(&self) -> &Arc<T> {
        &self.0
    }
}

/// Lets go of what no call uses, so that what was replaced does not stay. To be called now and then.
pub(crate) fn sweep() {
    let gone: Vec<Rc<dyn Any>> = NEAR.with_borrow_mut(|near| {
        near.extract_if(|_, known| Rc::strong_count(known) == 1).map(|(_, known)| known).collect()
    });
    // Outside, as above.
    drop(gone);
}

impl<T> Clone for Near<T> {
    fn clone(&self) -> Self {
        Self(Rc::clone(&self.0))
    }
}

impl<T> Deref for Near<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T: fmt::Debug> fmt::Debug for Near<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shared_count_moves_once() {
        let shared = Arc::new(7_u32);
        let many: Vec<Near<u32>> = (0..100).map(|_| Near::of(&shared)).collect();
        assert_eq!(Arc::strong_count(&shared), 2);
        assert!(many.iter().all(|near| **near == 7 && Arc::ptr_eq(near.shared(), &shared)));
        drop(many);
        sweep();
        assert_eq!(Arc::strong_count(&shared), 1, "nothing keeps what no call uses");
    }

    #[test]
    fn what_a_call_uses_stays_and_kinds_are_told_apart() {
        let (text, number) = (Arc::new(String::from("a")), Arc::new(1_u8));
        let (first, second) = (Near::of(&text), Near::of(&number));
        sweep();
        assert_eq!((&**first, *second), ("a", 1));
        assert_eq!(Arc::strong_count(&text), 2);
    }

    #[test]
    fn there_is_an_end_to_what_is_near() {
        let all: Vec<Arc<usize>> = (0..=MOST).map(Arc::new).collect();
        let first = Near::of(&all[0]);
        for (number, one) in all.iter().enumerate() {
            assert_eq!(*Near::of(one), number);
        }
        assert!(NEAR.with_borrow(FxHashMap::len) <= MOST);
        assert_eq!(*first, 0, "what was let go of is still there for who has it");
    }
}
