//! Keeping the real key and the real account out of what the client sees. Providers quote parts of a rejected key in
//! their error texts; every such echo is rewritten. The key is looked at where it lies and never copied.

use crate::upstream::head;
use bytes::Bytes;
use http::{HeaderMap, HeaderName};
use keyward_domain::{provider::Auth, secret::PlainKey};
use memchr::memmem;

/// What stands in the place of an echo.
const NEUTRAL: &[u8] = b"[redacted]";

/// So many characters of the key in a row are an echo wherever they stand.
const RUN: usize = 8;

/// The length of the pieces by which a run is noticed.
const GRAM: usize = 4;

/// A key, and a coarse set of its pieces: most texts are passed over by a look at that. Lives for one answer.
struct Echo<'k> {
    key: &'k [u8],
    grams: [u64; 16],
}

impl<'k> Echo<'k> {
    fn new(key: &'k [u8]) -> Self {
        let mut grams = [0; 16];
        for window in key.windows(GRAM) {
            let bit = gram_bit(window);
            if let Some(word) = grams.get_mut(bit / 64) {
                *word |= 1_u64 << (bit % 64);
            }
        }
        Self { key, grams }
    }

    fn may_hold(&self, gram: &[u8]) -> bool {
        let bit = gram_bit(gram);
        self.grams.get(bit / 64).is_some_and(|word| word & (1 << (bit % 64)) != 0)
    }
}

/// One of 1024 bits for a piece.
fn gram_bit(gram: &[u8]) -> usize {
    let word = gram.try_into().map_or(0, u32::from_le_bytes);
    (word.wrapping_mul(0x9E37_79B1) >> 22) as usize
}

/// Answer headers of any provider that must not reach the client: they would bind the gateway's own name or set
/// state for it.
const STRIPPED: &[&str] = &[
    "set-cookie",
    "set-cookie2",
    "alt-svc",
    "strict-transport-security",
    "public-key-pins",
    "expect-ct",
    "clear-site-data",
    "nel",
    "report-to",
    "reporting-endpoints",
    "www-authenticate",
    "proxy-authenticate",
    "proxy-authentication-info",
];

/// An error body without any echo of the key. The same bytes, not copied, when there is none.
#[must_use]
pub fn error_body(body: &Bytes, key: &PlainKey) -> Bytes {
    #[expect(clippy::disallowed_methods, reason = "compared with the answer of the call it was opened for; not kept")]
    let key = key.expose();
    rewrite(body, &Echo::new(key)).map_or_else(|| body.clone(), Bytes::from)
}

/// A piece of an answer that had begun well and then told of an error, with every echo of the key made unreadable; `None`
/// when there is none. The length stays: a frame or the head may have announced it.
#[must_use]
pub fn late_error(piece: &[u8], key: &PlainKey) -> Option<Bytes> {
    #[expect(clippy::disallowed_methods, reason = "compared with the answer of the call it was opened for; not kept")]
    let key = key.expose();
    let spans = echoes(piece, &Echo::new(key));
    if spans.is_empty() {
        return None;
    }
    let mut out = piece.to_vec();
    for (start, end) in spans {
        out.get_mut(start..end)?.fill(b'*');
    }
    Some(out.into())
}

/// Takes out of an answer's headers what names the real account, what echoes the key, and what must not be set in the
/// gateway's name.
pub fn headers(headers: &mut HeaderMap, auth: &Auth, key: &PlainKey) {
    #[expect(clippy::disallowed_methods, reason = "compared with the answer of the call it was opened for; not kept")]
    let key = key.expose();
    let echo = Echo::new(key);
    let goes = |name: &HeaderName, value: &[u8]| {
        let name = name.as_str();
        STRIPPED.contains(&name)
            || auth.strip_response.iter().any(|stripped| stripped.eq_ignore_ascii_case(name))
            || !echoes(value, &echo).is_empty()
    };
    let stripped: Vec<HeaderName> =
        headers.iter().filter(|(name, value)| goes(name, value.as_bytes())).map(|(name, _)| name.clone()).collect();
    for name in stripped {
        headers.remove(name);
    }
}

/// Takes out of an answer's trailers what its headers must not have either. The key is not known any more: a trailer
/// that would need to be compared with it is none that a client waits for.
pub fn trailers(trailers: &mut HeaderMap, auth: &Auth) {
    let goes = |name: &HeaderName| {
        let text = name.as_str();
        head::hop_by_hop(name)
            || head::changes_meaning(name)
            || STRIPPED.contains(&text)
            || auth.strip_response.iter().any(|stripped| stripped.eq_ignore_ascii_case(text))
    };
    let stripped: Vec<HeaderName> = trailers.keys().filter(|name| goes(name)).cloned().collect();
    for name in stripped {
        trailers.remove(name);
    }
}

/// The text with every echo replaced; `None` when there is none.
fn rewrite(text: &[u8], echo: &Echo<'_>) -> Option<Vec<u8>> {
    let spans = echoes(text, echo);
    if spans.is_empty() {
        return None;
    }
    let mut out = Vec::with_capacity(text.len());
    let mut at = 0;
    for (start, end) in spans {
        if start < at {
            // Overlaps what was replaced already: only what lies behind it still counts.
            at = at.max(end);
            continue;
        }
        out.extend_from_slice(text.get(at..start)?);
        out.extend_from_slice(NEUTRAL);
        at = end;
    }
    out.extend_from_slice(text.get(at..)?);
    Some(out)
}

