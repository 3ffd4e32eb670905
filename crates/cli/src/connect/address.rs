//! The address of a server: scheme, host, port and an optional path in front of the API. Never a token.

use crate::failure::Failure;
use std::{fmt, net::IpAddr};

/// Where a server is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Address {
    /// Whether TLS is spoken.
    pub(crate) secure: bool,
    /// The host: a name or an address without brackets.
    pub(crate) host: String,
    /// The port.
    pub(crate) port: u16,
    /// The path in front of `/api/v1`, without a slash at the end; mostly empty.
    pub(crate) prefix: String,
}

impl Address {
    /// Reads an address. Without a scheme, this machine is meant to speak HTTP and every other one HTTPS.
    ///
    /// # Errors
    /// When it is not an address of a server.
    pub(crate) fn parse(text: &str) -> Result<Self, Failure> {
        let wrong = |why: &str| {
            Failure::usage(format!("the server's address is not right: {why}"))
                .hint("write it like https://keyward.example.com or http://127.0.0.1:8701")
        };
        let text = text.trim();
        let (scheme, rest) = match text.split_once("://") {
            Some((scheme, rest)) => (Some(scheme.to_ascii_lowercase()), rest),
            None => (None, text),
        };
        if rest.contains(['?', '#']) {
            return Err(wrong("it has a query or a fragment"));
        }
        let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
        if authority.contains('@') {
            return Err(wrong("it holds a user name or password"));
        }
        let (host, port) = split_port(authority).ok_or_else(|| wrong("the port is not a number"))?;
        if host.is_empty() || !host.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | ':')) {
            return Err(wrong("the host is not a name or an IP address"));
        }
        let secure = match scheme.as_deref() {
            Some("https") => true,
            Some("http") => false,
            None => !is_loopback(host),
            Some(_) => return Err(wrong("the scheme is neither https nor http")),
        };
        let path = path.trim_matches('/');
        let path = path.strip_suffix("api/v1").map_or(path, |path| path.trim_end_matches('/'));
        if !path.chars().all(|c| c.is_ascii_graphic()) {
            return Err(wrong("the path holds unusual characters"));
        }
        let prefix = if path.is_empty() { String::new() } else { format!("/{path}") };
        let port = port.unwrap_or(if secure { 443 } else { 80 });
        Ok(Self { secure, host: host.to_ascii_lowercase(), port, prefix })
    }

    /// What the `Host` header says.
    #[must_use]
    pub(crate) fn authority(&self) -> String {
        let host = if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.clone() };
        let usual = if self.secure { 443 } else { 80 };
        if self.port == usual { host } else { format!("{host}:{}", self.port) }
    }
}

/// `host:port`, `[v6]:port`, or a host alone.
fn split_port(authority: &str) -> Option<(&str, Option<u16>)> {
    if let Some(rest) = authority.strip_prefix('[') {
        let (host, tail) = rest.split_once(']')?;
        host.parse::<std::net::Ipv6Addr>().ok()?;
        return match tail.strip_prefix(':') {
            Some(port) => Some((host, Some(port.parse().ok()?))),
            None => tail.is_empty().then_some((host, None)),
        };
    }
    match authority.split_once(':') {
        Some((host, port)) => Some((host, Some(port.parse().ok()?))),
        None => Some((authority, None)),
    }
}

/// Whether a host, by its text alone, is this machine.
fn is_loopback(host: &str) -> bool {
    host.eq_ignore_ascii_case("localhost") || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.secure { "https" } else { "http" };
        write!(f, "{scheme}://{}{}", self.authority(), self.prefix)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_as_people_write_them() {
        for (text, shown) in [
            ("http://127.0.0.1:8701", "http://127.0.0.1:8701"),
            ("HTTPS://Keyward.Example.com/", "https://keyward.example.com"),
            ("https://keyward.example.com/api/v1/", "https://keyward.example.com"),
            ("https://example.com/keyward/api/v1", "https://example.com/keyward"),
            ("https://example.com:443/keyward", "https://example.com/keyward"),
            ("localhost:8701", "http://localhost:8701"),
            ("keyward.example.com", "https://keyward.example.com"),
            ("http://[::1]:8701", "http://[::1]:8701"),
            ("[::1]:8701", "http://[::1]:8701"),
        ] {
            assert_eq!(Address::parse(text).unwrap().to_string(), shown, "{text}");
        }
    }

    #[test]
    fn what_is_no_address_is_refused() {
        for text in [
            "",
            "http://",
            "ftp://example.com",
            "http://user:secret@example.com",
            "http://example.com?token=x",
            "http://example.com/#x",
            "http://exa mple.com",
            "http://example.com:port",
            "http://[::1",
            "http://[nope]:1",
        ] {
            let failure = Address::parse(text).unwrap_err();
            assert!(!failure.error.contains("secret"), "{text}");
        }
    }
}
