//! The framing of HTTP/1.1 answer bodies, decoded strictly and in place: what remains in front of the buffer is the
//! payload. Pure; no IO, no allocation but for trailers.

/// The most bytes of chunk extensions in one answer. Nobody sends them; they only serve to waste memory.
const MAX_EXTENSIONS: usize = 4 << 10;
/// The most bytes of trailers in one answer.
const MAX_TRAILERS: usize = 16 << 10;

/// How a body says where it ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Framing {
    /// After this many bytes.
    Length(u64),
    /// By a chunk of size zero.
    Chunked,
    /// When the connection closes.
    UntilClose,
}

/// Bytes that break the rules of the framing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Broken {
    /// A chunk's size is not a hex number of at most 16 digits, or is not followed by what must follow.
    #[error("a chunk size that cannot be read")]
    ChunkSize,
    /// A chunk is not followed by a line end.
    #[error("a chunk without its line end")]
    ChunkEnd,
    /// Too many bytes of chunk extensions.
    #[error("too many chunk extensions")]
    Extensions,
    /// The trailers are too large or cannot be read.
    #[error("trailers that cannot be read")]
    Trailers,
    /// The connection closed before the body's end.
    #[error("the connection closed before the end of the body")]
    Early,
}

/// What one piece of input held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Decoded {
    /// How many payload bytes now stand in front of the buffer.
    pub(crate) payload: usize,
    /// How many input bytes belonged to the body. Less than the input only when the body has ended.
    pub(crate) consumed: usize,
}

/// Reads one body.
#[derive(Debug)]
pub(crate) struct Decoder {
    state: State,
    extensions: usize,
    trailers: Vec<u8>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Length(u64),
    UntilClose,
    Size {
        value: u64,
        digits: u8,
    },
    /// Blanks after a size: some servers pad it.
    Padding(u64),
    Extension(u64),
    SizeLineFeed(u64),
    Data(u64),
    DataReturn,
    DataLineFeed,
    /// Within the trailers; everything up to the empty line is kept.
    Trailers,
    Done,
}

const NEXT_SIZE: State = State::Size { value: 0, digits: 0 };

impl Decoder {
    pub(crate) const fn new(framing: Framing) -> Self {
        let state = match framing {
            Framing::Length(0) => State::Done,
            Framing::Length(left) => State::Length(left),
            Framing::Chunked => NEXT_SIZE,
            Framing::UntilClose => State::UntilClose,
        };
        Self { state, extensions: 0, trailers: Vec::new() }
    }

    /// Whether the body has ended.
    pub(crate) fn is_done(&self) -> bool {
        self.state == State::Done
    }

    /// Decodes the next input, moving payload bytes to the front of the buffer.
    ///
    /// # Errors
    /// [`Broken`]: the connection must not be used any more.
    pub(crate) fn decode(&mut self, buffer: &mut [u8]) -> Result<Decoded, Broken> {
        let mut consumed = 0;
        let mut payload = 0;
        while consumed < buffer.len() {
            let available = buffer.len() - consumed;
            match self.state {
                State::Done => break,
                State::UntilClose => {
                    consumed += available;
                    payload += available;
                }
                State::Length(left) => {
                    let taken = at_most(left, available);
                    consumed += taken;
                    payload += taken;
                    let left = left - taken as u64;
                    self.state = if left == 0 { State::Done } else { State::Length(left) };
                }
                State::Data(left) => {
                    let taken = at_most(left, available);
                    buffer.copy_within(consumed..consumed + taken, payload);
                    consumed += taken;
                    payload += taken;
                    let left = left - taken as u64;
                    self.state = if left == 0 { State::DataReturn } else { State::Data(left) };
                }
                _ => {
                    let Some(byte) = buffer.get(consumed).copied() else { break };
                    consumed += 1;
                    self.state = self.step(byte)?;
                }
            }
        }
        Ok(Decoded { payload, consumed })
    }

    /// The connection has closed.
    ///
    /// # Errors
    /// [`Broken::Early`] unless that is how the body ends.
    pub(crate) fn close(&mut self) -> Result<(), Broken> {
        match self.state {
            State::UntilClose | State::Done => {
                self.state = State::Done;
                Ok(())
            }
            _ => Err(Broken::Early),
        }
    }

    /// The trailer lines with the empty line after them; empty when there were none. For the end of the body.
    pub(crate) fn trailers(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.trailers)
    }

    fn step(&mut self, byte: u8) -> Result<State, Broken> {
        match (self.state, byte) {
            (State::Size { value, digits }, byte) if byte.is_ascii_hexdigit() => {
                if digits == 16 {
                    return Err(Broken::ChunkSize);
                }
                let digit = char::from(byte).to_digit(16).ok_or(Broken::ChunkSize)?;
                Ok(State::Size { value: (value << 4) | u64::from(digit), digits: digits + 1 })
            }
            (State::Size { digits: 0, .. }, _) => Err(Broken::ChunkSize),
            (State::Size { value, .. } | State::Padding(value), b' ' | b'\t') => {
                self.count_extension()?;
                Ok(State::Padding(value))
            }
            (State::Size { value, .. } | State::Padding(value), b';') => Ok(State::Extension(value)),
            (State::Size { value, .. } | State::Padding(value) | State::Extension(value), b'\r') => {
                Ok(State::SizeLineFeed(value))
            }
            (State::Extension(_), b'\n') => Err(Broken::ChunkSize),
            (State::Extension(value), _) => {
                self.count_extension()?;
                Ok(State::Extension(value))
            }
            (State::SizeLineFeed(0), b'\n') => Ok(State::Trailers),
            (State::SizeLineFeed(size), b'\n') => Ok(State::Data(size)),
            (State::DataReturn, b'\r') => Ok(State::DataLineFeed),
            (State::DataLineFeed, b'\n') => Ok(NEXT_SIZE),
            (State::DataReturn | State::DataLineFeed, _) => Err(Broken::ChunkEnd),
            (State::Trailers, byte) => self.trailer(byte),
            _ => Err(Broken::ChunkSize),
        }
    }

    fn trailer(&mut self, byte: u8) -> Result<State, Broken> {
        if self.trailers.len() >= MAX_TRAILERS {
            return Err(Broken::Trailers);
        }
        self.trailers.push(byte);
        if self.trailers == b"\r\n" {
            self.trailers.clear();
            return Ok(State::Done);
        }
        Ok(if self.trailers.ends_with(b"\r\n\r\n") { State::Done } else { State::Trailers })
    }

    fn count_extension(&mut self) -> Result<(), Broken> {
        self.extensions += 1;
        if self.extensions > MAX_EXTENSIONS { Err(Broken::Extensions) } else { Ok(()) }
    }
}

fn at_most(left: u64, available: usize) -> usize {
    usize::try_from(left).map_or(available, |left| left.min(available))
}

#[cfg(test)]
mod tests;
