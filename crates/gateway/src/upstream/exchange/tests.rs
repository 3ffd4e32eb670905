//! Answers in every cut, and whole exchanges on real sockets with a provider that misbehaves.

use super::*;
use crate::upstream::{Outgoing, Upstreams, origin::Origin, tls::Configs};
use crate::{settings::Limits, ward::Wards};
use http::Method;
use http_body_util::BodyExt;
use std::future::{Future, poll_fn};
use std::sync::Arc;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

fn run<T>(test: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build_local(Default::default()).unwrap();
    runtime.block_on(test)
}

async fn pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (one, two) = tokio::join!(TcpStream::connect(listener.local_addr().unwrap()), listener.accept());
    (one.unwrap(), two.unwrap().0)
}

/// What came of an answer that arrived in the given pieces.
#[derive(Debug, PartialEq, Eq)]
struct Read {
    status: u16,
    body: Vec<u8>,
    trailers: usize,
    ended: bool,
    kept: usize,
}

/// Feeds an answer in pieces, without any network between.
async fn feed(pieces: &[&[u8]]) -> Result<Read, Error> {
    let (ours, _theirs) = pair().await;
    let pool = Rc::new(Pool::new(Duration::from_secs(9)));
    let endpoint = Arc::clone(&Origin::parse("http://127.0.0.1:1", true, false).unwrap().endpoint);
    let home = Home { pool: Rc::clone(&pool), endpoint: Near::of(&endpoint) };
    let mut exchange = Exchange::new(Io::Plain(ours), home, Wiped::default(), Payload::None, (false, false));
    exchange.sender.give_up();
    let (mut answer, mut body) = (None, Vec::new());
    for piece in pieces {
        let mut piece = piece.to_vec();
        if answer.is_none() {
            answer = exchange.take_head(&mut piece)?;
            body.extend(exchange.ready.take().unwrap_or_default());
        } else if exchange.io.is_some() {
            body.extend(exchange.take_body(&mut piece)?.unwrap_or_default());
        }
    }
    let status = answer.map_or(0, |answer| answer.status.as_u16());
    let trailers = exchange.trailers.take().map_or(0, |trailers| trailers.len());
    Ok(Read { status, body, trailers, ended: exchange.is_end(), kept: pool.len() })
}

const ANSWERS: [(&str, &str, usize, usize); 5] = [
    ("HTTP/1.1 200 OK\r\ncontent-length: 5\r\nx: y\r\n\r\nhello", "hello", 0, 1),
    ("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2;x=y\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n", "hello", 0, 1),
    ("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nx-sum: 1\r\n\r\n", "hello", 1, 1),
    (
        "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early\r\nlink: x\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello",
        "hello",
        0,
        1,
    ),
    ("HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 5\r\n\r\nhello", "hello", 0, 0),
];

#[test]
fn an_answer_reads_the_same_in_every_cut() {
    run(async {
        for (text, body, trailers, kept) in ANSWERS {
            let expected = || Read { status: 200, body: body.as_bytes().to_vec(), trailers, ended: true, kept };
            let bytes = text.as_bytes();
            for cut in 0..bytes.len() {
                let (left, right) = bytes.split_at(cut);
                let pieces: Vec<&[u8]> = [left, right].into_iter().filter(|piece| !piece.is_empty()).collect();
                assert_eq!(feed(&pieces).await.unwrap(), expected(), "{text:?} cut at {cut}");
            }
            let single: Vec<&[u8]> = bytes.chunks(1).collect();
            assert_eq!(feed(&single).await.unwrap(), expected(), "{text:?} byte by byte");
        }
    });
}

#[test]
fn a_connection_with_bytes_too_many_is_not_kept() {
    run(async {
        for (text, body, ..) in ANSWERS {
            let read = feed(&[text.as_bytes(), b"HTTP/1.1 200 OK\r\n"]).await.unwrap();
            assert_eq!(read.body, body.as_bytes());
            let joined = [text.as_bytes(), b"X"].concat();
            assert_eq!(feed(&[&joined]).await.unwrap().kept, 0, "{text:?}");
        }
    });
}

