//! Every place a secret can hide in.

use crate::kit::{Kit, Repo, key, of, places, scan, text, whole};
use keyward_scanner::{Cause, History, Walk, Where};
use std::fs;

/// Fills a repository with secrets, each in another place; which number is to be found where.
fn fill(repo: &Repo<'_>) -> Vec<(u64, Where, String)> {
    let mut hidden = in_history(repo);
    hidden.extend(beside_history(repo));
    hidden
}

/// In what is or was committed.
fn in_history(repo: &Repo<'_>) -> Vec<(u64, Where, String)> {
    let mut hidden = Vec::new();
    let mut hide = |number: u64, place: Where, path: &str| hidden.push((number, place, path.to_owned()));
    repo.commit("README", "nothing\n");
    repo.commit("src/old.py", &text(1));
    repo.commit("src/old.py", "gone\n");
    hide(1, Where::Blob, "src/old.py");
    repo.git(&["commit", "-q", "--allow-empty", "-m", &format!("Use {}", key(2))]);
    hide(2, Where::CommitMessage, &repo.git(&["rev-parse", "HEAD"]));
    repo.git(&[
        "-c",
        &format!("user.name={}", key(3)),
        "commit",
        "-q",
        "--allow-empty",
        "-m",
        "By me",
        "--author",
        &format!("{} <a@b>", key(3)),
    ]);
    hide(3, Where::CommitMessage, &repo.git(&["rev-parse", "HEAD"]));
    repo.git(&["tag", "-a", "v1", "-m", &format!("With {}", key(4))]);
    hide(4, Where::Tag, "refs/tags/v1");
    repo.git(&["notes", "add", "-m", &format!("Key {}", key(5))]);
    hide(5, Where::Note, &repo.git(&["rev-parse", "HEAD"]));
    // A side branch and a merge that brings what neither side has.
    repo.git(&["checkout", "-q", "-b", "side"]);
    repo.commit("side.env", &text(6));
    hide(6, Where::Blob, "side.env");
    repo.git(&["checkout", "-q", "main"]);
    repo.commit("main.txt", "main\n");
    repo.git(&["merge", "-q", "--no-commit", "--no-ff", "side"]);
    repo.write("born.txt", &text(7));
    repo.git(&["rm", "-q", "-f", "side.env"]);
    repo.git(&["add", "born.txt"]);
    repo.git(&["commit", "-q", "-m", "Merge"]);
    repo.commit("born.txt", "clean\n");
    hide(7, Where::Blob, "born.txt");
    // What only a reflog leads to.
    repo.commit("reset.env", &text(8));
    repo.git(&["reset", "-q", "--hard", "HEAD~1"]);
    hide(8, Where::Reflog, "reset.env");
    repo.git(&["update-ref", "-m", &format!("moved {}", key(9)), "--create-reflog", "refs/heads/moved", "HEAD"]);
    hide(9, Where::Reflog, ".git/logs/refs/heads/moved");
    // Stashes: of tracked files, of the index, of files that are not tracked.
    repo.write("README", &text(10));
    repo.write("fresh.txt", &text(11));
    repo.git(&["stash", "push", "-q", "-u"]);
    hide(10, Where::Stash, "README");
    hide(11, Where::Stash, "fresh.txt");
    repo.write("README", &text(12));
    repo.git(&["stash", "push", "-q"]);
    hide(12, Where::Stash, "README");
    hidden
}

