//! One pass over a JSON request: is it sound, and where are the fields a decision needs? No tree is built and nothing
//! is copied but the few texts asked for. Strict on purpose: what two parsers could read differently is refused.

mod names;
mod text;

pub use names::{Names, Sort};
pub use text::{hex4, plain_run, unescape};

use crate::tap::paths::{Leaf, Node, Paths, ROOT};
use std::{borrow::Cow, ops::Range};

/// The deepest nesting of a request. Real ones stay below 40.
pub const DEEPEST: u32 = 128;

/// The most object names that one request may refer to.
const MOST_REFERENCES: usize = 4_096;

/// Why a body is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// A byte that cannot be there.
    #[error("the request body is not valid JSON (at byte {0})")]
    Syntax(usize),
    /// Not UTF-8.
    #[error("the request body is not valid UTF-8 (at byte {0})")]
    Utf8(usize),
    /// Too many brackets in each other.
    #[error("the request body is nested more than {DEEPEST} levels deep")]
    Deep,
    /// A field that decides something is there twice.
    #[error("the field '{0}' is in the request twice: send it once")]
    Twice(String),
    /// A field that decides something in other letters, which some parsers take for the same.
    #[error("the field '{0}' is written in other letters than '{1}'")]
    Misspelt(String, String),
    /// More objects named than one request can mean.
    #[error("the request refers to more than {MOST_REFERENCES} objects")]
    References,
}

/// What kind of value stands at a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Text; the span includes the quotes.
    String,
    /// A number.
    Number,
    /// `true`.
    True,
    /// `false`.
    False,
    /// `null`.
    Null,
    /// An object; whether it has fields.
    Object {
        /// No field at all.
        empty: bool,
    },
    /// An array.
    Array,
}

/// A watched field that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hit {
    /// The number under which it was watched.
    pub id: u16,
    /// What is there.
    pub kind: Kind,
    /// Where the value stands.
    pub span: Range<usize>,
}

/// What one pass found.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Scan {
    /// Watched fields, in the order of the body.
    pub hits: Vec<Hit>,
    /// Texts that name objects, as written.
    pub references: Vec<Box<str>>,
    /// How many pieces of content are not text in the body.
    pub unseen: u64,
    /// Whether something marks input for a cache.
    pub cached: bool,
    /// What the whole body is.
    pub top: Option<Kind>,
}

impl Scan {
    /// The field watched under a number.
    #[must_use]
    pub fn hit(&self, id: u16) -> Option<&Hit> {
        self.hits.iter().find(|hit| hit.id == id)
    }
}

/// Reads a body through.
///
/// # Errors
/// The first thing in it that is not sound.
pub fn scan(body: &[u8], paths: &Paths, references: &[Box<str>]) -> Result<Scan, Malformed> {
    let mut names = Names::default();
    for name in references {
        names.add(name, Sort::Reference);
    }
    scan_named(body, paths, &names)
}

/// Reads a body through, with names that mean something at any depth.
///
/// # Errors
/// The first thing in it that is not sound.
pub fn scan_named(body: &[u8], paths: &Paths, names: &Names) -> Result<Scan, Malformed> {
    if let Err(error) = std::str::from_utf8(body) {
        return Err(Malformed::Utf8(error.valid_up_to()));
    }
    let mut reader = Reader { body, at: 0, paths, names, found: Scan::default() };
    let top = reader.value(Some(ROOT), Refers::No, 0)?;
    reader.space();
    if reader.at < body.len() {
        return Err(Malformed::Syntax(reader.at));
    }
    reader.found.top = Some(top);
    Ok(reader.found)
}

/// Whether texts below here name objects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Refers {
    No,
    /// The value itself, the strings of its array, the `id` of its object.
    Yes,
}

struct Reader<'b> {
    body: &'b [u8],
    at: usize,
    paths: &'b Paths,
    names: &'b Names,
    found: Scan,
}

impl<'b> Reader<'b> {
    fn peek(&self) -> Option<u8> {
        self.body.get(self.at).copied()
    }

    fn wrong<T>(&self) -> Result<T, Malformed> {
        Err(Malformed::Syntax(self.at))
    }

    fn space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    fn expect(&mut self, byte: u8) -> Result<(), Malformed> {
        self.space();
        if self.peek() == Some(byte) {
            self.at += 1;
            return Ok(());
        }
        self.wrong()
    }

