//! What can go wrong around a server that keys with budgets are at work on: the disk fills up, somebody locks the
//! database, the process stands still. No account stands above its limit, nothing is lost or counted twice, whoever is
//! refused is told why, and everything goes on by itself.

use crate::{
    books::{self, Ledger, Watch},
    spending::{self, Calls, Load, MIXED, Made, Pace, Told},
    world::{BINARY, PROJECT, World, assert_refused, eventually},
};
use keyward_testkit::{Gate, Keyward, Postgres, Script, Service, disk::Disk, server::Options, volume::Volume};
use serde_json::json;
use std::{
    io::{BufRead as _, BufReader, Write as _},
    path::Path,
    process::{Child, Command, Stdio},
    time::Duration,
};

/// What is said to a call for which no money can be set aside.
const NO_MONEY_NOW: &str = "the money for this call cannot be set aside at the moment, because the database does not \
                            answer or has no room: try again";
const PACE: Pace = Pace { kinds: MIXED, callers: 3, rest: Duration::from_millis(10) };

/// A key with more on lease than all calls of a test can spend, and one that must ask for more again and again.
struct Keys {
    wide: String,
    narrow: String,
}

impl Keys {
    /// Both below a budget of their project; the narrow one has this budget of its own.
    fn make(world: &World, narrow: &str) -> Self {
        world.credential(Service::OpenAi, "main", Script::default());
        let key = |name| world.key(name, json!({"providers": ["openai"]}));
        let keys = Self { wide: key("wide"), narrow: key("narrow") };
        for (scope, limit) in [
            (json!({"project": PROJECT}), "2000 USD/month"),
            (json!({"key": "wide"}), "1000 USD/total"),
            (json!({"key": "narrow"}), narrow),
        ] {
            let _id = spending::budget(world, scope, limit);
        }
        keys
    }

    /// Callers at work with each.
    fn begin(&self, world: &World, calls: &Calls, pace: Pace) -> [Load; 2] {
        [(&self.wide, pace), (&self.narrow, PACE)]
            .map(|(key, pace)| Load::begin(world, world.server.gateway(), &[key], pace, calls))
    }

    /// Waits for calls with each to be answered.
    #[track_caller]
    fn wait(&self, calls: &Calls, when: &str) {
        for key in [&self.wide, &self.narrow] {
            calls.wait_for(when, 20, answered(key));
        }
    }
}

fn answered(key: &str) -> impl Fn(&Made) -> bool {
    move |call| call.key == key && call.told == Told::Answered
}

fn refused(key: &str, reason: &str) -> impl Fn(&Made) -> bool {
    move |call| call.key == key && matches!(&call.told, Told::Refused(_, why, _) if why == reason)
}

/// The server stops well, and nothing stays on lease.
fn close(world: &mut World, ledger: &Ledger) {
    assert!(world.server.stop().success(), "{}", world.server.log());
    for account in ledger.accounts() {
        assert_eq!(account.leased, 0, "{account:?}");
        assert!(account.spent <= account.limit, "{account:?}");
    }
}

/// A disk that can be filled: a small one where this user may mount one, else one that is made to say that it is full.
enum Room {
    Small(Volume),
    Pretended(Disk),
}

impl Room {
    const BYTES: u64 = 40 << 20;

    /// Puts a server's data on it, before it is started.
    #[expect(clippy::print_stdout, reason = "which of both it is, is part of what was seen")]
    fn below(server: &mut Keyward) -> Self {
        if let Some(volume) = Volume::mount(&server.data(), Self::BYTES) {
            server.options().through = volume.enter();
            return Self::Small(volume);
        }
        println!("this user may not mount: the disk only says that it is full");
        let disk = Disk::new();
        server.options().environment.extend(disk.environment());
        Self::Pretended(disk)
    }

    fn ledger(&self, server: &Keyward) -> Ledger {
        match self {
            Self::Small(volume) => Ledger::File(volume.enter(), server.data().join("keyward.db")),
            Self::Pretended(_) => Ledger::File(Vec::new(), server.data().join("keyward.db")),
        }
    }

    fn fill(&self, server: &Keyward) {
        match self {
            Self::Small(volume) => volume.fill(),
            Self::Pretended(disk) => disk.fill(&server.data()),
        }
    }

    fn free(&self) {
        match self {
            Self::Small(volume) => volume.free(),
            Self::Pretended(disk) => disk.free(),
        }
    }
}

