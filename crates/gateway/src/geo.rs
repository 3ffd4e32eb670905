//! From an address to a country, by a database in MaxMind's format. The file is read whole, so that replacing it
//! under a running gateway is safe; a new file is taken up on [`Geo::reload`].

use arc_swap::ArcSwap;
use maxminddb::{MaxMindDbError, Reader, WithinOptions, geoip2};
use std::{
    fs, io,
    net::IpAddr,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::SystemTime,
};

/// Why a database cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file cannot be read.
    #[error("the country database {path} cannot be read")]
    Read {
        /// Which file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The file is no such database.
    #[error("{path} is not a country database in MaxMind's format")]
    Format {
        /// Which file.
        path: PathBuf,
        /// Why.
        #[source]
        source: MaxMindDbError,
    },
    /// The file is such a database of something else, such as of networks' owners.
    #[error("{path} names no countries: use a country or city database in MaxMind's format")]
    NoCountries {
        /// Which file.
        path: PathBuf,
    },
}

/// How many networks of a database are looked at for a country. In one of countries the first has it.
const LOOK: usize = 10_000;

/// Length and time of change: what tells one state of a file from the next.
type Stamp = (u64, Option<SystemTime>);

/// An open database.
pub struct Geo {
    path: PathBuf,
    reader: ArcSwap<Reader<Vec<u8>>>,
    stamp: Mutex<Stamp>,
}

impl Geo {
    /// Opens a database.
    ///
    /// # Errors
    /// When the file cannot be read or is no such database.
    pub fn open(path: &Path) -> Result<Self, Error> {
        let stamp = stamp(path)?;
        let reader = read(path)?;
        Ok(Self { path: path.to_owned(), reader: ArcSwap::from_pointee(reader), stamp: Mutex::new(stamp) })
    }

    /// The two letters of an address's country. `None` when the database does not know it.
    #[must_use]
    pub fn country(&self, address: IpAddr) -> Option<[u8; 2]> {
        let reader = self.reader.load();
        let found = reader.lookup(address.to_canonical()).ok()?.decode::<geoip2::Country<'_>>().ok()??;
        found.country.iso_code?.as_bytes().try_into().ok()
    }

    /// Takes up the file if it has changed. A file that cannot be used is said in the log, and the old one stays.
    /// Returns whether a new one is in use.
    pub fn reload(&self) -> bool {
        let mut known = self.stamp.lock().unwrap_or_else(PoisonError::into_inner);
        let Ok(now) = stamp(&self.path) else { return false };
        if now == *known {
            return false;
        }
        *known = now;
        match read(&self.path) {
            Ok(reader) => {
                self.reader.store(Arc::new(reader));
                tracing::info!(path = %self.path.display(), "country database taken up anew");
                true
            }
            Err(error) => {
                tracing::error!(%error, "the new country database is not used: the old one stays");
                false
            }
        }
    }
}

fn stamp(path: &Path) -> Result<Stamp, Error> {
    let about = fs::metadata(path).map_err(|source| Error::Read { path: path.to_owned(), source })?;
    Ok((about.len(), about.modified().ok()))
}

fn read(path: &Path) -> Result<Reader<Vec<u8>>, Error> {
    let bytes = fs::read(path).map_err(|source| Error::Read { path: path.to_owned(), source })?;
    let wrong = |source| Error::Format { path: path.to_owned(), source };
    let reader = Reader::from_source(bytes).map_err(wrong)?;
    if names_countries(&reader).map_err(wrong)? {
        Ok(reader)
    } else {
        Err(Error::NoCountries { path: path.to_owned() })
    }
}

fn names_countries(reader: &Reader<Vec<u8>>) -> Result<bool, MaxMindDbError> {
    for network in reader.networks(WithinOptions::default())?.take(LOOK) {
        let found = network?.decode::<geoip2::Country<'_>>().ok().flatten();
        if found.is_some_and(|found| found.country.iso_code.is_some()) {
            return Ok(true);
        }
    }
    Ok(false)
}

#[cfg(test)]
mod tests;
