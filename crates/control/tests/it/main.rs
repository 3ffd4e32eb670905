//! The control plane from outside: its API on a real database with a real vault and the real catalogue, and what the
//! gateway is told.

mod app;
mod backup;
mod closed;
mod collect;
mod credentials;
mod keys;
mod nodes;
mod pages;
mod projects;
mod tamper;
mod tokens;
mod vault;
