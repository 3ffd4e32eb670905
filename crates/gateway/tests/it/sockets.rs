//! Other protocols: HTTP/2 on both sides, TLS, WebSockets.

use crate::house::{House, Plan, Played, REAL, message, rest, soon, until, write};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use keyward_domain::usage::Outcome;
use keyward_gateway::TlsFiles;
use rustls::{ClientConfig, RootCertStore, ServerConfig, crypto::CryptoProvider};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject};
use std::{path::Path, sync::Arc};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use tokio_rustls::{TlsAcceptor, TlsConnector, client::TlsStream};

#[tokio::test]
async fn clients_may_speak_http2_without_tls() {
    let provider = Played::start().await;
    let house = House::build(provider.address(), Plan::default());
    let io = TokioIo::new(house.connect().await);
    let (mut sender, connection) = http2::handshake(TokioExecutor::new(), io).await.unwrap();
    tokio::spawn(connection);
    let mut ask = |path: &str| {
        let request = http::Request::get(format!("http://gateway/test/v1/files/{path}"))
            .header("authorization", format!("Bearer {}", house.key))
            .body(Full::<bytes::Bytes>::default())
            .unwrap();
        sender.send_request(request)
    };
    let (one, two) = (ask("one"), ask("two"));
    let serve = async {
        for _ in 0..2 {
            let mut upstream = provider.accept().await;
            let (seen, _) = message(&mut upstream).await;
            let name = seen.split_whitespace().nth(1).unwrap().to_owned();
            write(&mut upstream, format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{name}", name.len())).await;
        }
    };
    let (one, two, ()) = soon(async { tokio::join!(one, two, serve) }).await;
    let text =
        async |answer: http::Response<hyper::body::Incoming>| answer.into_body().collect().await.unwrap().to_bytes();
    assert_eq!(text(one.unwrap()).await, "/v1/files/one");
    assert_eq!(text(two.unwrap()).await, "/v1/files/two");
}

#[tokio::test]
async fn providers_may_speak_http2() {
    let provider = Played::start().await;
    let house = House::build(provider.address(), Plan { http2: true, ..Plan::default() });
    let mut client = house.connect().await;
    write(&mut client, house.post("/chat", r#"{"model":"m"}"#)).await;
    let upstream = soon(provider.accept()).await;
    let service = hyper::service::service_fn(async |request: http::Request<hyper::body::Incoming>| {
        assert_eq!(request.version(), http::Version::HTTP_2);
        assert_eq!(request.headers()["authorization"], format!("Bearer {REAL}"));
        let body = request.into_body().collect().await.unwrap().to_bytes();
        Ok::<_, std::convert::Infallible>(http::Response::new(Full::new(body)))
    });
    let server = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
    tokio::spawn(server.serve_connection(TokioIo::new(upstream), service));
    assert_eq!(soon(message(&mut client)).await.1, r#"{"model":"m"}"#);
    assert_eq!(soon(house.usage()).await.outcome, Outcome::Completed);
}

struct Certificate {
    cert: String,
    key: String,
}

fn certificate() -> Certificate {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    Certificate { cert: made.cert.pem(), key: made.signing_key.serialize_pem() }
}

fn store(folder: &Path, certificate: &Certificate) {
    std::fs::write(folder.join("cert.pem"), &certificate.cert).unwrap();
    std::fs::write(folder.join("key.pem"), &certificate.key).unwrap();
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::aws_lc_rs::default_provider())
}

async fn tls(house: &House, trusted: &Certificate, protocol: &[u8]) -> std::io::Result<TlsStream<TcpStream>> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(trusted.cert.as_bytes()).unwrap()).unwrap();
    let mut config = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![protocol.to_vec()];
    let name = ServerName::try_from("localhost").unwrap();
    TlsConnector::from(Arc::new(config)).connect(name, house.connect().await).await
}

#[tokio::test]
async fn tls_is_spoken_in_both_versions_and_certificates_are_read_again() {
    let folder = tempfile::tempdir().unwrap();
    let first = certificate();
    store(folder.path(), &first);
    let (cert, key) = (folder.path().join("cert.pem"), folder.path().join("key.pem"));
    let provider = Played::start().await;
    let files = TlsFiles { cert, key, client_ca: None };
    let settings = Box::new(move |settings: &mut keyward_gateway::Settings| settings.tls = Some(files));
    let house = House::build(provider.address(), Plan { settings, ..Plan::default() });

    let one = tls(&house, &first, b"http/1.1").await.unwrap();
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(one)).await.unwrap();
    tokio::spawn(connection);
    let request = || http::Request::get("/nowhere").body(Full::<bytes::Bytes>::default()).unwrap();
    let answer = soon(sender.send_request(request())).await.unwrap();
    assert_eq!(answer.headers()["keyward-error"], "unknown_provider");

    let two = tls(&house, &first, b"h2").await.unwrap();
    let (mut sender, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(two)).await.unwrap();
    tokio::spawn(connection);
    let mut asked = request();
    *asked.uri_mut() = "https://localhost/nowhere".parse().unwrap();
    assert_eq!(soon(sender.send_request(asked)).await.unwrap().version(), http::Version::HTTP_2);

    let second = certificate();
    store(folder.path(), &second);
    // The files are looked at every few seconds; until then the first certificate is shown.
    soon(async { while tls(&house, &second, b"http/1.1").await.is_err() {} }).await;
    assert!(tls(&house, &first, b"http/1.1").await.is_err());
}

