use super::*;
use keyward_domain::{
    CredentialId, Environment, KeyId, Money, ProjectId, RequestId,
    budget::{Hold, LeaseId},
    provider::Cause,
    usage::{CostBasis, CredentialReport, GatewayEvent, Outcome, OwnedObject, Usage, UsageEvent},
};
use proptest::prelude::*;
use std::{
    fs,
    io::{BufRead, BufReader, Write},
    os::unix::fs::FileExt,
    process::{Command, Stdio},
    sync::atomic::{AtomicU64, Ordering},
};

/// A small event that carries a number.
fn report(number: i64) -> CredentialReport {
    CredentialReport { credential: CredentialId::new(1, [1; 10]), version: 1, cause: Cause::Healthy, at: number }
}

fn number(event: &GatewayEvent) -> i64 {
    match event {
        GatewayEvent::Credential(report) => report.at,
        other => panic!("not a test event: {other:?}"),
    }
}

/// Small files, so that they are changed often.
const SMALL: Options = Options { segment_bytes: 16 << 10, max_bytes: 1 << 20, sync_every: Duration::from_millis(50) };

/// Different for every journal of a test run.
static SEED: AtomicU64 = AtomicU64::new(1);

fn open(folder: &Path, options: Options) -> Journal {
    Journal::open(folder, options, || SEED.fetch_add(0x1234_5678_9ABC, Ordering::Relaxed)).expect("a journal")
}

fn read_all(reader: &mut Reader) -> Vec<(Position, i64)> {
    let mut all = Vec::new();
    loop {
        let batch = reader.next_batch(37);
        if batch.is_empty() {
            return all;
        }
        all.extend(batch.iter().map(|(position, event)| (*position, number(event))));
    }
}

fn numbers(reader: &mut Reader) -> Vec<i64> {
    read_all(reader).into_iter().map(|(_, number)| number).collect()
}

fn files(folder: &Path) -> usize {
    fs::read_dir(folder).expect("a folder").filter(|entry| entry.as_ref().unwrap().path().extension().is_some()).count()
}

#[test]
fn events_come_back_in_order_and_are_gone_when_released() {
    let folder = tempfile::tempdir().expect("a folder");
    let journal = open(folder.path(), SMALL);
    let writer = journal.writer();
    for at in 0..1_000 {
        assert_eq!(
            writer.append(&Entry::Credential(&report(at))).map(|position| position.sequence),
            Some(at.unsigned_abs() + 1)
        );
    }
    let mut reader = journal.reader();
    let all = read_all(&mut reader);
    assert_eq!(all.iter().map(|(_, number)| *number).collect::<Vec<_>>(), (0..1_000).collect::<Vec<_>>());
    assert!(reader.next_batch(1).is_empty());
    assert_eq!(numbers(&mut journal.reader()), (0..1_000).collect::<Vec<_>>(), "reading takes nothing away");
    assert!(journal.depth().bytes > 0 && journal.depth().lost == 0);

    writer.append(&Entry::Credential(&report(1_000)));
    assert_eq!(numbers(&mut reader), [1_000], "a reader goes on where it was");
    reader.release(Position { stream: all[0].0.stream, sequence: 1_001 });
    drop((writer, reader, journal));
    let journal = open(folder.path(), SMALL);
    let left = read_all(&mut journal.reader());
    // The last file of the stream was still being written and stays until its stream is done.
    assert!(left.len() < 400, "whole files were given back: {}", left.len());
    let mut reader = journal.reader();
    reader.resume_after(&[(all[0].0.stream, 1_001)]);
    assert!(numbers(&mut reader).is_empty(), "the database has them all");
    assert_eq!(journal.depth().bytes, 0);
    assert!(journal.inner.files.streams().is_empty(), "the stream of the earlier process is done with");
}

#[test]
fn no_event_comes_twice_when_the_database_knows_how_far_it_got() {
    let folder = tempfile::tempdir().expect("a folder");
    let journal = open(folder.path(), SMALL);
    let (one, two) = (journal.writer(), journal.writer());
    let mut last = Vec::new();
    for at in 0..500 {
        last = vec![
            one.append(&Entry::Credential(&report(at))).unwrap(),
            two.append(&Entry::Credential(&report(10_000 + at))).unwrap(),
        ];
    }
    drop((one, two, journal));
    for stored in [0_u64, 1, 137, 138, 499, 500] {
        let journal = open(folder.path(), SMALL);
        let mut reader = journal.reader();
        // Nothing is released here: a copy of the journal is read again and again.
        let cursor: Vec<(u64, u64)> = last.iter().map(|position| (position.stream, stored)).collect();
        let before = read_all(&mut journal.reader());
        reader.resume_after(&cursor);
        let after = numbers(&mut reader);
        let expected = before.iter().filter(|(position, _)| position.sequence > stored).count();
        assert_eq!(after.len(), expected, "after {stored}");
        assert_eq!(after.len(), usize::try_from(2 * (500 - stored)).unwrap());
    }
}

