//! What passes through whole: WebSockets, HTTP/2, interim answers, compressed bodies, kept connections.

use crate::world::{World, assert_answered, assert_refused, eventually};
use keyward_domain::usage::Buckets;
use keyward_testkit::{
    Gate, Script, Service,
    calls::main_call,
    emulator::End,
    other_wires::{self, Message, Socket},
    wire::{Connection, Request},
};
use serde_json::{Value, json};

/// Opens a WebSocket through the gateway with a virtual key.
pub(crate) fn socket(world: &World, target: &str, key: &str) -> Socket {
    let bearer = format!("Bearer {key}");
    let opened = other_wires::socket(world.server.gateway(), target, &[("authorization", &bearer)]);
    opened.unwrap_or_else(|refused| panic!("{}: {:?}", refused.status(), refused.headers()))
}

pub(crate) fn say(socket: &mut Socket, event: &Value) {
    socket.send(Message::text(event.to_string())).expect("the gateway takes the message");
}

pub(crate) fn hear_until(socket: &mut Socket, kind: &str) -> Value {
    loop {
        let message = socket.read().unwrap_or_else(|error| panic!("waiting for {kind}: {error}"));
        let Ok(event) = serde_json::from_str::<Value>(message.to_text().unwrap_or_default()) else { continue };
        if event["type"] == kind {
            return event;
        }
    }
}

#[test]
fn realtime_and_responses_websockets_pass_and_are_metered() {
    let script =
        Script::using(Buckets { input: 7, audio_input: 11, output: 13, audio_output: 17, ..Buckets::default() });
    let (world, _) = World::simple(Service::OpenAi, script);
    let policy = json!({"providers": ["openai"], "operations": ["realtime", "responses"]});
    let key = world.key("talk", policy);
    let mut talk = socket(&world, "/openai/v1/realtime?model=gpt-realtime", &key);
    hear_until(&mut talk, "session.created");
    for _ in 0..2 {
        say(&mut talk, &json!({"type": "response.create"}));
        hear_until(&mut talk, "response.done");
    }
    talk.close(None).expect("a close");
    while talk.read().is_ok() {}
    // One session is one call; its two responses add up.
    let row = world.usage_of("talk", 1);
    let told = ["input_tokens", "output_tokens", "audio_tokens"].map(|field| row[field].as_u64().unwrap_or(0));
    assert_eq!(told, [2 * 7, 2 * 13, 2 * (11 + 17)], "{row}");

    let mut talk = socket(&world, "/openai/v1/responses", &key);
    say(&mut talk, &json!({"type": "response.create", "model": "gpt-5.4", "input": "Hi"}));
    let done = hear_until(&mut talk, "response.completed");
    assert_eq!(done["response"]["status"], "completed");
    talk.close(None).expect("a close");
    while talk.read().is_ok() {}
    let emulator = world.emulator(Service::OpenAi);
    for record in emulator.requests() {
        assert!(keyward_testkit::find(&record.bytes(), b"kw_prod_").is_none(), "a virtual key went upstream");
        assert_eq!(record.status, 101);
    }
    world.usage_of("talk", 2);
}

#[test]
fn a_websocket_takes_its_key_from_the_protocols_and_a_model_out_of_bounds_ends_it() {
    let (world, _) = World::simple(Service::OpenAi, Script::default());
    let policy =
        json!({"providers": ["openai"], "operations": ["realtime", "responses"], "models": ["gpt-5*", "gpt-realtime"]});
    let key = world.key("talk", policy);
    let protocols = format!("realtime, openai-insecure-api-key.{key}");
    let target = "/openai/v1/realtime?model=gpt-realtime";
    let mut opened =
        other_wires::socket(world.server.gateway(), target, &[("sec-websocket-protocol", &protocols)]).expect("opened");
    hear_until(&mut opened, "session.created");
    let seen = world.emulator(Service::OpenAi).last().bytes();
    assert!(keyward_testkit::find(&seen, b"kw_prod_").is_none(), "the virtual key went upstream in the protocols");

    let bearer = format!("Bearer {key}");
    let refused = other_wires::socket(
        world.server.gateway(),
        "/openai/v1/realtime?model=gpt-4o-realtime",
        &[("authorization", &bearer)],
    );
    let refused = refused.expect_err("refused before the upgrade");
    assert_eq!(refused.status(), 403);
    assert_eq!(refused.headers()["keyward-error"], "model_not_allowed");

    // The model of the responses socket stands in its messages.
    let before = world.emulator(Service::OpenAi).count();
    let mut talk = socket(&world, "/openai/v1/responses", &key);
    say(&mut talk, &json!({"type": "response.create", "model": "gpt-4.1", "input": "Hi"}));
    while talk.read().is_ok() {}
    let record = world
        .emulator(Service::OpenAi)
        .wait_for("the socket's end", |list| list.get(before).filter(|record| record.end != End::Open).cloned());
    assert!(record.messages.is_empty(), "the forbidden message went upstream: {:?}", record.messages);
}

#[test]
fn http2_clients_share_a_connection() {
    let gate = Gate::new();
    let (world, key) = World::simple(Service::OpenAi, Script { hold: Some(gate.clone()), ..Script::default() });
    let calls = vec![world.call(Service::OpenAi, false, &key); 8];
    let address = world.server.gateway();
    let client = std::thread::spawn(move || other_wires::http2(address, &calls));
    // All eight are at the provider at once: none waits for another.
    gate.wait_reached_by(8);
    gate.open();
    let answers = client.join().expect("the client ends");
    assert_eq!(answers.len(), 8);
    for answer in answers {
        assert_answered(&answer);
        assert!(answer.text().contains("Hello from the emulator"));
    }
}

