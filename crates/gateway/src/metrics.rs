//! Counters of the hot path. Each thread has a cell of its own, so that counting never makes threads wait for each
//! other; a scrape adds the cells up and writes Prometheus text. No key, project or model is a label.

mod text;

use crate::{journal::Depth, purse::bank::Bank};
use keyward_domain::{refusal::Reason, usage::UsageEvent};
use std::sync::{
    Arc, Mutex, MutexGuard, PoisonError,
    atomic::{AtomicI64, AtomicU64, Ordering},
};

/// Upper bounds of the latency histograms, in microseconds.
const BOUNDS: [u64; 14] = [
    500,
    1_000,
    2_500,
    5_000,
    10_000,
    25_000,
    50_000,
    100_000,
    250_000,
    500_000,
    1_000_000,
    5_000_000,
    30_000_000,
    300_000_000,
];

/// Status classes: no answer, then 1xx to 5xx.
const CLASSES: usize = 6;

/// All threads' counters.
#[derive(Debug, Default)]
pub struct Metrics {
    cells: Mutex<Vec<Arc<Cell>>>,
}

/// One thread's counters.
#[derive(Debug, Default)]
pub struct Cell {
    counts: Mutex<Counts>,
    open: AtomicI64,
    received: AtomicU64,
    sent: AtomicU64,
}

/// What is counted under the cell's lock, which only a scrape ever shares.
#[derive(Debug, Clone)]
struct Counts {
    calls: Vec<(Box<str>, [u64; CLASSES])>,
    refusals: Vec<u64>,
    first_byte: Histogram,
    total: Histogram,
    tokens: [u64; 2],
}

impl Default for Counts {
    fn default() -> Self {
        Self {
            calls: Vec::new(),
            refusals: vec![0; Reason::ALL.len()],
            first_byte: Histogram::default(),
            total: Histogram::default(),
            tokens: [0; 2],
        }
    }
}

#[derive(Debug, Clone, Default)]
struct Histogram {
    /// The last one counts what is above all bounds.
    buckets: [u64; BOUNDS.len() + 1],
    sum: u64,
}

impl Histogram {
    fn observe(&mut self, micros: u64) {
        let at = BOUNDS.iter().position(|bound| micros <= *bound).unwrap_or(BOUNDS.len());
        if let Some(bucket) = self.buckets.get_mut(at) {
            *bucket += 1;
        }
        self.sum = self.sum.saturating_add(micros);
    }

    fn add(&mut self, other: &Self) {
        for (sum, part) in self.buckets.iter_mut().zip(&other.buckets) {
            *sum += part;
        }
        self.sum = self.sum.saturating_add(other.sum);
    }
}

impl Cell {
    fn lock(&self) -> MutexGuard<'_, Counts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A call was refused.
    pub fn refused(&self, reason: Reason) {
        if let Some(count) = self.lock().refusals.get_mut(reason as usize) {
            *count += 1;
        }
    }

    /// A call ended and was metered.
    pub fn call(&self, event: &UsageEvent<&str>) {
        let mut counts = self.lock();
        let class = usize::from(event.status / 100).min(CLASSES - 1);
        let known = counts.calls.iter().position(|(provider, _)| **provider == *event.provider);
        let at = known.unwrap_or_else(|| {
            counts.calls.push((event.provider.into(), [0; CLASSES]));
            counts.calls.len() - 1
        });
        if let Some(count) = counts.calls.get_mut(at).and_then(|(_, classes)| classes.get_mut(class)) {
            *count += 1;
        }
        counts.first_byte.observe(event.first_byte_us);
        counts.total.observe(event.total_us);
        let buckets = &event.usage.buckets;
        for (sum, tokens) in counts.tokens.iter_mut().zip([buckets.all_input(), buckets.all_output()]) {
            *sum = sum.saturating_add(tokens);
        }
    }

    /// A call began.
    pub fn opened(&self) {
        self.open.fetch_add(1, Ordering::Relaxed);
    }

    /// A call that had begun is over.
    pub fn closed(&self) {
        self.open.fetch_sub(1, Ordering::Relaxed);
    }

    /// Bytes of bodies that came from clients and went to them.
    pub fn bytes(&self, received: u64, sent: u64) {
        self.received.fetch_add(received, Ordering::Relaxed);
        self.sent.fetch_add(sent, Ordering::Relaxed);
    }
}

impl Metrics {
    /// No counters yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A cell for the calling thread to keep.
    #[must_use]
    pub fn local(&self) -> Arc<Cell> {
        let cell = Arc::new(Cell::default());
        self.cells.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::clone(&cell));
        cell
    }

    /// All counters as Prometheus text.
    #[must_use]
    pub(crate) fn render(&self, journal: Depth, bank: &Bank) -> String {
        let cells = self.cells.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let mut sum = Counts::default();
        let (mut open, mut received, mut sent) = (0_i64, 0_u64, 0_u64);
        for cell in cells {
            sum.add(&cell.lock());
            open += cell.open.load(Ordering::Relaxed);
            received = received.wrapping_add(cell.received.load(Ordering::Relaxed));
            sent = sent.wrapping_add(cell.sent.load(Ordering::Relaxed));
        }
        text::write(&sum, &text::Gauges { open, received, sent, journal }, bank)
    }
}

impl Counts {
    fn add(&mut self, other: &Self) {
        for (provider, classes) in &other.calls {
            let known = self.calls.iter().position(|(name, _)| name == provider);
            let at = known.unwrap_or_else(|| {
                self.calls.push((provider.clone(), [0; CLASSES]));
                self.calls.len() - 1
            });
            if let Some((_, sums)) = self.calls.get_mut(at) {
                sums.iter_mut().zip(classes).for_each(|(sum, part)| *sum += part);
            }
        }
        self.refusals.iter_mut().zip(&other.refusals).for_each(|(sum, part)| *sum += part);
        self.tokens.iter_mut().zip(other.tokens).for_each(|(sum, part)| *sum = sum.saturating_add(part));
        self.first_byte.add(&other.first_byte);
        self.total.add(&other.total);
    }
}

#[cfg(test)]
mod tests;
