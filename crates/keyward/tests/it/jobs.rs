//! A background job whose process is killed in the middle of it: the next start takes it over at once, however long the
//! killed one might have gone on without a word.

use crate::world::{PROJECT, World, eventually};
use keyward_testkit::{Service, cli::Run};
use serde_json::{Value, json};
use std::process::Command;

/// More than a few batches of the job.
const CREDENTIALS: usize = 160;

fn ask(world: &World, sql: &str) -> Vec<Value> {
    let mut command = Command::new("sqlite3");
    command.args(["-readonly", "-json"]).arg(world.server.data().join("keyward.db")).arg(sql);
    let said = Run::of(command, b"").ok();
    let rows = if said.stdout.trim().is_empty() { json!([]) } else { said.json() };
    rows.as_array().expect("rows").clone()
}

/// The job as its row has it: who runs it, until when it may, when it began.
fn job(world: &World) -> Option<(Option<String>, i64, i64)> {
    let rows = ask(world, "select owner, lease_until, started_at from jobs where name = 'rewrap'");
    let row = rows.first()?;
    Some((row["owner"].as_str().map(str::to_owned), row["lease_until"].as_i64()?, row["started_at"].as_i64()?))
}

/// How many secrets are under each wrapping key.
fn wrapped(world: &World) -> Vec<i64> {
    let rows = ask(world, "select count(*) as n from credential_versions group by wrapping_key order by 1");
    rows.iter().filter_map(|row| row["n"].as_i64()).collect()
}

/// Credentials, a few at once.
fn fill(world: &World) {
    let base_url = world.base_url(Service::OpenAi);
    std::thread::scope(|scope| {
        for part in 0..4 {
            let base_url = &base_url;
            scope.spawn(move || {
                for number in (part..CREDENTIALS).step_by(4) {
                    let body = json!({"project": PROJECT, "provider": "openai", "name": format!("c{number}"),
                                      "base_url": base_url, "allow_private_address": true,
                                      "secret": Service::OpenAi.new_key()});
                    let made = world.server.api("POST", "/api/v1/credentials", Some(&body));
                    assert_eq!(made.status, 201, "{}", made.text());
                }
            });
        }
    });
}

#[test]
fn a_job_that_was_killed_in_the_middle_goes_on_at_the_next_start() {
    let mut world = World::with(&[Service::OpenAi]);
    fill(&world);
    // Let the process run in slices until the job stands in the middle; once more if it was done before a look.
    let killed = eventually("a job in the middle", || {
        let _told = world.server.tell(&["vault", "rotate"]);
        loop {
            world.server.pause();
            let (job, wrapped) = (job(&world), wrapped(&world));
            let is_running = job.as_ref().is_some_and(|(owner, ..)| owner.is_some());
            if is_running && wrapped.len() > 1 {
                return job;
            }
            world.server.resume();
            if !is_running && wrapped.len() == 1 {
                return None;
            }
        }
    });
    let (owner, lease_until, started_at) = killed;
    println!("killed: {owner:?} until {lease_until}, begun at {started_at}, {:?} under each key", wrapped(&world));
    world.server.kill();
    let left = wrapped(&world);
    assert!(left.len() > 1, "it was in the middle: {left:?}");

    world.server.launch();
    let again = eventually("the job's next run", || job(&world).filter(|(_, _, again)| *again != started_at));
    println!("again: {again:?}");
    assert!(again.2 < lease_until, "it did not wait for the killed one's time to run out: {again:?}, {lease_until}");
    eventually("the rotation's end", || {
        let status = world.server.tell(&["vault", "status"]);
        (status["rewrap"]["state"] == "idle").then_some(())
    });
    assert_eq!(wrapped(&world).iter().sum::<i64>(), i64::try_from(CREDENTIALS).unwrap_or(0));
    assert_eq!(wrapped(&world).len(), 1, "every secret is under the new key");
    let doctor = world.server.run(&["doctor"]);
    assert_eq!(doctor.status, 0, "{}", doctor.all());
    assert!(world.server.stop().success(), "{}", world.server.log());
}
