//! Writes: audit rows always accompany them, and they happen whole, or not, and one after the other.

use crate::{bed::Bed, rows};
use keyward_domain::audit::Actor;
use keyward_store::Error;
use std::time::Duration;

pub(crate) async fn nothing_is_kept_without_an_audit_entry(bed: Bed) {
    let store = bed.store().await;
    let mut write = rows::begin(&store).await;
    write.insert_project(&rows::project(1)).await.unwrap();
    assert!(matches!(write.commit(Vec::new()).await, Err(Error::Unaudited)));
    let mut write = rows::begin(&store).await;
    write.insert_project(&rows::project(2)).await.unwrap();
    drop(write);
    assert_eq!(store.projects().await.unwrap(), []);
    assert_eq!(store.audit(None, None, 10).await.unwrap(), []);
    assert_eq!(store.change_version().await.unwrap(), 0);
    let write = rows::begin(&store).await;
    assert_eq!(rows::commit(write).await.change_version, 1);
}

pub(crate) async fn audit_rows_are_numbered_without_gaps(bed: Bed) {
    let store = bed.store().await;
    let mut told = Vec::new();
    for round in 0..4 {
        let write = store.write(Actor::System { part: "test".to_owned() }, None, rows::NOW).await.unwrap();
        let changes = vec![rows::change("key.create", "a\0b"), rows::change("key.revoke", &format!("k{round}"))];
        if round == 2 {
            drop(write);
            continue;
        }
        told.extend(write.commit(changes).await.unwrap().audit);
    }
    assert_eq!(told.iter().map(|row| row.seq).collect::<Vec<_>>(), [1, 2, 3, 4, 5, 6]);
    let mut read = store.audit(None, None, 100).await.unwrap();
    read.reverse();
    told.iter_mut().for_each(|row| row.entry.subject = row.entry.subject.replace('\0', "\u{FFFD}"));
    assert_eq!(read, told);
    assert_eq!(read.iter().map(|row| row.entry.id).collect::<std::collections::BTreeSet<_>>().len(), 6);
    let page: Vec<i64> = store.audit(None, Some(5), 2).await.unwrap().iter().map(|row| row.seq).collect();
    assert_eq!(page, [4, 3]);
    let about = store.audit(Some("k3"), None, 10).await.unwrap();
    assert_eq!(about.len(), 1);
    assert_eq!(about[0].entry.reason.as_deref(), Some("because"));
    assert_eq!(about[0].entry.source, None);
}

pub(crate) async fn a_failed_statement_spoils_the_whole_write(bed: Bed) {
    let store = bed.store().await;
    rows::furnish(&store).await;
    let before = store.audit(None, None, 100).await.unwrap().len();
    let mut write = rows::begin(&store).await;
    write.put_meta("half", "done").await.unwrap();
    let mut twin = rows::project(9);
    twin.name = "project 1".to_owned();
    assert!(matches!(write.insert_project(&twin).await, Err(Error::Taken { what: "project name" })));
    assert!(matches!(write.put_meta("other", "half").await, Err(Error::Broken)));
    assert!(matches!(write.commit(vec![rows::change("a.b", "c")]).await, Err(Error::Broken)));
    assert_eq!(store.meta("half").await.unwrap(), None);
    assert_eq!(store.audit(None, None, 100).await.unwrap().len(), before);
    // A key without its project.
    let mut write = rows::begin(&store).await;
    assert!(matches!(write.insert_key(&rows::key(50, 77)).await, Err(Error::Dangling { .. })));
    drop(write);
    // A change of a row that somebody else changed first.
    let mut changed = rows::project(1);
    changed.row_version = 2;
    changed.status = "archived".to_owned();
    let mut write = rows::begin(&store).await;
    write.update_project(&changed, 1).await.unwrap();
    rows::commit(write).await;
    let mut write = rows::begin(&store).await;
    assert!(matches!(write.update_project(&changed, 1).await, Err(Error::Stale { .. })));
    drop(write);
    assert_eq!(store.project(rows::project_id(1)).await.unwrap().unwrap(), changed);
}

pub(crate) async fn concurrent_writes_run_one_after_the_other(bed: Bed) {
    let stores = [bed.store().await, bed.store().await];
    rows::furnish(&stores[0]).await;
    let mut tasks = tokio::task::JoinSet::new();
    for number in 0..40 {
        let store = stores[number % 2].clone();
        tasks.spawn(async move {
            let mut write = rows::begin(&store).await;
            // Nobody changes the row between this read and the update.
            let mut row = store.project(rows::project_id(0)).await.unwrap().unwrap();
            row.row_version += 1;
            write.update_project(&row, row.row_version - 1).await.unwrap();
            rows::commit(write).await.change_version
        });
    }
    let mut versions: Vec<i64> = tasks.join_all().await;
    versions.sort_unstable();
    assert_eq!(versions, (2..=41).collect::<Vec<i64>>());
    assert_eq!(stores[1].project(rows::project_id(0)).await.unwrap().unwrap().row_version, 41);
    let numbers: Vec<i64> = stores[0].audit(None, None, 100).await.unwrap().iter().map(|row| row.seq).collect();
    assert_eq!(numbers, (1..=41).rev().collect::<Vec<i64>>());
}

pub(crate) async fn others_hear_of_changes(bed: Bed) {
    let (here, there) = (bed.store().await, bed.store().await);
    let mut changes = there.changes().await.unwrap();
    // PostgreSQL tells at once, so there a poll that never comes shows that it does.
    let poll = if there.kind() == "postgres" { Duration::from_secs(3_600) } else { Duration::from_millis(5) };
    for expected in 1..4 {
        let heard = tokio::spawn(async move { (changes.next(poll).await, changes) });
        let write = rows::begin(&here).await;
        rows::commit(write).await;
        let (version, again) = tokio::time::timeout(Duration::from_secs(30), heard).await.unwrap().unwrap();
        assert_eq!(version.unwrap(), expected);
        changes = again;
    }
}
