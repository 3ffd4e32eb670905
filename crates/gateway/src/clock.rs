//! The room's one clock. Everything else gets the time as an argument; nothing here decides anything.

use keyward_domain::Millis;
use std::time::{SystemTime, UNIX_EPOCH};
use tokio::time::Instant;

/// The wall clock, in milliseconds since 1970. For records and expiry, never for measuring.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "the one place where this room reads the wall clock")]
pub(crate) fn now() -> Millis {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .ok()
        .and_then(|since| Millis::try_from(since.as_millis()).ok())
        .unwrap_or(0)
}

/// The steady clock, for measuring and for deadlines. Tests can pause it.
#[must_use]
pub(crate) fn instant() -> Instant {
    Instant::now()
}
