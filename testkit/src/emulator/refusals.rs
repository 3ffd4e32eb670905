//! What each provider says when it says no: the failure matrix, row by row, in the provider's own body shape.

mod table;

use super::{
    account::State,
    call::{Call, Surface},
    reply::Reply,
    script::Echo,
};
use crate::keys::Service;
use serde_json::{Value, json};

/// The parts of an error, to be put into a provider's shape.
#[derive(Debug, Default, Clone)]
pub(crate) struct Parts<'a> {
    pub(crate) kind: &'a str,
    pub(crate) code: Option<&'a str>,
    pub(crate) param: Option<&'a str>,
    pub(crate) reason: Option<&'a str>,
    pub(crate) message: &'a str,
    pub(crate) headers: &'a [(&'a str, &'a str)],
}

/// One row of the table: a status and the parts.
pub(crate) struct Row {
    pub(crate) status: u16,
    pub(crate) kind: &'static str,
    pub(crate) code: Option<&'static str>,
    pub(crate) reason: Option<&'static str>,
    pub(crate) message: String,
    pub(crate) headers: Vec<(&'static str, &'static str)>,
}

impl Row {
    pub(crate) fn new(status: u16, kind: &'static str, code: Option<&'static str>, message: impl Into<String>) -> Self {
        Self { status, kind, code, reason: None, message: message.into(), headers: Vec::new() }
    }

    pub(crate) const fn because(mut self, reason: &'static str) -> Self {
        self.reason = Some(reason);
        self
    }

    pub(crate) fn with(mut self, name: &'static str, value: &'static str) -> Self {
        self.headers.push((name, value));
        self
    }
}

/// The answer for a call without any key.
pub(crate) fn missing(service: Service, surface: Surface) -> Reply {
    row(service, surface, &table::missing(service))
}

/// The answer for a key that the provider does not know.
pub(crate) fn unknown(service: Service, surface: Surface, secret: &str) -> Reply {
    row(service, surface, &table::unknown(service, secret))
}

/// The answer for a key in a state that closes everything, known before the body is read.
pub(crate) fn at_once(service: Service, surface: Surface, state: State, secret: &str, echo: Echo) -> Reply {
    let mut found = table::row(service, state, secret, "");
    echoing(&mut found, secret, echo);
    row(service, surface, &found)
}

/// The answer for a call of a known key that fails by the key's state; none when the call goes through.
pub(crate) fn by_state(call: &Call<'_>) -> Option<Reply> {
    let (state, secret) = (call.account.state, call.account.secret.as_str());
    let model = call.model();
    // A request that asks for nothing is looked at before anything is counted.
    if call.service == Service::Perplexity && call.json == json!({}) && !state.closes_everything() {
        return None;
    }
    let applies = match state {
        State::Live => false,
        State::Restricted => !call.is_inference() && !call.tells_about_key(),
        State::ModelUnknown
        | State::NoMoney
        | State::CapReached
        | State::RateLimited
        | State::Overloaded
        | State::PromptTooLong => call.is_inference(),
        State::Revoked
        | State::Disabled
        | State::Expired
        | State::Leaked
        | State::WrongIp
        // Those that got here may be asked about all the same.
        | State::WrongRegion => !call.tells_about_key(),
    };
    let state = if applies {
        state
    } else if model.starts_with("no-such-") {
        State::ModelUnknown
    } else {
        return None;
    };
    let mut found = table::row(call.service, state, secret, &model);
    echoing(&mut found, secret, call.script().echo);
    Some(row(call.service, call.surface, &found))
}

fn echoing(row: &mut Row, secret: &str, echo: Echo) {
    if echo == Echo::Whole {
        row.message = format!("{} (key {secret})", row.message);
    }
}

fn row(service: Service, surface: Surface, row: &Row) -> Reply {
    let parts = Parts {
        kind: row.kind,
        code: row.code,
        reason: row.reason,
        message: &row.message,
        headers: &row.headers,
        ..Parts::default()
    };
    error(service, surface, row.status, &parts)
}

/// An error in the provider's shape.
pub(crate) fn error(service: Service, surface: Surface, status: u16, parts: &Parts<'_>) -> Reply {
    let body = body(service, surface, status, parts);
    let mut reply = Reply::json(status, &body);
    if service == Service::Bedrock && surface == Surface::Native && !parts.kind.is_empty() {
        reply = reply.header("x-amzn-errortype", format!("{}:http://internal.amazon.com/coral/", parts.kind));
    }
    for (name, value) in parts.headers {
        reply = reply.header(name, *value);
    }
    reply
}

fn body(service: Service, surface: Surface, status: u16, parts: &Parts<'_>) -> Value {
    let Parts { kind, code, param, reason, message, .. } = parts;
    if surface == Surface::Anthropic {
        let mut body =
            json!({"type": "error", "error": {"type": kind, "message": message}, "request_id": "req_emulated"});
        if let Some(reason) = reason {
            body["error"]["details"] = json!({"error_code": reason});
        }
        return body;
    }
    match service {
        Service::Gemini if surface == Surface::Native => {
            let details = reason.map(|reason| {
                json!({"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": reason,
                "domain": "googleapis.com",
                       "metadata": {"service": "generativelanguage.googleapis.com"}})
            });
            let mut body = json!({"error": {"code": status, "message": message, "status": kind}});
            if let Some(details) = details {
                body["error"]["details"] = json!([details]);
            }
            body
        }
        Service::AzureOpenAi => json!({"error": {"code": code.unwrap_or(kind), "message": message}}),
        Service::Bedrock if *kind == "AuthenticationFailed" => json!({"Message": message}),
        Service::Bedrock if surface == Surface::Native => json!({"message": message}),
        Service::Mistral if status == 401 => json!({"detail": message}),
        Service::Mistral if status == 422 => {
            json!({"detail": [{"type": kind, "loc": ["body", param], "msg": message, "input": null}]})
        }
        Service::Mistral => {
            json!({"object": "error", "message": message, "type": kind, "param": param, "code": code,
            "raw_status_code": status})
        }
        Service::OpenRouter => {
            let mut metadata = json!({"error_type": kind});
            if let Some(reason) = reason {
                metadata["limit_source"] = json!(reason);
            }
            json!({"error": {"code": status, "message": message, "metadata": metadata}, "user_id": "user_emulated"})
        }
        Service::Xai => json!({"code": kind, "error": message}),
        Service::Cohere => json!({"id": "emulated", "message": message}),
        Service::HuggingFace if status == 401 => json!({"error": message}),
        Service::Fireworks if status == 401 || status == 403 => json!({"error": "unauthorized"}),
        Service::Fireworks => json!({"error": {"object": "error", "type": kind, "code": code, "message": message}}),
        Service::Perplexity => json!({"error": {"message": message, "type": kind, "code": status}}),
        Service::Replicate => json!({"title": kind, "detail": message, "status": status}),
        Service::ElevenLabs => json!({"detail": {"status": kind, "message": message}}),
        Service::OpenAi
        | Service::Anthropic
        | Service::Gemini
        | Service::Bedrock
        | Service::DeepSeek
        | Service::Groq
        | Service::Together
        | Service::HuggingFace => {
            json!({"error": {"message": message, "type": kind, "param": param, "code": code}})
        }
    }
}
