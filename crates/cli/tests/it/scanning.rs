//! `keyward scan` where no server is: formats, exit statuses, and what never shows.

use crate::fake::{Fake, User, ok};
use keyward_catalogue::{Catalogue, sample};
use serde_json::{Value, json};
use std::{fs, process::Command};

fn key(seed: u64) -> String {
    let catalogue = Catalogue::embedded().unwrap();
    let shape = catalogue.shapes().iter().find(|shape| &*shape.provider == "groq").unwrap();
    sample::text(&shape.pattern, seed).unwrap()
}

/// A user with a folder in which a key lies.
fn leaky(key: &str) -> (User, String) {
    let user = User::new();
    fs::create_dir(user.path("tree")).unwrap();
    fs::write(user.path("tree/.env"), format!("GROQ_API_KEY={key}\n")).unwrap();
    let tree = user.path("tree").display().to_string();
    (user, tree)
}

const FORMATS: [&str; 7] = ["text", "json", "jsonl", "sarif", "junit", "github", "html"];

#[test]
fn the_status_is_the_answer_even_when_nobody_reads_the_rest() {
    let (user, tree) = leaky(&key(1));
    let user = user.leaving();
    for format in FORMATS {
        assert_eq!(user.run(&["scan", &tree, "--offline", "--format", format]).status, 1, "{format}");
    }
    fs::write(user.path("tree/.env"), "nothing").unwrap();
    assert_eq!(user.run(&["scan", &tree, "--offline"]).status, 0);
    fs::write(user.path("tree/broken.gz"), b"\x1f\x8b\x08\0\0\0\0\0\0\0broken").unwrap();
    assert_eq!(user.run(&["scan", &tree, "--offline"]).status, 3);
    let checked = user.path("own.toml").display().to_string();
    fs::write(user.path("own.toml"), "nonsense = 1\n").unwrap();
    assert_eq!(user.run(&["provider", "check", &checked]).status, 1);
    // Where the status is no answer there is nobody left to tell.
    assert_eq!(user.run(&["provider", "list"]).status, 0);
    let fake = Fake::start(|_| ok(json!({"status": "bad", "checks": [{"name": "x", "state": "bad"}], "equal": false})));
    let user = User::of(&fake).leaving();
    assert_eq!(user.run(&["doctor", "--rebuild"]).status, 1);
    let fake = Fake::start(|_| ok(json!({"usable": false, "state": "dead"})));
    assert_eq!(User::of(&fake).leaving().run(&["credential", "verify", "c1"]).status, 1);
}

#[test]
fn the_environment_may_name_any_format_of_a_scan() {
    let secret = key(2);
    for format in FORMATS {
        let (user, tree) = leaky(&secret);
        let said = user.run(&["scan", &tree, "--offline", "--format", format]);
        let user = user.with("KEYWARD_FORMAT", format);
        let named = user.run(&["scan", &tree, "--offline"]);
        assert_eq!((named.status, named.out.len()), (1, said.out.len()), "{format}: {named:?}");
        let other = user.run(&["scan", &tree, "--offline", "--format", "jsonl"]);
        assert!(other.out.starts_with("{\"") && other.out.lines().count() == 2, "what is said counts: {other:?}");
    }
    let (user, tree) = leaky(&secret);
    let user = user.with("KEYWARD_FORMAT", "xml");
    let refused = user.run(&["scan", &tree, "--offline"]);
    assert!(
        refused.status == 2 && refused.err.contains("text, json, jsonl, sarif, junit, github, html"),
        "{refused:?}"
    );
}

