//! Unmodified SDKs talk to the emulators directly, configured by environment variables alone.

use keyward_testkit::{Emulator, Script, Service, State, cli::Run, emulator::Fault, sdk};
use serde_json::{Value, json};

/// The environment of an SDK script: the SDK's own two variables, the model and the keys that must fail.
fn environment(
    emulator: &Emulator,
    [url_variable, key_variable]: [&'static str; 2],
    base_url: String,
    failing: &[(&str, State)],
) -> Vec<(&'static str, String)> {
    let mut keys: serde_json::Map<String, Value> =
        failing.iter().map(|(name, state)| ((*name).to_owned(), json!(emulator.key(*state)))).collect();
    keys.insert("unknown".to_owned(), json!(emulator.service().new_key()));
    keys.insert("broken-stream".to_owned(), json!(emulator.key_with(Script::default().failing(Fault::ErrorAt(1)))));
    vec![
        (url_variable, base_url),
        (key_variable, emulator.key(State::Live)),
        ("KEYWARD_SDK_MODEL", emulator.service().model().to_owned()),
        ("KEYWARD_SDK_FAILING_KEYS", Value::Object(keys).to_string()),
    ]
}

fn facts(run: Run) -> Value {
    run.ok().json()
}

fn text() -> String {
    Script::default().text
}

#[track_caller]
fn assert_failures(facts: &Value, expected: &[(&str, &str, u16)]) {
    for (case, class, status) in expected {
        let seen = &facts["failures"][case];
        assert_eq!(
            (seen["class"].as_str(), seen["status"].as_u64()),
            (Some(*class), Some(u64::from(*status))),
            "{case}: {seen}"
        );
    }
}

const OPENAI: [&str; 2] = ["OPENAI_BASE_URL", "OPENAI_API_KEY"];
const ANTHROPIC: [&str; 2] = ["ANTHROPIC_BASE_URL", "ANTHROPIC_API_KEY"];
const STATES: &[(&str, State)] = &[
    ("revoked", State::Revoked),
    ("model", State::ModelUnknown),
    ("rate", State::RateLimited),
    ("money", State::NoMoney),
    ("busy", State::Overloaded),
    ("long", State::PromptTooLong),
];

#[test]
fn python_openai() {
    let emulator = Emulator::start(Service::OpenAi);
    let facts = facts(sdk::python("openai_sdk.py", &environment(&emulator, OPENAI, emulator.base_url(), STATES)));
    assert_eq!(facts["chat"], json!({"text": text(), "input": 19, "output": 10}));
    assert_eq!(facts["chat_stream"], json!({"text": text(), "output": null, "chunks_without_choices": 0}));
    assert_eq!(facts["chat_stream_with_usage"], json!({"text": text(), "output": 10, "chunks_without_choices": 1}));
    assert_eq!(facts["responses_stream"], json!({"text": text(), "last": "response.completed", "output": 10}));
    assert_eq!(facts["files"], json!({"content": "{\"a\":1}\n", "listed": true, "batch": "validating"}));
    assert_failures(
        &facts,
        &[
            ("unknown", "AuthenticationError", 401),
            ("revoked", "AuthenticationError", 401),
            ("model", "NotFoundError", 404),
            ("rate", "RateLimitError", 429),
            ("money", "RateLimitError", 429),
            ("busy", "InternalServerError", 503),
            ("long", "BadRequestError", 400),
        ],
    );
    assert_eq!(facts["failures"]["broken-stream"]["class"], "APIError", "{facts}");
}

#[test]
fn python_anthropic() {
    let emulator = Emulator::start(Service::Anthropic);
    let facts = facts(sdk::python("anthropic_sdk.py", &environment(&emulator, ANTHROPIC, emulator.base_url(), STATES)));
    assert_eq!(facts["message"], json!({"text": text(), "input": 19, "output": 10}));
    assert_eq!(facts["message_stream"], json!({"text": text(), "input": 19, "output": 10}));
    assert_failures(
        &facts,
        &[
            ("unknown", "AuthenticationError", 401),
            ("model", "NotFoundError", 404),
            ("rate", "RateLimitError", 429),
            ("money", "BadRequestError", 400),
            ("busy", "OverloadedError", 529),
            ("long", "BadRequestError", 400),
        ],
    );
    assert_eq!(
        facts["failures"]["broken-stream"]["text"].as_str().map(|text| text.contains("Overloaded")),
        Some(true),
        "{facts}"
    );
}

#[test]
fn python_google_genai() {
    let emulator = Emulator::start(Service::Gemini);
    let names = ["GOOGLE_GEMINI_BASE_URL", "GEMINI_API_KEY"];
    let states = &[
        ("revoked", State::Revoked),
        ("model", State::ModelUnknown),
        ("rate", State::RateLimited),
        ("leaked", State::Leaked),
    ];
    let facts = facts(sdk::python("gemini_sdk.py", &environment(&emulator, names, emulator.base_url(), states)));
    assert_eq!(facts["content"], json!({"text": text(), "input": 19, "output": 10}));
    assert_eq!(facts["content_stream"], json!({"text": text(), "output": 10}));
    assert_failures(
        &facts,
        &[
            ("unknown", "ClientError", 400),
            ("revoked", "ClientError", 400),
            ("model", "ClientError", 404),
            ("rate", "ClientError", 429),
            ("leaked", "ClientError", 403),
        ],
    );
}

#[test]
fn python_cohere() {
    let emulator = Emulator::start(Service::Cohere);
    let names = ["CO_API_URL", "CO_API_KEY"];
    let states = &[("revoked", State::Revoked), ("model", State::ModelUnknown), ("blocked", State::Leaked)];
    let mut environment = environment(&emulator, names, emulator.base_url(), states);
    // Cohere ends a failed stream with an ordinary event, which its SDK does not raise.
    environment[3].1 = without(&environment[3].1, "broken-stream");
    let facts = facts(sdk::python("cohere_sdk.py", &environment));
    assert_eq!(facts["chat"], json!({"text": text(), "billed_output": 10.0}));
    assert_eq!(facts["chat_stream"], json!({"text": text(), "billed_output": 10.0}));
    assert_failures(
        &facts,
        &[
            ("unknown", "UnauthorizedError", 401),
            ("model", "NotFoundError", 404),
            ("blocked", "InvalidTokenError", 498),
        ],
    );
}

fn without(keys: &str, name: &str) -> String {
    let mut keys: Value = serde_json::from_str(keys).expect("the keys are JSON");
    keys.as_object_mut().expect("an object").remove(name);
    keys.to_string()
}

#[test]
fn node_openai() {
    let emulator = Emulator::start(Service::OpenAi);
    let facts = facts(sdk::node("openai_sdk.cjs", &environment(&emulator, OPENAI, emulator.base_url(), STATES)));
    assert_eq!(facts["chat"], json!({"text": text(), "input": 19, "output": 10}));
    assert_eq!(facts["chat_stream"], json!({"text": text(), "output": null, "chunks_without_choices": 0}));
    assert_eq!(facts["chat_stream_with_usage"], json!({"text": text(), "output": 10, "chunks_without_choices": 1}));
    assert_eq!(facts["responses_stream"], json!({"text": text(), "last": "response.completed", "output": 10}));
    assert_failures(
        &facts,
        &[("unknown", "AuthenticationError", 401), ("model", "NotFoundError", 404), ("rate", "RateLimitError", 429)],
    );
}

#[test]
fn node_anthropic() {
    let emulator = Emulator::start(Service::Anthropic);
    let facts = facts(sdk::node("anthropic_sdk.cjs", &environment(&emulator, ANTHROPIC, emulator.base_url(), STATES)));
    assert_eq!(facts["message"], json!({"text": text(), "input": 19, "output": 10}));
    assert_eq!(facts["message_stream"], json!({"text": text(), "input": 19, "output": 10}));
    assert_failures(
        &facts,
        &[("unknown", "AuthenticationError", 401), ("model", "NotFoundError", 404), ("rate", "RateLimitError", 429)],
    );
}
