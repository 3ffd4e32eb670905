//! HTTP/2 towards providers, by hyper: several connections per endpoint, none with more streams than the peer takes.

use crate::{
    stream::Io,
    upstream::{Error, exchange::Answer, origin::Endpoint, payload::Payload},
};
use bytes::Bytes;
use http::{HeaderMap, Method, Request, Uri};
use http_body::{Body, Frame};
use hyper::{body::Incoming, client::conn::http2::SendRequest};
use hyper_util::rt::{TokioIo, TokioTimer};
use std::{
    cell::{Cell, RefCell},
    collections::HashMap,
    future::Future,
    pin::Pin,
    rc::Rc,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

/// The most streams on one connection, whatever the peer says: one lost packet should not stop everybody.
const MAX_STREAMS: usize = 64;
/// How often an idle connection is asked whether it still lives.
const PING_EVERY: Duration = Duration::from_secs(20);
/// How long it may take to answer.
const PING_LIMIT: Duration = Duration::from_secs(10);
/// The largest answer head, in bytes.
const MAX_HEAD: u32 = 64 << 10;
/// The flow-control window of one stream, and so what a slow reader can make the gateway hold.
const STREAM_WINDOW: u32 = 128 << 10;

/// Runs hyper's own tasks on the thread that made them.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Local;

impl<F> hyper::rt::Executor<F> for Local
where
    F: Future + 'static,
    F::Output: 'static,
{
    fn execute(&self, task: F) {
        tokio::task::spawn_local(task);
    }
}

/// The HTTP/2 connections of one thread.
#[derive(Default)]
pub(crate) struct Connections {
    open: RefCell<HashMap<Arc<Endpoint>, Vec<Connection>>>,
}

/// One connection with room for another stream.
#[derive(Clone)]
pub(crate) struct Connection {
    sender: SendRequest<Payload>,
    streams: Rc<Cell<usize>>,
    limit: Rc<Cell<usize>>,
}

impl Connections {
    /// A connection with room. Closed ones are forgotten on the way.
    pub(crate) fn take(&self, endpoint: &Arc<Endpoint>) -> Option<Connection> {
        let mut open = self.open.borrow_mut();
        let list = open.get_mut(endpoint)?;
        list.retain(|connection| !connection.sender.is_closed());
        list.iter().find(|connection| connection.has_room()).cloned()
    }

    /// Begins to speak HTTP/2 on a new connection.
    ///
    /// # Errors
    /// [`Error::Http2`] when the handshake fails.
    pub(crate) async fn open(&self, endpoint: &Arc<Endpoint>, io: Io) -> Result<Connection, Error> {
        let (sender, driver) = hyper::client::conn::http2::Builder::new(Local)
            .timer(TokioTimer::new())
            .initial_stream_window_size(STREAM_WINDOW)
            .initial_connection_window_size(STREAM_WINDOW * 8)
            .max_header_list_size(MAX_HEAD)
            .keep_alive_interval(PING_EVERY)
            .keep_alive_timeout(PING_LIMIT)
            .handshake(TokioIo::new(io))
            .await
            .map_err(Error::Http2)?;
        let limit = Rc::new(Cell::new(MAX_STREAMS));
        let connection = Connection { sender, streams: Rc::default(), limit: Rc::clone(&limit) };
        tokio::task::spawn_local(async move {
            let mut driver = driver;
            let ended = std::future::poll_fn(|cx| {
                let polled = Pin::new(&mut driver).poll(cx);
                // The peer's settings arrive, and change, while the connection is driven.
                limit.set(driver.current_max_send_streams().min(MAX_STREAMS));
                polled
            });
            if let Err(error) = ended.await {
                tracing::debug!(%error, "an HTTP/2 connection to a provider ended");
            }
        });
        self.open.borrow_mut().entry(Arc::clone(endpoint)).or_default().push(connection.clone());
        Ok(connection)
    }

    /// Forgets closed connections, and closes those on which nothing happens.
    pub(crate) fn sweep(&self) {
        self.open.borrow_mut().retain(|_, list| {
            list.retain(|connection| !connection.sender.is_closed());
            !list.is_empty()
        });
    }
}

impl Connection {
    fn has_room(&self) -> bool {
        self.sender.is_ready() && self.streams.get() < self.limit.get()
    }

    /// Sends a request; the answer is waited for by polling what comes back.
    pub(crate) fn send(mut self, method: &Method, uri: Uri, headers: HeaderMap, payload: Payload) -> Exchange {
        let mut request = Request::new(payload);
        *request.method_mut() = method.clone();
        *request.uri_mut() = uri;
        *request.version_mut() = http::Version::HTTP_2;
        *request.headers_mut() = headers;
        self.streams.set(self.streams.get() + 1);
        let stream = Stream(Rc::clone(&self.streams));
        let answer = Box::pin(self.sender.send_request(request));
        Exchange { state: State::Waiting(answer), length: None, _stream: stream }
    }
}

/// One stream's place on its connection.
struct Stream(Rc<Cell<usize>>);

impl Drop for Stream {
    fn drop(&mut self) {
        self.0.set(self.0.get().saturating_sub(1));
    }
}

type Waiting = Pin<Box<dyn Future<Output = hyper::Result<http::Response<Incoming>>>>>;

/// A request on its way over HTTP/2, and its answer.
pub(crate) struct Exchange {
    state: State,
    length: Option<u64>,
    _stream: Stream,
}

enum State {
    Waiting(Waiting),
    Body(Incoming),
    Done,
}

impl Exchange {
    /// How long the answer's body is, when its head says so.
    pub(crate) const fn length(&self) -> Option<u64> {
        self.length
    }

    /// Whether everything has been handed on.
    pub(crate) fn is_end(&self) -> bool {
        match &self.state {
            State::Waiting(_) => false,
            State::Body(body) => body.is_end_stream(),
            State::Done => true,
        }
    }

    /// Waits for the answer's head.
    pub(crate) fn poll_head(&mut self, cx: &mut Context<'_>) -> Poll<Result<Answer, Error>> {
        let State::Waiting(waiting) = &mut self.state else {
            return Poll::Ready(Err(Error::Lost { unanswered: false, source: None }));
        };
        let answer = ready!(waiting.as_mut().poll(cx));
        self.state = State::Done;
        let (mut head, body) = answer.map_err(Error::Http2)?.into_parts();
        self.length = body.size_hint().exact();
        self.state = State::Body(body);
        for name in super::head::CONNECTION_HEADERS {
            head.headers.remove(name);
        }
        Poll::Ready(Ok(Answer { status: head.status, headers: head.headers }))
    }

    /// The next piece of the body, or its trailers.
    pub(crate) fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let State::Body(body) = &mut self.state else { return Poll::Ready(None) };
        let frame = ready!(Pin::new(body).poll_frame(cx));
        if !matches!(frame, Some(Ok(_))) {
            self.state = State::Done;
        }
        Poll::Ready(frame.map(|frame| frame.map_err(Error::Http2)))
    }
}
