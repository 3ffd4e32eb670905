//! The heads of HTTP/1.1 messages towards providers: the request's is written, the answer's is read strictly.
//! Here, and in the HTTP/2 twin below, the credential leaves the vault's hands. Pure but for that.

use crate::upstream::{Auth, Error, Outgoing, decode::Framing, origin::Origin, wiped::Wiped};
use bytes::Bytes;
use http::{
    HeaderMap, HeaderName, HeaderValue, StatusCode, header,
    header::{Entry, HeaderName as Name},
};
use std::{mem::MaybeUninit, time::Duration};
use zeroize::Zeroizing;

/// The largest answer head, in bytes.
pub(crate) const MAX_HEAD: usize = 64 << 10;
/// The most header lines of an answer.
const MAX_HEADERS: usize = 128;

/// How long a request's body is, for its head.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Length {
    /// There is no body.
    None,
    /// So many bytes, and the head says so.
    Known(u64),
    /// Sent in chunks.
    Chunked,
}

/// Headers that belong to one connection and are never passed on.
pub(crate) const CONNECTION_HEADERS: [&str; 10] = [
    "connection",
    "keep-alive",
    "proxy-connection",
    "proxy-authenticate",
    "proxy-authorization",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "http2-settings",
];

/// Whether a header belongs to one connection.
#[must_use]
pub(crate) fn hop_by_hop(name: &HeaderName) -> bool {
    // HOT: called for every header of every call, and most names have another length than any of the ten.
    let name = name.as_str();
    matches!(name.len(), 2 | 7 | 10 | 14 | 16..=19) && CONNECTION_HEADERS.contains(&name)
}

/// Calls `each` with the caller's headers that go on to the provider: not those of the connection, nor those that it
/// names, nor what `outgoing.passes` holds back, nor what the gateway itself decides (host, length, expectations).
fn for_each_passed<'a>(outgoing: &Outgoing<'a>, mut each: impl FnMut(&'a HeaderName, &'a HeaderValue)) {
    let named: Vec<_> = outgoing.headers.get_all(header::CONNECTION).iter().map(HeaderValue::as_bytes).collect();
    for (name, value) in outgoing.headers {
        let ours = matches!(*name, header::HOST | header::CONTENT_LENGTH | header::EXPECT)
            || (outgoing.identity && *name == header::ACCEPT_ENCODING);
        let named = || named.iter().any(|list| names(list, name.as_str()));
        if !(ours || hop_by_hop(name) || named()) && (outgoing.passes)(name, value) {
            each(name, value);
        }
    }
}

/// Whether a comma-separated list names a token, without regard to case.
fn names(list: &[u8], token: &str) -> bool {
    list.split(|byte| *byte == b',').any(|part| part.trim_ascii().eq_ignore_ascii_case(token.as_bytes()))
}

/// Writes the request's head. The result holds the credential and is wiped when dropped.
pub(crate) fn write(origin: &Origin, outgoing: &Outgoing<'_>, length: Length) -> Wiped {
    // Growing would leave a copy of the credential behind, so the room is found first.
    let passed: usize = outgoing.headers.iter().map(|(name, value)| name.as_str().len() + value.len() + 4).sum();
    let added: usize = outgoing.extra.iter().map(|(name, value)| name.as_str().len() + value.len() + 4).sum();
    let auth = outgoing.auth.as_ref().map_or(0, |auth| auth.header.as_str().len() + auth.prefix.len() + auth.key.len());
    let room = passed + added + auth + origin.path.len() + outgoing.path.len() + origin.authority.len() + 256;
    let mut head = Wiped::with_capacity(room);
    for part in [outgoing.method.as_str(), " ", &origin.path, outgoing.path, " HTTP/1.1\r\nhost: ", &origin.authority] {
        head.extend_from_slice(part.as_bytes());
    }
    head.extend_from_slice(b"\r\n");
    if let Some(auth) = &outgoing.auth {
        head.extend_from_slice(auth.header.as_str().as_bytes());
        head.extend_from_slice(b": ");
        head.extend_from_slice(auth.prefix.as_bytes());
        #[expect(clippy::disallowed_methods, reason = "the door out: the provider's own header, HTTP/1.1")]
        head.extend_from_slice(auth.key.expose()); // SECRET: wiped with the head.
        head.extend_from_slice(b"\r\n");
    }
    for_each_passed(outgoing, |name, value| line(&mut head, name, value));
    for (name, value) in outgoing.extra {
        if outgoing.headers.get(name).is_none_or(|callers| !(outgoing.passes)(name, callers)) {
            line(&mut head, name, value);
        }
    }
    if outgoing.identity {
        head.extend_from_slice(b"accept-encoding: identity\r\n");
    }
    if let Some(protocol) = outgoing.upgrade {
        head.extend_from_slice(b"connection: upgrade\r\nupgrade: ");
        head.extend_from_slice(protocol.as_bytes());
        head.extend_from_slice(b"\r\n");
    }
    match length {
        Length::None => {}
        Length::Known(bytes) => {
            head.extend_from_slice(b"content-length: ");
            decimal(&mut head, bytes);
            head.extend_from_slice(b"\r\n");
        }
        Length::Chunked => head.extend_from_slice(b"transfer-encoding: chunked\r\n"),
    }
    head.extend_from_slice(b"\r\n");
    head
}

