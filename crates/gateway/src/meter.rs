//! What an answer used. The bytes go on as they came; a bounded reader looks at them in passing. Prompts and answers
//! are never kept.

mod bill;
mod collect;
mod floor;
mod plan;
mod reader;

pub use bill::Bill;
pub use collect::Made;
pub use plan::AnswerPlan;

use crate::{
    inspect::Facts,
    near::Near,
    respond,
    tables::OperationPlan,
    tap::Tap,
    unpack::{self, Packing},
};
use bytes::Bytes;
use collect::Collector;
use floor::Floor;
use http::{HeaderMap, header};
use keyward_domain::{
    provider::{ErrorParts, Merge},
    refusal::Refusal,
    usage::Usage,
};
use reader::Reader;

/// What is held back of a stream while it is not clear whether it is the extra usage chunk.
const MOST_HELD: usize = 256 << 10;

/// The most tokens of sound that a character of text is taken to become when the provider does not say: spoken slowly,
/// some two of them.
const TOKENS_PER_CHARACTER: u64 = 4;

/// The reader of one answer.
#[derive(Debug)]
pub struct Meter {
    reader: Reader,
    /// The answer is packed: it is read through this, and goes on packed.
    inflate: Option<Box<unpack::Stream>>,
    collector: Collector,
    status: u16,
    /// The extra usage chunk must be taken out.
    strip: bool,
    held: Vec<u8>,
    bytes: u64,
    /// How many bytes there were when use was last reported.
    bytes_at_report: u64,
    input_estimate: u64,
    output_cap: Option<u64>,
    /// The characters of the text that is to be spoken.
    characters: Option<u64>,
    /// The messages of a WebSocket's client are text that is to be spoken.
    speaks: bool,
    meters: bool,
    /// The service tier that was asked for, if it is not that of the base price.
    tier: Option<Box<str>>,
    /// What the stream has surely used by now, where somebody watches.
    floor: Option<Floor>,
}

impl Meter {
    /// A reader for an answer, from its head and from what is known of its request.
    #[must_use]
    pub fn new(plan: &OperationPlan, status: u16, headers: &HeaderMap, facts: &Facts) -> Self {
        let mut collector = Collector::new(Near::of(&plan.answer));
        let shape = plan.answer.shape.as_ref();
        let refused = status >= 400;
        if let Some(shape) = shape.filter(|_| !refused) {
            for (counter, name) in &shape.headers {
                if let Some(value) = headers.get(&**name).and_then(|value| value.to_str().ok()) {
                    collector.header(*counter, value);
                }
            }
        }
        if refused {
            kind_from_header(&mut collector, plan, headers);
        }
        collector.all_errors = refused;
        let packing = unpack::packing(headers);
        let inflate = unpack::Stream::new(packing).map(Box::new);
        let kind =
            headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or("application/json");
        let documents = plan.answer.reads || refused;
        let reader =
            if packing == Packing::Other { Reader::Nothing } else { Reader::new(kind, &plan.answer, documents) };
        collector.by_type = reader.is_stream();
        Self {
            strip: facts.strip_usage && matches!(reader, Reader::Sse(_)) && !refused && inflate.is_none(),
            reader,
            inflate,
            collector,
            status,
            held: Vec::new(),
            bytes: 0,
            bytes_at_report: 0,
            input_estimate: facts.input_bytes.div_ceil(2),
            output_cap: facts.output_cap,
            characters: facts.characters,
            speaks: false,
            meters: shape.is_some(),
            tier: facts.asked.tier.clone().filter(|tier| !plan.answer.has_base_tier(tier)),
            floor: None,
        }
    }

    /// A reader for the messages that a provider sends over a WebSocket; feed it the connection's bytes.
    #[must_use]
    pub fn websocket(plan: &OperationPlan) -> Self {
        let mut collector = Collector::new(Near::of(&plan.answer));
        collector.by_type = true;
        Self {
            reader: Reader::websocket(&plan.answer),
            inflate: None,
            collector,
            status: 101,
            strip: false,
            held: Vec::new(),
            bytes: 0,
            bytes_at_report: 0,
            input_estimate: 0,
            output_cap: None,
            characters: None,
            speaks: plan.operation.characters.is_some(),
            meters: plan.answer.shape.is_some(),
            tier: None,
            floor: None,
        }
    }

    /// Whether the answer's length may change on the way, so that a `content-length` must not be sent on.
    #[must_use]
    pub const fn may_edit(&self) -> bool {
        self.strip
    }

