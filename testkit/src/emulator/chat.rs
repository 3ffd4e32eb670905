//! Chat completions, with the habits of each provider that speaks them.

use super::{
    call::{CREATED, Call},
    refusals::{self, Parts},
    reply::{Reply, Stream, data},
    script::Fault,
    usage,
};
use crate::keys::Service;
use bytes::Bytes;
use serde_json::{Value, json};

/// When a stream tells its use.
#[derive(PartialEq, Eq)]
enum Tells {
    /// In one more chunk, and only when asked by `stream_options.include_usage`.
    WhenAsked,
    /// In one more chunk, always.
    Always,
    /// With the chunk that ends the text, always.
    WithTheEnd,
    /// As `WithTheEnd`, and a second time beside it.
    WithTheEndTwice,
    /// In every chunk, growing.
    InEveryChunk,
}

const fn tells(service: Service) -> Tells {
    match service {
        Service::OpenRouter => Tells::Always,
        Service::Mistral | Service::Together | Service::Fireworks => Tells::WithTheEnd,
        Service::Groq => Tells::WithTheEndTwice,
        Service::Perplexity => Tells::InEveryChunk,
        _ => Tells::WhenAsked,
    }
}

/// What Mistral's chat takes; anything else is refused.
const MISTRAL_FIELDS: &[&str] = &[
    "model",
    "messages",
    "temperature",
    "top_p",
    "max_tokens",
    "stream",
    "stop",
    "random_seed",
    "response_format",
    "tools",
    "tool_choice",
    "presence_penalty",
    "frequency_penalty",
    "n",
    "prediction",
    "parallel_tool_calls",
    "safe_prompt",
    "prompt_mode",
    "prompt",
    "suffix",
    "min_tokens",
    "metadata",
];

/// `POST /chat/completions` (and `/fim/completions`).
pub(super) fn answer(call: &Call<'_>) -> Reply {
    if let Some(refused) = unknown_field(call) {
        return refused;
    }
    if call.json.get("messages").is_none() && call.json.get("prompt").is_none() {
        let parts = Parts {
            kind: "invalid_request_error",
            param: Some("messages"),
            message: "Missing required parameter: 'messages'.",
            ..Parts::default()
        };
        return refusals::error(call.service, call.surface, 400, &parts);
    }
    if call.wants_stream() { stream(call) } else { unary(call) }
}

fn unknown_field(call: &Call<'_>) -> Option<Reply> {
    if call.service != Service::Mistral {
        return None;
    }
    let field = call.json.as_object()?.keys().find(|field| !MISTRAL_FIELDS.contains(&field.as_str()))?;
    let parts = Parts {
        kind: "extra_forbidden",
        param: Some(field),
        message: "Extra inputs are not permitted",
        ..Parts::default()
    };
    Some(refusals::error(call.service, call.surface, 422, &parts))
}

fn envelope(call: &Call<'_>, object: &str) -> Value {
    let mut body =
        json!({"id": "chatcmpl-emulated", "object": object, "created": CREATED, "model": call.answering_model()});
    match call.service {
        Service::OpenAi => {
            body["service_tier"] = json!(call.script().tier.as_deref().unwrap_or("default"));
            body["system_fingerprint"] = json!("fp_emulated");
        }
        Service::OpenRouter => body["provider"] = json!("Anthropic"),
        _ => {}
    }
    body
}

fn unary(call: &Call<'_>) -> Reply {
    let mut body = envelope(call, "chat.completion");
    body["choices"] = json!([{"index": 0, "message": {"role": "assistant", "content": call.script().text,
    "refusal": null}, "logprobs": null, "finish_reason": "stop"}]);
    body["usage"] = usage::chat(call);
    if call.service == Service::Groq {
        body["x_groq"] = json!({"id": "req_emulated"});
    }
    if call.service == Service::AzureOpenAi {
        body["prompt_filter_results"] = json!([{"prompt_index": 0, "content_filter_results": {}}]);
    }
    Reply::json(200, &body)
}

