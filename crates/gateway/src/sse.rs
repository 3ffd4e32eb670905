//! Splitting server-sent events as they pass by: any line ending, comments, several data lines, events cut anywhere.
//! Nothing is buffered but the name of the field at hand.

/// Who is told.
pub trait Events {
    /// The event's name, when its `event:` line is complete.
    fn name(&mut self, name: &[u8]);
    /// A piece of the event's data. Line breaks between data lines are pieces of their own.
    fn data(&mut self, piece: &[u8]);
}

/// Field names and event names are kept up to here.
const LONGEST_NAME: usize = 64;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// At the beginning of a line.
    LineStart,
    /// In a field's name.
    Field,
    /// Behind the colon, where one space does not count.
    Colon,
    /// In the value of a data line.
    Data,
    /// In the value of an event line.
    Name,
    /// In a line that does not count.
    Ignore,
}

/// The splitter.
#[derive(Debug)]
pub struct Splitter {
    state: State,
    /// The last byte was a carriage return: a line feed now belongs to it.
    after_cr: bool,
    field: Vec<u8>,
    name: Vec<u8>,
    data_lines: u32,
    /// The event has begun: there was a line that is no comment.
    begun: bool,
    /// Bytes of a byte-order mark seen at the very start.
    mark: usize,
}

impl Default for Splitter {
    fn default() -> Self {
        Self {
            state: State::LineStart,
            after_cr: false,
            field: Vec::new(),
            name: Vec::new(),
            data_lines: 0,
            begun: false,
            mark: 0,
        }
    }
}

impl Splitter {
    /// Whether the next byte begins a new event.
    #[must_use]
    pub fn at_boundary(&self) -> bool {
        self.state == State::LineStart && !self.begun && !self.after_cr
    }

    /// Whether a line of an event (not just of a comment) is under way or has passed without the event's end.
    #[must_use]
    pub fn in_event(&self) -> bool {
        self.begun || matches!(self.state, State::Field | State::Colon | State::Data | State::Name)
    }

    /// Reads up to the end of an event, or of the piece. Returns how many bytes were read and whether an event ended.
    pub fn feed(&mut self, piece: &[u8], events: &mut impl Events) -> (usize, bool) {
        let mut at = 0;
        while let Some(rest) = piece.get(at..).filter(|rest| !rest.is_empty()) {
            if self.after_cr {
                self.after_cr = false;
                if rest.first() == Some(&b'\n') {
                    at += 1;
                    continue;
                }
            }
            let end = memchr::memchr2(b'\n', b'\r', rest);
            let line = rest.get(..end.unwrap_or(rest.len())).unwrap_or_default();
            self.line(line, events);
            at += line.len();
            let Some(end) = end else { break };
            self.after_cr = rest.get(end) == Some(&b'\r');
            at += 1;
            // The line feed of a pair that is at hand belongs to this event, not to the next.
            if self.after_cr && rest.get(end + 1) == Some(&b'\n') {
                self.after_cr = false;
                at += 1;
            }
            if self.line_end(events) {
                return (at, true);
            }
        }
        (at, false)
    }

    /// A piece of a line, without its end.
    fn line(&mut self, mut piece: &[u8], events: &mut impl Events) {
        const MARK: &[u8] = b"\xEF\xBB\xBF";
        while self.mark < MARK.len() && self.state == State::LineStart && !piece.is_empty() {
            if piece.first() == MARK.get(self.mark) {
                self.mark += 1;
                piece = piece.get(1..).unwrap_or_default();
            } else {
                self.mark = MARK.len();
            }
        }
        if piece.is_empty() {
            return;
        }
        if self.state == State::LineStart {
            self.field.clear();
            self.state = if piece.first() == Some(&b':') { State::Ignore } else { State::Field };
        }
        if self.state == State::Field {
            let colon = memchr::memchr(b':', piece);
            let name = piece.get(..colon.unwrap_or(piece.len())).unwrap_or_default();
            keep(&mut self.field, name);
            let Some(colon) = colon else { return };
            self.begin_value(events);
            piece = piece.get(colon + 1..).unwrap_or_default();
        }
        if self.state == State::Colon && !piece.is_empty() {
            piece = piece.strip_prefix(b" ").unwrap_or(piece);
            self.state = if *self.field == *b"data" { State::Data } else { State::Name };
        }
        match self.state {
            State::Data if !piece.is_empty() => events.data(piece),
            State::Name => keep(&mut self.name, piece),
            _ => {}
        }
    }

    /// The field's name is complete.
    fn begin_value(&mut self, events: &mut impl Events) {
        self.begun = true;
        self.state = match &*self.field {
            b"data" => {
                if self.data_lines > 0 {
                    events.data(b"\n");
                }
                self.data_lines = self.data_lines.saturating_add(1);
                State::Colon
            }
            b"event" => {
                self.name.clear();
                State::Colon
            }
            _ => State::Ignore,
        };
    }

    /// A line has ended; an empty one ends the event. Returns whether it did.
    fn line_end(&mut self, events: &mut impl Events) -> bool {
        let state = std::mem::replace(&mut self.state, State::LineStart);
        match state {
            State::LineStart => {
                self.data_lines = 0;
                self.begun = false;
                return true;
            }
            // A line without a colon is a field without a value.
            State::Field => self.begin_value(events),
            State::Name => events.name(&self.name),
            _ => {}
        }
        self.state = State::LineStart;
        false
    }
}

fn keep(buffer: &mut Vec<u8>, bytes: &[u8]) {
    let room = LONGEST_NAME.saturating_sub(buffer.len()).min(bytes.len());
    buffer.extend_from_slice(bytes.get(..room).unwrap_or_default());
}

/// Where the event that begins at the start of the bytes ends, when it does so within them: a quick look that knows
/// only line feeds. What it does not see, the splitter does.
#[must_use]
pub fn event_end(bytes: &[u8]) -> Option<usize> {
    let mut from = 0;
    loop {
        let at = from + memchr::memchr(b'\n', bytes.get(from..)?)?;
        match bytes.get(at + 1) {
            Some(b'\n') => return Some(at + 2),
            Some(b'\r') if bytes.get(at + 2) == Some(&b'\n') => return Some(at + 3),
            Some(_) => from = at + 1,
            None => return None,
        }
    }
}

#[cfg(test)]
mod tests;
