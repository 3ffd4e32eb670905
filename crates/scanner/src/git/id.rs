//! Names of objects: SHA-1 or SHA-256.

use std::{
    fmt,
    hash::{Hash, Hasher},
};

/// Which hash a repository names its objects with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    Sha1,
    Sha256,
}

impl Format {
    /// How many bytes an id has.
    pub(crate) const fn len(self) -> usize {
        match self {
            Self::Sha1 => 20,
            Self::Sha256 => 32,
        }
    }
}

/// An object's name.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Id {
    bytes: [u8; 32],
    len: u8,
}

impl Id {
    /// Takes 20 or 32 bytes.
    pub(crate) fn new(bytes: &[u8]) -> Option<Self> {
        let mut own = [0; 32];
        own.get_mut(..bytes.len())?.copy_from_slice(bytes);
        let len = u8::try_from(bytes.len()).ok().filter(|len| [20, 32].contains(len))?;
        Some(Self { bytes: own, len })
    }

    /// Takes hexadecimal digits.
    pub(crate) fn from_hex(hex: &[u8]) -> Option<Self> {
        let (pairs, rest) = hex.as_chunks::<2>();
        let mut bytes = [0; 32];
        if !rest.is_empty() || pairs.len() > bytes.len() {
            return None;
        }
        for (byte, [high, low]) in bytes.iter_mut().zip(pairs) {
            *byte = digit(*high)? << 4 | digit(*low)?;
        }
        Self::new(bytes.get(..pairs.len())?)
    }

    /// The bytes.
    pub(crate) fn bytes(&self) -> &[u8] {
        self.bytes.get(..usize::from(self.len)).unwrap_or_default()
    }

    /// Whether all its bits are zero: "nothing" in reflogs and in what hooks are told.
    pub(crate) fn is_zero(&self) -> bool {
        self.bytes == [0; 32]
    }

    /// The first eight bytes: enough to tell most ids apart.
    pub(crate) fn short(&self) -> u64 {
        let [a, b, c, d, e, f, g, h, ..] = self.bytes;
        u64::from_be_bytes([a, b, c, d, e, f, g, h])
    }

    /// The hexadecimal digits.
    pub(crate) fn hex(&self) -> Box<str> {
        self.to_string().into()
    }
}

impl Hash for Id {
    /// An id is a hash already.
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.short());
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.bytes().iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

fn digit(byte: u8) -> Option<u8> {
    match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        b'A'..=b'F' => Some(byte - b'A' + 10),
        _ => None,
    }
}