#[test]
fn a_disk_that_fills_up_under_load_loses_no_money_and_passes() {
    let (folder, calls) = (tempfile::tempdir().expect("a folder"), Calls::with_names_longer_by(200));
    let options = Options { arguments: vec!["--threads".to_owned(), "1".to_owned()], ..Options::default() };
    let mut server = Keyward::prepared(BINARY, spending::priced(folder.path(), options, &calls));
    let room = Room::below(&mut server);
    server.launch();
    let ledger = room.ledger(&server);
    let mut world = World::around(server, &[Service::OpenAi]);
    let keys = Keys::make(&world, "0.06 USD/total");
    let watch = Watch::begin(&ledger);
    // Slow, so that what is on lease runs out before the journal's room does; yet it goes on, so that it keeps its lease.
    let slow = Pace { callers: 1, rest: Duration::from_millis(50), ..PACE };
    let load = keys.begin(&world, &calls, slow);
    keys.wait(&calls, "calls answered before the disk is full");

    ledger.truncate_log();
    room.fill(&world.server);
    calls.wait_for("calls without money", 3, refused(&keys.narrow, "budget_unavailable"));
    let fast = Pace { rest: Duration::ZERO, ..PACE };
    let fast = Load::begin(&world, world.server.gateway(), &[&keys.wide], fast, &calls);
    calls.wait_for("calls without room", 10, refused(&keys.wide, "storage_full"));
    let state = world.server.api("GET", "/api/v1/status", None).json();
    assert_eq!(state["database"]["state"], "disk_full", "{state}");
    let doctor = world.server.run(&["doctor"]);
    assert!(doctor.status == 1 && doctor.all().contains("the disk is full"), "{}", doctor.all());
    for made in calls.made().iter() {
        let Told::Refused(status, reason, message) = &made.told else { continue };
        match reason.as_str() {
            "storage_full" => assert!(*status == 503 && message.contains("disk"), "{made:?}"),
            "budget_unavailable" => assert!(*status == 503 && message == NO_MONEY_NOW, "{made:?}"),
            _ => panic!("{made:?}"),
        }
    }

    room.free();
    keys.wait(&calls, "calls answered with room again");
    load.into_iter().chain([fast]).for_each(Load::end);
    let looks = watch.end();
    let sums = books::balance(&world, &ledger, &calls);
    assert_eq!(sums.lost, 0, "nobody was killed");
    books::assert_rebuilt(&world, &ledger);
    println!("{} calls billed, {looks} looks", sums.billed);
    close(&mut world, &ledger);
}

/// Another process that holds the right to write to a database file.
struct Lock(Child);

impl Lock {
    fn take(file: &Path) -> Self {
        let mut command = Command::new("sqlite3");
        let command = command.arg(file).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().expect("sqlite3 can be started");
        let stdin = child.stdin.as_mut().expect("standard input is a pipe");
        stdin.write_all(b".timeout 30000\nbegin immediate;\nselect 'locked';\n").expect("sqlite3 listens");
        let mut said = String::new();
        let stdout = child.stdout.as_mut().expect("standard output is a pipe");
        BufReader::new(stdout).read_line(&mut said).expect("sqlite3 answers");
        assert_eq!(said.trim(), "locked");
        Self(child)
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        let _gone_with_its_lock = self.0.kill();
        let _reaped = self.0.wait();
    }
}

#[test]
fn while_somebody_locks_the_database_leases_pay_and_everything_goes_on_afterwards() {
    let (folder, calls) = (tempfile::tempdir().expect("a folder"), Calls::new());
    let mut world =
        World::with_options(&[Service::OpenAi], spending::priced(folder.path(), Options::default(), &calls));
    let ledger = Ledger::of(&world);
    let keys = Keys::make(&world, "0.03 USD/total");
    let watch = Watch::begin(&ledger);
    let load = keys.begin(&world, &calls, PACE);
    keys.wait(&calls, "calls answered before the lock");

    let lock = Lock::take(&world.server.data().join("keyward.db"));
    let before = calls.made().len();
    calls.wait_for("calls without money", 4, refused(&keys.narrow, "budget_unavailable"));
    eventually("the words that nothing can be stored", || {
        world.server.log().contains("events cannot be stored; the journal keeps them").then_some(())
    });
    calls.wait_for("calls that a lease pays", 20, answered(&keys.wide));
    let told = world.send(&spending::request(&world, &keys.narrow, &calls.name(), false));
    assert_refused(&told, 503, "budget_unavailable");
    assert_eq!(told.header("retry-after"), Some("1"));
    let answer = world.server.api("POST", "/api/v1/projects", Some(&json!({"name": "later"})));
    assert_eq!(
        (answer.status, answer.json()["code"].as_str()),
        (503, Some("database_unreachable")),
        "{}",
        answer.text()
    );
    for made in calls.made().iter() {
        let Told::Refused(status, reason, message) = &made.told else { continue };
        assert_eq!((*status, reason.as_str(), message.as_str()), (503, "budget_unavailable", NO_MONEY_NOW), "{made:?}");
        assert_eq!(made.key, keys.narrow, "{made:?}");
    }
    let held = calls.made().len() - before;
    drop(lock);

    keys.wait(&calls, "calls answered after the lock");
    load.into_iter().for_each(Load::end);
    let looks = watch.end();
    let sums = books::balance(&world, &ledger, &calls);
    assert_eq!(sums.lost, 0, "nobody was killed");
    books::assert_rebuilt(&world, &ledger);
    println!("{} calls billed, {held} ended while the database was locked, {looks} looks", sums.billed);
    close(&mut world, &ledger);
}

