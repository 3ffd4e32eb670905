//! What objects are, and what stands in commits, tags and trees.

use super::id::{Format, Id};

/// What an object is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Kind {
    Commit,
    Tree,
    Blob,
    Tag,
}

impl Kind {
    /// By the number that packs use.
    pub(crate) const fn from_number(number: u8) -> Option<Self> {
        match number {
            1 => Some(Self::Commit),
            2 => Some(Self::Tree),
            3 => Some(Self::Blob),
            4 => Some(Self::Tag),
            _ => None,
        }
    }

    /// By the name that loose objects use.
    pub(crate) fn from_name(name: &[u8]) -> Option<Self> {
        match name {
            b"commit" => Some(Self::Commit),
            b"tree" => Some(Self::Tree),
            b"blob" => Some(Self::Blob),
            b"tag" => Some(Self::Tag),
            _ => None,
        }
    }

    /// The name that loose objects use.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Commit => "commit",
            Self::Tree => "tree",
            Self::Blob => "blob",
            Self::Tag => "tag",
        }
    }
}

/// What a commit says, as far as it matters here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CommitHead {
    pub(crate) tree: Id,
    pub(crate) parents: Box<[Id]>,
    /// When it was committed, in Unix seconds.
    pub(crate) seconds: i64,
    /// Where in the object people's words begin: after tree and parents, whose digits would only mislead.
    pub(crate) words: usize,
}

impl CommitHead {
    /// Reads a commit object. Unknown lines are no error.
    pub(crate) fn parse(bytes: &[u8]) -> Option<Self> {
        let (tree, mut words) = header(bytes, 0, b"tree ")?;
        let tree = Id::from_hex(tree)?;
        let mut parents = Vec::new();
        while let Some((parent, next)) = header(bytes, words, b"parent ") {
            parents.push(Id::from_hex(parent)?);
            words = next;
        }
        let seconds = line_of(bytes, b"committer ").and_then(|line| signature(line).1).unwrap_or(0);
        Some(Self { tree, parents: parents.into(), seconds, words })
    }
}

/// Who wrote a commit, and when.
pub(crate) fn author(commit: &[u8]) -> (Box<str>, i64) {
    let (name, seconds) = line_of(commit, b"author ").map(signature).unwrap_or_default();
    (String::from_utf8_lossy(name).into(), seconds.unwrap_or(0))
}

/// What an annotated tag leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TagHead {
    pub(crate) target: Id,
    pub(crate) name: Box<[u8]>,
    /// Where in the object people's words begin.
    pub(crate) words: usize,
}

impl TagHead {
    /// Reads a tag object.
    pub(crate) fn parse(bytes: &[u8]) -> Option<Self> {
        let (target, words) = header(bytes, 0, b"object ")?;
        let name = line_of(bytes, b"tag ").unwrap_or_default().into();
        Some(Self { target: Id::from_hex(target)?, name, words })
    }
}

/// One entry of a tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Entry<'a> {
    pub(crate) mode: u32,
    pub(crate) name: &'a [u8],
    pub(crate) id: Id,
}

impl Entry<'_> {
    pub(crate) const fn is_tree(&self) -> bool {
        self.mode & 0o170_000 == 0o040_000
    }

    /// What is a folder in a work tree.
    pub(crate) const fn is_folder(&self) -> bool {
        self.is_tree() || self.is_gitlink()
    }

    /// A submodule's commit: an object of another repository.
    pub(crate) const fn is_gitlink(&self) -> bool {
        self.mode & 0o170_000 == 0o160_000
    }
}

/// The entries of a tree. Odd modes and orders are taken as they are; the iteration ends with `Err` where the bytes make no
/// sense any more.
pub(crate) fn entries(bytes: &[u8], format: Format) -> impl Iterator<Item = Result<Entry<'_>, ()>> {
    let mut rest = bytes;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let read = entry(rest, format);
        rest = read.map_or(&[][..], |(_, rest)| rest);
        Some(read.map(|(entry, _)| entry).ok_or(()))
    })
}

fn entry(bytes: &[u8], format: Format) -> Option<(Entry<'_>, &[u8])> {
    let mut mode = 0_u32;
    let mut at = 0;
    loop {
        let byte = *bytes.get(at)?;
        at += 1;
        match byte {
            b' ' => break,
            b'0'..=b'7' if at <= 8 => mode = mode << 3 | u32::from(byte - b'0'),
            _ => return None,
        }
    }
    let rest = bytes.get(at..)?;
    let end = memchr::memchr(0, rest)?;
    let (name, rest) = (rest.get(..end)?, rest.get(end + 1..)?);
    let (id, rest) = rest.split_at_checked(format.len())?;
    Some((Entry { mode, name, id: Id::new(id)? }, rest))
}

/// The rest of the line at `at`, if it begins so, and where the next line begins.
fn header<'a>(bytes: &'a [u8], at: usize, name: &[u8]) -> Option<(&'a [u8], usize)> {
    let rest = bytes.get(at..)?.strip_prefix(name)?;
    let end = memchr::memchr(b'\n', rest).unwrap_or(rest.len());
    Some((rest.get(..end)?, (at + name.len() + end + 1).min(bytes.len())))
}

/// The rest of the first header line that begins so.
fn line_of<'a>(bytes: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    bytes.split(|byte| *byte == b'\n').take_while(|line| !line.is_empty()).find_map(|line| line.strip_prefix(name))
}

/// `Name <address> seconds zone`: the name with its address, and the seconds.
fn signature(line: &[u8]) -> (&[u8], Option<i64>) {
    let end = memchr::memrchr(b'>', line).map_or(line.len(), |at| at + 1);
    let (who, when) = line.split_at_checked(end).unwrap_or((line, &[]));
    let seconds = std::str::from_utf8(when).ok().and_then(|when| when.split_ascii_whitespace().next()?.parse().ok());
    (who, seconds)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_commit_tells_its_tree_parents_author_and_time() {
        let (tree, one, two) = ("1".repeat(40), "2".repeat(40), "3".repeat(40));
        let text = format!(
            "tree {tree}\nparent {one}\nparent {two}\nauthor A B <a@b> 12 +0100\ncommitter C <c> 34 -0200\ngpgsig x\n y\n\nWords\n"
        );
        let head = CommitHead::parse(text.as_bytes()).unwrap();
        assert_eq!(&*head.tree.hex(), tree);
        assert_eq!(head.parents.iter().map(Id::hex).collect::<Vec<_>>(), [one.into(), two.into()]);
        assert_eq!(head.seconds, 34);
        assert!(text[head.words..].starts_with("author A B"));
        assert_eq!(author(text.as_bytes()), ("A B <a@b>".into(), 12));
    }

    #[test]
    fn a_tree_with_a_broken_end_tells_what_stands_before_it() {
        let mut bytes = b"100644 a\0".to_vec();
        bytes.extend([7; 20]);
        bytes.extend(b"40000 d\0");
        bytes.extend(b"123");
        let read: Vec<_> = entries(&bytes, Format::Sha1).collect();
        assert_eq!(read.len(), 2);
        assert!(read[0].is_ok_and(|entry| entry.name == b"a" && !entry.is_tree()));
        assert!(read[1].is_err());
    }
}
