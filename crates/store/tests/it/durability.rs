//! What is acknowledged survives: kills, full disks, damage.

use crate::{
    bed::Bed,
    rows::{self, NOW},
};
use keyward_domain::usage::UsageEvent;
use keyward_store::{Batch, Error, GroupBy, Health, Limits, Location, Store, UsageFilter, UsageQuery};
use keyward_testkit::Postgres;
use std::{
    fs,
    io::{BufRead, BufReader, Seek, SeekFrom, Write as _},
    process::{Command, Stdio},
};

/// Not a test of its own: the process that `acknowledged_writes_survive_a_kill` starts and kills. Reads the database's
/// address from standard input, writes for ever, and says each write that was acknowledged.
#[test]
#[ignore = "started by another test"]
fn child_that_writes_until_killed() {
    let mut address = String::new();
    std::io::stdin().read_line(&mut address).unwrap();
    let Ok(location) = address.trim().parse::<Location>() else { return };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let store = Store::open(&location).await.unwrap();
        for number in 0.. {
            let mut write = rows::begin(&store).await;
            write.insert_project(&rows::project(number)).await.unwrap();
            rows::commit(write).await;
            say("project", number);
            let calls: Vec<UsageEvent> = (0..20).map(|call| rows::call(number * 20 + call, NOW)).collect();
            store.collect(&Batch { usage: calls, ..Batch::default() }).await.unwrap();
            say("calls", number);
        }
    });
}

fn say(what: &str, number: u32) {
    let mut out = std::io::stdout().lock();
    writeln!(out, "acknowledged {what} {number}").unwrap();
    out.flush().unwrap();
}

pub(crate) async fn acknowledged_writes_survive_a_kill(bed: Bed) {
    let address = match &bed.location {
        Location::File(path) => format!("sqlite:{}\n", path.display()),
        Location::Postgres(url) => format!("{url}\n"),
    };
    for round in 1..=3_u32 {
        bed.store().await.close().await;
        let before = counts(&bed).await;
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--ignored", "--exact", "--nocapture", "durability::child_that_writes_until_killed"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(address.as_bytes()).unwrap();
        let mut acknowledged = (0, 0);
        let lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
        for line in lines {
            // Killed at a different point in each round, in the middle of whatever it is doing then; what it says
            // until the kill reaches it counts too.
            if line.starts_with("acknowledged project") {
                acknowledged.0 += 1;
            } else if line.starts_with("acknowledged calls") {
                acknowledged.1 += 1;
            }
            if acknowledged.0 + acknowledged.1 == 40 + round {
                child.kill().unwrap();
            }
        }
        child.wait().unwrap();
        assert!(acknowledged.0 + acknowledged.1 >= 40 + round, "the child ended by itself: {acknowledged:?}");
        let after = counts(&bed).await;
        // The write in flight may have been kept without having been acknowledged.
        let (projects, calls) = (after.0 - before.0, after.1 - before.1);
        assert!((acknowledged.0..=acknowledged.0 + 1).contains(&projects), "{projects} of {acknowledged:?}");
        assert!((acknowledged.1 * 20..=acknowledged.1 * 20 + 20).contains(&calls), "{calls} of {acknowledged:?}");
        empty(&bed).await;
    }
}

/// Projects and calls, after checking that everything fits together.
async fn counts(bed: &Bed) -> (u32, u32) {
    let store = bed.store().await;
    assert_eq!(store.health(), Health::Sound);
    assert_eq!(store.integrity_check().await.unwrap(), Vec::<String>::new());
    let projects = store.projects().await.unwrap().len();
    assert_eq!(store.audit(None, None, 10_000).await.unwrap().len(), projects, "an audit row for each project");
    let mut raw = 0;
    for key in 0..3 {
        raw += store.calls_of_key(rows::key_id(key), None, 1_000_000).await.unwrap().len();
    }
    let query = UsageQuery { by: GroupBy::Operation, since: 0, until: i64::MAX, filter: UsageFilter::default() };
    let counted: u64 = store.usage(&query).await.unwrap().iter().map(|line| line.totals.requests).sum();
    assert_eq!(counted, raw as u64, "totals and single calls agree");
    store.close().await;
    (u32::try_from(projects).unwrap(), u32::try_from(raw).unwrap())
}

