use super::*;
use axum::http::Request;
use http_body_util::BodyExt;
use serde_json::json as value;
use tower::ServiceExt;

fn router() -> Router {
    Router::new()
        .nest("/openai/v1", openai::router())
        .nest("/anthropic", anthropic::router())
        .nest("/gemini", gemini::router())
        .with_state(Sandbox { secret: "right".into() })
}

async fn post(path: &str, key: (&str, &str), body: &Value) -> (u16, String) {
    let request = Request::post(path).header(key.0, key.1).body(Body::from(body.to_string())).expect("a request");
    let response = router().oneshot(request).await.expect("an answer");
    let status = response.status().as_u16();
    let bytes = response.into_body().collect().await.expect("a body").to_bytes();
    (status, String::from_utf8(bytes.to_vec()).expect("text"))
}

const OPENAI: (&str, &str) = ("authorization", "Bearer right");
const ANTHROPIC: (&str, &str) = ("x-api-key", "right");
const GEMINI: (&str, &str) = ("x-goog-api-key", "right");

#[tokio::test]
async fn a_wrong_key_is_refused_in_each_dialect() {
    let body = value!({"model": "m", "max_tokens": 5, "messages": []});
    for (path, key, status, part) in [
        ("/openai/v1/chat/completions", ("authorization", "Bearer wrong"), 401, "invalid_api_key"),
        ("/anthropic/v1/messages", ("x-api-key", "wrong"), 401, "authentication_error"),
        ("/gemini/v1beta/models/m:generateContent", ("x-goog-api-key", "wrong"), 400, "API_KEY_INVALID"),
    ] {
        let (got, text) = post(path, key, &body).await;
        assert_eq!(got, status, "{path}");
        assert!(text.contains(part), "{path}: {text}");
    }
}

#[tokio::test]
async fn unary_answers_carry_use() {
    let messages = value!([{"role": "user", "content": "one two three"}]);
    let (_, text) = post("/openai/v1/chat/completions", OPENAI, &value!({"model": "m", "messages": messages})).await;
    let answer: Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!(answer.pointer("/usage/prompt_tokens"), Some(&value!(4)), "three words and the role");
    assert_eq!(answer.pointer("/choices/0/finish_reason"), Some(&value!("stop")));

    let body = value!({"model": "m", "max_tokens": 2, "messages": messages});
    let (_, text) = post("/anthropic/v1/messages", ANTHROPIC, &body).await;
    let answer: Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!(answer.pointer("/usage/output_tokens"), Some(&value!(2)), "the cap is kept");
    assert_eq!(answer.pointer("/stop_reason"), Some(&value!("max_tokens")));

    let body = value!({"contents": [{"parts": [{"text": "one two"}]}]});
    let (_, text) = post("/gemini/v1beta/models/m:generateContent", GEMINI, &body).await;
    let answer: Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!(answer.pointer("/usageMetadata/promptTokenCount"), Some(&value!(2)));
}

#[tokio::test(start_paused = true)]
async fn streams_end_the_way_each_dialect_ends() {
    let body = value!({"model": "m", "stream": true, "messages": [], "stream_options": {"include_usage": true}});
    let (_, text) = post("/openai/v1/chat/completions", OPENAI, &body).await;
    assert!(text.ends_with("data: [DONE]\n\n"), "{text}");
    assert!(text.contains("\"completion_tokens\""), "{text}");

    let body = value!({"model": "m", "stream": true, "input": "hello"});
    let (_, text) = post("/openai/v1/responses", OPENAI, &body).await;
    assert!(text.contains("event: response.completed\n"), "{text}");

    let body = value!({"model": "m", "stream": true, "max_tokens": 100, "messages": []});
    let (_, text) = post("/anthropic/v1/messages", ANTHROPIC, &body).await;
    assert!(text.ends_with("data: {\"type\":\"message_stop\"}\n\n"), "{text}");

    let (_, text) = post("/gemini/v1beta/models/m:streamGenerateContent?alt=sse", GEMINI, &value!({})).await;
    assert!(text.contains("\"finishReason\":\"STOP\""), "{text}");
}
