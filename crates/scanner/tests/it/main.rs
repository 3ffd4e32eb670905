//! The scanner on real files, made by real tools.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on fails")]

mod columns;
mod documents;
mod hostile;
mod packed;
mod rows;
mod support;
mod texts;
mod tree;
