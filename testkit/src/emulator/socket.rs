//! WebSockets: `OpenAI`'s realtime and responses, Gemini's live API, `ElevenLabs`' spoken stream.

use super::{
    Shared,
    account::Account,
    record::End,
    responses,
    script::{Fault, Script},
    serve::Body,
    usage,
};
use futures_util::{SinkExt as _, StreamExt as _};
use http::{Request, Response, header, request};
use http_body_util::{BodyExt as _, Empty};
use hyper::{body::Incoming, upgrade::OnUpgrade};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use std::sync::Arc;
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{Message, handshake::derive_accept_key, protocol::Role},
};

type Socket = WebSocketStream<TokioIo<hyper::upgrade::Upgraded>>;

/// Whether the request asks for a WebSocket.
pub(super) fn wanted(request: &Request<Incoming>) -> bool {
    request.headers().get(header::UPGRADE).is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"websocket"))
}

/// The `101` answer; the conversation runs on its own task.
pub(super) fn accept(
    shared: &Arc<Shared>,
    at: usize,
    head: &request::Parts,
    upgrade: OnUpgrade,
    account: Account,
) -> Response<Body> {
    let accept =
        head.headers.get(header::SEC_WEBSOCKET_KEY).map(|key| derive_accept_key(key.as_bytes())).unwrap_or_default();
    let protocols =
        head.headers.get(header::SEC_WEBSOCKET_PROTOCOL).and_then(|value| value.to_str().ok()).unwrap_or("");
    let protocol = protocols.split(',').map(str::trim).find(|each| !each.starts_with("openai-insecure-api-key."));
    let mut response = Response::builder()
        .status(101)
        .header(header::CONNECTION, "Upgrade")
        .header(header::UPGRADE, "websocket")
        .header(header::SEC_WEBSOCKET_ACCEPT, accept)
        .header("openai-organization", &account.organisation);
    if let Some(protocol) = protocol.filter(|each| !each.is_empty()) {
        response = response.header(header::SEC_WEBSOCKET_PROTOCOL, protocol);
    }
    let query = head.uri.query().unwrap_or_default();
    let model = query.split('&').find_map(|pair| pair.strip_prefix("model=")).unwrap_or_default().to_owned();
    let talk = Talk { shared: Arc::clone(shared), at, path: head.uri.path().to_owned(), model, script: account.script };
    tokio::spawn(async move {
        let Ok(upgraded) = upgrade.await else { return };
        let mut socket = WebSocketStream::from_raw_socket(TokioIo::new(upgraded), Role::Server, None).await;
        let end = talk.run(&mut socket).await;
        talk.shared.records.change(at, |record| record.end = end);
    });
    response.body(Empty::new().map_err(|never| match never {}).boxed()).expect("the emulator's own headers are valid")
}

/// One conversation.
struct Talk {
    shared: Arc<Shared>,
    at: usize,
    path: String,
    model: String,
    script: Script,
}

impl Talk {
    async fn run(&self, socket: &mut Socket) -> End {
        if self.path.ends_with("/realtime")
            && !self
                .send(
                    socket,
                    &json!({"type": "session.created", "event_id": "event_0",
            "session": {"id": "sess_emulated", "model": self.model}}),
                )
                .await
        {
            return End::HungUp;
        }
        while let Some(Ok(message)) = socket.next().await {
            let text = match message {
                Message::Text(text) => text.to_string(),
                Message::Close(_) => return End::Complete,
                _ => continue,
            };
            self.shared.records.change(self.at, |record| record.messages.push(text.clone()));
            let Ok(said) = serde_json::from_str::<Value>(&text) else { continue };
            if let Some(end) = self.reply(socket, &said).await {
                return end;
            }
        }
        End::HungUp
    }

