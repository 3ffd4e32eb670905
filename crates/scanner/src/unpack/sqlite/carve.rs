//! Rows that no table has any more: in free pages, in logs, and what deleted rows left in pages that are in use. Values
//! lie without a gap in a row; they are told apart so that what stands at a value's edge can be recognised.

use super::{
    super::{Unpack, long, peek::Peek, sql::Names, text::Before},
    pages::{Page, log_page},
    record::{size, varint},
};
use crate::{Cause, Portion};
use std::{io, ops::Range};

/// Fewer bytes than this are no row worth telling apart.
const SHORTEST: usize = 16;

/// How many columns are tried at most.
const COLUMNS: usize = 64;

/// The log's header, and each frame's.
const HEADER: usize = 32;
const FRAME: usize = 24;

/// The values of a row of which all types are there: so many types from here, then so many values.
fn values(bytes: &[u8], mut at: usize, columns: usize) -> Option<Vec<Range<usize>>> {
    let mut sizes = Vec::with_capacity(columns);
    for _ in 0..columns {
        let (kind, used) = varint(bytes.get(at..)?)?;
        if matches!(kind, 10 | 11) {
            return None;
        }
        sizes.push((kind, size(kind)));
        at += used;
    }
    let mut ranges = Vec::with_capacity(columns);
    let mut letters = 0;
    for (kind, size) in sizes {
        let end = at.checked_add(size)?;
        let value = bytes.get(at..end)?;
        if kind > 12 && kind % 2 == 1 {
            if value.iter().any(|byte| *byte < b' ' && !byte.is_ascii_whitespace()) {
                return None;
            }
            letters += size;
        }
        ranges.push(at..end);
        at = end;
    }
    (letters >= SHORTEST).then_some(ranges)
}

/// The values of a row with its own header.
fn layout(bytes: &[u8], row: &Range<usize>) -> Option<Vec<Range<usize>>> {
    let (length, used) = varint(bytes.get(row.clone())?)?;
    let types_end = row.start.checked_add(usize::try_from(length).ok()?)?;
    let (mut types, mut at) = (row.start + used, types_end);
    let mut ranges = Vec::new();
    while types < types_end {
        let (kind, used) = varint(bytes.get(types..types_end)?)?;
        types += used;
        let end = at.saturating_add(size(kind)).min(row.end);
        ranges.push(at..end.max(at));
        at = end.max(at);
    }
    Some(ranges)
}

impl Unpack<'_> {
    /// Looks at what deleted rows left in a page, as it is and as rows of so many columns.
    pub(super) fn sqlite_left(&mut self, bytes: &[u8], offset: u64, columns: usize) {
        self.window(bytes, 0..bytes.len(), &Before::at(offset), &mut Names::default());
        if columns == 0 || columns > COLUMNS || self.is_done() {
            return;
        }
        let mut at = 0;
        while at < bytes.len() {
            // The list of free places may have been written over the first type.
            let found = values(bytes, at, columns).or_else(|| values(bytes, at, columns - 1).filter(|_| columns > 1));
            match found {
                Some(ranges) => {
                    self.sqlite_values(bytes, offset, &ranges);
                    at = ranges.last().map_or(at, |last| last.end).max(at + 1);
                }
                None => at += 1,
            }
        }
    }

    /// Looks at values of a page, each on a line of its own.
    fn sqlite_values(&mut self, bytes: &[u8], offset: u64, ranges: &[Range<usize>]) {
        let mut text = self.spare.take();
        let mut begins = Vec::with_capacity(ranges.len());
        for range in ranges {
            begins.push((text.len(), range.start));
            text.extend_from_slice(bytes.get(range.clone()).unwrap_or_default());
            text.push(b'\n');
        }
        self.done |= !self.look.look(&Portion::whole(&text, &self.within));
        self.look.adjust(&mut |span, _| {
            let here = usize::try_from(span.start).unwrap_or(usize::MAX);
            let begun = begins.partition_point(|(begin, _)| *begin <= here).checked_sub(1);
            let (begin, place) = begun.and_then(|at| begins.get(at)).copied().unwrap_or_default();
            let move_to = |at: u64| offset + long(place) + at.saturating_sub(long(begin));
            *span = move_to(span.start)..move_to(span.end);
        });
        self.spare.give(text);
    }

    /// Looks at a page that belongs to no table: as rows where it has some, and as it is.
    pub(super) fn sqlite_loose(&mut self, page: &Page) {
        if self.is_done() {
            return;
        }
        self.window(page.bytes(), 0..page.bytes().len(), &Before::at(page.offset), &mut Names::default());
        for at in 0..page.cells() {
            let Some(cell) = page.cell(at) else { break };
            if self.is_done() {
                break;
            }
            if let Some(ranges) = layout(page.bytes(), &cell.local) {
                self.sqlite_values(page.bytes(), page.offset, &ranges);
            }
        }
    }

    /// Reads a log that lies without its database, or that was not taken over: page by page.
    pub(in super::super) fn sqlite_log(&mut self, source: &mut Peek<'_>) {
        if let Err(error) = self.sqlite_frames(source) {
            self.unread(Cause::Corrupt, &error.to_string());
        }
    }

    fn sqlite_frames(&mut self, source: &mut Peek<'_>) -> io::Result<()> {
        let header = source.take_exact(HEADER)?.unwrap_or_default();
        let size = header.get(8..12).and_then(|size| Some(u32::from_be_bytes(size.try_into().ok()?)));
        let size = size.and_then(|size| usize::try_from(size).ok());
        let Some(size) = size.filter(|size| (512..=65_536).contains(size) && size.is_power_of_two()) else {
            self.unread(Cause::Corrupt, "the log's page size cannot be: it is read as it is");
            self.text(header, source);
            return Ok(());
        };
        let mut offset = long(HEADER);
        while !self.is_done() {
            let Some(frame) = source.take_exact(FRAME)? else { break };
            let mut bytes = vec![0; size];
            let mut filled = 0;
            while let Some(into) = bytes.get_mut(filled..).filter(|into| !into.is_empty()) {
                match io::Read::read(source, into)? {
                    0 => break,
                    count => filled += count,
                }
            }
            bytes.truncate(filled);
            let is_first = frame.starts_with(&[0, 0, 0, 1]);
            self.sqlite_loose(&log_page(bytes, offset + long(FRAME), is_first));
            offset += long(FRAME + size);
        }
        Ok(())
    }
}
