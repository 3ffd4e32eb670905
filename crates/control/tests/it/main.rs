//! The control plane from outside: its API on a real database with a real vault and the real catalogue, and what the
//! gateway is told.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test stops at the first thing that is wrong"
)]

mod app;
mod backup;
mod budgets;
mod closed;
mod collect;
mod credentials;
mod keys;
mod leaks;
mod nodes;
mod pages;
mod projects;
mod rates;
mod reclaim;
mod tamper;
mod together;
mod tokens;
mod vault;
