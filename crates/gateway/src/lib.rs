//! The hot path: admit a call, open the credential, relay, meter. Knows neither the store nor SQL nor the control plane.

mod account;
mod alone;
mod call;
mod clock;
mod coarse;
mod drain;
mod listen;
mod random;
mod relay;
mod serve;
mod spare;
mod stream;
mod ward;
mod websocket;
mod worker;

pub mod admit;
pub mod eventstream;
pub mod frames;
pub mod geo;
pub mod inbound;
pub mod inspect;
pub mod journal;
pub mod lender;
pub mod live;
pub mod meter;
pub mod metrics;
pub mod near;
pub mod objects;
pub mod purse;
pub mod redact;
pub mod respond;
pub mod settings;
pub mod sse;
pub mod tables;
pub mod tap;
pub mod tls;
pub mod unpack;
mod upload;
mod upstream;

#[cfg(test)]
extern crate self as keyward_gateway;
#[cfg(test)]
#[path = "../tests/it/lender.rs"]
mod test_lender;

pub use serve::{Error, Gateway, StopReport};
pub use settings::{Limits, Settings, TlsFiles};
pub use upstream::{Origin, OriginError, tls::TlsError};
