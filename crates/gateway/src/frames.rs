//! WebSocket frames as they pass by, in both directions: messages are put together, unmasked, and shown; the bytes go
//! on untouched. A client's message is judged before its last byte goes on, so that a refused one never arrives whole.

mod client;

pub use client::{ClientTap, Rules};

/// Who is told.
pub trait Messages {
    /// A piece of a message, text or binary, unmasked.
    ///
    /// # Errors
    /// Passed on to who feeds the reader.
    fn text(&mut self, piece: &[u8]) -> Result<(), Broken>;

    /// The message is complete.
    ///
    /// # Errors
    /// Passed on to who feeds the reader.
    fn end(&mut self) -> Result<(), Broken>;
}

/// Why a stream of frames cannot be followed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Broken {
    /// Not a frame, or one with an extension that was not agreed on.
    #[error("the WebSocket's frames break its protocol")]
    Protocol,
    /// The one who is told refused.
    #[error(transparent)]
    Refused(#[from] Refused),
}

/// A refusal inside a WebSocket.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Refused(pub keyward_domain::refusal::Refusal);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// In a frame's head.
    Head,
    /// In a frame's payload; where in the mask the next byte is.
    Payload { left: u64, at: usize, control: bool, last: bool },
}

/// The reader of one direction.
#[derive(Debug)]
pub struct Reader {
    state: State,
    head: Vec<u8>,
    mask: [u8; 4],
    in_message: bool,
    scratch: Vec<u8>,
}

impl Default for Reader {
    fn default() -> Self {
        Self { state: State::Head, head: Vec::new(), mask: [0; 4], in_message: false, scratch: Vec::new() }
    }
}

impl Reader {
    /// Whether the next byte begins a frame: only here another frame may be put in.
    #[must_use]
    pub fn at_boundary(&self) -> bool {
        self.state == State::Head && self.head.is_empty()
    }

    /// Reads a piece.
    ///
    /// # Errors
    /// [`Broken`] when the frames break the protocol or who is told refuses; the piece must not be sent on then.
    pub fn feed(&mut self, piece: &[u8], messages: &mut impl Messages) -> Result<(), Broken> {
        let mut rest = piece;
        loop {
            match self.state {
                State::Head => {
                    let Some((first, later)) = rest.split_first() else { return Ok(()) };
                    self.head.push(*first);
                    rest = later;
                    self.head_complete()?;
                    // A frame without payload ends with its head.
                    if matches!(self.state, State::Payload { left: 0, .. }) {
                        self.frame_end(messages)?;
                    }
                }
                State::Payload { left, at, control, last } => {
                    if rest.is_empty() {
                        return Ok(());
                    }
                    let take = usize::try_from(left).unwrap_or(usize::MAX).min(rest.len());
                    let (now, later) = rest.split_at(take);
                    rest = later;
                    if !control {
                        self.show(now, at, messages)?;
                    }
                    let left = left - take as u64;
                    self.state = State::Payload { left, at: (at + take) % 4, control, last };
                    if left == 0 {
                        self.frame_end(messages)?;
                    }
                }
            }
        }
    }

    fn show(&mut self, bytes: &[u8], at: usize, messages: &mut impl Messages) -> Result<(), Broken> {
        if self.mask == [0; 4] {
            return messages.text(bytes);
        }
        self.scratch.clear();
        let mask = self.mask.iter().cycle().skip(at);
        self.scratch.extend(bytes.iter().zip(mask).map(|(byte, mask)| byte ^ mask));
        messages.text(&self.scratch)
    }

    fn head_complete(&mut self) -> Result<(), Broken> {
        let [first, second, extended @ ..] = &*self.head else { return Ok(()) };
        let (opcode, last, reserved) = (first & 0x0F, first & 0x80 != 0, first & 0x70);
        let (masked, short) = (second & 0x80 != 0, second & 0x7F);
        let control = opcode >= 8;
        let known = matches!(opcode, 0..=2 | 8..=10);
        if reserved != 0 || !known || (control && (!last || short > 125)) {
            return Err(Broken::Protocol);
        }
        let wide = match short {
            126 => 2,
            127 => 8,
            _ => 0,
        };
        if extended.len() < wide + if masked { 4 } else { 0 } {
            return Ok(());
        }
        let (length, key) = extended.split_at(wide);
        let left = if wide == 0 {
            u64::from(short)
        } else {
            length.iter().fold(0_u64, |sum, byte| sum << 8 | u64::from(*byte))
        };
        if left >> 63 != 0 || (!control && (opcode == 0) != self.in_message) {
            return Err(Broken::Protocol);
        }
        self.mask = key.try_into().unwrap_or([0; 4]);
        self.in_message |= !control;
        self.head.clear();
        self.state = State::Payload { left, at: 0, control, last };
        Ok(())
    }

    fn frame_end(&mut self, messages: &mut impl Messages) -> Result<(), Broken> {
        let State::Payload { control, last, .. } = std::mem::replace(&mut self.state, State::Head) else {
            return Ok(());
        };
        if !control && last {
            self.in_message = false;
            messages.end()?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
