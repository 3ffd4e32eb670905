//! The pages of a database file: trees, their cells, and the chains of pages that long rows go on in.

use super::{
    super::{Store, long},
    record::varint,
};
use crate::Cause;
use std::{
    io::{self, Read, SeekFrom},
    ops::Range,
};

/// How much of the file is read at once, in bytes: the largest page.
const BLOCK: usize = 64 << 10;

/// How many pages a database may have to be read as rows: what was seen of them is kept in 32 MiB then.
const MOST: u64 = 1 << 28;

/// Fewer bytes than this hold no secret.
const SHORTEST: usize = 16;

/// The pages of a file, and which of them have been read.
pub(super) struct Pages<'f> {
    file: &'f mut dyn Store,
    size: usize,
    usable: usize,
    count: u32,
    pub(super) encoding: u32,
    seen: Vec<u64>,
    block: Vec<u8>,
    block_at: Option<u64>,
    /// Whether something was found that cannot be.
    pub(super) is_broken: bool,
}

/// A page of a tree.
pub(super) struct Page {
    bytes: Vec<u8>,
    usable: usize,
    /// Where it lies in the file.
    pub(super) offset: u64,
    /// Where its own header begins: the first page has the file's before it.
    start: usize,
}

/// A cell of a page: one row, or a part of it.
pub(super) struct Cell {
    pub(super) number: Option<i64>,
    size: u64,
    pub(super) local: Range<usize>,
    /// All bytes of the page that it has.
    pub(super) whole: Range<usize>,
    next: Option<u32>,
}

/// A row's bytes.
pub(super) struct Payload {
    pub(super) bytes: Vec<u8>,
    /// Whether it has more than were read.
    pub(super) is_cut: bool,
}

/// A page of a log.
pub(super) fn log_page(bytes: Vec<u8>, offset: u64, is_first: bool) -> Page {
    let usable = bytes.len().max(512);
    Page { bytes, usable, offset, start: if is_first { 100 } else { 0 } }
}

fn u16_at(bytes: &[u8], at: usize) -> Option<usize> {
    bytes.get(at..at + 2)?.try_into().ok().map(|bytes| usize::from(u16::from_be_bytes(bytes)))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..at + 4)?.try_into().ok().map(u32::from_be_bytes)
}

type Opened<'f> = Result<Pages<'f>, (Cause, &'static str, &'f mut dyn Store)>;

