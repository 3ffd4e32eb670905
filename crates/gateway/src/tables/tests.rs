use super::*;
use crate::{inbound, inbound::Inbound};
use http::Request;
use keyward_domain::{
    CredentialId,
    policy::Policy,
    provider::{Operation, Provider},
    secret::{Place, Sealed},
    snapshot::{Everything, Route},
    token::{self, NewToken},
};
use serde_json::{Value, json};

/// A provider with the operations that tests need, as a catalogue file would say it.
pub(crate) fn provider_json() -> Value {
    json!({
        "id": "openai", "name": "OpenAI", "as_of": "2026-11-21",
        "api": {
            "base_url": "https://api.openai.com/v1", "root": "/openai/v1", "dialect": "openai",
            "object_prefixes": ["https://api.openai.com/v1/files/", "files/"],
            "refused_query": ["fields", "alt=proto"],
        },
        "auth": {
            "header": "authorization", "prefix": "Bearer ",
            "strip_request": ["openai-organization"], "strip_response": ["openai-organization"],
        },
        "operations": [
            {
                "name": "chat", "method": "POST", "path": "/chat/completions", "request": "json",
                "model": {"body": "model"}, "usage": "chat", "output_cap": ["max_completion_tokens", "max_tokens"],
                "multipliers": ["n", "best_of"], "stream_flag": "stream", "include_usage": true, "references": ["file_id", "file_ids"],
            },
            {
                "name": "generate", "method": "POST", "path": "/models/{model}:generate", "request": "json",
                "model": {"path": "model"}, "usage": "chat", "output_cap": ["generationConfig.maxOutputTokens"],
            },
            {
                "name": "responses", "method": "POST", "path": "/responses", "request": "json",
                "model": {"body": "model"}, "usage": "responses", "output_cap": ["max_output_tokens"],
                "stream_flag": "stream", "creates": {"kind": "response", "id": ["response.id", "id"]},
                "references": ["previous_response_id"],
            },
            {
                "name": "transcribe", "method": "POST", "path": "/audio/transcriptions", "request": "multipart",
                "model": {"body": "model"}, "stream_flag": "stream",
            },
            {
                "name": "speech", "method": "POST", "path": "/audio/speech", "request": "json",
                "model": {"body": "model"}, "characters": "input",
            },
            {"name": "files", "method": "POST", "path": "/files", "request": "bytes", "default_allowed": false, "free": true,
             "creates": {"kind": "file", "id": ["id"]}},
            {"name": "files", "method": "GET", "path": "/files", "default_allowed": false, "free": true,
             "lists": {"kind": "file", "items": "data", "id": "id"}},
            {"name": "files", "method": "GET", "path": "/files/{file}", "default_allowed": false, "free": true,
             "object": {"kind": "file", "param": "file"}},
            {"name": "batch", "method": "POST", "path": "/batches", "request": "json",
             "also_models": ["requests[].params.model", "models[]"]},
            {"name": "predict", "method": "POST", "path": "/models/{owner}/{name}/predictions", "request": "json",
             "model": {"path": "owner/name"}},
            {"name": "models", "method": "GET", "path": "/models", "free": true},
            {"name": "realtime", "method": "GET", "path": "/realtime", "websocket": true, "model": {"query": "model"},
             "usage": "realtime"},
            {"name": "socket", "method": "GET", "path": "/socket", "websocket": true, "model": {"body": "model"},
             "usage": "realtime", "output_cap": ["max_output_tokens"], "references": ["file_id"]},
        ],
        "usage": {
            "chat": {
                "roots": ["usage"],
                "counters": {
                    "input": ["prompt_tokens"], "cache_read": ["prompt_tokens_details.cached_tokens"],
                    "output": ["completion_tokens"], "reasoning": ["completion_tokens_details.reasoning_tokens"],
                },
                "input_includes": ["cache_read"], "output_includes": ["reasoning"],
                "tier": ["service_tier"], "base_tiers": ["default"], "model": ["model"],
            },
            "responses": {
                "roots": ["", "response"],
                "counters": {"input": ["usage.input_tokens"], "output": ["usage.output_tokens"]},
                "model": ["model", "response.model"],
            },
            "realtime": {
                "roots": ["response.usage"], "merge": "sum", "events": ["response.done"],
                "counters": {"input": ["input_tokens"], "output": ["output_tokens"]},
            },
        },
        "error_fields": {"kind": ["error.type"], "kind_header": "x-error-kind", "code": ["error.code"], "message": ["error.message", "message"]},
    })
}

pub(crate) fn provider() -> Arc<Provider> {
    Arc::new(serde_json::from_value(provider_json()).expect("a provider"))
}

