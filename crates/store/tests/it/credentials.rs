//! Credentials, the versions of their secrets, and their health.

use crate::{bed::Bed, rows};
use keyward_domain::{CredentialId, secret::Sealed};
use keyward_store::{CredentialHealthRow, Error};
use uuid::Uuid;

pub(crate) async fn versions_and_health(bed: Bed) {
    let store = bed.store().await;
    rows::furnish(&store).await;
    let (first, second) = (rows::credential(1, 0), rows::credential(2, 0));
    assert_eq!(store.credentials(None).await.unwrap(), [first.clone(), second.clone()]);
    assert_eq!(store.credentials(Some(rows::project_id(0))).await.unwrap().len(), 2);
    assert_eq!(store.credentials(Some(rows::project_id(1))).await.unwrap(), []);
    assert_eq!(store.credential(first.id).await.unwrap(), Some(first.clone()));
    assert_eq!(store.credentials_by_name("credential 2").await.unwrap(), std::slice::from_ref(&second));
    assert_eq!(store.credentials_by_fingerprint(&second.fingerprint).await.unwrap(), std::slice::from_ref(&second));

    let mut changed = first.clone();
    changed.version = 2;
    changed.row_version = 2;
    changed.order = 7;
    changed.base_url = None;
    let newer = rows::credential_version(1, 2);
    let mut write = rows::begin(&store).await;
    write.insert_credential_version(&newer).await.unwrap();
    write.update_credential(&changed, 1).await.unwrap();
    assert!(write.erase_credential_version(first.id, 1).await.unwrap());
    assert!(!write.erase_credential_version(first.id, 1).await.unwrap(), "erased once");
    rows::commit(write).await;
    assert_eq!(store.credential(first.id).await.unwrap(), Some(changed.clone()));
    assert_eq!(store.credential_version(first.id, 2).await.unwrap(), Some(newer.clone()));
    assert_eq!(store.credential_version(first.id, 3).await.unwrap(), None);
    assert_eq!(store.current_versions().await.unwrap(), [newer, rows::credential_version(2, 1)]);
    let versions = store.credential_versions(first.id).await.unwrap();
    assert_eq!(versions.len(), 2);
    assert_eq!((versions[0].sealed.as_bytes(), versions[0].erased_at), ([].as_slice(), Some(rows::NOW)));

    let mut health = CredentialHealthRow {
        credential: first.id,
        state: "dead".to_owned(),
        cause: Some("revoked at the provider".to_owned()),
        remedy: None,
        http_status: Some(401),
        checked_at: rows::NOW,
        out_until: Some(i64::MAX),
    };
    let mut write = rows::begin(&store).await;
    write.put_credential_health(&health).await.unwrap();
    health.state = "well".to_owned();
    health.out_until = None;
    write.put_credential_health(&health).await.unwrap();
    rows::commit(write).await;
    assert_eq!(store.credential_health(first.id).await.unwrap(), Some(health.clone()));
    assert_eq!(store.credential_healths().await.unwrap(), [health.clone()]);

    // What was found out earlier says nothing against it, whenever it arrives.
    for (later, stored) in [(-1, false), (0, true), (1, true)] {
        let late =
            CredentialHealthRow { state: "dead".to_owned(), checked_at: health.checked_at + later, ..health.clone() };
        let mut write = rows::begin(&store).await;
        assert_eq!(write.put_newer_credential_health(&late).await.unwrap(), stored, "{later}");
        drop(write);
    }
    assert_eq!(store.credential_healths().await.unwrap(), [health]);

    // A name is taken in its project and provider, until its holder is revoked.
    let mut twin = rows::credential(5, 0);
    twin.name = changed.name.clone();
    let mut write = rows::begin(&store).await;
    assert!(matches!(write.insert_credential(&twin).await, Err(Error::Taken { .. })));
    drop(write);
    changed.status = "revoked".to_owned();
    changed.row_version = 3;
    let mut write = rows::begin(&store).await;
    write.update_credential(&changed, 2).await.unwrap();
    write.insert_credential(&twin).await.unwrap();
    rows::commit(write).await;
}

pub(crate) async fn rewrapping_goes_on_where_it_stopped(bed: Bed) {
    let store = bed.store().await;
    rows::furnish(&store).await;
    let mut write = rows::begin(&store).await;
    for version in 2..6 {
        write.insert_credential_version(&rows::credential_version(1, version)).await.unwrap();
    }
    write.erase_credential_version(rows::credential_id(1), 3).await.unwrap();
    rows::commit(write).await;
    assert_eq!(store.count_versions_outside("new").await.unwrap(), 5);
    let mut after = (CredentialId::from_uuid(Uuid::nil()), 0);
    let mut done = Vec::new();
    loop {
        let page = store.versions_outside("new", after, 2).await.unwrap();
        let Some(last) = page.last() else { break };
        after = (last.credential, last.version);
        let mut write = rows::begin(&store).await;
        for row in &page {
            write.rewrap_credential_version(row, &Sealed::from_bytes(vec![9]), "new").await.unwrap();
            done.push((row.credential, row.version));
        }
        rows::commit(write).await;
        let mut write = rows::begin(&store).await;
        let again = write.rewrap_credential_version(&page[0], &Sealed::from_bytes(vec![8]), "new").await;
        assert!(matches!(again, Err(Error::Stale { .. })), "rewrapped meanwhile");
    }
    let one = rows::credential_id(1);
    assert_eq!(done, [(one, 1), (one, 2), (one, 4), (one, 5), (rows::credential_id(2), 1)]);
    assert_eq!(store.count_versions_outside("new").await.unwrap(), 0);
    assert_eq!(store.credential_version(one, 4).await.unwrap().unwrap().sealed.as_bytes(), [9]);
}
