//! `kill -9` at any moment: what was in the journal arrives, once; the database is sound.

use crate::world::{BINARY, World, assert_answered, eventually};
use keyward_testkit::{Keyward, Script, Service, calls::main_call, cli::Run, wire::Connection};
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::PermissionsExt as _,
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
};

/// Callers at once.
const CALLERS: usize = 6;

/// Calls without end over a kept connection, each with a model of its own, until the server is gone. Gives how many
/// were answered in full.
fn caller(world: &World, key: &str, round: usize, number: usize, warm: &Arc<AtomicBool>) -> JoinHandle<usize> {
    let address = world.server.gateway();
    let path = world.gateway_path(Service::OpenAi, "/v1/chat/completions");
    let (key, warm) = (key.to_owned(), Arc::clone(warm));
    std::thread::spawn(move || {
        let mut connection = Connection::open(address);
        for call in 0.. {
            let body = main_call(Service::OpenAi, call % 3 == 0).with("model", json!(model(round, number, call)));
            if !connection.try_write(&body.request_at(&path, &key).head("gateway")) {
                return call;
            }
            if !connection.try_write(body.body.to_string().as_bytes()) {
                return call;
            }
            let Ok(mut answer) = connection.answer() else { return call };
            let (_, complete) = answer.rest();
            if !complete || answer.status != 200 {
                return call;
            }
            if call > 20 {
                warm.store(true, Ordering::Relaxed);
            }
            connection = answer.into_connection();
        }
        unreachable!("the server is killed long before the numbers end")
    })
}

fn model(round: usize, caller: usize, call: usize) -> String {
    format!("m-{round}-{caller}-{call}")
}

fn by_model(world: &World) -> BTreeMap<String, u64> {
    let rows = world.usage("model");
    rows.iter()
        .map(|row| {
            let name = row["model"].as_str().unwrap_or_default();
            (name.rsplit('/').next().unwrap_or(name).to_owned(), row["requests"].as_u64().unwrap_or(0))
        })
        .collect()
}

#[test]
fn killed_under_load_nothing_is_lost_and_nothing_is_counted_twice() {
    let (mut world, key) = World::simple(Service::OpenAi, Script::default());
    let mut answered: Vec<(usize, usize, usize)> = Vec::new();
    for round in 0..3 {
        let warm = Arc::new(AtomicBool::new(false));
        let callers: Vec<_> = (0..CALLERS).map(|number| caller(&world, &key, round, number, &warm)).collect();
        eventually("the callers to be at work", || warm.load(Ordering::Relaxed).then_some(()));
        world.server.kill();
        for (number, caller) in callers.into_iter().enumerate() {
            answered.push((round, number, caller.join().expect("a caller ends")));
        }
        world.server.launch();
        // The server works at once, with the past still arriving.
        assert_answered(&world.send(&world.call(Service::OpenAi, false, &key)));
    }
    let upstream = world.emulator(Service::OpenAi).count();
    // The last call of each caller may have been answered in the moment of the kill, before it was recorded; all
    // before it, whose successor was taken up, were in the journal.
    let owed: Vec<String> = answered
        .iter()
        .flat_map(|(round, number, calls)| (0..calls.saturating_sub(1)).map(|call| model(*round, *number, call)))
        .collect();
    assert!(owed.len() > 3 * CALLERS, "the callers were at work: {answered:?}");
    let seen = eventually("all calls in the usage", || {
        let seen = by_model(&world);
        owed.iter().all(|name| seen.contains_key(name)).then_some(seen)
    });
    let twice: Vec<_> = seen.iter().filter(|(name, count)| name.starts_with("m-") && **count != 1).collect();
    assert!(twice.is_empty(), "counted more than once: {twice:?}");
    let total: u64 = seen.values().sum();
    assert!(total <= upstream as u64, "{total} recorded, {upstream} made");
    let everything = eventually("the last call in the usage", || {
        let seen = by_model(&world);
        (seen.get(Service::OpenAi.model()) == Some(&3)).then(|| seen.values().sum::<u64>())
    });

    let doctor = world.server.run(&["doctor"]);
    assert!(doctor.status == 0 || !doctor.all().contains("corrupt"), "{}", doctor.all());
    assert!(world.server.stop().success());
    let mut command = Command::new("sqlite3");
    command.arg(world.server.data().join("keyward.db")).arg("pragma integrity_check; pragma foreign_key_check;");
    assert_eq!(Run::of(command, b"").ok().stdout.trim(), "ok");
    // A second clean start brings nothing more.
    world.server.launch();
    assert_answered(&world.send(&world.call(Service::OpenAi, false, &key)));
    eventually("one more call in the usage", || {
        let seen = by_model(&world);
        (seen.get(Service::OpenAi.model()) == Some(&4)).then(|| assert_eq!(seen.values().sum::<u64>(), everything + 1))
    });
}

