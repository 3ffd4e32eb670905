//! The windows of a budget: calendar hours, days, weeks and months, rolling spans, fixed spans, and all time.
//! Every moment belongs to exactly one window of a kind, also where clocks are put forward or back.

use crate::{Millis, times};
use jiff::{
    Timestamp, ToSpan as _, Zoned,
    civil::{Date, Weekday},
    tz::TimeZone,
};
use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};

const HOUR: Millis = 3_600_000;
/// Into how many slots a rolling span is cut: what was spent comes back a slot late at most.
pub const SLOTS: Millis = 60;
/// The shortest rolling span: a slot is then a second.
const SHORTEST: u64 = 60_000;

/// How long a budget's limit lasts before it starts anew. Written and stored as text, such as `month Europe/Vienna`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Window {
    kind: Kind,
    text: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Kind {
    /// A whole hour of UTC, which is one everywhere: hours need no calendar.
    Hour,
    Day(TimeZone),
    Week(TimeZone),
    Month(TimeZone),
    Rolling(Millis),
    Fixed(Span),
    Total,
}

/// From the first moment inside to the first one outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Span {
    /// First moment inside.
    pub start: Millis,
    /// First moment outside; `i64::MAX` when there is none.
    pub end: Millis,
}

/// Why a text is not a window.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadWindow {
    /// Not a window.
    #[error(
        "unknown window '{0}': use hour, day, week, month, total, 'rolling 24h', or a span such as 2026-11-01..2026-12-01"
    )]
    Shape(String),
    /// The time zone is not known.
    #[error("unknown time zone '{0}': use a name such as Europe/Vienna or UTC")]
    Zone(String),
    /// A rolling span that is too short.
    #[error("a rolling window is at least one minute long")]
    TooShort,
    /// A span that ends before it begins.
    #[error("the span ends before it begins")]
    Backwards,
}

impl Window {
    /// All time, in one window.
    #[must_use]
    pub fn total() -> Self {
        Self { kind: Kind::Total, text: "total".to_owned() }
    }

    /// The window that a moment belongs to. None: the moment is outside of a fixed span, or outside of the calendar.
    /// A rolling window has no edges: its span is all time, and [`Self::slot`] says where an amount is counted.
    #[must_use]
    pub fn span(&self, at: Millis) -> Option<Span> {
        let all = Span { start: 0, end: Millis::MAX };
        match &self.kind {
            Kind::Hour => {
                let start = at - at.rem_euclid(HOUR);
                Some(Span { start, end: start + HOUR })
            }
            Kind::Day(zone) => calendar(at, zone, Some, |date| date.tomorrow().ok()),
            Kind::Week(zone) => calendar(at, zone, monday, |date| date.checked_add(1.week()).ok()),
            Kind::Month(zone) => {
                calendar(at, zone, |date| Some(date.first_of_month()), |date| date.checked_add(1.month()).ok())
            }
            Kind::Rolling(_) | Kind::Total => Some(all),
            Kind::Fixed(span) => (span.start <= at && at < span.end).then_some(*span),
        }
    }

    /// The length of a rolling window, in milliseconds. None: it is of another kind.
    #[must_use]
    pub const fn rolling(&self) -> Option<Millis> {
        match &self.kind {
            Kind::Rolling(length) => Some(*length),
            _ => None,
        }
    }

    /// Where an amount is counted: the start of the slot of a rolling window, of the window itself otherwise.
    #[must_use]
    pub fn slot(&self, at: Millis) -> Option<Millis> {
        match self.rolling() {
            Some(length) => Some(at - at.rem_euclid((length / SLOTS).max(1))),
            None => self.span(at).map(|span| span.start),
        }
    }

    /// The first slot of a rolling window that still counts at a moment: one that began within the span, or the one
    /// that the span's beginning lies in. Nothing is forgotten before its time.
    #[must_use]
    pub fn first_slot(&self, at: Millis) -> Option<Millis> {
        match self.rolling() {
            Some(length) => self.slot(at.saturating_sub(length)),
            None => self.slot(at),
        }
    }

