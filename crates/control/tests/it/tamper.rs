//! A row that somebody changed in the database is not used, is named, and is in the audit log; what takes power away
//! still works.

use crate::app::{App, Begin, START, made_up, marked_secret, text};
use axum::http::Method;
use keyward_control::proof;
use keyward_domain::audit::Actor;
use keyward_store::{KeyRow, Write};
use keyward_vault::recovery;
use serde_json::{Value, json};

async fn write(app: &App) -> Write {
    app.store.write(Actor::Operator, None, START).await.unwrap()
}

/// Changes a key's row the way somebody with SQL would: everything but the code over it.
async fn change_key(app: &App, id: &str, change: impl FnOnce(&mut KeyRow)) {
    let mut row = app.store.key(id.parse().unwrap()).await.unwrap().unwrap();
    change(&mut row);
    row.row_version += 1;
    let mut write = write(app).await;
    write.update_key(&row, row.row_version - 1).await.unwrap();
    write.commit(vec![made_up("somebody.else", "nothing", "nothing")]).await.unwrap();
}

async fn restarted(app: App) -> App {
    App::on(app.folder, app.store, app.vault, Begin { demo: false, bootstrap: None }).await
}

#[tokio::test]
async fn a_changed_policy_is_left_out_named_and_audited() {
    let app = App::new().await;
    app.project("shop").await;
    let (bad, good) = (app.key("shop", "bad").await, app.key("shop", "good").await);
    change_key(&app, text(&bad, "id"), |row| row.policy = r#"{"providers":["*"]}"#.to_owned()).await;
    let app = restarted(app).await;
    assert!(app.gateway.grant(text(&bad, "id")).is_none(), "the gateway does not know it");
    assert!(app.gateway.grant(text(&good, "id")).is_some(), "others go on");
    let status = app.get("/status").await;
    assert_eq!(status["tampered"][0]["id"], bad["id"]);
    assert_eq!(app.get("/keys/bad").await["status"], "tampered");
    let log = app.get("/audit").await;
    let event = log["items"].as_array().unwrap().iter().find(|item| item["action"] == "tamper.detected").unwrap();
    assert_eq!((&event["subject_kind"], &event["subject"]), (&json!("key"), &bad["id"]));
    let doctor = app.get("/doctor").await;
    assert_eq!(doctor["healthy"], false);
    assert!(doctor.to_string().contains("'bad'"), "{doctor}");
    app.get("/doctor").await;
    let told = app.actions().await.into_iter().filter(|action| action == "tamper.detected").count();
    assert_eq!(told, 1, "said once, not at every look");
    let proof = proof::prove(&app.store, &app.vault).await.unwrap();
    assert!(proof.bad.len() == 1 && proof.bad[0].contains("'bad'"), "{proof:?}");
}

#[tokio::test]
async fn a_changed_row_cannot_be_made_to_look_right_but_can_be_revoked() {
    let app = App::new().await;
    app.project("shop").await;
    let key = app.key("shop", "web").await;
    change_key(&app, text(&key, "id"), |row| row.expires_at = None).await;
    change_key(&app, text(&key, "id"), |row| row.name = "web".to_owned()).await;
    app.refused_as(Method::PATCH, "/keys/web", json!({"name": "x"}), 409, "tampered").await;
    app.refused_as(Method::POST, "/keys/web/rotate", Value::Null, 409, "tampered").await;
    assert_eq!(app.post("/keys/web/revoke", Value::Null).await["status"], "revoked");
    assert!(app.gateway.grant(text(&key, "id")).expect("known, and dead").revoked);
    app.get("/doctor").await;
    assert_eq!(app.get("/status").await["tampered"], json!([]), "mended");
}

#[tokio::test]
async fn nothing_is_encrypted_to_a_recipient_that_somebody_put_into_the_database() {
    let app = App::new().await;
    let mine = app.recovery().await;
    app.project("shop").await;
    let mut row = app.store.recoveries().await.unwrap().pop().unwrap();
    (row.recipient, row.created_at) = (recovery::generate().recipient, row.created_at + 1);
    let mut change = write(&app).await;
    change.put_recovery(&row).await.unwrap();
    change.commit(vec![made_up("somebody.else", "nothing", "nothing")]).await.unwrap();
    let credential = json!({"project": "shop", "provider": "openai", "name": "main", "secret": marked_secret()});
    app.refused_as(Method::GET, "/backup", Value::Null, 409, "tampered").await;
    app.refused_as(Method::POST, "/vault/recovery/challenge", Value::Null, 409, "tampered").await;
    app.refused_as(Method::POST, "/credentials", credential.clone(), 409, "tampered").await;
    let tampered = app.get("/status").await["tampered"].clone();
    assert_eq!((&tampered[0]["kind"], &tampered[0]["name"]), (&json!("recovery"), &json!(row.recipient)));
    let told = app.actions().await.into_iter().filter(|action| action == "tamper.detected").count();
    assert_eq!(told, 1, "said once");
    let proof = proof::prove(&app.store, &app.vault).await.unwrap();
    assert!(proof.bad.len() == 1 && proof.bad[0].contains("recovery recipient"), "{proof:?}");
    app.post("/vault/recovery", json!({"recipient": mine.recipient, "replace": true})).await;
    assert_eq!(app.get("/status").await["recovery"]["recipient"], json!(mine.recipient));
    app.post("/credentials", credential).await;
    assert_eq!(app.get("/status").await["tampered"], json!([]), "mended");
}

#[tokio::test]
async fn a_sweep_finds_what_was_changed_while_running() {
    let app = App::new().await;
    app.recovery().await;
    let project = text(&app.project("shop").await, "id").to_owned();
    let credential = app.credential("shop", "main", &marked_secret()).await;
    let key = app.key("shop", "web").await;
    let mut row = app.store.credential(text(&credential, "id").parse().unwrap()).await.unwrap().unwrap();
    (row.base_url, row.row_version) = (Some("https://thief.example".to_owned()), row.row_version + 1);
    let mut change = write(&app).await;
    change.update_credential(&row, row.row_version - 1).await.unwrap();
    change.commit(vec![made_up("somebody.else", "nothing", "nothing")]).await.unwrap();
    assert_eq!(app.gateway.credentials(&project, "production", "openai").len(), 1, "nobody has looked yet");
    assert_eq!(app.get("/doctor").await["healthy"], false);
    assert!(app.gateway.credentials(&project, "production", "openai").is_empty(), "taken from the gateway");
    assert!(app.gateway.grant(text(&key, "id")).is_some());
}

#[tokio::test]
async fn a_changed_project_takes_its_keys_along() {
    let app = App::new().await;
    let project = app.project("shop").await;
    let key = app.key("shop", "web").await;
    let mut row = app.store.project(text(&project, "id").parse().unwrap()).await.unwrap().unwrap();
    (row.policy, row.row_version) = (r#"{"providers":["*"]}"#.to_owned(), row.row_version + 1);
    let mut change = write(&app).await;
    change.update_project(&row, row.row_version - 1).await.unwrap();
    change.commit(vec![made_up("somebody.else", "nothing", "nothing")]).await.unwrap();
    let app = restarted(app).await;
    assert!(app.gateway.grant(text(&key, "id")).is_none());
    app.refused_as(Method::PATCH, "/projects/shop", json!({"policy": {}}), 409, "tampered").await;
    // Who states everything anew mends it.
    app.ok(Method::PATCH, "/projects/shop", json!({"name": "shop", "policy": {"providers": ["openai"]}})).await;
    assert!(app.gateway.grant(text(&key, "id")).is_some());
}

#[tokio::test]
async fn a_role_that_somebody_wrote_opens_nothing() {
    let app = App::new().await;
    let token = app.token("auditor").await;
    let mut row = app.store.tokens().await.unwrap().pop().unwrap();
    (row.role, row.row_version) = ("owner".to_owned(), row.row_version + 1);
    let mut change = write(&app).await;
    change.update_token(&row, row.row_version - 1).await.unwrap();
    change.commit(vec![made_up("somebody.else", "nothing", "nothing")]).await.unwrap();
    let (status, problem) = app.with(&token, Method::GET, "/whoami", &Value::Null).await;
    assert_eq!((status.as_u16(), text(&problem, "code")), (401, "token_tampered"));
    assert!(app.actions().await.contains(&"tamper.detected".to_owned()));
}

#[tokio::test]
async fn a_secret_moved_to_another_credential_does_not_open() {
    let app = App::new().await;
    app.recovery().await;
    app.project("shop").await;
    let one = app.credential("shop", "one", &marked_secret()).await;
    let two = app.credential("shop", "two", &marked_secret()).await;
    let id = |value: &Value| text(value, "id").parse().unwrap();
    let stolen = app.store.credential_version(id(&one), 1).await.unwrap().unwrap();
    let victim = app.store.credential_version(id(&two), 1).await.unwrap().unwrap();
    let mut change = write(&app).await;
    change.rewrap_credential_version(&victim, &stolen.sealed, &stolen.wrapping_key).await.unwrap();
    change.commit(vec![made_up("somebody.else", "nothing", "nothing")]).await.unwrap();
    app.refused_as(Method::POST, "/credentials/two/verify", Value::Null, 409, "secret_unreadable").await;
    let proof = proof::prove(&app.store, &app.vault).await.unwrap();
    assert!(proof.bad.len() == 1 && proof.bad[0].contains(text(&two, "id")), "{proof:?}");
}

/// Writes a row the way somebody with SQL would put an earlier one back: as it was, with the code that it had.
macro_rules! put_back {
    ($app:expr, $update:ident, $row:expr, $now:expr) => {{
        let mut change = write(&$app).await;
        change.$update($row, $now).await.unwrap();
        change.commit(vec![made_up("somebody.else", "nothing", "nothing")]).await.unwrap();
    }};
}

fn tampered(log: &Value, kind: &str, id: &Value) -> bool {
    let items = log["items"].as_array().unwrap();
    items.iter().any(|row| row["action"] == "tamper.detected" && row["subject_kind"] == kind && row["subject"] == *id)
}

#[tokio::test]
async fn an_earlier_key_put_back_is_refused_by_name_until_it_is_mended() {
    let app = App::new().await;
    app.project("shop").await;
    let (bad, good) = (app.key("shop", "bad").await, app.key("shop", "good").await);
    let id = text(&bad, "id").to_owned();
    let stored = async |app: &App| app.store.key(id.parse().unwrap()).await.unwrap().unwrap();
    let first = stored(&app).await;
    app.ok(Method::PATCH, "/keys/bad", json!({"policy": {"models": ["gpt-*"]}})).await;
    let second = stored(&app).await;
    app.post("/keys/bad/revoke", Value::Null).await;
    for (earlier, now) in [(&first, 3), (&second, 1)] {
        put_back!(app, update_key, earlier, now);
    }
    let app = restarted(app).await;
    assert!(app.gateway.grant(&id).is_none(), "the gateway does not know it");
    assert!(app.gateway.grant(text(&good, "id")).is_some(), "others go on");
    assert_eq!(app.get("/keys/bad").await["status"], "tampered");
    let listed = app.get("/keys?limit=10").await;
    let listed = listed["items"].as_array().unwrap().iter().find(|item| item["name"] == "bad").unwrap();
    assert_eq!(listed["status"], "tampered");
    let status = app.get("/status").await;
    assert_eq!((&status["tampered"][0]["id"], &status["tampered"][0]["name"]), (&bad["id"], &json!("bad")));
    assert!(status["tampered"][0]["why"].as_str().unwrap().contains("version 2, the audit log knows version 3"));
    assert!(tampered(&app.get("/audit").await, "key", &bad["id"]));
    let doctor = app.get("/doctor").await;
    assert_eq!(doctor["healthy"], false);
    assert!(doctor.to_string().contains("'bad'") && doctor.to_string().contains("was put back"), "{doctor}");
    let proof = proof::prove(&app.store, &app.vault).await.unwrap();
    assert!(proof.bad.len() == 1 && proof.bad[0].contains("'bad'"), "{proof:?}");
    app.refused_as(Method::PATCH, "/keys/bad", json!({"name": "x"}), 409, "tampered").await;
    app.refused_as(Method::POST, "/keys/bad/rotate", Value::Null, 409, "tampered").await;
    // Revoking mends it, with a version that neither earlier row has.
    assert_eq!(app.post("/keys/bad/revoke", Value::Null).await["status"], "revoked");
    assert_eq!(stored(&app).await.row_version, 4);
    assert_eq!(app.get("/doctor").await["checks"][1]["state"], "ok");
    put_back!(app, update_key, &second, 4);
    assert_eq!(app.get("/doctor").await["healthy"], false, "found without a restart");
    assert!(app.gateway.grant(&id).is_none());
}

#[tokio::test]
async fn earlier_rows_of_every_kind_are_refused() {
    let app = App::new().await;
    app.recovery().await;
    let policies = json!({"production": {"models": ["gpt-*"]}, "staging": {"concurrency": 1}});
    let project = json!({"name": "shop", "policy": {"providers": ["openai"]}, "environments": policies});
    let project = app.post("/projects", project).await;
    let other = app.project("other").await;
    let credential = app.credential("shop", "main", &marked_secret()).await;
    let (key, others) = (app.key("shop", "web").await, app.key("other", "web2").await);
    let token = app.token("admin").await;
    let read = async |app: &App| {
        (
            app.store.project(text(&other, "id").parse().unwrap()).await.unwrap().unwrap(),
            app.store.environments_of(text(&project, "id").parse().unwrap()).await.unwrap(),
            app.store.credential(text(&credential, "id").parse().unwrap()).await.unwrap().unwrap(),
            app.store.tokens().await.unwrap().pop().unwrap(),
        )
    };
    let (old_project, old_environments, old_credential, old_token) = read(&app).await;
    app.ok(Method::PATCH, "/projects/other", json!({"policy": {"providers": ["openai"], "concurrency": 1}})).await;
    let narrower = json!({"environments": {"production": {"models": ["none"]}}});
    app.ok(Method::PATCH, "/projects/shop", narrower).await;
    app.post("/credentials/main/disable", Value::Null).await;
    app.ok(Method::DELETE, "/tokens/a%20admin", Value::Null).await;
    let app = restarted(app).await;
    assert_eq!(app.get("/doctor").await["checks"][1]["state"], "ok");
    let old_environment = old_environments.iter().find(|row| row.environment.name() == "production").unwrap();
    put_back!(app, update_project, &old_project, 2);
    put_back!(app, update_environment, old_environment, 2);
    put_back!(app, update_credential, &old_credential, 2);
    put_back!(app, update_token, &old_token, 2);
    let app = restarted(app).await;
    assert!(app.gateway.grant(text(&others, "id")).is_none(), "the project's policy");
    assert!(app.gateway.grant(text(&key, "id")).is_none(), "the environment's policy");
    assert!(app.gateway.credentials(text(&project, "id"), "production", "openai").is_empty(), "the credential");
    let (status, problem) = app.with(&token, Method::GET, "/whoami", &Value::Null).await;
    assert_eq!((status.as_u16(), text(&problem, "code")), (401, "token_tampered"));
    app.refused_as(Method::POST, "/credentials/main/enable", Value::Null, 409, "tampered").await;
    app.refused_as(Method::PATCH, "/projects/other", json!({"name": "x"}), 409, "tampered").await;
    assert_eq!(app.get("/doctor").await["healthy"], false);
    let log = app.get("/audit").await;
    let environment = json!(format!("{}/production", text(&project, "id")));
    for (kind, id) in [("project", &other["id"]), ("environment", &environment), ("credential", &credential["id"])] {
        assert!(tampered(&log, kind, id), "{kind} {id}");
    }
    // Who states policies anew mends their records; the rest is made anew.
    app.ok(Method::PATCH, "/projects/other", json!({"name": "other", "policy": {"providers": ["openai"]}})).await;
    let anew = json!({"environments": {"production": {"models": ["gpt-*"]}}});
    app.ok(Method::PATCH, "/projects/shop", anew).await;
    app.post("/credentials/main/revoke", Value::Null).await;
    app.ok(Method::DELETE, "/tokens/a%20admin", Value::Null).await;
    assert_eq!(app.get("/doctor").await["checks"][1]["state"], "ok");
    assert!(app.gateway.grant(text(&others, "id")).is_some() && app.gateway.grant(text(&key, "id")).is_some());
}

#[tokio::test]
async fn changes_while_everything_is_looked_at_raise_no_alarm() {
    let app = std::sync::Arc::new(App::new().await);
    app.project("shop").await;
    app.key("shop", "web").await;
    let changing = {
        let app = std::sync::Arc::clone(&app);
        tokio::spawn(async move {
            for number in 1..40 {
                app.ok(Method::PATCH, "/keys/web", json!({"policy": {"concurrency": number}})).await;
                app.ok(Method::PATCH, "/projects/shop", json!({"environments": {"staging": {"concurrency": number}}}))
                    .await;
                app.key("shop", &format!("key {number}")).await;
            }
        })
    };
    while !changing.is_finished() {
        let doctor = app.get("/doctor").await;
        assert_eq!(
            (&doctor["checks"][1]["state"], &doctor["checks"][2]["state"]),
            (&json!("ok"), &json!("ok")),
            "{doctor}"
        );
    }
    changing.await.unwrap();
    assert!(!app.actions().await.contains(&"tamper.detected".to_owned()));
}
