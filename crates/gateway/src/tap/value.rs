//! Values as they are told.

/// A value at a watched place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Value<'v> {
    /// A number, exactly as written.
    Number(&'v str),
    /// A text, unescaped, cut to [`LONGEST_TEXT`](super::LONGEST_TEXT).
    Text(&'v str),
    /// `true` or `false`.
    Bool(bool),
    /// `null`.
    Null,
    /// An object begins.
    Object,
    /// An array begins.
    Array,
}

/// A value that is held back until it is clear whether it is wanted.
#[derive(Debug, Clone)]
pub(super) enum Kept {
    Number(String),
    Text(String),
    Bool(bool),
    Null,
    Object,
    Array,
}

impl Kept {
    pub(super) fn new(value: Value<'_>) -> Self {
        match value {
            Value::Number(text) => Self::Number(text.to_owned()),
            Value::Text(text) => Self::Text(text.to_owned()),
            Value::Bool(value) => Self::Bool(value),
            Value::Null => Self::Null,
            Value::Object => Self::Object,
            Value::Array => Self::Array,
        }
    }

    pub(super) fn value(&self) -> Value<'_> {
        match self {
            Self::Number(text) => Value::Number(text),
            Self::Text(text) => Value::Text(text),
            Self::Bool(value) => Value::Bool(*value),
            Self::Null => Value::Null,
            Self::Object => Value::Object,
            Self::Array => Value::Array,
        }
    }
}