#[test]
fn it_is_known_when_all_is_read_that_earlier_processes_left() {
    let folder = tempfile::tempdir().expect("a folder");
    let journal = open(folder.path(), SMALL);
    assert!(journal.reader().old_are_done(), "there are none");
    let writer = journal.writer();
    for at in 0..300 {
        assert!(writer.append(&Entry::Credential(&report(at))).is_some());
    }
    drop((writer, journal));
    let journal = open(folder.path(), SMALL);
    let mut reader = journal.reader();
    assert!(!reader.old_are_done());
    assert_eq!(reader.next_batch(299).len(), 299);
    assert!(!reader.old_are_done());
    journal.writer().append(&Entry::Credential(&report(300)));
    assert_eq!(numbers(&mut reader), [299, 300]);
    assert!(reader.old_are_done() && reader.old_are_whole());
}

#[test]
fn files_are_used_again_and_what_they_held_never_shows() {
    let folder = tempfile::tempdir().expect("a folder");
    let journal = open(folder.path(), SMALL);
    let writer = journal.writer();
    let mut reader = journal.reader();
    for at in 0..20_000 {
        assert!(writer.append(&Entry::Credential(&report(at))).is_some());
        if at % 100 == 99 {
            let batch = reader.next_batch(1_000);
            assert_eq!(batch.len(), 100);
            assert_eq!(number(&batch[0].1), at - 99);
            reader.release(batch[99].0);
        }
    }
    assert!(files(folder.path()) <= 12, "{} files for a few kilobytes", files(folder.path()));
    drop((writer, reader, journal));
    let journal = open(folder.path(), SMALL);
    let left = numbers(&mut journal.reader());
    assert!(left.iter().all(|number| *number >= 19_000), "only the last file may come back: {left:?}");
    assert!(left.is_sorted());
}

#[test]
fn a_torn_tail_is_ignored_and_everything_before_it_read() {
    for (what, expected) in [("cut", 9), ("flipped", 9), ("length", 9), ("nothing", 10), ("first", 0)] {
        let folder = tempfile::tempdir().expect("a folder");
        let journal = open(folder.path(), SMALL);
        let writer = journal.writer();
        (0..10).for_each(|at| assert!(writer.append(&Entry::Credential(&report(at))).is_some()));
        let segment = journal.inner.files.streams()[0].segments()[0].clone();
        let end = segment.committed.load(Ordering::Acquire);
        let each = (end - record::HEAD as u64) / 10;
        drop((writer, journal));
        match what {
            "cut" => segment.file.set_len(end - 3).unwrap(),
            "flipped" => segment.file.write_all_at(&[0xFF], end - each + record::PREFIX as u64 + 2).unwrap(),
            "length" => segment.file.write_all_at(&[0xFF; 4], end - each).unwrap(),
            "first" => segment.file.write_all_at(&[0xFF], record::HEAD as u64 + 4).unwrap(),
            _ => {}
        }
        let journal = open(folder.path(), SMALL);
        assert_eq!(numbers(&mut journal.reader()), (0..expected).collect::<Vec<_>>(), "{what}");
    }
}

#[test]
fn a_file_damaged_before_its_end_is_kept_for_somebody_to_look_at() {
    for (what, expected, kept) in
        [("nothing", 10, 0), ("middle", 4, 1), ("first", 0, 1), ("head", 0, 1), ("no head", 0, 0)]
    {
        let folder = tempfile::tempdir().expect("a folder");
        let journal = open(folder.path(), SMALL);
        let writer = journal.writer();
        (0..10).for_each(|at| assert!(writer.append(&Entry::Credential(&report(at))).is_some()));
        let segment = journal.inner.files.streams()[0].segments()[0].clone();
        let each = (segment.committed.load(Ordering::Acquire) - record::HEAD as u64) / 10;
        drop((writer, journal));
        let spoil = |bytes: &[u8], at: u64| segment.file.write_all_at(bytes, at).unwrap();
        match what {
            "middle" => spoil(&[0xFF; 4], record::HEAD as u64 + 4 * each),
            "first" => spoil(&[0xFF], record::HEAD as u64 + 4),
            "head" => spoil(&[0xFF], 3),
            "no head" => spoil(&[0; record::HEAD], 0),
            _ => {}
        }
        for _ in 0..2 {
            let journal = open(folder.path(), SMALL);
            assert_eq!(numbers(&mut journal.reader()), (0..expected).collect::<Vec<_>>(), "{what}");
            let names = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name());
            let damaged = names.filter(|name| name.to_string_lossy().ends_with(".damaged")).count();
            assert_eq!(damaged, kept, "{what}");
        }
    }
}

