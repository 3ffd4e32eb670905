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
