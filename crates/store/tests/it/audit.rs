//! The audit log as a witness: which version every record has reached, and what somebody did to the log itself.

use crate::{bed::Bed, rows};
use keyward_store::{AuditedVersion, Change, Error, Store};

fn reached(subject: &str, version: i64) -> Change {
    Change { row_version: Some(version), ..rows::change("key.update", subject) }
}

/// Six rows: key a at 1, 2 and 3, key b at 1, project a at 7, and one that is about no row.
async fn told(bed: &Bed) -> Store {
    let store = bed.store().await;
    for (subject, version) in [("a", 1), ("b", 1), ("a", 2)] {
        rows::begin(&store).await.commit(vec![reached(subject, version)]).await.unwrap();
    }
    let project = Change { row_version: Some(7), ..rows::change("project.update", "a") };
    let about_nothing = rows::change("key.update", "a");
    rows::begin(&store).await.commit(vec![project, about_nothing, reached("a", 3)]).await.unwrap();
    store
}

async fn versions(store: &Store) -> Vec<(String, String, i64, bool)> {
    let mut found = Vec::new();
    let take = |AuditedVersion { kind, subject, version, holds }| found.push((kind, subject, version, holds));
    store.each_audited_version(keyward_store::Kinds::All, take).await.unwrap();
    found.sort();
    found
}

fn version(kind: &str, subject: &str, version: i64, holds: bool) -> (String, String, i64, bool) {
    (kind.to_owned(), subject.to_owned(), version, holds)
}

pub(crate) async fn nothing_is_written_before_somebody_seals(bed: Bed) {
    let store = Store::open(&bed.location).await.unwrap();
    let write = store.write(rows::somebody(), None, rows::NOW).await.unwrap();
    assert!(matches!(write.commit(vec![rows::change("a.b", "c")]).await, Err(Error::Unsealed)));
    assert!(matches!(store.audited_version("key", "a").await, Err(Error::Unsealed)));
    assert_eq!(store.audit_extent().await.unwrap().rows, 0);
    rows::commit(rows::begin(&store).await).await;
}

pub(crate) async fn the_highest_version_of_every_record_is_told(bed: Bed) {
    let store = told(&bed).await;
    let expected = [version("key", "a", 3, true), version("key", "b", 1, true), version("project", "a", 7, true)];
    assert_eq!(versions(&store).await, expected);
    let one = store.audited_version("key", "a").await.unwrap().unwrap();
    assert_eq!((one.version, one.holds), (3, true));
    assert_eq!(store.audited_version("key", "c").await.unwrap(), None);
    assert_eq!(store.changed_audit_rows().await.unwrap(), Vec::<i64>::new());
    assert!(store.audit_extent().await.unwrap().is_whole());
    assert_eq!(store.audit(Some("b"), None, 1).await.unwrap()[0].row_version, Some(1));
    // Codes and versions survive a backup, also into the other kind of database.
    let (backup, _) = store.backup_to(Vec::new()).await.unwrap();
    let other = bed.other().await;
    other.restore_from(std::io::Cursor::new(backup)).await.unwrap();
    assert_eq!(versions(&other).await, expected);
    assert!(other.audit_extent().await.unwrap().is_whole());
    assert_eq!(other.changed_audit_rows().await.unwrap(), Vec::<i64>::new());
}

/// What stands between columns where many rows are read, may stand in a value all the same.
pub(crate) async fn odd_texts_are_told_as_they_are(bed: Bed) {
    let store = bed.store().await;
    let reasons = [None, Some(""), Some("="), Some("a\u{1f}b"), Some("%s\n'")];
    let mut expected = Vec::new();
    for (reason, number) in reasons.into_iter().zip(1..) {
        let subject = format!("{number}\u{1f}");
        for subject in [subject.as_str(), subject.trim_end_matches('\u{1f}')] {
            let reason = reason.map(str::to_owned);
            let change = Change { reason, ..reached(subject, number) };
            rows::begin(&store).await.commit(vec![change]).await.unwrap();
            expected.push(version("key", subject, number, true));
        }
    }
    expected.sort();
    assert_eq!(versions(&store).await, expected);
    for (_, subject, number, _) in &expected {
        let one = store.audited_version("key", subject).await.unwrap().unwrap();
        assert_eq!((one.version, one.holds), (*number, true));
    }
}

pub(crate) async fn a_version_is_reached_once(bed: Bed) {
    let store = told(&bed).await;
    let again = rows::begin(&store).await.commit(vec![reached("a", 3)]).await;
    assert!(matches!(again, Err(Error::Taken { what: "row version" })), "{again:?}");
}

pub(crate) async fn what_was_changed_in_the_log_is_found(bed: Bed) {
    let store = told(&bed).await;
    for (field, value) in [
        ("row_version", "9"),
        ("row_version", "null"),
        ("action", "'key.create'"),
        ("subject", "'z'"),
        ("subject_kind", "'token'"),
        ("at", "1"),
        ("actor", "'{\"kind\":\"operator\"}'"),
        ("before", "'1'"),
        ("after", "'1'"),
        ("reason", "null"),
        ("source", "null"),
    ] {
        bed.tamper("create table kept as select * from audit where seq = 6").await;
        bed.tamper(&format!("update audit set {field} = {value} where seq = 6")).await;
        assert_eq!(store.changed_audit_rows().await.unwrap(), [6], "{field}");
        let back = format!("update audit set {field} = (select {field} from kept) where seq = 6; drop table kept;");
        bed.tamper(&back).await;
        assert_eq!(store.changed_audit_rows().await.unwrap(), Vec::<i64>::new(), "{field}");
    }
    bed.tamper("update audit set row_version = 9 where seq = 6").await;
    let one = store.audited_version("key", "a").await.unwrap().unwrap();
    assert!(!one.holds, "{one:?}");
    assert_eq!(versions(&store).await[0], version("key", "a", 9, false));
}

pub(crate) async fn what_is_missing_from_the_log_is_found(bed: Bed) {
    let store = told(&bed).await;
    let tampered = async |sql: &str| {
        bed.tamper(sql).await;
        !store.audit_extent().await.unwrap().is_whole()
    };
    assert!(tampered("delete from audit where seq = 6").await, "the last");
    // The counter put back as well: the log looks whole, and the rows that it no longer knows are found by it.
    assert!(!tampered("update meta set number = 5 where name = 'audit_sequence'").await);
    assert_eq!(versions(&store).await[0], version("key", "a", 2, true));
    assert!(tampered("delete from audit where seq = 3").await, "one in between");
    let filled = "update audit set seq = 3 where seq = 5; update meta set number = 4 where name = 'audit_sequence'";
    assert!(!tampered(filled).await);
    assert_eq!(store.changed_audit_rows().await.unwrap(), [3], "moved into the gap");
    assert!(tampered("delete from audit where seq = 1").await, "the first");
    assert!(tampered("delete from meta where name = 'audit_sequence'").await, "the counter");
}
