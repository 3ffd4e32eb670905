//! What `keyward scan` does besides finding: it can be stopped, takes lists and folders, and says what it cannot use.

use crate::{
    repository::{Repository, made_up},
    world::BINARY,
};
use keyward_testkit::{
    Emulator, Gate, Script, Service,
    cli::{Run, Running},
};
use serde_json::Value;
use std::{fs, path::Path, process::Command, sync::Arc};

fn findings(report: &Value) -> &[Value] {
    report["findings"].as_array().expect("findings")
}

/// The program, ready to be started on a machine that knows no server.
#[expect(clippy::disallowed_methods, reason = "programs are found where the test's own are")]
fn command(at: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(BINARY);
    command.current_dir(at).env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default()).env("HOME", at);
    command.args(arguments);
    command
}

#[test]
fn whoever_stops_a_scan_of_a_silent_stream_sees_what_was_read() {
    let folder = tempfile::tempdir().expect("a folder");
    let secret = made_up("openai", "project", 21);
    let mut running = Running::start(command(folder.path(), &["scan", "-", "--format", "json"]));
    // A pipe holds 64 KiB: once all of this is written, what stands at its front was read.
    let filler = "nothing to see here\n".repeat(20_000);
    running.write(format!("OPENAI_API_KEY={secret}\n{filler}").as_bytes());
    running.interrupt();
    let ended = running.end();
    assert_eq!(ended.status, 3, "{}", ended.all());
    let report = ended.json();
    assert_eq!(findings(&report).len(), 1, "{report}");
    assert_eq!((&findings(&report)[0]["path"], &report["stats"]["stopped"]), (&"-".into(), &true.into()));
    let causes: Vec<&Value> =
        report["incomplete"].as_array().expect("a list").iter().map(|missed| &missed["cause"]).collect();
    assert!(causes.contains(&&"stopped".into()), "{report}");
}

#[test]
fn whoever_stops_the_asking_sees_what_was_found() {
    let folder = tempfile::tempdir().expect("a folder");
    let emulator = Emulator::start(Service::Anthropic);
    let gate = Gate::new();
    let key = emulator.key_with(Script { hold: Some(Arc::clone(&gate)), ..Script::default() });
    let config = folder.path().join("own");
    let origin = format!("base_url = \"{}\"", emulator.origin());
    own_provider(&config, "anthropic", &[("base_url = \"https://api.anthropic.com\"", &origin)]);
    fs::create_dir(folder.path().join("tree")).expect("a folder");
    fs::write(folder.path().join("tree/a.env"), format!("ANTHROPIC_API_KEY={key}\n")).expect("written");
    let config = config.display().to_string();
    let arguments =
        ["scan", "tree", "--format", "json", "--config-dir", &config, "--verify", "--allow-private-address"];
    let running = Running::start(command(folder.path(), &arguments));
    gate.wait_reached_by(1);
    running.interrupt();
    let ended = running.end();
    gate.open();
    assert_eq!(ended.status, 3, "{}", ended.all());
    let found = ended.json()["findings"][0].clone();
    assert_eq!(found["verified"]["state"], "unknown", "{found}");
    assert!(found["verified"]["reason"].as_str().is_some_and(|reason| reason.contains("stopped")), "{found}");
}

/// Writes a provider of the catalogue into a folder of one's own, with some of its text changed.
fn own_provider(folder: &Path, id: &str, changes: &[(&str, &str)]) {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../catalogue/providers/{id}.toml"));
    let mut text = fs::read_to_string(source).expect("the provider's file");
    for (from, to) in changes {
        assert!(text.contains(from), "{from}");
        text = text.replace(from, to);
    }
    fs::create_dir_all(folder.join("providers")).expect("a folder");
    fs::write(folder.join("providers/own.toml"), text).expect("written");
}

#[test]
fn keys_of_own_providers_are_found_without_asking_anybody() {
    let repository = Repository::new();
    let config = repository.beside("own");
    let changes = [
        ("id = \"perplexity\"", "id = \"acme\""),
        ("pplx-", "acme-"),
        ("\"/perplexity\"", "\"/acme\""),
        ("name = \"Perplexity\"", "name = \"Acme\""),
    ];
    own_provider(&config, "perplexity", &changes);
    let key = made_up("perplexity", "api", 3).replace("pplx-", "acme-");
    repository.write("notes.txt", &format!("it is {key}, they said\n"));
    assert_eq!(repository.keyward(&["scan"]).status, 0, "nobody knows such keys");
    let config = config.to_str().expect("text");
    for arguments in [&["scan", "--config-dir", config][..], &["scan", "--git", "--config-dir", config]] {
        let run = repository.keyward(&[arguments, &["--format", "json"]].concat());
        assert_eq!(run.status, 1, "{}", run.all());
        let report = run.json();
        let found = &findings(&report)[0];
        assert_eq!((&found["rule"], &found["provider"]), (&"acme/api".into(), &"acme".into()));
        assert_eq!(found["verified"], Value::Null);
    }
    // Hooks take the folder from the variable.
    let _added = repository.git(&["add", "-A"]).ok();
    let by_variable = |arguments: &[&str]| {
        let mut command = command(&repository.path(), arguments);
        command.env("KEYWARD_CONFIG_DIR", config);
        Run::of(command, b"")
    };
    assert_eq!(by_variable(&["hook", "run", "pre-commit"]).status, 1);
    let other = made_up("openai", "project", 22);
    repository.write("notes.txt", &other);
    let report = by_variable(&["scan", "--format", "json"]).json();
    assert_eq!(findings(&report)[0]["provider"], "openai", "those of the program are known as well: {report}");
    let gone = repository.beside("not/there");
    let gone = gone.to_str().expect("text");
    let refused = repository.keyward(&["scan", "--config-dir", gone]);
    assert!(refused.status == 2 && refused.stderr.contains(gone), "{}", refused.all());
}

#[test]
fn a_baseline_that_is_none_is_refused_and_says_why() {
    let repository = Repository::new();
    repository.write("a.env", &format!("OPENAI_API_KEY={}\n", made_up("openai", "project", 23)));
    let foreign = r#"{"version":"2.1.0","runs":[{"tool":{"driver":{"name":"gitleaks"}},"results":[]}]}"#;
    let own = repository.keyward(&["scan", "--format", "json"]).stdout;
    for (content, words) in [
        ("", "it is empty"),
        (foreign, "a report of \"gitleaks\""),
        ("[]", "no report of `keyward scan`"),
        ("<testsuites/>", "it is not JSON"),
        (&own[..own.len() / 2], "it was cut off"),
    ] {
        let file = repository.beside("baseline");
        fs::write(&file, content).expect("written");
        let run = repository.keyward(&["scan", "--baseline", file.to_str().expect("text")]);
        assert_eq!((run.status, run.stdout.as_str()), (2, ""), "{content}");
        assert!(run.stderr.contains(words) && run.stderr.contains("baseline"), "{}", run.stderr);
    }
    for format in ["json", "jsonl", "sarif"] {
        let file = repository.beside(format);
        let file = file.to_str().expect("text");
        assert_eq!(repository.keyward(&["scan", "--format", format, "--output", file]).status, 1);
        assert_eq!(repository.keyward(&["scan", "--baseline", file]).status, 0, "{format}");
    }
}
