//! The marked key: a real key goes through everything that is built, and is nowhere to be found afterwards but in the
//! provider's own header.

use crate::world::{PROJECT, World, eventually};
use keyward_testkit::{
    Emulator, Script, Service, State,
    calls::main_call,
    canary::Canary,
    emulator::{Echo, Fault},
    server::Options,
    wire::{Request, Response},
};
use serde_json::json;
use std::fs;

/// What was said to somebody, by where.
struct Heard(Vec<(String, Vec<u8>)>);

impl Heard {
    fn note(&mut self, place: &str, bytes: impl Into<Vec<u8>>) {
        self.0.push((place.to_owned(), bytes.into()));
    }

    fn answer(&mut self, place: &str, answer: &Response) {
        self.note(place, answer.bytes());
    }
}

const SERVICES: [Service; 4] = [Service::OpenAi, Service::Anthropic, Service::Gemini, Service::DeepSeek];

/// A world that logs as much as it can.
fn loud() -> World {
    let environment =
        vec![("KEYWARD_LOG".to_owned(), "trace".to_owned()), ("RUST_BACKTRACE".to_owned(), "1".to_owned())];
    World::with_options(&SERVICES, Options { environment, ..Options::default() })
}

fn command(world: &World, heard: &mut Heard, arguments: &[&str], input: &[u8]) {
    let run = world.server.run_with(arguments, input);
    heard.note(&arguments.join(" "), run.all());
}

/// Calls that succeed and calls that fail in every way, with a provider that repeats the key in each error and in its
/// headers.
fn use_it(world: &World, heard: &mut Heard, service: Service, secret: &str, key: &str) {
    let emulator = world.emulator(service);
    let echoing = vec![("x-debug-authorization".to_owned(), format!("Bearer {secret}"))];
    let id = world.credential_state(service.id())["id"].as_str().expect("an id").to_owned();
    for state in State::ALL {
        for stream in [false, true] {
            // A credential that was taken out in the round before is brought back by a check.
            emulator.set_state(secret, State::Live);
            let verified = world.server.api("POST", &format!("/api/v1/credentials/{id}/verify"), None);
            heard.answer("verify", &verified);
            emulator.set_state(secret, state);
            emulator.script(secret, Script { echo: Echo::Whole, headers: echoing.clone(), ..Script::default() });
            let before = emulator.count();
            let answer = world.send(&world.call(service, stream, key));
            let place = format!("{} {} stream={stream}", service.id(), state.name());
            assert!(emulator.count() > before, "{place}: the call did not reach the provider: {}", answer.text());
            heard.answer(&place, &answer);
            let verified = world.server.api("POST", &format!("/api/v1/credentials/{id}/verify"), None);
            heard.answer("verify", &verified);
        }
    }
    emulator.set_state(secret, State::Live);
    let _told = world.server.api("POST", &format!("/api/v1/credentials/{id}/verify"), None);
    for fault in [Fault::CloseBeforeAnswer, Fault::CloseAt(1), Fault::ErrorAt(1), Fault::NoMoneyAt(1)] {
        emulator.script(secret, Script::default().failing(fault));
        let mut answer = world.open(&world.call(service, true, key));
        let (body, _) = answer.rest();
        heard.note(&format!("{} {fault:?}", service.id()), body);
    }
    emulator.script(secret, Script::default());
    // The application sends the real key itself, in every place.
    let sample = main_call(service, false);
    let path = world.gateway_path(service, &sample.path);
    heard.answer("the real key as a virtual one", &world.send(&sample.request_at(&path, secret)));
    heard.answer("the real key in the query", &world.send(&Request::get(&format!("{path}?key={secret}"))));
    heard.answer("the real key in the path", &world.send(&Request::get(&format!("{path}/{secret}")).bearer(key)));
    heard.answer(
        "the real key as a model",
        &world.send(&world.sample(service, &sample.with("model", json!(secret)), "kw_prod_x")),
    );
}

/// Requests to the control API that are wrong in ways that tempt an error message to repeat them.
fn wrong_requests(world: &World, heard: &mut Heard, secret: &str) {
    let bodies = [
        json!({"project": PROJECT, "provider": "openai", "name": "x", "secret": [secret]}),
        json!({"project": PROJECT, "provider": "openai", "name": "x", "secret": secret, "order": "first"}),
        json!({"project": PROJECT, "provider": "nobody", "name": "x", "secret": secret}),
        json!({"project": "nobody", "provider": "openai", "name": "x", "secret": secret}),
        json!({"project": PROJECT, "provider": "openai", "name": "x", "secret": secret,
        "base_url": "http://169.254.169.254/"}),
        json!({"project": PROJECT, "provider": "openai", "name": "main", "secret": secret, "unknown_field": true}),
    ];
    for body in bodies {
        let answer = world.server.api("POST", "/api/v1/credentials", Some(&body));
        heard.answer("a wrong credential", &answer);
    }
    let cut = format!("{{\"project\":\"{PROJECT}\",\"secret\":\"{secret}");
    let cut = Request::new("POST", "/api/v1/credentials")
        .bearer(world.server.token())
        .header("content-type", "application/json")
        .body(cut);
    heard.answer("a cut body", &cut.send(world.server.admin()));
    heard.answer("as a bearer", &Request::get("/api/v1/keys").bearer(secret).send(world.server.admin()));
}

