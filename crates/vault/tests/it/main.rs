//! The vault from outside: the stored formats, the life of a keyring over crashes, and what the types must not offer.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests, where a panic is the failure")]

mod crashes;
mod formats;
mod hardening;
mod walls;
