//! The control plane's only way out: a small call to a provider, to tell a credential's state. The server puts in the
//! real thing, tests put in theirs; this room opens no connection itself.

use axum::http::{HeaderMap, Method};
use bytes::Bytes;
use std::{collections::BTreeMap, future::Future, net::IpAddr, pin::Pin};

/// A call to a provider.
pub struct Call {
    /// The method.
    pub method: Method,
    /// The whole URL.
    pub url: String,
    /// All headers besides `host`; the credential's is marked sensitive.
    pub headers: HeaderMap,
    /// The body; empty when there is none.
    pub body: Bytes,
    /// Whether loopback and private addresses may be reached.
    pub allow_private: bool,
}

/// What came back.
#[derive(Debug, Clone)]
pub struct Reply {
    /// The HTTP status.
    pub status: u16,
    /// The headers, by lower-case name.
    pub headers: BTreeMap<Box<str>, Box<str>>,
    /// The body's beginning, at most 4 MiB.
    pub body: Bytes,
}

/// Why nothing came back.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    /// The address is one that may not be reached.
    #[error("the address {0} may not be reached with this credential")]
    Forbidden(IpAddr),
    /// The URL cannot be called.
    #[error("{0}")]
    BadUrl(String),
    /// The provider could not be reached.
    #[error("the provider could not be reached: {0}")]
    Unreachable(String),
    /// The provider did not answer in time.
    #[error("the provider did not answer in time")]
    Timeout,
}

/// The answer to a call, later.
pub type Pending<'a> = Pin<Box<dyn Future<Output = Result<Reply, CallError>> + Send + 'a>>;

/// Makes calls to providers. Redirects are never followed.
pub trait Outbound: Send + Sync {
    /// Makes one call, within a few seconds.
    fn call(&self, call: Call) -> Pending<'_>;

    /// Whether a base URL can be called at all: its form, and a literal address in it.
    ///
    /// # Errors
    /// A sentence that says what is wrong with it.
    fn check_base_url(&self, base_url: &str, allow_private: bool) -> Result<(), String>;
}
