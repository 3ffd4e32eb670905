//! Where the master key comes from, as said in the settings: a file, a passphrase, a systemd credential or the
//! environment.

use crate::advice::{Advise, advised};
use anyhow::Context;
use std::{fmt, path::PathBuf};

/// How to write one.
const FORMS: &str = "write file:PATH, passphrase, passphrase-fd:N, systemd:NAME or env:VARIABLE";

/// A place to keep the master key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Source {
    /// A file of mode 0600.
    File(PathBuf),
    /// Derived from a passphrase typed at the terminal.
    Passphrase,
    /// Derived from a passphrase read from an open file descriptor.
    PassphraseDescriptor(i32),
    /// A systemd credential.
    Systemd(String),
    /// An environment variable.
    Variable(String),
}

impl Source {
    /// Reads `file:PATH`, `passphrase`, `passphrase-fd:N`, `systemd:NAME` or `env:VARIABLE`.
    ///
    /// # Errors
    /// When it is none of these.
    pub(crate) fn parse(text: &str) -> anyhow::Result<Self> {
        let (kind, rest) = text.split_once(':').unwrap_or((text, ""));
        Ok(match (kind, rest) {
            ("passphrase", "") => Self::Passphrase,
            (_, "") => return Err(advised(format!("--master-key: '{text}' is not a place to keep a key"), FORMS)),
            ("file", path) => {
                Self::File(std::path::absolute(path).with_context(|| format!("the master key file '{path}'"))?)
            }
            ("passphrase-fd", number) => Self::PassphraseDescriptor(
                number
                    .parse()
                    .ok()
                    .filter(|number| *number >= 0)
                    .with_context(|| format!("--master-key: '{number}' is not the number of a file descriptor"))
                    .hint(FORMS)?,
            ),
            ("systemd", name) => Self::Systemd(name.to_owned()),
            ("env", name) => Self::Variable(name.to_owned()),
            _ => return Err(advised(format!("--master-key: '{kind}' is no kind of place to keep a key"), FORMS)),
        })
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(f, "file:{}", path.display()),
            Self::Passphrase => f.write_str("passphrase"),
            Self::PassphraseDescriptor(number) => write!(f, "passphrase-fd:{number}"),
            Self::Systemd(name) => write!(f, "systemd:{name}"),
            Self::Variable(name) => write!(f, "env:{name}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_read_back_and_mistakes_are_named() {
        for text in ["file:/etc/keyward/master.key", "passphrase", "passphrase-fd:3", "systemd:master", "env:MASTER"] {
            assert_eq!(Source::parse(text).expect(text).to_string(), text);
        }
        for text in ["", "file:", "passphrase-fd:x", "passphrase-fd:-1", "kms:key", "passphrase:secret"] {
            assert!(Source::parse(text).is_err(), "{text}");
        }
    }
}
