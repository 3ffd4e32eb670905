//! Reading JSON as it passes by: a push reader that is fed pieces of any size, follows a compiled set of paths, keeps
//! only short texts and numbers, and skips the rest at the speed of a byte search. It never fails: what is not JSON
//! yields nothing.

pub mod base64;
pub mod number;
pub mod paths;
mod value;

pub use value::Value;

use crate::inspect::json::{plain_run, unescape};
use crate::near::Near;
use paths::{Leaf, Node, Paths, ROOT};
use value::Kept;

/// Texts longer than this are cut; numbers are never that long.
pub const LONGEST_TEXT: usize = 512;

/// Watched places deeper than this are not reached.
const DEEPEST: usize = 32;

/// Who is told.
pub trait Sink {
    /// A value at a place watched under `id`.
    fn value(&mut self, id: u16, value: Value<'_>);
    /// A document is complete. A top-level array is read as a row of documents.
    fn document(&mut self);
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// A value is expected, or the end of an array.
    Value,
    /// A key is expected, or the end of an object.
    Key,
    /// In a key.
    InKey,
    Colon,
    /// In a text that is kept (`true`) or passed over.
    InText(bool),
    /// In a number or word.
    InWord,
    /// Behind a value.
    After,
    /// In a container nobody watches.
    Skip,
    /// In a text within such a container.
    SkipText,
    /// Not JSON: nothing until the next document.
    Broken,
}

#[derive(Debug, Clone, Copy)]
struct Frame {
    /// The watched place of this container's inside; none below an unwatched key.
    node: Option<u32>,
    array: bool,
}

/// The reader.
#[derive(Debug)]
pub struct Tap {
    paths: Near<Paths>,
    state: State,
    stack: Vec<Frame>,
    /// The place of the value that comes next.
    next: Option<u32>,
    scratch: Vec<u8>,
    /// In a text: the byte before was a backslash. Also how a kept text says that it has escapes.
    escape: bool,
    escaped: bool,
    /// How deep within a container nobody watches.
    depth: u32,
    matched: Vec<bool>,
    pending: Vec<(u16, u16, Kept)>,
}

impl Tap {
    /// A reader for a set of paths.
    #[must_use]
    pub fn new(paths: Near<Paths>) -> Self {
        let matched = vec![false; paths.filter_count()];
        Self {
            paths,
            state: State::Value,
            stack: Vec::new(),
            next: Some(ROOT),
            scratch: Vec::new(),
            escape: false,
            escaped: false,
            depth: 0,
            matched,
            pending: Vec::new(),
        }
    }

    /// Forgets what was begun and waits for a new document.
    pub fn reset(&mut self) {
        self.state = State::Value;
        self.stack.clear();
        self.next = Some(ROOT);
        self.scratch.clear();
        (self.escape, self.escaped, self.depth) = (false, false, 0);
        self.matched.fill(false);
        self.pending.clear();
    }

    /// Whether a document has begun and not ended.
    #[must_use]
    pub fn is_open(&self) -> bool {
        !self.stack.is_empty()
            || self.depth > 0
            || matches!(self.state, State::InText(_) | State::InWord | State::Broken)
    }

    /// Reads a piece.
    pub fn feed(&mut self, piece: &[u8], sink: &mut impl Sink) {
        let mut at = 0;
        while let Some(rest) = piece.get(at..).filter(|rest| !rest.is_empty()) {
            at += match self.state {
                State::Skip => self.skip(rest, sink),
                State::SkipText => self.skip_text(rest),
                State::InText(keep) => self.in_text(rest, keep, sink),
                State::InKey => self.in_key(rest),
                State::InWord => self.in_word(rest, sink),
                State::Broken => rest.len(),
                State::Value | State::Key | State::Colon | State::After => self.structure(rest, sink),
            };
        }
    }

    /// Says that no more comes: a number at the very end is complete now.
    pub fn end(&mut self, sink: &mut impl Sink) {
        if self.state == State::InWord {
            self.finish_word(sink);
        }
        self.reset();
    }

