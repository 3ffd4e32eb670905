//! The emulator as a program of its own.

use keyward_testkit::wire::Request;
use serde_json::Value;
use std::{
    io::{BufRead as _, BufReader},
    process::{Command, Stdio},
};

#[test]
fn it_prints_where_it_is_and_a_key_that_works() {
    let mut child = Command::new(env!("CARGO_BIN_EXE_emulator"))
        .args(["--provider", "groq"])
        .stdout(Stdio::piped())
        .spawn()
        .expect("the program starts");
    let mut line = String::new();
    BufReader::new(child.stdout.take().expect("a pipe")).read_line(&mut line).expect("a line");
    let told: Value = serde_json::from_str(&line).expect("one line of JSON");
    let text = |name: &str| told[name].as_str().expect("a text").to_owned();
    let address = text("origin").trim_start_matches("http://").parse().expect("an address");
    let got = Request::get("/openai/v1/models").bearer(&text("key")).send(address);
    child.kill().expect("the program runs");
    child.wait().expect("the program ends");
    assert_eq!(got.status, 200);
    assert_eq!(text("base_url"), format!("{}/openai/v1", text("origin")));
}

#[test]
fn mistakes_are_named() {
    let run = Command::new(env!("CARGO_BIN_EXE_emulator")).args(["--provider", "nobody"]).output().expect("it runs");
    assert_eq!(run.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&run.stderr).contains("unknown provider nobody"));
}
