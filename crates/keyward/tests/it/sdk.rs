//! Unmodified SDKs and curl work through the gateway by environment variables alone: unary, streamed, and errors as
//! the SDK's own exceptions, Keyward's own as well as the provider's.

use crate::world::World;
use keyward_testkit::{Script, Service, State, cli::Run, emulator::Fault, sdk};
use serde_json::{Map, Value, json};
use std::process::Command;

/// One world for an SDK: a good key, and keys that must fail, by the name of their case.
struct Bench {
    world: World,
    service: Service,
    good: String,
    failing: Map<String, Value>,
}

impl Bench {
    fn new(service: Service, operations: &[&str]) -> Self {
        let world = World::with(&[service]);
        world.credential(service, "main", Script::default());
        let allowed = json!({"providers": [service.id()], "operations": operations});
        let good = world.key("good", allowed.clone());
        let mut failing = Map::new();
        let mut add = |name: &str, key: String| failing.insert(name.to_owned(), json!(key));
        let revoked = world.key("revoked", allowed.clone());
        let _told = world.server.tell(&["key", "revoke", "revoked"]);
        add("revoked", revoked);
        add("foreign", service.new_key());
        add("model", world.key("model", with(&allowed, "models", json!(["nothing-*"]))));
        add("network", world.key("network", with(&allowed, "networks", json!(["192.0.2.0/24"]))));
        add("large", world.key("large", with(&allowed, "max_body_bytes", json!(8))));
        let slow = world.key("slow", with(&allowed, "requests_per_minute", json!(1)));
        let _the_only_one = world.send(&world.call(service, false, &slow));
        add("rate", slow);
        for (name, state) in [("upstream-busy", State::Overloaded), ("upstream-rate", State::RateLimited)] {
            add(name, Self::elsewhere(&world, service, name, &allowed, state, Script::default()));
        }
        let broken = Script::default().failing(Fault::ErrorAt(1));
        add("upstream-broken-stream", Self::elsewhere(&world, service, "broken", &allowed, State::Live, broken));
        Self { world, service, good, failing }
    }

    /// A key in a project of its own, whose credential is in some state.
    fn elsewhere(world: &World, service: Service, name: &str, policy: &Value, state: State, script: Script) -> String {
        let _told = world.server.tell(&["project", "create", name]);
        let secret = world.emulator(service).key(state);
        world.emulator(service).script(&secret, script);
        let _told = world.server.add_credential(name, service.id(), "main", &world.base_url(service), &secret);
        let made =
            world.make_key(json!({"project": name, "environment": "production", "name": name, "policy": policy}));
        made["key"].as_str().expect("a key").to_owned()
    }

    fn url(&self, below_root: &str) -> String {
        format!("http://{}{}{below_root}", self.world.server.gateway(), self.world.provider(self.service).api.root)
    }

    fn environment(&self, [url_name, key_name]: [&'static str; 2], url: String) -> Vec<(&'static str, String)> {
        vec![
            (url_name, url),
            (key_name, self.good.clone()),
            ("KEYWARD_SDK_MODEL", self.service.model().to_owned()),
            ("KEYWARD_SDK_FAILING_KEYS", Value::Object(self.failing.clone()).to_string()),
        ]
    }

    /// The upstream saw only real keys.
    fn assert_upstream_clean(&self) {
        let requests = self.world.emulator(self.service).requests();
        assert!(!requests.is_empty());
        for request in requests {
            let bytes = request.bytes();
            assert!(
                keyward_testkit::find(&bytes, b"kw_prod_").is_none(),
                "a virtual key went upstream: {}",
                request.path
            );
        }
    }
}

fn with(policy: &Value, field: &str, value: Value) -> Value {
    let mut policy = policy.clone();
    policy[field] = value;
    policy
}

fn facts(run: Run) -> Value {
    run.ok().json()
}

fn text() -> String {
    Script::default().text
}

/// (case, the SDK's exception, status, Keyward's reason or none when the provider answered).
type Failure<'a> = (&'a str, &'a str, u16, Option<&'a str>);

