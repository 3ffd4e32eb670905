//! Streams, by handshake: what has been sent is there before the rest, a hang-up is noticed, a broken answer breaks.

use keyward_testkit::{
    Emulator, Gate, Script, Service,
    emulator::{End, Fault, Step},
    wire::{Connection, Request},
};
use serde_json::json;

fn chat(emulator: &Emulator, script: Script) -> Request {
    let body = json!({"model": "gpt-5.4", "stream": true, "messages": [{"role": "user", "content": "Hi"}]});
    Request::post("/v1/chat/completions", &body).bearer(&emulator.key_with(script))
}

#[test]
fn the_first_piece_arrives_while_the_second_waits() {
    let emulator = Emulator::start(Service::OpenAi);
    let gate = Gate::new();
    let script = Script { text: "onetwo".to_owned(), chunks: 2, ..Script::default() }.stopping_at(1, &gate);
    let mut answer = chat(&emulator, script).open(emulator.address());
    answer.read_until("\"one\"");
    gate.wait_reached();
    assert_eq!(emulator.last().end, End::Open);
    gate.open();
    let (rest, complete) = answer.rest();
    assert!(complete && String::from_utf8_lossy(&rest).contains("[DONE]"));
    assert_eq!(emulator.wait_end(0), End::Complete);
}

#[test]
fn a_hang_up_is_noticed() {
    let emulator = Emulator::start(Service::OpenAi);
    let gate = Gate::new();
    let mut answer = chat(&emulator, Script::default().stopping_at(1, &gate)).open(emulator.address());
    answer.read_until("Hello");
    drop(answer);
    assert_eq!(emulator.wait_end(0), End::HungUp);
}

#[test]
fn a_hang_up_before_the_answer_is_noticed() {
    let emulator = Emulator::start(Service::OpenAi);
    let gate = Gate::new();
    let request = chat(&emulator, Script { hold: Some(gate.clone()), ..Script::default() });
    let mut connection = Connection::open(emulator.address());
    connection.send(&request);
    gate.wait_reached();
    drop(connection);
    assert_eq!(emulator.wait_end(0), End::HungUp);
}

#[test]
fn a_broken_answer_breaks() {
    let emulator = Emulator::start(Service::OpenAi);
    let mut answer = chat(&emulator, Script::default().failing(Fault::CloseAt(2))).open(emulator.address());
    let (seen, complete) = answer.rest();
    assert!(!complete && String::from_utf8_lossy(&seen).contains("Hello"));
    assert_eq!(emulator.wait_end(0), End::Closed);
}

#[test]
fn long_bodies_take_no_memory() {
    let emulator = Emulator::start(Service::OpenAi);
    let mut script = Script::raw(200, "text/plain", "");
    let line = bytes::Bytes::from_static(b"0123456789abcdef");
    script.raw.as_mut().expect("a raw script").steps = vec![Step::Repeat(line, 1_000)];
    let got = chat(&emulator, script).send(emulator.address());
    assert_eq!(got.body.len(), 16_000);
    assert_eq!(emulator.last().sent, 16_000);
}

#[test]
fn interim_answers_come_only_when_the_body_is_wanted() {
    let emulator = Emulator::start(Service::OpenAi);
    let gate = Gate::new();
    let request = chat(&emulator, Script { hold_body: Some(gate.clone()), ..Script::default() })
        .header("expect", "100-continue")
        .header("content-length", "2");
    let mut connection = Connection::open(emulator.address());
    connection.send_head(&request);
    gate.wait_reached();
    gate.open();
    assert_eq!(connection.interim().expect("an interim answer"), 100);
    connection.write(b"{}");
    assert_eq!(connection.answer().expect("an answer").status, 400, "no messages");
}

#[test]
fn bedrock_streams_are_frames_with_the_use_after_the_stop() {
    let emulator = Emulator::start(Service::Bedrock);
    let key = emulator.key_with(Script::default());
    let body = json!({"messages": [{"role": "user", "content": [{"text": "Hi"}]}]});
    let got = Request::post("/model/amazon.nova-pro-v1:0/converse-stream", &body).bearer(&key).send(emulator.address());
    assert_eq!(got.header("content-type"), Some("application/vnd.amazon.eventstream"));
    let place = |needle: &str| keyward_testkit::find(&got.body, needle.as_bytes()).expect("the frame is there");
    assert!(place("messageStart") < place("contentBlockDelta"));
    assert!(place("messageStop") < place("metadata"));
}
