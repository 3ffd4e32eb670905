//! The gateway from outside: real sockets on both sides, a provider that each test plays by hand.

mod bodies;
mod calls;
mod house;
mod sockets;
mod stopping;