/// In objects that nothing leads to, in the repository's own folder, in the index and in the work tree.
fn beside_history(repo: &Repo<'_>) -> Vec<(u64, Where, String)> {
    let mut hidden = Vec::new();
    let mut hide = |number: u64, place: Where, path: &str| hidden.push((number, place, path.to_owned()));
    let dangling = repo.hash(&text(13));
    hide(13, Where::Unreachable, &dangling);
    // A commit that nothing leads to.
    let blob = repo.hash(&text(14));
    let list = format!("100644 blob {blob}\tlost.txt\n");
    let tree = mktree(repo, &list);
    repo.git(&["commit-tree", &tree, "-m", &format!("Lost {}", key(15))]);
    hide(14, Where::Unreachable, "lost.txt");
    hide(15, Where::CommitMessage, "");
    repo.git(&["config", "remote.origin.url", &format!("https://x:{}@example.org/", key(16))]);
    hide(16, Where::Config, ".git/config");
    repo.write(".git/hooks/post-commit", &text(17));
    hide(17, Where::Config, ".git/hooks/post-commit");
    repo.write(".git/COMMIT_EDITMSG", &format!("wip {}\n", key(18)));
    hide(18, Where::Config, ".git/COMMIT_EDITMSG");
    repo.write(".git/info/exclude", &format!("# {}\nignored.env\n", key(19)));
    hide(19, Where::Config, ".git/info/exclude");
    // References to blobs and trees.
    let pointed = repo.hash(&text(20));
    repo.git(&["update-ref", "refs/keep/blob", &pointed]);
    hide(20, Where::Blob, "refs/keep/blob");
    repo.git(&["branch", &format!("fix/{}", key(21))]);
    hide(21, Where::Config, &format!(".git/refs/heads/fix/{}", key(21)));
    // The index, the work tree, hidden and ignored files.
    repo.write("staged.txt", &text(22));
    repo.git(&["add", "staged.txt"]);
    repo.write("staged.txt", "clean again\n");
    hide(22, Where::Index, "staged.txt");
    repo.write(".env", &text(23));
    hide(23, Where::Worktree, ".env");
    repo.write("ignored.env", &text(24));
    hide(24, Where::Worktree, "ignored.env");
    repo.write("dir/.hidden/x", &text(25));
    hide(25, Where::Worktree, "dir/.hidden/x");
    hidden
}

fn mktree(repo: &Repo<'_>, list: &str) -> String {
    use std::{
        io::Write,
        process::{Command, Stdio},
    };
    let mut child = Command::new("git")
        .arg("mktree")
        .current_dir(&repo.path)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(list.as_bytes()).unwrap();
    String::from_utf8(child.wait_with_output().unwrap().stdout).unwrap().trim().to_owned()
}

fn check(repo: &Repo<'_>, hidden: &[(u64, Where, String)]) {
    let outcome = whole(&repo.path);
    assert_eq!(outcome.missed, [], "{:?}", outcome.missed);
    for (number, place, path) in hidden {
        let found = places(&outcome, *number);
        // A branch called by a key has a reflog, and `packed-refs` a line.
        if *number == 21 {
            assert!(
                found.contains(&(*place, path.clone())) || found.iter().any(|(_, path)| path == ".git/packed-refs"),
                "{found:?}"
            );
            continue;
        }
        if *number == 15 {
            assert_eq!(found.len(), 1);
            assert_eq!(found[0].0, *place);
            continue;
        }
        // What is being said as a commit is made stays where git put it, and in the reflog.
        let found: Vec<_> = match place {
            Where::CommitMessage => {
                found.into_iter().filter(|(place, _)| *place != Where::Reflog && *place != Where::Config).collect()
            }
            _ => found,
        };
        assert_eq!(found, [(*place, path.clone())], "number {number}");
    }
}

#[test]
fn every_place_is_found_and_named() {
    let kit = Kit::new();
    let repo = kit.init("repo", &[]);
    let hidden = fill(&repo);
    check(&repo, &hidden);
}

