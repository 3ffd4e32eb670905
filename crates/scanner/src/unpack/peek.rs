//! Readers: one that looks ahead, one that counts what comes out and keeps it within bounds.

use super::Budget;
use crate::Cause;
use std::{
    cell::Cell,
    io::{self, BufRead, Read},
    rc::Rc,
};

/// How far a reader can look ahead.
const AHEAD: usize = 64 << 10;

/// A buffered reader that shows what comes next without taking it.
pub(super) struct Peek<'r> {
    inner: &'r mut dyn Read,
    buffer: Vec<u8>,
    start: usize,
    ended: bool,
    taken: Rc<Cell<u64>>,
}

impl<'r> Peek<'r> {
    pub(super) fn new(inner: &'r mut dyn Read) -> Self {
        Self { inner, buffer: Vec::new(), start: 0, ended: false, taken: Rc::default() }
    }

    /// The next bytes: `most`, or as many as there are and fit.
    pub(super) fn peek(&mut self, most: usize) -> io::Result<&[u8]> {
        let most = most.min(AHEAD);
        while self.buffer.len() - self.start < most && !self.ended {
            if self.start > 0 {
                self.buffer.drain(..self.start);
                self.start = 0;
            }
            let filled = self.buffer.len();
            self.buffer.resize(AHEAD, 0);
            let read = self.inner.read(self.buffer.get_mut(filled..).unwrap_or_default());
            self.buffer.truncate(filled + read.as_ref().map_or(0, |read| *read));
            match read {
                Ok(0) => self.ended = true,
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        let rest = self.buffer.get(self.start..).unwrap_or_default();
        Ok(rest.get(..most.min(rest.len())).unwrap_or_default())
    }

    /// Takes exactly so many bytes. None: there are fewer, or more than fit; nothing is taken then.
    pub(super) fn take_exact(&mut self, count: usize) -> io::Result<Option<Vec<u8>>> {
        let bytes = self.peek(count)?;
        if bytes.len() < count {
            return Ok(None);
        }
        let bytes = bytes.to_vec();
        self.consume(count);
        Ok(Some(bytes))
    }

    /// Leaves out so many bytes; tells how many there were.
    pub(super) fn skip(&mut self, count: u64) -> io::Result<u64> {
        io::copy(&mut Read::by_ref(self).take(count), &mut io::sink())
    }

    /// How many bytes have been taken.
    pub(super) fn taken(&self) -> Rc<Cell<u64>> {
        Rc::clone(&self.taken)
    }
}

impl Read for Peek<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let there = self.fill_buf()?;
        let count = there.len().min(into.len());
        for (to, from) in into.iter_mut().zip(there) {
            *to = *from;
        }
        self.consume(count);
        Ok(count)
    }
}

impl BufRead for Peek<'_> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.buffer.len() == self.start {
            self.buffer.clear();
            self.start = 0;
            self.peek(1)?;
        }
        Ok(self.buffer.get(self.start..).unwrap_or_default())
    }

    fn consume(&mut self, count: usize) {
        let count = count.min(self.buffer.len() - self.start);
        self.start += count;
        self.taken.set(self.taken.get().saturating_add(super::long(count)));
    }
}

/// Passes on what an unpacker makes, within the bounds. Where it fails or goes too far, the content ends there: what came
/// before is looked at, and `failed` says that it was not all.
pub(super) struct Meter<'b, R> {
    inner: R,
    budget: &'b Budget,
    packed: Rc<Cell<u64>>,
    packed_before: u64,
    pub(super) out: u64,
    pub(super) failed: Option<(Cause, Box<str>)>,
}

impl<'b, R: Read> Meter<'b, R> {
    pub(super) fn new(inner: R, budget: &'b Budget, packed: Rc<Cell<u64>>) -> Self {
        let packed_before = packed.get();
        Self { inner, budget, packed, packed_before, out: 0, failed: None }
    }
}

impl<R: Read> Read for Meter<'_, R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        loop {
            if self.failed.is_some() || into.is_empty() {
                return Ok(0);
            }
            match self.inner.read(into) {
                Ok(count) => {
                    self.out = self.out.saturating_add(super::long(count));
                    let packed = self.packed.get().saturating_sub(self.packed_before);
                    if let Err(why) = self.budget.spend(super::long(count), self.out, packed) {
                        self.failed = Some((Cause::TooDeep, why.into()));
                    }
                    return Ok(count);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => self.failed = Some((cause(&error), error.to_string().into())),
            }
        }
    }
}

fn cause(error: &io::Error) -> Cause {
    match error.kind() {
        io::ErrorKind::OutOfMemory => Cause::TooLarge,
        io::ErrorKind::Unsupported => Cause::Unsupported,
        _ => Cause::Corrupt,
    }
}

/// Reads a file or stream. Where the system fails, the content ends there, and `failed` says why.
pub(super) struct Outer<'r> {
    inner: &'r mut dyn Read,
    pub(super) failed: Option<Box<str>>,
}

impl<'r> Outer<'r> {
    pub(super) fn new(inner: &'r mut dyn Read) -> Self {
        Self { inner, failed: None }
    }
}

impl Read for Outer<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        loop {
            if self.failed.is_some() {
                return Ok(0);
            }
            match self.inner.read(into) {
                Ok(count) => return Ok(count),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => self.failed = Some(error.to_string().into()),
            }
        }
    }
}
