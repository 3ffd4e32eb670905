//! Repositories that are broken, and ones that change underneath: what can be read is scanned, the rest is told.

use crate::kit::{Kit, Repo, of, places, range, scan, staged, text, whole};
use keyward_scanner::{Bounds, Cause, History, Progress, Scan, Where};
use std::{
    fs,
    path::{Path, PathBuf},
};

fn packs(repo: &Path, extension: &str) -> Vec<PathBuf> {
    let folder = fs::read_dir(repo.join(".git/objects/pack")).unwrap();
    folder
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|is| is == extension))
        .collect()
}

fn writable(path: &Path) {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(path, fs::Permissions::from_mode(0o644)).unwrap();
}

/// A packed repository with some secrets.
fn packed(kit: &Kit) -> Repo<'_> {
    let repo = kit.init("repo", &[]);
    for number in 1..30 {
        let lines: String = (0..50).map(|line| format!("{line}: {}\n", (line * number) % 7)).collect();
        repo.commit(&format!("dir/f{}", number % 5), &format!("{lines}{}", text(number)));
    }
    repo.git(&["repack", "-q", "-a", "-d", "-f", "--depth=50"]);
    repo.git(&["prune-packed"]);
    repo
}

#[test]
fn a_pack_that_is_cut_off_is_read_as_far_as_it_goes() {
    let kit = Kit::new();
    let repo = packed(&kit);
    let pack = packs(&repo.path, "pack").remove(0);
    let bytes = fs::read(&pack).unwrap();
    writable(&pack);
    let whole_count = whole(&repo.path).findings.len();
    let mut fewer = 0;
    for share in [0, 1, 5, 9] {
        fs::write(&pack, &bytes[..bytes.len() * share / 10]).unwrap();
        let outcome = whole(&repo.path);
        assert!(!outcome.missed.is_empty());
        assert!(outcome.findings.len() < whole_count);
        fewer = outcome.findings.len();
    }
    assert!(fewer > 5, "most of the pack is there");
}

#[test]
fn a_pack_with_broken_bytes_tells_which_objects_it_hides() {
    let kit = Kit::new();
    let repo = packed(&kit);
    let pack = packs(&repo.path, "pack").remove(0);
    let bytes = fs::read(&pack).unwrap();
    writable(&pack);
    for at in (12..bytes.len() - 20).step_by(bytes.len() / 13) {
        let mut broken = bytes.clone();
        broken[at] ^= 0x55;
        fs::write(&pack, &broken).unwrap();
        let outcome = whole(&repo.path);
        let found =
            (1..30).filter(|number| of(&outcome, *number).iter().any(|one| one.place.place != Where::Worktree)).count();
        assert!(found == 29 || !outcome.missed.is_empty(), "byte {at}: {found}");
    }
}

#[test]
fn an_index_of_a_pack_that_is_missing_or_broken_is_made_anew() {
    let kit = Kit::new();
    let repo = packed(&kit);
    let index = packs(&repo.path, "idx").remove(0);
    let bytes = fs::read(&index).unwrap();
    writable(&index);
    let expected = whole(&repo.path).findings.len();
    for broken in [None, Some(bytes[..bytes.len() / 2].to_vec()), Some(Vec::new()), Some(b"\xfftOc\0\0\0\x09".to_vec())]
    {
        match broken {
            Some(bytes) => fs::write(&index, bytes).unwrap(),
            None => fs::remove_file(&index).unwrap(),
        }
        let outcome = whole(&repo.path);
        assert_eq!(outcome.findings.len(), expected);
        assert_eq!(outcome.missed, []);
        assert_eq!(of(&outcome, 3).len(), 1);
    }
}

#[test]
fn a_reference_to_nothing_and_a_range_with_a_gap_are_told() {
    let kit = Kit::new();
    let repo = kit.init("repo", &[]);
    let ids = [1, 2, 3].map(|number| repo.commit("a", &text(number)));
    let told = |outcome: &keyward_scanner::Outcome| {
        let missed =
            outcome.missed.iter().map(|one| (one.cause, String::from_utf8_lossy(&one.place.path).into_owned()));
        missed.collect::<Vec<_>>()
    };
    let lose = |id: &str| fs::remove_file(repo.path.join(format!(".git/objects/{}/{}", &id[..2], &id[2..]))).unwrap();
    assert_eq!(told(&whole(&repo.path)), []);
    lose(&ids[1]);
    let outcome = range(&repo.path, &format!("{}..main", ids[0])).unwrap();
    assert_eq!(told(&outcome), [(Cause::Absent, ids[1].clone())]);
    lose(&ids[2]);
    assert!(told(&whole(&repo.path)).contains(&(Cause::Absent, "refs/heads/main".to_owned())));
    // A packed reference that a loose one replaced counts no more.
    let line = format!("{} refs/heads/main\n", ids[1]);
    fs::write(repo.path.join(".git/packed-refs"), line).unwrap();
    fs::write(repo.path.join(".git/refs/heads/main"), &ids[0]).unwrap();
    assert!(!told(&whole(&repo.path)).iter().any(|(_, path)| path == "refs/heads/main"));
}

