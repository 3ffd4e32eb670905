//! The one place that reads the process's environment (besides the options that the argument parser reads itself).

use std::{
    ffi::{OsStr, OsString},
    path::PathBuf,
};
use zeroize::Zeroizing;

/// What the environment says, read once at the start.
#[derive(Default)]
pub(crate) struct Environment {
    /// `KEYWARD_BOOTSTRAP_TOKEN`: the first owner's token, for automation.
    pub bootstrap_token: Option<Zeroizing<String>>,
    /// `XDG_DATA_HOME`.
    pub data_home: Option<PathBuf>,
    /// `HOME`.
    pub home: Option<PathBuf>,
    /// `CREDENTIALS_DIRECTORY`, which systemd sets for units that are given credentials.
    pub credentials_directory: Option<PathBuf>,
    /// Whether the process runs as root.
    pub is_root: bool,
    /// How the program was called, so that what it prints to paste calls it the same way.
    pub program: String,
}

impl Environment {
    /// Reads the environment.
    pub(crate) fn read() -> Self {
        let path = |name| variable(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        Self {
            bootstrap_token: variable("KEYWARD_BOOTSTRAP_TOKEN")
                .and_then(|value| value.into_string().ok())
                .filter(|value| !value.is_empty())
                .map(Zeroizing::new),
            data_home: path("XDG_DATA_HOME").filter(|path| path.is_absolute()),
            home: path("HOME"),
            credentials_directory: path("CREDENTIALS_DIRECTORY"),
            is_root: nix::unistd::geteuid().is_root(),
            program: std::env::args().next().unwrap_or_else(|| "keyward".to_owned()),
        }
    }

    /// A secret in a variable that the settings name.
    #[expect(clippy::unused_self, reason = "reading more of the environment needs the environment")]
    pub(crate) fn secret(&self, name: &str) -> Option<Zeroizing<String>> {
        variable(name)?.into_string().ok().filter(|value| !value.is_empty()).map(Zeroizing::new)
    }

    /// The platform's data folder: `$XDG_DATA_HOME/keyward`, `~/.local/share/keyward`, or `/var/lib/keyward` for a
    /// system service.
    pub(crate) fn data_folder(&self) -> Option<PathBuf> {
        if let Some(home) = &self.data_home {
            return Some(home.join("keyward"));
        }
        match &self.home {
            Some(home) => Some(home.join(".local/share/keyward")),
            None if self.is_root => Some(PathBuf::from("/var/lib/keyward")),
            None => None,
        }
    }
}

/// Whether a variable is set, to nothing.
pub(crate) fn is_empty(name: &OsStr) -> bool {
    variable(name).is_some_and(|value| value.is_empty())
}

#[expect(clippy::disallowed_methods, reason = "this is the one place that reads the environment")]
fn variable(name: impl AsRef<OsStr>) -> Option<OsString> {
    std::env::var_os(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_data_folder_follows_the_platform() {
        let home = |data_home: Option<&str>, home: Option<&str>, is_root| {
            let environment = Environment {
                data_home: data_home.map(PathBuf::from),
                home: home.map(PathBuf::from),
                is_root,
                ..Environment::default()
            };
            environment.data_folder().map(|path| path.display().to_string())
        };
        assert_eq!(home(Some("/data"), Some("/home/a"), false).as_deref(), Some("/data/keyward"));
        assert_eq!(home(None, Some("/home/a"), false).as_deref(), Some("/home/a/.local/share/keyward"));
        assert_eq!(home(None, None, true).as_deref(), Some("/var/lib/keyward"));
        assert_eq!(home(None, None, false), None);
    }
}
