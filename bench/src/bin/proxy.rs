//! The least a proxy can do: compare one bearer token, swap it, stream both bodies through a pooled client. Nothing is
//! parsed, counted or written. What the gateway costs is measured against this. Arguments: the upstream's address, and
//! `--tls CERT KEY` for TLS towards the client.

use http_body_util::{Either, Empty};
use hyper::{
    Request, Response, StatusCode, Uri,
    body::{Bytes, Incoming},
    header::{AUTHORIZATION, CONNECTION, HOST, HeaderValue},
    service::service_fn,
};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::{TokioExecutor, TokioIo},
};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};
use std::sync::Arc;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsAcceptor;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

type Answer = Response<Either<Incoming, Empty<Bytes>>>;
type Pool = Client<HttpConnector, Incoming>;

fn refuse(status: StatusCode) -> Answer {
    let mut response = Response::new(Either::Right(Empty::new()));
    *response.status_mut() = status;
    response
}

async fn forward(upstream: &'static str, pool: Pool, mut request: Request<Incoming>) -> Result<Answer, hyper::Error> {
    if request.headers().get(AUTHORIZATION) != Some(&HeaderValue::from_static("Bearer bench")) {
        return Ok(refuse(StatusCode::UNAUTHORIZED));
    }
    let path = request.uri().path_and_query().map_or("/", |path| path.as_str());
    let Ok(uri) = Uri::builder().scheme("http").authority(upstream).path_and_query(path).build() else {
        return Ok(refuse(StatusCode::BAD_REQUEST));
    };
    *request.uri_mut() = uri;
    let headers = request.headers_mut();
    headers.insert(AUTHORIZATION, HeaderValue::from_static("Bearer upstream"));
    headers.remove(HOST);
    headers.remove(CONNECTION);
    Ok(pool
        .request(request)
        .await
        .map_or_else(|_| refuse(StatusCode::BAD_GATEWAY), |response| response.map(Either::Left)))
}

async fn serve(upstream: &'static str, pool: Pool, stream: impl AsyncRead + AsyncWrite + Unpin) {
    let service = service_fn(move |request| forward(upstream, pool.clone(), request));
    let _ = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
}

fn acceptor(cert: &str, key: &str) -> TlsAcceptor {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let chain = CertificateDer::pem_file_iter(cert).expect("certificate").collect::<Result<_, _>>().expect("chain");
    let key = PrivateKeyDer::from_pem_file(key).expect("key");
    let config = rustls::ServerConfig::builder().with_no_client_auth().with_single_cert(chain, key);
    TlsAcceptor::from(Arc::new(config.expect("a key that fits")))
}

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (upstream, tls) = match arguments.as_slice() {
        [upstream] => (upstream, None),
        [upstream, option, cert, key] if option == "--tls" => (upstream, Some(acceptor(cert, key))),
        _ => panic!("usage: proxy UPSTREAM [--tls CERT KEY]"),
    };
    let upstream: &'static str = Box::leak(upstream.clone().into_boxed_str());
    let mut connector = HttpConnector::new();
    connector.set_nodelay(true);
    let pool = Client::builder(TokioExecutor::new()).pool_max_idle_per_host(1024).build(connector);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    println!("{}", listener.local_addr()?);
    loop {
        let (stream, _) = listener.accept().await?;
        let _ = stream.set_nodelay(true);
        let (pool, tls) = (pool.clone(), tls.clone());
        tokio::spawn(async move {
            match tls {
                None => serve(upstream, pool, stream).await,
                Some(tls) => {
                    if let Ok(stream) = tls.accept(stream).await {
                        serve(upstream, pool, stream).await;
                    }
                }
            }
        });
    }
}