    /// One structural byte, and the spaces before it.
    fn structure(&mut self, rest: &[u8], sink: &mut impl Sink) -> usize {
        let spaces = rest.iter().take_while(|byte| matches!(byte, b' ' | b'\t' | b'\n' | b'\r')).count();
        let Some(byte) = rest.get(spaces) else { return spaces };
        match (self.state, byte) {
            (State::Value, b'{') => self.open(false, sink),
            (State::Value, b'[') => self.open(true, sink),
            (State::Value, b'"') => {
                let keep = self.leaves().is_some();
                self.begin_text(State::InText(keep));
            }
            (State::Value, b'-' | b'0'..=b'9' | b't' | b'f' | b'n') => {
                self.scratch.clear();
                self.state = State::InWord;
                return spaces;
            }
            (State::Key, b'"') => self.begin_text(State::InKey),
            (State::Colon, b':') => self.state = State::Value,
            (State::After, b',') => self.comma(),
            (State::Value | State::After, b']') if self.in_array(true) => self.close(sink),
            (State::Key | State::After, b'}') if self.in_array(false) => self.close(sink),
            _ => self.state = State::Broken,
        }
        spaces + 1
    }

    /// HOT: what follows a value or a key in nearly every document is taken at once, without a look at the state for each byte.
    /// `used` bytes of `rest` are read; so many are now.
    fn onward(&mut self, rest: &[u8], mut used: usize) -> usize {
        if self.state == State::After && rest.get(used) == Some(&b',') {
            self.comma();
            used += 1;
        }
        match (self.state, rest.get(used)) {
            (State::Key, Some(b'"')) => self.begin_text(State::InKey),
            (State::Value, Some(b'"')) => self.begin_text(State::InText(self.leaves().is_some())),
            _ => return used,
        }
        used + 1
    }

    fn in_array(&self, array: bool) -> bool {
        self.stack.last().is_some_and(|frame| frame.array == array)
    }

    fn begin_text(&mut self, state: State) {
        self.scratch.clear();
        (self.escape, self.escaped) = (false, false);
        self.state = state;
    }

    fn leaves(&self) -> Option<&[Leaf]> {
        let node = self.paths.node(self.next?)?;
        (!node.leaves.is_empty()).then_some(&node.leaves)
    }

    fn open(&mut self, array: bool, sink: &mut impl Sink) {
        self.emit(if array { Value::Array } else { Value::Object }, sink);
        let place = self.next.and_then(|node| self.paths.node(node));
        let inside = match place {
            // A top-level array is a row of documents.
            Some(_) if array && self.stack.is_empty() && self.next == Some(ROOT) => Some(ROOT),
            Some(place) if array => place.element,
            Some(place) if place.has_keys() => self.next,
            _ => None,
        };
        if inside.is_none() || self.stack.len() >= DEEPEST {
            self.depth = 1;
            self.state = State::Skip;
            return;
        }
        self.stack.push(Frame { node: inside, array });
        if array {
            self.next = inside;
            self.state = State::Value;
        } else {
            self.state = State::Key;
        }
    }

    fn close(&mut self, sink: &mut impl Sink) {
        self.stack.pop();
        self.after_value(sink);
    }

    /// A value has ended: an element's filters are decided, or the document is complete.
    fn after_value(&mut self, sink: &mut impl Sink) {
        self.state = State::After;
        let Some(frame) = self.stack.last().copied() else {
            sink.document();
            self.state = State::Value;
            self.next = Some(ROOT);
            return;
        };
        if frame.array {
            if frame.node == Some(ROOT) && self.stack.len() == 1 {
                sink.document();
            }
            self.decide(frame.node, sink);
        }
    }

    /// Tells what was held back for an element whose filter fits.
    fn decide(&mut self, element: Option<u32>, sink: &mut impl Sink) {
        let filtered = element.and_then(|node| self.paths.node(node)).is_some_and(|place| place.filtered);
        if !filtered {
            return;
        }
        for (filter, id, kept) in std::mem::take(&mut self.pending) {
            if self.matched.get(usize::from(filter)).copied().unwrap_or(false) {
                sink.value(id, kept.value());
            }
        }
        self.matched.fill(false);
    }

