//! A provider at its worst: it reads the body with a parser of its own (`serde_json`, as the emulators do), takes every
//! field as generously as any parser might, and bills as much as the body then allows. It knows nothing of how the
//! product reads a body, and of the catalogue only the price.

use super::{NOW, WORLD};
use crate::{inspect::Facts, meter::Meter, tables::OperationPlan};
use bytes::Bytes;
use http::HeaderMap;
use keyward_domain::{Money, price::Price, usage::Buckets};
use serde_json::{Map, Value, json};

/// The dialect of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Dialect {
    Chat,
    Responses,
    Messages,
    Generate,
    Converse,
}

/// The most that the provider bills for a body, by the gateway's own reading of the answer.
pub(super) fn bill(dialect: Dialect, plan: &OperationPlan, model: &str, body: &[u8]) -> Money {
    // What a parser cannot read (`1e400`) is refused, and costs nothing.
    let Ok(body) = serde_json::from_slice::<Value>(body) else { return Money::ZERO };
    let price = WORLD.prices.find(&plan.provider.id, model, NOW).expect("a price");
    let mut most = Money::ZERO;
    for tier in tiers(dialect, &body, price) {
        for buckets in uses(dialect, &body, price) {
            let answer = answer(dialect, &buckets, tier.as_deref());
            let mut meter = Meter::new(plan, 200, &HeaderMap::new(), &Facts::default());
            meter.feed(Bytes::from(answer.to_string()));
            let reading = meter.finish(true);
            assert!(reading.complete, "{answer}");
            most = most.max(reading.bill(&WORLD.prices, plan, model, NOW).cost);
        }
    }
    most
}

/// A field by name, in whatever letters, the last one where there are several.
fn get<'v>(object: &'v Map<String, Value>, name: &str) -> Option<&'v Value> {
    let letters = |text: &str| text.replace('_', "").to_lowercase();
    object.iter().filter(|(key, _)| letters(key) == letters(name)).map(|(_, value)| value).next_back()
}

fn at<'v>(body: &'v Value, path: &str) -> Option<&'v Value> {
    path.split('.').try_fold(body, |value, name| get(value.as_object()?, name)).filter(|value| !value.is_null())
}

/// A count as the most generous parser reads it. `None`: it reads none, and goes on without a limit.
fn count(value: &Value) -> Option<u64> {
    let text = match value {
        Value::Number(number) => number.to_string(),
        Value::String(text) => text.trim().to_owned(),
        Value::Bool(true) => "1".to_owned(),
        _ => return None,
    };
    let number = text.parse::<f64>().ok()?.ceil();
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a lenient parser does just this")]
    (number > 0.0).then_some(number as u64)
}

fn caps(dialect: Dialect) -> &'static [&'static str] {
    match dialect {
        Dialect::Chat => &["max_completion_tokens", "max_tokens"],
        Dialect::Responses => &["max_output_tokens"],
        Dialect::Messages => &["max_tokens"],
        Dialect::Generate => &["generationConfig.maxOutputTokens"],
        Dialect::Converse => &["inferenceConfig.maxTokens"],
    }
}

/// All strings and numbers of a body, by their bytes: each byte a token.
fn text(value: &Value) -> u64 {
    match value {
        Value::String(text) => text.len() as u64,
        Value::Array(list) => list.iter().map(text).sum(),
        Value::Object(fields) => fields.iter().map(|(name, value)| name.len() as u64 + text(value)).sum(),
        other => other.to_string().len() as u64,
    }
}

fn has(value: &Value, names: &[&str]) -> bool {
    match value {
        Value::Array(list) => list.iter().any(|value| has(value, names)),
        Value::Object(fields) => {
            names.iter().any(|name| get(fields, name).is_some_and(|value| !value.is_null()))
                || fields.values().any(|value| has(value, names))
        }
        _ => false,
    }
}

/// Whether the body has what is a picture, a sound, a document or something stored in this dialect.
fn looks_elsewhere(dialect: Dialect, body: &Value) -> bool {
    let names: &[&str] = match dialect {
        Dialect::Chat => &["image_url", "input_audio", "file_data", "file_id"],
        Dialect::Responses => &["image_url", "input_audio", "file_data", "file_id", "previous_response_id"],
        Dialect::Messages | Dialect::Converse => &["source"],
        Dialect::Generate => &["inlineData", "fileData", "cachedContent"],
    };
    has(body, names)
}

/// Runs of tools that the provider may make, and how many tools' definitions it adds.
fn tools(body: &Value) -> (u64, u64) {
    let (mut runs, mut provided) = (0, 0);
    let tools = body.as_object().and_then(|body| get(body, "tools")).and_then(Value::as_array);
    for tool in tools.into_iter().flatten().filter_map(Value::as_object) {
        let kind = get(tool, "type").and_then(Value::as_str).unwrap_or("");
        if kind.starts_with("web_search") {
            let limits = [at(body, "max_tool_calls"), get(tool, "max_uses")];
            runs += limits.into_iter().flatten().filter_map(count).min().unwrap_or(1_000);
        } else if kind.starts_with("bash_") {
            provided += 1;
        }
    }
    (runs, provided)
}

