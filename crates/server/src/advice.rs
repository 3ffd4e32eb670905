//! What to do about an error, kept beside what is wrong: the program says the one after `hint:` and the other after
//! `error:`.

use std::{error::Error, fmt};

/// An error with its remedy. In a chain of causes it reads as the error alone.
#[derive(Debug)]
struct Advised {
    error: anyhow::Error,
    hint: String,
}

impl fmt::Display for Advised {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.error.fmt(f)
    }
}

impl Error for Advised {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.error.source()
    }
}

/// Adds a remedy to an error on its way up.
pub(crate) trait Advise<T> {
    /// The same, with what to do about it when it failed.
    ///
    /// # Errors
    /// The same as before.
    fn hint(self, hint: impl Into<String>) -> anyhow::Result<T>;
}

impl<T, E: Into<anyhow::Error>> Advise<T> for Result<T, E> {
    fn hint(self, hint: impl Into<String>) -> anyhow::Result<T> {
        self.map_err(|error| anyhow::Error::new(Advised { error: error.into(), hint: hint.into() }))
    }
}

/// A new error and its remedy.
pub(crate) fn advised(error: impl fmt::Display, hint: impl Into<String>) -> anyhow::Error {
    anyhow::Error::new(Advised { error: anyhow::anyhow!("{error}"), hint: hint.into() })
}

/// The remedies in an error and its causes, the outermost first.
pub(crate) fn hints(error: &anyhow::Error) -> Vec<String> {
    error.chain().filter_map(|cause| cause.downcast_ref::<Advised>()).map(|advised| advised.hint.clone()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::Context;

    #[test]
    fn a_remedy_does_not_show_in_the_error_and_is_found_below_it() {
        let inner: anyhow::Result<()> = Err(std::io::Error::other("no disk")).context("writing").hint("buy a disk");
        let error = inner.context("starting").expect_err("it failed");
        assert_eq!(format!("{error:#}"), "starting: writing: no disk");
        assert_eq!(hints(&error), ["buy a disk"]);
        let error = advised("too late", "come earlier");
        assert_eq!((format!("{error:#}"), hints(&error)), ("too late".to_owned(), vec!["come earlier".to_owned()]));
        assert!(hints(&anyhow::anyhow!("no way out")).is_empty());
    }
}
