//! Contents that were made to do harm.

use crate::support::{Finder, NEEDLE, python};
use keyward_scanner::{Bounds, Cause, unpack_bytes, unpack_stream};
use std::{
    fs,
    io::{self, Read},
};

const BOMBS: &str = r##"
import gzip, io, sys, zipfile
needle = sys.argv[1].encode()

def zipped(files):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for name, content in files:
            archive.writestr(name, content)
    return out.getvalue()

def save(name, content): open(name, "wb").write(content)

zeros = bytes(64 << 20)
save("bomb.zip", zipped([("a", zeros), ("b", needle)]))
save("bomb.gz", gzip.compress(gzip.compress(zeros)))
leaf = zipped([("z%d" % at, bytes(4 << 20)) for at in range(4)])
for _ in range(6):
    leaf = zipped([("in%d.zip" % at, leaf) for at in range(4)])
save("tree.zip", leaf)
save("many.zip", zipped([("m%d" % at, b"") for at in range(3000)] + [("last", needle)]))
"##;

/// Counts what it is shown.
#[derive(Default)]
struct Counter {
    finder: Finder,
    bytes: u64,
}

impl keyward_scanner::Look for Counter {
    fn look(&mut self, portion: &keyward_scanner::Portion<'_>) -> bool {
        self.bytes += u64::try_from(portion.own.len()).unwrap();
        self.finder.look(portion)
    }

    fn unread(&mut self, unread: keyward_scanner::Unread) {
        self.finder.unread(unread);
    }
}

#[test]
fn bombs_stop_at_the_bounds() {
    let folder = tempfile::tempdir().unwrap();
    python(folder.path(), BOMBS);
    let bounds = Bounds { unpacked: 20 << 20, ..Bounds::default() };
    for name in ["bomb.zip", "bomb.gz", "tree.zip"] {
        let bytes = fs::read(folder.path().join(name)).unwrap();
        for stream in [false, true] {
            let mut told = Counter::default();
            if stream {
                unpack_stream(b"-", &*bytes, &bounds, &mut told);
            } else {
                unpack_bytes(b"file", &bytes, &bounds, &mut told);
            }
            assert!(told.bytes < 40 << 20, "{name}: {} bytes", told.bytes);
            assert!(told.finder.causes().contains(&Cause::TooDeep), "{name}");
        }
    }
    let many = fs::read(folder.path().join("many.zip")).unwrap();
    let mut told = Finder::default();
    unpack_bytes(b"file", &many, &Bounds { members: 100, ..Bounds::default() }, &mut told);
    assert_eq!(told.causes(), [Cause::TooDeep]);
    let mut told = Finder::default();
    unpack_bytes(b"file", &many, &Bounds::default(), &mut told);
    assert_eq!((told.ways(), told.unread.len()), (vec!["last".to_owned()], 0));
}

/// A reader that fails after a while.
struct Fails(usize);

impl Read for Fails {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let count = into.len().min(self.0);
        if count == 0 {
            return Err(io::Error::other("the disk is on fire"));
        }
        into[..count].fill(b' ');
        self.0 -= count;
        Ok(count)
    }
}

#[test]
fn a_failing_reader_is_told() {
    for length in [0, 100, 3 << 20] {
        let mut told = Finder::default();
        unpack_stream(b"-", Fails(length), &Bounds::default(), &mut told);
        assert_eq!(told.causes(), [Cause::Unreadable]);
    }
}

/// Whoever looks may have had enough at any time.
struct Enough(u32);

impl keyward_scanner::Look for Enough {
    fn look(&mut self, _portion: &keyward_scanner::Portion<'_>) -> bool {
        assert!(self.0 > 0, "it was told that it is enough");
        self.0 -= 1;
        self.0 > 0
    }

    fn unread(&mut self, _unread: keyward_scanner::Unread) {}
}

#[test]
fn enough_is_enough() {
    let folder = tempfile::tempdir().unwrap();
    python(folder.path(), BOMBS);
    let large = vec![b' '; 8 << 20];
    for bytes in [fs::read(folder.path().join("tree.zip")).unwrap(), large, NEEDLE.as_bytes().to_vec()] {
        for most in 1..4 {
            unpack_stream(b"-", &*bytes, &Bounds::default(), &mut Enough(most));
            unpack_bytes(b"file", &bytes, &Bounds::default(), &mut Enough(most));
        }
    }
}