/// Two servers on one PostgreSQL; the first one's sessions have a name of their own there.
fn pair(postgres: &Postgres, folder: &Path, calls: &Calls) -> (World, Keyward, String) {
    let url = postgres.database();
    let _said = postgres.sql(&url, "create role first superuser login");
    let on = |url: &str, more: &[String]| {
        let arguments = [&["--database".to_owned(), url.to_owned()], more].concat();
        Options { arguments, ..Options::default() }
    };
    let options = spending::priced(folder, on(&url.replace("keyward@", "first@"), &[]), calls);
    let prices = options.arguments.iter().rev().take(2).rev().cloned().collect::<Vec<_>>();
    let world = World::with_options(&[Service::OpenAi], options);
    let master = format!("file:{}", world.server.data().join("master.key").display());
    let two = Keyward::start_with(BINARY, on(&url, &[&prices[..], &["--master-key".to_owned(), master]].concat()));
    (world, two, url)
}

/// Makes the first server stand still at a moment when it is in no transaction: otherwise the other one would wait for
/// PostgreSQL to end that, which takes it a minute.
fn pause(world: &World, postgres: &Postgres, url: &str) {
    let busy = "select count(*) from pg_stat_activity where usename = 'first' and state <> 'idle'";
    eventually("a moment between two transactions", || {
        world.server.pause();
        let is_idle = postgres.sql(url, busy).trim() == "0";
        if !is_idle {
            world.server.resume();
        }
        is_idle.then_some(())
    });
}

#[test]
fn a_server_that_stands_still_while_another_spends_does_no_harm_when_it_goes_on() {
    let (folder, calls, gate) = (tempfile::tempdir().expect("a folder"), Calls::new(), Gate::new());
    let postgres = Postgres::start();
    let (mut one, mut two, url) = pair(&postgres, folder.path(), &calls);
    let ledger = Ledger::Postgres(url.clone());
    one.credential(Service::OpenAi, "main", Script::default());
    let keys: Vec<String> = ["one", "two"].iter().map(|name| one.key(name, json!({"providers": ["openai"]}))).collect();
    let [first, second] = keys.as_slice() else { panic!("two keys") };
    let _made = one.server.tell(&["project", "create", "slow"]);
    let secret = one.emulator(Service::OpenAi).key_with(Script::default().stopping_at(1, &gate));
    let _made = one.server.add_credential("slow", "openai", "slow", &one.base_url(Service::OpenAi), &secret);
    let slow = one.server.key("slow", "slow", &["--provider", "openai"]);
    let id = spending::budget(&one, json!({"organisation": true}), "0.006 USD/total");
    let watch = Watch::begin(&ledger);
    let here = Load::begin(&one, one.server.gateway(), &[first], PACE, &calls);
    let at_one = one.server.gateway();
    calls.wait_for("calls at the first server", 10, |call| call.at == at_one && call.told == Told::Answered);
    let mut standing: Vec<_> = (0..3).map(|_| one.open(&spending::request(&one, &slow, &calls.name(), true))).collect();
    standing.iter_mut().for_each(|answer| drop(answer.read_until("Hello")));
    eventually("the key on the other server", || {
        let told = spending::request(&one, second, &calls.name(), false).send(two.gateway());
        (told.status == 200).then_some(())
    });

    pause(&one, &postgres, &url);
    // The provider goes on: what it says waits before a process that does not read.
    gate.open();
    let there = Load::begin(&one, two.gateway(), &[second], PACE, &calls);
    let at_two = two.gateway();
    calls.wait_for("refusals at the second server", 20, |call| {
        call.at == at_two && matches!(&call.told, Told::Refused(429, reason, _) if reason == "budget_exhausted")
    });
    let account =
        ledger.accounts().into_iter().find(|account| account.budget == id.replace('-', "")).expect("an account");
    println!("while it stands still: {account:?}");
    assert!(account.leased > 0, "what the first server has on lease stays counted: {account:?}");
    let paused = calls.made().iter().filter(|call| call.at == at_one).count();

    one.server.resume();
    for answer in &mut standing {
        let (rest, complete) = answer.rest();
        assert!(complete && String::from_utf8_lossy(&rest).contains("[DONE]"), "a call that stood still is finished");
    }
    eventually("the first server's calls to end", || {
        let ended = calls.made().iter().filter(|call| call.at == at_one).count();
        (ended > paused + 3).then_some(())
    });
    // With money again, both serve.
    let raised = one.server.api("PATCH", &format!("/api/v1/budgets/{id}"), Some(&json!({"limit_usd": "10"})));
    assert_eq!(raised.status, 200, "{}", raised.text());
    for at in [at_one, at_two] {
        calls.wait_for("calls with more money", 10, |call| call.at == at && call.told == Told::Answered);
    }
    here.end();
    there.end();
    let looks = watch.end();
    let sums = books::balance(&one, &ledger, &calls);
    assert_eq!(sums.lost, 0, "nobody was killed");
    books::assert_rebuilt(&one, &ledger);
    println!("{} calls billed, {looks} looks", sums.billed);
    assert!(two.stop().success(), "{}", two.log());
    close(&mut one, &ledger);
}
