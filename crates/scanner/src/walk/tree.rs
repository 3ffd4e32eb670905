//! One of the workers that walk trees and look at files.

use super::{
    Walk, bytes,
    file::{self, Failure, Reader},
    ignore::Ignore,
    place,
    queue::{Folder, Job, Open, Queue},
};
use crate::{Cause, Missed, Outcome, Scan, Search, git::git_folder, scan::Watched, search};
use rustix::{
    event::{self, PollFd, PollFlags},
    fs::{self as sys, CWD, Dir, FileType, Mode, OFlags, Stat},
    io::Errno,
};
use std::{
    ffi::OsStr,
    fs,
    os::{
        fd::{AsFd, BorrowedFd, OwnedFd},
        unix::ffi::OsStrExt,
    },
    path::{Path, PathBuf},
    sync::{Arc, OnceLock},
};

/// How many files one job has at most: so that others find work in large folders.
const BATCH: usize = 64;

/// A path that was given.
pub(super) struct Root {
    pub(super) path: PathBuf,
    real: OnceLock<Option<PathBuf>>,
}

impl Root {
    pub(super) fn new(path: PathBuf) -> Self {
        Self { path, real: OnceLock::new() }
    }

    /// Whether a link leads out of it. One that leads nowhere does not.
    fn is_left_by(&self, link: &Path) -> bool {
        let Ok(target) = fs::canonicalize(link) else { return false };
        let real = self.real.get_or_init(|| fs::canonicalize(&self.path).ok());
        !real.as_ref().is_some_and(|root| target.starts_with(root))
    }
}

/// File systems whose files are made up by the kernel: reading them may wait for ever, and tells nothing that was stored.
const MADE_UP: [u64; 12] = [
    0x9fa0,      // proc
    0x6265_6572, // sysfs
    0x6462_6720, // debugfs
    0x7472_6163, // tracefs
    0x0027_e0eb, // cgroup
    0x6367_7270, // cgroup2
    0x1cd1,      // devpts
    0x1980_0202, // mqueue
    0xcafe_4a11, // bpf
    0x7363_6673, // securityfs
    0x6265_6570, // configfs
    0x6165_676c, // pstore
];

pub(super) struct Worker<'w, 's> {
    scan: &'w Scan<'s>,
    options: &'w Walk,
    queue: &'w Queue,
    reader: Reader,
    path: Vec<u8>,
    outcome: Outcome,
}

impl<'w, 's> Worker<'w, 's> {
    pub(super) fn new(scan: &'w Scan<'s>, options: &'w Walk, queue: &'w Queue) -> Self {
        let (path, outcome) = (Vec::new(), Outcome::default());
        Self { scan, options, queue, reader: Reader::default(), path, outcome }
    }

    /// Works until all is done, or somebody stops it.
    pub(super) fn run(mut self) -> Outcome {
        let mut job = self.queue.next(false);
        while let Some(now) = job {
            if self.scan.progress.is_stopped() {
                self.queue.clear();
            } else {
                self.work(now);
            }
            job = self.queue.next(true);
        }
        self.outcome
    }

    fn work(&mut self, job: Job) {
        match job {
            Job::Root(root) => self.root(root),
            Job::Folder(folder) => self.folder(&folder),
            Job::Files { folder, names } => {
                for name in &names {
                    if self.scan.progress.is_stopped() {
                        return;
                    }
                    self.file(&folder, name);
                }
            }
        }
    }

    fn miss(&mut self, path: &[u8], (cause, detail): Failure) {
        self.outcome.missed.push(Missed { place: place(path), cause, detail });
    }

    /// Looks whether a name is a secret.
    fn name(&mut self, path: &[u8], what: &str) {
        let name = path.rsplit(|byte| *byte == b'/').next().unwrap_or_default();
        let mut search = Search::new(self.scan.matcher, path);
        search.named(name, &[what.into()]);
        let (seen, ..) = search.finish();
        self.outcome.findings.extend(seen.into_iter().map(|seen| seen.into_finding(&place(path))));
    }

