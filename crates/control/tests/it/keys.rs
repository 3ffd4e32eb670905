//! Virtual keys: made, shown, changed, rotated, revoked; and what the gateway knows at each moment.

use crate::app::{App, START, hash_of, text};
use axum::http::Method;
use keyward_domain::refusal::Reason;
use serde_json::{Value, json};

const DAY: i64 = 86_400_000;

#[tokio::test]
async fn a_keys_text_is_shown_once_and_opens_the_gateway() {
    let app = App::new().await;
    app.project("shop").await;
    let key = app.key("shop", "web").await;
    let shown = text(&key, "key");
    assert!(shown.starts_with("kw_prod_"), "{shown}");
    let grant = app.gateway.grant(text(&key, "id")).expect("published before the answer");
    assert_eq!(grant.open(&hash_of(shown), START), Ok(0));
    for path in ["/keys/web", &format!("/keys/{}", text(&key, "id")), &format!("/keys/{}", text(&key, "public_id"))] {
        let again = app.get(path).await;
        assert_eq!(again["id"], key["id"]);
        assert!(again.get("key").is_none(), "{path} shows the text again");
    }
    let everything = [app.get("/keys").await, app.get("/audit").await].map(|value| value.to_string()).concat();
    assert!(!everything.contains(shown.rsplit('_').next().unwrap()));
    let styled = json!({"project": "shop", "environment": "development", "name": "sdk", "style": "sk"});
    assert!(text(&app.post("/keys", styled).await, "key").starts_with("sk-kw_dev_"));
}

#[tokio::test]
async fn rotation_keeps_the_old_secret_for_a_while_and_no_older_one() {
    let app = App::new().await;
    app.project("shop").await;
    let first = app.key("shop", "web").await;
    let id = text(&first, "id").to_owned();
    let second = app.post("/keys/web/rotate", json!({"overlap": "1h"})).await;
    assert_eq!(second["public_id"], first["public_id"]);
    let open = |key: &Value, now: i64| {
        let grant = app.gateway.grant(&id).expect("known");
        grant.open(&hash_of(text(key, "key")), now).map_err(|refusal| refusal.reason)
    };
    assert_eq!(open(&second, START), Ok(0));
    assert_eq!(open(&first, START + 3_599_999), Ok(1));
    assert_eq!(open(&first, START + 3_600_000), Err(Reason::ExpiredKey));
    let third = app.post("/keys/web/rotate", Value::Null).await;
    assert_eq!(open(&first, START), Err(Reason::UnknownKey), "only two secrets live");
    assert_eq!(open(&second, START + DAY - 1), Ok(1), "a day when nobody says");
    let last = app.post("/keys/web/rotate", json!({"overlap": "0s"})).await;
    assert_eq!(open(&third, START), Err(Reason::UnknownKey));
    assert_eq!(open(&last, START), Ok(0));
    assert!(last["old_secret_until"].is_null());
}

#[tokio::test]
async fn changes_and_revocation_reach_the_gateway_before_the_answer() {
    let app = App::new().await;
    app.project("shop").await;
    let key = app.key("shop", "web").await;
    let id = text(&key, "id");
    app.ok(Method::PATCH, "/keys/web", json!({"policy": {"concurrency": 2}, "expires_in": "30d"})).await;
    let grant = app.gateway.grant(id).expect("known");
    assert_eq!((grant.policy.concurrency, grant.expires_at), (Some(2), Some(START + 30 * DAY)));
    app.ok(Method::PATCH, "/keys/web", json!({"expires_at": null})).await;
    let grant = app.gateway.grant(id).expect("known");
    assert_eq!((grant.policy.concurrency, grant.expires_at), (Some(2), None), "null takes the end away");
    let revoked = app.post("/keys/web/revoke", json!({"reason": "leaked"})).await;
    assert_eq!(revoked["status"], "revoked");
    assert!(app.gateway.grant(id).expect("still known").revoked);
    app.post("/keys/web/revoke", Value::Null).await;
    let revocations = app.actions().await.into_iter().filter(|action| action == "key.revoke").count();
    assert_eq!(revocations, 1, "revoking twice is one change");
    app.refused_as(Method::PATCH, "/keys/web", json!({"name": "x"}), 409, "key_revoked").await;
    app.refused_as(Method::POST, "/keys/web/rotate", Value::Null, 409, "key_revoked").await;
}

#[tokio::test]
async fn a_key_that_could_do_nothing_is_not_made() {
    let app = App::new().await;
    app.post("/projects", json!({"name": "bare"})).await;
    let body = json!({"project": "bare", "environment": "production", "name": "web"});
    app.refused_as(Method::POST, "/keys", body, 400, "policy_without_provider").await;
    for (change, code) in [
        (json!({"expires_in": "soon"}), "invalid_expiry"),
        (json!({"expires_in": "1d", "expires_at": "2030-01-01"}), "invalid_expiry"),
        (json!({"expires_at": "2020-01-01"}), "invalid_expiry"),
        (json!({"policy": {"providers": ["openai", "nobody"]}}), "unknown_provider"),
        (json!({"environment": "prodution"}), "invalid_field"),
        (json!({"style": "xx"}), "invalid_field"),
    ] {
        let mut body = json!({
            "project": "bare", "environment": "production", "name": "web", "policy": {"providers": ["openai"]}
        });
        body.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        app.refused_as(Method::POST, "/keys", body, 400, code).await;
    }
}

#[tokio::test]
async fn lists_are_filtered_and_paged() {
    let app = App::new().await;
    app.project("shop").await;
    for (name, more) in [("a", json!({})), ("b", json!({"expires_in": "1d"})), ("c", json!({})), ("d", json!({}))] {
        let mut body = json!({"project": "shop", "environment": "staging", "name": name});
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        app.post("/keys", body).await;
        // Ids sort by the time they were made.
        app.clock.advance(1);
    }
    app.post("/keys/c/revoke", Value::Null).await;
    app.clock.advance(2 * DAY);
    let names = |page: &Value| -> Vec<String> {
        page["items"].as_array().unwrap().iter().map(|key| text(key, "name").to_owned()).collect()
    };
    assert_eq!(names(&app.get("/keys?status=active").await), ["a", "d"]);
    assert_eq!(names(&app.get("/keys?status=expired").await), ["b"]);
    assert_eq!(names(&app.get("/keys?project=shop&environment=staging&status=revoked").await), ["c"]);
    assert!(names(&app.get("/keys?environment=production").await).is_empty());
    let first = app.get("/keys?limit=3").await;
    assert_eq!(names(&first), ["a", "b", "c"]);
    let second = app.get(&format!("/keys?limit=3&after={}", text(&first, "next_after"))).await;
    assert_eq!(names(&second), ["d"]);
    assert!(second["next_after"].is_null());
    app.refused_as(Method::GET, "/keys?status=asleep", Value::Null, 400, "invalid_status").await;
}

#[tokio::test]
async fn a_name_that_several_have_needs_an_id() {
    let app = App::new().await;
    app.project("shop").await;
    let one = app.key("shop", "web").await;
    app.key("shop", "web").await;
    app.refused_as(Method::GET, "/keys/web", Value::Null, 409, "ambiguous_name").await;
    app.post(&format!("/keys/{}/revoke", text(&one, "id")), Value::Null).await;
    assert_ne!(app.get("/keys/web").await["id"], one["id"], "the one that still works");
}
