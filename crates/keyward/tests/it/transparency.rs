//! The gateway changes nothing that it need not change: bodies, headers and statuses go through as they are; where a
//! field must change, the bytes around it stay.

use crate::world::{World, assert_answered, assert_refused};
use bytes::Bytes;
use keyward_testkit::{
    Emulator, Gate, Script, Service,
    emulator::{Raw, Step},
    wire::{Connection, Request, Response},
};
use serde_json::json;

const PATH: &str = "/openai/v1/chat/completions";

/// JSON as nobody would write it, which is still the caller's own.
const ODD: &str = "{ \"model\" :\t\"gpt-5.4\",\r\n  \"messages\":[ {\"role\":\"user\",\"content\":\"\\u00fcber \\/ \u{1F600}\"} ],\n\n \
    \"temperature\": 1.0e0, \"seed\": 12345678901234567890, \"max_tokens\" : 5 , \"x\":{\"b\":1,\"a\":[ ]} }\n";

fn post(world: &World, key: &str, body: &str) -> Response {
    let request = Request::new("POST", PATH).bearer(key).header("content-type", "application/json").body(body);
    world.send(&request)
}

#[test]
fn a_body_that_needs_no_change_arrives_byte_for_byte() {
    let (world, key) = World::simple(Service::OpenAi, Script::default());
    assert_answered(&post(&world, &key, ODD));
    let seen = world.emulator(Service::OpenAi).last();
    assert_eq!(String::from_utf8_lossy(&seen.body), ODD);
}

#[test]
fn the_output_cap_is_lowered_or_added_and_nothing_else_moves() {
    let (world, _) = World::simple(Service::OpenAi, Script::default());
    let key = world.key("capped", json!({"providers": ["openai"], "max_output_tokens": 16}));
    let seen = |body: &str| {
        assert_answered(&post(&world, &key, body));
        String::from_utf8(world.emulator(Service::OpenAi).last().body).expect("text")
    };
    assert_eq!(seen(ODD), ODD, "a lower cap stays");
    let high = ODD.replace("\"max_tokens\" : 5 ", "\"max_tokens\" : 50000 ");
    assert_eq!(seen(&high), ODD.replace("\"max_tokens\" : 5 ", "\"max_tokens\" : 16 "), "a higher one is lowered");
    let without = ODD.replace(" \"max_tokens\" : 5 ,", "");
    let added = seen(&without);
    let cap: serde_json::Value = serde_json::from_str(&added).expect("still JSON");
    assert_eq!(cap["max_completion_tokens"].as_u64().or_else(|| cap["max_tokens"].as_u64()), Some(16), "{added}");
    assert_eq!(cap["seed"].to_string(), "12345678901234567890", "{added}");
    let kept = without.trim().trim_start_matches('{').trim_end_matches('}').trim();
    assert!(added.contains(kept), "{added}\nhas lost\n{kept}");
}

#[test]
fn answers_arrive_byte_for_byte_with_their_headers() {
    let body = "{\"id\" : \"x\",\n\"choices\":[],   \
        \"usage\":{\"prompt_tokens\":3,\"completion_tokens\":4,\"total_tokens\":7}}\r\n";
    let headers =
        [("content-type", "application/json"), ("x-ratelimit-remaining-requests", "7"), ("x-request-id", "req_1")];
    let raw = Raw {
        status: 200,
        headers: headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
        steps: vec![Step::Data(Bytes::from_static(body.as_bytes()))],
    };
    let (world, key) = World::simple(Service::OpenAi, Script { raw: Some(raw), ..Script::default() });
    let answer = post(&world, &key, ODD);
    assert_answered(&answer);
    assert_eq!(answer.text(), body);
    for (name, value) in headers {
        assert_eq!(answer.header(name), Some(value));
    }
    let row = world.usage_of("web", 1);
    assert_eq!((row["input_tokens"].as_u64(), row["output_tokens"].as_u64()), (Some(3), Some(4)), "{row}");
}

#[test]
fn a_stream_arrives_byte_for_byte() {
    let services =
        [Service::Anthropic, Service::Gemini, Service::Bedrock, Service::Cohere, Service::Groq, Service::OpenRouter];
    let world = World::with(&services);
    for service in services {
        world.credential(service, service.id(), Script::default());
        let key = world.key(service.id(), json!({"providers": [service.id()]}));
        let through = world.send(&world.call(service, true, &key));
        let emulator = world.emulator(service);
        let sample = keyward_testkit::calls::main_call(service, true);
        let direct = sample.request_at(&sample.path, &emulator.key_with(Script::default())).send(emulator.address());
        assert!(through.body == direct.body, "{service:?}:\n{}\n---\n{}", through.text(), direct.text());
        assert_eq!(through.header("content-type"), direct.header("content-type"));
    }
}

