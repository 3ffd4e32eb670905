//! The providers' own small APIs: Cohere, Replicate, `ElevenLabs`, and the paths that tell about a key.

use super::{
    account::State,
    call::Call,
    openai,
    reply::{Reply, Stream, event},
    script::{Fault, Script},
    usage,
};
use crate::keys::Service;
use bytes::Bytes;
use http::Method;
use serde_json::{Value, json};

/// The answer to a call below the host, when the provider has a path of its own there.
pub(super) fn answer(call: &Call<'_>) -> Option<Reply> {
    match call.service {
        Service::Cohere => cohere(call),
        Service::Replicate => replicate(call),
        Service::ElevenLabs => elevenlabs(call),
        Service::DeepSeek if call.is(&Method::GET, "/user/balance") => Some(balance(call.account.state)),
        Service::OpenRouter if call.is(&Method::GET, "/api/v1/key") => Some(Reply::json(
            200,
            &json!({
            "data": {"label": "sk-or-v1-abc...123", "limit": 100, "limit_reset": "monthly",
            "limit_remaining": if call.account.state == State::CapReached { json!(0) } else { json!(74.5) },
            "usage": 25.5,
                     "is_free_tier": false, "is_management_key": false, "is_provisioning_key": false,
                     "expires_at": null}}),
        )),
        Service::OpenRouter if call.is(&Method::GET, "/api/v1/generation") => Some(Reply::json(
            200,
            &json!({
            "data": {"id": call.query_value("id"), "total_cost": 0.000_408, "usage": 0.000_408}}),
        )),
        Service::Xai if call.is(&Method::GET, "/v1/api-key") => Some(Reply::json(
            200,
            &json!({
            "redacted_api_key": "xai-...wxyz", "user_id": "u", "name": "emulated", "team_id": "t",
            "acls": ["api-key:endpoint:*", "api-key:model:*"], "api_key_id": "k", "team_blocked": false,
            "api_key_blocked": call.account.state == State::Leaked,
            "api_key_disabled": call.account.state == State::Disabled}),
        )),
        Service::HuggingFace if call.is(&Method::GET, "/api/whoami-v2") => Some(Reply::json(
            200,
            &json!({
            "type": "user", "name": "emulated", "fullname": "Emulated", "canPay": true, "isPro": false, "orgs": [],
            "auth": {"type": "access_token", "accessToken": {"displayName": "t",
            "role": if call.account.state == State::Restricted { "fineGrained" } else { "read" },
            "createdAt": "2026-01-01T00:00:00Z"}}}),
        )),
        Service::Perplexity if call.is(&Method::POST, "/search") => Some(Reply::json(
            200,
            &json!({
            "id": "emulated", "results": [{"title": "t", "url": "https://example.org", "snippet": "s"}]}),
        )),
        _ => None,
    }
}

fn balance(state: State) -> Reply {
    let empty = matches!(state, State::NoMoney | State::CapReached);
    let (total, granted, paid) = if empty { ("0.00", "0.00", "0.00") } else { ("110.00", "10.00", "100.00") };
    Reply::json(
        200,
        &json!({
        "is_available": !empty,
        "balance_infos": [{"currency": "USD", "total_balance": total, "granted_balance": granted,
        "topped_up_balance": paid}]}),
    )
}

