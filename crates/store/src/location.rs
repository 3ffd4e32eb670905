//! Where the database is: a file for SQLite, an address for PostgreSQL. The address may hold a password, so it is
//! never shown whole.

use std::{fmt, path::PathBuf, str::FromStr};

/// Where the database is.
#[derive(Clone, PartialEq, Eq)]
pub enum Location {
    /// A SQLite file, created when it does not exist.
    File(PathBuf),
    /// A PostgreSQL address: `postgres://user:password@host/database`.
    Postgres(String),
}

/// How the database may be used.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Limits {
    /// The size in bytes that a SQLite file never grows beyond; at the limit the store behaves as on a full disk, so
    /// that whatever else lives on the disk keeps its room. None: the disk is the limit.
    pub file_bytes: Option<u64>,
}

/// Text that names no database.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a database: write sqlite:PATH or postgres://USER@HOST/DATABASE")]
pub struct BadLocation;

impl FromStr for Location {
    type Err = BadLocation;

    fn from_str(text: &str) -> Result<Self, BadLocation> {
        if text.starts_with("postgres://") || text.starts_with("postgresql://") {
            return Ok(Self::Postgres(text.to_owned()));
        }
        let path = text.strip_prefix("sqlite://").or_else(|| text.strip_prefix("sqlite:")).ok_or(BadLocation)?;
        if path.is_empty() { Err(BadLocation) } else { Ok(Self::File(PathBuf::from(path))) }
    }
}

impl fmt::Display for Location {
    /// Without user name and password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(f, "sqlite:{}", path.display()),
            Self::Postgres(url) => {
                let rest = url.split_once("://").map_or("", |(_, rest)| rest);
                let rest = rest.split(['?', '#']).next().unwrap_or("");
                write!(f, "postgres://{}", rest.rsplit_once('@').map_or(rest, |(_, host)| host))
            }
        }
    }
}

impl fmt::Debug for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_and_shown_without_the_password() {
        let parsed: Location = "postgres://who:hush@db.example:5432/keyward?sslmode=require".parse().unwrap();
        assert_eq!(
            format!("{parsed} {parsed:?}"),
            "postgres://db.example:5432/keyward postgres://db.example:5432/keyward"
        );
        assert_eq!("sqlite:data/keyward.db".parse(), Ok(Location::File("data/keyward.db".into())));
        for text in ["", "sqlite:", "mysql://x", "keyward.db"] {
            assert_eq!(text.parse::<Location>(), Err(BadLocation), "{text}");
        }
    }
}