#[test]
fn answers_nobody_asked_for_are_refused() {
    run(async {
        let many = "HTTP/1.1 102 Processing\r\n\r\n".repeat(9);
        assert!(matches!(feed(&[many.as_bytes()]).await, Err(Error::Invalid("too many interim answers"))));
        let switch = b"HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\n\r\n";
        assert!(matches!(feed(&[switch]).await, Err(Error::Invalid(_))));
    });
}

/// A provider that answers each connection by a script: for every request in turn, what to send; then it closes.
struct Provider {
    origin: Origin,
    task: tokio::task::JoinHandle<Vec<Vec<String>>>,
}

impl Provider {
    async fn start(scripts: Vec<Vec<&'static str>>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let origin = Origin::parse(&url, true, false).unwrap();
        let task = tokio::spawn(async move {
            let mut seen = Vec::new();
            for script in scripts {
                let (mut stream, _) = listener.accept().await.unwrap();
                let mut requests = Vec::new();
                for answer in script {
                    match request(&mut stream).await {
                        Some(request) => requests.push(request),
                        None => break,
                    }
                    stream.write_all(answer.as_bytes()).await.unwrap();
                }
                seen.push(requests);
            }
            seen
        });
        Self { origin, task }
    }
}

/// Reads one request with a content-length or without a body.
async fn request(stream: &mut TcpStream) -> Option<String> {
    let mut text = String::new();
    loop {
        let mut buffer = [0; 4096];
        let count = stream.read(&mut buffer).await.ok().filter(|count| *count > 0)?;
        text.push_str(std::str::from_utf8(&buffer[..count]).unwrap());
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse::<usize>().ok());
            if body.len() == length.unwrap_or(0) {
                return Some(text);
            }
        }
    }
}

fn upstreams() -> Upstreams {
    Upstreams::new(&Configs::new(None).unwrap(), Duration::from_secs(5), Duration::from_secs(20))
}

async fn send(upstreams: &Upstreams, origin: &Origin, body: &'static str) -> Result<(u16, Bytes), Error> {
    let headers = HeaderMap::new();
    let outgoing = Outgoing {
        method: &Method::POST,
        path: "/x",
        headers: &headers,
        passes: &|_, _| true,
        extra: &[],
        auth: None,
        identity: false,
        upgrade: None,
        once: false,
    };
    let wards = Wards::new(&Limits::default());
    let ward = wards.open();
    let payload = Payload::Whole(Bytes::from_static(body.as_bytes()));
    let (answer, mut exchange) = upstreams.send(origin, &outgoing, payload, &ward).await?;
    let mut all = Vec::new();
    while let Some(frame) = poll_fn(|cx| exchange.poll_frame(cx)).await {
        all.extend_from_slice(&frame?.into_data().unwrap_or_default());
    }
    Ok((answer.status.as_u16(), all.into()))
}

const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

#[test]
fn a_connection_is_used_again_and_again() {
    run(async {
        let provider = Provider::start(vec![vec![OK, OK, OK]]).await;
        let upstreams = upstreams();
        for _ in 0..3 {
            assert_eq!(send(&upstreams, &provider.origin, "hi").await.unwrap(), (200, Bytes::from("ok")));
        }
        let seen = provider.task.await.unwrap();
        assert_eq!(seen[0].len(), 3);
        assert!(seen[0][2].ends_with("content-length: 2\r\n\r\nhi"));
    });
}

#[test]
fn a_request_is_sent_again_only_when_a_kept_connection_closed_without_a_word() {
    run(async {
        // The second request meets the close: it goes out once more, on a new connection.
        let provider = Provider::start(vec![vec![OK, ""], vec![OK]]).await;
        let kept = upstreams();
        assert_eq!(send(&kept, &provider.origin, "1").await.unwrap().0, 200);
        assert_eq!(send(&kept, &provider.origin, "2").await.unwrap().0, 200);
        let seen = provider.task.await.unwrap();
        assert_eq!(seen.iter().map(Vec::len).collect::<Vec<_>>(), [2, 1]);
        assert_eq!(seen[0][1], seen[1][0]);

        // One byte of an answer, and nothing is sent again.
        let provider = Provider::start(vec![vec![OK, "H"]]).await;
        let kept = upstreams();
        assert_eq!(send(&kept, &provider.origin, "1").await.unwrap().0, 200);
        let error = send(&kept, &provider.origin, "2").await.unwrap_err();
        assert!(matches!(error, Error::Lost { unanswered: false, .. }), "{error:?}");

        // A new connection that closes is not tried again.
        let provider = Provider::start(vec![vec![""]]).await;
        let error = send(&upstreams(), &provider.origin, "1").await.unwrap_err();
        assert!(matches!(error, Error::Lost { unanswered: true, .. }), "{error:?}");
        assert_eq!(provider.task.await.unwrap().len(), 1);
    });
}

