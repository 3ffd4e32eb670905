//! The product from outside: the real binary, real sockets, emulated providers. What `ARCHITECTURE.md` calls invariants is
//! tried here end to end. Every test has its own server and data; none waits by the clock.

#![expect(
    clippy::expect_used,
    clippy::panic,
    reason = "the tests' helpers fail a test as the tests themselves do: by a panic"
)]

mod books;
mod canary;
mod checking;
mod clocks;
mod connections;
mod country;
mod crash;
mod crash_of_budgets;
mod failover;
mod faults;
mod first_run;
mod golden;
mod hooks;
mod hostile;
mod jobs;
mod leaks;
mod matrix;
mod operators;
mod ownership;
mod postgres;
mod records;
mod repository;
mod revocation;
mod scanning;
mod sdk;
mod shapes;
mod sources;
mod spending;
mod storage;
mod streaming;
mod tampering;
mod transparency;
mod transport;
mod uploads;
mod world;
