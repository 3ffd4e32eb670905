//! The index: what `git add` has taken.

mod bitmap;

use super::{
    id::{Format, Id},
    open::read,
};
use std::path::Path;

/// One entry of the index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Staged {
    pub(crate) path: Box<[u8]>,
    pub(crate) id: Id,
    pub(crate) mode: u32,
    /// 0, or in a conflict 1 to 3.
    pub(crate) stage: u8,
    /// Only its name was taken, with `git add -N`.
    pub(crate) intent: bool,
}

impl Staged {
    /// A submodule's commit.
    pub(crate) const fn is_gitlink(&self) -> bool {
        self.mode & 0o170_000 == 0o160_000
    }

    /// A whole folder, in an index that is sparse.
    pub(crate) const fn is_folder(&self) -> bool {
        self.mode & 0o170_000 == 0o040_000
    }
}

/// An index that was read.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Index {
    pub(crate) entries: Vec<Staged>,
    /// The trees that stand for folders as they are in the index: the folder's path and its tree.
    pub(crate) trees: Vec<(Box<[u8]>, Id)>,
    /// What of it could not be read.
    pub(crate) broken: Option<&'static str>,
}

/// The largest index that is read.
const MOST: u64 = 2 << 30;

impl Index {
    /// Reads the index of a worktree. None: it has none.
    pub(crate) fn read(own: &Path, format: Format) -> Option<Self> {
        Self::read_at(&own.join("index"), own, format)
    }

    /// The same from another file: git prepares what a partial commit takes in one of its own.
    pub(crate) fn read_at(path: &Path, own: &Path, format: Format) -> Option<Self> {
        let kind = std::fs::symlink_metadata(path).ok()?;
        let bytes = (kind.is_file() && kind.len() <= MOST).then(|| read(path).ok()).flatten();
        let Some(bytes) = bytes else {
            let broken = Some(if kind.is_file() { "it cannot be read" } else { "it is not a file" });
            return Some(Self { broken, ..Self::default() });
        };
        let (mut index, link) = Self::parse(&bytes, format);
        if let Some(link) = link {
            let shared = link.get(..format.len()).and_then(Id::new).filter(|id| !id.is_zero());
            if let Some(id) = shared {
                match read(&own.join(format!("sharedindex.{id}"))) {
                    Ok(bytes) => {
                        let (base, _) = Self::parse(&bytes, format);
                        index.onto(base, link.get(format.len()..).unwrap_or_default());
                    }
                    Err(_) => index.broken = Some("the index it is split from is not here"),
                }
            }
        }
        Some(index)
    }

    /// Reads an index as far as it goes, and the link to the one it is split from.
    pub(crate) fn parse(bytes: &[u8], format: Format) -> (Self, Option<Vec<u8>>) {
        let mut index = Self::default();
        let read = index.fill(bytes, format);
        if read.is_none() {
            index.broken = Some("it is cut off or makes no sense");
        }
        (index, read.flatten())
    }

    fn fill(&mut self, bytes: &[u8], format: Format) -> Option<Option<Vec<u8>>> {
        let mut rest = Bytes(bytes.strip_prefix(b"DIRC")?);
        let version = rest.number()?;
        let count = rest.number()?;
        if !(2..=4).contains(&version) {
            return None;
        }
        let mut path: Vec<u8> = Vec::new();
        for _ in 0..count {
            let before = rest.0.len();
            rest.take(24)?;
            let mode = rest.number()?;
            rest.take(12)?;
            let id = Id::new(rest.take(format.len())?)?;
            let flags = rest.short()?;
            let more = if flags & 0x4000 != 0 && version >= 3 { rest.short()? } else { 0 };
            if version == 4 {
                let strip = rest.varint()?;
                path.truncate(path.len().checked_sub(strip)?);
                path.extend_from_slice(rest.line(0)?);
            } else {
                path = rest.line(0)?.to_vec();
                let padding = (8 - (before - rest.0.len() - 1) % 8) - 1;
                rest.take(padding)?;
            }
            let stage = u8::try_from(flags >> 12 & 3).unwrap_or(0);
            self.entries.push(Staged { path: path.as_slice().into(), id, mode, stage, intent: more & 0x2000 != 0 });
        }
        let mut link = None;
        while rest.0.len() > format.len() {
            let name = rest.take(4)?;
            let len = usize::try_from(rest.number()?).ok()?;
            let body = rest.take(len)?;
            match name {
                b"TREE" => self.trees = trees(body, format).unwrap_or_default(),
                b"link" => link = Some(body.to_vec()),
                _ => {}
            }
        }
        Some(link)
    }

