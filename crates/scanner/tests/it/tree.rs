//! Trees: what is walked, what is told as not walked, and what never happens.

use crate::support::tool;
use keyward_catalogue::{Catalogue, sample};
use keyward_scanner::{Bounds, Cause, Confidence, Matcher, Outcome, Progress, Scan, Walk};
use std::{
    ffi::OsStr,
    fs,
    io::{Seek, SeekFrom, Write},
    os::unix::{ffi::OsStrExt, fs::PermissionsExt, net::UnixListener},
    path::{Path, PathBuf},
};

fn catalogue() -> Catalogue {
    Catalogue::embedded().expect("the embedded files are right")
}

/// A key of a shape that tells whose it is.
fn key(seed: u64) -> String {
    let catalogue = catalogue();
    let shape = catalogue.shapes().iter().find(|shape| &*shape.provider == "anthropic" && &*shape.name == "api");
    sample::text(&shape.unwrap().pattern, seed).unwrap()
}

fn scan_all(roots: &[PathBuf], options: &Walk, threads: usize) -> Outcome {
    let (matcher, progress) = (Matcher::new(&catalogue()), Progress::default());
    let scan = Scan { matcher: &matcher, bounds: Bounds::default(), threads, progress: &progress };
    let outcome = scan.paths(roots, options);
    assert_eq!((progress.items(), progress.bytes()), (outcome.stats.items, outcome.stats.bytes));
    outcome
}

fn scan(root: &Path) -> Outcome {
    let one = scan_all(&[root.to_path_buf()], &Walk::default(), 1);
    let several = scan_all(&[root.to_path_buf()], &Walk::default(), 3);
    assert_eq!(found(root, &one), found(root, &several));
    assert_eq!((&one.missed, one.stats), (&several.missed, several.stats));
    one
}

/// The paths of what was found, below the root.
fn found(root: &Path, outcome: &Outcome) -> Vec<String> {
    let below = |path: &[u8]| {
        let path = path.strip_prefix(root.as_os_str().as_bytes()).unwrap_or(path);
        path.escape_ascii().to_string()
    };
    outcome.findings.iter().map(|finding| below(&finding.place.path)).collect()
}

fn missed(root: &Path, outcome: &Outcome) -> Vec<(String, Cause)> {
    let below = |path: &[u8]| {
        let path = path.strip_prefix(root.as_os_str().as_bytes()).unwrap_or(path);
        path.escape_ascii().to_string()
    };
    outcome.missed.iter().map(|missed| (below(&missed.place.path), missed.cause)).collect()
}

fn write(path: PathBuf, content: impl AsRef<[u8]>) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, content).unwrap();
}

#[test]
fn hidden_and_ignored_files_are_walked() {
    let root = tempfile::tempdir().unwrap();
    let root = root.path();
    let names =
        [".claude/.credentials.json", ".env.local", ".mcp.json", "build/out.log", "src/a.rs", "src/deep/er/b.py"];
    for name in names {
        write(root.join(name), format!("key = {}\n", key(1)));
    }
    write(root.join(".gitignore"), "build/\n*.py\n");
    write(root.join("src/.gitignore"), "!b.py\n");
    write(root.join(".git/config"), format!("token = {}\n", key(1)));
    write(root.join("bare.git/HEAD"), "ref: refs/heads/main\n");
    write(root.join("bare.git/objects/x"), "");
    write(root.join("bare.git/refs/y"), "");
    let outcome = scan(root);
    assert_eq!(found(root, &outcome), names.map(|name| format!("/{name}")));
    assert_eq!((outcome.missed.len(), outcome.stats.repositories), (0, 2));
    let root_list = [root.to_path_buf()];
    let (matcher, progress) = (Matcher::new(&catalogue()), Progress::default());
    let scan = Scan { matcher: &matcher, bounds: Bounds::default(), threads: 1, progress: &progress };
    assert_eq!(progress.items_total(), None);
    scan.expect_paths(&root_list, &Walk::default());
    // What lies in a bare repository's objects counts here: it is told apart only when it is read.
    assert_eq!(progress.items_total(), Some(outcome.stats.items + 1));
    let obeying = scan_all(&root_list, &Walk { obey_gitignore: true, ..Walk::default() }, 2);
    let kept = ["/.claude/.credentials.json", "/.env.local", "/.mcp.json", "/src/a.rs", "/src/deep/er/b.py"];
    assert_eq!(found(root, &obeying), kept);
    let shown = scan_all(&root_list, &Walk { skip_hidden: true, ..Walk::default() }, 2);
    assert_eq!(found(root, &shown), ["/build/out.log", "/src/a.rs", "/src/deep/er/b.py"]);
    assert_eq!(Walk::well_known(root), [root.join(".mcp.json"), root.join(".claude")]);
}

