//! The one error of the client: what went wrong, what to do about it, and which exit status says so. Texts never hold
//! a secret.

use std::{fmt::Display, io, process::ExitCode};

/// How a command ended when it did not fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Yes, or done.
    Yes,
    /// The answer to the question is no: an invalid key, problems found, a failed proof.
    No,
    /// There is no answer: something was left undone, such as a file that could not be scanned. Said by the result.
    Incomplete,
}

/// What kind of failure it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The answer is no, and there is nothing but this message to say about it.
    No,
    /// The command was given wrongly.
    Usage,
    /// Something did not work.
    Failed,
    /// Whoever read our output went away (`| head`): nobody is left to be told.
    Closed,
}

/// A failure, as it is shown and as it decides the exit status.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// What kind.
    pub kind: Kind,
    /// What went wrong, without a full stop.
    pub error: String,
    /// What to do about it, one line each.
    pub hints: Vec<String>,
    /// What tells it apart for the program: the server's stable code when the server refused.
    pub code: Option<String>,
}

impl Failure {
    fn new(kind: Kind, error: impl Display) -> Self {
        Self { kind, error: error.to_string(), hints: Vec::new(), code: None }
    }

    /// Something did not work.
    pub fn failed(error: impl Display) -> Self {
        Self::new(Kind::Failed, error)
    }

    /// The command was given wrongly.
    pub fn usage(error: impl Display) -> Self {
        Self::new(Kind::Usage, error)
    }

    /// The answer is no.
    pub fn no(error: impl Display) -> Self {
        Self::new(Kind::No, error)
    }

    /// Writing to standard output did not work.
    pub fn output(error: &io::Error) -> Self {
        let kind = if error.kind() == io::ErrorKind::BrokenPipe { Kind::Closed } else { Kind::Failed };
        Self::new(kind, format!("cannot write the output: {error}"))
    }

    /// Lets a closed reader pass: a command whose exit status is an answer gives it whether or not somebody reads the rest.
    ///
    /// # Errors
    /// When it did not work for any other reason.
    pub(crate) fn unless_closed(written: Result<(), Self>) -> Result<(), Self> {
        written.or_else(|failure| if failure.kind == Kind::Closed { Ok(()) } else { Err(failure) })
    }

    /// The same failure with advice.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }

    /// The same failure with a code.
    #[must_use]
    pub fn with_code(mut self, code: impl Into<String>) -> Self {
        self.code = Some(code.into());
        self
    }

    /// Whether the failure has this code.
    #[must_use]
    pub fn has_code(&self, code: &str) -> bool {
        self.code.as_deref() == Some(code)
    }

    /// The exit status: 0 yes, 1 the answer is no, 2 usage or failure.
    #[must_use]
    pub fn exit(&self) -> ExitCode {
        ExitCode::from(self.status())
    }

    /// The exit status as a number.
    #[must_use]
    pub const fn status(&self) -> u8 {
        match self.kind {
            Kind::Closed => 0,
            Kind::No => 1,
            Kind::Usage | Kind::Failed => 2,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_exit_status_follows_the_kind() {
        assert_eq!(Failure::no("x").status(), 1);
        assert_eq!(Failure::usage("x").status(), 2);
        assert_eq!(Failure::failed("x").status(), 2);
        assert_eq!(Failure::output(&io::ErrorKind::BrokenPipe.into()).status(), 0);
        assert_eq!(Failure::output(&io::ErrorKind::StorageFull.into()).status(), 2);
    }
}
