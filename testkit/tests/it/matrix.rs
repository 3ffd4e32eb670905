//! The failure matrix, asked for over the wire: each state of a key gives the status and the code that the provider
//! documents. The rows are written out here a second time on purpose.

use keyward_testkit::{
    Emulator, Service, State,
    calls::main_call,
    emulator::{Echo, Script},
    wire::{Request, Response},
};
use serde_json::{Value, json};

fn call(service: Service, key: &str) -> Request {
    let sample = main_call(service, false);
    sample.request_at(&sample.path, key)
}

fn answer(emulator: &Emulator, state: State) -> Response {
    call(emulator.service(), &emulator.key(state)).send(emulator.address())
}

/// Looks a dotted path up; a number counts as an index.
fn at<'a>(body: &'a Value, path: &str) -> &'a Value {
    body.pointer(&format!("/{}", path.replace('.', "/"))).unwrap_or(&Value::Null)
}

#[track_caller]
fn assert_row(service: Service, row: Row) {
    let (state, status, path, word) = row;
    let got = answer(&Emulator::start(service), state);
    let body = got.json();
    let text = at(&body, path).as_str().map_or_else(|| at(&body, path).to_string(), str::to_owned);
    assert!(got.status == status && text.contains(word), "{service:?} {state:?}: {} {body}", got.status);
}

/// A state, its status, where in the body to look, and what stands there.
type Row = (State, u16, &'static str, &'static str);

const ROWS: &[(Service, &[Row])] = &[
    (
        Service::OpenAi,
        &[
            (State::Revoked, 401, "error.code", "invalid_api_key"),
            (State::Leaked, 401, "error.code", "invalid_api_key"),
            (State::WrongIp, 401, "error.message", "not authorized"),
            (State::ModelUnknown, 404, "error.code", "model_not_found"),
            (State::NoMoney, 429, "error.code", "insufficient_quota"),
            (State::CapReached, 429, "error.code", "project_spend_limit_exceeded"),
            (State::RateLimited, 429, "error.code", "rate_limit_exceeded"),
            (State::Overloaded, 503, "error.code", "server_is_overloaded"),
            (State::PromptTooLong, 400, "error.code", "context_length_exceeded"),
        ],
    ),
    (
        Service::Anthropic,
        &[
            (State::Disabled, 401, "error.type", "authentication_error"),
            (State::Expired, 401, "error.type", "authentication_error"),
            (State::WrongIp, 403, "error.message", "allowed range"),
            (State::ModelUnknown, 404, "error.type", "not_found_error"),
            (State::NoMoney, 400, "error.message", "credit balance is too low"),
            (State::CapReached, 400, "error.message", "specified API usage limits"),
            (State::RateLimited, 429, "error.type", "rate_limit_error"),
            (State::Overloaded, 529, "error.type", "overloaded_error"),
            (State::PromptTooLong, 400, "error.message", "prompt is too long"),
        ],
    ),
    (
        Service::Gemini,
        &[
            (State::Revoked, 400, "error.details.0.reason", "API_KEY_INVALID"),
            (State::Expired, 400, "error.message", "API key expired"),
            (State::Leaked, 403, "error.message", "reported as leaked"),
            (State::WrongIp, 403, "error.details.0.reason", "API_KEY_IP_ADDRESS_BLOCKED"),
            (State::ModelUnknown, 404, "error.status", "NOT_FOUND"),
            (State::NoMoney, 402, "error.status", "RESOURCE_EXHAUSTED"),
            (State::RateLimited, 429, "error.status", "RESOURCE_EXHAUSTED"),
            (State::Overloaded, 503, "error.status", "UNAVAILABLE"),
        ],
    ),
    (
        Service::OpenRouter,
        &[
            (State::Disabled, 401, "error.code", "401"),
            (State::NoMoney, 402, "error.metadata.error_type", "payment_required"),
            (State::CapReached, 403, "error.metadata.limit_source", "openrouter_key_limit"),
            (State::RateLimited, 429, "error.code", "429"),
        ],
    ),
    (
        Service::DeepSeek,
        &[
            (State::Revoked, 401, "error.message", "Authentication Fails"),
            (State::NoMoney, 402, "error.message", "Insufficient Balance"),
        ],
    ),
    (Service::Mistral, &[(State::Revoked, 401, "detail", "Unauthorized"), (State::RateLimited, 429, "code", "1300")]),
    (
        Service::Xai,
        &[
            (State::Revoked, 400, "error", "Incorrect API key provided"),
            (State::NoMoney, 429, "error", "used all available credits"),
            (State::ModelUnknown, 404, "error", "does not exist"),
        ],
    ),
    (
        Service::Bedrock,
        &[
            (State::Expired, 403, "Message", "Authentication failed"),
            (State::RateLimited, 429, "message", "Too many requests"),
        ],
    ),
    (
        Service::AzureOpenAi,
        &[
            (State::Revoked, 401, "error.code", "401"),
            (State::WrongIp, 403, "error.message", "Virtual Network/Firewall"),
            (State::ModelUnknown, 404, "error.code", "DeploymentNotFound"),
        ],
    ),
    (
        Service::Groq,
        &[(State::Revoked, 401, "error.code", "invalid_api_key"), (State::RateLimited, 429, "error.type", "tokens")],
    ),
    (
        Service::Cohere,
        &[(State::Revoked, 401, "message", "invalid api token"), (State::Leaked, 498, "message", "blocked")],
    ),
    (Service::HuggingFace, &[(State::Revoked, 401, "error", "Invalid username or password")]),
    (
        Service::Replicate,
        &[(State::Revoked, 401, "title", "Unauthenticated"), (State::NoMoney, 402, "title", "Insufficient credit")],
    ),
    (
        Service::ElevenLabs,
        &[
            (State::Revoked, 401, "detail.status", "invalid_api_key"),
            (State::NoMoney, 401, "detail.status", "quota_exceeded"),
        ],
    ),
];

