//! Streams stay streams: the first byte goes out when it comes in, nothing is buffered, a hang-up goes through. All by
//! handshake; no test measures time.

use crate::world::{World, assert_answered, eventually};
use bytes::Bytes;
use keyward_testkit::{
    Gate, Script, Service,
    emulator::{End, Fault, Raw, Step},
};
use serde_json::json;
use std::{cell::Cell, sync::Arc};

/// Providers with a stream, each in its own form.
const STREAMED: &[Service] = &[
    Service::OpenAi,
    Service::Anthropic,
    Service::Gemini,
    Service::Bedrock,
    Service::Cohere,
    Service::Groq,
    Service::DeepSeek,
    Service::OpenRouter,
];

#[test]
fn each_piece_arrives_before_the_provider_sends_the_next() {
    let world = World::with(STREAMED);
    for service in STREAMED {
        let gates: Vec<Arc<Gate>> = (0..3).map(|_| Gate::new()).collect();
        let mut script = Script { text: "first;second;third;".to_owned(), chunks: 3, ..Script::default() };
        for (number, gate) in gates.iter().enumerate() {
            script = script.stopping_at(number + 1, gate);
        }
        // Three pieces of seven characters: the text is 20 long.
        let pieces = script.pieces();
        world.credential(*service, service.id(), script);
        let key = world.key(service.id(), json!({"providers": [service.id()]}));
        let mut answer = world.open(&world.call(*service, true, &key));
        assert_eq!(answer.status, 200, "{service:?}");
        for (piece, gate) in pieces.iter().zip(&gates) {
            // The provider stands at the gate: what has arrived is all that it has sent.
            answer.read_until(piece);
            gate.wait_reached();
            gate.open();
        }
        let (_, complete) = answer.rest();
        assert!(complete, "{service:?}");
    }
}

#[test]
fn a_client_that_hangs_up_is_a_hang_up_at_the_provider() {
    let gate = Gate::new();
    let (world, key) = World::simple(Service::OpenAi, Script::default().stopping_at(2, &gate));
    let mut answer = world.open(&world.call(Service::OpenAi, true, &key));
    answer.read_until("Hello");
    drop(answer);
    assert_eq!(world.emulator(Service::OpenAi).wait_end(0), End::HungUp);
    let row = world.usage_of("web", 1);
    assert_eq!(row["errors"].as_u64(), Some(1), "{row}");
    // What the provider made so far is billed: an unknown count is an estimate, never nothing.
    assert!(row["output_tokens"].as_u64() > Some(0), "{row}");
}

#[test]
fn a_client_that_hangs_up_before_the_answer_frees_the_provider() {
    let gate = Gate::new();
    let (world, key) = World::simple(Service::OpenAi, Script { hold: Some(gate.clone()), ..Script::default() });
    let mut connection = keyward_testkit::wire::Connection::open(world.server.gateway());
    connection.send(&world.call(Service::OpenAi, false, &key));
    gate.wait_reached();
    drop(connection);
    assert_eq!(world.emulator(Service::OpenAi).wait_end(0), End::HungUp);
    world.usage_of("web", 1);
}

#[test]
fn a_provider_that_breaks_off_breaks_the_answer() {
    let world = World::with(&[Service::OpenAi]);
    world.credential(Service::OpenAi, "main", Script::default().failing(Fault::CloseAt(2)));
    let key = world.key("web", json!({"providers": ["openai"]}));
    let mut answer = world.open(&world.call(Service::OpenAi, true, &key));
    let (seen, complete) = answer.rest();
    assert!(!complete, "a broken stream must not look whole: {}", String::from_utf8_lossy(&seen));
    let row = world.usage_of("web", 1);
    assert_eq!(row["errors"].as_u64(), Some(1), "{row}");

    let secret = world.emulator(Service::OpenAi).last().header("authorization").next().expect("a key")[7..].to_owned();
    world.emulator(Service::OpenAi).script(&secret, Script::default().failing(Fault::CloseBeforeAnswer));
    let answer = world.send(&world.call(Service::OpenAi, false, &key));
    assert_eq!(
        (answer.status, answer.header("keyward-error")),
        (502, Some("upstream_unreachable")),
        "{}",
        answer.text()
    );
}

