//! What there is still to do, shared by the workers. The newest goes first: few folders are open at a time.

use super::{ignore::Ignore, tree::Root};
use std::{
    os::fd::OwnedFd,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
};

/// Something to do.
pub(super) enum Job {
    /// A path that was given.
    Root(Root),
    /// A folder below one.
    Folder(Folder),
    /// Files of one folder.
    Files { folder: Arc<Open>, names: Vec<Box<[u8]>> },
}

/// A folder that is to be read.
pub(super) struct Folder {
    /// The folder it lies in, open. None: it was given.
    pub(super) parent: Option<Arc<Open>>,
    /// Its name there.
    pub(super) name: Box<[u8]>,
    pub(super) depth: usize,
}

/// An open folder.
pub(super) struct Open {
    pub(super) folder: OwnedFd,
    pub(super) path: Box<[u8]>,
    pub(super) root: Arc<Root>,
    /// The file system it lies on.
    pub(super) device: u64,
    pub(super) ignore: Option<Arc<Ignore>>,
}

pub(super) struct Queue {
    state: Mutex<State>,
    more: Condvar,
}

struct State {
    jobs: Vec<Job>,
    /// How many workers are at work, and may yet add jobs.
    busy: usize,
}

impl Queue {
    pub(super) fn new(jobs: Vec<Job>) -> Self {
        Self { state: Mutex::new(State { jobs, busy: 0 }), more: Condvar::new() }
    }

    /// Whether all there is to do is one file.
    pub(super) fn is_one_file(&self) -> bool {
        matches!(&*self.lock().jobs, [Job::Root(root)] if !root.path.is_dir())
    }

    /// Ends a job, if there was one, and begins another. None: all is done.
    pub(super) fn next(&self, ends_one: bool) -> Option<Job> {
        let mut state = self.lock();
        if ends_one {
            state.busy -= 1;
        }
        loop {
            if let Some(job) = state.jobs.pop() {
                state.busy += 1;
                return Some(job);
            }
            if state.busy == 0 {
                self.more.notify_all();
                return None;
            }
            state = self.more.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    pub(super) fn add(&self, jobs: impl IntoIterator<Item = Job>) {
        let mut state = self.lock();
        let before = state.jobs.len();
        state.jobs.extend(jobs);
        match state.jobs.len() - before {
            0 => {}
            1 => self.more.notify_one(),
            _ => self.more.notify_all(),
        }
    }

    /// Forgets what is left to do.
    pub(super) fn clear(&self) {
        self.lock().jobs.clear();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
