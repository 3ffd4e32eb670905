//! Git hooks: they stop what brings secrets, and leave everything else, also others' hooks, as it was.

use crate::repository::{Repository, made_up};
use std::{fs, os::unix::fs::PermissionsExt, path::Path};

fn line(seed: u64) -> String {
    format!("OPENAI_API_KEY={}\n", made_up("openai", "project", seed))
}

fn hook(path: &Path, text: &str) {
    fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
    fs::write(path, text).expect("written");
    fs::set_permissions(path, PermissionsExt::from_mode(0o755)).expect("its mode");
}

#[test]
fn a_commit_with_a_key_is_refused_and_others_are_made() {
    let repository = Repository::new();
    assert_eq!(repository.keyward(&["hook", "status"]).status, 1);
    let _installed = repository.keyward(&["hook", "install"]).ok();
    assert_eq!(repository.keyward(&["hook", "status"]).status, 0);
    repository.write("a.txt", "fine\n");
    let _added = repository.git(&["add", "a.txt"]).ok();
    let _made = repository.git(&["commit", "-q", "-m", "Begin"]).ok();
    repository.write("a.txt", &line(1));
    // What is committed without being staged first lies in an index of its own.
    for way in [&["commit", "-q", "-a", "-m", "No"][..], &["commit", "-q", "-m", "No", "a.txt"]] {
        let refused = repository.git(way);
        assert_eq!(refused.status, 1, "{way:?}: {}", refused.all());
        assert!(refused.all().contains("a.txt:1:16") && refused.all().contains("keyward:allow"), "{}", refused.all());
    }
    // A key that is there and not staged stops nobody.
    repository.write("b.txt", "fine\n");
    let _added = repository.git(&["add", "b.txt"]).ok();
    let _made = repository.git(&["commit", "-q", "-m", "Go on"]).ok();
    assert_eq!(repository.git(&["rev-list", "--count", "HEAD"]).ok().stdout.trim(), "2");

    let worktree = repository.beside("linked");
    let _made = repository.git(&["worktree", "add", "-q", worktree.to_str().expect("text"), "-b", "side"]).ok();
    fs::write(worktree.join("c.txt"), line(2)).expect("written");
    let _added = repository.git_at(&worktree, &["add", "-A"]).ok();
    assert_eq!(repository.git_at(&worktree, &["commit", "-q", "-m", "No"]).status, 1);
    assert_eq!(repository.keyward_at(&worktree, &["hook", "status"], b"").status, 0);
}

#[test]
fn hooks_that_were_there_go_on_working_and_come_back() {
    let repository = Repository::new();
    let _set = repository.git(&["config", "core.hooksPath", "tools/hooks"]).ok();
    let place = repository.path().join("tools/hooks/pre-commit");
    let theirs = "#!/bin/sh\necho theirs >> ../told\n[ ! -e stop ]\n";
    hook(&place, theirs);
    let told = repository.keyward(&["hook", "install", "--format", "json"]).ok();
    assert!(told.json()["folder"].as_str().is_some_and(|folder| folder.ends_with("tools/hooks")), "{}", told.stdout);
    assert!(told.stderr.contains("core.hooksPath"), "{}", told.stderr);
    let _again = repository.keyward(&["hook", "install"]).ok();
    repository.write("a.txt", "fine\n");
    let _added = repository.git(&["add", "a.txt"]).ok();
    let _made = repository.git(&["commit", "-q", "-m", "Begin"]).ok();
    assert_eq!(fs::read_to_string(repository.beside("told")).expect("theirs ran"), "theirs\n");
    repository.write("a.txt", &line(1));
    let _added = repository.git(&["add", "a.txt"]).ok();
    assert_eq!(repository.git(&["commit", "-q", "-m", "No"]).status, 1);
    repository.write("a.txt", "fine again\n");
    repository.write("stop", "");
    let _added = repository.git(&["add", "a.txt"]).ok();
    assert_eq!(repository.git(&["commit", "-q", "-m", "No"]).status, 1, "theirs refuses, too");
    let _gone = repository.keyward(&["hook", "uninstall"]).ok();
    assert_eq!(fs::read_to_string(&place).expect("it is back"), theirs);
    assert!(!repository.path().join("tools/hooks/pre-push").exists());
    assert_eq!(repository.keyward(&["hook", "status"]).status, 1);
}

