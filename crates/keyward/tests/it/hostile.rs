//! Trees and repositories that were made to do harm, looked at by the real program: it ends, in time, by itself; it stays
//! within the tree, steers no terminal, says what it left out, and finds the key that lies beside.

use crate::repository::{Repository, made_up};
use keyward_testkit::cli::Run;
use serde_json::Value;
use std::{
    ffi::OsStr,
    fs::{self, File},
    io::Write as _,
    os::unix::{ffi::OsStrExt as _, fs::symlink, net::UnixListener},
    process::Command,
};

const NAMES: [&[u8]; 5] = [b"a\nb", b"\xff\xfe", b"\x1b]0;owned\x07\x1b[2J", b"\xe2\x80\xae.txt", b"-rf --"];

fn causes(report: &Value) -> Vec<&str> {
    let missed = report["incomplete"].as_array().expect("a list");
    missed.iter().filter_map(|one| one["cause"].as_str()).collect()
}

/// The paths of the findings.
fn paths(report: &Value) -> Vec<&str> {
    let findings = report["findings"].as_array().expect("a list");
    findings.iter().filter_map(|one| one["path"].as_str()).collect()
}

fn key_line(seed: u64) -> String {
    format!("ANTHROPIC_API_KEY={}\n", made_up("anthropic", "api", seed))
}

fn python(at: &std::path::Path, program: &str) {
    let mut command = Command::new("python3");
    command.args(["-c", program]).current_dir(at);
    let _made = Run::of(command, b"").ok();
}

#[test]
fn a_tree_of_traps_is_walked_and_left() {
    let repository = Repository::new();
    let root = repository.path();
    let outside = repository.beside("outside");
    fs::create_dir(&outside).expect("a folder");
    fs::write(outside.join("secret.env"), key_line(90)).expect("written");
    repository.write("plain.env", &key_line(91));
    for (link, to) in
        [("loop", "."), ("up", ".."), ("self", "self"), ("out", "../outside"), ("file", "../outside/secret.env")]
    {
        symlink(to, root.join(link)).expect("a link");
    }
    let mut fifo = Command::new("mkfifo");
    fifo.arg(root.join("pipe"));
    let _made = Run::of(fifo, b"").ok();
    let _socket = UnixListener::bind(root.join("socket")).expect("a socket");
    symlink("/dev/zero", root.join("device")).expect("a link");
    let mut sparse = File::create(root.join("sparse")).expect("a file");
    sparse.set_len(10 << 30).expect("a hole");
    std::io::Seek::seek(&mut sparse, std::io::SeekFrom::Start(7 << 30)).expect("a place");
    sparse.write_all(format!("\n{}", key_line(92)).as_bytes()).expect("written");
    for (name, seed) in NAMES.iter().zip(100..) {
        fs::create_dir_all(root.join("names")).expect("a folder");
        fs::write(root.join("names").join(OsStr::from_bytes(name)), key_line(seed)).expect("written");
    }
    let run = repository.keyward(&["scan", "--format", "json"]);
    assert_eq!(run.status, 1, "{}", run.all());
    let report = run.json();
    assert_eq!(paths(&report).len(), 2 + NAMES.len(), "{report}");
    assert!(!run.stdout.contains("outside/secret") || !paths(&report).iter().any(|path| path.contains("outside")));
    assert!(causes(&report).contains(&"special"), "{report}");
    let sparse = report["findings"].as_array().expect("a list").iter().find(|one| one["path"] == "sparse");
    assert!(sparse.is_some_and(|one| one["span"][0].as_u64() > Some(7 << 30)), "{report}");
    for format in ["text", "json", "jsonl", "sarif", "junit", "github", "html"] {
        let run = repository.keyward(&["scan", "--format", format]);
        let steers = |c: char| c != '\n' && (c.is_control() || c == '\u{202e}');
        assert!(!run.all().contains(steers), "{format}: {:?}", run.all());
    }
    let git = repository.keyward(&["scan", "--git", "--format", "json"]);
    assert_eq!(paths(&git.json()).len(), 2 + NAMES.len(), "{}", git.stdout);
}

