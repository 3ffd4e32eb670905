//! A leak, from the commit that made it to the call that is refused; and what `keyward scan` says in between.

use crate::{
    repository::{Repository, made_up},
    world::{World, assert_answered, assert_refused, eventually},
};
use keyward_testkit::{Script, Service, terminal::Terminal};
use serde_json::Value;
use std::{
    fs,
    net::TcpListener,
    time::{Duration, Instant},
};

fn findings(report: &Value) -> &[Value] {
    report["findings"].as_array().expect("findings")
}

#[test]
fn a_committed_key_is_named_contained_and_refused_within_a_second() {
    let (world, key) = World::simple(Service::OpenAi, Script::default());
    let repository = Repository::of(&world);
    let _installed = repository.keyward(&["hook", "install"]).ok();
    repository.write("src/config.py", &format!("CLIENT = connect('{key}')\n"));
    let _added = repository.git(&["add", "-A"]).ok();
    let refused = repository.git(&["commit", "-q", "-m", "Connect"]);
    assert_eq!(refused.status, 1, "{}", refused.all());
    assert!(refused.all().contains("your key \"web\""), "{}", refused.all());
    assert!(!refused.all().contains(&key), "a hook's words stand in logs");

    repository.commit_anyway("Connect");
    repository.write("src/config.py", "CLIENT = None\n");
    repository.commit_anyway("Take it out again");
    assert_answered(&world.send(&world.call(Service::OpenAi, false, &key)));
    eventually("the use is stored", || {
        let shown = world.server.api("GET", "/api/v1/keys/web", None).json();
        shown["last_used_at"].is_string().then_some(())
    });

    let began = Instant::now();
    let run = repository.keyward(&["scan", "--git", "--contain", "--yes", "--format", "json"]);
    assert_eq!(run.status, 1, "{}", run.all());
    assert_refused(&world.send(&world.call(Service::OpenAi, false, &key)), 401, "revoked_key");
    let took = began.elapsed();
    assert!(took < Duration::from_secs(1) || cfg!(debug_assertions), "scan, revocation and refusal took {took:?}");

    let report = run.json();
    let found: Vec<&Value> = findings(&report).iter().filter(|one| one["path"] == "src/config.py").collect();
    assert_eq!(found.len(), 1, "{report}");
    let ours = &found[0]["ours"];
    assert_eq!((&ours["kind"], &ours["name"]), (&"key".into(), &"web".into()));
    assert_eq!((&ours["project"], &ours["status"]), (&crate::world::PROJECT.into(), &"revoked".into()));
    assert_eq!(ours["contained"], "revoked just now");
    assert!(ours["last_used_at"].is_string(), "{ours}");
    assert_eq!((&found[0]["where"], &found[0]["confidence"]), (&"blob".into(), &"certain".into()));
    assert_eq!(found[0]["commits"][0]["author"], "Shop <shop@example.com>");
    assert!(found[0]["fingerprint"].as_str().is_some_and(|print| print.starts_with("fp2_")), "{report}");
    assert!(!run.all().contains(&key) && !world.server.log().contains(&key), "the key stands nowhere");
    let audit = world.server.api("GET", "/api/v1/audit?limit=50", None).text();
    assert!(audit.contains("found by scan at src/config.py:1 in commit "), "{audit}");
}

#[test]
fn a_credential_that_is_found_is_disabled() {
    let world = World::with(&[Service::OpenAi]);
    let secret = world.credential(Service::OpenAi, "main", Script::default());
    let key = world.key("web", serde_json::json!({"providers": ["openai"]}));
    let repository = Repository::of(&world);
    repository.write(".env", &format!("OPENAI_API_KEY={secret}\n"));
    let run = repository.keyward(&["scan", "--contain", "--yes", "--format", "json"]);
    assert_eq!(run.status, 1, "{}", run.all());
    let report = run.json();
    assert_eq!(findings(&report)[0]["ours"]["contained"], "disabled just now", "{report}");
    assert_refused(&world.send(&world.call(Service::OpenAi, false, &key)), 503, "no_credential");
    assert!(!run.all().contains(&secret));
    let again = repository.keyward(&["scan", "--contain", "--yes", "--format", "json"]).json();
    assert_eq!(findings(&again)[0]["ours"]["status"], "disabled");
    assert!(findings(&again)[0]["ours"].get("contained").is_none(), "there was nothing left to do");
}

#[test]
fn nobody_is_contained_without_being_asked() {
    let (world, key) = World::simple(Service::OpenAi, Script::default());
    let repository = Repository::of(&world);
    repository.write("note.txt", &key);
    let refused = repository.keyward(&["scan", "--contain"]);
    assert_eq!((refused.status, refused.stdout.as_str()), (2, ""), "{}", refused.all());
    assert!(refused.stderr.contains("--yes"), "{}", refused.stderr);
    assert_answered(&world.send(&world.call(Service::OpenAi, false, &key)));
    let alone = Repository::new();
    alone.write("note.txt", &key);
    assert_eq!(alone.keyward(&["scan", "--contain", "--yes"]).status, 2, "without a server nothing can be contained");
}

