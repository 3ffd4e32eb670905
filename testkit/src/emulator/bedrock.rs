//! AWS Bedrock's runtime API, reached with a bearer key.

use super::{
    anthropic,
    call::Call,
    frames,
    reply::{Reply, Stream},
    script::{Fault, Script},
    usage,
};
use crate::encode::base64;
use bytes::Bytes;
use http::Method;
use serde_json::{Value, json};

const EVENT_STREAM: &str = "application/vnd.amazon.eventstream";

/// The answer to a call below the host, when the API has the path.
pub(super) fn answer(call: &Call<'_>) -> Option<Reply> {
    let segments = call.segments();
    if call.is(&Method::GET, "/foundation-models") {
        return Some(Reply::json(200, &json!({"modelSummaries": [{"modelId": call.service.model()}]})));
    }
    let (&Method::POST, ["model", _, verb]) = (call.method, segments.as_slice()) else { return None };
    let reply = match *verb {
        "converse" | "converse-stream" if call.json.get("messages").is_none() => Reply::json(
            400,
            &json!({"message": "1 validation error detected: Value null at 'messages' failed to \
                satisfy constraint: Member must not be null"}),
        )
        .header("x-amzn-errortype", "ValidationException:http://internal.amazon.com/coral/com.amazon.bedrock/"),
        "converse" => Reply::json(
            200,
            &json!({
            "output": {"message": {"role": "assistant", "content": [{"text": call.script().text}]}},
            "stopReason": "end_turn",
            "usage": usage::converse(call.script()), "metrics": {"latencyMs": 275}}),
        ),
        "converse-stream" => Reply::steps(EVENT_STREAM, converse(call.script()).steps(call.script())),
        "invoke" => invoke(call),
        "invoke-with-response-stream" => Reply::steps(EVENT_STREAM, invoked(call).steps(call.script()))
            .header("x-amzn-bedrock-content-type", "application/json"),
        "count-tokens" => Reply::json(200, &json!({"inputTokens": call.script().buckets.all_input()})),
        _ => return None,
    };
    Some(reply)
}

fn failure(script: &Script) -> Vec<Bytes> {
    let (name, message) = match script.fault {
        Some(Fault::NoMoneyAt(_)) => ("accessDeniedException", "Access to Amazon Bedrock is denied for this account."),
        _ => ("serviceUnavailableException", "Bedrock is unable to process your request."),
    };
    vec![frames::exception(name, &json!({"message": message}))]
}

fn converse(script: &Script) -> Stream {
    Stream {
        prelude: vec![frames::event("messageStart", &json!({"role": "assistant", "p": "abcdef"}))],
        pieces: script
            .pieces()
            .iter()
            .map(|piece| {
                frames::event(
                    "contentBlockDelta",
                    &json!({"contentBlockIndex": 0, "delta": {"text": piece}, "p": "abc"}),
                )
            })
            .collect(),
        finale: vec![
            frames::event("contentBlockStop", &json!({"contentBlockIndex": 0})),
            frames::event("messageStop", &json!({"stopReason": "end_turn"})),
            frames::event("metadata", &json!({"usage": usage::converse(script), "metrics": {"latencyMs": 275}})),
        ],
        failure: failure(script),
    }
}

/// The counts that Bedrock itself adds to whatever the model says.
fn metrics(script: &Script) -> Value {
    json!({"inputTokenCount": script.buckets.all_input(), "outputTokenCount": script.buckets.all_output(),
           "invocationLatency": 275, "firstByteLatency": 120})
}

fn invoke(call: &Call<'_>) -> Reply {
    let script = call.script();
    let body = if call.model().contains("anthropic.") {
        anthropic::message(script, &call.answering_model())
    } else {
        json!({"output": {"message": {"role": "assistant", "content": [{"text": script.text}]}},
        "stopReason": "end_turn",
               "usage": usage::converse(script)})
    };
    Reply::json(200, &body)
        .header("x-amzn-bedrock-input-token-count", script.buckets.all_input().to_string())
        .header("x-amzn-bedrock-output-token-count", script.buckets.all_output().to_string())
        .header("x-amzn-bedrock-invocation-latency", "275")
}

/// The model's own events, each as base64 inside a frame.
fn invoked(call: &Call<'_>) -> Stream {
    let script = call.script();
    let chunk =
        |value: &Value| frames::event("chunk", &json!({"bytes": base64(value.to_string().as_bytes()), "p": "abcd"}));
    if call.model().contains("anthropic.") {
        let inner = anthropic::stream(script, &call.answering_model());
        let wrap = |events: Vec<Bytes>| -> Vec<Bytes> {
            events.iter().map(|event| chunk(&with_metrics(&payload(event), script))).collect()
        };
        return Stream {
            prelude: wrap(inner.prelude),
            pieces: wrap(inner.pieces),
            finale: wrap(inner.finale),
            failure: failure(script),
        };
    }
    Stream {
        prelude: vec![chunk(&json!({"messageStart": {"role": "assistant"}}))],
        pieces: script
            .pieces()
            .iter()
            .map(|piece| chunk(&json!({"contentBlockDelta": {"delta": {"text": piece}, "contentBlockIndex": 0}})))
            .collect(),
        finale: vec![
            chunk(&json!({"contentBlockStop": {"contentBlockIndex": 0}})),
            chunk(&json!({"messageStop": {"stopReason": "end_turn"}})),
            chunk(&json!({"metadata": {"usage": usage::converse(script), "metrics": {}},
                "amazon-bedrock-invocationMetrics": metrics(script)})),
        ],
        failure: failure(script),
    }
}

fn payload(event: &Bytes) -> Value {
    let text = String::from_utf8_lossy(event);
    let line = text.lines().find_map(|line| line.strip_prefix("data: ")).unwrap_or("null");
    serde_json::from_str(line).unwrap_or(Value::Null)
}

fn with_metrics(event: &Value, script: &Script) -> Value {
    let mut event = event.clone();
    if event["type"] == "message_stop" {
        event["amazon-bedrock-invocationMetrics"] = metrics(script);
    }
    event
}