#[test]
fn a_full_journal_refuses_new_calls_and_keeps_its_word_to_the_others() {
    let folder = tempfile::tempdir().expect("a folder");
    let options = Options { max_bytes: 64 << 10, ..SMALL };
    let journal = open(folder.path(), options);
    let writer = journal.writer();
    let mut written = 0;
    let mut tickets = Vec::new();
    loop {
        match writer.ticket(true) {
            Ok(ticket) => tickets.push(ticket),
            Err(Full) => break,
        }
        if tickets.len() > 3 {
            tickets.remove(0);
            assert!(writer.append(&Entry::Credential(&report(written))).is_some());
            written += 1;
        }
        assert!(written < 10_000, "the limit was never reached");
    }
    assert!(journal.depth().full);
    for _ in tickets.drain(..) {
        assert!(writer.append(&Entry::Credential(&report(written))).is_some(), "who has a ticket finds room");
        written += 1;
    }
    assert_eq!(journal.depth().lost, 0);
    let mut reader = journal.reader();
    let all = read_all(&mut reader);
    assert_eq!(all.len(), usize::try_from(written).unwrap(), "nothing accepted was lost");
    reader.release(all.last().unwrap().0);
    assert!(writer.ticket(true).is_ok(), "room again");
    assert!(!journal.depth().full);
}

#[test]
fn a_disk_that_takes_no_more_files_refuses_new_calls() {
    let folder = tempfile::tempdir().expect("a folder");
    let journal = open(&folder.path().join("journal"), SMALL);
    let writer = journal.writer();
    let mut tickets: Vec<Ticket> = std::iter::from_fn(|| writer.ticket(true).ok()).take(2).collect();
    fs::remove_dir_all(folder.path().join("journal")).expect("removed");
    tickets.extend(std::iter::from_fn(|| writer.ticket(true).ok()).take(10_000));
    assert!(tickets.len() < 10_000, "no new file can be made, so no room can be promised");
    assert!(journal.depth().full);
}

#[test]
fn two_processes_cannot_write_one_journal() {
    let folder = tempfile::tempdir().expect("a folder");
    let first = open(folder.path(), SMALL);
    assert!(matches!(Journal::open(folder.path(), SMALL, || 1), Err(Error::InUse(_))));
    drop(first);
    assert!(Journal::open(folder.path(), SMALL, || 1).is_ok());
}

#[test]
fn threads_write_while_one_reads() {
    let folder = tempfile::tempdir().expect("a folder");
    let journal = open(folder.path(), Options { max_bytes: 8 << 20, ..SMALL });
    let mut seen = Vec::new();
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..3)
            .map(|thread| {
                let writer = journal.writer();
                scope.spawn(move || {
                    for at in 0..5_000 {
                        let _ticket = writer.ticket(true).expect("room");
                        assert!(writer.append(&Entry::Credential(&report(thread * 1_000_000 + at))).is_some());
                    }
                })
            })
            .collect();
        let mut reader = journal.reader();
        while seen.len() < 15_000 {
            let batch = reader.next_batch(500);
            if batch.is_empty() && threads.iter().all(std::thread::ScopedJoinHandle::is_finished) {
                seen.extend(read_all(&mut reader).into_iter().map(|(_, number)| number));
                break;
            }
            batch.iter().for_each(|(position, event)| {
                seen.push(number(event));
                reader.release(*position);
            });
        }
    });
    for thread in 0..3 {
        let own: Vec<i64> = seen.iter().copied().filter(|number| number / 1_000_000 == thread).collect();
        let expected: Vec<i64> = (0..5_000).map(|at| thread * 1_000_000 + at).collect();
        assert_eq!(own, expected, "each stream is whole, in order and without doubles");
    }
}

#[test]
fn long_texts_are_cut_and_never_lost() {
    let folder = tempfile::tempdir().expect("a folder");
    let journal = open(folder.path(), SMALL);
    let writer = journal.writer();
    let object = OwnedObject {
        provider: "p".into(),
        object: "x".repeat(5_000).into(),
        kind: "file".into(),
        project: ProjectId::new(1, [1; 10]),
        key: KeyId::new(1, [1; 10]),
        credential: CredentialId::new(1, [1; 10]),
        at: 0,
    };
    assert!(writer.append(&Entry::Object(&object)).is_some());
    let batch = journal.reader().next_batch(10);
    let GatewayEvent::Object(read) = &batch[0].1 else { panic!("another event") };
    assert_eq!(read.object.len(), crate::objects::LONGEST_ID);
}

