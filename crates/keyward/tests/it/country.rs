//! The rule by country, with a database in MaxMind's format that is made here.

use crate::world::{BINARY, World, assert_answered, assert_refused, eventually};
use keyward_testkit::{Keyward, Script, Service, mmdb::Countries, server::Options, wire::Response};
use serde_json::json;
use std::{fs, path::Path};

/// A server that looks countries up in a file, and believes the test when it speaks for others.
fn options(database: &Path) -> Options {
    let database = database.to_string_lossy().into_owned();
    let arguments = ["--country-database", &database, "--trusted-proxy", "127.0.0.0/8"].map(str::to_owned).to_vec();
    Options { arguments, ..Options::default() }
}

/// Puts a file in another's place as a whole, as the tools do it that fetch new databases.
fn replace(path: &Path, bytes: &[u8]) {
    let draft = path.with_extension("draft");
    fs::write(&draft, bytes).and_then(|()| fs::rename(&draft, path)).expect("a file");
}

struct Map {
    world: World,
    _folder: tempfile::TempDir,
    database: std::path::PathBuf,
}

impl Map {
    fn new(countries: &Countries) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let database = folder.path().join("countries.mmdb");
        replace(&database, &countries.database());
        let world = World::with_options(&[Service::OpenAi], options(&database));
        world.credential(Service::OpenAi, "main", Script::default());
        Self { world, _folder: folder, database }
    }

    fn key(&self, name: &str, countries: &[&str]) -> String {
        self.world.key(name, json!({"providers": ["openai"], "countries": countries}))
    }

    /// A call from an address, as a proxy would tell it; from this machine itself when there is none.
    fn call(&self, key: &str, from: Option<&str>) -> Response {
        let call = self.world.call(Service::OpenAi, false, key);
        self.world.send(&from.into_iter().fold(call, |call, from| call.header("x-forwarded-for", from)))
    }
}

#[test]
fn a_key_works_only_from_its_countries() {
    let map = Map::new(
        &Countries::default()
            .with("127.0.0.0/8", "AT")
            .with("192.0.2.0/24", "DE")
            .with("192.0.2.128/25", "CH")
            .with("2001:db8:1::/48", "FR"),
    );
    let (home, abroad, anywhere) =
        (map.key("home", &["AT"]), map.key("abroad", &["DE", "FR"]), map.world.key("any", json!({"providers": ["*"]})));
    let rows: [(&str, Option<&str>, bool); 11] = [
        (&home, None, true),
        (&abroad, None, false),
        (&home, Some("192.0.2.5"), false),
        (&abroad, Some("192.0.2.5"), true),
        // A network within another one is in a country of its own.
        (&abroad, Some("192.0.2.200"), false),
        (&abroad, Some("2001:db8:1::5"), true),
        (&abroad, Some("::ffff:192.0.2.5"), true),
        // An address that the database does not know is nowhere.
        (&abroad, Some("198.51.100.1"), false),
        (&abroad, Some("2001:db8:2::5"), false),
        (&anywhere, Some("198.51.100.1"), true),
        (&anywhere, None, true),
    ];
    for (key, from, allowed) in rows {
        let before = map.world.emulator(Service::OpenAi).count();
        let answer = map.call(key, from);
        if allowed {
            assert_answered(&answer);
        } else {
            assert_refused(&answer, 403, "country_not_allowed");
            assert!(answer.json()["error"]["message"].is_string(), "in the provider's shape: {}", answer.text());
            assert_eq!(answer.header("x-should-retry"), Some("false"));
            assert_eq!(map.world.emulator(Service::OpenAi).count(), before, "{from:?} reached the provider");
        }
    }
    // The command line changes it like everything else, at once.
    let _told = map.world.server.tell(&["key", "update", "home", "--country", "DE"]);
    assert_refused(&map.call(&home, None), 403, "country_not_allowed");
    assert_answered(&map.call(&home, Some("192.0.2.5")));
}

#[test]
fn a_new_country_database_is_taken_up_without_a_restart() {
    let map = Map::new(&Countries::default().with("127.0.0.0/8", "AT"));
    let key = map.key("home", &["IS"]);
    assert_refused(&map.call(&key, None), 403, "country_not_allowed");
    // One that cannot be used changes nothing; the next one is looked at again.
    replace(&map.database, b"no database");
    eventually("the broken file to be said", || map.world.server.log().contains("countries.mmdb").then_some(()));
    replace(&map.database, &Countries::default().with("127.0.0.0/8", "IS").with("10.0.0.0/8", "AT").database());
    eventually("the new database", || (map.call(&key, None).status == 200).then_some(()));
}

#[test]
fn without_a_country_database_nobody_is_anywhere() {
    let (world, free) = World::simple(Service::OpenAi, Script::default());
    let key = world.key("home", json!({"providers": ["openai"], "countries": ["AT"]}));
    assert_refused(&world.send(&world.call(Service::OpenAi, false, &key)), 403, "country_not_allowed");
    assert_answered(&world.send(&world.call(Service::OpenAi, false, &free)));
}

#[test]
fn a_country_database_that_cannot_be_used_stops_the_start() {
    let folder = tempfile::tempdir().expect("a folder");
    let whole = Countries::default().with("127.0.0.0/8", "AT").database();
    let marker = keyward_testkit::find(&whole, b"MaxMind.com").expect("a database has metadata");
    let files: [(&str, Option<&[u8]>); 5] = [
        ("missing", None),
        ("empty", Some(b"")),
        ("garbage", Some(b"<html>404</html>")),
        // The download broke off; the beginning is missing; the countries are.
        ("cut", whole.get(..marker)),
        ("beheaded", whole.get(marker - 3..)),
    ];
    for (name, bytes) in files {
        let path = folder.path().join(format!("{name}.mmdb"));
        if let Some(bytes) = bytes {
            fs::write(&path, bytes).expect("a file");
        }
        let said = Keyward::prepared(BINARY, options(&path)).try_launch().expect_err(name);
        assert!(said.contains("country database") && said.contains(&format!("{name}.mmdb")), "{name}: {said}");
    }
    let path = folder.path().join("nowhere.mmdb");
    fs::write(&path, Countries::default().database()).expect("a file");
    let said = Keyward::prepared(BINARY, options(&path)).try_launch().expect_err("a database without countries");
    assert!(said.contains("nowhere.mmdb"), "{said}");
}
