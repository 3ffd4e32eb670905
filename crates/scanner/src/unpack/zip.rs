//! Zip archives, which jars, wheels and office documents are too. A directory at the end says what is in them; where it is
//! missing, or where it leaves something out, the members are read one after another as they lie.

use super::{
    Store, Unpack, long,
    peek::{Meter, Peek},
};
use crate::Cause;
use bzip2::bufread::BzDecoder;
use flate2::bufread::DeflateDecoder;
use lzma_rust2::XzReader;
use ruzstd::decoding::StreamingDecoder;
use std::{
    io::{self, Read, SeekFrom},
    ops::Range,
};

/// How far from the end the directory's end mark may begin: itself and the longest comment.
const TAIL: u64 = 22 + 65_535;

/// How much of the directory is read at once.
const BATCH: usize = 256 << 10;

/// The most memory a member may ask for to be unpacked, in KiB.
const DICTIONARY: u32 = 128 << 10;

/// What lies between members and is shorter than this holds no secret: fillings and descriptors.
const GAP: u64 = 30;

/// How much of a stored member without an end is read at once.
const UP_TO: usize = 32 << 10;

/// What a header says of a member, in the directory or before the member itself.
struct Entry {
    flags: u16,
    method: u16,
    /// None: it is not said here.
    packed: Option<u64>,
    at: u64,
    name: Vec<u8>,
}

impl Entry {
    fn is_encrypted(&self) -> bool {
        self.flags & 1 != 0 || self.method == 99
    }

    /// Whether its sizes stand behind it and not before.
    fn is_streamed(&self) -> bool {
        self.flags & 8 != 0
    }
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    bytes.get(at..at + 2)?.try_into().ok().map(u16::from_le_bytes)
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..at + 4)?.try_into().ok().map(u32::from_le_bytes)
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    bytes.get(at..at + 8)?.try_into().ok().map(u64::from_le_bytes)
}

/// A field that is larger than its 32 bits stands in the extra field for such.
fn large(told: u32, extra: &[u8], place: &mut usize) -> Option<u64> {
    if told != u32::MAX {
        return Some(u64::from(told));
    }
    let mut rest = extra;
    while let (Some(id), Some(size)) = (u16_at(rest, 0), u16_at(rest, 2)) {
        let data = rest.get(4..4 + usize::from(size))?;
        if id == 1 {
            let value = u64_at(data, *place);
            *place += 8;
            return value;
        }
        rest = rest.get(4 + usize::from(size)..)?;
    }
    None
}

/// Reads an entry of the directory; also tells how long it is. None: there is no whole one.
fn directory_entry(bytes: &[u8]) -> Option<(Entry, usize)> {
    if !bytes.starts_with(b"PK\x01\x02") {
        return None;
    }
    let (name, extra) = (usize::from(u16_at(bytes, 28)?), usize::from(u16_at(bytes, 30)?));
    let whole = 46 + name + extra + usize::from(u16_at(bytes, 32)?);
    bytes.get(..whole)?;
    let fields = bytes.get(46 + name..46 + name + extra)?;
    let mut place = 0;
    large(u32_at(bytes, 24)?, fields, &mut place);
    let packed = large(u32_at(bytes, 20)?, fields, &mut place);
    let at = large(u32_at(bytes, 42)?, fields, &mut place)?;
    let name = bytes.get(46..46 + name)?.to_vec();
    Some((Entry { flags: u16_at(bytes, 8)?, method: u16_at(bytes, 10)?, packed, at, name }, whole))
}

/// Reads the header before a member, as far as its fixed part; also tells how long name and extra field are.
fn local_entry(bytes: &[u8]) -> Option<(Entry, usize, usize)> {
    if !bytes.starts_with(b"PK\x03\x04") {
        return None;
    }
    let packed = Some(u64::from(u32_at(bytes, 18)?));
    let entry = Entry { flags: u16_at(bytes, 6)?, method: u16_at(bytes, 8)?, packed, at: 0, name: Vec::new() };
    Some((entry, usize::from(u16_at(bytes, 26)?), usize::from(u16_at(bytes, 28)?)))
}

/// Where the directory lies: its bytes in the file, how many bytes lie before the archive itself, and where it all ends.
struct Directory {
    span: Range<u64>,
    before: u64,
}