#[test]
fn what_a_later_version_wrote_is_skipped() {
    assert_eq!(record::decode_event(&[9, 1, 2, 3], &mut record::Texts::default()), None);
    assert_eq!(record::decode_event(&[], &mut record::Texts::default()), None);
    let mut buffer = [0; record::LONGEST];
    let length = record::encode_event(&Entry::Credential(&report(7)), &mut buffer).expect("fits");
    assert_eq!(
        record::decode_event(&buffer[..length], &mut record::Texts::default()),
        Some(GatewayEvent::Credential(report(7)))
    );
}

fn id(number: u8) -> RequestId {
    RequestId::new(1, [number; 10])
}

fn hold(number: u8) -> Hold<&'static str> {
    Hold {
        call: id(number),
        at: 5,
        key: KeyId::new(1, [1; 10]),
        project: ProjectId::new(1, [1; 10]),
        environment: Environment::Production,
        provider: "openai",
        model: "m",
        operation: "chat",
        credential: CredentialId::new(1, [1; 10]),
        amount: Money::from_nano(9),
        leases: vec![LeaseId(7)],
        price_version: "v",
    }
}

fn settlement(number: u8) -> UsageEvent<&'static str> {
    let Hold {
        call,
        at,
        key,
        project,
        environment,
        provider,
        model,
        operation,
        credential,
        amount,
        leases,
        price_version,
    } = hold(number);
    UsageEvent {
        id: call,
        at,
        key,
        project,
        environment,
        provider,
        model,
        operation,
        credential,
        usage: Usage::default(),
        cost: amount,
        basis: CostBasis::Priced,
        price_version,
        status: 200,
        outcome: Outcome::Completed,
        first_byte_us: 1,
        total_us: 2,
        client: [127, 0, 0, 1].into(),
        user_agent: "u",
        secret_slot: 0,
        upstream_id: "x",
        held: Some(amount),
        leases,
    }
}

/// What a batch says, in its order: the calls' numbers, holds in brackets.
fn told(batch: &[(Position, GatewayEvent)]) -> String {
    let number = |id: RequestId| id.uuid().as_bytes()[15].to_string();
    let words = batch.iter().map(|(_, event)| match event {
        GatewayEvent::Hold(hold) => format!("({})", number(hold.call)),
        GatewayEvent::Usage(usage) => number(usage.id),
        other => panic!("not a test event: {other:?}"),
    });
    words.collect::<Vec<_>>().join(" ")
}

#[test]
fn events_are_read_as_they_were_written_and_known_by_their_first_bytes() {
    let (mut one, mut two) = ([0; record::LONGEST], [0; record::LONGEST]);
    let (hold, usage) = (hold(3), settlement(4));
    let length = record::encode_event(&Entry::Hold(&hold), &mut one).expect("fits");
    let GatewayEvent::Hold(read) =
        record::decode_event(&one[..length], &mut record::Texts::default()).expect("an event")
    else {
        panic!("a hold")
    };
    assert_eq!((read.call, &*read.provider, &*read.price_version), (hold.call, hold.provider, hold.price_version));
    assert_eq!((read.amount, read.leases), (hold.amount, hold.leases));
    assert_eq!(record::about(&one[..length]), record::About::Hold(*id(3).uuid().as_bytes()));
    let length = record::encode_event(&Entry::Usage(&usage), &mut two).expect("fits");
    let GatewayEvent::Usage(read) =
        record::decode_event(&two[..length], &mut record::Texts::default()).expect("an event")
    else {
        panic!("a call")
    };
    assert_eq!((read.id, &*read.model, &*read.upstream_id), (usage.id, usage.model, usage.upstream_id));
    assert_eq!((read.held, read.total_us), (usage.held, usage.total_us));
    assert_eq!(record::about(&two[..length]), record::About::Usage(*id(4).uuid().as_bytes()));
    for cut in 0..19 {
        assert_eq!(record::about(&two[..cut]), record::About::Other);
    }
    let length = record::encode_event(&Entry::Credential(&report(1)), &mut one).expect("fits");
    assert_eq!(record::about(&one[..length]), record::About::Other);
}

