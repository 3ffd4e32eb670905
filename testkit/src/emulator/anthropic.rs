//! The Messages API.

use super::{
    call::Call,
    form,
    refusals::{self, Parts},
    reply::{Reply, Stream, event},
    script::{Fault, Script},
    usage,
};
use http::Method;
use serde_json::{Value, json};

/// The largest body: beyond it an edge server answers, in HTML.
const LARGEST: usize = 32 << 20;

/// The answer to a call below `/v1`, when the API has the path.
pub(super) fn answer(call: &Call<'_>) -> Option<Reply> {
    if call.body.len() > LARGEST {
        return Some(Reply::whole(
            413,
            "text/html",
            "<html><head><title>413 Request Entity Too Large</title></head><body><center><h1>413 Request Entity Too \
                Large</h1></center><hr><center>cloudflare</center></body></html>",
        ));
    }
    let segments = call.segments();
    let reply = match (call.method, segments.as_slice()) {
        (&Method::POST, ["messages"]) => messages(call),
        (&Method::POST, ["messages", "count_tokens"]) => {
            Reply::json(200, &json!({"input_tokens": call.script().buckets.all_input()}))
        }
        (_, ["messages", "batches", ..]) => batches(call)?,
        (_, ["files", ..]) => files(call)?,
        (&Method::GET, ["models"]) => {
            let id = call.service.model();
            Reply::json(200, &json!({"data": [model(id)], "has_more": false, "first_id": id, "last_id": id}))
        }
        (&Method::GET, ["models", id]) => Reply::json(200, &model(id)),
        (_, ["organizations", ..]) => refused(call, 401, "authentication_error", "invalid x-api-key"),
        _ => return None,
    };
    Some(reply)
}

fn refused(call: &Call<'_>, status: u16, kind: &str, message: &str) -> Reply {
    refusals::error(call.service, call.surface, status, &Parts { kind, message, ..Parts::default() })
}

fn model(id: &str) -> Value {
    json!({"type": "model", "id": id, "display_name": id, "created_at": "2026-06-01T00:00:00Z"})
}

fn messages(call: &Call<'_>) -> Reply {
    for (field, wanted) in [("model", "string"), ("max_tokens", "integer"), ("messages", "list")] {
        if call.json.get(field).is_none() {
            return refused(call, 400, "invalid_request_error", &format!("{field}: Field required ({wanted})"));
        }
    }
    if call.surface == super::call::Surface::Anthropic
        && call.service == crate::keys::Service::Anthropic
        && !call.headers.contains_key("anthropic-version")
    {
        return refused(call, 400, "invalid_request_error", "anthropic-version: header is required");
    }
    let script = call.script();
    let model = call.answering_model();
    if call.wants_stream() {
        return Reply::steps("text/event-stream; charset=utf-8", stream(script, &model).steps(script));
    }
    Reply::json(200, &message(script, &model))
}

/// A whole message.
pub(super) fn message(script: &Script, model: &str) -> Value {
    json!({"id": "msg_emulated", "type": "message", "role": "assistant", "model": model,
           "content": [{"type": "text", "text": script.text}], "stop_reason": "end_turn", "stop_sequence": null,
           "usage": usage::anthropic(script)})
}

