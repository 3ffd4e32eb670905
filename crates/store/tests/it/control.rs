//! Projects, keys, tokens, the keyring, jobs: what is written is read, byte for byte.

use crate::{bed::Bed, rows};
use keyward_domain::{Environment, token::TokenHash};
use keyward_store::{EnvironmentRow, Error, KeyFilter, KeyRow, KeyStatus, KeyringRow, RecoveryRow};

pub(crate) async fn projects_and_environments(bed: Bed) {
    let store = bed.store().await;
    rows::furnish(&store).await;
    assert_eq!(store.projects().await.unwrap(), [rows::project(0), rows::project(1)]);
    assert_eq!(store.project_by_name("project 1").await.unwrap(), Some(rows::project(1)));
    assert_eq!(store.project_by_name("project 2").await.unwrap(), None);
    let mut row = EnvironmentRow {
        project: rows::project_id(0),
        environment: Environment::Staging,
        policy: "{}".to_owned(),
        updated_at: rows::NOW,
        row_version: 1,
        mac: rows::mac(3),
    };
    let mut write = rows::begin(&store).await;
    write.insert_environment(&row).await.unwrap();
    row.row_version = 2;
    row.policy = r#"{"models":[]}"#.to_owned();
    write.update_environment(&row, 1).await.unwrap();
    rows::commit(write).await;
    assert_eq!(store.environments().await.unwrap(), [row.clone()]);
    assert_eq!(store.environments_of(rows::project_id(0)).await.unwrap(), [row]);
    assert_eq!(store.environments_of(rows::project_id(1)).await.unwrap(), []);
}

pub(crate) async fn keys_are_listed_in_pages(bed: Bed) {
    let store = bed.store().await;
    rows::furnish(&store).await;
    let all: Vec<KeyRow> = (0..10).map(|number| rows::key(number, number % 2)).collect();
    let mut pages = Vec::new();
    loop {
        let after = pages.last().map(|row: &KeyRow| row.id);
        let page = store.keys(KeyFilter::default(), after, 4).await.unwrap();
        if page.is_empty() {
            break;
        }
        pages.extend(page);
    }
    assert_eq!(pages, all);
    let filter = KeyFilter {
        project: Some(rows::project_id(0)),
        environment: Some(Environment::Staging),
        status: Some(KeyStatus::Revoked),
    };
    let found: Vec<_> = store.keys(filter, None, 100).await.unwrap().into_iter().map(|row| row.id).collect();
    assert_eq!(found, [rows::key_id(0), rows::key_id(6)]);
    for (project, expected) in [(None, 10), (Some(rows::project_id(1)), 5)] {
        let mut seen = Vec::new();
        store.each_key(project, |row| seen.push(row)).await.unwrap();
        seen.sort_by_key(|row| row.id);
        assert_eq!(seen.len(), expected);
        assert!(seen.iter().all(|row| all.contains(row)));
    }
    assert_eq!(store.count_keys().await.unwrap(), 10);
    assert_eq!(store.key(rows::key_id(5)).await.unwrap(), Some(all[5].clone()));
    assert_eq!(store.key_by_public_id("000000000007").await.unwrap(), Some(all[7].clone()));
    assert_eq!(store.key_by_public_id("nobody").await.unwrap(), None);
    assert_eq!(store.keys_by_name("key 3").await.unwrap(), [all[3].clone()]);
    let revoked = KeyRow {
        status: KeyStatus::Revoked,
        revoked_at: Some(rows::NOW + 1),
        updated_at: rows::NOW + 1,
        row_version: 2,
        ..all[1].clone()
    };
    let mut write = rows::begin(&store).await;
    write.update_key(&revoked, 1).await.unwrap();
    rows::commit(write).await;
    assert_eq!(store.key(revoked.id).await.unwrap(), Some(revoked));
    let mut write = rows::begin(&store).await;
    let twin = KeyRow { id: rows::key_id(99), ..all[2].clone() };
    assert!(matches!(write.insert_key(&twin).await, Err(Error::Taken { .. })));
}

/// What stands between columns where many rows are read, may stand in a value all the same.
pub(crate) async fn keys_with_odd_texts_are_handed_over_as_they_are(bed: Bed) {
    let store = bed.store().await;
    let names = ["", "=", "%s", "a\u{1f}b", "\u{1f}", "ü\n", "'"];
    let mut write = rows::begin(&store).await;
    write.insert_project(&rows::project(0)).await.unwrap();
    let mut all = Vec::new();
    for (name, number) in names.into_iter().zip(0..) {
        all.push(KeyRow { name: name.to_owned(), policy: name.to_owned(), ..rows::key(number, 0) });
        write.insert_key(all.last().unwrap()).await.unwrap();
    }
    rows::commit(write).await;
    let mut seen = Vec::new();
    store.each_key(None, |row| seen.push(row)).await.unwrap();
    seen.sort_by_key(|row| row.id);
    assert_eq!(seen, all);
}

