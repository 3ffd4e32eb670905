//! Writing one HTTP/1.1 request: the head and a whole body leave in one vectored write; a streamed body leaves piece
//! by piece, each asked for only when the one before it is gone.

use crate::{
    stream::Io,
    upstream::{
        Error,
        payload::{self, Payload},
        wiped::Wiped,
    },
};
use bytes::Bytes;
use std::{
    io::IoSlice,
    pin::Pin,
    task::{Context, Poll, ready},
};
use tokio::io::AsyncWrite;

/// What is still to be written of a request.
pub(crate) struct Sender {
    /// What stands before the piece: the head (with the credential, so wiped), or a chunk's size.
    before: Wiped,
    piece: Bytes,
    after: &'static [u8],
    /// How much of the three has been written.
    written: usize,
    rest: Rest,
}

enum Rest {
    /// More pieces may come. `chunked`: each is framed.
    More {
        payload: Payload,
        chunked: bool,
    },
    /// Everything has been handed to the connection, which may still hold some of it.
    Flush,
    Done,
}

impl Sender {
    pub(crate) fn new(head: Wiped, payload: Payload) -> Self {
        let (piece, rest) = match payload {
            Payload::None => (Bytes::new(), Rest::Flush),
            Payload::Whole(bytes) => (bytes, Rest::Flush),
            Payload::Stream(stream) => {
                let chunked = stream.declared().is_none();
                (Bytes::new(), Rest::More { payload: Payload::Stream(stream), chunked })
            }
        };
        Self { before: head, piece, after: b"", written: 0, rest }
    }

    /// Whether all is written.
    pub(crate) const fn is_done(&self) -> bool {
        matches!(self.rest, Rest::Done)
    }

    /// Forgets what is left: the provider has answered without waiting for it.
    pub(crate) fn give_up(&mut self) {
        self.before = Wiped::default();
        self.piece = Bytes::new();
        self.after = b"";
        self.written = 0;
        self.rest = Rest::Done;
    }

    /// Writes as much as can be written.
    pub(crate) fn poll(&mut self, io: &mut Io, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        loop {
            while self.left() > 0 {
                let count = ready!(self.poll_write(io, cx)).map_err(lost)?;
                if count == 0 {
                    return Poll::Ready(Err(lost(std::io::ErrorKind::WriteZero.into())));
                }
                self.written += count;
            }
            match &mut self.rest {
                Rest::Done => return Poll::Ready(Ok(())),
                Rest::Flush => {
                    ready!(Pin::new(&mut *io).poll_flush(cx)).map_err(lost)?;
                    // SECRET: the head held the credential; the replacement wipes it.
                    self.give_up();
                }
                Rest::More { payload, .. } => {
                    let next = payload.poll_next(cx);
                    if next.is_pending() {
                        // What has been written so far must not wait in a buffer for the client's next piece.
                        let _ = Pin::new(&mut *io).poll_flush(cx).map_err(lost)?;
                    }
                    let next = ready!(next).transpose().map_err(Error::Request)?;
                    self.take(next);
                }
            }
        }
    }

    fn poll_write(&self, io: &mut Io, cx: &mut Context<'_>) -> Poll<std::io::Result<usize>> {
        let mut skip = self.written;
        let [first, second, third] = [&self.before[..], &self.piece[..], self.after].map(|part| {
            let cut = skip.min(part.len());
            skip -= cut;
            part.get(cut..).unwrap_or_default()
        });
        match (first.is_empty(), second.is_empty() && third.is_empty()) {
            (true, false) if third.is_empty() => Pin::new(io).poll_write(cx, second),
            (false, true) => Pin::new(io).poll_write(cx, first),
            _ => {
                let parts = [IoSlice::new(first), IoSlice::new(second), IoSlice::new(third)];
                Pin::new(io).poll_write_vectored(cx, &parts)
            }
        }
    }

    fn left(&self) -> usize {
        (self.before.len() + self.piece.len() + self.after.len()).saturating_sub(self.written)
    }

    /// Takes the client's next piece, or the end.
    fn take(&mut self, next: Option<http_body::Frame<Bytes>>) {
        self.written = 0;
        self.before = Wiped::default();
        self.piece = Bytes::new();
        self.after = b"";
        let Rest::More { chunked, .. } = self.rest else { return };
        let Some(frame) = next else {
            if chunked {
                self.after = b"0\r\n\r\n";
            }
            self.rest = Rest::Flush;
            return;
        };
        match frame.into_data() {
            Ok(data) if data.is_empty() => {}
            Ok(data) => {
                if chunked {
                    self.before = Wiped::from(format!("{:x}\r\n", data.len()).into_bytes());
                    self.after = b"\r\n";
                }
                self.piece = data;
            }
            Err(frame) => {
                if let (true, Ok(trailers)) = (chunked, frame.into_trailers()) {
                    let mut lines = b"0\r\n".to_vec();
                    lines.extend_from_slice(&payload::passed_trailers(&trailers));
                    lines.extend_from_slice(b"\r\n");
                    self.before = Wiped::from(lines);
                }
                self.rest = Rest::Flush;
            }
        }
    }
}

fn lost(source: std::io::Error) -> Error {
    Error::Lost { unanswered: true, source: Some(source) }
}
