//! The client against a server that plays the control API: what is sent, what is shown, and what never is.

#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that cannot go on fails")]

mod budgets;
mod connection;
mod fake;
mod files;
mod output;
mod scanning;
mod secrets;