/// Whether the credential can stand in a header: one with a line break would write headers of its own.
pub(crate) fn can_stand(auth: &Auth<'_>) -> bool {
    #[expect(clippy::disallowed_methods, reason = "looked at before it goes out by the door below")]
    let key = auth.key.expose(); // SECRET: only looked at.
    key.iter().all(|byte| !byte.is_ascii_control() || *byte == b'\t')
}

/// The request's headers for HTTP/2.
///
/// # Errors
/// [`Error::Credential`] when the credential cannot stand in a header.
pub(crate) fn map(outgoing: &Outgoing<'_>, length: Length) -> Result<HeaderMap, Error> {
    let mut headers = HeaderMap::with_capacity(outgoing.headers.len() + outgoing.extra.len() + 2);
    for_each_passed(outgoing, |name, value| {
        headers.append(name.clone(), value.clone());
    });
    for (name, value) in outgoing.extra {
        if let Entry::Vacant(vacant) = headers.entry(name) {
            vacant.insert(value.clone());
        }
    }
    if outgoing.identity {
        headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    }
    if let Length::Known(bytes) = length {
        headers.insert(header::CONTENT_LENGTH, bytes.into());
    }
    if let Some(auth) = &outgoing.auth {
        #[expect(clippy::disallowed_methods, reason = "the door out: the provider's own header, HTTP/2")]
        let key = auth.key.expose(); // SECRET: the value is marked, so that it stays out of tables and logs.
        let text = Zeroizing::new([auth.prefix.as_bytes(), key].concat());
        let mut value = HeaderValue::from_bytes(&text).map_err(|_| Error::Credential)?;
        value.set_sensitive(true);
        headers.insert(auth.header.clone(), value);
    }
    Ok(headers)
}

fn line(head: &mut Vec<u8>, name: &HeaderName, value: &HeaderValue) {
    head.extend_from_slice(name.as_str().as_bytes());
    head.extend_from_slice(b": ");
    head.extend_from_slice(value.as_bytes());
    head.extend_from_slice(b"\r\n");
}

fn decimal(head: &mut Vec<u8>, mut value: u64) {
    let mut digits = [0_u8; 20];
    let mut count = 0;
    for slot in digits.iter_mut().rev() {
        *slot = b'0' + u8::try_from(value % 10).unwrap_or(0);
        value /= 10;
        count += 1;
        if value == 0 {
            break;
        }
    }
    head.extend(digits.iter().skip(20 - count));
}

/// An answer's head.
#[derive(Debug)]
pub(crate) struct Head {
    /// The status.
    pub(crate) status: StatusCode,
    /// The headers, without those of the connection.
    pub(crate) headers: HeaderMap,
    /// Where the body ends; none when there is no body.
    pub(crate) framing: Option<Framing>,
    /// Whether the connection may be used again after the body.
    pub(crate) reusable: bool,
    /// How long the provider says that it keeps an idle connection.
    pub(crate) keep_alive: Option<Duration>,
    /// How many bytes the head had.
    pub(crate) bytes: usize,
}

/// Reads an answer's head; `None` when more bytes are needed. `no_body` is for answers to HEAD.
///
/// # Errors
/// What breaks HTTP's rules, in words.
pub(crate) fn read(input: &[u8], no_body: bool) -> Result<Option<Head>, &'static str> {
    let mut lines = [const { MaybeUninit::uninit() }; MAX_HEADERS];
    let mut parsed = httparse::Response::new(&mut []);
    let config = httparse::ParserConfig::default();
    let bytes = match config.parse_response_with_uninit_headers(&mut parsed, input, &mut lines) {
        Ok(httparse::Status::Complete(bytes)) => bytes,
        Ok(httparse::Status::Partial) if input.len() >= MAX_HEAD => return Err("an answer head that is too large"),
        Ok(httparse::Status::Partial) => return Ok(None),
        Err(httparse::Error::TooManyHeaders) => return Err("an answer with too many headers"),
        Err(_) => return Err("an answer head that cannot be read"),
    };
    let status = parsed.code.and_then(|code| StatusCode::from_u16(code).ok()).ok_or("an answer without a status")?;
    let version_1_1 = parsed.version == Some(1);
    let mut framing = Lines::default();
    for line in parsed.headers.iter() {
        framing.look(line)?;
    }
    // One shared allocation for all values.
    let all = Bytes::copy_from_slice(input.get(..bytes).unwrap_or(input));
    let start = input.as_ptr().addr();
    // One more comes from us.
    let mut headers = crate::spare::header_map(parsed.headers.len() + 1);
    for line in parsed.headers.iter() {
        let name = HeaderName::from_bytes(line.name.as_bytes()).map_err(|_| "a header name that cannot be read")?;
        // `trailer` only announces fields, which are passed on if the client takes them.
        let of_connection = hop_by_hop(&name) && name != header::TRAILER;
        if of_connection || framing.connection.iter().any(|list| names(list, name.as_str())) {
            continue;
        }
        let from = line.value.as_ptr().addr().saturating_sub(start);
        let value = if line.value.is_empty() { Bytes::new() } else { all.slice(from..from + line.value.len()) };
        let value = HeaderValue::from_maybe_shared(value).map_err(|_| "a header value that cannot be read")?;
        headers.append(name, value);
    }
    let no_body = no_body || status.is_informational() || matches!(status.as_u16(), 204 | 304);
    let (body, ends_itself) = framing.body(no_body, version_1_1)?;
    let reusable = ends_itself && version_1_1 && !framing.connection.iter().any(|list| names(list, "close"));
    Ok(Some(Head { status, headers, framing: body, reusable, keep_alive: framing.keep_alive, bytes }))
}

