//! The way to a provider, against a few lines of a server.

use super::*;
use keyward_catalogue::probing::State;
use std::net::SocketAddr;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
    task::JoinHandle,
};

const ALIVE: &str = "HTTP/1.1 200 OK\r\ncontent-length: 24\r\n\r\n{\"data\":[{\"id\":\"one\"}]}\n";

/// A server that gives every connection one answer and returns what it was sent.
async fn answering(answers: &'static [&'static str]) -> (SocketAddr, JoinHandle<Vec<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let task = tokio::spawn(async move {
        let mut asked = Vec::new();
        for answer in answers {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut head = vec![0; 4096];
            let count = stream.read(&mut head).await.unwrap();
            stream.write_all(answer.as_bytes()).await.unwrap();
            asked.push(String::from_utf8_lossy(&head[..count]).into_owned());
        }
        asked
    });
    (address, task)
}

fn prober() -> Prober {
    Prober::new(Catalogue::embedded().unwrap(), None, None).ok().unwrap()
}

fn wanted(base_url: String, allow_private: bool) -> Wanted {
    Wanted { base_url: Some(base_url), allow_private, ..Wanted::default() }
}

async fn ask(prober: &Prober, wanted: Wanted) -> Verdict {
    let provider = Arc::clone(prober.catalogue.provider("openai").unwrap());
    prober.ask(&provider, wanted, &PlainKey::new(b"not-a-key".to_vec())).await
}

#[tokio::test]
async fn a_key_is_asked_about_once_and_stands_in_its_header() {
    let (address, task) = answering(&[ALIVE]).await;
    let prober = prober();
    let place = wanted(format!("http://{address}/v1"), true);
    for _ in 0..2 {
        let verdict = ask(&prober, place.clone()).await;
        assert_eq!((verdict.state, verdict.http_status), (State::Live, Some(200)), "{verdict:?}");
    }
    let asked = task.await.unwrap();
    assert!(asked[0].starts_with("GET /v1/models HTTP/1.1\r\n"), "{asked:?}");
    assert!(asked[0].contains("authorization: Bearer not-a-key\r\n"), "{asked:?}");
}

#[tokio::test]
async fn addresses_inside_are_refused_unless_allowed() {
    let (address, _task) = answering(&[ALIVE]).await;
    let prober = prober();
    let verdict = ask(&prober, wanted(format!("http://{address}/v1"), false)).await;
    assert_eq!(verdict.state, State::Unreachable);
    assert!(verdict.because.contains("plain http"), "{verdict:?}");
    let verdict = ask(&prober, wanted("https://localhost:1/v1".to_owned(), false)).await;
    assert!(verdict.because.contains("may not be reached"), "{verdict:?}");
    for (url, allow) in [("http://169.254.169.254/v1", true), ("https://[fd00:ec2::254]/v1", true)] {
        let verdict = ask(&prober, wanted(url.to_owned(), allow)).await;
        assert_eq!(verdict.state, State::Unreachable, "{url}");
        assert!(verdict.because.contains("may not be reached"), "{verdict:?}");
    }
    for url in ["ftp://example.com/v1", "https://user:hunter2@example.com/v1", "nonsense", "https://"] {
        let verdict = ask(&prober, wanted(url.to_owned(), false)).await;
        assert_eq!(verdict.state, State::Unreachable, "{url}");
        assert!(
            verdict.because.contains("base URL is not right") && !verdict.because.contains("hunter2"),
            "{verdict:?}"
        );
    }
}

#[tokio::test]
async fn redirects_are_not_followed() {
    let (address, task) =
        answering(&["HTTP/1.1 307 Moved\r\nlocation: http://127.0.0.1:1/\r\ncontent-length: 0\r\n\r\n"]).await;
    let verdict = ask(&prober(), wanted(format!("http://{address}/v1"), true)).await;
    assert_eq!((verdict.state, verdict.http_status), (State::Unknown, Some(307)));
    assert!(verdict.because.contains("not sent after it"), "{verdict:?}");
    assert_eq!(task.await.unwrap().len(), 1);
}

#[tokio::test]
async fn what_cannot_be_asked_is_unknown_with_the_reason() {
    let prober = prober();
    let verdict = prober.verify("github", &PlainKey::new(b"x".to_vec()), false).await;
    assert_eq!((verdict.state, &*verdict.named), (State::Unknown, "no_probe"));
    let verdict = prober.verify("azure-openai", &PlainKey::new(b"x".to_vec()), false).await;
    assert_eq!((verdict.state, &*verdict.named), (State::Unknown, "no_base_url"));
    let query = ask(&prober, wanted("http://127.0.0.1:1/v1?key=x".to_owned(), true)).await;
    assert!(query.because.contains("a query") && !query.because.contains("key=x"), "{query:?}");
    let nobody = wanted("http://127.0.0.1:1/v1".to_owned(), true);
    let verdict = ask(&prober, nobody).await;
    assert_eq!((verdict.state, verdict.usable), (State::Unreachable, None));
}
