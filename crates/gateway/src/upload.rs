//! A request's body as it comes from the client. What nobody reads to its end is taken in and thrown away for a while,
//! so that a client that is still sending gets to read its answer instead of a broken connection.

use bytes::Bytes;
use http_body::{Body, Frame};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use std::{
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};
use tokio::{sync::mpsc, time::timeout};

/// The most that is thrown away of one body, in bytes.
const MOST: usize = 8 << 20;
/// The longest time in which it is.
const LONGEST: Duration = Duration::from_secs(10);

/// Where the rests of bodies go; each thread takes care of its own.
pub(crate) type Rests = mpsc::UnboundedSender<Incoming>;

/// A body on its way in.
pub(crate) struct Upload {
    incoming: Option<Incoming>,
    rests: Rests,
    /// The client waits for a word before it sends anything; reading would be that word.
    waits: bool,
}

impl Upload {
    /// `waits`: the head says `expect: 100-continue`.
    pub(crate) const fn new(incoming: Incoming, rests: Rests, waits: bool) -> Self {
        Self { incoming: Some(incoming), rests, waits }
    }

    /// The next piece.
    pub(crate) fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<hyper::Result<Frame<Bytes>>>> {
        self.waits = false;
        let Some(incoming) = &mut self.incoming else { return Poll::Ready(None) };
        let polled = Pin::new(incoming).poll_frame(cx);
        if let Poll::Ready(None | Some(Err(_))) = &polled {
            self.incoming = None;
        }
        polled
    }

    /// Whether there is nothing more to come.
    pub(crate) fn is_end(&self) -> bool {
        self.incoming.as_ref().is_none_or(Body::is_end_stream)
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        if let Some(incoming) = self.incoming.take()
            && !incoming.is_end_stream()
            && !self.waits
        {
            // Nobody takes care of rests when the thread ends; then the connections end too.
            let _ = self.rests.send(incoming);
        }
    }
}

/// Takes a rest in and throws it away.
pub(crate) async fn discard(mut rest: Incoming) {
    let all = async {
        let mut bytes = 0;
        while let Some(Ok(frame)) = rest.frame().await {
            bytes += frame.data_ref().map_or(0, Bytes::len);
            if bytes > MOST {
                break;
            }
        }
    };
    // Whoever needs longer has its connection closed.
    let _ = timeout(LONGEST, all).await;
}
