//! The files of a repository's own folder: configuration, hooks, reflogs, messages in the making, and whatever else lies
//! there.

use super::{contents::place, open, pack::Fault};
use crate::{Cause, Look, Missed, Outcome, Place, Portion, Scan, Search, Unread, Where, unpack_reader};
use std::{fs, os::unix::ffi::OsStrExt, path::Path};

/// How deep folders are read.
const DEPTH: usize = 64;

/// What of a repository's folder holds objects in forms that are read elsewhere, or nothing but numbers.
const NUMBERS: &[&str] = &["pack", "idx", "rev", "bitmap", "mtimes", "graph", "ipc"];

impl Scan<'_> {
    /// Scans the files of a repository's folder. `shown` is what stands before their paths.
    pub(crate) fn folder(&self, folder: &Path, shown: &[u8], outcome: &mut Outcome) {
        self.below(folder, b"", shown, outcome, 0);
    }

    fn below(&self, folder: &Path, within: &[u8], shown: &[u8], outcome: &mut Outcome, depth: usize) {
        let entries = match fs::read_dir(folder) {
            Ok(entries) => entries,
            Err(error) => {
                let place = place(Where::Config, &[shown, within].concat(), None);
                let detail = error.to_string().into();
                return outcome.missed.push(Missed { place, cause: Cause::Unreadable, detail });
            }
        };
        let mut paths: Vec<_> = entries.flatten().map(|entry| entry.path()).collect();
        paths.sort();
        for path in paths {
            if self.progress.is_stopped() {
                return;
            }
            let name = path.file_name().unwrap_or_default().as_bytes();
            let within = if within.is_empty() { name.to_vec() } else { [within, b"/", name].concat() };
            if elsewhere(&path, &within) {
                continue;
            }
            let is_log = within.starts_with(b"logs/")
                || within.strip_prefix(b"worktrees/").is_some_and(|rest| {
                    rest.splitn(2, |byte| *byte == b'/').nth(1).is_some_and(|rest| rest.starts_with(b"logs/"))
                });
            let kind = if is_log { Where::Reflog } else { Where::Config };
            let place = place(kind, &[shown, &within].concat(), None);
            match fs::symlink_metadata(&path) {
                Ok(file) if file.is_dir() && depth < DEPTH => self.below(&path, &within, shown, outcome, depth + 1),
                Ok(file) if file.is_file() => self.file(&path, &place, within.starts_with(b"refs/") || is_log, outcome),
                Ok(file) => {
                    let cause = if file.is_dir() { Cause::TooDeep } else { Cause::Special };
                    let detail = if file.is_symlink() { "a link" } else { "not a file" }.into();
                    outcome.missed.push(Missed { place, cause, detail });
                }
                // Locks and the like come and go.
                Err(_) => {}
            }
        }
    }

    fn file(&self, path: &Path, place: &Place, named: bool, outcome: &mut Outcome) {
        let mut search = Search::new(self.matcher, &place.path);
        match open::open(path) {
            Ok(file) => unpack_reader(&place.path, file, &self.bounds, &mut search),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return,
            Err(error) => {
                let Fault { cause, detail } = open::fault(&error);
                search.unread(Unread { cause, within: Vec::new(), detail });
            }
        }
        self.tell(search, place, outcome);
        if named {
            // A branch can be called by a secret.
            let mut search = Search::new(self.matcher, b"");
            search.look(&Portion::whole(&place.path, &[]));
            let place = Place { place: Where::Config, ..place.clone() };
            self.tell(search, &place, outcome);
        }
    }

    /// Adds what a search has seen to what is told.
    pub(crate) fn tell(&self, search: Search<'_>, place: &Place, outcome: &mut Outcome) {
        let (seen, unread, bytes) = search.finish();
        outcome.stats.items += 1;
        outcome.stats.bytes += bytes;
        self.progress.add(1, bytes);
        outcome.findings.extend(seen.into_iter().map(|seen| seen.into_finding(place)));
        outcome.missed.extend(unread.into_iter().map(|Unread { cause, within, detail }| Missed {
            place: Place { within, ..place.clone() },
            cause,
            detail,
        }));
    }
}

/// Whether a file is read elsewhere, or holds nothing but numbers.
fn elsewhere(path: &Path, within: &[u8]) -> bool {
    let name = path.file_name().unwrap_or_default().as_bytes();
    let numbers = path.extension().is_some_and(|extension| NUMBERS.iter().any(|numbers| extension == *numbers));
    let index = name == b"index" || name == b"index.lock" || name.starts_with(b"sharedindex.");
    let at_top = !within.contains(&b'/') || within.starts_with(b"worktrees/");
    if within == b"modules" || (index && at_top) || (numbers && (at_top || within.starts_with(b"objects/"))) {
        return true;
    }
    let Some(inside) = within.strip_prefix(b"objects/") else { return false };
    let fan = inside.len() == 2 && inside.iter().all(u8::is_ascii_hexdigit);
    fan || name.starts_with(b"tmp_")
        || name.starts_with(b"incoming-")
        || name.starts_with(b"multi-pack-index")
        || name == b"commit-graph"
        || name == b"commit-graph-chain"
}