    /// Looks at a path that was given, whatever it is.
    fn root(&mut self, root: Root) {
        let path: Box<[u8]> = bytes(&root.path).into();
        self.name(&path, search::FILE_NAME);
        let opened = file::open(CWD, &path, true);
        let (file, stat) = match opened {
            Ok(opened) => opened,
            Err((Cause::Changed, detail)) => return self.miss(&path, (Cause::Unreadable, detail)),
            Err(failure) => return self.miss(&path, failure),
        };
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::Directory => self.entered(file, &stat, path, Arc::new(root), None),
            FileType::RegularFile | FileType::BlockDevice => self.content(CWD, &path, &path, &file, &stat),
            FileType::Fifo => {
                // The pipe of `<(command)`: it is there to be waited for.
                // One that nobody writes into yet looks as if it had ended.
                let waits = event::poll(&mut [PollFd::new(&file, PollFlags::IN)], None)
                    .and_then(|_| sys::fcntl_getfl(&file))
                    .and_then(|flags| sys::fcntl_setfl(&file, flags - OFlags::NONBLOCK));
                match waits {
                    Ok(()) => self.content(CWD, &path, &path, &file, &stat),
                    Err(error) => self.miss(&path, file::failure(error)),
                }
            }
            other => self.miss(&path, file::special(other)),
        }
    }

    fn folder(&mut self, folder: &Folder) {
        let Some(parent) = &folder.parent else { return };
        let path: Box<[u8]> = join(&parent.path, &folder.name).into();
        if folder.depth > self.options.depth {
            return self.miss(&path, (Cause::TooDeep, "the folder lies too deep".into()));
        }
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::DIRECTORY | OFlags::NOFOLLOW;
        let opened = sys::openat(&parent.folder, &*folder.name, flags, Mode::empty())
            .and_then(|opened| sys::fstat(&opened).map(|stat| (opened, stat)));
        match opened {
            Ok((opened, stat)) => {
                self.entered(opened, &stat, path, Arc::clone(&parent.root), Some((parent, folder.depth)));
            }
            Err(Errno::LOOP | Errno::NOTDIR) => {
                self.miss(&path, (Cause::Changed, "it became something else while it was looked at".into()));
            }
            Err(error) => self.miss(&path, file::failure(error)),
        }
    }

    fn entered(
        &mut self,
        folder: OwnedFd,
        stat: &Stat,
        path: Box<[u8]>,
        root: Arc<Root>,
        parent: Option<(&Arc<Open>, usize)>,
    ) {
        let (parent, depth) = parent.map_or((None, 0), |(parent, depth)| (Some(parent), depth));
        let device = stat.st_dev;
        if parent.is_none_or(|parent| parent.device != device) {
            let made_up = sys::fstatfs(&folder).is_ok_and(|system| {
                u64::try_from(system.f_type).is_ok_and(|kind| MADE_UP.contains(&(kind & 0xffff_ffff)))
            });
            if made_up && parent.is_some() {
                return self.miss(&path, (Cause::Special, "a file system that the kernel makes up".into()));
            }
        }
        let entries = match Dir::read_from(&folder) {
            Ok(entries) => entries,
            Err(error) => return self.miss(&path, file::failure(error)),
        };
        let ignore = if self.options.obey_gitignore {
            Ignore::enter(&folder, parent.and_then(|parent| parent.ignore.clone()), &path)
        } else {
            None
        };
        let open = Arc::new(Open { folder, path, root, device, ignore });
        let mut found = Entries::default();
        for entry in entries {
            match entry {
                Ok(entry) => found.add(self, &open, entry.file_name().to_bytes(), entry.file_type()),
                Err(error) => {
                    self.miss(&open.path, file::failure(error));
                    break;
                }
            }
        }
        let Entries { mut files, folders, is_repository, .. } = found;
        let child = |name| Job::Folder(Folder { parent: Some(Arc::clone(&open)), name, depth: depth + 1 });
        let is_objects = |name: &[u8]| is_repository && name == b"objects";
        let skipped = folders.iter().filter(|name| is_objects(name) || ***name == *b".git").count();
        self.outcome.stats.repositories += u64::try_from(skipped).unwrap_or(0);
        self.queue.add(folders.into_iter().filter(|name| !is_objects(name) && **name != *b".git").map(child));
        while files.len() > BATCH {
            let names = files.split_off(files.len() - BATCH);
            self.queue.add([Job::Files { folder: Arc::clone(&open), names }]);
        }
        self.work(Job::Files { folder: open, names: files });
    }

    fn file(&mut self, folder: &Open, name: &[u8]) {
        let mut path = std::mem::take(&mut self.path);
        path.clear();
        path.extend_from_slice(&folder.path);
        if !path.ends_with(b"/") {
            path.push(b'/');
        }
        path.extend_from_slice(name);
        match file::open(folder.folder.as_fd(), name, false) {
            Ok((file, stat)) => match FileType::from_raw_mode(stat.st_mode) {
                FileType::RegularFile => self.content(folder.folder.as_fd(), name, &path, &file, &stat),
                other => self.miss(&path, file::special(other)),
            },
            Err(failure) => self.miss(&path, failure),
        }
        self.path = path;
    }

    fn content(&mut self, folder: BorrowedFd<'_>, name: &[u8], path: &[u8], file: &OwnedFd, stat: &Stat) {
        let scan = self.scan;
        let mut search = Watched::new(scan, path);
        // A file of the same name and an end.
        let beside = |end: &[u8]| {
            let opened = file::open(folder, &[name, end].concat(), false).ok();
            opened.filter(|(_, stat)| FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile)
        };
        if let Err(failure) = self.reader.read(file, stat, &beside, &scan.bounds, &mut search) {
            self.miss(path, failure);
        }
        search.finish(|| place(path), &mut self.outcome);
    }
}