#[tokio::test]
async fn clients_without_a_certificate_are_turned_away_where_one_is_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let (server, authority) = (certificate(), certificate());
    store(folder.path(), &server);
    let files = TlsFiles {
        cert: folder.path().join("cert.pem"),
        key: folder.path().join("key.pem"),
        client_ca: Some(folder.path().join("ca.pem")),
    };
    std::fs::write(folder.path().join("ca.pem"), &authority.cert).unwrap();
    let upstream = Played::start().await;
    let settings = Box::new(move |settings: &mut keyward_gateway::Settings| settings.tls = Some(files));
    let house = House::build(upstream.address(), Plan { settings, ..Plan::default() });
    // With TLS 1.3 the client learns of the refusal with its first read.
    let Ok(mut stream) = tls(&house, &server, b"http/1.1").await else { return };
    let _ = stream.write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n").await;
    assert!(!matches!(soon(stream.read(&mut [0; 16])).await, Ok(1..)), "nothing is answered");
}

#[tokio::test]
async fn providers_certificates_are_checked() {
    let folder = tempfile::tempdir().unwrap();
    let (trusted, other) = (certificate(), certificate());
    store(folder.path(), &trusted);
    let roots = folder.path().join("cert.pem");
    for (shown, holds) in [(&trusted, true), (&other, false)] {
        let upstream = Played::start().await;
        let trust = roots.clone();
        let settings = Box::new(move |settings: &mut keyward_gateway::Settings| settings.extra_roots = Some(trust));
        let base_url = Some(format!("https://localhost:{}/v1", upstream.address().port()));
        let house = House::build(upstream.address(), Plan { settings, base_url, ..Plan::default() });
        let config = ServerConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(
                vec![CertificateDer::from_pem_slice(shown.cert.as_bytes()).unwrap()],
                PrivateKeyDer::from_pem_slice(shown.key.as_bytes()).unwrap(),
            )
            .unwrap();
        let serve = async {
            let stream = upstream.accept().await;
            let Ok(mut stream) = TlsAcceptor::from(Arc::new(config)).accept(stream).await else { return };
            let mut piece = [0; 4096];
            while !matches!(stream.read(&mut piece).await, Ok(0) | Err(_)) {
                let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await;
            }
        };
        let ask = async {
            let mut client = house.connect().await;
            for _ in 0..2 {
                write(&mut client, house.head("GET", "/files/a", "")).await;
                let (head, body) = message(&mut client).await;
                assert_eq!(body == "ok", holds, "{head}");
                assert_eq!(head.contains("keyward-error: upstream_unreachable\r\n"), !holds, "{head}");
                if !holds {
                    break;
                }
            }
            drop(house);
        };
        soon(async { tokio::join!(serve, ask) }).await;
    }
}

const UPGRADE: &str = "connection: Upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\n\
    sec-websocket-key: AQIDBAUGBwgJCgsMDQ4PEA==\r\nsec-websocket-extensions: permessage-deflate\r\n";

async fn socket(house: &House, provider: &Played) -> (TcpStream, TcpStream) {
    let mut client = house.connect().await;
    write(&mut client, house.head("GET", "/live", UPGRADE)).await;
    let mut upstream = soon(provider.accept()).await;
    let (seen, _) = message(&mut upstream).await;
    assert!(seen.contains("upgrade: websocket\r\n") && seen.contains("connection: upgrade\r\n"), "{seen}");
    assert!(seen.contains(REAL) && !seen.contains(&house.key), "{seen}");
    assert!(!seen.contains("permessage-deflate"), "what is compressed cannot be read: {seen}");
    // The first frame comes together with the head.
    let accept = "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
        sec-websocket-accept: C/0nmHhBztSRGR1CwL6Tf4ZjwpY=\r\n\r\n\u{1}\u{2}hi";
    write(&mut upstream, accept).await;
    let answer = soon(until(&mut client, "hi")).await;
    assert!(answer.starts_with("HTTP/1.1 101 ") && answer.contains("sec-websocket-accept: "), "{answer}");
    (client, upstream)
}

/// A short masked text frame of a client, with a mask that changes nothing.
fn frame(text: &str) -> Vec<u8> {
    let length = u8::try_from(text.len()).unwrap();
    [&[0x81, 0x80 | length, 0, 0, 0, 0], text.as_bytes()].concat()
}

#[tokio::test]
async fn websockets_are_relayed_until_a_side_ends() {
    let provider = Played::start().await;
    let house = House::build(provider.address(), Plan::default());
    let (mut client, mut upstream) = socket(&house, &provider).await;
    write(&mut client, frame(r#"{"type":"up"}"#)).await;
    assert!(soon(until(&mut upstream, "\"up\"}")).await.contains("up"));
    write(&mut upstream, b"\x81\x0f{\"type\":\"down\"}").await;
    soon(until(&mut client, "\"down\"}")).await;
    drop(client);
    assert_eq!(soon(rest(&mut upstream)).await, "");
    let usage = soon(house.usage()).await;
    assert_eq!((usage.status, usage.outcome), (101, Outcome::Completed));
}

#[tokio::test]
async fn a_websocket_is_cut_when_its_key_is_revoked() {
    let provider = Played::start().await;
    let house = House::build(provider.address(), Plan::default());
    let (mut client, mut upstream) = socket(&house, &provider).await;
    house.change(|grant| grant.revoked = true);
    assert_eq!(soon(rest(&mut upstream)).await, "");
    let end = soon(rest(&mut client)).await;
    assert!(end.contains("revoked"), "a close frame says why: {end:?}");
    assert_eq!(soon(house.usage()).await.outcome, Outcome::Cut);
}

#[tokio::test]
async fn a_websocket_operation_takes_nothing_else() {
    let provider = Played::start().await;
    let house = House::build(provider.address(), Plan::default());
    let mut client = house.connect().await;
    write(&mut client, house.head("GET", "/live", "")).await;
    assert!(soon(message(&mut client)).await.0.contains("keyward-error: malformed_request\r\n"));
}
