//! Hours in which a key works: weekly windows in a named time zone, such as `mon-fri 08:00-18:00 Europe/Vienna`.

use crate::Millis;
use jiff::{Timestamp, civil::Weekday, tz::TimeZone};
use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};

const DAYS: [(&str, Weekday); 7] = [
    ("mon", Weekday::Monday),
    ("tue", Weekday::Tuesday),
    ("wed", Weekday::Wednesday),
    ("thu", Weekday::Thursday),
    ("fri", Weekday::Friday),
    ("sat", Weekday::Saturday),
    ("sun", Weekday::Sunday),
];

/// When a key works. Written and stored as text; read once, then compared by arithmetic alone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Hours {
    /// One flag per weekday, Monday first.
    days: [bool; 7],
    /// Minutes after local midnight, first one inside.
    from: u16,
    /// Minutes after local midnight, first one outside. Not after `from`: the window runs over midnight.
    to: u16,
    zone: TimeZone,
    text: String,
}

/// Why a text is not a set of hours.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadHours {
    /// The three parts are not there.
    #[error("write hours as DAYS FROM-TO ZONE, for example 'mon-fri 08:00-18:00 Europe/Vienna'")]
    Shape,
    /// A day is not one.
    #[error("unknown day '{0}': use mon, tue, wed, thu, fri, sat, sun, a range such as mon-fri, or daily")]
    Day(String),
    /// A time is not one.
    #[error("unknown time '{0}': use HH:MM between 00:00 and 24:00")]
    Time(String),
    /// The time zone is not known.
    #[error("unknown time zone '{0}': use a name such as Europe/Vienna or UTC")]
    Zone(String),
}

impl Hours {
    /// Whether the key works at this moment.
    #[must_use]
    pub fn contain(&self, now: Millis) -> bool {
        let Ok(at) = Timestamp::from_millisecond(now) else { return false };
        let local = at.to_zoned(self.zone.clone());
        let minute = u16::try_from(local.hour()).unwrap_or(0) * 60 + u16::try_from(local.minute()).unwrap_or(0);
        let today = usize::try_from(local.weekday().to_monday_zero_offset()).unwrap_or(0);
        let on = |day: usize| self.days.get(day % 7).copied().unwrap_or(false);
        if self.from < self.to {
            on(today) && (self.from..self.to).contains(&minute)
        } else {
            (on(today) && minute >= self.from) || (on(today + 6) && minute < self.to)
        }
    }
}

impl fmt::Display for Hours {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl From<Hours> for String {
    fn from(hours: Hours) -> Self {
        hours.text
    }
}

impl TryFrom<String> for Hours {
    type Error = BadHours;

    fn try_from(text: String) -> Result<Self, BadHours> {
        text.parse()
    }
}

impl FromStr for Hours {
    type Err = BadHours;

    fn from_str(text: &str) -> Result<Self, BadHours> {
        let mut parts = text.split_ascii_whitespace();
        let (Some(days), Some(span), Some(zone), None) = (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(BadHours::Shape);
        };
        let (from, to) = span.split_once('-').ok_or(BadHours::Shape)?;
        let zone_found = TimeZone::get(zone).map_err(|_| BadHours::Zone(zone.to_owned()))?;
        let (from, to) = (minutes(from)?, minutes(to)?);
        if from == 24 * 60 {
            return Err(BadHours::Time("24:00".to_owned()));
        }
        Ok(Self { days: read_days(days)?, from, to, zone: zone_found, text: format!("{days} {span} {zone}") })
    }
}

fn read_days(text: &str) -> Result<[bool; 7], BadHours> {
    let index =
        |name: &str| DAYS.iter().position(|(short, _)| *short == name).ok_or_else(|| BadHours::Day(name.to_owned()));
    let mut days = [false; 7];
    if text == "daily" {
        return Ok([true; 7]);
    }
    for part in text.split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last) = (index(first)?, index(last)?);
        let length = (last + 7 - first) % 7;
        for day in first..=first + length {
            if let Some(slot) = days.get_mut(day % 7) {
                *slot = true;
            }
        }
    }
    Ok(days)
}

fn minutes(text: &str) -> Result<u16, BadHours> {
    let bad = || BadHours::Time(text.to_owned());
    let (hour, minute) = text.split_once(':').ok_or_else(bad)?;
    let (hour, minute): (u16, u16) = (hour.parse().map_err(|_| bad())?, minute.parse().map_err(|_| bad())?);
    let total = hour.checked_mul(60).and_then(|hours| hours.checked_add(minute)).ok_or_else(bad)?;
    if minute < 60 && total <= 24 * 60 { Ok(total) } else { Err(bad()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Millis {
        text.parse::<Timestamp>().expect("a time").as_millisecond()
    }

    #[test]
    fn windows_follow_the_zone_and_its_summer_time() {
        let hours: Hours = "mon-fri 08:00-18:00 Europe/Vienna".parse().expect("hours");
        for (when, inside) in [
            ("2026-01-05T07:00:00Z", true),
            ("2026-01-05T06:59:00Z", false),
            ("2026-07-06T06:00:00Z", true),
            ("2026-07-06T16:00:00Z", false),
            ("2026-07-05T10:00:00Z", false),
        ] {
            assert_eq!(hours.contain(at(when)), inside, "{when}");
        }
    }

    #[test]
    fn a_window_may_run_over_midnight() {
        let hours: Hours = "fri 22:00-02:00 UTC".parse().expect("hours");
        for (when, inside) in [
            ("2026-01-09T23:00:00Z", true),
            ("2026-01-10T01:59:00Z", true),
            ("2026-01-10T02:00:00Z", false),
            ("2026-01-09T01:00:00Z", false),
        ] {
            assert_eq!(hours.contain(at(when)), inside, "{when}");
        }
    }

    #[test]
    fn whole_days_and_wrapped_ranges() {
        let all: Hours = "daily 00:00-24:00 UTC".parse().expect("hours");
        assert!(all.contain(at("2026-03-01T23:59:59Z")));
        let weekend: Hours = "sat-mon 00:00-24:00 UTC".parse().expect("hours");
        assert!(weekend.contain(at("2026-01-04T12:00:00Z")));
        assert!(!weekend.contain(at("2026-01-06T12:00:00Z")));
    }

    #[test]
    fn mistakes_are_named() {
        for (text, error) in [
            ("mon-fri 08:00-18:00", BadHours::Shape),
            ("mo 08:00-18:00 UTC", BadHours::Day("mo".into())),
            ("mon 25:00-26:00 UTC", BadHours::Time("25:00".into())),
            ("mon 08:00-18:00 Mars/Base", BadHours::Zone("Mars/Base".into())),
        ] {
            assert_eq!(text.parse::<Hours>(), Err(error));
        }
    }
}
