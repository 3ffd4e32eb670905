//! Finds keys in text by the shapes of the catalogue. It tells where a key stands and what kind it is; it never keeps,
//! prints or returns the key itself.

mod concern;
mod detect;

pub use concern::Concern;
pub use detect::{Match, OURS, Shapes};
