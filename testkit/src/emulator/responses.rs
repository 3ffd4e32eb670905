//! The Responses API: events with names and numbers, no `[DONE]`, use in the last event alone.

use super::{
    call::{CREATED, Call},
    reply::{Reply, Stream, event},
    script::{Fault, Script},
    usage,
};
use serde_json::{Value, json};

/// `POST /responses`.
pub(super) fn answer(call: &Call<'_>) -> Reply {
    let model = call.answering_model();
    let id = call.shared.objects.new_id("resp");
    call.shared.objects.put("response", &id, whole(call.script(), &model, &id, "completed"));
    if call.wants_stream() {
        let (stream, _) = stream(call.script(), &model, &id);
        return Reply::steps("text/event-stream; charset=utf-8", stream.steps(call.script()));
    }
    Reply::json(200, &whole(call.script(), &model, &id, "completed"))
}

/// A whole response object.
pub(super) fn whole(script: &Script, model: &str, id: &str, status: &str) -> Value {
    let done = status == "completed";
    let output = if done { json!([message(&script.text, "completed")]) } else { json!([]) };
    json!({"id": id, "object": "response", "created_at": CREATED, "status": status, "background": false, "error": null,
           "incomplete_details": null, "instructions": null, "max_output_tokens": null, "model": model,
           "output": output, "parallel_tool_calls": true, "previous_response_id": null, "store": true,
           "reasoning": {"effort": null, "summary": null}, "temperature": 1.0, "text": {"format": {"type": "text"}},
           "tool_choice": "auto", "tools": [], "top_p": 1.0, "truncation": "disabled", "metadata": {},
           "service_tier": script.tier.as_deref().unwrap_or("default"),
           "usage": if done { usage::responses(script) } else { Value::Null }})
}

fn message(text: &str, status: &str) -> Value {
    let content = if status == "completed" { json!([part(text)]) } else { json!([]) };
    json!({"id": "msg_emulated", "type": "message", "status": status, "role": "assistant", "content": content})
}

fn part(text: &str) -> Value {
    json!({"type": "output_text", "text": text, "annotations": [], "logprobs": []})
}

/// The events of a streamed response, as bytes for SSE and as values for WebSockets.
pub(super) fn stream(script: &Script, model: &str, id: &str) -> (Stream, Vec<Value>) {
    let mut number = 0;
    let mut all = Vec::new();
    let mut make = |kind: &str, mut body: Value| {
        body["type"] = json!(kind);
        body["sequence_number"] = json!(number);
        number += 1;
        all.push(body.clone());
        event(kind, &body)
    };
    let mut stream = Stream::default();
    let begun = whole(script, model, id, "in_progress");
    stream.prelude.push(make("response.created", json!({"response": begun})));
    stream.prelude.push(make("response.in_progress", json!({"response": begun})));
    let failure_from = [json!({"response": begun})];
    stream
        .prelude
        .push(make("response.output_item.added", json!({"output_index": 0, "item": message("", "in_progress")})));
    stream.prelude.push(make(
        "response.content_part.added",
        json!({"item_id": "msg_emulated", "output_index": 0, "content_index": 0, "part": part("")}),
    ));
    for piece in script.pieces() {
        stream.pieces.push(make(
            "response.output_text.delta",
            json!({"item_id": "msg_emulated", "output_index": 0, "content_index": 0, "delta": piece, "logprobs": []}),
        ));
    }
    stream.finale.push(make(
        "response.output_text.done",
        json!({"item_id": "msg_emulated", "output_index": 0, "content_index": 0, "text": script.text, "logprobs": []}),
    ));
    stream.finale.push(make(
        "response.content_part.done",
        json!({"item_id": "msg_emulated", "output_index": 0, "content_index": 0, "part": part(&script.text)}),
    ));
    stream.finale.push(make(
        "response.output_item.done",
        json!({"output_index": 0, "item": message(&script.text, "completed")}),
    ));
    stream.finale.push(make("response.completed", json!({"response": whole(script, model, id, "completed")})));
    // At the first piece the recorded failure comes right after `response.in_progress`.
    if matches!(script.fault, Some(Fault::NoMoneyAt(0) | Fault::ErrorAt(0))) {
        stream.prelude.truncate(2);
    }
    let [begun] = failure_from;
    stream.failure = failure(script, begun);
    (stream, all)
}

fn failure(script: &Script, mut begun: Value) -> Vec<bytes::Bytes> {
    let (kind, code, message) = match script.fault {
        Some(Fault::NoMoneyAt(_)) => (
            "insufficient_quota",
            "insufficient_quota",
            "You exceeded your current quota, please check your plan and billing details.",
        ),
        _ => ("server_error", "server_error", "The server had an error while processing your request."),
    };
    let error = json!({"type": "error", "sequence_number": 2,
                       "error": {"type": kind, "code": code, "message": message, "param": null}});
    begun["type"] = json!("response.failed");
    begun["sequence_number"] = json!(3);
    begun["response"]["status"] = json!("failed");
    begun["response"]["error"] = json!({"code": code, "message": message});
    vec![event("error", &error), event("response.failed", &begun)]
}
