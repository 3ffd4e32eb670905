//! All objects of a repository: packs and loose ones, those of alternates too. Any one by its id, or all, each once.

mod each;

pub(crate) use each::{Each, Source};

use super::{
    contents::place,
    id::{Format, Id},
    inflate::{Buffer, Inflater},
    loose,
    object::Kind,
    open as files,
    pack::{Base, Fault, Layout, Pack, PackError, Walker, recover},
};
use crate::{Cause, Missed, Where};
use std::{
    collections::HashSet,
    fs, io,
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
    sync::OnceLock,
};

/// Objects larger than this are not held in memory: whole ones are read as a stream, others are told as too large.
pub(crate) const HELD: u64 = 128 << 20;

/// How many differences may follow each other.
const CHAIN: usize = 10_000;

/// How often an object of one pack may be made from one of another.
const FOREIGN: usize = 16;

/// A pack that is open, and how its entries hang together, once somebody asks.
#[derive(Debug)]
pub(crate) struct Open {
    pub(crate) pack: Pack,
    layout: OnceLock<Result<Layout, io::Error>>,
}

impl Open {
    pub(crate) fn layout(&self) -> Result<&Layout, &io::Error> {
        self.layout.get_or_init(|| Layout::read(&self.pack)).as_ref()
    }
}

/// All objects.
#[derive(Debug)]
pub(crate) struct Objects {
    pub(crate) format: Format,
    folders: Vec<PathBuf>,
    pub(crate) packs: Vec<Open>,
    tried: HashSet<PathBuf>,
    /// Packs that cannot be read, or not to their ends.
    pub(crate) broken: Vec<(PathBuf, Fault)>,
}

/// What reads single objects: its memory is used again.
pub(crate) struct Reader {
    walker: Walker,
    inflater: Inflater,
}

impl Default for Reader {
    fn default() -> Self {
        Self { walker: Walker::new(HELD), inflater: Inflater::default() }
    }
}

impl Objects {
    /// Opens all packs of these folders.
    pub(crate) fn open(folders: Vec<PathBuf>, format: Format) -> Self {
        let mut objects = Self { format, folders, packs: Vec::new(), tried: HashSet::new(), broken: Vec::new() };
        objects.refresh();
        objects
    }

    /// Opens packs that have come since.
    pub(crate) fn refresh(&mut self) {
        let mut paths = Vec::new();
        for folder in &self.folders {
            for entry in fs::read_dir(folder.join("pack")).into_iter().flatten().flatten() {
                let path = entry.path();
                let name = entry.file_name();
                let left = name.as_bytes().starts_with(b"tmp_pack_");
                if left || path.extension().is_some_and(|extension| extension == "pack") {
                    paths.push(path);
                }
            }
        }
        paths.sort();
        for path in paths {
            if self.tried.insert(path.clone()) {
                match open(&path, self.format) {
                    Ok((open, fault)) => {
                        self.packs.push(open);
                        self.broken.extend(fault.map(|fault| (path, fault)));
                    }
                    // It has gone again; whatever took its place is another file.
                    Err(PackError::Io(error)) if error.kind() == io::ErrorKind::NotFound => {
                        self.tried.remove(&path);
                    }
                    Err(PackError::Io(error)) => {
                        self.broken.push((path, files::fault(&error)));
                    }
                    Err(error) => self.broken.push((path, Fault::corrupt(&error.to_string()))),
                }
            }
        }
    }

    /// Packs that are no files. What else is broken of packs is told of the objects that are looked for.
    pub(crate) fn no_files(&self) -> impl Iterator<Item = Missed> {
        self.broken.iter().filter(|(_, fault)| fault.cause == Cause::Special).map(|(path, fault)| Missed {
            place: place(Where::Config, path.as_os_str().as_bytes(), None),
            cause: fault.cause,
            detail: fault.detail.clone(),
        })
    }

    /// Gives up how the entries of packs hang together: single objects are read without it.
    pub(crate) fn forget(&mut self) {
        for open in &mut self.packs {
            open.layout.take();
        }
    }

    /// All loose objects that are there now.
    pub(crate) fn loose(&self) -> Vec<loose::Loose> {
        self.folders.iter().flat_map(|folder| loose::list(folder, self.format)).collect()
    }

    /// Whether an object is there.
    pub(crate) fn has(&self, id: &Id) -> bool {
        self.has_packed(id) || self.folders.iter().any(|folder| loose::path(folder, id).is_file())
    }

    /// Whether a pack has an object.
    pub(crate) fn has_packed(&self, id: &Id) -> bool {
        self.packs.iter().any(|open| open.pack.index.find(id).is_some())
    }

