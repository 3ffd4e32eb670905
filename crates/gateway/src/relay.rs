//! The body of an answer on its way to the client. Bytes leave as they come; the meter sees them pass. Nothing is read
//! from the provider that the client has not made room for.

use crate::{
    account::Account,
    meter::Meter,
    redact, respond,
    upstream::{self, Exchange},
    ward::{End, Guard, Held, Waiting},
};
use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderValue};
use http_body::{Body, Frame, SizeHint};
use keyward_domain::{
    refusal::{Reason, Refusal},
    usage::Outcome,
};
use std::{
    cell::RefCell,
    future::poll_fn,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, ready},
};

/// Why an answer has no proper end. The client sees its connection break.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Cut {
    /// The provider's side broke.
    #[error("the provider's answer broke off")]
    Upstream(#[source] upstream::Error),
    /// The call was ended from outside.
    #[error("the call was ended: {0:?}")]
    Ended(End),
    /// The answer has cost what was held for it.
    #[error("the answer has cost what was held for it")]
    Spent,
}

/// An answer's body.
pub(crate) enum Relay {
    /// Known in whole.
    Whole(Option<Bytes>),
    /// Comes from the provider.
    Flow(Stream),
}

impl Relay {
    /// A body without any bytes.
    pub(crate) const fn empty() -> Self {
        Self::Whole(None)
    }
}

impl From<Bytes> for Relay {
    fn from(bytes: Bytes) -> Self {
        Self::Whole(Some(bytes).filter(|bytes| !bytes.is_empty()))
    }
}

/// A body that comes from the provider.
pub(crate) struct Stream {
    // The order matters: the call leaves the list of open calls before what it holds is dropped.
    guard: Guard,
    slot: Rc<Slot>,
    length: Option<u64>,
    /// There is no client any more.
    alone: bool,
}

/// What the list of open calls can take away from a stream.
struct Slot(RefCell<State>);

enum State {
    Flowing(Box<Flow>),
    /// The last bytes, and then the break.
    Words(Bytes, Cut),
    /// The break, after what has been handed on could leave: an error makes hyper forget what it still holds.
    Breaking(Cut),
    Broken(Cut),
    Done,
}

/// An answer, its meter and its account.
pub(crate) struct Flow {
    exchange: Exchange,
    meter: Box<Meter>,
    account: Box<Account>,
    content_type: Option<HeaderValue>,
    trailers: Option<HeaderMap>,
    /// The client has hung up, and the answer is read only to know its use.
    alone: bool,
}

impl Flow {
    pub(crate) fn new(
        exchange: Exchange,
        meter: Box<Meter>,
        account: Box<Account>,
        content_type: Option<HeaderValue>,
    ) -> Self {
        Self { exchange, meter, account, content_type, trailers: None, alone: false }
    }

    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Next> {
        if let Some(trailers) = self.trailers.take() {
            return Poll::Ready(Next::Last(Some(Frame::trailers(trailers))));
        }
        loop {
            let frame = match ready!(self.exchange.poll_frame(cx)) {
                None => return Poll::Ready(Next::Last(self.meter.flush().map(Frame::data))),
                Some(Err(error)) => return Poll::Ready(Next::Broken(error)),
                Some(Ok(frame)) => frame,
            };
            let data = match frame.into_data() {
                Ok(data) => data,
                Err(frame) => {
                    let mut trailers = frame.into_trailers().unwrap_or_default();
                    redact::trailers(&mut trailers, &self.account.plan().provider.auth);
                    return Poll::Ready(match self.meter.flush() {
                        None => Next::Last(Some(Frame::trailers(trailers))),
                        Some(tail) => {
                            self.trailers = Some(trailers);
                            Next::Some(tail)
                        }
                    });
                }
            };
            self.account.relayed(data.len(), self.exchange.is_end());
            let passed = self.meter.feed(data);
            let passed = self.cleaned(passed);
            self.account.made(self.meter.take_made());
            if let Some(why) = self.account.overspent(&mut self.meter) {
                return Poll::Ready(Next::Spent(passed, why));
            }
            if self.exchange.is_end() {
                let tail = self.meter.flush();
                return Poll::Ready(Next::Last(join(passed, self.cleaned(tail)).map(Frame::data)));
            }
            if let Some(bytes) = passed.filter(|bytes| !bytes.is_empty()) {
                return Poll::Ready(Next::Some(bytes));
            }
        }
    }

    /// What goes on, without what an error that came after a good beginning says about the real key.
    fn cleaned(&self, piece: Option<Bytes>) -> Option<Bytes> {
        if self.meter.error().is_none() {
            return piece;
        }
        piece.map(|piece| self.account.without_key(piece))
    }

