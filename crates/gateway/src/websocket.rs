//! WebSockets: after the handshake, bytes both ways. The taps read along; nothing is re-framed. The call stays open, and
//! can be cut, for as long as the connection lives.

use crate::{
    account::Account,
    frames::ClientTap,
    meter::Meter,
    relay::{self, Relay},
    stream::Io,
    ward::{Guard, Waiting},
};
use bytes::Bytes;
use futures_util::FutureExt;
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode, Version, header, request::Parts};
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use keyward_domain::{
    refusal::{Reason, Refusal},
    usage::Outcome,
};
use std::cell::RefCell;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// How much is read at once in each direction.
const BUFFER: usize = 16 << 10;

/// Checks that a request asks for a WebSocket in the way that HTTP/1.1 has for it.
///
/// # Errors
/// The refusal, for the client.
pub(crate) fn check(head: &Parts, upgrade: Option<OnUpgrade>) -> Result<OnUpgrade, Refusal> {
    let asks = head.headers.get_all(header::UPGRADE).iter().any(|value| {
        value.as_bytes().split(|byte| *byte == b',').any(|part| part.trim_ascii().eq_ignore_ascii_case(b"websocket"))
    });
    upgrade.filter(|_| asks && head.method == Method::GET && head.version == Version::HTTP_11).ok_or_else(|| {
        Refusal::new(
            Reason::MalformedRequest,
            "this operation is a WebSocket: connect with GET, HTTP/1.1 and `upgrade: websocket`",
        )
    })
}

/// Both sides have agreed: answers the client and relays until one side ends.
pub(crate) fn begin(
    (guard, mut account): (Guard, Box<Account>),
    on_upgrade: OnUpgrade,
    mut headers: HeaderMap,
    (provider, early): (Io, Vec<u8>),
) -> Response<Relay> {
    headers.remove(header::SEC_WEBSOCKET_EXTENSIONS);
    headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
    headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    account.relayed(early.len(), false);
    tokio::task::spawn_local(async move {
        let Ok(Ok(client)) = guard.guard(on_upgrade).await else { return };
        let session = Session {
            tap: RefCell::default(),
            meter: RefCell::new(Meter::websocket(account.plan())),
            account: RefCell::new(account),
            guard,
        };
        session.run(TokioIo::new(client), provider, early).await;
    });
    let mut response = Response::new(Relay::empty());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    *response.headers_mut() = headers;
    response
}

struct Session {
    guard: Guard,
    tap: RefCell<ClientTap>,
    meter: RefCell<Meter>,
    account: RefCell<Box<Account>>,
}

/// Which side ended a session.
enum Side {
    Client,
    Provider,
    Refused(Refusal),
}

impl Session {
    async fn run(self, client: impl AsyncRead + AsyncWrite, provider: Io, early: Vec<u8>) {
        let (from_client, mut to_client) = tokio::io::split(client);
        let (from_provider, to_provider) = tokio::io::split(provider);
        self.guard.wait_for(Waiting::Socket);
        let both = async {
            if !early.is_empty() && self.down(&mut to_client, early.into()).await.is_err() {
                return Side::Client;
            }
            tokio::select! {
                side = self.read_client(from_client, to_provider) => side,
                side = self.read_provider(from_provider, &mut to_client) => side,
            }
        };
        let ended = self.guard.guard(both).await;
        let (outcome, refusal) = match ended {
            Ok(Side::Client | Side::Provider) => (Outcome::Completed, None),
            Ok(Side::Refused(refusal)) => (Outcome::Cut, Some(refusal)),
            Err(end) => (relay::outcome(end), Some(relay::ended(end))),
        };
        let words = refusal.and_then(|refusal| self.meter.borrow().close_frame(&refusal));
        let reading = {
            let mut meter = self.meter.borrow_mut();
            meter.add_input(self.tap.borrow().bytes());
            meter.finish(matches!(outcome, Outcome::Completed))
        };
        self.account.borrow_mut().settle(&reading, outcome);
        // The client may be the reason why nothing moves: one attempt each, without waiting.
        if let Some(words) = words {
            let _ = to_client.write_all(&words).now_or_never();
        }
        let _ = to_client.shutdown().now_or_never();
    }

    async fn read_client(&self, mut from: impl AsyncRead + Unpin, mut to: impl AsyncWrite + Unpin) -> Side {
        let mut buffer = vec![0; BUFFER];
        loop {
            let Ok(count @ 1..) = from.read(&mut buffer).await else { return Side::Client };
            let piece = buffer.get(..count).unwrap_or_default();
            self.guard.wait_for(Waiting::Socket);
            let judged = self.account.borrow().judge(&mut self.tap.borrow_mut(), piece);
            if let Err(refusal) = judged {
                return Side::Refused(refusal);
            }
            if to.write_all(piece).await.is_err() || to.flush().await.is_err() {
                return Side::Provider;
            }
        }
    }

    async fn read_provider(&self, mut from: impl AsyncRead + Unpin, to: &mut (impl AsyncWrite + Unpin)) -> Side {
        let mut buffer = vec![0; BUFFER];
        loop {
            let Ok(count @ 1..) = from.read(&mut buffer).await else { return Side::Provider };
            let piece = Bytes::copy_from_slice(buffer.get(..count).unwrap_or_default());
            if self.down(to, piece).await.is_err() {
                return Side::Client;
            }
        }
    }

    async fn down(&self, to: &mut (impl AsyncWrite + Unpin), piece: Bytes) -> std::io::Result<()> {
        self.guard.wait_for(Waiting::Socket);
        let passed = {
            let mut meter = self.meter.borrow_mut();
            let mut account = self.account.borrow_mut();
            account.relayed(piece.len(), false);
            let passed = meter.feed(piece);
            account.made(meter.take_made());
            match meter.error() {
                None => passed,
                Some(_) => passed.map(|piece| account.without_key(piece)),
            }
        };
        if let Some(bytes) = passed {
            to.write_all(&bytes).await?;
            to.flush().await?;
        }
        Ok(())
    }
}
