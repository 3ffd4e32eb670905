//! What is shown: tables for people, JSON for scripts, nothing that steers a terminal, and exit statuses that mean
//! something.

use crate::fake::{Fake, User, ok, problem};
use serde_json::json;

#[test]
fn a_new_project_has_the_shape_that_scripts_rely_on() {
    let fake =
        Fake::start(|_| ok(json!({"id": "p1", "name": "shop", "status": "active", "policy": {}, "environments": {}})));
    let run = User::of(&fake).run(&["project", "create", "shop", "--format", "json"]);
    assert_eq!(run.status, 0);
    assert_eq!((run.json()["id"].as_str(), run.json()["name"].as_str()), (Some("p1"), Some("shop")));
    assert_eq!(run.out.lines().count(), 1, "one line for scripts");
    assert_eq!(fake.asked()[0].json(), json!({"name": "shop"}));
    let run = User::of(&fake).with("KEYWARD_FORMAT", "json").run(&["project", "create", "shop"]);
    assert_eq!(run.json()["id"], "p1", "the environment can ask for JSON as well");
}

#[test]
fn a_project_keeps_what_an_update_does_not_name() {
    let project = json!({"id": "p1", "name": "shop", "status": "active",
        "policy": {"providers": ["openai"], "requests_per_minute": 10},
        "environments": {"staging": {"tokens_per_minute": 5}, "production": {"concurrency": 3}}});
    let fake = Fake::start(move |_| ok(project.clone()));
    assert_eq!(User::of(&fake).run(&["project", "update", "shop", "--rpm", "20"]).status, 0);
    assert_eq!(User::of(&fake).run(&["project", "update", "shop", "--env", "staging", "--rpm", "7"]).status, 0);
    let sent: Vec<_> =
        fake.asked().iter().filter(|asked| asked.method == "PATCH").map(crate::fake::Asked::json).collect();
    assert_eq!(sent[0], json!({"policy": {"providers": ["openai"], "requests_per_minute": 20}}));
    let staging = json!({"tokens_per_minute": 5, "requests_per_minute": 7});
    assert_eq!(sent[1], json!({"environments": {"staging": staging}}));
    let run = User::of(&fake).run(&["project", "update", "shop"]);
    assert!(run.status == 2 && run.err.contains("nothing is said"), "{run:?}");
}

#[test]
fn nothing_is_taken_over_from_a_project_that_was_tampered_with() {
    let project =
        json!({"id": "p1", "name": "shop", "status": "tampered", "policy": {"providers": ["*"]}, "environments": {}});
    let fake = Fake::start(move |_| ok(project.clone()));
    assert_eq!(User::of(&fake).run(&["project", "update", "shop", "--name", "shop", "--rpm", "20"]).status, 0);
    let sent = fake.asked().iter().find(|asked| asked.method == "PATCH").unwrap().json();
    assert_eq!(sent, json!({"name": "shop", "policy": {"requests_per_minute": 20}}));
}

#[test]
fn a_long_list_of_keys_comes_in_pages() {
    let fake = Fake::start(|asked| {
        if asked.path.contains("after=k1") {
            ok(json!({"items": [{"id": "k2", "name": "two"}], "next_after": null}))
        } else {
            ok(json!({"items": [{"id": "k1", "name": "one"}], "next_after": "k1"}))
        }
    });
    let run = User::of(&fake).run(&["key", "list", "--project", "shop", "--format", "json"]);
    assert_eq!(run.json(), json!({"items": [{"id": "k1", "name": "one"}, {"id": "k2", "name": "two"}]}));
    assert_eq!(fake.asked()[1].path, "/api/v1/keys?project=shop&limit=10000&after=k1");
}

#[test]
fn usage_is_a_table_with_a_sum_or_the_servers_json() {
    let answer = json!({"since": "2026-11-20T08:00:00Z", "until": "2026-11-21T08:00:00Z", "rows": [
        {"key": "web", "model": null, "requests": 2, "input_tokens": 100, "output_tokens": 20,
         "cost_usd": 0.0015, "cost_nano_usd": 1_500_000, "unpriced_requests": 1},
        {"key": "ci", "model": null, "requests": 10, "input_tokens": 7, "output_tokens": 0,
         "cost_usd": 0.000_001, "cost_nano_usd": 1_000, "reasoning_tokens": 0},
    ]});
    let same = answer.clone();
    let fake = Fake::start(move |_| ok(answer.clone()));
    let run = User::of(&fake).run(&["usage", "--by", "key", "--since", "7d", "--project", "my shop"]);
    assert_eq!(run.status, 0);
    let expected = "\
KEY    REQUESTS  INPUT  OUTPUT       COST
web           2    100      20    $0.0015
ci           10      7       0  $0.000001
total        12    107      20  $0.001501
";
    assert_eq!(run.out, expected);
    assert_eq!(run.err, "warning: 1 calls have no price, or none for all that they used: what that cost is missing\n");
    assert_eq!(fake.asked()[0].path, "/api/v1/usage?by=key&since=7d&project=my%20shop");
    let run = User::of(&fake).run(&["usage", "--format", "json"]);
    assert_eq!(run.json(), same);
}