#[test]
fn findings_say_where_they_are() {
    let root = tempfile::tempdir().unwrap();
    let text = format!("one\ntwo {} # keyward:allow a test until 2030-01-01\n{}\n", key(1), key(2));
    write(root.path().join("a"), &text);
    let outcome = scan(root.path());
    let [first, second] = &*outcome.findings else { panic!("{outcome:?}") };
    assert_eq!((first.line, first.column, second.line, second.column), (2, 5, 3, 1));
    let span = usize::try_from(first.span.start).unwrap()..usize::try_from(first.span.end).unwrap();
    assert_eq!(&text[span], key(1));
    assert_eq!(first.secret.expose(), key(1).as_bytes());
    assert_eq!(first.allowed.as_deref(), Some("keyward:allow a test until 2030-01-01"));
    assert_eq!(second.allowed, None);
}

#[test]
fn odd_names_are_told_as_they_are() {
    let root = tempfile::tempdir().unwrap();
    let names: [&[u8]; 4] = [b"\x1b[31mred", b"\xff\xfe", b"new\nline", b"tab\there"];
    for name in names {
        write(root.path().join(OsStr::from_bytes(name)), key(1));
    }
    let outcome = scan(root.path());
    let paths: Vec<_> = outcome.findings.iter().map(|finding| finding.place.path.clone()).collect();
    let expected = [names[0], names[2], names[3], names[1]].map(|name| root.path().join(OsStr::from_bytes(name)));
    assert_eq!(paths.len(), 4);
    for path in expected {
        assert!(paths.contains(&path.as_os_str().as_bytes().into()));
    }
}

#[test]
fn what_is_no_file_is_told_and_never_waited_for() {
    let root = tempfile::tempdir().unwrap();
    let outside = tempfile::tempdir().unwrap();
    write(outside.path().join("secret"), key(1));
    let root = root.path();
    write(root.join("in/file"), key(2));
    tool(root, &["mkfifo", "pipe"]);
    let _socket = UnixListener::bind(root.join("socket")).unwrap();
    let link = |to: &Path, name: &str| std::os::unix::fs::symlink(to, root.join(name)).unwrap();
    link(Path::new("."), "loop");
    link(Path::new(".."), "in/up");
    link(Path::new("in/file"), "inside");
    link(Path::new("gone"), "dangling");
    link(Path::new("self"), "self");
    link(outside.path(), "out");
    link(&outside.path().join("secret"), "outfile");
    link(Path::new("/dev/zero"), "zero");
    let outcome = scan(root);
    assert_eq!(found(root, &outcome), ["/in/file"]);
    let special = ["/out", "/outfile", "/pipe", "/socket", "/zero"];
    assert_eq!(missed(root, &outcome), special.map(|name| (name.to_owned(), Cause::Special)));
    // What is named itself is scanned, through a link too; a device is not.
    let named = [root.join("outfile"), PathBuf::from("/dev/zero"), root.join("missing"), root.join("socket")];
    let outcome = scan_all(&named, &Walk::default(), 1);
    assert_eq!(found(root, &outcome), ["/outfile"]);
    let causes = [("/dev/zero", Cause::Special), ("/missing", Cause::Unreadable), ("/socket", Cause::Special)];
    assert_eq!(missed(root, &outcome), causes.map(|(name, cause)| (name.to_owned(), cause)));
}

