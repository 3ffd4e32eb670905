//! Paths into JSON answers, as provider files write them: `usage.prompt_tokens`, `data[]`, `details[k=V].count`.

use serde_json::Value;

/// One step of a path: a field and, when it is an array, which of its elements.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Step {
    field: String,
    elements: Elements,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Elements {
    /// The field itself.
    Itself,
    /// Every element.
    Every,
    /// Those elements whose field, which may lie deeper, is this text.
    Where(String, String),
}

/// A path that has been read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JsonPath(Vec<Step>);

impl JsonPath {
    /// Reads a path. The empty path is the whole value.
    ///
    /// # Errors
    /// What is wrong with the text, in words.
    pub fn parse(text: &str) -> Result<Self, String> {
        if text.is_empty() {
            return Ok(Self(Vec::new()));
        }
        // A dot within brackets belongs to the name of what is compared.
        let mut inside = false;
        let apart = |character: char| {
            inside = character == '[' || (inside && character != ']');
            character == '.' && !inside
        };
        text.split(apart).map(|part| Step::parse(part, text)).collect::<Result<_, _>>().map(Self)
    }

    /// The values the path leads to, in order. Steps that are not there lead nowhere.
    #[must_use]
    pub fn values<'v>(&self, root: &'v Value) -> Vec<&'v Value> {
        let mut found = vec![root];
        for step in &self.0 {
            found = found.into_iter().flat_map(|value| step.into(value)).collect();
        }
        found
    }

    /// Whether the path ends in elements, so that it counts them.
    #[must_use]
    pub fn counts(&self) -> bool {
        self.0.last().is_some_and(|step| step.elements != Elements::Itself)
    }
}

impl Step {
    fn parse(part: &str, whole: &str) -> Result<Self, String> {
        let (field, elements) = match part.split_once('[') {
            None => (part, Elements::Itself),
            Some((field, rest)) => {
                let inside = rest.strip_suffix(']').ok_or_else(|| format!("`{whole}`: a `[` is not closed by `]`"))?;
                match inside.split_once('=') {
                    _ if inside.is_empty() => (field, Elements::Every),
                    Some((key, text)) if !key.is_empty() && !text.is_empty() => {
                        (field, Elements::Where(key.to_owned(), text.to_owned()))
                    }
                    _ => return Err(format!("`{whole}`: write `[]` or `[field=text]`")),
                }
            }
        };
        if field.is_empty() || field.contains([']', '[', ' ']) {
            return Err(format!("`{whole}`: a part between dots has no name"));
        }
        Ok(Self { field: field.to_owned(), elements })
    }

    fn into<'v>(&self, value: &'v Value) -> Vec<&'v Value> {
        let Some(value) = value.get(&self.field) else { return Vec::new() };
        let elements = || value.as_array().into_iter().flatten();
        match &self.elements {
            Elements::Itself => vec![value],
            Elements::Every => elements().collect(),
            Elements::Where(key, text) => {
                let at = |element: &'v Value| key.split('.').try_fold(element, |value, name| value.get(name));
                elements().filter(|element| at(element).and_then(Value::as_str) == Some(text)).collect()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn found(path: &str, value: &Value) -> Vec<Value> {
        JsonPath::parse(path).unwrap().values(value).into_iter().cloned().collect()
    }

    #[test]
    fn paths_lead_through_objects_and_arrays() {
        let value = json!({"a": {"b": 1}, "c": [{"k": "X", "v": 2}, {"v": 3, "k": "Y"}, {"k": "X", "v": 4}]});
        assert_eq!(found("a.b", &value), [json!(1)]);
        assert_eq!(found("c[].v", &value), [json!(2), json!(3), json!(4)]);
        assert_eq!(found("c[k=X].v", &value), [json!(2), json!(4)]);
        assert_eq!(found("c[k=Z].v", &value), Vec::<Value>::new());
        assert_eq!(found("a.x.y", &value), Vec::<Value>::new());
        assert_eq!(found("", &value), std::slice::from_ref(&value));
        assert_eq!(found("a[].b", &value), Vec::<Value>::new(), "an object is not an array");
        let value = json!({"c": [{"a": {"t": "X"}, "v": 1}, {"a": {"t": "Y"}, "v": 2}, {"a": null, "v": 3}]});
        assert_eq!(found("c[a.t=X].v", &value), [json!(1)]);
    }

    #[test]
    fn a_path_that_ends_in_elements_counts_them() {
        assert!(JsonPath::parse("data[]").unwrap().counts());
        assert!(!JsonPath::parse("data[].id").unwrap().counts());
    }

    #[test]
    fn broken_paths_are_refused() {
        for path in [".", "a.", ".a", "a[", "a[k]", "a[=v]", "a[k=]", "[]", "a]b", "a b"] {
            assert!(JsonPath::parse(path).is_err(), "{path}");
        }
    }
}
