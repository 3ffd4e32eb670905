//! The ways in which an answer arrives: one document, server-sent events, lines, binary frames, WebSocket messages.

use super::{collect::Collector, plan::AnswerPlan};
use crate::{
    eventstream::{self, Frames},
    frames::{self, Messages},
    inspect::json,
    near::Near,
    sse::{self, Events, Splitter},
    tap::{Tap, paths::Paths},
};
use memchr::memmem;
use std::sync::Arc;

/// A frame's payload is kept whole up to here when the model's own JSON is wrapped in it.
const LONGEST_WRAPPED: usize = 1 << 20;

/// Content types with a document a line.
const LINES: [&str; 5] = [
    "application/x-ndjson",
    "application/ndjson",
    "application/jsonl",
    "application/x-jsonlines",
    "application/stream+json",
];

/// The reader of an answer's form.
#[derive(Debug)]
pub(super) enum Reader {
    /// Nothing to read.
    Nothing,
    /// One document, or a top-level array of them.
    Document(Tap),
    /// Server-sent events.
    Sse(SseReader),
    /// A document a line.
    Lines(Tap),
    /// AWS event stream.
    Frames(Box<FrameReader>),
    /// WebSocket messages.
    WebSocket(Box<SocketReader>),
}

impl Reader {
    /// `documents`: whether an answer that is one document is worth reading. Streams always are: errors come in them.
    pub(super) fn new(content_type: &str, plan: &Arc<AnswerPlan>, documents: bool) -> Self {
        let kind = content_type.split(';').next().unwrap_or_default().trim();
        let is = |wanted: &str| kind.eq_ignore_ascii_case(wanted);
        let tap = || Tap::new(Near::of(&plan.paths));
        if is("text/event-stream") {
            Self::Sse(SseReader::new(plan))
        } else if LINES.iter().any(|lines| is(lines)) {
            Self::Lines(tap())
        } else if is("application/vnd.amazon.eventstream") {
            Self::Frames(Box::new(FrameReader::new(plan)))
        } else if documents && !["audio/", "image/", "video/"].iter().any(|media| starts_with(kind, media)) {
            Self::Document(tap())
        } else {
            Self::Nothing
        }
    }

    pub(super) fn websocket(plan: &Arc<AnswerPlan>) -> Self {
        Self::WebSocket(Box::new(SocketReader {
            frames: frames::Reader::default(),
            tap: Tap::new(Near::of(&plan.paths)),
            generated: false,
        }))
    }

    /// Whether reports come in events rather than in one document.
    pub(super) const fn is_stream(&self) -> bool {
        matches!(self, Self::Sse(_) | Self::Lines(_) | Self::Frames(_) | Self::WebSocket(_))
    }

    /// Whether this is a WebSocket.
    pub(super) const fn is_socket(&self) -> bool {
        matches!(self, Self::WebSocket(_))
    }

    /// Whether something was generated before the answer ended.
    pub(super) const fn generated(&self) -> bool {
        match self {
            Self::Sse(reader) => reader.generated,
            Self::Frames(reader) => reader.inner.generated,
            Self::WebSocket(reader) => reader.generated,
            Self::Nothing | Self::Document(_) | Self::Lines(_) => false,
        }
    }

    /// Whether a frame of the transport's own may be put in after what was read so far.
    pub(super) fn between_frames(&self) -> bool {
        match self {
            Self::WebSocket(reader) => reader.frames.at_boundary(),
            Self::Frames(reader) => reader.frames.at_boundary(),
            _ => false,
        }
    }

    pub(super) fn feed(&mut self, piece: &[u8], collector: &mut Collector) {
        match self {
            Self::Nothing => {}
            Self::Document(tap) => tap.feed(piece, collector),
            Self::Sse(reader) => {
                let mut rest = piece;
                if reader.passes_whole(rest) {
                    return;
                }
                while !rest.is_empty() {
                    let (used, _) = reader.event(rest, collector);
                    rest = rest.get(used..).unwrap_or_default();
                }
            }
            Self::Lines(tap) => {
                let mut rest = piece;
                while let Some(end) = memchr::memchr(b'\n', rest) {
                    tap.feed(rest.get(..end).unwrap_or_default(), collector);
                    tap.end(collector);
                    rest = rest.get(end + 1..).unwrap_or_default();
                }
                tap.feed(rest, collector);
            }
            Self::Frames(reader) => {
                let FrameReader { frames, inner } = &mut **reader;
                frames.feed(piece, &mut Framed { inner, collector });
            }
            Self::WebSocket(reader) => {
                let SocketReader { frames, tap, generated } = &mut **reader;
                // What is no WebSocket is not metered; the frames' own reader says so to who relays.
                let _ = frames.feed(piece, &mut Message { tap, generated, collector });
            }
        }
    }

    pub(super) fn end(&mut self, collector: &mut Collector) {
        match self {
            Self::Document(tap) | Self::Lines(tap) => tap.end(collector),
            // An event that the end cuts off does not count for clients; its usage counts for us.
            Self::Sse(reader) => reader.tap.end(collector),
            Self::Nothing | Self::Frames(_) | Self::WebSocket(_) => {}
        }
        collector.event_end();
    }
}

fn starts_with(kind: &str, start: &str) -> bool {
    kind.get(..start.len()).is_some_and(|head| head.eq_ignore_ascii_case(start))
}

/// Whether a piece of an event shows that the model has begun to answer.
fn shows_output(event: &[u8]) -> bool {
    [&b"delta"[..], b"candidates", b"finish_reason"].iter().any(|mark| memmem::find(event, mark).is_some())
}

/// Events, of which most are skipped after a quick search.
#[derive(Debug)]
pub(super) struct SseReader {
    plan: Near<AnswerPlan>,
    splitter: Splitter,
    tap: Tap,
    generated: bool,
    /// The first events are always read: they name the model and what was made.
    read_all: u32,
}

