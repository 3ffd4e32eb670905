//! TLS on both listeners, client certificates, proxies that may and may not speak for others, health and metrics.

use crate::world::{BINARY, World, assert_answered, assert_refused};
use keyward_testkit::{
    Keyward, Script, Service,
    server::Options,
    tls::Authority,
    wire::{Connection, Request, Response},
};
use serde_json::json;

#[test]
fn a_forged_forwarded_header_changes_nothing_unless_a_proxy_is_trusted() {
    let headers = [
        ("x-forwarded-for", "192.0.2.7"),
        ("forwarded", "for=192.0.2.7"),
        ("x-real-ip", "192.0.2.7"),
        ("cf-connecting-ip", "192.0.2.7"),
        ("true-client-ip", "192.0.2.7"),
        ("x-client-ip", "192.0.2.7"),
    ];
    let policy = json!({"providers": ["openai"], "networks": ["192.0.2.0/24"]});
    let local = json!({"providers": ["openai"], "networks": ["127.0.0.0/8"]});

    let (world, _) = World::simple(Service::OpenAi, Script::default());
    let (far, near) = (world.key("far", policy.clone()), world.key("near", local.clone()));
    for (name, value) in headers {
        let forged = world.call(Service::OpenAi, false, &far).header(name, value);
        assert_refused(&world.send(&forged), 403, "network_not_allowed");
        assert_answered(&world.send(&world.call(Service::OpenAi, false, &near).header(name, value)));
        let seen = world.emulator(Service::OpenAi).last();
        assert_eq!(seen.header(name).next(), None, "{name} went upstream");
    }

    let options = Options { arguments: vec!["--trusted-proxy".into(), "127.0.0.0/8".into()], ..Options::default() };
    let world = World::with_options(&[Service::OpenAi], options);
    world.credential(Service::OpenAi, "main", Script::default());
    let (far, near) = (world.key("far", policy), world.key("near", local));
    let through =
        |key: &str, value: &str| world.send(&world.call(Service::OpenAi, false, key).header("x-forwarded-for", value));
    assert_answered(&through(&far, "192.0.2.7"));
    assert_refused(&through(&near, "192.0.2.7"), 403, "network_not_allowed");
    // Only what the trusted proxy wrote counts: the client's own claim stands further left.
    assert_refused(&through(&far, "192.0.2.7, 198.51.100.1"), 403, "network_not_allowed");
    assert_answered(&through(&far, "198.51.100.1, 192.0.2.7"));
}

fn tls_options(authority: &Authority, folder: &std::path::Path, more: &[String]) -> Options {
    let (cert, key) = authority.server_files(folder);
    let mut arguments = vec!["--tls-cert".to_owned(), cert, "--tls-key".to_owned(), key];
    arguments.extend_from_slice(more);
    Options { arguments, ..Options::default() }
}

fn over_tls(authority: &Authority, server: &Keyward, admin: bool, request: &Request) -> Response {
    let address = if admin { server.admin() } else { server.gateway() };
    let mut connection = Connection::over(authority.connect(address), "localhost");
    connection.send(request);
    connection.answer().expect("an answer over TLS").whole().expect("a whole answer")
}

#[test]
fn both_listeners_speak_tls_and_follow_their_files() {
    let folder = tempfile::tempdir().expect("a folder");
    let first = Authority::new();
    let server = Keyward::start_with(BINARY, tls_options(&first, folder.path(), &[]));
    assert!(server.ready()["gateway"].as_str().is_some_and(|url| url.starts_with("https://")), "{}", server.ready());
    let health = over_tls(&first, &server, true, &Request::get("/healthz"));
    assert_eq!(health.status, 200);
    assert!(health.header("strict-transport-security").is_some(), "{:?}", health.headers);
    let refused = over_tls(&first, &server, false, &Request::get("/openai/v1/models"));
    assert_eq!(refused.header("keyward-error"), Some("missing_key"));

    // New files, same names: new connections get the new certificate, without a restart.
    let second = Authority::new();
    let _names = second.server_files(folder.path());
    for listener in [server.gateway(), server.admin()] {
        crate::world::eventually("the new certificate", || second.try_connect(listener).is_ok().then_some(()));
    }
}

