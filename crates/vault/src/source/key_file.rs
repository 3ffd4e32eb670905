//! A key file: the master key as text in a file that only its owner can read.

use super::{Guard, MasterKeySource, next, promote_file, read_secret, write_new, write_over};
use crate::{Error, MasterKey};
use std::path::{Path, PathBuf};

/// A file of mode 0600 that belongs to the user the server runs as.
pub struct KeyFile {
    path: PathBuf,
}

impl KeyFile {
    /// The file at a path. Nothing is read yet.
    #[must_use]
    pub const fn new(path: PathBuf) -> Self {
        Self { path }
    }

    fn read(path: &Path) -> Result<Option<MasterKey>, Error> {
        let text = read_secret(path, Guard::Private)?;
        text.map(|text| MasterKey::parse(&text, &path.display().to_string())).transpose()
    }
}

impl MasterKeySource for KeyFile {
    fn describe(&self) -> String {
        format!("key file {}", self.path.display())
    }

    fn load(&self) -> Result<Option<MasterKey>, Error> {
        Self::read(&self.path)
    }

    fn store(&self, master: &MasterKey) -> Result<(), Error> {
        write_new(&self.path, &master.to_text())
    }

    fn stage(&self, master: &MasterKey) -> Result<(), Error> {
        write_over(&next(&self.path), &master.to_text())
    }

    fn staged(&self) -> Result<Option<MasterKey>, Error> {
        Self::read(&next(&self.path))
    }

    fn promote(&self) -> Result<(), Error> {
        promote_file(&self.path)
    }
}