#[test]
fn the_body_is_asked_for_only_when_it_is_wanted() {
    let (world, key) = World::simple(Service::OpenAi, Script::default());
    let call = main_call(Service::OpenAi, false);
    let body = call.body.to_string();
    let path = world.gateway_path(Service::OpenAi, &call.path);
    let head = |key: &str| {
        Request::new("POST", &path)
            .bearer(key)
            .header("content-type", "application/json")
            .header("expect", "100-continue")
            .header("content-length", &body.len().to_string())
    };
    let mut connection = Connection::open(world.server.gateway());
    connection.send_head(&head(&key));
    assert_eq!(connection.interim().expect("an interim answer"), 100);
    connection.write(body.as_bytes());
    let answer = connection.answer().expect("an answer").whole().expect("a whole answer");
    assert_answered(&answer);

    // A refused call never asks for the body.
    let mut connection = Connection::open(world.server.gateway());
    connection.send_head(&head("kw_prod_garbage"));
    assert_eq!(connection.interim().expect("the final answer at once"), 401);
}

#[test]
fn compressed_answers_arrive_as_the_client_can_read_them_and_are_metered() {
    let script = Script { gzip: true, ..Script::default() };
    let (world, key) = World::simple(Service::OpenAi, script);
    let call = world.call(Service::OpenAi, false, &key).header("accept-encoding", "gzip");
    let answer = world.send(&call);
    assert_answered(&answer);
    match answer.header("content-encoding") {
        None => assert!(answer.text().contains("Hello from the emulator")),
        Some(coding) => {
            assert_eq!(coding, "gzip");
            assert_eq!(&answer.body[..2], &[0x1f, 0x8b], "the coding is what the header says");
        }
    }
    let row = world.usage_of("web", 1);
    assert_eq!((row["input_tokens"].as_u64(), row["output_tokens"].as_u64()), (Some(19), Some(10)), "{row}");
}

#[test]
fn a_kept_connection_serves_call_after_call() {
    let (world, key) = World::simple(Service::OpenAi, Script::default());
    let mut connection = Connection::open(world.server.gateway());
    for _ in 0..3 {
        connection.send(&world.call(Service::OpenAi, false, &key));
        let mut answer = connection.answer().expect("an answer");
        let (body, complete) = answer.rest();
        assert!(complete && answer.status == 200, "{}", String::from_utf8_lossy(&body));
        connection = answer.into_connection();
    }
    // A refusal in between does not harm the next call.
    connection.send(&world.call(Service::OpenAi, false, "kw_prod_garbage"));
    let mut answer = connection.answer().expect("an answer");
    let (_, complete) = answer.rest();
    assert!(complete && answer.status == 401);
    // The provider's connections are kept too.
    let used = world.emulator(Service::OpenAi).requests().iter().map(|record| record.connection).max();
    assert_eq!(used, Some(0), "three calls in a row over one connection");
}

#[test]
fn requests_that_two_servers_could_read_differently_are_refused() {
    let (world, key) = World::simple(Service::OpenAi, Script::default());
    let path = "/openai/v1/chat/completions";
    let body = r#"{"model":"gpt-5.4","model":"gpt-4.1","messages":[]}"#;
    let twice = Request::new("POST", path).bearer(&key).header("content-type", "application/json").body(body);
    assert_refused(&world.send(&twice), 400, "malformed_request");
    let paths = [
        "/openai/v1/../admin",
        "/openai/v1/chat/%2e%2e/models",
        "/openai/v1//chat/completions",
        "/openai/v1/chat%2fcompletions",
    ];
    for path in paths {
        let answer = world.send(&Request::post(path, &json!({"model": "gpt-5.4", "messages": []})).bearer(&key));
        assert!(matches!(answer.status, 400 | 404), "{path}: {}", answer.status);
        assert!(answer.header("keyward-error").is_some(), "{path}");
    }
    let smuggled = format!(
        "POST {path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {key}\r\ncontent-length: 4\r\ntransfer-encoding: \
            chunked\r\n\r\n0\r\n\r\nGET /openai/v1/models HTTP/1.1\r\n\r\n"
    );
    let mut connection = Connection::open(world.server.gateway());
    connection.write(smuggled.as_bytes());
    let first = connection.interim();
    assert!(first.is_err() || first.is_ok_and(|status| status >= 400));
    assert_eq!(world.emulator(Service::OpenAi).count(), 0, "none of them reached the provider");
}

#[test]
fn two_different_keys_are_refused_and_the_same_key_twice_is_one() {
    let (world, key) = World::simple(Service::Gemini, Script::default());
    let other = world.key("other", json!({"providers": ["gemini"]}));
    let call = main_call(Service::Gemini, false);
    let path = world.gateway_path(Service::Gemini, &call.path);
    let both = call.request_at(&format!("{path}?key={other}"), &key);
    assert_refused(&world.send(&both), 400, "ambiguous_key");
    let same = call.request_at(&format!("{path}?key={key}"), &key);
    assert_answered(&world.send(&same));
    let seen = world.emulator(Service::Gemini).last();
    assert!(!seen.query.contains("key="), "the key stays out of the URL upstream: {}", seen.query);
    eventually("the call's record", || world.usage("key").iter().any(|row| row["requests"] == 1).then_some(()));
}
