//! Totals by series and hour or day: how they add up in memory, and the statement that adds them to what is stored.

use crate::sql::stored;
use keyward_domain::{
    Millis, Money,
    usage::{CostBasis, Outcome, UsageEvent},
};
use rustc_hash::FxHashMap;
use std::fmt::Write as _;

/// No stored total grows beyond this, so that no sum of a few can leave the range of 64 bits.
const CEILING: i64 = 1_000_000_000_000_000_000;
/// No single event counts for more than this: a provider's answer must not fill a total at once.
const MOST: u64 = 1_000_000_000_000_000;

trait Cell {
    fn cell(&self) -> i64;
    fn from_cell(cell: i64) -> Self;
}

impl Cell for u64 {
    fn cell(&self) -> i64 {
        stored(*self)
    }

    fn from_cell(cell: i64) -> Self {
        Self::try_from(cell).unwrap_or(0)
    }
}

impl Cell for Money {
    fn cell(&self) -> i64 {
        self.nano()
    }

    fn from_cell(cell: i64) -> Self {
        Self::from_nano(cell)
    }
}

macro_rules! totals {
    ($($(#[$doc:meta])* $name:ident: $type:ty,)*) => {
        /// Sums over calls.
        #[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
        pub struct Totals { $($(#[$doc])* pub $name: $type,)* }

        /// The columns of the rollup tables that hold totals, in the order of the cells.
        pub(crate) const COLUMNS: &[&str] = &[$(stringify!($name)),*];
        /// How many there are.
        pub(crate) const CELLS: usize = COLUMNS.len();

        impl Totals {
            pub(crate) fn cells(&self) -> [i64; CELLS] {
                [$(self.$name.cell()),*]
            }

            pub(crate) fn from_cells(cells: [i64; CELLS]) -> Self {
                let [$($name),*] = cells;
                Self { $($name: <$type as Cell>::from_cell($name)),* }
            }
        }
    };
}

totals! {
    /// Calls.
    requests: u64,
    /// Calls that did not end well: an error status, or any end but completion.
    errors: u64,
    /// Uncached text input, in tokens.
    input: u64,
    /// Input read from a cache, in tokens.
    cache_read: u64,
    /// Input written to a short-lived cache, in tokens.
    cache_write: u64,
    /// Input written to a long-lived cache, in tokens.
    cache_write_long: u64,
    /// Text output without reasoning, in tokens.
    output: u64,
    /// Reasoning output, in tokens.
    reasoning: u64,
    /// Audio input, in tokens.
    audio_input: u64,
    /// Audio output, in tokens.
    audio_output: u64,
    /// Image input, in tokens.
    image_input: u64,
    /// Image output, in tokens.
    image_output: u64,
    /// Web searches of any kind.
    searches: u64,
    /// Audio or compute time, in milliseconds.
    millis: u64,
    /// Characters of text.
    characters: u64,
    /// Images made.
    images: u64,
    /// Pages read.
    pages: u64,
    /// What it all cost.
    cost: Money,
    /// Calls whose cost is an upper bound, because usage did not arrive in full.
    estimated: u64,
    /// Calls without a price, or without one for all that they used.
    unpriced: u64,
    /// Sum of the times to the first byte, in microseconds.
    first_byte_us: u64,
    /// Sum of the times to the last byte, in microseconds.
    total_us: u64,
}

impl Totals {
    /// One call.
    pub(crate) fn of(event: &UsageEvent) -> Self {
        let (buckets, units) = (&event.usage.buckets, &event.usage.units);
        let nano = event.cost.nano().clamp(-stored(MOST), stored(MOST));
        Self {
            requests: 1,
            errors: u64::from(event.outcome != Outcome::Completed || event.status >= 400),
            input: buckets.input.min(MOST),
            cache_read: buckets.cache_read.min(MOST),
            cache_write: buckets.cache_write.min(MOST),
            cache_write_long: buckets.cache_write_long.min(MOST),
            output: buckets.output.min(MOST),
            reasoning: buckets.reasoning.min(MOST),
            audio_input: buckets.audio_input.min(MOST),
            audio_output: buckets.audio_output.min(MOST),
            image_input: buckets.image_input.min(MOST),
            image_output: buckets.image_output.min(MOST),
            searches: units.searches.saturating_add(units.preview_searches).min(MOST),
            millis: units.millis.min(MOST),
            characters: units.characters.min(MOST),
            images: units.images.min(MOST),
            pages: units.pages.min(MOST),
            cost: Money::from_nano(nano),
            estimated: u64::from(event.basis == CostBasis::Estimated),
            unpriced: u64::from(matches!(event.basis, CostBasis::Unpriced | CostBasis::Incomplete)),
            first_byte_us: event.first_byte_us.min(MOST),
            total_us: event.total_us.min(MOST),
        }
    }

    /// Adds other totals to these.
    pub fn add(&mut self, other: &Self) {
        let mut cells = self.cells();
        for (cell, more) in cells.iter_mut().zip(other.cells()) {
            *cell = cell.saturating_add(more).min(CEILING);
        }
        *self = Self::from_cells(cells);
    }
}

/// Totals by bucket (the moment an hour or a day begins) and series, with the last call's time.
#[derive(Default)]
pub(crate) struct Rollup(FxHashMap<(i64, i64), (Totals, Millis)>);

impl Rollup {
    pub(crate) fn add(&mut self, bucket: i64, series: i64, totals: &Totals, at: Millis) {
        let (sum, last) = self.0.entry((bucket, series)).or_insert_with(|| (Totals::default(), at));
        sum.add(totals);
        *last = at.max(*last);
    }

    /// The same totals in wider buckets.
    pub(crate) fn widened(&self, width: i64) -> Self {
        let mut wide = Self::default();
        for ((bucket, series), (totals, last)) in &self.0 {
            wide.add(bucket - bucket.rem_euclid(width), *series, totals, *last);
        }
        wide
    }

    /// The last call's time by series.
    pub(crate) fn last(&self) -> impl Iterator<Item = (i64, Millis)> {
        self.0.iter().map(|((_, series), (_, last))| (*series, *last))
    }

    /// The rows in a fixed order, so that nodes that write at once wait for each other instead of blocking each other.
    pub(crate) fn rows(self) -> Vec<(i64, i64, Totals)> {
        let mut rows: Vec<_> =
            self.0.into_iter().map(|((bucket, series), (totals, _))| (bucket, series, totals)).collect();
        rows.sort_unstable_by_key(|(bucket, series, _)| (*bucket, *series));
        rows
    }
}

/// The statement that adds rows to a rollup table: everything comes from constants. `least` is what the database calls
/// the function that answers the smaller of two numbers.
pub(crate) fn upsert(table: &'static str, least: &'static str, values: &str) -> String {
    let mut sql = format!("insert into {table} (bucket, series, {}) values {values}", COLUMNS.join(", "));
    sql.push_str(" on conflict (bucket, series) do update set ");
    for (index, column) in COLUMNS.iter().enumerate() {
        let comma = if index == 0 { "" } else { ", " };
        let _ = write!(sql, "{comma}{column} = {least}({table}.{column} + excluded.{column}, {CEILING})");
    }
    sql
}
