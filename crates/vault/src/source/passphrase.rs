//! A passphrase: the master key wrapped by a key that Argon2id makes from what a person knows.
//! The file beside holds the salt, the cost and the wrapped key; without the passphrase it is useless.

use super::{Guard, MasterKeySource, next, promote_file, read_secret, write_new, write_over};
use crate::{
    Error, MasterKey,
    memory::KEY,
    primitives::{OneTimeKey, SALT, TAG, derive, equal, joined, random},
};
use argon2::{Algorithm, Argon2, Params, Version};
use keyward_domain::digest::{hex, unhex};
use serde::{Deserialize, Serialize};
use std::{
    io,
    path::{Path, PathBuf},
};
use zeroize::Zeroizing;

const FORMAT: u32 = 1;
/// The fewest characters of a new passphrase.
const SHORTEST: usize = 12;
/// What a new file costs to try one passphrase: 64 MiB, three passes, one lane (about a tenth of a second).
const COST: Cost = Cost { memory_kib: 65_536, passes: 3, lanes: 1 };
/// More than any file of ours asks for: a changed file must not be able to take the machine down.
const HIGHEST: Cost = Cost { memory_kib: 1_048_576, passes: 64, lanes: 16 };

/// Why the passphrase is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ask {
    /// To unlock: the passphrase that was chosen.
    Unlock,
    /// To choose one: a prompt should ask twice.
    Choose,
}

/// Asks for the passphrase: on a terminal without echo, or from a file descriptor. The caller supplies it.
type Reader = Box<dyn Fn(Ask) -> io::Result<Zeroizing<String>> + Send + Sync>;

/// A master key behind a passphrase.
pub struct Passphrase {
    path: PathBuf,
    reader: Reader,
}

impl Passphrase {
    /// The file that holds the wrapped key, and the way to ask for the passphrase. One line break at the end of the answer
    /// does not count.
    #[must_use]
    pub fn new(path: PathBuf, reader: impl Fn(Ask) -> io::Result<Zeroizing<String>> + Send + Sync + 'static) -> Self {
        Self { path, reader: Box::new(reader) }
    }

    fn ask(&self, why: Ask) -> Result<Zeroizing<String>, Error> {
        let mut answer = (self.reader)(why).map_err(Error::Prompt)?;
        while answer.ends_with(['\n', '\r']) {
            answer.pop();
        }
        Ok(answer)
    }

    fn read(&self, path: &Path) -> Result<Option<MasterKey>, Error> {
        let Some(text) = read_secret(path, Guard::Private)? else { return Ok(None) };
        let file = Wrapped::parse(&text, path)?;
        file.open(&self.ask(Ask::Unlock)?, path).map(Some)
    }

    fn wrapped(&self, master: &MasterKey) -> Result<String, Error> {
        let passphrase = self.ask(Ask::Choose)?;
        if passphrase.chars().count() < SHORTEST {
            return Err(Error::WeakPassphrase { minimum: SHORTEST });
        }
        Wrapped::make(master, &passphrase, &random()?, COST)
    }
}

impl MasterKeySource for Passphrase {
    fn describe(&self) -> String {
        format!("passphrase for {}", self.path.display())
    }

    fn load(&self) -> Result<Option<MasterKey>, Error> {
        self.read(&self.path)
    }

    fn store(&self, master: &MasterKey) -> Result<(), Error> {
        // Before anybody is asked to think of a passphrase.
        if self.path.symlink_metadata().is_ok() {
            return Err(Error::KeyFileExists { path: self.path.clone() });
        }
        write_new(&self.path, &self.wrapped(master)?)
    }

    fn stage(&self, master: &MasterKey) -> Result<(), Error> {
        write_over(&next(&self.path), &self.wrapped(master)?)
    }

    fn staged(&self) -> Result<Option<MasterKey>, Error> {
        self.read(&next(&self.path))
    }

    fn promote(&self) -> Result<(), Error> {
        promote_file(&self.path)
    }
}

#[derive(Clone, Copy, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Cost {
    memory_kib: u32,
    passes: u32,
    lanes: u32,
}

/// The file, as JSON.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Wrapped {
    format: u32,
    kdf: String,
    cost: Cost,
    salt: String,
    /// Commits to the passphrase, so that a wrong one is told apart from a changed file.
    check: String,
    master_key_id: String,
    wrapped: String,
}

