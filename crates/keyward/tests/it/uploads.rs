//! Uploads and downloads are streamed: what the client has sent is at the provider before it sends the rest.

use crate::world::{World, assert_answered, assert_refused};
use bytes::Bytes;
use keyward_testkit::{
    Script, Service,
    emulator::{Raw, Step},
    wire::{Connection, Request},
};
use serde_json::json;

const EDGE: &str = "edge-of-a-test";

fn head(world: &World, key: &str, path: &str) -> Request {
    Request::new("POST", &world.gateway_path(Service::OpenAi, path))
        .bearer(key)
        .header("content-type", &format!("multipart/form-data; boundary={EDGE}"))
        .header("transfer-encoding", "chunked")
}

fn chunk(text: &[u8]) -> Vec<u8> {
    [format!("{:x}\r\n", text.len()).as_bytes(), text, b"\r\n"].concat()
}

fn part(name: &str, file: bool, content: &str) -> String {
    let file = if file { "; filename=\"a.jsonl\"\r\nContent-Type: application/octet-stream" } else { "" };
    format!("--{EDGE}\r\nContent-Disposition: form-data; name=\"{name}\"{file}\r\n\r\n{content}")
}

fn files_world() -> (World, String) {
    let world = World::with(&[Service::OpenAi]);
    world.credential(Service::OpenAi, "main", Script::default());
    let key = world.key("files", json!({"providers": ["openai"], "operations": ["files", "audio"]}));
    (world, key)
}

#[test]
fn an_upload_is_at_the_provider_before_the_client_has_sent_it_all() {
    let (world, key) = files_world();
    let emulator = world.emulator(Service::OpenAi);
    let mut connection = Connection::open(world.server.gateway());
    connection.send_head(&head(&world, &key, "/v1/files"));
    connection.write(&chunk(part("purpose", false, "batch").as_bytes()));
    connection.write(&chunk(format!("\r\n{}", part("file", true, "the first half,")).as_bytes()));
    emulator.wait_for("the first half", |list| {
        list.iter().any(|record| keyward_testkit::find(&record.body, b"the first half").is_some()).then_some(())
    });
    assert!(!emulator.last().body_complete);
    connection.write(&chunk(format!(" the second half\r\n--{EDGE}--\r\n").as_bytes()));
    connection.write(b"0\r\n\r\n");
    let made = connection.answer().expect("an answer").whole().expect("a whole answer");
    assert_answered(&made);
    assert_eq!(made.json()["bytes"], "the first half, the second half".len());
}

#[test]
fn a_big_upload_takes_little_memory() {
    const PIECE: usize = 256 << 10;
    const PIECES: usize = 256;
    let (world, _) = files_world();
    let policy = json!({"providers": ["openai"], "operations": ["files"], "max_body_bytes": 1_u64 << 30});
    let key = world.key("big", policy);
    let before = world.server.peak_memory();
    let mut connection = Connection::open(world.server.gateway());
    connection.send_head(&head(&world, &key, "/v1/files"));
    connection.write(&chunk(format!("{}\r\n{}", part("purpose", false, "batch"), part("file", true, "")).as_bytes()));
    let piece = chunk(&vec![b'x'; PIECE]);
    for _ in 0..PIECES {
        connection.write(&piece);
    }
    connection.write(&chunk(format!("\r\n--{EDGE}--\r\n").as_bytes()));
    connection.write(b"0\r\n\r\n");
    let made = connection.answer().expect("an answer").whole().expect("a whole answer");
    assert_answered(&made);
    assert_eq!(made.json()["bytes"], PIECE * PIECES);
    let grown = world.server.peak_memory() - before;
    assert!(grown < 16 << 20, "the gateway grew by {} MiB under 64 MiB", grown >> 20);
}

