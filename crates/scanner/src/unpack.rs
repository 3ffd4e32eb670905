//! Turns what is stored into stretches of plain bytes: unpacks archives within archives, reads rows out of databases,
//! decodes wide characters, and cuts large contents into windows. All in memory, within bounds, nothing on the disk.

mod inflate;
mod kind;
mod mail;
mod markup;
mod packed;
mod peek;
mod sql;
mod sqlite;
mod tar;
mod text;
mod wide;
mod zip;

use crate::{Cause, Look, Unread};
use kind::Kind;
pub(crate) use mail::QUOTED;
pub(crate) use markup::RUNS;
use peek::{Outer, Peek};
pub(crate) use sqlite::WithLog;
use std::{
    cell::Cell,
    io::{self, Cursor, Read, Seek},
};

/// How many bytes of a large content are a portion's own.
const WINDOW: usize = 1 << 20;

/// How many bytes on either side are read with them: no secret is longer.
const MARGIN: usize = 64 << 10;

/// Up to this size a file is best read at once.
pub(crate) const AT_ONCE: usize = WINDOW + MARGIN - 1;

/// How long a step of the way within a file may be, in bytes.
const STEP: usize = 1 << 10;

/// What a single thing may unpack to whatever its ratio, in bytes: logs and empty tables pack well.
const RATIO_FROM: u64 = 256 << 20;

/// How far unpacking goes. What lies beyond is told as not looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bounds {
    /// The largest file, as it lies on the disk, in bytes.
    pub file: u64,
    /// The most bytes that one file may unpack to.
    pub unpacked: u64,
    /// How many times larger than it was packed a thing may become, once it is a few hundred MB large.
    pub ratio: u64,
    /// How often a thing may be packed within another.
    pub depth: u32,
    /// The most members that one file may have, those of nested archives included.
    pub members: u64,
    /// The most bytes held in memory of one thing that cannot be read from front to end, such as a database in an archive.
    pub memory: u64,
}

impl Default for Bounds {
    fn default() -> Self {
        let (unpacked, memory) = (16 << 30, 128 << 20);
        Self { file: u64::MAX, unpacked, ratio: 500, depth: 12, members: 1_000_000, memory }
    }
}

/// Unpacks what is in memory, such as a git blob. Its name says nothing that its bytes do not say better.
pub fn unpack_bytes(_name: &[u8], bytes: &[u8], bounds: &Bounds, look: &mut dyn Look) {
    let budget = Budget::new(bounds);
    Unpack::new(bounds, &budget, look, &mut Spare::default()).memory(bytes);
}

/// Unpacks a file.
pub fn unpack_reader(name: &[u8], reader: impl Read + Seek, bounds: &Bounds, look: &mut dyn Look) {
    let _names_are_no_proof = name;
    let budget = Budget::new(bounds);
    Unpack::new(bounds, &budget, look, &mut Spare::default()).file(&mut Whole(reader));
}

/// Unpacks what can be read only once, such as standard input.
pub fn unpack_stream(_name: &[u8], mut reader: impl Read, bounds: &Bounds, look: &mut dyn Look) {
    let budget = Budget::new(bounds);
    Unpack::new(bounds, &budget, look, &mut Spare::default()).pipe(&mut reader);
}

/// Something that can be read at any place.
pub(crate) trait Store: Read + Seek {
    /// Where the place is in a hole of a sparse file: goes to the hole's end, and tells how many bytes it skipped.
    fn skip_hole(&mut self) -> io::Result<u64> {
        Ok(0)
    }
}

/// A store without holes.
pub(crate) struct Whole<R>(pub(crate) R);

impl<R: Read> Read for Whole<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.0.read(into)
    }
}

impl<R: Seek> Seek for Whole<R> {
    fn seek(&mut self, to: io::SeekFrom) -> io::Result<u64> {
        self.0.seek(to)
    }
}

impl<R: Read + Seek> Store for Whole<R> {}

/// Buffers that are used again.
#[derive(Debug, Default)]
pub(crate) struct Spare(Vec<Vec<u8>>);

impl Spare {
    fn take(&mut self) -> Vec<u8> {
        self.0.pop().unwrap_or_default()
    }

    fn give(&mut self, mut buffer: Vec<u8>) {
        // What grew beyond a window is rare and goes back to the system.
        if buffer.capacity() <= 2 * WINDOW && self.0.len() < 4 {
            buffer.clear();
            self.0.push(buffer);
        }
    }
}

/// What is left of the bounds for one file.
pub(crate) struct Budget {
    bytes: Cell<u64>,
    members: Cell<u64>,
    ratio: u64,
}