type Span = (usize, usize);

/// Where the key or a part of it stands, in order; the spans may overlap.
fn echoes(text: &[u8], echo: &Echo<'_>) -> Vec<Span> {
    let mut spans = runs(text, echo);
    spans.extend(masked(text, echo.key));
    spans.sort_unstable();
    spans
}

/// Where at least [`RUN`] characters of the key stand in a row (all of it, if it is shorter).
fn runs(text: &[u8], echo: &Echo<'_>) -> Vec<Span> {
    let key = echo.key;
    if key.len() < RUN {
        let whole = |at| (at, at + key.len());
        return if key.len() < GRAM { Vec::new() } else { memmem::find_iter(text, key).map(whole).collect() };
    }
    let mut spans: Vec<Span> = Vec::new();
    // HOT: a run of RUN characters holds a piece of GRAM at one of these places, so the others need no look.
    let mut at = 0;
    while let Some(gram) = text.get(at..at + GRAM) {
        if echo.may_hold(gram)
            && let Some(span) = longest_run(text, at, key)
        {
            match spans.last_mut() {
                Some(last) if span.0 <= last.1 => last.1 = last.1.max(span.1),
                _ => spans.push(span),
            }
        }
        at += RUN - GRAM + 1;
    }
    spans
}

/// The longest run of the key's characters around a place of the text, when it is long enough.
fn longest_run(text: &[u8], at: usize, key: &[u8]) -> Option<Span> {
    let gram = text.get(at..at + GRAM)?;
    let mut longest: Option<Span> = None;
    for offset in key.windows(GRAM).enumerate().filter(|(_, window)| *window == gram).map(|(offset, _)| offset) {
        let (before, after) = (text.get(..at)?.iter().rev(), text.get(at..)?.iter());
        let left = before.zip(key.get(..offset)?.iter().rev()).take_while(|(one, other)| one == other).count();
        let right = after.zip(key.get(offset..)?).take_while(|(one, other)| one == other).count();
        let span = (at - left, at + right);
        if left + right >= RUN && longest.is_none_or(|known| span.1 - span.0 > known.1 - known.0) {
            longest = Some(span);
        }
    }
    longest
}

/// Where the key stands with its middle masked: `sk-pr***XXXX`, `****abcd`, `xa***yz`, `sk-ab...cd`.
fn masked(text: &[u8], key: &[u8]) -> Vec<Span> {
    let mut spans = Vec::new();
    let mut at = 0;
    while let Some((start, end, width)) = next_mask(text, at) {
        at = end;
        let left = word_before(text, start);
        let right = word_after(text, end);
        let head = (1..=left.len())
            .rev()
            .find(|count| left.get(left.len() - count..).is_some_and(|tail| key.starts_with(tail)));
        let tail = (1..=right.len()).rev().find(|count| right.get(..*count).is_some_and(|head| key.ends_with(head)));
        let (head, tail) = (head.unwrap_or(0), tail.unwrap_or(0));
        let both = head >= 2 && tail >= 2;
        if both || (width >= 2 && (head >= 3 || tail >= 3)) {
            spans.push((start - head, end + tail));
        }
    }
    spans
}

/// The next run of masking characters: where, and how many.
fn next_mask(text: &[u8], from: usize) -> Option<(usize, usize, usize)> {
    let mut at = from;
    while at < text.len() {
        // HOT: a look for the few bytes with which a mask can begin.
        at += memchr::memchr3(b'*', b'.', 0xE2, text.get(at..)?)?;
        let rest = text.get(at..)?;
        let mut end = 0;
        let mut width = 0;
        while let Some(length) = mask_length(rest.get(end..)?) {
            end += length;
            width += 1;
        }
        // One full stop ends a sentence; one asterisk can be a footnote, which the words beside it decide.
        let is_stop = width == 1 && rest.first() == Some(&b'.');
        if width > 0 && !is_stop {
            return Some((at, at + end, width));
        }
        at += end.max(1);
    }
    None
}

/// The length of one masking character at the start: an asterisk, a full stop, a bullet, an ellipsis.
fn mask_length(text: &[u8]) -> Option<usize> {
    const WIDE: [&[u8]; 3] = ["•".as_bytes(), "…".as_bytes(), "●".as_bytes()];
    match text.first() {
        Some(b'*' | b'.') => Some(1),
        _ => WIDE.iter().find(|wide| text.starts_with(wide)).map(|wide| wide.len()),
    }
}

const fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'+' | b'/' | b'=')
}

fn word_before(text: &[u8], end: usize) -> &[u8] {
    let before = text.get(..end).unwrap_or_default();
    let length = before.iter().rev().take_while(|byte| is_word(**byte)).count();
    before.get(before.len() - length..).unwrap_or_default()
}

fn word_after(text: &[u8], start: usize) -> &[u8] {
    let after = text.get(start..).unwrap_or_default();
    let length = after.iter().take_while(|byte| is_word(**byte)).count();
    after.get(..length).unwrap_or_default()
}

#[cfg(test)]
mod tests;
