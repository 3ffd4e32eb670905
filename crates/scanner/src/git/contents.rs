//! Looks into blobs, commits and tags.

use super::{
    changes::{is_text, unchanged},
    id::Id,
    object::{CommitHead, Kind, TagHead},
    objects::Each,
    pack::{Changes, Fault, Seen as Sight},
};
use crate::{
    Bounds, Look, Missed, Place, Portion, Progress, Scan, Search, Seen, Stats, Unread, Where, unpack_bytes,
    unpack_stream,
};
use std::{io::Read, path::Path};

/// A blob that has something to tell.
#[derive(Debug)]
pub(crate) struct Blob {
    pub(crate) id: Id,
    pub(crate) seen: Vec<Seen>,
    pub(crate) unread: Vec<Unread>,
}

/// A commit or tag whose words hold a secret.
#[derive(Debug)]
pub(crate) struct Words {
    pub(crate) id: Id,
    pub(crate) kind: Kind,
    pub(crate) seen: Vec<Seen>,
}

/// What one thread has seen.
#[derive(Debug)]
pub(crate) struct Contents<'s> {
    scan: &'s Scan<'s>,
    pub(crate) blobs: Vec<Blob>,
    pub(crate) words: Vec<Words>,
    pub(crate) commits: Vec<(Id, CommitHead)>,
    pub(crate) tags: Vec<(Id, TagHead)>,
    /// What could not be read, with its id if it has one.
    pub(crate) missed: Vec<(Option<Id>, Missed)>,
    pub(crate) stats: Stats,
}

impl<'s> Contents<'s> {
    pub(crate) fn new(scan: &'s Scan<'s>) -> Self {
        let (blobs, words, commits, tags, missed) = (Vec::new(), Vec::new(), Vec::new(), Vec::new(), Vec::new());
        let stats = Stats::default();
        Self { scan, blobs, words, commits, tags, missed, stats }
    }

    /// Takes over what another thread has seen.
    pub(crate) fn join(&mut self, other: Self) {
        self.blobs.extend(other.blobs);
        self.words.extend(other.words);
        self.commits.extend(other.commits);
        self.tags.extend(other.tags);
        self.missed.extend(other.missed);
        self.stats.items += other.stats.items;
        self.stats.bytes += other.stats.bytes;
        self.stats.commits += other.stats.commits;
    }

    /// Looks into a blob whose path is known.
    pub(crate) fn blob(&mut self, id: &Id, path: &[u8], bytes: &[u8]) {
        let mut search = Search::new(self.scan.matcher, path);
        unpack_bytes(path, bytes, self.bounds(), &mut search);
        self.take(id, search);
    }

    /// Looks into the words of a commit or tag, from where they begin.
    pub(crate) fn words(&mut self, id: &Id, kind: Kind, bytes: &[u8], from: usize) {
        let before = bytes.get(..from).unwrap_or_default();
        let mut search = Search::new(self.scan.matcher, b"");
        let words = bytes.get(from..).unwrap_or_default();
        search.look(&Portion {
            lines_before: count(memchr::memchr_iter(b'\n', before).count()),
            bytes_before: count(before.len()),
            ..Portion::whole(words, &[])
        });
        let (seen, _, looked) = search.finish();
        self.count(looked);
        if !seen.is_empty() {
            self.words.push(Words { id: *id, kind, seen });
        }
    }

    const fn bounds(&self) -> &'s Bounds {
        &self.scan.bounds
    }

    const fn progress(&self) -> &'s Progress {
        self.scan.progress
    }

    fn count(&mut self, bytes: u64) {
        self.stats.items += 1;
        self.stats.bytes += bytes;
        self.progress().add(1, bytes);
    }

    fn take(&mut self, id: &Id, search: Search<'_>) {
        let (seen, unread, bytes) = search.finish();
        self.count(bytes);
        if !seen.is_empty() || !unread.is_empty() {
            self.blobs.push(Blob { id: *id, seen, unread });
        }
    }

    /// Something that cannot be read.
    pub(crate) fn miss(&mut self, id: Option<&Id>, path: &[u8], fault: &Fault) {
        let place = place(Where::Blob, path, id);
        self.missed.push((id.copied(), Missed { place, cause: fault.cause, detail: fault.detail.clone() }));
    }
}

impl Each for Contents<'_> {
    fn object(&mut self, id: &Id, kind: Kind, bytes: &[u8], changes: Option<&Changes>) -> Sight {
        let mut sight = Sight::Other;
        match kind {
            Kind::Blob => {
                let before = self.blobs.len();
                if changes.is_some_and(|changes| unchanged(self.scan.matcher, bytes, changes)) {
                    self.count(count(bytes.len()));
                    sight = Sight::Clean;
                } else {
                    self.blob(id, b"", bytes);
                    if before == self.blobs.len() && is_text(bytes) {
                        sight = Sight::Clean;
                    }
                }
            }
            Kind::Commit => {
                self.stats.commits += 1;
                let head = CommitHead::parse(bytes);
                self.words(id, kind, bytes, head.as_ref().map_or(0, |head| head.words));
                match head {
                    Some(head) => self.commits.push((*id, head)),
                    None => self.miss(Some(id), &[], &Fault::corrupt("a commit that names no tree")),
                }
            }
            Kind::Tag => {
                let head = TagHead::parse(bytes);
                self.words(id, kind, bytes, head.as_ref().map_or(0, |head| head.words));
                self.tags.extend(head.map(|head| (*id, head)));
            }
            Kind::Tree => {}
        }
        if self.progress().is_stopped() { Sight::Enough } else { sight }
    }

    fn stream(&mut self, id: &Id, kind: Kind, size: u64, reader: &mut dyn Read) {
        if size > self.bounds().file || kind != Kind::Blob {
            return self.miss(Some(id), &[], &Fault::too_large(size));
        }
        let mut search = Search::new(self.scan.matcher, b"");
        unpack_stream(b"", reader, self.bounds(), &mut search);
        self.take(id, search);
    }

    fn fault(&mut self, id: Option<&Id>, file: &Path, fault: &Fault) {
        use std::os::unix::ffi::OsStrExt;
        self.miss(id, file.as_os_str().as_bytes(), fault);
    }
}

/// A place without commits.
pub(crate) fn place(place: Where, path: &[u8], object: Option<&Id>) -> Place {
    let (within, commits) = (Vec::new(), Vec::new());
    Place { place, path: path.into(), within, object: object.map(Id::hex), commits, more_commits: 0 }
}

fn count(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}
