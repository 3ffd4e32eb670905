//! Texts that are read out of a text: with escapes resolved, base64 or hexadecimal digits decoded, or the parts of a
//! secret joined that a program puts together. Each byte knows where in the text it comes from.

use super::{base64, runs};
use std::ops::Range;

/// How much around an encoded stretch is read with it, for the names that stand there.
const AROUND: usize = 240;
/// The longest stretch that is decoded at once.
const LONGEST: usize = 1 << 18;
/// How many parts of one secret are joined at most.
const PARTS: usize = 24;

/// A text read out of another one.
#[derive(Debug, Default)]
pub(super) struct Derived {
    pub(super) text: Vec<u8>,
    /// What of it was read; the rest is there as it stands in the text, to be read with it.
    pub(super) own: Range<usize>,
    /// Whether it was put together from parts.
    pub(super) joined: bool,
    pieces: Vec<Piece>,
}

/// Where a piece of a derived text comes from.
#[derive(Debug)]
struct Piece {
    /// Where it begins in the derived text.
    begins: usize,
    /// Where it stands: as it is, or it is one byte.
    stands: Range<usize>,
}

impl Derived {
    fn push(&mut self, byte: u8, place: Range<usize>) {
        self.pieces.push(Piece { begins: self.text.len(), stands: place });
        self.text.push(byte);
    }

    fn copy(&mut self, text: &[u8], range: Range<usize>) {
        let part = text.get(range.clone()).unwrap_or_default();
        if !part.is_empty() {
            self.pieces.push(Piece { begins: self.text.len(), stands: range });
            self.text.extend_from_slice(part);
        }
    }

    /// Where in the text one byte of this one comes from.
    fn origin(&self, at: usize) -> Range<usize> {
        let index = self.pieces.partition_point(|piece| piece.begins <= at).saturating_sub(1);
        let Some(Piece { begins, stands }) = self.pieces.get(index) else { return 0..0 };
        let ends = self.pieces.get(index + 1).map_or(self.text.len(), |next| next.begins);
        if ends - begins == 1 {
            return stands.clone();
        }
        let at = stands.start + at.saturating_sub(*begins);
        at..at + 1
    }

    /// Where in the text a stretch of this one comes from.
    pub(super) fn place(&self, span: &Range<usize>) -> Range<usize> {
        let start = self.origin(span.start).start;
        if span.is_empty() { start..start } else { start..self.origin(span.end - 1).end }
    }
}

const fn is_key(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'+' | b'/' | b'.' | b'~')
}

/// Whether a byte may stand in a key, if need be escaped: some have parts that `:` joins, or end as base64 does.
const fn is_part(byte: u8) -> bool {
    is_key(byte) || matches!(byte, b'=' | b':')
}

/// The byte that an escape at a place stands for, and where the escape ends.
fn escape(text: &[u8], at: usize) -> Option<(u8, usize)> {
    let digits = |from: usize, count: usize| {
        let digits = text.get(from..from + count)?;
        let value = digits.iter().try_fold(0_u32, |value, byte| Some(value * 16 + char::from(*byte).to_digit(16)?))?;
        u8::try_from(value).ok().filter(u8::is_ascii)
    };
    match text.get(at)? {
        b'%' => match text.get(at + 1..at + 3)? {
            b"25" => digits(at + 3, 2).map(|byte| (byte, at + 5)),
            _ => digits(at + 1, 2).map(|byte| (byte, at + 3)),
        },
        b'\\' => {
            // A backslash may itself be escaped, by whatever wrote JSON into JSON.
            let slashes = text.get(at..)?.iter().take(4).take_while(|byte| **byte == b'\\').count();
            match text.get(at + slashes)? {
                b'u' if text.get(at + slashes + 1) == Some(&b'{') => {
                    let length = text.get(at + slashes + 2..at + slashes + 8)?.iter().position(|byte| *byte == b'}')?;
                    let hex = std::str::from_utf8(text.get(at + slashes + 2..at + slashes + 2 + length)?).ok()?;
                    let byte = u8::from_str_radix(hex, 16).ok().filter(u8::is_ascii)?;
                    Some((byte, at + slashes + 3 + length))
                }
                b'u' => digits(at + slashes + 1, 4).map(|byte| (byte, at + slashes + 5)),
                b'x' => digits(at + slashes + 1, 2).map(|byte| (byte, at + slashes + 3)),
                b'/' if slashes == 1 => Some((b'/', at + 2)),
                _ => None,
            }
        }
        b'&' => {
            let rest = text.get(at + 1..text.len().min(at + 12))?;
            let length = rest.iter().position(|byte| *byte == b';')?;
            let name = rest.get(..length)?;
            let byte = match name {
                [b'#', b'x' | b'X', hex @ ..] => u8::from_str_radix(std::str::from_utf8(hex).ok()?, 16).ok()?,
                [b'#', digits @ ..] => std::str::from_utf8(digits).ok()?.parse().ok()?,
                b"lowbar" => b'_',
                b"hyphen" | b"dash" => b'-',
                b"period" => b'.',
                b"plus" => b'+',
                b"sol" => b'/',
                b"equals" => b'=',
                b"colon" => b':',
                b"quot" => b'"',
                b"apos" => b'\'',
                b"amp" => b'&',
                b"lt" => b'<',
                b"gt" => b'>',
                _ => return None,
            };
            byte.is_ascii().then_some((byte, at + length + 2))
        }
        _ => None,
    }
}

