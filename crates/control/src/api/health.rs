//! What supervisors and monitoring ask, without a token: is the process alive, does it take calls, how is it doing.
//! None of it names a project, a key or a credential.

use crate::{
    Control,
    error::{Answer, ApiError, shown},
};
use axum::{
    extract::State,
    http::{Method, StatusCode, Uri, header},
    response::{IntoResponse, Response},
};

/// The process lives.
pub(crate) async fn healthz() -> &'static str {
    "ok\n"
}

/// The process takes calls: not while it is stopping, not when the database is unsound.
pub(crate) async fn readyz(State(control): State<Control>) -> Response {
    match control.readiness() {
        Ok(()) => "ready\n".into_response(),
        Err(reason) => (StatusCode::SERVICE_UNAVAILABLE, format!("{reason}\n")).into_response(),
    }
}

/// Figures in Prometheus' text format.
pub(crate) async fn metrics(State(control): State<Control>) -> Response {
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], control.metrics()).into_response()
}

/// Any other path.
pub(crate) async fn nothing_here(uri: Uri) -> ApiError {
    ApiError::new(StatusCode::NOT_FOUND, "no_such_path", format!("there is nothing at '{}'", shown(uri.path())))
        .hint("the API is described at /api/docs; applications call the gateway, which has its own address")
}

/// A known path with another method.
pub(crate) async fn wrong_method(method: Method, uri: Uri) -> Answer<()> {
    Err(ApiError::new(
        StatusCode::METHOD_NOT_ALLOWED,
        "wrong_method",
        format!("'{}' does not take {method}", shown(uri.path())),
    )
    .hint("the API is described at /api/docs"))
}
