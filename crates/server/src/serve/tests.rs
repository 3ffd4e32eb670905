use super::*;
use crate::{args::Format, config::DataConfig, master::Source};
use axum::{Router, body::Body};
use http_body_util::BodyExt;
use hyper::{Request, client::conn::http1, header};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use std::path::Path;
use tokio::net::TcpStream;
use tower::ServiceExt;

#[test]
fn urls_are_reachable_ones() {
    for (address, secure, url) in [
        ("127.0.0.1:8700", false, "http://127.0.0.1:8700"),
        ("0.0.0.0:1", true, "https://127.0.0.1:1"),
        ("[::]:1", false, "http://[::1]:1"),
    ] {
        assert_eq!(reachable(address.parse().expect("an address"), secure), url);
    }
}

#[test]
fn chosen_tokens_are_long_enough_and_ours_are_whole() {
    let read = |text: &str| bootstrap(&Zeroizing::new(text.to_owned()));
    assert!(!read("a-token-for-automation").expect("long enough").has_our_shape);
    let made = clock::new_api_token().expect("random");
    assert!(read(&made.text).expect("whole").has_our_shape);
    for text in ["short", "with spaces in it, long", "kwt_damaged-and-long-enough"] {
        assert!(read(text).is_err(), "{text}");
    }
}

fn config(folder: &Path) -> Config {
    let any: SocketAddr = ([127, 0, 0, 1], 0).into();
    Config {
        data: DataConfig {
            folder: folder.to_path_buf(),
            database: None,
            master_key: Source::File(folder.join("master.key")),
            allow_core_dumps: false,
            format: Format::Json,
        },
        gateway_listen: any,
        admin_listen: any,
        gateway_url: None,
        admin_url: None,
        config_dir: folder.to_path_buf(),
        tls: None,
        gateway_client_ca: None,
        admin_client_ca: None,
        trusted_proxies: Vec::new(),
        country_database: None,
        threads: 1,
        extra_ca: None,
        retention_days: 90,
        drain: Duration::from_secs(5),
        log: "off".to_owned(),
        demo: true,
    }
}

/// A server that runs in this process.
struct Server {
    running: Running,
    router: Router,
    tokens: Tokens,
    gateway: SocketAddr,
    admin: SocketAddr,
}

async fn server(folder: &Path) -> Server {
    let config = config(folder);
    let bound = Bound::bind(&config).expect("ports");
    let (gateway, admin) =
        (bound.gateway.local_addr().expect("an address"), bound.admin.local_addr().expect("an address"));
    let tokens = Tokens::make(&Environment::default()).expect("random");
    let clock = Clock::system();
    let store = Store::open(&location(&config)).await.expect("a database");
    let source = vault::source(&config.data, &Environment::default()).expect("a source");
    let vault = vault::open(&store, source.as_ref(), clock.now()).await.expect("a vault");
    let catalogue = Arc::new(Catalogue::embedded().expect("a catalogue"));
    let running = start(&config, bound, &tokens, Opened { store, vault, catalogue, clock }).await.expect("running");
    Server { router: running.control.router(), running, tokens, gateway, admin }
}

impl Server {
    async fn api(&self, path: &str) -> Value {
        let request = Request::get(format!("/api/v1{path}"))
            .header(header::AUTHORIZATION, format!("Bearer {}", *self.tokens.local.text))
            .body(Body::empty())
            .expect("a request");
        let response = self.router.clone().oneshot(request).await.expect("an answer");
        let bytes = response.into_body().collect().await.expect("a body").to_bytes();
        serde_json::from_slice(&bytes).expect("JSON")
    }

    async fn chat(&self, key: &str) -> (u16, Value) {
        let body = json!({"model": "gpt-5.4", "messages": [{"role": "user", "content": "Hello!"}]}).to_string();
        let request = Request::post("/openai/v1/chat/completions")
            .header(header::HOST, self.gateway.to_string())
            .header(header::AUTHORIZATION, format!("Bearer {key}"))
            .header(header::CONTENT_TYPE, "application/json")
            .body(body)
            .expect("a request");
        call(self.gateway, request).await
    }
}

