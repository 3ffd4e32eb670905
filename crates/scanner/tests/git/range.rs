//! What some commits brought.

use crate::kit::{Kit, bomb, key, of, places, range, scan, staged, text};
use keyward_scanner::{Cause, GitError, History, Where};

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

#[test]
fn a_change_brings_what_was_not_there_before() {
    let kit = Kit::new();
    let repo = kit.init("repo", &[]);
    repo.commit("a", &text(1));
    repo.git(&["tag", "base"]);
    repo.commit("a", &format!("{}clean\n", text(1)));
    repo.git(&["mv", "a", "b"]);
    repo.git(&["commit", "-q", "-m", "Move"]);
    let grown = repo.commit("b", &format!("{}clean\n{}", text(1), text(2)));
    repo.commit("b", &format!("more\n{}clean\n{}", text(1), text(2)));
    let outcome = range(&repo.path, "base..HEAD").unwrap();
    assert_eq!(of(&outcome, 1).len(), 0);
    assert_eq!(places(&outcome, 2), [(Where::Blob, "b".to_owned())]);
    let commits: Vec<_> = of(&outcome, 2)[0].place.commits.iter().map(|commit| &*commit.id).collect();
    assert_eq!(commits, [&*grown], "only the commit that brought it");
    // What moves into a new file that is not the same is there now, whatever else had it.
    repo.git(&["tag", "moved"]);
    repo.commit("c", &format!("new\n{}", text(1)));
    assert_eq!(places(&range(&repo.path, "moved..HEAD").unwrap(), 1), [(Where::Blob, "c".to_owned())]);
    // What both sides of a merge had is not the merge's.
    repo.git(&["checkout", "-q", "-b", "side", "base"]);
    repo.commit("d", &text(4));
    repo.git(&["merge", "-q", "--no-edit", "main"]);
    let outcome = range(&repo.path, "main..HEAD").unwrap();
    assert_eq!((of(&outcome, 1).len(), of(&outcome, 2).len(), of(&outcome, 4).len()), (0, 0, 1));
}

#[test]
fn revisions_that_say_nothing_are_refused() {
    let kit = Kit::new();
    let repo = kit.init("repo", &[]);
    repo.commit("a", "a\n");
    repo.commit("b", &text(1));
    for one in ["", ".", "..", "HEAD^{nonsense}", "HEAD^{tree}", "HEAD~1..HEAD", "HEAD^-"] {
        let since = scan(|scan| scan.git(&repo.path, &History::Since(one.to_owned())));
        assert!(matches!(since, Err(GitError::UnknownRevision(_) | GitError::EmptyRevision)), "{one}: {since:?}");
    }
    for one in
        ["", ".", "..", "...", "HEAD^{nonsense}..HEAD", "HEAD~1..HEAD^{nonsense}", "HEAD^!", "HEAD~1..HEAD..HEAD"]
    {
        let ranged = range(&repo.path, one);
        assert!(matches!(ranged, Err(GitError::UnknownRevision(_) | GitError::EmptyRevision)), "{one}: {ranged:?}");
    }
    for one in ["HEAD~1..", "HEAD~1..HEAD", "HEAD^^{commit}..HEAD^{}"] {
        assert_eq!(of(&range(&repo.path, one).unwrap(), 1).len(), 1, "{one}");
    }
}

#[test]
fn more_places_than_can_be_counted_are_told_and_not_listed() {
    let kit = Kit::new();
    let repo = kit.init("repo", &[]);
    repo.commit("a", "a\n");
    let tree = bomb(&repo, &text(1));
    let commit = repo.git(&["commit-tree", &tree, "-p", "HEAD", "-m", "Many"]);
    repo.git(&["update-ref", "refs/heads/many", &commit]);
    let outcome = range(&repo.path, "HEAD..many").unwrap();
    assert!(!of(&outcome, 1).is_empty());
    let told =
        outcome.missed.iter().filter(|missed| missed.cause == Cause::TooDeep && missed.detail.contains("places"));
    assert!(told.count() > 0);
    // The index knows nothing of it, and its folders are not listed.
    repo.git(&["symbolic-ref", "HEAD", "refs/heads/many"]);
    repo.write("b", &text(2));
    repo.git(&["add", "b"]);
    assert_eq!(places(&staged(&repo.path), 2), [(Where::Index, "b".to_owned())]);
}
