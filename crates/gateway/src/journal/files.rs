//! The folder of the journal: which files there are, making new ones with real blocks behind them, using old ones
//! again, and the limit on all of them together.

use super::{
    Depth, Error, Options,
    map::Map,
    record::{self, HEAD, Head},
};
use std::{
    collections::{BTreeMap, VecDeque},
    fs::{self, DirBuilder, File, OpenOptions},
    io,
    os::unix::fs::FileExt,
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

const ENDING: &str = "kwj";
/// How the names of files begin that are ready to be used.
const SPARE: &str = "spare-";
/// The ending of files that are kept for somebody to look at.
const DAMAGED: &str = "damaged";

/// One file of a stream, as readers see it.
#[derive(Debug)]
pub(super) struct Segment {
    pub(super) head: Head,
    pub(super) file: File,
    path: PathBuf,
    /// Up to where records are whole.
    pub(super) committed: AtomicU64,
    /// Nothing more is written to it.
    pub(super) sealed: AtomicBool,
}

/// A row of files, oldest first.
#[derive(Debug)]
pub(super) struct Stream {
    pub(super) id: u64,
    /// Its writer lived in an earlier process.
    pub(super) old: bool,
    state: Mutex<StreamState>,
}

#[derive(Debug, Default)]
struct StreamState {
    segments: VecDeque<Arc<Segment>>,
    /// Everything up to this sequence was released.
    released: u64,
}

/// A file that is ready to be written, and its memory.
#[derive(Debug)]
pub(super) struct Spare {
    pub(super) file: File,
    pub(super) map: Arc<Map>,
    path: PathBuf,
}

/// The folder.
#[derive(Debug)]
pub(super) struct Files {
    folder: PathBuf,
    options: Options,
    state: Mutex<State>,
    /// How many files there are, those ready for use included.
    count: AtomicU64,
    full: AtomicBool,
    written: AtomicU64,
    freed: AtomicU64,
    lost: AtomicU64,
    /// Files of earlier processes were damaged.
    damaged: bool,
    /// Held for its lock.
    _lock: File,
}

#[derive(Debug)]
struct State {
    streams: Vec<Arc<Stream>>,
    pool: Vec<Spare>,
    random: u64,
    made: u64,
}

impl Files {
    pub(super) fn open(folder: &Path, options: Options, mut random: impl FnMut() -> u64) -> Result<Self, Error> {
        let failed = |source| Error::Folder { path: folder.to_owned(), source };
        // Nobody else's business: who called when, from where.
        DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(failed)?;
        let lock = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .mode(0o600)
            .open(folder.join("lock"))
            .map_err(failed)?;
        if lock.try_lock().is_err() {
            return Err(Error::InUse(folder.to_owned()));
        }
        let (streams, count, bytes, damaged) = recover(folder).map_err(failed)?;
        Ok(Self {
            folder: folder.to_owned(),
            options,
            state: Mutex::new(State { streams, pool: Vec::new(), random: random(), made: 0 }),
            count: AtomicU64::new(count),
            full: AtomicBool::new(false),
            written: AtomicU64::new(bytes),
            freed: AtomicU64::new(0),
            lost: AtomicU64::new(0),
            damaged,
            _lock: lock,
        })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The capacity of one file for records.
    pub(super) fn capacity(&self) -> usize {
        usize::try_from(self.options.segment_bytes).unwrap_or(usize::MAX).max(HEAD + 4 * record::MOST)
    }

    pub(super) fn new_stream(&self) -> Arc<Stream> {
        let mut state = self.lock();
        let stream = Arc::new(Stream { id: state.next_random(), old: false, state: Mutex::default() });
        state.streams.push(Arc::clone(&stream));
        stream
    }

    pub(super) fn streams(&self) -> Vec<Arc<Stream>> {
        self.lock().streams.clone()
    }

    /// A file ready to be written: one that was released, or a new one if the limit and the disk allow it.
    pub(super) fn spare(&self) -> Option<Spare> {
        if let Some(spare) = self.lock().pool.pop() {
            return Some(spare);
        }
        let length = self.capacity() as u64;
        let most = (self.options.max_bytes / length).max(2);
        if self.count.fetch_add(1, Ordering::AcqRel) >= most {
            self.count.fetch_sub(1, Ordering::AcqRel);
            self.set_full(true, None);
            return None;
        }
        let made = self.make(length);
        match made {
            Ok(spare) => {
                self.set_full(false, None);
                Some(spare)
            }
            Err(error) => {
                self.count.fetch_sub(1, Ordering::AcqRel);
                self.set_full(true, Some(&error));
                None
            }
        }
    }

    /// Takes back a file that was never used.
    pub(super) fn give_back(&self, spare: Spare) {
        self.lock().pool.push(spare);
    }

    fn make(&self, length: u64) -> io::Result<Spare> {
        let number = {
            let mut state = self.lock();
            state.made += 1;
            state.made
        };
        let path = self.folder.join(format!("{SPARE}{number}.{ENDING}"));
        let file = OpenOptions::new().create(true).truncate(true).read(true).write(true).mode(0o600).open(&path)?;
        let ready = allocate(&file, length).and_then(|()| Map::new(&file, self.capacity()));
        match ready {
            Ok(map) => Ok(Spare { file, map: Arc::new(map), path }),
            Err(error) => {
                // What could not be made whole must not keep blocks of a full disk.
                let _ = fs::remove_file(&path);
                Err(error)
            }
        }
    }

    /// Notes whether there is room, and says so once.
    pub(super) fn set_full(&self, full: bool, error: Option<&io::Error>) {
        if self.full.swap(full, Ordering::AcqRel) != full {
            match (full, error) {
                (false, _) => tracing::info!("the journal has room again"),
                (true, Some(error)) => tracing::error!(%error, "the journal cannot grow: new calls are refused"),
                (true, None) => tracing::error!("the journal is as large as it may be: new calls are refused"),
            }
        }
    }

    pub(super) const fn is_damaged(&self) -> bool {
        self.damaged
    }

    pub(super) fn is_full(&self) -> bool {
        self.full.load(Ordering::Acquire)
    }

    /// Makes a spare the next file of a stream.
    pub(super) fn activate(&self, spare: Spare, stream: &Stream, first: u64) -> io::Result<(Arc<Segment>, Arc<Map>)> {
        let salt = self.lock().next_random();
        let number = stream.next_number();
        let head = Head { stream: stream.id, number, first, salt };
        // The head is right before the file has its name: under the old one it would not be looked at.
        spare.map.write(0, &head.encode());
        let path = self.folder.join(format!("{:016x}-{number:08}.{ENDING}", stream.id));
        fs::rename(&spare.path, &path)?;
        let segment = Arc::new(Segment {
            head,
            file: spare.file,
            path,
            committed: AtomicU64::new(HEAD as u64),
            sealed: AtomicBool::new(false),
        });
        stream.lock().segments.push_back(Arc::clone(&segment));
        Ok((segment, spare.map))
    }

    pub(super) fn note_written(&self, bytes: usize) {
        self.written.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    pub(super) fn note_lost(&self) {
        self.lost.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn depth(&self) -> Depth {
        let freed = self.freed.load(Ordering::Relaxed);
        Depth {
            bytes: self.written.load(Ordering::Relaxed).saturating_sub(freed),
            full: self.is_full(),
            lost: self.lost.load(Ordering::Relaxed),
        }
    }

    /// Gives back the files of a stream all of whose records were released.
    pub(super) fn release(&self, stream: &Arc<Stream>, up_to: u64) {
        let mut done = Vec::new();
        {
            let mut state = stream.lock();
            state.released = state.released.max(up_to);
            while let Some(segment) = state.segments.front() {
                let next = state.segments.get(1).map(|next| next.head.first);
                if !segment.sealed.load(Ordering::Acquire) {
                    break;
                }
                // The last file of a stream whose writer is gone ends with its last record.
                let last = next.map_or_else(|| segment.last(), |next| next.saturating_sub(1));
                if last > state.released {
                    break;
                }
                done.extend(state.segments.pop_front());
            }
        }
        for segment in done {
            self.recycle(&segment);
        }
        let mut state = self.lock();
        state.streams.retain(|known| !(known.old && known.id == stream.id && known.lock().segments.is_empty()));
    }

    /// Puts a file that nobody needs any more among the spares, or takes it off the disk when there are enough.
    fn recycle(&self, segment: &Segment) {
        let bytes = segment.committed.load(Ordering::Acquire).saturating_sub(HEAD as u64);
        self.freed.fetch_add(bytes, Ordering::Relaxed);
        let right_size = segment.file.metadata().is_ok_and(|about| about.len() == self.capacity() as u64);
        if right_size
            && self.lock().pool.len() < 4
            && let Some(spare) = self.again(segment)
        {
            self.lock().pool.push(spare);
            self.set_full(false, None);
            return;
        }
        if fs::remove_file(&segment.path).is_ok() {
            self.count.fetch_sub(1, Ordering::AcqRel);
            self.set_full(false, None);
        }
    }

    fn again(&self, segment: &Segment) -> Option<Spare> {
        let number = {
            let mut state = self.lock();
            state.made += 1;
            state.made
        };
        let path = self.folder.join(format!("{SPARE}{number}.{ENDING}"));
        let file = segment.file.try_clone().ok()?;
        let map = Map::new(&file, self.capacity()).ok()?;
        fs::rename(&segment.path, &path).ok()?;
        Some(Spare { file, map: Arc::new(map), path })
    }
}

impl State {
    /// Different for every call and every process: one random number, mixed with a counter.
    fn next_random(&mut self) -> u64 {
        self.random = self.random.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.random;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }
}

impl Stream {
    fn lock(&self) -> MutexGuard<'_, StreamState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn next_number(&self) -> u64 {
        self.lock().segments.back().map_or(1, |segment| segment.head.number + 1)
    }

    pub(super) fn segments(&self) -> Vec<Arc<Segment>> {
        self.lock().segments.iter().cloned().collect()
    }

    pub(super) fn released(&self) -> u64 {
        self.lock().released
    }
}

impl Segment {
    /// The sequence of its last record; one before its first when it has none.
    fn last(&self) -> u64 {
        let end = self.committed.load(Ordering::Acquire);
        let mut bytes = vec![0; usize::try_from(end).unwrap_or(0)];
        if self.file.read_exact_at(&mut bytes, 0).is_err() {
            return u64::MAX;
        }
        whole_records(&bytes, &self.head).1.saturating_sub(1)
    }
}

/// Up to where the records of a file are whole, and the sequence that would come next.
fn whole_records(bytes: &[u8], head: &Head) -> (usize, u64) {
    let (mut at, mut sequence) = (HEAD, head.first);
    while let Some((_, room)) = bytes.get(at..).and_then(|rest| record::decode(rest, head.salt, sequence)) {
        at += room;
        sequence += 1;
    }
    (at, sequence)
}

/// Whether a whole record of the same file stands anywhere behind the place where its records seem to end: then they did
/// not end there, one is damaged. What the file held before it was used again has another salt.
fn record_behind(bytes: &[u8], end: usize, next: u64, salt: u64) -> bool {
    (end + 8..bytes.len()).step_by(8).any(|at| {
        let rest = bytes.get(at..).unwrap_or_default();
        let told = rest.get(8..16).and_then(|eight| eight.try_into().ok()).map_or(0, u64::from_le_bytes);
        // A file holds fewer records than it has bytes.
        told > next && told - next < bytes.len() as u64 && record::decode(rest, salt, told).is_some()
    })
}

/// What earlier processes left: their streams, how many files those are, how many bytes of records, and whether something
/// of it is damaged.
fn recover(folder: &Path) -> io::Result<(Vec<Arc<Stream>>, u64, u64, bool)> {
    let mut damaged = false;
    let mut found: BTreeMap<u64, BTreeMap<u64, (Segment, u64)>> = BTreeMap::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension().is_none_or(|ending| ending != ENDING) {
            continue;
        }
        let file = OpenOptions::new().read(true).write(true).open(&path)?;
        let bytes = fs::read(&path)?;
        let named = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let head =
            Head::decode(&bytes).filter(|head| named == format!("{:016x}-{:08}.{ENDING}", head.stream, head.number));
        let Some(head) = head else {
            // A spare, or a file whose head never got to the disk: it holds nothing.
            if named.starts_with(SPARE) || bytes.iter().take(HEAD).all(|byte| *byte == 0) {
                fs::remove_file(&path)?;
            } else {
                let kept = path.with_extension(DAMAGED);
                damaged = true;
                tracing::error!(
                    file = %kept.display(),
                    "a file of the journal is damaged at its head: the events in it are not counted; the file is kept"
                );
                fs::rename(&path, kept)?;
            }
            continue;
        };
        let (end, next) = whole_records(&bytes, &head);
        if record_behind(&bytes, end, next, head.salt) {
            damaged = true;
            let kept = path.with_extension(DAMAGED);
            tracing::error!(
                file = %kept.display(), at = end, sequence = next,
                "a file of the journal is damaged: the events from there to its end are not counted; a copy is kept"
            );
            fs::copy(&path, kept)?;
        }
        let committed = AtomicU64::new(end as u64);
        let segment = Segment { head, file, path, committed, sealed: AtomicBool::new(true) };
        found.entry(head.stream).or_default().insert(head.number, (segment, next));
    }
    let (mut streams, mut count, mut total) = (Vec::new(), 0, 0);
    for (id, numbered) in found {
        let mut segments = VecDeque::new();
        for (segment, next) in numbered.into_values() {
            if next == segment.head.first {
                fs::remove_file(&segment.path)?;
                continue;
            }
            count += 1;
            total += segment.committed.load(Ordering::Relaxed) - HEAD as u64;
            segments.push_back(Arc::new(segment));
        }
        if !segments.is_empty() {
            let state = Mutex::new(StreamState { segments, released: 0 });
            streams.push(Arc::new(Stream { id, old: true, state }));
        }
    }
    Ok((streams, count, total, damaged))
}

/// Gives a file its length with real blocks behind it, so that a full disk shows here and not in the middle of a write.
fn allocate(file: &File, length: u64) -> io::Result<()> {
    let length = nix::libc::off_t::try_from(length).map_err(io::Error::other)?;
    nix::fcntl::posix_fallocate(file, 0, length).map_err(io::Error::from)
}
