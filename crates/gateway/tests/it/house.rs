//! A gateway with one project, one provider and one key, in front of a provider that a test plays by hand.

use crate::lender::Ledger;
use bytes::Bytes;
use keyward_domain::{
    CredentialId, Environment, KeyId, ProjectId,
    budget::{Budget, SharedRates},
    grant::{Grant, SecretSlot},
    policy::Policy,
    price::{Price, PriceBook, Rates},
    provider::Provider,
    secret::{Place, PlainKey},
    snapshot::{Everything, Route, RouteCredential, Update},
    token::{self, NewToken},
    usage::{GatewayEvent, UsageEvent},
};
use keyward_gateway::{Gateway, Settings};
use keyward_vault::{MasterKey, Vault};
use std::{
    net::{SocketAddr, TcpListener as StdListener},
    sync::Arc,
    time::Duration,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

/// The real keys that the provider must see and no client ever.
pub(crate) const REAL: &str = "real-key-that-must-not-show";
pub(crate) const SECOND: &str = "second-key-that-must-not-show";

/// Everything around a running gateway.
pub(crate) struct House {
    pub(crate) gateway: Gateway,
    pub(crate) ledger: Arc<Ledger>,
    pub(crate) key: String,
    grant: Grant,
    _folder: tempfile::TempDir,
}

/// How a house differs from the usual one.
pub(crate) struct Plan {
    pub(crate) settings: Box<dyn FnOnce(&mut Settings)>,
    pub(crate) policy: Policy,
    pub(crate) http2: bool,
    pub(crate) allow_private: bool,
    pub(crate) credentials: Vec<&'static str>,
    /// The API root, if it is not plain HTTP at the provider's address.
    pub(crate) base_url: Option<String>,
    pub(crate) budgets: Vec<Budget>,
    pub(crate) rates: Vec<SharedRates>,
    /// What the provider does when a client hangs up.
    pub(crate) on_hangup: &'static str,
}

impl Default for Plan {
    fn default() -> Self {
        Self {
            settings: Box::new(|_| {}),
            policy: Policy { providers: Some(vec!["*".into()]), ..Policy::default() },
            http2: false,
            allow_private: true,
            credentials: vec![REAL],
            base_url: None,
            budgets: Vec::new(),
            rates: Vec::new(),
            on_hangup: "cancel",
        }
    }
}

impl House {
    /// Builds a house whose provider listens at the given address.
    pub(crate) fn build(provider: SocketAddr, plan: Plan) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut settings = Settings::new(folder.path().join("journal"));
        settings.threads = 2;
        (plan.settings)(&mut settings);
        let (vault, _) = Vault::initialise(MasterKey::generate().unwrap(), 0).unwrap();
        let vault = Arc::new(vault);
        let NewToken { text, public_id, hash } = new_token();
        let grant = Grant {
            key: KeyId::new(1, [1; 10]),
            public_id,
            project: ProjectId::new(1, [2; 10]),
            environment: Environment::Production,
            secrets: vec![SecretSlot { hash, until: None }],
            revoked: false,
            expires_at: None,
            policy: Arc::new(plan.policy),
        };
        let credentials = (1..).zip(&plan.credentials).map(|(number, secret)| {
            let id = CredentialId::new(1, [number; 10]);
            let place = Place {
                table: "credential",
                tenant: grant.project.uuid(),
                record: id.uuid(),
                version: 1,
                field: "secret",
            };
            RouteCredential {
                id,
                version: 1,
                sealed: vault.seal(&place, &PlainKey::new(secret.as_bytes().to_vec())).unwrap(),
                place,
                base_url: plan.base_url.clone().unwrap_or_else(|| format!("http://{provider}/v1")).into(),
                allow_private: plan.allow_private,
                order: u32::from(number),
                weight: 1,
                out_until: None,
            }
        });
        let route = Route {
            project: grant.project,
            environment: grant.environment,
            provider: "test".into(),
            credentials: credentials.collect(),
        };
        let listener = StdListener::bind("127.0.0.1:0").unwrap();
        let ledger = Arc::new(Ledger::default());
        for budget in &plan.budgets {
            ledger.set_limit(budget.id, budget.limit.nano());
        }
        let known = Update::Everything(Box::new(Everything {
            providers: vec![Arc::new(descriptor(plan.http2, plan.on_hangup))],
            grants: vec![grant.clone()],
            routes: vec![route],
            prices: Arc::new(prices()),
            budgets: plan.budgets,
            rates: plan.rates,
            objects: Vec::new(),
        }));
        let lender = Arc::<Ledger>::clone(&ledger);
        let gateway = Gateway::start(listener, settings, vault, lender, [known]).unwrap();
        Self { gateway, ledger, key: text.to_string(), grant, _folder: folder }
    }

    /// Stops the gateway; what it had lent has gone back when this returns.
    pub(crate) async fn stop(self) -> Arc<Ledger> {
        let Self { gateway, ledger, .. } = self;
        let report = tokio::task::spawn_blocking(move || gateway.stop(Duration::from_secs(20))).await.unwrap();
        assert!(report.in_time, "{report:?}");
        ledger
    }

    /// The head of a request with the house's key; `more` are further lines, each with its line end.
    pub(crate) fn head(&self, method: &str, path: &str, more: &str) -> String {
        format!("{method} /test/v1{path} HTTP/1.1\r\nhost: gateway\r\nauthorization: Bearer {}\r\n{more}\r\n", self.key)
    }

    /// A JSON request with the house's key.
    pub(crate) fn post(&self, path: &str, body: &str) -> String {
        let more = format!("content-type: application/json\r\ncontent-length: {}\r\n", body.len());
        self.head("POST", path, &more) + body
    }

    /// A connection to the gateway.
    pub(crate) async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.gateway.address()).await.unwrap()
    }

    /// Changes what the key may do, or revokes it.
    pub(crate) fn change(&self, change: impl FnOnce(&mut Grant)) {
        let mut grant = self.grant.clone();
        change(&mut grant);
        self.gateway.apply(Update::Grants(vec![grant]));
    }

    /// Waits for the next events of the journal.
    pub(crate) async fn events(&self, count: usize) -> Vec<GatewayEvent> {
        let mut reader = self.gateway.journal();
        let mut events = Vec::new();
        while events.len() < count {
            let batch = reader.next_batch(count - events.len());
            events.extend(batch.into_iter().map(|(_, event)| event));
            tokio::task::yield_now().await;
        }
        events
    }

    /// Waits for the one usage event of the one call that was made.
    pub(crate) async fn usage(&self) -> UsageEvent {
        match self.events(1).await.remove(0) {
            GatewayEvent::Usage(usage) => *usage,
            other => panic!("not a usage event: {other:?}"),
        }
    }
}

