//! What the server's commands print for people and scripts: results to the standard output, everything else to the
//! standard error stream. A reader that goes away is no error.

use std::io::Write;

/// Prints one line of result.
pub(crate) fn result(line: &str) {
    let mut out = std::io::stdout().lock();
    drop(writeln!(out, "{line}").and_then(|()| out.flush()));
}

/// Prints one line for the person at the terminal.
pub(crate) fn notice(line: &str) {
    drop(writeln!(std::io::stderr().lock(), "{line}"));
}
