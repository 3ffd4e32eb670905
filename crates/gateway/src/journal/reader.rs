//! Reading: for the collector, which stores events and their positions in one transaction and then releases them.
//! Reading never takes anything away; what was not released is read again by the next process.

use super::{
    Inner,
    files::{Segment, Stream},
    record::{self, About, HEAD, Position, Texts},
};
use keyward_domain::{RequestId, usage::GatewayEvent};
use rustc_hash::FxHashMap;
use std::{
    collections::HashMap,
    os::unix::fs::FileExt,
    sync::{Arc, atomic::Ordering},
};
use uuid::Uuid;

/// How much of a file is read at once.
const PIECE: usize = 256 << 10;

/// A reader of all streams.
#[derive(Debug)]
pub struct Reader {
    inner: Arc<Inner>,
    cursors: HashMap<u64, Cursor>,
    /// Something of what earlier processes wrote could not be read.
    damaged: bool,
    /// Holds of calls whose end was read together with them are left out.
    skips_settled: bool,
    /// What was read of a file last. Kept, because making room for it each time costs as much as reading.
    buffer: Vec<u8>,
    texts: Texts,
    skipped: Vec<RequestId>,
    /// By stream: holds that were read before and not given yet.
    waiting: HashMap<u64, Vec<Waiting>>,
}

/// A hold that waits for the end of its call, which may be read next.
#[derive(Debug)]
struct Waiting {
    sequence: u64,
    call: [u8; 16],
    payload: Vec<u8>,
    /// It has waited for one reading already.
    again: bool,
}

#[derive(Debug, Clone, Copy)]
struct Cursor {
    /// The sequence of the next record.
    next: u64,
    /// Where it stands: the file's number and the place in it. Zero: to be found.
    number: u64,
    at: usize,
}

impl Reader {
    pub(super) fn new(inner: Arc<Inner>) -> Self {
        Self {
            damaged: inner.files.is_damaged(),
            inner,
            cursors: HashMap::new(),
            skips_settled: false,
            buffer: Vec::new(),
            texts: Texts::default(),
            skipped: Vec::new(),
            waiting: HashMap::new(),
        }
    }

    /// Leaves out the holds of calls whose end comes in the same batch or in the next one: nobody has to know what was held
    /// for them. A hold without an end waits for one more reading before it is given; until then
    /// [`Reader::read_until`] stays before it. What earlier processes wrote ends where it ends: its holds do not wait.
    #[must_use]
    pub fn skipping_settled(self) -> Self {
        Self { skips_settled: true, ..self }
    }

    /// The calls whose holds were left out since this was asked last: nothing of them is stored anywhere.
    pub fn take_skipped(&mut self) -> Vec<RequestId> {
        std::mem::take(&mut self.skipped)
    }

    /// Skips what the database has already: the last stored sequence of each stream. Called once, before reading.
    pub fn resume_after(&mut self, stored: &[(u64, u64)]) {
        for stream in self.inner.files.streams() {
            let Some((_, sequence)) = stored.iter().find(|(id, _)| *id == stream.id) else { continue };
            self.cursors.insert(stream.id, Cursor { next: sequence + 1, number: 0, at: 0 });
            self.inner.files.release(&stream, *sequence);
        }
    }

    /// The next events, at most `max`: of each stream in its order, earlier processes' first. Empty when there are none
    /// at the moment. With [`Reader::skipping_settled`], the holds that are left come behind events that were written later,
    /// and in addition to `max`.
    pub fn next_batch(&mut self, max: usize) -> Vec<(Position, GatewayEvent)> {
        let mut batch = Vec::new();
        let mut streams = self.inner.files.streams();
        streams.sort_by_key(|stream| !stream.old);
        for stream in streams {
            if batch.len() >= max {
                break;
            }
            self.read_stream(&stream, max, &mut batch);
        }
        batch
    }

