//! Large bodies, slow readers, and bodies that are refused.

use crate::house::{House, Plan, Played, head, message, rest, soon, until, write};
use keyward_domain::{policy::Policy, usage::Outcome};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// Reads so many bytes and tells whether they are the counting pattern of [`pattern`].
async fn read_pattern(stream: &mut tokio::net::TcpStream, mut at: usize, length: usize) {
    let mut piece = vec![0; 256 << 10];
    while at < length {
        let count = stream.read(&mut piece).await.unwrap();
        assert!(count > 0, "closed after {at} bytes");
        assert_eq!(piece[..count], pattern(at, count), "at {at}");
        at += count;
    }
}

fn pattern(at: usize, count: usize) -> Vec<u8> {
    (at..at + count).map(|index| u8::try_from(index % 251).unwrap()).collect()
}

#[tokio::test]
async fn large_bodies_stream_both_ways() {
    const LENGTH: usize = 12 << 20;
    let provider = Played::start().await;
    let house = House::build(provider.address(), Plan::default());
    let mut client = house.connect().await;
    let begin = house.head("POST", "/raw", &format!("content-length: {LENGTH}\r\n"));
    write(&mut client, begin).await;
    write(&mut client, pattern(0, 1000)).await;
    // The first bytes are there before the last ones are sent.
    let mut upstream = soon(provider.accept()).await;
    let (seen, mut early) = soon(head(&mut upstream)).await;
    assert!(seen.contains(&format!("content-length: {LENGTH}\r\n")), "{seen}");
    while early.len() < 1000 {
        soon(upstream.read_buf(&mut early)).await.unwrap();
    }
    let (mut reading, mut writing) = client.into_split();
    let upload = async {
        for at in (1000..LENGTH).step_by(1 << 20) {
            writing.write_all(&pattern(at, (1 << 20).min(LENGTH - at))).await.unwrap();
        }
    };
    soon(async { tokio::join!(upload, read_pattern(&mut upstream, 1000, LENGTH)) }).await;
    let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {LENGTH}\r\n\r\n");
    let download = async {
        write(&mut upstream, answer).await;
        for at in (0..LENGTH).step_by(1 << 20) {
            write(&mut upstream, pattern(at, (1 << 20).min(LENGTH - at))).await;
        }
    };
    let receive = async {
        let mut all = Vec::new();
        while !all.windows(4).any(|four| four == b"\r\n\r\n") {
            reading.read_buf(&mut all).await.unwrap();
        }
        let end = all.windows(4).position(|four| four == b"\r\n\r\n").unwrap() + 4;
        let mut body = all.split_off(end);
        while body.len() < LENGTH {
            assert!(reading.read_buf(&mut body).await.unwrap() > 0);
        }
        assert!(body == pattern(0, LENGTH));
    };
    soon(async { tokio::join!(download, receive) }).await;
}

