//! A closed loop of keep-alive connections: each sends its next call when the last answer is whole. Bounded in calls.

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::{Request, client::conn::http1::SendRequest};
use hyper_util::rt::TokioIo;
use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};
use tokio::net::TcpStream;

/// What is sent.
#[derive(Clone)]
pub struct Call {
    /// Where to.
    pub address: SocketAddr,
    /// TLS, when the target speaks it: the roots and the name.
    pub tls: Option<Arc<rustls::ClientConfig>>,
    /// The path.
    pub path: &'static str,
    /// The bearer token.
    pub token: String,
    /// The JSON body.
    pub body: Bytes,
    /// Microseconds between the chunks of a streamed answer.
    pub pace_us: u64,
}

/// What came back.
#[derive(Debug, Clone, Default)]
pub struct Figures {
    /// Calls per second.
    pub rate: f64,
    /// Median time of a whole call, in microseconds.
    pub p50_us: f64,
    /// 99th percentile, in microseconds.
    pub p99_us: f64,
    /// Calls that were not answered with 200 and a body.
    pub bad: usize,
    /// Calls that were.
    pub good: usize,
}

/// Opens one connection.
pub async fn connect(call: &Call) -> Result<SendRequest<Full<Bytes>>> {
    let stream = TcpStream::connect(call.address).await.context("connecting")?;
    stream.set_nodelay(true)?;
    match &call.tls {
        None => {
            let (sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
            tokio::spawn(connection);
            Ok(sender)
        }
        Some(config) => {
            let name = rustls::pki_types::ServerName::try_from("localhost")?;
            let stream = tokio_rustls::TlsConnector::from(config.clone()).connect(name, stream).await?;
            let (sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
            tokio::spawn(connection);
            Ok(sender)
        }
    }
}

/// The request as it goes out.
pub fn request(call: &Call) -> Result<Request<Full<Bytes>>> {
    let mut builder = Request::post(call.path)
        .header("host", "localhost")
        .header("content-type", "application/json")
        .header("authorization", format!("Bearer {}", call.token));
    if call.pace_us > 0 {
        builder = builder.header("x-pace-us", call.pace_us);
    }
    Ok(builder.body(Full::new(call.body.clone()))?)
}

async fn once(sender: &mut SendRequest<Full<Bytes>>, call: &Call) -> Result<bool> {
    sender.ready().await?;
    let response = sender.send_request(request(call)?).await?;
    let ok = response.status() == 200;
    let mut body = response.into_body();
    let mut bytes = 0;
    while let Some(frame) = body.frame().await {
        bytes += frame?.data_ref().map_or(0, Bytes::len);
    }
    Ok(ok && bytes > 0)
}

/// Runs `calls` calls over `connections` connections; gives up after a minute.
pub async fn run(call: &Call, connections: usize, calls: usize) -> Result<Figures> {
    let left = Arc::new(AtomicUsize::new(calls));
    let mut senders = Vec::new();
    for _ in 0..connections {
        senders.push(connect(call).await?);
    }
    let start = Instant::now();
    let mut tasks = Vec::new();
    for mut sender in senders {
        let (left, call) = (left.clone(), call.clone());
        tasks.push(tokio::spawn(async move {
            let (mut times, mut bad) = (Vec::with_capacity(calls / connections + 16), 0);
            while left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_ok() {
                let begun = Instant::now();
                match once(&mut sender, &call).await {
                    Ok(true) => times.push(begun.elapsed()),
                    Ok(false) => bad += 1,
                    Err(_) => {
                        bad += 1;
                        let Ok(fresh) = connect(&call).await else { break };
                        sender = fresh;
                    }
                }
            }
            (times, bad)
        }));
    }
    let (mut times, mut bad): (Vec<Duration>, usize) = (Vec::new(), 0);
    for task in tasks {
        let (some, wrong) =
            tokio::time::timeout(Duration::from_secs(60), task).await.context("the run took too long")??;
        times.extend(some);
        bad += wrong;
    }
    let elapsed = start.elapsed().as_secs_f64();
    ensure!(!times.is_empty(), "no call succeeded");
    times.sort_unstable();
    let at = |share: f64| times[((times.len() - 1) as f64 * share) as usize].as_secs_f64() * 1e6;
    Ok(Figures { rate: times.len() as f64 / elapsed, p50_us: at(0.50), p99_us: at(0.99), bad, good: times.len() })
}
