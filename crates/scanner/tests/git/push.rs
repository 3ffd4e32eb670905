//! What a push brings that the other side does not have.

use crate::kit::{Kit, Repo, bomb, key, of, places, scan, text};
use keyward_scanner::{Cause, Hook, Outcome, Push, Where};

/// A push of these revisions to a remote, or to the repository itself.
fn push(repo: &Repo<'_>, new: &[&str], old: &[&str], to: Option<(&str, &str)>) -> Outcome {
    let id = |one: &str| repo.git(&["rev-parse", one]);
    let new = new.iter().zip(0..).map(|(one, at)| (format!("refs/tags/t{at}"), id(one))).collect();
    let to = to.map(|(name, url)| (name.to_owned(), url.to_owned()));
    let push = Push { new, old: old.iter().map(|one| id(one)).collect(), to };
    scan(|scan| scan.push_in_hook(&repo.path, &push, &Hook::default())).unwrap()
}

#[test]
fn only_what_the_remote_has_counts_as_there() {
    let kit = Kit::new();
    let repo = kit.init("repo", &[]);
    repo.commit("a", "clean\n");
    repo.git(&["update-ref", "refs/remotes/public/main", "HEAD"]);
    repo.commit("b", &text(1));
    repo.git(&["update-ref", "refs/remotes/private/main", "HEAD"]);
    repo.git(&["update-ref", "refs/remotes/public/eu/main", "HEAD"]);
    for (name, url) in [("public", "/srv/public"), ("private", "/srv/private"), ("public/eu", "/srv/eu")] {
        repo.git(&["config", &format!("remote.{name}.url"), url]);
    }
    repo.commit("c", &text(2));
    let found = |to| {
        let outcome = push(&repo, &["HEAD"], &[], to);
        assert_eq!(outcome.missed, []);
        (of(&outcome, 1).len(), of(&outcome, 2).len(), outcome.stats.commits)
    };
    assert_eq!(found(Some(("public", "/srv/public"))), (1, 1, 2));
    assert_eq!(found(Some(("private", "/srv/private"))), (0, 1, 1));
    assert_eq!(found(Some(("public/eu", "/srv/eu"))), (0, 1, 1));
    // By URL: a remote that is known by it, or none.
    assert_eq!(found(Some(("/srv/private", "/srv/private"))), (0, 1, 1));
    assert_eq!(found(Some(("/srv/public", "/srv/public"))), (1, 1, 2));
    assert_eq!(found(Some(("/srv/other", "/srv/other"))), (1, 1, 3));
    // What git says the other side has counts as well, and what is not here is passed over.
    let told = Push {
        new: vec![("refs/heads/x".to_owned(), repo.git(&["rev-parse", "HEAD"]))],
        old: vec!["1".repeat(40), repo.git(&["rev-parse", "HEAD^"])],
        to: Some(("public".to_owned(), "/srv/public".to_owned())),
    };
    let outcome = scan(|scan| scan.push_in_hook(&repo.path, &told, &Hook::default())).unwrap();
    assert_eq!((of(&outcome, 1).len(), of(&outcome, 2).len()), (0, 1));
    // The remote took it back since: what the packed reference says is past.
    repo.git(&["update-ref", "refs/remotes/public/main", "HEAD^"]);
    repo.git(&["pack-refs", "--all"]);
    repo.git(&["update-ref", "refs/remotes/public/main", "HEAD^^"]);
    assert_eq!(found(Some(("public", "/srv/public"))), (1, 1, 2));
}

#[test]
fn new_names_for_what_is_there_bring_nothing() {
    let kit = Kit::new();
    let repo = kit.init("repo", &[]);
    repo.commit("a", &text(1));
    repo.commit("b", &text(2));
    repo.git(&["config", "remote.origin.url", "/srv/origin"]);
    repo.git(&["update-ref", "refs/remotes/origin/main", "HEAD"]);
    repo.git(&["tag", "-a", "-m", &format!("Note {}", key(3)), "told"]);
    let origin = Some(("origin", "/srv/origin"));
    for new in ["HEAD", "HEAD^"] {
        let outcome = push(&repo, &[new], &[], origin);
        assert_eq!((outcome.findings.len(), outcome.stats.items), (0, 0), "{new}");
    }
    // The words of a tag are new all the same.
    let outcome = push(&repo, &["told"], &[], origin);
    assert_eq!((of(&outcome, 2).len(), places(&outcome, 3).len()), (0, 1));
    assert_eq!(outcome.missed, []);
    // On the other side, all references count.
    assert_eq!(push(&repo, &["HEAD", "told"], &[], None).findings.len(), 0);
}

#[test]
fn several_names_for_a_commit_tell_of_it_once() {
    let kit = Kit::new();
    let repo = kit.init("repo", &[]);
    repo.commit("a", &text(1));
    repo.git(&["tag", "-a", "-m", "One", "one"]);
    let outcome = push(&repo, &["HEAD", "HEAD", "one"], &[], Some(("/srv/x", "/srv/x")));
    assert_eq!(of(&outcome, 1).len(), 1);
    assert_eq!(outcome.stats.items, 3, "a blob, a commit and a tag");
    assert_eq!(outcome.missed, []);
}

#[test]
fn tags_on_blobs_and_trees_bring_what_they_lead_to() {
    let kit = Kit::new();
    let repo = kit.init("repo", &[]);
    repo.commit("a", "clean\n");
    repo.git(&["tag", "base"]);
    let (clean, dirty) = (repo.hash("fine\n"), repo.hash(&text(1)));
    repo.write("dir/b", &text(2));
    repo.git(&["add", "dir/b"]);
    let tree = repo.git(&["write-tree"]);
    repo.git(&["tag", "-a", "-m", "A blob", "blob", &dirty]);
    for to in [None, Some(("x", "/srv/x"))] {
        let clean = push(&repo, &[&clean], &["base"], to);
        assert_eq!((clean.findings.len(), clean.missed.len(), clean.stats.items), (0, 0, 1));
        let tagged = push(&repo, &[&dirty], &["base"], Some(("x", "/srv/x")));
        assert_eq!(places(&tagged, 1), [(Where::Blob, "refs/tags/t0".to_owned())]);
        let tree = push(&repo, &[&tree], &["base"], to);
        assert_eq!(places(&tree, 2), [(Where::Blob, "dir/b".to_owned())]);
    }
    assert_eq!(places(&push(&repo, &["blob"], &[], Some(("x", "/srv/x"))), 1).len(), 1);
    assert_eq!(places(&push(&repo, &["blob"], &[], None), 1), [], "a tag on it is here already");
}

#[test]
fn a_tree_of_endless_places_ends() {
    let kit = Kit::new();
    let repo = kit.init("repo", &[]);
    repo.commit("a", "clean\n");
    let tree = bomb(&repo, &text(1));
    let outcome = push(&repo, &[&tree], &["HEAD"], None);
    assert!(!of(&outcome, 1).is_empty());
    assert!(outcome.missed.iter().any(|missed| missed.cause == Cause::TooDeep));
}
