//! The body of a request on its way to a provider: none, whole, or streamed from the client piece by piece.

use crate::{
    upload::Upload,
    ward::{Waiting, Ward},
};
use bytes::Bytes;
use http::HeaderMap;
use http_body::{Body, Frame, SizeHint};
use keyward_domain::refusal::{Reason, Refusal};
use std::{
    pin::Pin,
    rc::Rc,
    task::{Context, Poll},
};

/// Looks at each piece of a streamed body before it goes on, and at its end (`None`); a refusal ends the call.
pub(crate) type Look = Box<dyn FnMut(Option<&[u8]>) -> Result<(), Refusal>>;

/// Why a streamed body has no end.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Broken {
    /// The client hung up or broke HTTP's rules.
    #[error("the client broke off")]
    Client(#[source] hyper::Error),
    /// What was in it is not allowed.
    #[error("the body is not allowed: {0}")]
    Refused(Refusal),
}

impl Broken {
    /// The reason for the client, if it is still there.
    pub(crate) fn reason(&self) -> Reason {
        match self {
            Self::Client(_) => Reason::MalformedRequest,
            Self::Refused(refusal) => refusal.reason,
        }
    }
}

/// A request's body.
pub(crate) enum Payload {
    /// There is none.
    None,
    /// All of it.
    Whole(Bytes),
    /// What comes from the client.
    Stream(Box<Stream>),
}

/// A body that comes from the client while it is sent on.
pub(crate) struct Stream {
    upload: Upload,
    declared: Option<u64>,
    look: Look,
    ward: Rc<Ward>,
}

impl Stream {
    /// `declared` is the whole length, if the client said.
    pub(crate) const fn new(upload: Upload, declared: Option<u64>, look: Look, ward: Rc<Ward>) -> Self {
        Self { upload, declared, look, ward }
    }

    /// The whole length, if the client declared it.
    pub(crate) const fn declared(&self) -> Option<u64> {
        self.declared
    }

    fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        let polled = self.upload.poll_next(cx);
        // Who is waited for: while nothing comes it is the client; once there is something it is the provider.
        let waiting = if polled.is_pending() { Waiting::Body } else { Waiting::Provider };
        self.ward.now_waits_for(waiting);
        polled.map(|frame| {
            let Some(frame) = frame else {
                return (self.look)(None).err().map(|refusal| Err(Broken::Refused(refusal)));
            };
            let look = |frame: Frame<Bytes>| {
                let Some(data) = frame.data_ref() else { return Ok(frame) };
                self.ward.wait_for(Waiting::Provider);
                (self.look)(Some(data)).map(|()| frame).map_err(Broken::Refused)
            };
            Some(frame.map_err(Broken::Client).and_then(look))
        })
    }
}

impl Payload {
    /// The same body once more, if it is all here.
    pub(crate) fn again(&self) -> Option<Self> {
        match self {
            Self::None => Some(Self::None),
            Self::Whole(bytes) => Some(Self::Whole(bytes.clone())),
            Self::Stream(_) => None,
        }
    }

    /// How long it is, for the request's head.
    pub(crate) fn length(&self) -> super::head::Length {
        use super::head::Length;
        match self {
            Self::None => Length::None,
            Self::Whole(bytes) => Length::Known(bytes.len() as u64),
            Self::Stream(stream) => stream.declared.map_or(Length::Chunked, Length::Known),
        }
    }

    /// The next piece.
    pub(crate) fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        match std::mem::replace(self, Self::None) {
            Self::None => Poll::Ready(None),
            Self::Whole(bytes) if bytes.is_empty() => Poll::Ready(None),
            Self::Whole(bytes) => Poll::Ready(Some(Ok(Frame::data(bytes)))),
            Self::Stream(mut stream) => {
                let polled = stream.poll_piece(cx);
                if !matches!(polled, Poll::Ready(None | Some(Err(_)))) {
                    *self = Self::Stream(stream);
                }
                polled
            }
        }
    }
}

impl Body for Payload {
    type Data = Bytes;
    type Error = Broken;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        self.get_mut().poll_next(cx)
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::None => true,
            Self::Whole(bytes) => bytes.is_empty(),
            Self::Stream(_) => false,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::None => SizeHint::with_exact(0),
            Self::Whole(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Self::Stream(stream) => stream.declared.map_or_else(SizeHint::default, SizeHint::with_exact),
        }
    }
}

/// The trailers of a request that may go on.
pub(crate) fn passed_trailers(trailers: &HeaderMap) -> Vec<u8> {
    let mut lines = Vec::new();
    for (name, value) in trailers {
        if !super::head::hop_by_hop(name) && !super::head::changes_meaning(name) {
            lines.extend_from_slice(name.as_str().as_bytes());
            lines.extend_from_slice(b": ");
            lines.extend_from_slice(value.as_bytes());
            lines.extend_from_slice(b"\r\n");
        }
    }
    lines
}
