//! Text from elsewhere, made fit for a terminal: nothing that a server, a provider or a file says may move the cursor,
//! change colours, set the window title or turn the reading direction around.

use serde_json::ser::{CharEscape, Formatter, PrettyFormatter};
use std::io::{self, Write};

/// The text on one line: characters that steer a terminal or hide text are taken out, line breaks and tabs become
/// spaces.
#[must_use]
pub(crate) fn line(text: &str) -> String {
    text.chars()
        .filter_map(|character| match character {
            '\n' | '\r' | '\t' => Some(' '),
            other => (!steers(other)).then_some(other),
        })
        .collect()
}

/// The text with its line breaks, without characters that steer a terminal or hide text.
#[must_use]
pub(crate) fn block(text: &str) -> String {
    text.chars().filter(|character| *character == '\n' || !steers(*character)).collect()
}

/// Control characters (C0, DEL, C1), bidirectional controls, and line or paragraph separators.
fn steers(character: char) -> bool {
    character.is_control()
        || matches!(character,
            '\u{061C}' | '\u{200E}' | '\u{200F}' | '\u{2028}'..='\u{202E}' | '\u{2066}'..='\u{2069}' | '\u{FEFF}')
}

/// Writes a value as JSON in which such characters are escaped: the data stays the same, a terminal is not steered.
///
/// # Errors
/// When writing fails.
pub(crate) fn write_json(out: &mut dyn Write, value: &serde_json::Value, pretty: bool) -> io::Result<()> {
    use serde::Serialize;
    if pretty {
        value.serialize(&mut serde_json::Serializer::with_formatter(&mut *out, Escaping(PrettyFormatter::new())))?;
    } else {
        let compact = Escaping(serde_json::ser::CompactFormatter);
        value.serialize(&mut serde_json::Serializer::with_formatter(&mut *out, compact))?;
    }
    out.write_all(b"\n")
}

/// A JSON formatter that also escapes what JSON itself would let through.
struct Escaping<F>(F);

impl<F: Formatter> Formatter for Escaping<F> {
    fn write_string_fragment<W: ?Sized + Write>(&mut self, writer: &mut W, fragment: &str) -> io::Result<()> {
        let mut units = [0; 2];
        for part in fragment.split_inclusive(steers) {
            let (plain, last) = match part.chars().next_back() {
                Some(last) if steers(last) => (part.strip_suffix(last).unwrap_or(part), Some(last)),
                _ => (part, None),
            };
            writer.write_all(plain.as_bytes())?;
            for unit in last.into_iter().flat_map(|last| last.encode_utf16(&mut units).to_vec()) {
                write!(writer, "\\u{unit:04x}")?;
            }
        }
        Ok(())
    }

    fn write_char_escape<W: ?Sized + Write>(&mut self, writer: &mut W, escape: CharEscape) -> io::Result<()> {
        self.0.write_char_escape(writer, escape)
    }

    fn begin_array<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.0.begin_array(writer)
    }

    fn end_array<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.0.end_array(writer)
    }

    fn begin_array_value<W: ?Sized + Write>(&mut self, writer: &mut W, first: bool) -> io::Result<()> {
        self.0.begin_array_value(writer, first)
    }

    fn end_array_value<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.0.end_array_value(writer)
    }

    fn begin_object<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.0.begin_object(writer)
    }

    fn end_object<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.0.end_object(writer)
    }

    fn begin_object_key<W: ?Sized + Write>(&mut self, writer: &mut W, first: bool) -> io::Result<()> {
        self.0.begin_object_key(writer, first)
    }

    fn begin_object_value<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.0.begin_object_value(writer)
    }

    fn end_object_value<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.0.end_object_value(writer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn nothing_that_steers_a_terminal_is_left() {
        let hostile = "a\u{1b}[31mb\u{7}\u{9b}2J\u{202e}c\u{2066}\r\nd\te\u{7f}";
        assert_eq!(line(hostile), "a[31mb2Jc  d e");
        assert_eq!(block("a\u{1b}]0;x\u{7}\nb\tc"), "a]0;x\nbc");
        assert_eq!(line("Grüße 日本 🙂"), "Grüße 日本 🙂");
    }

    #[test]
    fn json_keeps_the_data_and_escapes_what_steers() {
        let value = json!({"name": "a\u{1b}b\u{9b}c\u{202e}d\u{7f}ü\"\\", "list": [1, {"x": []}]});
        for pretty in [false, true] {
            let mut out = Vec::new();
            write_json(&mut out, &value, pretty).unwrap();
            let text = String::from_utf8(out).unwrap();
            assert!(!text.trim_end().chars().any(|c| steers(c) && c != '\n'), "{text}");
            assert!(text.contains("\\u009b") && text.contains("\\u202e") && text.contains("\\u007f"), "{text}");
            assert_eq!(serde_json::from_str::<serde_json::Value>(&text).unwrap(), value);
        }
    }
}
