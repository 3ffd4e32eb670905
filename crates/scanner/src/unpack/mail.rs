//! Mail in quoted-printable: bytes stand there as a sign and two digits, and lines go on below behind such a sign. It is
//! looked at a second time as it reads.

use super::{Unpack, long, text::Before};
use crate::{Portion, portion::MARK};
use memchr::{memchr, memmem};
use std::ops::Range;

/// How mails and other texts with headers say that they are written so. The history scan knows these marks as well.
pub(crate) const QUOTED: [&[u8]; 3] = [b"uoted-printable", b"uoted-Printable", b"UOTED-PRINTABLE"];

/// How long the name of a header is at most.
const LONGEST: usize = 64;

/// Text as it reads, and where each piece of it came from.
struct Read {
    bytes: Vec<u8>,
    pieces: Vec<(usize, usize)>,
}

impl Read {
    fn new(content: &[u8], buffer: Vec<u8>) -> Self {
        let mut read = Self { bytes: buffer, pieces: vec![(0, 0)] };
        let mut at = 0;
        while let Some(rest) = content.get(at..).filter(|rest| !rest.is_empty()) {
            let sign = memchr(b'=', rest).unwrap_or(rest.len());
            read.bytes.extend_from_slice(rest.get(..sign).unwrap_or_default());
            let (byte, length) = match rest.get(sign + 1..).unwrap_or_default() {
                [high, low, ..] if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => (value(*high, *low), 3),
                [b'\n', ..] => (None, 2),
                [b'\r', b'\n', ..] => (None, 3),
                _ => (Some(b'='), 1),
            };
            if sign < rest.len() {
                read.bytes.extend(byte);
            }
            at += sign + length;
            if length > 1 {
                read.pieces.push((read.bytes.len(), at));
            }
        }
        read
    }

    /// Where in the content a byte of the text came from.
    fn place(&self, at: usize) -> usize {
        let piece = self.pieces.partition_point(|(here, _)| *here <= at).checked_sub(1);
        let (here, there) = piece.and_then(|piece| self.pieces.get(piece)).copied().unwrap_or_default();
        there + (at - here)
    }

    /// Which of the text's bytes is the first that came from a place of the content, or from behind it.
    fn first_from(&self, place: usize) -> usize {
        let next = self.pieces.partition_point(|(_, there)| *there <= place);
        let end = self.pieces.get(next).map_or(self.bytes.len(), |(here, _)| *here);
        let piece = next.checked_sub(1).and_then(|piece| self.pieces.get(piece)).copied().unwrap_or_default();
        (piece.0 + (place - piece.1)).min(end)
    }
}

fn value(high: u8, low: u8) -> Option<u8> {
    let digit = |byte: u8| char::from(byte).to_digit(16);
    u8::try_from(digit(high)? << 4 | digit(low)?).ok()
}

/// Whether a content begins as mails do: with a header, or with the line that begins one in a mailbox.
pub(super) fn is_mail(content: &[u8]) -> bool {
    let content = content.strip_prefix(MARK).unwrap_or(content).trim_ascii_start();
    let name = content.iter().take(LONGEST).take_while(|byte| byte.is_ascii_alphanumeric() || **byte == b'-').count();
    name > 1 && content.get(name) == Some(&b':') || content.starts_with(b"From ")
}

/// Whether a stretch says that what follows is written so.
pub(super) fn is_quoted(content: &[u8]) -> bool {
    QUOTED.iter().any(|name| memmem::find(content, name).is_some())
}

impl Unpack<'_> {
    /// Looks at a window of mail as it reads.
    pub(super) fn mail(&mut self, content: &[u8], own: &Range<usize>, before: &Before) {
        if self.is_done() {
            return;
        }
        let read = Read::new(content, self.spare.take());
        let own = read.first_from(own.start)..read.first_from(own.end);
        let within = &*self.within;
        let portion = Portion { bytes: &read.bytes, own, within, ..before.portion() };
        self.done |= !self.look.look(&portion);
        let first = portion.bytes_before;
        self.look.adjust(&mut |span, _| {
            let place = |at: u64| {
                let at = usize::try_from(at.saturating_sub(first)).unwrap_or(usize::MAX);
                first + long(read.place(at))
            };
            *span = place(span.start)..place(span.end.saturating_sub(1)) + 1;
        });
        self.spare.give(read.bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signs_and_lines_that_go_on_are_read() {
        let content = b"a=3Db=\r\nc=\nd=5F=2De =  f=A0=4g=";
        let read = Read::new(content, Vec::new());
        assert_eq!(read.bytes, b"a=bcd_-e =  f\xa0=4g=");
        for (at, byte) in read.bytes.iter().enumerate().filter(|(_, byte)| byte.is_ascii_alphabetic()) {
            let place = read.place(at);
            assert_eq!((content.get(place), read.first_from(place)), (Some(byte), at), "{at}");
        }
        assert_eq!((read.first_from(0), read.first_from(content.len())), (0, read.bytes.len()));
    }

    #[test]
    fn mails_begin_with_a_header() {
        for text in ["From: a", "Return-Path: <a>", "\r\nMIME-Version: 1.0", "From a@b.example Mon", "BEGIN:VCARD"] {
            assert!(is_mail(text.as_bytes()), "{text}");
        }
        for text in ["", "fn main() {}", "<a: b>", ": a", "# From: a"] {
            assert!(!is_mail(text.as_bytes()), "{text}");
        }
    }
}