#[test]
fn a_pipe_that_is_named_is_read() {
    let root = tempfile::tempdir().unwrap();
    tool(root.path(), &["mkfifo", "pipe"]);
    let path = root.path().join("pipe");
    // Both ends are open before the scan begins, as with `<(command)`.
    let mut writer = fs::OpenOptions::new().read(true).write(true).open(&path).unwrap();
    writer.write_all(format!("{}\n", key(1)).as_bytes()).unwrap();
    let reader = std::thread::spawn(move || scan_all(&[path], &Walk::default(), 1));
    while !writer_is_drained(&writer) {
        std::thread::yield_now();
    }
    drop(writer);
    assert_eq!(reader.join().unwrap().findings.len(), 1);
}

#[test]
fn a_pipe_that_is_named_is_waited_for() {
    let root = tempfile::tempdir().unwrap();
    tool(root.path(), &["mkfifo", "pipe"]);
    let path = root.path().join("pipe");
    let of = path.clone();
    let reader = std::thread::spawn(move || scan_all(&[of], &Walk::default(), 1));
    // This returns when the scan has opened the other end, and nothing is written until then.
    let mut writer = fs::OpenOptions::new().write(true).open(&path).unwrap();
    writer.write_all(format!("{}\n", key(1)).as_bytes()).unwrap();
    drop(writer);
    assert_eq!(reader.join().unwrap().findings.len(), 1);
}

/// Whether somebody has read all that was written to a pipe.
fn writer_is_drained(pipe: &fs::File) -> bool {
    rustix::io::ioctl_fionread(pipe).unwrap() == 0
}

#[test]
fn what_may_not_be_read_is_told() {
    let root = tempfile::tempdir().unwrap();
    let root = root.path();
    write(root.join("closed/file"), key(1));
    write(root.join("locked"), key(1));
    let close = |name: &str, mode| fs::set_permissions(root.join(name), fs::Permissions::from_mode(mode)).unwrap();
    close("closed", 0o000);
    close("locked", 0o000);
    // The superuser may read all the same.
    let superuser = fs::read(root.join("locked")).is_ok();
    let outcome = scan(root);
    close("closed", 0o700);
    if superuser {
        assert_eq!(outcome.findings.len(), 2);
    } else {
        let expected = ["/closed", "/locked"].map(|name| (name.to_owned(), Cause::Unreadable));
        assert_eq!(missed(root, &outcome), expected);
    }
}

#[test]
fn sparse_files_of_many_gigabytes_take_no_time() {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("disk.img");
    let mut file = fs::File::create(&path).unwrap();
    for (at, seed) in [(0_u64, 1), (5 << 30, 2), ((10 << 30) - 4096, 3)] {
        file.seek(SeekFrom::Start(at)).unwrap();
        file.write_all(format!("\n{}\n", key(seed)).as_bytes()).unwrap();
    }
    file.set_len(10 << 30).unwrap();
    let outcome = scan(root.path());
    let starts: Vec<_> = outcome.findings.iter().map(|finding| finding.span.start).collect();
    assert_eq!(starts, [1, (5 << 30) + 1, (10 << 30) - 4095]);
    assert!(outcome.stats.bytes < 4 << 20, "{} bytes were read", outcome.stats.bytes);
    assert_eq!(outcome.missed, []);
}

#[test]
fn folders_may_be_thousands_deep() {
    let root = tempfile::tempdir().unwrap();
    // Far longer than the system takes as one path.
    let program = format!(
        "import os\nfor at in range(3000):\n    os.mkdir('d')\n    os.chdir('d')\nopen('key', 'w').write('{}')\n",
        key(1)
    );
    crate::support::python(root.path(), &program);
    let outcome = scan(root.path());
    assert_eq!(outcome.findings.len(), 1);
    assert_eq!(outcome.missed, []);
    let shallow = scan_all(&[root.path().to_path_buf()], &Walk { depth: 10, ..Walk::default() }, 1);
    assert_eq!((shallow.findings.len(), shallow.missed[0].cause), (0, Cause::TooDeep));
    tool(root.path(), &["rm", "-r", "d"]);
}