    /// Reads a piece and returns what to send on: the same bytes, not copied, in all but one case. Of a stream whose
    /// usage the client did not ask for, an event that has not ended is held back until it is clear what it is.
    pub fn feed(&mut self, piece: Bytes) -> Option<Bytes> {
        self.bytes = self.bytes.saturating_add(piece.len() as u64);
        if let Some(floor) = &mut self.floor {
            floor.feed(&piece);
        }
        if self.strip {
            return self.feed_and_strip(piece);
        }
        match &mut self.inflate {
            None => self.reader.feed(&piece, &mut self.collector),
            Some(inflate) => {
                inflate.feed(&piece, &mut |plain: &[u8]| self.reader.feed(plain, &mut self.collector));
            }
        }
        if std::mem::take(&mut self.collector.just_reported) {
            self.bytes_at_report = self.bytes;
            self.floor.iter_mut().for_each(Floor::reported);
        }
        Some(piece)
    }

    /// What was held back, when the answer has ended.
    pub fn flush(&mut self) -> Option<Bytes> {
        let held = std::mem::take(&mut self.held);
        (!held.is_empty()).then(|| held.into())
    }

    fn feed_and_strip(&mut self, piece: Bytes) -> Option<Bytes> {
        let Reader::Sse(reader) = &mut self.reader else { return Some(piece) };
        if self.held.is_empty() && reader.passes_whole(&piece) {
            return Some(piece);
        }
        let before = self.held.len();
        let mut all = std::mem::take(&mut self.held);
        all.extend_from_slice(&piece);
        let mut out = Vec::with_capacity(all.len());
        // What was held back has been read already; its event begins at the start.
        let (mut at, mut start) = (before, 0);
        while let Some(rest) = all.get(at..).filter(|rest| !rest.is_empty()) {
            let (used, ended) = reader.event(rest, &mut self.collector);
            at += used;
            if !ended {
                break;
            }
            if !std::mem::take(&mut self.collector.extra_chunk) {
                out.extend_from_slice(all.get(start..at).unwrap_or_default());
            }
            start = at;
        }
        let open = all.get(start..).unwrap_or_default();
        if reader.holds_back() && open.len() <= MOST_HELD {
            self.held = open.to_vec();
        } else {
            // A comment, or an event far too large to be the usage chunk.
            out.extend_from_slice(open);
            if !open.is_empty() && reader.holds_back() {
                self.strip = false;
            }
        }
        (!out.is_empty()).then(|| out.into())
    }

    /// Counts what a WebSocket's client has sent as input, for the case that the provider reports nothing.
    pub const fn add_input(&mut self, bytes: u64) {
        self.input_estimate = self.input_estimate.saturating_add(bytes.div_ceil(2));
    }

    /// Objects that the answer has shown to be made since the last call of this. They must be recorded before the
    /// piece that named them is sent on.
    pub fn take_made(&mut self) -> &[Made] {
        self.collector.take_made()
    }

    /// The frame that ends a WebSocket, or an AWS event stream, with a refusal. `None` when a frame of the provider is
    /// under way, or the answer has no frames.
    #[must_use]
    pub fn close_frame(&self, refusal: &Refusal) -> Option<Bytes> {
        if !self.reader.between_frames() {
            return None;
        }
        Some(if self.reader.is_socket() { respond::close_frame(refusal) } else { respond::exception_frame(refusal) })
    }

    /// An error that came within an answer that had begun well, or the parts of an error answer.
    #[must_use]
    pub fn error(&self) -> Option<&ErrorParts> {
        self.collector.error()
    }

