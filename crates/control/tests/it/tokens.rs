//! Tokens of the control API, the one-time set-up link, and the first owner that automation names.

use crate::app::{App, Begin, START, text};
use axum::{body::Body, http::Method};
use keyward_control::{Bootstrap, clock};
use keyward_domain::{digest, token::TokenHash};
use serde_json::{Value, json};

#[tokio::test]
async fn the_set_up_link_makes_one_owner_and_is_over() {
    let app = App::new().await;
    assert!(app.control.needs_setup());
    let call = |token: String| {
        let app = &app;
        async move { app.with(&token, Method::POST, "/setup/owner", &json!({"name": "Ada"})).await }
    };
    let (status, _) = call(app.owner.clone()).await;
    assert_eq!(status, 401, "only the link's own token opens it");
    let (status, made) = call(app.setup.clone()).await;
    assert_eq!(status, 201);
    let owner = text(&made, "token").to_owned();
    assert!(!app.control.needs_setup());
    let (_, who) = app.with(&owner, Method::GET, "/whoami", &Value::Null).await;
    assert_eq!(who, json!({"name": "Ada", "role": "owner"}));
    assert_eq!(call(app.setup.clone()).await.0, 401, "used up");
    let (status, _) = app.with(&app.setup, Method::GET, "/whoami", &Value::Null).await;
    assert_eq!(status, 401, "the set-up token opens nothing else");
    let again = App::on(app.folder, app.store, app.vault, Begin { demo: false, bootstrap: None }).await;
    assert!(!again.control.needs_setup(), "there is an owner now");
}

#[tokio::test]
async fn two_people_with_the_link_make_one_owner() {
    let app = App::new().await;
    let body = json!({"name": "Ada"});
    let call = || app.with(&app.setup, Method::POST, "/setup/owner", &body);
    let ((one, _), (other, _)) = tokio::join!(call(), call());
    let mut both = [one.as_u16(), other.as_u16()];
    both.sort_unstable();
    assert_eq!(both, [201, 401]);
    assert_eq!(app.get("/tokens").await["items"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn automation_names_the_first_owner_once() {
    let made = clock::new_api_token().unwrap();
    let ours = Bootstrap { hash: made.hash, has_our_shape: true };
    let app = App::beginning(Begin { demo: false, bootstrap: Some(ours) }).await;
    assert!(!app.control.needs_setup());
    let (_, who) = app.with(&made.text, Method::GET, "/whoami", &Value::Null).await;
    assert_eq!(who["role"], "owner");
    let again = App::on(app.folder, app.store, app.vault, Begin { demo: false, bootstrap: Some(ours) }).await;
    assert_eq!(
        again.get("/tokens").await["items"].as_array().unwrap().len(),
        1,
        "the same token again is no new owner"
    );
    let other = clock::new_api_token().unwrap();
    let begin = Begin { demo: false, bootstrap: Some(Bootstrap { hash: other.hash, has_our_shape: true }) };
    let third = App::on(again.folder, again.store, again.vault, begin).await;
    let (status, _) = third.with(&other.text, Method::GET, "/whoami", &Value::Null).await;
    assert_eq!(status, 401, "an installation with an owner takes no other from the environment");
}

#[tokio::test]
async fn a_chosen_token_works_as_long_as_it_is_set() {
    let chosen = "a-token-that-somebody-chose";
    let hash = TokenHash(digest::sha256(chosen.as_bytes()));
    let begin = Begin { demo: false, bootstrap: Some(Bootstrap { hash, has_our_shape: false }) };
    let app = App::beginning(begin).await;
    let (status, _) = app.with(chosen, Method::GET, "/whoami", &Value::Null).await;
    assert_eq!(status, 200);
    let (status, _) = app.with("another-token-somebody-chose", Method::GET, "/whoami", &Value::Null).await;
    assert_eq!(status, 401);
    let without = App::on(app.folder, app.store, app.vault, Begin { demo: false, bootstrap: None }).await;
    let (status, _) = without.with(chosen, Method::GET, "/whoami", &Value::Null).await;
    assert_eq!(status, 401);
}

#[tokio::test]
async fn tokens_end_and_are_revoked() {
    let app = App::new().await;
    let made = app.post("/tokens", json!({"name": "ci", "role": "developer", "expires_in": "1d"})).await;
    let token = text(&made, "token").to_owned();
    let status = |token: String| {
        let app = &app;
        async move { app.with(&token, Method::GET, "/whoami", &Value::Null).await.0.as_u16() }
    };
    assert_eq!(status(token.clone()).await, 200);
    app.clock.advance(86_400_000);
    assert_eq!(status(token).await, 401, "it has ended");
    assert_eq!(app.get("/tokens").await["items"][0]["status"], "expired");
    let lasting = app.token("admin").await;
    assert_eq!(status(lasting.clone()).await, 200);
    app.ok(Method::DELETE, "/tokens/a%20admin", json!({"reason": "left"})).await;
    assert_eq!(status(lasting).await, 401, "it is revoked");
    app.refused_as(Method::DELETE, "/tokens/nobody", Value::Null, 404, "not_found").await;
    app.refused_as(Method::POST, "/tokens", json!({"name": "x", "role": "king"}), 400, "invalid_field").await;
}

#[tokio::test]
async fn damaged_tokens_and_virtual_keys_are_told_apart() {
    let app = App::new().await;
    app.project("shop").await;
    let key = text(&app.key("shop", "web").await, "key").to_owned();
    let mut damaged = app.owner.clone();
    damaged.pop();
    damaged.push(if app.owner.ends_with('x') { 'y' } else { 'x' });
    for (token, code, part) in [
        (damaged.as_str(), "token_damaged", "copy it again"),
        (key.as_str(), "token_unknown", "control API"),
        ("kwt_short", "token_damaged", ""),
    ] {
        let (status, problem) = app.with(token, Method::GET, "/whoami", &Value::Null).await;
        assert_eq!((status.as_u16(), text(&problem, "code")), (401, code));
        assert!(problem["hint"].as_str().unwrap().contains(part), "{problem}");
    }
    let (status, _) = app.raw(Method::GET, "/api/v1/whoami", None, Body::empty()).await;
    assert_eq!(status, 401);
}

#[tokio::test]
async fn the_last_use_of_a_token_is_written_down() {
    let app = App::new().await;
    let token = app.token("auditor").await;
    app.clock.advance(5_000);
    app.with(&token, Method::GET, "/whoami", &Value::Null).await;
    app.control.flush().await.unwrap();
    let used = &app.get("/tokens").await["items"][0]["last_used_at"];
    assert_eq!(used.as_str(), Some(keyward_domain::times::show(START + 5_000).as_str()));
}
