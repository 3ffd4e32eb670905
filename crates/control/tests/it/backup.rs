//! A backup taken from the running API restores to the same installation, and only with the identity.

use crate::app::{App, marked_secret};
use axum::{body::Body, http::Method};
use keyward_control::{keyring, proof};
use keyward_store::{Location, Store, verify_backup};
use keyward_vault::{Vault, recovery};
use serde_json::Value;
use std::sync::Arc;

#[tokio::test]
async fn a_backup_is_encrypted_complete_and_restorable() {
    let app = App::new().await;
    app.refused_as(Method::GET, "/backup", Value::Null, 409, "recovery_missing").await;
    let held = app.recovery().await;
    app.project("shop").await;
    let secret = marked_secret();
    app.credential("shop", "main", &secret).await;
    app.key("shop", "web").await;
    let (status, file) = app.raw(Method::GET, "/api/v1/backup", Some(&app.owner), Body::empty()).await;
    assert_eq!(status, 200);
    assert!(file.starts_with(b"age-encryption.org/v1"));
    for plain in [b"shop".as_slice(), secret.as_bytes()] {
        assert!(!file.windows(plain.len()).any(|window| window == plain), "the backup is not encrypted");
    }
    let stranger = recovery::generate();
    assert!(recovery::decrypt_stream(&stranger.identity, file.as_ref()).is_err());
    verify_backup(recovery::decrypt_stream(&held.identity, file.as_ref()).unwrap()).expect("whole");
    let cut = file.slice(..file.len() - 40);
    assert!(verify_backup(recovery::decrypt_stream(&held.identity, cut.as_ref()).unwrap()).is_err(), "cut short");

    let place = tempfile::tempdir().unwrap();
    let restored = Store::open(&Location::File(place.path().join("keyward.db"))).await.unwrap();
    let reader = recovery::decrypt_stream(&held.identity, std::io::Cursor::new(file)).unwrap();
    restored.restore_from(reader).await.unwrap();
    let copy = restored.recoveries().await.unwrap().pop().unwrap();
    let master = recovery::recover(&held.identity, &copy.wrapped).unwrap();
    let vault = Vault::unlock(master, &keyring::from_stored(restored.keyring().await.unwrap()).unwrap()).unwrap();
    let proof = proof::prove(&restored, &Arc::new(vault)).await.unwrap();
    assert_eq!(
        (proof.rows, proof.secrets, proof.bad),
        (3, 1, vec![]),
        "project, credential and key hold; the secret opens"
    );
    assert!(app.actions().await.contains(&"backup.create".to_owned()));
}