/// What a passphrase is stretched to.
struct Stretched {
    wrap: OneTimeKey,
    check: [u8; KEY],
}

impl Wrapped {
    fn make(master: &MasterKey, passphrase: &str, salt: &[u8; SALT], cost: Cost) -> Result<String, Error> {
        let Stretched { wrap, check } = stretch(passphrase, salt, cost)?.ok_or(Error::Crypto)?;
        let mut file = Self {
            format: FORMAT,
            kdf: "argon2id".to_owned(),
            cost,
            salt: hex(salt),
            check: hex(&check),
            master_key_id: master.id().to_string(),
            wrapped: String::new(),
        };
        let mut key = Zeroizing::new(*master.bytes());
        let tag = wrap.encrypt(&file.associated(), key.as_mut_slice())?;
        file.wrapped = hex(&[key.as_slice(), &tag].concat());
        serde_json::to_string_pretty(&file).map(|text| text + "\n").map_err(|_| Error::Crypto)
    }

    fn parse(text: &str, path: &Path) -> Result<Self, Error> {
        let bad = |reason| Error::BadMasterKey { from: path.display().to_string(), reason };
        let file: Self = serde_json::from_str(text).map_err(|_| {
            bad("it is not a file that Keyward wrote for a passphrase, or it is damaged: use another copy")
        })?;
        if file.format != FORMAT || file.kdf != "argon2id" {
            return Err(bad("its format is newer than this version: upgrade"));
        }
        let Cost { memory_kib, passes, lanes } = file.cost;
        if memory_kib > HIGHEST.memory_kib || passes > HIGHEST.passes || lanes > HIGHEST.lanes {
            return Err(bad("its cost is higher than Keyward ever sets: it was changed; use another copy"));
        }
        Ok(file)
    }

    fn open(&self, passphrase: &str, path: &Path) -> Result<MasterKey, Error> {
        let bad = || Error::BadMasterKey {
            from: path.display().to_string(),
            reason: "it is damaged or was changed: use another copy",
        };
        let [salt, check, wrapped] = [&self.salt, &self.check, &self.wrapped].map(|digits| unhex(digits));
        let salt: [u8; SALT] = salt.and_then(|salt| salt.try_into().ok()).ok_or_else(bad)?;
        let wrapped: [u8; KEY + TAG] = wrapped.and_then(|wrapped| wrapped.try_into().ok()).ok_or_else(bad)?;
        let stretched = stretch(passphrase, &salt, self.cost)?.ok_or_else(bad)?;
        let mut key = Zeroizing::new([0; KEY]);
        let fits = equal(&check.unwrap_or_default(), &stretched.check);
        let opens = stretched.wrap.decrypt(&self.associated(), &wrapped, key.as_mut_slice())?;
        match (fits, opens) {
            (true, true) => MasterKey::from_bytes(key),
            (true, false) | (false, true) => Err(bad()),
            (false, false) => Err(Error::WrongPassphrase { path: path.to_owned() }),
        }
    }

    fn associated(&self) -> Vec<u8> {
        joined(&[
            b"keyward passphrase",
            &self.format.to_be_bytes(),
            self.kdf.as_bytes(),
            &self.cost.memory_kib.to_be_bytes(),
            &self.cost.passes.to_be_bytes(),
            &self.cost.lanes.to_be_bytes(),
            self.salt.as_bytes(),
            self.master_key_id.as_bytes(),
        ])
    }
}

/// `None` when Argon2 knows no such cost.
fn stretch(passphrase: &str, salt: &[u8; SALT], cost: Cost) -> Result<Option<Stretched>, Error> {
    let Ok(params) = Params::new(cost.memory_kib, cost.passes, cost.lanes, Some(KEY)) else { return Ok(None) };
    let mut root = Zeroizing::new([0; KEY]);
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
        .hash_password_into(passphrase.as_bytes(), salt, root.as_mut_slice())
        .map_err(|_| Error::Crypto)?;
    let mut check = [0; KEY];
    derive(root.as_slice(), salt, &[b"keyward passphrase check"], &mut check)?;
    Ok(Some(Stretched { wrap: OneTimeKey::derive(root.as_slice(), salt, b"keyward passphrase wrap")?, check }))
}

#[cfg(test)]
mod tests;
