//! What a commit would add.

use crate::kit::{Kit, Repo, of, places, staged, text};
use keyward_scanner::Where;

#[test]
fn only_what_the_last_commit_has_not_is_looked_at() {
    let kit = Kit::new();
    let repo = kit.init("repo", &[]);
    // Before the first commit.
    repo.write("a.env", &text(1));
    repo.git(&["add", "-A"]);
    assert_eq!(places(&staged(&repo.path), 1), [(Where::Index, "a.env".to_owned())]);
    repo.git(&["commit", "-q", "-m", "First"]);
    assert_eq!(staged(&repo.path).stats.items, 0);
    // The work tree is not the index.
    repo.write("dir/b", &text(2));
    repo.git(&["add", "dir/b"]);
    repo.write("dir/b", "clean\n");
    repo.write("c", &text(3));
    let outcome = staged(&repo.path);
    assert_eq!(places(&outcome, 2), [(Where::Index, "dir/b".to_owned())]);
    assert_eq!((of(&outcome, 1).len(), of(&outcome, 3).len(), outcome.stats.items), (0, 0, 1));
    // Only a name was taken.
    repo.git(&["add", "-N", "c"]);
    assert_eq!(of(&staged(&repo.path), 3).len(), 0);
    // A file that moved, in a folder that is otherwise as it was, brings nothing. One that is made of it does.
    repo.git(&["commit", "-q", "-m", "Second"]);
    repo.git(&["mv", "a.env", "dir/moved.env"]);
    repo.write("dir/made.env", &format!("{}more\n", text(2)));
    repo.git(&["add", "dir/made.env"]);
    let outcome = staged(&repo.path);
    assert_eq!(of(&outcome, 1).len(), 0);
    assert_eq!(places(&outcome, 2), [(Where::Index, "dir/made.env".to_owned())]);
    assert_eq!(outcome.missed, []);
}

#[test]
fn what_stood_in_a_file_before_is_not_new() {
    let kit = Kit::new();
    let repo = kit.init("repo", &[]);
    repo.commit("f", &text(1));
    let stage = |text: &str| {
        repo.write("f", text);
        repo.git(&["add", "f"]);
        staged(&repo.path)
    };
    assert_eq!(stage(&format!("clean\n{}clean\n", text(1))).findings.len(), 0);
    let outcome = stage(&format!("{}{}", text(2), text(1)));
    assert_eq!((of(&outcome, 1).len(), of(&outcome, 2).len()), (0, 1));
    // Once more than before: one of them is new.
    assert_eq!(of(&stage(&text(1).repeat(2)), 1).len(), 1);
    // It was allowed where it stood, and is not any more.
    let allowed = format!("{} # keyward:allow a sample\n", text(3).trim_end());
    repo.commit("f", &allowed);
    assert_eq!(stage(&format!("{allowed}clean\n")).findings.len(), 0);
    assert_eq!(of(&stage(&text(3)), 3).len(), 1);
    assert_eq!(of(&stage(&format!("{allowed}{}", text(3))), 3).iter().filter(|one| one.allowed.is_none()).count(), 1);
}

#[test]
fn a_conflict_shows_all_sides() {
    let kit = Kit::new();
    let repo = kit.init("repo", &[]);
    repo.commit("f", "base\n");
    repo.git(&["checkout", "-q", "-b", "side"]);
    repo.commit("f", &text(1));
    repo.git(&["checkout", "-q", "main"]);
    repo.commit("f", &text(2));
    repo.may(&["merge", "-q", "side"]);
    let outcome = staged(&repo.path);
    assert_eq!(places(&outcome, 1), [(Where::Index, "f".to_owned())]);
}

#[test]
fn it_works_in_worktrees_and_below() {
    let kit = Kit::new();
    let repo = kit.init("repo", &[]);
    repo.commit("a", "a\n");
    repo.git(&["worktree", "add", "-q", "../linked", "-b", "linked"]);
    let linked = Repo { kit: &kit, path: kit.path("linked") };
    linked.write("deep/er/b", &text(1));
    linked.git(&["add", "-A"]);
    assert_eq!(places(&staged(&kit.path("linked/deep/er")), 1), [(Where::Index, "deep/er/b".to_owned())]);
    assert_eq!(staged(&repo.path).stats.items, 0);
}

#[test]
fn it_works_with_all_packed_and_many_files() {
    let kit = Kit::new();
    let repo = kit.init("repo", &[]);
    for at in 0..300 {
        repo.write(&format!("d{}/e{}/f{at}", at % 7, at % 3), &format!("{at}\n"));
    }
    repo.git(&["add", "-A"]);
    repo.git(&["commit", "-q", "-m", "All"]);
    repo.git(&["repack", "-q", "-a", "-d"]);
    repo.write("d1/e1/f1", &text(1));
    repo.write("d2/new", &text(2));
    repo.git(&["add", "-A"]);
    let outcome = staged(&repo.path);
    assert_eq!(outcome.stats.items, 2);
    assert_eq!(places(&outcome, 1), [(Where::Index, "d1/e1/f1".to_owned())]);
    assert_eq!(places(&outcome, 2), [(Where::Index, "d2/new".to_owned())]);
}
