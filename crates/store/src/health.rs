//! Whether the store may be trusted and written to. A damaged database stays damaged until the program starts anew;
//! a full disk, or one that can only be read, is over as soon as a write succeeds.

use crate::Error;
use std::sync::{Mutex, PoisonError};

/// The store's condition, for status pages and readiness.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Health {
    /// All is well.
    Sound,
    /// The last write found no room. Writes are tried again each time.
    DiskFull,
    /// The last write was refused because the database can only be read. Writes are tried again each time.
    ReadOnly,
    /// Damage was found. Nothing is written any more.
    Corrupt {
        /// What was found.
        detail: String,
    },
}

/// The condition, shared by everything that talks to the database.
#[derive(Debug)]
pub(crate) struct Condition(Mutex<Health>);

impl Condition {
    pub(crate) fn new() -> Self {
        Self(Mutex::new(Health::Sound))
    }

    pub(crate) fn now(&self) -> Health {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Refuses writes to a damaged database.
    pub(crate) fn writable(&self) -> Result<(), Error> {
        match self.now() {
            Health::Corrupt { detail } => Err(Error::Corrupt { detail }),
            Health::Sound | Health::DiskFull | Health::ReadOnly => Ok(()),
        }
    }

    /// Takes note of what an error says about the database.
    pub(crate) fn note(&self, error: &Error) {
        let found = match error {
            Error::Corrupt { detail } => Health::Corrupt { detail: detail.clone() },
            Error::DiskFull => Health::DiskFull,
            Error::ReadOnly => Health::ReadOnly,
            _ => return,
        };
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if *held != found && !matches!(*held, Health::Corrupt { .. }) {
            tracing::error!(condition = ?found, "the database refuses writes");
            *held = found;
        }
    }

    /// Takes note of a write that succeeded.
    pub(crate) fn wrote(&self) {
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if matches!(*held, Health::DiskFull | Health::ReadOnly) {
            tracing::warn!("the database accepts writes again");
            *held = Health::Sound;
        }
    }
}
