//! Each provider's main call, as its documentation writes it.

use crate::{keys::Service, wire::Request};
use serde_json::{Value, json};

/// A call, before it has a key and before it is known where the provider's host is.
#[derive(Debug, Clone)]
pub struct Sample {
    /// The path below the provider's host.
    pub path: String,
    /// The JSON body.
    pub body: Value,
    /// Further headers that the provider wants.
    pub headers: Vec<(&'static str, &'static str)>,
    /// The header that carries the key, and what stands before the key in it.
    pub key_header: (&'static str, &'static str),
}

impl Sample {
    /// The request at a path, which is the sample's own at the provider and another one at the gateway.
    #[must_use]
    pub fn request_at(&self, path: &str, key: &str) -> Request {
        let (name, prefix) = self.key_header;
        let request = Request::post(path, &self.body).header(name, &format!("{prefix}{key}"));
        self.headers.iter().fold(request, |request, (name, value)| request.header(name, value))
    }

    /// The same call with a field of the body set.
    #[must_use]
    pub fn with(mut self, field: &str, value: Value) -> Self {
        self.body[field] = value;
        self
    }
}

const BEARER: (&str, &str) = ("authorization", "Bearer ");

/// The provider's main call, unary or streamed. Replicate and `ElevenLabs` have one form only.
#[must_use]
pub fn main_call(service: Service, stream: bool) -> Sample {
    let model = service.model();
    let mut chat = json!({"model": model, "messages": [{"role": "user", "content": "Hi"}], "max_tokens": 5});
    if stream {
        chat["stream"] = json!(true);
    }
    let sample = |path: String, body: Value, key_header| Sample { path, body, headers: Vec::new(), key_header };
    match service {
        Service::Anthropic => Sample {
            headers: vec![("anthropic-version", "2023-06-01")],
            ..sample("/v1/messages".to_owned(), chat, ("x-api-key", ""))
        },
        Service::Gemini => {
            let verb = if stream { "streamGenerateContent?alt=sse" } else { "generateContent" };
            let body = json!({"contents": [{"role": "user", "parts": [{"text": "Hi"}]}], "generationConfig": {"maxOutputTokens": 5}});
            sample(format!("/v1beta/models/{model}:{verb}"), body, ("x-goog-api-key", ""))
        }
        Service::AzureOpenAi => sample("/openai/v1/chat/completions".to_owned(), chat, ("api-key", "")),
        Service::Bedrock => {
            let verb = if stream { "converse-stream" } else { "converse" };
            let body = json!({"messages": [{"role": "user", "content": [{"text": "Hi"}]}], "inferenceConfig": {"maxTokens": 5}});
            sample(format!("/model/{model}/{verb}"), body, BEARER)
        }
        Service::Cohere => sample("/v2/chat".to_owned(), chat, BEARER),
        Service::Replicate => {
            sample(format!("/v1/models/{model}/predictions"), json!({"input": {"prompt": "Hi"}}), BEARER)
        }
        Service::ElevenLabs => {
            sample("/v1/text-to-speech/voice1".to_owned(), json!({"text": "Hi", "model_id": model}), ("xi-api-key", ""))
        }
        Service::OpenAi
        | Service::DeepSeek
        | Service::Mistral
        | Service::OpenRouter
        | Service::Xai
        | Service::Groq
        | Service::Together
        | Service::Fireworks
        | Service::Perplexity
        | Service::HuggingFace => sample(format!("{}/chat/completions", service.api_root()), chat, BEARER),
    }
}
