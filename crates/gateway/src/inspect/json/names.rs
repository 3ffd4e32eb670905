//! Names of fields that mean something wherever in a request they stand.

/// What a name means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sort {
    /// Its text names an object at the provider.
    Reference,
    /// Its value is content that is not text in the request.
    Unseen,
    /// Input may be written to a cache.
    Cache,
}

/// Names that are looked for at any depth.
#[derive(Debug, Default)]
pub struct Names {
    entries: Vec<(Box<[u8]>, Sort)>,
    /// One bit per shape of a name: most keys of a request are turned away by a single look at this.
    shapes: u64,
}

impl Names {
    /// Adds a name. A reference is meant in these very letters; the others in any case, with or without underscores, as
    /// some parsers take them: what is found too often only makes a call's bound larger.
    pub fn add(&mut self, name: &str, sort: Sort) {
        let name: Box<[u8]> = match sort {
            Sort::Reference => name.as_bytes().into(),
            Sort::Unseen | Sort::Cache => letters(name.as_bytes()).collect(),
        };
        self.shapes |= shape(&name);
        self.entries.push((name, sort));
    }

    /// Whether a key is a name that is looked for, and what it means: as a reference, and as something else.
    #[must_use]
    pub fn look(&self, key: &[u8]) -> (bool, Option<Sort>) {
        // HOT: asked for every key of every request.
        if self.shapes & shape(key) == 0 {
            return (false, None);
        }
        let mut found = (false, None);
        for (name, sort) in &self.entries {
            if *sort == Sort::Reference {
                found.0 |= **name == *key;
            } else if found.1.is_none() && letters(key).eq(name.iter().copied()) {
                found.1 = Some(*sort);
            }
        }
        found
    }
}

fn letters(name: &[u8]) -> impl Iterator<Item = u8> + '_ {
    name.iter().filter(|byte| **byte != b'_').map(u8::to_ascii_lowercase)
}

/// A bit for a key, by its first and last letter: the same however it is spelt.
fn shape(key: &[u8]) -> u64 {
    let first = letters(key).next().unwrap_or(0);
    let last = key.iter().rev().find(|byte| **byte != b'_').map_or(0, u8::to_ascii_lowercase);
    1 << (u32::from(first).wrapping_mul(11).wrapping_add(u32::from(last)) % 64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_found_in_any_letters_and_references_in_theirs() {
        let mut names = Names::default();
        names.add("file_id", Sort::Reference);
        names.add("image_url", Sort::Unseen);
        names.add("cache_control", Sort::Cache);
        for (key, found) in [
            ("file_id", (true, None)),
            ("fileId", (false, None)),
            ("image_url", (false, Some(Sort::Unseen))),
            ("imageUrl", (false, Some(Sort::Unseen))),
            ("IMAGE__URL_", (false, Some(Sort::Unseen))),
            ("_image_url", (false, Some(Sort::Unseen))),
            ("image_urls", (false, None)),
            ("cache_control", (false, Some(Sort::Cache))),
            ("", (false, None)),
            ("_", (false, None)),
        ] {
            assert_eq!(names.look(key.as_bytes()), found, "{key}");
        }
    }
}