#[test]
fn bombs_and_broken_archives_are_told_and_hide_nothing_beside_them() {
    let repository = Repository::new();
    // Without optimisation the program takes a minute for as much as makes a bomb.
    let size = if cfg!(debug_assertions) { 8 } else { 600 };
    let program = r#"
import gzip, io, zipfile, zlib
def zipped(files):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for name, content in files: archive.writestr(name, content)
    return out.getvalue()
def save(name, content): open(name, "wb").write(content)
# Zipped in itself too often, and a member that is 1,000 times as large once it is unpacked.
leaf = b"x"
for _ in range(20): leaf = gzip.compress(leaf)
save("deep.gz", leaf)
packer = zlib.compressobj(9, zlib.DEFLATED, 31)
block = bytes(1 << 20)
save("bomb.gz", b"".join(packer.compress(block) for _ in range(SIZE)) + packer.flush())
good = zipped([("a.txt", b"nothing" * 1000), ("b.txt", b"nothing" * 1000)])
save("cut.zip", good[:len(good) // 2])
save("turned.zip", bytes(byte ^ (0x55 if at % 97 == 40 else 0) for at, byte in enumerate(good)))
# A member that leads out of the archive is a name and nothing else.
save("slip.zip", zipped([("../../../../etc/cron.d/x", b"nothing"), ("/etc/passwd", b"nothing")]))
"#;
    python(&repository.path(), &program.replace("SIZE", &size.to_string()));
    repository.write("beside.env", &key_line(93));
    let run = repository.keyward(&["scan", "--format", "json"]);
    assert_eq!(run.status, 1, "{}", run.all());
    let report = run.json();
    assert_eq!(paths(&report), ["beside.env"]);
    let told = causes(&report);
    assert!(told.contains(&"too-deep") && told.contains(&"corrupt"), "{report}");
}

#[test]
fn broken_packs_and_objects_are_told() {
    let repository = Repository::new();
    for seed in 0..8 {
        repository.write(&format!("f{seed}.env"), &key_line(200 + seed));
        repository.commit_anyway("One more");
    }
    let _packed = repository.git(&["repack", "-q", "-adf"]).ok();
    let _gone = repository.git(&["rm", "-q", "-r", "."]).ok();
    let folder = repository.path().join(".git/objects/pack");
    let pack = fs::read_dir(&folder)
        .expect("packs")
        .map(|entry| entry.expect("an entry").path())
        .find(|path| path.extension().is_some_and(|extension| extension == "pack"))
        .expect("a pack");
    let whole = fs::read(&pack).expect("read");
    fs::remove_file(&pack).expect("removed");
    for keep in [whole.len() - 21, whole.len() / 2, 13, 0] {
        fs::write(&pack, &whole[..keep]).expect("written");
        let run = repository.keyward(&["scan", "--git", "--format", "json"]);
        assert!(matches!(run.status, 1 | 3), "{keep}: {}", run.all());
        assert!(keep > whole.len() / 2 || !causes(&run.json()).is_empty(), "{keep}: {}", run.stdout);
    }
    let turned: Vec<u8> =
        whole.iter().enumerate().map(|(at, byte)| if at % 61 == 60 { byte ^ 0x33 } else { *byte }).collect();
    fs::write(&pack, turned).expect("written");
    let run = repository.keyward(&["scan", "--git", "--format", "json"]);
    assert!(matches!(run.status, 1 | 3) && !causes(&run.json()).is_empty(), "{}", run.all());
}

/// Somebody works, tidies up and throws away while the repository is scanned, again and again.
#[test]
fn a_repository_that_changes_underneath_is_borne() {
    let repository = Repository::new();
    for seed in 0..6 {
        repository.write("a.env", &key_line(300 + seed));
        repository.commit_anyway("One more");
    }
    let secret = made_up("anthropic", "api", 300);
    std::thread::scope(|scope| {
        let busy = scope.spawn(|| {
            for round in 0..6 {
                repository.write("b.txt", &format!("round {round}\n"));
                repository.commit_anyway("Work");
                let _packed = repository.git(&["repack", "-q", "-ad"]).ok();
                let _pruned = repository.git(&["prune", "--expire=now"]).ok();
            }
        });
        let mut rounds = 0;
        while rounds < 3 || !busy.is_finished() {
            rounds += 1;
            let run = repository.keyward(&["scan", "--git", "--format", "json", "--reveal"]);
            assert_eq!(run.status, 1, "{}", run.all());
            assert!(run.stdout.contains(&secret), "what was there all the time is found");
        }
    });
}
