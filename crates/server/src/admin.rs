//! The admin listener: control API, pages, health and metrics, on its own runtime so that it cannot starve traffic.

use crate::tls::Certificates;
use anyhow::Context;
use axum::{
    Router,
    body::Body,
    extract::ConnectInfo,
    http::{HeaderValue, Request, header},
};
use hyper::{body::Incoming, service::service_fn};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::{conn::auto, graceful::GracefulShutdown},
};
use std::{net::SocketAddr, time::Duration};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
    sync::watch,
};
use tokio_rustls::TlsAcceptor;
use tower::ServiceExt;

/// How long a client may take for its handshake, and for the head of a request.
const HEAD: Duration = Duration::from_secs(15);
/// Two years, as browsers ask for.
const HSTS: HeaderValue = HeaderValue::from_static("max-age=63072000; includeSubDomains");

/// Serves until `stop` becomes true; then lets what is running finish within `grace`.
///
/// # Errors
/// When the listener cannot be used any more.
pub(crate) async fn serve(
    listener: std::net::TcpListener,
    router: Router,
    certificates: Option<Certificates>,
    mut stop: watch::Receiver<bool>,
    grace: Duration,
) -> anyhow::Result<()> {
    listener.set_nonblocking(true).context("the admin listener")?;
    let listener = TcpListener::from_std(listener).context("the admin listener")?;
    let running = GracefulShutdown::new();
    let follower = certificates.clone().map(|certificates| tokio::spawn(certificates.follow()));
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = stop.wait_for(|stop| *stop) => break,
        };
        match accepted {
            Ok((stream, peer)) => {
                let connection = Connection { peer, router: router.clone() };
                let acceptor = certificates.as_ref().map(|certificates| TlsAcceptor::from(certificates.current()));
                tokio::spawn(connection.run(stream, acceptor, running.watcher()));
            }
            Err(error) => {
                // Out of file descriptors, most likely: waiting lets others end.
                tracing::warn!(%error, "the admin listener could not accept a connection");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
    drop(listener);
    if let Some(follower) = follower {
        follower.abort();
    }
    if tokio::time::timeout(grace, running.shutdown()).await.is_err() {
        tracing::warn!("control API calls were still running at the deadline and are cut");
    }
    Ok(())
}

struct Connection {
    peer: SocketAddr,
    router: Router,
}

impl Connection {
    async fn run(
        self,
        stream: TcpStream,
        acceptor: Option<TlsAcceptor>,
        watcher: hyper_util::server::graceful::Watcher,
    ) {
        // Small answers should not wait for acknowledgements; it works without, too.
        drop(stream.set_nodelay(true));
        let Some(acceptor) = acceptor else {
            return self.http(stream, watcher, false).await;
        };
        match tokio::time::timeout(HEAD, acceptor.accept(stream)).await {
            Ok(Ok(stream)) => self.http(stream, watcher, true).await,
            Ok(Err(error)) => tracing::debug!(%error, peer = %self.peer, "TLS handshake failed"),
            Err(_) => tracing::debug!(peer = %self.peer, "TLS handshake took too long"),
        }
    }

    async fn http<S: AsyncRead + AsyncWrite + Send + Unpin + 'static>(
        self,
        stream: S,
        watcher: hyper_util::server::graceful::Watcher,
        secure: bool,
    ) {
        let Self { peer, router } = self;
        let service = service_fn(move |request: Request<Incoming>| {
            let router = router.clone();
            async move {
                let mut request = request.map(Body::new);
                request.extensions_mut().insert(ConnectInfo(peer));
                let mut response = router.oneshot(request).await?;
                if secure {
                    response.headers_mut().insert(header::STRICT_TRANSPORT_SECURITY, HSTS);
                }
                Ok::<_, std::convert::Infallible>(response)
            }
        });
        let mut builder = auto::Builder::new(TokioExecutor::new());
        builder.http1().timer(TokioTimer::new()).header_read_timeout(HEAD);
        builder.http2().timer(TokioTimer::new()).keep_alive_interval(Some(HEAD));
        let connection = builder.serve_connection(TokioIo::new(stream), service).into_owned();
        if let Err(error) = watcher.watch(connection).await {
            tracing::debug!(error, %peer, "admin connection ended early");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Tls;
    use axum::routing::get;
    use http_body_util::Empty;
    use hyper::client::conn::http1;
    use rustls::{ClientConfig, RootCertStore, crypto::aws_lc_rs};
    use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject};
    use std::{path::Path, sync::Arc};
    use tokio_rustls::TlsConnector;

    /// A self-signed certificate in files.
    fn certificate(folder: &Path, name: &str) -> Tls {
        let made = rcgen::generate_simple_self_signed(vec![name.to_owned()]).expect("a certificate");
        let files = Tls { cert: folder.join(format!("{name}.pem")), key: folder.join(format!("{name}.key")) };
        std::fs::write(&files.cert, made.cert.pem()).expect("written");
        std::fs::write(&files.key, made.signing_key.serialize_pem()).expect("written");
        files
    }

    fn client(trusts: &Tls, shows: Option<&Tls>) -> TlsConnector {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(&trusts.cert).expect("readable")).expect("a root");
        let builder = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_root_certificates(roots);
        let config = match shows {
            None => builder.with_no_client_auth(),
            Some(files) => {
                let chain = vec![CertificateDer::from_pem_file(&files.cert).expect("readable")];
                let key = PrivateKeyDer::from_pem_file(&files.key).expect("readable");
                builder.with_client_auth_cert(chain, key).expect("a pair")
            }
        };
        TlsConnector::from(Arc::new(config))
    }

    /// The status and the HSTS header of one call; none when the connection is refused.
    async fn call(address: SocketAddr, connector: &TlsConnector) -> Option<(u16, Option<HeaderValue>)> {
        let stream = TcpStream::connect(address).await.ok()?;
        let name = ServerName::try_from("admin.test").expect("a name");
        let stream = connector.connect(name, stream).await.ok()?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.ok()?;
        tokio::spawn(connection);
        let request = Request::get("/").header(header::HOST, "admin.test").body(Empty::<bytes::Bytes>::new()).ok()?;
        let response = sender.send_request(request).await.ok()?;
        Some((response.status().as_u16(), response.headers().get(header::STRICT_TRANSPORT_SECURITY).cloned()))
    }

    #[tokio::test]
    async fn tls_has_hsts_and_client_certificates_are_asked_for() {
        let folder = tempfile::tempdir().expect("a folder");
        let (server, person, stranger) = (
            certificate(folder.path(), "admin.test"),
            certificate(folder.path(), "person.test"),
            certificate(folder.path(), "stranger.test"),
        );
        let router = Router::new().route("/", get(|| async { "here" }));
        for (client_ca, shows, answered) in [
            (None, None, true),
            (Some(&person), None, false),
            (Some(&person), Some(&stranger), false),
            (Some(&person), Some(&person), true),
        ] {
            let certificates =
                Certificates::read(&server, client_ca.map(|files: &Tls| files.cert.as_path())).expect("readable");
            let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
            let address = listener.local_addr().expect("an address");
            let (stop, stopping) = watch::channel(false);
            let grace = Duration::from_secs(5);
            let serving = tokio::spawn(serve(listener, router.clone(), Some(certificates), stopping, grace));
            let answer = call(address, &client(&server, shows)).await;
            assert_eq!(answer.is_some(), answered, "with a client authority: {}", client_ca.is_some());
            if let Some((status, hsts)) = answer {
                assert_eq!((status, hsts), (200, Some(HSTS)));
            }
            stop.send_replace(true);
            serving.await.expect("ended").expect("well");
        }
    }

    #[tokio::test]
    async fn a_stop_lets_a_call_end() {
        let (entered, mut inside) = tokio::sync::mpsc::channel::<()>(1);
        let (go, gone) = watch::channel(false);
        let router = Router::new().route(
            "/",
            get(move || {
                let (entered, mut gone) = (entered.clone(), gone.clone());
                async move {
                    entered.send(()).await.expect("somebody waits");
                    gone.wait_for(|gone| *gone).await.expect("somebody says go");
                    "done"
                }
            }),
        );
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        let (stop, stopping) = watch::channel(false);
        let serving = tokio::spawn(serve(listener, router, None, stopping, Duration::from_secs(30)));
        let stream = TcpStream::connect(address).await.expect("a connection");
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.expect("HTTP");
        tokio::spawn(connection);
        let request =
            Request::get("/").header(header::HOST, "x").body(Empty::<bytes::Bytes>::new()).expect("a request");
        let call = tokio::spawn(sender.send_request(request));
        inside.recv().await.expect("the call is inside");
        stop.send_replace(true);
        go.send_replace(true);
        let response = call.await.expect("ended").expect("answered");
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers().get(header::STRICT_TRANSPORT_SECURITY), None, "not without TLS");
        serving.await.expect("ended").expect("well");
    }
}
