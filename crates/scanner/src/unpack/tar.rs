//! Tar archives: ustar, GNU and pax, also several one after another. Image tarballs are tars with layers inside.

use super::{Unpack, long, peek::Peek};
use crate::Cause;
use std::io::{self, Read};

/// The size of a header, and what contents are filled up to.
const BLOCK: usize = 512;

/// How long a name or a pax header may be, in bytes.
const LONGEST: u64 = 64 << 10;

/// Whether this is the header of a tar archive: its checksum holds.
pub(super) fn is_header(head: &[u8]) -> bool {
    let Some(block) = head.first_chunk::<BLOCK>() else { return false };
    let Some(told) = block.get(148..156).and_then(octal) else { return false };
    if block.first() == Some(&0) && block.get(257..262) != Some(b"ustar") {
        return false;
    }
    let (before, rest) = block.split_at(148);
    let (_, after) = rest.split_at(8);
    let sum = |bytes: &[u8]| bytes.iter().map(|byte| u64::from(*byte)).sum::<u64>();
    sum(before) + sum(after) + 8 * u64::from(b' ') == told
}

/// A number: octal digits, or GNU's binary form for what does not fit.
fn number(field: &[u8]) -> Option<u64> {
    match field.split_first() {
        Some((0x80, rest)) => {
            let (high, low) = rest.split_at(rest.len().checked_sub(8)?);
            if high.iter().any(|byte| *byte != 0) {
                return None;
            }
            Some(u64::from_be_bytes(low.try_into().ok()?))
        }
        _ => octal(field),
    }
}

fn octal(field: &[u8]) -> Option<u64> {
    let text = field.trim_ascii_start();
    let digits = text.iter().take_while(|byte| (b'0'..=b'7').contains(byte)).count();
    let (digits, rest) = text.split_at(digits);
    if rest.first().is_some_and(|byte| !matches!(byte, 0 | b' ')) || digits.len() > 21 {
        return None;
    }
    Some(digits.iter().fold(0, |sum, digit| sum << 3 | u64::from(digit & 7)))
}

/// A field that ends with a zero byte, or with itself.
fn name(field: &[u8]) -> &[u8] {
    field.split(|byte| *byte == 0).next().unwrap_or_default()
}

/// What headers before a member say of it.
#[derive(Default)]
struct Ahead {
    name: Option<Vec<u8>>,
    size: Option<u64>,
}

impl Ahead {
    /// Reads a pax header: lines of `length key=value`.
    fn pax(&mut self, mut records: &[u8]) {
        while let Some(space) = memchr::memchr(b' ', records) {
            let length =
                records.get(..space).and_then(|digits| std::str::from_utf8(digits).ok()?.parse::<usize>().ok());
            let Some(record) = length.and_then(|length| records.get(space + 1..length)) else { return };
            let record = record.strip_suffix(b"\n").unwrap_or(record);
            if let Some(path) = record.strip_prefix(b"path=").or_else(|| record.strip_prefix(b"GNU.sparse.name=")) {
                self.name = Some(path.to_vec());
            } else if let Some(size) = record.strip_prefix(b"size=") {
                self.size = std::str::from_utf8(size).ok().and_then(|size| size.parse().ok());
            }
            records = records.get(length.unwrap_or(usize::MAX)..).unwrap_or_default();
        }
    }
}