fn new_token() -> NewToken {
    let mut random = [0; 128];
    let seed = rustls::crypto::aws_lc_rs::default_provider();
    seed.secure_random.fill(&mut random).unwrap();
    token::generate(Environment::Production, None, &random).unwrap()
}

/// A model: 1 USD for a million tokens of input, 10 for output, a thousand of them at most. And one that gives more.
fn prices() -> PriceBook {
    let rates = Rates { input: Some(1_000_000_000), output: Some(10_000_000_000), ..Rates::default() };
    let price = Price {
        provider: "test".into(),
        model: "m".into(),
        rates,
        context: Some(10_000),
        max_output: Some(1_000),
        ..Price::default()
    };
    let large =
        Price { model: "large".into(), context: Some(400_000), max_output: Some(100_000), ..Price::clone(&price) };
    PriceBook::new("test-1", vec![price, large])
}

fn descriptor(http2: bool, on_hangup: &str) -> Provider {
    let descriptor = serde_json::json!({
        "id": "test",
        "name": "Test",
        "as_of": "2026-11-21",
        "on_hangup": on_hangup,
        "api": {"base_url": "", "root": "/test/v1", "dialect": "openai", "http": if http2 { "2" } else { "1.1" }},
        "auth": {"header": "authorization", "prefix": "Bearer ", "strip_response": ["x-account"]},
        "operations": [
            {"name": "chat", "method": "POST", "path": "/chat", "request": "json", "model": {"body": "model"},
             "usage": "chat", "output_cap": ["max_tokens"], "stream_flag": "stream", "include_usage": true},
            {"name": "raw", "method": "POST", "path": "/raw", "request": "bytes"},
            {"name": "files", "method": "GET", "path": "/files/{name...}"},
            {"name": "head", "method": "HEAD", "path": "/files/{name...}"},
            {"name": "live", "method": "GET", "path": "/live", "websocket": true},
        ],
        "usage": {"chat": {"roots": ["usage"], "counters": {"input": ["prompt_tokens"], "output": ["completion_tokens"]}}},
        "error_fields": {"code": ["error.code"], "message": ["error.message"]},
        "errors": [{"status": [401], "code": ["dead"], "cause": "key_unknown", "remedy": "make a new one"}],
    });
    serde_json::from_value(descriptor).unwrap()
}