    /// When it starts anew: the end of the window. None: never, or bit by bit, as what was spent leaves a rolling span;
    /// when that is depends on when it was spent.
    #[must_use]
    pub fn resets_at(&self, at: Millis) -> Option<Millis> {
        match self.rolling() {
            Some(_) => None,
            None => self.span(at).map(|span| span.end).filter(|end| *end != Millis::MAX),
        }
    }

    /// Whether two windows begin and end together, however they are written: `rolling 24h` and `rolling 1d`.
    #[must_use]
    pub fn is_same(&self, other: &Self) -> bool {
        self.kind == other.kind
    }

    /// The window in words that end a sentence: `a month`, `each rolling 24h`.
    #[must_use]
    pub fn words(&self) -> String {
        match &self.kind {
            Kind::Hour => "an hour".to_owned(),
            Kind::Day(_) => "a day".to_owned(),
            Kind::Week(_) => "a week".to_owned(),
            Kind::Month(_) => "a month".to_owned(),
            Kind::Rolling(_) => format!("within any {}", self.text.trim_start_matches("rolling ")),
            Kind::Fixed(_) => format!("from {}", self.text.replace("..", " to ")),
            Kind::Total => "in total".to_owned(),
        }
    }
}

fn monday(date: Date) -> Option<Date> {
    let back = date.weekday().since(Weekday::Monday);
    date.checked_sub(i64::from(back).days()).ok()
}

/// The span from the start of one calendar day to the start of another: days begin when the zone's clocks say so, be
/// it at midnight or, where midnight is skipped, after it.
fn calendar(
    at: Millis,
    zone: &TimeZone,
    first: impl FnOnce(Date) -> Option<Date>,
    next: impl FnOnce(Date) -> Option<Date>,
) -> Option<Span> {
    let begins = |date: Date| date.to_zoned(zone.clone()).ok().map(|start: Zoned| start.timestamp().as_millisecond());
    let today = Timestamp::from_millisecond(at).ok()?.to_zoned(zone.clone()).date();
    let first = first(today)?;
    Some(Span { start: begins(first)?, end: begins(next(first)?)? })
}

impl fmt::Display for Window {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl From<Window> for String {
    fn from(window: Window) -> Self {
        window.text
    }
}

impl TryFrom<String> for Window {
    type Error = BadWindow;

    fn try_from(text: String) -> Result<Self, BadWindow> {
        text.parse()
    }
}

impl FromStr for Window {
    type Err = BadWindow;

    fn from_str(text: &str) -> Result<Self, BadWindow> {
        let text = text.trim();
        let shape = || BadWindow::Shape(text.to_owned());
        if let Some((from, until)) = text.split_once("..") {
            let moment = |text: &str| times::moment(text).map_err(|_| shape());
            let span = Span { start: moment(from)?, end: moment(until)? };
            let text = format!("{}..{}", from.trim(), until.trim());
            return if span.start < span.end {
                Ok(Self { kind: Kind::Fixed(span), text })
            } else {
                Err(BadWindow::Backwards)
            };
        }
        let (word, rest) = text.split_once(char::is_whitespace).map_or((text, ""), |(word, rest)| (word, rest.trim()));
        let zone = || {
            let name = if rest.is_empty() { "UTC" } else { rest };
            TimeZone::get(name).map_err(|_| BadWindow::Zone(name.to_owned()))
        };
        let kind = match word {
            "day" => Kind::Day(zone()?),
            "week" => Kind::Week(zone()?),
            "month" => Kind::Month(zone()?),
            "rolling" => {
                let length = times::duration(rest).map_err(|_| shape())?;
                if length < SHORTEST {
                    return Err(BadWindow::TooShort);
                }
                Kind::Rolling(Millis::try_from(length).map_err(|_| shape())?)
            }
            "hour" if rest.is_empty() => Kind::Hour,
            "total" if rest.is_empty() => Kind::Total,
            _ => return Err(shape()),
        };
        let text = if rest.is_empty() { word.to_owned() } else { format!("{word} {rest}") };
        Ok(Self { kind, text })
    }
}

#[cfg(test)]
mod tests;