#[test]
fn a_control_change_that_was_answered_outlives_a_kill() {
    let (mut world, key) = World::simple(Service::OpenAi, Script::default());
    for round in 0..3 {
        let name = format!("k{round}");
        let made = world.key(&name, json!({"providers": ["openai"]}));
        let _told = world.server.tell(&["key", "revoke", &name]);
        world.server.kill();
        world.server.launch();
        let refused = world.send(&world.call(Service::OpenAi, false, &made));
        assert_eq!((refused.status, refused.header("keyward-error")), (401, Some("revoked_key")), "{}", refused.text());
    }
    assert_answered(&world.send(&world.call(Service::OpenAi, false, &key)));
    // Each of these changes left its audit row.
    let audit = world.server.api("GET", "/api/v1/audit?limit=200", None).json();
    let revoked = audit["items"]
        .as_array()
        .expect("audit rows")
        .iter()
        .filter(|row| row["action"].as_str().is_some_and(|action| action.contains("revoke")))
        .count();
    assert_eq!(revoked, 3, "{audit}");
    let sequences: Vec<u64> =
        audit["items"].as_array().expect("rows").iter().filter_map(|row| row["seq"].as_u64()).collect();
    let unbroken = sequences.windows(2).all(|pair| pair[0] == pair[1] + 1);
    assert!(unbroken, "the audit rows are numbered without a gap: {sequences:?}");
}

#[test]
fn a_graceful_stop_finishes_calls_and_settles() {
    let gate = keyward_testkit::Gate::new();
    let (mut world, key) = World::simple(Service::OpenAi, Script::default().stopping_at(1, &gate));
    let mut stream = world.open(&world.call(Service::OpenAi, true, &key));
    stream.read_until("Hello");
    world.server.ask_to_stop();
    // Stopping: new connections are refused, or answered with the reason.
    eventually("the gateway to stop accepting", || {
        let Ok(_) = std::net::TcpStream::connect(world.server.gateway()) else { return Some(()) };
        let answer = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            world.send(&world.call(Service::OpenAi, false, &key))
        }));
        match answer {
            Err(_) => Some(()),
            Ok(answer) => (answer.header("keyward-error") == Some("shutting_down")).then_some(()),
        }
    });
    gate.open();
    let (rest, complete) = stream.rest();
    assert!(complete && String::from_utf8_lossy(&rest).contains("[DONE]"), "the call in flight was finished");
    assert!(world.server.wait_exit().success(), "{}", world.server.log());
    world.server.launch();
    let row = eventually("the call in the usage", || {
        world
            .usage("key")
            .into_iter()
            .find(|row: &Value| row["key"] == "web" && row["output_tokens"].as_u64() > Some(0))
    });
    assert!(row["requests"].as_u64() >= Some(1) && row["output_tokens"].as_u64() >= Some(10), "{row}");
}

/// Sends the signal of a terminal that goes away.
fn hang_up(server: &Keyward) {
    let mut command = Command::new("kill");
    command.args(["-HUP", &server.pid().to_string()]);
    let _sent = Run::of(command, b"").ok();
}

#[test]
fn a_terminal_that_goes_away_stops_the_server_unless_it_is_to_be_outlived() {
    let folder = tempfile::tempdir().expect("a folder");
    let start = |name: &str, line: &str| {
        let wrapper = folder.path().join(name);
        fs::write(&wrapper, format!("#!/bin/sh\n{line} {BINARY} \"$@\"\n")).expect("a file");
        fs::set_permissions(&wrapper, fs::Permissions::from_mode(0o755)).expect("a mode");
        Keyward::start(&wrapper.to_string_lossy())
    };
    // As a shell starts it, whatever started the tests.
    let mut server = start("shell.sh", "exec env --default-signal=HUP");
    hang_up(&server);
    assert!(server.wait_exit().success(), "{}", server.log());
    assert!(server.log().contains("stopped"), "the stop was graceful: {}", server.log());

    // As `nohup` starts it.
    let mut server = start("nohup.sh", "trap '' HUP; exec");
    let status = fs::read_to_string(format!("/proc/{}/status", server.pid())).expect("the process has a status");
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:")).expect("a mask of signals").trim();
    assert_eq!(u64::from_str_radix(ignored, 16).expect("hexadecimal") & 1, 1, "{status}");
    hang_up(&server);
    assert!(server.stop().success(), "{}", server.log());
}

#[test]
fn a_stop_waits_no_longer_than_was_said_and_settles_what_it_cut() {
    let gate = keyward_testkit::Gate::new();
    let options = keyward_testkit::server::Options {
        arguments: vec!["--drain".to_owned(), "0s".to_owned()],
        ..keyward_testkit::server::Options::default()
    };
    let mut world = World::with_options(&[Service::OpenAi], options);
    world.credential(Service::OpenAi, "main", Script::default().stopping_at(1, &gate));
    let key = world.key("web", json!({"providers": ["openai"]}));
    let mut stream = world.open(&world.call(Service::OpenAi, true, &key));
    stream.read_until("Hello");
    assert!(world.server.stop().success(), "a call that was cut is no failure: {}", world.server.log());
    let (_, complete) = stream.rest();
    assert!(!complete, "the provider stands at its gate: nothing can be whole");
    assert!(world.server.log().contains("still running at the deadline"), "{}", world.server.log());
    world.server.launch();
    let row = world.usage_of("web", 1);
    assert_eq!(row["errors"].as_u64(), Some(1), "{row}");
}
