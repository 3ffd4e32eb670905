//! Reads the embedded files and the operator's folders into one immutable catalogue.

use crate::{Problem, Shape, check, embedded, prices};
use keyward_domain::{price::PriceBook, provider::Provider};
use std::{
    fmt, fs, io,
    path::{Path, PathBuf},
    sync::Arc,
};

/// Everything that is known about providers. Immutable; load it anew to take over changed files.
#[derive(Debug)]
pub struct Catalogue {
    providers: Vec<Arc<Provider>>,
    shapes: Vec<Shape>,
    prices: Arc<PriceBook>,
}

/// Why a catalogue could not be loaded.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A folder or file could not be read.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// Which one.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file is not right. The text lists what and where.
    #[error("{}", Listed(file, problems))]
    Invalid {
        /// The file.
        file: String,
        /// What is wrong with it; never empty.
        problems: Vec<Problem>,
    },
    /// Two providers claim the same path on the gateway.
    #[error("{file}: the path {root} already belongs to the provider {other}: choose another api.root")]
    RootTaken {
        /// The file that came second.
        file: String,
        /// The path.
        root: Box<str>,
        /// Who has it.
        other: Box<str>,
    },
}

struct Listed<'a>(&'a str, &'a [Problem]);

impl fmt::Display for Listed<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.1.iter().enumerate() {
            let newline = if index == 0 { "" } else { "\n" };
            write!(f, "{newline}{}:{problem}", self.0)?;
        }
        Ok(())
    }
}

impl Catalogue {
    /// The catalogue that comes with the program.
    ///
    /// # Errors
    /// None in a program whose tests passed: the files are compiled in and tested.
    pub fn embedded() -> Result<Self, Error> {
        Self::load(&[])
    }

    /// The catalogue that comes with the program, with the operator's folders laid over it in order. A folder, or a
    /// `providers` or `prices` folder in it, need not exist.
    ///
    /// # Errors
    /// [`Error::Read`] when a folder cannot be read, [`Error::Invalid`] when a file in it is wrong (every problem with
    /// its line and column), [`Error::RootTaken`] when two providers claim one path.
    pub fn load(folders: &[PathBuf]) -> Result<Self, Error> {
        let mut providers = Vec::new();
        for (file, text) in embedded::PROVIDERS {
            let provider = toml::from_str(text).map_err(|error| invalid(file, vec![check::from_toml(text, &error)]))?;
            insert(&mut providers, provider, file)?;
        }
        let mut list = prices::embedded().map_err(|(file, problems)| invalid(file, problems))?;
        for folder in folders {
            for (path, text) in toml_files(&folder.join("providers"))? {
                let file = path.display().to_string();
                insert(&mut providers, checked(&file, &text)?, &file)?;
            }
            for (path, text) in toml_files(&folder.join("prices"))? {
                let problems = check::prices(&text);
                if !problems.is_empty() {
                    return Err(invalid(&path.display().to_string(), problems));
                }
                list.overlay(&text).map_err(|problem| invalid(&path.display().to_string(), vec![problem]))?;
            }
        }
        // Every pattern compiles: the operator's files were checked, the embedded ones are by the tests.
        let shapes = providers.iter().flat_map(|one: &Provider| Shape::all(&one.id, &one.keys)).collect();
        Ok(Self {
            providers: providers.into_iter().map(Arc::new).collect(),
            shapes,
            prices: Arc::new(list.into_book()),
        })
    }

    /// All providers, by id.
    #[must_use]
    pub fn providers(&self) -> &[Arc<Provider>] {
        &self.providers
    }

    /// The provider with an id.
    #[must_use]
    pub fn provider(&self, id: &str) -> Option<&Arc<Provider>> {
        self.providers.iter().find(|provider| &*provider.id == id)
    }

    /// All prices.
    #[must_use]
    pub const fn prices(&self) -> &Arc<PriceBook> {
        &self.prices
    }

    /// All key shapes.
    #[must_use]
    pub fn shapes(&self) -> &[Shape] {
        &self.shapes
    }
}

fn checked(file: &str, text: &str) -> Result<Provider, Error> {
    let problems = check::provider(text);
    if !problems.is_empty() {
        return Err(invalid(file, problems));
    }
    toml::from_str(text).map_err(|error| invalid(file, vec![check::from_toml(text, &error)]))
}

fn insert(providers: &mut Vec<Provider>, provider: Provider, file: &str) -> Result<(), Error> {
    let first = first_segment(&provider.api.root);
    let taken = providers.iter().find(|other| other.id != provider.id && first_segment(&other.api.root) == first);
    if let Some(other) = taken {
        return Err(Error::RootTaken { file: file.to_owned(), root: provider.api.root, other: other.id.clone() });
    }
    match providers.binary_search_by(|other| other.id.cmp(&provider.id)) {
        Ok(at) => {
            if let Some(slot) = providers.get_mut(at) {
                *slot = provider;
            }
        }
        Err(at) => providers.insert(at, provider),
    }
    Ok(())
}

fn first_segment(root: &str) -> Option<&str> {
    root.split('/').nth(1)
}

pub(crate) fn invalid(file: &str, problems: Vec<Problem>) -> Error {
    Error::Invalid { file: file.to_owned(), problems }
}

/// The TOML files of a folder, by name. A folder that does not exist has none.
fn toml_files(folder: &Path) -> Result<Vec<(PathBuf, String)>, Error> {
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |source| Error::Read { path, source }
    };
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        other => other.map_err(failed(folder))?,
    };
    let mut paths = Vec::new();
    for entry in entries {
        let path = entry.map_err(failed(folder))?.path();
        if path.extension().is_some_and(|extension| extension == "toml") {
            paths.push(path);
        }
    }
    paths.sort();
    paths
        .into_iter()
        .map(|path| {
            let text = fs::read_to_string(&path).map_err(failed(&path))?;
            Ok((path, text))
        })
        .collect()
}
