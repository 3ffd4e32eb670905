//! The bound against the catalogue as it is: what is refused, what is taken, and that no bill is above its hold.

mod greedy;
mod odd;

use super::*;
use crate::{
    inbound::{self, Inbound},
    inspect::{Collected, json_body},
    tables::{Tables, tests::key},
};
use bytes::Bytes;
use http::Request;
use keyward_domain::{
    Money,
    policy::Policy,
    price::{Fees, RegionRate},
    provider::Provider,
    snapshot::Everything,
};
use serde::Deserialize;
use std::{
    fs,
    path::Path,
    sync::{Arc, LazyLock},
};

const NOW: Millis = 1_795_000_000_000;

/// The catalogue's files, read without the catalogue.
pub(super) struct World {
    tables: Tables,
    pub(super) prices: PriceBook,
}

#[derive(Deserialize)]
struct File {
    provider: Box<str>,
    #[serde(default)]
    fees: Fees,
    #[serde(default)]
    regions: Vec<RegionRate>,
    prices: Vec<Price>,
}

pub(super) static WORLD: LazyLock<World> = LazyLock::new(|| {
    let texts = |folder: &str| -> Vec<String> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../catalogue").join(folder);
        let files = fs::read_dir(folder).expect("the catalogue").map(|entry| entry.expect("a file").path());
        files.map(|path| fs::read_to_string(path).expect("text")).collect()
    };
    let providers: Vec<Arc<Provider>> =
        texts("providers").iter().map(|text| Arc::new(toml::from_str(text).expect("a provider"))).collect();
    let mut prices = Vec::new();
    for text in texts("prices") {
        let file: File = toml::from_str::<File>(&text).expect("prices");
        prices.extend(file.prices.into_iter().map(|price| Price {
            provider: file.provider.clone(),
            fees: price.fees.over(&file.fees),
            regions: if price.regions.is_empty() { file.regions.clone() } else { price.regions.clone() },
            ..price
        }));
    }
    let tables = Tables::new();
    tables.apply(keyward_domain::snapshot::Update::Everything(Box::new(Everything {
        providers,
        grants: Vec::new(),
        routes: Vec::new(),
        prices: Arc::default(),
        budgets: Vec::new(),
        rates: Vec::new(),
        objects: Vec::new(),
    })));
    World { tables, prices: PriceBook::new("test", prices) }
});

pub(super) fn inbound_of(target: &str) -> Inbound {
    let request = Request::builder().method("POST").uri(target).header("x-api-key", &*key(1).text);
    let request = request.header("authorization", format!("Bearer {}", *key(1).text));
    let request = if target.starts_with("/gemini") {
        Request::builder().method("POST").uri(target).header("x-goog-api-key", &*key(1).text)
    } else {
        request
    };
    let (head, ()) = request.body(()).expect("a request").into_parts();
    inbound::read(&WORLD.tables.load(), &head, [127, 0, 0, 1].into(), &[]).expect("a readable head")
}

pub(super) fn read(target: &str, body: &str) -> Result<(Collected, Result<Bound, Refusal>), Refusal> {
    let inbound = inbound_of(target);
    let read = json_body(&inbound, Bytes::copy_from_slice(body.as_bytes()), &Policy::default())?;
    let bound = bound(&read.facts, &inbound.plan, &WORLD.prices, NOW);
    Ok((read, bound))
}

fn bounded(target: &str, body: &str) -> Bound {
    let (_, bound) = read(target, body).expect("a sound body");
    bound.unwrap_or_else(|refusal| panic!("{target} {body}: {refusal}"))
}

fn refused(target: &str, body: &str) -> (Reason, String) {
    let (_, bound) = read(target, body).expect("a sound body");
    let refusal = bound.expect_err(body);
    (refusal.reason, refusal.message)
}

const CHAT: &str = "/openai/v1/chat/completions";
const RESPONSES: &str = "/openai/v1/responses";
const MESSAGES: &str = "/anthropic/v1/messages";
const GENERATE: &str = "/gemini/v1beta/models/gemini-2.5-pro:generateContent";