/// Lets the next round begin with number 0 again.
async fn empty(bed: &Bed) {
    bed.tamper(
        "delete from projects; delete from audit; delete from usage_raw_20261121; delete from usage_hourly;
         delete from usage_daily",
    )
    .await;
}

pub(crate) async fn postgres_errors_are_told_apart(bed: Bed) {
    let store = bed.store().await;
    let passing = [("53100", Some(Health::DiskFull)), ("25006", Some(Health::ReadOnly)), ("XX001", None)];
    for (code, passing) in passing {
        bed.tamper(&format!(
            "create or replace function refuse() returns trigger language plpgsql as
             $$ begin raise exception 'no' using errcode = '{code}'; end $$;
             create or replace trigger refuse before insert on projects for each row execute function refuse()"
        ))
        .await;
        let mut write = rows::begin(&store).await;
        let refused = write.insert_project(&rows::project(1)).await;
        drop(write);
        if let Some(health) = passing {
            assert!(matches!(refused, Err(Error::DiskFull | Error::ReadOnly)), "{refused:?}");
            assert_eq!(store.health(), health);
            rows::commit(rows::begin(&store).await).await;
            assert_eq!(store.health(), Health::Sound, "it can be written again");
        } else {
            assert!(matches!(refused, Err(Error::Corrupt { .. })), "{refused:?}");
            let refused = store.write(rows::somebody(), None, NOW).await.err().unwrap();
            assert!(matches!(refused, Error::Corrupt { .. }), "writing has stopped: {refused}");
            assert!(store.collect(&Batch::default()).await.is_err());
        }
    }
}

pub(crate) async fn a_database_that_went_away_is_said(bed: Bed, server: Postgres) {
    let store = bed.store().await;
    rows::furnish(&store).await;
    drop(server);
    let failed = store.projects().await.err().unwrap();
    assert!(matches!(failed, Error::Unreachable { .. }), "{failed:?}");
}

#[tokio::test]
async fn a_full_disk_loses_nothing_that_was_accepted() {
    let bed = Bed::file();
    let limits = Limits { file_bytes: Some(2 << 20) };
    let store = Store::open_within(&bed.location, limits).await.unwrap();
    let mut accepted = (0_u32, 0_u32);
    let (mut control, mut usage) = (None, None);
    for number in 0..100_000 {
        if control.is_none() {
            let mut write = rows::begin(&store).await;
            let mut row = rows::project(number);
            row.policy = format!("\"{}\"", "x".repeat(20_000));
            let inserted = write.insert_project(&row).await;
            let done = match inserted {
                Ok(()) => write.commit(vec![rows::change("project.create", "p")]).await.map(drop),
                Err(error) => Err(error),
            };
            match done {
                Ok(()) => accepted.0 += 1,
                Err(error) => control = Some(error),
            }
        }
        let calls: Vec<UsageEvent> = (0..50).map(|call| rows::call(number * 50 + call, NOW)).collect();
        match store.collect(&Batch { usage: calls, ..Batch::default() }).await {
            Ok(_) => accepted.1 += 50,
            Err(error) => usage = Some(error),
        }
        if control.is_some() && usage.is_some() {
            break;
        }
    }
    assert!(matches!(control, Some(Error::DiskFull)), "{control:?}");
    assert!(matches!(usage, Some(Error::DiskFull)), "{usage:?}");
    assert_eq!(store.health(), Health::DiskFull);
    assert!(accepted.0 > 3 && accepted.1 > 100, "{accepted:?}");
    // Reading goes on, and nothing is missing.
    assert_eq!(store.projects().await.unwrap().len(), usize::try_from(accepted.0).unwrap());
    // Room made, writing goes on in the same process.
    let mut write = rows::begin(&store).await;
    assert_eq!(write.drop_usage_days(NOW + 864_000_000).await.unwrap().len(), 1);
    rows::commit(write).await;
    assert_eq!(store.health(), Health::Sound);
    let mut write = rows::begin(&store).await;
    write.insert_project(&rows::project(1_000_000)).await.unwrap();
    rows::commit(write).await;
    store.close().await;
    let store = bed.store().await;
    assert_eq!(store.projects().await.unwrap().len(), usize::try_from(accepted.0 + 1).unwrap());
    let query = UsageQuery { by: GroupBy::Operation, since: 0, until: i64::MAX, filter: UsageFilter::default() };
    let counted: u64 = store.usage(&query).await.unwrap().iter().map(|line| line.totals.requests).sum();
    assert_eq!(counted, u64::from(accepted.1));
    assert_eq!(store.integrity_check().await.unwrap(), Vec::<String>::new());
}