impl SseReader {
    fn new(plan: &Arc<AnswerPlan>) -> Self {
        let read_all = if plan.kinds.is_empty() { 1 } else { 3 };
        Self {
            plan: Near::of(plan),
            splitter: Splitter::default(),
            tap: Tap::new(Near::of(&plan.paths)),
            generated: false,
            read_all,
        }
    }

    /// Whether a piece is made of whole events that hold nothing to read.
    pub(super) fn passes_whole(&mut self, piece: &[u8]) -> bool {
        let whole = self.generated
            && self.read_all == 0
            && self.splitter.at_boundary()
            && (piece.ends_with(b"\n\n") || piece.ends_with(b"\n\r\n"));
        whole && self.idle(piece)
    }

    /// Whether an event is under way that could turn out to be the usage chunk.
    pub(super) fn holds_back(&self) -> bool {
        self.splitter.in_event()
    }

    /// Reads up to the end of an event or of the bytes; says how far and whether the event ended.
    pub(super) fn event(&mut self, bytes: &[u8], collector: &mut Collector) -> (usize, bool) {
        if self.splitter.at_boundary()
            && let Some(end) = sse::event_end(bytes)
        {
            let event = bytes.get(..end).unwrap_or_default();
            self.generated = self.generated || shows_output(event);
            if self.read_all == 0 && self.idle(event) {
                return (end, true);
            }
            self.read_all = self.read_all.saturating_sub(1);
        }
        self.generated = self.generated || shows_output(bytes);
        let (used, ended) = self.splitter.feed(bytes, &mut Tapped { tap: &mut self.tap, collector });
        if ended {
            self.tap.end(collector);
            collector.event_end();
        }
        (used, ended)
    }

    /// Whether nothing in the bytes is worth a closer look.
    fn idle(&self, bytes: &[u8]) -> bool {
        self.plan.needles.iter().all(|needle| {
            needle.find_iter(bytes).all(|at| {
                // `"usage":null` in every chunk is how a stream says "later".
                let behind = bytes.get(at + needle.needle().len()..).unwrap_or_default();
                let spaces = behind.iter().take_while(|byte| matches!(byte, b':' | b' ' | b'"')).count();
                behind.get(spaces..).is_some_and(|value| value.starts_with(b"null"))
            })
        })
    }
}

struct Tapped<'t> {
    tap: &'t mut Tap,
    collector: &'t mut Collector,
}

impl Events for Tapped<'_> {
    fn name(&mut self, name: &[u8]) {
        if name == b"error" {
            self.collector.event_name("error", true);
        }
    }

    fn data(&mut self, piece: &[u8]) {
        self.tap.feed(piece, self.collector);
    }
}

/// Binary frames.
#[derive(Debug)]
pub(super) struct FrameReader {
    frames: eventstream::Reader,
    inner: FramePart,
}

#[derive(Debug)]
struct FramePart {
    tap: Tap,
    /// The path of the field that wraps the model's JSON, and the payload as far as it is there.
    wrapped: Option<(Paths, Vec<u8>)>,
    generated: bool,
}

impl FrameReader {
    fn new(plan: &Arc<AnswerPlan>) -> Self {
        let payload = plan.shape.as_ref().and_then(|shape| shape.payload.as_deref());
        let wrapped = payload.map(|field| {
            let mut paths = Paths::default();
            paths.add(field, 0);
            (paths, Vec::new())
        });
        let tap = Tap::new(Near::of(&plan.paths));
        Self { frames: eventstream::Reader::default(), inner: FramePart { tap, wrapped, generated: false } }
    }
}

struct Framed<'f> {
    inner: &'f mut FramePart,
    collector: &'f mut Collector,
}

impl Frames for Framed<'_> {
    fn header(&mut self, name: &str, value: &str) {
        match name {
            ":exception-type" | ":error-code" => self.collector.event_name(value, true),
            ":event-type" if matches!(value, "contentBlockDelta" | "chunk") => self.inner.generated = true,
            _ => {}
        }
    }

    fn payload(&mut self, piece: &[u8]) {
        match &mut self.inner.wrapped {
            None => self.inner.tap.feed(piece, self.collector),
            Some((_, buffer)) if buffer.len() + piece.len() <= LONGEST_WRAPPED => buffer.extend_from_slice(piece),
            Some(_) => {}
        }
    }

    fn frame(&mut self, _sound: bool) {
        if let Some((paths, buffer)) = &mut self.inner.wrapped {
            let inside = json::scan(buffer, paths, &[])
                .ok()
                .and_then(|scan| json::text_of(buffer, scan.hit(0)?))
                .and_then(|text| crate::tap::base64::decode(text.as_bytes()));
            match inside {
                Some(inside) => self.inner.tap.feed(&inside, self.collector),
                None => self.inner.tap.feed(buffer, self.collector),
            }
            buffer.clear();
        }
        self.inner.tap.end(self.collector);
        self.collector.event_end();
    }
}

/// WebSocket messages.
#[derive(Debug)]
pub(super) struct SocketReader {
    frames: frames::Reader,
    tap: Tap,
    generated: bool,
}

struct Message<'m> {
    tap: &'m mut Tap,
    generated: &'m mut bool,
    collector: &'m mut Collector,
}

impl Messages for Message<'_> {
    fn text(&mut self, piece: &[u8]) -> Result<(), frames::Broken> {
        *self.generated = *self.generated || shows_output(piece);
        self.tap.feed(piece, self.collector);
        Ok(())
    }

    fn end(&mut self) -> Result<(), frames::Broken> {
        self.tap.end(self.collector);
        Ok(())
    }
}
