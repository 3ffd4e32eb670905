//! Revocation is immediate, and so is every change of a key.

use crate::world::{World, assert_answered, assert_refused};
use keyward_testkit::{Gate, Script, Service, calls::main_call, emulator::End};
use serde_json::json;

#[test]
fn a_revoked_key_is_refused_on_the_next_request_and_its_stream_is_cut() {
    let gate = Gate::new();
    let (world, key) = World::simple(Service::OpenAi, Script::default().stopping_at(2, &gate));
    let other = world.key("other", json!({"providers": ["openai"]}));
    let mut stream = world.open(&world.call(Service::OpenAi, true, &key));
    stream.read_until("Hello");
    let mut others = world.open(&world.call(Service::OpenAi, true, &other));
    others.read_until("Hello");
    gate.wait_reached_by(2);

    let _told = world.server.tell(&["key", "revoke", "web", "--reason", "a test"]);

    // Nothing was released at the provider: the cut comes from the gateway, and the provider sees the hang-up.
    let (_, complete) = stream.rest();
    assert!(!complete, "a stream of a revoked key must not end as if it were whole");
    assert_eq!(world.emulator(Service::OpenAi).wait_end(0), End::HungUp);
    let upstream_calls = world.emulator(Service::OpenAi).count();
    assert_refused(&world.send(&world.call(Service::OpenAi, false, &key)), 401, "revoked_key");
    assert_eq!(world.emulator(Service::OpenAi).count(), upstream_calls, "a refused call must not reach the provider");

    // The other key's stream goes on as if nothing had been.
    gate.open();
    let (rest, complete) = others.rest();
    assert!(complete && String::from_utf8_lossy(&rest).contains("[DONE]"));

    // The cut call is recorded once, as what it was.
    let row = world.usage_of("web", 1);
    assert_eq!(row["errors"].as_u64(), Some(1), "{row}");
}

#[test]
fn a_websocket_of_a_revoked_key_is_cut() {
    let (world, _) = World::simple(Service::OpenAi, Script::default());
    let key = world.key("socket", json!({"providers": ["openai"], "operations": ["realtime"]}));
    let mut socket = crate::connections::socket(&world, "/openai/v1/realtime?model=gpt-realtime", &key);
    assert!(socket.read().expect("a first event").to_text().expect("text").contains("session.created"));
    let _told = world.server.tell(&["key", "revoke", "socket"]);
    let end = loop {
        match socket.read() {
            Ok(message) if message.is_close() => break true,
            Ok(_) => {}
            Err(_) => break true,
        }
    };
    assert!(end);
    let recorded = world.emulator(Service::OpenAi).wait_for("the socket's end", |list| {
        list.iter()
            .find(|record| record.path.ends_with("/realtime") && record.end != End::Open)
            .map(|record| record.end)
    });
    assert_ne!(recorded, End::Open);
}

#[test]
fn an_update_holds_for_the_next_call_and_leaves_calls_in_flight_alone() {
    let gate = Gate::new();
    let (world, key) = World::simple(Service::OpenAi, Script::default().stopping_at(1, &gate));
    let mut stream = world.open(&world.call(Service::OpenAi, true, &key));
    stream.read_until("Hello");
    let _told = world.server.tell(&["key", "update", "web", "--model", "gpt-4*"]);
    assert_refused(&world.send(&world.call(Service::OpenAi, false, &key)), 403, "model_not_allowed");
    let allowed = main_call(Service::OpenAi, false).with("model", json!("gpt-4.1"));
    assert_answered(&world.send(&world.sample(Service::OpenAi, &allowed, &key)));
    gate.open();
    let (rest, complete) = stream.rest();
    assert!(complete && String::from_utf8_lossy(&rest).contains("[DONE]"));
}

#[test]
fn rotation_lets_both_secrets_live_for_the_overlap_and_no_longer() {
    let (world, old) = World::simple(Service::OpenAi, Script::default());
    let rotated = world.server.tell(&["key", "rotate", "web", "--overlap", "1h"]);
    let new = rotated["key"].as_str().expect("a new secret").to_owned();
    assert_ne!(old, new);
    for key in [&old, &new] {
        assert_answered(&world.send(&world.call(Service::OpenAi, false, key)));
    }
    let rotated = world.server.tell(&["key", "rotate", "web", "--overlap", "0s"]);
    let newest = rotated["key"].as_str().expect("a new secret").to_owned();
    assert_answered(&world.send(&world.call(Service::OpenAi, false, &newest)));
    let gone = world.send(&world.call(Service::OpenAi, false, &new));
    assert_eq!(gone.status, 401, "{}", gone.text());
    assert!(matches!(gone.header("keyward-error"), Some("expired_key" | "unknown_key")), "{:?}", gone.headers);
}

#[test]
fn disabling_a_credential_and_archiving_a_project_hold_at_once() {
    let (world, key) = World::simple(Service::OpenAi, Script::default());
    let call = world.call(Service::OpenAi, false, &key);
    assert_answered(&world.send(&call));
    let _told = world.server.tell(&["credential", "disable", "main"]);
    assert_refused(&world.send(&call), 503, "no_credential");
    let _told = world.server.tell(&["credential", "enable", "main"]);
    assert_answered(&world.send(&call));
    let _told = world.server.tell(&["project", "archive", crate::world::PROJECT]);
    let refused = world.send(&call);
    assert!(refused.header("keyward-error").is_some(), "{} {}", refused.status, refused.text());
}