#[test]
fn the_exit_status_says_found_clean_incomplete_or_failed() {
    let repository = Repository::new();
    repository.write("a.txt", "nothing here\n");
    assert_eq!(repository.keyward(&["scan"]).status, 0);
    assert_eq!(repository.keyward(&["scan", "--git"]).status, 0);
    assert_eq!(repository.keyward(&["scan", "not/there"]).status, 2);
    assert_eq!(repository.keyward(&["scan", "--range", "nothing..HEAD"]).status, 2);
    assert_eq!(repository.keyward(&["scan", "--format", "xml"]).status, 2);
    assert_eq!(repository.keyward(&["scan", "--baseline", "a.txt"]).status, 2);
    repository.write("large.txt", &"x".repeat(5_000));
    let incomplete = repository.keyward(&["scan", "--max-file-size", "1kB", "--format", "json"]);
    assert_eq!(incomplete.status, 3, "{}", incomplete.all());
    assert_eq!(incomplete.json()["incomplete"][0]["cause"], "too-large");
    repository.write("b.env", &format!("OPENAI_API_KEY={}\n", made_up("openai", "project", 1)));
    assert_eq!(repository.keyward(&["scan"]).status, 1);
    let both = repository.keyward(&["scan", "--max-file-size", "1kB"]);
    assert_eq!(both.status, 1, "a finding says more than what is missing: {}", both.all());
    assert!(both.stdout.contains("The scan is incomplete"), "{}", both.stdout);
    let input = repository.keyward_at(&repository.path(), &["scan", "-"], made_up("openai", "project", 2).as_bytes());
    assert_eq!(input.status, 1, "{}", input.all());
    assert!(input.stdout.contains("standard input:1:1"), "{}", input.stdout);
}

#[test]
fn a_scan_needs_no_server_and_none_that_is_gone_stops_it() {
    let secret = made_up("anthropic", "api", 3);
    let repository = Repository::new();
    repository.write("a.env", &format!("ANTHROPIC_API_KEY={secret}\n"));
    let run = repository.keyward(&["scan", "--format", "json"]);
    assert_eq!((run.status, run.stderr.as_str()), (1, ""));
    assert!(!run.stdout.contains(&secret));
    assert!(findings(&run.json())[0]["fingerprint"].as_str().is_some_and(|print| print.starts_with("fp1_")));
    let revealed = repository.keyward(&["scan", "--format", "json", "--reveal"]).json();
    assert_eq!(findings(&revealed)[0]["secret"], secret.as_str());

    // A port that nobody listens on: it was this test's a moment ago.
    let gone = TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("an address");
    let token = keyward_domain::api_token::generate(&[42; 128]).expect("enough bytes").text;
    fs::write(repository.beside("token"), token.as_bytes()).expect("written");
    let token = repository.beside("token");
    let token = token.to_str().expect("text");
    let run = repository.keyward(&["scan", "--addr", &format!("http://{gone}"), "--token-file", token]);
    assert_eq!(run.status, 1, "{}", run.all());
    assert!(run.stderr.contains("whose the secrets are could not be asked"), "{}", run.stderr);
    let quiet = repository.keyward(&["scan", "--offline", "--addr", &format!("http://{gone}"), "--token-file", token]);
    assert_eq!((quiet.status, quiet.stderr.as_str()), (1, ""));
}

#[test]
fn decisions_are_kept_by_comment_by_list_and_by_baseline() {
    let repository = Repository::new();
    let line = |seed, comment: &str| format!("KEY='{}' {comment}\n", made_up("openai", "project", seed));
    repository.write("allowed.py", &line(1, "# keyward:allow a sample until 2999-12-31"));
    repository.write("ended.py", &line(2, "# keyward:allow a sample until 2020-01-01"));
    repository.write("listed.py", &line(3, ""));
    let report = repository.keyward(&["scan", "--format", "json"]).json();
    let of = |report: &Value, path: &str| {
        findings(report).iter().find(|one| one["path"].as_str().is_some_and(|at| at.ends_with(path))).cloned()
    };
    assert_eq!(findings(&report).len(), 2, "{report}");
    assert_eq!(of(&report, "ended.py").expect("found")["note"], "it was allowed until 2020-01-01");
    let listed = of(&report, "listed.py").expect("found");
    let print = listed["fingerprint"].as_str().expect("a fingerprint");
    repository.write(".keyward/ignore", &format!("# ours\n{print}  # decided by Shop, until 2999-12-31\n"));
    let report = repository.keyward(&["scan", "--format", "json"]).json();
    assert_eq!(findings(&report).len(), 1, "{report}");
    assert_eq!(
        (&report["stats"]["left_out"]["allowed"], &report["stats"]["left_out"]["ignored"]),
        (&1.into(), &1.into())
    );
    assert_eq!(findings(&repository.keyward(&["scan", "--no-allow", "--format", "json"]).json()).len(), 3);

    let baseline = repository.beside("known.sarif");
    let baseline = baseline.to_str().expect("text");
    assert_eq!(repository.keyward(&["scan", "--format", "sarif", "--output", baseline]).status, 1);
    let run = repository.keyward(&["scan", "--baseline", baseline, "--format", "json"]);
    assert_eq!(run.status, 0, "{}", run.all());
    assert_eq!(run.json()["stats"]["left_out"]["baseline"], 1);
    repository.write("new.py", &line(4, ""));
    assert_eq!(repository.keyward(&["scan", "--baseline", baseline]).status, 1);
    repository.write(".keyward/ignore", "fp1_12\n");
    assert_eq!(repository.keyward(&["scan"]).status, 2, "a mistake in a list is no decision");
}

