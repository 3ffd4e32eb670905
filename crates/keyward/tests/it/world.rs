//! A server, the emulators behind it, and the few steps that nearly every test begins with.

use keyward_catalogue::Catalogue;
use keyward_domain::provider::Provider;
use keyward_testkit::{
    Emulator, Keyward, PATIENCE, Script, Service,
    calls::{Sample, main_call},
    cli::Run,
    server::Options,
    wire::{Answer, Request, Response},
};
use serde_json::{Value, json};
use std::{process::Command, sync::Arc, time::Instant};

/// The binary under test.
pub(crate) const BINARY: &str = env!("CARGO_BIN_EXE_keyward");
/// The project that everything belongs to unless a test says otherwise.
pub(crate) const PROJECT: &str = "shop";

/// A server with its providers.
pub(crate) struct World {
    pub(crate) server: Keyward,
    emulators: Vec<Emulator>,
    catalogue: Catalogue,
}

impl World {
    /// A server with a recovery identity and a project, and an emulator for each of these providers.
    pub(crate) fn with(services: &[Service]) -> Self {
        Self::with_options(services, Options::default())
    }

    /// The same with options for `serve`.
    pub(crate) fn with_options(services: &[Service], options: Options) -> Self {
        Self::around(Keyward::start_with(BINARY, options), services)
    }

    /// The same with a server that runs.
    pub(crate) fn around(server: Keyward, services: &[Service]) -> Self {
        server.prepare(PROJECT);
        let emulators = services.iter().copied().map(Emulator::start).collect();
        Self { server, emulators, catalogue: Catalogue::embedded().expect("the catalogue is sound") }
    }

    /// One provider, one credential with a script, one key that may do everything with it: the commonest beginning.
    pub(crate) fn simple(service: Service, script: Script) -> (Self, String) {
        let world = Self::with(&[service]);
        world.credential(service, "main", script);
        let key = world.key("web", json!({"providers": [service.id()]}));
        (world, key)
    }

    pub(crate) fn emulator(&self, service: Service) -> &Emulator {
        self.emulators.iter().find(|emulator| emulator.service() == service).expect("the world has this provider")
    }

    pub(crate) fn provider(&self, service: Service) -> &Arc<Provider> {
        self.catalogue.provider(service.id()).expect("the catalogue has this provider")
    }

    pub(crate) fn providers(&self) -> &[Arc<Provider>] {
        self.catalogue.providers()
    }

    /// The path of the API root at the provider's own host.
    fn api_path(&self, service: Service) -> String {
        let base = &self.provider(service).api.base_url;
        let after_host = base.split_once("://").and_then(|(_, rest)| rest.split_once('/')).map(|(_, path)| path);
        after_host.filter(|path| !path.is_empty()).map_or_else(String::new, |path| format!("/{path}"))
    }

    /// What a credential's base URL must be so that the emulator stands for the provider.
    pub(crate) fn base_url(&self, service: Service) -> String {
        format!("{}{}", self.emulator(service).origin(), self.api_path(service))
    }

    /// The path on the gateway that stands for a path at the provider's host.
    pub(crate) fn gateway_path(&self, service: Service, path: &str) -> String {
        let below = path.strip_prefix(self.api_path(service).as_str()).expect("the path is below the API's root");
        format!("{}{below}", self.provider(service).api.root)
    }

    /// Adds a credential whose calls are answered by a script; gives the real secret.
    pub(crate) fn credential(&self, service: Service, name: &str, script: Script) -> String {
        let secret = self.emulator(service).key_with(script);
        self.add(service, name, &secret);
        secret
    }

    /// Adds a credential with a given secret; gives what was told.
    pub(crate) fn add(&self, service: Service, name: &str, secret: &str) -> Value {
        self.server.add_credential(PROJECT, service.id(), name, &self.base_url(service), secret)
    }

    /// Makes a key in production with a policy; gives its text.
    #[expect(clippy::needless_pass_by_value, reason = "the policy is written where it is passed")]
    pub(crate) fn key(&self, name: &str, policy: Value) -> String {
        let made =
            self.make_key(json!({"project": PROJECT, "environment": "production", "name": name, "policy": policy}));
        made["key"].as_str().expect("a new key is told").to_owned()
    }