impl Unpack<'_> {
    /// Reads a tar archive to its end, and what follows it as it is.
    pub(super) fn tar(&mut self, source: &mut Peek<'_>) {
        if let Err(error) = self.tar_members(source) {
            self.unread(Cause::Corrupt, &error.to_string());
        }
    }

    fn tar_members(&mut self, source: &mut Peek<'_>) -> io::Result<()> {
        let mut ahead = Ahead::default();
        let mut ended = false;
        while !self.is_done() {
            let block = source.peek(BLOCK)?;
            if block.is_empty() {
                if !ended {
                    self.unread(Cause::Corrupt, "the archive ends before its end mark");
                }
                return Ok(());
            }
            if block.iter().all(|byte| *byte == 0) {
                ended = true;
                let count = block.len();
                source.skip(long(count))?;
                continue;
            }
            if !is_header(block) {
                if !ended {
                    self.unread(Cause::Corrupt, "what should be a member's header is none: the rest is read as it is");
                }
                self.text(Vec::new(), source);
                return Ok(());
            }
            ended = false;
            let Some(header) = source.take_exact(BLOCK)? else { return Ok(()) };
            self.tar_member(&header, source, &mut ahead)?;
        }
        Ok(())
    }

    fn tar_member(&mut self, header: &[u8], source: &mut Peek<'_>, ahead: &mut Ahead) -> io::Result<()> {
        let field = |range: std::ops::Range<usize>| header.get(range).unwrap_or_default();
        let kind = header.get(156).copied().unwrap_or(0);
        let Some(told) = number(field(124..136)) else {
            self.unread(Cause::Corrupt, "a member's size is no number");
            return Ok(());
        };
        if matches!(kind, b'L' | b'K' | b'x' | b'g' | b'X') {
            return self.tar_ahead(kind, told, source, ahead);
        }
        let ahead = std::mem::take(ahead);
        let own = name(field(0..100));
        let prefix = if field(257..263) == b"ustar\0" { name(field(345..500)) } else { b"" };
        let path = match ahead.name {
            Some(name) => name,
            None if prefix.is_empty() => own.to_vec(),
            None => [prefix, b"/", own].concat(),
        };
        let mut size = ahead.size.unwrap_or(told);
        if kind == b'S' && header.get(482).is_some_and(|more| *more != 0) {
            // The map of a sparse file goes on in blocks of its own.
            while let Some(block) = source.take_exact(BLOCK)? {
                if block.get(504).is_none_or(|more| *more == 0) {
                    break;
                }
            }
        }
        // Links have a size in some archives, and contents in fewer.
        if matches!(kind, b'1'..=b'6') && (size == 0 || is_header(source.peek(BLOCK)?)) {
            size = 0;
        }
        let filled = size.div_ceil(long(BLOCK)).saturating_mul(long(BLOCK));
        let mut content = source.by_ref().take(size);
        if size > 0 {
            self.member(&path, |this| this.stream(&mut content));
        }
        let left = content.limit();
        if self.is_done() {
            return Ok(());
        }
        let wanted = left.saturating_add(filled - size);
        if source.skip(wanted)? < wanted && left > 0 {
            self.member(&path, |this| this.unread(Cause::Corrupt, "the archive ends within this member"));
        }
        Ok(())
    }

    fn tar_ahead(&mut self, kind: u8, size: u64, source: &mut Peek<'_>, ahead: &mut Ahead) -> io::Result<()> {
        let mut bytes = Vec::new();
        source.by_ref().take(size.min(LONGEST)).read_to_end(&mut bytes)?;
        let filled = size.div_ceil(long(BLOCK)).saturating_mul(long(BLOCK));
        source.skip(filled - long(bytes.len()).min(filled))?;
        if size > LONGEST {
            self.unread(Cause::TooLarge, "a header before a member is too long");
        }
        match kind {
            b'L' => ahead.name = Some(name(&bytes).to_vec()),
            b'x' | b'X' => ahead.pax(&bytes),
            _ => {}
        }
        Ok(())
    }

    /// Reads a Debian package: the common archive format of Unix, with tars inside.
    pub(super) fn deb(&mut self, source: &mut Peek<'_>) {
        let read = (|| -> io::Result<bool> {
            source.skip(8)?;
            while !self.is_done() {
                if source.peek(1)?.is_empty() {
                    return Ok(true);
                }
                let Some(header) = source.take_exact(60)? else { return Ok(false) };
                let digits = header.get(48..58).unwrap_or_default().trim_ascii();
                let size = std::str::from_utf8(digits).ok().and_then(|digits| digits.parse::<u64>().ok());
                let Some(size) = size else { return Ok(false) };
                let mut content = source.by_ref().take(size);
                let path = header.get(..16).unwrap_or_default().trim_ascii_end();
                self.member(path.strip_suffix(b"/").unwrap_or(path), |this| this.stream(&mut content));
                let left = content.limit();
                if !self.is_done() && source.skip(left)? < left {
                    return Ok(false);
                }
                source.skip(size & 1)?;
            }
            Ok(true)
        })();
        if !matches!(read, Ok(true)) {
            self.unread(Cause::Corrupt, "the package is broken or ends early");
        }
    }
}
