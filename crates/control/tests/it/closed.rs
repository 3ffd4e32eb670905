//! Every path of the description is closed: nothing without a token, no write with a token that may only look. The
//! description itself is kept in the repository.

use crate::app::{App, text};
use axum::{body::Body, http::Method};
use serde_json::Value;
use std::collections::BTreeSet;

/// All calls of the description: method and path with its parameters filled in.
fn calls(api: &Value) -> Vec<(Method, String)> {
    let mut calls = Vec::new();
    for (path, item) in api["paths"].as_object().unwrap() {
        let filled: Vec<&str> = path.split('/').map(|part| if part.starts_with('{') { "x" } else { part }).collect();
        for method in item.as_object().unwrap().keys() {
            let Ok(method) = method.to_uppercase().parse::<Method>() else { continue };
            if [Method::GET, Method::POST, Method::PATCH, Method::PUT, Method::DELETE].contains(&method) {
                calls.push((method, filled.join("/")));
            }
        }
    }
    calls
}

async fn description(app: &App) -> Value {
    let (status, bytes) = app.raw(Method::GET, "/api/openapi.json", None, Body::empty()).await;
    assert_eq!(status, 200);
    serde_json::from_slice(&bytes).unwrap()
}

#[tokio::test]
async fn nothing_opens_without_a_token() {
    let app = App::new().await;
    let calls = calls(&description(&app).await);
    assert!(calls.len() > 35, "the description has only {} calls", calls.len());
    for (method, path) in calls {
        for token in [None, Some("garbage"), Some("kwt_damaged"), Some("")] {
            let (status, bytes) = app.raw(method.clone(), &path, token, Body::from("{}")).await;
            assert_eq!(status, 401, "{method} {path} with {token:?}");
            let problem: Value = serde_json::from_slice(&bytes).unwrap();
            assert!(problem["hint"].is_string(), "{method} {path}: {problem}");
        }
    }
}

#[tokio::test]
async fn a_token_that_may_only_look_changes_nothing() {
    let app = App::new().await;
    let auditor = app.token("auditor").await;
    let calls = calls(&description(&app).await);
    let before = app.store.change_version().await.unwrap();
    for (method, path) in calls.into_iter().filter(|(method, _)| method != Method::GET) {
        let (status, _) = app.raw(method.clone(), &path, Some(&auditor), Body::from("{}")).await;
        let expected = match path.rsplit('/').next() {
            // The one call with a token of its own does not know this one.
            Some("owner") => 401,
            // A question, whose words are too many for a query. This one is none.
            Some("match") => 400,
            _ => 403,
        };
        assert_eq!(status, expected, "{method} {path}");
    }
    assert_eq!(app.store.change_version().await.unwrap(), before);
}

#[tokio::test]
async fn roles_open_what_they_name() {
    let app = App::new().await;
    app.recovery().await;
    let (developer, admin) = (app.token("developer").await, app.token("admin").await);
    for (token, method, path, body, allowed) in [
        (&developer, Method::POST, "/keys", r#"{"project":"none","environment":"production","name":"x"}"#, true),
        (&developer, Method::POST, "/projects", r#"{"name":"x"}"#, false),
        (&admin, Method::POST, "/projects", r#"{"name":"x"}"#, true),
        (&admin, Method::POST, "/vault/rotate", "{}", true),
        (&admin, Method::POST, "/tokens", r#"{"name":"x","role":"owner"}"#, false),
        (&admin, Method::GET, "/backup", "", false),
        (&admin, Method::POST, "/vault/recovery/challenge", "", false),
    ] {
        let (status, _) = app.raw(method, &format!("/api/v1{path}"), Some(token), Body::from(body)).await;
        assert_eq!(status != 403, allowed, "{path}: {status}");
    }
}

#[tokio::test]
async fn the_description_is_the_one_in_the_repository() {
    let app = App::new().await;
    let api = description(&app).await;
    let now = format!("{}\n", serde_json::to_string_pretty(&api).unwrap());
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/openapi.json");
    let kept = std::fs::read_to_string(path).unwrap_or_default();
    if kept != now {
        std::fs::write(path, &now).unwrap();
        panic!(
            "crates/control/openapi.json was not the description of this API; it was written anew: look at the difference and commit it"
        );
    }
}

#[tokio::test]
async fn every_call_is_described() {
    let app = App::new().await;
    let api = description(&app).await;
    let mut names = BTreeSet::new();
    for (path, item) in api["paths"].as_object().unwrap() {
        for (method, call) in item.as_object().unwrap() {
            assert!(!text(call, "summary").is_empty(), "{method} {path} has no summary");
            assert!(call["tags"].is_array(), "{method} {path} has no tag");
            names.insert(text(call, "operationId").to_owned());
        }
    }
    assert!(api["components"]["securitySchemes"]["token"].is_object());
}

#[tokio::test]
async fn unknown_paths_and_methods_are_problems_too() {
    let app = App::new().await;
    for (method, path, status, code) in [
        (Method::GET, "/api/v2/keys", 404, "no_such_path"),
        (Method::GET, "/openai/v1/models", 404, "no_such_path"),
        (Method::DELETE, "/healthz", 405, "wrong_method"),
    ] {
        let (got, bytes) = app.raw(method, path, Some(&app.owner), Body::empty()).await;
        let problem: Value = serde_json::from_slice(&bytes).unwrap();
        assert_eq!((got.as_u16(), text(&problem, "code")), (status, code), "{path}");
    }
}
