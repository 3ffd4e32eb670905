//! A server that plays the control API and remembers what it was asked, and a client with surroundings of its own.

use bytes::Bytes;
use http::{Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Full, combinators::BoxBody};
use hyper::{
    body::{Body, Frame, Incoming, SizeHint},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use keyward_cli::{
    Ended,
    context::{Context, Input, Variables},
    run_in,
    ui::Ui,
};
use serde_json::{Value, json};
use std::{
    convert::Infallible,
    ffi::OsString,
    io::{self, Write},
    net::SocketAddr,
    path::{Path, PathBuf},
    pin::Pin,
    sync::{Arc, Mutex},
    task::{Context as Task, Poll},
};
use tokio_rustls::TlsAcceptor;

/// What the fake server was asked.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) authorization: String,
    pub(crate) body: String,
}

impl Asked {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or(Value::Null)
    }
}

/// What the fake server answers.
pub(crate) enum Reply {
    Json(u16, Value),
    Raw(u16, &'static str, Vec<u8>),
    /// Some bytes, then the connection breaks.
    Broken(Vec<u8>),
    Redirect(String),
    /// Nothing, ever.
    Silence,
}

pub(crate) fn ok(value: Value) -> Reply {
    Reply::Json(200, value)
}

pub(crate) fn problem(status: u16, code: &str, detail: &str, hint: Option<&str>) -> Reply {
    Reply::Json(
        status,
        json!({"type": "about:blank", "title": "No", "status": status, "detail": detail, "code": code, "hint": hint}),
    )
}

type Play = dyn Fn(&Asked) -> Reply + Send + Sync;

/// A running fake server. It goes away with the test.
pub(crate) struct Fake {
    pub(crate) address: SocketAddr,
    asked: Arc<Mutex<Vec<Asked>>>,
    _runtime: tokio::runtime::Runtime,
}

impl Fake {
    pub(crate) fn start(play: impl Fn(&Asked) -> Reply + Send + Sync + 'static) -> Self {
        Self::start_with(None, play)
    }

    pub(crate) fn start_with(tls: Option<TlsAcceptor>, play: impl Fn(&Asked) -> Reply + Send + Sync + 'static) -> Self {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("a runtime");
        let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).expect("a port");
        let address = listener.local_addr().expect("an address");
        let asked = Arc::new(Mutex::new(Vec::new()));
        let (play, memory): (Arc<Play>, _) = (Arc::new(play), Arc::clone(&asked));
        runtime.spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (play, memory, tls) = (Arc::clone(&play), Arc::clone(&memory), tls.clone());
                tokio::spawn(async move {
                    let service = service_fn(move |request| answer(Arc::clone(&play), Arc::clone(&memory), request));
                    let builder = http1::Builder::new();
                    match tls {
                        Some(tls) => {
                            if let Ok(stream) = tls.accept(stream).await {
                                let _end = builder.serve_connection(TokioIo::new(stream), service).await;
                            }
                        }
                        None => {
                            let _end = builder.serve_connection(TokioIo::new(stream), service).await;
                        }
                    }
                });
            }
        });
        Self { address, asked, _runtime: runtime }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.asked.lock().expect("not poisoned").clone()
    }
}

async fn answer(
    play: Arc<Play>,
    memory: Arc<Mutex<Vec<Asked>>>,
    request: Request<Incoming>,
) -> Result<Response<BoxBody<Bytes, io::Error>>, Infallible> {
    let (parts, body) = request.into_parts();
    let body = body.collect().await.expect("a body").to_bytes();
    let asked = Asked {
        method: parts.method.to_string(),
        path: parts.uri.to_string(),
        authorization: parts
            .headers
            .get(header::AUTHORIZATION)
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default()
            .to_owned(),
        body: String::from_utf8_lossy(&body).into_owned(),
    };
    memory.lock().expect("not poisoned").push(asked.clone());
    let full = |bytes: Vec<u8>| Full::new(Bytes::from(bytes)).map_err(|never| match never {}).boxed();
    let mut response = Response::new(full(Vec::new()));
    match play(&asked) {
        Reply::Json(status, value) => {
            *response.status_mut() = StatusCode::from_u16(status).expect("a status");
            *response.body_mut() = full(value.to_string().into_bytes());
        }
        Reply::Raw(status, kind, bytes) => {
            *response.status_mut() = StatusCode::from_u16(status).expect("a status");
            response.headers_mut().insert(header::CONTENT_TYPE, kind.parse().expect("a type"));
            *response.body_mut() = full(bytes);
        }
        Reply::Broken(bytes) => *response.body_mut() = Breaks::First(bytes).boxed(),
        Reply::Redirect(place) => {
            *response.status_mut() = StatusCode::FOUND;
            response.headers_mut().insert(header::LOCATION, place.parse().expect("a place"));
        }
        Reply::Silence => std::future::pending::<()>().await,
    }
    Ok(response)
}