/// The secret where a name belongs: what people do who are in a hurry. Nobody repeats it to them, or stores it.
fn slips(world: &World, heard: &mut Heard, secret: &str) {
    for arguments in [
        &["credential", "add", "--project", PROJECT, "--provider", "openai", "--name", "x", "--secret", secret][..],
        &["credential", "add", "--project", PROJECT, "--provider", "openai", "--name", "x", secret],
        &["credential", "add", "--project", PROJECT, "--provider", secret, "--name", "x"],
        &["credential", "show", secret],
        &["credential", "verify", secret],
        &["key", "show", secret],
        &["key", "revoke", secret],
        &["usage", "--key", secret],
        &["provider", "show", secret],
        &["project", "show", secret],
    ] {
        let run = world.server.run_with(arguments, b"");
        assert_ne!(run.status, 0, "{}", run.all());
        // The words that were typed are the caller's own; the answer is ours.
        heard.note("a slip on the command line", run.all());
    }
}

fn look_everywhere(world: &World, heard: &mut Heard) {
    let backup = world.server.folder().join("canary.backup").to_string_lossy().into_owned();
    for arguments in [
        &["backup", backup.as_str()][..],
        &["vault", "status"],
        &["vault", "rotate"],
        &["doctor"],
        &["audit", "log", "--limit", "1000"],
        &["usage", "--by", "key"],
        &["usage", "--by", "credential"],
        &["usage", "--by", "model"],
        &["usage", "--by", "project"],
        &["usage", "--by", "day"],
        &["usage", "--by", "operation"],
        &["credential", "list"],
        &["credential", "show", "openai"],
        &["key", "list"],
        &["key", "show", "openai"],
        &["project", "list"],
        &["project", "show", PROJECT],
        &["project", "update", PROJECT, "--rpm", "100000"],
        &["provider", "list"],
        &["provider", "show", "openai"],
        &["provider", "price", "--provider", "openai"],
        &["token", "create", "reader", "--role", "auditor"],
        &["token", "list"],
        &["token", "revoke", "reader"],
        &["vault", "recovery", "prove", "--identity", "identity.txt"],
        &["whoami"],
    ] {
        command(world, heard, arguments, b"");
        // What is written for people is made elsewhere than what is written for scripts.
        heard.note(&arguments.join(" "), world.server.run_for_people(arguments).all());
    }
    restored(world, heard, &backup);
    for path in [
        "/metrics",
        "/healthz",
        "/readyz",
        "/api/openapi.json",
        "/api/v1/status",
        "/api/v1/vault",
        "/api/v1/credentials",
        "/api/v1/keys",
        "/api/v1/audit?limit=1000",
        "/api/v1/doctor",
        "/api/v1/usage?by=day",
        "/api/v1/tokens",
        "/api/v1/providers",
        "/api/v1/projects",
        "/api/docs",
        "/setup",
        "/",
    ] {
        heard.answer(path, &world.server.api("GET", path, None));
    }
    let process = format!("/proc/{}", world.server.pid());
    for file in ["environ", "cmdline"] {
        heard.note(file, fs::read(format!("{process}/{file}")).expect("the process's own files"));
    }
    let limits = fs::read_to_string(format!("{process}/limits")).expect("the process has limits");
    let core = limits.lines().find(|line| line.starts_with("Max core file size")).expect("a limit for core files");
    assert_eq!(core.split_whitespace().filter(|word| *word == "0").count(), 2, "no core dumps: {core}");
}

/// A backup that was brought back, with everything in it out of its encryption.
fn restored(world: &World, heard: &mut Heard, backup: &str) {
    let place = |name: &str| world.server.folder().join(name).to_string_lossy().into_owned();
    let (identity, data) = (place("identity.txt"), place("restored"));
    let restore = world.server.run(&["restore", backup, "--identity", &identity, "--data-dir", &data]);
    heard.note("restore", restore.all());
    let _brought_back = restore.ok();
    let check = ["vault", "recover", "--check", "--identity", &identity, "--data-dir", &data];
    heard.note("recover", world.server.run(&check).ok().all());
}

