//! Several people at once: no change of one undoes another's, unless it was meant to.

use crate::app::App;
use axum::http::Method;
use serde_json::json;
use std::sync::Arc;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn changes_of_different_fields_at_once_both_survive() {
    let app = Arc::new(App::new().await);
    app.project("shop").await;
    let key = app.key("shop", "web").await;
    let (key, shop) = (format!("/keys/{}", key["id"].as_str().unwrap()), "/projects/shop");
    for round in 1..=10 {
        let mut changes = tokio::task::JoinSet::new();
        for (path, body) in [
            (key.clone(), json!({"name": format!("web {round}")})),
            (key.clone(), json!({"policy": {"concurrency": round}})),
            (key.clone(), json!({"expires_in": format!("{round}d")})),
            (shop.to_owned(), json!({"policy": {"providers": ["openai"], "concurrency": round}})),
            (shop.to_owned(), json!({"environments": {"production": {"max_output_tokens": round}}})),
            (shop.to_owned(), json!({"environments": {"staging": {"max_output_tokens": round}}})),
        ] {
            let app = Arc::clone(&app);
            changes.spawn(async move { app.ok(Method::PATCH, &path, body).await });
        }
        changes.join_all().await;
        let (web, project) = (app.get(&key).await, app.get(shop).await);
        assert_eq!((&web["name"], &web["policy"]["concurrency"]), (&json!(format!("web {round}")), &json!(round)));
        assert!(web["expires_at"].is_string());
        assert_eq!(project["policy"]["concurrency"], round);
        assert_eq!(project["environments"]["production"]["max_output_tokens"], round);
        assert_eq!(project["environments"]["staging"]["max_output_tokens"], round);
        assert_eq!(web["revision"], json!((1 + 3 * round).to_string()));
    }
    // Whoever tells the gateway while somebody else writes tells it of a key that is there.
    assert_eq!(*app.gateway.forgotten.lock().unwrap(), []);
}

#[tokio::test]
async fn a_change_meant_for_another_revision_is_refused() {
    let app = App::new().await;
    let project = app.project("shop").await;
    let key = app.key("shop", "web").await;
    for (path, first) in [("/keys/web", &key["revision"]), ("/projects/shop", &project["revision"])] {
        let change =
            |number: u32| json!({"policy": {"providers": ["openai"], "concurrency": number}, "revision": first});
        let changed = app.ok(Method::PATCH, path, change(1)).await;
        assert_ne!(&changed["revision"], first);
        let refused = app.refused_as(Method::PATCH, path, change(2), 409, "changed_meanwhile").await;
        assert!(refused["hint"].is_string());
        assert_eq!(app.get(path).await["policy"]["concurrency"], 1);
        let again = json!({"policy": {"providers": ["openai"], "concurrency": 2}, "revision": changed["revision"]});
        app.ok(Method::PATCH, path, again).await;
    }
    // An environment's policy is part of the project's state.
    let before = app.get("/projects/shop").await;
    app.ok(Method::PATCH, "/projects/shop", json!({"environments": {"production": {"concurrency": 1}}})).await;
    let late = json!({"environments": {"production": {"concurrency": 2}}, "revision": before["revision"]});
    app.refused_as(Method::PATCH, "/projects/shop", late, 409, "changed_meanwhile").await;
}
