//! Repositories as git itself makes them: every place a secret can hide in, broken ones, and ones that change underneath.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod broken;
mod kit;
mod names;
mod places;
mod push;
mod range;
mod staged;
