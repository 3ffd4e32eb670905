//! Makes the index of a pack that has none, or a broken one, by reading the pack from its beginning as far as it goes.

use super::{Base, Changes, Fault, Header, Index, Layout, PACK_HEADER, Pack, Seen, Visit, Walker, entry};
use crate::git::{
    id::{Format, Id},
    object::Kind,
};
use sha2::Digest;
use std::{collections::HashSet, io};
use zlib_rs::{Inflate, InflateFlush, Status};

/// Finds all entries of a pack and names them. Also tells where it made no sense any more, if it did before its end.
pub(crate) fn recover(pack: &mut Pack, limit: u64) -> io::Result<Option<u64>> {
    let format = pack.index.format();
    let mut header = [0; 12];
    pack.read(0, &mut header)?;
    let [.., a, b, c, d] = header;
    let count = u32::from_be_bytes([a, b, c, d]);
    let mut offsets = Vec::new();
    let mut at = PACK_HEADER;
    let mut broken = None;
    for _ in 0..count {
        let Some(next) = skip(pack, at, format)? else {
            broken = Some(at);
            break;
        };
        offsets.push(at);
        at = next;
    }
    // Ids are not known yet, but the forest can be made without them, except below objects that are named.
    let numbered = offsets.iter().zip(1_u64..).filter_map(|(offset, number)| Some((made_up(number, format)?, *offset)));
    pack.index = Index::from_entries(format, numbered.collect());
    let mut found = Vec::new();
    // Each round names what the round before was missing: a base that is named must be found first.
    loop {
        let known = found.len();
        let layout = Layout::read(pack)?;
        let mut names = Names { format, layout: &layout, found: &mut found };
        let mut walker = Walker::new(limit);
        for root in layout.roots(&[Kind::Commit, Kind::Tree, Kind::Blob, Kind::Tag]) {
            let Some(kind) = layout.node(root).and_then(|node| node.kind) else { continue };
            walker.walk((pack, &layout), (root, kind), None, &mut names);
        }
        found.sort_unstable();
        found.dedup();
        let more = found.len() > known && !layout.foreign.is_empty();
        let mut entries = found.clone();
        let named: HashSet<u64> = found.iter().map(|(_, offset)| *offset).collect();
        let unnamed = offsets.iter().zip(1_u64..).filter(|(offset, _)| !named.contains(offset));
        entries.extend(unnamed.filter_map(|(offset, number)| Some((made_up(number, format)?, *offset))));
        pack.index = Index::from_entries(format, entries);
        if !more {
            return Ok(broken);
        }
    }
}

/// A name for what has none yet.
fn made_up(number: u64, format: Format) -> Option<Id> {
    let mut bytes = [0_u8; 32];
    bytes.get_mut(format.len() - 8..format.len())?.copy_from_slice(&number.to_be_bytes());
    Id::new(bytes.get(..format.len())?)
}

/// Where the entry after this one begins; none if this one is broken.
fn skip(pack: &Pack, at: u64, format: Format) -> io::Result<Option<u64>> {
    let mut bytes = vec![0; 32 << 10];
    let read = pack.read(at, bytes.get_mut(..entry::LONGEST).unwrap_or_default())?;
    let Some(header) = bytes.get(..read).and_then(|bytes| Header::parse(bytes, format)) else { return Ok(None) };
    if let Base::Before(back) = header.base
        && back > at
    {
        return Ok(None);
    }
    let mut at = at + u64::try_from(header.len).unwrap_or(0);
    let mut inflate = Inflate::new(true, 15);
    let mut out = vec![0; 64 << 10];
    loop {
        let read = pack.read(at, &mut bytes)?;
        let before = (inflate.total_in(), inflate.total_out());
        let status = inflate.decompress(bytes.get(..read).unwrap_or_default(), &mut out, InflateFlush::NoFlush);
        at += inflate.total_in() - before.0;
        match status {
            Ok(Status::StreamEnd) => return Ok((inflate.total_out() == header.size).then_some(at)),
            Ok(_) if (inflate.total_in(), inflate.total_out()) != before && inflate.total_out() <= header.size => {}
            _ => return Ok(None),
        }
    }
}

/// Names objects by their content.
struct Names<'a> {
    format: Format,
    layout: &'a Layout,
    found: &'a mut Vec<(Id, u64)>,
}

impl Visit for Names<'_> {
    fn skip(&self, _at: u32) -> bool {
        false
    }

    fn object(&mut self, at: u32, kind: Kind, bytes: &[u8], _changes: Option<&Changes>) -> Seen {
        if let (Some(node), Some(id)) = (self.layout.node(at), name(self.format, kind, bytes)) {
            self.found.push((id, node.offset));
        }
        Seen::Other
    }

    fn fault(&mut self, _at: u32, _fault: &Fault) {}
}

/// An object's name.
pub(crate) fn name(format: Format, kind: Kind, bytes: &[u8]) -> Option<Id> {
    let head = format!("{} {}\0", kind.name(), bytes.len());
    match format {
        Format::Sha1 => Id::new(&sha1::Sha1::new().chain_update(&head).chain_update(bytes).finalize()),
        Format::Sha256 => Id::new(&sha2::Sha256::new().chain_update(&head).chain_update(bytes).finalize()),
    }
}