    fn value(&mut self, node: Option<u32>, refers: Refers, depth: u32) -> Result<Kind, Malformed> {
        self.space();
        let start = self.at;
        let kind = match self.peek() {
            Some(b'{') => self.object(node, refers, depth)?,
            Some(b'[') => self.array(node, refers, depth)?,
            Some(b'"') => self.text(refers)?,
            Some(b't') => self.word("true", Kind::True)?,
            Some(b'f') => self.word("false", Kind::False)?,
            Some(b'n') => self.word("null", Kind::Null)?,
            Some(b'-' | b'0'..=b'9') => self.number()?,
            _ => return self.wrong(),
        };
        if let Some(place) = node.and_then(|node| self.paths.node(node)) {
            for leaf in &place.leaves {
                if let Leaf::Emit(id) = leaf {
                    self.found.hits.push(Hit { id: *id, kind, span: start..self.at });
                }
            }
        }
        Ok(kind)
    }

    fn object(&mut self, node: Option<u32>, refers: Refers, depth: u32) -> Result<Kind, Malformed> {
        if depth >= DEEPEST {
            return Err(Malformed::Deep);
        }
        self.at += 1;
        self.space();
        if self.peek() == Some(b'}') {
            self.at += 1;
            return Ok(Kind::Object { empty: true });
        }
        let mut seen = 0_u64;
        let told = node.and_then(|node| self.paths.node(node)).and_then(Node::keys);
        loop {
            self.space();
            let start = self.at;
            let key = self.key()?;
            if let Some(id) = told {
                self.found.hits.push(Hit { id, kind: Kind::String, span: start..self.at });
            }
            self.expect(b':')?;
            let child = self.watched(node, &key, &mut seen)?;
            let (names_object, sort) = self.names.look(&key);
            let names_object = names_object || (refers == Refers::Yes && &*key == b"id");
            let kind = self.value(child, if names_object { Refers::Yes } else { Refers::No }, depth + 1)?;
            if kind != Kind::Null {
                self.found.unseen += u64::from(sort == Some(Sort::Unseen));
                self.found.cached |= sort == Some(Sort::Cache);
            }
            self.space();
            match self.peek() {
                Some(b',') => self.at += 1,
                Some(b'}') => {
                    self.at += 1;
                    return Ok(Kind::Object { empty: false });
                }
                _ => return self.wrong(),
            }
        }
    }

    /// The place below a key, when it is watched; refuses what parsers read differently.
    fn watched(&self, node: Option<u32>, key: &[u8], seen: &mut u64) -> Result<Option<u32>, Malformed> {
        let Some(place) = node.and_then(|node| self.paths.node(node)).filter(|place| place.has_keys()) else {
            return Ok(None);
        };
        if let Some((position, child)) = place.position(key) {
            let bit = 1_u64.checked_shl(u32::try_from(position).unwrap_or(u32::MAX)).unwrap_or(0);
            if *seen & bit != 0 {
                return Err(Malformed::Twice(shown(key)));
            }
            *seen |= bit;
            return Ok(Some(child));
        }
        match place.misspelt(key) {
            Some(right) => Err(Malformed::Misspelt(shown(key), shown(right))),
            None => Ok(None),
        }
    }

    fn array(&mut self, node: Option<u32>, refers: Refers, depth: u32) -> Result<Kind, Malformed> {
        if depth >= DEEPEST {
            return Err(Malformed::Deep);
        }
        let element = node.and_then(|node| self.paths.node(node)).and_then(|place| place.element);
        self.at += 1;
        self.space();
        if self.peek() == Some(b']') {
            self.at += 1;
            return Ok(Kind::Array);
        }
        loop {
            self.value(element, refers, depth + 1)?;
            self.space();
            match self.peek() {
                Some(b',') => self.at += 1,
                Some(b']') => {
                    self.at += 1;
                    return Ok(Kind::Array);
                }
                _ => return self.wrong(),
            }
        }
    }