    fn comma(&mut self) {
        match self.stack.last() {
            Some(frame) if frame.array => {
                self.next = frame.node;
                self.state = State::Value;
            }
            Some(_) => self.state = State::Key,
            None => self.state = State::Broken,
        }
    }

    fn in_key(&mut self, rest: &[u8]) -> usize {
        // HOT: most keys lie in one piece and have no escape; they are looked up where they are, and the colon follows.
        if let Some(key) = self.whole_text(rest) {
            self.next = self.parent().and_then(|place| place.child(key));
            let behind = key.len() + 1;
            if rest.get(behind) != Some(&b':') {
                self.state = State::Colon;
                return behind;
            }
            self.state = State::Value;
            return self.onward(rest, behind + 1);
        }
        // Six bytes for an escaped character, and one too many, so that no longer key looks like a watched one.
        let piece = self.text_piece(rest, self.paths.longest_key() * 6 + 1);
        let Some(used) = piece.ended else { return piece.used };
        self.next = self.parent().and_then(|place| {
            if self.escaped {
                unescape(&self.scratch).and_then(|key| place.child(key.as_bytes()))
            } else {
                place.child(&self.scratch)
            }
        });
        self.state = State::Colon;
        used
    }

    /// The place around the key that is read.
    fn parent(&self) -> Option<&Node> {
        self.paths.node(self.stack.last()?.node?)
    }

