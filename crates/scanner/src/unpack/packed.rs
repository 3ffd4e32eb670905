//! Single packed streams: gzip, bzip2, xz, LZMA alone, zstd, one after another as `cat` joins them.

use super::{
    Unpack,
    kind::{Packing, packing},
    peek::{Meter, Peek},
};
use crate::Cause;
use bzip2::bufread::BzDecoder;
use flate2::bufread::GzDecoder;
use lzma_rust2::{LzmaReader, XzReader};
use ruzstd::decoding::{FrameDecoder, StreamingDecoder, errors::FrameDecoderError};
use std::io::{self, BufRead, Read};

/// The most memory an xz or zstd stream may ask for to be unpacked, in bytes.
const DICTIONARY: u64 = 128 << 20;

enum State<'a, 'r> {
    Between(&'a mut Peek<'r>),
    Gzip(GzDecoder<&'a mut Peek<'r>>),
    Bzip2(BzDecoder<&'a mut Peek<'r>>),
    Xz(Box<XzReader<&'a mut Peek<'r>>>),
    Lzma(Box<LzmaReader<&'a mut Peek<'r>>>),
    Zstd(Box<StreamingDecoder<&'a mut Peek<'r>, FrameDecoder>>),
    Failed,
}

/// Packed streams, one after another, as one content.
pub(super) struct Streams<'a, 'r> {
    state: State<'a, 'r>,
}

impl<'a, 'r> Streams<'a, 'r> {
    pub(super) fn new(source: &'a mut Peek<'r>) -> Self {
        Self { state: State::Between(source) }
    }
}

impl Read for Streams<'_, '_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        loop {
            let (read, next) = match std::mem::replace(&mut self.state, State::Failed) {
                State::Failed => return Ok(0),
                State::Between(source) => match begin(source)? {
                    State::Between(source) => {
                        self.state = State::Between(source);
                        return Ok(0);
                    }
                    next => (0, next),
                },
                State::Gzip(mut stream) => match stream.read(into)? {
                    0 => (0, State::Between(stream.into_inner())),
                    count => (count, State::Gzip(stream)),
                },
                State::Bzip2(mut stream) => match stream.read(into)? {
                    0 => (0, State::Between(stream.into_inner())),
                    count => (count, State::Bzip2(stream)),
                },
                State::Xz(mut stream) => match stream.read(into)? {
                    0 => (0, State::Between(stream.into_inner())),
                    count => (count, State::Xz(stream)),
                },
                State::Lzma(mut stream) => match stream.read(into)? {
                    0 => (0, State::Between(stream.into_inner())),
                    count => (count, State::Lzma(stream)),
                },
                State::Zstd(mut stream) => match stream.read(into)? {
                    0 => (0, State::Between(stream.into_inner())),
                    count => (count, State::Zstd(stream)),
                },
            };
            self.state = next;
            if read > 0 {
                return Ok(read);
            }
        }
    }
}

/// Begins with the next stream, if there is one.
fn begin<'a, 'r>(source: &'a mut Peek<'r>) -> io::Result<State<'a, 'r>> {
    loop {
        // Tapes and block devices fill up with zeros.
        let zeros = source.fill_buf()?.iter().take_while(|byte| **byte == 0).count();
        if zeros > 0 {
            source.consume(zeros);
            continue;
        }
        let head = source.peek(14)?;
        return Ok(match packing(head) {
            None => State::Between(source),
            Some(Packing::Gzip) => State::Gzip(GzDecoder::new(source)),
            Some(Packing::Bzip2) => State::Bzip2(BzDecoder::new(source)),
            Some(Packing::Xz) => {
                let most = u32::try_from(DICTIONARY >> 10).unwrap_or(u32::MAX);
                State::Xz(Box::new(XzReader::new_mem_limit(source, false, most)))
            }
            Some(Packing::Lzma) => {
                let most = u32::try_from(DICTIONARY >> 10).unwrap_or(u32::MAX);
                State::Lzma(Box::new(LzmaReader::new_mem_limit(source, most, None)?))
            }
            Some(Packing::Zstd) => {
                if let [0x50..=0x5f, _, _, _, a, b, c, d, ..] = *head {
                    source.skip(8 + u64::from(u32::from_le_bytes([a, b, c, d])))?;
                    continue;
                }
                let stream = StreamingDecoder::new_with_max_window_size(source, DICTIONARY);
                let stream = stream.map_err(|error| match error {
                    FrameDecoderError::WindowSizeTooBig { .. } => io::Error::new(io::ErrorKind::OutOfMemory, error),
                    other => io::Error::other(other),
                })?;
                State::Zstd(Box::new(stream))
            }
        });
    }
}

impl Unpack<'_> {
    /// Unpacks streams, and looks at what follows them as it is.
    pub(super) fn packed(&mut self, source: &mut Peek<'_>) {
        let taken = source.taken();
        let mut meter = Meter::new(Streams::new(source), self.budget, taken);
        self.stream(&mut meter);
        let (out, failed) = (meter.out, meter.failed.take());
        let stopped = self.is_done();
        if let Some((cause, detail)) = failed {
            self.unread(cause, &detail);
            if out > 0 || cause == Cause::TooDeep {
                return;
            }
        }
        let more = source.peek(1).is_ok_and(|more| !more.is_empty());
        if more && !stopped {
            self.text(Vec::new(), source);
        }
    }
}