/// The header lines that say where the body ends and what becomes of the connection.
#[derive(Default)]
struct Lines<'a> {
    length: Option<u64>,
    chunked: bool,
    connection: Vec<&'a [u8]>,
    keep_alive: Option<Duration>,
}

impl<'a> Lines<'a> {
    fn look(&mut self, line: &httparse::Header<'a>) -> Result<(), &'static str> {
        let is = |name: &Name| line.name.eq_ignore_ascii_case(name.as_str());
        // HOT: most lines fail on the first letter, without four comparisons.
        match line.name.as_bytes().first() {
            Some(b'c' | b'C') if is(&header::CONTENT_LENGTH) => {
                let digits = !line.value.is_empty() && line.value.iter().all(u8::is_ascii_digit);
                let length = std::str::from_utf8(line.value).ok().filter(|_| digits).and_then(|text| text.parse().ok());
                let length: u64 = length.ok_or("a content-length that is not a number")?;
                if self.length.is_some_and(|other| other != length) {
                    return Err("two different content-lengths");
                }
                self.length = Some(length);
            }
            Some(b'c' | b'C') if is(&header::CONNECTION) => self.connection.push(line.value),
            Some(b't' | b'T') if is(&header::TRANSFER_ENCODING) => {
                if self.chunked || !line.value.trim_ascii().eq_ignore_ascii_case(b"chunked") {
                    return Err("a transfer-encoding other than chunked");
                }
                self.chunked = true;
            }
            Some(b'k' | b'K') if line.name.eq_ignore_ascii_case("keep-alive") => {
                self.keep_alive = line.value.split(|byte| *byte == b',').find_map(|part| {
                    let seconds = part.trim_ascii().strip_prefix(b"timeout=")?;
                    std::str::from_utf8(seconds).ok()?.parse().ok().map(Duration::from_secs)
                });
            }
            _ => {}
        }
        Ok(())
    }

    /// Where the body ends, and whether the message says so itself.
    fn body(&self, no_body: bool, version_1_1: bool) -> Result<(Option<Framing>, bool), &'static str> {
        if self.chunked && self.length.is_some() {
            return Err("both a content-length and a transfer-encoding");
        }
        if self.chunked && !version_1_1 {
            return Err("a transfer-encoding in HTTP/1.0");
        }
        Ok(match (no_body, self.chunked, self.length) {
            (true, ..) => (None, true),
            (false, true, _) => (Some(Framing::Chunked), true),
            (false, false, Some(length)) => (Some(Framing::Length(length)), true),
            (false, false, None) => (Some(Framing::UntilClose), false),
        })
    }
}

/// Reads trailer lines; those that would change the message's meaning are left out.
#[must_use]
pub(crate) fn trailers(input: &[u8]) -> Option<HeaderMap> {
    let mut lines = [httparse::EMPTY_HEADER; 32];
    let Ok(httparse::Status::Complete((_, lines))) = httparse::parse_headers(input, &mut lines) else { return None };
    let mut map = HeaderMap::new();
    for line in lines {
        let name = HeaderName::from_bytes(line.name.as_bytes()).ok()?;
        if !hop_by_hop(&name) && !changes_meaning(&name) {
            map.append(name, HeaderValue::from_bytes(line.value).ok()?);
        }
    }
    Some(map)
}

/// Whether a field must not stand in trailers because it would change what the message means or who sends it.
#[must_use]
pub(crate) fn changes_meaning(name: &HeaderName) -> bool {
    matches!(
        *name,
        header::CONTENT_LENGTH
            | header::HOST
            | header::AUTHORIZATION
            | header::COOKIE
            | header::SET_COOKIE
            | header::CONTENT_TYPE
            | header::CONTENT_ENCODING
            | header::CONTENT_RANGE
            | header::CACHE_CONTROL
    ) || matches!(name.as_str(), "x-api-key" | "api-key" | "x-goog-api-key" | "xi-api-key")
}

#[cfg(test)]
mod tests;