impl<'f> Pages<'f> {
    /// Opens a database. Gives the file back where it is none.
    pub(super) fn open(file: &'f mut dyn Store) -> io::Result<Opened<'f>> {
        let length = file.seek(SeekFrom::End(0))?;
        file.rewind()?;
        let mut header = Vec::new();
        (&mut *file).take(100).read_to_end(&mut header)?;
        let size = match u16_at(&header, 16) {
            Some(1) => 65_536,
            Some(size) if size >= 512 && size.is_power_of_two() => size,
            _ => return Ok(Err((Cause::Corrupt, "the database's page size cannot be", file))),
        };
        let reserved = header.get(20).copied().map_or(0, usize::from);
        let encoding = u32_at(&header, 56).unwrap_or(1);
        // The last page may be cut off: it counts.
        let count = length.div_ceil(long(size));
        if count > MOST {
            return Ok(Err((Cause::TooLarge, "the database has too many pages", file)));
        }
        let usable = size - reserved;
        if usable < 480 {
            return Ok(Err((Cause::Corrupt, "the database reserves too much of its pages", file)));
        }
        let count = u32::try_from(count).unwrap_or(u32::MAX);
        let words = usize::try_from(count / 64 + 1).unwrap_or(0);
        Ok(Ok(Self {
            file,
            size,
            usable,
            count,
            encoding,
            seen: vec![0; words],
            block: Vec::new(),
            block_at: None,
            is_broken: false,
        }))
    }

    fn bit(number: u32) -> (usize, u64) {
        (usize::try_from(number / 64).unwrap_or(usize::MAX), 1 << (number % 64))
    }

    /// Takes a page as read. False: it is none, or was taken before.
    fn take(&mut self, number: u32) -> bool {
        let (word, bit) = Self::bit(number);
        let is_new = number >= 1 && number <= self.count && self.seen.get(word).is_some_and(|word| word & bit == 0);
        if let Some(word) = self.seen.get_mut(word).filter(|_| is_new) {
            *word |= bit;
        }
        self.is_broken |= !is_new;
        is_new
    }

    /// Has a page be read as it is after all.
    pub(super) fn spoil(&mut self, number: u32) {
        let (word, bit) = Self::bit(number);
        if let Some(word) = self.seen.get_mut(word) {
            *word &= !bit;
        }
        self.is_broken = true;
    }

    /// Sorts the cells of a page. Where some lie over others, the page is read as it is: false.
    pub(super) fn are_apart(&mut self, number: u32, page: &Page, cells: &mut [Range<usize>]) -> bool {
        cells.sort_unstable_by_key(|cell| cell.start);
        let overlap = cells.windows(2).any(|pair| matches!(pair, [one, next] if one.end > next.start));
        let are_apart = !overlap && cells.first().is_none_or(|first| first.start >= page.header_end());
        if !are_apart {
            self.spoil(number);
        }
        are_apart
    }

    /// Takes a page and puts it on the list of those to be read.
    pub(super) fn push(&mut self, number: u32, open: &mut Vec<u32>) {
        if self.take(number) {
            open.push(number);
        }
    }

    /// Reads a page. None: the file ends before it.
    pub(super) fn page(&mut self, number: u32) -> io::Result<Option<Page>> {
        let Some(index) = number.checked_sub(1) else { return Ok(None) };
        let offset = u64::from(index) * long(self.size);
        let Some(bytes) = self.bytes(offset, self.size)? else { return Ok(None) };
        let bytes = bytes.to_vec();
        Ok(Some(Page { bytes, usable: self.usable, offset, start: if number == 1 { 100 } else { 0 } }))
    }

    /// Bytes of the file that lie within one block. Fewer where the file ends. None: there are none.
    fn bytes(&mut self, offset: u64, count: usize) -> io::Result<Option<&[u8]>> {
        let block_at = offset - offset % long(BLOCK);
        if self.block_at != Some(block_at) {
            self.block_at = None;
            self.file.seek(SeekFrom::Start(block_at))?;
            self.block.clear();
            (&mut *self.file).take(long(BLOCK)).read_to_end(&mut self.block)?;
            self.block_at = Some(block_at);
        }
        let from = usize::try_from(offset - block_at).unwrap_or(usize::MAX);
        Ok(self.block.get(from..self.block.len().min(from.saturating_add(count))).filter(|bytes| !bytes.is_empty()))
    }

    /// Reads a row, with the pages it goes on in. None: it cannot be read; its page is read as it is then.
    pub(super) fn payload(&mut self, page: &Page, cell: &Cell, most: usize) -> io::Result<Option<Payload>> {
        let mut bytes = page.bytes.get(cell.local.clone()).unwrap_or_default().to_vec();
        let whole = usize::try_from(cell.size).unwrap_or(usize::MAX);
        let mut next = cell.next;
        let wanted = whole.min(most);
        while let Some(number) = next.filter(|number| *number != 0 && bytes.len() < wanted) {
            if !self.take(number) {
                break;
            }
            let offset = (u64::from(number) - 1) * long(self.size);
            let usable = self.usable;
            let Some(page) = self.bytes(offset, usable)? else { break };
            next = u32_at(page, 0);
            let left = wanted - bytes.len();
            let more = page.get(4..).unwrap_or_default();
            bytes.extend_from_slice(more.get(..left.min(more.len())).unwrap_or_default());
        }
        if bytes.len() < wanted {
            self.is_broken = true;
        }
        Ok((!bytes.is_empty()).then_some(Payload { bytes, is_cut: wanted < whole }))
    }

    /// Takes all pages of a tree as read, without reading rows.
    pub(super) fn mark_tree(&mut self, root: u32) -> io::Result<()> {
        let mut open = Vec::new();
        self.push(root, &mut open);
        while let Some(number) = open.pop() {
            let Some(page) = self.page(number)? else { continue };
            if !page.is_tree() {
                self.spoil(number);
                continue;
            }
            for child in page.children() {
                self.push(child, &mut open);
            }
            for at in 0..page.cells() {
                let mut next = page.cell(at).and_then(|cell| cell.next);
                while let Some(number) = next.filter(|number| *number != 0) {
                    if !self.take(number) {
                        break;
                    }
                    let offset = (u64::from(number) - 1) * long(self.size);
                    next = self.bytes(offset, 4)?.and_then(|page| u32_at(page, 0));
                }
            }
        }
        Ok(())
    }

    /// The next pages that were not read, together not longer than told.
    pub(super) fn rest(&self, from: &mut u32, most: usize) -> Option<Range<u32>> {
        let is_seen = |number: u32| {
            let (word, bit) = Self::bit(number);
            self.seen.get(word).is_some_and(|word| word & bit != 0)
        };
        let all = *from..self.count.saturating_add(1);
        let start = all.clone().find(|number| !is_seen(*number))?;
        let pages = u32::try_from((most / self.size).max(1)).unwrap_or(1);
        let end = (start..all.end).take_while(|number| !is_seen(*number) && number - start < pages).last()? + 1;
        *from = end;
        Some(start..end)
    }

    /// The bytes of neighbouring pages, and where they lie.
    pub(super) fn stretch(&mut self, pages: &Range<u32>) -> io::Result<(u64, Vec<u8>)> {
        let offset = (u64::from(pages.start).saturating_sub(1)) * long(self.size);
        self.block_at = None;
        self.file.seek(SeekFrom::Start(offset))?;
        let mut bytes = Vec::new();
        let count = u64::from(pages.end - pages.start) * long(self.size);
        (&mut *self.file).take(count).read_to_end(&mut bytes)?;
        Ok((offset, bytes))
    }
}

impl Page {
    fn kind(&self) -> u8 {
        self.bytes.get(self.start).copied().unwrap_or(0)
    }