    fn key(&mut self) -> Result<Cow<'b, [u8]>, Malformed> {
        if self.peek() != Some(b'"') {
            return self.wrong();
        }
        let (start, escaped) = self.string()?;
        let raw = self.body.get(start..self.at - 1).unwrap_or_default();
        if !escaped {
            return Ok(Cow::Borrowed(raw));
        }
        match unescape(raw) {
            Some(text) => Ok(Cow::Owned(text.into_bytes())),
            None => Err(Malformed::Syntax(start)),
        }
    }

    fn text(&mut self, refers: Refers) -> Result<Kind, Malformed> {
        let (start, escaped) = self.string()?;
        if refers == Refers::Yes {
            if self.found.references.len() >= MOST_REFERENCES {
                return Err(Malformed::References);
            }
            let raw = self.body.get(start..self.at - 1).unwrap_or_default();
            let text = if escaped { unescape(raw) } else { std::str::from_utf8(raw).ok().map(ToOwned::to_owned) };
            self.found.references.push(text.ok_or(Malformed::Syntax(start))?.into());
        }
        Ok(Kind::String)
    }

    /// Steps over a string; returns where its text begins and whether it has escapes.
    fn string(&mut self) -> Result<(usize, bool), Malformed> {
        let start = self.at + 1;
        let mut at = start;
        let mut escaped = false;
        loop {
            at += plain_run(self.body.get(at..).unwrap_or_default());
            match self.body.get(at) {
                Some(b'"') => {
                    self.at = at + 1;
                    return Ok((start, escaped));
                }
                Some(b'\\') => {
                    escaped = true;
                    at += match self.body.get(at + 1) {
                        Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => 2,
                        Some(b'u') if hex4(self.body.get(at + 2..at + 6)).is_some() => 6,
                        _ => return Err(Malformed::Syntax(at)),
                    };
                }
                _ => return Err(Malformed::Syntax(at)),
            }
        }
    }

    fn word(&mut self, word: &str, kind: Kind) -> Result<Kind, Malformed> {
        if self.body.get(self.at..self.at + word.len()) == Some(word.as_bytes()) {
            self.at += word.len();
            return Ok(kind);
        }
        self.wrong()
    }

    fn digits(&mut self) -> Result<(), Malformed> {
        let start = self.at;
        while matches!(self.peek(), Some(b'0'..=b'9')) {
            self.at += 1;
        }
        if self.at == start { self.wrong() } else { Ok(()) }
    }

    fn number(&mut self) -> Result<Kind, Malformed> {
        if self.peek() == Some(b'-') {
            self.at += 1;
        }
        if self.peek() == Some(b'0') {
            self.at += 1;
        } else {
            self.digits()?;
        }
        if self.peek() == Some(b'.') {
            self.at += 1;
            self.digits()?;
        }
        if matches!(self.peek(), Some(b'e' | b'E')) {
            self.at += 1;
            if matches!(self.peek(), Some(b'+' | b'-')) {
                self.at += 1;
            }
            self.digits()?;
        }
        Ok(Kind::Number)
    }
}

fn shown(key: &[u8]) -> String {
    String::from_utf8_lossy(key).chars().filter(|character| !character.is_control()).take(60).collect()
}

/// An element of a list answer.
#[derive(Debug, PartialEq, Eq)]
pub struct Element {
    /// Where it stands.
    pub span: Range<usize>,
    /// Its id, when it has one that is text.
    pub id: Option<Box<str>>,
}

/// The elements of a top-level array of a document, with their ids. `None` when the document is not sound; an empty
/// list when it has no such array.
#[must_use]
pub fn elements(body: &[u8], items: &str, id: &str) -> Option<Vec<Element>> {
    let mut paths = Paths::default();
    paths.add(&format!("{items}[]"), 0);
    paths.add(&format!("{items}[].{id}"), 1);
    let scan = scan(body, &paths, &[]).ok()?;
    let mut elements = Vec::new();
    let mut pending = None;
    for hit in scan.hits {
        // Inner values are found before what they stand in.
        if hit.id == 1 {
            pending = text_of(body, &hit).map(Into::into);
        } else {
            elements.push(Element { span: hit.span, id: pending.take() });
        }
    }
    Some(elements)
}

/// The text of a hit that is a string.
#[must_use]
pub fn text_of(body: &[u8], hit: &Hit) -> Option<String> {
    if hit.kind != Kind::String {
        return None;
    }
    unescape(body.get(hit.span.start + 1..hit.span.end - 1)?)
}

#[cfg(test)]
mod tests;
