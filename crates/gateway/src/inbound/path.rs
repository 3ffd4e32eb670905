//! Paths and queries as they arrive. What a proxy, a framework or a provider might read differently is refused.

use keyward_domain::refusal::{Reason, Refusal};

/// Query parameters that carry a credential of some provider: never sent on.
const CREDENTIAL_PARAMETERS: &[&str] = &[
    "key",
    "api_key",
    "api-key",
    "apikey",
    "access_token",
    "oauth_token",
    "auth_token",
    "token",
    "x-api-key",
    "x-goog-api-key",
    "xi-api-key",
    "authorization",
    "subscription-key",
];

fn malformed(message: &str) -> Refusal {
    Refusal::new(Reason::MalformedRequest, message)
}

/// Refuses paths that could mean one thing here and another upstream.
pub(super) fn check(path: &str) -> Result<(), Refusal> {
    let Some(segments) = path.strip_prefix('/') else {
        return Err(malformed("the request target must be a path"));
    };
    // HOT: one way through, which sees where segments begin and end.
    let mut segment = Segment::Unbegun;
    let mut bytes = segments.bytes();
    while let Some(byte) = bytes.next() {
        segment = match byte {
            b'/' if segment == Segment::Unbegun => {
                return Err(malformed("the path has an empty segment (//)"));
            }
            b'/' => {
                segment.end()?;
                Segment::Unbegun
            }
            b'%' => {
                let code = [bytes.next(), bytes.next()];
                let [Some(high), Some(low)] = code else {
                    return Err(malformed("the path ends within a percent code"));
                };
                match hex(high).zip(hex(low)).map(|(high, low)| high * 16 + low) {
                    None => return Err(malformed("the path has a percent sign that begins no code")),
                    // Control characters, `%`, `.`, `/`, `\`: decoded once more by somebody, they change the path.
                    Some(0..=0x1F | 0x7F | b'%' | b'.' | b'/' | b'\\') => {
                        return Err(malformed("the path has an encoded slash, dot, percent sign or control character"));
                    }
                    Some(_) => segment.with(byte),
                }
            }
            b'\\' | 0..=0x20 | 0x7F.. => return Err(malformed("the path has a character that must not be there")),
            byte => segment.with(byte),
        };
    }
    segment.end()
}

/// What a segment of a path is so far, as far as its dots matter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Segment {
    Unbegun,
    /// `.`
    Dot,
    /// `..`
    Dots,
    /// `..;` and whatever follows.
    Parameter,
    Other,
}

impl Segment {
    const fn with(self, byte: u8) -> Self {
        match (self, byte) {
            (Self::Unbegun, b'.') => Self::Dot,
            (Self::Dot, b'.') => Self::Dots,
            (Self::Dots, b';') | (Self::Parameter, _) => Self::Parameter,
            _ => Self::Other,
        }
    }

    /// At its end: dots climb, alone or with a parameter behind them.
    fn end(self) -> Result<(), Refusal> {
        match self {
            Self::Dot | Self::Dots | Self::Parameter => Err(malformed("the path has a segment of dots")),
            Self::Unbegun | Self::Other => Ok(()),
        }
    }
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

/// A path parameter, decoded. The path has passed [`check`].
pub(super) fn decoded_param(raw: &str) -> Result<String, Refusal> {
    decoded(raw, false).ok_or_else(|| malformed("a part of the path is not UTF-8"))
}

/// A name or value of a query, decoded: also `+` for a space. `None` when it is not UTF-8 or a code is broken.
pub(super) fn decoded_query(raw: &str) -> Option<String> {
    decoded(raw, true)
}

fn decoded(raw: &str, plus: bool) -> Option<String> {
    let mut out = Vec::with_capacity(raw.len());
    let mut bytes = raw.bytes();
    while let Some(byte) = bytes.next() {
        out.push(match byte {
            b'%' => hex(bytes.next()?)? * 16 + hex(bytes.next()?)?,
            b'+' if plus => b' ',
            other => other,
        });
    }
    String::from_utf8(out).ok()
}

/// The names and values of a query, still encoded.
pub(super) fn pairs(query: &str) -> impl Iterator<Item = (&str, &str)> {
    query.split(['&', ';']).map(|pair| pair.split_once('=').unwrap_or((pair, "")))
}

/// Refuses a query with one of the parameters (`name`, or `name=value`) that would keep the gateway from reading what
/// the answer says.
pub(super) fn check_query(query: Option<&str>, refused: &[Box<str>]) -> Result<(), Refusal> {
    let Some(query) = query.filter(|_| !refused.is_empty()) else { return Ok(()) };
    for (name, value) in pairs(query) {
        let (name, value) = (decoded_query(name).unwrap_or_default(), decoded_query(value).unwrap_or_default());
        let hides = |rule: &str| match rule.split_once('=') {
            None => rule.eq_ignore_ascii_case(&name),
            Some((of, which)) => of.eq_ignore_ascii_case(&name) && which.eq_ignore_ascii_case(value.trim()),
        };
        if let Some(rule) = refused.iter().find(|rule| hides(rule.as_ref())) {
            let message = format!("the query's '{rule}' would hide what the call used: leave it out");
            return Err(Refusal::new(Reason::MalformedRequest, message));
        }
    }
    Ok(())
}

/// Path and query for upstream: without anything in the query that carries a credential, by name or because the
/// presented key's public id is in it.
pub(super) fn with_clean_query(path: &str, query: Option<&str>, public_id: &str) -> String {
    let Some(query) = query.filter(|query| !query.is_empty()) else { return path.to_owned() };
    let mut out = String::with_capacity(path.len() + query.len() + 1);
    out.push_str(path);
    let mut separator = '?';
    for pair in query.split('&').filter(|pair| !carries_credential(pair, public_id)) {
        out.push(separator);
        out.push_str(pair);
        separator = '&';
    }
    out
}

fn carries_credential(pair: &str, public_id: &str) -> bool {
    // A semicolon separates too for some servers; such a pair goes as a whole.
    pairs(pair).any(|(name, value)| {
        let name = decoded_query(name).unwrap_or_default();
        let value = decoded_query(value);
        CREDENTIAL_PARAMETERS.iter().any(|known| known.eq_ignore_ascii_case(&name))
            || name.contains(public_id)
            || value.is_some_and(|value| value.contains(public_id))
    })
}

/// Longer parts of a path are not repeated in a message: somebody may have put a key there.
const LONGEST_SHOWN: usize = 24;

/// A text from a request, short and harmless enough for a message.
pub(super) fn shown(text: &str) -> String {
    let plain: String = text.chars().filter(char::is_ascii_graphic).take(240).collect();
    let parts: Vec<&str> = plain.split('/').map(|part| if part.len() > LONGEST_SHOWN { "…" } else { part }).collect();
    parts.join("/").chars().take(120).collect()
}

#[cfg(test)]
mod shown_tests {
    use super::shown;

    #[test]
    fn a_key_that_somebody_put_into_the_path_is_not_repeated() {
        let key = format!("sk-{}", "x".repeat(40));
        assert_eq!(shown(&format!("/v1/chat/{key}/end")), "/v1/chat/…/end");
        assert_eq!(shown("/organization/admin_api_keys"), "/organization/admin_api_keys");
        assert_eq!(shown("/a\u{1b}[31m"), "/a[31m");
    }
}