#[test]
fn every_place_is_found_when_all_is_packed() {
    let kit = Kit::new();
    let repo = kit.init("repo", &[]);
    let hidden = fill(&repo);
    repo.git(&["pack-refs", "--all"]);
    repo.git(&["repack", "-q", "-a", "-d", "-k", "-f"]);
    repo.git(&["prune-packed"]);
    check(&repo, &hidden);
    let hidden: Vec<_> = hidden.into_iter().filter(|(number, _, _)| ![18, 22].contains(number)).collect();
    // In two packs, the newer one with what came since.
    let more = repo.commit("later.txt", &text(40));
    repo.git(&["repack", "-q"]);
    let outcome = whole(&repo.path);
    let found = of(&outcome, 40);
    assert_eq!(found.iter().filter(|finding| finding.place.place == Where::Blob).count(), 1);
    let blob = found.iter().find(|finding| finding.place.place == Where::Blob).unwrap();
    assert_eq!(&*blob.place.commits[0].id, more);
    assert_eq!(&*blob.place.commits[0].author, "Ada <ada@example.org>");
    check(&repo, &hidden);
}

#[test]
fn every_place_is_found_where_objects_are_named_by_sha256() {
    let kit = Kit::new();
    let repo = kit.init("repo", &["--object-format=sha256"]);
    let hidden = fill(&repo);
    check(&repo, &hidden);
    repo.git(&["repack", "-q", "-a", "-d", "-k"]);
    check(&repo, &hidden);
}

#[test]
fn a_finding_has_all_commits_and_is_told_once_for_all_versions() {
    let kit = Kit::new();
    let repo = kit.init("repo", &[]);
    let first = repo.commit("a/conf.py", &text(1));
    let second = repo.commit("a/conf.py", &format!("{}\nmore = 1\n", text(1)));
    let third = repo.commit("other", "other\n");
    repo.commit("a/conf.py", "clean\n");
    let outcome = whole(&repo.path);
    let found = of(&outcome, 1);
    assert_eq!(found.len(), 1, "{found:?}");
    let ids: Vec<_> = found[0].place.commits.iter().map(|commit| &*commit.id).collect();
    assert_eq!(ids, [&*first, &*second, &*third]);
    assert_eq!(found[0].place.more_commits, 0);
    assert_eq!((found[0].line, found[0].column), (2, 19));
    assert_eq!(found[0].place.object.as_deref(), Some(&*repo.git(&["rev-parse", &format!("{first}:a/conf.py")])));
    assert_eq!(outcome.stats.commits, 4);
}

#[test]
fn a_bare_repository_is_scanned_by_its_folder() {
    let kit = Kit::new();
    let repo = kit.init("repo", &[]);
    repo.commit("a", &text(1));
    repo.git(&["clone", "-q", "--bare", ".", "../bare.git"]);
    fs::write(kit.path("bare.git/description"), text(2)).unwrap();
    let outcome = whole(&kit.path("bare.git"));
    assert_eq!(places(&outcome, 1), [(Where::Blob, "a".to_owned())]);
    assert_eq!(places(&outcome, 2), [(Where::Config, "description".to_owned())]);
    assert_eq!(outcome.missed, []);
}

#[test]
fn linked_worktrees_are_part_of_the_repository() {
    let kit = Kit::new();
    let repo = kit.init("repo", &[]);
    repo.commit("a", "a\n");
    repo.git(&["config", "extensions.worktreeConfig", "true"]);
    repo.git(&["worktree", "add", "-q", "../linked", "-b", "linked"]);
    let linked = Repo { kit: &kit, path: kit.path("linked") };
    linked.write("b", &text(1));
    linked.git(&["add", "b"]);
    linked.write("b", "clean\n");
    linked.write("c/.env", &text(2));
    linked.git(&["config", "--worktree", "some.key", &key(3)]);
    repo.write(".env", &text(4));
    // From either side all is seen; paths are told from where the scan began.
    let outcome = whole(&repo.path);
    assert_eq!(places(&outcome, 1), [(Where::Index, "b".to_owned())]);
    assert_eq!(places(&outcome, 2), [(Where::Worktree, kit.path("linked/c/.env").display().to_string())]);
    assert_eq!(places(&outcome, 3), [(Where::Config, ".git/worktrees/linked/config.worktree".to_owned())]);
    assert_eq!(places(&outcome, 4), [(Where::Worktree, ".env".to_owned())]);
    let outcome = whole(&kit.path("linked/c"));
    assert_eq!(places(&outcome, 1), [(Where::Index, "b".to_owned())]);
    assert_eq!(places(&outcome, 2), [(Where::Worktree, "c/.env".to_owned())]);
    assert_eq!(of(&outcome, 3).len(), 1);
    assert_eq!(of(&outcome, 4).len(), 1);
}

