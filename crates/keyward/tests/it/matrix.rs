//! Every operation of the catalogue against every reason to refuse it: the right status, the provider's own error
//! shape, and Keyward's reason in the header.

use crate::world::{PROJECT, World};
use keyward_domain::provider::{BodyKind, Dialect, ModelSource, Operation, Provider};
use keyward_testkit::{
    Gate, Script, Service,
    random::{ALNUM, text},
    wire::{Request, Response},
};
use serde_json::{Value, json};
use std::{collections::BTreeSet, sync::Arc};

/// A model that the filled-in requests name.
const MODEL: &str = "some-model";

/// The path of an operation on the gateway, with something in each parameter.
fn path(provider: &Provider, operation: &Operation) -> String {
    let mut filled = String::new();
    let mut rest = &*operation.path;
    while let Some((before, after)) = rest.split_once('{') {
        let (name, tail) = after.split_once('}').expect("a closed parameter");
        filled.push_str(before);
        let model = matches!(&operation.model,
        Some(ModelSource::Path(param)) if param.split('/').any(|part| part == name.trim_end_matches('.')));
        filled.push_str(if model { MODEL } else { "thing1" });
        rest = tail;
    }
    filled.push_str(rest);
    let query = match &operation.model {
        Some(ModelSource::Query(name)) => format!("?{name}={MODEL}"),
        _ => String::new(),
    };
    format!("{}{filled}{query}", provider.api.root)
}

/// The nested object that puts a value at a dotted path.
fn nested(dotted: &str, value: Value) -> Value {
    dotted.rsplit('.').fold(value, |inner, name| json!({name: inner}))
}

/// A request for an operation, as good as it can be made from the catalogue alone.
fn request(provider: &Provider, operation: &Operation) -> Request {
    let request = Request::new(&operation.method, &path(provider, operation));
    if operation.websocket {
        return request
            .header("connection", "upgrade")
            .header("upgrade", "websocket")
            .header("sec-websocket-version", "13")
            .header("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==");
    }
    let model = match &operation.model {
        Some(ModelSource::Body(field)) => Some(field),
        _ => None,
    };
    match operation.request {
        BodyKind::Json => {
            let body = model.map_or_else(|| json!({}), |field| nested(field, json!(MODEL)));
            request.header("content-type", "application/json").body(body.to_string())
        }
        BodyKind::Multipart => {
            let mut parts: Vec<(&str, Option<&str>, &[u8])> = Vec::new();
            parts.extend(model.map(|field| (&**field, None, MODEL.as_bytes())));
            parts.push(("file", Some("a.bin"), b"some bytes of a file"));
            request.form(&parts)
        }
        BodyKind::Bytes => request.header("content-type", "application/octet-stream").body("some bytes of a file"),
        BodyKind::None => request,
    }
}

/// The error's text in the provider's shape; none when the body does not have that shape.
fn message(dialect: Dialect, answer: &Response) -> Option<String> {
    let body: Value = serde_json::from_slice(&answer.body).ok()?;
    let text = |pointer: &str| body.pointer(pointer).and_then(Value::as_str).map(str::to_owned);
    let number = |pointer: &str| body.pointer(pointer).and_then(Value::as_u64);
    match dialect {
        Dialect::Openai => {
            text("/error/type")?;
            body.pointer("/error/code")?;
            text("/error/message")
        }
        Dialect::Anthropic => {
            text("/type").filter(|kind| kind == "error")?;
            text("/error/type")?;
            text("/error/message")
        }
        Dialect::Gemini => {
            number("/error/code")?;
            text("/error/status")?;
            text("/error/message")
        }
        Dialect::Bedrock => {
            answer.header("x-amzn-errortype")?;
            text("/message").or_else(|| text("/Message"))
        }
        Dialect::Cohere => text("/message"),
        Dialect::Elevenlabs => {
            text("/detail/status")?;
            text("/detail/message")
        }
        Dialect::Replicate => {
            text("/title")?;
            number("/status")?;
            text("/detail")
        }
        Dialect::Plain => text("/error"),
    }
}

/// A reason to refuse, with the key that brings it about.
struct Row {
    name: &'static str,
    key: Option<String>,
    status: u16,
    reason: &'static str,
    applies: fn(&Operation) -> bool,
}

fn row(name: &'static str, key: String, status: u16, reason: &'static str) -> Row {
    Row { name, key: Some(key), status, reason, applies: |_| true }
}

/// Everything that the matrix runs over.
struct Matrix {
    world: World,
    everything: Value,
    wrong: Vec<String>,
    tried: usize,
}

impl Matrix {
    fn new() -> Self {
        let world = World::with(&Service::ALL);
        for service in Service::ALL {
            world.credential(service, service.id(), Script::default());
        }
        // Any endpoint that speaks a known dialect: here OpenAI's emulator.
        let emulator = world.emulator(Service::OpenAi);
        let secret = emulator.key_with(Script::default());
        let _told = world.server.add_credential(PROJECT, "compatible", "compatible", &emulator.base_url(), &secret);
        let names: BTreeSet<&str> = world
            .providers()
            .iter()
            .flat_map(|provider| provider.operations.iter().map(|operation| &*operation.name))
            .collect();
        let everything = json!({"providers": ["*"], "operations": names});
        Self { world, everything, wrong: Vec::new(), tried: 0 }
    }

