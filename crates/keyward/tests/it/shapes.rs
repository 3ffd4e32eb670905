//! The shapes that scripts rely on: the commands exactly as they were promised, with the fields that were promised.

use crate::world::{BINARY, PROJECT, World, assert_answered};
use keyward_testkit::{Emulator, Keyward, Script, Service, cli::Run, server::Options};
use serde_json::{Value, json};
use std::{fs, os::unix::fs::PermissionsExt as _};

/// A command's one line of JSON.
#[track_caller]
fn line(run: Run) -> Value {
    let run = run.ok();
    assert_eq!(run.stdout.lines().count(), 1, "one line for scripts: {}", run.stdout);
    run.json()
}

/// Fails unless these fields are there and are texts with something in them.
#[track_caller]
fn has_texts(told: &Value, fields: &[&str]) {
    for field in fields {
        assert!(told[field].as_str().is_some_and(|text| !text.is_empty()), "{field}: {told}");
    }
}

#[test]
fn the_ready_line_tells_both_addresses_and_the_link() {
    let server = Keyward::start(BINARY);
    let fields = |ready: &Value| ready.as_object().expect("an object").keys().cloned().collect::<Vec<_>>();
    assert_eq!(fields(server.ready()), ["admin", "gateway", "setup_url"]);
    assert_eq!(server.ready()["setup_url"], Value::Null, "automation has an owner already");
    for name in ["gateway", "admin"] {
        let url = server.ready()[name].as_str().expect("a URL");
        let port = url.strip_prefix("http://127.0.0.1:").and_then(|port| port.parse::<u16>().ok());
        assert!(port.is_some_and(|port| port > 0), "{url}: port 0 was asked for, and a real one is told");
    }
    let fresh = Keyward::start_with(BINARY, Options { without_token: true, ..Options::default() });
    assert_eq!(fields(fresh.ready()), ["admin", "gateway", "setup_url"]);
    let link = fresh.ready()["setup_url"].as_str().expect("a link");
    assert!(link.starts_with(fresh.ready()["admin"].as_str().expect("a URL")), "{link}");
    let said = fs::read_to_string(fresh.folder().join("server.out")).expect("standard output");
    assert_eq!(said.lines().count(), 1, "nothing but the ready line: {said}");
}

#[test]
fn commands_answer_as_scripts_were_promised() {
    let server = Keyward::start(BINARY);
    let emulator = Emulator::start(Service::OpenAi);

    let identity = server.folder().join("identity.txt");
    let file = identity.to_string_lossy().into_owned();
    let told = line(server.run(&["vault", "recovery", "create", "--output", &file]));
    assert!(told["recipient"].as_str().is_some_and(|recipient| recipient.starts_with("age1")), "{told}");
    assert_eq!(fs::metadata(&identity).expect("the identity").permissions().mode() & 0o777, 0o600);
    let kept = fs::read_to_string(&identity).expect("text");
    assert!(kept.lines().any(|line| line.starts_with("AGE-SECRET-KEY-")), "an age identity");
    assert!(!told.to_string().contains("AGE-SECRET-KEY"));

    let told = line(server.run(&["project", "create", PROJECT]));
    has_texts(&told, &["id", "name"]);
    assert_eq!(told["name"], PROJECT);

    let secret = emulator.key_with(Script::default());
    let base_url = emulator.base_url();
    let add = ["credential", "add", "--project", PROJECT, "--provider", "openai", "--name", "main", "--base-url"];
    let told = line(server.run_with(&[&add[..], &[&base_url, "--allow-private-address"]].concat(), secret.as_bytes()));
    has_texts(&told, &["id", "provider", "fingerprint", "status"]);
    assert_eq!((&told["provider"], &told["status"]), (&json!("openai"), &json!("active")));

    let told = line(server.run(&[
        "key",
        "create",
        "--project",
        PROJECT,
        "--env",
        "production",
        "--name",
        "web",
        "--provider",
        "openai",
        "--model",
        "gpt-*",
        "--operation",
        "chat",
        "--cidr",
        "127.0.0.0/8",
        "--expires",
        "30d",
        "--rpm",
        "60",
        "--tpm",
        "100000",
        "--concurrency",
        "8",
        "--max-output-tokens",
        "4096",
    ]));
    has_texts(&told, &["id", "key", "expires_at"]);
    assert!(told["key"].as_str().is_some_and(|key| key.starts_with("kw_prod_")), "{told}");
    let shown = line(server.run(&["key", "show", "web"]));
    let policy = json!({"providers": ["openai"], "models": ["gpt-*"], "operations": ["chat"],
        "networks": ["127.0.0.0/8"], "requests_per_minute": 60, "tokens_per_minute": 100_000, "concurrency": 8,
        "max_output_tokens": 4_096});
    assert_eq!(shown["policy"], policy, "each option reached its part of the policy");
    assert_eq!(shown["expires_at"], told["expires_at"]);
    assert_eq!(shown.get("key"), None, "shown once");
    let styled =
        ["key", "create", "--project", PROJECT, "--env", "staging", "--name", "sk", "--style", "sk", "--provider", "*"];
    let styled = line(server.run(&styled));
    assert!(styled["key"].as_str().is_some_and(|key| key.starts_with("sk-kw_stg_")), "{styled}");
    assert_eq!(styled["expires_at"], Value::Null, "never");
}

#[test]
fn usage_tells_the_promised_columns_whatever_the_rows_stand_for() {
    let (world, key) = World::simple(Service::OpenAi, Script::default());
    for stream in [false, true] {
        assert_answered(&world.send(&world.call(Service::OpenAi, stream, &key)));
    }
    world.usage_of("web", 2);
    for (by, about, value) in [
        ("key", "key", Some("web")),
        ("model", "model", Some(Service::OpenAi.model())),
        ("project", "project", Some(PROJECT)),
        ("day", "day", None),
    ] {
        let told = line(world.server.run(&["usage", "--by", by, "--since", "24h"]));
        let rows = told["rows"].as_array().expect("rows");
        assert_eq!(rows.len(), 1, "{told}");
        let row = &rows[0];
        for field in ["key", "model"] {
            assert!(row.get(field).is_some(), "by {by}, {field} is there: {row}");
        }
        has_texts(row, &[about]);
        assert!(value.is_none_or(|value| row[about] == value), "{row}");
        let counts = ["requests", "input_tokens", "output_tokens"].map(|field| row[field].as_u64());
        assert_eq!(counts, [Some(2), Some(38), Some(20)], "{row}");
        // 38 × 2.5 + 20 × 15 dollars for a million
        assert_eq!(
            (row["cost_usd"].as_f64(), row["cost_nano_usd"].as_i64()),
            (Some(0.000_395), Some(395_000)),
            "{row}"
        );
    }
    let day = world.usage("day")[0]["day"].as_str().expect("a day").to_owned();
    assert!(day.len() == 10 && day.split('-').count() == 3, "{day}");
}
