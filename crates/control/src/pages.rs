//! The two pages of this issue: set-up and the API's description. Each is one file without anything from elsewhere;
//! a fresh nonce per answer is the only script the browser will run.

use crate::{Control, clock, error::Answer};
use axum::{
    Json,
    extract::State,
    http::{HeaderMap, HeaderValue, header},
    response::{Html, IntoResponse, Response},
};
use keyward_domain::digest;

const SETUP: &str = include_str!("../pages/setup.html");
const DOCS: &str = include_str!("../pages/docs.html");

/// The set-up page. The one-time token is in the link's fragment, which a browser never sends.
pub(crate) async fn setup() -> Answer<Response> {
    page(SETUP)
}

/// The API's description for people.
pub(crate) async fn docs() -> Answer<Response> {
    page(DOCS)
}

/// The API's description for programs.
pub(crate) async fn openapi(State(control): State<Control>) -> impl IntoResponse {
    Json(control.description())
}

fn page(text: &str) -> Answer<Response> {
    let nonce = digest::hex(&clock::random::<16>()?);
    let policy = format!(
        "default-src 'none'; script-src 'nonce-{nonce}'; style-src 'nonce-{nonce}'; connect-src 'self'; \
         base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    );
    let mut headers = HeaderMap::new();
    let policy = HeaderValue::try_from(policy).map_err(crate::error::ApiError::internal)?;
    headers.insert(header::CONTENT_SECURITY_POLICY, policy);
    headers.insert("cross-origin-opener-policy", HeaderValue::from_static("same-origin"));
    Ok((headers, Html(text.replace("{{nonce}}", &nonce))).into_response())
}