fn cohere(call: &Call<'_>) -> Option<Reply> {
    let script = call.script();
    let reply = match (call.method, call.path) {
        (&Method::POST, "/v2/chat") if call.wants_stream() => cohere_stream(script),
        (&Method::POST, "/v2/chat") => Reply::json(
            200,
            &json!({
            "id": "emulated", "finish_reason": "COMPLETE", "usage": usage::cohere(script),
            "message": {"role": "assistant", "content": [{"type": "text", "text": script.text}]}}),
        ),
        (&Method::POST, "/v2/embed" | "/v1/embed") => Reply::json(
            200,
            &json!({
            "id": "emulated", "texts": ["t"], "embeddings": {"float": [[0.5, -0.5]]},
            "response_type": "embeddings_by_type",
            "meta": {"api_version": {"version": "2"}, "billed_units": {"input_tokens": script.buckets.all_input()}}}),
        ),
        (&Method::POST, "/v2/rerank" | "/v1/rerank") => Reply::json(
            200,
            &json!({
            "id": "emulated", "results": [{"index": 0, "relevance_score": 0.9}],
            "meta": {"api_version": {"version": "2"}, "billed_units": {"search_units": script.units.searches.max(1)}}}),
        ),
        (&Method::POST, "/v1/check-api-key") => {
            Reply::json(200, &json!({"valid": true, "organization_id": call.account.organisation, "owner_id": "owner"}))
        }
        (&Method::POST, "/v1/tokenize") => Reply::json(200, &json!({"tokens": [1, 2], "token_strings": ["a", "b"]})),
        (&Method::GET, "/v1/models") => {
            Reply::json(200, &json!({"models": [{"name": call.service.model(), "endpoints": ["chat"]}]}))
        }
        (&Method::GET, path) if path.starts_with("/v1/models/") => {
            Reply::json(200, &json!({"name": path.trim_start_matches("/v1/models/")}))
        }
        _ => return None,
    };
    Some(reply)
}

fn cohere_stream(script: &Script) -> Reply {
    let failed = match script.fault {
        Some(Fault::NoMoneyAt(_)) => "your account is out of credits",
        _ => "internal server error",
    };
    let stream = Stream {
        prelude: vec![
            event(
                "message-start",
                &json!({"id": "emulated", "type": "message-start",
                    "delta": {"message": {"role": "assistant", "content": [], "tool_plan": "", "tool_calls": [],
                    "citations": []}}}),
            ),
            event(
                "content-start",
                &json!({"type": "content-start", "index": 0,
                    "delta": {"message": {"content": {"type": "text", "text": ""}}}}),
            ),
        ],
        pieces: script
            .pieces()
            .iter()
            .map(|piece| {
                event(
                    "content-delta",
                    &json!({"type": "content-delta", "index": 0,
                    "delta": {"message": {"content": {"text": piece}}}}),
                )
            })
            .collect(),
        finale: vec![
            event("content-end", &json!({"type": "content-end", "index": 0})),
            event(
                "message-end",
                &json!({"type": "message-end", "delta": {"finish_reason": "COMPLETE",
                    "usage": usage::cohere(script)}}),
            ),
            Bytes::from_static(b"data: [DONE]\n\n"),
        ],
        failure: vec![event(
            "message-end",
            &json!({"type": "message-end", "delta": {"error": failed,
                "finish_reason": "ERROR"}}),
        )],
    };
    Reply::steps("text/event-stream", stream.steps(script))
}

fn replicate(call: &Call<'_>) -> Option<Reply> {
    let segments = call.segments();
    let objects = &call.shared.objects;
    let reply = match (call.method, segments.as_slice()) {
        (&Method::GET, ["v1", "account"]) => Reply::json(
            200,
            &json!({"type": "organization", "username": "emulated", "name": "Emulated",
            "github_url": "https://example.org"}),
        ),
        (&Method::POST, ["v1", "predictions"] | ["v1", "models" | "deployments", _, _, "predictions"]) => {
            let id = objects.new_id("p").replace('_', "");
            let prediction = prediction(call, &id);
            objects.put("prediction", &id, prediction.clone());
            let waits = call.headers.get("prefer").is_some_and(|value| value.as_bytes().starts_with(b"wait"));
            Reply::json(201, &if waits { prediction } else { begun(prediction) })
        }
        (&Method::GET, ["v1", "predictions"]) => {
            Reply::json(200, &json!({"previous": null, "next": null, "results": objects.list("prediction")}))
        }
        (&Method::GET, ["v1", "predictions", id]) | (&Method::POST, ["v1", "predictions", id, "cancel"]) => {
            match objects.one("prediction", id) {
                Some(found) => Reply::json(200, &found),
                None => Reply::json(
                    404,
                    &json!({"title": "Not found", "detail": "The requested resource could not be found.",
                    "status": 404}),
                ),
            }
        }
        (&Method::GET, ["v1", "models"]) => Reply::json(200, &json!({"previous": null, "next": null, "results": []})),
        (&Method::GET, ["v1", "models", owner, name, ..]) => Reply::json(
            200,
            &json!({"owner": owner, "name": name, "visibility": "public", "url": "https://example.org"}),
        ),
        (_, ["v1", "files", ..]) => super::objects::files(&Call {
            path: call.path.trim_start_matches("/v1"),
            json: call.json.clone(),
            ..*call
        })?,
        _ => return None,
    };
    Some(reply)
}

