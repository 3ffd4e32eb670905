use super::*;
use std::{collections::HashSet, thread};

fn layout(size: usize, align: usize) -> Layout {
    Layout::from_size_align(size, align).unwrap()
}

/// A block in use, full of one byte.
struct Used(*mut u8, Layout, u8);

// SAFETY: a block belongs to whoever has it.
unsafe impl Send for Used {}

impl Used {
    fn new(layout: Layout, fill: u8) -> Self {
        // SAFETY: layouts of the tests have a size.
        let block = unsafe { Heap.alloc(layout) };
        assert!(!block.is_null());
        assert_eq!(block.addr() % layout.align(), 0);
        // SAFETY: as large as the layout.
        unsafe { block.write_bytes(fill, layout.size()) };
        Self(block, layout, fill)
    }

    fn is_whole(&self, upto: usize) -> bool {
        // SAFETY: written whole when it was made.
        unsafe { std::slice::from_raw_parts(self.0, upto.min(self.1.size())) }.iter().all(|byte| *byte == self.2)
    }

    fn resize(&mut self, size: usize) {
        let kept = self.1.size().min(size);
        // SAFETY: in use, with this layout; the size is not zero.
        self.0 = unsafe { Heap.realloc(self.0, self.1, size) };
        assert!(!self.0.is_null());
        self.1 = layout(size, self.1.align());
        assert!(self.is_whole(kept), "what was there is lost at {size}");
        // SAFETY: as large as the layout.
        unsafe { self.0.write_bytes(self.2, size) };
    }

    fn free(self) {
        assert!(self.is_whole(self.1.size()), "somebody else wrote into a block of {} bytes", self.1.size());
        // SAFETY: given up here.
        unsafe { Heap.dealloc(self.0, self.1) };
    }
}

fn kept() -> usize {
    LISTS.with(|lists| {
        lists
            .iter()
            .enumerate()
            .map(|(class, list)| {
                let mut count = 0;
                let mut next = list.first.get();
                while !next.is_null() {
                    count += 1;
                    // SAFETY: as in `take`.
                    next = unsafe { next.cast::<*mut u8>().read() };
                }
                assert!(count <= most(class));
                count as usize
            })
            .sum()
    })
}

/// Numbers that look random and are the same each time.
fn numbers(mut state: u64) -> impl FnMut(usize) -> usize {
    move |below| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(state >> 33).unwrap() % below
    }
}

#[test]
fn a_class_is_never_smaller_than_what_is_asked_for() {
    for size in 1..=2 * BUFFER {
        for align in [1, 2, 4, 8, 16, 32, 4096] {
            match class(layout(size, align)) {
                Some(class) => {
                    assert!(block(class).size() >= size && align <= ALIGNED, "{size} {align}");
                    assert!(class == 0 || class == BUFFERS || block(class - 1).size() < size, "{size}");
                }
                None => {
                    assert!(align > ALIGNED || (size > block(BUFFERS - 1).size() && size != BUFFER), "{size} {align}");
                }
            }
        }
    }
}

#[test]
fn threads_that_did_not_ask_keep_nothing() {
    for size in [1, 24, 25, 1_032, 1_033, BUFFER] {
        Used::new(layout(size, 8), 1).free();
    }
    assert_eq!(kept(), 0);
}

#[test]
fn what_was_given_back_comes_again_and_goes_at_the_end() {
    let keeps = keep();
    let first = Used::new(layout(100, 8), 7);
    let place = first.0.addr();
    first.free();
    assert_eq!(kept(), 1);
    // Another size of the same class.
    let second = Used::new(layout(104, 16), 9);
    assert_eq!((second.0.addr(), kept()), (place, 0));
    second.free();
    let buffer = Used::new(layout(BUFFER, 1), 3);
    buffer.free();
    assert_eq!(kept(), 2);
    drop(keeps);
    assert_eq!(kept(), 0);
    Used::new(layout(100, 8), 7).free();
    assert_eq!(kept(), 0, "the guard is gone");
}

#[test]
fn no_more_is_kept_than_there_is_room_for() {
    let _keeps = keep();
    for size in [8, 500, BUFFER] {
        let most = usize::try_from(most(class(layout(size, 8)).unwrap())).unwrap();
        let before = kept();
        let all: Vec<_> = (0..most + 10).map(|_| Used::new(layout(size, 8), 1)).collect();
        assert_eq!(all.iter().map(|used| used.0.addr()).collect::<HashSet<_>>().len(), most + 10);
        all.into_iter().for_each(Used::free);
        assert_eq!(kept(), before + most);
    }
    // A second guard does not make more room.
    let before = kept();
    let _again = keep();
    let one = Used::new(layout(8, 8), 1);
    let other = Used::new(layout(8, 8), 1);
    Used::new(layout(8, 8), 1).free();
    one.free();
    other.free();
    assert_eq!(kept(), before);
}

#[test]
fn zeroed_memory_is_zero_even_where_it_was_used_before() {
    let _keeps = keep();
    for size in [1, 24, 333, 1_032, 2_000, BUFFER] {
        Used::new(layout(size, 8), 0xff).free();
        // SAFETY: the layout has a size.
        let block = unsafe { Heap.alloc_zeroed(layout(size, 8)) };
        let used = Used(block, layout(size, 8), 0);
        assert!(used.is_whole(size), "{size}");
        used.free();
    }
}

#[test]
fn whatever_is_asked_for_nobody_writes_into_what_another_has() {
    let _keeps = keep();
    let mut next = numbers(1);
    let mut all: Vec<Used> = Vec::new();
    for round in 0..20_000 {
        let size = match next(4) {
            0 => 1 + next(64),
            1 => 1 + next(1_200),
            2 => BUFFER,
            _ => 1 + next(3 * BUFFER),
        };
        let fill = u8::try_from(round % 251).unwrap();
        match next(5) {
            0 | 1 => all.push(Used::new(layout(size, 1 << next(7)), fill)),
            2 if !all.is_empty() => {
                let at = next(all.len());
                all.get_mut(at).unwrap().resize(size);
            }
            _ if !all.is_empty() => all.swap_remove(next(all.len())).free(),
            _ => {}
        }
    }
    all.into_iter().for_each(Used::free);
}

#[test]
fn a_block_may_be_given_back_by_another_thread() {
    let (send, receive) = std::sync::mpsc::channel::<Used>();
    let taker = thread::spawn(move || {
        let _keeps = keep();
        let mut next = numbers(2);
        for used in receive {
            used.free();
            Used::new(layout(1 + next(1_000), 8), 5).free();
        }
        kept()
    });
    let _keeps = keep();
    let mut next = numbers(3);
    for round in 0..5_000 {
        let size = if round % 7 == 0 { BUFFER } else { 1 + next(1_100) };
        send.send(Used::new(layout(size, 8), 1)).unwrap();
    }
    drop(send);
    assert!(taker.join().unwrap() > 0);
}
