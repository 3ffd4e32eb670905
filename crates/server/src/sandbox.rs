//! The demo's provider: a small server on the loopback interface that speaks the OpenAI, Anthropic and Gemini dialects
//! with canned answers, so that the first call works without an account. It checks its key like a real provider.

mod anthropic;
mod gemini;
mod openai;

use axum::{
    Router,
    body::{Body, Bytes},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
};
use futures_util::stream;
use serde_json::Value;
use std::{convert::Infallible, net::SocketAddr, sync::Arc, time::Duration};
use tokio::net::TcpListener;

/// What it always says; streamed word by word.
const ANSWER: &str = "Hello from the Keyward sandbox! This call reached the provider with the real key, which your \
    application never saw. Revoke the virtual key and the next call is refused.";
/// The pause between streamed words, so that a person sees them come.
const PAUSE: Duration = Duration::from_millis(20);

/// The provider ids that the sandbox stands in for, and its API root for each.
pub(crate) const STANDS_FOR: [(&str, &str); 3] =
    [("openai", "/openai/v1"), ("anthropic", "/anthropic"), ("gemini", "/gemini")];

/// What the dialects share.
#[derive(Clone)]
pub(crate) struct Sandbox {
    secret: Arc<str>,
}

/// One canned answer, cut to the caller's cap, with its counts in "tokens" (words).
struct Canned {
    words: Vec<&'static str>,
    input: usize,
    /// Whether the cap cut it.
    cut: bool,
}

impl Canned {
    fn new(prompt: &Value, cap: Option<u64>) -> Self {
        let cap = cap.and_then(|cap| usize::try_from(cap).ok()).unwrap_or(usize::MAX);
        let words: Vec<&'static str> = ANSWER.split_inclusive(' ').take(cap).collect();
        let cut = words.len() < ANSWER.split_inclusive(' ').count();
        Self { words, input: count_words(prompt).max(1), cut }
    }

    fn text(&self) -> String {
        self.words.concat().trim_end().to_owned()
    }

    fn output(&self) -> usize {
        self.words.len()
    }
}

/// All words in all strings below a value.
fn count_words(value: &Value) -> usize {
    match value {
        Value::String(text) => text.split_whitespace().count(),
        Value::Array(items) => items.iter().map(count_words).sum(),
        Value::Object(fields) => fields.values().map(count_words).sum(),
        Value::Null | Value::Bool(_) | Value::Number(_) => 0,
    }
}

impl Sandbox {
    /// Starts the sandbox on a free loopback port. It accepts only `secret`.
    ///
    /// # Errors
    /// When no port can be bound.
    pub(crate) async fn start(secret: &str) -> std::io::Result<SocketAddr> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let sandbox = Self { secret: secret.into() };
        let router = Router::new()
            .nest("/openai/v1", openai::router())
            .nest("/anthropic", anthropic::router())
            .nest("/gemini", gemini::router())
            .with_state(sandbox);
        tokio::spawn(async move {
            if let Err(error) = axum::serve(listener, router).await {
                tracing::error!(%error, "the demo's provider stopped");
            }
        });
        Ok(address)
    }

    fn knows(&self, presented: Option<&str>) -> bool {
        presented.is_some_and(|key| *key == *self.secret)
    }

    fn knows_bearer(&self, headers: &HeaderMap) -> bool {
        self.knows(header(headers, "authorization").and_then(|value| value.strip_prefix("Bearer ")))
    }
}

fn header<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

fn json(status: StatusCode, value: &Value) -> Response {
    (status, [(header::CONTENT_TYPE, "application/json")], value.to_string()).into_response()
}

/// A server-sent stream of prepared events, one at a time with a pause between.
fn events(events: Vec<String>) -> Response {
    let paced = stream::unfold((events.into_iter(), true), |(mut rest, first)| async move {
        let event = rest.next()?;
        if !first {
            tokio::time::sleep(PAUSE).await;
        }
        Some((Ok::<_, Infallible>(Bytes::from(event)), (rest, false)))
    });
    ([(header::CONTENT_TYPE, "text/event-stream; charset=utf-8")], Body::from_stream(paced)).into_response()
}

#[cfg(test)]
mod tests;