/// The prediction as it is told to a caller who does not wait for it.
fn begun(mut prediction: Value) -> Value {
    for (field, value) in
        [("status", json!("starting")), ("output", Value::Null), ("completed_at", Value::Null), ("metrics", json!({}))]
    {
        prediction[field] = value;
    }
    prediction
}

fn prediction(call: &Call<'_>, id: &str) -> Value {
    let script = call.script();
    let seconds = if script.units.millis > 0 { script.units.millis } else { 1_500 };
    // Milliseconds of test scripts are far below 2^53.
    let seconds: Value =
        serde_json::from_str(&format!("{}.{:03}", seconds / 1_000, seconds % 1_000)).unwrap_or(Value::Null);
    json!({"id": id, "model": call.json.get("version").cloned().unwrap_or_else(|| json!(call.service.model())),
    "version": "hidden",
           "input": {}, "logs": "", "output": script.pieces(), "error": null, "status": "succeeded",
           "created_at": "2026-11-01T00:00:00Z", "started_at": "2026-11-01T00:00:01Z",
           "completed_at": "2026-11-01T00:00:02Z",
           "urls": {"get": format!("https://api.replicate.com/v1/predictions/{id}"),
           "cancel": format!("https://api.replicate.com/v1/predictions/{id}/cancel"),
                    "stream": format!("https://stream.replicate.com/v1/files/{id}")},
           "metrics": {"predict_time": seconds, "total_time": seconds,
                       "input_token_count": script.buckets.all_input(),
                       "output_token_count": script.buckets.all_output()}})
}

fn elevenlabs(call: &Call<'_>) -> Option<Reply> {
    let segments = call.segments();
    let characters = call.json.get("text").and_then(Value::as_str).map_or(0, |text| text.chars().count());
    let billed = |reply: Reply| {
        let count = if call.script().units.characters > 0 {
            call.script().units.characters
        } else {
            u64::try_from(characters).unwrap_or(0)
        };
        reply
            .header("request-id", "emulated")
            .header("character-cost", count.to_string())
            .header("current-concurrent-requests", "1")
            .header("maximum-concurrent-requests", "5")
            .header("history-item-id", "emulated")
    };
    let reply = match (call.method, segments.as_slice()) {
        (
            &Method::POST,
            ["v1", "text-to-speech", _, ..] | ["v1", "sound-generation"] | ["v1", "speech-to-speech", _, ..],
        ) => billed(openai::audio_bytes(call, "audio/mpeg")),
        (&Method::POST, ["v1", "speech-to-text"]) => Reply::json(
            200,
            &json!({
            "language_code": "en", "language_probability": 0.99, "text": call.script().text, "words": []}),
        ),
        (&Method::GET, ["v1", "user", "subscription"]) => Reply::json(
            200,
            &json!({
            "tier": "creator", "character_count": 100, "character_limit": 100_000, "can_extend_character_limit": false,
            "next_character_count_reset_unix": 1_770_000_000, "status": "active"}),
        ),
        (&Method::GET, ["v1", "user"]) => {
            Reply::json(200, &json!({"user_id": "u", "subscription": {"tier": "creator"}}))
        }
        (&Method::GET, ["v1" | "v2", "voices"]) => {
            Reply::json(200, &json!({"voices": [{"voice_id": "v", "name": "Emulated"}]}))
        }
        (&Method::GET, ["v1", "voices", id]) => Reply::json(200, &json!({"voice_id": id, "name": "Emulated"})),
        (&Method::GET, ["v1", "models"]) => {
            Reply::json(200, &json!([{"model_id": call.service.model(), "name": "Emulated"}]))
        }
        _ => return None,
    };
    Some(reply)
}
