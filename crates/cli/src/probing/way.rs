//! The way to a provider: one connection and one small call, to an address that was checked. Redirects are not followed.

use crate::{client::tls, failure::Failure};
use bytes::{Bytes, BytesMut};
use http::{HeaderName, HeaderValue, Method, Request, Uri, header};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use keyward_catalogue::probing::Question;
use keyward_domain::{address, secret::PlainKey};
use rustls::ClientConfig;
use rustls_pki_types::ServerName;
use std::{
    collections::BTreeMap,
    fmt,
    net::{IpAddr, SocketAddr},
    path::Path,
    sync::Arc,
    time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    task::JoinSet,
    time::timeout,
};
use tokio_rustls::TlsConnector;
use zeroize::Zeroizing;

/// For everything together, unless told otherwise.
const LIMIT: Duration = Duration::from_secs(20);
/// As much of an answer as is looked at, in bytes.
const LARGEST: usize = 4 << 20;

/// Calls over the network.
pub(super) struct Way {
    tls: Result<TlsConnector, String>,
    limit: Duration,
}

/// What came back.
pub(super) struct Reply {
    /// The HTTP status.
    pub(super) status: u16,
    /// The headers, by lower-case name.
    pub(super) headers: BTreeMap<Box<str>, Box<str>>,
    /// The body's beginning.
    pub(super) body: Bytes,
}

/// Why nothing came back.
#[derive(Debug)]
pub(super) enum Trouble {
    /// The address is one that may not be reached.
    Forbidden(IpAddr),
    /// The key would travel in the clear.
    PlainHttp,
    /// The URL cannot be called.
    BadUrl(&'static str),
    /// The key cannot stand in a header.
    Unsendable,
    /// The other side could not prove who it is.
    Untrusted(String),
    /// The provider could not be reached.
    Unreachable(String),
    /// The provider did not answer in time.
    Timeout,
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Forbidden(address) => write!(f, "the address {address} may not be reached with a key"),
            Self::PlainHttp => f.write_str("a key does not travel over plain http://"),
            Self::BadUrl(why) => write!(f, "the base URL is not right: {why}"),
            Self::Unsendable => f.write_str("the key has characters that cannot be sent"),
            Self::Untrusted(why) => {
                write!(f, "the provider's address could not prove that it is the provider's: {why}")
            }
            Self::Unreachable(why) => write!(f, "the provider could not be reached: {why}"),
            Self::Timeout => f.write_str("the provider did not answer in time"),
        }
    }
}

impl Way {
    pub(super) fn new(extra_ca: Option<&Path>, limit_ms: Option<u64>) -> Result<Self, Failure> {
        let connector = |config: ClientConfig| TlsConnector::from(Arc::new(config));
        let tls = match tls::towards_providers(extra_ca) {
            Ok(config) => Ok(connector(config)),
            // A machine without root certificates still asks endpoints inside its own network.
            Err(failure) if extra_ca.is_none() => Err(failure.error),
            Err(failure) => return Err(failure),
        };
        Ok(Self { tls, limit: limit_ms.map_or(LIMIT, Duration::from_millis) })
    }

    /// Makes one call.
    pub(super) async fn call(
        &self,
        question: &Question<'_>,
        allow_private: bool,
        secret: &PlainKey,
    ) -> Result<Reply, Trouble> {
        let made = self.make(question, allow_private, secret);
        timeout(self.limit, made).await.unwrap_or(Err(Trouble::Timeout))
    }

    async fn make(&self, question: &Question<'_>, allow_private: bool, secret: &PlainKey) -> Result<Reply, Trouble> {
        let uri = read(&question.url, allow_private)?;
        let secure = uri.scheme_str() == Some("https");
        let host = uri.host().unwrap_or_default().trim_start_matches('[').trim_end_matches(']').to_owned();
        let port = uri.port_u16().unwrap_or(if secure { 443 } else { 80 });
        let request = request(question, &uri, secret)?;
        let stream = connect(&host, port, allow_private).await?;
        if !secure {
            return exchange(stream, request).await;
        }
        let connector = self.tls.as_ref().map_err(|why| Trouble::Untrusted(why.clone()))?;
        let name = ServerName::try_from(host).map_err(|_| Trouble::BadUrl("the host's name is not one"))?;
        let stream = connector.connect(name, stream).await.map_err(|error| match tls::certificate_fault(&error) {
            Some(rustls::Error::InvalidCertificate(_)) => Trouble::Untrusted(error.to_string()),
            _ => Trouble::Unreachable(error.to_string()),
        })?;
        exchange(stream, request).await
    }
}