    /// Closes the books. `ended` says that the provider ended the answer in order; otherwise it was cut.
    ///
    /// Where the final report is missing, an upper bound stands in: for input, what was reported or one token per two
    /// bytes of the request; for output, what was reported or one token per four bytes of the answer (a streamed
    /// token takes many more with its wrapping), at most the call's cap, or four tokens per character of what was to be
    /// spoken. An answer that is an error before anything
    /// was generated used nothing.
    pub fn finish(&mut self, ended: bool) -> Reading {
        if let Some(inflate) = &mut self.inflate {
            inflate.finish(&mut |plain: &[u8]| self.reader.feed(plain, &mut self.collector));
        }
        self.reader.end(&mut self.collector);
        let stream = self.reader.is_stream();
        let reported = self.collector.reported;
        let refused = self.status >= 400 || (self.collector.error().is_some() && !self.reader.generated() && !reported);
        let socket = self.reader.is_socket();
        let speaks = self.speaks && self.input_estimate > 0;
        let idle = socket && !reported && !self.reader.generated() && !speaks;
        let seen = reported && ((ended && !socket) || (stream && self.collector.terminal));
        let complete = !self.meters || refused || idle || seen;
        let pending = self.collector.pending && !reported && !complete;
        let presumed_tier = self.tier.take().filter(|_| !self.collector.tells_tier());
        let mut usage = self.collector.usage();
        if !complete && !pending {
            self.estimate(&mut usage, reported);
        }
        let answered = (200..300).contains(&self.status);
        Reading {
            complete,
            refused,
            pending,
            spoken: !complete && !stream && answered && usage.units.characters > 0,
            error: self.collector.error().cloned(),
            upstream_id: self.collector.id.take().unwrap_or_default(),
            aside: self.collector.aside(),
            presumed_tier,
            usage,
        }
    }

    fn estimate(&self, usage: &mut Usage, reported: bool) {
        if self.speaks {
            // What the client sent is text and its wrapping.
            usage.units.characters = self.input_estimate.saturating_mul(2);
            return;
        }
        if let Some(characters) = self.characters.filter(|_| !reported) {
            usage.units.characters = characters;
        }
        let buckets = &mut usage.buckets;
        if buckets.all_input() == 0 {
            buckets.input = self.input_estimate;
        }
        // Sound takes far more bytes for a token than text does.
        let spoken = self.characters.map_or(u64::MAX, |characters| characters.saturating_mul(TOKENS_PER_CHARACTER));
        let cap = self.output_cap.unwrap_or(u64::MAX).min(spoken);
        let missing = match self.collector.merge() {
            Merge::Last => (self.bytes / 4).min(cap).saturating_sub(buckets.all_output()),
            // Reports add up: only what came after the last one is missing.
            Merge::Sum => (self.bytes.saturating_sub(self.bytes_at_report) / 4).min(cap),
        };
        buckets.output = buckets.output.saturating_add(missing);
    }
}

/// What one answer said about itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reading {
    /// What was used.
    pub usage: Usage,
    /// The provider's final report was seen (or there is none to be had). Otherwise the use is an upper bound.
    pub complete: bool,
    /// The provider refused the call before it generated anything.
    pub refused: bool,
    /// The provider still works on the call: what it uses is not known, not even as an upper bound.
    pub pending: bool,
    /// The characters of what was spoken are known, so that a price by the character needs no further report.
    pub spoken: bool,
    /// The error in the answer.
    pub error: Option<ErrorParts>,
    /// The call's id at the provider, when the answer's body has one.
    pub upstream_id: Box<str>,
    /// What another model is billed for.
    pub aside: Option<Box<Usage>>,
    /// The service tier that was asked for, where the answer tells none: the dearer of it and the base price is billed.
    pub presumed_tier: Option<Box<str>>,
}

impl Reading {
    /// Of a call that was never sent: nothing was used, and that is certain.
    #[must_use]
    pub fn unsent() -> Self {
        Self { complete: true, refused: true, ..Self::default() }
    }
}

/// Some providers say an error's kind in a header; the body's word counts more.
fn kind_from_header(collector: &mut Collector, plan: &OperationPlan, headers: &HeaderMap) {
    let name = plan.provider.error_fields.kind_header.as_deref();
    if let Some(kind) = name.and_then(|name| headers.get(name)).and_then(|value| value.to_str().ok()) {
        collector.event_name(kind.split(':').next().unwrap_or(kind).trim(), true);
    }
}

/// The parts of an error answer, for the catalogue's error table. A body that is not JSON counts as the message.
#[must_use]
pub fn error_parts(plan: &OperationPlan, headers: &HeaderMap, body: &[u8]) -> ErrorParts {
    let mut collector = Collector::new(Near::of(&plan.answer));
    collector.all_errors = true;
    kind_from_header(&mut collector, plan, headers);
    let mut tap = Tap::new(Near::of(&plan.answer.paths));
    tap.feed(body, &mut collector);
    tap.end(&mut collector);
    collector.event_end();
    let mut parts = collector.error().cloned().unwrap_or_default();
    if parts.message.is_none() && parts.code.is_none() {
        let text = String::from_utf8_lossy(body.get(..512.min(body.len())).unwrap_or_default()).into_owned();
        parts.message = Some(text).filter(|text| !text.trim().is_empty());
    }
    parts
}

#[cfg(test)]
mod tests;
