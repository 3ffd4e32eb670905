//! What a content is, told by its first bytes and never by its name.

/// What has to be done with a content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// One stream, packed.
    Packed(Packing),
    Zip,
    Tar,
    /// A Debian package: an archive of a kind that otherwise only holds object code.
    Deb,
    Sqlite,
    /// The log of such a database.
    SqliteLog,
    /// A document with packed streams in it.
    Pdf,
    /// A picture, which may have packed remarks.
    Png,
    /// Packed in a way that is not unpacked here; its name.
    Unknown(&'static str),
    /// As it is.
    Plain,
}

/// How a stream is packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Packing {
    Gzip,
    Bzip2,
    Xz,
    Zstd,
    /// LZMA alone, as it was written before xz.
    Lzma,
}

const UNKNOWN: [(&[u8], &str); 12] = [
    (b"7z\xbc\xaf\x27\x1c", "7z"),
    (b"Rar!\x1a\x07", "rar"),
    (b"\x04\x22\x4d\x18", "lz4"),
    (b"\x1f\x9d", "compress"),
    (b"MSCF\0\0\0\0", "cab"),
    (b"\xed\xab\xee\xdb", "rpm"),
    (b"LZIP\x01", "lzip"),
    (b"\x89LZO\0\r\n\x1a\n", "lzop"),
    (b"xar!\0\x1c", "xar"),
    (b"hsqs", "squashfs"),
    (b"# v2 git bundle\n", "a git bundle"),
    (b"# v3 git bundle\n", "a git bundle"),
];

pub(super) fn kind(head: &[u8]) -> Kind {
    match head.first() {
        Some(0x1f) => match packing(head) {
            Some(packing) => return Kind::Packed(packing),
            None => return unknown(head),
        },
        Some(b'B' | 0xfd | 0x28 | 0x50..=0x5f) => {
            if let Some(packing) = packing(head) {
                return Kind::Packed(packing);
            }
        }
        _ => {}
    }
    if head.starts_with(b"PK\x03\x04") || head.starts_with(b"PK\x05\x06") || head.starts_with(b"PK\x07\x08PK") {
        return Kind::Zip;
    }
    if head.starts_with(b"SQLite format 3\0") {
        return Kind::Sqlite;
    }
    if head.starts_with(&[0x37, 0x7f, 0x06, 0x82]) || head.starts_with(&[0x37, 0x7f, 0x06, 0x83]) {
        return Kind::SqliteLog;
    }
    if head.starts_with(b"!<arch>\ndebian-binary") {
        return Kind::Deb;
    }
    if head.starts_with(b"%PDF-") {
        return Kind::Pdf;
    }
    if head.starts_with(super::inflate::PNG) {
        return Kind::Png;
    }
    if super::tar::is_header(head) {
        return Kind::Tar;
    }
    unknown(head)
}

fn unknown(head: &[u8]) -> Kind {
    UNKNOWN.iter().find(|(magic, _)| head.starts_with(magic)).map_or(Kind::Plain, |(_, name)| Kind::Unknown(name))
}

/// Which packed stream begins here.
pub(super) fn packing(head: &[u8]) -> Option<Packing> {
    match head {
        [0x1f, 0x8b, 8, flags, ..] if flags & 0xe0 == 0 => Some(Packing::Gzip),
        [b'B', b'Z', b'h', b'1'..=b'9', 0x31, 0x41, 0x59, 0x26, 0x53, 0x59, ..]
        | [b'B', b'Z', b'h', b'1'..=b'9', 0x17, 0x72, 0x45, 0x38, 0x50, 0x90, ..] => Some(Packing::Bzip2),
        [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => Some(Packing::Xz),
        [0x28, 0xb5, 0x2f, 0xfd, ..] | [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => Some(Packing::Zstd),
        [0x5d, 0, 0, ..] if is_lzma(head) => Some(Packing::Lzma),
        _ => None,
    }
}

/// LZMA alone has no mark of its own. What all programs write that make it: how the coder is set, a dictionary of a round
/// size, a size that is not known or can be, and the coder's first byte, which is zero.
fn is_lzma(head: &[u8]) -> bool {
    let [_, a, b, c, d, size @ .., 0] = head.get(..14).unwrap_or_default() else { return false };
    let dictionary = u32::from_le_bytes([*a, *b, *c, *d]);
    let size = size.iter().rev().fold(0_u64, |size, byte| size << 8 | u64::from(*byte));
    let is_round = dictionary.is_power_of_two()
        || dictionary.checked_mul(2).is_some_and(|twice| twice % 3 == 0 && (twice / 3).is_power_of_two());
    is_round && (size == u64::MAX || (1..1 << 40).contains(&size))
}