    /// Whether it is a page of a tree at all.
    pub(super) fn is_tree(&self) -> bool {
        matches!(self.kind(), 2 | 5 | 10 | 13)
    }

    /// How many cells it says that it has.
    pub(super) fn cells(&self) -> usize {
        let count = u16_at(&self.bytes, self.start + 3).unwrap_or(0);
        // Inner pages of trees of rows hold none themselves.
        if self.kind() == 5 { 0 } else { count }
    }

    /// Where the list of its cells ends.
    fn header_end(&self) -> usize {
        self.pointers() + u16_at(&self.bytes, self.start + 3).unwrap_or(0) * 2
    }

    /// All its bytes.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Whether it may hold rows.
    pub(super) fn has_rows(&self) -> bool {
        matches!(self.kind(), 10 | 13) && self.cells() > 0
    }

    fn pointers(&self) -> usize {
        self.start + if matches!(self.kind(), 2 | 5) { 12 } else { 8 }
    }

    /// The pages below it.
    pub(super) fn children(&self) -> Vec<u32> {
        if !matches!(self.kind(), 2 | 5) {
            return Vec::new();
        }
        let count = u16_at(&self.bytes, self.start + 3).unwrap_or(0);
        let cell = |at: usize| u32_at(&self.bytes, u16_at(&self.bytes, self.pointers() + at * 2)?);
        let mut children: Vec<u32> = (0..count).map_while(cell).collect();
        children.extend(u32_at(&self.bytes, self.start + 8));
        // The list of open pages is taken from its end.
        children.reverse();
        children
    }

    /// One of its cells. None: it is broken.
    pub(super) fn cell(&self, at: usize) -> Option<Cell> {
        let begin = u16_at(&self.bytes, self.pointers() + at * 2)?;
        let mut place = begin;
        if self.kind() == 2 {
            place += 4;
        }
        let (size, used) = varint(self.bytes.get(place..)?)?;
        place += used;
        let mut number = None;
        if self.kind() == 13 {
            let (value, used) = varint(self.bytes.get(place..)?)?;
            number = Some(value.cast_signed());
            place += used;
        }
        let largest = if self.kind() == 13 { self.usable - 35 } else { (self.usable - 12) * 64 / 255 - 23 };
        let (local, goes_on) = if size <= long(largest) {
            (usize::try_from(size).ok()?, false)
        } else {
            let least = (self.usable - 12) * 32 / 255 - 23;
            let more = usize::try_from((size - long(least)) % long(self.usable - 4)).ok()?;
            (if least + more <= largest { least + more } else { least }, true)
        };
        let end = place + local;
        self.bytes.get(place..end)?;
        let next = if goes_on { Some(u32_at(&self.bytes, end)?) } else { None };
        let whole = begin..end + if goes_on { 4 } else { 0 };
        Some(Cell { number, size, local: place..end, whole, next })
    }

    /// The page with everything blank that is alive. None: nothing else is there.
    pub(super) fn remains(&self, live: &[Range<usize>]) -> Option<Vec<u8>> {
        if !matches!(self.kind(), 10 | 13) {
            return None;
        }
        let mut bytes = self.bytes.clone();
        let header = self.header_end();
        for range in live.iter().cloned().chain(std::iter::once(0..header.min(bytes.len()))) {
            bytes.get_mut(range)?.fill(0);
        }
        let longest = bytes.split(|byte| *byte == 0).map(<[u8]>::len).max()?;
        (longest >= SHORTEST).then_some(bytes)
    }
}
