//! Finding the virtual key in every place where an SDK puts the real one, and taking every credential out again.

use super::{Inbound, path};
use http::{
    HeaderMap, HeaderName, HeaderValue,
    header::{AUTHORIZATION, SEC_WEBSOCKET_PROTOCOL},
};
use keyward_domain::{
    refusal::{Reason, Refusal},
    token::{self, Malformed, Presented},
};
use std::sync::LazyLock;

/// Request headers that never go upstream, in the order of the alphabet: those that carry a credential of the caller,
/// those in which proxies note where the caller is, and those that would make it another method than was admitted.
#[rustfmt::skip]
pub const STRIPPED_HEADERS: &[&str] = &[
    "api-key", "apikey", "authorization", "cdn-loop", "cf-access-client-id", "cf-access-client-secret",
    "cf-access-jwt-assertion", "cf-connecting-ip", "cf-connecting-ipv6", "cf-ipcountry", "cf-ray", "cf-visitor",
    "cookie", "cookie2", "dpop", "fastly-client-ip", "forwarded", "ocp-apim-subscription-key", "proxy-authorization",
    "remote-user", "signature", "signature-input", "true-client-ip", "via", "x-access-token", "x-amz-content-sha256",
    "x-amz-date", "x-amz-security-token", "x-amzn-oidc-accesstoken", "x-amzn-oidc-data", "x-amzn-oidc-identity",
    "x-api-key", "x-auth-token", "x-aws-ec2-metadata-token", "x-client-ip", "x-cluster-client-ip", "x-csrf-token",
    "x-envoy-external-address", "x-forwarded-access-token", "x-forwarded-email", "x-forwarded-for",
    "x-forwarded-groups", "x-forwarded-host", "x-forwarded-port", "x-forwarded-preferred-username",
    "x-forwarded-prefix", "x-forwarded-proto", "x-forwarded-server", "x-forwarded-user", "x-functions-key",
    "x-goog-api-key", "x-goog-authenticated-user-email", "x-goog-authenticated-user-id",
    "x-goog-iam-authorization-token", "x-goog-iap-jwt-assertion", "x-http-method", "x-http-method-override",
    "x-id-token", "x-method-override", "x-ms-client-principal", "x-ms-token-aad-access-token", "x-original-forwarded-for", "x-original-host", "x-original-url", "x-real-ip",
    "x-remote-user", "x-rewrite-url", "x-xsrf-token", "xi-api-key",
];

/// The headers in which SDKs send a key, besides `authorization`.
const KEY_HEADERS: [&str; 4] = ["x-api-key", "x-goog-api-key", "api-key", "xi-api-key"];

/// What stands before a key in a WebSocket's list of protocols.
const PROTOCOL_PREFIX: &str = "openai-insecure-api-key.";

/// A key as presented.
pub(super) struct FoundKey {
    pub(super) text: String,
    pub(super) in_query: bool,
}

/// Looks in every place. The same key in several places is one key.
pub(super) fn find(headers: &HeaderMap, query: Option<&str>) -> Result<FoundKey, Refusal> {
    let mut search = Search { found: None };
    // HOT: a look at each of a few headers is quicker than six searches for one.
    for (name, value) in headers {
        if *name == AUTHORIZATION {
            let text = readable(value)?;
            // Without a space the whole may be a bare key, or a scheme without one.
            let (scheme, rest) = text.trim_start().split_once(' ').unwrap_or((text, ""));
            let is_key = ["bearer", "token"].iter().any(|known| scheme.trim().eq_ignore_ascii_case(known));
            search.offer(if is_key { rest } else { text }, false)?;
        } else if *name == SEC_WEBSOCKET_PROTOCOL {
            for protocol in readable(value)?.split(',') {
                if let Some(key) = protocol.trim().strip_prefix(PROTOCOL_PREFIX) {
                    search.offer(key, false)?;
                }
            }
        } else if KEY_HEADERS.contains(&name.as_str()) {
            search.offer(readable(value)?, false)?;
        }
    }
    if let Some(query) = query {
        for (name, value) in path::pairs(query) {
            if path::decoded_query(name).as_deref() == Some("key") {
                search.offer(&path::decoded_query(value).unwrap_or_default(), true)?;
            }
        }
    }
    search.found.ok_or_else(|| {
        Refusal::new(
            Reason::MissingKey,
            "no key in the request: send your Keyward key where the provider's key would be",
        )
    })
}

