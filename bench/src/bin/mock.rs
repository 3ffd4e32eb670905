//! A provider that answers at once: unary JSON, or a stream of chunks that are each flushed alone. What a call should
//! get is said in its path: `/v1/chat/completions` is unary unless the body asks for a stream; the header
//! `x-pace-us` puts a pause between chunks and `x-chunks` sets how many there are.

use bytes::Bytes;
use http_body_util::{BodyExt, Full, combinators::BoxBody};
use hyper::{
    Request, Response,
    body::{Body, Frame, Incoming},
    header::{CONTENT_TYPE, HeaderValue},
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use std::{
    convert::Infallible,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};
use tokio::time::{Instant, Sleep};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const UNARY: &str = r#"{"id":"chatcmpl-bench","object":"chat.completion","created":1760000000,"model":"gpt-4o-mini","choices":[{"index":0,"message":{"role":"assistant","content":"Hello to the benchmark, and to everyone who reads its figures.","refusal":null},"logprobs":null,"finish_reason":"stop"}],"usage":{"prompt_tokens":14,"completion_tokens":13,"total_tokens":27,"prompt_tokens_details":{"cached_tokens":0,"audio_tokens":0},"completion_tokens_details":{"reasoning_tokens":0}}}"#;
const CHUNK: &str = "data: {\"id\":\"chatcmpl-bench\",\"object\":\"chat.completion.chunk\",\"created\":1760000000,\"model\":\"gpt-4o-mini\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\" word\"},\"logprobs\":null,\"finish_reason\":null}],\"usage\":null}\n\n";
const LAST: &str = "data: {\"id\":\"chatcmpl-bench\",\"object\":\"chat.completion.chunk\",\"created\":1760000000,\"model\":\"gpt-4o-mini\",\"choices\":[],\"usage\":{\"prompt_tokens\":14,\"completion_tokens\":50,\"total_tokens\":64}}\n\ndata: [DONE]\n\n";

/// Chunks one by one. Each poll gives one and then yields, so that the server flushes it before the next.
struct Chunks {
    left: usize,
    pace: Duration,
    timer: Pin<Box<Sleep>>,
    yielded: bool,
}

impl Body for Chunks {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if self.left == 0 {
            return Poll::Ready(None);
        }
        if self.pace.is_zero() {
            self.yielded = !self.yielded;
            if self.yielded {
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
        } else {
            if self.timer.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
            let next = self.timer.deadline() + self.pace;
            self.timer.as_mut().reset(next);
        }
        self.left -= 1;
        let text = if self.left == 0 { LAST } else { CHUNK };
        Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(text.as_bytes())))))
    }
}

async fn answer(request: Request<Incoming>) -> Result<Response<BoxBody<Bytes, Infallible>>, Infallible> {
    let header = |name: &str| request.headers().get(name)?.to_str().ok()?.parse::<usize>().ok();
    let pace = Duration::from_micros(header("x-pace-us").unwrap_or(0) as u64);
    let chunks = header("x-chunks").unwrap_or(50);
    let body = request.into_body().collect().await.map(|body| body.to_bytes()).unwrap_or_default();
    let streamed = body.windows(13).take(4096).any(|part| part == b"\"stream\":true")
        || body.windows(14).take(4096).any(|part| part == b"\"stream\": true");
    let (kind, body) = if streamed {
        let timer = Box::pin(tokio::time::sleep_until(Instant::now()));
        ("text/event-stream", Chunks { left: chunks + 1, pace, timer, yielded: false }.boxed())
    } else {
        ("application/json", Full::new(Bytes::from_static(UNARY.as_bytes())).boxed())
    };
    let mut response = Response::new(body);
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    Ok(response)
}

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    // As the load generator does: segments as on an Ethernet, not as large as a whole receive window.
    socket2::SockRef::from(&listener).set_tcp_mss(1_448)?;
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
