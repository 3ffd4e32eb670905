//! The header of one entry of a pack.

use crate::git::{
    id::{Format, Id},
    object::Kind,
};

/// What an entry is made from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Base {
    /// Nothing: it is whole.
    Whole(Kind),
    /// The entry that begins so many bytes before it.
    Before(u64),
    /// The object of this name.
    Named(Id),
}

/// The header of an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) base: Base,
    /// How many bytes it inflates to: the object, or the difference.
    pub(crate) size: u64,
    /// How many bytes the header has.
    pub(crate) len: usize,
}

/// The longest header there can be.
pub(crate) const LONGEST: usize = 64;

impl Header {
    pub(crate) fn parse(bytes: &[u8], format: Format) -> Option<Self> {
        let first = *bytes.first()?;
        let mut size = u64::from(first & 0xf);
        let (mut at, mut shift, mut more) = (1, 4_u32, first & 0x80 != 0);
        while more {
            let byte = *bytes.get(at)?;
            let part = u64::from(byte & 0x7f);
            size |= part.checked_shl(shift).filter(|shifted| shifted >> shift == part)?;
            (at, shift, more) = (at + 1, shift + 7, byte & 0x80 != 0);
        }
        let base = match first >> 4 & 7 {
            6 => {
                let mut byte = *bytes.get(at)?;
                let mut back = u64::from(byte & 0x7f);
                at += 1;
                while byte & 0x80 != 0 {
                    byte = *bytes.get(at)?;
                    at += 1;
                    back = back.checked_add(1)?.checked_mul(128)?.checked_add(u64::from(byte & 0x7f))?;
                }
                Base::Before(back)
            }
            7 => {
                let id = Id::new(bytes.get(at..at + format.len())?)?;
                at += format.len();
                Base::Named(id)
            }
            number => Base::Whole(Kind::from_number(number)?),
        };
        Some(Self { base, size, len: at })
    }
}