#[tokio::test]
async fn chunked_uploads_stay_chunked() {
    let provider = Played::start().await;
    let house = House::build(provider.address(), Plan::default());
    let mut client = house.connect().await;
    write(&mut client, house.head("POST", "/raw", "transfer-encoding: chunked\r\n")).await;
    write(&mut client, "5;ext=1\r\nhello\r\n").await;
    let mut upstream = soon(provider.accept()).await;
    let seen = soon(until(&mut upstream, "5\r\nhello\r\n")).await;
    assert!(seen.contains("transfer-encoding: chunked\r\n") && !seen.contains("content-length"), "{seen}");
    write(&mut client, "0\r\n\r\n").await;
    soon(until(&mut upstream, "0\r\n\r\n")).await;
    write(&mut upstream, "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await;
    assert_eq!(soon(message(&mut client)).await.1, "ok");
}

#[tokio::test]
async fn a_slow_reader_holds_the_provider_back() {
    let provider = Played::start().await;
    let house = House::build(provider.address(), Plan::default());
    let mut client = house.connect().await;
    write(&mut client, house.head("GET", "/files/large", "")).await;
    let mut upstream = provider.accept().await;
    message(&mut upstream).await;
    write(&mut upstream, "HTTP/1.1 200 OK\r\n\r\n").await;
    soon(head(&mut client)).await;
    // The client reads nothing more. What can still be written is what the sockets hold, and little besides.
    let piece = vec![b'x'; 1 << 20];
    let mut written = 0;
    while let Ok(count) = tokio::time::timeout(Duration::from_millis(700), upstream.write(&piece)).await {
        written += count.unwrap();
        assert!(written < 64 << 20, "nothing holds the provider back");
    }
    drop(client);
    assert_eq!(soon(rest(&mut upstream)).await, "");
    assert_eq!(soon(house.usage()).await.outcome, Outcome::ClientGone);
}

#[tokio::test]
async fn a_body_that_grows_too_large_is_refused_on_the_way() {
    let policy = Policy { max_body_bytes: Some(1000), ..Plan::default().policy };
    let provider = Played::start().await;
    let house = House::build(provider.address(), Plan { policy, ..Plan::default() });
    for path in ["/raw", "/chat"] {
        let mut client = house.connect().await;
        write(&mut client, house.head("POST", path, "transfer-encoding: chunked\r\n")).await;
        write(&mut client, format!("3e9\r\n{}\r\n", "x".repeat(1001))).await;
        let answer = soon(until(&mut client, "\r\n\r\n")).await;
        assert!(answer.starts_with("HTTP/1.1 413 ") && answer.contains("keyward-error: body_too_large"), "{answer}");
    }
    let mut client = house.connect().await;
    write(&mut client, house.head("POST", "/raw", "content-length: 1001\r\n")).await;
    assert!(soon(until(&mut client, "\r\n\r\n")).await.starts_with("HTTP/1.1 413 "));
}

#[tokio::test]
async fn a_client_is_told_to_continue_only_when_its_body_is_wanted() {
    let provider = Played::start().await;
    let house = House::build(provider.address(), Plan::default());
    let mut client = house.connect().await;
    let body = r#"{"model":"m"}"#;
    let expects = format!("content-length: {}\r\nexpect: 100-continue\r\n", body.len());
    write(&mut client, house.head("POST", "/chat", &expects)).await;
    assert_eq!(soon(until(&mut client, "\r\n\r\n")).await, "HTTP/1.1 100 Continue\r\n\r\n");
    write(&mut client, body).await;
    let mut upstream = provider.accept().await;
    let (seen, sent) = message(&mut upstream).await;
    assert!(!seen.contains("expect") && sent == body, "{seen}");
    write(&mut upstream, "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await;
    assert_eq!(soon(message(&mut client)).await.1, "ok");
    let mut client = house.connect().await;
    write(&mut client, house.head("POST", "/unknown", &expects)).await;
    let answer = soon(until(&mut client, "\r\n\r\n")).await;
    assert!(answer.starts_with("HTTP/1.1 404 ") && !answer.contains("100"), "{answer}");
}

#[tokio::test]
async fn a_client_that_breaks_off_its_upload_ends_it_at_the_provider() {
    let provider = Played::start().await;
    let house = House::build(provider.address(), Plan::default());
    let mut client = house.connect().await;
    write(&mut client, house.head("POST", "/raw", "content-length: 100\r\n") + "half").await;
    let mut upstream = soon(provider.accept()).await;
    soon(until(&mut upstream, "half")).await;
    drop(client);
    assert_eq!(soon(rest(&mut upstream)).await, "");
    assert_eq!(soon(house.usage()).await.outcome, Outcome::ClientGone);
}

#[tokio::test]
async fn who_is_refused_while_sending_still_reads_why() {
    let provider = Played::start().await;
    let house = House::build(provider.address(), Plan::default());
    let mut client = house.connect().await;
    let length = 6 << 20;
    write(&mut client, house.head("POST", "/unknown", &format!("content-length: {length}\r\n"))).await;
    // A client that writes everything before it reads anything.
    soon(client.write_all(&vec![b'x'; length])).await.unwrap();
    assert!(soon(message(&mut client)).await.0.contains("keyward-error: unknown_operation\r\n"));
    write(&mut client, house.head("POST", "/unknown", "content-length: 0\r\n")).await;
    assert!(soon(message(&mut client)).await.0.starts_with("HTTP/1.1 404 "), "the connection lives on");
}

#[tokio::test]
async fn trailers_are_passed_to_who_takes_them() {
    let provider = Played::start().await;
    let house = House::build(provider.address(), Plan::default());
    let mut client = house.connect().await;
    write(&mut client, house.head("GET", "/files/a", "te: trailers\r\n")).await;
    let mut upstream = provider.accept().await;
    let (seen, _) = message(&mut upstream).await;
    assert!(!seen.contains("trailers"), "that was between the client and the gateway: {seen}");
    write(&mut upstream, "HTTP/1.1 200 OK\r\ntrailer: x-sum\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n")
        .await;
    write(&mut upstream, "x-sum: 7\r\ncontent-length: 9\r\nX-Account: a\r\nalt-svc: h3\r\n\r\n").await;
    let all = soon(until(&mut client, "x-sum: 7\r\n\r\n")).await;
    assert!(all.ends_with("2\r\nok\r\n0\r\nx-sum: 7\r\n\r\n"), "{all:?}");
}

#[tokio::test]
async fn packed_bodies_go_on_as_they_are_unless_something_in_them_changes() {
    use std::io::Write;
    let provider = Played::start().await;
    let house = House::build(provider.address(), Plan::default());
    let mut client = house.connect().await;
    let mut upstream = None;
    for (text, changes) in [(r#"{"model":"m"}"#, false), (r#"{"model":"m","stream":true}"#, true)] {
        let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        packer.write_all(text.as_bytes()).unwrap();
        let packed = packer.finish().unwrap();
        let more = format!("content-encoding: gzip\r\ncontent-length: {}\r\n", packed.len());
        write(&mut client, house.head("POST", "/chat", &more)).await;
        write(&mut client, &packed).await;
        if upstream.is_none() {
            upstream = Some(soon(provider.accept()).await);
        }
        let stream = upstream.as_mut().unwrap();
        let (seen, body) = soon(message(stream)).await;
        assert_eq!(seen.contains("content-encoding: gzip\r\n"), !changes, "{seen}");
        assert_eq!(body == packed, !changes);
        let readable = std::str::from_utf8(&body).is_ok_and(|text| text.contains("include_usage"));
        assert_eq!(readable, changes, "what is edited goes on unpacked");
        write(stream, "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}").await;
        assert_eq!(soon(message(&mut client)).await.1, "{}");
    }
}