#[test]
fn a_git_folder_that_is_a_link_is_followed_as_git_does() {
    let kit = Kit::new();
    let repo = kit.init("repo", &[]);
    repo.commit("a", &text(1));
    repo.commit("a", "clean\n");
    let away = |repo: &Repo<'_>, to: &str| {
        fs::rename(repo.path.join(".git"), kit.path(to)).unwrap();
        std::os::unix::fs::symlink(kit.path(to), repo.path.join(".git")).unwrap();
    };
    away(&repo, "away");
    let outcome = whole(&repo.path);
    assert_eq!(places(&outcome, 1), [(Where::Blob, "a".to_owned())]);
    assert_eq!(outcome.missed, []);
    let since = scan(|scan| scan.git(&repo.path, &History::Since("HEAD".to_owned()))).unwrap();
    assert_eq!(since.missed, []);
    // Files alone: it is passed by, as a folder would be.
    let files = scan(|scan| scan.paths(std::slice::from_ref(&repo.path), &Walk::default()));
    assert_eq!((files.missed.len(), files.stats.repositories), (0, 1));
    // That of another repository, which only lies there, is told once and not followed out of what is scanned.
    let inner = Repo { kit: &kit, path: repo.path.join("inner") };
    fs::create_dir(&inner.path).unwrap();
    inner.git(&["init", "-q"]);
    inner.commit("x", &text(2));
    inner.commit("x", "clean\n");
    away(&inner, "elsewhere");
    let outcome = whole(&repo.path);
    assert_eq!(of(&outcome, 2).len(), 0);
    let missed: Vec<_> = outcome.missed.iter().map(|missed| (missed.cause, &*missed.place.path)).collect();
    assert_eq!(missed, [(Cause::Special, &b"inner/.git"[..])]);
    // A link that is only called so is told as any other.
    fs::remove_file(inner.path.join(".git")).unwrap();
    std::os::unix::fs::symlink(kit.top.path(), inner.path.join(".git")).unwrap();
    let files = scan(|scan| scan.paths(std::slice::from_ref(&repo.path), &Walk::default()));
    assert_eq!(files.missed.iter().map(|missed| missed.cause).collect::<Vec<_>>(), [Cause::Special]);
}

#[test]
fn submodules_are_scanned_and_missing_ones_told() {
    let kit = Kit::new();
    let module = kit.init("module", &[]);
    module.commit("lib.py", &text(1));
    module.commit("lib.py", "clean\n");
    let repo = kit.init("repo", &[]);
    repo.commit("a", "a\n");
    repo.git(&["submodule", "--quiet", "add", "../module", "sub/one"]);
    repo.git(&["commit", "-q", "-m", "Add it"]);
    repo.write("sub/one/.env", &text(2));
    let outcome = whole(&repo.path);
    assert_eq!(places(&outcome, 1), [(Where::Blob, "sub/one/lib.py".to_owned())]);
    assert_eq!(places(&outcome, 2), [(Where::Worktree, "sub/one/.env".to_owned())]);
    assert_eq!(outcome.missed, []);
    repo.git(&["clone", "-q", ".", "../clone"]);
    let outcome = whole(&kit.path("clone"));
    assert_eq!(of(&outcome, 1).len(), 0);
    let missed: Vec<_> = outcome.missed.iter().map(|missed| (missed.cause, &*missed.place.path)).collect();
    assert_eq!(missed, [(Cause::Absent, &b"sub/one"[..])]);
    // A repository that only lies there.
    let inner = Repo { kit: &kit, path: repo.path.join("vendor/inner") };
    fs::create_dir_all(&inner.path).unwrap();
    inner.git(&["init", "-q"]);
    inner.commit("x", &text(3));
    inner.commit("x", "clean\n");
    assert_eq!(places(&whole(&repo.path), 3), [(Where::Blob, "vendor/inner/x".to_owned())]);
}