    /// Makes a key from a whole request; gives the answer.
    #[expect(clippy::needless_pass_by_value, reason = "the body is written where it is passed")]
    pub(crate) fn make_key(&self, body: Value) -> Value {
        let made = self.server.api("POST", "/api/v1/keys", Some(&body));
        assert_eq!(made.status, 201, "{}", made.text());
        made.json()
    }

    /// The provider's main call through the gateway.
    pub(crate) fn call(&self, service: Service, stream: bool, key: &str) -> Request {
        self.sample(service, &main_call(service, stream), key)
    }

    /// A call of a provider through the gateway.
    pub(crate) fn sample(&self, service: Service, sample: &Sample, key: &str) -> Request {
        sample.request_at(&self.gateway_path(service, &sample.path), key)
    }

    pub(crate) fn send(&self, request: &Request) -> Response {
        request.send(self.server.gateway())
    }

    pub(crate) fn open(&self, request: &Request) -> Answer {
        request.open(self.server.gateway())
    }

    /// The usage rows by some grouping.
    pub(crate) fn usage(&self, by: &str) -> Vec<Value> {
        let answer = self.server.api("GET", &format!("/api/v1/usage?by={by}&since=24h"), None);
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer.json()["rows"].as_array().expect("rows").clone()
    }

    /// Waits until a key's usage row counts this many calls.
    pub(crate) fn usage_of(&self, key_name: &str, requests: u64) -> Value {
        eventually(&format!("{requests} calls of {key_name} in the usage"), || {
            self.usage("key")
                .into_iter()
                .find(|row| row["key"] == key_name && row["requests"].as_u64() == Some(requests))
        })
    }

    /// What a key's calls add up to in the database, column by column of the totals: finer than any answer of the API.
    pub(crate) fn totals(&self, key_name: &str) -> Value {
        let path = self.server.data().join("keyward.db");
        let mut command = Command::new("sqlite3");
        command.args(["-readonly", "-json"]).arg(path).arg(format!(
            "select u.* from usage_hourly u join usage_series s on s.id = u.series join keys k on k.id = s.key_id \
             where k.name = '{key_name}'"
        ));
        let rows = Run::of(command, b"").ok().json();
        let rows = rows.as_array().expect("rows");
        let mut sums = serde_json::Map::new();
        for (name, value) in rows.iter().filter_map(Value::as_object).flatten() {
            let sum = sums.get(name).and_then(Value::as_i64).unwrap_or(0) + value.as_i64().unwrap_or(0);
            sums.insert(name.clone(), json!(sum));
        }
        Value::Object(sums)
    }

    /// The only credential of a name, as the API shows it.
    pub(crate) fn credential_state(&self, name: &str) -> Value {
        let answer = self.server.api("GET", &format!("/api/v1/credentials?project={PROJECT}"), None);
        let all = answer.json();
        let items = all["items"].as_array().expect("items");
        items.iter().find(|item| item["name"] == name).expect("the credential is listed").clone()
    }
}

/// Asks until there is an answer. For what comes by itself within a moment, such as a batch of events in the database.
#[track_caller]
pub(crate) fn eventually<T>(what: &str, ask: impl Fn() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(Instant::now() < deadline, "waited {PATIENCE:?} for {what}");
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
}

/// Fails unless Keyward itself refused the call for this reason, with this status.
#[track_caller]
pub(crate) fn assert_refused(answer: &Response, status: u16, reason: &str) {
    let told = (answer.status, answer.header("keyward-error"));
    assert_eq!(told, (status, Some(reason)), "{}", answer.text());
}

/// Fails unless the call reached the provider and was answered well.
#[track_caller]
pub(crate) fn assert_answered(answer: &Response) {
    let good = (200..300).contains(&answer.status) && answer.header("keyward-error").is_none();
    assert!(good, "{} {:?} {}", answer.status, answer.header("keyward-error"), answer.text());
}
