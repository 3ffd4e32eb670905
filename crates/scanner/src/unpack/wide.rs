//! Texts in UTF-16 and UTF-32: whole contents, and texts among other bytes.

use super::long;
use std::ops::Range;

/// How the characters of a content are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Form {
    /// How many bytes a unit has: 2 or 4.
    unit: usize,
    /// Whether the larger part comes first.
    big: bool,
}

/// How many bytes at the front decide the form of a content.
const HEAD: usize = 4096;

/// How many units a text among other bytes must have: no secret is shorter.
const SHORTEST: usize = 16;

/// How much of a text that began in the window before is read again, in bytes.
const CONTEXT: usize = 1024;

/// In which wide characters a content is written, by its mark or by where its zeros are. None: in bytes.
pub(super) fn form(bytes: &[u8]) -> Option<Form> {
    let head = bytes.get(..bytes.len().min(HEAD)).unwrap_or_default();
    match head {
        [0xff, 0xfe, 0, 0, ..] => return Some(Form { unit: 4, big: false }),
        [0, 0, 0xfe, 0xff, ..] => return Some(Form { unit: 4, big: true }),
        [0xff, 0xfe, ..] => return Some(Form { unit: 2, big: false }),
        [0xfe, 0xff, ..] => return Some(Form { unit: 2, big: true }),
        _ => {}
    }
    memchr::memchr(0, head)?;
    let all = |unit: usize, big: bool| {
        let units = head.len() / unit;
        let plain = head.chunks_exact(unit).filter(|chunk| is_plain(chunk, big)).count();
        units >= 4 && plain * 10 >= units * 8
    };
    [(4, false), (4, true), (2, false), (2, true)]
        .into_iter()
        .find(|(unit, big)| all(*unit, *big))
        .map(|(unit, big)| Form { unit, big })
}

/// UTF-16.
pub(super) fn utf16(big: bool) -> Form {
    Form { unit: 2, big }
}

/// Whether a unit is an ordinary character.
fn is_plain(unit: &[u8], big: bool) -> bool {
    let (character, zeros) = if big { unit.split_last() } else { unit.split_first() }.unwrap_or((&0, &[]));
    (matches!(character, b' '..=b'~' | b'\t' | b'\r' | b'\n')) && zeros.iter().all(|byte| *byte == 0)
}

/// The content in UTF-8. What is no character becomes the sign for that, unit by unit.
pub(super) fn decode(form: Form, bytes: &[u8]) -> String {
    if form.unit == 4 {
        let code = |unit: &[u8]| {
            let unit: [u8; 4] = unit.try_into().unwrap_or_default();
            if form.big { u32::from_be_bytes(unit) } else { u32::from_le_bytes(unit) }
        };
        let character = |unit| char::from_u32(code(unit)).unwrap_or(char::REPLACEMENT_CHARACTER);
        return bytes.chunks(4).map(character).collect();
    }
    let code = |unit: &[u8]| {
        let unit: [u8; 2] = unit.try_into().unwrap_or_default();
        if form.big { u16::from_be_bytes(unit) } else { u16::from_le_bytes(unit) }
    };
    let units = bytes.chunks(2).map(code);
    char::decode_utf16(units).map(|one| one.unwrap_or(char::REPLACEMENT_CHARACTER)).collect()
}

/// How many bytes a text has when it is written in a form.
pub(super) fn width(form: Form, text: &str) -> u64 {
    let units = if form.unit == 4 { text.chars().count() } else { text.chars().map(char::len_utf16).sum() };
    long(units * form.unit)
}

/// The texts in UTF-16 among other bytes, one after another with zeros between, and where each came from.
pub(super) struct Texts {
    pub(super) bytes: Vec<u8>,
    /// Where each text begins: here, and there.
    begins: Vec<(usize, usize)>,
}

impl Texts {
    pub(super) fn new(buffer: Vec<u8>) -> Self {
        Self { bytes: buffer, begins: Vec::new() }
    }

    /// Finds the texts that begin in a range.
    pub(super) fn find(&mut self, bytes: &[u8], own: &Range<usize>) {
        let mut at = own.start;
        while at < own.end {
            // Eight bytes of which every other one is zero, and not all, are within every text that is long enough.
            let Some(chunk) = bytes.get(at..).and_then(|rest| rest.first_chunk::<8>()) else { return };
            let word = u64::from_le_bytes(*chunk);
            let (even, odd) = (word & 0x00ff_00ff_00ff_00ff, word & 0xff00_ff00_ff00_ff00);
            if word == 0 || (even != 0 && odd != 0) {
                at += 8;
                continue;
            }
            let big = even == 0;
            at = self.text(bytes, at, big, own.start).unwrap_or(at).max(at + 8);
        }
    }

    /// Takes the text around a place; tells where it ends. None: there is none.
    fn text(&mut self, bytes: &[u8], at: usize, big: bool, floor: usize) -> Option<usize> {
        let is_text = |at: usize| bytes.get(at..at + 2).is_some_and(|unit| is_plain(unit, big));
        // The search goes by eight bytes: a text may have begun a little before, in the window before this one even.
        let floor = floor.saturating_sub(CONTEXT).max(at.saturating_sub(CONTEXT));
        let mut from = at;
        while from >= floor + 2 && is_text(from - 2) {
            from -= 2;
        }
        if !is_text(from) {
            from = (from..from + 8).step_by(2).find(|at| is_text(*at))?;
        }
        let mut to = from;
        while is_text(to) {
            to += 2;
        }
        if to - from < SHORTEST * 2 {
            return Some(to);
        }
        let first = from + usize::from(big);
        self.take(bytes, first..to);
        // The same bytes may be units of the other order, one byte further: then there is one character more.
        let shows = |at: usize| bytes.get(at).is_some_and(|byte| matches!(byte, b' '..=b'~'));
        if big && from > 0 && shows(from - 1) {
            self.take(bytes, from - 1..to);
        } else if !big && from > 0 && bytes.get(from - 1) == Some(&0) && shows(to) {
            self.take(bytes, first..to + 1);
        }
        Some(to)
    }

    fn take(&mut self, bytes: &[u8], range: Range<usize>) {
        if !self.bytes.is_empty() {
            self.bytes.push(0);
        }
        self.begins.push((self.bytes.len(), range.start));
        self.bytes.extend(bytes.get(range).unwrap_or_default().iter().step_by(2));
    }

    /// Which of the texts' bytes come from a range of the content.
    pub(super) fn own(&self, own: &Range<usize>) -> Range<usize> {
        let here = |place: usize| {
            let text = self.begins.partition_point(|(_, there)| *there <= place).checked_sub(1);
            let Some((here, there)) = text.and_then(|text| self.begins.get(text)) else { return 0 };
            let next = text.and_then(|text| self.begins.get(text + 1)).map_or(self.bytes.len(), |(next, _)| *next);
            (here + (place - there).div_ceil(2)).min(next)
        };
        here(own.start)..here(own.end)
    }

    /// Where in the content a span of these texts lies.
    pub(super) fn place(&self, span: &Range<u64>, before: u64) -> Range<u64> {
        let start = usize::try_from(span.start).unwrap_or(usize::MAX);
        let text = self.begins.partition_point(|(here, _)| *here <= start).saturating_sub(1);
        let (here, there) = self.begins.get(text).copied().unwrap_or_default();
        let place = |at: u64| before + long(there) + at.saturating_sub(long(here)) * 2;
        place(span.start)..place(span.end)
    }
}