    /// A text that has just begun and of which this piece holds the rest, without escapes.
    fn whole_text<'r>(&self, rest: &'r [u8]) -> Option<&'r [u8]> {
        if self.escape || self.escaped || !self.scratch.is_empty() {
            return None;
        }
        let run = plain_run(rest);
        rest.get(..run).filter(|_| rest.get(run) == Some(&b'"'))
    }

    fn in_text(&mut self, rest: &[u8], keep: bool, sink: &mut impl Sink) -> usize {
        if !keep {
            return self.pass_text(rest, sink);
        }
        if let Some(text) = self.whole_text(rest) {
            self.emit(Value::Text(&lossless(text.get(..LONGEST_TEXT).unwrap_or(text))), sink);
            self.after_value(sink);
            return self.onward(rest, text.len() + 1);
        }
        let piece = self.text_piece(rest, LONGEST_TEXT);
        let Some(used) = piece.ended else { return piece.used };
        let scratch = std::mem::take(&mut self.scratch);
        let text = if self.escaped {
            // A cut may have split an escape at the end.
            unescape(&scratch).or_else(|| unescape(scratch.get(..scratch.iter().rposition(|b| *b == b'\\')?)?))
        } else {
            None
        };
        match &text {
            Some(text) => self.emit(Value::Text(text), sink),
            None => self.emit(Value::Text(&lossless(&scratch)), sink),
        }
        self.scratch = scratch;
        self.after_value(sink);
        used
    }

    /// Steps over a text that nobody wants.
    fn pass_text(&mut self, rest: &[u8], sink: &mut impl Sink) -> usize {
        let used = self.skip_text(rest);
        if self.state != State::Skip {
            return used;
        }
        self.after_value(sink);
        self.onward(rest, used)
    }

    /// Steps through a piece of a text and keeps up to `limit` raw bytes of it.
    fn text_piece(&mut self, rest: &[u8], limit: usize) -> Piece {
        let mut at = 0;
        loop {
            if self.escape {
                let Some(byte) = rest.get(at) else { return Piece { used: at, ended: None } };
                self.keep(std::slice::from_ref(byte), limit);
                self.escape = false;
                at += 1;
            }
            let run = plain_run(rest.get(at..).unwrap_or_default());
            self.keep(rest.get(at..at + run).unwrap_or_default(), limit);
            at += run;
            match rest.get(at) {
                None => return Piece { used: at, ended: None },
                Some(b'"') => return Piece { used: at + 1, ended: Some(at + 1) },
                Some(b'\\') => {
                    self.keep(b"\\", limit);
                    (self.escape, self.escaped) = (true, true);
                    at += 1;
                }
                // A control character: not JSON, and harmless here.
                Some(_) => at += 1,
            }
        }
    }

    fn keep(&mut self, bytes: &[u8], limit: usize) {
        let room = limit.saturating_sub(self.scratch.len());
        let kept = bytes.get(..room.min(bytes.len())).unwrap_or_default();
        self.scratch.extend_from_slice(kept);
    }

    fn in_word(&mut self, rest: &[u8], sink: &mut impl Sink) -> usize {
        let run = rest
            .iter()
            .take_while(|byte| matches!(byte, b'0'..=b'9' | b'+' | b'-' | b'.' | b'a'..=b'z' | b'A'..=b'Z'))
            .count();
        let word = rest.get(..run).unwrap_or_default();
        // HOT: nearly every word lies in one piece.
        if self.scratch.is_empty() && run < rest.len() {
            self.word(word.get(..LONGEST_TEXT).unwrap_or(word), sink);
            return self.onward(rest, run);
        }
        self.keep(word, LONGEST_TEXT);
        if run < rest.len() {
            self.finish_word(sink);
        }
        run
    }

    fn finish_word(&mut self, sink: &mut impl Sink) {
        let word = std::mem::take(&mut self.scratch);
        self.word(&word, sink);
        self.scratch = word;
    }

    fn word(&mut self, word: &[u8], sink: &mut impl Sink) {
        let value = match word {
            b"true" => Some(Value::Bool(true)),
            b"false" => Some(Value::Bool(false)),
            b"null" => Some(Value::Null),
            [first, ..] if first.is_ascii_alphabetic() => None,
            other => std::str::from_utf8(other).ok().map(Value::Number),
        };
        match value {
            Some(value) => {
                self.emit(value, sink);
                self.after_value(sink);
            }
            None => self.state = State::Broken,
        }
    }

    fn skip(&mut self, rest: &[u8], sink: &mut impl Sink) -> usize {
        // HOT: nothing but quotes and brackets matters in here.
        let step = |byte: &u8| *byte == b'"' || matches!(byte | 0x20, b'{' | b'}');
        let mut at = 0;
        while let Some((found, inside)) =
            rest.get(at..).and_then(|rest| rest.iter().position(step).map(|found| (found, rest)))
        {
            at += found + 1;
            match inside.get(found) {
                Some(b'"') => {
                    self.escape = false;
                    self.state = State::SkipText;
                    while self.state == State::SkipText && at < rest.len() {
                        at += self.skip_text(rest.get(at..).unwrap_or_default());
                    }
                    if self.state == State::SkipText {
                        return at;
                    }
                }
                Some(b'{' | b'[') => self.depth = self.depth.saturating_add(1),
                _ => {
                    self.depth -= 1;
                    if self.depth == 0 {
                        self.after_value(sink);
                        return self.onward(rest, at);
                    }
                }
            }
        }
        rest.len()
    }

    fn skip_text(&mut self, rest: &[u8]) -> usize {
        if self.escape {
            self.escape = false;
            return 1;
        }
        match memchr::memchr2(b'"', b'\\', rest) {
            None => rest.len(),
            Some(at) => {
                if rest.get(at) == Some(&b'"') {
                    self.state = State::Skip;
                } else {
                    self.escape = true;
                }
                at + 1
            }
        }
    }

    fn emit(&mut self, value: Value<'_>, sink: &mut impl Sink) {
        let Some(place) = self.next.and_then(|node| self.paths.node(node)) else { return };
        for leaf in &place.leaves {
            match *leaf {
                Leaf::Emit(id) => sink.value(id, value),
                Leaf::Condition(filter) => {
                    let fits = matches!(value, Value::Text(text) if text.as_bytes() == self.paths.filter(filter));
                    if let Some(matched) = self.matched.get_mut(usize::from(filter)) {
                        *matched |= fits;
                    }
                }
                Leaf::Pending { filter, id } => {
                    if self.pending.len() < 64 {
                        self.pending.push((filter, id, Kept::new(value)));
                    }
                }
                // Requests have these, answers have not.
                Leaf::Keys(_) => {}
            }
        }
    }
}

struct Piece {
    used: usize,
    ended: Option<usize>,
}

/// The text, with a character that a cut split at its end replaced.
fn lossless(bytes: &[u8]) -> std::borrow::Cow<'_, str> {
    String::from_utf8_lossy(bytes)
}

#[cfg(test)]
mod tests;
