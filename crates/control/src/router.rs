//! The admin listener's routes. Everything under `/api/v1` passes the token check first; what is open is the short
//! list at the end of `open`.

use crate::{
    Control, api, auth,
    error::{ApiError, Hidden, shown},
    pages,
};
use axum::{
    Router,
    extract::{Request, State},
    http::{HeaderValue, StatusCode, header},
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::get,
};
use utoipa::{
    Modify, OpenApi,
    openapi::security::{Http, HttpAuthScheme, SecurityScheme},
};
use utoipa_axum::router::OpenApiRouter;

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Keyward control API",
        description = "Projects, credentials, virtual keys, usage and the vault of a Keyward server.",
        license(name = "Apache-2.0", identifier = "Apache-2.0")
    ),
    modifiers(&Bearer),
    security(("token" = []))
)]
struct Description;

struct Bearer;

impl Modify for Bearer {
    fn modify(&self, openapi: &mut utoipa::openapi::OpenApi) {
        let mut http = Http::new(HttpAuthScheme::Bearer);
        http.description = Some("A token of the control API (kwt_…).".to_owned());
        openapi.components.get_or_insert_default().add_security_scheme("token", SecurityScheme::Http(http));
    }
}

/// The documented routes: those behind the token check, and the set-up call, which has a token of its own.
fn documented() -> (OpenApiRouter<Control>, OpenApiRouter<Control>) {
    let closed = OpenApiRouter::with_openapi(Description::openapi())
        .merge(api::status::router())
        .merge(api::projects::router())
        .merge(api::credentials::router())
        .merge(api::keys::router())
        .merge(api::budgets::router())
        .merge(api::nodes::router())
        .merge(api::rates::router())
        .merge(api::usage::router())
        .merge(api::leaks::router())
        .merge(api::calls::router())
        .merge(api::providers::router())
        .merge(api::vault::router())
        .merge(api::backup::router())
        .merge(api::audit::router())
        .merge(api::doctor::router())
        .merge(api::tokens::router());
    (closed, OpenApiRouter::default().merge(api::setup::router()))
}

/// The OpenAPI description.
pub(crate) fn description() -> utoipa::openapi::OpenApi {
    let (closed, setup) = documented();
    OpenApiRouter::with_openapi(Description::openapi()).nest("/api/v1", closed.merge(setup)).into_openapi()
}

/// The admin listener's router.
pub(crate) fn router(control: &Control) -> Router {
    let (closed, setup) = documented();
    let (closed, _) = closed.split_for_parts();
    let (setup, _) = setup.split_for_parts();
    let closed = closed.layer(middleware::from_fn_with_state(control.clone(), auth::require_token)).merge(setup);
    let open = Router::new()
        .route("/healthz", get(api::health::healthz))
        .route("/readyz", get(api::health::readyz))
        .route("/metrics", get(api::health::metrics))
        .route("/api/openapi.json", get(pages::openapi))
        .route("/api/docs", get(pages::docs))
        .route("/setup", get(pages::setup))
        .route("/", get(pages::docs));
    open.nest("/api/v1", closed)
        .fallback(api::health::nothing_here)
        .method_not_allowed_fallback(api::health::wrong_method)
        .layer(middleware::from_fn_with_state(control.clone(), finish))
        .with_state(control.clone())
}

/// Headers that every answer carries, and the log line of those that hide their cause.
async fn finish(State(_): State<Control>, request: Request, next: Next) -> Response {
    let method = request.method().clone();
    let path = shown(request.uri().path());
    let mut response = if method.is_safe() { next.run(request).await } else { to_the_end(request, next).await };
    if let Some(Hidden(cause)) = response.extensions().get::<Hidden>() {
        tracing::error!(%method, path, status = response.status().as_u16(), error = chain(cause.as_ref()), "call failed");
    } else if response.status() == StatusCode::INTERNAL_SERVER_ERROR {
        tracing::error!(%method, path, "call failed");
    }
    let headers = response.headers_mut();
    for (name, value) in [
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::X_FRAME_OPTIONS, "DENY"),
        (header::CACHE_CONTROL, "no-store"),
    ] {
        headers.entry(name).or_insert(HeaderValue::from_static(value));
    }
    response.into_response()
}

/// Runs a change to its end, also when the caller hangs up: what is stored must be told to the gateway, too.
async fn to_the_end(request: Request, next: Next) -> Response {
    match tokio::spawn(next.run(request)).await {
        Ok(response) => response,
        Err(error) => ApiError::internal(error).into_response(),
    }
}

/// An error with everything under it, on one line.
fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        next = cause.source();
    }
    text
}
