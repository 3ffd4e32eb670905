//! Where a credential's calls go: scheme, host, port and base path, read once from its base URL.
//! Never made from anything in a request.

use keyward_domain::address;
use rustls_pki_types::ServerName;
use std::{net::IpAddr, sync::Arc};

/// Why a base URL cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OriginError {
    /// It is not `https://host[:port][/path]`.
    #[error("the base URL must look like https://host[:port][/path], without user, query or fragment")]
    Shape,
    /// It is plain HTTP and the credential may not call private addresses.
    #[error("a plain http:// base URL is only possible for a credential that may call private addresses")]
    PlainHttp,
    /// The host is a literal address that the gateway may not reach.
    #[error("the address {0} may not be reached with this credential")]
    Forbidden(IpAddr),
}

/// The place where calls are sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    /// Where connections go; calls of the same endpoint share them.
    pub(crate) endpoint: Arc<Endpoint>,
    /// What the `host` header says.
    pub(crate) authority: Box<str>,
    /// What stands before every path; empty or starting with a slash, never ending in one.
    pub(crate) path: Box<str>,
    /// Whether HTTP/2 is spoken.
    pub(crate) http2: bool,
}

/// Where connections go.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Endpoint {
    /// The host without brackets, lower case.
    pub(crate) host: Box<str>,
    /// The port.
    pub(crate) port: u16,
    /// Whether loopback and private addresses may be called. Connections made with permission are never used without.
    pub(crate) allow_private: bool,
    /// The name whose certificate is asked for; none without TLS.
    server_name: Option<ServerName<'static>>,
}

impl Endpoint {
    /// The name whose certificate is asked for; none without TLS.
    pub(crate) const fn server_name(&self) -> Option<&ServerName<'static>> {
        self.server_name.as_ref()
    }
}

impl Origin {
    /// Reads a base URL.
    ///
    /// # Errors
    /// An [`OriginError`] that says what is wrong with it.
    pub fn parse(base_url: &str, allow_private: bool, http2: bool) -> Result<Self, OriginError> {
        let (tls, rest) = match base_url.split_once("://") {
            Some(("https", rest)) => (true, rest),
            Some(("http", rest)) => (false, rest),
            _ => return Err(OriginError::Shape),
        };
        if !rest.bytes().all(|byte| byte.is_ascii_graphic()) || rest.contains(['@', '?', '#', '\\']) {
            return Err(OriginError::Shape);
        }
        let (authority, path) = rest.find('/').map_or((rest, ""), |slash| rest.split_at(slash));
        let (host, port) = host_and_port(authority, if tls { 443 } else { 80 })?;
        if !tls && !allow_private {
            return Err(OriginError::PlainHttp);
        }
        if let Ok(literal) = host.parse::<IpAddr>()
            && !address::allowed(literal, allow_private)
        {
            return Err(OriginError::Forbidden(literal));
        }
        let server_name = if tls {
            Some(ServerName::try_from(host.clone().into_string()).map_err(|_| OriginError::Shape)?)
        } else {
            None
        };
        let path = path.trim_end_matches('/').into();
        let endpoint = Arc::new(Endpoint { host, port, allow_private, server_name });
        Ok(Self { endpoint, authority: authority.into(), path, http2 })
    }
}

fn host_and_port(authority: &str, default: u16) -> Result<(Box<str>, u16), OriginError> {
    let (host, port) = if let Some(rest) = authority.strip_prefix('[') {
        let (host, after) = rest.split_once(']').ok_or(OriginError::Shape)?;
        host.parse::<std::net::Ipv6Addr>().map_err(|_| OriginError::Shape)?;
        (host, if after.is_empty() { Some("") } else { after.strip_prefix(':') })
    } else {
        authority.split_once(':').map_or((authority, Some("")), |(host, port)| (host, Some(port)))
    };
    let port = match port.ok_or(OriginError::Shape)? {
        "" if !authority.ends_with(':') => default,
        digits if digits.bytes().all(|byte| byte.is_ascii_digit()) => {
            digits.parse().ok().filter(|port| *port != 0).ok_or(OriginError::Shape)?
        }
        _ => return Err(OriginError::Shape),
    };
    let named = host.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b':'));
    if host.is_empty() || !named || looks_like_a_number(host) {
        return Err(OriginError::Shape);
    }
    Ok((host.to_ascii_lowercase().into(), port))
}

/// `127.1`, `2130706433` and `0x7f.1` are addresses to some resolvers: only the full dotted form is taken.
fn looks_like_a_number(host: &str) -> bool {
    let last = host.trim_end_matches('.').rsplit('.').next().unwrap_or("");
    let numeric = last.bytes().all(|byte| byte.is_ascii_digit()) || last.starts_with("0x") || last.starts_with("0X");
    !host.contains(':') && numeric && host.parse::<std::net::Ipv4Addr>().is_err()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(url: &str) -> Result<Origin, OriginError> {
        Origin::parse(url, true, false)
    }

    #[test]
    fn parts_are_read() {
        let origin = parse("https://API.example.com:8443/v1/").unwrap();
        assert_eq!((&*origin.endpoint.host, origin.endpoint.port, &*origin.path), ("api.example.com", 8443, "/v1"));
        assert_eq!(&*origin.authority, "API.example.com:8443");
        assert!(origin.endpoint.server_name().is_some());
        let local = parse("http://127.0.0.1:9100/v1").unwrap();
        assert_eq!(
            (&*local.endpoint.host, local.endpoint.port, local.endpoint.server_name()),
            ("127.0.0.1", 9100, None)
        );
        let six = parse("http://[::1]:80").unwrap();
        assert_eq!((&*six.endpoint.host, six.endpoint.port, &*six.path), ("::1", 80, ""));
        assert_eq!(parse("https://example.com").unwrap().endpoint.port, 443);
    }

    #[test]
    fn what_could_be_read_in_two_ways_is_refused() {
        for url in [
            "",
            "example.com",
            "ftp://example.com",
            "https://",
            "https:///v1",
            "https://user@example.com",
            "https://example.com?x",
            "https://example.com#x",
            "https://example.com:0",
            "https://example.com:99999",
            "https://example.com:",
            "https://example.com:+1",
            "https://exa mple.com",
            "https://example.com\\@evil",
            "https://[::1",
            "https://[::1]x",
            "https://127.1",
            "https://2130706433",
            "https://0x7f.0.0.1",
            "https://0x7f000001",
            "https://ex%61mple.com",
            "https://a:b:c",
        ] {
            assert_eq!(parse(url), Err(OriginError::Shape), "{url}");
        }
    }

    #[test]
    fn private_and_plain_need_permission() {
        assert_eq!(Origin::parse("http://example.com", false, false), Err(OriginError::PlainHttp));
        let literal = "10.0.0.1".parse().unwrap();
        assert_eq!(Origin::parse("https://10.0.0.1", false, false), Err(OriginError::Forbidden(literal)));
        assert!(Origin::parse("https://10.0.0.1", true, false).is_ok());
        let metadata = "169.254.169.254".parse().unwrap();
        assert_eq!(Origin::parse("http://169.254.169.254", true, false), Err(OriginError::Forbidden(metadata)));
    }
}