#[test]
fn rows_in_the_log_beside_a_database_are_the_databases_own() {
    let root = tempfile::tempdir().unwrap();
    for (name, rows) in [("small", 10), ("large", 40_000)] {
        let program = format!(
            "import sqlite3, shutil\nbase = sqlite3.connect('{name}', isolation_level=None)\n\
             base.execute('pragma journal_mode=wal')\nbase.execute('create table t (name text, value text)')\n\
             base.execute('begin')\n\
             for at in range({rows}): base.execute('insert into t values (?, ?)', ('n', 'some value %d' % at))\n\
             base.execute('commit')\nbase.execute('pragma wal_checkpoint(truncate)')\n\
             base.execute('pragma wal_autocheckpoint=0')\n\
             base.execute('insert into t values (?, ?)', ('fresh', '{}'))\n\
             shutil.copy('{name}', '{name}.db')\nshutil.copy('{name}-wal', '{name}.db-wal')\nbase.close()\n",
            key(1)
        );
        crate::support::python(root.path(), &program);
        fs::remove_file(root.path().join(name)).unwrap();
    }
    let outcome = scan(root.path());
    assert_eq!(found(root.path(), &outcome), ["/large.db", "/large.db-wal", "/small.db", "/small.db-wal"]);
    for at in [0, 2] {
        assert_eq!(outcome.findings[at].place.within.join(" > "), "t > name=fresh > value");
    }
    assert_eq!(outcome.missed, []);
}

#[test]
fn bounds_are_told() {
    let root = tempfile::tempdir().unwrap();
    write(root.path().join("large"), key(1));
    let (matcher, progress) = (Matcher::new(&catalogue()), Progress::default());
    let bounds = Bounds { file: 10, ..Bounds::default() };
    let scan = Scan { matcher: &matcher, bounds, threads: 1, progress: &progress };
    let outcome = scan.paths(&[root.path().to_path_buf()], &Walk::default());
    assert_eq!((outcome.findings.len(), outcome.missed[0].cause), (0, Cause::TooLarge));
}

#[test]
fn a_scan_that_is_stopped_tells_what_it_found() {
    let root = tempfile::tempdir().unwrap();
    write(root.path().join("a"), key(1));
    let (matcher, progress) = (Matcher::new(&catalogue()), Progress::default());
    let scan = Scan { matcher: &matcher, bounds: Bounds::default(), threads: 2, progress: &progress };
    progress.stop();
    let outcome = scan.paths(&[root.path().to_path_buf()], &Walk::default());
    assert_eq!(outcome.missed.iter().map(|missed| missed.cause).collect::<Vec<_>>(), [Cause::Stopped]);
    // What was read of a stream before is looked at, and no more.
    let outcome = scan.stdin(key(1).as_bytes());
    assert_eq!((outcome.findings.len(), outcome.missed[0].cause), (1, Cause::Stopped));
    let much = [&vec![b'\n'; 8 << 20], key(2).as_bytes()].concat();
    let outcome = scan.stdin(&*much);
    assert_eq!((outcome.findings.len(), outcome.missed[0].cause), (0, Cause::Stopped));
}

/// Stops the scan once it has read some of an endless stream.
struct Endless<'p> {
    progress: &'p Progress,
    first: Vec<u8>,
    left: u32,
}

impl std::io::Read for Endless<'_> {
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        if self.left == 0 {
            self.progress.stop();
        }
        self.left = self.left.saturating_sub(1);
        into.fill(b'\n');
        let count = self.first.len().min(into.len());
        into[..count].copy_from_slice(&self.first[..count]);
        self.first.drain(..count);
        Ok(into.len())
    }
}

#[test]
fn an_endless_stream_ends_when_it_is_stopped() {
    let (matcher, progress) = (Matcher::new(&catalogue()), Progress::default());
    let scan = Scan { matcher: &matcher, bounds: Bounds::default(), threads: 1, progress: &progress };
    let first = format!("{}\n", key(1)).into_bytes();
    let outcome = scan.stdin(Endless { progress: &progress, first, left: 300 });
    assert_eq!((outcome.findings.len(), outcome.missed[0].cause), (1, Cause::Stopped));
}

#[test]
fn roots_within_roots_are_walked_once() {
    let root = tempfile::tempdir().unwrap();
    write(root.path().join("in/a"), key(1));
    let roots = [root.path().join("in"), root.path().to_path_buf(), root.path().join("in/../in/a")];
    assert_eq!(scan_all(&roots, &Walk::default(), 2).findings.len(), 1);
}