fn readable(value: &HeaderValue) -> Result<&str, Refusal> {
    value.to_str().map_err(|_| Refusal::new(Reason::MalformedKey, Malformed::Shape.to_string()))
}

struct Search {
    found: Option<FoundKey>,
}

impl Search {
    fn offer(&mut self, text: &str, in_query: bool) -> Result<(), Refusal> {
        let text = text.trim();
        if text.is_empty() {
            return Ok(());
        }
        match &mut self.found {
            None => self.found = Some(FoundKey { text: text.to_owned(), in_query }),
            Some(found) if plain(&found.text) == plain(text) => found.in_query |= in_query,
            Some(_) => {
                return Err(Refusal::new(
                    Reason::AmbiguousKey,
                    "two different keys in one request: send one key, in one place",
                ));
            }
        }
        Ok(())
    }
}

/// The key without the style prefix, which is not part of it.
fn plain(text: &str) -> &str {
    text.strip_prefix("sk-").filter(|rest| rest.starts_with("kw_")).unwrap_or(text)
}

/// Tests shape and checksum.
pub(super) fn present(text: &str) -> Result<Presented, Refusal> {
    token::parse(text).map_err(|error| {
        let reason = match error {
            Malformed::Checksum => Reason::DamagedKey,
            Malformed::Shape if token::looks_like_ours(text) => Reason::DamagedKey,
            Malformed::Shape => Reason::MalformedKey,
        };
        let message = match reason {
            Reason::DamagedKey => Malformed::Checksum.to_string(),
            _ => error.to_string(),
        };
        Refusal::new(reason, message)
    })
}

/// Whether a request header may go upstream: not when it carries a credential, a proxy's note about the caller or
/// something the catalogue names, nor when the presented key turns up in it. `name` is in lower case. The list of
/// WebSocket protocols is for [`upstream_protocols`].
#[must_use]
pub fn passes(name: &str, value: &[u8], inbound: &Inbound) -> bool {
    let auth = &inbound.plan.provider.auth;
    !is_stripped(name)
        && !auth.header.eq_ignore_ascii_case(name)
        && !auth.strip_request.iter().any(|stripped| stripped.eq_ignore_ascii_case(name))
        && !holds(value, inbound.presented.public_id.as_str().as_bytes())
}

/// HOT: asked for every header of every call. Names of one length are few, so comparing them beats any search.
fn is_stripped(name: &str) -> bool {
    static BY_LENGTH: LazyLock<Vec<Vec<&str>>> = LazyLock::new(|| {
        let longest = STRIPPED_HEADERS.iter().map(|name| name.len()).max().unwrap_or(0);
        let of_length = |length| STRIPPED_HEADERS.iter().copied().filter(|name| name.len() == length).collect();
        (0..=longest).map(of_length).collect()
    });
    BY_LENGTH.get(name.len()).is_some_and(|names| names.contains(&name))
}

/// HOT: a dozen short values a call; building a real searcher for each would cost more than this.
fn holds(value: &[u8], id: &[u8]) -> bool {
    let Some(first) = id.first().filter(|_| value.len() >= id.len()) else { return false };
    memchr::memchr_iter(*first, value).any(|at| value.get(at..).is_some_and(|rest| rest.starts_with(id)))
}

/// Takes out of a request's headers whatever must not go upstream; see [`passes`].
pub fn strip_request(headers: &mut HeaderMap, inbound: &Inbound) {
    let protocols = upstream_protocols(headers);
    if headers.remove(SEC_WEBSOCKET_PROTOCOL).is_some()
        && let Some(value) = protocols.and_then(|list| HeaderValue::from_str(&list).ok())
    {
        headers.insert(SEC_WEBSOCKET_PROTOCOL, value);
    }
    let stripped: Vec<HeaderName> = headers
        .iter()
        .filter(|(name, value)| !passes(name.as_str(), value.as_bytes(), inbound))
        .map(|(name, _)| name.clone())
        .collect();
    for name in stripped {
        headers.remove(name);
    }
}

/// The WebSocket protocols that the client offers, without the one that carries the key. None: none are left.
#[must_use]
pub fn upstream_protocols(headers: &HeaderMap) -> Option<String> {
    let others: Vec<&str> = headers
        .get_all(SEC_WEBSOCKET_PROTOCOL)
        .into_iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(str::trim)
        .filter(|protocol| !protocol.is_empty() && !protocol.starts_with("openai-insecure-api-key"))
        .collect();
    (!others.is_empty()).then(|| others.join(", "))
}
