//! Master keys that somebody else keeps and gives us: a systemd credential, an environment variable.
//! The server can read them and never write them.

use super::{Guard, MasterKeySource, read_secret};
use crate::{Error, MasterKey};
use std::path::PathBuf;
use zeroize::Zeroizing;

/// A credential that systemd decrypted for the service: a file in its credentials folder.
pub struct SystemdCredential {
    path: PathBuf,
}

impl SystemdCredential {
    /// The credential at `$CREDENTIALS_DIRECTORY/NAME`, which the caller has put together.
    #[must_use]
    pub const fn new(path: PathBuf) -> Self {
        Self { path }
    }
}

impl MasterKeySource for SystemdCredential {
    fn describe(&self) -> String {
        format!("systemd credential {}", self.path.display())
    }

    fn load(&self) -> Result<Option<MasterKey>, Error> {
        let text = read_secret(&self.path, Guard::Trusted)?;
        text.map(|text| MasterKey::parse(&text, &self.describe())).transpose()
    }

    fn store(&self, _master: &MasterKey) -> Result<(), Error> {
        const HOW: &str = "make one with `openssl rand -hex 32 | systemd-creds encrypt --name=NAME - FILE` and name it in \
                           the unit with LoadCredentialEncrypted=NAME:FILE";
        Err(Error::ReadOnlySource { from: self.describe(), how: HOW })
    }

    fn stage(&self, master: &MasterKey) -> Result<(), Error> {
        self.store(master)
    }

    fn staged(&self) -> Result<Option<MasterKey>, Error> {
        Ok(None)
    }

    fn promote(&self) -> Result<(), Error> {
        Ok(())
    }
}

/// The value of an environment variable: for containers that have nothing better. Others on the machine may be able to
/// read it, and it stays in the process's environment block; the caller warns.
pub struct EnvironmentKey {
    variable: String,
    value: Option<Zeroizing<String>>,
}

impl EnvironmentKey {
    /// The variable's name, for messages, and its value as the caller found it.
    #[must_use]
    pub const fn new(variable: String, value: Option<Zeroizing<String>>) -> Self {
        Self { variable, value }
    }
}

impl MasterKeySource for EnvironmentKey {
    fn describe(&self) -> String {
        format!("environment variable {}", self.variable)
    }

    fn load(&self) -> Result<Option<MasterKey>, Error> {
        self.value.as_ref().map(|value| MasterKey::parse(value, &self.describe())).transpose()
    }

    fn store(&self, _master: &MasterKey) -> Result<(), Error> {
        const HOW: &str = "make a key with `openssl rand -hex 32`, keep it in the container platform's secret store, and \
                           set the variable to it";
        Err(Error::ReadOnlySource { from: self.describe(), how: HOW })
    }

    fn stage(&self, master: &MasterKey) -> Result<(), Error> {
        self.store(master)
    }

    fn staged(&self) -> Result<Option<MasterKey>, Error> {
        Ok(None)
    }

    fn promote(&self) -> Result<(), Error> {
        Ok(())
    }
}