#[test]
fn made_up_file_systems_below_a_root_are_told() {
    if !Path::new("/proc/self").exists() {
        return;
    }
    // A name of its own is scanned: files of the kernel say that they are empty, and are not.
    let outcome = scan_all(&[PathBuf::from("/proc/self/status")], &Walk::default(), 1);
    assert!(outcome.stats.bytes > 100 && outcome.missed.is_empty(), "{outcome:?}");
}

#[test]
fn private_keys_among_tests_are_told_and_are_no_alarm() {
    let folder = tempfile::tempdir().unwrap();
    let body: String = (0..4).map(|seed| sample::text("[A-Za-z0-9+/]{64}", seed).unwrap() + "\n").collect();
    let block = format!("-----BEGIN RSA PRIVATE KEY{0}\n{body}{0}END RSA PRIVATE KEY{0}\n", "-----");
    for path in ["app/deploy/server.key", "app/tests/fixtures/server.key", "app/live/test.company.net/privkey.pem"] {
        write(folder.path().join(path), format!("{block}\nANTHROPIC_API_KEY={}\n", key(1)));
    }
    let outcome = scan(folder.path());
    let mut told: Vec<_> = outcome
        .findings
        .iter()
        .map(|finding| {
            let path = String::from_utf8_lossy(&finding.place.path);
            let name = path.strip_prefix(folder.path().to_str().unwrap()).unwrap_or_default().to_owned();
            (name, finding.kind.rule.to_string(), finding.confidence)
        })
        .collect();
    told.sort();
    let expected = [
        ("/app/deploy/server.key", "anthropic/api", Confidence::High),
        ("/app/deploy/server.key", "private-key/pem", Confidence::High),
        ("/app/live/test.company.net/privkey.pem", "anthropic/api", Confidence::High),
        ("/app/live/test.company.net/privkey.pem", "private-key/pem", Confidence::High),
        // Who leaks a vendor's key leaks it among tests as well.
        ("/app/tests/fixtures/server.key", "anthropic/api", Confidence::High),
        ("/app/tests/fixtures/server.key", "private-key/pem", Confidence::Low),
    ];
    assert_eq!(told, expected.map(|(path, rule, confidence)| (path.to_owned(), rule.to_owned(), confidence)));
    let low = outcome.findings.iter().find(|finding| finding.confidence == Confidence::Low).unwrap();
    assert!(low.reasons.iter().any(|reason| reason.contains("tests or examples")), "{:?}", low.reasons);
}

#[test]
fn secrets_in_names_of_files_folders_and_members_are_found() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    let keys: Vec<String> = (70..75).map(key).collect();
    write(root.join(format!("a/{}.txt", keys[0])), "nothing");
    write(root.join(format!("b/{}/c", keys[1])), "nothing");
    write(root.join(format!("b/{}/d", keys[1])), "nothing");
    std::os::unix::fs::symlink("nowhere", root.join(&keys[2])).unwrap();
    // Digests are no keys, whatever the folder is called.
    write(root.join(format!("anthropic/{:064x}.js", 0x1234_5678_9abc_def0_u64)), "nothing");
    let packed = root.join("packed");
    write(packed.join(format!("{}/one", keys[3])), "nothing");
    write(packed.join(format!("{}/two", keys[3])), "nothing");
    write(packed.join(format!("{}.env", keys[4])), "nothing");
    tool(root, &["tar", "cf", "z.tar", "packed"]);
    fs::remove_dir_all(&packed).unwrap();
    let outcome = scan(root);
    let mut told: Vec<(String, String)> = outcome
        .findings
        .iter()
        .map(|finding| {
            let secret = String::from_utf8(finding.secret.expose().to_vec()).unwrap();
            (secret, finding.place.within.last().unwrap().to_string())
        })
        .collect();
    told.sort();
    let file = "file name";
    let mut expected: Vec<(String, String)> = keys
        .iter()
        .zip([file, "folder name", file, file, file])
        .map(|(key, what)| (key.clone(), what.to_owned()))
        .collect();
    expected.sort();
    assert_eq!(told, expected, "each once, and nothing else");
    let first = outcome.findings.iter().find(|finding| finding.secret.expose() == keys[0].as_bytes()).unwrap();
    assert!(first.place.path.ends_with(format!("/a/{}.txt", keys[0]).as_bytes()));
    assert_eq!((first.line, first.column), (1, 1));
}
