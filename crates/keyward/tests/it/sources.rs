//! Where the master key comes from: each place that can be configured, from the first start over restarts to the mistakes
//! that people make with it.

use crate::world::{BINARY, PROJECT};
use keyward_testkit::{
    Emulator, Keyward, Script, Service,
    random::{ALNUM, HEX, text},
    server::Options,
    terminal::Terminal,
    wire::Request,
};
use serde_json::json;
use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

fn options(source: &str, environment: &[(&str, &str)]) -> Options {
    let environment = environment.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    Options { arguments: vec!["--master-key".to_owned(), source.to_owned()], environment, ..Options::default() }
}

/// A real key is put into the vault, and opens after a restart.
fn seals_and_opens(server: &mut Keyward) {
    let emulator = Emulator::start(Service::OpenAi);
    server.prepare(PROJECT);
    let secret = emulator.key_with(Script::default());
    let _told = server.add_credential(PROJECT, "openai", "main", &emulator.base_url(), &secret);
    let key = server.key(PROJECT, "web", &["--provider", "openai"]);
    for _ in 0..2 {
        let body = json!({"model": "gpt-5.4", "messages": []});
        let answer = Request::post("/openai/v1/chat/completions", &body).bearer(&key).send(server.gateway());
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert_eq!(emulator.last().header("authorization").next(), Some(format!("Bearer {secret}").as_str()));
        assert!(server.stop().success(), "{}", server.log());
        server.launch();
    }
}

/// Whether any file of the data folder holds the text.
fn is_stored(server: &Keyward, secret: &str) -> bool {
    let (finds, files) = keyward_testkit::canary::Canary::new([secret]).seen_in_folder(&server.data());
    assert!(files > 2);
    !finds.is_empty()
}

#[test]
fn a_variable_holds_the_master_key_for_containers_with_a_warning() {
    let master = text(HEX, 64);
    let set = |value: &str| options("env:VAULT_KEY", &[("VAULT_KEY", value)]);
    let mut server = Keyward::start_with(BINARY, set(&master));
    seals_and_opens(&mut server);
    assert!(server.log().contains("VAULT_KEY") && server.log().contains("others on this machine"), "{}", server.log());
    assert!(!server.data().join("master.key").exists() && !is_stored(&server, &master));
    assert!(!server.log().contains(&master), "the master key is in the log");

    // A first start does not make a key up that nobody would keep, and neither does a slip.
    for (value, told) in [("", "openssl rand -hex 32"), ("too short", "64 hex digits")] {
        let said = Keyward::prepared(BINARY, set(value)).try_launch().expect_err("no usable key");
        assert!(said.contains("VAULT_KEY") && said.contains(told), "{said}");
    }
}

#[test]
fn another_master_key_in_the_variable_is_told_by_its_id() {
    let file = tempfile::tempdir().expect("a folder");
    let master = file.path().join("key");
    fs::write(&master, text(HEX, 64)).expect("a file");
    // A wrapper hands over what the file says at each start.
    let wrapper = script(file.path(), &format!("VAULT_KEY=$(cat {}) exec {BINARY} \"$@\"", master.display()));
    let mut server = Keyward::start_with(&wrapper, options("env:VAULT_KEY", &[]));
    assert!(server.stop().success());
    let right = fs::read_to_string(&master).expect("a file");
    let other = text(HEX, 64);
    fs::write(&master, &other).expect("a file");
    let said = server.try_launch().expect_err("another key");
    assert!(said.contains("expected") && said.contains("got"), "{said}");
    assert!(!said.contains(&other) && !said.contains(&right));
    fs::write(&master, right).expect("a file");
    server.launch();
}

#[test]
fn systemd_hands_the_master_key_over() {
    let folder = tempfile::tempdir().expect("a folder");
    let master = text(HEX, 64);
    fs::write(folder.path().join("vault"), format!("{master}\n")).expect("a file");
    let directory = folder.path().to_string_lossy().into_owned();
    let mut server =
        Keyward::start_with(BINARY, options("systemd:vault", &[("CREDENTIALS_DIRECTORY", directory.as_str())]));
    seals_and_opens(&mut server);
    assert!(!server.data().join("master.key").exists() && !is_stored(&server, &master));

    let said = Keyward::prepared(BINARY, options("systemd:vault", &[])).try_launch().expect_err("not under systemd");
    assert!(said.contains("LoadCredentialEncrypted="), "{said}");
    let wrong = options("systemd:other", &[("CREDENTIALS_DIRECTORY", directory.as_str())]);
    let said = Keyward::prepared(BINARY, wrong).try_launch().expect_err("no such credential");
    assert!(said.contains("systemd-creds encrypt"), "{said}");
}

/// A program that stands in for the binary: a shell line that ends in running it.
fn script(folder: &Path, line: &str) -> String {
    let path = folder.join("keyward.sh");
    fs::write(&path, format!("#!/bin/sh\n{line}\n")).expect("a file");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("a mode");
    path.to_string_lossy().into_owned()
}

struct Phrase {
    folder: tempfile::TempDir,
    path: PathBuf,
}

impl Phrase {
    /// A passphrase in a file, which a wrapper opens as descriptor 9.
    fn new(phrase: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("phrase");
        let it = Self { folder, path };
        it.set(phrase);
        it
    }

    fn set(&self, phrase: &str) {
        fs::write(&self.path, format!("{phrase}\n")).expect("a file");
    }

