//! Whatever bytes stand where git writes its own, reading them ends and never panics.

use super::{
    id::{Format, Id},
    inflate::{Buffer, Inflater, Stream},
    loose,
    object::{CommitHead, TagHead, author, entries},
    objects::{Each, Objects, Source},
    pack::{Changes, Fault, Header, Index, Seen},
    repository::Repository,
};
use crate::git::object::Kind;
use proptest::prelude::*;
use std::{fs, io::Read, path::Path};

/// Counts what it is shown.
#[derive(Default)]
struct Count(usize);

impl Each for Count {
    fn object(&mut self, _id: &Id, _kind: Kind, _bytes: &[u8], _changes: Option<&Changes>) -> Seen {
        self.0 += 1;
        Seen::Clean
    }

    fn stream(&mut self, _id: &Id, _kind: Kind, _size: u64, _reader: &mut dyn Read) {
        self.0 += 1;
    }

    fn fault(&mut self, _id: Option<&Id>, _file: &Path, _fault: &Fault) {}
}

fn deflate(bytes: &[u8]) -> Vec<u8> {
    let mut packed = Vec::new();
    flate2::read::ZlibEncoder::new(bytes, flate2::Compression::fast()).read_to_end(&mut packed).unwrap();
    packed
}

/// A pack of these entries: kinds with sizes as stated, and contents.
fn pack(entries: &[(u8, u8, Vec<u8>)]) -> Vec<u8> {
    let mut pack = b"PACK\0\0\0\x02\0\0\0".to_vec();
    pack.push(u8::try_from(entries.len()).unwrap());
    for (kind, back, content) in entries {
        let (len, kind) = (u8::try_from(content.len()).unwrap(), kind % 8);
        pack.extend([0x80 | kind << 4 | len & 0xf, len >> 4]);
        match kind {
            6 => pack.push(back & 0x7f),
            7 => pack.extend([*back; 20]),
            _ => {}
        }
        pack.extend(deflate(content));
    }
    pack.extend([0; 20]);
    pack
}

fn read_all(pack: &[u8], index: Option<&[u8]>) -> usize {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("pack")).unwrap();
    fs::write(folder.path().join("pack/pack-1.pack"), pack).unwrap();
    if let Some(index) = index {
        fs::write(folder.path().join("pack/pack-1.idx"), index).unwrap();
    }
    let objects = Objects::open(vec![folder.path().to_owned()], Format::Sha1);
    let mut counts = [Count::default(), Count::default()];
    objects.each(&[Kind::Blob, Kind::Tree, Kind::Commit, Kind::Tag], &mut Source::default(), &mut counts);
    counts.iter().map(|count| count.0).sum()
}

#[test]
fn a_pack_without_an_index_is_read_whole() {
    let whole = vec![(3, 0, b"one".to_vec()), (1, 0, b"two".to_vec()), (4, 0, Vec::new())];
    assert_eq!(read_all(&pack(&whole), None), 3);
}

#[test]
fn a_link_between_worktrees_that_does_not_lead_back_is_not_followed() {
    let folder = tempfile::tempdir().unwrap();
    let outside = tempfile::tempdir().unwrap();
    let git = folder.path().join(".git");
    for name in ["objects", "refs", "worktrees/x"] {
        fs::create_dir_all(git.join(name)).unwrap();
    }
    fs::write(git.join("HEAD"), "ref: refs/heads/main\n").unwrap();
    fs::write(git.join("worktrees/x/gitdir"), outside.path().join(".git").as_os_str().as_encoded_bytes()).unwrap();
    let worktrees = Repository::discover(folder.path()).unwrap().worktrees();
    assert_eq!(worktrees.len(), 2);
    assert_eq!(worktrees[1].work, None);
    fs::write(outside.path().join(".git"), format!("gitdir: {}\n", git.join("worktrees/x").display())).unwrap();
    fs::write(git.join("worktrees/x/HEAD"), "ref: refs/heads/x\n").unwrap();
    fs::write(git.join("worktrees/x/commondir"), "../..\n").unwrap();
    let worktrees = Repository::discover(folder.path()).unwrap().worktrees();
    assert_eq!(worktrees[1].work.as_deref(), Some(outside.path()));
}

proptest! {
    #[test]
    fn small_readers_take_any_bytes(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        for format in [Format::Sha1, Format::Sha256] {
            let _ = Header::parse(&bytes, format);
            let _ = Index::parse(&bytes, format, 1 << 20);
            let _ = entries(&bytes, format).count();
        }
        let _ = (CommitHead::parse(&bytes), TagHead::parse(&bytes), author(&bytes));
        for packed in [bytes.clone(), deflate(&bytes), deflate(&[b"blob 9\0", &*bytes].concat())] {
            let _ = loose::unpack(&packed, 1 << 10, &mut Inflater::default(), &mut Buffer::default());
            let _ = Stream::new(&*packed).take(1 << 16).read_to_end(&mut Vec::new());
        }
    }

    #[test]
    fn indexes_with_a_right_beginning_take_any_end(fan in 0_u8..4, bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let mut index = b"\xfftOc\0\0\0\x02".to_vec();
        (0..256).for_each(|_| index.extend([0, 0, 0, fan]));
        index.extend(&bytes);
        if let Some(index) = Index::parse(&index, Format::Sha1, 1 << 31) {
            let _ = (index.id(0), index.find(&Id::new(&[7; 20]).unwrap()), index.beginning("07"));
        }
        let _ = Index::parse(&index[8..], Format::Sha1, 1 << 31);
    }

    #[test]
    fn packs_of_any_entries_are_read(entries in prop::collection::vec((any::<u8>(), any::<u8>(), prop::collection::vec(any::<u8>(), 0..40)), 0..8)) {
        let pack = pack(&entries);
        read_all(&pack, None);
        read_all(&pack, Some(&[0; 1100]));
    }

    #[test]
    fn packs_of_any_bytes_are_read(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        read_all(&[b"PACK\0\0\0\x02\0\0\0\x05", &*bytes].concat(), None);
    }
}
