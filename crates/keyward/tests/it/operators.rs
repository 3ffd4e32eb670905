//! What an operator does: a provider of their own by a file, limits for a whole project, the vault's keys changed under
//! way.

use crate::world::{BINARY, PROJECT, World, assert_answered, assert_refused, eventually};
use keyward_testkit::{Keyward, Script, Service, server::Options, wire::Request};
use serde_json::json;
use std::fs;

const OWN: &str = r#"
id = "own"
name = "Our own models"
as_of = "2026-11-21"

[api]
base_url = "https://models.example.org/v1"
root = "/own/v1"
dialect = "openai"
http = "2"

[auth]
header = "authorization"
prefix = "Bearer "

[[operations]]
name = "chat"
method = "POST"
path = "/chat/completions"
request = "json"
model = { body = "model" }
usage = "chat"

[usage.chat]
roots = ["usage"]
counters = { input = ["prompt_tokens"], output = ["completion_tokens"] }
"#;

#[test]
fn a_provider_added_by_a_file_works_and_speaks_http2_when_told_to() {
    let server = Keyward::prepared(BINARY, Options::default());
    let folder = server.data().join("providers");
    fs::create_dir_all(&folder).expect("a folder");
    let file = folder.join("own.toml");
    fs::write(&file, OWN).expect("a file");
    let name = file.to_string_lossy().into_owned();
    let _told = server.run(&["provider", "check", &name]).ok();
    fs::write(&file, OWN.replace("dialect = \"openai\"", "dialect = \"klingon\"")).expect("a file");
    let wrong = server.run(&["provider", "check", &name]);
    assert_eq!(wrong.status, 1, "{}", wrong.all());
    assert!(wrong.all().contains("klingon") && wrong.all().contains('9'), "with line and column: {}", wrong.all());
    fs::write(&file, OWN).expect("a file");

    let mut server = server;
    server.launch();
    server.prepare(PROJECT);
    let emulator = keyward_testkit::Emulator::start(Service::OpenAi);
    let secret = emulator.key_with(Script::default());
    let _told = server.add_credential(PROJECT, "own", "main", &emulator.base_url(), &secret);
    let key = server.key(PROJECT, "web", &["--provider", "own"]);
    let body = json!({"model": "our-model", "messages": []});
    let answer = Request::post("/own/v1/chat/completions", &body).bearer(&key).send(server.gateway());
    assert_answered(&answer);
    assert!(emulator.last().http2, "the file says HTTP/2");
    assert_eq!(emulator.last().header("authorization").next(), Some(format!("Bearer {secret}").as_str()));
}

#[test]
fn projects_and_environments_give_their_keys_defaults() {
    let (world, free) = World::simple(Service::OpenAi, Script::default());
    let call = |key: &str| world.send(&world.call(Service::OpenAi, false, key));
    assert_answered(&call(&free));
    let body = json!({"policy": {"models": ["gpt-*"], "networks": ["192.0.2.0/24"]},
                      "environments": {"production": {"networks": ["127.0.0.0/8"]}}});
    let patched = world.server.api("PATCH", &format!("/api/v1/projects/{PROJECT}"), Some(&body));
    assert_eq!(patched.status, 200, "{}", patched.text());
    // Production has its own networks; the project's models hold everywhere.
    assert_answered(&call(&free));
    let staging = world.make_key(
        json!({"project": PROJECT, "environment": "staging", "name": "staging", "policy": {"providers": ["openai"]}}),
    );
    let staging = staging["key"].as_str().expect("a key").to_owned();
    assert_refused(&call(&staging), 403, "network_not_allowed");
    // A key's own word stands above both.
    let near = world.make_key(json!({"project": PROJECT, "environment": "staging", "name": "near",
        "policy": {"providers": ["openai"], "networks": ["127.0.0.1/32"], "models": ["claude-*"]}}));
    assert_refused(&call(near["key"].as_str().expect("a key")), 403, "model_not_allowed");
    // And the defaults can be changed for all keys at once.
    let body = json!({"environments": {"production": {"networks": ["127.0.0.0/8"], "operations": ["models"]}}});
    assert_eq!(world.server.api("PATCH", &format!("/api/v1/projects/{PROJECT}"), Some(&body)).status, 200);
    assert_refused(&call(&free), 403, "operation_not_allowed");
}

#[test]
fn environments_do_not_share_credentials_unless_told_to() {
    let world = World::with(&[Service::OpenAi]);
    let secret = world.emulator(Service::OpenAi).key_with(Script::default());
    let body = json!({"project": PROJECT, "environment": "production", "provider": "openai", "name": "main",
    "secret": secret,
                      "base_url": world.base_url(Service::OpenAi), "allow_private_address": true});
    let made = world.server.api("POST", "/api/v1/credentials", Some(&body));
    assert_eq!(made.status, 201, "{}", made.text());
    let key = |environment: &str| {
        let made = world.make_key(json!({"project": PROJECT, "environment": environment, "name": environment,
        "policy": {"providers": ["openai"]}}));
        made["key"].as_str().expect("a key").to_owned()
    };
    assert_answered(&world.send(&world.call(Service::OpenAi, false, &key("production"))));
    assert_refused(&world.send(&world.call(Service::OpenAi, false, &key("development"))), 503, "no_credential");
}

#[test]
fn private_addresses_are_refused_unless_allowed_by_name() {
    let world = World::with(&[Service::OpenAi]);
    let secret = world.emulator(Service::OpenAi).key_with(Script::default());
    for (name, url) in [("main", world.base_url(Service::OpenAi)), ("metadata", "http://169.254.169.254/v1".to_owned())]
    {
        let body = json!({"project": PROJECT, "provider": "openai", "name": name, "secret": secret, "base_url": url});
        let refused = world.server.api("POST", "/api/v1/credentials", Some(&body));
        assert!((400..500).contains(&refused.status), "{url}: {}", refused.text());
    }
    // A name is only known when it is called: what it resolves to is looked at then.
    let port = world.emulator(Service::OpenAi).address().port();
    let body = json!({"project": PROJECT, "provider": "openai", "name": "named", "secret": secret,
                      "base_url": format!("http://localhost:{port}/v1")});
    let made = world.server.api("POST", "/api/v1/credentials", Some(&body));
    if made.status == 201 {
        let key = world.key("web", json!({"providers": ["openai"]}));
        assert_refused(&world.send(&world.call(Service::OpenAi, false, &key)), 502, "upstream_forbidden");
    }
    assert_eq!(world.emulator(Service::OpenAi).count(), 0, "a private address was called");
}

#[test]
fn the_vaults_key_changes_under_way_and_survives_kills() {
    let mut world = World::with(&[Service::OpenAi]);
    for number in 0..20 {
        world.credential(Service::OpenAi, &format!("c{number}"), Script::default());
    }
    let key = world.key("web", json!({"providers": ["openai"]}));
    for _ in 0..3 {
        let _told = world.server.tell(&["vault", "rotate"]);
        world.server.kill();
        world.server.launch();
        assert_answered(&world.send(&world.call(Service::OpenAi, false, &key)));
    }
    let done = eventually("all secrets under the newest key", || {
        let status = world.server.tell(&["vault", "status"]);
        let text = status.to_string();
        (text.contains("\"idle\"") && !text.contains("\"running\"")).then_some(status)
    });
    let active = done.to_string().matches("\"active\"").count();
    assert!(active >= 1, "{done}");
    for _ in 0..20 {
        assert_answered(&world.send(&world.call(Service::OpenAi, false, &key)));
    }
    assert_eq!(world.server.run(&["doctor"]).status, 0, "{}", world.server.run(&["doctor"]).all());
}
