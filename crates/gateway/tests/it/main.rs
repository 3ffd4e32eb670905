//! The gateway from outside: real sockets on both sides, a provider that each test plays by hand.

#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that cannot go on says so")]

mod bodies;
mod budgets;
mod calls;
mod hangups;
mod house;
mod lender;
mod sockets;
mod stopping;
