//! A provider that keeps books: what each call was billed if generating stops when the connection closes (`sent`), and
//! if it goes on to its end (`full`). It keeps to the cap that a call sets, unless it is told not to. `POST /__reset` with
//! `{"tokens", "latency_us", "pace_us", "ignore_caps"}` begins new books, `GET /__books` shows them.

use bytes::Bytes;
use http_body_util::{BodyExt, Full, combinators::BoxBody};
use hyper::{
    Request, Response, StatusCode,
    body::{Body, Frame, Incoming},
    header::{CONTENT_TYPE, HeaderValue, USER_AGENT},
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use std::{
    convert::Infallible,
    pin::Pin,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    task::{Context, Poll, ready},
    time::Duration,
};
use tokio::time::{Instant, Sleep};

type Answer = Response<BoxBody<Bytes, Infallible>>;

/// How calls are answered.
#[derive(Clone, Copy)]
struct Manner {
    /// What a call generates that sets no cap.
    tokens: u64,
    latency: Duration,
    pace: Duration,
    ignores_caps: bool,
}

/// One call.
struct Entry {
    agent: String,
    model: String,
    prompt: u64,
    sent: AtomicU64,
    full: u64,
    ended: AtomicBool,
}

struct Books {
    manner: Manner,
    entries: Vec<Arc<Entry>>,
}

static BOOKS: Mutex<Books> = Mutex::new(Books {
    manner: Manner { tokens: 50, latency: Duration::ZERO, pace: Duration::ZERO, ignores_caps: false },
    entries: Vec::new(),
});

/// The call is over when this is gone, however it ended.
struct Open(Arc<Entry>);

impl Drop for Open {
    fn drop(&mut self) {
        self.0.ended.store(true, Relaxed);
    }
}

/// A chunk for each token, then the usage if it was asked for, then the end.
struct Chunks {
    open: Open,
    left: u64,
    usage: Option<Bytes>,
    is_over: bool,
    pace: Duration,
    timer: Pin<Box<Sleep>>,
}

impl Body for Chunks {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if self.is_over {
            return Poll::Ready(None);
        }
        ready!(self.timer.as_mut().poll(cx));
        let next = Instant::now() + self.pace;
        self.timer.as_mut().reset(next);
        if self.left > 0 {
            self.left -= 1;
            self.open.0.sent.fetch_add(1, Relaxed);
            let chunk = json!({
                "id": self.open.0.agent, "object": "chat.completion.chunk", "created": 1_760_000_000, "model": self.open.0.model,
                "choices": [{"index": 0, "delta": {"content": " word"}, "logprobs": null, "finish_reason": null}], "usage": null,
            });
            return Poll::Ready(Some(Ok(Frame::data(Bytes::from(format!("data: {chunk}\n\n"))))));
        }
        if let Some(usage) = self.usage.take() {
            return Poll::Ready(Some(Ok(Frame::data(usage))));
        }
        self.is_over = true;
        Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(b"data: [DONE]\n\n")))))
    }
}

fn books() -> std::sync::MutexGuard<'static, Books> {
    BOOKS.lock().unwrap_or_else(PoisonError::into_inner)
}