/// A body that breaks after its first piece has gone out.
enum Breaks {
    First(Vec<u8>),
    Sending,
    Sent,
}

impl Body for Breaks {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, task: &mut Task<'_>) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        match std::mem::replace(&mut *self, Self::Sent) {
            Self::First(bytes) => {
                *self = Self::Sending;
                Poll::Ready(Some(Ok(Frame::data(bytes.into()))))
            }
            // The server writes out what it has when there is nothing more for the moment.
            Self::Sending => {
                task.waker().wake_by_ref();
                Poll::Pending
            }
            Self::Sent => Poll::Ready(Some(Err(io::Error::other("broken on purpose")))),
        }
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::default()
    }
}

/// How a run of the client ended.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) status: u8,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Run {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    pub(crate) fn says_nowhere(&self, secret: &str) {
        assert!(!self.out.contains(secret) && !self.err.contains(secret), "{secret} is shown: {self:?}");
    }
}

/// A user with a home of their own.
pub(crate) struct User {
    home: tempfile::TempDir,
    variables: Vec<(String, OsString)>,
    input: Vec<u8>,
    out_terminal: bool,
    leaves: bool,
}

pub(crate) const TOKEN: &str = "a-token-that-must-not-be-seen";

impl User {
    pub(crate) fn new() -> Self {
        let home = tempfile::tempdir().expect("a folder");
        let variables = vec![("HOME".to_owned(), home.path().into())];
        Self { home, variables, input: Vec::new(), out_terminal: false, leaves: false }
    }

    /// A user whose environment names a server and a token.
    pub(crate) fn of(fake: &Fake) -> Self {
        Self::new().with("KEYWARD_ADDR", &fake.url()).with("KEYWARD_TOKEN", TOKEN)
    }

    pub(crate) fn with(mut self, name: &str, value: &str) -> Self {
        self.variables.push((name.to_owned(), value.into()));
        self
    }

    pub(crate) fn typing(mut self, input: &str) -> Self {
        self.input = input.as_bytes().to_vec();
        self
    }

    pub(crate) fn at_a_terminal(mut self) -> Self {
        self.out_terminal = true;
        self
    }

    /// One who reads nothing of the output, as `| true`.
    pub(crate) fn leaving(mut self) -> Self {
        self.leaves = true;
        self
    }

    pub(crate) fn home(&self) -> &Path {
        self.home.path()
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> Run {
        let (out, err) = (Shared::default(), Shared::default());
        let reader: Box<dyn Write + Send> = if self.leaves { Box::new(Gone) } else { Box::new(out.clone()) };
        let mut ui = Ui::of_streams(reader, Box::new(err.clone()));
        ui.out_terminal = self.out_terminal;
        let context = Context {
            variables: self.variables.iter().cloned().collect::<Variables>(),
            input: Input::of_reader(Box::new(io::Cursor::new(self.input.clone())), false),
            ui,
            now: 1_795_000_000_000,
        };
        let arguments = std::iter::once("keyward").chain(arguments.iter().copied()).map(OsString::from);
        let Ended::Status(status) = run_in(context, arguments, &[]) else { panic!("no guests here") };
        Run { status, out: out.text(), err: err.text() }
    }
}

/// Output that nobody reads any more.
struct Gone;

impl Write for Gone {
    fn write(&mut self, _: &[u8]) -> io::Result<usize> {
        Err(io::ErrorKind::BrokenPipe.into())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[derive(Clone, Default)]
struct Shared(Arc<Mutex<Vec<u8>>>);

impl Shared {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().expect("not poisoned").clone()).expect("text")
    }
}

impl Write for Shared {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().expect("not poisoned").extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
