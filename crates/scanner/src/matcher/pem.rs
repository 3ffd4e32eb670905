//! Private keys between their `BEGIN` and `END`.

use super::fake;
use crate::Confidence;
use std::ops::Range;

/// The longest block that is read.
const LONGEST: usize = 1 << 14;

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
        let kept: Vec<u8> =
            body.iter().copied().filter(|byte| byte.is_ascii_alphanumeric() || b"+/=".contains(byte)).collect();
        let sealed =
            memchr::memmem::find(body, b"ENCRYPTED").is_some() || memchr::memmem::find(before, b"ENCRYPTED").is_some();
        if kept.len() < 48 || memchr::memmem::find(body, b"...").is_some() {
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
