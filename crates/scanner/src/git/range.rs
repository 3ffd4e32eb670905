//! Some commits: what they brought, and their messages.

use super::{
    GitError,
    attribute::{Graph, NAMED, Spot},
    births::{Births, Born, NOWHERE, parents},
    contents::{Contents, place},
    gather::{Gather, told},
    id::Id,
    names,
    news::News,
    object::{CommitHead, Kind},
    objects::{Each, Objects, Reader},
    pack::Fault,
    refs::Refs,
    repository::Repository,
    revision::Revisions,
};
use crate::{Cause, Missed, Outcome, Scan, Where};
use rustc_hash::FxHashMap;
use std::{
    collections::BinaryHeap,
    path::Path,
    sync::atomic::{AtomicUsize, Ordering},
    thread,
};

/// How many blobs are worth a thread.
const WORTH: usize = 32;

impl Scan<'_> {
    /// Scans what was committed since a revision, what is staged, and the work tree.
    pub(crate) fn since(&self, repository: &Repository, revision: &str) -> Result<Outcome, GitError> {
        let mut outcome = self.within(repository, |revisions, reader| {
            let from = revisions.find(revision, reader)?;
            Ok(Wanted { commits: vec![revisions.find("HEAD", reader)?], unwanted: vec![from], ..Wanted::default() })
        })?;
        let staged = self.stage(repository);
        outcome.findings.extend(staged.findings);
        outcome.missed.extend(staged.missed);
        outcome.stats.items += staged.stats.items;
        outcome.stats.bytes += staged.stats.bytes;
        if let Some(work) = &repository.work {
            self.work_tree(work, &mut outcome);
        }
        Ok(outcome)
    }

    /// Scans what the commits of a range brought.
    pub(crate) fn range(&self, repository: &Repository, range: &str) -> Result<Outcome, GitError> {
        self.within(repository, |revisions, reader| ends(revisions, range, reader))
    }

    /// Scans what is asked for, once the references say what that is.
    pub(crate) fn within(
        &self,
        repository: &Repository,
        ask: impl FnOnce(&Revisions<'_>, &mut Reader) -> Result<Wanted, GitError>,
    ) -> Result<Outcome, GitError> {
        let (folders, _) = repository.object_folders();
        let objects = Objects::open(folders, repository.format);
        let refs = Refs::read(repository, &repository.worktrees());
        let revisions = Revisions { repository, objects: &objects, refs: &refs };
        let mut reader = Reader::default();
        let wanted = ask(&revisions, &mut reader)?;
        Ok(self.brought(repository, &objects, &wanted, reader))
    }

    fn brought(&self, repository: &Repository, objects: &Objects, wanted: &Wanted, mut reader: Reader) -> Outcome {
        let mut outcome = Outcome::default();
        let mut missed = repository.odd_files();
        missed.extend(objects.no_files());
        let (commits, cut) = between(objects, &wanted.commits, &wanted.unwanted, &mut reader, &mut missed);
        if repository.shallow() == 0 {
            missed.extend(cut.iter().map(|id| Missed {
                place: place(Where::Blob, id.hex().as_bytes(), Some(id)),
                cause: Cause::Absent,
                detail: "a commit that is not here".into(),
            }));
        } else if !cut.is_empty() {
            let detail = "a shallow clone: what came before is not here".into();
            missed.push(Missed { place: place(Where::Blob, b"", None), cause: Cause::Absent, detail });
        }
        let graph = Graph::new(commits, &[]);
        let mut births = Births::new(self, objects, reader, &mut missed);
        for at in graph.by_age() {
            births.commit(&graph, at);
        }
        for tree in &wanted.trees {
            births.tree(*tree, &[], &mut Vec::new(), NOWHERE, 0);
        }
        for (blob, path) in &wanted.blobs {
            births.put(*blob, path, NOWHERE);
        }
        let born = births.finish();
        let mut contents = self.look_into(objects, &born);
        let mut reader = Reader::default();
        for (id, head) in &graph.commits {
            match objects.read_as(id, Kind::Commit, &mut reader) {
                Ok(commit) => contents.words(id, Kind::Commit, commit.bytes(), head.words),
                Err(fault) => contents.fault(Some(id), Path::new(""), &fault),
            }
        }
        for id in &wanted.tags {
            if let Ok(tag) = objects.read_as(id, Kind::Tag, &mut reader) {
                contents.object(id, Kind::Tag, tag.bytes(), None);
            }
        }
        contents.stats.commits += u64::try_from(graph.commits.len()).unwrap_or(0);
        let mut reader = Reader::default();
        let before = |at: usize| parents(objects, &mut reader, &graph, at);
        self.finish(contents, objects, &graph, Where::Blob, &born, before, &mut outcome);
        told(missed, &mut outcome);
        outcome
    }

    /// Looks into blobs, on several threads if there are many.
    pub(crate) fn look_into<'s>(&'s self, objects: &Objects, born: &Born) -> Contents<'s> {
        let blobs: Vec<_> = born.blobs.iter().filter_map(|(id, paths)| Some((id, paths.keys().next()?))).collect();
        let next = AtomicUsize::new(0);
        let work = || {
            let (mut contents, mut reader) = (Contents::new(self), Reader::default());
            while let Some((id, path)) = blobs.get(next.fetch_add(1, Ordering::Relaxed)) {
                if self.progress.is_stopped() {
                    contents.fault(
                        None,
                        Path::new(""),
                        &Fault { cause: Cause::Stopped, detail: "the scan was stopped".into() },
                    );
                    break;
                }
                match objects.read_as(id, Kind::Blob, &mut reader) {
                    Ok(blob) => contents.blob(id, path, blob.bytes()),
                    Err(fault) => contents.miss(Some(id), path, &fault),
                }
            }
            contents
        };
        let mut all = Contents::new(self);
        let threads = if blobs.len() < WORTH { 1 } else { self.threads.max(1) };
        if threads == 1 {
            all.join(work());
        } else {
            thread::scope(|scope| {
                let threads: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
                threads.into_iter().filter_map(|thread| thread.join().ok()).for_each(|thread| all.join(thread));
            });
        }
        all
    }

    /// Makes findings of what is new of blobs whose places are known. `before` tells which trees came before a commit.
    #[expect(clippy::too_many_arguments, reason = "it is what two callers know, and nothing of its own")]
    pub(crate) fn finish(
        &self,
        contents: Contents<'_>,
        objects: &Objects,
        graph: &Graph,
        kind: Where,
        born: &Born,
        mut before: impl FnMut(usize) -> Vec<Id>,
        outcome: &mut Outcome,
    ) {
        let mut gather = Gather::new(objects, graph, b"");
        let spot = |path, commits: Vec<usize>| Spot {
            place: kind,
            path,
            commits: commits.iter().take(NAMED).copied().collect(),
            more: u64::try_from(commits.len().saturating_sub(NAMED)).unwrap_or(0),
        };
        for (blob, path, commits) in News::new(self, objects, born).of(&contents.blobs, &mut before) {
            gather.blob(blob, &[spot(path, commits)]);
        }
        for (name, path, commits) in names::new(objects, born, before) {
            gather.name(self.matcher, &name, &[spot(path, commits)], None);
        }
        for words in contents.words {
            gather.words(words, None);
        }
        gather.finish(outcome);
        told(contents.missed.into_iter().map(|(_, missed)| missed).collect(), outcome);
        outcome.stats.items += contents.stats.items;
        outcome.stats.bytes += contents.stats.bytes;
        outcome.stats.commits += contents.stats.commits;
    }
}