    /// Makes this the whole index: what it was split from, without what was deleted, and with what was replaced.
    fn onto(&mut self, base: Self, bitmaps: &[u8]) {
        let (Some((deleted, rest)), mut own) = (bitmap::read(bitmaps), std::mem::take(&mut self.entries).into_iter())
        else {
            self.broken = Some("its link to the index it is split from is broken");
            return;
        };
        let replaced = bitmap::read(rest).map(|(replaced, _)| replaced).unwrap_or_default();
        for (at, mut entry) in (0..).zip(base.entries) {
            if replaced.contains(&at) {
                let Some(new) = own.next() else { break };
                entry = Staged { path: if new.path.is_empty() { entry.path } else { new.path.clone() }, ..new };
            }
            if !deleted.contains(&at) {
                self.entries.push(entry);
            }
        }
        self.entries.extend(own);
        self.entries.sort_by(|one, two| (&one.path, one.stage).cmp(&(&two.path, two.stage)));
    }
}

/// The extension that keeps trees: path, number of entries, number of subtrees, id; folders before what they contain.
fn trees(bytes: &[u8], format: Format) -> Option<Vec<(Box<[u8]>, Id)>> {
    let mut rest = Bytes(bytes);
    let mut trees = Vec::new();
    // The folders that are open: their paths, and how many subfolders are still to come.
    let mut open: Vec<(Vec<u8>, usize)> = Vec::new();
    while !rest.0.is_empty() {
        let name = rest.line(0)?;
        let entries: i64 = std::str::from_utf8(rest.line(b' ')?).ok()?.parse().ok()?;
        let below: usize = std::str::from_utf8(rest.line(b'\n')?).ok()?.parse().ok()?;
        while open.last().is_some_and(|(_, left)| *left == 0) {
            open.pop();
        }
        let mut path = open.last().map(|(path, _)| path.clone()).unwrap_or_default();
        if let Some((_, left)) = open.last_mut() {
            *left -= 1;
            if !path.is_empty() {
                path.push(b'/');
            }
        }
        path.extend_from_slice(name);
        if entries >= 0 {
            trees.push((path.as_slice().into(), Id::new(rest.take(format.len())?)?));
        }
        open.push((path, below));
    }
    Some(trees)
}

/// Bytes that are read from their beginning.
struct Bytes<'a>(&'a [u8]);

impl<'a> Bytes<'a> {
    fn take(&mut self, len: usize) -> Option<&'a [u8]> {
        let (head, tail) = self.0.split_at_checked(len)?;
        self.0 = tail;
        Some(head)
    }

    fn number(&mut self) -> Option<u32> {
        Some(u32::from_be_bytes(self.take(4)?.try_into().ok()?))
    }

    fn short(&mut self) -> Option<u16> {
        Some(u16::from_be_bytes(self.take(2)?.try_into().ok()?))
    }

    /// Up to a byte, which is left out.
    fn line(&mut self, end: u8) -> Option<&'a [u8]> {
        let at = memchr::memchr(end, self.0)?;
        let line = self.take(at)?;
        self.take(1)?;
        Some(line)
    }

    fn varint(&mut self) -> Option<usize> {
        let mut byte = *self.take(1)?.first()?;
        let mut value = usize::from(byte & 0x7f);
        while byte & 0x80 != 0 {
            byte = *self.take(1)?.first()?;
            value = value.checked_add(1)?.checked_mul(128)?.checked_add(usize::from(byte & 0x7f))?;
        }
        Some(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn nothing_makes_it_panic(version in 2_u8..5, count in 0_u8..4, bytes in prop::collection::vec(any::<u8>(), 0..512)) {
            let mut index = b"DIRC\0\0\0".to_vec();
            index.extend([version, 0, 0, 0, count]);
            index.extend(&bytes);
            let _ = Index::parse(&index, Format::Sha1);
            let _ = trees(&bytes, Format::Sha256);
            let _ = bitmap::read(&bytes);
        }
    }
}
