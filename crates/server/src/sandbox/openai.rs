//! The OpenAI dialect: chat completions, responses, embeddings and models.

use super::{Canned, Sandbox, events, json};
use axum::{
    Router,
    extract::{Path, State},
    http::{HeaderMap, StatusCode},
    response::Response,
    routing::{get, post},
};
use serde_json::{Value, json as value};

/// A fixed moment for `created`, so that answers are the same every time: 2026-01-01.
const CREATED: i64 = 1_767_225_600;
const MODELS: [&str; 3] = ["gpt-5.4", "gpt-5.4-mini", "text-embedding-3-small"];

pub(super) fn router() -> Router<Sandbox> {
    Router::new()
        .route("/chat/completions", post(chat))
        .route("/responses", post(responses))
        .route("/embeddings", post(embeddings))
        .route("/models", get(models))
        .route("/models/{model}", get(model))
}

fn refuse(status: StatusCode, kind: &str, code: &str, message: &str) -> Response {
    json(status, &value!({"error": {"message": message, "type": kind, "param": null, "code": code}}))
}

fn unknown_key() -> Response {
    refuse(StatusCode::UNAUTHORIZED, "invalid_request_error", "invalid_api_key", "Incorrect API key provided.")
}

fn read(sandbox: &Sandbox, headers: &HeaderMap, body: &str) -> Result<(Value, String), Box<Response>> {
    if !sandbox.knows_bearer(headers) {
        return Err(Box::new(unknown_key()));
    }
    let Ok(request) = serde_json::from_str::<Value>(body) else {
        let message = "We could not parse the JSON body of your request.";
        return Err(Box::new(refuse(StatusCode::BAD_REQUEST, "invalid_request_error", "invalid_json", message)));
    };
    let Some(model) = request.get("model").and_then(Value::as_str).map(str::to_owned) else {
        let message = "you must provide a model parameter";
        return Err(Box::new(refuse(
            StatusCode::BAD_REQUEST,
            "invalid_request_error",
            "missing_required_parameter",
            message,
        )));
    };
    Ok((request, model))
}

async fn chat(State(sandbox): State<Sandbox>, headers: HeaderMap, body: String) -> Response {
    let (request, model) = match read(&sandbox, &headers, &body) {
        Ok(read) => read,
        Err(answer) => return *answer,
    };
    let cap = ["max_completion_tokens", "max_tokens"].iter().find_map(|name| request.get(name)?.as_u64());
    let canned = Canned::new(request.get("messages").unwrap_or(&Value::Null), cap);
    let finish = if canned.cut { "length" } else { "stop" };
    let usage = value!({
        "prompt_tokens": canned.input, "completion_tokens": canned.output(),
        "total_tokens": canned.input + canned.output(),
        "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": 0, "audio_tokens": 0}
    });
    if request.get("stream").and_then(Value::as_bool) != Some(true) {
        return json(
            StatusCode::OK,
            &value!({
                "id": "chatcmpl-sandbox", "object": "chat.completion", "created": CREATED, "model": model,
                "choices": [{
                    "index": 0, "finish_reason": finish, "logprobs": null,
                    "message": {"role": "assistant", "content": canned.text(), "refusal": null}
                }],
                "usage": usage
            }),
        );
    }
    let wants_usage = request.pointer("/stream_options/include_usage").and_then(Value::as_bool) == Some(true);
    let chunk = |choices: Value, usage: &Value| {
        let mut chunk = value!({
            "id": "chatcmpl-sandbox", "object": "chat.completion.chunk", "created": CREATED, "model": model,
            "choices": choices
        });
        if wants_usage && let Some(fields) = chunk.as_object_mut() {
            fields.insert("usage".to_owned(), usage.clone());
        }
        format!("data: {chunk}\n\n")
    };
    let choice = |delta: Value, finish: Value| value!([{"index": 0, "delta": delta, "finish_reason": finish}]);
    let mut out = vec![chunk(choice(value!({"role": "assistant", "content": ""}), Value::Null), &Value::Null)];
    out.extend(canned.words.iter().map(|word| chunk(choice(value!({"content": word}), Value::Null), &Value::Null)));
    out.push(chunk(choice(value!({}), finish.into()), &Value::Null));
    if wants_usage {
        out.push(chunk(value!([]), &usage));
    }
    out.push("data: [DONE]\n\n".to_owned());
    events(out)
}

