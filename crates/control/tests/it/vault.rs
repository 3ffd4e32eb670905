//! The keyring's rotation, also across a kill; and the recovery identity with its proof.

use crate::app::{App, Begin, START, made_up, marked_secret, text};
use axum::http::Method;
use keyward_control::keyring;
use keyward_domain::{audit::Actor, digest};
use keyward_vault::{Vault, recovery, seal};
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

/// Whether every secret's row names the wrapping key that its bytes are under.
async fn rows_name_their_keys(app: &App) -> bool {
    let rows = app.store.current_versions().await.unwrap();
    rows.iter().all(|row| row.wrapping_key == seal::inspect(&row.sealed).unwrap().wrapping_key.to_string())
}

#[tokio::test]
async fn rotations_while_secrets_move_leave_none_behind() {
    let app = App::new().await;
    app.recovery().await;
    app.project("shop").await;
    for number in 0..60 {
        app.credential("shop", &format!("c{number}"), &marked_secret()).await;
    }
    let _jobs = app.control.start_jobs();
    for _ in 0..10 {
        let before = app.get("/vault").await["rewrap"]["done"].clone();
        app.post("/vault/rotate", Value::Null).await;
        // The next rotation falls into the middle of the move.
        until(&app, |vault| vault["rewrap"]["done"] != before || vault["rewrap"]["state"] == "idle").await;
        assert!(rows_name_their_keys(&app).await);
    }
    until(&app, |vault| vault["rewrap"]["state"] == "idle").await;
    assert!(rows_name_their_keys(&app).await);
    let left = until(&app, |vault| !states(vault).iter().any(|(_, state)| state == "retiring")).await;
    assert_eq!(states(&left).iter().filter(|(_, state)| state == "active").count(), 1);
}

#[tokio::test]
async fn a_row_that_names_the_wrong_key_gets_the_right_one() {
    let app = App::new().await;
    app.recovery().await;
    app.project("shop").await;
    app.credential("shop", "main", &marked_secret()).await;
    let row = app.store.current_versions().await.unwrap().pop().unwrap();
    let mut write = app.store.write(Actor::Operator, None, START).await.unwrap();
    write.rewrap_credential_version(&row, &row.sealed, "0000000000000000").await.unwrap();
    write.commit(vec![made_up("somebody.else", "nothing", "nothing")]).await.unwrap();
    assert_eq!(app.get("/vault").await["rewrap"]["state"], "running");
    let _jobs = app.control.start_jobs();
    until(&app, |vault| vault["rewrap"]["state"] == "idle").await;
    assert!(rows_name_their_keys(&app).await);
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