    fn server(&self) -> Keyward {
        let wrapper = script(self.folder.path(), &format!("exec 9<{}\nexec {BINARY} \"$@\"", self.path.display()));
        Keyward::prepared(&wrapper, options("passphrase-fd:9", &[]))
    }
}

#[test]
fn a_passphrase_from_a_descriptor_unlocks_the_vault() {
    let phrase = text(ALNUM, 24);
    let given = Phrase::new(&phrase);
    let mut server = given.server();
    server.launch();
    seals_and_opens(&mut server);
    assert!(!server.data().join("master.key").exists());
    assert!(!is_stored(&server, &phrase) && !server.log().contains(&phrase));
    let file = server.data().join("master.passphrase");
    assert_eq!(fs::metadata(&file).expect("the wrapped key").permissions().mode() & 0o777, 0o600);
    assert!(fs::read_to_string(&file).expect("text").contains("argon2id"));

    assert!(server.stop().success());
    given.set(&text(ALNUM, 24));
    let said = server.try_launch().expect_err("a wrong passphrase");
    assert!(said.contains("passphrase"), "{said}");
    given.set(&phrase);
    fs::set_permissions(&file, fs::Permissions::from_mode(0o640)).expect("a mode");
    let said = server.try_launch().expect_err("a loose mode");
    assert!(said.contains("chmod 600"), "{said}");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).expect("a mode");
    server.launch();

    // Too easy to guess: refused before anything is made.
    let weak = Phrase::new("hunter2");
    let mut server = weak.server();
    let said = server.try_launch().expect_err("a weak passphrase");
    assert!(said.contains("12 characters") && !server.data().join("master.passphrase").exists(), "{said}");
}

#[test]
fn a_passphrase_is_asked_for_at_the_terminal_and_never_shown() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().join("data").to_string_lossy().into_owned();
    let (phrase, slip) = (text(ALNUM, 24), text(ALNUM, 24));
    let serve = ["serve", "--master-key", "passphrase", "--data-dir", &data, "--gateway-listen", "127.0.0.1:0"];
    let serve = [&serve[..], &["--admin-listen", "127.0.0.1:0"]].concat();
    let mut first = Terminal::run(BINARY, &serve);
    // Chosen twice; a slip is noticed before anything depends on it.
    for (one, two) in [(&phrase, &slip), (&phrase, &phrase)] {
        first.wait_for("Choose a passphrase");
        first.wait_for(": ");
        first.type_hidden(one);
        first.wait_for("again: ");
        first.type_hidden(two);
    }
    first.wait_for("Keyward is ready");
    assert_eq!(first.interrupt(), 0, "{}", first.shown());
    let mut second = Terminal::run(BINARY, &serve);
    second.wait_for("Passphrase of the master key: ");
    second.type_hidden(&phrase);
    second.wait_for("Keyward is ready");
    assert_eq!(second.interrupt(), 0, "{}", second.shown());
    for shown in [first.shown(), second.shown()] {
        assert!(!shown.contains(&phrase) && !shown.contains(&slip), "the passphrase was shown");
    }
}

#[test]
fn the_question_for_a_passphrase_can_be_left() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().join("data");
    let at = data.to_string_lossy().into_owned();
    let serve = ["serve", "--master-key", "passphrase", "--data-dir", &at, "--gateway-listen", "127.0.0.1:0"];
    let serve = [&serve[..], &["--admin-listen", "127.0.0.1:0"]].concat();
    let mut asked = Terminal::run(BINARY, &serve);
    asked.wait_for("Choose a passphrase");
    asked.wait_for(": ");
    assert_ne!(asked.interrupt(), 0, "{}", asked.shown());
    assert!(!data.join("master.passphrase").exists() && !asked.shown().contains("is ready"), "{}", asked.shown());
}

#[test]
fn the_recovery_identity_brings_a_lost_passphrase_back() {
    let given = Phrase::new(&text(ALNUM, 24));
    let mut server = given.server();
    server.launch();
    seals_and_opens(&mut server);
    assert!(server.stop().success());
    given.set(&text(ALNUM, 24));
    let (identity, data) = (server.folder().join("identity.txt"), server.data());
    let (identity, data) = (identity.to_string_lossy().into_owned(), data.to_string_lossy().into_owned());
    let recover = ["vault", "recover", "--identity", &identity, "--data-dir", &data, "--master-key", "passphrase-fd:9"];
    let _said = server.run(&recover).ok();
    server.launch();
    assert_eq!(server.run(&["doctor"]).status, 0, "{}", server.run(&["doctor"]).all());
}

#[test]
fn a_master_key_file_elsewhere_is_made_private_and_a_loose_one_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("kept-apart.key");
    let mut server = Keyward::prepared(BINARY, options(&format!("file:{}", path.display()), &[]));
    server.launch();
    seals_and_opens(&mut server);
    assert_eq!(fs::metadata(&path).expect("the key").permissions().mode() & 0o777, 0o600);
    assert!(!server.data().join("master.key").exists());
    assert!(server.stop().success());
    for mode in [0o604, 0o640, 0o660, 0o700 | 0o011] {
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).expect("a mode");
        let said = server.try_launch().expect_err("a loose mode");
        assert!(said.contains(&format!("chmod 600 {}", path.display())), "{mode:o}: {said}");
    }
}