#[test]
fn every_state_answers_as_the_provider_documents() {
    for (service, rows) in ROWS {
        for row in *rows {
            assert_row(*service, *row);
        }
    }
}

#[test]
fn every_provider_takes_its_live_keys_and_no_others() {
    for service in Service::ALL {
        let emulator = Emulator::start(service);
        let live = call(service, &emulator.key(State::Live)).send(emulator.address());
        assert!((200..300).contains(&live.status), "{service:?}: {} {}", live.status, live.text());
        let unknown = call(service, &service.new_key()).send(emulator.address());
        assert!(matches!(unknown.status, 400 | 401 | 403), "{service:?}: {}", unknown.status);
        let none = call(service, "").send(emulator.address());
        assert!(matches!(none.status, 401 | 403), "{service:?}: {}", none.status);
    }
}

#[test]
fn some_providers_repeat_part_of_the_key_and_a_scripted_one_all_of_it() {
    for (service, first, stars, last) in
        [(Service::OpenAi, 5, "***", 4), (Service::DeepSeek, 0, "****", 4), (Service::Xai, 2, "***", 2)]
    {
        let emulator = Emulator::start(service);
        let key = emulator.key(State::Revoked);
        let shown = format!("{}{stars}{}", &key[..first], &key[key.len() - last..]);
        assert!(call(service, &key).send(emulator.address()).text().contains(&shown), "{service:?}");
    }
    let emulator = Emulator::start(Service::Groq);
    let key = emulator.key(State::Revoked);
    emulator.script(&key, Script { echo: Echo::Whole, ..Script::default() });
    assert!(call(Service::Groq, &key).send(emulator.address()).text().contains(&key));
}

#[test]
fn a_restricted_key_fails_at_the_models_and_works_for_its_endpoint() {
    let emulator = Emulator::start(Service::OpenAi);
    let key = emulator.key(State::Restricted);
    let models = Request::get("/v1/models").bearer(&key).send(emulator.address());
    assert_eq!(models.status, 401);
    assert!(models.text().contains("Missing scopes: api.model.read"));
    assert_eq!(call(Service::OpenAi, &key).send(emulator.address()).status, 200);
}

#[test]
fn gemini_refuses_two_credentials_and_takes_one_from_the_query() {
    let emulator = Emulator::start(Service::Gemini);
    let (one, other) = (emulator.key(State::Live), emulator.key(State::Live));
    let path = format!("/v1beta/models?key={one}");
    assert_eq!(Request::get(&path).send(emulator.address()).status, 200);
    let both = Request::get(&path).header("x-goog-api-key", &other).send(emulator.address());
    assert_eq!(both.status, 400);
    assert!(both.text().contains("Multiple authentication credentials"));
}

#[test]
fn mistral_refuses_fields_it_does_not_know() {
    let emulator = Emulator::start(Service::Mistral);
    let body = json!({"model": "m", "messages": [], "stream": true, "stream_options": {"include_usage": true}});
    let got = Request::post("/v1/chat/completions", &body).bearer(&emulator.key(State::Live)).send(emulator.address());
    assert_eq!(got.status, 422);
    assert_eq!(at(&got.json(), "detail.0.loc.1"), "stream_options");
}

#[test]
fn real_accounts_are_named_in_headers() {
    let openai = Emulator::start(Service::OpenAi);
    let key = openai.key(State::Live);
    let got = Request::get("/v1/models").bearer(&key).send(openai.address());
    assert_eq!(got.header("openai-organization"), Some(openai.organisation(&key).as_str()));
    let recorded = openai.last();
    assert_eq!((recorded.method.as_str(), recorded.path.as_str()), ("GET", "/v1/models"));
    assert_eq!(recorded.header("authorization").next(), Some(format!("Bearer {key}").as_str()));
}
