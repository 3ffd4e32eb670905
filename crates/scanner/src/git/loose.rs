//! Loose objects: one file each.

use super::{
    id::{Format, Id},
    inflate::{Buffer, Inflater},
    object::Kind,
    open,
    pack::Fault,
};
use std::{
    fs,
    io::{self, Read},
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
};

/// How many bytes the header of a loose object can have at most: a kind and a size.
const HEADER: usize = 32;

/// A loose object, or what was left over of one: those have no id.
#[derive(Debug, Clone)]
pub(crate) struct Loose {
    pub(crate) id: Option<Id>,
    pub(crate) path: PathBuf,
}

/// All loose objects of a folder.
pub(crate) fn list(objects: &Path, format: Format) -> Vec<Loose> {
    let mut all = Vec::new();
    for fan in 0..=255_u8 {
        let fan = format!("{fan:02x}");
        for entry in fs::read_dir(objects.join(&fan)).into_iter().flatten().flatten() {
            // What is no file is told when it is read; a folder is nothing of git's.
            if !entry.file_type().is_ok_and(|kind| !kind.is_dir()) {
                continue;
            }
            let mut hex = fan.clone().into_bytes();
            hex.extend_from_slice(entry.file_name().as_bytes());
            let id = Id::from_hex(&hex).filter(|id| id.bytes().len() == format.len());
            all.push(Loose { id, path: entry.path() });
        }
    }
    for entry in fs::read_dir(objects).into_iter().flatten().flatten() {
        if entry.file_name().as_bytes().starts_with(b"tmp_obj") && entry.file_type().is_ok_and(|kind| kind.is_file()) {
            all.push(Loose { id: None, path: entry.path() });
        }
    }
    all
}

/// The path of a loose object.
pub(crate) fn path(objects: &Path, id: &Id) -> PathBuf {
    let hex = id.hex();
    let (fan, rest) = hex.split_at_checked(2).unwrap_or((&*hex, ""));
    objects.join(fan).join(rest)
}

/// Reads a loose object. None: it is not there, and may be in a pack by now.
pub(crate) fn read(path: &Path, limit: u64, inflater: &mut Inflater, to: &mut Buffer) -> Option<Result<Kind, Fault>> {
    let mut packed = Vec::new();
    match open::open(path).and_then(|file| file.take(limit.saturating_mul(2).max(4096)).read_to_end(&mut packed)) {
        Ok(_) => Some(unpack(&packed, limit, inflater, to)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => Some(Err(open::fault(&error))),
    }
}

/// Inflates a loose object.
pub(crate) fn unpack(packed: &[u8], limit: u64, inflater: &mut Inflater, to: &mut Buffer) -> Result<Kind, Fault> {
    let broken = || Fault::corrupt("it is no object");
    let mut start = [0; HEADER];
    let read = inflater.start(packed, &mut start).ok_or_else(broken)?;
    let (kind, size, header) = header(start.get(..read).unwrap_or_default()).ok_or_else(broken)?;
    if size > limit {
        return Err(Fault::too_large(size));
    }
    let size = usize::try_from(size).map_err(|_| Fault::too_large(size))?;
    let whole = to.room(header + size);
    inflater.exact(packed, whole).ok_or_else(|| Fault::corrupt("it does not inflate"))?;
    to.cut(header);
    Ok(kind)
}

/// `blob 12\0`: what it is, how large, and how long the header is.
fn header(bytes: &[u8]) -> Option<(Kind, u64, usize)> {
    let end = memchr::memchr(0, bytes)?;
    let head = bytes.get(..end)?;
    let space = memchr::memchr(b' ', head)?;
    let size = std::str::from_utf8(head.get(space + 1..)?).ok()?.parse().ok()?;
    Some((Kind::from_name(head.get(..space)?)?, size, end + 1))
}

/// Reads the header of an object that is too large to be held.
pub(crate) fn stream<R: Read>(mut reader: R) -> Option<(Kind, u64, R)> {
    let mut head = Vec::new();
    while head.len() < HEADER && head.last() != Some(&0) {
        let mut byte = [0];
        reader.read_exact(&mut byte).ok()?;
        head.extend(byte);
    }
    let (kind, size, _) = header(&head)?;
    Some((kind, size, reader))
}
