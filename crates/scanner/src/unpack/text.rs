//! Plain contents: cut into windows that overlap, in whatever characters they are written.

use super::{
    MARGIN, Store, Unpack, WINDOW, hides_archive, long,
    mail::{is_mail, is_quoted},
    markup::is_document,
    sql::Names,
    wide,
};
use crate::{
    Cause, Portion,
    portion::{MARK, units},
};
use std::{
    io::{self, Cursor, Read},
    ops::Range,
};

/// A content that is read from front to end, and may have holes.
pub(super) trait Feed: Read {
    /// Goes over a hole, if one begins here, and tells how long it was.
    fn skip_hole(&mut self) -> io::Result<u64> {
        Ok(0)
    }
}

/// A stream, which has none.
struct Stream<'r>(&'r mut dyn Read);

impl Read for Stream<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.0.read(into)
    }
}

impl Feed for Stream<'_> {}

/// A file, which may have.
pub(super) struct Holes<'r>(pub(super) &'r mut dyn Store);

impl Read for Holes<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.0.read(into)
    }
}

impl Feed for Holes<'_> {
    fn skip_hole(&mut self) -> io::Result<u64> {
        self.0.skip_hole()
    }
}

/// What lies before a window in its content.
#[derive(Default)]
pub(super) struct Before {
    lines: u64,
    bytes: u64,
    column: u64,
    units: u64,
}

impl Before {
    /// Of bytes at a place of a content that has no lines.
    pub(super) fn at(offset: u64) -> Self {
        Self { bytes: offset, ..Self::default() }
    }

    /// A portion that begins here, to be filled.
    pub(super) fn portion<'a>(&self) -> Portion<'a> {
        Portion {
            lines_before: self.lines,
            bytes_before: self.bytes,
            column_before: self.column,
            units_before: self.units,
            ..Portion::whole(&[], &[])
        }
    }

    fn pass(&mut self, bytes: &[u8]) {
        self.lines += long(memchr::memchr_iter(b'\n', bytes).count());
        let line = memchr::memrchr(b'\n', bytes).and_then(|at| bytes.get(at + 1..));
        if line.is_some() {
            (self.column, self.units) = (0, 0);
        }
        self.column += long(line.unwrap_or(bytes).len());
        let first = self.bytes == 0 && line.is_none();
        // At the front of a file there may be a mark of the byte order, which is no character.
        let rest = if first { bytes.strip_prefix(MARK).unwrap_or(bytes) } else { line.unwrap_or(bytes) };
        self.units += units(rest, line.is_none() && !first);
        self.bytes += long(bytes.len());
    }
}

