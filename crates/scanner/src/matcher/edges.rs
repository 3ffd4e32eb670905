//! Where a secret may begin and end: wherever the byte beside it is none that such a secret is made of. There is no list
//! of what may stand around a secret, so none can be incomplete. What looks like such a byte but is the end of an escape
//! (`\n`, `%3D`, a colour of a terminal) is an edge as well.

use crate::rule::Bytes;

/// Whether a secret of these bytes may begin at a place.
pub(super) fn begins(text: &[u8], at: usize, alphabet: &Bytes) -> bool {
    let Some(before) = at.checked_sub(1).and_then(|at| text.get(at)) else { return true };
    // Mail writes `=3D` for `=`.
    let mail = text.get(at.saturating_sub(3)..at).is_some_and(|before| before == b"=3D");
    // Only these go on a word to the left: what else keys may hold stands between words too.
    let goes_on = before.is_ascii_alphanumeric() || (matches!(before, b'-' | b'_') && alphabet.has(*before));
    !goes_on || mail || after_escape(text, at)
}

/// Whether a secret of these bytes may end at a place.
pub(super) fn ends(text: &[u8], at: usize, alphabet: &Bytes) -> bool {
    match text.get(at..) {
        // A full stop or a colon ends a sentence, unless something follows that it belongs to.
        Some([b'.' | b':', next, ..]) if !next.is_ascii_alphanumeric() => true,
        None | Some([] | [b'=' | b'.' | b':']) | Some([b'=', ..]) => true,
        Some([next, ..]) => !next.is_ascii_alphanumeric() && !alphabet.has(*next),
    }
}

/// How many `_` stand before a place that are not of a word, as Markdown writes what is to be stressed: `_key_`.
pub(super) fn stressed(text: &[u8], at: usize) -> usize {
    let before = text.get(..at).unwrap_or_default();
    let count = before.iter().rev().take(4).take_while(|byte| **byte == b'_').count();
    let beside = before.len().checked_sub(count + 1).and_then(|at| before.get(at));
    if count > 3 || beside.is_some_and(|byte| byte.is_ascii_alphanumeric() || *byte == b'-') { 0 } else { count }
}

/// Whether what stands before a place is an escape that ends right there.
pub(super) fn after_escape(text: &[u8], at: usize) -> bool {
    let before = text.get(at.saturating_sub(12)..at).unwrap_or_default();
    let hex = |bytes: &[u8]| bytes.iter().all(u8::is_ascii_hexdigit);
    let tail = |count: usize| before.get(before.len().saturating_sub(count)..).unwrap_or_default();
    matches!(tail(2), [b'\\', b'n' | b'r' | b't' | b'b' | b'f' | b'v' | b'a' | b'e' | b'0'])
        || matches!(tail(3), [b'%', high, low] if is_mark(*high, *low))
        || matches!(tail(4), [b'\\', b'x', digits @ ..] if hex(digits))
        || matches!(tail(4), [b'\\', digits @ ..] if digits.len() == 3 && digits.iter().all(u8::is_ascii_digit))
        || matches!(tail(6), [b'\\', b'u', digits @ ..] if hex(digits))
        || matches!(tail(5), [b'%', b'2', b'5', digits @ ..] if hex(digits))
        || colour(before)
}

/// Whether two digits stand for a byte of ASCII that is neither letter nor digit.
fn is_mark(high: u8, low: u8) -> bool {
    let digit = |byte: u8| char::from(byte).to_digit(16);
    let value = digit(high).zip(digit(low)).and_then(|(high, low)| u8::try_from(high << 4 | low).ok());
    value.is_some_and(|byte| byte.is_ascii() && !byte.is_ascii_alphanumeric())
}

/// A terminal's colour: ESC or what stands for it, `[`, digits, `m`.
fn colour(before: &[u8]) -> bool {
    let Some((b'm', rest)) = before.split_last() else { return false };
    let digits = rest.iter().rev().take_while(|byte| byte.is_ascii_digit() || **byte == b';').count();
    let Some((b'[', rest)) =
        rest.len().checked_sub(digits).and_then(|len| rest.get(..len)).and_then(<[u8]>::split_last)
    else {
        return false;
    };
    matches!(rest.last(), Some(b'\x1b'))
        || [&b"x1b"[..], b"x1B", b"033", b"u001b", b"u001B", b"\\e"].iter().any(|escape| rest.ends_with(escape))
}
