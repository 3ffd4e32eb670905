//! Secrets that files and folders are called by, and were called by once.

use crate::kit::{Kit, Repo, key, of, places, range, scan, staged, whole};
use keyward_scanner::{Cause, Finding, History, Hook, Outcome, Push, Where};
use std::{fs, path::Path};

/// What a finding says of the name: the last step of the way to it.
fn last(finding: &Finding) -> &str {
    finding.place.within.last().map_or("", |step| step)
}

/// The names that hold a key: where, at which path, and what is called so.
fn names(outcome: &Outcome, number: u64) -> Vec<(Where, String, String)> {
    let told = places(outcome, number).into_iter().zip(of(outcome, number));
    told.map(|((place, path), finding)| (place, path, last(finding).to_owned())).collect()
}

fn file(place: Where, path: &str) -> (Where, String, String) {
    (place, path.to_owned(), "file name".to_owned())
}

fn folder(place: Where, path: &str) -> (Where, String, String) {
    (place, path.to_owned(), "folder name".to_owned())
}

/// Writes and commits a file, whose name stands nowhere else; the commit.
fn commit(repo: &Repo<'_>, name: &str, text: &str) -> String {
    repo.write(name, text);
    repo.git(&["add", "-f", name]);
    repo.git(&["commit", "-q", "-m", "Change"]);
    repo.git(&["rev-parse", "HEAD"])
}

/// Writes and commits a file, and takes it away again; the first commit.
fn brief(repo: &Repo<'_>, name: &str) -> String {
    let commit = commit(repo, name, &format!("the content of {}\n", name.len()));
    repo.git(&["rm", "-q", "-r", "-f", name]);
    repo.git(&["commit", "-q", "-m", "Gone"]);
    commit
}

/// Stores a tree as it is given, without a look at whether it makes sense.
fn tree(repo: &Repo<'_>, bytes: &[u8]) -> String {
    fs::write(repo.path.join("../tree"), bytes).unwrap();
    repo.git(&["hash-object", "-t", "tree", "-w", "--literally", "../tree"])
}

/// The bytes of an object's id.
fn raw(id: &str) -> Vec<u8> {
    (0..id.len()).step_by(2).map(|at| u8::from_str_radix(&id[at..at + 2], 16).unwrap()).collect()
}

/// An entry of a tree.
fn entry(mode: &str, name: &[u8], id: &[u8]) -> Vec<u8> {
    [mode.as_bytes(), b" ", name, b"\0", id].concat()
}