impl Unpack<'_> {
    /// Looks at a content that is in memory as it is.
    pub(super) fn plain(&mut self, bytes: &[u8]) {
        if wide::form(bytes).is_some() {
            return self.text(Vec::new(), &mut &*bytes);
        }
        self.window(bytes, 0..bytes.len(), &Before::default(), &mut Names::default());
        let all = 0..bytes.len();
        if is_document(bytes) {
            self.markup(bytes, &all, &Before::default());
        } else if is_mail(bytes) && is_quoted(bytes) {
            self.mail(bytes, &all, &Before::default());
        }
        if hides_archive(bytes) && !self.done {
            let tail = bytes.get(bytes.len().saturating_sub(66_000)..).unwrap_or_default();
            if memchr::memmem::find(tail, b"PK\x05\x06").is_some() {
                self.deeper(|this| this.zip_behind(&mut super::Whole(Cursor::new(bytes))));
            }
        }
    }

    /// Looks at a content as it is: what was read of it already, and the rest.
    pub(super) fn text(&mut self, head: Vec<u8>, reader: &mut dyn Read) {
        self.windows(head, &mut Stream(reader));
    }

    pub(super) fn windows(&mut self, mut buffer: Vec<u8>, feed: &mut dyn Feed) {
        let mut before = Before::default();
        let mut names = Names::default();
        let mut own_from = 0;
        let (mut form, mut document, mut mail, mut quoted) = (None, false, false, false);
        let mut first = true;
        loop {
            let most = own_from + WINDOW + MARGIN;
            let (ended, hole) = match self.more(&mut buffer, most, feed) {
                Ok(hole) => (hole == 0 && buffer.len() < most, hole),
                Err(error) => {
                    self.unread(Cause::Unreadable, &error.to_string());
                    (true, 0)
                }
            };
            if std::mem::take(&mut first) {
                form = wide::form(&buffer);
                document = is_document(&buffer);
                mail = is_mail(&buffer);
            }
            let own_to = if ended || hole > 0 { buffer.len() } else { own_from + WINDOW };
            let own = own_from..own_to;
            match form {
                Some(form) => self.wide_window(form, &buffer, own, &mut before),
                None => {
                    self.window(&buffer, own.clone(), &before, &mut names);
                    if document {
                        self.markup(&buffer, &own, &before);
                    }
                    // What says it may lie in an earlier window.
                    quoted |= mail && is_quoted(&buffer);
                    if quoted {
                        self.mail(&buffer, &own, &before);
                    }
                }
            }
            if ended || self.done {
                break;
            }
            let keep = if hole > 0 { 0 } else { MARGIN };
            // Windows begin at whole characters of any width: all lengths are multiples of four.
            let gone = own_to.saturating_sub(keep);
            let old = buffer.get(..gone).unwrap_or_default();
            match form {
                Some(form) => before.pass_wide(form, old),
                None => {
                    names.pass(old);
                    before.pass(old);
                }
            }
            before.bytes += hole;
            before.column += hole;
            buffer.drain(..gone);
            own_from = own_to - gone;
        }
        self.spare.give(buffer);
    }

    /// Reads on until so much is there, the content ends, or a hole begins. Tells how long the hole was.
    fn more(&mut self, buffer: &mut Vec<u8>, most: usize, feed: &mut dyn Feed) -> io::Result<u64> {
        while buffer.len() < most {
            let hole = feed.skip_hole()?;
            if hole > 0 {
                return Ok(hole);
            }
            let want = long(most - buffer.len()).min(long(MARGIN) * 4);
            if (&mut *feed).take(want).read_to_end(buffer)? == 0 {
                break;
            }
        }
        Ok(0)
    }

    pub(super) fn window(&mut self, bytes: &[u8], own: Range<usize>, before: &Before, names: &mut Names) {
        if bytes.is_empty() {
            return;
        }
        let portion = Portion { bytes, own: own.clone(), within: &self.within, ..before.portion() };
        self.done |= !self.look.look(&portion);
        names.begin();
        self.look.adjust(&mut |span, within| {
            let at = usize::try_from(span.start.saturating_sub(before.bytes)).unwrap_or(usize::MAX);
            names.name(bytes, at, within);
        });
        if !self.done && memchr::memchr(0, bytes).is_some() {
            self.wide_strings(bytes, &own, before);
        }
    }

    /// Looks at the texts in wide characters that lie among other bytes, as in programs and registries.
    fn wide_strings(&mut self, bytes: &[u8], own: &Range<usize>, before: &Before) {
        let mut texts = wide::Texts::new(self.spare.take());
        texts.find(bytes, own);
        if !texts.bytes.is_empty() {
            let portion = Portion {
                own: texts.own(own),
                lines_before: before.lines,
                ..Portion::whole(&texts.bytes, &self.within)
            };
            self.done |= !self.look.look(&portion);
            self.look.adjust(&mut |span, _| *span = texts.place(span, before.bytes));
        }
        self.spare.give(texts.bytes);
    }

    /// Looks at a window of a content that is written in wide characters throughout.
    fn wide_window(&mut self, form: wide::Form, bytes: &[u8], own: Range<usize>, before: &mut Before) {
        let part = |range: Range<usize>| wide::decode(form, bytes.get(range).unwrap_or_default());
        let mut text = part(0..own.start);
        let from = text.len();
        text.push_str(&part(own.clone()));
        let to = text.len();
        text.push_str(&part(own.end..bytes.len()));
        let portion = Portion {
            bytes: text.as_bytes(),
            own: from..to,
            within: &self.within,
            bytes_before: 0,
            ..before.portion()
        };
        self.done |= !self.look.look(&portion);
        let mut names = Names::default();
        names.begin();
        self.look.adjust(&mut |span, within| {
            let at = usize::try_from(span.start).unwrap_or(usize::MAX);
            names.name(text.as_bytes(), at, within);
            let place = |at: u64| {
                let at = usize::try_from(at).unwrap_or(usize::MAX).min(text.len());
                before.bytes + wide::width(form, text.get(..at).unwrap_or_default())
            };
            *span = place(span.start)..place(span.end);
        });
        // A mark at the front proves little: where the rest has no wide characters, it is also read as it is.
        let zeros = memchr::memchr_iter(0, bytes).count();
        if !self.done && zeros < bytes.len() / 4 {
            let portion = Portion { bytes, own, within: &self.within, ..before.portion() };
            self.done |= !self.look.look(&portion);
        }
    }
}

impl Before {
    fn pass_wide(&mut self, form: wide::Form, bytes: &[u8]) {
        let before = self.bytes;
        self.pass(wide::decode(form, bytes).as_bytes());
        self.bytes = before + long(bytes.len());
    }
}
