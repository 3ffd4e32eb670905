//! Google's Gemini API.

use super::{
    call::Call,
    refusals::{self, Parts},
    reply::{Reply, Stream, data},
    script::Fault,
    usage,
};
use bytes::Bytes;
use http::Method;
use serde_json::{Value, json};

/// The answer to a call below the host, when the API has the path.
pub(super) fn answer(call: &Call<'_>) -> Option<Reply> {
    let (_, rest) = call.path.strip_prefix("/upload").unwrap_or(call.path).strip_prefix("/v1")?.split_once('/')?;
    let segments: Vec<&str> = rest.split('/').collect();
    let reply = match (call.method, segments.as_slice()) {
        (&Method::POST, ["models", action]) => {
            let (model, verb) = action.split_once(':')?;
            match verb {
                "generateContent" => Reply::json(200, &content(call, &call.script().text, true)),
                "streamGenerateContent" => stream(call),
                "countTokens" => Reply::json(200, &json!({"totalTokens": call.script().buckets.all_input()})),
                "embedContent" => Reply::json(200, &json!({"embedding": {"values": [0.5, -0.5]}})),
                "batchEmbedContents" => Reply::json(200, &json!({"embeddings": [{"values": [0.5, -0.5]}]})),
                "predict" => Reply::json(
                    200,
                    &json!({"predictions": [{"mimeType": "image/png", "bytesBase64Encoded": "aW1hZ2U="}]}),
                ),
                "predictLongRunning" => operation(call, &format!("models/{model}/operations"), "operation"),
                "batchGenerateContent" => operation(call, "batches", "batch"),
                _ => return None,
            }
        }
        (&Method::GET, ["models", _, "operations", id]) => object(call, "operation", id)?,
        (&Method::GET, ["models"]) => Reply::json(200, &json!({"models": [model(call.service.model())]})),
        (&Method::GET, ["models", name]) => Reply::json(200, &model(name)),
        (&Method::POST, ["files"]) => created(call, "file", "files", |file| json!({"file": file})),
        (&Method::POST, ["cachedContents"]) => created(call, "cachedContent", "cachedContents", |cached| cached),
        (&Method::GET, [kind @ ("files" | "cachedContents" | "batches")]) => {
            Reply::json(200, &json!({*kind: call.shared.objects.list(singular(kind))}))
        }
        (&Method::GET | &Method::PATCH, [kind @ ("files" | "cachedContents" | "batches"), id]) => {
            object(call, singular(kind), id)?
        }
        (&Method::DELETE, [kind @ ("files" | "cachedContents" | "batches"), id]) => {
            if call.shared.objects.remove(singular(kind), id) {
                Reply::json(200, &json!({}))
            } else {
                missing(call, id)
            }
        }
        (&Method::POST, ["interactions"]) => interaction(call),
        _ => return None,
    };
    Some(reply)
}

fn singular(kind: &str) -> &'static str {
    match kind {
        "files" => "file",
        "batches" => "batch",
        _ => "cachedContent",
    }
}

fn missing(call: &Call<'_>, id: &str) -> Reply {
    let message = format!("Requested entity {id} was not found.");
    refusals::error(
        call.service,
        call.surface,
        404,
        &Parts { kind: "NOT_FOUND", message: &message, ..Parts::default() },
    )
}

fn object(call: &Call<'_>, kind: &str, id: &str) -> Option<Reply> {
    let found = call.shared.objects.one(kind, id.split(':').next()?);
    Some(found.map_or_else(|| missing(call, id), |value| Reply::json(200, &value)))
}

fn created(call: &Call<'_>, kind: &str, collection: &str, wrap: impl FnOnce(Value) -> Value) -> Reply {
    let id = call.shared.objects.new_id("g").replace('_', "");
    let value = json!({"name": format!("{collection}/{id}"), "displayName": "emulated", "mimeType": "text/plain",
                       "sizeBytes": call.body.len().to_string(), "createTime": "2026-11-01T00:00:00Z",
                       "state": "ACTIVE",
    "uri": format!("https://generativelanguage.googleapis.com/v1beta/{collection}/{id}")});
    call.shared.objects.put(kind, &id, value.clone());
    Reply::json(200, &wrap(value))
}

fn operation(call: &Call<'_>, collection: &str, kind: &str) -> Reply {
    let id = call.shared.objects.new_id("g").replace('_', "");
    let value = json!({"name": format!("{collection}/{id}"), "done": false});
    call.shared.objects.put(kind, &id, value.clone());
    Reply::json(200, &value)
}

