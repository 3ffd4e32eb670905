//! Makes findings of what was seen: one for each secret in each place, however many versions of a file have it.

use super::{
    attribute::{Graph, NAMED, Spot},
    contents::{Blob, Words, place},
    id::Id,
    names::Name,
    object::{Kind, author, entries},
    objects::{Objects, Reader},
};
use crate::{Cause, Commit, Finding, Hit, Matcher, Missed, Outcome, Place, Search, Secret, Seen, Where, search};
use rustc_hash::FxHashMap;
use sha2::Digest;
use std::{
    collections::{BTreeMap, btree_map::Entry},
    sync::Arc,
};

/// What makes two findings the same one.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Same {
    place: Rank,
    path: Box<[u8]>,
    within: Vec<Box<str>>,
    rule: Box<str>,
    /// Which of those in the same blob: two lines with the same secret are two findings.
    nth: usize,
    /// A digest of the secret: secrets themselves are not kept twice.
    secret: [u8; 32],
}

type Rank = u8;

/// How much the places of names may take, in bytes, and how much is read to find out what is called so. Paths can be made
/// that are long and hold each other.
const PLACES: usize = 64 << 20;
const READ: usize = 256 << 20;

/// What a place takes besides its path.
const PLACE: usize = 512;

/// Gathers findings of objects.
pub(crate) struct Gather<'g> {
    objects: &'g Objects,
    graph: &'g Graph,
    /// What stands before all paths: where a submodule lies.
    prefix: &'g [u8],
    reader: Reader,
    commits: FxHashMap<usize, Commit>,
    found: BTreeMap<Same, (Finding, Vec<usize>, u64)>,
    missed: Vec<Missed>,
    /// How much of it is left.
    places: usize,
    read: usize,
    /// How many places of names are not told.
    untold: usize,
}

impl<'g> Gather<'g> {
    pub(crate) fn new(objects: &'g Objects, graph: &'g Graph, prefix: &'g [u8]) -> Self {
        let (reader, commits, found, missed) = (Reader::default(), FxHashMap::default(), BTreeMap::new(), Vec::new());
        let (places, read, untold) = (PLACES, READ, 0);
        Self { objects, graph, prefix, reader, commits, found, missed, places, read, untold }
    }

    /// A blob that lies in these places.
    pub(crate) fn blob(&mut self, blob: Blob, spots: &[Spot]) {
        for unread in blob.unread {
            let Some(spot) = spots.first() else { continue };
            let place = Place { within: unread.within, ..self.place(spot, Some(&blob.id)) };
            self.missed.push(Missed { place, cause: unread.cause, detail: unread.detail });
        }
        let mut seen = blob.seen;
        let Some((last, rest)) = spots.split_last() else { return };
        for spot in rest {
            let copies = seen.iter().map(copy).collect();
            self.add(copies, spot, Some(&blob.id));
        }
        self.add(std::mem::take(&mut seen), last, Some(&blob.id));
    }

    /// A name that is a secret, and the places that something is called so in. `lost` is something that is called so, and
    /// that nothing may lead to.
    pub(crate) fn name(&mut self, matcher: &Matcher, name: &Name, spots: &[Spot], lost: Option<&Id>) {
        if spots.is_empty() {
            return;
        }
        let mut search = Search::new(matcher, b"");
        let what = if name.is_folder { search::FOLDER_NAME } else { search::FILE_NAME };
        search.named(&name.text, &[what.into()]);
        let (seen, _, _) = search.finish();
        for spot in spots {
            let takes = seen.len().saturating_mul(spot.path.len() + self.prefix.len() + PLACE);
            let Some(left) = self.places.checked_sub(takes) else {
                self.untold += 1;
                continue;
            };
            self.places = left;
            let first = spot.commits.first().and_then(|at| self.graph.commit(*at)).map(|(_, head)| head.tree);
            let id = match first {
                Some(tree) => self.called(tree, &spot.path),
                None => lost.copied().filter(|_| spot.place == Where::Unreachable),
            };
            self.add(seen.iter().map(copy).collect(), spot, id.as_ref());
        }
    }

    /// What a tree has at a path.
    fn called(&mut self, tree: Id, path: &[u8]) -> Option<Id> {
        let mut id = tree;
        for name in path.split(|byte| *byte == b'/') {
            let bytes = self.objects.read_as(&id, Kind::Tree, &mut self.reader).ok()?;
            self.read = self.read.checked_sub(bytes.bytes().len())?;
            id = entries(bytes.bytes(), self.objects.format).flatten().find(|entry| entry.name == name)?.id;
        }
        Some(id)
    }

    /// A commit or tag whose words hold secrets.
    pub(crate) fn words(&mut self, words: Words, tag_name: Option<&[u8]>) {
        let commit = self.graph.number(&words.id);
        let (kind, path) = match words.kind {
            Kind::Tag => (Where::Tag, tag_name.map(<[u8]>::to_vec)),
            _ => (Where::CommitMessage, None),
        };
        let path = path.unwrap_or_else(|| words.id.hex().as_bytes().to_vec());
        let spot = Spot { place: kind, path: path.into(), commits: commit.into_iter().collect(), more: 0 };
        self.add(words.seen, &spot, Some(&words.id));
    }