    /// Up to where everything of a stream was given or left out for good: what may be stored as its position. None: nothing
    /// of it was read.
    #[must_use]
    pub fn read_until(&self, stream: u64) -> Option<Position> {
        let read = self.cursors.get(&stream)?.next.checked_sub(1)?;
        let waiting = self.waiting.get(&stream).into_iter().flatten().map(|hold| hold.sequence).min();
        let sequence = waiting.map_or(read, |first| read.min(first.saturating_sub(1)));
        Some(Position { stream, sequence })
    }

    /// Whether all that earlier processes left was read, up to what [`Reader::next_batch`] gave last.
    #[must_use]
    pub fn old_are_done(&self) -> bool {
        self.inner.files.streams().iter().filter(|stream| stream.old).all(|stream| {
            let Some(last) = stream.segments().last().cloned() else { return true };
            let end = usize::try_from(last.committed.load(Ordering::Acquire)).unwrap_or(usize::MAX);
            let cursor = self.cursors.get(&stream.id);
            cursor.is_some_and(|cursor| cursor.number == last.head.number && cursor.at >= end)
        })
    }

    /// Whether nothing is known to be missing of what earlier processes left.
    #[must_use]
    pub const fn old_are_whole(&self) -> bool {
        !self.damaged
    }

    /// Says that everything up to a position, in its stream, is stored for good: its files may be used again.
    pub fn release(&self, position: Position) {
        let streams = self.inner.files.streams();
        if let Some(stream) = streams.iter().find(|stream| stream.id == position.stream) {
            self.inner.files.release(stream, position.sequence);
        }
    }

    fn read_stream(&mut self, stream: &Arc<Stream>, max: usize, batch: &mut Vec<(Position, GatewayEvent)>) {
        let start = stream.released() + 1;
        let mut cursor = *self.cursors.entry(stream.id).or_insert(Cursor { next: start, number: 0, at: 0 });
        let before = self.waiting.remove(&stream.id).unwrap_or_default().into_iter();
        let mut waiting = before.map(|hold| (hold.call, Waiting { again: true, ..hold })).collect();
        for segment in stream.segments() {
            if segment.head.number < cursor.number {
                continue;
            }
            if segment.head.number != cursor.number {
                if segment.head.first > cursor.next {
                    tracing::error!(
                        stream = stream.id,
                        from = cursor.next,
                        to = segment.head.first,
                        "records of the journal are missing"
                    );
                    self.damaged = true;
                    cursor.next = segment.head.first;
                }
                (cursor.number, cursor.at) = (segment.head.number, HEAD);
            }
            let mut read = Piece {
                stream: stream.id,
                max,
                skips_settled: self.skips_settled,
                batch,
                texts: &mut self.texts,
                skipped: &mut self.skipped,
                waiting: &mut waiting,
                damaged: &mut self.damaged,
            };
            if !read.segment(&segment, &mut cursor, &mut self.buffer) {
                break;
            }
        }
        self.cursors.insert(stream.id, cursor);
        let (mut given, waits): (Vec<_>, Vec<_>) =
            waiting.into_values().partition(|hold: &Waiting| hold.again || stream.old);
        given.sort_unstable_by_key(|hold| hold.sequence);
        for hold in given {
            give(&hold.payload, (stream.id, hold.sequence), &mut self.texts, batch, &mut self.damaged);
        }
        if !waits.is_empty() {
            self.waiting.insert(stream.id, waits);
        }
    }

    /// Whether a hold waits for the end of its call: the next batch has the one or the other.
    #[must_use]
    pub fn is_waiting(&self) -> bool {
        !self.waiting.is_empty()
    }
}

/// Decodes an event into a batch.
fn give(
    payload: &[u8],
    (stream, sequence): (u64, u64),
    texts: &mut Texts,
    batch: &mut Vec<(Position, GatewayEvent)>,
    damaged: &mut bool,
) {
    match record::decode_event(payload, texts) {
        Some(event) => batch.push((Position { stream, sequence }, event)),
        None => {
            tracing::error!(stream, sequence, "an event of the journal is of a kind unknown here: skipped");
            *damaged = true;
        }
    }
}

