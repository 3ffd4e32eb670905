//! Providers, prices and key shapes as data: one TOML file per provider, read into the types of `keyward_domain`.
//! This room never touches the network and holds no code for a single provider.
//!
//! An operator's folder may hold `providers/*.toml`, each of which adds or replaces a whole provider, and
//! `prices/*.toml`, whose entries win over those of the same provider and model.

pub mod check;
pub mod example;
mod keys;
mod load;
pub mod path;
pub mod prices;
pub mod probing;
pub mod reading;
pub mod sample;
mod shape;
pub mod summary;
pub mod template;

pub use check::Problem;
pub use keys::Keys;
pub use load::{Catalogue, Error};
pub use shape::Shape;

mod embedded {
    //! The files of this room, as the build script listed them.
    include!(concat!(env!("OUT_DIR"), "/embedded.rs"));
}