#[test]
fn objects_that_are_missing_or_broken_are_told_with_their_paths() {
    let kit = Kit::new();
    let repo = kit.init("repo", &[]);
    repo.commit("a/one", &text(1));
    repo.commit("a/two", &text(2));
    let id = repo.git(&["rev-parse", "HEAD:a/one"]);
    let object = repo.path.join(format!(".git/objects/{}/{}", &id[..2], &id[2..]));
    writable(&object);
    fs::write(&object, b"no object").unwrap();
    repo.git(&["rm", "-q", "--cached", "a/one"]);
    let told = |outcome: &keyward_scanner::Outcome| {
        outcome
            .missed
            .iter()
            .map(|missed| (missed.cause, missed.place.object.as_deref().unwrap_or("").to_owned()))
            .collect::<Vec<_>>()
    };
    let outcome = whole(&repo.path);
    assert_eq!(told(&outcome), [(Cause::Corrupt, id.clone())]);
    fs::remove_file(&object).unwrap();
    let outcome = whole(&repo.path);
    assert_eq!(told(&outcome), [(Cause::Absent, id)]);
    assert_eq!(&*outcome.missed[0].place.path, b"a/one");
    assert_eq!(of(&outcome, 2).len(), 2);
}

#[test]
fn broken_references_trees_and_indexes_stop_nothing() {
    let kit = Kit::new();
    let repo = kit.init("repo", &[]);
    repo.commit("a", &text(1));
    repo.commit("a", "clean\n");
    let blob = repo.hash("x");
    // A tree that makes no sense, and a commit of it.
    repo.write("../tree", "100644 a\0short");
    let tree = repo.git(&["hash-object", "-t", "tree", "--literally", "-w", "../tree"]);
    repo.write("../commit", &format!("tree {tree}\nauthor x\n\nNo committer\n"));
    let odd = repo.git(&["hash-object", "-t", "commit", "--literally", "-w", "../commit"]);
    repo.write(".git/refs/heads/odd", &format!("{odd}\n"));
    repo.write(".git/refs/heads/blob", &format!("{blob}\n"));
    repo.write(".git/refs/heads/broken", "not an id\n");
    repo.write(".git/refs/heads/absent", &format!("{}\n", "1".repeat(40)));
    repo.write(".git/packed-refs", "rubbish\n");
    repo.write(".git/index", "DIRC\0\0\0\x02\0\0\0\x09cut");
    let outcome = whole(&repo.path);
    assert_eq!(places(&outcome, 1), [(Where::Blob, "a".to_owned())]);
    let corrupt = outcome.missed.iter().filter(|missed| missed.cause == Cause::Corrupt).count();
    assert!(corrupt >= 4, "{:?}", outcome.missed);
    assert!(!staged(&repo.path).missed.is_empty());
}

#[test]
fn what_is_too_large_is_told() {
    let kit = Kit::new();
    let repo = kit.init("repo", &[]);
    repo.commit("a", &text(1));
    fs::write(repo.path.join("large"), vec![b'x'; 130 << 20]).unwrap();
    repo.git(&["add", "-A"]);
    repo.git(&["commit", "-q", "-m", "Large"]);
    fs::remove_file(repo.path.join("large")).unwrap();
    let progress = Progress::default();
    let outcome = scan(|scan| {
        let bounds = Bounds { file: 1 << 20, ..Bounds::default() };
        Scan { bounds, progress: &progress, ..scan.clone() }.git(&repo.path, &History::Whole)
    });
    let outcome = outcome.unwrap();
    assert_eq!(outcome.missed.iter().map(|missed| missed.cause).collect::<Vec<_>>(), [Cause::TooLarge]);
    // Without that bound it is read as a stream.
    let outcome = whole(&repo.path);
    assert_eq!(outcome.missed, []);
    assert!(outcome.stats.bytes > 130 << 20);
}