#[test]
fn headers_go_through_but_for_those_of_one_hop() {
    let (world, key) = World::simple(Service::Anthropic, Script::default());
    let call = world
        .call(Service::Anthropic, false, &key)
        .header("anthropic-beta", "one,two")
        .header("user-agent", "shop/1.0")
        .header("x-stainless-lang", "rust")
        .header("connection", "x-hop, close")
        .header("x-hop", "gone")
        .header("te", "trailers")
        .header("cookie", "session=1")
        .header("proxy-authorization", "Basic eA==");
    assert_answered(&world.send(&call));
    let seen = world.emulator(Service::Anthropic).last();
    for (name, value) in [
        ("anthropic-beta", "one,two"),
        ("user-agent", "shop/1.0"),
        ("x-stainless-lang", "rust"),
        ("anthropic-version", "2023-06-01"),
    ] {
        assert_eq!(seen.header(name).collect::<Vec<_>>(), [value], "{name}");
    }
    for name in ["x-hop", "te", "cookie", "proxy-authorization", "authorization"] {
        assert_eq!(seen.header(name).next(), None, "{name} went upstream");
    }
    let host = world.emulator(Service::Anthropic).address().to_string();
    assert_eq!(seen.header("host").next(), Some(host.as_str()));
    assert_eq!(seen.header("x-api-key").count(), 1);
    // What the provider insists on is added where the client left it out.
    let bare =
        Request::post("/anthropic/v1/messages", &json!({"model": "claude-sonnet-5", "max_tokens": 5, "messages": []}));
    assert_answered(&world.send(&bare.header("x-api-key", &key)));
}

#[test]
fn redirects_are_not_followed() {
    let elsewhere = Emulator::start(Service::OpenAi);
    let world = World::with(&[Service::OpenAi]);
    let secret = world.credential(Service::OpenAi, "main", Script::default());
    let key = world.key("web", json!({"providers": ["openai"]}));
    for status in [301, 302, 307, 308] {
        let headers = vec![("location".to_owned(), format!("{}/chat/completions", elsewhere.base_url()))];
        let raw = Raw { status, headers, steps: Vec::new() };
        world.emulator(Service::OpenAi).script(&secret, Script { raw: Some(raw), ..Script::default() });
        let answer = post(&world, &key, ODD);
        assert!(answer.status == status || answer.status == 502, "{}", answer.status);
    }
    assert_eq!(elsewhere.count(), 0, "the real key followed a redirect");
}

#[test]
fn the_first_bytes_of_a_slow_unary_answer_do_not_wait_for_the_rest() {
    let gate = Gate::new();
    let raw = Raw {
        status: 200,
        headers: vec![("content-type".to_owned(), "application/json".to_owned())],
        steps: vec![
            Step::Data(Bytes::from_static(b"\n\n\n")),
            Step::Wait(gate.clone()),
            Step::Data(Bytes::from_static(br#"{"usage":{"prompt_tokens":3,"completion_tokens":4,"total_tokens":7}}"#)),
        ],
    };
    let (world, key) = World::simple(Service::OpenAi, Script { raw: Some(raw), ..Script::default() });
    let mut answer =
        world.open(&Request::new("POST", PATH).bearer(&key).header("content-type", "application/json").body(ODD));
    answer.read_until("\n");
    gate.wait_reached();
    gate.open();
    let (rest, complete) = answer.rest();
    assert!(complete && String::from_utf8_lossy(&rest).contains("prompt_tokens"));
    assert_eq!(world.usage_of("web", 1)["output_tokens"].as_u64(), Some(4));
}

#[test]
fn bodies_that_hide_their_model_are_refused() {
    let (world, _) = World::simple(Service::OpenAi, Script::default());
    let key = world.key("narrow", json!({"providers": ["openai"], "models": ["gpt-5*"]}));
    let send = |body: &[u8], coding: &str| {
        let request = Request::new("POST", PATH).bearer(&key).header("content-type", "application/json").body(body);
        world.send(&request.header("content-encoding", coding))
    };
    let plain = br#"{"model":"gpt-5.4","messages":[]}"#;
    assert_answered(&send(plain, "identity"));
    let before = world.emulator(Service::OpenAi).count();
    let escaped = r#"{"model":"gpt-5.4","mod\u0065l":"gpt-4.1","messages":[]}"#;
    let wide: Vec<u8> = r#"{"model":"gpt-4.1","messages":[]}"#.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let hidden: [(&str, &[u8], &str); 7] = [
        ("a name escaped", escaped.as_bytes(), "identity"),
        ("a second document", br#"{"model":"gpt-5.4","messages":[]}{"model":"gpt-4.1"}"#, "identity"),
        ("UTF-16", &wide, "identity"),
        ("a model that is a list", br#"{"model":["gpt-4.1"],"messages":[]}"#, "identity"),
        ("no object", br#"["gpt-4.1"]"#, "identity"),
        ("an unknown coding", plain, "br"),
        ("gzip that is none", plain, "gzip"),
    ];
    for (what, body, coding) in hidden {
        let answer = send(body, coding);
        assert!((400..500).contains(&answer.status), "{what}: {} {}", answer.status, answer.text());
        assert!(answer.header("keyward-error").is_some(), "{what}: {}", answer.text());
    }
    assert_eq!(world.emulator(Service::OpenAi).count(), before, "one of them reached the provider");
}

#[test]
fn a_long_silence_is_no_reason_to_end_a_call() {
    // The client sends half a head and then nothing: it holds no place that others need.
    let (world, key) = World::simple(Service::OpenAi, Script::default());
    let mut idle: Vec<Connection> = (0..64).map(|_| Connection::open(world.server.gateway())).collect();
    for connection in &mut idle {
        connection.write(b"POST /openai/v1/chat/completions HTTP/1.1\r\nhost: x\r\n");
    }
    assert_answered(&post(&world, &key, ODD));
    assert_refused(&post(&world, "sk-x", ODD), 401, "malformed_key");
}
