//! A handshake between an emulator and a test: the emulator stops at the gate, the test sees that it is there and lets
//! it go on. No test needs to guess how long something takes.

use crate::PATIENCE;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use tokio::sync::watch;

/// A point at which an emulator waits until the test says go. Once open it stays open.
#[derive(Debug)]
pub struct Gate {
    reached: Mutex<usize>,
    arrived: Condvar,
    open: watch::Sender<bool>,
}

impl Gate {
    /// A closed gate.
    #[must_use]
    pub fn new() -> Arc<Self> {
        Arc::new(Self { reached: Mutex::new(0), arrived: Condvar::new(), open: watch::Sender::new(false) })
    }

    /// Lets everyone through, now and later.
    pub fn open(&self) {
        self.open.send_replace(true);
    }

    /// Waits until an emulator stands at the gate.
    ///
    /// # Panics
    /// When none arrives in time.
    pub fn wait_reached(&self) {
        self.wait_reached_by(1);
    }

    /// Waits until `count` answers stand, or have stood, at the gate.
    ///
    /// # Panics
    /// When fewer arrive in time.
    pub fn wait_reached_by(&self, count: usize) {
        let reached = self.reached.lock().unwrap_or_else(PoisonError::into_inner);
        let (reached, waited) = self
            .arrived
            .wait_timeout_while(reached, PATIENCE, |reached| *reached < count)
            .unwrap_or_else(PoisonError::into_inner);
        assert!(!waited.timed_out(), "{} of {count} answers reached the gate in {PATIENCE:?}", *reached);
    }

    /// Says that the emulator is here and waits for the gate to open.
    pub(crate) async fn pass(&self) {
        *self.reached.lock().unwrap_or_else(PoisonError::into_inner) += 1;
        self.arrived.notify_all();
        // The sender is `self`, so the channel cannot close while this waits.
        let mut watching = self.open.subscribe();
        let _still_open = watching.wait_for(|open| *open).await;
    }
}