impl Budget {
    pub(crate) fn new(bounds: &Bounds) -> Self {
        Self { bytes: Cell::new(bounds.unpacked), members: Cell::new(bounds.members), ratio: bounds.ratio.max(1) }
    }

    /// Counts bytes that came out of an unpacker: these, all of the thing they belong to, and what went in for it.
    fn spend(&self, bytes: u64, out: u64, packed: u64) -> Result<(), &'static str> {
        let Some(left) = self.bytes.get().checked_sub(bytes) else {
            self.bytes.set(0);
            return Err("the file unpacks to more than the bound");
        };
        self.bytes.set(left);
        if out > RATIO_FROM && out / self.ratio > packed {
            // Where one such thing is, more may be: each has half as much left.
            self.bytes.set(left / 2);
            return Err("it unpacks to too many times its size");
        }
        Ok(())
    }
}

/// Unpacks one file.
pub(crate) struct Unpack<'a> {
    bounds: &'a Bounds,
    budget: &'a Budget,
    look: &'a mut dyn Look,
    spare: &'a mut Spare,
    within: Vec<Box<str>>,
    depth: u32,
    done: bool,
}

impl<'a> Unpack<'a> {
    pub(crate) fn new(bounds: &'a Bounds, budget: &'a Budget, look: &'a mut dyn Look, spare: &'a mut Spare) -> Self {
        Self { bounds, budget, look, spare, within: Vec::new(), depth: 0, done: false }
    }

    /// Unpacks what is in memory.
    pub(crate) fn memory(&mut self, bytes: &[u8]) {
        match kind::kind(bytes) {
            Kind::Plain => self.plain(bytes),
            Kind::Unknown(name) => {
                self.unknown(name);
                self.plain(bytes);
            }
            Kind::Zip => self.deeper(|this| this.zip(&mut Whole(Cursor::new(bytes)))),
            Kind::Sqlite => self.deeper(|this| this.sqlite(&mut Whole(Cursor::new(bytes)))),
            Kind::Pdf => self.pdf(bytes),
            Kind::Png => self.png(bytes),
            other => self.in_order(other, &mut &*bytes),
        }
    }

    /// Unpacks a file that is too large to be read at once, or of unknown size.
    pub(crate) fn file(&mut self, file: &mut dyn Store) {
        let mut head = self.spare.take();
        match (&mut *file).take(long(WINDOW + MARGIN)).read_to_end(&mut head) {
            Ok(read) if read < WINDOW + MARGIN => self.memory(&head),
            Ok(_) => return self.large_file(head, file),
            Err(error) => {
                self.memory(&head);
                self.unread(Cause::Unreadable, &error.to_string());
            }
        }
        self.spare.give(head);
    }

    fn large_file(&mut self, head: Vec<u8>, file: &mut dyn Store) {
        let kind = kind::kind(&head);
        match kind {
            Kind::Zip => self.deeper(|this| this.zip(file)),
            Kind::Sqlite => self.deeper(|this| this.sqlite(file)),
            Kind::Pdf | Kind::Png => {
                let mut outer = Outer::new(file);
                self.whole(head, &mut outer);
                if let Some(detail) = outer.failed.take() {
                    self.unread(Cause::Unreadable, &detail);
                }
                return;
            }
            Kind::Plain | Kind::Unknown(_) => {
                if let Kind::Unknown(name) = kind {
                    self.unknown(name);
                }
                let may_hide = hides_archive(&head);
                self.windows(head, &mut text::Holes(file));
                if may_hide && !self.is_done() {
                    self.zip_behind(file);
                }
                return;
            }
            Kind::Packed(_) | Kind::Tar | Kind::Deb | Kind::SqliteLog => {
                let mut outer = Outer::new(file);
                self.in_order(kind, &mut Cursor::new(&head).chain(&mut outer));
                if let Some(detail) = outer.failed.take() {
                    self.unread(Cause::Unreadable, &detail);
                }
            }
        }
        self.spare.give(head);
    }

    /// Unpacks what comes from a pipe or another stream.
    pub(crate) fn pipe(&mut self, reader: &mut dyn Read) {
        let mut outer = Outer::new(reader);
        self.stream(&mut outer);
        if let Some(detail) = outer.failed.take() {
            self.unread(Cause::Unreadable, &detail);
        }
    }

