//! What the tests stand on: provider emulators, a driver for the real `keyward` binary, clients that send exactly what
//! they are told, a private PostgreSQL, a disk that fills up and a clock that jumps when told to, and a search for marked
//! keys. Never linked into the product.
//!
//! Everything here is synchronous for its caller: an emulator runs on a thread of its own, and waiting is done on
//! conditions with a bound, never by sleeping for a while and hoping.

pub mod calls;
pub mod canary;
pub mod cli;
pub mod clock;
pub mod disk;
pub mod emulator;
pub mod encode;
pub mod keys;
pub mod mmdb;
pub mod other_wires;
pub mod postgres;
pub mod random;
pub mod sdk;
pub mod server;
pub mod terminal;
pub mod tls;
pub mod volume;
pub mod wire;

pub use emulator::{Emulator, Gate, Script, State};
pub use keys::Service;
pub use postgres::Postgres;
pub use server::Keyward;

use std::time::Duration;

/// How long anything is waited for before a test gives up. Far more than it takes, so that only a fault reaches it.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// Where `needle` first stands in `hay`.
#[must_use]
pub fn find(hay: &[u8], needle: &[u8]) -> Option<usize> {
    hay.windows(needle.len()).position(|window| window == needle)
}
