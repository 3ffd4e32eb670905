//! A closed loop of many keep-alive connections: each sends its next call when the last answer is whole. Bounded in time.

use crate::call::{Call, Figures, Tally};
use anyhow::{Context, Result, bail, ensure};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::{
    HeaderMap, Request, Uri,
    body::Incoming,
    client::conn::http1::{self, SendRequest},
    header::{HeaderName, HeaderValue},
};
use hyper_util::rt::TokioIo;
use socket2::SockRef;
use std::time::{Duration, Instant};
use tokio::{net::TcpSocket, runtime::Runtime, sync::mpsc, task::JoinHandle};

/// How long the last calls of a run may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// Segments as on an Ethernet. Loopback's own are as large as a receive window: prompts of that size would wait for
/// windows to open instead of showing what they cost.
const SEGMENT: u32 = 1_448;

/// The load generator, with as many threads as the servers get.
pub struct Load(Runtime);

/// A connection and what goes over it, ready to be sent again and again.
struct Connection {
    sender: SendRequest<Full<Bytes>>,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
}

impl Connection {
    async fn open(call: &Call) -> Result<Self> {
        let socket = TcpSocket::new_v4()?;
        SockRef::from(&socket).set_tcp_mss(SEGMENT)?;
        let stream = socket.connect(call.address).await.context("connecting")?;
        stream.set_nodelay(true)?;
        let sender = match &call.tls {
            None => {
                let (sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
                tokio::spawn(connection);
                sender
            }
            Some(config) => {
                let name = rustls::pki_types::ServerName::try_from("localhost")?;
                let stream = tokio_rustls::TlsConnector::from(config.clone()).connect(name, stream).await?;
                let (sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
                tokio::spawn(connection);
                sender
            }
        };
        let token = call.tokens.first().context("no token")?;
        let mut headers = HeaderMap::new();
        for (name, value) in call.headers(token) {
            headers.insert(HeaderName::from_static(name), HeaderValue::try_from(value)?);
        }
        Ok(Self { sender, uri: Uri::from_static(call.path), headers, body: call.body.clone() })
    }

    /// Sends a call and gives the body of its answer.
    async fn send(&mut self) -> Result<Incoming> {
        let mut request = Request::post(self.uri.clone()).body(Full::new(self.body.clone()))?;
        *request.headers_mut() = self.headers.clone();
        self.sender.ready().await?;
        let response = self.sender.send_request(request).await?;
        if response.status() != 200 {
            let status = response.status();
            let said = response.into_body().collect().await?.to_bytes();
            bail!("answered {status}: {}", String::from_utf8_lossy(&said[..said.len().min(300)]));
        }
        Ok(response.into_body())
    }

    /// One call from beginning to end: the bytes of its answer.
    async fn call(&mut self) -> Result<usize> {
        let mut body = self.send().await?;
        let mut bytes = 0;
        while let Some(frame) = body.frame().await {
            bytes += frame?.data_ref().map_or(0, Bytes::len);
        }
        Ok(bytes)
    }
}

impl Load {
    /// Starts its threads.
    pub fn new() -> Result<Self> {
        let threads = std::thread::available_parallelism().map_or(2, usize::from);
        Ok(Self(tokio::runtime::Builder::new_multi_thread().worker_threads(threads).enable_all().build()?))
    }

    /// Its threads, for other clients.
    pub const fn runtime(&self) -> &Runtime {
        &self.0
    }

    /// Calls over so many connections, for so long.
    pub fn run(&self, call: &Call, connections: usize, time: Duration) -> Result<Figures> {
        self.0.block_on(async {
            let mut open = Vec::new();
            for _ in 0..connections {
                open.push(Connection::open(call).await?);
            }
            let start = Instant::now();
            let mut tasks = Vec::new();
            for mut connection in open {
                tasks.push(tokio::spawn(async move {
                    let mut tally = Tally::default();
                    loop {
                        let begun = Instant::now();
                        if begun.duration_since(start) >= time {
                            return anyhow::Ok(tally);
                        }
                        let bytes = connection.call().await?;
                        tally.add(begun.elapsed(), bytes)?;
                    }
                }));
            }
            let mut all = Tally::default();
            for task in tasks {
                all.merge(tokio::time::timeout(time + PATIENCE, task).await.context("the run took too long")???)?;
            }
            all.figures(start.elapsed())
        })
    }

    /// Opens so many streams, reads them all as they come, and does something while all of them are open.
    pub fn hold<T>(&self, call: &Call, streams: usize, meanwhile: impl FnOnce() -> Result<T>) -> Result<T> {
        let (begun, mut begins) = mpsc::channel(streams);
        let mut tasks: Vec<JoinHandle<Result<()>>> = Vec::new();
        for _ in 0..streams {
            let (call, begun) = (call.clone(), begun.clone());
            tasks.push(self.0.spawn(async move {
                let mut connection = Connection::open(&call).await?;
                let mut body = connection.send().await?;
                body.frame().await.context("a stream ended before its first chunk")??;
                begun.send(()).await?;
                while let Some(frame) = body.frame().await {
                    frame?;
                }
                Ok(())
            }));
        }
        drop(begun);
        for number in 0..streams {
            let begun = self.0.block_on(async { tokio::time::timeout(PATIENCE, begins.recv()).await });
            ensure!(begun == Ok(Some(())), "only {number} of {streams} streams began");
        }
        let done = meanwhile();
        let ended = tasks.iter().filter(|task| task.is_finished()).count();
        tasks.iter().for_each(JoinHandle::abort);
        ensure!(ended == 0, "{ended} streams ended too soon");
        done
    }
}