    /// Settles the call, and has the last word where the client's SDK would otherwise only see a broken connection.
    fn finish(&mut self, outcome: Outcome, why: Option<&Refusal>) -> Option<Bytes> {
        let reading = self.meter.finish(matches!(outcome, Outcome::Completed));
        let outcome = match outcome {
            Outcome::Completed if reading.error.is_some() => Outcome::ProviderError,
            Outcome::Completed if self.alone => Outcome::ClientGone,
            outcome => outcome,
        };
        self.account.settle(&reading, outcome);
        let held_back = self.meter.flush();
        let words = why.and_then(|refusal| {
            let kind = self.content_type.as_ref().and_then(|kind| kind.to_str().ok()).unwrap_or_default();
            let in_frames = || self.meter.close_frame(refusal);
            respond::stream_end(self.account.plan().dialect, kind, refusal).or_else(in_frames)
        });
        join(held_back, words)
    }
}

impl Drop for Flow {
    /// The client hung up: the provider's connection is closed with the exchange, and what it gave so far is settled.
    fn drop(&mut self) {
        if !self.account.is_settled() {
            let reading = self.meter.finish(false);
            self.account.settle(&reading, Outcome::ClientGone);
        }
    }
}

enum Next {
    Some(Bytes),
    Last(Option<Frame<Bytes>>),
    Broken(upstream::Error),
    /// What still goes to the client, and why nothing more does.
    Spent(Option<Bytes>, Refusal),
}

fn join(first: Option<Bytes>, second: Option<Bytes>) -> Option<Bytes> {
    match (first.filter(|bytes| !bytes.is_empty()), second.filter(|bytes| !bytes.is_empty())) {
        (Some(first), Some(second)) => {
            let mut both = BytesMut::with_capacity(first.len() + second.len());
            both.extend_from_slice(&first);
            both.extend_from_slice(&second);
            Some(both.freeze())
        }
        (first, second) => first.or(second),
    }
}

impl Stream {
    /// Begins to relay. `length`: how long the body is, if that is known and nothing will be taken out of it.
    pub(crate) fn new(guard: Guard, flow: Flow, length: Option<u64>) -> Self {
        let slot = Rc::new(Slot(RefCell::new(State::Flowing(Box::new(flow)))));
        guard.wait_for(Waiting::Client);
        guard.hold(Rc::<Slot>::clone(&slot));
        Self { guard, slot, length, alone: false }
    }

    /// Reads the answer to its end for nobody.
    pub(crate) async fn drain(mut self) {
        self.alone = true;
        if let State::Flowing(flow) = &mut *self.slot.0.borrow_mut() {
            flow.alone = true;
        }
        while let Some(Ok(_)) = poll_fn(|cx| self.poll_next(cx)).await {}
    }

    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Cut>>> {
        let mut state = self.slot.0.borrow_mut();
        let next = match &mut *state {
            State::Done => return Poll::Ready(None),
            State::Words(..) | State::Breaking(_) | State::Broken(_) => {
                let (next, polled) = match std::mem::replace(&mut *state, State::Done) {
                    State::Words(bytes, cut) => (State::Breaking(cut), Poll::Ready(Some(Ok(Frame::data(bytes))))),
                    State::Breaking(cut) => {
                        cx.waker().wake_by_ref();
                        (State::Broken(cut), Poll::Pending)
                    }
                    State::Broken(cut) => (State::Done, Poll::Ready(Some(Err(cut)))),
                    State::Flowing(_) | State::Done => (State::Done, Poll::Ready(None)),
                };
                *state = next;
                return polled;
            }
            State::Flowing(flow) => {
                self.guard.wake_with(cx);
                flow.poll_next(cx)
            }
        };
        match next {
            Poll::Pending => {
                self.guard.now_waits_for(Waiting::More);
                Poll::Pending
            }
            Poll::Ready(Next::Some(bytes)) => {
                self.guard.wait_for(Waiting::Client);
                Poll::Ready(Some(Ok(Frame::data(bytes))))
            }
            Poll::Ready(Next::Last(frame)) => {
                if let State::Flowing(mut flow) = std::mem::replace(&mut *state, State::Done) {
                    flow.finish(Outcome::Completed, None);
                }
                Poll::Ready(frame.map(Ok))
            }
            Poll::Ready(Next::Spent(passed, why)) => {
                if let State::Flowing(mut flow) = std::mem::replace(&mut *state, State::Done) {
                    let words = flow.finish(Outcome::Cut, Some(&why));
                    *state = State::last(join(passed, words), Cut::Spent);
                }
                drop(state);
                self.poll_next(cx)
            }
            Poll::Ready(Next::Broken(error)) => {
                if let State::Flowing(mut flow) = std::mem::replace(&mut *state, State::Done) {
                    let words = flow.finish(Outcome::UpstreamLost, Some(&lost(&error)));
                    *state = State::last(words, Cut::Upstream(error));
                }
                drop(state);
                self.poll_next(cx)
            }
        }
    }
}

