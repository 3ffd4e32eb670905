//! Calls to providers: one request out, one answer back, on a connection that is kept for the next call.
//! HTTP/1.1 is spoken here, inline in the calling task; HTTP/2 by hyper. No redirects, no proxies, no decompression.

pub(crate) mod connect;
pub(crate) mod decode;
pub(crate) mod exchange;
pub(crate) mod head;
pub(crate) mod http2;
pub(crate) mod origin;
pub(crate) mod payload;
pub(crate) mod pool;
pub(crate) mod send;
pub(crate) mod tls;
pub(crate) mod wiped;

pub use origin::{Origin, OriginError};

use crate::{
    near::Near,
    ward::{Waiting, Ward},
};
use bytes::Bytes;
use connect::Connector;
use exchange::{Answer, Home};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Uri};
use http_body::Frame;
use keyward_domain::{refusal::Reason, secret::PlainKey};
use payload::Payload;
use pool::Pool;
use std::{
    future::poll_fn,
    net::IpAddr,
    rc::Rc,
    task::{Context, Poll},
    time::Duration,
};

/// The credential's place in a request.
pub(crate) struct Auth<'a> {
    /// The header that carries it.
    pub(crate) header: &'a HeaderName,
    /// What stands before it.
    pub(crate) prefix: &'a str,
    /// The credential.
    pub(crate) key: &'a PlainKey,
}

/// A request on its way to a provider, without its body.
pub(crate) struct Outgoing<'a> {
    /// The method.
    pub(crate) method: &'a Method,
    /// The path below the origin's, with the query.
    pub(crate) path: &'a str,
    /// The caller's headers.
    pub(crate) headers: &'a HeaderMap,
    /// Which of them go on, besides those of the connection, which never do.
    pub(crate) passes: &'a dyn Fn(&HeaderName, &HeaderValue) -> bool,
    /// Headers to add unless the caller set them.
    pub(crate) extra: &'a [(HeaderName, HeaderValue)],
    /// The credential.
    pub(crate) auth: Option<Auth<'a>>,
    /// Ask for an answer that is not compressed.
    pub(crate) identity: bool,
    /// Ask to change to this protocol.
    pub(crate) upgrade: Option<&'a str>,
    /// Never a second time when the first may have arrived: money is held for one attempt.
    pub(crate) once: bool,
}

/// One thread's connections to all providers.
pub(crate) struct Upstreams {
    connector: Connector,
    pool: Rc<Pool>,
    http2: http2::Connections,
}

impl Upstreams {
    /// `connect` limits the making of a connection, `keep` how long an idle one is kept.
    pub(crate) fn new(tls: &tls::Configs, connect: Duration, keep: Duration) -> Self {
        Self {
            connector: Connector::new(tls, connect),
            pool: Rc::new(Pool::new(keep)),
            http2: http2::Connections::default(),
        }
    }

    /// Sends a request and waits for the answer's head. A request that met a kept connection in the moment of its
    /// closing is sent once more on a new one, if nothing of an answer had arrived and the body is all here.
    ///
    /// # Errors
    /// Why there is no answer.
    pub(crate) async fn send(
        &self,
        origin: &Origin,
        outgoing: &Outgoing<'_>,
        payload: Payload,
        ward: &Ward,
    ) -> Result<(Answer, Exchange), Error> {
        if outgoing.auth.as_ref().is_some_and(|auth| !head::can_stand(auth)) {
            return Err(Error::Credential);
        }
        if origin.http2 && outgoing.upgrade.is_none() {
            // On the heap, so that calls that go another way do not carry its room through every step.
            return Box::pin(self.send_http2(origin, outgoing, payload, ward)).await;
        }
        let again = payload.again().filter(|_| !outgoing.once);
        let kept = self.pool.take(&origin.endpoint, again.is_none(), crate::clock::instant());
        let payload = if let Some(io) = kept {
            match self.exchange(io, origin, (outgoing, payload), ward).await {
                Err(Error::Lost { unanswered: true, source }) => {
                    again.ok_or(Error::Lost { unanswered: true, source })?
                }
                other => return other,
            }
        } else {
            payload
        };
        let fresh = async {
            let (io, _) = self.connector.connect(&origin.endpoint, false).await?;
            self.exchange(io, origin, (outgoing, payload), ward).await
        };
        // HOT: the same; most calls find a connection.
        Box::pin(fresh).await
    }

