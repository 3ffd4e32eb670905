//! How fast a provider is asked: a few calls at once, and a moment between one and the next.

use std::time::Duration;
use tokio::{
    sync::{Mutex, Semaphore, SemaphorePermit},
    time::{Instant, sleep_until},
};

/// How many calls to one provider are under way at once.
const AT_ONCE: usize = 4;
/// How long after a call the next one may begin.
const APART: Duration = Duration::from_millis(60);

/// One provider's pace.
pub(super) struct Pace {
    places: Semaphore,
    next: Mutex<Option<Instant>>,
}

impl Default for Pace {
    fn default() -> Self {
        Self { places: Semaphore::new(AT_ONCE), next: Mutex::new(None) }
    }
}

impl Pace {
    /// Waits for a turn. It ends when what is returned is dropped.
    pub(super) async fn turn(&self) -> Option<SemaphorePermit<'_>> {
        // The semaphore is never closed.
        let place = self.places.acquire().await.ok();
        let mut next = self.next.lock().await;
        if let Some(at) = *next {
            sleep_until(at).await;
        }
        *next = Some(Instant::now() + APART);
        place
    }
}