#[test]
fn a_repository_that_is_tidied_meanwhile_loses_nothing() {
    let kit = Kit::new();
    let repo = kit.init("repo", &[]);
    for number in 1..40 {
        repo.commit(&format!("f{number}"), &text(number));
    }
    std::thread::scope(|scope| {
        let tidy = scope.spawn(|| {
            let kit = Kit::new();
            let same = Repo { kit: &kit, path: repo.path.clone() };
            for depth in ["10", "50"] {
                same.git(&["gc", "-q", "--prune=now"]);
                same.git(&["repack", "-q", "-a", "-d", "-f", &format!("--depth={depth}")]);
            }
        });
        while !tidy.is_finished() {
            let outcome = whole(&repo.path);
            for number in 1..40 {
                assert!(of(&outcome, number).len() >= 2, "{number}: {:?}", outcome.missed);
            }
        }
    });
    let outcome = whole(&repo.path);
    assert_eq!(outcome.missed, []);
}

#[test]
fn a_stopped_scan_says_so() {
    let kit = Kit::new();
    let repo = packed(&kit);
    let progress = Progress::default();
    progress.stop();
    let outcome = scan(|scan| Scan { progress: &progress, ..scan.clone() }.git(&repo.path, &History::Whole)).unwrap();
    assert!(outcome.missed.iter().any(|missed| missed.cause == Cause::Stopped));
}

/// References in one binary file, as newer gits can keep them: what they lead to is scanned as an object, and that the
/// references were not read is said.
#[test]
fn references_in_an_unknown_form_are_told() {
    let kit = Kit::new();
    let repo = kit.init("repo", &["--ref-format=reftable"]);
    let first = repo.commit("a", &text(1));
    let second = repo.commit("b", &text(2));
    repo.git(&["notes", "add", "-m", &text(3)]);
    repo.git(&["rm", "-q", "a", "b"]);
    repo.git(&["commit", "-q", "-m", "Take them out"]);
    let outcome = whole(&repo.path);
    for number in 1..4 {
        assert!(!of(&outcome, number).is_empty(), "{number}");
    }
    let told = |outcome: &keyward_scanner::Outcome| outcome.missed.iter().any(|one| one.cause == Cause::Unsupported);
    assert!(told(&outcome), "{:?}", outcome.missed);
    // What has ids is there; what has names cannot be looked up, and says why.
    assert_eq!(of(&range(&repo.path, &format!("{first}..{second}")).unwrap(), 2).len(), 1);
    for history in ["HEAD~2..HEAD".to_owned(), "main~2..main".to_owned(), format!("{first}..HEAD")] {
        let error = range(&repo.path, &history).unwrap_err();
        assert!(error.to_string().contains("reftable"), "{history}: {error}");
    }
    let since = scan(|scan| scan.git(&repo.path, &History::Since(first.clone())));
    assert!(since.unwrap_err().to_string().contains("reftable"));
    repo.write("c", &text(4));
    repo.git(&["add", "c"]);
    assert_eq!(of(&staged(&repo.path), 4).len(), 1, "all that is staged is looked at");
}

#[test]
fn pipes_in_the_place_of_files_are_told_and_not_waited_for() {
    for name in ["objects/pack/pack-x.pack", "packed-refs", "config", "index", "objects/12/3456", "pack.idx", "HEAD"] {
        let kit = Kit::new();
        let repo = kit.init("repo", &[]);
        repo.commit("a", &text(1));
        repo.git(&["tag", "one"]);
        repo.commit("b", &text(2));
        let mut path = repo.path.join(".git").join(name);
        if name == "pack.idx" {
            repo.git(&["repack", "-q", "-a", "-d"]);
            path = fs::read_dir(repo.path.join(".git/objects/pack"))
                .unwrap()
                .flatten()
                .map(|one| one.path())
                .find(|one| one.extension().is_some_and(|end| end == "idx"))
                .unwrap();
        }
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        let _gone = fs::remove_file(&path);
        assert!(std::process::Command::new("mkfifo").arg(&path).status().unwrap().success());
        let outcome = whole(&repo.path);
        assert_eq!((of(&outcome, 1).len(), of(&outcome, 2).len()), (2, 2), "{name}: in history and the work tree");
        // A pack tells the ids of its objects itself.
        assert!(name == "pack.idx" || !outcome.missed.is_empty(), "{name}");
        let outcome = staged(&repo.path);
        let told = outcome.missed.iter().any(|missed| missed.detail.contains("not a file"));
        assert_eq!(told, !matches!(name, "pack.idx" | "objects/12/3456"), "{name}: {:?}", outcome.missed);
        if name != "HEAD" {
            let outcome = range(&repo.path, "refs/tags/one..refs/heads/main").unwrap();
            assert_eq!((of(&outcome, 1).len(), of(&outcome, 2).len()), (0, 1), "{name}");
        }
    }
}
