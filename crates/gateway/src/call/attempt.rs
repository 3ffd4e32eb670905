//! Sending a call under one credential after the other until one serves, and beginning the answer.

use crate::{
    account::Account,
    inbound::{self, Inbound},
    meter::{self, Meter, Reading},
    near::Near,
    objects, redact,
    relay::{self, Flow, Relay, Stream},
    tables::LiveCredential,
    upstream::{self, Auth, Exchange, Outgoing, exchange::Answer, payload::Payload},
    ward::{End, Guard, Waiting},
    websocket,
    worker::Worker,
};
use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, header, request::Parts};
use hyper::upgrade::OnUpgrade;
use keyward_domain::{
    refusal::{Reason, Refusal},
    secret::PlainKey,
    usage::Outcome,
};
use std::{future::poll_fn, pin::pin, rc::Rc};

/// The most of an error answer that is read; the rest is not shown.
const MAX_ERROR: usize = 64 << 10;
/// The longest list answer out of which other people's objects are taken.
const MAX_LIST: usize = 16 << 20;

/// A call on its way.
pub(super) struct Call<'a> {
    pub(super) worker: &'a Rc<Worker>,
    pub(super) guard: Guard,
    pub(super) inbound: &'a Inbound,
    pub(super) head: &'a Parts,
    /// The client's half of a change to the WebSocket protocol.
    pub(super) upgrade: Option<OnUpgrade>,
    /// The body goes on unpacked, so that what the client says about its packing does not.
    pub(super) unpacked: bool,
}

