//! The text of office documents. Word processors cut it into runs anywhere, also within a key: it is looked at a second
//! time with the marks between the runs taken out.

use super::{Unpack, long};
use crate::Portion;
use memchr::{memchr, memmem};

/// What the text of documents, slides and tables is wrapped in.
const RUNS: [&[u8]; 3] = [b"<w:t", b"<a:t", b"<text:span"];

/// Marks that end a line of text.
const ENDS: [&[u8]; 8] = [b"/w:p", b"w:br", b"w:tab", b"/a:p", b"a:br", b"/text:p", b"text:line-break", b"/si"];

/// Text without its marks, and where each piece of it came from.
struct Flat {
    bytes: Vec<u8>,
    pieces: Vec<(usize, usize)>,
}

impl Flat {
    fn new(content: &[u8], buffer: Vec<u8>) -> Self {
        let mut flat = Self { bytes: buffer, pieces: Vec::new() };
        let mut at = 0;
        while let Some(rest) = content.get(at..).filter(|rest| !rest.is_empty()) {
            let open = memchr(b'<', rest).unwrap_or(rest.len());
            if open > 0 {
                flat.pieces.push((flat.bytes.len(), at));
                flat.bytes.extend_from_slice(rest.get(..open).unwrap_or_default());
            }
            let mark = rest.get(open + 1..).unwrap_or_default();
            let Some(close) = memchr(b'>', mark) else { break };
            let name = mark.get(..close).unwrap_or_default();
            let name = name.split(|byte| matches!(byte, b' ' | b'\n')).next().unwrap_or_default();
            if ENDS.contains(&name.strip_suffix(b"/").unwrap_or(name)) {
                flat.bytes.push(b'\n');
            }
            at += open + 1 + close + 1;
        }
        flat
    }

    /// Where in the content a byte of the text came from.
    fn place(&self, at: u64) -> u64 {
        let here = usize::try_from(at).unwrap_or(usize::MAX);
        let piece = self.pieces.partition_point(|(begin, _)| *begin <= here).checked_sub(1);
        let (begin, origin) = piece.and_then(|piece| self.pieces.get(piece)).copied().unwrap_or_default();
        long(origin) + at.saturating_sub(long(begin))
    }
}

impl Unpack<'_> {
    /// Looks at the text of a document without its marks, if it is one.
    pub(super) fn markup(&mut self, content: &[u8]) {
        let is_document = !self.within.is_empty()
            && content.starts_with(b"<?xml")
            && RUNS.iter().any(|run| memmem::find(content, run).is_some());
        if !is_document || self.is_done() {
            return;
        }
        let flat = Flat::new(content, self.spare.take());
        let own = 0..flat.bytes.len();
        let (bytes, within) = (&*flat.bytes, &*self.within);
        let portion = Portion { bytes, own, lines_before: 0, bytes_before: 0, column_before: 0, within };
        self.done |= !self.look.look(&portion);
        // The last byte, not the end: behind it a mark may stand.
        self.look.adjust(&mut |span, _| *span = flat.place(span.start)..flat.place(span.end.saturating_sub(1)) + 1);
        self.spare.give(flat.bytes);
    }
}
