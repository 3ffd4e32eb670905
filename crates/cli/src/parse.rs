//! Reading what people type: sizes, durations, networks, countries, moments. Each error says what would have been right.

use ipnet::IpNet;
use keyward_domain::{Millis, hours::Hours, times};
use std::net::IpAddr;

/// Units of size and how many bytes they are.
const UNITS: [(&str, u64); 8] = [
    ("", 1),
    ("b", 1),
    ("kb", 1_000),
    ("kib", 1 << 10),
    ("mb", 1_000_000),
    ("mib", 1 << 20),
    ("gb", 1_000_000_000),
    ("gib", 1 << 30),
];

/// A size in bytes: `32MiB`, `500kB`, `1048576`.
///
/// # Errors
/// When it is not one; the text says how to write it.
pub(crate) fn size(text: &str) -> Result<u64, String> {
    let text = text.trim();
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let unit = unit.trim().to_ascii_lowercase();
    let factor = UNITS.into_iter().find(|(name, _)| *name == unit).map(|(_, factor)| factor);
    factor
        .and_then(|factor| number.parse::<u64>().ok()?.checked_mul(factor))
        .filter(|bytes| *bytes > 0)
        .ok_or_else(|| "not a size: write it like 32MiB, 500kB or 1048576".to_owned())
}

/// A duration in milliseconds: `30d`, `24h`, `1h30m`.
///
/// # Errors
/// When it is not one; the text says how to write it.
pub(crate) fn duration(text: &str) -> Result<u64, String> {
    times::duration(text).map_err(|error| error.to_string())
}

/// A network: `10.0.0.0/8`, `2001:db8::/32`, or a single address.
///
/// # Errors
/// When it is not one; the text says how to write it.
pub(crate) fn network(text: &str) -> Result<IpNet, String> {
    let text = text.trim();
    let network = text.parse::<IpNet>().or_else(|error| text.parse::<IpAddr>().map(IpNet::from).map_err(|_| error));
    match network {
        Ok(network) if network.addr() != network.network() => {
            Err(format!("there are bits set after the prefix: did you mean {}?", network.trunc()))
        }
        Ok(network) => Ok(network),
        Err(_) => Err("not a network: write it like 10.0.0.0/8, 192.168.1.7 or 2001:db8::/32".to_owned()),
    }
}

/// A country's two letters, upper case.
///
/// # Errors
/// When it is not two letters.
pub(crate) fn country(text: &str) -> Result<String, String> {
    let text = text.trim().to_ascii_uppercase();
    let fits = text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_uppercase());
    if fits { Ok(text) } else { Err("not a country: write its two letters, such as AT or DE".to_owned()) }
}

/// Hours: `mon-fri 08:00-18:00 Europe/Vienna`.
///
/// # Errors
/// When they are none; the text says how to write them.
pub(crate) fn hours(text: &str) -> Result<Hours, String> {
    text.parse::<Hours>().map_err(|error| error.to_string())
}

/// A moment in the past: how long ago (`24h`), a date or RFC 3339. Returned as it was written: the server reads it
/// with its own clock.
///
/// # Errors
/// When it is none; the text says how to write it.
pub(crate) fn since(text: &str) -> Result<String, String> {
    times::since(text, 0).map(|_: Millis| text.trim().to_owned()).map_err(|error| error.to_string())
}

/// When something ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum End {
    /// So long from now, as it was written: the server counts from its own clock.
    In(String),
    /// At a moment, RFC 3339 in UTC.
    At(String),
    /// Not at all.
    Never,
}

/// When something ends: `30d`, `2027-01-31`, RFC 3339, or `never`.
///
/// # Errors
/// When it is none of these; the text says how to write it.
pub(crate) fn end(text: &str) -> Result<End, String> {
    let text = text.trim();
    if text == "never" {
        return Ok(End::Never);
    }
    match times::duration(text) {
        Ok(0) => Err("that is now: write a longer duration".to_owned()),
        Ok(_) => Ok(End::In(text.to_owned())),
        Err(times::BadTime::TooLong) => Err(times::BadTime::TooLong.to_string()),
        Err(times::BadTime::Duration | times::BadTime::Moment) => {
            times::moment(text).map(|at| End::At(times::show(at))).map_err(|error| error.to_string())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        for (text, bytes) in
            [("32MiB", 32 << 20), ("500kB", 500_000), ("1048576", 1 << 20), ("1 GiB", 1 << 30), ("7b", 7)]
        {
            assert_eq!(size(text), Ok(bytes), "{text}");
        }
        for text in ["", "MiB", "1.5MiB", "-1", "5 apples", "0", "99999999999GiB"] {
            assert!(size(text).is_err(), "{text}");
        }
    }

    #[test]
    fn networks() {
        for (text, shown) in [("10.0.0.0/8", "10.0.0.0/8"), ("192.168.1.7", "192.168.1.7/32"), ("::1", "::1/128")] {
            assert_eq!(network(text).map(|network| network.to_string()), Ok(shown.to_owned()), "{text}");
        }
        assert!(network("10.1.0.0/8").unwrap_err().contains("10.0.0.0/8"));
        for text in ["", "10.0.0.0/33", "example.com", "10.0.0"] {
            assert!(network(text).is_err(), "{text}");
        }
    }

    #[test]
    fn ends() {
        assert_eq!(end("30d"), Ok(End::In("30d".into())));
        assert_eq!(end("2027-01-31"), Ok(End::At("2027-01-31T00:00:00Z".into())));
        assert_eq!(end("2027-01-31T12:00:00+01:00"), Ok(End::At("2027-01-31T11:00:00Z".into())));
        assert_eq!(end("never"), Ok(End::Never));
        for text in ["", "30", "soon", "0d", "200000d"] {
            assert!(end(text).is_err(), "{text}");
        }
    }

    #[test]
    fn countries_and_past_moments() {
        assert_eq!(country("at"), Ok("AT".to_owned()));
        assert!(country("AUT").is_err() && country("a1").is_err());
        assert_eq!(since("24h"), Ok("24h".to_owned()));
        assert!(since("yesterday").is_err());
    }
}