impl Call<'_> {
    /// Tries the credentials in their order. The next one is tried only when the provider has refused the one before
    /// for good or for want of money; nothing of that answer has reached the client.
    ///
    /// # Errors
    /// The refusal when none could be used.
    pub(super) async fn send(
        self,
        mut account: Box<Account>,
        candidates: Vec<Near<LiveCredential>>,
        mut payload: Payload,
    ) -> Result<Response<Relay>, Refusal> {
        let mut left = candidates.len();
        let mut refused = Refusal::new(Reason::NoCredential, "no credential could be used for this call");
        for candidate in candidates {
            left -= 1;
            let key = match candidate.open(&self.worker.shared.vault) {
                Ok(key) => key,
                Err(error) => {
                    tracing::error!(credential = %candidate.route.id, %error, "a credential cannot be opened");
                    refused = Refusal::new(Reason::CredentialSealed, "the credential for this call cannot be opened");
                    continue;
                }
            };
            let again = payload.again();
            account.sent_with(&candidate)?;
            let paid = (account.is_paid(), account.drains_on_hangup());
            let (answer, mut exchange) = match self.exchange(&candidate, &key, payload, paid).await {
                Ok(answered) => answered,
                Err(failure) => return Err(failure.settle(&mut account)),
            };
            account.answered(answer.status.as_u16());
            if !answer.status.is_client_error() && !answer.status.is_server_error() {
                return self.begin(account, answer, exchange, key).await;
            }
            let body = match self.collect(&mut exchange, MAX_ERROR).await {
                Ok((body, _)) => body,
                Err(failure) => return Err(failure.settle(&mut account)),
            };
            let parts = meter::error_parts(account.plan(), &answer.headers, &body);
            let (cause, _) = account.plan().provider.classify(Some(answer.status.as_u16()), &parts);
            if cause.is_dead() || cause.is_broke() {
                account.take_out(&candidate, cause);
                if left > 0
                    && let Some(again) = again
                {
                    payload = again;
                    continue;
                }
            }
            return Ok(self.refusal_of_provider(account, answer, &body, &key));
        }
        Err(refused)
    }

    /// Sends the call under one credential and waits for the answer's head. `once`: it is sent once at most. `lingers`:
    /// from the moment in which the provider has the whole of it, the call goes on without its client.
    async fn exchange(
        &self,
        candidate: &LiveCredential,
        key: &PlainKey,
        payload: Payload,
        (once, lingers): (bool, bool),
    ) -> Result<(Answer, Exchange), Failure> {
        let provider = &self.inbound.plan.provider;
        let operation = &self.inbound.plan.operation;
        let header = HeaderName::from_bytes(provider.auth.header.as_bytes())
            .map_err(|_| Failure::Upstream(upstream::Error::Credential))?;
        let socket = self.upgrade.is_some();
        let passes = |name: &HeaderName, value: &HeaderValue| {
            // What is compressed cannot be read, and the list of protocols may hold the key.
            let of_socket = matches!(*name, header::SEC_WEBSOCKET_EXTENSIONS | header::SEC_WEBSOCKET_PROTOCOL);
            let of_packing = *name == header::CONTENT_ENCODING;
            let ours = (socket && of_socket) || (self.unpacked && of_packing);
            !ours && inbound::passes(name.as_str(), value.as_bytes(), self.inbound)
        };
        let mut extra = default_headers(provider);
        let protocols = inbound::upstream_protocols(&self.head.headers).filter(|_| socket);
        if let Some(protocols) = protocols.and_then(|list| HeaderValue::from_str(&list).ok()) {
            extra.push((header::SEC_WEBSOCKET_PROTOCOL, protocols));
        }
        let outgoing = Outgoing {
            method: &self.head.method,
            path: &self.inbound.path_and_query,
            headers: &self.head.headers,
            passes: &passes,
            extra: &extra,
            auth: Some(Auth { header: &header, prefix: &provider.auth.prefix, key }),
            // What the answer says must be readable where it is counted, where it names objects and where it lists them.
            identity: operation.usage.is_some() || operation.creates.is_some() || operation.lists.is_some(),
            upgrade: socket.then_some("websocket"),
            once,
        };
        self.guard.seeks_provider();
        let sending = self.worker.upstreams.send(&candidate.origin, &outgoing, payload, &self.guard);
        let mut answered = pin!(self.guard.guard(sending));
        let answered = poll_fn(|cx| {
            let polled = answered.as_mut().poll(cx);
            self.worker.lingers.set(lingers && self.guard.awaits_answer());
            polled
        });
        answered.await.map_err(Failure::Ended)?.map_err(Failure::Upstream)
    }

    /// Begins to relay an answer that is not an error.
    async fn begin(
        self,
        mut account: Box<Account>,
        answer: Answer,
        mut exchange: Exchange,
        key: PlainKey,
    ) -> Result<Response<Relay>, Refusal> {
        let Answer { status, mut headers } = answer;
        let plan = account.plan().clone();
        // On the heap, because it goes through many hands.
        let mut meter = Box::new(Meter::new(&plan, status.as_u16(), &headers, account.facts()));
        if account.is_paid() {
            meter.watch();
        }
        redact::headers(&mut headers, &plan.provider.auth, &key);
        if let Some(upgrade) = self.upgrade {
            return match exchange.into_upgraded().filter(|_| status == StatusCode::SWITCHING_PROTOCOLS) {
                Some(provider) => Ok(websocket::begin((self.guard, account), upgrade, headers, provider)),
                None => {
                    account.settle(&meter.finish(true), Outcome::ProviderError);
                    Err(Refusal::new(Reason::UpstreamInvalid, "the provider does not speak WebSocket here"))
                }
            };
        }
        // The plaintext is not needed any more, and a stream may go on for an hour.
        drop(key);
        if let Some(lists) = plan.operation.lists.as_ref().filter(|_| status == StatusCode::OK) {
            let (body, whole) = match self.collect(&mut exchange, MAX_LIST).await {
                Ok(body) => body,
                Err(failure) => return Err(failure.settle(&mut account)),
            };
            meter.feed(body.clone());
            account.settle(&meter.finish(true), Outcome::Completed);
            let filtered = Some(body)
                .filter(|_| whole)
                .and_then(|body| objects::filter_list(&body, lists, |id| account.may_see(id)));
            let filtered = filtered.ok_or_else(|| {
                Refusal::new(Reason::UpstreamInvalid, "the provider's list cannot be read, so nothing of it is shown")
            })?;
            headers.remove(header::CONTENT_LENGTH);
            return Ok(response(status, headers, filtered.into()));
        }
        let length = if meter.may_edit() {
            headers.remove(header::CONTENT_LENGTH);
            None
        } else {
            exchange.length()
        };
        if exchange.is_end() {
            account.settle(&meter.finish(true), Outcome::Completed);
            return Ok(response(status, headers, Relay::empty()));
        }
        let content_type = headers.get(header::CONTENT_TYPE).cloned();
        account.answers();
        let flow = Flow::new(exchange, meter, account, content_type);
        Ok(response(status, headers, Relay::Flow(Stream::new(self.guard, flow, length))))
    }

    /// Passes on a provider's error, without what it says about the real key.
    fn refusal_of_provider(
        &self,
        mut account: Box<Account>,
        answer: Answer,
        body: &Bytes,
        key: &PlainKey,
    ) -> Response<Relay> {
        let Answer { status, mut headers } = answer;
        let plan = account.plan().clone();
        let mut meter = Meter::new(&plan, status.as_u16(), &headers, account.facts());
        account.relayed(body.len(), false);
        meter.feed(body.clone());
        account.settle(&meter.finish(true), Outcome::ProviderError);
        let packed = headers
            .remove(header::CONTENT_ENCODING)
            .is_some_and(|value| !value.as_bytes().eq_ignore_ascii_case(b"identity"));
        redact::headers(&mut headers, &plan.provider.auth, key);
        // What cannot be read cannot be cleaned, so it is not shown.
        let body = if packed { Bytes::new() } else { redact::error_body(body, key) };
        if self.head.method != http::Method::HEAD {
            headers.remove(header::CONTENT_LENGTH);
        }
        response(status, headers, body.into())
    }

    /// Collects an answer's body up to a limit; says whether that was all.
    async fn collect(&self, exchange: &mut Exchange, limit: usize) -> Result<(Bytes, bool), Failure> {
        let mut all = BytesMut::new();
        loop {
            self.guard.wait_for(Waiting::More);
            let frame = self.guard.guard(poll_fn(|cx| exchange.poll_frame(cx))).await.map_err(Failure::Ended)?;
            let Some(frame) = frame else { return Ok((all.freeze(), true)) };
            let Ok(data) = frame.map_err(Failure::Upstream)?.into_data() else { continue };
            let room = limit.saturating_sub(all.len());
            all.extend_from_slice(data.get(..room).unwrap_or(&data));
            if data.len() > room {
                return Ok((all.freeze(), false));
            }
        }
    }
}