pub(crate) async fn tokens_keyring_recovery_and_facts(bed: Bed) {
    let store = bed.store().await;
    let mut token = rows::token(1);
    let mut ring = KeyringRow {
        id: "0011223344556677".to_owned(),
        purpose: "wrap".to_owned(),
        state: "active".to_owned(),
        created_at: rows::NOW,
        master_id: "m1".to_owned(),
        wrapped: (0..=255).collect(),
    };
    let mut recovery = RecoveryRow {
        recipient: "age1example".to_owned(),
        master_id: "m1".to_owned(),
        wrapped: vec![0, 1, 2],
        created_at: rows::NOW,
        proven_at: None,
    };
    let mut write = rows::begin(&store).await;
    write.insert_token(&token).await.unwrap();
    write.put_keyring(&ring).await.unwrap();
    write.put_recovery(&recovery).await.unwrap();
    write.put_meta("instance", "a").await.unwrap();
    write.put_meta("instance", "b").await.unwrap();
    write.put_meta("gone", "soon").await.unwrap();
    write.remove_meta("gone").await.unwrap();
    // The counters are not facts: nobody removes or reads them as such.
    write.remove_meta("change_version").await.unwrap();
    rows::commit(write).await;
    assert_eq!(store.meta("instance").await.unwrap().as_deref(), Some("b"));
    assert_eq!(store.meta("gone").await.unwrap(), None);
    assert_eq!(store.meta("change_version").await.unwrap(), None);
    assert_eq!(store.change_version().await.unwrap(), 1);
    let hash = TokenHash(token.hash.clone().try_into().unwrap());
    assert_eq!(store.token_by_hash(&hash).await.unwrap(), Some(token.clone()));
    assert_eq!(store.token_by_hash(&TokenHash([0; 32])).await.unwrap(), None);

    token.row_version = 2;
    token.revoked_at = Some(rows::NOW);
    ring.state = "retired".to_owned();
    recovery.proven_at = Some(rows::NOW);
    let mut write = rows::begin(&store).await;
    write.update_token(&token, 1).await.unwrap();
    // The name of a revoked token is free again.
    let mut second = rows::token(2);
    second.name = token.name.clone();
    write.insert_token(&second).await.unwrap();
    write.put_keyring(&ring).await.unwrap();
    write.put_recovery(&recovery).await.unwrap();
    rows::commit(write).await;
    assert_eq!(store.tokens().await.unwrap(), [token.clone(), second]);
    assert_eq!(store.token(token.id).await.unwrap(), Some(token.clone()));
    assert_eq!(store.keyring().await.unwrap(), [ring]);
    assert_eq!(store.recoveries().await.unwrap(), [recovery.clone()]);
    let mut write = rows::begin(&store).await;
    assert!(write.remove_recovery(&recovery.recipient).await.unwrap());
    assert!(!write.remove_recovery(&recovery.recipient).await.unwrap());
    rows::commit(write).await;
    let mut write = rows::begin(&store).await;
    let mut third = rows::token(3);
    third.name = token.name;
    assert!(matches!(write.insert_token(&third).await, Err(Error::Taken { what: "token name" })));
}

pub(crate) async fn jobs_are_held_by_one_node(bed: Bed) {
    let store = bed.store().await;
    assert!(store.claim_job("sweep", "a", 100, 10).await.unwrap());
    assert!(!store.claim_job("sweep", "b", 100, 99).await.unwrap(), "held by a");
    assert!(store.claim_job("sweep", "a", 120, 50).await.unwrap(), "a may go on");
    assert!(store.save_job("sweep", "a", 130, Some("half")).await.unwrap());
    assert!(!store.claim_job("sweep", "b", 200, 129).await.unwrap());
    assert!(store.claim_job("sweep", "b", 200, 130).await.unwrap(), "a's time is over");
    assert!(!store.finish_job("sweep", "a", 131, "done", None).await.unwrap(), "a lost it");
    assert_eq!(store.job("sweep").await.unwrap().unwrap().state.as_deref(), Some("half"));
    assert!(store.finish_job("sweep", "b", 140, "done", None).await.unwrap());
    let job = store.jobs().await.unwrap().remove(0);
    assert_eq!((job.owner, job.lease_until, job.started_at), (None, 0, Some(130)));
    assert_eq!((job.finished_at, job.outcome.as_deref(), job.state), (Some(140), Some("done"), None));
    assert_eq!(store.job("other").await.unwrap(), None);
}