/// Puts names that are keys into a history; which number is to be found where.
fn fill(repo: &Repo<'_>) -> Vec<(u64, (Where, String, String))> {
    let key = |number| key(number);
    commit(repo, "README", "nothing\n");
    brief(repo, &format!("a/{}.txt", key(1)));
    brief(repo, &format!("b/{}/c/d.txt", key(2)));
    let mut hidden =
        vec![(1, file(Where::Blob, &format!("a/{}.txt", key(1)))), (2, folder(Where::Blob, &format!("b/{}", key(2))))];
    // Only its name is new: its content had another before, in the same folder.
    commit(repo, "e/plain-name-of-a-file", "the same\n");
    repo.git(&["mv", "e/plain-name-of-a-file", &format!("e/{}", key(3))]);
    repo.git(&["commit", "-q", "-m", "Move"]);
    repo.git(&["mv", &format!("e/{}", key(3)), "e/back-to-what-it-was"]);
    repo.git(&["commit", "-q", "-m", "Move"]);
    hidden.push((3, file(Where::Blob, &format!("e/{}", key(3)))));
    // A submodule, and a link.
    let module = format!("160000,{},f/{}", "1".repeat(40), key(4));
    repo.git(&["update-index", "--add", "--cacheinfo", &module]);
    let link = format!("120000,{},f/{}", repo.hash("target"), key(5));
    repo.git(&["update-index", "--add", "--cacheinfo", &link]);
    repo.git(&["commit", "-q", "-m", "Odd ones"]);
    repo.git(&["rm", "-q", "-r", "--cached", "f"]);
    repo.git(&["commit", "-q", "-m", "None"]);
    hidden.push((4, folder(Where::Blob, &format!("f/{}", key(4)))));
    hidden.push((5, file(Where::Blob, &format!("f/{}", key(5)))));
    // A branch that is no more.
    repo.git(&["checkout", "-q", "-b", "side"]);
    commit(repo, &format!("g/{}", key(6)), "side\n");
    repo.git(&["checkout", "-q", "main"]);
    repo.git(&["branch", "-q", "-D", "side"]);
    repo.git(&["reflog", "expire", "--expire=now", "--all"]);
    hidden.push((6, file(Where::Unreachable, &format!("g/{}", key(6)))));
    // A tree that nothing leads to: what lies above it is not known.
    let empty = raw(&repo.hash("empty"));
    tree(repo, &entry("100644", key(7).as_bytes(), &empty));
    hidden.push((7, file(Where::Unreachable, &key(7))));
    // What was put aside, what is staged and not there any more, and what only a reflog leads to.
    repo.write(&key(8), "aside\n");
    repo.git(&["stash", "push", "-q", "-u"]);
    hidden.push((8, file(Where::Stash, &key(8))));
    commit(repo, &format!("h/{}", key(9)), "reset\n");
    repo.git(&["reset", "-q", "--hard", "HEAD~1"]);
    hidden.push((9, file(Where::Reflog, &format!("h/{}", key(9)))));
    for number in [10, 11] {
        let name = if number == 10 { format!("i/{}", key(10)) } else { format!("i/{}/j/k", key(11)) };
        repo.write(&name, "staged\n");
        repo.git(&["add", &name]);
    }
    fs::remove_dir_all(repo.path.join("i")).unwrap();
    hidden.push((10, file(Where::Index, &format!("i/{}", key(10)))));
    hidden.push((11, folder(Where::Index, &format!("i/{}", key(11)))));
    hidden
}

fn check(path: &Path, hidden: &[(u64, (Where, String, String))]) {
    let outcome = whole(path);
    for (number, place) in hidden {
        assert_eq!(names(&outcome, *number), std::slice::from_ref(place), "number {number}");
        let found = of(&outcome, *number)[0];
        assert_eq!((found.line, found.column), (1, 1), "{number}");
    }
    let numbers: Vec<_> = outcome.findings.iter().map(|finding| finding.secret.expose().to_vec()).collect();
    assert_eq!(numbers.len(), hidden.len(), "and nothing else");
    let absent: Vec<_> = outcome.missed.iter().map(|missed| missed.cause).collect();
    assert_eq!(absent, [], "{:?}", outcome.missed);
}

#[test]
fn names_that_files_and_folders_once_had_are_found() {
    let kit = Kit::new();
    let repo = kit.init("repo", &[]);
    let hidden = fill(&repo);
    check(&repo.path, &hidden);
    repo.git(&["repack", "-q", "-a", "-d", "-k", "-f"]);
    repo.git(&["prune-packed"]);
    check(&repo.path, &hidden);
}

