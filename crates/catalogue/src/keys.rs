//! The key shapes that come with the program, without the rest of the catalogue: a scan needs nothing else, and reading
//! all files takes longer than looking at a small one.

use crate::{Error, Shape, check, embedded, load};
use keyward_domain::provider::KeyShape;

/// The key shapes that come with the program.
#[derive(Debug)]
pub struct Keys {
    shapes: Vec<Shape>,
    /// The ids and names of the providers.
    names: Vec<(Box<str>, Box<str>)>,
}

/// What the build script leaves of a provider's file.
#[derive(serde::Deserialize)]
struct Cut {
    id: Box<str>,
    name: Box<str>,
    #[serde(default)]
    keys: Vec<KeyShape>,
}

impl Keys {
    /// Reads them.
    ///
    /// # Errors
    /// None in a program whose tests passed: the files are compiled in and tested.
    pub fn embedded() -> Result<Self, Error> {
        let (mut shapes, mut names) = (Vec::new(), Vec::new());
        for (file, text) in embedded::KEYS {
            let cut: Cut =
                toml::from_str(text).map_err(|error| load::invalid(file, vec![check::from_toml(text, &error)]))?;
            shapes.extend(Shape::all(&cut.id, &cut.keys));
            names.push((cut.id, cut.name));
        }
        Ok(Self { shapes, names })
    }

    /// All key shapes, in the order of the catalogue.
    #[must_use]
    pub fn shapes(&self) -> &[Shape] {
        &self.shapes
    }

    /// A provider's name as people write it.
    #[must_use]
    pub fn name(&self, provider: &str) -> Option<&str> {
        self.names.iter().find(|(id, _)| &**id == provider).map(|(_, name)| &**name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Catalogue;

    #[test]
    fn they_are_those_of_the_catalogue() {
        let (keys, catalogue) = (Keys::embedded().unwrap(), Catalogue::embedded().unwrap());
        let told = |shapes: &[Shape]| shapes.iter().map(|shape| format!("{shape:?}")).collect::<Vec<_>>();
        assert_eq!(told(keys.shapes()), told(catalogue.shapes()));
        for provider in catalogue.providers() {
            assert!(provider.keys.is_empty() || keys.name(&provider.id) == Some(&*provider.name), "{}", provider.id);
        }
    }
}
