//! One row as it is stored: a header of types, then the values.

use super::super::wide;
use std::borrow::Cow;

/// How much of a value is kept to name its row, in characters.
const SHORT: usize = 96;

/// How many columns a row may have.
const COLUMNS: usize = 32_767;

/// A row.
pub(super) struct Record<'p> {
    pub(super) values: Vec<Value<'p>>,
}

/// A value.
pub(super) enum Value<'p> {
    Null,
    Integer(i64),
    Real(f64),
    Text(Cow<'p, str>),
    /// Text that is not what its database says text is.
    Raw(&'p [u8]),
    Blob(&'p [u8]),
}

/// A number of one to nine bytes; also tells how many there were.
pub(super) fn varint(bytes: &[u8]) -> Option<(u64, usize)> {
    let mut value = 0_u64;
    for (at, byte) in bytes.iter().take(9).enumerate() {
        if at == 8 {
            return Some((value << 8 | u64::from(*byte), 9));
        }
        value = value << 7 | u64::from(byte & 0x7f);
        if byte & 0x80 == 0 {
            return Some((value, at + 1));
        }
    }
    None
}

impl<'p> Record<'p> {
    /// Reads a row. None: it is none, or its types and its values do not have the same length. One that was cut may end
    /// anywhere.
    pub(super) fn read(bytes: &'p [u8], is_cut: bool, encoding: u32) -> Option<Self> {
        let (length, used) = varint(bytes)?;
        let length = usize::try_from(length).ok()?;
        let mut header = bytes.get(used..length)?;
        let mut rest = bytes.get(length..)?;
        let mut values = Vec::new();
        while !header.is_empty() {
            let (kind, used) = varint(header).filter(|_| values.len() < COLUMNS)?;
            header = header.get(used..)?;
            let size = size(kind);
            if size > rest.len() && !is_cut {
                return None;
            }
            let (value, after) = rest.split_at(size.min(rest.len()));
            rest = after;
            values.push(match kind {
                0 | 10 | 11 => Value::Null,
                1..=6 => Value::Integer(integer(value)),
                7 => Value::Real(value.try_into().map_or(0.0, f64::from_be_bytes)),
                8 => Value::Integer(0),
                9 => Value::Integer(1),
                kind if kind % 2 == 0 => Value::Blob(value),
                _ => text(value, encoding),
            });
        }
        rest.is_empty().then_some(Self { values })
    }
}

/// How many bytes a value of a type has.
pub(super) fn size(kind: u64) -> usize {
    match kind {
        0 | 8..=11 => 0,
        1 => 1,
        2 => 2,
        3 => 3,
        4 => 4,
        5 => 6,
        6 | 7 => 8,
        _ => usize::try_from((kind - 12) / 2).unwrap_or(usize::MAX),
    }
}

fn integer(bytes: &[u8]) -> i64 {
    let first = bytes.first().map_or(0, |byte| if byte & 0x80 == 0 { 0 } else { -1 });
    bytes.iter().fold(first, |value, byte| value << 8 | i64::from(*byte))
}

fn text(bytes: &[u8], encoding: u32) -> Value<'_> {
    match encoding {
        2 | 3 => Value::Text(wide::decode(wide::utf16(encoding == 3), bytes).into()),
        _ => std::str::from_utf8(bytes).map_or(Value::Raw(bytes), |text| Value::Text(text.into())),
    }
}

impl Value<'_> {
    /// Writes the value as text.
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        match self {
            Self::Null => {}
            Self::Integer(value) => out.extend_from_slice(value.to_string().as_bytes()),
            Self::Real(value) => out.extend_from_slice(value.to_string().as_bytes()),
            Self::Text(text) => out.extend_from_slice(text.as_bytes()),
            Self::Raw(bytes) | Self::Blob(bytes) => out.extend_from_slice(bytes),
        }
    }

    /// The beginning of the value, to name its row; the row's own number is stored elsewhere.
    pub(super) fn short(&self, number: Option<i64>) -> Box<str> {
        match (self, number) {
            (Self::Null, Some(number)) => number.to_string().into(),
            (Self::Integer(value), _) => value.to_string().into(),
            (Self::Text(text), _) if text.len() <= SHORT => text.as_ref().into(),
            _ => "".into(),
        }
    }
}