#[test]
fn a_name_is_told_with_all_its_commits_and_once_in_each_place() {
    let kit = Kit::new();
    let repo = kit.init("repo", &[]);
    let name = format!("dir/{}.json", key(1));
    commit(&repo, "README", "x\n");
    let first = commit(&repo, &name, "one\n");
    let second = commit(&repo, &name, "two\n");
    commit(&repo, "other", "x\n");
    // Here it is what it was in the work tree; the index says nothing of its own.
    let outcome = whole(&repo.path);
    assert_eq!(names(&outcome, 1), [file(Where::Blob, &name), file(Where::Worktree, &name)]);
    let found = of(&outcome, 1)[0];
    let ids: Vec<_> = found.place.commits.iter().map(|commit| &*commit.id).collect();
    assert_eq!(ids, [&*first, &*second, &*repo.git(&["rev-parse", "HEAD"])]);
    assert_eq!(&*found.place.commits[0].author, "Ada <ada@example.org>");
    assert!(found.place.commits[0].seconds > 1_700_000_000);
    assert_eq!(found.place.object.as_deref(), Some(&*repo.git(&["rev-parse", &format!("{first}:{name}")])));
    // The same name elsewhere, below a folder of many names, and for a folder.
    repo.git(&["rm", "-q", "-r", "dir"]);
    commit(&repo, &format!("one/two/three/{}.json", key(1)), "three\n");
    commit(&repo, &format!("four/{}.json/five", key(1)), "four\n");
    let mut told: Vec<_> = names(&whole(&repo.path), 1).into_iter().filter(|name| name.0 == Where::Blob).collect();
    told.sort_by(|one, two| one.1.cmp(&two.1));
    let elsewhere = file(Where::Blob, &format!("one/two/three/{}.json", key(1)));
    let above = folder(Where::Blob, &format!("four/{}.json", key(1)));
    assert_eq!(told, [file(Where::Blob, &name), above, elsewhere]);
}

#[test]
fn a_name_and_a_content_are_each_told() {
    let kit = Kit::new();
    let repo = kit.init("repo", &["--object-format=sha256"]);
    let name = format!("{}/{}", key(1), key(2));
    commit(&repo, &name, &format!("a={}\n", key(3)));
    repo.git(&["mv", &key(1), "plain"]);
    repo.git(&["mv", &format!("plain/{}", key(2)), "plain/name"]);
    repo.git(&["commit", "-q", "-m", "Move"]);
    let outcome = whole(&repo.path);
    assert_eq!(names(&outcome, 1), [folder(Where::Blob, &key(1))]);
    assert_eq!(names(&outcome, 2), [file(Where::Blob, &name)]);
    let content = |place, path: &str| (place, path.to_owned(), String::new());
    let mut contents = names(&outcome, 3);
    contents.sort_by_key(|(place, path, _)| (*place as u8, path.len()));
    let plain = "plain/name";
    assert_eq!(contents, [content(Where::Worktree, plain), content(Where::Blob, plain), content(Where::Blob, &name)]);
    // What is less sure than its shape alone, a digest for one, is no finding.
    brief(&repo, &format!("mistral/{}", "0123456789abcdef".repeat(2)));
    assert_eq!(whole(&repo.path).findings.len(), outcome.findings.len());
}

#[test]
fn names_that_are_odd_are_looked_at() {
    let kit = Kit::new();
    let repo = kit.init("repo", &[]);
    commit(&repo, "README", "x\n");
    let blob = raw(&repo.hash("nothing"));
    let long = format!("{}/{}", "n".repeat(3_000_000), key(2));
    let mut bytes = entry("100644", &[b"\xff\xfe\x80=", key(1).as_bytes(), b"\xff"].concat(), &blob);
    bytes.extend(entry("100644", long.as_bytes(), &blob));
    bytes.extend(entry("100644", b"", &blob));
    bytes.extend(entry("7", key(3).as_bytes(), &blob));
    let tree = tree(&repo, &bytes);
    let commit = repo.git(&["commit-tree", &tree, "-m", "Odd"]);
    repo.git(&["update-ref", "refs/heads/odd", &commit]);
    let outcome = whole(&repo.path);
    for number in [1, 2, 3] {
        let found = of(&outcome, number);
        assert_eq!(found.len(), 1, "{number}");
        assert_eq!((last(found[0]), &*found[0].place.commits[0].id), ("file name", &*commit));
    }
    assert_eq!(of(&outcome, 1)[0].place.path.first(), Some(&0xff));
    assert_eq!((of(&outcome, 1)[0].column, of(&outcome, 2)[0].column), (5, 3_000_002));
}

