//! Everything in `OpenAI`'s family of paths besides chat and responses.

use super::{
    call::{CREATED, Call},
    chat, form, objects,
    refusals::{self, Parts},
    reply::{Reply, Step, Stream, data},
    responses, usage,
};
use crate::keys::Service;
use bytes::Bytes;
use http::Method;
use serde_json::{Value, json};

/// The answer to a call below the API root, when the family has the path.
pub(super) fn answer(call: &Call<'_>) -> Option<Reply> {
    let segments = call.segments();
    let reply = match (call.method, segments.as_slice()) {
        (&Method::POST, ["chat", "completions"])
            if call.service == Service::Perplexity && call.json.get("messages").is_none() =>
        {
            incomplete(call)
        }
        (&Method::POST, ["chat", "completions"] | ["fim" | "beta" | "agents", "completions"] | ["completions"]) => {
            chat::answer(call)
        }
        (&Method::POST, ["responses"]) => responses::answer(call),
        (&Method::POST, ["responses", "input_tokens"]) => Reply::json(
            200,
            &json!({"object": "response.input_tokens", "input_tokens": call.script().buckets.all_input()}),
        ),
        (_, ["responses", ..]) => objects::responses(call)?,
        (&Method::POST, ["embeddings"]) => embeddings(call),
        (&Method::POST, ["moderations"]) => Reply::json(
            200,
            &json!({
            "id": "modr-emulated", "model": call.answering_model(),
            "results": [{"flagged": false, "categories": {}, "category_scores": {},
            "category_applied_input_types": {}}]}),
        ),
        (&Method::POST, ["images", "generations" | "edits" | "variations"]) => images(call),
        (&Method::POST, ["audio", "speech"]) => speech(call),
        (&Method::POST, ["audio", "transcriptions" | "translations"]) => transcription(call),
        (&Method::POST, ["ocr"]) => ocr(call),
        (&Method::POST, ["rerank"]) => rerank(call),
        (&Method::GET, ["models"]) => models(call),
        (&Method::GET, ["models", rest @ ..]) => Reply::json(200, &model(&rest.join("/"))),
        (_, ["files", ..]) => objects::files(call)?,
        (_, ["batches", ..]) => objects::batches(call)?,
        (&Method::POST, ["realtime", "client_secrets"]) => Reply::json(
            200,
            &json!({
            "value": "ek_emulated", "expires_at": CREATED + 60, "session": {"type": "realtime",
            "id": "sess_emulated"}}),
        ),
        (_, ["organization", ..]) => admin_refusal(call),
        _ => return None,
    };
    Some(reply)
}

/// What Perplexity says to a request without a conversation.
fn incomplete(call: &Call<'_>) -> Reply {
    let parts = Parts {
        kind: "bad_request",
        message: "['body', 'model']: Field required; ['body', 'messages']: Field required",
        ..Parts::default()
    };
    refusals::error(call.service, call.surface, 400, &parts)
}

fn admin_refusal(call: &Call<'_>) -> Reply {
    let parts = Parts {
        kind: "invalid_request_error",
        message: "You have insufficient permissions for this operation. Missing scopes: api.management.read.",
        ..Parts::default()
    };
    refusals::error(call.service, call.surface, 403, &parts)
}

fn embeddings(call: &Call<'_>) -> Reply {
    let tokens = call.script().buckets.all_input();
    let count = call.json.get("input").and_then(Value::as_array).map_or(1, Vec::len);
    let vector = if call.json.get("encoding_format").and_then(Value::as_str) == Some("base64") {
        // Two little-endian floats: 0.5 and -0.5.
        json!("AAAAPwAAAL8=")
    } else {
        json!([0.5, -0.5])
    };
    let items: Vec<Value> =
        (0..count).map(|index| json!({"object": "embedding", "index": index, "embedding": vector})).collect();
    Reply::json(
        200,
        &json!({"object": "list", "data": items, "model": call.answering_model(),
                             "usage": {"prompt_tokens": tokens, "total_tokens": tokens}}),
    )
}