/// Reads the URL of a call.
fn read(url: &str, allow_private: bool) -> Result<Uri, Trouble> {
    let uri: Uri = url.parse().map_err(|_| Trouble::BadUrl("it cannot be read"))?;
    let authority = uri.authority().ok_or(Trouble::BadUrl("it has no host"))?;
    if authority.as_str().contains('@') {
        return Err(Trouble::BadUrl("it holds a user name or password"));
    }
    match uri.scheme_str() {
        Some("https") => Ok(uri),
        Some("http") if allow_private => Ok(uri),
        Some("http") => Err(Trouble::PlainHttp),
        _ => Err(Trouble::BadUrl("it must begin with https://")),
    }
}

fn request(question: &Question<'_>, uri: &Uri, secret: &PlainKey) -> Result<Request<Full<Bytes>>, Trouble> {
    let bad = |_| Trouble::BadUrl("a call cannot be made of it");
    // SECRET: written into the provider's own header of the check, marked so that nothing prints it.
    #[expect(clippy::disallowed_methods, reason = "the check presents the key to its provider")]
    let mut value = {
        let whole = Zeroizing::new([question.secret_prefix.as_bytes(), secret.expose()].concat());
        HeaderValue::from_bytes(&whole).map_err(|_| Trouble::Unsendable)?
    };
    value.set_sensitive(true);
    let method = Method::from_bytes(question.method.as_bytes()).map_err(|_| Trouble::BadUrl("its method is odd"))?;
    let mut request = Request::builder()
        .method(method)
        .uri(uri.path_and_query().map_or("/", |path| path.as_str()))
        .header(header::HOST, uri.authority().map_or("", |authority| authority.as_str()))
        .header(header::USER_AGENT, concat!("keyward-cli/", env!("CARGO_PKG_VERSION")))
        .body(Full::new(Bytes::from(question.body.clone())))
        .map_err(bad)?;
    let headers = request.headers_mut();
    for (name, value) in &question.headers {
        let name = HeaderName::try_from(*name).map_err(|_| Trouble::BadUrl("a header's name is odd"))?;
        headers.insert(name, HeaderValue::try_from(*value).map_err(|_| Trouble::BadUrl("a header is odd"))?);
    }
    let name = HeaderName::try_from(question.secret_header).map_err(|_| Trouble::BadUrl("a header's name is odd"))?;
    headers.insert(name, value);
    Ok(request)
}

/// Connects to the first allowed address that answers; the checked address is the one that is connected to.
async fn connect(host: &str, port: u16, allow_private: bool) -> Result<TcpStream, Trouble> {
    let unreachable = |error: std::io::Error| Trouble::Unreachable(error.to_string());
    let found: Vec<SocketAddr> = tokio::net::lookup_host((host, port)).await.map_err(unreachable)?.collect();
    let mut last = Trouble::Unreachable("the name has no address".to_owned());
    for peer in found {
        if !address::allowed(peer.ip(), allow_private) {
            last = Trouble::Forbidden(peer.ip());
            continue;
        }
        match TcpStream::connect(peer).await {
            Ok(stream) => return Ok(stream),
            Err(error) => last = unreachable(error),
        }
    }
    Err(last)
}

async fn exchange<S>(stream: S, request: Request<Full<Bytes>>) -> Result<Reply, Trouble>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let broken = |error: hyper::Error| Trouble::Unreachable(error.to_string());
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(broken)?;
    let mut tasks = JoinSet::new();
    tasks.spawn(async move {
        // How the connection ended is told by the call that waits on it.
        let _end = connection.await;
    });
    let mut response = sender.send_request(request).await.map_err(broken)?;
    let status = response.status().as_u16();
    let headers = response
        .headers()
        .iter()
        .filter_map(|(name, value)| Some((name.as_str().into(), value.to_str().ok()?.into())))
        .collect();
    let mut body = BytesMut::new();
    // Only the beginning matters: what is too long or breaks off is judged by what came.
    while let Some(Ok(frame)) = response.body_mut().frame().await {
        if let Ok(data) = frame.into_data() {
            body.extend_from_slice(&data);
        }
        if body.len() > LARGEST {
            body.truncate(LARGEST);
            break;
        }
    }
    Ok(Reply { status, headers, body: body.freeze() })
}
