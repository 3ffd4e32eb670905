//! One request and its answer on one HTTP/1.1 connection, driven by whoever polls it: no task of its own, no buffer of
//! its own. Reads go into the thread's scratch buffer; what is ready after one read is handed on as one piece.

use crate::{
    near::Near,
    stream::Io,
    upstream::{
        Error,
        decode::{Broken, Decoder},
        head::{self, Head},
        origin::Endpoint,
        payload::Payload,
        pool::Pool,
        send::Sender,
        wiped::Wiped,
    },
};
use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use http_body::Frame;
use std::{
    cell::RefCell,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, ready},
    time::Duration,
};
use tokio::io::{AsyncRead, ReadBuf};

/// How much is read at once.
const SCRATCH: usize = 64 << 10;
/// The most interim answers (1xx) before the real one.
const MAX_INTERIM: u8 = 8;

thread_local! {
    static SCRATCH_BUFFER: RefCell<Box<[u8]>> = RefCell::new(vec![0; SCRATCH].into_boxed_slice());
}

/// A request on its way, and its answer.
pub(crate) struct Exchange {
    /// Gone once the answer is complete.
    io: Option<Io>,
    home: Home,
    sender: Sender,
    no_body: bool,
    upgrade: bool,
    interim: u8,
    /// The beginning of a head that did not arrive in one piece.
    partial: Vec<u8>,
    /// Whether any byte of an answer has arrived.
    answered: bool,
    decoder: Option<Decoder>,
    /// The first piece of the body, when it came with the head.
    ready: Option<Bytes>,
    reusable: bool,
    keep_alive: Option<Duration>,
    trailers: Option<HeaderMap>,
    length: Option<u64>,
}

/// Where a connection goes when it can be used again.
pub(crate) struct Home {
    pub(crate) pool: Rc<Pool>,
    pub(crate) endpoint: Near<Endpoint>,
}

/// What the answer's head says, for the caller.
#[derive(Debug)]
pub(crate) struct Answer {
    /// The status.
    pub(crate) status: StatusCode,
    /// The headers, without those of the connection.
    pub(crate) headers: HeaderMap,
}

impl Exchange {
    /// Begins; nothing is written before the first poll. `no_body`: the method is HEAD. `upgrade`: 101 is expected.
    pub(crate) fn new(io: Io, home: Home, head: Wiped, payload: Payload, (no_body, upgrade): (bool, bool)) -> Self {
        Self {
            io: Some(io),
            home,
            sender: Sender::new(head, payload),
            no_body,
            upgrade,
            interim: 0,
            partial: Vec::new(),
            answered: false,
            decoder: None,
            ready: None,
            reusable: false,
            keep_alive: None,
            trailers: None,
            length: None,
        }
    }

    /// Whether the whole request has been written.
    pub(crate) const fn is_sent(&self) -> bool {
        self.sender.is_done()
    }

    /// How long the answer's body is, when its head says so.
    pub(crate) const fn length(&self) -> Option<u64> {
        self.length
    }

    /// Whether everything has been handed on.
    pub(crate) const fn is_end(&self) -> bool {
        self.io.is_none() && self.ready.is_none() && self.trailers.is_none()
    }

    /// The connection, and what has already been read from it after the head: for the new protocol after a 101.
    pub(crate) fn into_upgraded(mut self) -> Option<(Io, Vec<u8>)> {
        Some((self.io.take()?, std::mem::take(&mut self.partial)))
    }

    /// Writes the request and waits for the answer's head.
    pub(crate) fn poll_head(&mut self, cx: &mut Context<'_>) -> Poll<Result<Answer, Error>> {
        let mut send_error = None;
        if !self.sender.is_done()
            && let Some(io) = &mut self.io
            && let Poll::Ready(Err(error)) = self.sender.poll(io, cx)
        {
            // The provider may have answered and closed before it had everything: look for that answer first.
            if matches!(error, Error::Request(_)) {
                return Poll::Ready(Err(error));
            }
            self.sender.give_up();
            send_error = Some(error);
        }
        loop {
            let read = self.poll_read(cx, Self::take_head);
            match (read, send_error.take()) {
                (Poll::Ready(Ok(Some(answer))), _) => return Poll::Ready(Ok(answer)),
                (Poll::Ready(Ok(None)), error) => send_error = error,
                (Poll::Ready(Err(Error::Lost { .. })) | Poll::Pending, Some(error)) | (Poll::Ready(Err(error)), _) => {
                    return Poll::Ready(Err(error));
                }
                (Poll::Pending, None) => return Poll::Pending,
            }
        }
    }

