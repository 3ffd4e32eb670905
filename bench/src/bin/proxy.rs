//! The least a proxy can do: compare one bearer token, swap it, stream both bodies through a pooled client. Nothing is
//! parsed, counted or written. What the gateway costs is measured against this. Argument: the upstream's address.

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

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

type Answer = Response<Either<Incoming, Empty<Bytes>>>;

fn refuse(status: StatusCode) -> Answer {
    let mut response = Response::new(Either::Right(Empty::new()));
    *response.status_mut() = status;
    response
}

async fn forward(
    upstream: &'static str,
    pool: Client<HttpConnector, Incoming>,
    mut request: Request<Incoming>,
) -> Result<Answer, hyper::Error> {
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

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let upstream: &'static str = Box::leak(std::env::args().nth(1).expect("upstream address").into_boxed_str());
    let mut connector = HttpConnector::new();
    connector.set_nodelay(true);
    let pool = Client::builder(TokioExecutor::new()).pool_max_idle_per_host(1024).build(connector);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    println!("{}", listener.local_addr()?);
    loop {
        let (stream, _) = listener.accept().await?;
        let _ = stream.set_nodelay(true);
        let pool = pool.clone();
        tokio::spawn(async move {
            let service = service_fn(move |request| forward(upstream, pool.clone(), request));
            let _ = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
        });
    }
}