    /// All findings and what was missed, in an order that does not depend on threads.
    pub(crate) fn finish(mut self, outcome: &mut Outcome) {
        for (mut finding, mut commits, more) in std::mem::take(&mut self.found).into_values() {
            let seconds = |at: &usize| self.graph.commit(*at).map(|(id, head)| (head.seconds, *id));
            commits.sort_by_key(seconds);
            commits.dedup();
            let left = commits.len().saturating_sub(NAMED);
            commits.truncate(NAMED);
            finding.place.commits = commits.into_iter().filter_map(|at| self.commit(at)).collect();
            finding.place.more_commits = more + u64::try_from(left).unwrap_or(0);
            outcome.findings.push(finding);
        }
        outcome.missed.append(&mut self.missed);
        if self.untold > 0 {
            let detail = format!("{} more places of names that are secrets", self.untold).into();
            outcome.missed.push(Missed { place: place(Where::Blob, b"", None), cause: Cause::TooLarge, detail });
        }
    }

    fn add(&mut self, seen: Vec<Seen>, spot: &Spot, id: Option<&Id>) {
        let mut counts: FxHashMap<(Box<str>, [u8; 32]), usize> = FxHashMap::default();
        for seen in seen {
            let secret: [u8; 32] = sha2::Sha256::digest(seen.hit.secret.expose()).into();
            let nth = counts.entry((seen.hit.kind.rule.clone(), secret)).or_insert(0);
            let (rank, path) = (rank(spot.place), (*spot.path).into());
            let same = Same {
                place: rank,
                path,
                within: seen.within.clone(),
                rule: seen.hit.kind.rule.clone(),
                nth: *nth,
                secret,
            };
            *nth += 1;
            let place = self.place(spot, id);
            match self.found.entry(same) {
                Entry::Vacant(vacant) => {
                    vacant.insert((seen.into_finding(&place), spot.commits.clone(), spot.more));
                }
                Entry::Occupied(mut occupied) => {
                    let (finding, commits, more) = occupied.get_mut();
                    let first = |commits: &[usize]| {
                        commits.first().and_then(|at| self.graph.commit(*at)).map(|(id, head)| (head.seconds, *id))
                    };
                    // The finding tells of the oldest version.
                    let older = match (first(&spot.commits), first(commits)) {
                        (Some(new), Some(old)) => new < old,
                        _ => place.object < finding.place.object,
                    };
                    if older {
                        *finding = seen.into_finding(&place);
                        commits.splice(..0, spot.commits.iter().copied());
                    } else {
                        commits.extend_from_slice(&spot.commits);
                    }
                    *more += spot.more;
                }
            }
        }
    }

    fn place(&self, spot: &Spot, id: Option<&Id>) -> Place {
        let path = match spot.place {
            // The folders of a notes' tree only cut the annotated object's name in pieces.
            Where::Note => spot.path.iter().copied().filter(|byte| *byte != b'/').collect(),
            _ => [self.prefix, &spot.path].concat(),
        };
        place(spot.place, &path, id)
    }

    fn commit(&mut self, at: usize) -> Option<Commit> {
        if let Some(commit) = self.commits.get(&at) {
            return Some(commit.clone());
        }
        let (id, head) = self.graph.commit(at)?;
        let read = self.objects.read_as(id, Kind::Commit, &mut self.reader);
        let (author, seconds) = read.map_or_else(|_| (Box::default(), head.seconds), |commit| author(commit.bytes()));
        let commit = Commit { id: id.hex(), author, seconds };
        self.commits.insert(at, commit.clone());
        Some(commit)
    }
}

/// Objects that could not be read, or are not here: so many are told one by one, the others by their number.
pub(crate) fn told(missed: Vec<Missed>, outcome: &mut Outcome) {
    const TOLD: usize = 1_000;
    let mut counts: BTreeMap<Cause, usize> = BTreeMap::new();
    for one in missed {
        let count = counts.entry(one.cause).or_insert(0);
        *count += 1;
        if *count <= TOLD {
            outcome.missed.push(one);
        }
    }
    for (cause, count) in counts.into_iter().filter(|(_, count)| *count > TOLD) {
        let detail = format!("{} more objects", count - TOLD).into();
        outcome.missed.push(Missed { place: place(Where::Blob, b"", None), cause, detail });
    }
}

/// The order of places in what is told.
const fn rank(place: Where) -> Rank {
    match place {
        Where::Worktree => 0,
        Where::Index => 1,
        Where::Blob => 2,
        Where::CommitMessage => 3,
        Where::Tag => 4,
        Where::Note => 5,
        Where::Stash => 6,
        Where::Reflog => 7,
        Where::Config => 8,
        Where::Unreachable => 9,
    }
}

/// The same once more, for a file that lies in several places.
pub(crate) fn copy(seen: &Seen) -> Seen {
    let hit = &seen.hit;
    let hit = Hit {
        kind: Arc::clone(&hit.kind),
        span: hit.span.clone(),
        secret: Secret::new(hit.secret.expose()),
        confidence: hit.confidence,
        reasons: hit.reasons.clone(),
    };
    Seen {
        hit,
        line: seen.line,
        column: seen.column,
        units: seen.units,
        end: seen.end,
        span: seen.span.clone(),
        within: seen.within.clone(),
        allowed: seen.allowed.clone(),
    }
}