#[test]
fn errors_within_a_stream_go_through_and_are_recorded() {
    let services = [Service::OpenAi, Service::Anthropic, Service::OpenRouter];
    let world = World::with(&services);
    for service in services {
        world.credential(service, service.id(), Script::default().failing(Fault::ErrorAt(1)));
        let key = world.key(service.id(), json!({"providers": [service.id()]}));
        let answer = world.send(&world.call(service, true, &key));
        assert_eq!(answer.status, 200);
        assert!(answer.text().contains("error"), "{service:?}: {}", answer.text());
        let row = world.usage_of(service.id(), 1);
        assert_eq!(row["errors"].as_u64(), Some(1), "{service:?}: {row}");
    }
}

/// Bytes in one line of the big answers.
const LINE: usize = 64 << 10;
/// Lines in a big answer: 96 MiB in all.
const LINES: usize = 1_536;
/// What the gateway may grow by while a slow reader holds a big answer up: a third of it. What it takes in truth is its
/// buffers and what the allocator keeps.
const GROWTH: u64 = 32 << 20;

fn big(content_type: &str) -> Script {
    let line = Bytes::from(format!("data: {}\n\n", "x".repeat(LINE - 8)));
    let headers = vec![("content-type".to_owned(), content_type.to_owned())];
    Script { raw: Some(Raw { status: 200, headers, steps: vec![Step::Repeat(line, LINES)] }), ..Script::default() }
}

#[test]
fn a_slow_reader_holds_the_provider_up_and_not_the_memory() {
    let world = World::with(&[Service::OpenAi]);
    world.credential(Service::OpenAi, "main", Script::default());
    let key = world.key("web", json!({"providers": ["openai"]}));
    assert_answered(&world.send(&world.call(Service::OpenAi, true, &key)));
    let emulator = world.emulator(Service::OpenAi);
    for content_type in ["text/event-stream", "application/octet-stream"] {
        let secret = emulator.requests()[0].header("authorization").next().expect("a key")[7..].to_owned();
        emulator.script(&secret, big(content_type));
        let before = world.server.peak_memory();
        let at = emulator.count();
        let mut answer = world.open(&world.call(Service::OpenAi, true, &key));
        let first = answer.read_until("data: ");
        // Nobody reads on: the provider's side comes to a halt, far from the end.
        let halted = halt(|| emulator.requests()[at].sent);
        assert!(halted < (LINE * LINES / 2) as u64, "{halted} bytes were taken from the provider unread");
        let (rest, complete) = answer.rest();
        assert!(complete);
        assert_eq!(first.len() + rest.len(), LINE * LINES);
        let grown = world.server.peak_memory() - before;
        assert!(grown < GROWTH, "{content_type}: the gateway grew by {} MiB", grown >> 20);
    }
}

/// Waits until a count has stopped growing, and gives it.
fn halt(count: impl Fn() -> u64) -> u64 {
    let state = Cell::new((0, 0));
    eventually("the provider's side to halt", || {
        let (last, same) = state.get();
        let now = count();
        state.set((now, if now == last && now > 0 { same + 1 } else { 0 }));
        (same >= 10).then_some(now)
    })
}

#[test]
fn hundreds_of_open_streams_are_served() {
    const STREAMS: usize = 300;
    let gate = Gate::new();
    let (world, key) = World::simple(Service::OpenAi, Script::default().stopping_at(1, &gate));
    let call = world.call(Service::OpenAi, true, &key);
    let mut answers: Vec<_> = (0..STREAMS).map(|_| world.open(&call)).collect();
    for answer in &mut answers {
        answer.read_until("Hello");
    }
    gate.wait_reached_by(STREAMS);
    gate.open();
    for mut answer in answers {
        let (rest, complete) = answer.rest();
        assert!(complete && String::from_utf8_lossy(&rest).contains("[DONE]"));
    }
    let row = world.usage_of("web", STREAMS as u64);
    assert_eq!(row["output_tokens"].as_u64(), Some(10 * STREAMS as u64), "{row}");
}
