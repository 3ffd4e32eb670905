//! The text of office documents. Word processors cut it into runs anywhere, also within a key: it is looked at a second
//! time with the marks between the runs taken out, so that the text of a paragraph, a cell or a slide stands in one piece.

use super::{Unpack, long, text::Before};
use crate::{Portion, portion::MARK};
use memchr::{memchr, memmem};
use std::ops::Range;

/// What the text of documents, slides and tables is wrapped in. The history scan knows these marks as well.
pub(crate) const RUNS: [&[u8]; 5] = [b"<w:t", b"<a:t", b"<text:", b"<t>", b"<t "];

/// How documents begin where no declaration says that they are XML.
const ROOTS: [&[u8]; 8] = [b"<?xml", b"<w:", b"<p:", b"<a:", b"<sst", b"<worksheet", b"<office:", b"<pkg:"];

/// Marks that end a line of text: paragraphs, breaks, cells and whole strings of a table.
const ENDS: [&[u8]; 18] = [
    b"/w:p",
    b"w:br",
    b"w:cr",
    b"w:tab",
    b"w:instrText",
    b"/w:instrText",
    b"/a:p",
    b"a:br",
    b"/text:p",
    b"/text:h",
    b"text:line-break",
    b"text:tab",
    b"text:s",
    b"/si",
    b"/is",
    b"/c",
    b"/v",
    b"/f",
];

/// A hyphen that word processors write as a mark of its own.
const HYPHEN: &[u8] = b"w:noBreakHyphen";

/// Text without its marks, and where each piece of it came from.
struct Flat {
    bytes: Vec<u8>,
    pieces: Vec<(usize, usize)>,
}

impl Flat {
    fn new(content: &[u8], buffer: Vec<u8>) -> Self {
        let mut flat = Self { bytes: buffer, pieces: Vec::new() };
        // A window may begin within a mark.
        let open = memchr(b'<', content).unwrap_or(content.len());
        let mut at = memchr(b'>', content).filter(|close| *close < open).map_or(0, |close| close + 1);
        while let Some(rest) = content.get(at..).filter(|rest| !rest.is_empty()) {
            let open = memchr(b'<', rest).unwrap_or(rest.len());
            if open > 0 {
                flat.pieces.push((flat.bytes.len(), at));
                flat.bytes.extend_from_slice(rest.get(..open).unwrap_or_default());
            }
            let mark = rest.get(open + 1..).unwrap_or_default();
            let Some(close) = memchr(b'>', mark) else { break };
            let name = mark.get(..close).unwrap_or_default();
            let name = name.split(u8::is_ascii_whitespace).next().unwrap_or_default();
            let name = name.strip_suffix(b"/").unwrap_or(name);
            let sign = if name == HYPHEN { Some(b'-') } else { ENDS.contains(&name).then_some(b'\n') };
            if let Some(sign) = sign {
                flat.pieces.push((flat.bytes.len(), at + open));
                flat.bytes.push(sign);
            }
            at += open + 1 + close + 1;
        }
        flat
    }

    /// Where in the content a byte of the text came from.
    fn place(&self, at: usize) -> usize {
        let piece = self.pieces.partition_point(|(here, _)| *here <= at).checked_sub(1);
        let (here, there) = piece.and_then(|piece| self.pieces.get(piece)).copied().unwrap_or_default();
        there + (at - here)
    }

    /// Which of the text's bytes is the first that came from a place of the content, or from behind it.
    fn first_from(&self, place: usize) -> usize {
        let next = self.pieces.partition_point(|(_, there)| *there < place);
        let end = self.pieces.get(next).map_or(self.bytes.len(), |(here, _)| *here);
        match next.checked_sub(1).and_then(|piece| self.pieces.get(piece)) {
            Some((here, there)) => (here + (place - there)).min(end),
            None => end,
        }
    }
}

/// Whether a content begins as documents do.
pub(super) fn is_document(content: &[u8]) -> bool {
    let content = content.strip_prefix(MARK).unwrap_or(content).trim_ascii_start();
    ROOTS.iter().any(|root| content.starts_with(root))
}

impl Unpack<'_> {
    /// Looks at the text of a document's window without its marks, if it has any.
    pub(super) fn markup(&mut self, content: &[u8], own: &Range<usize>, before: &Before) {
        if self.is_done() || !RUNS.iter().any(|run| memmem::find(content, run).is_some()) {
            return;
        }
        let flat = Flat::new(content, self.spare.take());
        let own = flat.first_from(own.start)..flat.first_from(own.end);
        let within = &*self.within;
        let portion = Portion { bytes: &flat.bytes, own, within, ..before.portion() };
        self.done |= !self.look.look(&portion);
        let first = portion.bytes_before;
        self.look.adjust(&mut |span, _| {
            let place = |at: u64| {
                let at = usize::try_from(at.saturating_sub(first)).unwrap_or(usize::MAX);
                first + long(flat.place(at))
            };
            // The last byte, not the end: behind it a mark may stand.
            *span = place(span.start)..place(span.end.saturating_sub(1)) + 1;
        });
        self.spare.give(flat.bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_knows_where_it_came_from() {
        let content = b"x'><w:p><w:t>ab</w:t><w:r/><w:t>c</w:t><w:noBreakHyphen/><w:t>d</w:t></w:p>e";
        let flat = Flat::new(content, Vec::new());
        assert_eq!(flat.bytes, b"abc-d\ne");
        for (at, byte) in flat.bytes.iter().enumerate().filter(|(_, byte)| byte.is_ascii_lowercase()) {
            let place = flat.place(at);
            assert_eq!((content.get(place), flat.first_from(place)), (Some(byte), at));
        }
        // A place within a mark counts as the text behind it.
        assert_eq!(flat.first_from(16), flat.first_from(32));
        assert_eq!((flat.first_from(0), flat.first_from(content.len())), (0, flat.bytes.len()));
    }
}