/// What is asked for.
#[derive(Debug, Default)]
pub(crate) struct Wanted {
    /// Commits, with all that leads to them.
    pub(crate) commits: Vec<Id>,
    /// But not what leads to these.
    pub(crate) unwanted: Vec<Id>,
    /// Tags, for their words.
    pub(crate) tags: Vec<Id>,
    /// Trees and blobs that no commit has to lead to. A blob is told by the name that leads to it.
    pub(crate) trees: Vec<Id>,
    pub(crate) blobs: Vec<(Id, Box<[u8]>)>,
}

impl Wanted {
    /// Takes what a name leads to, and all tags on the way there.
    pub(crate) fn add(&mut self, (tags, kind, id): (Vec<Id>, Kind, Id), name: &[u8]) {
        self.tags.extend(tags);
        match kind {
            Kind::Tree => self.trees.push(id),
            Kind::Blob => self.blobs.push((id, name.into())),
            Kind::Commit | Kind::Tag => self.commits.push(id),
        }
    }
}

/// The ends of a range: commits or tags that lead to what is wanted, and commits whose history is not.
fn ends(revisions: &Revisions<'_>, range: &str, reader: &mut Reader) -> Result<Wanted, GitError> {
    let mut wanted = Wanted::default();
    let mut take = |id: Id, reader: &mut Reader| {
        wanted.add(revisions.peel(id, reader).unwrap_or((Vec::new(), Kind::Commit, id)), b"");
    };
    let symmetric = range.split_once("...");
    let Some((from, to)) = symmetric.or_else(|| range.split_once("..")) else {
        take(revisions.object(range, reader)?, reader);
        return Ok(wanted);
    };
    if from.is_empty() && to.is_empty() {
        return Err(GitError::EmptyRevision);
    }
    let named = |text: &str| if text.is_empty() { "HEAD".to_owned() } else { text.to_owned() };
    let (from, to) = (named(from), named(to));
    let zero = |text: &str| text.len() >= 40 && text.bytes().all(|byte| byte == b'0');
    if zero(&to) {
        // A branch is deleted: that brings nothing.
        return Ok(wanted);
    }
    let to = revisions.object(&to, reader)?;
    take(to, reader);
    let to = revisions.commit(to, reader).unwrap_or(to);
    if zero(&from) {
        let bare = revisions.repository.work.is_none();
        let known = |name: &[u8]| name.starts_with(b"refs/remotes/") || (bare && name.starts_with(b"refs/"));
        let others = revisions.refs.refs.iter().filter(|one| known(&one.name));
        // A reference to the very commit may be the new one itself: nothing here tells.
        let others = others.filter_map(|one| revisions.commit(one.target, reader)).filter(|id| *id != to);
        wanted.unwanted = others.collect();
        return Ok(wanted);
    }
    let from = revisions.find(&from, reader)?;
    if symmetric.is_none() {
        wanted.unwanted.push(from);
        return Ok(wanted);
    }
    // What both have in common is the history of neither alone.
    wanted.commits.push(from);
    wanted.unwanted = revisions.bases(from, to, reader);
    Ok(wanted)
}

