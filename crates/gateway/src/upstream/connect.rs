//! Making a connection: resolve, check every address, connect to exactly the checked ones, then TLS.

use crate::{
    stream::Io,
    upstream::{Error, origin::Endpoint},
};
use keyward_domain::address;
use std::{
    cell::RefCell,
    collections::HashMap,
    io,
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};
use tokio::{
    net::TcpStream,
    time::{Instant, timeout, timeout_at},
};
use tokio_rustls::{TlsConnector, TlsStream};

/// How long a name's addresses are believed. Short: it only has to carry a burst of new connections.
const BELIEVED: Duration = Duration::from_secs(5);
/// How long one address is tried before the next one, when there are several.
const PER_ADDRESS: Duration = Duration::from_secs(3);

/// Makes connections for one thread.
pub(crate) struct Connector {
    tls: TlsConnector,
    tls_http2: TlsConnector,
    limit: Duration,
    resolved: RefCell<HashMap<Box<str>, Resolved>>,
}

/// A name's addresses, and until when they are believed.
type Resolved = (Instant, Vec<IpAddr>);

impl Connector {
    /// `limit` is for everything together: resolving, connecting and the TLS handshake.
    pub(crate) fn new(tls: &super::tls::Configs, limit: Duration) -> Self {
        Self {
            tls: TlsConnector::from(Arc::clone(&tls.http1)),
            tls_http2: TlsConnector::from(Arc::clone(&tls.http2)),
            limit,
            resolved: RefCell::default(),
        }
    }

    /// Connects. The second value says whether the provider chose HTTP/2.
    ///
    /// # Errors
    /// What failed: [`Error::Forbidden`], [`Error::Resolve`], [`Error::Connect`], [`Error::Tls`] or [`Error::Timeout`].
    pub(crate) async fn connect(&self, endpoint: &Endpoint, http2: bool) -> Result<(Io, bool), Error> {
        timeout(self.limit, self.connect_slowly(endpoint, http2)).await.map_err(|_| Error::Timeout)?
    }

    async fn connect_slowly(&self, endpoint: &Endpoint, http2: bool) -> Result<(Io, bool), Error> {
        let addresses = self.addresses(endpoint).await?;
        let stream = first_that_answers(&addresses, endpoint.port).await?;
        stream.set_nodelay(true).map_err(Error::Connect)?;
        // A call may be silent for half an hour; on the way there are machines that forget silent connections.
        crate::stream::keep_alive(&stream);
        let Some(name) = endpoint.server_name() else { return Ok((Io::Plain(stream), http2)) };
        let connector = if http2 { &self.tls_http2 } else { &self.tls };
        let stream = connector.connect(name.clone(), stream).await.map_err(Error::Tls)?;
        let http2 = http2 && stream.get_ref().1.alpn_protocol() == Some(b"h2");
        Ok((Io::Tls(Box::new(TlsStream::Client(stream))), http2))
    }

    async fn addresses(&self, endpoint: &Endpoint) -> Result<Vec<IpAddr>, Error> {
        let all = if let Ok(literal) = endpoint.host.parse() { vec![literal] } else { self.resolve(endpoint).await? };
        let first = all.first().copied();
        let allowed: Vec<_> =
            all.into_iter().filter(|address| address::allowed(*address, endpoint.allow_private)).collect();
        match first {
            Some(refused) if allowed.is_empty() => Err(Error::Forbidden(refused)),
            _ => Ok(allowed),
        }
    }

    async fn resolve(&self, endpoint: &Endpoint) -> Result<Vec<IpAddr>, Error> {
        let now = Instant::now();
        if let Some((until, addresses)) = self.resolved.borrow().get(&endpoint.host)
            && *until > now
        {
            return Ok(addresses.clone());
        }
        let found = tokio::net::lookup_host((&*endpoint.host, endpoint.port)).await.map_err(Error::Resolve)?;
        let addresses: Vec<_> = found.map(|address| address.ip()).collect();
        if addresses.is_empty() {
            return Err(Error::Resolve(io::ErrorKind::NotFound.into()));
        }
        let mut resolved = self.resolved.borrow_mut();
        resolved.retain(|_, (until, _)| *until > now);
        resolved.insert(endpoint.host.clone(), (now + BELIEVED, addresses.clone()));
        Ok(addresses)
    }
}

/// Tries the addresses in the resolver's order.
async fn first_that_answers(addresses: &[IpAddr], port: u16) -> Result<TcpStream, Error> {
    let mut last = io::Error::from(io::ErrorKind::NotFound);
    for (index, address) in addresses.iter().enumerate() {
        let attempt = TcpStream::connect(SocketAddr::new(*address, port));
        let is_last = index + 1 == addresses.len();
        let connected = if is_last {
            attempt.await
        } else {
            timeout_at(Instant::now() + PER_ADDRESS, attempt)
                .await
                .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
        };
        match connected {
            Ok(stream) => return Ok(stream),
            Err(error) => last = error,
        }
    }
    Err(Error::Connect(last))
}