    fn with(&self, field: &str, value: Value) -> Value {
        let mut policy = self.everything.clone();
        policy[field] = value;
        policy
    }

    fn key(&self, name: &str, field: &str, value: Value) -> String {
        self.world.key(name, self.with(field, value))
    }

    /// Tries every operation of every provider against a row.
    fn run(&mut self, row: &Row) {
        let providers: Vec<Arc<Provider>> = self.world.providers().to_vec();
        for provider in &providers {
            for operation in provider.operations.iter().filter(|operation| (row.applies)(operation)) {
                self.tried += 1;
                let mut request = request(provider, operation);
                if let Some(key) = &row.key {
                    request = request.header(&provider.auth.header, &format!("{}{key}", provider.auth.prefix));
                }
                // A claim about the caller's address that nobody has vouched for.
                let request = request.header("x-forwarded-for", "192.0.2.1").header("forwarded", "for=192.0.2.1");
                let answer = self.world.send(&request);
                let told = (answer.status, answer.header("keyward-error"));
                let dialect = operation.dialect.unwrap_or(provider.api.dialect);
                let shaped = message(dialect, &answer).is_some_and(|text| !text.is_empty());
                if told != (row.status, Some(row.reason)) || !shaped {
                    self.wrong.push(format!(
                        "{} × {} {} {}: {told:?} {}",
                        row.name,
                        provider.id,
                        operation.method,
                        operation.path,
                        answer.text()
                    ));
                }
                let retry = answer.header("x-should-retry");
                if row.status != 429 && retry != Some("false") && row.reason != "outside_hours" {
                    self.wrong.push(format!(
                        "{} × {} {}: x-should-retry is {retry:?}",
                        row.name, provider.id, operation.path
                    ));
                }
            }
        }
    }
}

/// A day of the week that is neither today nor next to it, by the server's clock.
fn another_day(world: &World) -> &'static str {
    let answer = Request::get("/healthz").send(world.server.admin());
    let date = answer.header("date").expect("answers have a date").to_lowercase();
    let days = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];
    let today = days.iter().position(|day| date.starts_with(day)).expect("a date begins with the day");
    days[(today + 3) % 7]
}

/// A key of the right shape that nobody made.
fn unknown_key() -> String {
    let mut random = [0; 128];
    random.iter_mut().zip(text(ALNUM, 128).bytes()).for_each(|(slot, byte)| *slot = byte);
    let environment = keyward_domain::Environment::Production;
    keyward_domain::token::generate(environment, None, &random).expect("enough random bytes").text.to_string()
}

/// The same key with two of its last characters exchanged for others.
fn damaged(key: &str) -> String {
    let last = if key.ends_with('0') { "1" } else { "0" };
    format!("{}{last}", &key[..key.len() - 1])
}

fn has_model(operation: &Operation) -> bool {
    // A WebSocket's model may come later, in its messages; an object's operations have none of their own.
    operation.model.is_some()
        && operation.object.is_none()
        && !(operation.websocket && matches!(operation.model, Some(ModelSource::Body(_))))
}

fn has_body(operation: &Operation) -> bool {
    operation.request != BodyKind::None && !operation.websocket
}

#[test]
fn every_operation_is_refused_for_every_reason_in_the_providers_own_words() {
    let mut matrix = Matrix::new();
    let good = matrix.world.key("good", matrix.everything.clone());
    let revoked = matrix.world.key("revoked", matrix.everything.clone());
    let _told = matrix.world.server.tell(&["key", "revoke", "revoked"]);
    let expired = matrix.world.make_key(json!({"project": PROJECT, "environment": "production",
        "name": "expired", "policy": matrix.everything, "expires_in": "1ms"}));
    let expired = expired["key"].as_str().expect("a key").to_owned();
    let day = another_day(&matrix.world);
    let rows = [
        Row { name: "no key", key: None, status: 401, reason: "missing_key", applies: |_| true },
        row("garbage", "sk-garbage".to_owned(), 401, "malformed_key"),
        row("wrong checksum", damaged(&good), 401, "damaged_key"),
        row("unknown", unknown_key(), 401, "unknown_key"),
        row("expired", expired, 401, "expired_key"),
        row("revoked", revoked, 401, "revoked_key"),
        row(
            "wrong network",
            matrix.key("network", "networks", json!(["192.0.2.0/24", "2001:db8::/32"])),
            403,
            "network_not_allowed",
        ),
        row("wrong hours", matrix.key("hours", "hours", json!(format!("{day} 00:00-24:00 UTC"))), 403, "outside_hours"),
        Row {
            applies: has_model,
            ..row("wrong model", matrix.key("model", "models", json!(["another-*"])), 403, "model_not_allowed")
        },
        Row {
            applies: has_body,
            ..row("too large", matrix.key("large", "max_body_bytes", json!(1)), 413, "body_too_large")
        },
        Row {
            applies: |operation| &*operation.name != "models",
            ..row(
                "wrong operation",
                matrix.key("models-only", "operations", json!(["models"])),
                403,
                "operation_not_allowed",
            )
        },
        Row {
            applies: |operation| &*operation.name == "models",
            ..row(
                "wrong operation",
                matrix.key("chat-only", "operations", json!(["chat"])),
                403,
                "operation_not_allowed",
            )
        },
    ];
    for row in &rows {
        matrix.run(row);
    }
    assert!(matrix.wrong.is_empty(), "{} of {}:\n{}", matrix.wrong.len(), matrix.tried, matrix.wrong.join("\n"));
    assert!(matrix.tried > 1_500, "only {} combinations: is the catalogue all there?", matrix.tried);
    for service in Service::ALL {
        // A form that names a forbidden model may have begun its way; it never arrives.
        let arrived = matrix.world.emulator(service).requests().into_iter().find(|record| record.body_complete);
        assert!(arrived.is_none(), "a refused call reached {service:?}: {arrived:?}");
    }
}