#[test]
fn a_push_with_a_key_is_refused_on_either_side() {
    let repository = Repository::new();
    let server = repository.beside("server.git");
    let _made = repository.git(&["init", "-q", "--bare", server.to_str().expect("text")]).ok();
    let _told = repository.git(&["remote", "add", "origin", server.to_str().expect("text")]).ok();
    repository.write("a.txt", "fine\n");
    repository.commit_anyway("Begin");
    let _installed = repository.keyward(&["hook", "install", "pre-push"]).ok();
    let _pushed = repository.git(&["push", "-q", "origin", "main"]).ok();
    repository.write("b.txt", &line(1));
    repository.commit_anyway("A key");
    repository.write("b.txt", "gone\n");
    repository.commit_anyway("Gone, but not from history");
    for target in ["main", "main:new", "main:refs/tags/v1"] {
        let refused = repository.git(&["push", "-q", "origin", target]);
        assert_ne!(refused.status, 0, "{target}: {}", refused.all());
        assert!(refused.all().contains("b.txt:1:16"), "{target}: {}", refused.all());
    }
    // Whoever goes past that meets the other side's.
    let told =
        repository.keyward(&["hook", "install", "--repository", server.to_str().expect("text"), "--format", "json"]);
    assert_eq!(told.ok().json()["items"][2]["state"], "installed");
    for target in ["main", "main:new"] {
        let refused = repository.git(&["push", "-q", "--no-verify", "origin", target]);
        assert_ne!(refused.status, 0, "{target}: {}", refused.all());
        assert!(refused.all().contains("b.txt:1:16"), "{target}: {}", refused.all());
    }
    let _back = repository.git(&["reset", "-q", "--hard", "HEAD~2"]).ok();
    repository.write("c.txt", "fine\n");
    repository.commit_anyway("Go on");
    let _pushed = repository.git(&["push", "-q", "origin", "main", "main:new"]).ok();
    let _deleted = repository.git(&["push", "-q", "origin", ":new"]).ok();
}

#[test]
fn another_remote_is_told_nothing_that_only_the_first_has() {
    let repository = Repository::new();
    let remote = |name: &str| {
        let path = repository.beside(name);
        let path = path.to_str().expect("text").to_owned();
        let _made = repository.git(&["init", "-q", "--bare", &path]).ok();
        let _told = repository.git(&["remote", "add", name, &path]).ok();
        path
    };
    let (private, public) = (remote("private"), remote("public"));
    repository.write("a.txt", "fine\n");
    repository.commit_anyway("Begin");
    let _pushed = repository.git(&["push", "-q", "public", "main"]).ok();
    repository.write("b.txt", &line(1));
    repository.commit_anyway("A key");
    let _pushed = repository.git(&["push", "-q", "private", "main"]).ok();
    repository.write("c.txt", "fine\n");
    repository.commit_anyway("Go on");
    let _installed = repository.keyward(&["hook", "install", "pre-push"]).ok();
    for target in [&["public", "main"][..], &["public", "main:new"], &[&public, "main:new"]] {
        let refused = repository.git(&[&["push", "-q"], target].concat());
        assert_ne!(refused.status, 0, "{target:?}: {}", refused.all());
        assert!(refused.all().contains("b.txt:1:16"), "{target:?}: {}", refused.all());
    }
    // New names for what the first has are nothing new to it.
    let _pushed = repository.git(&["push", "-q", "private", "main:new", "main:refs/tags/v1"]).ok();
    let _pushed = repository.git(&["push", "-q", &private, "main:newer"]).ok();
    // Three names, one finding.
    let refused = repository.git(&["push", "public", "main", "main:one", "main:refs/tags/two"]);
    assert_eq!(refused.all().matches("b.txt:1:16").count(), 1, "{}", refused.all());
}

