//! Names and words from strangers, made fit for each kind of reader.

use std::fmt::Write as _;

/// A name as people can read it on one line: what would steer a terminal, break the line or turn the reading direction
/// around stands as an escape (`\n`, `\u{1b}`), and bytes that are no text as `\xff`. Two names never look the same.
#[must_use]
pub fn printable(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        for character in chunk.valid().chars() {
            match character {
                '\n' => out.push_str("\\n"),
                '\r' => out.push_str("\\r"),
                '\t' => out.push_str("\\t"),
                '\\' => out.push_str("\\\\"),
                other if steers(other) => push(&mut out, format_args!("\\u{{{:x}}}", u32::from(other))),
                other => out.push(other),
            }
        }
        chunk.invalid().iter().for_each(|byte| push(&mut out, format_args!("\\x{byte:02x}")));
    }
    out
}

/// Control characters, those that turn the reading direction around, those that are not seen, and separators of lines.
pub(super) fn steers(character: char) -> bool {
    character.is_control()
        || matches!(character,
            '\u{00AD}' | '\u{061C}' | '\u{180E}' | '\u{200B}'..='\u{200F}' | '\u{2028}'..='\u{202E}'
            | '\u{2060}'..='\u{206F}' | '\u{FEFF}' | '\u{FFF9}'..='\u{FFFB}' | '\u{E0000}'..='\u{E007F}')
}

/// JSON text in which everything that steers a terminal is escaped, too. The data stays the same: outside of its texts
/// JSON has no such characters.
pub(super) fn json(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut units = [0; 2];
    for character in text.chars() {
        if character != '\n' && steers(character) {
            for unit in character.encode_utf16(&mut units) {
                push(&mut out, format_args!("\\u{unit:04x}"));
            }
        } else {
            out.push(character);
        }
    }
    out
}

/// Text within XML or HTML, in an element or a quoted attribute. Characters that XML cannot hold are gone before:
/// [`printable`] has made them readable.
pub(super) fn markup(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            other if (other != '\n' && steers(other)) || matches!(other, '\u{FFFE}' | '\u{FFFF}') => {
                push(&mut out, format_args!("\\u{{{:x}}}", u32::from(other)));
            }
            other => out.push(other),
        }
    }
    out
}

/// A path as a relative reference of RFC 3986, byte for byte; an absolute one as a `file:` URI.
pub(super) fn uri(path: &[u8]) -> String {
    let mut out = String::with_capacity(path.len());
    if path.first() == Some(&b'/') {
        out.push_str("file://");
    }
    for byte in path {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~' | b'/') {
            out.push(char::from(*byte));
        } else {
            push(&mut out, format_args!("%{byte:02X}"));
        }
    }
    out
}

/// The value of a workflow command.
pub(super) fn annotation(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

/// A property of a workflow command, where colons and commas part the next one off.
pub(super) fn property(text: &str) -> String {
    annotation(text).replace(':', "%3A").replace(',', "%2C")
}

fn push(out: &mut String, words: std::fmt::Arguments<'_>) {
    // Writing to a string cannot fail.
    let _written = out.write_fmt(words);
}
