//! When something ends, as people say it: `expires_in` a duration, or `expires_at` a moment.

use crate::error::{Answer, ApiError};
use keyward_domain::{Millis, times};
use serde::{Deserialize, Deserializer};

/// Reads a field that may be left out, null, or given: three different things.
pub(crate) fn given<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Option<String>>, D::Error> {
    Option::deserialize(deserializer).map(Some)
}

/// The moment that a record ends; none: never.
///
/// # Errors
/// 400 when both are given, when one cannot be read, or when the moment has passed.
pub(crate) fn ending(expires_in: Option<&str>, expires_at: Option<&str>, now: Millis) -> Answer<Option<Millis>> {
    let end = match (expires_in, expires_at) {
        (None, None) => return Ok(None),
        (Some(_), Some(_)) => {
            return Err(ApiError::invalid("invalid_expiry", "give expires_in or expires_at, not both"));
        }
        (Some(duration), None) => {
            let millis = times::duration(duration).map_err(|error| field("expires_in", &error))?;
            now.saturating_add(Millis::try_from(millis).unwrap_or(Millis::MAX))
        }
        (None, Some(moment)) => times::moment(moment).map_err(|error| field("expires_at", &error))?,
    };
    if end <= now {
        return Err(
            ApiError::invalid("invalid_expiry", "the end is not in the future").hint("to stop a key now, revoke it")
        );
    }
    Ok(Some(end))
}

fn field(name: &str, error: &times::BadTime) -> ApiError {
    ApiError::invalid("invalid_expiry", format!("{name}: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends_are_in_the_future_and_said_once() {
        assert_eq!(ending(None, None, 5).unwrap(), None);
        assert_eq!(ending(Some("1s"), None, 5).unwrap(), Some(1_005));
        assert_eq!(ending(None, Some("1970-01-01T00:00:06Z"), 5).unwrap(), Some(6_000));
        for (duration, moment) in [
            (Some("1s"), Some("2027-01-01")),
            (Some("soon"), None),
            (None, Some("soon")),
            (None, Some("1970-01-01")),
            (Some("0s"), None),
        ] {
            assert_eq!(ending(duration, moment, 5).unwrap_err().code(), "invalid_expiry", "{duration:?} {moment:?}");
        }
    }
}
