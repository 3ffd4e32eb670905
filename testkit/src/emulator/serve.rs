//! The HTTP server of an emulator: records, authenticates, answers step by step.

use super::{
    Shared,
    account::{Account, State},
    call::{Call, Surface},
    record::{End, Recorded},
    refusals,
    reply::{self, Reply, ReplyBody, Step},
    route,
    script::Fault,
    socket,
};
use crate::keys::Service;
use bytes::Bytes;
use futures_util::StreamExt as _;
use http::{HeaderMap, Request, Response, Version, header, request};
use http_body_util::{BodyExt, Full, StreamBody, combinators::BoxBody};
use hyper::body::{Frame, Incoming};
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto::Builder,
};
use serde_json::Value;
use std::{io, sync::Arc};
use tokio::{net::TcpListener, sync::mpsc};

pub(super) type Body = BoxBody<Bytes, io::Error>;

/// Serves until the task is dropped.
pub(super) async fn serve(listener: TcpListener, shared: Arc<Shared>) {
    let mut number = 0;
    loop {
        let Ok((stream, _)) = listener.accept().await else { continue };
        let _plain_is_fine_too = stream.set_nodelay(true);
        let (shared, connection) = (Arc::clone(&shared), number);
        number += 1;
        tokio::spawn(async move {
            let service = hyper::service::service_fn(move |request| handle(Arc::clone(&shared), connection, request));
            let mut builder = Builder::new(TokioExecutor::new());
            builder.http1().half_close(false).keep_alive(true);
            // An error here is a caller that went away, or an answer that was told to break off.
            let _caller_left = builder.serve_connection_with_upgrades(TokioIo::new(stream), service).await;
        });
    }
}

/// Marks a call as hung up when its answer is dropped before it was given.
struct Watch {
    shared: Arc<Shared>,
    at: usize,
    done: bool,
}

impl Drop for Watch {
    fn drop(&mut self) {
        if !self.done {
            self.shared.records.change(self.at, |record| record.end = End::HungUp);
        }
    }
}

async fn handle(shared: Arc<Shared>, connection: usize, mut request: Request<Incoming>) -> io::Result<Response<Body>> {
    let upgrade = socket::wanted(&request).then(|| hyper::upgrade::on(&mut request));
    let (head, body) = request.into_parts();
    let at = shared.records.add(recorded(&head, connection));
    let mut watch = Watch { shared: Arc::clone(&shared), at, done: false };
    let path = head.uri.path().to_owned();
    let query = head.uri.query().unwrap_or_default().to_owned();
    let (surface, _) = route::surface(shared.service, &path);
    let keys = route::presented(shared.service, surface, &head.headers, &query);
    let account = keys.first().and_then(|key| shared.account(key));
    if let Some(account) = &account {
        if let Some(gate) = &account.script.hold_body {
            gate.pass().await;
        }
        if account.script.fault == Some(Fault::CloseBeforeAnswer) {
            watch.done = true;
            shared.records.change(at, |record| record.end = End::Closed);
            return Err(io::ErrorKind::ConnectionAborted.into());
        }
    }
    if let (Some(upgrade), Some(account)) = (upgrade, &account)
        && account.state == State::Live
    {
        watch.done = true;
        shared.records.change(at, |record| record.status = 101);
        return Ok(socket::accept(&shared, at, &head, upgrade, account.clone()));
    }
    let early = account.as_ref().is_some_and(|account| account.script.answer_early);
    let body = if early { Bytes::new() } else { read(&shared, at, body).await? };
    let reply = decide(&shared, &head, &keys, account.as_ref(), &body);
    if let Some(gate) = account.as_ref().and_then(|account| account.script.hold.clone()) {
        gate.pass().await;
    }
    let reply = route::dressed(shared.service, account.as_ref(), reply);
    let gzip = account.is_some_and(|account| account.script.gzip) && accepts_gzip(&head.headers);
    watch.done = true;
    Ok(respond(&shared, at, reply, gzip))
}

fn recorded(head: &request::Parts, connection: usize) -> Recorded {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Recorded {
        method: head.method.to_string(),
        path: head.uri.path().to_owned(),
        query: head.uri.query().unwrap_or_default().to_owned(),
        http2: head.version == Version::HTTP_2,
        connection,
        headers: head.headers.iter().map(|(name, value)| (name.as_str().to_owned(), text(value.as_bytes()))).collect(),
        ..Recorded::default()
    }
}

async fn read(shared: &Shared, at: usize, mut body: Incoming) -> io::Result<Bytes> {
    let mut all = Vec::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(io::Error::other)?;
        if let Ok(data) = frame.into_data() {
            all.extend_from_slice(&data);
            shared.records.change(at, |record| record.body.extend_from_slice(&data));
        }
    }
    shared.records.change(at, |record| record.body_complete = true);
    Ok(Bytes::from(all))
}

