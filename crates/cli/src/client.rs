//! The client of the control API: one connection a call, TLS or loopback, bounded in time and size. The token travels
//! in one header and nowhere else; redirects are not followed.

mod problem;
pub(crate) mod tls;

use crate::{connect::Target, failure::Failure};
use bytes::{Bytes, BytesMut};
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Full};
use hyper::{body::Incoming, client::conn::http1};
use hyper_util::rt::TokioIo;
use serde::Serialize;
use serde_json::Value;
use std::{fmt::Write as _, io, net::SocketAddr, time::Duration};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    task::JoinSet,
    time::timeout,
};
use zeroize::Zeroizing;

/// The code of a failure before anything was sent.
const NOT_CONNECTED: &str = "not_connected";
/// How long a connection may take, TLS included.
const CONNECT: Duration = Duration::from_secs(10);
/// The largest JSON answer that is read, in bytes.
const LARGEST: usize = 64 << 20;

/// A way to a server.
pub(crate) struct Client {
    target: Target,
}

/// A path of the API with its query, built from parts that are escaped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Route(String);

/// An answer whose body is still to be read. The connection lives as long as this does.
pub(crate) struct Answer {
    response: Response<Incoming>,
    patience: Duration,
    _connection: JoinSet<()>,
}

impl Route {
    /// A path below `/api/v1` from its segments.
    ///
    /// # Errors
    /// When a segment is empty or would be taken for a step between folders.
    pub(crate) fn new(segments: &[&str]) -> Result<Self, Failure> {
        let mut path = String::new();
        for segment in segments {
            if matches!(*segment, "" | "." | "..") {
                return Err(Failure::usage(format!("'{segment}' is not a name or an id")));
            }
            path.push('/');
            escape(&mut path, segment);
        }
        Ok(Self(path))
    }

    /// The same with a query parameter, when there is a value for it.
    #[must_use]
    pub(crate) fn query(mut self, name: &str, value: Option<&str>) -> Self {
        if let Some(value) = value {
            self.0.push(if self.0.contains('?') { '&' } else { '?' });
            self.0.push_str(name);
            self.0.push('=');
            escape(&mut self.0, value);
        }
        self
    }
}

/// Percent-encodes everything but what a URL leaves to names.
fn escape(out: &mut String, text: &str) {
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            out.push(char::from(byte));
        } else {
            // Writing to a string cannot fail.
            let _written = write!(out, "%{byte:02X}");
        }
    }
}

impl Client {
    /// A client for a server.
    #[must_use]
    pub(crate) const fn new(target: Target) -> Self {
        Self { target }
    }

    /// The server it speaks to.
    #[must_use]
    pub(crate) const fn target(&self) -> &Target {
        &self.target
    }

    /// Asks for something.
    ///
    /// # Errors
    /// When the server cannot be reached or refuses.
    pub(crate) async fn get(&self, route: Route) -> Result<Value, Failure> {
        self.call(Method::GET, route, None::<&()>).await
    }

    /// Sends something.
    ///
    /// # Errors
    /// When the server cannot be reached or refuses.
    pub(crate) async fn post(&self, route: Route, body: &impl Serialize) -> Result<Value, Failure> {
        self.call(Method::POST, route, Some(body)).await
    }

    /// Changes something.
    ///
    /// # Errors
    /// When the server cannot be reached or refuses.
    pub(crate) async fn patch(&self, route: Route, body: &impl Serialize) -> Result<Value, Failure> {
        self.call(Method::PATCH, route, Some(body)).await
    }

    /// Takes something away.
    ///
    /// # Errors
    /// When the server cannot be reached or refuses.
    pub(crate) async fn delete(&self, route: Route, body: &impl Serialize) -> Result<Value, Failure> {
        self.call(Method::DELETE, route, Some(body)).await
    }

    /// Asks for something that is read piece by piece.
    ///
    /// # Errors
    /// When the server cannot be reached or refuses.
    pub(crate) async fn download(&self, route: Route) -> Result<Answer, Failure> {
        self.send(Method::GET, route, Bytes::new()).await
    }

    async fn call<B: Serialize>(&self, method: Method, route: Route, body: Option<&B>) -> Result<Value, Failure> {
        let bytes = match body {
            // The body may hold a secret: its bytes are wiped when the connection lets go of them.
            Some(body) => Bytes::from_owner(Zeroizing::new(
                serde_json::to_vec(body)
                    .map_err(|error| Failure::failed(format!("cannot write the request: {error}")))?,
            )),
            None => Bytes::new(),
        };
        let answer = self.send(method, route, bytes).await?;
        answer.json(&self.target).await
    }

    async fn send(&self, method: Method, route: Route, body: Bytes) -> Result<Answer, Failure> {
        let address = &self.target.address;
        let mut token = HeaderValue::from_str(&Zeroizing::new(format!("Bearer {}", *self.target.token)))
            .map_err(|_| Failure::failed(format!("the token from {} is damaged", self.target.source)))?;
        token.set_sensitive(true);
        let mut request = Request::builder()
            .method(method)
            .uri(format!("{}/api/v1{}", address.prefix, route.0))
            .header(header::HOST, address.authority())
            .header(header::AUTHORIZATION, token)
            .header(header::ACCEPT, "application/json")
            .header(header::USER_AGENT, concat!("keyward-cli/", env!("CARGO_PKG_VERSION")));
        if !body.is_empty() {
            request = request.header(header::CONTENT_TYPE, "application/json");
        }
        let request = request.body(Full::new(body)).map_err(|_| Failure::failed("cannot build the request"))?;
        let connected = self.connect().await;
        let (mut sender, connection) = connected.map_err(|failure| failure.with_code(NOT_CONNECTED))?;
        let patience = Duration::from_millis(self.target.timeout_ms);
        let response = timeout(patience, sender.send_request(request))
            .await
            .map_err(|_| self.silent())?
            .map_err(|error| self.broken(&error))?;
        let answer = Answer { response, patience, _connection: connection };
        if answer.response.status().is_success() { Ok(answer) } else { Err(answer.refusal(&self.target).await) }
    }