fn stream(call: &Call<'_>) -> Reply {
    let script = call.script();
    let asked = call.json.pointer("/stream_options/include_usage").and_then(Value::as_bool).unwrap_or(false);
    let obfuscated = call.service == Service::OpenAi
        && call.json.pointer("/stream_options/include_obfuscation").and_then(Value::as_bool).unwrap_or(true);
    let tells = tells(call.service);
    let chunk = |delta: Value, finish: Value| {
        let mut body = envelope(call, "chat.completion.chunk");
        body["choices"] = json!([{"index": 0, "delta": delta, "logprobs": null, "finish_reason": finish}]);
        if asked && tells == Tells::WhenAsked {
            body["usage"] = Value::Null;
        }
        if obfuscated {
            body["obfuscation"] = json!("x7Qw");
        }
        body
    };
    let pieces = script.pieces();
    let all = pieces.len();
    let mut stream = Stream::default();
    stream.prelude.extend(before_all(call));
    stream.prelude.push(data(&chunk(json!({"role": "assistant", "content": "", "refusal": null}), Value::Null)));
    stream.pieces = pieces
        .iter()
        .enumerate()
        .map(|(number, piece)| {
            let mut body = chunk(json!({"content": piece}), Value::Null);
            if tells == Tells::InEveryChunk {
                body["usage"] = growing(usage::chat(call), number + 1, all);
            }
            data(&body)
        })
        .collect();
    let mut last = chunk(json!({}), json!("stop"));
    match tells {
        Tells::WithTheEnd | Tells::InEveryChunk => last["usage"] = usage::chat(call),
        Tells::WithTheEndTwice => {
            last["usage"] = usage::chat(call);
            last["x_groq"] = json!({"id": "req_emulated", "usage": usage::chat(call)});
        }
        Tells::WhenAsked | Tells::Always => {}
    }
    stream.finale.push(data(&last));
    if tells == Tells::Always || (asked && tells == Tells::WhenAsked) {
        let mut body = envelope(call, "chat.completion.chunk");
        body["choices"] = json!([]);
        body["usage"] = usage::chat(call);
        stream.finale.push(data(&body));
    }
    stream.finale.push(Bytes::from_static(b"data: [DONE]\n\n"));
    stream.failure = failure(call);
    Reply::steps("text/event-stream; charset=utf-8", stream.steps(script)).header("cache-control", "no-cache")
}

/// What some providers send before the first chunk of an answer.
fn before_all(call: &Call<'_>) -> Vec<Bytes> {
    match call.service {
        Service::AzureOpenAi => vec![data(&json!({
            "id": "", "object": "", "created": 0, "model": "", "choices": [],
            "prompt_filter_results": [{"prompt_index": 0, "content_filter_results": {"hate": {"filtered": false,
            "severity": "safe"}}}]}))],
        Service::OpenRouter => {
            vec![Bytes::from_static(b": OPENROUTER PROCESSING\n\n"), Bytes::from_static(b": OPENROUTER PROCESSING\n\n")]
        }
        Service::DeepSeek => vec![Bytes::from_static(b": keep-alive\n\n"), Bytes::from_static(b"\n\n")],
        _ => Vec::new(),
    }
}

/// The use so far, for providers that report it with every chunk.
fn growing(mut usage: Value, done: usize, all: usize) -> Value {
    let whole = usage["completion_tokens"].as_u64().unwrap_or(0);
    let part = whole * u64::try_from(done).unwrap_or(0) / u64::try_from(all.max(1)).unwrap_or(1);
    usage["completion_tokens"] = json!(part);
    usage["total_tokens"] = json!(usage["prompt_tokens"].as_u64().unwrap_or(0) + part);
    if let Some(cost) = usage.get_mut("cost") {
        // The cost is told when it is known: at the end.
        cost["total_cost"] = json!(0.0);
    }
    usage
}

fn failure(call: &Call<'_>) -> Vec<Bytes> {
    let broke = matches!(call.script().fault, Some(Fault::NoMoneyAt(_)));
    if call.service == Service::OpenRouter {
        let (code, message, kind) = if broke {
            (402, "Insufficient credits. Add more using https://openrouter.ai/credits", "payment_required")
        } else {
            (502, "Provider disconnected", "provider_unavailable")
        };
        let mut body = envelope(call, "chat.completion.chunk");
        body["error"] = json!({"code": code, "message": message, "metadata": {"error_type": kind}});
        body["choices"] = json!([{"index": 0, "delta": {"content": ""}, "finish_reason": "error"}]);
        return vec![data(&body)];
    }
    let error = if broke {
        json!({"message": "You exceeded your current quota, please check your plan and billing details.",
               "type": "insufficient_quota", "param": null, "code": "insufficient_quota"})
    } else {
        json!({"message": "The server had an error while processing your request. Sorry about that!",
               "type": "server_error", "param": null, "code": null})
    };
    vec![data(&json!({"error": error}))]
}
