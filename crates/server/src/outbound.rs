//! The control plane's calls to providers: one connection, one small request, one small answer. The address rules are
//! the gateway's own; redirects are not followed.

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::{Request, Uri, client::conn::http1, header};
use hyper_util::rt::TokioIo;
use keyward_control::outbound::{Call, CallError, Outbound, Pending, Reply};
use keyward_domain::address;
use keyward_gateway::Origin;
use rustls::ClientConfig;
use rustls_pki_types::ServerName;
use std::{net::SocketAddr, path::Path, sync::Arc, time::Duration};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
};
use tokio_rustls::TlsConnector;

/// For everything together.
const LIMIT: Duration = Duration::from_secs(20);
/// As much of an answer as is looked at.
const LARGEST: usize = 4 << 20;

/// Calls over the network.
pub(crate) struct Network {
    tls: TlsConnector,
}

impl Network {
    /// Calls with these roots of trust.
    pub(crate) fn new(tls: Arc<ClientConfig>) -> Self {
        Self { tls: TlsConnector::from(tls) }
    }

    async fn make(&self, call: Call) -> Result<Reply, CallError> {
        let uri: Uri = call.url.parse().map_err(|_| CallError::BadUrl("the URL cannot be read".to_owned()))?;
        let base = call.url.split('?').next().unwrap_or(&call.url);
        self.check_base_url(base, call.allow_private).map_err(CallError::BadUrl)?;
        let secure = uri.scheme_str() == Some("https");
        let host = uri.host().unwrap_or_default().trim_start_matches('[').trim_end_matches(']').to_owned();
        let port = uri.port_u16().unwrap_or(if secure { 443 } else { 80 });
        let stream = connect(&host, port, call.allow_private).await?;
        if !secure {
            return exchange(stream, call, &uri).await;
        }
        let name =
            ServerName::try_from(host).map_err(|_| CallError::BadUrl("the host's name is not one".to_owned()))?;
        let stream = self.tls.connect(name, stream).await.map_err(unreachable)?;
        exchange(stream, call, &uri).await
    }
}

impl Outbound for Network {
    fn call(&self, call: Call) -> Pending<'_> {
        Box::pin(async move { tokio::time::timeout(LIMIT, self.make(call)).await.unwrap_or(Err(CallError::Timeout)) })
    }

    fn check_base_url(&self, base_url: &str, allow_private: bool) -> Result<(), String> {
        Origin::parse(base_url, allow_private, false).map(drop).map_err(|error| error.to_string())
    }
}

/// TLS towards providers: the platform's roots and the operator's own.
///
/// # Errors
/// When the operator's file cannot be read, or TLS cannot be set up.
pub(crate) fn tls(extra: Option<&Path>) -> anyhow::Result<Arc<ClientConfig>> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let roots = extra.map(crate::tls::read_certificates).transpose()?.unwrap_or_default();
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider)).with_safe_default_protocol_versions()?;
    let builder = match rustls_platform_verifier::Verifier::new_with_extra_roots(roots, provider) {
        Ok(verifier) => builder.dangerous().with_custom_certificate_verifier(Arc::new(verifier)),
        // A machine without root certificates still serves providers inside its own network; the gateway warns.
        Err(_) if extra.is_none() => builder.with_root_certificates(rustls::RootCertStore::empty()),
        Err(error) => return Err(error.into()),
    };
    let mut config = builder.with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

fn unreachable(error: impl std::fmt::Display) -> CallError {
    CallError::Unreachable(error.to_string())
}

/// Connects to the first allowed address that answers; the checked address is the one that is connected to.
async fn connect(host: &str, port: u16, allow_private: bool) -> Result<TcpStream, CallError> {
    let found: Vec<SocketAddr> = tokio::net::lookup_host((host, port)).await.map_err(unreachable)?.collect();
    let mut last = CallError::Unreachable("the name has no address".to_owned());
    for peer in found {
        if !address::allowed(peer.ip(), allow_private) {
            last = CallError::Forbidden(peer.ip());
            continue;
        }
        match TcpStream::connect(peer).await {
            Ok(stream) => return Ok(stream),
            Err(error) => last = unreachable(error),
        }
    }
    Err(last)
}

