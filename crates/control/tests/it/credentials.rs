//! Credentials: taken in, looked at, sealed, checked, replaced, revoked; and never answered.

use crate::app::{App, Begin, marked_secret, text};
use axum::http::Method;
use keyward_domain::{Millis, provider::Provider};
use serde_json::{Value, json};

/// A made-up secret of a provider's shape: the catalogue's own prefix and filling.
fn of_shape(provider: &str, admin: bool) -> String {
    let catalogue = keyward_catalogue::Catalogue::embedded().unwrap();
    let provider: &Provider = catalogue.provider(provider).unwrap();
    let shape = provider.keys.iter().find(|shape| shape.admin == admin && !shape.prefixes.is_empty()).unwrap();
    let secret = (0..50_u64).find_map(|seed| keyward_catalogue::sample::text(&shape.pattern, seed));
    secret.expect("a sample")
}

#[tokio::test]
async fn no_credential_before_there_is_a_way_back_in() {
    let app = App::new().await;
    app.project("shop").await;
    let body = json!({"project": "shop", "provider": "openai", "name": "main", "secret": "something-long"});
    let problem = app.refused_as(Method::POST, "/credentials", body.clone(), 409, "recovery_missing").await;
    assert!(text(&problem, "hint").contains("recovery create"), "{problem}");
    app.recovery().await;
    app.post("/credentials", body.clone()).await;
    let demo = App::beginning(Begin { demo: true, bootstrap: None }).await;
    demo.project("shop").await;
    demo.post("/credentials", body).await;
}

#[tokio::test]
async fn a_secret_goes_in_and_never_comes_out() {
    let app = App::new().await;
    app.recovery().await;
    app.project("shop").await;
    let (secret, second) = (marked_secret(), marked_secret());
    let credential = app.credential("shop", "main", &secret).await;
    assert!(text(&credential, "fingerprint").starts_with("fp_"));
    app.provider
        .answers(401, &format!("{{\"error\":{{\"message\":\"bad key {secret}\",\"code\":\"invalid_api_key\"}}}}"));
    app.post("/credentials/main/verify", Value::Null).await;
    app.refused(
        Method::POST,
        "/credentials",
        json!({"project": "shop", "provider": secret, "name": secret, "secret": 5}),
    )
    .await;
    app.refused(Method::POST, "/credentials", json!({"project": "shop", "order": secret})).await;
    app.post("/credentials/main/versions", json!({"secret": second})).await;
    app.post("/vault/rotate", Value::Null).await;
    for path in
        ["/credentials", "/credentials/main", "/audit?limit=1000", "/status", "/vault", "/doctor", "/usage", "/tokens"]
    {
        app.get(path).await;
    }
    app.post("/credentials/main/revoke", Value::Null).await;
    let said = String::from_utf8_lossy(&app.said.lock().unwrap()).into_owned();
    app.store.close().await;
    for file in std::fs::read_dir(app.folder.path()).unwrap() {
        let bytes = std::fs::read(file.unwrap().path()).unwrap();
        for mark in [&secret, &second] {
            let found = bytes.windows(mark.len()).any(|window| window == mark.as_bytes());
            assert!(!found, "a secret is in a file of the database");
        }
    }
    for mark in [&secret, &second] {
        assert!(!said.contains(mark.as_str()), "a secret is in an answer");
    }
}

#[tokio::test]
async fn obvious_mistakes_are_refused_with_why() {
    let app = App::new().await;
    app.recovery().await;
    app.project("shop").await;
    let key = app.key("shop", "web").await;
    let with = |change: Value| {
        let mut body =
            json!({"project": "shop", "provider": "openai", "name": "main", "secret": "some-secret-of-a-kind"});
        body.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        body
    };
    for (change, code, hint) in [
        (json!({"secret": " "}), "empty_secret", ""),
        (json!({"secret": format!("{}\nx-other: 1", marked_secret())}), "invalid_secret", "on one line"),
        (json!({"secret": text(&key, "key")}), "own_key", "provider's own console"),
        (json!({"secret": of_shape("openai", true)}), "admin_key", "ordinary key"),
        (json!({"secret": of_shape("anthropic", false)}), "foreign_key", "--provider anthropic"),
        (json!({"provider": "opnai"}), "unknown_provider", "openai"),
        (json!({"provider": "compatible"}), "base_url_missing", "--base-url"),
        (json!({"base_url": "http://example.com/v1"}), "invalid_base_url", "--allow-private-address"),
        (json!({"base_url": "https://user:pw@example.com"}), "invalid_base_url", ""),
        (json!({"base_url": "http://127.0.0.1:9/v1"}), "invalid_base_url", "--allow-private-address"),
        (json!({"weight": 0}), "invalid_weight", "disable"),
    ] {
        let problem = app.refused_as(Method::POST, "/credentials", with(change), 400, code).await;
        assert!(problem["hint"].as_str().unwrap_or("").contains(hint), "{problem}");
    }
    let fine = app.post("/credentials", with(json!({"secret": of_shape("openai", false)}))).await;
    assert!(fine.get("warnings").is_none(), "{fine}");
    let local = json!({"name": "local", "base_url": "http://127.0.0.1:9/v1/", "allow_private_address": true});
    let local = app.post("/credentials", with(local)).await;
    assert_eq!(local["base_url"], "http://127.0.0.1:9/v1", "without the slash at the end");
    assert_eq!(local["warnings"].as_array().map(Vec::len), Some(1), "it looks like no key of OpenAI: {local}");
}