    /// The next piece of the body, or its trailers.
    pub(crate) fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        if let Some(bytes) = self.ready.take() {
            return Poll::Ready(Some(Ok(Frame::data(bytes))));
        }
        loop {
            let Some(io) = &mut self.io else {
                return Poll::Ready(self.trailers.take().map(|trailers| Ok(Frame::trailers(trailers))));
            };
            if !self.sender.is_done()
                && let Poll::Ready(Err(error)) = self.sender.poll(io, cx)
            {
                if matches!(error, Error::Request(_)) {
                    self.io = None;
                    return Poll::Ready(Some(Err(error)));
                }
                // The provider takes no more of the request; its answer may still be whole.
                self.sender.give_up();
                self.reusable = false;
            }
            let taken = self.poll_read(cx, |exchange, read| {
                if read.is_empty() { exchange.closed().map(|()| None) } else { exchange.take_body(read) }
            });
            match ready!(taken) {
                Ok(Some(bytes)) => return Poll::Ready(Some(Ok(Frame::data(bytes)))),
                Ok(None) => {}
                Err(error) => {
                    self.io = None;
                    return Poll::Ready(Some(Err(error)));
                }
            }
        }
    }

    /// Reads once into the scratch buffer and has it looked at. Nothing read: the connection was closed.
    fn poll_read<T>(
        &mut self,
        cx: &mut Context<'_>,
        take: impl FnOnce(&mut Self, &mut [u8]) -> Result<T, Error>,
    ) -> Poll<Result<T, Error>> {
        SCRATCH_BUFFER.with_borrow_mut(|scratch| {
            let Some(io) = &mut self.io else { return Poll::Ready(Err(self.lost(None))) };
            let mut buffer = ReadBuf::new(scratch);
            if let Err(error) = ready!(Pin::new(io).poll_read(cx, &mut buffer)) {
                return Poll::Ready(Err(self.lost(Some(error))));
            }
            Poll::Ready(take(self, buffer.filled_mut()))
        })
    }

    fn lost(&self, source: Option<std::io::Error>) -> Error {
        Error::Lost { unanswered: !self.answered, source }
    }

    /// Looks for a head in what was read (nothing read: the connection was closed).
    fn take_head(&mut self, read: &mut [u8]) -> Result<Option<Answer>, Error> {
        if read.is_empty() {
            return Err(self.lost(None));
        }
        self.answered = true;
        if self.partial.is_empty() {
            return self.find_head(read);
        }
        let mut all = std::mem::take(&mut self.partial);
        all.extend_from_slice(read);
        self.find_head(&mut all)
    }

    fn find_head(&mut self, mut input: &mut [u8]) -> Result<Option<Answer>, Error> {
        loop {
            let Some(head) = head::read(input, self.no_body).map_err(Error::Invalid)? else {
                self.partial = input.to_vec();
                return Ok(None);
            };
            let (_, rest) = std::mem::take(&mut input).split_at_mut_checked(head.bytes).unwrap_or_default();
            if head.status == StatusCode::SWITCHING_PROTOCOLS {
                if !self.upgrade {
                    return Err(Error::Invalid("a change of protocol that nobody asked for"));
                }
                self.partial = rest.to_vec();
                return Ok(Some(Answer { status: head.status, headers: head.headers }));
            }
            if !head.status.is_informational() {
                return self.begin_body(head, rest).map(Some);
            }
            self.interim += 1;
            if self.interim > MAX_INTERIM {
                return Err(Error::Invalid("too many interim answers"));
            }
            if rest.is_empty() {
                return Ok(None);
            }
            input = rest;
        }
    }

    fn begin_body(&mut self, head: Head, rest: &mut [u8]) -> Result<Answer, Error> {
        self.reusable = head.reusable;
        self.keep_alive = head.keep_alive;
        if !self.sender.is_done() && !head.status.is_success() {
            // An early no: the provider does not want the rest of the request.
            self.sender.give_up();
            self.reusable = false;
        }
        self.decoder = head.framing.map(Decoder::new);
        self.length = match head.framing {
            None => Some(0),
            Some(crate::upstream::decode::Framing::Length(length)) => Some(length),
            Some(_) => None,
        };
        self.ready = self.take_body(rest)?;
        Ok(Answer { status: head.status, headers: head.headers })
    }

    /// Decodes what was read of the body. At its end the connection goes home.
    fn take_body(&mut self, read: &mut [u8]) -> Result<Option<Bytes>, Error> {
        let Some(decoder) = &mut self.decoder else {
            self.finish(!read.is_empty());
            return Ok(None);
        };
        let decoded = decoder.decode(read)?;
        if decoder.is_done() {
            let trailers = decoder.trailers();
            if !trailers.is_empty() {
                self.trailers = Some(head::trailers(&trailers).ok_or(Error::Body(Broken::Trailers))?);
            }
            self.finish(decoded.consumed < read.len());
        }
        let payload = read.get(..decoded.payload).unwrap_or_default();
        Ok((!payload.is_empty()).then(|| Bytes::copy_from_slice(payload)))
    }

    fn closed(&mut self) -> Result<(), Error> {
        if let Some(decoder) = &mut self.decoder {
            decoder.close()?;
        }
        self.reusable = false;
        self.finish(false);
        Ok(())
    }

    /// The answer is complete. A connection about which there is any doubt is closed.
    fn finish(&mut self, surplus: bool) {
        if let Some(io) = self.io.take()
            && self.reusable
            && !surplus
            && self.sender.is_done()
        {
            self.home.pool.put(self.home.endpoint.shared(), io, self.keep_alive, crate::clock::instant());
        }
    }
}

#[cfg(test)]
mod tests;