#[test]
fn holds_whose_calls_have_ended_are_skipped_where_that_is_wanted() {
    let folder = tempfile::tempdir().expect("a folder");
    let journal = open(folder.path(), SMALL);
    let writer = journal.writer();
    for number in [1, 2, 3, 4] {
        writer.append(&Entry::Hold(&hold(number)));
    }
    for number in [2, 4, 9] {
        writer.append(&Entry::Usage(&settlement(number)));
    }
    // Sent twice under one hold after another.
    writer.append(&Entry::Hold(&hold(1)));
    assert_eq!(told(&journal.reader().next_batch(99)), "(1) (2) (3) (4) 2 4 9 (1)");
    let mut reader = journal.reader().skipping_settled();
    let until = |reader: &Reader, batch: &[(Position, GatewayEvent)]| {
        reader.read_until(batch.first().expect("an event").0.stream).map(|position| position.sequence)
    };
    let batch = reader.next_batch(99);
    assert_eq!(told(&batch), "2 4 9 (1)", "the first of two is there in any case");
    assert_eq!((reader.take_skipped(), reader.take_skipped()), (vec![id(2), id(4)], Vec::new()));
    assert!(reader.is_waiting());
    assert_eq!(until(&reader, &batch), Some(2), "the third record waits, and is read again after a crash");
    writer.append(&Entry::Usage(&settlement(3)));
    let batch = reader.next_batch(99);
    assert_eq!(told(&batch), "3 (1)", "one has ended, and the other has waited long enough");
    assert_eq!((reader.take_skipped(), reader.is_waiting()), (vec![id(3)], false));
    assert_eq!(until(&reader, &batch), Some(9));
    drop(reader);
    // The end may come in another batch.
    let mut reader = journal.reader().skipping_settled();
    let batches: Vec<String> =
        std::iter::from_fn(|| Some(told(&reader.next_batch(3))).filter(|told| !told.is_empty())).collect();
    assert_eq!(batches, ["2 4 9", "(1) 3", "(1)"]);
    // Nobody writes the end of what an earlier process left.
    drop((reader, writer, journal));
    let journal = open(folder.path(), SMALL);
    let mut reader = journal.reader().skipping_settled();
    assert_eq!(told(&reader.next_batch(99)), "2 4 9 (1) 3 (1)");
    assert!(!reader.is_waiting() && reader.old_are_done());
}

/// Not a test of its own: the process that `a_killed_process_loses_nothing` kills. It writes events and says on its
/// standard output how far it got.
#[test]
#[ignore = "the child process of another test"]
fn child_that_is_killed() {
    let journal = open(Path::new("journal"), Options { max_bytes: 256 << 20, ..SMALL });
    let writer = journal.writer();
    let mut out = io::stdout().lock();
    for at in 0..i64::MAX {
        let _ticket = writer.ticket(true).expect("room");
        assert!(writer.append(&Entry::Credential(&report(at))).is_some());
        if writeln!(out, "written {at}").is_err() {
            return;
        }
    }
}

#[test]
fn a_killed_process_loses_nothing() {
    for rounds in [1_usize, 500, 3_000] {
        let folder = tempfile::tempdir().expect("a folder");
        let program = std::env::current_exe().expect("this program");
        let mut child = Command::new(program)
            .args(["--exact", "journal::tests::child_that_is_killed", "--ignored", "--nocapture"])
            .current_dir(folder.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("a child");
        let mut lines = BufReader::new(child.stdout.take().expect("its output")).lines();
        let mut said = None;
        let mut count = 0;
        while count < rounds {
            let line = lines.next().expect("the child writes on").expect("text");
            if let Some((_, number)) = line.split_once("written ") {
                said = number.parse::<i64>().ok();
                count += 1;
            }
        }
        child.kill().expect("killed");
        child.wait().expect("ended");
        // What it said before it died.
        let last = lines
            .map_while(Result::ok)
            .filter_map(|line| line.strip_prefix("written ")?.parse::<i64>().ok())
            .last()
            .or(said)
            .expect("something was written");
        let journal = open(&folder.path().join("journal"), SMALL);
        let all = numbers(&mut journal.reader());
        assert!(all.len() as i64 > last, "event {last} was accepted, and {} came back", all.len());
        assert_eq!(all, (0..all.len() as i64).collect::<Vec<_>>(), "in order, without holes, without doubles");
    }
}

proptest! {
    #[test]
    fn no_bytes_make_recovery_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300), salt in any::<u64>()) {
        let _ = record::Head::decode(&bytes);
        let _ = record::decode(&bytes, salt, 1);
        let _ = record::decode_event(&bytes, &mut record::Texts::default());
    }
}