/// Reads every stretch in which escapes stand for bytes of keys. `marks` is where escapes of one kind may be.
pub(super) fn escapes(text: &[u8], marks: &[usize], mut found: impl FnMut(Derived)) {
    let mut done = 0;
    for at in marks.iter().copied() {
        if at < done || !escape(text, at).is_some_and(|(byte, _)| is_part(byte)) {
            continue;
        }
        let before = text.get(done..at).unwrap_or_default();
        let start = at - before.iter().rev().take(LONGEST).take_while(|byte| is_key(**byte)).count();
        let mut end = at;
        let mut length = at - start;
        while end - start < LONGEST {
            match (escape(text, end), text.get(end)) {
                (Some((byte, next)), _) if is_part(byte) => end = next,
                (None, Some(byte)) if is_key(*byte) || *byte == b'=' => end += 1,
                _ => break,
            }
            length += 1;
        }
        done = end;
        if length >= runs::LEAST {
            found(unescaped(text, start..end));
        }
    }
}

/// A stretch and what is around it without escapes.
fn unescaped(text: &[u8], range: Range<usize>) -> Derived {
    let mut out = Derived::default();
    let mut at = range.start.saturating_sub(AROUND);
    let to = (range.end + AROUND).min(text.len());
    while at < to {
        if at == range.start {
            out.own.start = out.text.len();
        }
        if at == range.end {
            out.own.end = out.text.len();
        }
        let plain = text.get(at).map(|byte| (*byte, at + 1));
        // A stretch begins and ends where an escape does: none may reach over its ends.
        let next = escape(text, at).filter(|(_, end)| at >= range.start || *end <= range.start);
        let Some((byte, next)) = next.or(plain) else { break };
        out.push(byte, at..next);
        at = next;
    }
    if out.own.end <= out.own.start {
        out.own.end = out.text.len();
    }
    out
}

/// Whether decoded bytes are text.
fn is_text(byte: u8) -> bool {
    matches!(byte, b' '..=b'~' | b'\n' | b'\r' | b'\t')
}

/// Reads base64 that begins at a place, if it is text.
pub(super) fn base64(text: &[u8], start: usize) -> Option<Derived> {
    // Most runs are told from base64 of a text by their first characters.
    let first =
        text.get(start..start + 4)?.iter().try_fold(0_u32, |held, byte| Some(held << 6 | base64::bits(*byte)?))?;
    let [_, one, two, three] = first.to_be_bytes();
    if ![one, two, three].into_iter().all(is_text) {
        return None;
    }
    let head = base64::decode(text.get(start..start + 12)?);
    (head.len() >= 9 && head.iter().all(|byte| is_text(*byte))).then(|| read(text, start, 0))?
}

/// Reads base64 that begins at a place; `skipped` bytes of it are not text.
fn read(text: &[u8], start: usize, mut skipped: usize) -> Option<Derived> {
    let mut out = Derived::default();
    out.copy(text, start.saturating_sub(AROUND)..start);
    // What is decoded does not go on what stands before it.
    out.push(b' ', start..start);
    out.own.start = out.text.len();
    let (mut held, mut count, mut first, mut line) = (0_u32, 0_u32, start, 0);
    let mut at = start;
    while at - start < LONGEST {
        let Some(bits) = text.get(at).and_then(|byte| base64::bits(*byte)) else {
            // A long line may go on below, as in mail and certificates.
            match folded(text, at) {
                Some(next) if line >= 60 => {
                    (at, line) = (next, 0);
                    continue;
                }
                _ => break,
            }
        };
        if count == 0 {
            first = at;
        }
        held = held << 6 | bits;
        count += 6;
        at += 1;
        line += 1;
        if count >= 8 {
            count -= 8;
            let byte = u8::try_from(held >> count & 0xff).unwrap_or(0);
            held &= (1 << count) - 1;
            if skipped > 0 {
                skipped -= 1;
            } else if is_text(byte) || byte >= 0x80 {
                out.push(byte, first..at);
            } else {
                break;
            }
            first = at - usize::from(count > 0);
        }
    }
    finish(out, text, at)
}

