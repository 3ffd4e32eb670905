//! The keyring's rotation, also across a kill; and the recovery identity with its proof.

use crate::app::{App, Begin, START, marked_secret, text};
use axum::http::Method;
use keyward_control::keyring;
use keyward_domain::digest;
use keyward_vault::{Vault, recovery};
use serde_json::{Value, json};
use std::{sync::Arc, time::Duration};

/// Waits, without guessing a time, until something is so.
async fn until(app: &App, is_so: impl Fn(&Value) -> bool) -> Value {
    let waiting = async {
        loop {
            let vault = app.get("/vault").await;
            if is_so(&vault) {
                return vault;
            }
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), waiting).await.expect("it never came")
}

fn states(vault: &Value) -> Vec<(String, String)> {
    let keys = vault["keyring"].as_array().unwrap().iter();
    let wrapping = keys.filter(|key| key["purpose"] == "wrap");
    wrapping.map(|key| (text(key, "id").to_owned(), text(key, "state").to_owned())).collect()
}

#[tokio::test]
async fn a_rotation_moves_every_secret_and_is_picked_up_after_a_kill() {
    let app = App::new().await;
    let recovery = app.recovery().await;
    let project = text(&app.project("shop").await, "id").to_owned();
    let secrets: Vec<String> = (0..60).map(|_| marked_secret()).collect();
    for (number, secret) in secrets.iter().enumerate() {
        app.credential("shop", &format!("c{number}"), secret).await;
    }
    let before = states(&app.get("/vault").await);
    let rotated = app.post("/vault/rotate", json!({"reason": "quarterly"})).await;
    assert_eq!(rotated["rewrap"], json!({"state": "running", "done": 0, "total": 60}));
    // Killed here: no job has run. The next start unlocks what is stored.
    let rows = keyring::from_stored(app.store.keyring().await.unwrap()).unwrap();
    let copy = app.store.recoveries().await.unwrap().pop().unwrap();
    let master = recovery::recover(&recovery.identity, &copy.wrapped).unwrap();
    let vault = Arc::new(Vault::unlock(master, &rows).unwrap());
    let next = App::on(app.folder, app.store, vault, Begin { demo: false, bootstrap: None }).await;
    let _jobs = next.control.start_jobs();
    let done = until(&next, |vault| states(vault).iter().any(|(_, state)| state == "retired")).await;
    assert_eq!(done["rewrap"], json!({"state": "idle", "done": 60, "total": 60}));
    let after = states(&done);
    assert!(after.contains(&(before[0].0.clone(), "retired".to_owned())), "{after:?}");
    let active = next.vault.active_wrapping_key().to_string();
    assert!(next.store.current_versions().await.unwrap().iter().all(|row| row.wrapping_key == active));
    let route = next.gateway.routes.lock().unwrap()[&format!("{project}/production/openai")].clone();
    assert_eq!(route.credentials.len(), 60);
    for credential in &route.credentials {
        next.vault.open(&credential.place, &credential.sealed).expect("what the gateway holds still opens");
    }
}

#[tokio::test]
async fn the_recovery_identity_is_proven_by_an_answer() {
    let app = App::new().await;
    app.refused_as(Method::POST, "/vault/recovery/challenge", Value::Null, 409, "recovery_missing").await;
    let held = app.recovery().await;
    assert_eq!(app.get("/vault").await["recovery"]["recipient"], held.recipient);
    assert!(app.get("/status").await["recovery"]["proven_at"].is_null());
    let asked = app.post("/vault/recovery/challenge", Value::Null).await;
    let question = digest::unhex(text(&asked, "challenge")).unwrap();
    let answer = digest::hex(&recovery::answer(&held.identity, &question).unwrap());
    let wrong = json!({"id": asked["id"], "answer": "00"});
    app.refused_as(Method::POST, "/vault/recovery/prove", wrong, 409, "wrong_answer").await;
    let late = json!({"id": asked["id"], "answer": answer});
    app.refused_as(Method::POST, "/vault/recovery/prove", late, 409, "no_such_challenge").await;
    let asked = app.post("/vault/recovery/challenge", Value::Null).await;
    let question = digest::unhex(text(&asked, "challenge")).unwrap();
    let answer = digest::hex(&recovery::answer(&held.identity, &question).unwrap());
    let proven = app.post("/vault/recovery/prove", json!({"id": asked["id"], "answer": answer})).await;
    assert_eq!(proven["proven_at"], keyward_domain::times::show(START));
}

#[tokio::test]
async fn a_recovery_identity_is_replaced_only_when_said() {
    let app = App::new().await;
    let first = app.recovery().await;
    let other = recovery::generate();
    let body = json!({"recipient": other.recipient});
    app.refused_as(Method::POST, "/vault/recovery", body, 409, "recovery_exists").await;
    app.refused_as(Method::POST, "/vault/recovery", json!({"recipient": "age1nonsense"}), 400, "invalid_recipient")
        .await;
    let identity = json!({"recipient": *other.identity});
    let problem = app.refused_as(Method::POST, "/vault/recovery", identity, 400, "invalid_recipient").await;
    assert!(!problem.to_string().contains("AGE-SECRET-KEY-1"), "{problem}");
    app.post("/vault/recovery", json!({"recipient": other.recipient, "replace": true})).await;
    let kept = app.store.recoveries().await.unwrap();
    assert_eq!(kept.len(), 1);
    assert!(recovery::recover(&first.identity, &kept[0].wrapped).is_err(), "the old one opens nothing any more");
    let master = recovery::recover(&other.identity, &kept[0].wrapped).unwrap();
    assert_eq!(master.id(), app.vault.master_id());
}