/// Overwrites bytes of the database file.
fn damage(bed: &Bed, from: u64, length: usize) {
    let Location::File(path) = &bed.location else { panic!("a file expected") };
    let mut file = fs::OpenOptions::new().write(true).open(path).unwrap();
    file.seek(SeekFrom::Start(from)).unwrap();
    file.write_all(&vec![0xA5; length]).unwrap();
}

#[tokio::test]
async fn damage_stops_writing_and_is_said() {
    let bed = Bed::file();
    let store = bed.store().await;
    rows::furnish(&store).await;
    let mut write = rows::begin(&store).await;
    for number in 100..1_000 {
        write.insert_key(&rows::key(number, 0)).await.unwrap();
    }
    rows::commit(write).await;
    store.close().await;
    let Location::File(path) = &bed.location else { panic!("a file expected") };
    let size = fs::metadata(path).unwrap().len();
    // The last pages belong to the keys; the tables themselves stay known.
    damage(&bed, size - 16_384, 12_288);
    let store = Store::open(&bed.location).await.unwrap();
    assert!(matches!(store.health(), Health::Corrupt { .. }), "{:?}", store.health());
    let refused = store.write(rows::somebody(), None, NOW).await.err().unwrap();
    assert!(matches!(refused, Error::Corrupt { .. }), "{refused}");
    assert!(matches!(store.collect(&Batch::default()).await, Err(Error::Corrupt { .. })));
    assert_eq!(store.projects().await.unwrap().len(), 2, "what is sound can be read");
    assert!(!store.integrity_check().await.unwrap().is_empty());
    store.close().await;
    // A file that is no database any more cannot be opened at all.
    damage(&bed, 0, 4_096);
    let refused = Store::open(&bed.location).await.err().unwrap();
    assert!(matches!(refused, Error::Corrupt { .. }), "{refused}");
}

#[tokio::test]
async fn damage_found_later_stops_writing_too() {
    let bed = Bed::file();
    let store = bed.store().await;
    rows::furnish(&store).await;
    assert_eq!(store.integrity_check().await.unwrap(), Vec::<String>::new());
    bed.tamper("pragma wal_checkpoint(truncate)").await;
    // A reference to a project that is gone, behind the store's back.
    bed.tamper("pragma foreign_keys = off; delete from projects where name = 'project 1'").await;
    let found = store.integrity_check().await.unwrap();
    assert_eq!(found, ["keys: 5 rows name records that do not exist"]);
    assert!(matches!(store.health(), Health::Corrupt { .. }));
    assert!(store.write(rows::somebody(), None, NOW).await.is_err());
}

#[cfg(unix)]
#[tokio::test]
async fn the_file_is_private() {
    use std::os::unix::fs::PermissionsExt as _;
    let bed = Bed::file();
    let store = bed.store().await;
    rows::furnish(&store).await;
    let Location::File(path) = &bed.location else { panic!("a file expected") };
    for entry in fs::read_dir(path.parent().unwrap()).unwrap() {
        let mode = entry.unwrap().metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o077, 0);
    }
}
