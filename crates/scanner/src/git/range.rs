//! Some commits: what they brought, and their messages.

use super::{
    GitError,
    attribute::{Graph, NAMED, Spot},
    contents::{Contents, place},
    gather::{Gather, told},
    id::Id,
    object::{CommitHead, Kind, entries},
    objects::{Each, Objects, Reader},
    pack::Fault,
    refs::Refs,
    repository::Repository,
    revision::Revisions,
};
use crate::{Cause, Missed, Outcome, Scan, Where};
use rustc_hash::FxHashMap;
use std::{
    collections::{BTreeMap, BinaryHeap, HashSet},
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

/// How deep folders are followed.
const DEPTH: usize = 1_000;

/// How many blobs are worth a thread.
const WORTH: usize = 32;

/// Blobs with the paths they were born at, and by which commits.
type Born = BTreeMap<Id, BTreeMap<Arc<[u8]>, Vec<usize>>>;

impl Scan<'_> {
    /// Scans what was committed since a revision, what is staged, and the work tree.
    pub(crate) fn since(&self, repository: &Repository, revision: &str) -> Result<Outcome, GitError> {
        let mut outcome = self.range(repository, &format!("{revision}..HEAD"))?;
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
        let mut outcome = Outcome::default();
        let (folders, _) = repository.object_folders();
        let objects = Objects::open(folders, repository.format);
        let refs = Refs::read(repository, &repository.worktrees());
        let revisions = Revisions { repository, objects: &objects, refs: &refs };
        let mut reader = Reader::default();
        let (wanted, unwanted) = ends(&revisions, range, &mut reader)?;
        let mut missed = Vec::new();
        let (commits, cut) = between(&objects, &wanted, &unwanted, &mut reader, &mut missed);
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
        let mut births =
            Births { objects: &objects, reader, born: Born::new(), missed: &mut missed, odd: HashSet::new() };
        for at in graph.by_age() {
            births.commit(&graph, at);
        }
        let born = births.born;
        let mut contents = self.look_into(&objects, &born);
        let mut reader = Reader::default();
        for (id, head) in &graph.commits {
            match objects.read_as(id, Kind::Commit, &mut reader) {
                Ok(commit) => contents.words(id, Kind::Commit, commit.bytes(), head.words),
                Err(fault) => contents.fault(Some(id), Path::new(""), &fault),
            }
        }
        for id in &wanted {
            self.tags(&objects, *id, &mut contents, &mut reader);
        }
        contents.stats.commits += u64::try_from(graph.commits.len()).unwrap_or(0);
        finish(contents, &objects, &graph, Where::Blob, &born, &mut outcome);
        told(missed, &mut outcome);
        Ok(outcome)
    }

    /// Looks into blobs, on several threads if there are many.
    pub(crate) fn look_into<'s>(&'s self, objects: &Objects, born: &Born) -> Contents<'s> {
        let blobs: Vec<_> = born.iter().filter_map(|(id, paths)| Some((id, paths.keys().next()?))).collect();
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

    /// The words of a tag that names the end of a range.
    fn tags(&self, objects: &Objects, id: Id, contents: &mut Contents<'_>, reader: &mut Reader) {
        if let Ok((Kind::Tag, tag)) = objects.read(&id, reader) {
            contents.object(&id, Kind::Tag, tag.bytes(), None);
        }
    }
}