#[test]
fn an_upload_beyond_the_limit_is_cut_while_it_runs() {
    let (world, _) = files_world();
    let policy = json!({"providers": ["openai"], "operations": ["files"], "max_body_bytes": 100_000});
    let key = world.key("small", policy);
    let said = Request::new("POST", "/openai/v1/files").bearer(&key).header("content-length", "100001");
    let mut connection = Connection::open(world.server.gateway());
    connection.send_head(&said);
    let answer = connection.answer().expect("an answer before any body").whole().expect("a whole answer");
    assert_refused(&answer, 413, "body_too_large");

    let mut connection = Connection::open(world.server.gateway());
    connection.send_head(&head(&world, &key, "/v1/files"));
    connection.write(&chunk(part("file", true, "").as_bytes()));
    let mut taken = 0;
    while taken < 100 && connection.try_write(&chunk(&[b'x'; 10_000])) {
        taken += 1;
    }
    match connection.answer() {
        Ok(answer) => {
            let answer = answer.whole().expect("a whole answer");
            assert_refused(&answer, 413, "body_too_large");
        }
        // The answer can be lost when the client is still writing; then the connection is closed.
        Err(_) => assert!(taken < 100, "a megabyte was taken by a key with a tenth of it"),
    }
}

#[test]
fn a_form_field_names_the_model_wherever_it_stands() {
    let (world, _) = files_world();
    let policy = json!({"providers": ["openai"], "operations": ["audio"], "models": ["whisper-*"]});
    let key = world.key("voice", policy);
    let sound = [b'x'; 50_000];
    let path = "/openai/v1/audio/transcriptions";
    let send = |parts: &[(&str, Option<&str>, &[u8])]| world.send(&Request::new("POST", path).bearer(&key).form(parts));
    assert_answered(&send(&[("model", None, b"whisper-1"), ("file", Some("a.wav"), &sound)]));
    assert_answered(&send(&[("file", Some("a.wav"), &sound), ("model", None, b"whisper-1")]));
    assert_refused(
        &send(&[("model", None, b"gpt-4o-transcribe"), ("file", Some("a.wav"), &sound)]),
        403,
        "model_not_allowed",
    );
    let whole = world.emulator(Service::OpenAi).requests().iter().filter(|record| record.body_complete).count();
    let late = send(&[("file", Some("a.wav"), &sound), ("model", None, b"gpt-4o-transcribe")]);
    assert_refused(&late, 403, "model_not_allowed");
    let twice =
        send(&[("model", None, b"whisper-1"), ("model", None, b"gpt-4o-transcribe"), ("file", Some("a.wav"), &sound)]);
    assert!(twice.header("keyward-error").is_some(), "{} {}", twice.status, twice.text());
    // What was already on its way when the model was seen never became a whole request.
    let now = world.emulator(Service::OpenAi).requests().iter().filter(|record| record.body_complete).count();
    assert_eq!(now, whole, "a forbidden call was completed at the provider");
}

#[test]
fn a_download_arrives_whole() {
    let (world, key) = files_world();
    let content = vec![7_u8; 300_000];
    let made = Request::new("POST", "/openai/v1/files")
        .bearer(&key)
        .form(&[("purpose", None, b"batch"), ("file", Some("a.bin"), &content)]);
    let made = world.send(&made);
    assert_answered(&made);
    let id = made.json()["id"].as_str().expect("an id").to_owned();
    let got = world.send(&Request::get(&format!("/openai/v1/files/{id}/content")).bearer(&key));
    assert_answered(&got);
    assert!(got.body == content, "{} bytes", got.body.len());
}

#[test]
fn an_early_answer_to_an_upload_gets_through() {
    let world = World::with(&[Service::OpenAi]);
    let refusal = Raw {
        status: 400,
        headers: vec![("content-type".to_owned(), "application/json".to_owned())],
        steps: vec![Step::Data(Bytes::from_static(br#"{"error":{"message":"no","type":"invalid_request_error"}}"#))],
    };
    world.credential(Service::OpenAi, "main", Script { answer_early: true, raw: Some(refusal), ..Script::default() });
    let key = world.key("files", json!({"providers": ["openai"], "operations": ["files"]}));
    let mut connection = Connection::open(world.server.gateway());
    connection.send_head(&head(&world, &key, "/v1/files"));
    connection.write(&chunk(part("purpose", false, "batch").as_bytes()));
    let answer = connection.answer().expect("an answer while the upload is still open");
    assert_eq!(answer.status, 400);
}