/// Why there is no answer.
enum Failure {
    /// The call was ended from outside.
    Ended(End),
    /// The provider's side failed.
    Upstream(upstream::Error),
}

impl Failure {
    /// Settles the call and says what the client is told.
    fn settle(self, account: &mut Account) -> Refusal {
        let (refusal, outcome, reading) = match self {
            Self::Ended(end) => (relay::ended(end), relay::outcome(end), account.nothing_heard()),
            Self::Upstream(error) => {
                account.report(&error);
                let reading = if error.nothing_sent() { Reading::unsent() } else { account.nothing_heard() };
                let outcome = match &error {
                    upstream::Error::Request(upstream::payload::Broken::Client(_)) => Outcome::ClientGone,
                    _ => Outcome::UpstreamLost,
                };
                (relay::lost(&error), outcome, reading)
            }
        };
        account.answered(refusal.reason.status());
        account.settle(&reading, outcome);
        refusal
    }
}

fn default_headers(provider: &keyward_domain::provider::Provider) -> Vec<(HeaderName, HeaderValue)> {
    let defaults = provider.api.default_headers.iter();
    defaults
        .filter_map(|(name, value)| {
            Some((HeaderName::from_bytes(name.as_bytes()).ok()?, HeaderValue::from_str(value).ok()?))
        })
        .collect()
}

fn response(status: StatusCode, headers: HeaderMap, body: Relay) -> Response<Relay> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    response
}