#[test]
fn a_body_that_breaks_off_is_an_error_and_not_an_end() {
    run(async {
        for answer in [
            "HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nok",
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n",
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n",
        ] {
            let provider = Provider::start(vec![vec![answer]]).await;
            let error = send(&upstreams(), &provider.origin, "").await.unwrap_err();
            assert!(matches!(error, Error::Body(Broken::Early)), "{error:?}");
        }
        let provider = Provider::start(vec![vec!["HTTP/1.1 200 OK\r\n\r\nuntil the end"]]).await;
        assert_eq!(send(&upstreams(), &provider.origin, "").await.unwrap().1, "until the end");
    });
}

#[test]
fn a_closed_kept_connection_is_not_used_at_all() {
    run(async {
        let provider = Provider::start(vec![vec![OK], vec![OK]]).await;
        let upstreams = upstreams();
        send(&upstreams, &provider.origin, "1").await.unwrap();
        // The provider closes after its script; wait until that has arrived here.
        while upstreams.pool.len() > 0 {
            upstreams.sweep();
            tokio::task::yield_now().await;
        }
        send(&upstreams, &provider.origin, "2").await.unwrap();
        assert_eq!(provider.task.await.unwrap().iter().map(Vec::len).collect::<Vec<_>>(), [1, 1]);
    });
}

#[test]
fn an_early_no_ends_the_upload() {
    run(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let origin = Origin::parse(&format!("http://{}", listener.local_addr().unwrap()), true, false).unwrap();
        let provider = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut buffer = [0; 1024];
            let _ = stream.read(&mut buffer).await.unwrap();
            stream.write_all(b"HTTP/1.1 413 Too Large\r\ncontent-length: 2\r\n\r\nno").await.unwrap();
            // Neither reads on nor closes: only the answer can end the call.
            stream
        });
        let big: &'static str = "x".repeat(64 << 20).leak();
        let upstreams = upstreams();
        assert_eq!(send(&upstreams, &origin, big).await.unwrap(), (413, Bytes::from("no")));
        assert_eq!(upstreams.pool.len(), 0, "a connection with half a request on it is closed");
        drop(provider.await);
    });
}

#[test]
fn http2_is_spoken_where_the_provider_says_so() {
    run(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let origin = Origin::parse(&format!("http://{}/base", listener.local_addr().unwrap()), true, true).unwrap();
        let connections = Rc::new(std::cell::Cell::new(0));
        let counted = Rc::clone(&connections);
        tokio::task::spawn_local(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                counted.set(counted.get() + 1);
                let service = hyper::service::service_fn(|request: http::Request<hyper::body::Incoming>| async {
                    assert_eq!(request.version(), http::Version::HTTP_2);
                    assert_eq!(request.uri().path(), "/base/x");
                    let body = request.into_body().collect().await.unwrap().to_bytes();
                    Ok::<_, std::convert::Infallible>(http::Response::new(http_body_util::Full::new(body)))
                });
                let mut builder = hyper::server::conn::http2::Builder::new(crate::upstream::http2::Local);
                let io = hyper_util::rt::TokioIo::new(stream);
                tokio::task::spawn_local(builder.max_concurrent_streams(2).serve_connection(io, service));
            }
        });
        let upstreams = upstreams();
        for _ in 0..3 {
            assert_eq!(send(&upstreams, &origin, "echo").await.unwrap(), (200, Bytes::from("echo")));
        }
        assert_eq!(connections.get(), 1, "streams share a connection");
        let many = futures_util::future::join_all((0..9).map(|_| send(&upstreams, &origin, "echo"))).await;
        assert!(many.into_iter().all(|sent| sent.is_ok()));
    });
}