async fn responses(State(sandbox): State<Sandbox>, headers: HeaderMap, body: String) -> Response {
    let (request, model) = match read(&sandbox, &headers, &body) {
        Ok(read) => read,
        Err(answer) => return *answer,
    };
    let canned = Canned::new(
        request.get("input").unwrap_or(&Value::Null),
        request.get("max_output_tokens").and_then(Value::as_u64),
    );
    let item = |status: &str, content: Value| value!({"id": "msg_sandbox", "type": "message", "status": status, "role": "assistant", "content": content});
    let part = |text: &str| value!({"type": "output_text", "text": text, "annotations": []});
    let answer = |status: &str, output: Value, usage: Value| {
        value!({
            "id": "resp_sandbox", "object": "response", "created_at": CREATED, "status": status, "model": model,
            "error": null, "incomplete_details": null, "instructions": null, "metadata": {}, "output": output,
            "parallel_tool_calls": true, "tool_choice": "auto", "tools": [], "temperature": 1.0, "top_p": 1.0,
            "usage": usage
        })
    };
    let done = item("completed", value!([part(&canned.text())]));
    let usage = value!({
        "input_tokens": canned.input, "input_tokens_details": {"cached_tokens": 0},
        "output_tokens": canned.output(), "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": canned.input + canned.output()
    });
    let whole = answer("completed", value!([done]), usage);
    if request.get("stream").and_then(Value::as_bool) != Some(true) {
        return json(StatusCode::OK, &whole);
    }
    let begun = answer("in_progress", value!([]), Value::Null);
    let mut bodies = vec![
        ("response.created", value!({"response": begun})),
        ("response.output_item.added", value!({"output_index": 0, "item": item("in_progress", value!([]))})),
        (
            "response.content_part.added",
            value!({"item_id": "msg_sandbox", "output_index": 0, "content_index": 0, "part": part("")}),
        ),
    ];
    bodies.extend(canned.words.iter().map(|word| {
        let delta = value!({
            "item_id": "msg_sandbox", "output_index": 0, "content_index": 0, "delta": word, "logprobs": []
        });
        ("response.output_text.delta", delta)
    }));
    bodies.push((
        "response.output_text.done",
        value!({"item_id": "msg_sandbox", "output_index": 0, "content_index": 0, "text": canned.text(), "logprobs": []}),
    ));
    bodies.push(("response.output_item.done", value!({"output_index": 0, "item": done})));
    bodies.push(("response.completed", value!({"response": whole})));
    let numbered = bodies.into_iter().enumerate().map(|(number, (kind, mut body))| {
        if let Some(fields) = body.as_object_mut() {
            fields.insert("type".to_owned(), kind.into());
            fields.insert("sequence_number".to_owned(), number.into());
        }
        format!("event: {kind}\ndata: {body}\n\n")
    });
    events(numbered.collect())
}

async fn embeddings(State(sandbox): State<Sandbox>, headers: HeaderMap, body: String) -> Response {
    let (request, model) = match read(&sandbox, &headers, &body) {
        Ok(read) => read,
        Err(answer) => return *answer,
    };
    let input = request.get("input").cloned().unwrap_or(Value::Null);
    let texts = if let Value::Array(items) = &input { items.len() } else { 1 };
    let tokens = super::count_words(&input).max(1);
    let data: Vec<Value> = (0..texts)
        .map(|index| value!({"object": "embedding", "index": index, "embedding": [0.5, -0.5, 0.5, -0.5]}))
        .collect();
    let usage = value!({"prompt_tokens": tokens, "total_tokens": tokens});
    json(StatusCode::OK, &value!({"object": "list", "data": data, "model": model, "usage": usage}))
}

fn entry(model: &str) -> Value {
    value!({"id": model, "object": "model", "created": CREATED, "owned_by": "keyward-sandbox"})
}

async fn models(State(sandbox): State<Sandbox>, headers: HeaderMap) -> Response {
    if !sandbox.knows_bearer(&headers) {
        return unknown_key();
    }
    let all: Vec<Value> = MODELS.into_iter().map(entry).collect();
    json(StatusCode::OK, &value!({"object": "list", "data": all}))
}

async fn model(State(sandbox): State<Sandbox>, headers: HeaderMap, Path(model): Path<String>) -> Response {
    if !sandbox.knows_bearer(&headers) {
        return unknown_key();
    }
    json(StatusCode::OK, &entry(&model))
}