#[test]
fn every_dialect_has_a_bound_by_its_own_spelling_of_the_cap() {
    for (target, body) in [
        (CHAT, r#"{"model":"gpt-5.4","max_tokens":7}"#),
        (CHAT, r#"{"model":"gpt-5.4","max_completion_tokens":7}"#),
        (CHAT, r#"{"model":"gpt-5.4","max_tok\u0065ns":7}"#),
        ("/openai/v1/completions", r#"{"model":"gpt-5.4","prompt":"x","max_tokens":7}"#),
        (RESPONSES, r#"{"model":"gpt-5.4","max_output_tokens":7}"#),
        (MESSAGES, r#"{"model":"claude-sonnet-4-5","max_tokens":7}"#),
        (GENERATE, r#"{"generationConfig":{"maxOutputTokens":7}}"#),
        ("/deepseek/chat/completions", r#"{"model":"deepseek-flash","max_tokens":7}"#),
        ("/mistral/v1/chat/completions", r#"{"model":"mistral-large-2512","max_tokens":7}"#),
        ("/groq/openai/v1/chat/completions", r#"{"model":"openai/gpt-oss-120b","max_tokens":7}"#),
        ("/cohere/v2/chat", r#"{"model":"command-r7b-12-2024","max_tokens":7}"#),
        ("/bedrock/model/amazon.nova-pro-v1:0/converse", r#"{"inferenceConfig":{"maxTokens":7}}"#),
    ] {
        let bound = bounded(target, body);
        assert_eq!(bound.cap, Some(7), "{target} {body}");
        assert!(bound.shrinks() && bound.hold(7) > bound.hold(6), "{target}");
        assert!(bound.input >= body.len() as u64, "{target}");
    }
}

#[test]
fn several_answers_share_what_is_held() {
    let bound = bounded(CHAT, r#"{"model":"gpt-5.4","max_tokens":7,"n":3}"#);
    assert_eq!(bound.cap, Some(21));
    let (read, _) = read(CHAT, r#"{"model":"gpt-5.4","n":3}"#).expect("sound");
    let body = read.finish(bound.affordable(bound.hold(14))).body;
    assert_eq!(body, r#"{"max_completion_tokens":4,"model":"gpt-5.4","n":3}"#);
    assert_eq!(bounded("/gemini/v1beta/models/imagen-4.0-generate-001:predict", "{}").whole().nano(), 4 * 40_000_000);
}

#[test]
fn unseen_content_is_taken_for_a_full_window() {
    let window = 1_000_000;
    for (target, body, unseen) in [
        (MESSAGES, r#"{"model":"claude-sonnet-5","max_tokens":1,"messages":[{"content":"source"}]}"#, false),
        (
            MESSAGES,
            r#"{"model":"claude-sonnet-5","max_tokens":1,"messages":[{"content":[{"source":{"type":"url"}}]}]}"#,
            true,
        ),
        (MESSAGES, r#"{"model":"claude-sonnet-5","max_tokens":1,"x":[[{"s\u006furce":{}}]]}"#, true),
        (MESSAGES, r#"{"model":"claude-sonnet-5","max_tokens":1,"container":"c"}"#, true),
        (GENERATE, r#"{"contents":{"parts":{"inline_data":{}}}}"#, true),
        (GENERATE, r#"{"contents":{"parts":{"text":"x"}}}"#, false),
        (GENERATE, r#"{"cachedContent":"cachedContents/x"}"#, true),
        (RESPONSES, r#"{"model":"gpt-5.4","previous_response_id":"resp_1"}"#, true),
        (RESPONSES, r#"{"model":"gpt-5.4","previous_response_id":null}"#, false),
        (RESPONSES, r#"{"model":"gpt-5.4","input":[{"id":"msg_1"}]}"#, true),
        (
            CHAT,
            r#"{"model":"gpt-5.4","messages":[{"content":[{"image_url":{"url":"data:image/png;base64,"}}]}]}"#,
            true,
        ),
    ] {
        let bound = bounded(target, body);
        assert_eq!(bound.input >= window, unseen, "{body}: {}", bound.input);
    }
}

#[test]
fn tools_without_a_price_or_a_number_are_refused_and_say_why() {
    for (target, body, told) in [
        (CHAT, r#"{"model":"gpt-9"}"#, "gpt-9"),
        (CHAT, r#"{"model":"gpt-5.4","web_search_options":{}}"#, "most = { searches"),
        (RESPONSES, r#"{"model":"gpt-5.4","tools":[{"type":"web_search"}]}"#, "max_tool_calls"),
        (
            RESPONSES,
            r#"{"model":"gpt-5.4","max_tool_calls":2,"tools":[{"type":"code_interpreter"}]}"#,
            "code_interpreter",
        ),
        (
            RESPONSES,
            r#"{"model":"gpt-5.4","max_tool_calls":2,"tools":[{"type":"image_generation"}]}"#,
            "image_generation",
        ),
        (RESPONSES, r#"{"model":"gpt-5.4","prompt":{"id":"p"}}"#, "prompt"),
        (MESSAGES, r#"{"model":"claude-sonnet-5","tools":[{"type":"web_search_20250305"}]}"#, "max_uses"),
        (MESSAGES, r#"{"model":"claude-sonnet-5","tools":[{"type":"brand_new_20270101"}]}"#, "brand_new"),
        (GENERATE, r#"{"tools":[{"googleMaps":{}}]}"#, "googleMaps"),
        (GENERATE, r#"{"tools":{"url_context":{}}}"#, "turns"),
        (
            "/xai/v1/chat/completions",
            r#"{"model":"grok-4.3","max_tokens":5,"search_parameters":{}}"#,
            "search_parameters",
        ),
        ("/openrouter/api/v1/chat/completions", r#"{"model":"openai/gpt-5.4","plugins":[]}"#, "plugins"),
        ("/openai/v1/batches", r#"{"input_file_id":"f"}"#, "not metered"),
    ] {
        let (reason, message) = refused(target, body);
        assert_eq!(reason, Reason::Unpriced, "{body}");
        assert!(message.contains(told), "{body}: {message}");
    }
    for (target, body) in [
        (RESPONSES, r#"{"model":"gpt-5.4","max_tool_calls":2,"tools":[{"type":"web_search"}]}"#),
        (RESPONSES, r#"{"model":"gpt-5.4","tools":[{"type":"function","name":"f"}]}"#),
        (MESSAGES, r#"{"model":"claude-sonnet-5","tools":[{"type":"web_search_20250305","max_uses":1}]}"#),
        (MESSAGES, r#"{"model":"claude-sonnet-5","tools":[{"name":"f"},{"type":"bash_20250124","name":"bash"}]}"#),
        (GENERATE, r#"{"tools":[{"functionDeclarations":[]}]}"#),
        (CHAT, r#"{"model":"gpt-5.4","web_search_options":null}"#),
    ] {
        assert!(bounded(target, body).whole() > Money::ZERO, "{body}");
    }
    assert_eq!(bounded("/openai/v1/moderations", r#"{"model":"omni-moderation-latest"}"#).whole(), Money::ZERO);
}

#[test]
fn what_can_be_read_in_two_ways_is_refused_by_name() {
    for (target, body, field) in [
        (CHAT, r#"{"model":"gpt-5.4","n":" 3"}"#, "'n'"),
        (CHAT, r#"{"model":"gpt-5.4","n":-3}"#, "'n'"),
        (CHAT, r#"{"model":"gpt-5.4","n":true}"#, "'n'"),
        (CHAT, r#"{"model":"gpt-5.4","service_tier":["flex"]}"#, "'service_tier'"),
        (CHAT, r#"{"model":"gpt-5.4","tools":{"type":"function"}}"#, "'tools'"),
        (CHAT, r#"{"model":"gpt-5.4","tools":["web_search"]}"#, "'tools'"),
        (RESPONSES, r#"{"model":"gpt-5.4","tools":[{"type":["web_search"]}]}"#, "'tools[].type'"),
        (GENERATE, r#"{"generationConfig":{"candidateCount":"x"}}"#, "'generationConfig.candidateCount'"),
        (GENERATE, r#"{"tools":[[{"googleSearch":{}}]]}"#, "'tools'"),
    ] {
        let (reason, message) = refused(target, body);
        assert_eq!(reason, Reason::MalformedRequest, "{body}");
        assert!(message.contains(field), "{body}: {message}");
    }
    for (target, body) in [
        (CHAT, r#"{"model":"gpt-5.4","max_tokens":1,"max_tok\u0065ns":9}"#),
        (CHAT, r#"{"model":"gpt-5.4","Max_Tokens":9}"#),
        (CHAT, r#"{"model":"gpt-5.4","N":9}"#),
        (CHAT, r#"{"model":"gpt-5.4","maxTokens":9}"#),
        (GENERATE, r#"{"generationConfig":{},"generation_config":{"maxOutputTokens":9}}"#),
        (GENERATE, r#"{"generationConfig":{"max_output_tokens":9}}"#),
        (RESPONSES, r#"{"model":"gpt-5.4","tools":[{"type":"function","type":"web_search"}]}"#),
        (RESPONSES, r#"{"model":"gpt-5.4","tools":[],"tools":[{"type":"web_search"}]}"#),
        (CHAT, "\u{feff}{\"model\":\"gpt-5.4\"}"),
        (CHAT, r#"{"model":"gpt-5.4"} {"n":9}"#),
    ] {
        assert_eq!(read(target, body).expect_err(body).reason, Reason::MalformedRequest);
    }
}

#[test]
fn the_tier_that_was_asked_for_is_priced() {
    let rate = |target: &str, tier: &str| {
        let bound = bounded(target, &format!(r#"{{"model":"gpt-5.4"{tier}}}"#));
        bound.hold(1_000_001).nano() - bound.hold(1).nano()
    };
    let gemini = "/gemini/v1beta/models/gemini-3-flash-preview:generateContent";
    let azure = "/azure-openai/openai/v1/chat/completions";
    for (target, tier, dollars) in [
        // The project may have a default of its own.
        (CHAT, "", 30),
        (CHAT, r#","service_tier":"auto""#, 30),
        (CHAT, r#","service_tier":null"#, 30),
        (CHAT, r#","service_tier":"priority""#, 30),
        (CHAT, r#","service_tier":"default""#, 15),
        (CHAT, r#","service_tier":"flex""#, 15),
        (azure, r#","service_tier":"default""#, 15),
        (gemini, "", 3),
        (gemini, r#","serviceTier":null"#, 3),
        (gemini, r#","serviceTier":"standard""#, 3),
        (gemini, r#","service_tier":"flex""#, 3),
    ] {
        assert_eq!(rate(target, tier), dollars * 1_000_000_000, "{target} {tier}");
    }
    for tier in ["priority", "SERVICE_TIER_PRIORITY"] {
        for field in ["serviceTier", "service_tier"] {
            assert_eq!(rate(gemini, &format!(r#","{field}":"{tier}""#)), 5_400_000_000, "{tier}");
        }
    }
    for (target, field) in [(CHAT, "service_tier"), (gemini, "serviceTier")] {
        let (reason, message) = refused(target, &format!(r#"{{"model":"gpt-5.4","{field}":"ultrafast"}}"#));
        assert_eq!(reason, Reason::Unpriced);
        assert!(message.contains("'ultrafast'"), "{message}");
    }
    let (reason, message) = refused(gemini, r#"{"serviceTier":"standard","service_tier":"priority"}"#);
    assert_eq!(reason, Reason::MalformedRequest);
    assert!(message.contains("two spellings"), "{message}");
}

#[test]
fn a_cap_that_cannot_be_read_is_written_anew() {
    for cap in ["-1", "\"1e9\"", "[5]", "true", "{}", "1e99", "18446744073709551617", "\" 5\"", "\"0x7fffffff\""] {
        let (open, bound) = read(CHAT, &format!(r#"{{"model":"gpt-5.4","max_tokens":{cap}}}"#)).expect("sound");
        let bound = bound.expect("a bound");
        assert_eq!(bound.cap, bound.max_output, "{cap}");
        let body = open.finish(Some(9)).body;
        assert_eq!(body, r#"{"model":"gpt-5.4","max_tokens":9}"#, "{cap}");
    }
    let (open, bound) = read(CHAT, r#"{"model":"gpt-5.4","max_tokens":0}"#).expect("sound");
    assert_eq!(bound.expect("a bound").cap, Some(128_000), "nought means no limit to some");
    assert_eq!(open.finish(Some(9)).body, r#"{"model":"gpt-5.4","max_tokens":1}"#);
    let (open, _) = read(CHAT, r#"{"model":"gpt-5.4","max_tokens":-1}"#).expect("sound");
    assert_eq!(
        open.finish(None).body,
        r#"{"model":"gpt-5.4","max_tokens":-1}"#,
        "without a budget it is the provider's to judge"
    );
}

#[test]
fn the_policys_default_and_limit_make_the_cap() {
    for (default, body, said) in [
        (None, r#"{"model":"m"}"#, false),
        (None, r#"{"model":"m","max_tokens":-1}"#, false),
        (None, r#"{"model":"m","max_tokens":9}"#, true),
        (Some(5), r#"{"model":"m"}"#, true),
    ] {
        let policy = Policy { default_output_tokens: default, max_output_tokens: Some(7), ..Policy::default() };
        let read = json_body(&inbound_of(CHAT), Bytes::copy_from_slice(body.as_bytes()), &policy).expect("sound");
        assert_eq!(read.facts.says_cap, said, "{body}: a limit is nobody's wish");
    }
    let capped = |default, limit, body: &str| {
        let policy = Policy { default_output_tokens: default, max_output_tokens: limit, ..Policy::default() };
        let read = json_body(&inbound_of(CHAT), Bytes::copy_from_slice(body.as_bytes()), &policy).expect("sound");
        let cap = read.facts.output_cap;
        (cap, String::from_utf8(read.finish(cap).body.to_vec()).expect("text"))
    };
    let open = r#"{"model":"m"}"#;
    assert_eq!(capped(Some(5), None, open), (Some(5), r#"{"max_completion_tokens":5,"model":"m"}"#.into()));
    assert_eq!(capped(Some(5), Some(3), open).0, Some(3));
    assert_eq!(capped(Some(3), Some(5), open).0, Some(3));
    assert_eq!(capped(None, Some(5), open).0, Some(5));
    assert_eq!(capped(None, None, open), (None, open.into()));
    assert_eq!(capped(Some(5), None, r#"{"model":"m","max_tokens":9}"#).0, Some(9), "a default is no limit");
    assert_eq!(
        capped(Some(6), None, r#"{"model":"m","n":2}"#),
        (Some(6), r#"{"max_completion_tokens":3,"model":"m","n":2}"#.into())
    );
}

#[test]
fn every_operation_is_bounded_or_refused_in_words() {
    let picture = WORLD.tables.load();
    for file in fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("../catalogue/providers")).expect("files") {
        let text = fs::read_to_string(file.expect("a file").path()).expect("text");
        let provider: Arc<Provider> = Arc::new(toml::from_str(&text).expect("a provider"));
        for operation in &provider.operations {
            let plan = OperationPlan::new(&provider, operation);
            for price in WORLD.prices.all().iter().filter(|price| price.provider == provider.id) {
                let facts = Facts { model: Some(price.model.clone()), input_bytes: 9, ..Facts::default() };
                match bound(&facts, &plan, &WORLD.prices, NOW) {
                    Ok(bound) => assert!(operation.free || bound.input > 0 || bound.whole() >= Money::ZERO),
                    Err(refusal) => assert_eq!(refusal.reason, Reason::Unpriced, "{refusal}"),
                }
            }
        }
    }
    drop(picture);
}
