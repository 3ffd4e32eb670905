//! The Anthropic dialect: messages, token counts and models.

use super::{Canned, Sandbox, events, header, json};
use axum::{
    Router,
    extract::State,
    http::{HeaderMap, StatusCode},
    response::Response,
    routing::{get, post},
};
use serde_json::{Value, json as value};

pub(super) fn router() -> Router<Sandbox> {
    Router::new()
        .route("/v1/messages", post(messages))
        .route("/v1/messages/count_tokens", post(count))
        .route("/v1/models", get(models))
}

fn refuse(status: StatusCode, kind: &str, message: &str) -> Response {
    let error = value!({"type": kind, "message": message});
    json(status, &value!({"type": "error", "error": error, "request_id": "req_sandbox"}))
}

fn read(sandbox: &Sandbox, headers: &HeaderMap, body: &str) -> Result<(Value, String), Box<Response>> {
    if !sandbox.knows(header(headers, "x-api-key")) && !sandbox.knows_bearer(headers) {
        return Err(Box::new(refuse(StatusCode::UNAUTHORIZED, "authentication_error", "invalid x-api-key")));
    }
    let parsed = serde_json::from_str::<Value>(body).ok();
    let model = parsed.as_ref().and_then(|request| request.get("model")?.as_str().map(str::to_owned));
    match (parsed, model) {
        (Some(request), Some(model)) => Ok((request, model)),
        (None, _) => Err(Box::new(refuse(StatusCode::BAD_REQUEST, "invalid_request_error", "the body is not JSON"))),
        (Some(_), None) => {
            Err(Box::new(refuse(StatusCode::BAD_REQUEST, "invalid_request_error", "model: Field required")))
        }
    }
}

/// The prompt: system text and messages.
fn prompt(request: &Value) -> Value {
    value!([request.get("system"), request.get("messages")])
}

async fn messages(State(sandbox): State<Sandbox>, headers: HeaderMap, body: String) -> Response {
    let (request, model) = match read(&sandbox, &headers, &body) {
        Ok(read) => read,
        Err(answer) => return *answer,
    };
    let Some(cap) = request.get("max_tokens").and_then(Value::as_u64) else {
        return refuse(StatusCode::BAD_REQUEST, "invalid_request_error", "max_tokens: Field required");
    };
    let canned = Canned::new(&prompt(&request), Some(cap));
    let stop = if canned.cut { "max_tokens" } else { "end_turn" };
    let usage = |output: usize| {
        value!({
            "input_tokens": canned.input, "cache_creation_input_tokens": 0, "cache_read_input_tokens": 0,
            "output_tokens": output, "service_tier": "standard"
        })
    };
    let message = |content: Value, stop: Value, usage: Value| {
        value!({
            "id": "msg_sandbox", "type": "message", "role": "assistant", "model": model, "content": content,
            "stop_reason": stop, "stop_sequence": null, "usage": usage
        })
    };
    if request.get("stream").and_then(Value::as_bool) != Some(true) {
        let content = value!([{"type": "text", "text": canned.text()}]);
        return json(StatusCode::OK, &message(content, stop.into(), usage(canned.output())));
    }
    let mut bodies = vec![
        value!({"type": "message_start", "message": message(value!([]), Value::Null, usage(1))}),
        value!({"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}),
        value!({"type": "ping"}),
    ];
    bodies.extend(canned.words.iter().map(
        |word| value!({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": word}}),
    ));
    bodies.push(value!({"type": "content_block_stop", "index": 0}));
    bodies.push(value!({
        "type": "message_delta", "delta": {"stop_reason": stop, "stop_sequence": null},
        "usage": {"output_tokens": canned.output()}
    }));
    bodies.push(value!({"type": "message_stop"}));
    let named = bodies.into_iter().map(|body| {
        let kind = body.get("type").and_then(Value::as_str).unwrap_or("ping").to_owned();
        format!("event: {kind}\ndata: {body}\n\n")
    });
    events(named.collect())
}

async fn count(State(sandbox): State<Sandbox>, headers: HeaderMap, body: String) -> Response {
    match read(&sandbox, &headers, &body) {
        Ok((request, _)) => {
            json(StatusCode::OK, &value!({"input_tokens": super::count_words(&prompt(&request)).max(1)}))
        }
        Err(answer) => *answer,
    }
}

async fn models(State(sandbox): State<Sandbox>, headers: HeaderMap) -> Response {
    if !sandbox.knows(header(&headers, "x-api-key")) && !sandbox.knows_bearer(&headers) {
        return refuse(StatusCode::UNAUTHORIZED, "authentication_error", "invalid x-api-key");
    }
    let one = value!({
        "type": "model", "id": "claude-sonnet-5", "display_name": "Sandbox model", "created_at": "2026-01-01T00:00:00Z"
    });
    json(
        StatusCode::OK,
        &value!({"data": [one], "has_more": false, "first_id": "claude-sonnet-5", "last_id": "claude-sonnet-5"}),
    )
}
