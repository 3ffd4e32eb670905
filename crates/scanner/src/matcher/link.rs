//! Passwords in addresses: `postgres://user:password@host`.

use super::fake;
use crate::Confidence;
use std::ops::Range;

/// The longest name and password that are read.
const LONGEST: usize = 400;

/// What people write for a password where there is none.
const USUAL: &[&str] = &[
    "password",
    "passwd",
    "pass",
    "pwd",
    "pw",
    "secret",
    "changeme",
    "user",
    "username",
    "admin",
    "root",
    "test",
    "postgres",
    "mysql",
    "guest",
    "example",
    "token",
    "key",
    "foo",
    "bar",
    "baz",
    "xxx",
    "mypassword",
    "mysecretpassword",
    "yourpassword",
    "your_password",
    "hunter2",
    "letmein",
    "p4ssw0rd",
    "passw0rd",
    "s3cret",
    "s3cr3t",
    "redacted",
    "hidden",
    "dbpassword",
    "db_password",
    "12345678",
];

/// Hosts that are nobody's.
const NOWHERE: &[&str] = &[
    "localhost",
    "127.",
    "0.0.0.0",
    "[::1]",
    "example.",
    "host",
    "hostname",
    "db",
    "postgres",
    "mysql",
    "redis",
    "server",
    "10.",
    "192.168.",
];

/// Every password in an address, of which the marks are `://`: where it stands, and how sure it is that it is one.
pub(super) fn each(text: &[u8], marks: &[usize], mut found: impl FnMut(Range<usize>, Confidence)) {
    for at in marks.iter().copied() {
        let before = text.get(at.saturating_sub(20)..at).unwrap_or_default();
        let scheme: Vec<u8> = {
            let length = before.iter().rev().take_while(|byte| byte.is_ascii_alphanumeric() || **byte == b'+').count();
            before.get(before.len() - length..).unwrap_or_default().to_ascii_lowercase()
        };
        if scheme.len() < 2 {
            continue;
        }
        let rest = text.get(at + 3..text.len().min(at + 3 + LONGEST)).unwrap_or_default();
        let stops = |byte: &u8| {
            !byte.is_ascii_graphic()
                || matches!(byte, b'"' | b'\'' | b'`' | b'<' | b'>' | b'\\' | b'/' | b'?' | b'#' | b',')
        };
        let authority = rest.iter().position(stops).map_or(rest, |end| rest.get(..end).unwrap_or_default());
        let Some(sign) = authority.iter().rposition(|byte| *byte == b'@') else { continue };
        let (user, host) = (authority.get(..sign).unwrap_or_default(), authority.get(sign + 1..).unwrap_or_default());
        let Some(colon) = user.iter().position(|byte| *byte == b':') else { continue };
        let (name, password) = (user.get(..colon).unwrap_or_default(), user.get(colon + 1..).unwrap_or_default());
        if password.len() < 4 || host.is_empty() {
            continue;
        }
        let start = at + 3 + colon + 1;
        found(start..start + password.len(), confidence(&scheme, name, password, host));
    }
}

fn confidence(scheme: &[u8], name: &[u8], password: &[u8], host: &[u8]) -> Confidence {
    // Digits of `%40` are none of the password's.
    let plain = decoded(password);
    let lower = String::from_utf8_lossy(&plain).to_ascii_lowercase();
    let host = String::from_utf8_lossy(host).to_ascii_lowercase();
    let written = plain.len() == password.len() && password.iter().any(|byte| b"${}<>*[]()|".contains(byte));
    let usual = USUAL.contains(&&*lower) || USUAL.iter().any(|word| word.len() >= 6 && lower.contains(word));
    let nowhere = NOWHERE.iter().any(|none| {
        host == *none || (none.ends_with('.') && host.starts_with(none)) || host.split(':').next() == Some(none)
    }) || host.contains("example");
    let template = written || password.first().is_some_and(|byte| b"$%{<:".contains(byte));
    let mixed = plain.iter().any(u8::is_ascii_digit) && plain.iter().any(u8::is_ascii_alphabetic);
    let long = if scheme.starts_with(b"http") { 12 } else { 10 };
    let good = mixed && password.len() >= long && (password.len() < 20 || fake::reason(password).is_none());
    if usual || nowhere || template || !good || name == password { Confidence::Low } else { Confidence::Medium }
}

/// A password as it is meant: with what `%` and two digits stand for.
fn decoded(password: &[u8]) -> Vec<u8> {
    let digit = |byte: Option<&u8>| byte.and_then(|byte| char::from(*byte).to_digit(16));
    let mut out = Vec::with_capacity(password.len());
    let mut at = 0;
    while let Some(byte) = password.get(at) {
        let value = digit(password.get(at + 1)).zip(digit(password.get(at + 2))).filter(|_| *byte == b'%');
        let value = value.and_then(|(high, low)| u8::try_from(high << 4 | low).ok());
        out.push(value.unwrap_or(*byte));
        at += if value.is_some() { 3 } else { 1 };
    }
    out
}
