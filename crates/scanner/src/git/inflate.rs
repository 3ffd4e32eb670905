//! Inflates what git stores, into buffers that are used again.

use std::io::{self, Read};
use zlib_rs::{Inflate, InflateFlush, Status};

/// Buffers larger than this are given back to the system after use.
const KEPT: usize = 4 << 20;

/// Bytes of one object. Its memory is used again without being cleared.
#[derive(Debug, Default)]
pub(crate) struct Buffer {
    data: Vec<u8>,
    from: usize,
    len: usize,
}

impl Buffer {
    /// The bytes.
    pub(crate) fn bytes(&self) -> &[u8] {
        self.data.get(self.from..self.len).unwrap_or_default()
    }

    /// Leaves out the first bytes.
    pub(crate) fn cut(&mut self, first: usize) {
        self.from = first;
    }

    /// Room for exactly this many bytes, whatever stands there.
    pub(crate) fn room(&mut self, len: usize) -> &mut [u8] {
        if self.data.len() < len {
            self.data.clear();
            self.data.shrink_to(KEPT);
            self.data.resize(len, 0);
        }
        (self.from, self.len) = (0, len);
        self.data.get_mut(..len).unwrap_or_default()
    }
}

/// Buffers that wait to be used again.
#[derive(Debug, Default)]
pub(crate) struct Pool(Vec<Buffer>);

impl Pool {
    pub(crate) fn take(&mut self) -> Buffer {
        self.0.pop().unwrap_or_default()
    }

    pub(crate) fn give(&mut self, buffer: Buffer) {
        if buffer.data.capacity() <= KEPT && self.0.len() < 16 {
            self.0.push(buffer);
        }
    }
}

/// What inflates.
pub(crate) struct Inflater(Inflate);

impl Default for Inflater {
    fn default() -> Self {
        Self(Inflate::new(true, 15))
    }
}

impl Inflater {
    /// Inflates a whole stream that has exactly as many bytes as `to`. How many bytes it was packed in, or none: it is
    /// broken, or of another length.
    pub(crate) fn exact(&mut self, from: &[u8], to: &mut [u8]) -> Option<usize> {
        self.0.reset(true);
        let want = to.len();
        let mut spare = [0_u8];
        // Without any room, even the end of an empty stream is not read.
        let to = if to.is_empty() { &mut spare[..] } else { to };
        let mut read = 0;
        let mut written = 0;
        loop {
            let (before_in, before_out) = (self.0.total_in(), self.0.total_out());
            let status = self.0.decompress(from.get(read..)?, to.get_mut(written..)?, InflateFlush::Finish).ok();
            read += usize::try_from(self.0.total_in() - before_in).ok()?;
            written += usize::try_from(self.0.total_out() - before_out).ok()?;
            match status? {
                Status::StreamEnd => return (written == want).then_some(read),
                _ if self.0.total_in() == before_in && self.0.total_out() == before_out => return None,
                Status::Ok | Status::BufError => {}
            }
        }
    }

    /// Inflates the beginning of a stream: as much as `to` holds. How many bytes that were; none if it is broken there.
    pub(crate) fn start(&mut self, from: &[u8], to: &mut [u8]) -> Option<usize> {
        self.0.reset(true);
        let mut written = 0;
        let mut read = 0;
        loop {
            let before = (self.0.total_in(), self.0.total_out());
            let status = self.0.decompress(from.get(read..)?, to.get_mut(written..)?, InflateFlush::NoFlush);
            read += usize::try_from(self.0.total_in() - before.0).ok()?;
            written += usize::try_from(self.0.total_out() - before.1).ok()?;
            let stuck = (self.0.total_in(), self.0.total_out()) == before;
            match status {
                Err(_) if written == 0 => return None,
                Ok(Status::Ok | Status::BufError) if !stuck && written < to.len() => {}
                _ => return Some(written),
            }
        }
    }
}

/// Inflates a stream as it is read, for what is too large to be held.
pub(crate) struct Stream<R> {
    inflate: Inflate,
    source: R,
    packed: Vec<u8>,
    from: usize,
    to: usize,
}

impl<R: Read> Stream<R> {
    pub(crate) fn new(source: R) -> Self {
        Self { inflate: Inflate::new(true, 15), source, packed: vec![0; 64 << 10], from: 0, to: 0 }
    }
}

impl<R: Read> Read for Stream<R> {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        let broken = || io::Error::new(io::ErrorKind::InvalidData, "it does not inflate");
        loop {
            if self.from == self.to {
                self.to = self.source.read(&mut self.packed)?;
                self.from = 0;
            }
            let packed = self.packed.get(self.from..self.to).unwrap_or_default();
            let before = (self.inflate.total_in(), self.inflate.total_out());
            let status = self.inflate.decompress(packed, to, InflateFlush::NoFlush);
            self.from += usize::try_from(self.inflate.total_in() - before.0).unwrap_or(0);
            let written = usize::try_from(self.inflate.total_out() - before.1).unwrap_or(0);
            match status {
                _ if written > 0 || to.is_empty() => return Ok(written),
                Ok(Status::StreamEnd) => return Ok(0),
                Ok(Status::Ok | Status::BufError) if self.to > 0 => {}
                _ => return Err(broken()),
            }
        }
    }
}