#[test]
fn nothing_from_the_server_steers_the_terminal() {
    let hostile = "x\u{1b}]0;owned\u{7}\u{1b}[2J\u{9b}31m\u{202e}\r\ny";
    let fake = Fake::start(move |asked| {
        if asked.path.contains("/keys?") {
            ok(json!({"items": [{"name": hostile, "project": "p", "status": "active"}]}))
        } else {
            problem(400, "invalid", hostile, Some(hostile))
        }
    });
    let steers = |text: &str| text.chars().any(|c| (c.is_control() && c != '\n') || c == '\u{202e}');
    for arguments in [vec!["key", "list"], vec!["key", "show", "a"], vec!["key", "list", "--format", "json"]] {
        let run = User::of(&fake).run(&arguments);
        assert!(!steers(&run.out) && !steers(&run.err), "{run:?}");
    }
    let run = User::of(&fake).run(&["key", "list"]);
    assert_eq!(run.out.lines().count(), 2, "a row stays a row: {run:?}");
    let run = User::of(&fake).run(&["key", "list", "--format", "json"]);
    assert_eq!(run.json()["items"][0]["name"], hostile, "scripts get the data as it is");
}

#[test]
fn the_answer_no_is_exit_status_one() {
    let states = [("alive", 0), ("limited", 0), ("dead", 1), ("no_money", 1), ("unreachable", 2), ("unknown", 2)];
    for (state, status) in states {
        let fake = Fake::start(move |_| ok(json!({"state": state, "cause": "x", "remedy": "do this"})));
        let run = User::of(&fake).run(&["credential", "verify", "main"]);
        assert_eq!(run.status, status, "{state}");
        assert!(run.out.contains("do this"), "{run:?}");
    }
    for (check, status) in [("ok", 0), ("warning", 0), ("failed", 1)] {
        let fake = Fake::start(move |_| {
            let checks = json!([{"name": "vault", "state": check, "detail": "how it is", "hint": "what to do"}]);
            ok(json!({"healthy": check != "failed", "checks": checks}))
        });
        let run = User::of(&fake).run(&["doctor"]);
        assert_eq!(run.status, status, "{check}");
        assert!(run.out.contains("how it is") && run.out.contains("what to do"), "{run:?}");
    }
}

#[test]
fn provider_files_are_checked_without_a_server() {
    let user = User::new();
    let file = user.path("inhouse.toml");
    std::fs::write(&file, "id = \"inhouse\"\nname = 5\n").unwrap();
    let run = user.run(&["provider", "check", file.to_str().unwrap()]);
    assert_eq!(run.status, 1, "{run:?}");
    assert!(run.out.contains("inhouse.toml:2:"), "the place is named: {run:?}");
    let run = user.run(&["provider", "check", file.to_str().unwrap(), "--format", "json"]);
    assert_eq!((run.status, run.json()["ok"].as_bool()), (1, Some(false)));
    assert_eq!(run.json()["problems"][0]["line"], 2);
    let run = user.run(&["provider", "check", "/nowhere.toml"]);
    assert_eq!(run.status, 2);
}

#[test]
fn help_and_version_go_to_standard_output_and_mistakes_do_not() {
    let user = User::new();
    let run = user.run(&["key", "create", "--help"]);
    assert!(run.status == 0 && run.out.contains("Examples:") && run.err.is_empty(), "{run:?}");
    let run = user.run(&["--version"]);
    assert!(run.status == 0 && run.out.starts_with("keyward "), "{run:?}");
    for arguments in [vec!["kye"], vec!["key"], vec![], vec!["key", "create"], vec!["usage", "--by", "colour"]] {
        let run = user.run(&arguments);
        assert!(run.status == 2 && run.out.is_empty() && !run.err.is_empty(), "{arguments:?}: {run:?}");
    }
    let run = user.run(&["help", "vault", "recovery", "create"]);
    assert!(run.status == 0 && run.out.contains("recovery-identity.txt"), "{run:?}");
}

#[test]
fn completions_and_the_manual_page_render() {
    let user = User::new();
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let run = user.run(&["completions", shell]);
        assert!(run.status == 0 && run.out.contains("max-output-tokens"), "{shell}");
        let json = user.run(&["completions", shell, "--format", "json"]).json();
        assert_eq!(json["script"].as_str(), Some(run.out.as_str()), "{shell}");
    }
    let run = user.run(&["man"]);
    assert!(run.status == 0 && run.out.contains(".TH") && run.out.contains("credential"), "{run:?}");
}

#[test]
fn the_catalogue_can_be_read_without_a_server() {
    let user = User::new().with("KEYWARD_DATA_DIR", "/nowhere");
    let run = user.run(&["provider", "list", "--format", "json"]);
    assert_eq!(run.status, 0, "{run:?}");
    let openai = run.json()["items"].as_array().unwrap().iter().find(|item| item["id"] == "openai").cloned().unwrap();
    assert!(openai["path"].as_str().unwrap().starts_with("/openai"), "{openai}");
    assert!(openai["operations"].as_array().unwrap().contains(&json!("chat")));
    let run = user.run(&["provider", "show", "openai"]);
    assert!(run.status == 0 && run.out.contains("OPENAI_BASE_URL") && run.out.contains("chat"), "{run:?}");
    assert!(run.err.contains("came with the program"), "{run:?}");
    let run = user.run(&["provider", "price", "--provider", "openai"]);
    assert!(run.status == 0 && run.out.contains("dollars per million tokens"), "{run:?}");
    assert_eq!(user.run(&["provider", "show", "opnai"]).status, 2);
    let named = User::new().with("KEYWARD_ADDR", "http://127.0.0.1:1").run(&["provider", "list"]);
    assert_eq!(named.status, 2, "a server that was named is not replaced by anything: {named:?}");
}