fn directory(file: &mut dyn Store) -> io::Result<Option<Directory>> {
    let size = file.seek(SeekFrom::End(0))?;
    let from = size.saturating_sub(TAIL);
    file.seek(SeekFrom::Start(from))?;
    let mut tail = Vec::new();
    (&mut *file).take(TAIL).read_to_end(&mut tail)?;
    let mut end = tail.len();
    while let Some(at) = memchr::memmem::rfind(tail.get(..end).unwrap_or_default(), b"PK\x05\x06") {
        if let Some(found) = tail.get(at..).and_then(|mark| end_mark(mark, from + long(at))) {
            return Ok(Some(found));
        }
        let locator = at.checked_sub(20).and_then(|locator| tail.get(locator..at));
        let place = locator.filter(|locator| locator.starts_with(b"PK\x06\x07")).and_then(|locator| u64_at(locator, 8));
        if let Some(place) = place
            && let Some(found) = large_end_mark(file, place, from + long(at) - 20)?
        {
            return Ok(Some(found));
        }
        end = at;
    }
    Ok(None)
}

fn end_mark(mark: &[u8], at: u64) -> Option<Directory> {
    let (length, start) = (u32_at(mark, 12)?, u32_at(mark, 16)?);
    if length == u32::MAX || start == u32::MAX || u16_at(mark, 10)? == u16::MAX {
        return None;
    }
    let begin = at.checked_sub(u64::from(length))?;
    Some(Directory { span: begin..at, before: begin.checked_sub(u64::from(start))? })
}

fn large_end_mark(file: &mut dyn Store, place: u64, locator: u64) -> io::Result<Option<Directory>> {
    // Something may lie before the archive: then the mark is not where it says, but right before its locator.
    for place in [Some(place), locator.checked_sub(56)].into_iter().flatten() {
        file.seek(SeekFrom::Start(place))?;
        let mut mark = Vec::new();
        (&mut *file).take(56).read_to_end(&mut mark)?;
        if let (true, Some(length), Some(start)) =
            (mark.starts_with(b"PK\x06\x06"), u64_at(&mark, 40), u64_at(&mark, 48))
        {
            let begin = place.checked_sub(length);
            return Ok(
                begin.and_then(|begin| Some(Directory { span: begin..place, before: begin.checked_sub(start)? }))
            );
        }
    }
    Ok(None)
}