/// A provider that a test plays.
pub(crate) struct Played {
    listener: TcpListener,
}

impl Played {
    pub(crate) async fn start() -> Self {
        Self { listener: TcpListener::bind("127.0.0.1:0").await.unwrap() }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.listener.local_addr().unwrap()
    }

    /// The next connection of the gateway.
    pub(crate) async fn accept(&self) -> TcpStream {
        let (stream, _) = self.listener.accept().await.unwrap();
        stream.set_nodelay(true).unwrap();
        stream
    }
}

/// Reads one message with a `content-length`, or none: its head and its body.
pub(crate) async fn message(stream: &mut TcpStream) -> (String, Bytes) {
    let (head, mut body) = head(stream).await;
    let length = head.lines().find_map(|line| {
        let (name, value) = line.split_once(": ")?;
        name.eq_ignore_ascii_case("content-length").then(|| value.parse::<usize>().unwrap())
    });
    let mut piece = vec![0; 64 << 10];
    while body.len() < length.unwrap_or(0) {
        let count = stream.read(&mut piece).await.unwrap();
        assert!(count > 0, "closed within a body after {} bytes", body.len());
        body.extend_from_slice(&piece[..count]);
    }
    (head, body.into())
}

/// Reads a head, and whatever came with it.
pub(crate) async fn head(stream: &mut TcpStream) -> (String, Vec<u8>) {
    let mut bytes = Vec::new();
    loop {
        let mut piece = [0; 4096];
        let count = stream.read(&mut piece).await.unwrap();
        assert!(count > 0, "closed within a head: {:?}", String::from_utf8_lossy(&bytes));
        bytes.extend_from_slice(&piece[..count]);
        if let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            let body = bytes.split_off(end + 4);
            return (String::from_utf8(bytes).unwrap(), body);
        }
    }
}

/// Reads until some text has come.
pub(crate) async fn until(stream: &mut TcpStream, text: &str) -> String {
    let mut all = String::new();
    while !all.contains(text) {
        let mut piece = [0; 4096];
        let count = stream.read(&mut piece).await.unwrap();
        assert!(count > 0, "closed before {text:?}: {all:?}");
        all.push_str(&String::from_utf8_lossy(&piece[..count]));
    }
    all
}

/// Reads until the other side closes or breaks the connection.
pub(crate) async fn rest(stream: &mut TcpStream) -> String {
    let mut all = Vec::new();
    let mut piece = [0; 4096];
    while let Ok(count @ 1..) = stream.read(&mut piece).await {
        all.extend_from_slice(&piece[..count]);
    }
    String::from_utf8_lossy(&all).into_owned()
}

pub(crate) async fn write(stream: &mut TcpStream, text: impl AsRef<[u8]>) {
    stream.write_all(text.as_ref()).await.unwrap();
}

/// A limit for what must not hang.
pub(crate) async fn soon<T>(part: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(20), part).await.expect("in time")
}