#[test]
fn long_names_within_each_other_take_no_more_than_they_may() {
    let kit = Kit::new();
    let repo = kit.init("repo", &[]);
    let mut below = entry("100644", b"file", &raw(&repo.hash("nothing")));
    for number in 1..=16 {
        let folder = tree(&repo, &below);
        below = entry("40000", format!("{}.{}", key(number), "n".repeat(1 << 20)).as_bytes(), &raw(&folder));
    }
    let commit = repo.git(&["commit-tree", &tree(&repo, &below), "-m", "Deep"]);
    repo.git(&["update-ref", "refs/heads/deep", &commit]);
    // All paths together would be 136 MiB.
    let outcome = whole(&repo.path);
    let paths: usize = outcome.findings.iter().map(|finding| finding.place.path.len()).sum();
    assert!((8 << 20..40 << 20).contains(&paths), "{paths}");
    for number in 1..=16 {
        let found = of(&outcome, number);
        assert_eq!(found.len(), 1, "{number}");
        let shown = found[0].place.path.rsplit(|byte| *byte == b'/').next().unwrap();
        assert!(shown.starts_with(key(number).as_bytes()) && *found[0].place.commits[0].id == *commit, "{number}");
    }
}

#[test]
fn very_many_names_end_and_are_told_as_far_as_that_goes() {
    let kit = Kit::new();
    let repo = kit.init("repo", &[]);
    let blob = raw(&repo.hash("nothing"));
    let odd = |at: usize| entry("100644", format!("{at:07} is an odd name of a file").as_bytes(), &blob);
    let mut bytes: Vec<u8> = (0..30_000).flat_map(odd).collect();
    bytes.extend(entry("100644", key(1).as_bytes(), &blob));
    let many = |bytes: &[u8]| repo.git(&["commit-tree", &tree(&repo, bytes), "-m", "Many"]);
    repo.git(&["update-ref", "refs/heads/many", &many(&bytes)]);
    let outcome = whole(&repo.path);
    assert_eq!(places(&outcome, 1), [(Where::Blob, key(1))]);
    assert_eq!((outcome.findings.len(), outcome.missed.len()), (1, 0));
    // More of them are secrets than can be a mistake.
    let (mut base, mut bytes) = (key(2), Vec::new());
    let at = base.len() - 12;
    for number in 0..12_000 {
        base.replace_range(at..at + 6, &format!("{number:06}"));
        bytes.extend(entry("100644", base.as_bytes(), &blob));
    }
    repo.git(&["update-ref", "refs/heads/more", &many(&bytes)]);
    let outcome = whole(&repo.path);
    assert!((9_000..=10_000).contains(&outcome.findings.len()), "{}", outcome.findings.len());
    let causes: Vec<_> = outcome.missed.iter().map(|missed| missed.cause).collect();
    assert_eq!(causes, [Cause::TooLarge], "{:?}", outcome.missed);
}