impl Unpack<'_> {
    /// Reads an archive in a file, by its directory; then what the directory does not name.
    pub(super) fn zip(&mut self, file: &mut dyn Store) {
        let done = directory(file).and_then(|found| match found {
            Some(directory) => self.zip_by_directory(file, &directory, 0),
            None => {
                self.unread(
                    Cause::Corrupt,
                    "the archive has no directory at its end: its members are read as they lie",
                );
                file.rewind()?;
                self.zip_in_order(&mut Peek::new(&mut (&mut *file)));
                Ok(())
            }
        });
        if let Err(error) = done {
            self.unread(Cause::Unreadable, &error.to_string());
        }
    }

    /// Whether an archive hangs behind other content, such as a program that unpacks itself; if so, reads it.
    pub(super) fn zip_behind(&mut self, file: &mut dyn Store) {
        let Ok(Some(directory)) = directory(file) else { return };
        let mut first = [0; 4];
        let is_one = file.seek(SeekFrom::Start(directory.span.start)).is_ok()
            && file.read_exact(&mut first).is_ok()
            && first == *b"PK\x01\x02";
        if is_one && self.zip_by_directory(file, &directory, directory.before).is_err() {
            self.unread(Cause::Corrupt, "the archive behind it cannot be read");
        }
    }

    /// Reads the members that a directory names, then what lies between them, from `front` on: the archive's own front,
    /// or the file's where other archives lie before it.
    fn zip_by_directory(&mut self, file: &mut dyn Store, directory: &Directory, front: u64) -> io::Result<()> {
        let mut covered = Vec::new();
        let mut at = directory.span.start;
        let mut batch = Vec::new();
        while at < directory.span.end && !self.is_done() {
            file.seek(SeekFrom::Start(at))?;
            batch.clear();
            (&mut *file).take((directory.span.end - at).min(long(BATCH))).read_to_end(&mut batch)?;
            let mut read = 0;
            while let Some((entry, length)) = batch.get(read..).and_then(directory_entry) {
                read += length;
                let start = directory.before.saturating_add(entry.at);
                let end = self.zip_entry(file, &entry, start, directory.span.start)?;
                covered.push(start..end.max(start));
                if self.is_done() {
                    return Ok(());
                }
            }
            if read == 0 {
                self.unread(Cause::Corrupt, "the archive's directory is broken");
                break;
            }
            at += long(read);
        }
        self.zip_gaps(file, covered, directory, front)
    }

    /// Reads what no entry of the directory covers: members that were taken out of it, and whatever else lies there.
    fn zip_gaps(
        &mut self,
        file: &mut dyn Store,
        mut covered: Vec<Range<u64>>,
        directory: &Directory,
        front: u64,
    ) -> io::Result<()> {
        covered.sort_unstable_by_key(|range| range.start);
        covered.push(directory.span.start..directory.span.end);
        let mut free_from = front;
        for range in covered {
            if range.start.saturating_sub(free_from) >= GAP && !self.is_done() {
                file.seek(SeekFrom::Start(free_from))?;
                let mut gap = (&mut *file).take(range.start - free_from);
                self.zip_in_order(&mut Peek::new(&mut gap));
            }
            free_from = free_from.max(range.end);
        }
        Ok(())
    }

    /// Reads one member of the directory; tells where it ends.
    fn zip_entry(&mut self, file: &mut dyn Store, entry: &Entry, start: u64, end: u64) -> io::Result<u64> {
        file.seek(SeekFrom::Start(start))?;
        let mut fixed = Vec::new();
        (&mut *file).take(30).read_to_end(&mut fixed)?;
        let Some((_, name, extra)) = local_entry(&fixed) else {
            self.member(&entry.name, |this| this.unread(Cause::Corrupt, "no member lies where the directory says"));
            return Ok(start);
        };
        let data = file.seek(SeekFrom::Start(start.saturating_add(30 + long(name) + long(extra))))?;
        let mut rest = (&mut *file).take(end.saturating_sub(data));
        let mut source = Peek::new(&mut rest);
        self.zip_content(entry, &mut source);
        if entry.packed.is_none() {
            self.member(&entry.name, |this| {
                this.unread(Cause::Corrupt, "the directory does not say the member's size");
            });
        }
        Ok(data.saturating_add(entry.packed.unwrap_or(0).max(source.taken().get())).min(end.max(data)))
    }

    /// Looks at a member's content, which begins here.
    fn zip_content(&mut self, entry: &Entry, source: &mut Peek<'_>) {
        if entry.name.ends_with(b"/") && entry.packed == Some(0) {
            return;
        }
        self.member(&entry.name, |this| {
            if entry.is_encrypted() {
                this.unread(Cause::Encrypted, "the member needs a password");
                return;
            }
            let taken = source.taken();
            let before = taken.get();
            let (failed, out) = {
                let packed: Box<dyn Read + '_> = match (entry.method, entry.packed) {
                    (0, packed) => Box::new(source.by_ref().take(packed.unwrap_or(u64::MAX))),
                    // Deflated content knows its own end, whatever the sizes say.
                    (8, _) => Box::new(DeflateDecoder::new(&mut *source)),
                    (12, _) => Box::new(BzDecoder::new(&mut *source)),
                    (93, _) => match StreamingDecoder::new(&mut *source) {
                        Ok(stream) => Box::new(stream),
                        Err(error) => return this.unread(Cause::Corrupt, &error.to_string()),
                    },
                    (95, _) => Box::new(XzReader::new_mem_limit(&mut *source, false, DICTIONARY)),
                    (other, _) => return this.unread(Cause::Unsupported, &format!("packed by method {other}")),
                };
                let mut meter = Meter::new(packed, this.budget, taken.clone());
                this.stream(&mut meter);
                if !this.is_done() {
                    drain(&mut meter);
                }
                (meter.failed.take(), meter.out)
            };
            let used = taken.get() - before;
            match (failed, entry.packed) {
                (Some((cause, detail)), _) => this.unread(cause, &detail),
                (None, _) if this.is_done() => {}
                (None, Some(packed)) if entry.method == 0 && used < packed => {
                    this.unread(Cause::Corrupt, "the archive ends within this member");
                }
                (None, Some(packed)) if used != packed && !entry.is_streamed() && out > 0 => {
                    this.unread(
                        Cause::Corrupt,
                        "the member's sizes are not what the archive says; it was read to its end",
                    );
                }
                (None, _) => {}
            }
        });
    }

    /// Reads members as they lie, without the directory: in streams, gaps, and archives whose end is missing.
    pub(super) fn zip_in_order(&mut self, source: &mut Peek<'_>) {
        if let Err(error) = self.zip_members(source) {
            self.unread(Cause::Corrupt, &error.to_string());
        }
    }

    fn zip_members(&mut self, source: &mut Peek<'_>) -> io::Result<()> {
        while !self.is_done() {
            let head = source.peek(46)?.to_vec();
            match &*head {
                [] => return Ok(()),
                [b'P', b'K', 3, 4, ..] if head.len() >= 30 => self.zip_member(source)?,
                [b'P', b'K', 1, 2, ..] if head.len() >= 46 => {
                    let length = |at| u64::from(u16_at(&head, at).unwrap_or(0));
                    let whole = 46 + length(28) + length(30) + length(32);
                    source.skip(whole)?;
                }
                [b'P', b'K', 5, 6, ..] => {
                    let whole = 22 + u64::from(u16_at(&head, 20).unwrap_or(0));
                    source.skip(whole)?;
                }
                [b'P', b'K', 6, 6, ..] => {
                    source.skip(56)?;
                }
                [b'P', b'K', 6, 7, ..] => {
                    source.skip(20)?;
                }
                // The mark of an archive in several parts.
                [b'P', b'K', 7, 8, b'P', b'K', ..] => {
                    source.skip(4)?;
                }
                _ if !self.zip_resume(source)? => {
                    self.text(Vec::new(), source);
                    return Ok(());
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn zip_member(&mut self, source: &mut Peek<'_>) -> io::Result<()> {
        let Some(fixed) = source.take_exact(30)? else { return Ok(()) };
        let Some((mut entry, name, extra)) = local_entry(&fixed) else { return Ok(()) };
        let both = source.take_exact((name + extra).min(60 << 10))?;
        let Some(both) = both.filter(|both| both.len() == name + extra) else {
            self.unread(Cause::Corrupt, "the archive ends within a member's header");
            source.skip(u64::MAX)?;
            return Ok(());
        };
        let (name, extra) = both.split_at(name);
        entry.name = name.to_vec();
        let mut place = 0;
        if u32_at(&fixed, 22) == Some(u32::MAX) {
            place = 8;
        }
        entry.packed = u32_at(&fixed, 18).and_then(|told| large(told, extra, &mut place));
        if entry.is_streamed() && entry.packed == Some(0) {
            entry.packed = None;
        }
        let before = source.taken().get();
        if entry.packed.is_none() && (entry.method == 0 || entry.is_encrypted()) {
            // Nothing says where it ends: what lies there is read as it is, up to the next member's mark.
            if entry.is_encrypted() {
                self.member(&entry.name, |this| this.unread(Cause::Encrypted, "the member needs a password"));
            }
            let mut content = UpToMark { source };
            self.member(&entry.name, |this| this.stream(&mut content));
            return Ok(());
        }
        self.zip_content(&entry, source);
        let used = source.taken().get() - before;
        if let Some(left) = entry.packed.and_then(|packed| packed.checked_sub(used)) {
            source.skip(left)?;
        }
        Ok(())
    }

    /// Finds the next member's mark near here, behind a descriptor. False: there is none.
    fn zip_resume(&mut self, source: &mut Peek<'_>) -> io::Result<bool> {
        let head = source.peek(64)?;
        let mark = memchr::memmem::find_iter(head, b"PK").find(|at| *at > 0 && is_mark(head.get(*at..)));
        let Some(mark) = mark else { return Ok(head.len() <= 24 && source.skip(24)? > 0) };
        source.skip(long(mark))?;
        Ok(true)
    }
}

/// Whether a member, the directory or its end begins here.
fn is_mark(bytes: Option<&[u8]>) -> bool {
    matches!(bytes, Some([b'P', b'K', 3, 4, ..] | [b'P', b'K', 1, 2, ..] | [b'P', b'K', 5..=6, 6, ..]))
}

/// A stored member of which nobody says how long it is: it ends where the next mark stands.
struct UpToMark<'a, 'r> {
    source: &'a mut Peek<'r>,
}

impl Read for UpToMark<'_, '_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let most = into.len().min(UP_TO);
        // A mark that begins among the bytes asked for is seen whole.
        let there = self.source.peek(most + 6)?;
        let is_end = |at: &usize| {
            is_mark(there.get(*at..)) || there.get(*at..).is_some_and(|rest| rest.starts_with(b"PK\x07\x08"))
        };
        let end = memchr::memmem::find_iter(there, b"PK").find(is_end);
        let count = end.unwrap_or(there.len()).min(most);
        self.source.read(into.get_mut(..count).unwrap_or_default())
    }
}

/// Reads what is left of a content, so that its end is found.
fn drain(reader: &mut dyn Read) {
    // The reader keeps its own error.
    let _ended = io::copy(reader, &mut io::sink());
}
