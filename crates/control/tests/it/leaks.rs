//! Whose a found secret is: asked with keyed hashes, answered with names, and no secret on the way.

use crate::app::{App, hash_of, marked_secret, text};
use axum::http::Method;
use keyward_domain::{api_token, digest::hex, leak::LeakKey};
use serde_json::{Value, json};
use std::process::Command;

async fn leak_key(app: &App) -> LeakKey {
    LeakKey::from_hex(text(&app.get("/leaks/key").await, "key")).unwrap()
}

async fn asked(app: &App, item: Value) -> Vec<Value> {
    let answer = app.post("/leaks/match", json!({"items": [item]})).await;
    answer["items"].as_array().unwrap().clone()
}

fn of_secret(key: &LeakKey, secret: &str) -> Value {
    json!({"kind": "credential", "fingerprint": hex(&key.of_secret(secret.as_bytes()).0)})
}

fn of_key(key: &LeakKey, made: &Value) -> Value {
    let print = hex(&key.of_key(&hash_of(text(made, "key"))).0);
    json!({"kind": "key", "public_id": made["public_id"], "fingerprint": print})
}

#[tokio::test]
async fn a_virtual_key_is_named_with_its_state_and_what_is_left() {
    let app = App::new().await;
    app.project("shop").await;
    let body = json!({"project": "shop", "environment": "production", "name": "web", "budgets": ["5 USD/month"],
        "policy": {"providers": ["openai"]}});
    let made = app.post("/keys", body).await;
    let key = leak_key(&app).await;
    let told = asked(&app, of_key(&key, &made)).await;
    assert_eq!(told.len(), 1);
    let told = &told[0];
    assert_eq!((&told["kind"], &told["id"], &told["name"]), (&json!("key"), &made["id"], &json!("web")));
    assert_eq!((&told["project"], &told["environment"]), (&json!("shop"), &json!("production")));
    assert_eq!((&told["status"], &told["current"]), (&json!("active"), &json!(true)));
    assert_eq!(told["limits"], json!(["5 USD left of 5 USD/month"]));

    // Whoever has only the public id is told so: this is no reason to revoke the key.
    let mut guessed = of_key(&key, &made);
    guessed["fingerprint"] = json!("00".repeat(32));
    assert_eq!(asked(&app, guessed).await[0]["current"], false);

    let rotated = app.post("/keys/web/rotate", json!({"overlap": "1h"})).await;
    assert_eq!(asked(&app, of_key(&key, &rotated)).await[0]["current"], true);
    assert_eq!(asked(&app, of_key(&key, &made)).await[0]["current"], true, "for an hour");
    app.clock.advance(2 * 3_600_000);
    assert_eq!(asked(&app, of_key(&key, &made)).await[0]["current"], false);
    app.post("/keys/web/revoke", json!({"reason": "found by scan at a/.env:3"})).await;
    assert_eq!(asked(&app, of_key(&key, &rotated)).await[0]["status"], "revoked");
    let audit = app.get("/audit").await.to_string();
    assert!(audit.contains("found by scan at a/.env:3"));
}

#[tokio::test]
async fn a_credential_is_known_also_after_its_secret_was_replaced() {
    let app = App::new().await;
    app.recovery().await;
    app.project("shop").await;
    let (first, second) = (marked_secret(), marked_secret());
    let made = app.credential("shop", "main", &first).await;
    let key = leak_key(&app).await;
    let told = asked(&app, of_secret(&key, &format!(" {first}\n"))).await;
    assert_eq!((told.len(), &told[0]["id"], &told[0]["current"]), (1, &made["id"], &json!(true)));
    assert_eq!((&told[0]["provider"], &told[0]["status"]), (&made["provider"], &json!("active")));
    app.post("/credentials/main/versions", json!({"secret": second})).await;
    assert_eq!(asked(&app, of_secret(&key, &first)).await[0]["current"], false);
    assert_eq!(asked(&app, of_secret(&key, &second)).await[0]["current"], true);
    app.post("/credentials/main/disable", Value::Null).await;
    assert_eq!(asked(&app, of_secret(&key, &second)).await[0]["status"], "disabled");
    app.post("/credentials/main/revoke", Value::Null).await;
    assert_eq!(asked(&app, of_secret(&key, &second)).await[0]["status"], "revoked");
    assert_eq!(asked(&app, of_secret(&key, &marked_secret())).await, [] as [Value; 0]);
}

#[tokio::test]
async fn a_token_of_the_api_is_named() {
    let app = App::new().await;
    let made = app.post("/tokens", json!({"name": "ci", "role": "auditor"})).await;
    let key = leak_key(&app).await;
    let print = |token: &str| hex(&key.of_token(&api_token::parse(token).unwrap()).0);
    let question = json!({"kind": "token", "fingerprint": print(text(&made, "token"))});
    let told = asked(&app, question.clone()).await;
    assert_eq!((&told[0]["name"], &told[0]["status"]), (&json!("ci"), &json!("active")));
    app.ok(Method::DELETE, "/tokens/ci", json!({"reason": "found by scan"})).await;
    assert_eq!(asked(&app, question).await[0]["status"], "revoked");
}

#[tokio::test]
async fn what_was_taken_in_before_is_marked_by_the_job() {
    let app = App::new().await;
    app.recovery().await;
    app.project("shop").await;
    let secret = marked_secret();
    app.credential("shop", "main", &secret).await;
    let key = leak_key(&app).await;
    let file = app.folder.path().join("keyward.db");
    let sql = "update credential_versions set leak_mark = null";
    assert!(Command::new("sqlite3").arg(file).arg(sql).output().unwrap().status.success());
    assert_eq!(asked(&app, of_secret(&key, &secret)).await, [] as [Value; 0]);
    let _jobs = app.control.start_jobs();
    while asked(&app, of_secret(&key, &secret)).await.is_empty() {
        tokio::task::yield_now().await;
    }
    assert!(app.actions().await.contains(&"vault.mark".to_owned()));
}

#[tokio::test]
async fn a_question_that_is_none_is_refused() {
    let app = App::new().await;
    let many: Vec<Value> = (0..1_001).map(|_| json!({"kind": "token", "fingerprint": "00".repeat(32)})).collect();
    for (body, code) in [
        (json!({"items": many}), "too_many_questions"),
        (json!({"items": [{"kind": "key", "fingerprint": "00".repeat(32)}]}), "public_id_missing"),
        (json!({"items": [{"kind": "credential", "fingerprint": "00"}]}), "invalid_fingerprint"),
    ] {
        app.refused_as(Method::POST, "/leaks/match", body, 400, code).await;
    }
}
