//! The Gemini dialect: content, streamed content and models.

use super::{Canned, Sandbox, events, header, json};
use axum::{
    Router,
    extract::{Path, RawQuery, State},
    http::{HeaderMap, StatusCode},
    response::Response,
    routing::{get, post},
};
use serde_json::{Value, json as value};

pub(super) fn router() -> Router<Sandbox> {
    Router::new()
        .route("/v1beta/models", get(models))
        .route("/v1beta/models/{call}", post(generate))
        .route("/v1/models/{call}", post(generate))
}

fn refuse(status: StatusCode, word: &str, message: &str, reason: &str) -> Response {
    let details = value!([{
        "@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": reason, "domain": "googleapis.com"
    }]);
    let error = value!({"code": status.as_u16(), "message": message, "status": word, "details": details});
    json(status, &value!({"error": error}))
}

fn unknown_key() -> Response {
    let message = "API key not valid. Please pass a valid API key.";
    refuse(StatusCode::BAD_REQUEST, "INVALID_ARGUMENT", message, "API_KEY_INVALID")
}

async fn generate(
    State(sandbox): State<Sandbox>,
    headers: HeaderMap,
    Path(call): Path<String>,
    RawQuery(query): RawQuery,
    body: String,
) -> Response {
    if !sandbox.knows(header(&headers, "x-goog-api-key")) {
        return unknown_key();
    }
    let Ok(request) = serde_json::from_str::<Value>(&body) else {
        return refuse(StatusCode::BAD_REQUEST, "INVALID_ARGUMENT", "Invalid JSON payload received.", "BAD_JSON");
    };
    let (model, verb) = call.split_once(':').unwrap_or((&call, ""));
    let cap = request.pointer("/generationConfig/maxOutputTokens").and_then(Value::as_u64);
    let canned = Canned::new(&value!([request.get("systemInstruction"), request.get("contents")]), cap);
    let finish = if canned.cut { "MAX_TOKENS" } else { "STOP" };
    let usage = |output: usize| {
        value!({
            "promptTokenCount": canned.input, "candidatesTokenCount": output,
            "totalTokenCount": canned.input + output
        })
    };
    let part = |text: &str, finish: Option<&str>, output: usize| {
        let mut candidate = value!({"content": {"role": "model", "parts": [{"text": text}]}, "index": 0});
        if let (Some(finish), Some(fields)) = (finish, candidate.as_object_mut()) {
            fields.insert("finishReason".to_owned(), finish.into());
        }
        value!({
            "candidates": [candidate], "usageMetadata": usage(output), "modelVersion": model,
            "responseId": "sandbox"
        })
    };
    let pieces = || {
        canned.words.iter().enumerate().map(|(index, word)| {
            let last = index + 1 == canned.output();
            part(word, last.then_some(finish), index + 1)
        })
    };
    match verb {
        "generateContent" => json(StatusCode::OK, &part(&canned.text(), Some(finish), canned.output())),
        "streamGenerateContent" if query.as_deref().unwrap_or("").split('&').any(|pair| pair == "alt=sse") => {
            events(pieces().map(|piece| format!("data: {piece}\r\n\r\n")).collect())
        }
        "streamGenerateContent" => json(StatusCode::OK, &Value::Array(pieces().collect())),
        "countTokens" => json(StatusCode::OK, &value!({"totalTokens": canned.input})),
        _ => refuse(StatusCode::NOT_FOUND, "NOT_FOUND", "this call is not supported here", "METHOD_NOT_FOUND"),
    }
}

async fn models(State(sandbox): State<Sandbox>, headers: HeaderMap) -> Response {
    if !sandbox.knows(header(&headers, "x-goog-api-key")) {
        return unknown_key();
    }
    let one = value!({
        "name": "models/gemini-3.1-flash", "displayName": "Sandbox model", "inputTokenLimit": 1_048_576,
        "outputTokenLimit": 65_536, "supportedGenerationMethods": ["generateContent", "streamGenerateContent"]
    });
    json(StatusCode::OK, &value!({"models": [one]}))
}
