//! What a command knows of the world around it: the environment's variables, standard input, the time. Read once when
//! the program starts and handed down, so that a test can put anything in its place.

use crate::{failure::Failure, ui::Ui};
use keyward_domain::Millis;
use std::{
    collections::BTreeMap,
    ffi::OsString,
    io::{self, IsTerminal, Read},
    path::PathBuf,
};
use zeroize::Zeroizing;

/// The longest line somebody may type or pipe in where a line is asked for, in bytes.
const LONGEST_LINE: usize = 64 << 10;

/// Everything outside a command.
pub struct Context {
    /// The environment's variables.
    pub variables: Variables,
    /// Standard input.
    pub input: Input,
    /// Where words go.
    pub ui: Ui,
    /// When the program started.
    pub now: Millis,
}

impl Context {
    /// The process's own surroundings.
    #[must_use]
    pub fn of_process() -> Self {
        let variables = Variables(Source::Process);
        let colour = variables.text("NO_COLOR").is_none() && variables.text("TERM").as_deref() != Some("dumb");
        Self { ui: Ui::of_process(colour), input: Input::of_process(), now: now(), variables }
    }
}

/// The environment's variables. Empty ones count as not set. Those of the process are looked up one at a time: a copy
/// of all would hold secrets that belong to others.
#[derive(Debug, Clone, Default)]
pub struct Variables(Source);

#[derive(Debug, Clone)]
enum Source {
    Process,
    Fixed(BTreeMap<String, OsString>),
}

impl Default for Source {
    fn default() -> Self {
        Self::Fixed(BTreeMap::new())
    }
}

impl Variables {
    /// A variable's text, when it is set, not empty, and text.
    #[must_use]
    pub fn text(&self, name: &str) -> Option<String> {
        self.get(name).and_then(|value| value.into_string().ok())
    }

    /// A variable's path, when it is set and not empty.
    #[must_use]
    pub fn path(&self, name: &str) -> Option<PathBuf> {
        self.get(name).map(PathBuf::from)
    }

    #[expect(clippy::disallowed_methods, reason = "this is the one place that reads the environment")]
    fn get(&self, name: &str) -> Option<OsString> {
        let value = match &self.0 {
            Source::Process => std::env::var_os(name),
            Source::Fixed(values) => values.get(name).cloned(),
        };
        value.filter(|value| !value.is_empty())
    }
}

impl<N: Into<String>, V: Into<OsString>> FromIterator<(N, V)> for Variables {
    fn from_iter<I: IntoIterator<Item = (N, V)>>(pairs: I) -> Self {
        Self(Source::Fixed(pairs.into_iter().map(|(name, value)| (name.into(), value.into())).collect()))
    }
}

/// Standard input.
pub struct Input {
    reader: Box<dyn Read + Send>,
    /// Whether a person sits at it.
    pub terminal: bool,
}

impl Input {
    fn of_process() -> Self {
        Self { reader: Box::new(io::stdin()), terminal: io::stdin().is_terminal() }
    }

    /// Input from somewhere else, such as a test.
    #[must_use]
    pub fn of_reader(reader: Box<dyn Read + Send>, terminal: bool) -> Self {
        Self { reader, terminal }
    }

    /// The stream itself, for whoever reads it without a bound; nothing is left here.
    #[must_use]
    pub fn take(&mut self) -> Box<dyn Read + Send> {
        std::mem::replace(&mut self.reader, Box::new(io::empty()))
    }

    /// Everything up to the end, at most `limit` bytes; wiped when dropped.
    ///
    /// # Errors
    /// When it cannot be read or is longer.
    pub fn all(&mut self, limit: usize) -> Result<Zeroizing<Vec<u8>>, Failure> {
        // Allocated once in full: a buffer that grows leaves copies behind that nobody wipes.
        let mut bytes = Zeroizing::new(vec![0; limit + 1]);
        let mut length = 0;
        while let Some(free) = bytes.get_mut(length..).filter(|free| !free.is_empty()) {
            match self.reader.read(free) {
                Ok(0) => break,
                Ok(read) => length += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(Failure::failed(format!("cannot read standard input: {error}"))),
            }
        }
        if length > limit {
            return Err(Failure::usage(format!("standard input holds more than {limit} bytes")));
        }
        bytes.truncate(length);
        Ok(bytes)
    }

    /// One line, without its end. `None` when there is nothing left.
    ///
    /// # Errors
    /// When it cannot be read, is not text or is longer than 64 KiB.
    pub fn line(&mut self) -> Result<Option<String>, Failure> {
        let mut bytes = Vec::new();
        let mut byte = [0];
        loop {
            let read = self.reader.read(&mut byte);
            match read.map_err(|error| Failure::failed(format!("cannot read standard input: {error}")))? {
                0 if bytes.is_empty() => return Ok(None),
                0 => break,
                _ if byte == [b'\n'] => break,
                _ => bytes.extend(byte),
            }
            if bytes.len() > LONGEST_LINE {
                return Err(Failure::usage("the line on standard input is too long"));
            }
        }
        let text = String::from_utf8(bytes).map_err(|_| Failure::usage("standard input is not text"))?;
        Ok(Some(text.trim().to_owned()))
    }
}

/// Milliseconds since 1970.
#[expect(clippy::disallowed_methods, reason = "this is the room's one clock")]
fn now() -> Millis {
    jiff::Timestamp::now().as_millisecond()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn input(text: &'static str) -> Input {
        Input::of_reader(Box::new(text.as_bytes()), false)
    }

    #[test]
    fn input_is_read_whole_or_by_lines_and_never_too_much() {
        assert_eq!(**input("abc\n").all(4).unwrap(), *b"abc\n");
        assert!(input("abcde").all(4).is_err());
        let mut lines = input("one\r\n\ntwo");
        assert_eq!(lines.line().unwrap().as_deref(), Some("one"));
        assert_eq!(lines.line().unwrap().as_deref(), Some(""));
        assert_eq!(lines.line().unwrap().as_deref(), Some("two"));
        assert_eq!(lines.line().unwrap(), None);
    }

    #[test]
    fn an_empty_variable_is_not_set() {
        let variables: Variables = [("A", ""), ("B", "b")].into_iter().collect();
        assert_eq!((variables.text("A"), variables.text("B")), (None, Some("b".into())));
        assert_eq!((variables.path("A"), variables.path("B")), (None, Some("b".into())));
    }
}