fn text(status: StatusCode, text: String) -> Answer {
    let mut response = Response::new(Full::new(Bytes::from(text)).boxed());
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// What is written down, in columns: name, prompt, sent, full.
fn show() -> Answer {
    let books = books();
    let open = books.entries.iter().filter(|entry| !entry.ended.load(Relaxed)).count();
    let row = |entry: &Arc<Entry>| json!([entry.agent, entry.prompt, entry.sent.load(Relaxed), entry.full]);
    text(StatusCode::OK, json!({"open": open, "calls": books.entries.iter().map(row).collect::<Vec<_>>()}).to_string())
}

fn reset(body: &[u8]) -> Answer {
    let asked: Value = serde_json::from_slice(body).unwrap_or_default();
    let number = |name: &str, default: u64| asked[name].as_u64().unwrap_or(default);
    let mut books = books();
    books.entries.clear();
    books.manner = Manner {
        tokens: number("tokens", 50),
        latency: Duration::from_micros(number("latency_us", 0)),
        pace: Duration::from_micros(number("pace_us", 0)),
        ignores_caps: asked["ignore_caps"].as_bool().unwrap_or(false),
    };
    text(StatusCode::OK, "{}".to_owned())
}

/// The tokens of a prompt: one for four bytes of text, and a few for each message.
fn prompt_tokens(body: &Value) -> u64 {
    let messages = body["messages"].as_array();
    let of = |message: &Value| 4 + message["content"].as_str().map_or(0, |text| text.len().div_ceil(4) as u64);
    messages.into_iter().flatten().map(of).sum()
}

async fn serve(agent: String, body: &[u8]) -> Answer {
    let Ok(body) = serde_json::from_slice::<Value>(body) else {
        return text(StatusCode::BAD_REQUEST, json!({"error": {"message": "not JSON"}}).to_string());
    };
    let (manner, open) = {
        let mut books = books();
        let manner = books.manner;
        let cap = ["max_completion_tokens", "max_tokens"].iter().filter_map(|name| body[*name].as_u64()).min();
        let cap = cap.filter(|_| !manner.ignores_caps).unwrap_or(u64::MAX);
        let entry = Arc::new(Entry {
            agent,
            model: body["model"].as_str().unwrap_or_default().to_owned(),
            prompt: prompt_tokens(&body),
            sent: AtomicU64::new(0),
            full: manner.tokens.min(cap),
            ended: AtomicBool::new(false),
        });
        books.entries.push(Arc::clone(&entry));
        (manner, Open(entry))
    };
    tokio::time::sleep(manner.latency).await;
    let entry = &open.0;
    let usage = json!({
        "prompt_tokens": entry.prompt, "completion_tokens": entry.full, "total_tokens": entry.prompt + entry.full,
    });
    if body["stream"].as_bool() != Some(true) {
        tokio::time::sleep(manner.pace * u32::try_from(entry.full).unwrap_or(u32::MAX)).await;
        entry.sent.store(entry.full, Relaxed);
        let answer = json!({
            "id": entry.agent, "object": "chat.completion", "created": 1_760_000_000, "model": entry.model,
            "choices": [{"index": 0, "message": {"role": "assistant", "content": "words"}, "logprobs": null, "finish_reason": "stop"}],
            "usage": usage,
        });
        return text(StatusCode::OK, answer.to_string());
    }
    let last = json!({
        "id": entry.agent, "object": "chat.completion.chunk", "created": 1_760_000_000, "model": entry.model,
        "choices": [], "usage": usage,
    });
    let asked = body["stream_options"]["include_usage"].as_bool() == Some(true);
    let (left, timer) = (entry.full, Box::pin(tokio::time::sleep_until(Instant::now())));
    let usage = asked.then(|| Bytes::from(format!("data: {last}\n\n")));
    let chunks = Chunks { open, left, usage, is_over: false, pace: manner.pace, timer };
    let mut response = Response::new(chunks.boxed());
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    response
}

async fn answer(request: Request<Incoming>) -> Result<Answer, Infallible> {
    let (head, body) = request.into_parts();
    let body = body.collect().await.map(|body| body.to_bytes()).unwrap_or_default();
    Ok(match head.uri.path() {
        "/__books" => show(),
        "/__reset" => reset(&body),
        _ => {
            let agent = head.headers.get(USER_AGENT).and_then(|name| name.to_str().ok()).unwrap_or_default();
            serve(agent.to_owned(), &body).await
        }
    })
}

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    println!("{}", listener.local_addr()?);
    loop {
        let (stream, _) = listener.accept().await?;
        let _ = stream.set_nodelay(true);
        tokio::spawn(async move {
            let _ = hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service_fn(answer))
                .await;
        });
    }
}
