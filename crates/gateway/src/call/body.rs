//! Taking in a request's body as far as the decision needs it: whole, read along, or not at all.

use crate::{
    admit::Admission,
    inbound::Inbound,
    inspect::{self, BodyPlan, Collected, Facts, Finished, Form},
    relay,
    upload::Upload,
    upstream::payload::{Look, Payload, Stream},
    ward::{Guard, Waiting},
};
use bytes::{Bytes, BytesMut};
use http::request::Parts;
use keyward_domain::{
    policy,
    refusal::{Reason, Refusal},
};
use std::{cell::RefCell, future::poll_fn, rc::Rc, sync::Arc};

/// A collected body's first allocation is no larger than this, whatever length the client has announced.
const FIRST_ROOM: usize = 256 << 10;

/// What is known of a body, and what goes to the provider.
pub(super) struct Read {
    pub(super) facts: Facts,
    pub(super) body: Body,
    /// A form that is read while it streams.
    pub(super) form: Option<Rc<RefCell<Form>>>,
}

/// A body before its last change.
pub(super) enum Body {
    /// Goes on as it is.
    As(Payload),
    /// Collected: its output cap can still be set.
    Open(Box<Collected>),
}

impl Body {
    /// The payload, with this for the most output over all answers, where the body has caps; and whether it came packed
    /// and goes on unpacked, because something in it had to change.
    pub(super) fn finish(self, cap: Option<u64>) -> (Payload, bool) {
        match self {
            Self::As(payload) => (payload, false),
            Self::Open(read) => {
                let Finished { body, unpacked } = read.finish(cap);
                (Payload::Whole(body), unpacked)
            }
        }
    }
}

/// Takes in a body.
///
/// # Errors
/// The refusal: of its kind, its length or what it says; or that it did not arrive.
pub(super) async fn read(
    guard: &Guard,
    inbound: &Inbound,
    admission: &Admission,
    head: &Parts,
    mut upload: Upload,
    declared: Option<u64>,
) -> Result<Read, Refusal> {
    let plan = inspect::body_plan(inbound, &head.headers, admission.max_body())?;
    match plan {
        BodyPlan::Collect { limit } => {
            let body = guard.guard(collect(guard, &mut upload, limit, declared)).await.map_err(relay::ended)??;
            let mut read = inspect::collected(inbound, &head.headers, body, admission.policy())?;
            let facts = std::mem::take(&mut read.facts);
            Ok(Read { facts, body: Body::Open(Box::new(read)), form: None })
        }
        BodyPlan::Stream if upload.is_end() => {
            Ok(Read { facts: inspect::head(inbound)?, body: Body::As(Payload::None), form: None })
        }
        BodyPlan::Stream => {
            let policy = Arc::clone(&admission.grant.grant.policy);
            let mut bytes = 0_u64;
            let look: Look = Box::new(move |piece| {
                bytes = bytes.saturating_add(piece.map_or(0, <[u8]>::len) as u64);
                policy::check_body(&policy, bytes)
            });
            let stream = Stream::new(upload, declared, look, Rc::clone(guard.ward()));
            let facts = Facts { input_bytes: declared.unwrap_or(0), ..inspect::head(inbound)? };
            Ok(Read { facts, body: Body::As(Payload::Stream(Box::new(stream))), form: None })
        }
        BodyPlan::Form if !admission.grant.purses.is_empty() => {
            // Under a budget the price must be known before anything is sent, and a form may name its model last.
            // On the heap: few calls have one, and its alignment would be that of every call's future, for which the allocator
            // keeps nothing.
            let mut form = Box::new(Form::new(inbound, &admission.grant, &head.headers)?);
            let limit = admission.max_body();
            let body = guard.guard(collect(guard, &mut upload, limit, declared)).await.map_err(relay::ended)??;
            form.feed(&body)?;
            form.finish()?;
            Ok(Read { facts: form.facts(), body: Body::As(Payload::Whole(body)), form: None })
        }
        BodyPlan::Form => {
            let form = Rc::new(RefCell::new(Form::new(inbound, &admission.grant, &head.headers)?));
            let reader = Rc::clone(&form);
            let look: Look = Box::new(move |piece| match piece {
                Some(piece) => reader.borrow_mut().feed(piece),
                None => reader.borrow().finish(),
            });
            let stream = Stream::new(upload, declared, look, Rc::clone(guard.ward()));
            let facts = Facts { input_bytes: declared.unwrap_or(0), ..inspect::head(inbound)? };
            Ok(Read { facts, body: Body::As(Payload::Stream(Box::new(stream))), form: Some(form) })
        }
    }
}

/// Collects a body of at most `limit` bytes.
async fn collect(guard: &Guard, upload: &mut Upload, limit: u64, declared: Option<u64>) -> Result<Bytes, Refusal> {
    let mut first = Bytes::new();
    let mut all = BytesMut::new();
    while let Some(frame) = poll_fn(|cx| upload.poll_next(cx)).await {
        let frame = frame.map_err(|_| broken())?;
        guard.wait_for(Waiting::Body);
        let Ok(piece) = frame.into_data() else { continue };
        let length = (first.len() + all.len() + piece.len()) as u64;
        if length > limit {
            return Err(Refusal::new(
                Reason::BodyTooLarge,
                format!("the request body is larger than this key's {limit} bytes"),
            ));
        }
        // HOT: most bodies arrive in one piece and are never copied.
        if first.is_empty() && all.is_empty() {
            first = piece;
            if upload.is_end() {
                break;
            }
            continue;
        }
        if all.is_empty() {
            let announced = declared.and_then(|length| usize::try_from(length).ok()).unwrap_or(0);
            all.reserve(announced.min(FIRST_ROOM).max(first.len() + piece.len()));
            all.extend_from_slice(&std::mem::take(&mut first));
        }
        all.extend_from_slice(&piece);
    }
    Ok(if all.is_empty() { first } else { all.freeze() })
}

fn broken() -> Refusal {
    Refusal::new(Reason::MalformedRequest, "the request's body broke off")
}
