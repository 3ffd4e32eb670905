//! The Responses API: events with names and numbers, no `[DONE]`, use in the last event alone.

use super::{
    call::{CREATED, Call},
    reply::{Reply, Stream, event},
    script::{Fault, Script},
    usage,
};
use keyward_domain::usage::Buckets;
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
    let mut output = if done { tool_calls(script) } else { Vec::new() };
    if done {
        output.push(message(&script.text, "completed"));
    }
    json!({"id": id, "object": "response", "created_at": CREATED, "status": status, "background": false, "error": null,
           "incomplete_details": null, "instructions": null, "max_output_tokens": null, "model": model,
           "output": output, "parallel_tool_calls": true, "previous_response_id": null, "store": true,
           "reasoning": {"effort": null, "summary": null}, "temperature": 1.0, "text": {"format": {"type": "text"}},
           "tool_choice": "auto", "tools": tools(script), "top_p": 1.0, "truncation": "disabled", "metadata": {},
           "service_tier": script.tier.as_deref().unwrap_or("default"),
           "tool_usage": {"image_gen": usage::picture(if done { script.aside } else { Buckets::default() }),
                          "web_search": {"num_requests": if done { script.units.searches } else { 0 }}},
           "usage": if done { usage::responses(script) } else { Value::Null }})
}

/// The hosted tools as the answer repeats them: those that the script's use needs.
fn tools(script: &Script) -> Value {
    let units = &script.units;
    let all = [
        (units.searches, json!({"type": "web_search", "search_context_size": "medium"})),
        (units.preview_searches, json!({"type": "web_search_preview", "search_context_size": "medium"})),
        (units.file_searches, json!({"type": "file_search", "vector_store_ids": ["vs_emulated"]})),
        (units.code_runs, json!({"type": "code_interpreter", "container": {"type": "auto"}})),
        (units.images, json!({"type": "image_generation", "model": "gpt-image-1", "quality": "auto", "size": "auto"})),
    ];
    all.into_iter().filter(|(count, _)| *count > 0).map(|(_, tool)| tool).collect()
}

/// The items of calls of hosted tools. Searches open a page too, which is no search.
fn tool_calls(script: &Script) -> Vec<Value> {
    let units = &script.units;
    let mut items = Vec::new();
    let searches = units.searches + units.preview_searches;
    for number in 0..searches {
        items.push(json!({"type": "web_search_call", "id": format!("ws_{number}"), "status": "completed",
                          "action": {"type": "search", "query": "emulated", "queries": ["emulated"]}}));
    }
    if searches > 0 {
        items.push(json!({"type": "web_search_call", "id": "ws_page", "status": "completed",
                          "action": {"type": "open_page", "url": "https://example.org"}}));
    }
    for number in 0..units.file_searches {
        items.push(json!({"type": "file_search_call", "id": format!("fs_{number}"), "status": "completed",
                          "queries": ["emulated"], "results": null}));
    }
    for number in 0..units.code_runs {
        items.push(json!({"type": "code_interpreter_call", "id": format!("ci_{number}"), "status": "completed",
                          "container_id": "cntr_emulated", "code": "1 + 1", "outputs": null}));
    }
    for number in 0..units.images {
        items.push(json!({"type": "image_generation_call", "id": format!("ig_{number}"), "status": "completed",
                          "action": "generate", "output_format": "png", "result": "aW1hZ2U="}));
    }
    items
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
    for item in tool_calls(script) {
        stream.finale.push(make("response.output_item.done", json!({"output_index": 0, "item": item})));
    }
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