    /// Says what the message calls for; tells how the conversation ended when it did.
    async fn reply(&self, socket: &mut Socket, said: &Value) -> Option<End> {
        let (events, pieces_from) = self.events(said);
        let pieces = self.script.pieces().len();
        for (number, event) in events.iter().enumerate() {
            let piece = number.checked_sub(pieces_from).filter(|piece| *piece <= pieces && !events.is_empty());
            if let Some(piece) = piece {
                for (_, gate) in self.script.gates.iter().filter(|(at, _)| *at == piece) {
                    tokio::select! {
                        () = gate.pass() => {}
                        gone = until_gone(socket) => return Some(gone),
                    }
                }
                if self.script.fault == Some(Fault::CloseAt(piece)) {
                    return Some(End::Closed);
                }
            }
            if !self.send(socket, event).await {
                return Some(End::HungUp);
            }
        }
        None
    }

    /// The events that answer a message, and which of them is the first piece of text.
    fn events(&self, said: &Value) -> (Vec<Value>, usize) {
        let script = &self.script;
        let kind = said.get("type").and_then(Value::as_str).unwrap_or_default();
        if self.path.ends_with("/responses") && kind == "response.create" {
            let model = said
                .get("model")
                .or_else(|| said.pointer("/response/model"))
                .and_then(Value::as_str)
                .unwrap_or_default();
            let id = self.shared.objects.new_id("resp");
            let (_, events) = responses::stream(script, model, &id);
            return (events, 4);
        }
        if self.path.ends_with("BidiGenerateContent") {
            if said.get("setup").is_some() {
                return (vec![json!({"setupComplete": {}})], usize::MAX);
            }
            let mut events: Vec<Value> = script
                .pieces()
                .iter()
                .map(|piece| json!({"serverContent": {"modelTurn": {"parts": [{"text": piece}]}}}))
                .collect();
            events.push(json!({"serverContent": {"turnComplete": true}, "usageMetadata": usage::gemini(script)}));
            return (events, 0);
        }
        if self.path.ends_with("/stream-input") {
            let ends = said.get("text").and_then(Value::as_str) == Some("");
            return (
                vec![if ends { json!({"isFinal": true}) } else { json!({"audio": "AAAA", "isFinal": false}) }],
                usize::MAX,
            );
        }
        match kind {
            "session.update" => (vec![json!({"type": "session.updated", "session": said["session"]})], usize::MAX),
            // What was said is written down by the session's other model, whose tokens the script holds aside.
            "input_audio_buffer.commit" => (
                vec![
                    json!({"type": "input_audio_buffer.committed", "item_id": "item_emulated"}),
                    json!({"type": "conversation.item.input_audio_transcription.delta", "item_id": "item_emulated",
                           "content_index": 0, "delta": script.text}),
                    json!({"type": "conversation.item.input_audio_transcription.completed",
                           "item_id": "item_emulated", "content_index": 0, "transcript": script.text,
                           "usage": usage::written_down(script.aside)}),
                ],
                usize::MAX,
            ),
            "conversation.item.create" => {
                (vec![json!({"type": "conversation.item.created", "item": said["item"]})], usize::MAX)
            }
            "response.create" => {
                let mut events =
                    vec![json!({"type": "response.created", "response": {"id": "resp_rt", "status": "in_progress"}})];
                events.extend(script.pieces().iter().map(|piece| {
                    json!({"type": "response.output_text.delta", "response_id": "resp_rt", "output_index": 0,
                    "content_index": 0, "delta": piece})
                }));
                events
                    .push(json!({"type": "response.done", "response": {"id": "resp_rt", "object": "realtime.response",
                                   "status": "completed", "usage": usage::realtime(script)}}));
                (events, 1)
            }
            _ => (
                vec![json!({"type": "error", "error": {"type": "invalid_request_error", "message": "unknown event"}})],
                usize::MAX,
            ),
        }
    }

    async fn send(&self, socket: &mut Socket, event: &Value) -> bool {
        let text = event.to_string();
        let length = u64::try_from(text.len()).unwrap_or(u64::MAX);
        let sent = socket.send(Message::text(text)).await.is_ok();
        if sent {
            self.shared.records.change(self.at, |record| record.sent += length);
        }
        sent
    }
}

/// Waits until the other side leaves.
async fn until_gone(socket: &mut Socket) -> End {
    while let Some(Ok(message)) = socket.next().await {
        if matches!(message, Message::Close(_)) {
            return End::Complete;
        }
    }
    End::HungUp
}
