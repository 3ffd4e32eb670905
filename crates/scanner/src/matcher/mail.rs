//! Texts beside which bytes stand that look like theirs and are not: the length that a message in binary puts before a text
//! and the number of its next field, and the digits by which mail writes a byte (`=3D` for `=`).

use super::runs;
use std::ops::Range;

/// How much longer than the text a stretch may be in which the byte before it tells its length: one byte on each side.
const BESIDE: usize = 2;

/// How far before a run a text may begin.
const SLACK: usize = 32;

/// How far within a run a text may begin.
const MOST: usize = 128;

/// Where a text may end whose length stands before it, as Protocol Buffers, `MessagePack`, CBOR and others write it: none
/// if what stands there is no length, or nothing says that it is one.
pub(super) fn delimited(text: &[u8], start: usize) -> impl Iterator<Item = usize> {
    // Before the first byte of a text stands nothing that could say that it is a length.
    let byte = |back: usize| start.checked_sub(back).and_then(|at| text.get(at)).copied().unwrap_or(b' ');
    let (last, before) = (byte(1), byte(2));
    // Seven bits in each byte, the low ones first.
    let long = (before >= 0x80 && (0x01..0x80).contains(&last) && is_tag(byte(3)))
        .then(|| usize::from(before & 0x7f) | usize::from(last) << 7);
    let short = ((0x10..0x80).contains(&last) && is_tag(before)).then_some(usize::from(last));
    long.into_iter().chain(short).map(move |length| start + length).filter(|end| *end <= text.len())
}

/// Whether a byte may stand before a length: the number of a field, the kind of a value, the end of another text.
const fn is_tag(byte: u8) -> bool {
    byte & 7 == 2 || byte == b'x' || is_binary(byte)
}

/// Whether a byte is part of no text: then a message in binary is near.
const fn is_binary(byte: u8) -> bool {
    !(byte.is_ascii_graphic() || byte.is_ascii_whitespace())
}

/// Whether a message in binary is near a run: most texts have none, and are not asked further.
fn is_near(text: &[u8], run: &Range<usize>) -> bool {
    let binary = |at: Option<usize>| at.and_then(|at| text.get(at)).is_some_and(|byte| is_binary(*byte));
    (1..3).any(|back| binary(run.start.checked_sub(back))) || (0..2).any(|on| binary(run.end.checked_add(on)))
}

/// Where texts may begin in a run before which their lengths look like parts of it.
pub(super) fn begins(text: &[u8], run: &Range<usize>) -> impl Iterator<Item = usize> {
    // Some texts begin with short parts that end a run.
    let is_part = |byte: &u8| runs::is_run(*byte) || b".:/~$".contains(byte);
    let before = text.get(run.start.saturating_sub(SLACK)..run.start).unwrap_or_default();
    let before = before.iter().rev().take_while(|byte| is_part(byte)).count();
    let word = run.start - before;
    let near = is_near(text, &(word..run.end));
    let starts = if near { word + 1..run.end.min(word + MOST) } else { 0..0 };
    let start = run.start;
    starts.filter(move |at| delimited(text, *at).any(|end| end > start))
}

/// The text within a run that is shorter than it, because what stands beside the text looks like a part of it.
pub(super) fn within(text: &[u8], run: &Range<usize>) -> Option<Range<usize>> {
    let start = run.start;
    if is_near(text, run) {
        // A length that is itself a letter or a digit, and numbers of fields that are, perhaps behind another text.
        let beside =
            |at: &usize, end: &usize| *end <= run.end && run.end - end < BESIDE && (*at, *end) != (start, run.end);
        let texts = (start..run.end.min(start + MOST))
            .filter_map(|at| Some((at, delimited(text, at).find(|end| beside(&at, end))?)));
        if let Some((at, end)) = texts.into_iter().next() {
            return Some(at..end);
        }
    }
    // The end of a byte that mail wrote with a sign and two digits: none of them stands for a letter or a digit.
    let is_digit = |at: usize| matches!(text.get(at), Some(b'0'..=b'9' | b'A'..=b'F'));
    let sign = start.checked_sub(1).and_then(|at| text.get(at)) == Some(&b'=');
    let value = |at: usize| text.get(at).and_then(|byte| char::from(*byte).to_digit(16));
    if sign && is_digit(start) && is_digit(start + 1) {
        let code = value(start)? << 4 | value(start + 1)?;
        let stands = u8::try_from(code).is_ok_and(|code| !code.is_ascii_alphanumeric());
        return (stands && run.len() > runs::LEAST).then_some(start + 2..run.end);
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_length_before_a_text_tells_where_it_ends() {
        let message = |tag: &[u8], length: &[u8], rest: &[u8]| [tag, length, &[b'k'; 51], rest].concat();
        for (tag, length) in
            [(&b"\x0a"[..], &b"3"[..]), (b"\x120", b"3"), (b"2", b"3"), (b"x", b"3"), (b"\xd9", b"3"), (b"\0", b"3")]
        {
            let text = message(tag, length, b"\x12\x01a");
            let (start, tagged) = (tag.len() + 1, tag != b"\x120");
            assert_eq!(delimited(&text, start).any(|end| end == start + 51), tagged, "{tag:?}");
        }
        let long = [&b"\x0a\xa4\x01"[..], &[b'k'; 164], b"\x12"].concat();
        assert!(delimited(&long, 3).any(|end| end == 167));
        assert_eq!(delimited(b"a3", 2).next(), None, "there are not as many");
        let words = message(b"s", b"3", b"");
        assert_eq!(delimited(&words, 2).next(), None, "a word before it");
    }

    #[test]
    fn what_stands_beside_a_text_is_taken_off() {
        let run = |text: &[u8]| {
            let from = text.iter().position(|byte| runs::is_run(*byte)).unwrap();
            let to = text.iter().rposition(|byte| runs::is_run(*byte)).unwrap() + 1;
            within(text, &(from..to)).map(|found| text[found].to_vec())
        };
        let key = [b'k'; 48];
        assert_eq!(run(&[&b"\x0a0"[..], &key, b"\x12"].concat()).as_deref(), Some(&key[..]));
        assert_eq!(run(&[&b"\x0a0"[..], &key, b"2"].concat()), None, "nothing else is binary");
        assert_eq!(run(&[&b"\x08name20"[..], &key, b"8\x01"].concat()).as_deref(), Some(&key[..]));
        let short = [b'k'; 40];
        assert_eq!(run(&[&b"\x0a("[..], &short, b"2\x01"].concat()).as_deref(), Some(&short[..]));
        assert_eq!(run(&[&b"hash ("[..], &short, b"2"].concat()), None);
        assert_eq!(run(&[&b"\n=3D"[..], &short].concat()).as_deref(), Some(&short[..]));
        assert_eq!(run(&[&b"\n=A0"[..], &short].concat()).as_deref(), Some(&short[..]));
        for text in [&b"\n=4A"[..], b"\n=3d", b"\n3D", b"\n "] {
            assert_eq!(run(&[text, &short].concat()), None, "{text:?}");
        }
    }
}
