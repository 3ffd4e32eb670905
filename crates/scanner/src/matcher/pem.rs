//! Private keys between their `BEGIN` and `END`.

use super::fake;
use crate::Confidence;
use std::ops::Range;

/// The longest block that is read.
const LONGEST: usize = 1 << 14;
/// How many bytes of base64 stand side by side at least.
const STRETCH: usize = 16;

/// Every private key, which the marks name: where its block stands, how sure it is, and what is odd about it.
pub(super) fn each(text: &[u8], marks: &[usize], mut found: impl FnMut(Range<usize>, Confidence, &'static str)) {
    let mut done = 0;
    for at in marks.iter().copied() {
        let before = text.get(at.saturating_sub(24).max(done)..at).unwrap_or_default();
        let Some(begin) = memchr::memmem::rfind(before, b"-----BEGIN ") else { continue };
        let start = at - before.len() + begin;
        let rest = text.get(at..text.len().min(at + LONGEST)).unwrap_or_default();
        let Some(head) = memchr::memmem::find(rest, b"-----").filter(|head| *head <= 20) else { continue };
        let Some(body) = rest.get(head + 5..) else { continue };
        let Some(end) = memchr::memmem::find(body, b"-----END ") else { continue };
        let body = body.get(..end).unwrap_or_default();
        let tail = body.len() + head + 5;
        let last = rest
            .get(tail + 9..)
            .and_then(|rest| memchr::memmem::find(rest, b"-----"))
            .map_or(tail, |more| tail + 9 + more + 5);
        done = at + last;
        let kept = written(body);
        let sealed =
            memchr::memmem::find(body, b"ENCRYPTED").is_some() || memchr::memmem::find(before, b"ENCRYPTED").is_some();
        // Programs that read such blocks have both lines, too, and themselves between them.
        if kept.len() < 48 || kept.len() * 3 < body.len() || memchr::memmem::find(body, b"...").is_some() {
            continue;
        }
        let (confidence, reason) = if sealed {
            (Confidence::Low, "it is sealed with a password")
        } else if fake::entropy(&kept) < 4.3 {
            (Confidence::Low, "it is not random")
        } else {
            (Confidence::High, "a private key in its usual form")
        };
        found(start..at + last, confidence, reason);
    }
}

/// The base64 of a block: long stretches of it, whatever stands between them in programs, JSON and YAML.
fn written(body: &[u8]) -> Vec<u8> {
    let is_base64 = |byte: &u8| byte.is_ascii_alphanumeric() || b"+/=".contains(byte);
    body.split(|byte| !is_base64(byte)).filter(|part| part.len() >= STRETCH).flatten().copied().collect()
}
