//! What a push brings: all that leads to its new references, without what the other side has.

use super::{GitError, config::Config, id::Id, range::Wanted, repository::Repository, revision::Revisions};
use crate::{Outcome, Scan};
use rustc_hash::{FxHashMap, FxHashSet};

/// A push, as git tells its hooks of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Push {
    /// The references on the other side, and the ids that they are to become.
    pub new: Vec<(String, String)>,
    /// What these are there now, by id. Not all of it has to be here.
    pub old: Vec<String>,
    /// The name and the URL of the remote. None: this repository is the other side.
    pub to: Option<(String, String)>,
}

impl Scan<'_> {
    /// Scans what a push brings.
    pub(crate) fn push(&self, repository: &Repository, push: &Push) -> Result<Outcome, GitError> {
        self.within(repository, |revisions, reader| {
            let mut known: FxHashSet<Id> = push.old.iter().filter_map(|id| Id::from_hex(id.as_bytes())).collect();
            known.extend(theirs(revisions, push));
            let mut wanted = Wanted::default();
            for id in std::mem::take(&mut known) {
                if let Some((tags, _, id)) = revisions.peel(id, reader) {
                    known.extend(tags);
                    known.insert(id);
                    wanted.unwanted.extend(revisions.commit(id, reader));
                }
            }
            wanted.unwanted.sort_unstable();
            for (name, id) in &push.new {
                let unknown = || GitError::UnknownRevision(id.clone());
                let named = Id::from_hex(id.as_bytes()).ok_or_else(unknown)?;
                let (mut tags, kind, id) = revisions.peel(named, reader).ok_or_else(unknown)?;
                tags.retain(|tag| !known.contains(tag) && !wanted.tags.contains(tag));
                if known.contains(&id) {
                    wanted.tags.extend(tags);
                } else {
                    wanted.add((tags, kind, id), name.as_bytes());
                }
            }
            Ok(wanted)
        })
    }
}

/// What the references lead to that are known to be on the other side: all of ours, or what was last seen of the remote
/// that is pushed to. What another remote has may be a secret to this one.
fn theirs(revisions: &Revisions<'_>, push: &Push) -> Vec<Id> {
    // A reference of its own file has taken the place of a packed one, whose commit the other side may have dropped.
    let last: FxHashMap<&[u8], Id> = revisions.refs.refs.iter().map(|one| (&*one.name, one.target)).collect();
    let Some((name, url)) = &push.to else {
        return last.into_iter().filter(|(name, _)| !name.is_empty()).map(|(_, id)| id).collect();
    };
    let remotes = remotes(&revisions.repository.config);
    let named = remotes.iter().any(|(known, _)| *known == name.as_bytes());
    let fits = |(known, urls): &(&[u8], Vec<&[u8]>)| {
        if named { *known == name.as_bytes() } else { urls.contains(&url.as_bytes()) }
    };
    let counts = |full: &[u8]| {
        let tracked = full.strip_prefix(b"refs/remotes/").unwrap_or_default();
        // Remotes may be called `a` and `a/b`.
        let of = remotes
            .iter()
            .filter(|(name, _)| tracked.strip_prefix(*name).is_some_and(|rest| rest.first() == Some(&b'/')));
        of.max_by_key(|(name, _)| name.len()).is_some_and(fits)
    };
    last.into_iter().filter(|(name, _)| counts(name)).map(|(_, id)| id).collect()
}

/// The remotes that are configured, and where they are pushed to.
fn remotes(config: &Config) -> Vec<(&[u8], Vec<&[u8]>)> {
    let mut remotes: Vec<(&[u8], Vec<&[u8]>)> = Vec::new();
    for (name, key, value) in config.below("remote") {
        let at = remotes.iter().position(|(known, _)| *known == name);
        let at = at.unwrap_or_else(|| {
            remotes.push((name, Vec::new()));
            remotes.len() - 1
        });
        if let Some((_, urls)) = remotes.get_mut(at).filter(|_| matches!(key, "url" | "pushurl")) {
            urls.push(value);
        }
    }
    remotes
}