fn decide(shared: &Shared, head: &request::Parts, keys: &[String], account: Option<&Account>, body: &Bytes) -> Reply {
    let service = shared.service;
    let path = head.uri.path();
    let (surface, rest) = route::surface(service, path);
    if keys.len() > 1 && service == Service::Gemini {
        return double_credentials(surface);
    }
    let Some(first) = keys.first() else { return refusals::missing(service, surface) };
    let Some(account) = account else { return refusals::unknown(service, surface, first) };
    // xAI still tells what became of a key that was switched off.
    let tells = service == Service::Xai
        && matches!(account.state, State::Disabled | State::Leaked)
        && super::call::tells_about_key(service, path);
    if account.state.closes_everything() && !tells {
        return refusals::at_once(service, surface, account.state, &account.secret, account.script.echo);
    }
    if let Some(raw) = &account.script.raw {
        return Reply { status: raw.status, headers: raw.headers.clone(), body: ReplyBody::Steps(raw.steps.clone()) };
    }
    let json = serde_json::from_slice(body).unwrap_or(Value::Null);
    let query = head.uri.query().unwrap_or_default();
    let call = Call {
        service,
        surface,
        method: &head.method,
        path: rest,
        full_path: path,
        query,
        headers: &head.headers,
        body,
        json,
        account,
        shared,
    };
    refusals::by_state(&call).unwrap_or_else(|| route::answer(&call))
}

fn double_credentials(surface: Surface) -> Reply {
    let parts = refusals::Parts {
        kind: "INVALID_ARGUMENT",
        reason: Some("OVERLOADED_CREDENTIALS"),
        message: "Multiple authentication credentials received. Please pass only one.",
        ..refusals::Parts::default()
    };
    refusals::error(Service::Gemini, surface, 400, &parts)
}

fn accepts_gzip(headers: &HeaderMap) -> bool {
    headers.get_all(header::ACCEPT_ENCODING).iter().any(|value| value.to_str().is_ok_and(|text| text.contains("gzip")))
}

fn respond(shared: &Arc<Shared>, at: usize, reply: Reply, gzip: bool) -> Response<Body> {
    shared.records.change(at, |record| record.status = reply.status);
    let mut response = Response::builder().status(reply.status);
    for (name, value) in &reply.headers {
        response = response.header(name, value);
    }
    let body = match reply.body {
        ReplyBody::Whole(bytes) => {
            let bytes = if gzip { reply::gzip(&bytes) } else { bytes };
            if gzip {
                response = response.header(header::CONTENT_ENCODING, "gzip");
            }
            let length = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
            shared.records.change(at, |record| (record.sent, record.end) = (length, End::Complete));
            Full::new(bytes).map_err(|never| match never {}).boxed()
        }
        ReplyBody::Steps(steps) => {
            let (sender, receiver) = mpsc::channel(1);
            tokio::spawn(feed(Arc::clone(shared), at, steps, sender));
            let stream = futures_util::stream::unfold(receiver, async |mut receiver| {
                receiver.recv().await.map(|item: io::Result<Bytes>| (item, receiver))
            });
            BodyExt::boxed(StreamBody::new(stream.map(|item| item.map(Frame::data))))
        }
    };
    response.body(body).expect("the emulator's own headers are valid")
}

/// Takes the steps of an answer, and notes how far it got.
async fn feed(shared: Arc<Shared>, at: usize, steps: Vec<Step>, sender: mpsc::Sender<io::Result<Bytes>>) {
    let mut end = End::Complete;
    'steps: for step in steps {
        match step {
            Step::Data(bytes) => {
                if !send(&shared, at, &sender, bytes).await {
                    end = End::HungUp;
                    break;
                }
            }
            Step::Repeat(bytes, times) => {
                for _ in 0..times {
                    if !send(&shared, at, &sender, bytes.clone()).await {
                        end = End::HungUp;
                        break 'steps;
                    }
                }
            }
            Step::Wait(gate) => {
                tokio::select! {
                    () = gate.pass() => {}
                    () = sender.closed() => {
                        end = End::HungUp;
                        break;
                    }
                }
            }
            Step::Close => {
                let _caller_left = sender.send(Err(io::ErrorKind::ConnectionAborted.into())).await;
                end = End::Closed;
                break;
            }
        }
    }
    shared.records.change(at, |record| record.end = end);
}

async fn send(shared: &Shared, at: usize, sender: &mpsc::Sender<io::Result<Bytes>>, bytes: Bytes) -> bool {
    let length = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
    let sent = sender.send(Ok(bytes)).await.is_ok();
    if sent {
        shared.records.change(at, |record| record.sent += length);
    }
    sent
}