    /// Unpacks what can be read only once. Whoever made the reader tells of its failures.
    fn stream(&mut self, reader: &mut dyn Read) {
        let mut head = self.spare.take();
        let most = WINDOW + MARGIN;
        let ended = fill(&mut head, most, reader);
        let kind = kind::kind(&head);
        if ended {
            self.memory(&head);
        } else if matches!(kind, Kind::Zip | Kind::Sqlite) {
            if fill(&mut head, usize::try_from(self.bounds.memory).unwrap_or(usize::MAX).max(most), reader) {
                self.memory(&head);
            } else if kind == Kind::Zip {
                let mut all = Cursor::new(&head).chain(reader);
                self.deeper(|this| this.zip_in_order(&mut Peek::new(&mut all)));
            } else {
                self.unread(Cause::TooLarge, "the database is too large to be read as rows here: read as it is");
                return self.text(head, reader);
            }
        } else if matches!(kind, Kind::Pdf | Kind::Png) {
            return self.whole(head, reader);
        } else if matches!(kind, Kind::Plain | Kind::Unknown(_)) {
            if let Kind::Unknown(name) = kind {
                self.unknown(name);
            }
            return self.text(head, reader);
        } else {
            self.in_order(kind, &mut Cursor::new(&head).chain(reader));
        }
        self.spare.give(head);
    }

    /// Unpacks a document or picture in memory, as far as it may be so large; a larger one is looked at as it is.
    fn whole(&mut self, mut head: Vec<u8>, reader: &mut dyn Read) {
        let most = usize::try_from(self.bounds.memory).unwrap_or(usize::MAX).max(WINDOW + MARGIN);
        if fill(&mut head, most, reader) {
            self.memory(&head);
            return self.spare.give(head);
        }
        self.unread(Cause::TooLarge, "it is too large for what is packed in it to be unpacked: read as it is");
        self.text(head, reader);
    }

    fn in_order(&mut self, kind: Kind, reader: &mut dyn Read) {
        self.deeper(|this| {
            let mut source = Peek::new(reader);
            match kind {
                Kind::Packed(_) => this.packed(&mut source),
                Kind::Tar => this.tar(&mut source),
                Kind::Deb => this.deb(&mut source),
                Kind::SqliteLog => this.sqlite_log(&mut source),
                Kind::Zip | Kind::Sqlite | Kind::Pdf | Kind::Png | Kind::Unknown(_) | Kind::Plain => {
                    this.text(Vec::new(), &mut source);
                }
            }
        });
    }

    /// Goes one packing deeper, unless that is too deep.
    fn deeper(&mut self, inside: impl FnOnce(&mut Self)) {
        if self.depth >= self.bounds.depth {
            self.unread(Cause::TooDeep, "it is packed in itself too often");
            return;
        }
        self.depth += 1;
        inside(self);
        self.depth -= 1;
    }

    /// Goes into a member.
    fn member(&mut self, name: &[u8], inside: impl FnOnce(&mut Self)) {
        let Some(left) = self.budget.members.get().checked_sub(1) else {
            if !self.done {
                self.unread(Cause::TooDeep, "it has more members than the bound");
            }
            self.done = true;
            return;
        };
        self.budget.members.set(left);
        let name = name.get(..name.len().min(STEP)).unwrap_or_default();
        self.step(String::from_utf8_lossy(name).into(), |this| {
            this.look.name(&this.within);
            inside(this);
        });
    }

    fn step<T>(&mut self, name: Box<str>, inside: impl FnOnce(&mut Self) -> T) -> T {
        self.within.push(name);
        let done = inside(self);
        self.within.pop();
        done
    }

    fn unknown(&mut self, name: &str) {
        self.unread(Cause::Unsupported, &format!("{name} is not unpacked: read as it is"));
    }

    fn unread(&mut self, cause: Cause, detail: &str) {
        self.look.unread(Unread { cause, within: self.within.clone(), detail: detail.into() });
    }

    /// Whether somebody has had enough.
    fn is_done(&self) -> bool {
        self.done
    }
}

/// Whether this is the beginning of a database that keeps a log beside it.
pub(crate) fn has_log(head: &[u8]) -> bool {
    kind::kind(head) == Kind::Sqlite && head.get(18..20) == Some(&[2, 2])
}

/// Whether an archive may hang behind this: a program or a script that unpacks itself.
fn hides_archive(head: &[u8]) -> bool {
    head.starts_with(b"#!") || head.iter().take(256).any(|byte| *byte == 0)
}

/// Reads until so much is there. True: that was all. Failures end the content; whoever made the reader tells of them.
fn fill(buffer: &mut Vec<u8>, most: usize, reader: &mut dyn Read) -> bool {
    let want = long(most.saturating_sub(buffer.len()));
    reader.take(want).read_to_end(buffer).is_ok_and(|read| long(read) < want) || buffer.len() < most
}

fn long(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}
