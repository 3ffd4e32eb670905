//! Finds the commit that a revision names.

use super::{
    GitError,
    id::Id,
    object::{CommitHead, Kind, TagHead},
    objects::{Objects, Reader},
    refs::Refs,
    repository::Repository,
};
use rustc_hash::FxHashMap;

/// How often tags may tag each other.
const TAGS: usize = 32;

/// What finds commits.
pub(crate) struct Revisions<'r> {
    pub(crate) repository: &'r Repository,
    pub(crate) objects: &'r Objects,
    pub(crate) refs: &'r Refs,
}

impl Revisions<'_> {
    /// The commit that a text names: a reference, an id or its beginning, with `^`, `~`, `^{…}` and `@{n}` behind it.
    pub(crate) fn find(&self, text: &str, reader: &mut Reader) -> Result<Id, GitError> {
        if text.is_empty() {
            return Err(GitError::EmptyRevision);
        }
        self.parse(text, reader).ok_or_else(|| match self.repository.has_foreign_refs() {
            true => GitError::UnreadReferences(text.to_owned()),
            false => GitError::UnknownRevision(text.to_owned()),
        })
    }

    /// The object that a text names: a tag, if it names one, and else a commit.
    pub(crate) fn object(&self, text: &str, reader: &mut Reader) -> Result<Id, GitError> {
        match self.refs.find(self.repository, text.as_bytes()) {
            Some(id) if self.commit(id, reader).is_some() => Ok(id),
            _ => match Id::from_hex(text.as_bytes()).filter(|id| self.commit(*id, reader).is_some()) {
                Some(id) => Ok(id),
                None => self.find(text, reader),
            },
        }
    }

    /// The commits that two have in common, the newest of them: at least all that lead to all others.
    pub(crate) fn bases(&self, one: Id, two: Id, reader: &mut Reader) -> Vec<Id> {
        let mut sides: FxHashMap<Id, u8> = FxHashMap::default();
        let mut open = vec![(one, 1_u8), (two, 2)];
        let mut both = Vec::new();
        while let Some((id, side)) = open.pop() {
            let sides = sides.entry(id).or_default();
            if *sides & side == side {
                continue;
            }
            *sides |= side;
            if *sides == 3 {
                both.push(id);
            } else if let Some(head) = self.head(&id, reader) {
                open.extend(head.parents.iter().map(|parent| (*parent, side)));
            }
        }
        both
    }

    fn parse(&self, text: &str, reader: &mut Reader) -> Option<Id> {
        // A reference's name has none of these, but may have `@`.
        let end = text.find(['^', '~']).unwrap_or(text.len());
        let (name, mut rest) = text.split_at_checked(end)?;
        let mut id = self.commit(self.name(name)?, reader)?;
        while let Some(operator) = rest.chars().next() {
            rest = rest.get(1..)?;
            if operator == '^' && rest.starts_with('{') {
                // Commits are all that is looked for here.
                let (kind, after) = rest.split_once('}')?;
                if !matches!(kind, "{" | "{commit" | "{object") {
                    return None;
                }
                rest = after;
                continue;
            }
            let digits = rest.len() - rest.trim_start_matches(|one: char| one.is_ascii_digit()).len();
            let (number, after) = rest.split_at_checked(digits)?;
            let number: usize = if number.is_empty() { 1 } else { number.parse().ok()? };
            rest = after;
            match operator {
                '^' if number == 0 => {}
                '^' => id = *self.head(&id, reader)?.parents.get(number - 1)?,
                '~' => {
                    for _ in 0..number {
                        id = *self.head(&id, reader)?.parents.first()?;
                    }
                }
                _ => return None,
            }
        }
        Some(id)
    }

    fn name(&self, name: &str) -> Option<Id> {
        if let Some((name, rest)) = name.split_once("@{") {
            let number: usize = rest.strip_suffix('}')?.parse().ok()?;
            let log = if name.is_empty() { "HEAD" } else { name };
            return self.logged(log, number);
        }
        let name = if name == "@" { "HEAD" } else { name };
        if let Some(id) = self.refs.find(self.repository, name.as_bytes()) {
            return Some(id);
        }
        // What `git describe` says ends in the id.
        let hex = name.rsplit_once("-g").map_or(name, |(_, hex)| hex).to_ascii_lowercase();
        if hex.len() < 4 || !hex.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return None;
        }
        if hex.len() == 2 * self.repository.format.len() {
            return Id::from_hex(hex.as_bytes());
        }
        let mut reader = Reader::default();
        let mut ids = self.objects.beginning(&hex);
        ids.retain(|id| self.commit(*id, &mut reader).is_some());
        match ids.as_slice() {
            [id] => Some(*id),
            _ => None,
        }
    }

    fn logged(&self, name: &str, back: usize) -> Option<Id> {
        let forms = ["", "refs/", "refs/tags/", "refs/heads/", "refs/remotes/"];
        forms.iter().find_map(|before| {
            let full = format!("{before}{name}");
            let lines: Vec<_> = self.refs.logs.iter().filter(|one| *one.name == *full.as_bytes()).collect();
            // Each line names what was before it and what after; what was before the first is nothing, and left out.
            lines.len().checked_sub(1 + 2 * back).and_then(|at| lines.get(at)).map(|one| one.target)
        })
    }

    /// The commit that an object is, or that a tag leads to.
    pub(crate) fn commit(&self, id: Id, reader: &mut Reader) -> Option<Id> {
        self.peel(id, reader).filter(|(_, kind, _)| *kind == Kind::Commit).map(|(_, _, id)| id)
    }

    /// What an object is, or leads to: the tags on the way, and what the last of them leads to.
    pub(crate) fn peel(&self, id: Id, reader: &mut Reader) -> Option<(Vec<Id>, Kind, Id)> {
        let (mut id, mut tags) = (id, Vec::new());
        for _ in 0..TAGS {
            match self.objects.read(&id, reader).ok()? {
                (Kind::Tag, tag) => {
                    tags.push(id);
                    id = TagHead::parse(tag.bytes())?.target;
                }
                (kind, _) => return Some((tags, kind, id)),
            }
        }
        None
    }

    fn head(&self, id: &Id, reader: &mut Reader) -> Option<CommitHead> {
        CommitHead::parse(self.objects.read_as(id, Kind::Commit, reader).ok()?.bytes())
    }
}
