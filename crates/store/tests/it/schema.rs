//! The tables and the statements fit each other, on both databases alike.

use crate::{bed::Bed, rows};
use keyward_store::{Error, Store};
use std::collections::BTreeSet;

pub(crate) async fn every_statement_prepares(bed: Bed) {
    let store = bed.store().await;
    assert!(store.check_statements().await.unwrap() > 60);
    // Both folders of migrations lead to the same columns.
    assert_eq!(store.columns().await.unwrap(), bed.other().await.columns().await.unwrap());
    assert_eq!(store.integrity_check().await.unwrap(), Vec::<String>::new());
    // Every statement really is in the list: none is written where it is used.
    for entry in walk(concat!(env!("CARGO_MANIFEST_DIR"), "/src")) {
        let text = std::fs::read_to_string(&entry).unwrap();
        for call in ["query(\"", "query_as(\"", "query_scalar(\"", "raw_sql("] {
            assert!(!text.contains(call), "{} holds a statement outside the lists", entry.display());
        }
    }
}

fn walk(folder: &str) -> Vec<std::path::PathBuf> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(walk(path.to_str().unwrap()));
        } else {
            files.push(path);
        }
    }
    files
}

pub(crate) async fn nodes_may_start_at_once(bed: Bed) {
    let mut starts = tokio::task::JoinSet::new();
    for _ in 0..4 {
        let location = bed.location.clone();
        starts.spawn(async move { Store::open(&location).await.map(|store| store.health()) });
    }
    for started in starts.join_all().await {
        assert_eq!(started.unwrap(), keyward_store::Health::Sound);
    }
}

pub(crate) async fn every_table_is_in_a_backup(bed: Bed) {
    let store = bed.store().await;
    let tables: BTreeSet<String> = store.columns().await.unwrap().into_iter().map(|column| column.table).collect();
    let (_, summary) = store.backup_to(Vec::new()).await.unwrap();
    assert_eq!(summary.tables.into_iter().map(|(table, _)| table).collect::<BTreeSet<_>>(), tables);
}

pub(crate) async fn a_database_of_a_newer_version_is_refused(bed: Bed) {
    let store = bed.store().await;
    rows::furnish(&store).await;
    store.close().await;
    // Opening again is nothing special.
    bed.store().await.close().await;
    bed.tamper(
        "insert into _sqlx_migrations (version, description, success, checksum, execution_time)
         select 9999, 'from the future', success, checksum, execution_time from _sqlx_migrations where version = 1",
    )
    .await;
    let refused = Store::open(&bed.location).await.err().unwrap();
    assert!(matches!(refused, Error::Newer { found: 9999, known } if known < 9999), "{refused}");
}
