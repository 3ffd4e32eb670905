//! The emulators against the vendors' own SDKs and against the failure matrix: before the product is tested with
//! them, they are tested themselves.

mod matrix;
mod program;
mod sdk;
mod streams;