#[test]
fn every_operation_counts_against_rate_and_concurrency() {
    let mut matrix = Matrix::new();
    // One call per minute, and that one is used up here.
    let slow = matrix.key("slow", "requests_per_minute", json!(1));
    let first = matrix.world.send(&matrix.world.call(Service::OpenAi, false, &slow));
    assert_eq!(first.status, 200, "{}", first.text());
    matrix.run(&row("over rate", slow, 429, "rate_limited"));

    // One call at once, and that one stands at the provider.
    let gate = Gate::new();
    let secret = matrix.world.emulator(Service::OpenAi).requests()[0].header("authorization").next().expect("a key")
        [7..]
        .to_owned();
    matrix.world.emulator(Service::OpenAi).script(&secret, Script::default().stopping_at(1, &gate));
    let single = matrix.key("single", "concurrency", json!(1));
    let mut held = matrix.world.open(&matrix.world.call(Service::OpenAi, true, &single));
    held.read_until("Hello");
    matrix.run(&row("over concurrency", single.clone(), 429, "concurrency_limited"));
    gate.open();
    let (_, complete) = held.rest();
    assert!(complete);
    crate::world::eventually("the place to be free again", || {
        (matrix.world.send(&matrix.world.call(Service::OpenAi, false, &single)).status == 200).then_some(())
    });

    // Forty tokens per minute, and the first call uses 29 of them.
    let thrifty = matrix.key("thrifty", "tokens_per_minute", json!(40));
    let first = matrix.world.send(&matrix.world.call(Service::OpenAi, false, &thrifty));
    assert_eq!(first.status, 200, "{}", first.text());
    let second = matrix.world.send(&matrix.world.call(Service::OpenAi, false, &thrifty));
    assert_eq!((second.status, second.header("keyward-error")), (429, Some("tokens_limited")), "{}", second.text());
    assert!(second.header("retry-after").is_some(), "{:?} {}", second.headers, second.text());
    assert!(matrix.wrong.is_empty(), "{} of {}:\n{}", matrix.wrong.len(), matrix.tried, matrix.wrong.join("\n"));
}

#[test]
fn rates_say_when_to_come_again() {
    let (world, _) = World::simple(Service::OpenAi, Script::default());
    let key = world.key("slow", json!({"providers": ["openai"], "requests_per_minute": 1}));
    let call = world.call(Service::OpenAi, false, &key);
    assert_eq!(world.send(&call).status, 200);
    let refused = world.send(&call);
    assert_eq!(refused.header("keyward-error"), Some("rate_limited"));
    let seconds: u64 = refused.header("retry-after").and_then(|text| text.parse().ok()).expect("seconds to wait");
    assert!((1..=60).contains(&seconds), "{seconds}");
}

#[test]
fn every_operation_of_a_good_key_goes_through_to_the_provider() {
    let services: Vec<Service> = Service::ALL.to_vec();
    let world = World::with(&services);
    let mut wrong = Vec::new();
    for service in services {
        world.credential(service, service.id(), Script::default());
        let provider = Arc::clone(world.provider(service));
        let names: BTreeSet<&str> = provider.operations.iter().map(|operation| &*operation.name).collect();
        let key = world.key(service.id(), json!({"providers": [service.id()], "operations": names}));
        let plain = provider.operations.iter().filter(|operation| operation.object.is_none() && !operation.websocket);
        for operation in plain {
            let before = world.emulator(service).count();
            let request = request(&provider, operation);
            let request = request.header(&provider.auth.header, &format!("{}{key}", provider.auth.prefix));
            let answer = world.send(&request);
            let seen = world.emulator(service).requests();
            let Some(record) = seen.get(before) else {
                wrong.push(format!(
                    "{} {} {}: {} {}",
                    provider.id,
                    operation.method,
                    operation.path,
                    answer.status,
                    answer.text()
                ));
                continue;
            };
            if keyward_testkit::find(&record.bytes(), b"kw_prod_").is_some() || answer.header("keyward-error").is_some()
            {
                wrong.push(format!("{} {}: {:?}", provider.id, operation.path, answer.headers));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
