//! `docs/reference/policy.md`: every field of a policy, and the refusal that each really brings about.

use crate::{
    page,
    stage::{MODEL, Stage},
};
use keyward_testkit::{Gate, Script, sdk, wire::Response};
use serde_json::{Value, json};
use std::{collections::BTreeSet, fs};

const PAGE: &str = "docs/reference/policy.md";

/// A policy that allows the chat, with one field set.
fn with(field: &str, value: Value) -> Value {
    let mut policy = json!({"providers": ["openai"]});
    policy[field] = value;
    policy
}

/// A day of the week that is neither today nor next to it, by the server's clock.
fn another_day(stage: &Stage) -> &'static str {
    let answer = stage.admin("/healthz");
    let date = answer.header("date").expect("answers have a date").to_lowercase();
    let days = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];
    let today = days.iter().position(|day| date.starts_with(day)).expect("a date begins with the day");
    days[(today + 3) % 7]
}

fn code(answer: &Response) -> Option<String> {
    answer.header("keyward-error").map(str::to_owned)
}

/// Brings a field's refusal about; none when the field refuses nothing.
fn refused(stage: &Stage, field: &str) -> Option<String> {
    let value = match field {
        "providers" => json!(["anthropic"]),
        "models" => json!(["another-*"]),
        "operations" => json!(["models"]),
        "networks" => json!(["192.0.2.0/24"]),
        "hours" => json!(format!("{} 00:00-24:00 UTC", another_day(stage))),
        "countries" => json!(["AT"]),
        "default_output_tokens" => json!(7),
        // What is refused needs a budget that is short: the page of budgets is held against that.
        "when_short" => json!("refuse"),
        // Nothing is refused by this one.
        "on_hangup" => json!("drain"),
        "requests_per_minute" | "tokens_per_minute" | "concurrency" | "max_output_tokens" | "max_body_bytes" => {
            json!(1)
        }
        "rotation_overlap_ms" => json!(1),
        other => panic!("bring about what the field {other} refuses, here and in {PAGE}"),
    };
    let key = stage.key(field, &with(field, value));
    match field {
        "requests_per_minute" => assert_eq!(stage.call(&key).status, 200, "the first call of the minute"),
        "concurrency" => {
            let gate = Gate::new();
            stage.emulator.script(&stage.secret, Script::default().stopping_at(1, &gate));
            let mut held = stage.chat(&key, true).open(stage.server.gateway());
            held.read_until("Hello");
            let second = code(&stage.call(&key));
            gate.open();
            let (_, whole) = held.rest();
            assert!(whole, "the first call goes on");
            stage.emulator.script(&stage.secret, Script::default());
            return second;
        }
        "rotation_overlap_ms" => {
            let rotated = stage.server.api("POST", &format!("/api/v1/keys/{field}/rotate"), Some(&json!({})));
            assert_eq!(rotated.status, 200, "{}", rotated.text());
            // The old secret lived on for a millisecond, less than it took to store the new one.
        }
        _ => {}
    }
    let answer = stage.call(&key);
    if field == "max_output_tokens" {
        assert_eq!(answer.status, 200, "{}", answer.text());
        let sent: Value = serde_json::from_slice(&stage.emulator.last().body).expect("JSON");
        assert_eq!(sent["max_tokens"], 1, "the wish was lowered: {sent}");
    }
    code(&answer)
}

#[test]
fn every_field_stands_there_with_the_refusal_that_it_brings_about() {
    let stage = Stage::set();
    let everything = stage.key("everything", &json!({"providers": ["openai"]}));
    assert_eq!(stage.call(&everything).status, 200, "without a limit the call of {MODEL} goes through");
    let description: Value =
        serde_json::from_slice(&fs::read(sdk::root().join("crates/control/openapi.json")).expect("there"))
            .expect("JSON");
    let schema = description["components"]["schemas"]["Policy"]["properties"].as_object().expect("the schema");
    let exist: BTreeSet<&str> = schema.keys().map(String::as_str).collect();
    let text = page::text(PAGE);
    let rows = page::rows(&text, "Fields");
    let told: BTreeSet<&str> = rows.iter().flat_map(|row| page::code(&row[0])).collect();
    assert_eq!(told, exist, "the fields of a policy");
    for row in &rows {
        let field = page::code(&row[0]).concat();
        let promised = page::code(&row[4]).first().map(ToString::to_string);
        assert_eq!(promised, refused(&stage, &field), "the refusal of {field}");
    }
}

#[test]
fn every_refusal_that_the_decision_knows_stands_there() {
    let source = fs::read_to_string(sdk::root().join("crates/domain/src/policy.rs")).expect("the decision");
    let text = page::text(PAGE);
    let mut seen = 0;
    for reason in keyward_domain::refusal::Reason::ALL {
        if source.contains(&format!("Reason::{reason:?}")) {
            assert!(text.contains(&format!("`{}`", reason.code())), "{PAGE} does not name {}", reason.code());
            seen += 1;
        }
    }
    assert!(seen > 6, "only {seen} reasons: is the decision still there?");
}