fn finish(mut out: Derived, text: &[u8], at: usize) -> Option<Derived> {
    out.own.end = out.text.len();
    let padding = text.get(at..).unwrap_or_default().iter().take(2).take_while(|byte| **byte == b'=').count();
    let at = at + padding;
    out.push(b' ', at..at);
    out.copy(text, at..(at + AROUND).min(text.len()));
    (out.own.len() >= 16).then_some(out)
}

/// Where a line that was folded goes on.
fn folded(text: &[u8], at: usize) -> Option<usize> {
    let rest = text.get(at..)?;
    let rest = rest.strip_prefix(b"\\").unwrap_or(rest);
    let rest = rest.strip_prefix(b"\r").unwrap_or(rest).strip_prefix(b"\n")?;
    let spaces = rest.iter().take(40).take_while(|byte| **byte == b' ' || **byte == b'\t').count();
    Some(text.len() - rest.len() + spaces)
}

/// Reads base64 in which a beginning was seen: goes back, four characters at a time, to where the text begins. `group`
/// is where a group of four begins.
pub(super) fn base64_around(text: &[u8], group: usize) -> Option<Derived> {
    let mut start = group;
    while start >= 4 && group - start < LONGEST {
        let four = text.get(start - 4..start)?;
        let decoded = base64::decode(four);
        if decoded.len() < 3 || !decoded.iter().all(|byte| is_text(*byte)) {
            break;
        }
        start -= 4;
    }
    let head = base64::decode(text.get(start..start + 4)?);
    read(text, start, head.iter().rposition(|byte| !is_text(*byte)).map_or(0, |last| last + 1))
}

/// Reads hexadecimal digits, if they are text.
pub(super) fn hexadecimal(text: &[u8], run: &Range<usize>) -> Option<Derived> {
    let digits = text.get(run.clone())?;
    if digits.len() < 40 || !digits.len().is_multiple_of(2) || !digits.iter().take(16).all(u8::is_ascii_hexdigit) {
        return None;
    }
    let value = |pair: &[u8]| {
        let digit = |value: u8, byte: &u8| Some(value << 4 | u8::try_from(char::from(*byte).to_digit(16)?).ok()?);
        pair.iter().try_fold(0_u8, digit).filter(|value| is_text(*value))
    };
    // Most are hashes, which is seen at once.
    if !digits.chunks_exact(2).all(|pair| value(pair).is_some()) {
        return None;
    }
    let mut out = Derived::default();
    out.copy(text, run.start.saturating_sub(AROUND)..run.start);
    out.push(b' ', run.start..run.start);
    out.own.start = out.text.len();
    for (pair, at) in digits.chunks_exact(2).zip((run.start..).step_by(2)) {
        out.push(value(pair)?, at..at + 2);
    }
    finish(out, text, run.end)
}

const fn is_quote(byte: u8) -> bool {
    matches!(byte, b'"' | b'\'' | b'`')
}

const fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\r' | b'\n')
}

const fn joins(byte: u8) -> bool {
    matches!(byte, b'+' | b'.' | b'&' | b'|' | b',' | b'\\' | b'~' | b'<' | b'>' | b'_' | b'(' | b')')
}

/// Where the part before the one that begins at a place ends, if a program joins the two.
fn part_before(text: &[u8], start: usize) -> Option<usize> {
    let byte = |at: usize| text.get(at).copied().unwrap_or(0);
    let back = |mut at: usize, fits: fn(u8) -> bool| {
        let floor = at.saturating_sub(60);
        while at > floor && fits(byte(at - 1)) {
            at -= 1;
        }
        at
    };
    let quote = byte(start.checked_sub(1)?);
    if is_quote(quote) {
        let mut at = start - 1;
        if at > 0
            && matches!(byte(at - 1), b'f' | b'b' | b'r' | b'u' | b'$' | b'@' | b'\\')
            && at > 1
            && !runs::is_run(byte(at - 2))
        {
            at -= 1;
        }
        let at = back(back(back(at, is_space), joins), is_space);
        let escaped = usize::from(at >= 2 && byte(at - 2) == b'\\');
        return (at > 0 && at < start && byte(at - 1) == quote && at > 1 + escaped).then(|| at - 1 - escaped);
    }
    // A line that goes on below: `\` in programs and shells, `=` in mail.
    let at = back(start, |byte| byte == b' ' || byte == b'\t');
    let at = at.checked_sub(1).filter(|at| byte(*at) == b'\n')?;
    let at = if at > 0 && byte(at - 1) == b'\r' { at - 1 } else { at };
    at.checked_sub(1).filter(|at| matches!(byte(*at), b'\\' | b'='))
}

