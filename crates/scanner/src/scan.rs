//! A scan: what it looks with, how far it goes, how many threads it takes, and how far it has come.

use crate::{Adjuster, Bounds, Cause, Look, Matcher, Missed, Outcome, Place, Portion, Search, Unread};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// How far a scan has come, for whoever shows it, and whether it should end.
#[derive(Debug)]
pub struct Progress {
    items: AtomicU64,
    bytes: AtomicU64,
    items_total: AtomicU64,
    bytes_total: AtomicU64,
    stopped: AtomicBool,
}

/// What a total is while nobody knows it.
const UNKNOWN: u64 = u64::MAX;

impl Default for Progress {
    fn default() -> Self {
        let (items_total, bytes_total) = (AtomicU64::new(UNKNOWN), AtomicU64::new(UNKNOWN));
        Self {
            items: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
            items_total,
            bytes_total,
            stopped: AtomicBool::new(false),
        }
    }
}

impl Progress {
    /// Adds to what was done.
    pub fn add(&self, items: u64, bytes: u64) {
        self.items.fetch_add(items, Ordering::Relaxed);
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Says how much there is to do, as far as it is known.
    pub fn expect(&self, items: Option<u64>, bytes: Option<u64>) {
        self.items_total.store(items.unwrap_or(UNKNOWN), Ordering::Relaxed);
        self.bytes_total.store(bytes.unwrap_or(UNKNOWN), Ordering::Relaxed);
    }

    /// How many items were done.
    #[must_use]
    pub fn items(&self) -> u64 {
        self.items.load(Ordering::Relaxed)
    }

    /// How many bytes were done.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// How many items there are, when it is known.
    #[must_use]
    pub fn items_total(&self) -> Option<u64> {
        Some(self.items_total.load(Ordering::Relaxed)).filter(|total| *total != UNKNOWN)
    }

    /// How many bytes there are, when it is known.
    #[must_use]
    pub fn bytes_total(&self) -> Option<u64> {
        Some(self.bytes_total.load(Ordering::Relaxed)).filter(|total| *total != UNKNOWN)
    }

    /// Asks the scan to end soon. It tells what it has found so far.
    pub fn stop(&self) {
        self.stopped.store(true, Ordering::Relaxed);
    }

    /// Whether somebody asked it to.
    #[must_use]
    pub fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::Relaxed)
    }
}

/// A scan, ready to be let loose on paths, standard input or a repository.
#[derive(Debug, Clone)]
pub struct Scan<'a> {
    /// What finds secrets in bytes.
    pub matcher: &'a Matcher,
    /// How far unpacking goes.
    pub bounds: Bounds,
    /// How many threads to use; 0 is taken as 1.
    pub threads: usize,
    /// How far it has come, and whether to stop.
    pub progress: &'a Progress,
}

/// A search that tells how far it has come, and ends when somebody stops the scan.
#[derive(Debug)]
pub(crate) struct Watched<'a> {
    search: Search<'a>,
    progress: &'a Progress,
    stopped: bool,
    /// How much is still looked at when somebody has stopped the scan.
    last: u64,
}

/// How much of a stream is looked at when somebody has stopped the scan, in bytes: what was read of it before.
const LAST: u64 = 2 << 20;

impl<'a> Watched<'a> {
    pub(crate) fn new(scan: &Scan<'a>, path: &'a [u8]) -> Self {
        Self { search: Search::new(scan.matcher, path), progress: scan.progress, stopped: false, last: 0 }
    }

    /// The same of what can be read only once: what was read before somebody stopped the scan is looked at all the same.
    pub(crate) fn of_stream(scan: &Scan<'a>, path: &'a [u8]) -> Self {
        Self { last: LAST, ..Self::new(scan, path) }
    }

    /// Tells, once, that it was stopped.
    pub(crate) fn stop(&mut self) {
        if !std::mem::replace(&mut self.stopped, true) {
            let detail = "the scan was stopped before its end".into();
            self.unread(Unread { cause: Cause::Stopped, within: Vec::new(), detail });
        }
    }

    /// Adds what was found to an outcome.
    pub(crate) fn finish(self, place: impl FnOnce() -> Place, outcome: &mut Outcome) {
        let (seen, unread, bytes) = self.search.finish();
        self.progress.add(1, 0);
        outcome.stats.items += 1;
        outcome.stats.bytes += bytes;
        if seen.is_empty() && unread.is_empty() {
            return;
        }
        let place = place();
        outcome.findings.extend(seen.into_iter().map(|seen| seen.into_finding(&place)));
        outcome.missed.extend(unread.into_iter().map(|Unread { cause, within, detail }| Missed {
            place: Place { within, ..place.clone() },
            cause,
            detail,
        }));
    }
}

impl Look for Watched<'_> {
    fn look(&mut self, portion: &Portion<'_>) -> bool {
        let length = u64::try_from(portion.own.len()).unwrap_or(u64::MAX);
        if self.progress.is_stopped() {
            if self.last == 0 {
                self.stop();
                return false;
            }
            self.last = self.last.saturating_sub(length);
        }
        let more = self.search.look(portion);
        self.progress.add(0, length);
        more
    }

    fn name(&mut self, within: &[Box<str>]) {
        self.search.name(within);
    }

    fn unread(&mut self, unread: Unread) {
        self.search.unread(unread);
    }

    fn adjust(&mut self, adjuster: &mut Adjuster<'_>) {
        self.search.adjust(adjuster);
    }
}