    async fn exchange(
        &self,
        io: crate::stream::Io,
        origin: &Origin,
        (outgoing, payload): (&Outgoing<'_>, Payload),
        ward: &Ward,
    ) -> Result<(Answer, Exchange), Error> {
        ward.goes_out();
        let head = head::write(origin, outgoing, payload.length());
        let home = Home { pool: Rc::clone(&self.pool), endpoint: Near::of(&origin.endpoint) };
        let kind = (*outgoing.method == Method::HEAD, outgoing.upgrade.is_some());
        let mut exchange = Box::new(exchange::Exchange::new(io, home, head, payload, kind));
        let mut sent = false;
        let answer = poll_fn(|cx| {
            let polled = exchange.poll_head(cx);
            if !sent && exchange.is_sent() {
                sent = true;
                ward.wait_for(Waiting::Answer);
            }
            polled
        });
        let answer = answer.await?;
        Ok((answer, Exchange::Http1(exchange)))
    }

    async fn send_http2(
        &self,
        origin: &Origin,
        outgoing: &Outgoing<'_>,
        payload: Payload,
        ward: &Ward,
    ) -> Result<(Answer, Exchange), Error> {
        let again = payload.again();
        let payload = if let Some(connection) = self.http2.take(&origin.endpoint) {
            match (exchange_http2(connection, origin, (outgoing, payload), ward).await, again) {
                // Closed in this moment: hyper says that the request was never sent.
                (Err(Error::Http2(error)), Some(again)) if error.is_canceled() => again,
                (other, _) => return other,
            }
        } else {
            payload
        };
        let (io, http2) = self.connector.connect(&origin.endpoint, true).await?;
        if !http2 {
            return self.exchange(io, origin, (outgoing, payload), ward).await;
        }
        let connection = self.http2.open(&origin.endpoint, io).await?;
        exchange_http2(connection, origin, (outgoing, payload), ward).await
    }

    /// Closes what has been idle for too long. To be called every few seconds.
    pub(crate) fn sweep(&self) {
        self.pool.sweep(crate::clock::instant());
        self.http2.sweep();
    }
}

async fn exchange_http2(
    connection: http2::Connection,
    origin: &Origin,
    (outgoing, payload): (&Outgoing<'_>, Payload),
    ward: &Ward,
) -> Result<(Answer, Exchange), Error> {
    let scheme = if origin.endpoint.server_name().is_some() { "https" } else { "http" };
    let uri = Uri::builder()
        .scheme(scheme)
        .authority(&*origin.authority)
        .path_and_query([&origin.path, outgoing.path].concat())
        .build()
        .map_err(|_| Error::Invalid("a path that cannot be sent"))?;
    let headers = head::map(outgoing, payload.length())?;
    ward.goes_out();
    let mut exchange = Box::new(connection.send(outgoing.method, uri, headers, payload));
    ward.wait_for(Waiting::Answer);
    let answer = poll_fn(|cx| exchange.poll_head(cx)).await?;
    Ok((answer, Exchange::Http2(exchange)))
}

/// A request on its way and its answer, in either version.
pub(crate) enum Exchange {
    /// HTTP/1.1, driven here.
    Http1(Box<exchange::Exchange>),
    /// HTTP/2, driven by hyper.
    Http2(Box<http2::Exchange>),
}

impl Exchange {
    /// The next piece of the body, or its trailers.
    pub(crate) fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        match self {
            Self::Http1(exchange) => exchange.poll_frame(cx),
            Self::Http2(exchange) => exchange.poll_frame(cx),
        }
    }

    /// Whether everything has been handed on.
    pub(crate) fn is_end(&self) -> bool {
        match self {
            Self::Http1(exchange) => exchange.is_end(),
            Self::Http2(exchange) => exchange.is_end(),
        }
    }

    /// How long the answer's body is, when its head says so.
    pub(crate) fn length(&self) -> Option<u64> {
        match self {
            Self::Http1(exchange) => exchange.length(),
            Self::Http2(exchange) => exchange.length(),
        }
    }

    /// The connection and what was read from it after the head, to go on in another protocol after a 101.
    pub(crate) fn into_upgraded(self) -> Option<(crate::stream::Io, Vec<u8>)> {
        match self {
            Self::Http1(exchange) => exchange.into_upgraded(),
            Self::Http2(_) => None,
        }
    }
}

/// Why there is no answer, or not a whole one.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// Every address of the host is one that may not be reached.
    #[error("its address is not one that may be reached")]
    Forbidden(IpAddr),
    /// The name has no address.
    #[error("the name could not be resolved")]
    Resolve(#[source] std::io::Error),
    /// No connection could be made.
    #[error("no connection could be made")]
    Connect(#[source] std::io::Error),
    /// The TLS handshake failed.
    #[error("the TLS handshake failed")]
    Tls(#[source] std::io::Error),
    /// No connection could be made in time.
    #[error("no connection could be made in time")]
    Timeout,
    /// The credential has bytes that cannot stand in a header.
    #[error("the credential cannot be sent in a header")]
    Credential,
    /// The connection broke; `unanswered` when no byte of an answer had arrived.
    #[error("the connection broke")]
    Lost {
        /// Whether no byte of an answer had arrived.
        unanswered: bool,
        /// What the system said, if it was not a plain close.
        #[source]
        source: Option<std::io::Error>,
    },
    /// The answer breaks HTTP's rules.
    #[error("the answer is not valid HTTP: {0}")]
    Invalid(&'static str),
    /// The body's framing is broken.
    #[error("the answer's body is not valid HTTP")]
    Body(#[from] decode::Broken),
    /// The caller's body could not be read to its end.
    #[error("the request's body broke off")]
    Request(#[source] payload::Broken),
    /// HTTP/2 said no.
    #[error("the HTTP/2 connection failed")]
    Http2(#[source] hyper::Error),
}

impl Error {
    /// Whether the fault is likely to be in the configuration or the network, so that somebody should hear of it.
    pub(crate) const fn wants_attention(&self) -> bool {
        matches!(
            self,
            Self::Forbidden(_)
                | Self::Resolve(_)
                | Self::Connect(_)
                | Self::Tls(_)
                | Self::Timeout
                | Self::Credential
                | Self::Invalid(_)
                | Self::Body(_)
        )
    }

    /// Whether it is certain that the provider has got nothing of the request, and so bills nothing.
    pub(crate) const fn nothing_sent(&self) -> bool {
        matches!(
            self,
            Self::Forbidden(_) | Self::Resolve(_) | Self::Connect(_) | Self::Tls(_) | Self::Timeout | Self::Credential
        )
    }

    /// The reason for the client.
    pub(crate) fn reason(&self) -> Reason {
        match self {
            Self::Forbidden(_) => Reason::UpstreamForbidden,
            Self::Resolve(_) | Self::Connect(_) | Self::Tls(_) | Self::Lost { .. } | Self::Http2(_) => {
                Reason::UpstreamUnreachable
            }
            Self::Timeout => Reason::UpstreamTimeout,
            Self::Credential => Reason::CredentialSealed,
            Self::Invalid(_) | Self::Body(_) => Reason::UpstreamInvalid,
            Self::Request(broken) => broken.reason(),
        }
    }
}