/// Makes findings of blobs whose places are known.
pub(crate) fn finish(
    contents: Contents<'_>,
    objects: &Objects,
    graph: &Graph,
    kind: Where,
    born: &Born,
    outcome: &mut Outcome,
) {
    let mut gather = Gather::new(objects, graph, b"");
    for blob in contents.blobs {
        let spots: Vec<Spot> = born
            .get(&blob.id)
            .into_iter()
            .flatten()
            .map(|(path, commits)| Spot {
                place: kind,
                path: Arc::clone(path),
                commits: commits.iter().take(NAMED).copied().collect(),
                more: u64::try_from(commits.len().saturating_sub(NAMED)).unwrap_or(0),
            })
            .collect();
        gather.blob(blob, &spots);
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

/// The ends of a range: commits or tags that lead to what is wanted, and commits whose history is not.
fn ends(revisions: &Revisions<'_>, range: &str, reader: &mut Reader) -> Result<(Vec<Id>, Vec<Id>), GitError> {
    let symmetric = range.split_once("...");
    let Some((from, to)) = symmetric.or_else(|| range.split_once("..")) else {
        return Ok((vec![revisions.object(range, reader)?], Vec::new()));
    };
    let named = |text: &str| if text.is_empty() { "HEAD".to_owned() } else { text.to_owned() };
    let (from, to) = (named(from), named(to));
    let zero = |text: &str| text.len() >= 40 && text.bytes().all(|byte| byte == b'0');
    if zero(&to) {
        // A branch is deleted: that brings nothing.
        return Ok((Vec::new(), Vec::new()));
    }
    let to = revisions.object(&to, reader)?;
    if zero(&from) {
        let to = revisions.commit(to, reader).unwrap_or(to);
        let bare = revisions.repository.work.is_none();
        let known = |name: &[u8]| name.starts_with(b"refs/remotes/") || (bare && name.starts_with(b"refs/"));
        let others = revisions.refs.refs.iter().filter(|one| known(&one.name));
        let others = others.filter_map(|one| revisions.commit(one.target, reader)).filter(|id| *id != to);
        return Ok((vec![to], others.collect()));
    }
    let from = revisions.find(&from, reader)?;
    if symmetric.is_none() {
        return Ok((vec![to], vec![from]));
    }
    // What both have in common is the history of neither alone.
    let to = revisions.commit(to, reader).unwrap_or(to);
    Ok((vec![from, to], revisions.bases(from, to, reader)))
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

/// Finds what commits brought.
pub(crate) struct Births<'b> {
    pub(crate) objects: &'b Objects,
    pub(crate) reader: Reader,
    pub(crate) born: Born,
    pub(crate) missed: &'b mut Vec<Missed>,
    /// Trees that were told as missed.
    pub(crate) odd: HashSet<Id>,
}

impl Births<'_> {
    fn commit(&mut self, graph: &Graph, at: usize) {
        let Some((_, head)) = graph.commit(at) else { return };
        let mut parents = Vec::new();
        for parent in &head.parents {
            let tree = graph.number(parent).and_then(|at| graph.commit(at)).map(|(_, head)| head.tree);
            let read = || {
                let commit = self.objects.read_as(parent, Kind::Commit, &mut self.reader).ok()?;
                Some(CommitHead::parse(commit.bytes())?.tree)
            };
            parents.extend(tree.or_else(read));
        }
        self.tree(head.tree, &parents, &mut Vec::new(), at, 0);
    }

    /// Finds the blobs of a tree that none of the others has at the same path.
    pub(crate) fn tree(&mut self, tree: Id, others: &[Id], path: &mut Vec<u8>, at: usize, depth: usize) {
        if others.contains(&tree) {
            return;
        }
        let Some(bytes) = self.read(&tree, depth) else { return };
        let mut known: FxHashMap<Vec<u8>, Vec<(Id, bool)>> = FxHashMap::default();
        for other in others {
            let Some(bytes) = self.read(other, depth) else { continue };
            for entry in entries(bytes.bytes(), self.objects.format).flatten() {
                known.entry(entry.name.to_vec()).or_default().push((entry.id, entry.is_tree()));
            }
        }
        for entry in entries(bytes.bytes(), self.objects.format) {
            let Ok(entry) = entry else {
                self.miss(&tree, &Fault::corrupt("a tree that makes no sense"));
                break;
            };
            let known = known.get(entry.name).map_or(&[][..], Vec::as_slice);
            if entry.is_gitlink() || known.iter().any(|(id, _)| *id == entry.id) {
                continue;
            }
            let len = path.len();
            if len > 0 {
                path.push(b'/');
            }
            path.extend_from_slice(entry.name);
            if entry.is_tree() {
                let others: Vec<Id> = known.iter().filter(|(_, tree)| *tree).map(|(id, _)| *id).collect();
                self.tree(entry.id, &others, path, at, depth + 1);
            } else {
                self.born.entry(entry.id).or_default().entry(Arc::from(path.as_slice())).or_default().push(at);
            }
            path.truncate(len);
        }
    }

    fn read(&mut self, tree: &Id, depth: usize) -> Option<super::inflate::Buffer> {
        if depth > DEPTH {
            let fault = Fault { cause: Cause::TooDeep, detail: "folders within folders".into() };
            self.miss(tree, &fault);
            return None;
        }
        match self.objects.read_as(tree, Kind::Tree, &mut self.reader) {
            Ok(buffer) => Some(buffer),
            Err(fault) => {
                self.miss(tree, &fault);
                None
            }
        }
    }

    fn miss(&mut self, tree: &Id, fault: &Fault) {
        if self.odd.insert(*tree) {
            let place = place(Where::Blob, tree.hex().as_bytes(), Some(tree));
            self.missed.push(Missed { place, cause: fault.cause, detail: fault.detail.clone() });
        }
    }
}