pub(crate) fn operation(method: &str, path: &str) -> Operation {
    serde_json::from_value(json!({"name": "x", "method": method, "path": path})).expect("an operation")
}

pub(crate) fn plan_of(operation: &Operation) -> Arc<OperationPlan> {
    Arc::new(OperationPlan::new(&provider(), operation))
}

/// The plan of one of the test provider's operations.
pub(crate) fn plan(method: &str, path: &str) -> Arc<OperationPlan> {
    let provider = provider();
    let found = provider.operations.iter().find(|known| *known.method == *method && *known.path == *path);
    Arc::new(OperationPlan::new(&provider, found.expect("an operation of the test provider")))
}

/// A key, generated from a seed.
pub(crate) fn key(seed: u8) -> NewToken {
    let mut random = [0; 128];
    random
        .iter_mut()
        .zip(0_u8..)
        .for_each(|(byte, at)| *byte = at.wrapping_mul(7).wrapping_add(seed.wrapping_mul(13)) % 248);
    token::generate(Environment::Production, None, &random).expect("enough bytes")
}

pub(crate) fn project(seed: u8) -> ProjectId {
    ProjectId::new(1, [seed; 10])
}

pub(crate) fn grant(seed: u8, policy: Policy) -> Grant {
    let token = key(seed);
    Grant {
        key: KeyId::new(1, [seed; 10]),
        public_id: token.public_id,
        project: project(1),
        environment: Environment::Production,
        secrets: vec![keyward_domain::grant::SecretSlot { hash: token.hash, until: None }],
        revoked: false,
        expires_at: None,
        policy: Arc::new(policy),
    }
}

pub(crate) fn open_policy() -> Policy {
    Policy { providers: Some(vec!["openai".into()]), ..Policy::default() }
}

pub(crate) fn credential(seed: u8, order: u32, weight: u32) -> RouteCredential {
    let id = CredentialId::new(1, [seed; 10]);
    RouteCredential {
        id,
        version: 1,
        place: Place { table: "credential", tenant: project(1).uuid(), record: id.uuid(), version: 1, field: "secret" },
        sealed: Sealed::from_bytes(vec![seed]),
        base_url: "https://api.openai.com/v1".into(),
        allow_private: false,
        order,
        weight,
        out_until: None,
    }
}

pub(crate) fn route(credentials: Vec<RouteCredential>) -> Route {
    Route { project: project(1), environment: Environment::Production, provider: "openai".into(), credentials }
}

pub(crate) fn everything(grants: Vec<Grant>) -> Update {
    Update::Everything(Box::new(Everything {
        providers: vec![provider()],
        grants,
        routes: vec![route(vec![credential(1, 0, 1)])],
        prices: Arc::default(),
        budgets: Vec::new(),
        rates: Vec::new(),
        objects: Vec::new(),
    }))
}

/// Tables with the test provider and some keys.
pub(crate) fn tables(grants: Vec<Grant>) -> Tables {
    let tables = Tables::new();
    tables.apply(everything(grants));
    tables
}

/// A request with the key of seed 1, read.
pub(crate) fn inbound_of(method: &str, target: &str) -> Inbound {
    let tables = tables(Vec::new());
    let request =
        Request::builder().method(method).uri(target).header("authorization", format!("Bearer {}", *key(1).text));
    let (head, ()) = request.body(()).expect("a request").into_parts();
    inbound::read(&tables.load(), &head, [127, 0, 0, 1].into(), &[]).expect("a readable head")
}

#[test]
fn keys_come_change_and_go_and_keep_their_state() {
    let tables = tables(vec![grant(1, open_policy()), grant(2, open_policy())]);
    let id = key(1).public_id;
    let before = tables.load().grant(&id).cloned().expect("known");
    assert_eq!(tables.load().grant_count(), 2);

    let narrower = Policy { requests_per_minute: Some(1), ..open_policy() };
    tables.apply(Update::Grants(vec![grant(1, narrower), grant(3, open_policy())]));
    let after = tables.load().grant(&id).cloned().expect("still known");
    assert!(Arc::ptr_eq(&before.live, &after.live), "the rates of a key outlive a change of its policy");
    assert_eq!(after.grant.policy.requests_per_minute, Some(1));
    assert!(!before.is_cut(), "a change of policy cuts nothing");
    assert_eq!(tables.load().grant_count(), 3);

    tables.apply(Update::Forget(vec![after.grant.key]));
    assert!(tables.load().grant(&id).is_none());
    assert!(before.is_cut() && after.is_cut(), "a forgotten key's calls end");
    assert_eq!(tables.load().grant_count(), 2);
}