#[test]
fn alternates_shallow_and_partial_clones_are_told() {
    let kit = Kit::new();
    let repo = kit.init("repo", &[]);
    repo.git(&["config", "uploadpack.allowFilter", "true"]);
    repo.commit("a", &text(1));
    repo.commit("a", "clean\n");
    repo.commit("b", "b\n");
    repo.git(&["clone", "-q", "--shared", ".", "../shared"]);
    let outcome = whole(&kit.path("shared"));
    assert_eq!(places(&outcome, 1), [(Where::Blob, "a".to_owned())]);
    assert_eq!(outcome.missed, []);
    let url = format!("file://{}", repo.path.display());
    repo.git(&["clone", "-q", "--depth", "1", &url, "../shallow"]);
    let outcome = whole(&kit.path("shallow"));
    let missed: Vec<_> = outcome.missed.iter().map(|missed| (missed.cause, &*missed.detail)).collect();
    assert_eq!(missed, [(Cause::Absent, "a shallow clone: what came before 1 of its commits is not here")]);
    repo.git(&["clone", "-q", "--filter=blob:none", &url, "../partial"]);
    let outcome = whole(&kit.path("partial"));
    let missed: Vec<_> = outcome.missed.iter().map(|missed| (missed.cause, &*missed.detail)).collect();
    assert_eq!(missed, [(Cause::Absent, "a partial clone: 1 of its objects are not here")]);
    fs::remove_dir_all(&repo.path).unwrap();
    let outcome = whole(&kit.path("shared"));
    assert!(outcome.missed.iter().any(|missed| missed.cause == Cause::Absent));
}

#[test]
fn a_blob_at_two_paths_is_told_at_both() {
    let kit = Kit::new();
    let repo = kit.init("repo", &[]);
    repo.write("one/x", &text(1));
    repo.write("two/x", &text(1));
    repo.git(&["add", "-A"]);
    repo.git(&["commit", "-q", "-m", "Both"]);
    repo.git(&["rm", "-q", "-r", "."]);
    repo.git(&["commit", "-q", "-m", "None"]);
    let places = places(&whole(&repo.path), 1);
    assert_eq!(places, [(Where::Blob, "one/x".to_owned()), (Where::Blob, "two/x".to_owned())]);
}

#[test]
fn an_index_that_is_split_or_of_version_4_is_read() {
    let kit = Kit::new();
    for options in [&["update-index", "--split-index"][..], &["update-index", "--index-version", "4"]] {
        let repo = kit.init(options[1], &[]);
        for at in 0..20 {
            repo.write(&format!("dir/file-{at}"), "x\n");
        }
        repo.git(&["add", "-A"]);
        repo.git(&["commit", "-q", "-m", "All"]);
        repo.git(options);
        repo.write("dir/file-7", &text(1));
        repo.write("new/file", &text(2));
        repo.git(&["rm", "-q", "dir/file-3"]);
        repo.git(&["add", "-A"]);
        repo.write("dir/file-7", "x\n");
        fs::remove_dir_all(repo.path.join("new")).unwrap();
        let outcome = whole(&repo.path);
        assert_eq!(places(&outcome, 1), [(Where::Index, "dir/file-7".to_owned())], "{options:?}");
        assert_eq!(places(&outcome, 2), [(Where::Index, "new/file".to_owned())], "{options:?}");
        assert_eq!(outcome.missed, []);
    }
}