#[test]
fn what_a_change_calls_anew_is_told() {
    let kit = Kit::new();
    let repo = kit.init("repo", &[]);
    commit(&repo, &format!("{}/old", key(1)), "old\n");
    repo.git(&["tag", "base"]);
    let new = commit(&repo, &format!("dir/{}", key(2)), "new\n");
    commit(&repo, &format!("dir/{}", key(2)), "newer\n");
    // Neither a new version, a file beside, nor a folder that moves brings its name.
    commit(&repo, &format!("{}/old", key(1)), "older\n");
    commit(&repo, &format!("{}/beside", key(1)), "beside\n");
    repo.git(&["mv", &key(1), "moved"]);
    repo.git(&["commit", "-q", "-m", "Move"]);
    repo.git(&["tag", "away"]);
    repo.git(&["mv", "moved", &key(1)]);
    let module = format!("160000,{},sub/{}", "1".repeat(40), key(3));
    repo.git(&["update-index", "--add", "--cacheinfo", &module]);
    repo.git(&["commit", "-q", "-m", "Back"]);
    repo.git(&["mv", &key(1), "deeper"]);
    repo.git(&["mv", "deeper", &format!("dir/{}", key(1))]);
    repo.git(&["commit", "-q", "-m", "Down"]);
    let outcome = range(&repo.path, "base..away").unwrap();
    assert_eq!(names(&outcome, 1), []);
    assert_eq!(names(&outcome, 2), [file(Where::Blob, &format!("dir/{}", key(2)))]);
    let ids: Vec<_> = of(&outcome, 2)[0].place.commits.iter().map(|commit| &*commit.id).collect();
    assert_eq!(ids, [&*new], "only the commit that brought it");
    let object = repo.git(&["rev-parse", &format!("{new}:dir/{}", key(2))]);
    assert_eq!(of(&outcome, 2)[0].place.object.as_deref(), Some(&*object));
    let outcome = range(&repo.path, "away..HEAD").unwrap();
    assert_eq!(names(&outcome, 1), [folder(Where::Blob, &key(1))], "it is new once more, and then it only moves");
    assert_eq!(names(&outcome, 3), [folder(Where::Blob, &format!("sub/{}", key(3)))]);
    assert_eq!((names(&outcome, 2), outcome.findings.len()), (Vec::new(), 2));
    // A push, and a branch that the other side has not.
    let push = Push { new: vec![("refs/heads/x".to_owned(), repo.git(&["rev-parse", "away"]))], ..Push::default() };
    let push =
        Push { old: vec![repo.git(&["rev-parse", "base"])], to: Some(("o".to_owned(), "/o".to_owned())), ..push };
    let outcome = scan(|scan| scan.push_in_hook(&repo.path, &push, &Hook::default())).unwrap();
    assert_eq!((names(&outcome, 1).len(), names(&outcome, 2).len()), (0, 1));
    let all = range(&repo.path, &format!("{}..HEAD", "0".repeat(40))).unwrap();
    assert!(names(&all, 1).contains(&folder(Where::Blob, &key(1))));
}

#[test]
fn what_is_staged_by_a_new_name_is_told() {
    let kit = Kit::new();
    let repo = kit.init("repo", &[]);
    let stage = |name: &str, text: &str| {
        repo.write(name, text);
        repo.git(&["add", name]);
    };
    // Before the first commit.
    stage(&format!("{}/a", key(1)), "a\n");
    assert_eq!(names(&staged(&repo.path), 1), [folder(Where::Index, &key(1))]);
    repo.git(&["commit", "-q", "-m", "First"]);
    stage(&format!("{}/b", key(1)), "b\n");
    stage(&format!("x/{}", key(2)), "c\n");
    stage(&format!("x/{}/y/z", key(3)), "d\n");
    stage(&format!("x/{}/y/zz", key(3)), "e\n");
    let module = format!("160000,{},x/{}", "1".repeat(40), key(4));
    repo.git(&["update-index", "--add", "--cacheinfo", &module]);
    let outcome = staged(&repo.path);
    assert_eq!(names(&outcome, 1), []);
    assert_eq!(names(&outcome, 2), [file(Where::Index, &format!("x/{}", key(2)))]);
    assert_eq!(names(&outcome, 3), [folder(Where::Index, &format!("x/{}", key(3)))]);
    assert_eq!(names(&outcome, 4), [folder(Where::Index, &format!("x/{}", key(4)))]);
    assert_eq!((outcome.findings.len(), outcome.missed.len()), (3, 0));
    repo.git(&["commit", "-q", "-m", "Second"]);
    repo.git(&["mv", &format!("x/{}", key(3)), &format!("x/y.{}", key(3))]);
    assert_eq!(names(&staged(&repo.path), 3), [folder(Where::Index, &format!("x/y.{}", key(3)))]);
    repo.git(&["mv", &format!("x/y.{}", key(3)), &key(3)]);
    repo.git(&["commit", "-q", "-m", "Third"]);
    repo.git(&["mv", &key(3), &format!("x/{}", key(3))]);
    assert_eq!(staged(&repo.path).findings.len(), 0, "it only moved");
    // All of it since: what was committed, and what is staged.
    let since = scan(|scan| scan.git(&repo.path, &History::Since("HEAD~2".to_owned()))).unwrap();
    let told: Vec<_> = names(&since, 2).into_iter().map(|(place, _, _)| place).collect();
    assert_eq!(told, [Where::Blob, Where::Worktree]);
}