#[test]
fn clients_of_the_gateway_must_show_a_certificate_where_it_is_asked_for() {
    let folder = tempfile::tempdir().expect("a folder");
    let authority = Authority::new();
    let clients = Authority::new();
    let ca = clients.authority_file(folder.path());
    let server =
        Keyward::start_with(BINARY, tls_options(&authority, folder.path(), &["--tls-client-ca".to_owned(), ca]));
    let request = Request::get("/openai/v1/models");
    let mut with = Connection::over(authority.connect_as(server.gateway(), &clients), "localhost");
    with.send(&request);
    let answer = with.answer().expect("an answer").whole().expect("a whole answer");
    assert_eq!(answer.header("keyward-error"), Some("missing_key"));
    let stranger = Authority::new();
    for refused in [authority.try_talk(server.gateway(), None), authority.try_talk(server.gateway(), Some(&stranger))] {
        assert!(refused.is_err(), "a connection without a known certificate was served");
    }
}

#[test]
fn people_must_show_a_certificate_where_the_admin_side_asks_for_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let (authority, people, strangers) = (Authority::new(), Authority::new(), Authority::new());
    let ca = people.authority_file(folder.path());
    let server =
        Keyward::start_with(BINARY, tls_options(&authority, folder.path(), &["--admin-tls-client-ca".to_owned(), ca]));
    for refused in [authority.try_talk(server.admin(), None), authority.try_talk(server.admin(), Some(&strangers))] {
        assert!(refused.is_err(), "a connection without a known certificate was served");
    }
    authority.try_talk(server.admin(), Some(&people)).expect("a known certificate is served");
    // Applications are not people: the gateway asks for none.
    let answer = over_tls(&authority, &server, false, &Request::get("/openai/v1/models"));
    assert_eq!(answer.header("keyward-error"), Some("missing_key"));

    // The command line can show one.
    std::fs::create_dir(folder.path().join("trusted")).expect("a folder");
    let trusted = authority.authority_file(&folder.path().join("trusted"));
    let (cert, key) = people.client_files(folder.path());
    let whoami = |more: &[&str]| {
        let mut command = std::process::Command::new(BINARY);
        command.args(["whoami", "--format", "json", "--ca", &trusted]).args(more).env_clear();
        command.env("KEYWARD_ADDR", format!("https://localhost:{}", server.admin().port()));
        command.env("KEYWARD_TOKEN", server.token());
        keyward_testkit::cli::Run::of(command, b"")
    };
    assert_eq!(whoami(&[]).status, 2);
    assert_eq!(whoami(&["--client-cert", &cert, "--client-key", &key]).ok().json()["role"], "owner");
}

#[test]
fn health_readiness_metrics_and_the_api_description_are_there() {
    let (world, key) = World::simple(Service::OpenAi, Script::default());
    let get = |path: &str| Request::get(path).send(world.server.admin());
    for path in ["/healthz", "/readyz"] {
        assert_eq!(get(path).status, 200, "{path}");
    }
    assert_answered(&world.send(&world.call(Service::OpenAi, false, &key)));
    assert_refused(&world.send(&world.call(Service::OpenAi, false, "sk-x")), 401, "malformed_key");
    let metrics = get("/metrics");
    assert_eq!(metrics.status, 200);
    let text = metrics.text();
    assert!(text.lines().any(|line| line.starts_with("# TYPE ")), "{text}");
    assert!(text.contains("malformed_key"), "refusals are counted by reason: {text}");
    assert!(!text.contains(&key[..16]), "no key in the metrics");
    let openapi = get("/api/openapi.json");
    assert_eq!(openapi.status, 200);
    assert!(openapi.json()["paths"]["/api/v1/keys"].is_object() || openapi.json()["paths"]["/keys"].is_object());
    assert_eq!(get("/api/v1/keys").status, 401, "the API wants a token");
    let problem = get("/api/v1/keys");
    assert!(problem.header("content-type").is_some_and(|kind| kind.starts_with("application/problem+json")));
}

#[test]
fn a_second_server_on_the_same_data_is_refused() {
    let (world, _) = World::simple(Service::OpenAi, Script::default());
    let data = world.server.data().to_string_lossy().into_owned();
    let other = Keyward::prepared(BINARY, Options::default());
    let run =
        other.run(&["serve", "--data-dir", &data, "--gateway-listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"]);
    assert_eq!(run.status, 2, "{}", run.all());
}
