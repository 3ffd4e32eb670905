//! When the disk is full, and when it lied: new work is refused and says why, what was accepted stays, and with room
//! everything goes on by itself.

use crate::world::{PROJECT, World, assert_answered, assert_refused, eventually};
use keyward_testkit::{
    Script, Service,
    calls::main_call,
    cli::Run,
    disk::Disk,
    server::Options,
    wire::{Connection, Response},
};
use serde_json::{Value, json};
use std::{
    collections::BTreeSet,
    fs,
    io::{Seek as _, SeekFrom, Write as _},
    os::unix::fs::PermissionsExt as _,
    process::Command,
};

/// A model's name so long that the journal's files are soon used up.
fn wide(number: usize) -> String {
    format!("m-{number}-{}", "x".repeat(1_200))
}

/// A server on a disk of its own, with a key.
fn on(disk: &Disk) -> (World, String) {
    let environment = disk.environment();
    let arguments = vec!["--threads".to_owned(), "1".to_owned()];
    let world = World::with_options(&[Service::OpenAi], Options { environment, arguments, ..Options::default() });
    world.credential(Service::OpenAi, "main", Script::default());
    let key = world.key("web", json!({"providers": ["openai"]}));
    (world, key)
}

fn create(world: &World, name: &str) -> Response {
    world.server.api("POST", "/api/v1/projects", Some(&json!({"name": name})))
}

/// Calls, each with a model of its own, until one is refused; gives how many were answered, and the refusal.
fn call_until_refused(world: &World, key: &str, from: usize) -> (usize, Response) {
    let path = world.gateway_path(Service::OpenAi, "/v1/chat/completions");
    let mut connection = Connection::open(world.server.gateway());
    for number in from..from + 50_000 {
        let body = main_call(Service::OpenAi, false).with("model", json!(wide(number)));
        connection.send(&body.request_at(&path, key));
        let mut answer = connection.answer().expect("an answer");
        let (body, complete) = answer.rest();
        assert!(complete, "an answer was cut");
        if answer.status != 200 {
            return (number - from, Response { status: answer.status, headers: answer.headers.clone(), body });
        }
        connection = answer.into_connection();
    }
    panic!("the journal grew on a full disk");
}

/// The calls in the usage, model by model, without the filling of their names; fails when one is there twice.
fn counted(world: &World) -> BTreeSet<String> {
    let rows = world.usage("model");
    let once = |row: &Value| {
        let name = row["model"].as_str().unwrap_or_default().split("-x").next().unwrap_or_default().to_owned();
        assert!(row["requests"] == 1 || !name.starts_with("m-"), "counted more than once: {row}");
        name
    };
    rows.iter().map(once).filter(|name| name.starts_with("m-")).collect()
}

#[test]
fn a_full_disk_refuses_new_work_loses_nothing_and_passes() {
    let disk = Disk::new();
    let (mut world, key) = on(&disk);
    assert_answered(&world.send(&world.call(Service::OpenAi, false, &key)));
    world.usage_of("web", 1);
    disk.fill(&world.server.data());

    // The control API: accepted or refused, nothing between.
    let mut accepted = Vec::new();
    let refused = (0..1_000).map(|number| format!("p{number}")).find_map(|name| {
        let answer = create(&world, &name);
        if answer.status == 201 {
            accepted.push(name);
            return None;
        }
        Some(answer)
    });
    let refused = refused.expect("the database grew on a full disk");
    let problem = refused.json();
    assert_eq!((refused.status, problem["code"].as_str()), (507, Some("storage_full")), "{problem}");
    assert!(problem["hint"].as_str().is_some_and(|hint| hint.contains("free space")), "{problem}");
    let said = world.server.run(&["project", "create", "by-command"]);
    assert!(said.status == 2 && said.stderr.contains("the disk is full"), "{}", said.all());
    let state = world.server.api("GET", "/api/v1/status", None).json();
    assert_eq!(state["database"]["state"], "disk_full");
    assert_eq!(world.server.api("GET", "/api/v1/projects", None).status, 200, "reading goes on");

    // The gateway: calls go on as long as what they cost can be written down, and not one call longer.
    let (answered, refusal) = call_until_refused(&world, &key, 0);
    assert!(answered > 100, "{answered} calls found room in what the journal had set aside");
    assert_refused(&refusal, 503, "storage_full");
    assert!(
        refusal.json()["error"]["message"].as_str().is_some_and(|text| text.contains("disk")),
        "{}",
        refusal.text()
    );
    let upstream = world.emulator(Service::OpenAi).count();
    assert_eq!(upstream, answered + 1, "a refused call did not reach the provider");
    let doctor = world.server.run(&["doctor"]);
    assert!(doctor.status == 1 && doctor.all().contains("the disk is full"), "{}", doctor.all());
    assert!(world.server.log().contains("the journal cannot grow"), "{}", world.server.log());
    assert!(world.server.api("GET", "/metrics", None).text().contains("keyward_gateway_journal_full 1"));

    // Room: everything goes on by itself, and everything that was accepted is there.
    disk.free();
    eventually("calls to be taken again", || {
        (world.send(&world.call(Service::OpenAi, false, &key)).status == 200).then_some(())
    });
    eventually("every call in the usage", || (counted(&world).len() == answered).then_some(()));
    assert_eq!(create(&world, "afterwards").status, 201);
    accepted.push("afterwards".to_owned());
    assert_eq!(world.server.api("GET", "/api/v1/status", None).json()["database"]["state"], "sound");
    assert!(world.server.stop().success(), "{}", world.server.log());
    world.server.launch();
    accepted.push(PROJECT.to_owned());
    accepted.sort();
    let mut there: Vec<String> = world.server.api("GET", "/api/v1/projects", None).json()["items"]
        .as_array()
        .expect("projects")
        .iter()
        .filter_map(|project| project["name"].as_str().map(str::to_owned))
        .collect();
    there.sort();
    assert_eq!(there, accepted);
    assert_eq!(counted(&world).len(), answered);
}

