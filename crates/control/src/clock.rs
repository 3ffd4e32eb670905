//! Where this room's time and randomness come from: one clock that tests can turn by hand, and the operating
//! system's generator. Nothing else here asks for either.

use keyward_domain::{Millis, api_token, token};
use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::{SystemTime, UNIX_EPOCH},
};

/// Tells the time.
#[derive(Clone)]
pub struct Clock(Source);

#[derive(Clone)]
enum Source {
    System,
    Manual(Arc<AtomicI64>),
}

impl Clock {
    /// The machine's clock.
    #[must_use]
    pub const fn system() -> Self {
        Self(Source::System)
    }

    /// A clock that stands still until it is set; for tests.
    #[must_use]
    pub fn manual(start: Millis) -> Self {
        Self(Source::Manual(Arc::new(AtomicI64::new(start))))
    }

    /// Moves a manual clock on; does nothing to the machine's clock.
    pub fn advance(&self, by: Millis) {
        if let Source::Manual(time) = &self.0 {
            time.fetch_add(by, Ordering::SeqCst);
        }
    }

    /// Milliseconds since 1970.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "this is the room's one clock")]
    pub fn now(&self) -> Millis {
        match &self.0 {
            Source::System => SystemTime::now()
                .duration_since(UNIX_EPOCH)
                .ok()
                .and_then(|since| Millis::try_from(since.as_millis()).ok())
                .unwrap_or(0),
            Source::Manual(time) => time.load(Ordering::SeqCst),
        }
    }
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Clock({})", self.now())
    }
}

/// The operating system has no random numbers to give.
#[derive(Debug, thiserror::Error)]
#[error("the operating system's random generator failed: {0}")]
pub struct NoRandomness(getrandom::Error);

/// Random bytes from the operating system.
///
/// # Errors
/// [`NoRandomness`] when the system's generator fails.
pub fn random<const N: usize>() -> Result<[u8; N], NoRandomness> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(NoRandomness)?;
    Ok(bytes)
}

/// A new token for the control API.
///
/// # Errors
/// [`NoRandomness`] when the system's generator fails.
pub fn new_api_token() -> Result<api_token::NewApiToken, NoRandomness> {
    loop {
        // The bytes run out once in 10^60 tries; then the next try has new ones.
        if let Some(token) = api_token::generate(&random()?) {
            return Ok(token);
        }
    }
}

/// A new virtual key; `public_id` is kept when an existing key gets a second secret.
///
/// # Errors
/// [`NoRandomness`] when the system's generator fails.
pub fn new_key(
    environment: keyward_domain::Environment,
    public_id: Option<token::PublicId>,
) -> Result<token::NewToken, NoRandomness> {
    loop {
        if let Some(key) = token::generate(environment, public_id, &random()?) {
            return Ok(key);
        }
    }
}
