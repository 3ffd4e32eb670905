//! What some commits brought.

use crate::kit::{Kit, key, of, places, range, scan, text};
use keyward_scanner::{GitError, History, Where};

#[test]
fn a_range_tells_what_its_commits_brought_and_nothing_else() {
    let kit = Kit::new();
    let repo = kit.init("repo", &[]);
    repo.commit("old", &text(1));
    let base = repo.git(&["rev-parse", "HEAD"]);
    repo.git(&["tag", "base"]);
    repo.git(&["checkout", "-q", "-b", "side"]);
    let side = repo.commit("dir/side", &text(2));
    repo.git(&["checkout", "-q", "main"]);
    repo.commit("main", "x\n");
    repo.git(&["merge", "-q", "--no-commit", "--no-ff", "side"]);
    repo.write("born", &text(3));
    repo.git(&["add", "born"]);
    repo.git(&["commit", "-q", "-m", &format!("Merge with {}", key(4))]);
    let merge = repo.git(&["rev-parse", "HEAD"]);
    repo.git(&["rm", "-q", "born"]);
    repo.git(&["commit", "-q", "-m", "Clean"]);
    for from in [&*base, "base", "HEAD~3", &base[..8], "main~2^", "HEAD^^^"] {
        let outcome = range(&repo.path, &format!("{from}..HEAD")).unwrap();
        assert_eq!(places(&outcome, 1), [], "{from}");
        assert_eq!(places(&outcome, 2), [(Where::Blob, "dir/side".to_owned())], "{from}");
        assert_eq!(&*of(&outcome, 2)[0].place.commits[0].id, side);
        assert_eq!(places(&outcome, 3), [(Where::Blob, "born".to_owned())], "{from}");
        assert_eq!(&*of(&outcome, 3)[0].place.commits[0].id, merge);
        assert_eq!(places(&outcome, 4), [(Where::CommitMessage, merge.clone())], "{from}");
        assert_eq!(outcome.stats.commits, 4, "{from}");
        assert_eq!(outcome.missed, []);
    }
    let outcome = range(&repo.path, "side..main").unwrap();
    assert_eq!((of(&outcome, 2).len(), of(&outcome, 3).len()), (0, 1));
    let outcome = range(&repo.path, "main~2...side").unwrap();
    assert_eq!((of(&outcome, 1).len(), of(&outcome, 2).len(), outcome.stats.commits), (0, 1, 2));
    let all = range(&repo.path, &format!("{}..{merge}", "0".repeat(40))).unwrap();
    assert_eq!((of(&all, 1).len(), of(&all, 2).len(), of(&all, 3).len()), (1, 1, 1));
    assert!(matches!(range(&repo.path, "nowhere..HEAD"), Err(GitError::UnknownRevision(_))));
}

#[test]
fn since_takes_the_index_and_the_work_tree_too() {
    let kit = Kit::new();
    let repo = kit.init("repo", &[]);
    repo.commit("one", &text(1));
    repo.commit("one", "clean\n");
    repo.commit("two", &text(2));
    repo.commit("two", "clean\n");
    repo.write("three", &text(3));
    repo.git(&["add", "three"]);
    repo.write("three", "clean\n");
    repo.write("four", &text(4));
    let outcome = scan(|scan| scan.git(&repo.path, &History::Since("HEAD~2".to_owned()))).unwrap();
    let seen: Vec<_> = (1..=4).map(|number| places(&outcome, number)).collect();
    let at = |place, path: &str| vec![(place, path.to_owned())];
    assert_eq!(seen, [vec![], at(Where::Blob, "two"), at(Where::Index, "three"), at(Where::Worktree, "four")]);
}

#[test]
fn clocks_that_were_wrong_hide_nothing() {
    let kit = Kit::new();
    let repo = kit.init("repo", &[]);
    repo.commit("a", "a\n");
    repo.write("b", &text(1));
    repo.git(&["add", "b"]);
    // Made long before its parent.
    repo.git(&["commit", "-q", "-m", "Early", "--date", "1000000000 +0000"]);
    repo.commit("c", &text(2));
    let outcome = range(&repo.path, "HEAD~2..HEAD").unwrap();
    assert_eq!((of(&outcome, 1).len(), of(&outcome, 2).len()), (1, 1));
}
