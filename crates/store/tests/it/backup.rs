//! Backup and restore: everything, byte for byte, into either database; nothing at all from a damaged file.

use crate::{
    bed::Bed,
    rows::{self, NOW},
};
use keyward_domain::usage::UsageEvent;
use keyward_store::{
    Batch, CredentialHealthRow, DAY, Error, KeyringRow, Position, RecoveryRow, Store, UsageFilter, UsageQuery,
    verify_backup,
};
use std::io::{self, Cursor, Read, Write};

/// A store with rows in every table.
async fn fill(store: &Store) {
    rows::furnish(store).await;
    let mut write = rows::begin(store).await;
    write.insert_token(&rows::token(1)).await.unwrap();
    for number in 0..4 {
        write.insert_budget(&rows::budget(number)).await.unwrap();
    }
    write.insert_rates(&rows::rates("organisation")).await.unwrap();
    let ring = KeyringRow {
        id: "k".to_owned(),
        purpose: "wrap".to_owned(),
        state: "active".to_owned(),
        created_at: NOW,
        master_id: "m".to_owned(),
        wrapped: (0..=255).rev().collect(),
    };
    write.put_keyring(&ring).await.unwrap();
    let recovery = RecoveryRow {
        recipient: "age1".to_owned(),
        master_id: "m".to_owned(),
        wrapped: Vec::new(),
        created_at: NOW,
        proven_at: None,
    };
    write.put_recovery(&recovery).await.unwrap();
    let health = CredentialHealthRow {
        credential: rows::credential_id(1),
        state: "well".to_owned(),
        cause: None,
        remedy: None,
        http_status: None,
        checked_at: NOW,
        out_until: None,
    };
    write.put_credential_health(&health).await.unwrap();
    write.put_meta("instance", "i-1").await.unwrap();
    rows::commit(write).await;
    let usage: Vec<UsageEvent> =
        (0..500_u32).map(|number| rows::call(number, NOW + i64::from(number % 3) * DAY)).collect();
    let positions = vec![Position { stream: "s".to_owned(), seq: 500 }];
    store.collect(&Batch { usage, positions, ..Batch::default() }).await.unwrap();
    store.claim_job("sweep", "node", 1, 1).await.unwrap();
}

/// All that can be read.
async fn picture(store: &Store) -> String {
    let mut keys = Vec::new();
    store.each_key(None, |row| keys.push(row)).await.unwrap();
    keys.sort_by_key(|row| row.id);
    let mut budgets = Vec::new();
    store.each_budget(|row| budgets.push(row)).await.unwrap();
    budgets.sort_by_key(|row| row.id);
    let mut usage = Vec::new();
    for by in keyward_store::GroupBy::ALL {
        let query = UsageQuery { by, since: NOW, until: NOW + 9 * DAY, filter: UsageFilter::default() };
        usage.push(store.usage(&query).await.unwrap());
    }
    format!(
        "{:#?}",
        (
            (store.projects().await.unwrap(), store.environments().await.unwrap(), keys),
            (store.credentials(None).await.unwrap(), store.current_versions().await.unwrap()),
            (budgets, store.all_rates().await.unwrap()),
            (store.credential_healths().await.unwrap(), store.tokens().await.unwrap()),
            (store.keyring().await.unwrap(), store.recoveries().await.unwrap(), store.jobs().await.unwrap()),
            (store.audit(None, None, 1_000).await.unwrap(), store.change_version().await.unwrap()),
            (usage, store.calls_of_key(rows::key_id(1), None, 1_000).await.unwrap()),
            (store.journal_positions().await.unwrap(), store.meta("instance").await.unwrap()),
        )
    )
}

/// A sink that fails after some bytes.
struct Full(usize);

impl Write for Full {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 = self.0.checked_sub(bytes.len()).ok_or(io::ErrorKind::StorageFull)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

pub(crate) async fn a_backup_restores_into_either_database(bed: Bed) {
    let store = bed.store().await;
    fill(&store).await;
    let (file, summary) = store.backup_to(Vec::new()).await.unwrap();
    assert_eq!(verify_backup(file.as_slice()).unwrap(), summary);
    let rows_of = |table: &str| summary.tables.iter().find(|(name, _)| name == table).unwrap().1;
    assert_eq!((rows_of("keys"), rows_of("usage_raw_20261122")), (10, 167));
    let before = picture(&store).await;
    for target in [bed.spare().await, bed.other().await] {
        assert_eq!(target.restore_from(Cursor::new(file.clone())).await.unwrap(), summary);
        assert_eq!(picture(&target).await, before);
        // It goes on from there: new series, new audit rows, new versions.
        let mut call = rows::call(9_000, NOW);
        call.model = "never seen".into();
        target.collect(&Batch { usage: vec![call, rows::call(0, NOW)], ..Batch::default() }).await.unwrap();
        let committed = rows::commit(rows::begin(&target).await).await;
        assert_eq!((committed.change_version, committed.audit[0].seq), (3, 3));
        let refused = target.restore_from(Cursor::new(file.clone())).await;
        assert!(matches!(refused, Err(Error::NotEmpty { table: "meta" })));
        // And back again.
        let (second, _) = target.backup_to(Vec::new()).await.unwrap();
        verify_backup(second.as_slice()).unwrap();
    }
    assert!(
        matches!(store.backup_to(Full(5_000)).await, Err(Error::Io(error)) if error.kind() == io::ErrorKind::StorageFull)
    );
}

pub(crate) async fn a_restore_is_all_or_nothing(bed: Bed) {
    let store = bed.store().await;
    fill(&store).await;
    let (file, _) = store.backup_to(Vec::new()).await.unwrap();
    let target = bed.spare().await;
    let (empty, _) = target.backup_to(Vec::new()).await.unwrap();
    let mut flipped = file.clone();
    let middle = flipped.len() / 2;
    flipped[middle] ^= 1;
    let mut last = file.clone();
    *last.last_mut().unwrap() ^= 1;
    let half = file.clone().into_iter().take(file.len() * 2 / 3).collect();
    for damaged in [flipped, last, half, Vec::new(), b"something else entirely, not a backup".to_vec()] {
        assert!(verify_backup(damaged.as_slice()).is_err());
        let refused = target.restore_from(Cursor::new(damaged)).await;
        assert!(matches!(refused, Err(Error::BadBackup { .. })), "{refused:?}");
    }
    // A source that breaks (a wrong recovery identity, say) is no damage of the file.
    let broken = Cursor::new(file.clone()).take(9_000).chain(Broken);
    assert!(matches!(target.restore_from(broken).await, Err(Error::Io(_))));
    assert_eq!(target.backup_to(Vec::new()).await.unwrap().0, empty, "nothing was kept");
    target.restore_from(Cursor::new(file)).await.unwrap();
    assert_eq!(picture(&target).await, picture(&store).await);
}

struct Broken;

impl Read for Broken {
    fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
        Err(io::Error::other("decryption failed"))
    }
}
