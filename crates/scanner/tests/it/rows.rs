//! SQLite databases.

use crate::support::{Finder, NEEDLE, python, unpack};
use keyward_scanner::{Bounds, Cause, unpack_bytes, unpack_reader};
use std::{fs, io::Cursor};

const DATABASES: &str = r##"
import gzip, sqlite3, sys
needle = sys.argv[1]

def make(name, script, rows=(), before=""):
    base = sqlite3.connect(name, isolation_level=None)
    base.execute("pragma synchronous=off")
    base.executescript(before)
    base.executescript(script)
    base.execute("begin")
    for sql, values in rows:
        base.execute(sql, values)
    base.execute("commit")
    base.close()

table = "create table settings (id integer primary key, name text, value text); create index by_value on settings(value);"
rows = [("insert into settings (name, value) values (?, ?)", (f"n{at}", "value %d" % at)) for at in range(500)]
hit = ("insert into settings (name, value) values ('ai_key', ?)", (needle,))
for name, before in [("utf8", ""), ("utf16le", "pragma encoding='UTF-16le';"), ("utf16be", "pragma encoding='UTF-16be';"),
                     ("small", "pragma page_size=512;"), ("large", "pragma page_size=65536;")]:
    make(name + ".db", table, rows + [hit] + rows, before)
long = ("insert into settings (name, value) values ('long', ?)", ("x" * 30000 + needle + "y" * 30000,))
make("long.db", table, rows + [long])
make("blob.db", "create table files (path text, body blob);",
     [("insert into files values ('a.gz', ?)", (gzip.compress(("k=" + needle).encode()),)),
      ("insert into files values ('text', ?)", (needle.encode(),))])
make("without.db", "create table kv (v text, k text primary key) without rowid;",
     [("insert into kv values (?, ?)", ("v%d" % at, "k%d" % at)) for at in range(500)]
     + [("insert into kv values (?, 'ai_key')", (needle,))])
make("deleted.db", "pragma secure_delete=off;" + table, rows + [hit] + [("delete from settings where name = 'ai_key'", ())])
make("dropped.db", "pragma secure_delete=off;" + table, rows + [hit] + rows + [("drop table settings", ())])
make("schema.db", f"create table t (a text default '{needle}');")
wal = sqlite3.connect("wal.db", isolation_level=None)
wal.execute("pragma journal_mode=wal")
wal.execute("pragma wal_autocheckpoint=0")
wal.executescript(table)
wal.execute(*hit)
import shutil
shutil.copy("wal.db", "kept.db"); shutil.copy("wal.db-wal", "kept.db-wal")
big = sqlite3.connect("big.db", isolation_level=None)
big.executescript(table)
big.execute("begin")
big.executemany("insert into settings (name, value) values (?, ?)", ((f"n{at}", "some value %d" % at) for at in range(60000)))
big.execute(*hit)
big.execute("commit")
big.close()
"##;

fn made() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    python(folder.path(), DATABASES);
    folder
}

#[test]
fn rows_are_named() {
    let folder = made();
    for (name, ways) in [
        ("utf8.db", vec!["settings > name=ai_key > value"]),
        ("utf16le.db", vec!["settings > name=ai_key > value"]),
        ("utf16be.db", vec!["settings > name=ai_key > value"]),
        ("small.db", vec!["settings > name=ai_key > value"]),
        ("large.db", vec!["settings > name=ai_key > value"]),
        ("big.db", vec!["settings > name=ai_key > value"]),
        ("long.db", vec!["settings > name=long > value"]),
        ("blob.db", vec!["files > rowid=1 > body", "files > rowid=2 > body"]),
        ("without.db", vec!["kv > k=ai_key > v"]),
        ("schema.db", vec!["sqlite_schema > name=t > sql"]),
    ] {
        let told = unpack(&fs::read(folder.path().join(name)).unwrap());
        let mut found = told.ways();
        found.sort();
        assert_eq!((found, &*told.unread), (ways.into_iter().map(str::to_owned).collect(), &[][..]), "{name}");
    }
}

#[test]
fn what_was_deleted_is_still_found() {
    let folder = made();
    for name in ["deleted.db", "dropped.db"] {
        let told = unpack(&fs::read(folder.path().join(name)).unwrap());
        assert!(
            told.ways().iter().any(|way| way == "settings > deleted rows" || way == "free pages"),
            "{name}: {:?}",
            told.ways()
        );
        assert_eq!(told.unread, [], "{name}");
        for found in &told.found {
            let bytes = fs::read(folder.path().join(name)).unwrap();
            let span = usize::try_from(found.span.start).unwrap()..usize::try_from(found.span.end).unwrap();
            assert_eq!(&bytes[span], NEEDLE.as_bytes(), "{name}");
        }
    }
}

#[test]
fn what_is_only_in_the_log_is_found_there() {
    let folder = made();
    let told = unpack(&fs::read(folder.path().join("kept.db-wal")).unwrap());
    assert!(!told.found.is_empty());
}

/// Damage of any kind: no crash, no hang, and rows that are gone are found as raw bytes, or it is told.
#[test]
fn damaged_databases_do_no_harm() {
    let folder = made();
    for name in ["small.db", "without.db", "long.db"] {
        let whole = fs::read(folder.path().join(name)).unwrap();
        let step = whole.len() / 400 + 1;
        for at in (0..whole.len()).step_by(step).chain(0..100) {
            let mut damaged = whole.clone();
            damaged[at] ^= 0xff;
            let mut told = Finder::default();
            unpack_bytes(b"file", &damaged, &Bounds::default(), &mut told);
            // The row itself is still there, and not only its copy in the index.
            let row = memchr::memmem::rfind(&whole, NEEDLE.as_bytes());
            if name == "small.db" && memchr::memmem::rfind(&damaged, NEEDLE.as_bytes()) == row {
                assert!(!told.found.is_empty() || !told.unread.is_empty(), "{name} {at}");
            }
        }
        for length in (16..whole.len()).step_by(step) {
            let mut told = Finder::default();
            unpack_reader(b"file", Cursor::new(&whole[..length]), &Bounds::default(), &mut told);
        }
    }
}

#[test]
fn broken_databases_are_told_and_read_as_they_are() {
    let folder = made();
    let mut bytes = fs::read(folder.path().join("utf8.db")).unwrap();
    bytes[16..18].copy_from_slice(&[0, 3]);
    let told = unpack(&bytes);
    assert_eq!(told.causes(), [Cause::Corrupt]);
    // The index shows the value a second time.
    assert!(!told.found.is_empty());
}