#[track_caller]
fn assert_failures(facts: &Value, expected: &[Failure<'_>]) {
    for (case, class, status, reason) in expected {
        let seen = &facts["failures"][case];
        let told = (seen["class"].as_str(), seen["status"].as_u64(), seen["reason"].as_str());
        assert_eq!(told, (Some(*class), Some(u64::from(*status)), *reason), "{case}: {seen}");
    }
}

const OPENAI_OPERATIONS: &[&str] =
    &["chat", "responses", "embeddings", "models", "files", "batches", "audio", "speech"];

const OPENAI_FAILURES: &[Failure<'_>] = &[
    ("foreign", "AuthenticationError", 401, Some("malformed_key")),
    ("revoked", "AuthenticationError", 401, Some("revoked_key")),
    ("model", "PermissionDeniedError", 403, Some("model_not_allowed")),
    ("network", "PermissionDeniedError", 403, Some("network_not_allowed")),
    ("rate", "RateLimitError", 429, Some("rate_limited")),
    ("upstream-busy", "InternalServerError", 503, None),
    ("upstream-rate", "RateLimitError", 429, None),
];

#[test]
fn python_openai() {
    let bench = Bench::new(Service::OpenAi, OPENAI_OPERATIONS);
    let environment = bench.environment(["OPENAI_BASE_URL", "OPENAI_API_KEY"], bench.url(""));
    let facts = facts(sdk::python("openai_sdk.py", &environment));
    assert_eq!(facts["chat"], json!({"text": text(), "input": 19, "output": 10}));
    assert_eq!(facts["chat_stream"], json!({"text": text(), "output": null, "chunks_without_choices": 0}));
    assert_eq!(facts["chat_stream_with_usage"], json!({"text": text(), "output": 10, "chunks_without_choices": 1}));
    assert_eq!(facts["responses"], json!({"text": text(), "input": 19, "output": 10}));
    assert_eq!(facts["responses_stream"], json!({"text": text(), "last": "response.completed", "output": 10}));
    assert_eq!(facts["files"], json!({"content": "{\"a\":1}\n", "listed": true, "batch": "validating"}));
    assert_eq!((&facts["transcription"], &facts["speech"]), (&json!(text()), &json!(4 * 512)));
    assert_failures(&facts, OPENAI_FAILURES);
    assert_failures(&facts, &[("large", "APIStatusError", 413, Some("body_too_large"))]);
    assert_eq!(facts["failures"]["upstream-broken-stream"]["class"], "APIError", "{facts}");
    bench.assert_upstream_clean();
}

#[test]
fn node_openai() {
    let bench = Bench::new(Service::OpenAi, OPENAI_OPERATIONS);
    let environment = bench.environment(["OPENAI_BASE_URL", "OPENAI_API_KEY"], bench.url(""));
    let facts = facts(sdk::node("openai_sdk.cjs", &environment));
    assert_eq!(facts["chat"], json!({"text": text(), "input": 19, "output": 10}));
    assert_eq!(facts["chat_stream"], json!({"text": text(), "output": null, "chunks_without_choices": 0}));
    assert_eq!(facts["chat_stream_with_usage"], json!({"text": text(), "output": 10, "chunks_without_choices": 1}));
    assert_eq!(facts["responses_stream"], json!({"text": text(), "last": "response.completed", "output": 10}));
    assert_eq!(facts["files"], json!({"content": "{\"a\":1}\n"}));
    assert_failures(&facts, OPENAI_FAILURES);
    bench.assert_upstream_clean();
}

const ANTHROPIC_FAILURES: &[Failure<'_>] = &[
    ("foreign", "AuthenticationError", 401, Some("malformed_key")),
    ("revoked", "AuthenticationError", 401, Some("revoked_key")),
    ("model", "PermissionDeniedError", 403, Some("model_not_allowed")),
    ("network", "PermissionDeniedError", 403, Some("network_not_allowed")),
    ("rate", "RateLimitError", 429, Some("rate_limited")),
    ("upstream-rate", "RateLimitError", 429, None),
];

const ANTHROPIC_OPERATIONS: &[&str] = &["messages", "count-tokens", "models"];

#[test]
fn python_anthropic() {
    let bench = Bench::new(Service::Anthropic, ANTHROPIC_OPERATIONS);
    let environment = bench.environment(["ANTHROPIC_BASE_URL", "ANTHROPIC_API_KEY"], bench.url(""));
    let facts = facts(sdk::python("anthropic_sdk.py", &environment));
    assert_eq!(facts["message"], json!({"text": text(), "input": 19, "output": 10}));
    assert_eq!(facts["message_stream"], json!({"text": text(), "input": 19, "output": 10}));
    assert_eq!(facts["count"], 19);
    assert_failures(&facts, ANTHROPIC_FAILURES);
    assert_failures(&facts, &[("upstream-busy", "OverloadedError", 529, None)]);
    let broken = facts["failures"]["upstream-broken-stream"]["text"].as_str().unwrap_or_default();
    assert!(broken.contains("Overloaded"), "{facts}");
    bench.assert_upstream_clean();
}

#[test]
fn node_anthropic() {
    let bench = Bench::new(Service::Anthropic, ANTHROPIC_OPERATIONS);
    let environment = bench.environment(["ANTHROPIC_BASE_URL", "ANTHROPIC_API_KEY"], bench.url(""));
    let facts = facts(sdk::node("anthropic_sdk.cjs", &environment));
    assert_eq!(facts["message"], json!({"text": text(), "input": 19, "output": 10}));
    assert_eq!(facts["message_stream"], json!({"text": text(), "input": 19, "output": 10}));
    assert_failures(&facts, ANTHROPIC_FAILURES);
    bench.assert_upstream_clean();
}

#[test]
fn python_google_genai() {
    let bench = Bench::new(Service::Gemini, &["generate", "count-tokens", "models"]);
    let environment = bench.environment(["GOOGLE_GEMINI_BASE_URL", "GEMINI_API_KEY"], bench.url(""));
    let facts = facts(sdk::python("gemini_sdk.py", &environment));
    assert_eq!(facts["content"], json!({"text": text(), "input": 19, "output": 10}));
    assert_eq!(facts["content_stream"], json!({"text": text(), "output": 10}));
    assert_eq!(facts["count"], 19);
    assert_failures(
        &facts,
        &[
            ("foreign", "ClientError", 401, Some("malformed_key")),
            ("revoked", "ClientError", 401, Some("revoked_key")),
            ("model", "ClientError", 403, Some("model_not_allowed")),
            ("network", "ClientError", 403, Some("network_not_allowed")),
            ("rate", "ClientError", 429, Some("rate_limited")),
            ("upstream-busy", "ServerError", 503, None),
            ("upstream-rate", "ClientError", 429, None),
        ],
    );
    bench.assert_upstream_clean();
}

#[test]
fn python_cohere() {
    let mut bench = Bench::new(Service::Cohere, &["chat", "embeddings", "models"]);
    // Cohere ends a failed stream with an ordinary event, which its SDK does not raise.
    bench.failing.remove("upstream-broken-stream");
    let environment = bench.environment(["CO_API_URL", "CO_API_KEY"], bench.url(""));
    let facts = facts(sdk::python("cohere_sdk.py", &environment));
    assert_eq!(facts["chat"], json!({"text": text(), "billed_output": 10.0}));
    assert_eq!(facts["chat_stream"], json!({"text": text(), "billed_output": 10.0}));
    assert_failures(
        &facts,
        &[
            ("foreign", "UnauthorizedError", 401, Some("malformed_key")),
            ("revoked", "UnauthorizedError", 401, Some("revoked_key")),
            ("model", "ForbiddenError", 403, Some("model_not_allowed")),
            ("rate", "TooManyRequestsError", 429, Some("rate_limited")),
            ("upstream-busy", "ServiceUnavailableError", 503, None),
        ],
    );
    bench.assert_upstream_clean();
}

#[test]
fn curl() {
    let bench = Bench::new(Service::OpenAi, &["chat"]);
    let call = |key: &str, stream: bool| {
        let mut command = Command::new("curl");
        command.args(["-sS", "-i", "-N", "--max-time", "30"]).arg(bench.url("/chat/completions"));
        command.args(["-H", &format!("Authorization: Bearer {key}"), "-H", "Content-Type: application/json", "-d"]);
        command.arg(json!({"model": "gpt-5.4", "stream": stream, "messages": []}).to_string());
        Run::of(command, b"").ok().stdout
    };
    let unary = call(&bench.good, false);
    assert!(unary.starts_with("HTTP/1.1 200") && unary.contains(&text()), "{unary}");
    let stream = call(&bench.good, true);
    assert!(stream.contains("text/event-stream") && stream.contains("data: [DONE]"), "{stream}");
    let revoked = call(bench.failing["revoked"].as_str().expect("a key"), false);
    assert!(revoked.starts_with("HTTP/1.1 401") && revoked.contains("keyward-error: revoked_key"), "{revoked}");
    bench.assert_upstream_clean();
}
