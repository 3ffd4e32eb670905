//! PostgreSQL in the place of the embedded database, through the real binary: nothing that a user does tells the two
//! apart, and several servers can share one.

use crate::world::{BINARY, PROJECT, World, assert_answered, assert_refused, eventually};
use keyward_testkit::{
    Keyward, Postgres, Script, Service,
    cli::Run,
    server::Options,
    wire::{Request, Response},
};
use serde_json::{Value, json};
use std::{
    fs,
    process::Command,
    time::{Duration, Instant},
};

fn options(url: &str) -> Options {
    Options { arguments: vec!["--database".to_owned(), url.to_owned()], ..Options::default() }
}

/// A server on a database, with a credential and a key.
fn world(url: &str) -> (World, String) {
    let world = World::with_options(&[Service::OpenAi], options(url));
    world.credential(Service::OpenAi, "main", Script::default());
    let key = world.key("web", json!({"providers": ["openai"]}));
    (world, key)
}

fn call(world: &World, key: &str) -> Response {
    world.send(&world.call(Service::OpenAi, false, key))
}

#[test]
fn everything_works_on_postgresql() {
    let postgres = Postgres::start();
    let url = postgres.database();
    let (mut world, key) = world(&url);
    assert_answered(&call(&world, &key));
    let row = world.usage_of("web", 1);
    assert_eq!((row["input_tokens"].as_u64(), row["output_tokens"].as_u64()), (Some(19), Some(10)), "{row}");
    let status = world.server.api("GET", "/api/v1/status", None).json();
    assert_eq!(status["database"], json!({"kind": "postgres", "state": "sound"}));
    assert!(!world.server.data().join("keyward.db").exists(), "there is no second database");
    assert_eq!(postgres.sql(&url, "select count(*) from keys").trim(), "1");

    let _told = world.server.tell(&["key", "update", "web", "--model", "gpt-4*"]);
    assert_refused(&call(&world, &key), 403, "model_not_allowed");
    let _told = world.server.tell(&["key", "update", "web", "--unset", "model"]);
    let rotated = world.server.tell(&["key", "rotate", "web", "--overlap", "1h"]);
    assert_answered(&call(&world, rotated["key"].as_str().expect("a key")));
    let _told = world.server.tell(&["vault", "rotate"]);
    eventually("the rotation's end", || {
        let status = world.server.tell(&["vault", "status"]);
        (status["rewrap"]["state"] == "idle").then_some(())
    });
    assert_answered(&call(&world, &key));
    let doctor = world.server.run(&["doctor"]);
    assert_eq!(doctor.status, 0, "{}", doctor.all());

    // Killed in the middle, it starts again with everything, and each call is counted once.
    for _ in 0..20 {
        assert_answered(&call(&world, &key));
    }
    world.server.kill();
    world.server.launch();
    assert_answered(&call(&world, &key));
    world.usage_of("web", 24);
    let _told = world.server.tell(&["key", "revoke", "web"]);
    assert_refused(&call(&world, &key), 401, "revoked_key");
    world.server.kill();
    world.server.launch();
    assert_refused(&call(&world, &key), 401, "revoked_key");
    assert!(world.server.stop().success(), "{}", world.server.log());
}

#[test]
fn rows_changed_in_postgresql_are_refused_by_name() {
    let postgres = Postgres::start();
    let url = postgres.database();
    let (mut world, key) = world(&url);
    let narrow = world.key("narrow", json!({"providers": ["openai"], "models": ["nothing-*"]}));
    assert!(world.server.stop().success());
    let widen = r#"update keys set policy = '{"providers":["*"]}' where name = 'narrow' returning name"#;
    assert_eq!(postgres.sql(&url, widen).trim(), "narrow");
    world.server.launch();
    assert_refused(&call(&world, &narrow), 401, "unknown_key");
    assert_answered(&call(&world, &key));
    assert!(world.server.log().contains("narrow"), "{}", world.server.log());
    let doctor = world.server.run(&["doctor"]);
    assert!(doctor.status == 1 && doctor.all().contains("narrow"), "{}", doctor.all());
}