#[test]
fn a_real_key_is_in_the_providers_header_and_nowhere_else() {
    let mut world = loud();
    let mut heard = Heard(Vec::new());
    let mut marked: Vec<String> = Vec::new();
    let mut virtual_keys: Vec<String> = Vec::new();
    for service in SERVICES {
        let secret = world.emulator(service).key(State::Live);
        world.add(service, service.id(), &secret);
        let key = world.key(service.id(), json!({"providers": [service.id()]}));
        use_it(&world, &mut heard, service, &secret, &key);
        marked.push(secret);
        virtual_keys.push(key);
    }
    wrong_requests(&world, &mut heard, &marked[0]);
    assert!(world.server.log().contains("\"TRACE\""), "the server logs all that it can");

    // Rotation of the real key, of the virtual key, of the vault; disabling, revoking.
    let newer = world.emulator(Service::OpenAi).key(State::Live);
    let versions = world.credential_state("openai")["id"].as_str().expect("an id").to_owned();
    let body = json!({"secret": newer});
    heard.answer(
        "a new version",
        &world.server.api("POST", &format!("/api/v1/credentials/{versions}/versions"), Some(&body)),
    );
    let after = world.send(&world.call(Service::OpenAi, false, &virtual_keys[0]));
    assert_eq!(after.status, 200, "{}", after.text());
    let carried = world.emulator(Service::OpenAi).last();
    assert_eq!(
        carried.header("authorization").next(),
        Some(format!("Bearer {newer}").as_str()),
        "the new version is used"
    );
    marked.push(newer);
    command(&world, &mut heard, &["credential", "verify", "anthropic"], b"");
    command(&world, &mut heard, &["credential", "disable", "anthropic"], b"");
    command(&world, &mut heard, &["credential", "enable", "anthropic"], b"");
    let add = ["credential", "add", "--project", PROJECT, "--provider", "openai", "--name", "again"];
    command(&world, &mut heard, &add, marked[0].as_bytes());
    slips(&world, &mut heard, &marked[0]);
    let replace = ["credential", "replace", "gemini"];
    marked.push(world.emulator(Service::Gemini).key(State::Live));
    command(&world, &mut heard, &replace, marked[marked.len() - 1].as_bytes());
    look_everywhere(&world, &mut heard);
    command(&world, &mut heard, &["credential", "revoke", "deepseek"], b"");
    command(&world, &mut heard, &["key", "revoke", "deepseek"], b"");
    eventually("the usage to be in the database", || (!world.usage("key").is_empty()).then_some(()));

    // A crash leaves no more behind than a stop does.
    world.server.kill();
    check(&world, &heard, &marked, &virtual_keys);
    world.server.launch();
    assert!(world.server.stop().success());
    check(&world, &heard, &marked, &virtual_keys);
    assert!(upstream_saw_only_real_keys(world.emulator(Service::OpenAi), &marked));
}

fn check(world: &World, heard: &Heard, marked: &[String], virtual_keys: &[String]) {
    let canary = Canary::new(marked.iter().map(String::as_str));
    let mut finds: Vec<String> = heard.0.iter().filter_map(|(place, bytes)| canary.seen(place, bytes)).collect();
    // A virtual key is shown once, and stored as a hash.
    let secrets = virtual_keys.iter().map(|key| &key[key.len() - 39..]);
    let canary = Canary::new(marked.iter().map(String::as_str).chain(secrets));
    let (in_files, files) = canary.seen_in_folder(world.server.folder());
    finds.extend(in_files);
    assert!(files > 5, "only {files} files were looked at");
    assert!(finds.is_empty(), "marked keys were found:\n{}", finds.join("\n"));
}

fn upstream_saw_only_real_keys(emulator: &Emulator, marked: &[String]) -> bool {
    let requests = emulator.requests();
    assert!(!requests.is_empty());
    requests.iter().all(|record| {
        let real =
            record.header("authorization").any(|value| marked.iter().any(|secret| value == format!("Bearer {secret}")));
        real && keyward_testkit::find(&record.bytes(), b"kw_prod_").is_none()
    })
}

#[test]
fn what_names_the_real_account_is_taken_out_of_answers() {
    for service in [Service::OpenAi, Service::Anthropic] {
        let (world, key) = World::simple(service, Script::default());
        let emulator = world.emulator(service);
        let answer = world.send(&world.call(service, false, &key));
        assert_eq!(answer.status, 200);
        let record = emulator.last();
        let name = if service == Service::OpenAi { "authorization" } else { "x-api-key" };
        let secret = record.header(name).next().expect("a real key").trim_start_matches("Bearer ").to_owned();
        let organisation = emulator.organisation(&secret);
        let bytes = answer.bytes();
        assert!(keyward_testkit::find(&bytes, organisation.as_bytes()).is_none(), "{:?}", answer.headers);
        // What helps and names nobody stays.
        let request_id = if service == Service::OpenAi { "x-request-id" } else { "request-id" };
        assert_eq!(answer.header(request_id), Some("req_emulated"));
    }
}

#[test]
fn the_ends_of_a_key_that_providers_show_are_hidden_too() {
    for service in [Service::OpenAi, Service::DeepSeek, Service::Xai] {
        let world = World::with(&[service]);
        let secret = world.emulator(service).key(State::Revoked);
        world.add(service, "main", &secret);
        let key = world.key("web", json!({"providers": [service.id()]}));
        let answer = world.send(&world.call(service, false, &key));
        assert!(answer.status >= 400);
        let tail = format!("*{}", &secret[secret.len() - if service == Service::Xai { 2 } else { 4 }..]);
        assert!(!answer.text().contains(&tail), "{service:?}: {}", answer.text());
    }
}
