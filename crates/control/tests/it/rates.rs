//! Rates that scopes share: set, shown, cleared, and closed when their record was changed or removed.

use crate::app::{App, Begin, START, made_up, text};
use axum::http::Method;
use keyward_domain::{ProjectId, audit::Actor, budget::Scope};
use serde_json::{Value, json};
use std::process::Command;

async fn restarted(app: App) -> App {
    App::on(app.folder, app.store, app.vault, Begin { demo: false, bootstrap: None }).await
}

#[tokio::test]
async fn rates_are_set_merged_and_cleared() {
    let app = App::new().await;
    let project = app.project("shop").await;
    let scope = Scope::Project(text(&project, "id").parse::<ProjectId>().unwrap());
    let path = "/rates/projects/shop";
    let set = app.ok(Method::PATCH, path, json!({"requests_per_minute": 600, "concurrency": 50})).await;
    assert_eq!((&set["status"], &set["project"]), (&json!("active"), &json!("shop")));
    let told = app.gateway.rates(scope).expect("told before the answer");
    assert_eq!((told.requests_per_minute, told.concurrency), (Some(600), Some(50)));
    app.ok(Method::PATCH, path, json!({"requests_per_minute": null, "tokens_per_minute": 7, "revision": "1"})).await;
    let told = app.gateway.rates(scope).unwrap();
    assert_eq!((told.requests_per_minute, told.tokens_per_minute, told.concurrency), (None, Some(7), Some(50)));
    let stale = json!({"concurrency": 9, "revision": "1"});
    app.refused_as(Method::PATCH, path, stale, 409, "changed_meanwhile").await;
    app.ok(Method::PATCH, "/rates/organisation", json!({"requests_per_minute": 6_000})).await;
    assert_eq!(app.get("/rates").await["items"].as_array().unwrap().len(), 2);
    let app = restarted(app).await;
    assert_eq!(app.gateway.rates(scope).unwrap(), told);
    assert_eq!(app.ok(Method::DELETE, path, Value::Null).await["status"], "none");
    let told = app.gateway.rates(scope).unwrap();
    assert_eq!((told.requests_per_minute, told.tokens_per_minute, told.concurrency), (None, None, None));
    assert_eq!(app.ok(Method::DELETE, path, Value::Null).await["status"], "none", "twice is as good as once");
    let app = restarted(app).await;
    assert_eq!(app.get("/rates").await["items"].as_array().unwrap().len(), 1);
    assert!(app.gateway.rates(scope).is_none());
    // Set again where there were some before.
    app.ok(Method::PATCH, path, json!({"concurrency": 2})).await;
    assert_eq!(app.get("/doctor").await["checks"][1]["state"], "ok");
}

#[tokio::test]
async fn rates_that_make_no_sense_are_refused() {
    let app = App::new().await;
    app.project("shop").await;
    for (path, body, status, code) in [
        ("/rates/organisation", json!({"concurrency": 0}), 400, "invalid_rates"),
        ("/rates/organisation", json!({}), 400, "nothing_to_change"),
        ("/rates/organisation", json!({"requests_per_minute": -1}), 400, "invalid_field"),
        ("/rates/organisation", json!({"concurrency": 5_000_000_000_u64}), 400, "invalid_field"),
        ("/rates/projects/none", json!({"concurrency": 1}), 404, "not_found"),
    ] {
        app.refused_as(Method::PATCH, path, body, status, code).await;
    }
    assert_eq!(app.ok(Method::DELETE, "/rates/projects/shop", Value::Null).await["status"], "none");
    let developer = app.token("developer").await;
    let (status, _) = app.with(&developer, Method::PATCH, "/rates/organisation", &json!({"concurrency": 1})).await;
    assert_eq!(status, 403);
}

#[tokio::test]
async fn changed_and_removed_rates_close_their_scope_until_they_are_stated_anew() {
    let app = App::new().await;
    let project = app.project("shop").await;
    let scope = Scope::Project(text(&project, "id").parse::<ProjectId>().unwrap());
    let path = "/rates/projects/shop";
    app.ok(Method::PATCH, path, json!({"requests_per_minute": 5})).await;
    let mut row = app.store.rates(text(&project, "id")).await.unwrap().unwrap();
    row.requests_per_minute = Some(5_000_000);
    row.row_version = 2;
    let mut write = app.store.write(Actor::Operator, None, START).await.unwrap();
    write.update_rates(&row, 1).await.unwrap();
    write.commit(vec![made_up("somebody.else", "nothing", "nothing")]).await.unwrap();
    assert_eq!(app.get("/doctor").await["healthy"], false);
    assert_eq!(app.gateway.rates(scope).unwrap().concurrency, Some(0), "found while it runs");
    let app = restarted(app).await;
    assert_eq!(app.gateway.rates(scope).unwrap().concurrency, Some(0));
    assert_eq!(app.get("/rates").await["items"][0]["status"], "tampered");
    app.refused_as(Method::PATCH, path, json!({"concurrency": 3}), 409, "tampered").await;
    let whole = json!({"requests_per_minute": 5, "tokens_per_minute": null, "concurrency": null});
    app.ok(Method::PATCH, path, whole.clone()).await;
    assert_eq!(app.gateway.rates(scope).unwrap().concurrency, None);
    assert_eq!(app.get("/doctor").await["checks"][1]["state"], "ok");

    let file = app.folder.path().join("keyward.db");
    let done = Command::new("sqlite3").arg(file).arg("delete from shared_rates").output().unwrap();
    assert!(done.status.success());
    assert_eq!(app.get("/doctor").await["healthy"], false);
    assert_eq!(app.gateway.rates(scope).unwrap().concurrency, Some(0));
    let app = restarted(app).await;
    assert_eq!(app.gateway.rates(scope).unwrap().concurrency, Some(0));
    app.refused_as(Method::PATCH, path, json!({"concurrency": 3}), 409, "tampered").await;
    app.ok(Method::PATCH, path, whole).await;
    assert_eq!(app.gateway.rates(scope).unwrap().requests_per_minute, Some(5));
    assert_eq!(app.get("/doctor").await["checks"][1]["state"], "ok");
}