#[test]
fn killed_on_a_full_disk_it_comes_back_with_everything() {
    let disk = Disk::new();
    let (mut world, key) = on(&disk);
    disk.fill(&world.server.data());
    let (answered, _) = call_until_refused(&world, &key, 0);
    world.server.kill();
    // It may start or not while there is no room; if not, it says why.
    if let Err(said) = world.server.try_launch() {
        assert!(said.contains("full") || said.contains("No space left"), "{said}");
    } else {
        world.server.kill();
    }
    disk.free();
    world.server.launch();
    eventually("every call in the usage", || (counted(&world).len() == answered).then_some(()));
    assert_answered(&world.send(&world.call(Service::OpenAi, false, &key)));
    assert!(world.server.stop().success());
    let mut command = Command::new("sqlite3");
    command.arg(world.server.data().join("keyward.db")).arg("pragma integrity_check; pragma foreign_key_check;");
    assert_eq!(Run::of(command, b"").ok().stdout.trim(), "ok");
}

#[test]
fn a_restore_that_was_cut_off_makes_no_new_installation_and_can_be_run_again() {
    let (world, _) = World::simple(Service::OpenAi, Script::default());
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| folder.path().join(name).to_string_lossy().into_owned();
    let (backup, data) = (path("backup"), path("data"));
    let identity = world.server.folder().join("identity.txt").to_string_lossy().into_owned();
    let _told = world.server.tell(&["backup", &backup]);
    fs::create_dir(&data).expect("a folder");
    fs::set_permissions(&data, fs::Permissions::from_mode(0o700)).expect("a mode");
    fs::write(path("data/keyward.db.restoring"), "half of it").expect("written");
    let serve = ["serve", "--data-dir", &data, "--gateway-listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"];
    let refused = world.server.run(&serve);
    assert!(refused.status == 2 && refused.stderr.contains("cut off"), "{}", refused.all());
    assert!(refused.stderr.contains("hint: run it again: keyward restore"), "{}", refused.stderr);
    let _told = world.server.tell(&["restore", &backup, "--identity", &identity, "--data-dir", &data]);
    let left: BTreeSet<String> = fs::read_dir(&data)
        .expect("the folder")
        .map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned())
        .collect();
    assert_eq!(left, ["keyward.db", "keyward.lock", "master.key"].map(str::to_owned).into());
}

/// Overwrites a page in the middle of a table.
fn damage(world: &World, table: &str) {
    let path = world.server.data().join("keyward.db");
    let mut command = Command::new("sqlite3");
    command.arg("-readonly").arg(&path).arg(format!(
        "select pageno from dbstat where name = '{table}' and pagetype = 'leaf' order by path limit 1 offset 1"
    ));
    let page: u64 = Run::of(command, b"").ok().stdout.trim().parse().expect("the table has several pages");
    let mut file = fs::File::options().write(true).open(&path).expect("the database");
    file.seek(SeekFrom::Start((page - 1) * 4_096)).and_then(|_| file.write_all(&[0xA5; 4_096])).expect("written");
}

/// A server with long tables, stopped.
fn filled() -> World {
    let (mut world, _) = World::simple(Service::OpenAi, Script::default());
    for number in 0..60 {
        let _made = world.key(&format!("k{number}"), json!({"providers": ["openai"], "models": ["x".repeat(100)]}));
    }
    assert!(world.server.stop().success());
    world
}

#[test]
fn a_damaged_database_stops_all_writing_and_says_so_everywhere() {
    let mut world = filled();
    // Among what is only read when somebody asks for it.
    let mut command = Command::new("sqlite3");
    command.arg(world.server.data().join("keyward.db"));
    command.arg("create table ballast as select hex(randomblob(100)) from generate_series(1, 200)");
    let _made = Run::of(command, b"").ok();
    damage(&world, "ballast");
    world.server.launch();
    let ready = world.server.api("GET", "/readyz", None);
    assert_eq!((ready.status, ready.text().trim()), (503, "the database is damaged"));
    let refused = create(&world, "later");
    let problem = refused.json();
    assert_eq!((refused.status, problem["code"].as_str()), (503, Some("database_damaged")), "{problem}");
    assert!(problem["hint"].as_str().is_some_and(|hint| hint.contains("restore")), "{problem}");
    assert!(world.server.log().contains("the database refuses writes"), "{}", world.server.log());
    let state = world.server.api("GET", "/api/v1/status", None).json();
    assert_eq!(state["database"]["state"], "damaged");
    let doctor = world.server.run(&["doctor"]);
    assert!(doctor.status != 0 && doctor.all().contains("damaged"), "{}", doctor.all());
}

#[test]
fn damage_among_the_keys_stops_the_start() {
    let mut world = filled();
    damage(&world, "keys");
    let said = world.server.try_launch().expect_err("keys that cannot be read");
    assert!(said.contains("the database is damaged") && said.contains("restore a backup"), "{said}");
}
