//! Deflated texts within files that are no archives: the streams of PDF documents, the remarks in PNG pictures.

use super::{
    Unpack,
    peek::{Meter, Peek},
};
use crate::Cause;
use flate2::bufread::ZlibDecoder;
use memchr::memmem;

/// How far before a stream of a document its properties may begin, in bytes.
const PROPERTIES: usize = 4 << 10;

/// How a picture begins.
pub(super) const PNG: &[u8] = b"\x89PNG\r\n\x1a\n";

impl Unpack<'_> {
    /// Looks at a document as it is, and at what its streams unpack to, pictures and fonts excepted. What is drawn letter by
    /// letter, or in letters of the document's own, is not put together.
    pub(super) fn pdf(&mut self, bytes: &[u8]) {
        self.plain(bytes);
        if is_encrypted(bytes) {
            self.unread(Cause::Encrypted, "the document is encrypted: read as it is");
        } else if streams(bytes).next().is_some() && !self.is_done() {
            self.deeper(|this| {
                for (data, number) in streams(bytes).zip(1_u64..) {
                    if this.is_done() {
                        return;
                    }
                    this.member(format!("stream {number}").as_bytes(), |this| this.inflate(data));
                }
            });
        }
    }

    /// Looks at a picture as it is, and at the remarks in it that are packed.
    pub(super) fn png(&mut self, bytes: &[u8]) {
        self.plain(bytes);
        if remarks(bytes).next().is_some() && !self.is_done() {
            self.deeper(|this| {
                for (name, packed) in remarks(bytes) {
                    if this.is_done() {
                        return;
                    }
                    this.member(name, |this| this.inflate(packed));
                }
            });
        }
    }
    fn inflate(&mut self, packed: &[u8]) {
        let mut bytes = packed;
        let mut source = Peek::new(&mut bytes);
        let taken = source.taken();
        let mut meter = Meter::new(ZlibDecoder::new(&mut source), self.budget, taken);
        self.stream(&mut meter);
        if let Some((cause, detail)) = meter.failed.take() {
            self.unread(cause, &detail);
        }
    }
}

/// Whether a document says that it is encrypted.
fn is_encrypted(bytes: &[u8]) -> bool {
    memmem::find_iter(bytes, b"/Encrypt").any(|at| matches!(bytes.get(at + 8), Some(b' ' | b'<' | b'\r' | b'\n')))
}

/// The deflated streams of a document: from where each begins to the document's end, for deflated content knows its own.
fn streams(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    memmem::find_iter(bytes, b"stream").filter_map(|at| {
        let before = bytes.get(at.saturating_sub(PROPERTIES)..at)?;
        let behind = bytes.get(at + 6..)?;
        let data = behind.strip_prefix(b"\r\n").or_else(|| behind.strip_prefix(b"\n"))?;
        let object = memmem::rfind(before, b" obj").and_then(|begin| before.get(begin..)).unwrap_or(before);
        let has = |word: &[u8]| memmem::find(object, word).is_some();
        let is_other = has(b"/Subtype /Image") || has(b"/Subtype/Image") || has(b"/Length1");
        let is_empty = data.trim_ascii_start().starts_with(b"endstream");
        (has(b"/FlateDecode") && !before.ends_with(b"end") && !is_other && !is_empty).then_some(data)
    })
}

/// The packed remarks of a picture, each with its name.
fn remarks(bytes: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    let mut rest = bytes.get(PNG.len()..).unwrap_or_default();
    std::iter::from_fn(move || {
        let (head, behind) = rest.split_at_checked(8)?;
        let (length, kind) = head.split_at_checked(4)?;
        let length = length.iter().fold(0_usize, |length, byte| length << 8 | usize::from(*byte));
        // A checksum stands behind each.
        rest = behind.get(length.saturating_add(4)..).unwrap_or_default();
        Some((kind, behind.get(..length)?))
    })
    .filter_map(|(kind, data)| match kind {
        b"zTXt" => remark(data, 0),
        b"iTXt" => remark(data, 2),
        _ => None,
    })
}

/// The name of a remark, and its text when that is packed. `more`: how many texts stand between.
fn remark(data: &[u8], more: usize) -> Option<(&[u8], &[u8])> {
    let (name, rest) = cut(data)?;
    // Of one kind it is said whether it is packed, of both how.
    let (is_packed, mut rest) = if more > 0 { rest.split_first()? } else { (&1, rest) };
    rest = rest.strip_prefix(&[0])?;
    for _ in 0..more {
        (_, rest) = cut(rest)?;
    }
    (*is_packed == 1).then_some((name, rest))
}

fn cut(data: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = memchr::memchr(0, data)?;
    Some((data.get(..end)?, data.get(end + 1..)?))
}
