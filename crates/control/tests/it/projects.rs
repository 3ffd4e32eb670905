//! Projects and the policies that keys inherit from them.

use crate::app::{App, text};
use axum::http::Method;
use serde_json::{Value, json};

#[tokio::test]
async fn keys_inherit_from_environment_and_project_and_follow_changes_at_once() {
    let app = App::new().await;
    let project = app
        .post(
            "/projects",
            json!({
                "name": "shop",
                "policy": {"providers": ["openai"], "requests_per_minute": 60, "max_output_tokens": 100},
                "environments": {"production": {"requests_per_minute": 600}}
            }),
        )
        .await;
    assert_eq!(project["environments"]["production"]["requests_per_minute"], 600);
    let body = json!({"project": "shop", "environment": "production", "name": "web", "policy": {"models": ["gpt-*"]}});
    let key = app.post("/keys", body).await;
    let id = text(&key, "id");
    let policy = |app: &App| app.gateway.grant(id).expect("known").policy;
    assert_eq!(policy(&app).requests_per_minute, Some(600));
    assert_eq!(policy(&app).max_output_tokens, Some(100));
    assert_eq!(key["effective_policy"]["requests_per_minute"], 600);
    assert_eq!(key["policy"], json!({"models": ["gpt-*"]}));

    let change = json!({"policy": {"providers": ["anthropic"]}, "reason": "moves"});
    app.ok(Method::PATCH, "/projects/shop", change).await;
    assert_eq!(policy(&app).providers.as_deref(), Some(&["anthropic".into()][..]));
    assert_eq!(policy(&app).max_output_tokens, None);
    app.ok(Method::PATCH, "/projects/shop", json!({"environments": {"production": {"concurrency": 3}}})).await;
    assert_eq!((policy(&app).requests_per_minute, policy(&app).concurrency), (None, Some(3)));
}

#[tokio::test]
async fn equal_policies_share_their_memory() {
    let app = App::new().await;
    app.project("shop").await;
    for name in ["one", "two"] {
        app.key("shop", name).await;
    }
    let again = App::on(app.folder, app.store, app.vault, crate::app::Begin { demo: false, bootstrap: None }).await;
    let grants = again.gateway.grants.lock().unwrap();
    let policies: Vec<_> = grants.values().map(|grant| std::sync::Arc::as_ptr(&grant.policy)).collect();
    assert_eq!(policies.len(), 2);
    assert_eq!(policies.first(), policies.last());
}

#[tokio::test]
async fn archiving_stops_keys_and_routes_and_keeps_everything() {
    let app = App::new().await;
    app.recovery().await;
    let project = app.project("shop").await;
    let credential = app.credential("shop", "main", "a-secret-of-some-length").await;
    let key = app.key("shop", "web").await;
    let routed = |app: &App| app.gateway.credentials(text(&project, "id"), "production", "openai");
    assert_eq!(routed(&app), [text(&credential, "id").parse().unwrap()]);
    let archived = app.post("/projects/shop/archive", json!({"reason": "closed"})).await;
    assert_eq!(archived["status"], "archived");
    assert!(app.gateway.grant(text(&key, "id")).unwrap().revoked);
    assert!(routed(&app).is_empty());
    let body = json!({"project": "shop", "environment": "production", "name": "late"});
    app.refused_as(Method::POST, "/keys", body, 409, "project_archived").await;
    // The key is shown as what it is worth now.
    app.project("other").await;
    app.key("other", "alive").await;
    assert_eq!(app.get("/keys/web").await["status"], "archived");
    for (query, names) in [("project=shop", ["web"]), ("status=active", ["alive"]), ("status=archived", ["web"])] {
        let list = app.get(&format!("/keys?{query}")).await;
        let found: Vec<&str> = list["items"].as_array().unwrap().iter().map(|item| text(item, "name")).collect();
        assert_eq!(found, names, "{query}");
    }
    assert_eq!(app.get("/keys?status=archived").await["items"][0]["status"], "archived");
    app.post("/keys/web/revoke", Value::Null).await;
    assert_eq!(app.get("/keys/web").await["status"], "revoked");
    assert_eq!(app.get("/keys?status=archived").await["items"], json!([]));
}

