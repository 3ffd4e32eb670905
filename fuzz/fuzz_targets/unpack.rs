//! Any bytes as a file: unpacking never panics, keeps its bounds, and shows portions whose parts are where they say.
#![no_main]

use keyward_scanner::{Adjuster, Bounds, Look, Portion, Unread, unpack_bytes, unpack_reader, unpack_stream};
use libfuzzer_sys::fuzz_target;
use std::{io::Cursor, ops::Range};

/// The most that a run may unpack.
const MOST: u64 = 4 << 20;

#[derive(Default)]
struct Watcher {
    own: u64,
    /// Where the portion looked at last has its own bytes.
    last: Range<u64>,
}

impl Look for Watcher {
    fn look(&mut self, portion: &Portion<'_>) -> bool {
        assert!(portion.own.start <= portion.own.end && portion.own.end <= portion.bytes.len());
        self.own += portion.own.len() as u64;
        let place = |at: usize| portion.bytes_before + at as u64;
        self.last = place(portion.own.start)..place(portion.own.end);
        true
    }

    fn unread(&mut self, unread: Unread) {
        assert!(!unread.detail.is_empty());
    }

    fn adjust(&mut self, adjuster: &mut Adjuster<'_>) {
        // As if something were found at either end of the portion.
        for start in [self.last.start, self.last.end.saturating_sub(1).max(self.last.start)] {
            let mut span = start..self.last.end;
            adjuster(&mut span, &mut Vec::new());
            assert!(span.start <= span.end);
        }
    }
}

fuzz_target!(|data: &[u8]| {
    let bounds = Bounds { unpacked: MOST, ratio: 100, depth: 4, members: 200, memory: 1 << 20, ..Bounds::default() };
    let mut memory = Watcher::default();
    unpack_bytes(b"file", data, &bounds, &mut memory);
    unpack_reader(b"file", Cursor::new(data), &bounds, &mut Watcher::default());
    unpack_stream(b"-", data, &bounds, &mut Watcher::default());
    // Each layer may be looked at once, and what could be read in two ways twice.
    assert!(memory.own < 16 * (MOST + data.len() as u64), "{} bytes", memory.own);
});