async fn exchange<S>(stream: S, call: Call, uri: &Uri) -> Result<Reply, CallError>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(unreachable)?;
    let driver = tokio::spawn(connection);
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    let authority = uri.authority().map_or("", |authority| authority.as_str());
    let mut request = Request::builder()
        .method(call.method)
        .uri(path)
        .header(header::HOST, authority)
        .body(Full::new(call.body))
        .map_err(unreachable)?;
    request.headers_mut().extend(call.headers);
    let answered = async {
        let response = sender.send_request(request).await.map_err(unreachable)?;
        let status = response.status().as_u16();
        let headers = response
            .headers()
            .iter()
            .filter_map(|(name, value)| Some((name.as_str().into(), value.to_str().ok()?.into())))
            .collect();
        let mut body = Limited::new(response.into_body(), LARGEST);
        let mut beginning = Vec::new();
        // Only the beginning matters: what is too long or breaks off is judged by what came.
        while let Some(Ok(frame)) = body.frame().await {
            if let Ok(data) = frame.into_data() {
                beginning.extend_from_slice(&data);
            }
        }
        Ok(Reply { status, headers, body: Bytes::from(beginning) })
    }
    .await;
    driver.abort();
    answered
}

#[cfg(test)]
mod tests {
    use super::*;
    use hyper::{HeaderMap, Method};
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::TcpListener,
    };

    fn network() -> Network {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_root_certificates(rustls::RootCertStore::empty())
            .with_no_client_auth();
        Network::new(Arc::new(config))
    }

    fn call(url: String, allow_private: bool) -> Call {
        Call { method: Method::GET, url, headers: HeaderMap::new(), body: Bytes::new(), allow_private }
    }

    /// A server for one connection that answers what it is told and returns what it was sent.
    async fn answering(answer: &'static str) -> (SocketAddr, tokio::task::JoinHandle<String>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let task = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.expect("a connection");
            let mut head = vec![0; 4096];
            let count = stream.read(&mut head).await.expect("a request");
            stream.write_all(answer.as_bytes()).await.expect("answered");
            String::from_utf8_lossy(head.get(..count).unwrap_or_default()).into_owned()
        });
        (address, task)
    }

    #[tokio::test]
    async fn a_call_reaches_a_private_address_only_with_permission() {
        let (address, task) = answering("HTTP/1.1 401 Unauthorized\r\ncontent-length: 2\r\n\r\nno").await;
        let url = format!("http://{address}/v1/models?x=1");
        let refused = network().call(call(url.clone(), false)).await.expect_err("not allowed");
        assert!(matches!(refused, CallError::BadUrl(_)), "{refused}");
        let reply = network().call(call(url, true)).await.expect("answered");
        assert_eq!((reply.status, &*reply.body), (401, b"no".as_slice()));
        let request = task.await.expect("finished");
        assert!(request.starts_with("GET /v1/models?x=1 HTTP/1.1\r\n"), "{request}");
        assert!(request.contains(&format!("host: {address}")), "{request}");
    }

    #[tokio::test]
    async fn redirects_are_not_followed() {
        let (address, task) =
            answering("HTTP/1.1 302 Found\r\nlocation: http://169.254.169.254/\r\ncontent-length: 0\r\n\r\n").await;
        let reply = network().call(call(format!("http://{address}/"), true)).await.expect("answered");
        assert_eq!(reply.status, 302);
        task.await.expect("finished");
    }

    #[tokio::test]
    async fn names_that_lead_inside_are_refused() {
        let error = network().call(call("https://localhost:1/".to_owned(), false)).await.expect_err("not allowed");
        assert!(matches!(error, CallError::Forbidden(_)), "{error}");
    }

    #[tokio::test]
    async fn nobody_there_is_said() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        drop(listener);
        let error = network().call(call(format!("http://{address}/"), true)).await.expect_err("nobody");
        assert!(matches!(error, CallError::Unreachable(_)), "{error}");
    }
}