/// A streamed message: the input side at the start, the cumulative whole in `message_delta`.
pub(super) fn stream(script: &Script, model: &str) -> Stream {
    let mut begun = message(script, model);
    begun["content"] = json!([]);
    begun["stop_reason"] = Value::Null;
    begun["usage"]["output_tokens"] = json!(1);
    if let Some(usage) = begun["usage"].as_object_mut() {
        usage.remove("output_tokens_details");
        usage.remove("server_tool_use");
    }
    let (name, error) = match script.fault {
        Some(Fault::NoMoneyAt(_)) => {
            ("invalid_request_error", "Your credit balance is too low to access the Anthropic API.")
        }
        _ => ("overloaded_error", "Overloaded"),
    };
    Stream {
        prelude: vec![
            event("message_start", &json!({"type": "message_start", "message": begun})),
            event(
                "content_block_start",
                &json!({"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}),
            ),
            event("ping", &json!({"type": "ping"})),
        ],
        pieces: script
            .pieces()
            .iter()
            .map(|piece| {
                event(
                    "content_block_delta",
                    &json!({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": piece}}),
                )
            })
            .collect(),
        finale: vec![
            event("content_block_stop", &json!({"type": "content_block_stop", "index": 0})),
            event(
                "message_delta",
                &json!({"type": "message_delta", "delta": {"stop_reason": "end_turn", "stop_sequence": null},
                "usage": usage::anthropic(script)}),
            ),
            event("message_stop", &json!({"type": "message_stop"})),
        ],
        failure: vec![event(
            "error",
            &json!({"type": "error", "error": {"type": name, "message": error}, "request_id": "req_emulated"}),
        )],
    }
}

fn batches(call: &Call<'_>) -> Option<Reply> {
    let objects = &call.shared.objects;
    let segments = call.segments();
    let found = |id: &str| objects.one("message_batch", id);
    let missing = || refused(call, 404, "not_found_error", "Not found");
    let reply = match (call.method, segments.as_slice()) {
        (&Method::POST, ["messages", "batches"]) => {
            let id = objects.new_id("msgbatch");
            let batch = json!({"id": id, "type": "message_batch", "processing_status": "in_progress",
                               "request_counts": {"processing": 1, "succeeded": 0, "errored": 0, "canceled": 0,
                               "expired": 0},
                               "ended_at": null, "created_at": "2026-11-01T00:00:00Z",
                               "expires_at": "2026-11-02T00:00:00Z",
                               "archived_at": null, "cancel_initiated_at": null, "results_url": null});
            objects.put("message_batch", &id, batch.clone());
            Reply::json(200, &batch)
        }
        (&Method::GET, ["messages", "batches"]) => Reply::json(
            200,
            &json!({"data": objects.list("message_batch"), "has_more": false, "first_id": null,
            "last_id": null}),
        ),
        (&Method::GET, ["messages", "batches", id]) => found(id).map_or_else(missing, |batch| Reply::json(200, &batch)),
        (&Method::POST, ["messages", "batches", id, "cancel"]) => {
            found(id).map_or_else(missing, |batch| Reply::json(200, &batch))
        }
        (&Method::DELETE, ["messages", "batches", id]) => {
            if objects.remove("message_batch", id) {
                Reply::json(200, &json!({"id": id, "type": "message_batch_deleted"}))
            } else {
                missing()
            }
        }
        (&Method::GET, ["messages", "batches", id, "results"]) => found(id).map_or_else(missing, |_| {
            let line = json!({"custom_id": "one", "result": {"type": "succeeded", "message": message(call.script(),
            call.service.model())}});
            Reply::whole(200, "application/x-jsonl", format!("{line}\n"))
        }),
        _ => return None,
    };
    Some(reply)
}

fn files(call: &Call<'_>) -> Option<Reply> {
    let objects = &call.shared.objects;
    let segments = call.segments();
    let missing = || refused(call, 404, "not_found_error", "Not found");
    let reply = match (call.method, segments.as_slice()) {
        (&Method::POST, ["files"]) => {
            let id = objects.new_id("file");
            let size =
                form::parts(call.body).iter().find(|part| part.file.is_some()).map_or(0, |part| part.content.len());
            let file = json!({"id": id, "type": "file", "filename": "upload", "mime_type": "application/octet-stream",
                              "size_bytes": size, "created_at": "2026-11-01T00:00:00Z", "downloadable": false});
            objects.put("file", &id, file.clone());
            Reply::json(200, &file)
        }
        (&Method::GET, ["files"]) => Reply::json(
            200,
            &json!({"data": objects.list("file"), "has_more": false, "first_id": null, "last_id": null}),
        ),
        (&Method::GET, ["files", id]) => objects.one("file", id).map_or_else(missing, |file| Reply::json(200, &file)),
        (&Method::GET, ["files", id, "content"]) => match objects.one("file", id) {
            Some(_) => Reply::whole(200, "application/octet-stream", "content"),
            None => missing(),
        },
        (&Method::DELETE, ["files", id]) => {
            if objects.remove("file", id) {
                Reply::json(200, &json!({"id": id, "type": "file_deleted"}))
            } else {
                missing()
            }
        }
        _ => return None,
    };
    Some(reply)
}
