//! The only place where a refusal becomes an answer: in the shape that the provider's SDKs expect, so that they raise
//! their usual exceptions, and with headers that say it was Keyward and why.

use crate::eventstream;
use bytes::Bytes;
use http::{HeaderName, HeaderValue, Response, StatusCode, header};
use keyward_domain::{
    provider::Dialect,
    refusal::{Reason, Refusal},
};
use serde_json::{Value, json};

const KEYWARD_ERROR: HeaderName = HeaderName::from_static("keyward-error");
const REQUEST_ID: HeaderName = HeaderName::from_static("keyward-request-id");
const SHOULD_RETRY: HeaderName = HeaderName::from_static("x-should-retry");
const RETRY_AFTER_MS: HeaderName = HeaderName::from_static("retry-after-ms");
const AMZN_ERROR: HeaderName = HeaderName::from_static("x-amzn-errortype");

/// A refusal as an answer.
#[must_use]
pub fn refusal(dialect: Dialect, refusal: &Refusal, request_id: &str) -> Response<Bytes> {
    let mut response = Response::new(Bytes::from(body(dialect, refusal, Some(request_id)).to_string()));
    let reason = refusal.reason;
    *response.status_mut() = StatusCode::from_u16(reason.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(KEYWARD_ERROR, HeaderValue::from_static(reason.code()));
    if let Ok(id) = HeaderValue::from_str(request_id) {
        headers.insert(REQUEST_ID, id);
    }
    if !retry_can_help(refusal) {
        headers.insert(SHOULD_RETRY, HeaderValue::from_static("false"));
    }
    if let Some(millis) = refusal.retry_after_ms {
        headers.insert(header::RETRY_AFTER, HeaderValue::from(millis.div_ceil(1_000)));
        headers.insert(RETRY_AFTER_MS, HeaderValue::from(millis));
    }
    if reason.status() == 401 {
        headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"keyward\""));
    }
    if dialect == Dialect::Bedrock {
        headers.insert(AMZN_ERROR, HeaderValue::from_static(bedrock_kind(reason.status())));
    }
    response
}

/// Whether the same call can succeed later. A call that is larger than the whole allowance never can; a budget helps
/// itself when its window begins anew soon, or when calls in flight hold what is left.
fn retry_can_help(refusal: &Refusal) -> bool {
    match refusal.reason {
        Reason::TokensLimited | Reason::BudgetExhausted => refusal.retry_after_ms.is_some(),
        reason => reason.retry_helps(),
    }
}

fn body(dialect: Dialect, refusal: &Refusal, request_id: Option<&str>) -> Value {
    let (status, code, message) = (refusal.reason.status(), refusal.reason.code(), &*refusal.message);
    match dialect {
        Dialect::Openai => {
            json!({"error": {"message": message, "type": openai_kind(refusal.reason), "param": null, "code": code}})
        }
        Dialect::Anthropic => {
            let mut body = json!({"type": "error", "error": {"type": anthropic_kind(status), "message": message}});
            if let (Some(id), Some(fields)) = (request_id, body.as_object_mut()) {
                fields.insert("request_id".to_owned(), id.into());
            }
            body
        }
        Dialect::Gemini => json!({"error": gemini(refusal)}),
        Dialect::Bedrock => json!({"message": message}),
        Dialect::Cohere => json!({"id": request_id, "message": message}),
        Dialect::Elevenlabs => json!({"detail": {"status": code, "message": message}}),
        Dialect::Replicate => json!({"title": title(status), "detail": message, "status": status}),
        Dialect::Plain => json!({"code": code, "error": message}),
    }
}

const fn openai_kind(reason: Reason) -> &'static str {
    match (reason, reason.status()) {
        (Reason::RateLimited | Reason::ConcurrencyLimited, _) => "requests",
        (Reason::TokensLimited, _) => "tokens",
        (Reason::BudgetExhausted, _) => "insufficient_quota",
        (_, 500..) => "server_error",
        _ => "invalid_request_error",
    }
}

const fn anthropic_kind(status: u16) -> &'static str {
    match status {
        401 => "authentication_error",
        403 => "permission_error",
        404 => "not_found_error",
        413 => "request_too_large",
        429 => "rate_limit_error",
        504 => "timeout_error",
        500.. => "api_error",
        _ => "invalid_request_error",
    }
}