#[test]
fn a_backup_goes_from_one_kind_of_database_to_the_other() {
    let postgres = Postgres::start();
    let url = postgres.database();
    let (mut world, key) = world(&url);
    assert_answered(&call(&world, &key));
    world.usage_of("web", 1);
    let identity = world.server.folder().join("identity.txt").to_string_lossy().into_owned();
    let first = world.server.folder().join("first.backup").to_string_lossy().into_owned();
    let _told = world.server.tell(&["backup", &first]);
    assert!(world.server.stop().success());

    // Into an embedded database, and from there into another PostgreSQL.
    let mut lite = Keyward::prepared(BINARY, Options::default());
    let data = lite.data().to_string_lossy().into_owned();
    let _said = lite.run(&["restore", &first, "--identity", &identity, "--data-dir", &data]).ok();
    lite.launch();
    let through = |server: &Keyward| world.call(Service::OpenAi, false, &key).send(server.gateway());
    assert_answered(&through(&lite));
    let usage = |server: &Keyward| {
        let path = "/api/v1/usage?by=key&since=24h";
        let answer = Request::get(path).bearer(world.server.token()).send(server.admin());
        answer.json()["rows"][0]["requests"].as_u64()
    };
    eventually("both calls in the usage", || (usage(&lite) == Some(2)).then_some(()));
    let second = world.server.folder().join("second.backup");
    let copied = Request::get("/api/v1/backup").bearer(world.server.token()).send(lite.admin());
    assert_eq!(copied.status, 200, "{}", copied.text());
    fs::write(&second, &copied.body).expect("a file");
    assert!(lite.stop().success());

    let other = postgres.database();
    let mut back = Keyward::prepared(BINARY, options(&other));
    let (second, data) = (second.to_string_lossy().into_owned(), back.data().to_string_lossy().into_owned());
    let restore = ["restore", &second, "--identity", &identity, "--data-dir", &data, "--database", &other];
    let _said = back.run(&restore).ok();
    back.launch();
    assert_answered(&through(&back));
    eventually("all calls in the usage", || (usage(&back) == Some(3)).then_some(()));
    assert!(back.stop().success());

    // Never over a database that holds something, whatever the data folder says.
    let fresh = Keyward::prepared(BINARY, Options::default());
    let data = fresh.data().to_string_lossy().into_owned();
    let restore = ["restore", &second, "--identity", &identity, "--data-dir", &data, "--database", &other];
    let refused = fresh.run(&restore);
    assert!(refused.status == 2 && refused.stderr.contains("not empty"), "{}", refused.all());
    assert!(!fresh.data().join("master.key").exists(), "what failed leaves nothing behind");
}

/// A second server on the database of a first one.
struct Pair {
    one: World,
    two: Keyward,
}

impl Pair {
    fn on(url: &str) -> (Self, String) {
        let (one, key) = world(url);
        let master = format!("file:{}", one.server.data().join("master.key").display());
        let mut options = options(url);
        options.arguments.extend(["--master-key".to_owned(), master]);
        let two = Keyward::start_with(BINARY, options);
        (Self { one, two }, key)
    }

    fn at_two(&self, key: &str) -> Response {
        self.one.call(Service::OpenAi, false, key).send(self.two.gateway())
    }

    /// A call of the second server's API; the first one's token is as good there.
    fn api_of_two(&self, method: &str, path: &str, body: &Value) -> Response {
        let request = Request::new(method, path).bearer(self.one.server.token());
        request.header("content-type", "application/json").body(body.to_string()).send(self.two.admin())
    }

    /// How long the second server goes on after the first one has revoked a key.
    fn delay(&self, number: usize) -> Duration {
        let name = format!("short-{number}");
        let key = self.one.key(&name, json!({"providers": ["openai"]}));
        eventually("the new key on the other server", || (self.at_two(&key).status == 200).then_some(()));
        let revoked = self.one.server.api("POST", &format!("/api/v1/keys/{name}/revoke"), None);
        let told = Instant::now();
        assert_eq!(revoked.status, 200, "{}", revoked.text());
        assert_refused(&call(&self.one, &key), 401, "revoked_key");
        eventually("the refusal on the other server", || {
            (self.at_two(&key).header("keyward-error") == Some("revoked_key")).then(|| told.elapsed())
        })
    }
}

#[test]
fn two_servers_share_a_database() {
    let postgres = Postgres::start();
    let url = postgres.database();
    let (pair, key) = Pair::on(&url);
    assert_answered(&call(&pair.one, &key));
    assert_answered(&pair.at_two(&key));

    // What one changes holds on the other, in both directions.
    let body = json!({"project": PROJECT, "environment": "production", "name": "theirs",
                      "policy": {"providers": ["openai"]}});
    let made = pair.api_of_two("POST", "/api/v1/keys", &body);
    assert_eq!(made.status, 201, "{}", made.text());
    let theirs = made.json()["key"].as_str().expect("a key").to_owned();
    assert_answered(&pair.at_two(&theirs));
    eventually("the second server's key on the first", || (call(&pair.one, &theirs).status == 200).then_some(()));
    let _told = pair.one.server.tell(&["key", "update", "theirs", "--model", "gpt-4*"]);
    eventually("the change on the second server", || {
        (pair.at_two(&theirs).header("keyward-error") == Some("model_not_allowed")).then_some(())
    });
    // Also a change of the vault's keys.
    assert_eq!(pair.api_of_two("POST", "/api/v1/vault/rotate", &json!({})).status, 200);
    let second = pair.one.credential(Service::OpenAi, "second", Script::default());
    let _told = pair.one.server.tell(&["credential", "disable", "main"]);
    eventually("the new credential on the second server", || {
        assert_answered(&pair.at_two(&key));
        let used = pair.one.emulator(Service::OpenAi).last();
        (used.header("authorization").next() == Some(format!("Bearer {second}").as_str())).then_some(())
    });

    // Each counts its own calls, and the sum is everybody's.
    let made = pair.one.emulator(Service::OpenAi).requests().len() as u64;
    let total = |server: &Keyward| {
        let answer = Request::get("/api/v1/usage?by=project&since=24h").bearer(pair.one.server.token());
        answer.send(server.admin()).json()["rows"][0]["requests"].as_u64()
    };
    eventually("all calls of both in the usage", || (total(&pair.one.server) == Some(made)).then_some(()));
    assert_eq!(total(&pair.two), Some(made));
}

