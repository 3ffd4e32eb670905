//! The product from outside: the real binary, real sockets, emulated providers. What `DESIGN.md` calls invariants is
//! tried here end to end. Every test has its own server and data; none waits by the clock.

mod canary;
mod connections;
mod crash;
mod failover;
mod first_run;
mod golden;
mod matrix;
mod ownership;
mod revocation;
mod sdk;
mod streaming;
mod tampering;
mod transport;
mod uploads;
mod world;