    async fn connect(&self) -> Result<(http1::SendRequest<Full<Bytes>>, JoinSet<()>), Failure> {
        let stream = timeout(CONNECT, self.stream()).await.map_err(|_| {
            Failure::failed(format!("{} did not answer within {} s", self.target.address, CONNECT.as_secs()))
                .hint("is the address right, and does a firewall let you through?")
        })??;
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(|error| self.broken(&error))?;
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            // How the connection ended is told by the request or the body that waits on it.
            let _end = connection.await;
        });
        Ok((sender, tasks))
    }

    async fn stream(&self) -> Result<Box<dyn Stream>, Failure> {
        let address = &self.target.address;
        let peers: Vec<SocketAddr> = tokio::net::lookup_host((address.host.as_str(), address.port))
            .await
            .map_err(|error| Failure::failed(format!("cannot find the host of {address}: {error}")))?
            .collect();
        if !address.secure && !self.target.insecure_http && !peers.iter().all(|peer| peer.ip().is_loopback()) {
            return Err(Failure::failed(format!(
                "{address} is another machine, and http:// would show it the token in the clear"
            ))
            .hint("use https://, or --insecure-http when something else protects the connection"));
        }
        let mut last = io::Error::from(io::ErrorKind::AddrNotAvailable);
        for peer in peers {
            match TcpStream::connect(peer).await {
                Ok(stream) => {
                    // Without it small requests wait for the other side's acknowledgement; failing to set it is harmless.
                    let _set = stream.set_nodelay(true);
                    if !address.secure {
                        return Ok(Box::new(stream));
                    }
                    let stream = tls::wrap(&self.target, stream).await?;
                    return Ok(Box::new(stream));
                }
                Err(error) => last = error,
            }
        }
        let failure = Failure::failed(format!("cannot connect to {address}: {last}"))
            .hint(format!("the address came from {}", self.target.source));
        Err(if last.kind() == io::ErrorKind::ConnectionRefused {
            failure.hint("is `keyward serve` running?")
        } else {
            failure
        })
    }

    fn silent(&self) -> Failure {
        Failure::failed(format!("{} took longer than {} ms", self.target.address, self.target.timeout_ms))
            .hint("try again, or give it more time with --timeout 5m")
    }

    fn broken(&self, error: &hyper::Error) -> Failure {
        let failure = Failure::failed(format!("the connection to {} broke: {error}", self.target.address));
        if error.is_parse() && !self.target.address.secure {
            return failure.hint("does this port speak TLS? then write https://");
        }
        failure
    }
}

impl Answer {
    /// The next piece of the body. `None` at its end.
    ///
    /// # Errors
    /// When the connection breaks or nothing comes for too long.
    pub(crate) async fn piece(&mut self) -> Result<Option<Bytes>, Failure> {
        loop {
            let frame = timeout(self.patience, self.response.body_mut().frame())
                .await
                .map_err(|_| Failure::failed("the server stopped sending"))?;
            match frame {
                None => return Ok(None),
                Some(Err(error)) => return Err(Failure::failed(format!("the answer broke off: {error}"))),
                Some(Ok(frame)) => {
                    if let Ok(data) = frame.into_data() {
                        return Ok(Some(data));
                    }
                }
            }
        }
    }

    /// How many bytes the body will have, when the server said so.
    #[must_use]
    pub(crate) fn length(&self) -> Option<u64> {
        self.response.headers().get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
    }

    async fn body(&mut self) -> Result<Bytes, Failure> {
        let mut all = BytesMut::new();
        while let Some(piece) = self.piece().await? {
            if all.len() + piece.len() > LARGEST {
                return Err(Failure::failed("the answer is larger than 64 MiB"));
            }
            all.extend_from_slice(&piece);
        }
        Ok(all.freeze())
    }

    async fn json(mut self, target: &Target) -> Result<Value, Failure> {
        let body = self.body().await?;
        if body.is_empty() && self.response.status() != StatusCode::OK {
            return Ok(Value::Null);
        }
        serde_json::from_slice(&body).map_err(|_| problem::foreign(&target.address))
    }

    async fn refusal(mut self, target: &Target) -> Failure {
        let status = self.response.status();
        if status.is_redirection() {
            return problem::redirected(self.response.headers(), target);
        }
        match self.body().await {
            Ok(body) => problem::read(status, &body, target),
            Err(failure) => failure,
        }
    }
}

/// Bytes in both directions.
trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_cannot_leave_their_place_in_the_path() {
        let route = Route::new(&["keys", "a/../b?c#d é"]).unwrap().query("status", Some("a&b=c")).query("x", None);
        assert_eq!(route.0, "/keys/a%2F..%2Fb%3Fc%23d%20%C3%A9?status=a%26b%3Dc");
        assert_eq!(
            Route::new(&["usage"]).unwrap().query("by", Some("key")).query("since", Some("24h")).0,
            "/usage?by=key&since=24h"
        );
        for bad in ["", ".", ".."] {
            assert!(Route::new(&["keys", bad]).is_err());
        }
    }
}