fn uses(dialect: Dialect, body: &Value, price: &Price) -> Vec<Buckets> {
    let answers = match dialect {
        Dialect::Chat => at(body, "n"),
        Dialect::Generate => at(body, "generationConfig.candidateCount"),
        _ => None,
    };
    let answers = answers.and_then(count).unwrap_or(1);
    let most = price.max_output.expect("the test's models have a limit");
    let asked: Vec<Option<u64>> = caps(dialect).iter().filter_map(|path| at(body, path)).map(count).collect();
    // Any of several caps may be the one that is heeded; one that cannot be read limits nothing.
    let each = asked.iter().map(|cap| cap.map_or(most, |cap| cap.min(most))).max().unwrap_or(most);
    let (runs, provided) = if dialect == Dialect::Converse { (0, 0) } else { tools(body) };
    let turns = if dialect == Dialect::Messages { (runs + 1).min(10) } else { runs + 1 };
    let named = if dialect == Dialect::Converse { "toolConfig.tools" } else { "tools" };
    let tools = if at(body, named).is_some() { 530 } else { 0 };
    let messages = 3 + 4 * body.get("messages").and_then(Value::as_array).map_or(1, |list| list.len() as u64);
    let mut input = text(body) + 70 + messages + tools + provided * 735;
    if looks_elsewhere(dialect, body) || turns > 1 {
        input = input.max(price.context.expect("the test's models have a window"));
    }
    let (input, output) = (input * turns, each.saturating_mul(answers).saturating_mul(turns));
    let plain = Buckets { input, output, ..Buckets::default() };
    let thought = Buckets { reasoning: output, output: 0, ..plain };
    let mut all = vec![plain, thought];
    let caches = dialect != Dialect::Messages || has(body, &["cache_control"]);
    if caches {
        let written = Buckets { input: 0, cache_write: input, ..thought };
        all.extend([written, Buckets { cache_write: 0, cache_write_long: input, ..written }]);
    }
    all
}

/// The tiers that may be billed: where the request does not fix one, the dearest.
fn tiers(dialect: Dialect, body: &Value, price: &Price) -> Vec<Option<String>> {
    let named = |path| at(body, path).and_then(Value::as_str);
    let mut all = vec![None];
    match dialect {
        Dialect::Messages => all.extend(named("speed").map(|speed| Some(speed.to_owned()))),
        Dialect::Chat | Dialect::Responses => match named("service_tier") {
            Some("default") => {}
            Some("flex") => all.push(Some("flex".to_owned())),
            _ => all.extend(price.tiers.iter().map(|tier| Some(tier.tier.to_string()))),
        },
        Dialect::Generate => {
            let tier = |(key, _): &(&String, &Value)| key.replace('_', "").eq_ignore_ascii_case("servicetier");
            let named = body.as_object().into_iter().flatten().filter(tier).map(|(_, value)| value);
            if named.into_iter().any(|value| !matches!(value.as_str(), Some("standard" | "flex")) && !value.is_null()) {
                all.extend(price.tiers.iter().map(|tier| Some(tier.tier.to_string())));
            }
        }
        Dialect::Converse => {}
    }
    all
}

/// The answer in the provider's words.
fn answer(dialect: Dialect, buckets: &Buckets, tier: Option<&str>) -> Value {
    let Buckets { input, cache_write, cache_write_long, output, reasoning, .. } = *buckets;
    let written = cache_write + cache_write_long;
    let (all_input, all_output) = (input + written, output.saturating_add(reasoning));
    match dialect {
        Dialect::Chat => json!({"id": "x", "service_tier": tier, "usage": {
            "prompt_tokens": all_input, "completion_tokens": all_output,
            "prompt_tokens_details": {"cache_write_tokens": written},
            "completion_tokens_details": {"reasoning_tokens": reasoning}}}),
        Dialect::Responses => json!({"id": "x", "service_tier": tier, "usage": {
            "input_tokens": all_input, "output_tokens": all_output,
            "input_tokens_details": {"cache_write_tokens": written},
            "output_tokens_details": {"reasoning_tokens": reasoning}}}),
        Dialect::Messages => json!({"id": "x", "usage": {
            "input_tokens": input, "cache_creation_input_tokens": written, "speed": tier,
            "cache_creation": {"ephemeral_1h_input_tokens": cache_write_long},
            "output_tokens": all_output, "output_tokens_details": {"thinking_tokens": reasoning},
            "inference_geo": "us"}}),
        Dialect::Generate => json!({"usageMetadata": {
            "promptTokenCount": all_input, "candidatesTokenCount": output, "thoughtsTokenCount": reasoning,
            "serviceTier": tier.unwrap_or("standard")}}),
        Dialect::Converse => json!({"usage": {
            "inputTokens": input, "outputTokens": all_output, "cacheWriteInputTokens": written}}),
    }
}