fn model(name: &str) -> Value {
    json!({"name": format!("models/{name}"), "version": "001", "displayName": name, "inputTokenLimit": 1_048_576,
           "outputTokenLimit": 65_536, "supportedGenerationMethods": ["generateContent", "countTokens"]})
}

fn content(call: &Call<'_>, text: &str, last: bool) -> Value {
    let mut candidate = json!({"content": {"role": "model", "parts": [{"text": text}]}, "index": 0});
    if last {
        candidate["finishReason"] = json!("STOP");
        let searches = call.script().units.searches;
        if searches > 0 {
            let queries: Vec<String> = (0..searches).map(|number| format!("emulated {number}")).collect();
            candidate["groundingMetadata"] = json!({"webSearchQueries": queries, "groundingChunks": []});
        }
    }
    json!({"candidates": [candidate], "usageMetadata": usage::gemini(call.script()),
           "modelVersion": call.answering_model(), "responseId": "emulated"})
}

/// Every chunk carries the use so far; the last one is right. Without `alt=sse` the answer is one JSON array.
fn stream(call: &Call<'_>) -> Reply {
    let script = call.script();
    let pieces = script.pieces();
    let count = pieces.len();
    let bodies: Vec<Value> = pieces
        .iter()
        .enumerate()
        .map(|(number, piece)| {
            let last = number + 1 == count;
            let mut body = content(call, piece, last);
            if !last {
                growing(&mut body["usageMetadata"], number + 1, count);
            }
            body
        })
        .collect();
    let (status, word, message) = match script.fault {
        Some(Fault::NoMoneyAt(_)) => (402, "RESOURCE_EXHAUSTED", "Your prepayment credits are depleted."),
        _ => (503, "UNAVAILABLE", "The model is overloaded. Please try again later."),
    };
    let error = json!({"error": {"code": status, "message": message, "status": word}});
    if call.query_value("alt") == Some("sse") {
        let stream = Stream {
            pieces: bodies.iter().map(|body| crlf(&data(body))).collect(),
            failure: vec![crlf(&data(&error))],
            ..Stream::default()
        };
        return Reply::steps("text/event-stream", stream.steps(script));
    }
    let stream = Stream {
        pieces: bodies
            .iter()
            .enumerate()
            .map(|(number, body)| Bytes::from(format!("{}{body:#}", if number == 0 { "[" } else { ",\r\n" })))
            .collect(),
        finale: vec![Bytes::from_static(b"\n]\n")],
        failure: vec![Bytes::from(format!(",\r\n{error:#}]"))],
        ..Stream::default()
    };
    Reply::steps("application/json; charset=UTF-8", stream.steps(script))
}

/// Google ends lines in its events with CR LF.
fn crlf(event: &Bytes) -> Bytes {
    Bytes::from(String::from_utf8_lossy(event).replace('\n', "\r\n"))
}

fn growing(usage: &mut Value, done: usize, all: usize) {
    let whole = usage["candidatesTokenCount"].as_u64().unwrap_or(0);
    let part = whole * u64::try_from(done).unwrap_or(0) / u64::try_from(all.max(1)).unwrap_or(1);
    let prompt = usage["promptTokenCount"].as_u64().unwrap_or(0);
    let thoughts = usage["thoughtsTokenCount"].as_u64().unwrap_or(0);
    usage["candidatesTokenCount"] = json!(part);
    usage["totalTokenCount"] = json!(prompt + part + thoughts);
    if let Some(usage) = usage.as_object_mut() {
        usage.remove("candidatesTokensDetails");
    }
}

fn interaction(call: &Call<'_>) -> Reply {
    let buckets = &call.script().buckets;
    let id = call.shared.objects.new_id("int").replace('_', "");
    let input = buckets.all_input();
    let body = json!({"id": id, "object": "interaction", "status": "completed", "model": call.answering_model(),
                      "outputs": [{"type": "text", "text": call.script().text}],
                      "usage": {"total_input_tokens": input, "total_cached_tokens": buckets.cache_read,
                                "total_output_tokens": buckets.output, "total_thought_tokens": buckets.reasoning,
                                "total_tool_use_tokens": 0, "total_tokens": input + buckets.all_output()}});
    call.shared.objects.put("interaction", &id, body.clone());
    Reply::json(200, &body)
}