    /// Reads one object.
    pub(crate) fn read(&self, id: &Id, reader: &mut Reader) -> Result<(Kind, Buffer), Fault> {
        self.read_deep(id, reader, 0)
    }

    /// Reads an object that must be of a kind.
    pub(crate) fn read_as(&self, id: &Id, kind: Kind, reader: &mut Reader) -> Result<Buffer, Fault> {
        match self.read(id, reader)? {
            (is, buffer) if is == kind => Ok(buffer),
            (is, _) => Err(Fault::corrupt(&format!("it is a {} and should be a {}", is.name(), kind.name()))),
        }
    }

    /// All ids that begin with these hexadecimal digits.
    pub(crate) fn beginning(&self, hex: &str) -> Vec<Id> {
        let mut ids: Vec<Id> = self.packs.iter().flat_map(|open| open.pack.index.beginning(hex)).collect();
        for folder in &self.folders {
            let fan = hex.get(..2).unwrap_or("");
            for entry in fs::read_dir(folder.join(fan)).into_iter().flatten().flatten() {
                let name = [fan.as_bytes(), entry.file_name().as_bytes()].concat();
                ids.extend(Id::from_hex(&name).filter(|_| name.starts_with(hex.as_bytes())));
            }
        }
        ids.sort_unstable();
        ids.dedup();
        ids
    }

    fn read_deep(&self, id: &Id, reader: &mut Reader, depth: usize) -> Result<(Kind, Buffer), Fault> {
        let mut fault = None;
        for open in &self.packs {
            if let Some(position) = open.pack.index.find(id) {
                let offset = usize::try_from(position).ok().and_then(|at| open.pack.index.offsets().get(at));
                match self.read_at(&open.pack, offset.copied().unwrap_or(0), reader, depth) {
                    Ok(read) => return Ok(read),
                    Err(error) => fault = Some(error),
                }
            }
        }
        for folder in &self.folders {
            let mut buffer = Buffer::default();
            match loose::read(&loose::path(folder, id), HELD, &mut reader.inflater, &mut buffer) {
                Some(Ok(kind)) => return Ok((kind, buffer)),
                Some(Err(error)) => fault = Some(error),
                None => {}
            }
        }
        Err(fault.unwrap_or_else(|| Fault { cause: Cause::Absent, detail: "the object is not here".into() }))
    }

    fn read_at(&self, pack: &Pack, offset: u64, reader: &mut Reader, depth: usize) -> Result<(Kind, Buffer), Fault> {
        let mut offset = offset;
        let mut chain = Vec::new();
        let (kind, mut buffer) = loop {
            let header = pack
                .header(offset)
                .map_err(|error| Fault { cause: Cause::Unreadable, detail: error.to_string().into() })?
                .ok_or_else(|| Fault::corrupt("a broken header"))?;
            let from = offset + u64::try_from(header.len).unwrap_or(0);
            let packed = (from, pack.end().saturating_sub(from));
            let back = match header.base {
                Base::Whole(kind) => {
                    let mut buffer = Buffer::default();
                    reader.walker.inflate(pack, packed, header.size, &mut buffer)?;
                    break (kind, buffer);
                }
                Base::Before(back) => offset.checked_sub(back).filter(|base| *base < offset),
                Base::Named(id) => match pack.index.find(&id).and_then(|at| usize::try_from(at).ok()) {
                    Some(at) => pack.index.offsets().get(at).copied(),
                    None if depth < FOREIGN => {
                        chain.push((packed, header.size));
                        break self.read_deep(&id, reader, depth + 1)?;
                    }
                    None => None,
                },
            };
            chain.push((packed, header.size));
            offset = back.filter(|_| chain.len() < CHAIN).ok_or_else(|| Fault::corrupt("made from nothing"))?;
        };
        for (packed, size) in chain.into_iter().rev() {
            buffer = reader.walker.derive_at(pack, packed, size, buffer.bytes())?;
        }
        Ok((kind, buffer))
    }
}

/// Opens a pack; also tells what of it cannot be used.
fn open(path: &Path, format: Format) -> Result<(Open, Option<Fault>), PackError> {
    let mut fault = None;
    let pack = match Pack::open(path, format) {
        Ok(pack) => pack,
        Err(PackError::Header) => return Err(PackError::Header),
        Err(PackError::Io(error)) if !path.is_file() => return Err(PackError::Io(error)),
        Err(PackError::Index | PackError::Io(_)) => {
            let mut pack = Pack::open_bare(path, format)?;
            let broken = recover(&mut pack, HELD)?;
            fault = broken.map(|at| Fault::corrupt(&format!("it makes no sense from byte {at} on")));
            pack
        }
    };
    Ok((Open { pack, layout: OnceLock::new() }, fault))
}