#[tokio::test]
async fn the_same_secret_twice_is_said() {
    let app = App::new().await;
    app.recovery().await;
    app.project("shop").await;
    let secret = of_shape("openai", false);
    app.credential("shop", "main", &secret).await;
    let second = app.credential("shop", "spare", &format!(" {secret}\n")).await;
    assert!(second["warnings"][0].as_str().unwrap().contains("'main'"), "{second}");
    let body = json!({"secret": secret});
    app.refused_as(Method::POST, "/credentials/main/versions", body, 409, "same_secret").await;
}

#[tokio::test]
async fn routes_follow_order_environment_status_and_version() {
    let app = App::new().await;
    app.recovery().await;
    let project = text(&app.project("shop").await, "id").to_owned();
    let add = |name: &'static str, more: Value| {
        let app = &app;
        async move {
            let mut body = json!({"project": "shop", "provider": "openai", "name": name, "secret": marked_secret()});
            body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            text(&app.post("/credentials", body).await, "id").to_owned()
        }
    };
    let spare = add("spare", json!({"order": 2})).await;
    let main = add("main", json!({"order": 1})).await;
    let staging = add("staging", json!({"environment": "staging"})).await;
    let route = |environment: &str| -> Vec<String> {
        app.gateway.credentials(&project, environment, "openai").iter().map(ToString::to_string).collect()
    };
    assert_eq!(route("production"), [main.clone(), spare.clone()]);
    assert_eq!(route("staging"), [staging, main.clone(), spare.clone()]);
    app.post("/credentials/main/disable", Value::Null).await;
    assert_eq!(route("production"), [spare.as_str()]);
    app.post("/credentials/main/enable", Value::Null).await;
    assert_eq!(route("production"), [main.clone(), spare.clone()]);
    let before = app.get("/credentials/main").await;
    let after = app.post("/credentials/main/versions", json!({"secret": marked_secret()})).await;
    assert_eq!(after["version"], 2);
    assert_ne!(after["fingerprint"], before["fingerprint"]);
    assert_eq!(route("production"), [main.clone(), spare.clone()]);
    let versions = app.store.credential_versions(main.parse().unwrap()).await.unwrap();
    assert!(versions[0].erased_at.is_some() && versions[0].sealed.as_bytes().is_empty(), "the old one is destroyed");
    app.post("/credentials/main/revoke", Value::Null).await;
    assert_eq!(route("production"), [spare]);
    let versions = app.store.credential_versions(main.parse().unwrap()).await.unwrap();
    assert!(versions.iter().all(|version| version.sealed.as_bytes().is_empty()), "revoked means destroyed");
    app.refused_as(Method::POST, "/credentials/main/enable", Value::Null, 409, "credential_revoked").await;
    add("main", json!({})).await;
}

#[tokio::test]
async fn a_check_tells_the_state_and_takes_a_dead_credential_out() {
    let app = App::new().await;
    app.recovery().await;
    app.project("shop").await;
    let id = text(&app.credential("shop", "main", &marked_secret()).await, "id").to_owned();
    let unreachable = app.post("/credentials/main/verify", Value::Null).await;
    assert_eq!((text(&unreachable, "state"), app.gateway.out_until(&id)), ("unreachable", None));
    app.provider.answers(401, r#"{"error":{"message":"Incorrect API key provided","code":"invalid_api_key"}}"#);
    let dead = app.post("/credentials/main/verify", Value::Null).await;
    assert_eq!((text(&dead, "state"), &dead["http_status"]), ("dead", &json!(401)));
    assert!(!text(&dead, "remedy").is_empty());
    assert_eq!(app.gateway.out_until(&id), Some(Millis::MAX));
    let listed = app.get("/credentials").await;
    assert_eq!(listed["items"][0]["health"], "dead");
    assert_eq!(app.get("/doctor").await["healthy"], false);
    app.provider.answers(200, "{}");
    assert_eq!(text(&app.post("/credentials/main/verify", Value::Null).await, "state"), "alive");
    assert_eq!(app.gateway.out_until(&id), None);
    assert_eq!(app.get("/credentials/main").await["health"], "healthy");
    // The gateway may have taken it out meanwhile without having said so: a check tells it again.
    let route = app.gateway.routes.lock().unwrap().drain().count();
    assert!(route > 0);
    app.post("/credentials/main/verify", Value::Null).await;
    assert!(!app.gateway.routes.lock().unwrap().is_empty(), "told again");
    let asked = app.provider.asked.lock().unwrap();
    assert!(asked.iter().all(|call| call.url == "https://api.openai.com/v1/models"));
}
