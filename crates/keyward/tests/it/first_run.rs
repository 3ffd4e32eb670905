//! The first minutes: a demo whose printed command works when pasted, and the one-time set-up link.

use crate::world::BINARY;
use keyward_testkit::{
    Keyward,
    cli::Run,
    server::Options,
    wire::{Connection, Request},
};
use serde_json::json;
use std::{
    io::{BufRead as _, BufReader},
    net::SocketAddr,
    process::{Command, Stdio},
};

#[test]
fn the_commands_that_the_demo_prints_work_when_pasted() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut child = Command::new(BINARY)
        .args(["serve", "--demo", "--gateway-listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"])
        .env("HOME", folder.path())
        .env("TMPDIR", folder.path())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("the binary starts");
    let lines = BufReader::new(child.stdout.take().expect("a pipe")).lines().map_while(Result::ok);
    // Up to the line that ends the message; commands to paste stand between blank lines.
    let said: Vec<String> = lines.take_while(|line| !line.contains("Ctrl-C")).collect();
    let pasted = ["curl ", "export "].map(|beginning| {
        let from =
            said.iter().position(|line| line.trim_start().starts_with(beginning)).unwrap_or_else(|| panic!("{said:?}"));
        let commands: Vec<&str> =
            said[from..].iter().map(String::as_str).take_while(|line| !line.trim().is_empty()).collect();
        let mut bash = Command::new("bash");
        bash.args(["-c", &format!("set -e\n{}", commands.join("\n"))]).env("HOME", folder.path());
        Run::of(bash, b"")
    });
    child.kill().expect("the server runs");
    child.wait().expect("the server ends");
    let [called, shown] = pasted.map(Run::ok);
    let answer = called.json();
    assert!(answer["choices"][0]["message"]["content"].is_string(), "{answer}");
    assert!(shown.stdout.contains("demo-key"), "the command line finds the demo: {}", shown.all());
}

#[test]
fn the_set_up_link_works_once_and_its_token_stays_in_the_fragment() {
    let server = Keyward::start_with(BINARY, Options { without_token: true, ..Options::default() });
    let link = server.ready()["setup_url"].as_str().expect("a new installation tells the link").to_owned();
    let (page, token) = link.split_once('#').expect("the token is in the fragment, which browsers do not send");
    let token = token.rsplit_once('=').map_or(token, |(_, value)| value);
    let host = format!("http://{}", server.admin());
    let path = page.strip_prefix(&host).expect("the link leads to the control API");
    assert_eq!(Request::get(path).send(server.admin()).status, 200);

    let set_up = |token: &str| {
        Request::post("/api/v1/setup/owner", &json!({"name": "first"})).bearer(token).send(server.admin())
    };
    assert_eq!(set_up("kwt_wrong").status, 401);
    let made = set_up(token);
    assert_eq!(made.status, 201, "{}", made.text());
    let owner = made.json()["token"].as_str().expect("the owner's token").to_owned();
    let again = set_up(token);
    assert!(again.status >= 400, "the link works once: {}", again.text());
    let whoami = Request::get("/api/v1/whoami").bearer(&owner).send(server.admin());
    assert_eq!((whoami.status, whoami.json()["role"].as_str()), (200, Some("owner")));
    assert!(!server.log().contains(token), "the set-up token is in the log");
}

#[test]
fn no_credential_is_taken_before_there_is_a_way_back_in() {
    let server = Keyward::start(BINARY);
    let _told = server.tell(&["project", "create", "shop"]);
    let body = json!({"project": "shop", "provider": "openai", "name": "main",
    "secret": keyward_testkit::Service::OpenAi.new_key()});
    let early = server.api("POST", "/api/v1/credentials", Some(&body));
    assert_eq!((early.status, early.json()["code"].as_str()), (409, Some("recovery_missing")), "{}", early.text());
    server.prepare_recovery();
    let later = server.api("POST", "/api/v1/credentials", Some(&body));
    assert_eq!(later.status, 201, "{}", later.text());
    assert!(!later.text().contains("T3BlbkFJ"), "the answer shows the secret");
}

#[test]
fn the_command_line_finds_the_local_server_by_itself() {
    let server = Keyward::start(BINARY);
    let mut command = Command::new(BINARY);
    command.args(["whoami", "--format", "json"]).env_clear().env("KEYWARD_DATA_DIR", server.data());
    let told = Run::of(command, b"").ok().json();
    assert_eq!(told["role"], "owner");
    // Without a server the exit status is 2, and it is said what to do.
    let mut command = Command::new(BINARY);
    command.args(["whoami"]).env_clear().env("HOME", "/nonexistent");
    let alone = Run::of(command, b"");
    assert_eq!(alone.status, 2);
    assert!(alone.stderr.contains("keyward serve"), "{}", alone.stderr);
}

#[test]
fn a_port_that_is_taken_is_said_plainly() {
    let taken = std::net::TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0))).expect("a port");
    let address = taken.local_addr().expect("an address").to_string();
    let server = Keyward::prepared(BINARY, Options::default());
    let data = server.data().to_string_lossy().into_owned();
    let run =
        server.run(&["serve", "--data-dir", &data, "--gateway-listen", &address, "--admin-listen", "127.0.0.1:0"]);
    assert_eq!(run.status, 2, "{}", run.all());
    let mut lines = run.stderr.lines();
    assert!(lines.next().is_some_and(|line| line.starts_with("error: ") && line.contains(&address)), "{}", run.stderr);
    assert!(lines.next().is_some_and(|line| line.starts_with("hint: ")), "the server says what to do: {}", run.stderr);
    drop(Connection::open(taken.local_addr().expect("an address")));
}