/// The commits that lead to `wanted` and not to `unwanted`, and those of them that are not here.
///
/// They are read from the newest to the oldest until only unwanted ones are left. Where clocks were wrong, that may take
/// some for wanted that are not, never the other way round.
fn between(
    objects: &Objects,
    wanted: &[Id],
    unwanted: &[Id],
    reader: &mut Reader,
    missed: &mut Vec<Missed>,
) -> (Vec<(Id, CommitHead)>, Vec<Id>) {
    struct State {
        head: Option<CommitHead>,
        unwanted: bool,
        queued: bool,
    }
    let mut states: FxHashMap<Id, State> = FxHashMap::default();
    let mut queue: BinaryHeap<(i64, Id)> = BinaryHeap::new();
    let (mut hopeful, mut cut) = (0_usize, Vec::new());
    let mut open: Vec<(Id, bool)> =
        unwanted.iter().map(|id| (*id, true)).chain(wanted.iter().map(|id| (*id, false))).collect();
    loop {
        for (id, unwanted) in open.drain(..) {
            let state = states.entry(id).or_insert_with(|| {
                let mut id = id;
                let head = loop {
                    match objects.read(&id, reader) {
                        Ok((Kind::Commit, commit)) => break CommitHead::parse(commit.bytes()),
                        Ok((Kind::Tag, tag)) => match super::object::TagHead::parse(tag.bytes()) {
                            Some(head) => id = head.target,
                            None => break None,
                        },
                        Ok(_) => break None,
                        Err(fault) => {
                            if fault.cause == Cause::Absent {
                                cut.push(id);
                            } else {
                                let place = place(Where::Blob, id.hex().as_bytes(), Some(&id));
                                missed.push(Missed { place, cause: fault.cause, detail: fault.detail });
                            }
                            break None;
                        }
                    }
                };
                let seconds = head.as_ref().map_or(i64::MIN, |head| head.seconds);
                queue.push((seconds, id));
                hopeful += usize::from(!unwanted);
                State { head, unwanted, queued: true }
            });
            if unwanted && !state.unwanted {
                state.unwanted = true;
                if state.queued {
                    hopeful -= 1;
                } else {
                    // It was passed on as wanted; what it leads to must hear of this.
                    state.queued = true;
                    queue.push((state.head.as_ref().map_or(i64::MIN, |head| head.seconds), id));
                }
            }
        }
        if hopeful == 0 {
            break;
        }
        let Some((_, id)) = queue.pop() else { break };
        let Some(state) = states.get_mut(&id).filter(|state| state.queued) else { continue };
        state.queued = false;
        hopeful -= usize::from(!state.unwanted);
        let unwanted = state.unwanted;
        open.extend(state.head.iter().flat_map(|head| &head.parents).map(|parent| (*parent, unwanted)));
    }
    cut.retain(|id| states.get(id).is_none_or(|state| !state.unwanted));
    let commits = states.into_iter().filter(|(_, state)| !state.unwanted);
    (commits.filter_map(|(id, state)| Some((id, state.head?))).collect(), cut)
}