async fn call(address: SocketAddr, request: Request<String>) -> (u16, Value) {
    let stream = TcpStream::connect(address).await.expect("a connection");
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.expect("HTTP");
    tokio::spawn(connection);
    let response = sender.send_request(request).await.expect("an answer");
    let status = response.status().as_u16();
    let bytes = response.into_body().collect().await.expect("a body").to_bytes();
    (status, serde_json::from_slice(&bytes).unwrap_or(Value::Null))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_goes_through_everything_and_is_counted_at_the_stop() {
    let folder = tempfile::tempdir().expect("a folder");
    let first = server(folder.path()).await;
    assert!(first.running.control.needs_setup());
    let key = demo::fill(&first.router, &first.tokens.local.text).await.expect("a demo");
    let (status, answer) = first.chat(&key).await;
    assert_eq!(status, 200, "{answer}");
    assert!(answer["choices"][0]["message"]["content"].as_str().is_some_and(|text| text.starts_with("Hello")));
    let metrics = first.running.outlet.metrics();
    assert!(metrics.contains("keyward_"), "{metrics}");
    let probe = |path: &'static str, admin: SocketAddr| async move {
        let request = Request::get(path).header(header::HOST, "admin").body(String::new()).expect("a request");
        call(admin, request).await.0
    };
    assert_eq!(probe("/readyz", first.admin).await, 200);
    let admin = first.admin;
    first.running.stop(Duration::from_secs(5)).await.expect("stopped");
    assert!(TcpStream::connect(admin).await.is_err(), "the listener is closed");

    // The next start finds the call in the database, and the key still opens.
    let second = server(folder.path()).await;
    let usage = second.api("/usage?by=key&since=24h").await;
    assert_eq!(usage["rows"][0]["requests"], 1, "{usage}");
    assert_eq!(usage["rows"][0]["key"], "demo-key");
    let (status, answer) = second.chat(&key).await;
    assert_eq!(status, 200, "key and credential open after a restart: {answer}");
    second.running.stop(Duration::from_secs(5)).await.expect("stopped");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_revoked_key_is_refused_by_the_next_call() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = server(folder.path()).await;
    let key = demo::fill(&server.router, &server.tokens.local.text).await.expect("a demo");
    assert_eq!(server.chat(&key).await.0, 200);
    let request = Request::post("/api/v1/keys/demo-key/revoke")
        .header(header::AUTHORIZATION, format!("Bearer {}", *server.tokens.local.text))
        .body(Body::empty())
        .expect("a request");
    assert_eq!(server.router.clone().oneshot(request).await.expect("an answer").status(), 200);
    let (status, answer) = server.chat(&key).await;
    assert_eq!((status, &answer["error"]["code"]), (401, &json!("revoked_key")));
    server.running.stop(Duration::from_secs(5)).await.expect("stopped");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_master_key_says_which_one_is_wanted() {
    let folder = tempfile::tempdir().expect("a folder");
    server(folder.path()).await.running.stop(Duration::from_secs(5)).await.expect("stopped");
    let path = folder.path().join("master.key");
    let wanted = keyward_vault::KeyFile::new(path.clone());
    let wanted = keyward_vault::MasterKeySource::load(&wanted).expect("readable").expect("there").id().to_string();
    std::fs::remove_file(&path).expect("removed");
    let config = config(folder.path());
    let store = Store::open(&location(&config)).await.expect("a database");
    let source = vault::source(&config.data, &Environment::default()).expect("a source");
    let missing = vault::open(&store, source.as_ref(), 0).await.err().expect("missing").to_string();
    assert!(missing.contains("master.key"), "{missing}");
    let other = keyward_vault::MasterKey::generate().expect("random");
    source.store(&other).expect("stored");
    let wrong = vault::open(&store, source.as_ref(), 0).await.err().expect("wrong").to_string();
    assert!(wrong.contains(&wanted) && wrong.contains(&other.id().to_string()), "{wrong}");
}
