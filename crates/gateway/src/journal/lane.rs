//! Writing: one lane per thread. An append copies the record into the file's memory and stores its length; a new file
//! is taken up when the old one has no room.

use super::{
    Full, Inner,
    files::{Segment, Spare, Stream},
    map::Map,
    record::{self, Entry, HEAD, LONGEST, MOST, PREFIX, Position},
};
use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError, atomic::Ordering},
};

/// Room set aside for what one call will write: its settlement, and what it makes or finds out. A call under a budget
/// writes its hold as well.
const RECORDS: usize = 2;
const RECORDS_HELD: usize = 3;
/// How many bytes of a file have their pages put below them at once.
const AHEAD: usize = 64 << 10;

/// One thread's part of the journal.
#[derive(Debug)]
pub(super) struct Lane {
    pub(super) stream: Arc<Stream>,
    state: Mutex<LaneState>,
}

#[derive(Debug)]
struct LaneState {
    current: Option<Active>,
    spares: VecDeque<Spare>,
    next: u64,
    /// How many records may still be written under the tickets that are out.
    promised: usize,
    /// Where events get their form. HOT: kept, because clearing it for each event would cost as much as filling it.
    scratch: Box<[u8; LONGEST]>,
}

#[derive(Debug, Clone)]
struct Active {
    segment: Arc<Segment>,
    map: Arc<Map>,
    at: usize,
    /// Up to where the map's pages are there.
    prepared: usize,
}

/// What the keeper has to bring to the disk.
pub(super) struct Unsynced {
    pub(super) segment: Arc<Segment>,
    pub(super) map: Arc<Map>,
}

impl Lane {
    pub(super) fn new(stream: Arc<Stream>) -> Self {
        let state =
            LaneState { current: None, spares: VecDeque::new(), next: 1, promised: 0, scratch: Box::new([0; LONGEST]) };
        Self { stream, state: Mutex::new(state) }
    }

    fn lock(&self) -> MutexGuard<'_, LaneState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many files the keeper should add, so that the next turn finds one ready.
    pub(super) fn wants(&self, capacity: usize) -> usize {
        let state = self.lock();
        let needed = (state.promised * MOST).div_ceil(usable(capacity)) + 1;
        needed.saturating_sub(state.spares.len())
    }

    pub(super) fn give(&self, spare: Spare) {
        self.lock().spares.push_back(spare);
    }

    pub(super) fn current(&self) -> Option<Unsynced> {
        let state = self.lock();
        let active = state.current.as_ref()?;
        Some(Unsynced { segment: Arc::clone(&active.segment), map: Arc::clone(&active.map) })
    }
}

/// What a file can surely take: the last bytes of it may be too few for a record.
const fn usable(capacity: usize) -> usize {
    capacity - HEAD - MOST
}

/// A thread's way into the journal.
#[derive(Debug)]
pub struct Writer {
    inner: Arc<Inner>,
    lane: Arc<Lane>,
}

/// The promise that what a call will have to say finds room. Held for as long as the call may still write.
#[derive(Debug)]
pub struct Ticket {
    lane: Arc<Lane>,
    records: usize,
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let mut state = self.lane.lock();
        state.promised = state.promised.saturating_sub(self.records);
    }
}

impl Writer {
    pub(super) const fn new(inner: Arc<Inner>, lane: Arc<Lane>) -> Self {
        Self { inner, lane }
    }

    /// Sets room aside for a call, which may be under a budget.
    ///
    /// # Errors
    /// [`Full`] when there is none: the call must be refused.
    pub fn ticket(&self, budgeted: bool) -> Result<Ticket, Full> {
        let records = if budgeted { RECORDS_HELD } else { RECORDS };
        let capacity = self.inner.files.capacity();
        let mut state = self.lane.lock();
        let wanted = (state.promised + records) * MOST;
        while state.room(capacity) < wanted {
            let spare = self.inner.files.spare().ok_or(Full)?;
            state.spares.push_back(spare);
        }
        state.promised += records;
        drop(state);
        Ok(Ticket { lane: Arc::clone(&self.lane), records })
    }

    /// Writes an event. It survives the end of the process from the moment this returns. Where it stands is told;
    /// `None` when there was no room, which tickets prevent.
    pub fn append(&self, event: &Entry<'_>) -> Option<Position> {
        let position = self.write(event);
        if position.is_none() {
            self.inner.files.note_lost();
            tracing::error!("an event found no room in the journal and is lost");
        }
        position
    }

    fn write(&self, event: &Entry<'_>) -> Option<Position> {
        let capacity = self.inner.files.capacity();
        let mut lane = self.lane.lock();
        let state = &mut *lane;
        let scratch = &mut state.scratch;
        let length = record::encode_event(event, scratch).or_else(|| record::encode_shortened(event, scratch))?;
        let room = record::room(length);
        if state.current.as_ref().is_none_or(|active| active.at + room > capacity) {
            self.turn(state)?;
        }
        let sequence = state.next;
        let payload = state.scratch.get(..length)?;
        let active = state.current.as_mut()?;
        if active.at + room > active.prepared {
            active.map.prepare(active.prepared, room.max(AHEAD));
            active.prepared += room.max(AHEAD);
        }
        let (at, salt) = (active.at, active.segment.head.salt);
        let mut prefix = [0; PREFIX];
        let (_, rest) = prefix.split_at_mut(4);
        let (checksum, number) = rest.split_at_mut(4);
        checksum.copy_from_slice(&record::checksum(salt, sequence, payload).to_le_bytes());
        number.copy_from_slice(&sequence.to_le_bytes());
        // INVARIANT: the length comes last. Until it is there, a reader of the file sees an old or no record here.
        let length = u32::try_from(payload.len()).ok()?;
        let behind_length = prefix.get(4..).unwrap_or_default();
        let written = active.map.commit(at, 0)
            && active.map.write(at + 4, behind_length)
            && active.map.write(at + PREFIX, payload)
            && active.map.commit(at, length);
        if !written {
            return None;
        }
        active.at += room;
        active.segment.committed.store(active.at as u64, Ordering::Release);
        state.next += 1;
        drop(lane);
        self.inner.files.note_written(room);
        Some(Position { stream: self.lane.stream.id, sequence })
    }

    /// Takes up a new file.
    fn turn(&self, state: &mut LaneState) -> Option<()> {
        let spare = state.spares.pop_front().or_else(|| self.inner.files.spare())?;
        let (segment, map) = match self.inner.files.activate(spare, &self.lane.stream, state.next) {
            Ok(ready) => ready,
            Err(error) => {
                self.inner.files.set_full(true, Some(&error));
                return None;
            }
        };
        let before = state.current.replace(Active { segment, map, at: HEAD, prepared: 0 });
        if let Some(before) = before {
            before.segment.sealed.store(true, Ordering::Release);
        }
        Some(())
    }
}

impl Drop for Writer {
    /// No more comes in this lane: its files can go when they were read.
    fn drop(&mut self) {
        let mut state = self.lane.lock();
        if let Some(active) = state.current.take() {
            active.segment.sealed.store(true, Ordering::Release);
        }
        state.spares.drain(..).for_each(|spare| self.inner.files.give_back(spare));
        drop(state);
        self.inner.lanes.lock().unwrap_or_else(PoisonError::into_inner).retain(|lane| !Arc::ptr_eq(lane, &self.lane));
    }
}

impl LaneState {
    fn room(&self, capacity: usize) -> usize {
        let current = self.current.as_ref().map_or(0, |active| capacity.saturating_sub(active.at + MOST));
        current + self.spares.len() * usable(capacity)
    }
}