#[test]
fn every_format_is_written_and_tells_the_place() {
    let repository = Repository::new();
    let secret = made_up("openai", "project", 5);
    repository.write("a\nb \u{1b}[31m<x>.env", &format!("OPENAI_API_KEY={secret}\n"));
    for (format, telling) in [
        ("text", "a\\nb \\u{1b}[31m<x>.env:1:16"),
        ("json", "\"path\": \"./a\\nb \\u001b[31m<x>.env\""),
        ("jsonl", "\"stats\""),
        ("sarif", "a%0Ab%20%1B%5B31m%3Cx%3E.env"),
        ("junit", "a\\nb \\u{1b}[31m&lt;x&gt;.env"),
        ("github", "::error file="),
        ("html", "a\\nb \\u{1b}[31m&lt;x&gt;.env"),
    ] {
        let run = repository.keyward(&["scan", "--format", format]);
        assert_eq!(run.status, 1, "{format}: {}", run.all());
        assert!(!run.stdout.contains('\u{1b}') && !run.stdout.contains(&secret), "{format}: {}", run.stdout);
        let telling = telling.replace("./", "");
        let shown = run.stdout.replace("./", "");
        assert!(shown.contains(&telling), "{format}: {}", run.stdout);
    }
}

#[test]
fn a_finding_has_one_fingerprint_from_wherever_it_is_looked_for() {
    let repository = Repository::new();
    repository.write("src/deep/a.env", &format!("OPENAI_API_KEY={}\n", made_up("openai", "project", 6)));
    repository.commit_anyway("A key");
    let prints = |at: &str, arguments: &[&str]| -> Vec<String> {
        let arguments = [&["scan", "--format", "json"][..], arguments].concat();
        let run = repository.keyward_at(&repository.path().join(at), &arguments, b"");
        assert_eq!(run.status, 1, "{}", run.all());
        let mut prints: Vec<String> =
            findings(&run.json()).iter().map(|one| one["fingerprint"].as_str().expect("one").to_owned()).collect();
        prints.dedup();
        prints
    };
    let print = prints("", &[]);
    assert_eq!(print.len(), 1);
    let whole = repository.path();
    let whole = whole.to_str().expect("text");
    for (at, arguments) in [
        ("", &["src"][..]),
        ("src", &[]),
        ("src", &["deep/a.env"]),
        ("src/deep", &["../.."]),
        ("/", &[whole]),
        ("", &["--git"]),
        ("src/deep", &["--git"]),
    ] {
        assert_eq!(prints(at, arguments), print, "{at} {arguments:?}");
    }
}

#[test]
fn rules_that_others_wrote_find_more() {
    let repository = Repository::new();
    repository.write("a.txt", "token: corp-0123456789abcdef\n");
    assert_eq!(repository.keyward(&["scan"]).status, 0);
    let rules = r#"[[rules]]
id = "corp-token"
description = "A token of the corporation"
regex = '''corp-[0-9a-f]{16}'''
keywords = ["corp-"]
"#;
    let file = repository.beside("rules.toml");
    fs::write(&file, rules).expect("written");
    let file = file.to_str().expect("text");
    let run = repository.keyward(&["scan", "--rules", file, "--min-confidence", "low", "--format", "json"]);
    assert_eq!(run.status, 1, "{}", run.all());
    assert!(
        findings(&run.json())[0]["rule"].as_str().is_some_and(|rule| rule.contains("corp-token")),
        "{}",
        run.stdout
    );
    fs::write(file, "nonsense").expect("written");
    assert_eq!(repository.keyward(&["scan", "--rules", file]).status, 2);
}

#[test]
fn whoever_stops_a_scan_sees_how_far_it_was() {
    let mut terminal = Terminal::run(crate::world::BINARY, &["scan", "-"]);
    // Nothing comes from the keyboard, so it goes on until somebody stops it.
    terminal.wait_for("0 items");
    assert_eq!(terminal.interrupt(), 3);
}
