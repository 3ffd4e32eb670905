//! AWS event streams: binary frames, each with headers and a payload, both checked by CRC-32. Read as they pass by;
//! only the few headers that name an event are kept.

use crc32fast::Hasher;

/// Who is told.
pub trait Frames {
    /// A header with a text value, such as `:event-type`.
    fn header(&mut self, name: &str, value: &str);
    /// A piece of the payload.
    fn payload(&mut self, piece: &[u8]);
    /// The frame is complete; whether its checksum is right.
    fn frame(&mut self, sound: bool);
}

const PRELUDE: usize = 12;
const TRAILER: usize = 4;
/// Frames are at most 24 MiB by AWS's own limits (16 MiB of payload, 128 KiB of headers, rounded up).
const LONGEST_FRAME: u32 = 24 << 20;
const LONGEST_HEADERS: u32 = 128 << 10;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Prelude,
    Headers {
        length: usize,
        payload: usize,
    },
    Payload {
        left: usize,
    },
    Trailer,
    /// Not an event stream.
    Broken,
}

/// The reader.
#[derive(Debug)]
pub struct Reader {
    state: State,
    buffer: Vec<u8>,
    checksum: Hasher,
}

impl Default for Reader {
    fn default() -> Self {
        Self { state: State::Prelude, buffer: Vec::new(), checksum: Hasher::new() }
    }
}

impl Reader {
    /// Whether the bytes turned out to be no event stream.
    #[must_use]
    pub fn is_broken(&self) -> bool {
        self.state == State::Broken
    }

    /// Whether the stream ends here between two frames.
    #[must_use]
    pub fn at_boundary(&self) -> bool {
        self.state == State::Prelude && self.buffer.is_empty()
    }

    /// Reads a piece.
    pub fn feed(&mut self, piece: &[u8], frames: &mut impl Frames) {
        let mut rest = piece;
        loop {
            match self.state {
                State::Prelude => {
                    let Some(()) = self.collect(&mut rest, PRELUDE) else { return };
                    self.prelude();
                }
                State::Headers { length, payload } => {
                    let Some(()) = self.collect(&mut rest, length) else { return };
                    self.checksum.update(&self.buffer);
                    for_each_header(&self.buffer, |name, value| frames.header(name, value));
                    self.buffer.clear();
                    self.state = State::Payload { left: payload };
                }
                State::Payload { left } => {
                    let (now, later) = rest.split_at(left.min(rest.len()));
                    self.checksum.update(now);
                    if !now.is_empty() {
                        frames.payload(now);
                    }
                    rest = later;
                    if now.len() < left {
                        self.state = State::Payload { left: left - now.len() };
                        return;
                    }
                    self.state = State::Trailer;
                }
                State::Trailer => {
                    let Some(()) = self.collect(&mut rest, TRAILER) else { return };
                    let told = big_endian(&self.buffer, 0);
                    self.buffer.clear();
                    let sound = told == std::mem::take(&mut self.checksum).finalize();
                    frames.frame(sound);
                    self.state = State::Prelude;
                }
                State::Broken => return,
            }
        }
    }

    /// Fills the buffer up to a length; `None` when the piece is used up before.
    fn collect(&mut self, rest: &mut &[u8], length: usize) -> Option<()> {
        let missing = length.saturating_sub(self.buffer.len());
        let (now, later) = rest.split_at(missing.min(rest.len()));
        self.buffer.extend_from_slice(now);
        *rest = later;
        (self.buffer.len() >= length).then_some(())
    }

    fn prelude(&mut self) {
        let (total, headers, told) =
            (big_endian(&self.buffer, 0), big_endian(&self.buffer, 4), big_endian(&self.buffer, 8));
        let sound = crc32fast::hash(self.buffer.get(..8).unwrap_or_default()) == told;
        let overhead = u32::try_from(PRELUDE + TRAILER).unwrap_or(0);
        let payload = total.checked_sub(overhead).and_then(|rest| rest.checked_sub(headers));
        self.checksum = Hasher::new();
        self.checksum.update(&self.buffer);
        self.buffer.clear();
        // Without a right length nothing behind it can be found.
        self.state = match payload {
            Some(payload) if sound && total <= LONGEST_FRAME && headers <= LONGEST_HEADERS => {
                State::Headers { length: headers as usize, payload: payload as usize }
            }
            _ => State::Broken,
        };
    }
}

/// Writes a frame with headers that are texts.
#[must_use]
pub fn encode(headers: &[(&str, &str)], payload: &[u8]) -> Vec<u8> {
    let mut head = Vec::new();
    for (name, value) in headers {
        head.push(u8::try_from(name.len()).unwrap_or(u8::MAX));
        head.extend_from_slice(name.as_bytes());
        head.push(7);
        head.extend_from_slice(&u16::try_from(value.len()).unwrap_or(u16::MAX).to_be_bytes());
        head.extend_from_slice(value.as_bytes());
    }
    let total = PRELUDE + head.len() + payload.len() + TRAILER;
    let mut frame = Vec::with_capacity(total);
    frame.extend_from_slice(&u32::try_from(total).unwrap_or(u32::MAX).to_be_bytes());
    frame.extend_from_slice(&u32::try_from(head.len()).unwrap_or(u32::MAX).to_be_bytes());
    frame.extend_from_slice(&crc32fast::hash(&frame).to_be_bytes());
    frame.extend_from_slice(&head);
    frame.extend_from_slice(payload);
    frame.extend_from_slice(&crc32fast::hash(&frame).to_be_bytes());
    frame
}

fn big_endian(bytes: &[u8], at: usize) -> u32 {
    bytes.get(at..at + 4).and_then(|four| four.try_into().ok()).map_or(0, u32::from_be_bytes)
}

/// Calls back for every header with a text value.
fn for_each_header(bytes: &[u8], mut tell: impl FnMut(&str, &str)) {
    let mut rest = bytes;
    while let Some((name, value, after)) = header(rest) {
        if let (Ok(name), Some(Ok(value))) = (std::str::from_utf8(name), value.map(std::str::from_utf8)) {
            tell(name, value);
        }
        rest = after;
    }
}

type Header<'b> = (&'b [u8], Option<&'b [u8]>, &'b [u8]);

/// One header: its name, its value when that is text, and what follows.
fn header(bytes: &[u8]) -> Option<Header<'_>> {
    let (length, rest) = bytes.split_first()?;
    let (name, rest) = rest.split_at_checked(usize::from(*length))?;
    let (kind, rest) = rest.split_first()?;
    let fixed = match kind {
        0 | 1 => 0,
        2 => 1,
        3 => 2,
        4 => 4,
        5 | 8 => 8,
        9 => 16,
        6 | 7 => {
            let (length, rest) = rest.split_at_checked(2)?;
            let length = u16::from_be_bytes(length.try_into().ok()?);
            let (value, rest) = rest.split_at_checked(usize::from(length))?;
            return Some((name, (*kind == 7).then_some(value), rest));
        }
        _ => return None,
    };
    Some((name, None, rest.get(fixed..)?))
}

#[cfg(test)]
mod tests;