impl Drop for Stream {
    /// The client hung up. Where the provider goes on in any case, or money is held for the call, the answer is read to
    /// its end, so that its use is known: if there is room for that among the calls that go on alone.
    fn drop(&mut self) {
        if self.alone {
            return;
        }
        let mut state = self.slot.0.borrow_mut();
        let State::Flowing(flow) = &mut *state else { return };
        if !flow.account.drains_on_hangup() {
            return;
        }
        let (worker, _) = flow.account.home();
        let worker = Rc::clone(worker);
        let Some(place) = worker.alone() else { return };
        let State::Flowing(flow) = std::mem::replace(&mut *state, State::Done) else { return };
        drop(state);
        let (_, pass) = flow.account.home();
        let guard = worker.wards.open();
        guard.belongs_to(&pass.grant.live, pass.grant.epoch);
        place.go_on(Self::new(guard, *flow, None).drain());
    }
}

impl State {
    /// What is left to do for a flow that is over before its end.
    fn last(words: Option<Bytes>, cut: Cut) -> Self {
        match words {
            Some(words) => Self::Words(words, cut),
            None => Self::Breaking(cut),
        }
    }
}

impl Held for Slot {
    fn end(&self, end: End) {
        let mut state = self.0.borrow_mut();
        let State::Flowing(mut flow) = std::mem::replace(&mut *state, State::Done) else { return };
        let words = flow.finish(outcome(end), Some(&ended(end)));
        *state = State::last(words, Cut::Ended(end));
    }
}

impl Relay {
    /// Reads the body to its end for nobody.
    pub(crate) async fn drain(self) {
        if let Self::Flow(stream) = self {
            stream.drain().await;
        }
    }
}

impl Body for Relay {
    type Data = Bytes;
    type Error = Cut;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Cut>>> {
        match self.get_mut() {
            Self::Whole(bytes) => Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes)))),
            Self::Flow(stream) => stream.poll_next(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Whole(bytes) => bytes.is_none(),
            Self::Flow(stream) => matches!(*stream.slot.0.borrow(), State::Done),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole(bytes) => SizeHint::with_exact(bytes.as_ref().map_or(0, |bytes| bytes.len() as u64)),
            Self::Flow(stream) => stream.length.map_or_else(SizeHint::default, SizeHint::with_exact),
        }
    }
}

/// How a call that was ended from outside is recorded.
pub(crate) const fn outcome(end: End) -> Outcome {
    match end {
        End::Overdue(Waiting::Body | Waiting::Client | Waiting::Socket) => Outcome::ClientGone,
        End::Overdue(Waiting::Provider | Waiting::Answer | Waiting::More) => Outcome::UpstreamLost,
        End::Revoked | End::Stopped => Outcome::Cut,
    }
}

/// What the client is told when its call was ended from outside.
pub(crate) fn ended(end: End) -> Refusal {
    match end {
        End::Revoked => crate::admit::cut(),
        End::Stopped => Refusal::new(Reason::ShuttingDown, "the gateway is stopping: try again"),
        End::Overdue(Waiting::Body) => {
            Refusal::new(Reason::MalformedRequest, "the request's body did not arrive in time")
        }
        End::Overdue(Waiting::Client | Waiting::Socket) => {
            Refusal::new(Reason::MalformedRequest, "nothing happened on this connection for too long")
        }
        End::Overdue(Waiting::Provider) => {
            Refusal::new(Reason::UpstreamTimeout, "the provider did not take the request in time")
        }
        End::Overdue(Waiting::Answer | Waiting::More) => {
            Refusal::new(Reason::UpstreamTimeout, "the provider did not answer in time")
        }
    }
}

/// What the client is told when the provider's side failed. Addresses and system errors stay in the log.
pub(crate) fn lost(error: &upstream::Error) -> Refusal {
    if let upstream::Error::Request(upstream::payload::Broken::Refused(refusal)) = error {
        return refusal.clone();
    }
    Refusal::new(error.reason(), format!("the provider could not serve this call: {error}"))
}