fn gemini(refusal: &Refusal) -> Value {
    let status = refusal.reason.status();
    let word = match status {
        401 => "UNAUTHENTICATED",
        403 => "PERMISSION_DENIED",
        404 => "NOT_FOUND",
        429 => "RESOURCE_EXHAUSTED",
        504 => "DEADLINE_EXCEEDED",
        500.. => "UNAVAILABLE",
        _ => "INVALID_ARGUMENT",
    };
    let mut details = vec![json!({
        "@type": "type.googleapis.com/google.rpc.ErrorInfo",
        "reason": refusal.reason.code().to_ascii_uppercase(),
        "domain": "keyward",
    })];
    if let Some(millis) = refusal.retry_after_ms {
        let delay = format!("{}s", millis.div_ceil(1_000));
        details.push(json!({"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": delay}));
    }
    json!({"code": status, "message": refusal.message, "status": word, "details": details})
}

const fn bedrock_kind(status: u16) -> &'static str {
    match status {
        401 => "UnrecognizedClientException",
        403 => "AccessDeniedException",
        404 => "ResourceNotFoundException",
        429 => "ThrottlingException",
        504 => "ModelTimeoutException",
        500.. => "ServiceUnavailableException",
        _ => "ValidationException",
    }
}

fn title(status: u16) -> &'static str {
    StatusCode::from_u16(status).ok().and_then(|status| status.canonical_reason()).unwrap_or("Error")
}

/// The last words of a stream that is cut, in the form that the client's SDK raises as an error. `None` where the
/// form of the answer has no room for any: then only the connection's end tells.
#[must_use]
pub fn stream_end(dialect: Dialect, content_type: &str, refusal: &Refusal) -> Option<Bytes> {
    let kind = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    match &*kind {
        // The empty lines end an event that was cut in the middle.
        "text/event-stream" => Some(format!("\n\n{}", event(dialect, refusal)).into()),
        "application/x-ndjson" | "application/jsonl" | "application/stream+json" => {
            Some(format!("\n{}\n", body(dialect, refusal, None)).into())
        }
        _ => None,
    }
}

fn event(dialect: Dialect, refusal: &Refusal) -> String {
    match dialect {
        Dialect::Openai => {
            let mut data = body(dialect, refusal, None);
            if let Some(fields) = data.as_object_mut() {
                fields.insert("type".to_owned(), "error".into());
            }
            format!("event: error\ndata: {data}\n\n")
        }
        Dialect::Gemini => format!("data: {}\n\n", body(dialect, refusal, None)),
        Dialect::Cohere => {
            let delta = json!({"finish_reason": "ERROR", "error": refusal.message});
            format!("event: message-end\ndata: {}\n\n", json!({"type": "message-end", "delta": delta}))
        }
        Dialect::Anthropic | Dialect::Bedrock | Dialect::Elevenlabs | Dialect::Replicate | Dialect::Plain => {
            format!("event: error\ndata: {}\n\n", body(dialect, refusal, None))
        }
    }
}

/// The last frame of an AWS event stream that is cut. Only right between two frames.
#[must_use]
pub fn exception_frame(refusal: &Refusal) -> Bytes {
    let headers = [
        (":message-type", "exception"),
        (":exception-type", bedrock_kind(refusal.reason.status())),
        (":content-type", "application/json"),
    ];
    eventstream::encode(&headers, json!({"message": refusal.message}).to_string().as_bytes()).into()
}

/// The close frame of a WebSocket that is cut: "policy violation", or "going away" when the service stops.
#[must_use]
pub fn close_frame(refusal: &Refusal) -> Bytes {
    let code: u16 = if refusal.reason == Reason::ShuttingDown { 1001 } else { 1008 };
    let text = refusal.to_string();
    let mut end = text.len().min(123);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    let words = text.get(..end).unwrap_or_default();
    let length = u8::try_from(words.len() + 2).unwrap_or(2);
    let mut frame = vec![0x88, length];
    frame.extend_from_slice(&code.to_be_bytes());
    frame.extend_from_slice(words.as_bytes());
    frame.into()
}

#[cfg(test)]
mod tests;