/// Where the part after the one that ends at a place begins.
fn part_after(text: &[u8], end: usize) -> Option<usize> {
    let byte = |at: usize| text.get(at).copied().unwrap_or(0);
    let on = |mut at: usize, fits: fn(u8) -> bool| {
        let ceiling = at + 60;
        while at < ceiling && fits(byte(at)) {
            at += 1;
        }
        at
    };
    let end = if byte(end) == b'\\' && is_quote(byte(end + 1)) { end + 1 } else { end };
    let quote = byte(end);
    if is_quote(quote) {
        let at = on(on(on(end + 1, is_space), joins), is_space);
        let at = at
            + usize::from(
                matches!(byte(at), b'f' | b'b' | b'r' | b'u' | b'$' | b'@' | b'\\') && is_quote(byte(at + 1)),
            );
        return (byte(at) == quote && at > end + 1).then_some(at + 1);
    }
    let at = matches!(quote, b'\\' | b'=').then_some(end + 1)?;
    let at = if byte(at) == b'\r' { at + 1 } else { at };
    (byte(at) == b'\n').then(|| on(at + 1, |byte| byte == b' ' || byte == b'\t'))
}

/// A secret that stands in parts which a program joins.
pub(super) struct Joined {
    parts: Vec<Range<usize>>,
    /// Whether a list may have been meant.
    pub(super) list: bool,
}

impl Joined {
    /// Where the last part ends.
    pub(super) fn end(&self) -> usize {
        self.parts.last().map_or(0, |part| part.end)
    }

    /// How long they are together.
    pub(super) fn len(&self) -> usize {
        self.parts.iter().map(Range::len).sum()
    }

    /// What they read, without what is around them.
    pub(super) fn alone(&self, text: &[u8]) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.len());
        self.parts.iter().for_each(|part| out.extend_from_slice(text.get(part.clone()).unwrap_or_default()));
        out
    }

    /// What they read.
    pub(super) fn read(self, text: &[u8]) -> Derived {
        let (first, last) = (self.parts.first().map_or(0, |part| part.start), self.end());
        let mut out = Derived { joined: true, ..Derived::default() };
        out.copy(text, first.saturating_sub(AROUND)..first);
        out.own.start = out.text.len();
        for part in self.parts {
            out.copy(text, part);
        }
        out.own.end = out.text.len();
        out.copy(text, last..(last + AROUND).min(text.len()));
        out
    }
}

/// The parts of a secret that a program joins, one of which is a run.
pub(super) fn joined(text: &[u8], run: &Range<usize>) -> Option<Joined> {
    let is_part = |byte: &u8| runs::is_run(*byte) || b".:+/=~@$".contains(byte);
    let byte = |at: usize| text.get(at).copied().unwrap_or(0);
    let run_back = |end: usize| {
        let before = text.get(end.saturating_sub(512)..end).unwrap_or_default();
        end - before.iter().rev().take_while(|byte| is_part(byte)).count()
    };
    let run_on = |start: usize| {
        start + text.get(start..).unwrap_or_default().iter().take(512).take_while(|byte| is_part(byte)).count()
    };
    let plain = byte(run.end) == b'=' || byte(run.end) == b'\\';
    let whole = if plain { run.clone() } else { run_back(run.end).min(run.start)..run_on(run.start).max(run.end) };
    if part_before(text, whole.start).is_none() && part_after(text, whole.end).is_none() {
        return None;
    }
    let mut parts = vec![whole];
    while let Some(end) = parts.first().and_then(|part| part_before(text, part.start)).filter(|_| parts.len() < PARTS) {
        let start = run_back(end);
        if start == end {
            break;
        }
        parts.insert(0, start..end);
    }
    while let Some(start) = parts.last().and_then(|part| part_after(text, part.end)).filter(|_| parts.len() < PARTS) {
        let mut end = run_on(start);
        if byte(end) == b'\n' || byte(end) == b'\r' {
            // The sign that the line goes on is no part of it.
            end -= usize::from(end > start && byte(end - 1) == b'=');
        }
        if start == end {
            break;
        }
        parts.push(start..end);
    }
    if parts.len() < 2 {
        return None;
    }
    let gaps = parts.windows(2).filter_map(|pair| text.get(pair.first()?.end..pair.last()?.start));
    let list = gaps.into_iter().any(|gap| gap.contains(&b','));
    Some(Joined { parts, list })
}