#[test]
fn tags_on_files_and_old_keys_are_pushed_and_new_keys_are_not() {
    let repository = Repository::new();
    let server = repository.beside("server.git");
    let _made = repository.git(&["init", "-q", "--bare", server.to_str().expect("text")]).ok();
    let _told = repository.git(&["remote", "add", "origin", server.to_str().expect("text")]).ok();
    repository.write("a.txt", &line(1));
    repository.commit_anyway("An old key");
    let _pushed = repository.git(&["push", "-q", "origin", "main"]).ok();
    let _installed = repository.keyward(&["hook", "install"]).ok();
    let _installed = repository.keyward(&["hook", "install", "--repository", server.to_str().expect("text")]).ok();
    repository.write("a.txt", &format!("{}fine\n", line(1)));
    let _added = repository.git(&["add", "a.txt"]).ok();
    let _made = repository.git(&["commit", "-q", "-m", "Grow"]).ok();
    let _moved = repository.git(&["mv", "a.txt", "b.txt"]).ok();
    let _made = repository.git(&["commit", "-q", "-m", "Move"]).ok();
    let tree = repository.git(&["rev-parse", "HEAD~2^{tree}"]).ok().stdout.trim().to_owned();
    repository.write("clean", "fine\n");
    repository.write("key", &line(2));
    for name in ["clean", "key"] {
        let blob = repository.git(&["hash-object", "-w", name]).ok().stdout.trim().to_owned();
        let _tagged = repository.git(&["tag", name, &blob]).ok();
    }
    let _tagged = repository.git(&["tag", "tree", &tree]).ok();
    let _pushed = repository.git(&["push", "-q", "origin", "main", "clean"]).ok();
    for way in [&["push", "-q"][..], &["push", "-q", "--no-verify"]] {
        let refused = repository.git(&[way, &["origin", "key"]].concat());
        assert!(refused.status != 0 && refused.all().contains("refs/tags/key:1:16"), "{}", refused.all());
        let refused = repository.git(&[way, &["origin", "tree"]].concat());
        assert!(refused.status != 0 && refused.all().contains("a.txt:1:16"), "{}", refused.all());
    }
}

#[test]
fn a_server_takes_what_the_pushed_commit_ignores() {
    let repository = Repository::new();
    let server = repository.beside("server.git");
    let at = server.to_str().expect("text");
    let _made = repository.git(&["init", "-q", "-b", "main", "--bare", at]).ok();
    let _told = repository.git(&["remote", "add", "origin", at]).ok();
    let _installed = repository.keyward(&["hook", "install", "--repository", at]).ok();
    repository.write("a.txt", &line(1));
    repository.commit_anyway("A key");
    assert_ne!(repository.git(&["push", "-q", "origin", "main"]).status, 0);
    let range = ["scan", "--range", "HEAD", "--format", "json"];
    let found = repository.keyward(&range).json();
    let print = found["findings"][0]["fingerprint"].as_str().expect("a fingerprint").to_owned();
    repository.write(".keyward/ignore", &format!("{print} # a sample\n"));
    repository.commit_anyway("Allow it");
    let _pushed = repository.git(&["push", "-q", "origin", "main"]).ok();
    let scanned = repository.keyward_at(&server, &["scan", "--git"], b"");
    assert_eq!(scanned.status, 0, "{}", scanned.all());
    // It counts for what it comes with, and for nothing else.
    repository.write("b.txt", &line(2));
    repository.commit_anyway("Another key");
    let refused = repository.git(&["push", "-q", "origin", "main"]);
    assert!(refused.status != 0 && refused.all().contains("b.txt:1:16"), "{}", refused.all());
    assert!(!refused.all().contains("a.txt:1:16"), "{}", refused.all());
}

#[test]
fn a_hook_without_its_program_says_so() {
    let repository = Repository::new();
    let _installed = repository.keyward(&["hook", "install", "pre-commit"]).ok();
    let place = repository.path().join(".git/hooks/pre-commit");
    let text = fs::read_to_string(&place).expect("there").replace("keyward='", "keyward='/nowhere");
    fs::write(&place, text).expect("written");
    repository.write("a.txt", "fine\n");
    let _added = repository.git(&["add", "-A"]).ok();
    let refused = repository.git(&["commit", "-q", "-m", "Begin"]);
    // Where another program of the name is installed, that one looks.
    assert!(refused.status == 0 || refused.all().contains("keyward is not installed"), "{}", refused.all());
    assert_eq!(repository.keyward_at(Path::new("/"), &["hook", "install"], b"").status, 2, "there is no repository");
}