/// What is read at once, and of what.
struct Piece<'r> {
    stream: u64,
    max: usize,
    skips_settled: bool,
    batch: &'r mut Vec<(Position, GatewayEvent)>,
    texts: &'r mut Texts,
    skipped: &'r mut Vec<RequestId>,
    /// Holds that were read before.
    waiting: &'r mut FxHashMap<[u8; 16], Waiting>,
    /// Becomes true when something cannot be read.
    damaged: &'r mut bool,
}

impl Piece<'_> {
    /// Reads on in one file; whether the next file may be read too.
    fn segment(&mut self, segment: &Segment, cursor: &mut Cursor, buffer: &mut Vec<u8>) -> bool {
        let sealed = segment.sealed.load(Ordering::Acquire);
        let end = usize::try_from(segment.committed.load(Ordering::Acquire)).unwrap_or(usize::MAX);
        let mut at = cursor.at;
        // The file's own count of its records: a cursor that resumes begins behind some of them.
        let mut sequence = if at == HEAD { segment.head.first } else { cursor.next };
        while at < end && self.batch.len() < self.max {
            let wanted = PIECE.min(end - at);
            if buffer.len() < wanted {
                buffer.resize(wanted, 0);
            }
            let buffer = buffer.get_mut(..wanted).unwrap_or_default();
            if let Err(error) = segment.file.read_exact_at(buffer, at as u64) {
                tracing::error!(%error, "a file of the journal cannot be read");
                return false;
            }
            let used = self.records(buffer, segment.head.salt, &mut sequence, cursor.next);
            at += used;
            cursor.at = at;
            cursor.next = cursor.next.max(sequence);
            if used == 0 {
                let stream = self.stream;
                tracing::error!(
                    stream,
                    sequence,
                    "a record of the journal is damaged: the rest of its file is skipped"
                );
                cursor.at = end;
                *self.damaged = true;
                return sealed;
            }
        }
        sealed && at >= end
    }

    /// Reads the records in a buffer, those from `wanted` on; tells how many bytes they took.
    fn records(&mut self, buffer: &[u8], salt: u64, sequence: &mut u64, wanted: u64) -> usize {
        // HOT: a hold is decoded only when the end of its call is not near.
        let mut holds = FxHashMap::<[u8; 16], (u64, &[u8])>::default();
        let mut used = 0;
        while self.batch.len() < self.max
            && let Some((payload, room)) = buffer.get(used..).and_then(|rest| record::decode(rest, salt, *sequence))
        {
            if *sequence >= wanted {
                match record::about(payload) {
                    About::Hold(call) if self.skips_settled => {
                        if let Some(before) = self.waiting.remove(&call) {
                            self.event(&before.payload, before.sequence);
                        }
                        if let Some((sequence, before)) = holds.insert(call, (*sequence, payload)) {
                            self.event(before, sequence);
                        }
                    }
                    About::Usage(call) => {
                        if holds.remove(&call).is_some() || self.waiting.remove(&call).is_some() {
                            self.skipped.push(RequestId::from_uuid(Uuid::from_bytes(call)));
                        }
                        self.event(payload, *sequence);
                    }
                    About::Hold(_) | About::Other => self.event(payload, *sequence),
                }
            }
            used += room;
            *sequence += 1;
        }
        let left = holds.into_iter();
        self.waiting.extend(left.map(|(call, (sequence, payload))| {
            (call, Waiting { sequence, call, payload: payload.to_vec(), again: false })
        }));
        used
    }

    fn event(&mut self, payload: &[u8], sequence: u64) {
        give(payload, (self.stream, sequence), self.texts, self.batch, self.damaged);
    }
}