#[test]
fn a_revoked_key_cuts_its_calls_and_only_those() {
    let tables = tables(vec![grant(1, open_policy()), grant(2, open_policy())]);
    let (one, two) = (key(1).public_id, key(2).public_id);
    let (first, second) = (tables.load().grant(&one).cloned().unwrap(), tables.load().grant(&two).cloned().unwrap());
    tables.apply(Update::Grants(vec![Grant { revoked: true, ..grant(1, open_policy()) }]));
    assert!(first.is_cut());
    assert!(!second.is_cut());
    assert!(tables.load().grant(&one).unwrap().grant.revoked, "revoked keys stay known");
    tables.apply(Update::Grants(vec![Grant { revoked: true, ..grant(1, open_policy()) }]));
    tables.apply(Update::Grants(vec![grant(1, open_policy())]));
    assert!(first.is_cut(), "a key that comes back does not mend calls that were cut");
    assert!(!tables.load().grant(&one).unwrap().is_cut());
}

#[test]
fn everything_anew_keeps_state_and_cuts_who_is_gone() {
    let tables = tables(vec![grant(1, open_policy()), grant(2, open_policy())]);
    let (one, two) = (key(1).public_id, key(2).public_id);
    let (first, second) = (tables.load().grant(&one).cloned().unwrap(), tables.load().grant(&two).cloned().unwrap());
    tables.apply(everything(vec![grant(1, open_policy())]));
    assert!(Arc::ptr_eq(&first.live, &tables.load().grant(&one).unwrap().live));
    assert!(!first.is_cut() && second.is_cut());
    assert!(tables.load().grant(&two).is_none());
}

#[test]
fn routes_are_ordered_replaced_and_removed_and_bad_addresses_left_out() {
    let tables = tables(vec![]);
    let bad = RouteCredential { base_url: "http://169.254.169.254/".into(), ..credential(9, 0, 1) };
    tables.apply(Update::Routes(vec![route(vec![credential(2, 5, 1), bad, credential(3, 1, 1)])]));
    let route_now = tables.load().route(project(1), Environment::Production, "openai").cloned().expect("a route");
    let orders: Vec<u32> = route_now.credentials.iter().map(|credential| credential.route.order).collect();
    assert_eq!(orders, [1, 5]);
    assert!(tables.load().route(project(1), Environment::Staging, "openai").is_none());
    assert!(tables.load().route(project(2), Environment::Production, "openai").is_none());
    tables.apply(Update::Routes(vec![route(vec![])]));
    assert!(tables.load().route(project(1), Environment::Production, "openai").is_none());
}

#[test]
fn a_credential_that_was_taken_out_rests_and_is_reported_once() {
    let tables = tables(vec![]);
    let route = tables.load().route(project(1), Environment::Production, "openai").cloned().expect("a route");
    let credential = route.credentials.first().expect("one");
    assert!(credential.usable(100));
    assert!(credential.take_out(200, 100));
    assert!(!credential.take_out(200, 100), "already out");
    assert!(!credential.usable(199));
    assert!(credential.usable(200));
}

#[test]
fn a_hundred_thousand_keys_are_found_and_changed_quickly() {
    let many: Vec<Grant> = (0..100_000_u32)
        .map(|number| {
            let mut random = [0; 128];
            random.iter_mut().enumerate().for_each(|(at, byte)| {
                *byte = number.to_le_bytes()[at % 4].wrapping_mul(31).wrapping_add(u8::try_from(at).unwrap()) % 248;
            });
            let token = token::generate(Environment::Production, None, &random).expect("enough bytes");
            let mut ten = [0; 10];
            ten[..4].copy_from_slice(&number.to_le_bytes());
            let public_id = format!("{number:012}").parse().expect("an id");
            Grant {
                key: KeyId::new(1, ten),
                public_id,
                secrets: vec![keyward_domain::grant::SecretSlot { hash: token.hash, until: None }],
                ..grant(1, Policy::default())
            }
        })
        .collect();
    let one = many.get(77_777).cloned().expect("there");
    let tables = tables(many);
    assert_eq!(tables.load().grant_count(), 100_000);
    let untouched = Arc::clone(&tables.load().shards[(shard_of(&one.public_id) + 1) % SHARDS]);
    tables.apply(Update::Grants(vec![Grant { revoked: true, ..one.clone() }]));
    assert!(tables.load().grant(&one.public_id).expect("known").grant.revoked);
    let same = &tables.load().shards[(shard_of(&one.public_id) + 1) % SHARDS];
    assert!(Arc::ptr_eq(&untouched, same), "a change copies one shard and leaves the others alone");
}
