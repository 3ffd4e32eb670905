//! The product from outside: the real binary, real sockets, emulated providers. What `ARCHITECTURE.md` calls invariants is
//! tried here end to end. Every test has its own server and data; none waits by the clock.

#![expect(
    clippy::expect_used,
    clippy::panic,
    reason = "the tests' helpers fail a test as the tests themselves do: by a panic"
)]

mod canary;
mod connections;
mod country;
mod crash;
mod failover;
mod first_run;
mod golden;
mod matrix;
mod operators;
mod ownership;
mod postgres;
mod records;
mod revocation;
mod sdk;
mod shapes;
mod sources;
mod storage;
mod streaming;
mod tampering;
mod transparency;
mod transport;
mod uploads;
mod world;
