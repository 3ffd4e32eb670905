//! Changes to a JSON text as splices: what is not changed keeps its bytes.

use super::json::{Hit, Kind};
use bytes::Bytes;
use std::ops::Range;

/// Splices, collected in any order.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Edits {
    splices: Vec<(Range<usize>, String)>,
    /// Fields to add: where the object begins, whether it has fields already, and the new ones.
    added: Vec<(usize, bool, String)>,
}

impl Edits {
    /// Whether nothing is to change.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.splices.is_empty() && self.added.is_empty()
    }

    /// Puts a new value in the place of one.
    pub fn replace(&mut self, hit: &Hit, value: impl Into<String>) {
        self.splices.push((hit.span.clone(), value.into()));
    }

    /// Adds a field to an object. `field` is its text: `"name":value`.
    pub fn add(&mut self, object: &Hit, field: &str) {
        let empty = object.kind == (Kind::Object { empty: true });
        self.add_at(object.span.start, empty, field.to_owned());
    }

    /// These changes and then others.
    #[must_use]
    pub fn then(mut self, others: Self) -> Self {
        self.splices.extend(others.splices);
        for (start, empty, field) in others.added {
            self.add_at(start, empty, field);
        }
        self
    }

    fn add_at(&mut self, start: usize, empty: bool, field: String) {
        match self.added.iter_mut().find(|(known, _, _)| *known == start) {
            Some((_, _, fields)) => {
                fields.push(',');
                fields.push_str(&field);
            }
            None => self.added.push((start, empty, field)),
        }
    }

    /// The text with all changes made. The same bytes, not copied, when there are none.
    #[must_use]
    pub fn apply(mut self, body: Bytes) -> Bytes {
        if self.is_empty() {
            return body;
        }
        for (start, empty, mut fields) in self.added {
            if !empty {
                fields.push(',');
            }
            self.splices.push((start + 1..start + 1, fields));
        }
        self.splices.sort_by_key(|(span, _)| span.start);
        let grown: usize = self.splices.iter().map(|(_, text)| text.len()).sum();
        let mut out = Vec::with_capacity(body.len() + grown);
        let mut at = 0;
        for (span, text) in self.splices {
            out.extend_from_slice(body.get(at..span.start).unwrap_or_default());
            out.extend_from_slice(text.as_bytes());
            at = span.end;
        }
        out.extend_from_slice(body.get(at..).unwrap_or_default());
        out.into()
    }
}