fn images(call: &Call<'_>) -> Reply {
    let count =
        call.json.get("n").and_then(Value::as_u64).or_else(|| form::field(call.body, "n")?.parse().ok()).unwrap_or(1);
    let items: Vec<Value> = (0..count).map(|_| json!({"b64_json": "aW1hZ2U="})).collect();
    let mut body = json!({"created": CREATED, "data": items});
    if call.service == Service::Xai {
        body["model"] = json!(call.answering_model());
    } else {
        body["size"] = json!("1024x1024");
        body["usage"] = usage::image(call.script());
    }
    Reply::json(200, &body)
}

fn speech(call: &Call<'_>) -> Reply {
    if call.json.get("stream_format").and_then(Value::as_str) == Some("sse") {
        let script = call.script();
        let (input, output) = (script.buckets.all_input(), script.buckets.all_output());
        let done = json!({"type": "speech.audio.done",
                          "usage": {"input_tokens": input, "output_tokens": output, "total_tokens": input + output}});
        let delta = json!({"type": "speech.audio.delta", "audio": "AAAA"});
        let pieces = script.pieces().iter().map(|_| data(&delta)).collect();
        let stream = Stream { pieces, finale: vec![data(&done)], ..Stream::default() };
        return Reply::steps("text/event-stream; charset=utf-8", stream.steps(script));
    }
    audio_bytes(call, "audio/mpeg")
}

/// Sound in as many pieces as the script says.
pub(super) fn audio_bytes(call: &Call<'_>, content_type: &str) -> Reply {
    let script = call.script();
    let sound = |number: usize| Bytes::from(vec![u8::try_from(number % 251).unwrap_or(0); 512]);
    let stream = Stream { pieces: (0..script.pieces().len()).map(sound).collect(), ..Stream::default() };
    Reply::steps(content_type, stream.steps(script))
}

fn transcription(call: &Call<'_>) -> Reply {
    let script = call.script();
    if form::field(call.body, "stream").as_deref() == Some("true") {
        let delta = |piece: &String| data(&json!({"type": "transcript.text.delta", "delta": piece}));
        let done = json!({"type": "transcript.text.done", "text": script.text, "usage": usage::transcription(script)});
        let pieces = script.pieces().iter().map(delta).collect();
        let stream = Stream { pieces, finale: vec![data(&done)], ..Stream::default() };
        return Reply::steps("text/event-stream; charset=utf-8", stream.steps(script));
    }
    let mut body = json!({"text": script.text});
    body["usage"] = usage::transcription(script);
    if call.service == Service::Mistral {
        body["model"] = json!(call.answering_model());
        body["language"] = Value::Null;
        body["segments"] = json!([]);
        body["usage"] = usage::chat(call);
        body["usage"]["prompt_audio_seconds"] = json!(script.units.millis / 1_000);
    }
    Reply::json(200, &body)
}

fn ocr(call: &Call<'_>) -> Reply {
    let pages = call.script().units.pages.max(1);
    Reply::json(
        200,
        &json!({"pages": [], "model": call.answering_model(), "document_annotation": null,
                             "usage_info": {"pages_processed": pages, "doc_size_bytes": 3002783}}),
    )
}

fn rerank(call: &Call<'_>) -> Reply {
    let searches = call.script().units.searches.max(1);
    Reply::json(
        200,
        &json!({"id": "rerank-emulated", "model": call.answering_model(),
                             "results": [{"index": 0, "relevance_score": 0.9}],
                             "usage": {"total_tokens": call.script().buckets.all_input(), "search_units": searches}}),
    )
}

fn model(id: &str) -> Value {
    json!({"id": id, "object": "model", "created": CREATED, "owned_by": "system"})
}

fn models(call: &Call<'_>) -> Reply {
    let list: Vec<Value> = [call.service.model(), "another-model"].into_iter().map(model).collect();
    match call.service {
        Service::Together => Reply::json(200, &Value::Array(list)),
        _ => Reply::json(200, &json!({"object": "list", "data": list})),
    }
}

/// A body of this many bytes made of one repeated line, to see what a gateway keeps in memory.
#[must_use]
pub fn long_body(line: &'static [u8], times: usize) -> Vec<Step> {
    vec![Step::Repeat(Bytes::from_static(line), times)]
}