#[test]
fn names_show_no_secrets_unless_they_are_revealed() {
    let user = User::new();
    let (branch, author, file, inside) = (key(3), key(4), key(5), key(6));
    let repository = user.path("repository");
    fs::create_dir(&repository).unwrap();
    fs::write(repository.join("a.env"), format!("GROQ_API_KEY={inside}\n")).unwrap();
    fs::write(repository.join(format!("{file}.txt")), format!("GROQ_API_KEY={inside}\n")).unwrap();
    let dump = format!("CREATE TABLE t (groq_key TEXT, v TEXT);\nINSERT INTO t VALUES ('{inside}', '{file}');\n");
    fs::write(repository.join("dump.sql"), dump).unwrap();
    let mail = format!("{author}@example.com");
    let git = |arguments: &[&str]| {
        let mut command = Command::new("git");
        command.current_dir(&repository).env("GIT_CONFIG_GLOBAL", user.path("none")).env("GIT_CONFIG_NOSYSTEM", "1");
        for role in ["AUTHOR", "COMMITTER"] {
            command.env(format!("GIT_{role}_NAME"), &author).env(format!("GIT_{role}_EMAIL"), &mail);
        }
        assert!(command.args(arguments).output().unwrap().status.success(), "{arguments:?}");
    };
    git(&["init", "-q"]);
    git(&["checkout", "-q", "-b", &format!("b-{branch}")]);
    git(&["add", "."]);
    git(&["commit", "-q", "-m", "first"]);
    git(&["tag", &format!("v-{branch}")]);
    let place = repository.display().to_string();
    for format in FORMATS {
        for more in [&[][..], &["--git"]] {
            let arguments = [&["scan", &place, "--offline", "--format", format], more].concat();
            let run = user.run(&arguments);
            assert_eq!(run.status, 1, "{run:?}");
            for secret in [&branch, &author, &file, &inside] {
                assert!(!run.out.contains(secret.as_str()), "{arguments:?}: {}", run.out);
            }
        }
    }
    let prints = |report: &Value| -> Vec<String> {
        let findings = report["findings"].as_array().unwrap();
        let mut prints: Vec<String> = findings.iter().map(|found| found["fingerprint"].to_string()).collect();
        prints.sort();
        prints
    };
    let (hidden, shown) = (["scan", &place, "--offline", "--format", "json", "--git"], "--reveal");
    let shown = user.run(&[&hidden[..], &[shown]].concat());
    assert!(shown.out.contains(&format!("{file}.txt")) && shown.out.contains(&mail), "{}", shown.out);
    assert_eq!(prints(&user.run(&hidden).json()), prints(&shown.json()), "fingerprints go by names as they are");
}

#[test]
fn a_report_goes_where_it_was_sent_and_nowhere_else() {
    let (user, tree) = leaky(&key(7));
    let said = user.run(&["scan", &tree, "--offline", "-o", "-"]);
    assert!(said.status == 1 && said.out.contains("1 secret in 1 place"), "{said:?}");
    let nowhere = user.path("not/there.json").display().to_string();
    let refused = user.run(&["scan", &tree, "--offline", "-o", &nowhere]);
    assert!(refused.status == 2 && refused.err.contains("make the folder first"), "{refused:?}");
    assert!(!user.path("not").exists());
}

#[test]
fn a_key_in_the_place_of_a_revision_is_not_repeated() {
    let user = User::new();
    let place = user.path("repository").display().to_string();
    assert!(Command::new("git").args(["init", "-q", &place]).status().unwrap().success());
    // The last one's rule is not of the catalogue.
    let keys = [key(10), sample::text("glpat-[A-Za-z0-9]{20}", 10).unwrap()];
    for key in &keys {
        for (option, revision) in [
            ("--range", format!("{key}..HEAD")),
            ("--range", format!("HEAD...{key}")),
            ("--range", key.clone()),
            ("--since", format!("{key}~1")),
        ] {
            let refused = user.run(&["scan", &place, "--offline", option, &revision]);
            assert!(refused.status == 2 && !refused.err.contains(key) && !refused.out.contains(key), "{refused:?}");
        }
    }
    let refused = user.run(&["scan", &place, "--offline", "--since", "v1.2.3-rc4"]);
    assert!(refused.status == 2 && refused.err.contains("no commit is called v1.2.3-rc4"), "{refused:?}");
}

#[test]
fn the_status_of_hooks_is_the_answer_even_when_nobody_reads_it() {
    let user = User::new();
    let place = user.path("repository").display().to_string();
    assert!(Command::new("git").args(["init", "-q", &place]).status().unwrap().success());
    let status = ["hook", "status", "--repository", &place];
    let user = user.leaving();
    assert_eq!(user.run(&status).status, 1);
    for format in ["text", "json"] {
        assert_eq!(user.run(&[&status[..], &["--format", format]].concat()).status, 1);
    }
}

#[test]
fn a_key_in_the_place_of_a_path_is_not_repeated() {
    let catalogue = Catalogue::embedded().unwrap();
    for provider in ["nvidia", "groq", "openai"] {
        let Some(shape) = catalogue.shapes().iter().find(|shape| &*shape.provider == provider) else { continue };
        let key = sample::text(&shape.pattern, 8).unwrap();
        let refused = User::new().run(&["scan", &key]);
        assert!(refused.status == 2 && !refused.err.contains(&key) && !refused.out.contains(&key), "{refused:?}");
    }
    // This one's rule is not of the catalogue.
    let made_up = sample::text("nvapi-[A-Za-z0-9_-]{64}", 9).unwrap();
    let refused = User::new().run(&["scan", &made_up]);
    assert!(refused.status == 2 && !refused.err.contains(&made_up), "{refused:?}");
}