#[tokio::test]
async fn a_name_that_is_taken_is_named() {
    let app = App::new().await;
    app.recovery().await;
    app.project("shop").await;
    app.project("store").await;
    app.credential("shop", "main", "a-secret-of-some-length").await;
    app.token("admin").await;
    let credential =
        json!({"project": "shop", "provider": "openai", "name": "main", "secret": "another-secret-of-some-length"});
    for (method, path, body, name, list) in [
        (Method::POST, "/projects", json!({"name": "shop"}), "'shop'", "keyward project list"),
        (Method::PATCH, "/projects/store", json!({"name": "shop"}), "'shop'", "keyward project list"),
        (Method::POST, "/credentials", credential, "'main'", "keyward credential list"),
        (Method::POST, "/tokens", json!({"name": "a admin", "role": "admin"}), "'a admin'", "keyward token list"),
    ] {
        let problem = app.refused_as(method, path, body, 409, "name_taken").await;
        assert!(text(&problem, "detail").contains(name) && text(&problem, "hint").contains(list), "{problem}");
    }
}

#[tokio::test]
async fn text_that_cannot_be_stored_is_refused_by_field() {
    let app = App::new().await;
    app.project("shop").await;
    let policy = json!({"name": "x", "policy": {"models": ["gpt-\0"]}});
    for (method, path, body, field) in [
        (Method::POST, "/projects", json!({"name": "a\0b"}), "`name`"),
        (Method::POST, "/projects", policy, "`policy.models`"),
        (Method::POST, "/keys", json!({"project": "shop\0", "environment": "production", "name": "a"}), "`project`"),
        (Method::POST, "/projects/shop/archive", json!({"reason": "\0"}), "`reason`"),
        (Method::GET, "/keys/a%00b", Value::Null, "path"),
        (Method::GET, "/audit?subject=a%00b", Value::Null, "`subject`"),
        (Method::GET, "/keys?project=%00", Value::Null, "`project`"),
    ] {
        let problem = app.refused_as(method, path, body, 400, "invalid_text").await;
        assert!(text(&problem, "detail").contains(field), "{problem}");
    }
}

#[tokio::test]
async fn mistakes_are_named_with_what_was_meant() {
    let app = App::new().await;
    app.project("shop").await;
    let cases: [(Value, u16, &str, &str); 10] = [
        (json!({"name": "shop"}), 409, "name_taken", ""),
        (json!({"name": ""}), 400, "invalid_name", ""),
        (json!({"name": "a/b"}), 400, "invalid_name", ""),
        (json!({"name": "shop\u{202e}gnp.exe"}), 400, "invalid_name", ""),
        (json!({"name": "x", "policy": {"providers": ["opnai"]}}), 400, "unknown_provider", "openai"),
        (
            json!({"name": "x", "policy": {"providers": ["openai"], "operations": ["chatt"]}}),
            400,
            "unknown_operation",
            "chat",
        ),
        (json!({"name": "x", "policy": {"countries": ["Austria"]}}), 400, "invalid_policy", ""),
        (json!({"name": "x", "policy": {"concurrency": 0}}), 400, "invalid_policy", "revoke"),
        (json!({"name": "x", "policy": {"hours": "always"}}), 400, "invalid_field", ""),
        (json!({"name": "x", "colour": "red"}), 400, "invalid_field", ""),
    ];
    for (body, status, code, hint) in cases {
        let problem = app.refused_as(Method::POST, "/projects", body, status, code).await;
        assert!(problem["hint"].as_str().unwrap_or("").contains(hint), "{problem}");
    }
    app.refused_as(Method::GET, "/projects/none", Value::Null, 404, "not_found").await;
    app.refused_as(Method::PATCH, "/projects/shop", json!({}), 400, "nothing_to_change").await;
    assert_eq!(app.get("/projects").await["items"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn every_change_is_in_the_audit_log_with_actor_and_reason() {
    let app = App::new().await;
    app.project("shop").await;
    app.ok(Method::PATCH, "/projects/shop", json!({"name": "store", "reason": "a better name"})).await;
    let log = app.get("/audit").await;
    let newest = &log["items"][0];
    assert_eq!((text(newest, "action"), text(newest, "reason")), ("project.update", "a better name"));
    assert_eq!(newest["actor"], json!({"kind": "operator"}));
    assert_eq!(newest["before"]["name"], "shop");
    assert_eq!(newest["after"]["name"], "store");
    let earlier = app.get(&format!("/audit?limit=1&before={}", newest["seq"])).await;
    assert_eq!(earlier["items"][0]["action"], "project.create");
}
