//! The pages: nothing from elsewhere, and no script but the one with the answer's own nonce.

use crate::app::App;
use axum::{
    body::Body,
    http::{Method, Request},
};
use http_body_util::BodyExt;
use tower::ServiceExt;

#[tokio::test]
async fn pages_are_whole_and_strict() {
    let app = App::new().await;
    let mut nonces = Vec::new();
    for path in ["/setup", "/api/docs", "/setup"] {
        let request = Request::get(path).body(Body::empty()).unwrap();
        let response = app.router.clone().oneshot(request).await.unwrap();
        assert_eq!(response.status(), 200);
        let headers = response.headers().clone();
        let policy = headers["content-security-policy"].to_str().unwrap().to_owned();
        let text = String::from_utf8(response.into_body().collect().await.unwrap().to_bytes().to_vec()).unwrap();
        let nonce = policy.split("'nonce-").nth(1).and_then(|rest| rest.split('\'').next()).unwrap().to_owned();
        assert!(policy.contains("default-src 'none'") && !policy.contains("unsafe"), "{policy}");
        assert!(policy.contains("frame-ancestors 'none'"), "{policy}");
        assert_eq!(headers["referrer-policy"], "no-referrer");
        assert_eq!(headers["cache-control"], "no-store");
        assert_eq!(headers["x-content-type-options"], "nosniff");
        assert!(text.contains(&format!("<script nonce=\"{nonce}\">")), "{path}");
        let inline = text.split_whitespace().find(|word| word.starts_with("on") && word.contains("=\""));
        assert_eq!(inline, None, "{path}: inline handlers would not run");
        assert!(!text.contains("{{nonce}}") && !text.contains(" style=\""), "{path}");
        // A rule such as `.row { display:flex }` is stronger than the attribute alone.
        let hides = !text.contains(" hidden>") || text.contains("[hidden] { display:none !important; }");
        assert!(hides, "{path}: what is hidden would show");
        for elsewhere in ["src=\"http", "href=\"http", "@import", "url(http"] {
            assert!(!text.contains(elsewhere), "{path} has {elsewhere}");
        }
        assert!(text.contains("prefers-color-scheme: dark") && text.contains("name=\"viewport\""), "{path}");
        nonces.push(nonce);
    }
    nonces.sort();
    nonces.dedup();
    assert_eq!(nonces.len(), 3, "a nonce was used twice");
}

#[tokio::test]
async fn health_needs_no_token_and_follows_the_stop() {
    let app = App::new().await;
    let status = |path: &'static str| {
        let app = &app;
        async move { app.raw(Method::GET, path, None, Body::empty()).await.0.as_u16() }
    };
    assert_eq!(status("/healthz").await, 200);
    assert_eq!(status("/readyz").await, 200);
    assert_eq!(status("/metrics").await, 200);
    app.control.begin_stop();
    assert_eq!(status("/readyz").await, 503);
    assert_eq!(status("/healthz").await, 200);
}
