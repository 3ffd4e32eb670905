//! The log beside a database: pages that were committed and not yet written into it. They count as the database's own.

use super::super::{Store, long};
use std::{
    collections::BTreeMap,
    io::{self, Read, Seek, SeekFrom},
};

/// The log's own header, and each frame's.
const HEADER: usize = 32;
const FRAME: usize = 24;

/// How many frames are read at most.
const FRAMES: usize = 4 << 20;

/// A database as it is with its log.
pub(crate) struct WithLog<'s> {
    base: &'s mut dyn Store,
    log: &'s mut dyn Store,
    /// Where in the log each page's newest bytes are.
    pages: BTreeMap<u64, u64>,
    size: u64,
    length: u64,
    at: u64,
}

/// The log's running sum.
struct Sum {
    first: u32,
    second: u32,
    is_big: bool,
}

impl Sum {
    fn add(&mut self, bytes: &[u8]) {
        let word = |bytes: &[u8]| {
            let word = bytes.try_into().unwrap_or_default();
            if self.is_big { u32::from_be_bytes(word) } else { u32::from_le_bytes(word) }
        };
        let (mut first, mut second) = (self.first, self.second);
        for pair in bytes.chunks_exact(8) {
            let (one, other) = pair.split_at(4);
            first = first.wrapping_add(word(one)).wrapping_add(second);
            second = second.wrapping_add(word(other)).wrapping_add(first);
        }
        (self.first, self.second) = (first, second);
    }

    fn is(&self, bytes: &[u8], at: usize) -> bool {
        u32_at(bytes, at) == Some(self.first) && u32_at(bytes, at + 4) == Some(self.second)
    }
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..at + 4)?.try_into().ok().map(u32::from_be_bytes)
}

impl<'s> WithLog<'s> {
    /// Puts a log's pages over a database's. None: the log has none that count.
    pub(crate) fn new(base: &'s mut dyn Store, log: &'s mut dyn Store) -> io::Result<Option<Self>> {
        let length = base.seek(SeekFrom::End(0))?;
        log.rewind()?;
        let mut header = Vec::new();
        (&mut *log).take(long(HEADER)).read_to_end(&mut header)?;
        let is_big = match u32_at(&header, 0) {
            Some(0x377f_0682) => false,
            Some(0x377f_0683) => true,
            _ => return Ok(None),
        };
        let Some(size) = u32_at(&header, 8).and_then(|size| usize::try_from(size).ok()) else { return Ok(None) };
        let mut sum = Sum { first: 0, second: 0, is_big };
        sum.add(header.get(..24).unwrap_or_default());
        if !size.is_power_of_two() || !(512..=65_536).contains(&size) || !sum.is(&header, 24) {
            return Ok(None);
        }
        let (mut pages, mut pending, mut count) = (BTreeMap::new(), BTreeMap::new(), 0);
        let mut at = long(HEADER);
        let mut frame = Vec::new();
        for _ in 0..FRAMES {
            frame.clear();
            (&mut *log).take(long(FRAME + size)).read_to_end(&mut frame)?;
            if frame.len() < FRAME + size || frame.get(8..16) != header.get(16..24) {
                break;
            }
            sum.add(frame.get(..8).unwrap_or_default());
            sum.add(frame.get(FRAME..).unwrap_or_default());
            if !sum.is(&frame, 16) {
                break;
            }
            pending.insert(u64::from(u32_at(&frame, 0).unwrap_or(0)), at + long(FRAME));
            at += long(FRAME + size);
            // What was not committed does not count.
            if let Some(committed) = u32_at(&frame, 4).filter(|count| *count > 0) {
                count = u64::from(committed);
                pages.append(&mut pending);
            }
        }
        let size = long(size);
        let length = length.max(count * size);
        Ok((!pages.is_empty()).then_some(Self { base, log, pages, size, length, at: 0 }))
    }
}

impl Read for WithLog<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let left = self.size - self.at % self.size;
        let most = usize::try_from(left.min(self.length.saturating_sub(self.at))).unwrap_or(usize::MAX).min(into.len());
        let into = into.get_mut(..most).unwrap_or_default();
        if into.is_empty() {
            return Ok(0);
        }
        let count = match self.pages.get(&(self.at / self.size + 1)) {
            Some(place) => {
                self.log.seek(SeekFrom::Start(place + self.at % self.size))?;
                self.log.read(into)?
            }
            None => {
                self.base.seek(SeekFrom::Start(self.at))?;
                self.base.read(into)?
            }
        };
        // Pages that neither has are empty.
        let count = if count == 0 {
            into.fill(0);
            into.len()
        } else {
            count
        };
        self.at += long(count);
        Ok(count)
    }
}

impl Seek for WithLog<'_> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let to = match to {
            SeekFrom::Start(at) => Some(at),
            SeekFrom::End(by) => self.length.checked_add_signed(by),
            SeekFrom::Current(by) => self.at.checked_add_signed(by),
        };
        self.at = to.ok_or_else(|| io::Error::from(io::ErrorKind::InvalidInput))?;
        Ok(self.at)
    }
}

impl Store for WithLog<'_> {}