#[test]
fn a_server_that_was_given_up_goes_on_when_it_comes_back() {
    let postgres = Postgres::start();
    let (mut pair, key) = Pair::on(&postgres.database());
    let set = pair.one.server.tell(&["budget", "set", "--project", PROJECT, "1 USD/total"]);
    let budget = set["id"].as_str().expect("an id").to_owned();
    // One call below the budget; perhaps nothing of it is in the database yet but the money set aside for it.
    eventually("the budget on the second server", || pair.at_two(&key).header("keyward-budget-remaining").map(drop));
    pair.two.kill();
    let stand = |pair: &Pair| {
        let shown = pair.one.server.tell(&["budget", "show", &budget]);
        (shown["spent_nano_usd"].as_i64().expect("spent"), shown["leased_nano_usd"].as_i64().expect("leased"))
    };
    let other = |pair: &Pair| {
        let nodes = pair.one.server.tell(&["budget", "nodes"]);
        let all = nodes["items"].as_array().expect("a list").clone();
        all.into_iter().find(|node| node["status"] != "here")
    };
    let id = other(&pair).expect("the second server")["id"].as_str().expect("an id").to_owned();
    let (spent, leased) = stand(&pair);
    assert!(leased > 0, "nobody gave it back");
    let refused = pair.one.server.run(&["budget", "reclaim", &id]);
    assert!(refused.status == 2 && refused.stderr.contains("--force"), "{}", refused.all());
    let here = pair.one.server.tell(&["budget", "nodes"])["items"][0]["id"].clone();
    let refused = pair.one.server.run(&["budget", "reclaim", here.as_str().expect("an id"), "--force"]);
    assert!(refused.status == 2 && refused.stderr.contains("the server that answers"), "{}", refused.all());

    let done = pair.one.server.tell(&["budget", "reclaim", &id, "--force", "--reason", "its disk is lost"]);
    assert_eq!(done["charged_nano_usd"].as_i64(), Some(leased), "{done}");
    assert_eq!(stand(&pair), (spent + leased, 0), "all of it counts as spent");
    let node = other(&pair).expect("it is still known");
    assert_eq!((node["charged_nano_usd"].as_i64(), node["leases"].as_u64()), (Some(leased), Some(0)), "{node}");

    // It comes back on its own folder: its call is booked, all that it did not spend comes back, and calls go on.
    pair.two.launch();
    let is_gone = |node: Option<Value>| node.is_some_and(|node| node["id"].as_str() != Some(&*id));
    eventually("its earlier run to be accounted for", || is_gone(other(&pair)).then_some(()));
    let cost = stand(&pair).0;
    assert!(cost > 0 && cost < spent + leased, "{cost} of {leased}");
    assert_answered(&pair.at_two(&key));
    eventually("one more call in the budget", || (stand(&pair).0 == 2 * cost).then_some(()));
    let doctor = pair.one.server.run(&["doctor", "--rebuild"]);
    assert_eq!(doctor.status, 0, "{}", doctor.all());
    assert!(pair.two.stop().success() && stand(&pair).1 == 0, "a server that stops gives everything back");
}

#[test]
fn a_revocation_reaches_the_other_server_within_100_ms() {
    let postgres = Postgres::start();
    let (pair, _) = Pair::on(&postgres.database());
    // The mean of several: a look at the database now and then, without being told, would take 250 ms.
    let delays: Vec<Duration> = (0..10).map(|number| pair.delay(number)).collect();
    let mean = delays.iter().sum::<Duration>() / 10;
    println!("a revocation took {mean:?} to the other server; each: {delays:?}");
    assert!(mean < Duration::from_millis(100), "{delays:?}");
}

#[test]
fn calls_go_on_while_the_database_is_away_and_are_counted_when_it_is_back() {
    let mut postgres = Postgres::start();
    let url = postgres.database();
    let (world, key) = world(&url);
    assert_answered(&call(&world, &key));
    world.usage_of("web", 1);
    postgres.stop();
    for _ in 0..5 {
        assert_answered(&call(&world, &key));
    }
    let refused = world.server.api("POST", "/api/v1/projects", Some(&json!({"name": "later"})));
    assert_eq!((refused.status, refused.json()["code"].as_str()), (503, Some("database_unreachable")));
    let mut doctor = Command::new(BINARY);
    doctor.args(["doctor"]).env_clear().env("KEYWARD_DATA_DIR", world.server.data());
    let doctor = Run::of(doctor, b"");
    assert!(doctor.status == 1 && doctor.stdout.contains("does not answer"), "{}", doctor.all());
    postgres.launch();
    world.usage_of("web", 6);
    let _told = world.server.tell(&["key", "revoke", "web"]);
    assert_refused(&call(&world, &key), 401, "revoked_key");
}
