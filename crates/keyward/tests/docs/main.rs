//! The documents are run: every `sh` block of the README and of `docs/`, in order, against a real server with an
//! emulated provider behind it. Every other mention of a command must at least name one that exists. The pages of the
//! reference are compared with what the program itself says.

#![expect(clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod commands;
mod configuration;
mod metrics;
mod page;
mod policy;
mod stage;

use keyward_testkit::{Emulator, Keyward, Service, State, sdk};
use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

const BINARY: &str = env!("CARGO_BIN_EXE_keyward");

/// The text of all `sh` blocks, one script.
fn script(document: &str) -> String {
    let (mut inside, mut script) = (false, String::new());
    for line in document.lines() {
        match line {
            "```sh" => inside = true,
            "```" => inside = false,
            _ if inside => {
                script.push_str(line);
                script.push('\n');
            }
            _ => {}
        }
    }
    script
}

/// The document's addresses become those of this run; a credential for OpenAI, and a check of its key, reach the emulator
/// instead.
fn adapt(script: &str, server: &Keyward, openai: &str) -> String {
    let (gateway, admin) = (server.gateway().to_string(), server.admin().to_string());
    script
        .lines()
        .map(|line| {
            let line = line.replace("127.0.0.1:8700", &gateway).replace("127.0.0.1:8701", &admin);
            let line = line.replace("http://127.0.0.1:9100/v1", openai);
            if line.contains("credential add") && line.contains("--provider openai ") {
                return line.replace(
                    "--provider openai ",
                    &format!("--provider openai --base-url {openai} --allow-private-address "),
                );
            }
            if line.starts_with("keyward check") && !line.contains("--base-url") && !line.contains("--vault") {
                let place = format!("keyward check --base-url {openai} --allow-private-address");
                return line.replacen("keyward check", &place, 1);
            }
            line
        })
        .fold(String::new(), |script, line| script + &line + "\n")
}

fn run(document: &str) {
    let text = fs::read_to_string(sdk::root().join(document)).expect("the document is there");
    let script = script(&text);
    assert!(script.contains("keyward "), "{document} has no sh block with a keyward command");
    let emulator = Emulator::start(Service::OpenAi);
    let server = Keyward::start(BINARY);
    let folder = tempfile::tempdir().expect("a folder");
    for name in ["openai-key.txt", "local-key.txt"] {
        fs::write(folder.path().join(name), emulator.key(State::Live)).expect("a key file");
    }
    let script = adapt(&script, &server, &emulator.base_url());
    let bin = Path::new(BINARY).parent().expect("a folder").display().to_string();
    let path = format!("{bin}:{}", search_path());
    let output = Command::new("bash")
        .args(["-c", &format!("set -euo pipefail; trap 'echo \"failed: $BASH_COMMAND\" >&2' ERR\n{script}")])
        .current_dir(folder.path())
        .env_clear()
        .env("PATH", path)
        .env("HOME", folder.path())
        .env("KEYWARD_DATA_DIR", server.data())
        .output()
        .expect("bash runs");
    let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{document}\n{said}\n--- server\n{}", server.log());
}

#[expect(clippy::disallowed_methods, reason = "the child gets the search path of the test")]
fn search_path() -> String {
    std::env::var("PATH").expect("a search path")
}

#[test]
fn the_readme_does_what_it_says() {
    run("README.md");
}

#[test]
fn connecting_does_what_it_says() {
    run("docs/how-to/connect.md");
}

#[test]
fn adding_a_provider_does_what_it_says() {
    run("docs/how-to/add-a-provider.md");
}

#[test]
fn limiting_a_key_does_what_it_says() {
    run("docs/how-to/limit-a-key.md");
}

#[test]
fn finding_leaked_keys_does_what_it_says() {
    run("docs/how-to/find-leaked-keys.md");
}

#[test]
fn setting_a_budget_does_what_it_says() {
    run("docs/how-to/set-a-budget.md");
}

#[test]
fn backing_up_and_recovering_does_what_it_says() {
    run("docs/how-to/back-up-and-recover.md");
}

#[test]
fn checking_a_key_does_what_it_says() {
    run("docs/how-to/check-a-key.md");
}

#[test]
fn operations_do_what_they_say() {
    run("docs/operations.md");
}

#[test]
fn the_page_of_policies_does_what_it_says() {
    run("docs/reference/policy.md");
}

#[test]
fn every_document_with_something_to_run_is_run() {
    let run = [
        "README.md",
        "docs/how-to/add-a-provider.md",
        "docs/how-to/back-up-and-recover.md",
        "docs/how-to/check-a-key.md",
        "docs/how-to/connect.md",
        "docs/how-to/find-leaked-keys.md",
        "docs/how-to/limit-a-key.md",
        "docs/how-to/set-a-budget.md",
        "docs/operations.md",
        "docs/reference/policy.md",
    ];
    let mut files = vec![sdk::root().join("README.md")];
    documents(&sdk::root().join("docs"), &mut files);
    let mut with: Vec<String> = files
        .iter()
        .filter(|file| !script(&fs::read_to_string(file).expect("a document")).is_empty())
        .map(|file| file.strip_prefix(sdk::root()).expect("below the root").display().to_string())
        .collect();
    with.sort();
    assert_eq!(with, run, "give each document with an sh block a test of its own above, and name it here");
}

fn documents(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            documents(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "md") {
            found.push(path);
        }
    }
}

/// The commands named in code, as the words before the first option, value or placeholder.
fn commands(text: &str) -> Vec<Vec<String>> {
    let word = |word: &str| !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-');
    text.split('`')
        .skip(1)
        .step_by(2)
        .flat_map(str::lines)
        .filter_map(|code| code.trim().strip_prefix("keyward "))
        .map(|rest| {
            rest.split_whitespace().take_while(|part| word(part) && !part.starts_with('-')).map(str::to_owned).collect()
        })
        .collect()
}

#[test]
fn every_command_that_a_document_names_exists() {
    let mut files = vec![sdk::root().join("README.md"), sdk::root().join("CHANGELOG.md")];
    documents(&sdk::root().join("docs"), &mut files);
    let mut seen = 0;
    for file in files {
        let text = fs::read_to_string(&file).expect("a document").replace("```", "`");
        for mut command in commands(&text) {
            // The words after a command may be its arguments: the longest prefix that is a command is enough, and the
            // first word must be one.
            let exists = loop {
                if command.is_empty() {
                    break false;
                }
                let output = Command::new(BINARY).args(&command).arg("--help").output().expect("the binary runs");
                if output.status.success() {
                    break true;
                }
                if command.len() == 1 {
                    break false;
                }
                command.pop();
            };
            assert!(exists, "{}: there is no command `keyward {}`", file.display(), command.join(" "));
            seen += 1;
        }
    }
    assert!(seen > 20, "only {seen} commands found: is the reader still right?");
}