/// What a folder holds.
#[derive(Default)]
struct Entries {
    files: Vec<Box<[u8]>>,
    folders: Vec<Box<[u8]>>,
    /// Whether it is the folder of a git repository itself.
    is_repository: bool,
    marks: usize,
}

impl Entries {
    fn add(&mut self, worker: &mut Worker<'_, '_>, open: &Open, name: &[u8], kind: FileType) {
        if name == b"." || name == b".." || worker.options.skip_hidden && name.starts_with(b".") {
            return;
        }
        let kind = match kind {
            FileType::Unknown => {
                let stat = sys::statat(&open.folder, name, sys::AtFlags::SYMLINK_NOFOLLOW);
                stat.map_or(FileType::Unknown, |stat| FileType::from_raw_mode(stat.st_mode))
            }
            known => known,
        };
        let is_folder = kind == FileType::Directory;
        if open.ignore.as_ref().is_some_and(|ignore| ignore.is_ignored(&join(&open.path, name), is_folder)) {
            return;
        }
        if name.len() >= search::SHORTEST {
            worker.name(&join(&open.path, name), if is_folder { search::FOLDER_NAME } else { search::FILE_NAME });
        }
        if matches!(name, b"HEAD" | b"objects" | b"refs") {
            self.marks += 1;
            self.is_repository = self.marks == 3;
        }
        match kind {
            FileType::Directory => self.folders.push(name.into()),
            FileType::RegularFile => self.files.push(name.into()),
            FileType::Symlink => {
                let path = join(&open.path, name);
                let link = Path::new(OsStr::from_bytes(&path));
                if name == b".git" && git_folder(link).is_some() {
                    // A repository's folder that lies elsewhere: it is passed by as one that lies here.
                    worker.outcome.stats.repositories += 1;
                } else if open.root.is_left_by(link) {
                    worker.miss(&path, (Cause::Special, "a link that leads out of what was to be scanned".into()));
                }
            }
            other => worker.miss(&join(&open.path, name), file::special(other)),
        }
    }
}

fn join(folder: &[u8], name: &[u8]) -> Vec<u8> {
    let slash: &[u8] = if folder.ends_with(b"/") { b"" } else { b"/" };
    [folder, slash, name].concat()
}
