//! `/doctor`: looks at everything that can be wrong and says what to do about it.

use crate::{Control, auth::Reader, doctor, error::Answer};
use axum::{Json, extract::State};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

pub(crate) fn router() -> OpenApiRouter<Control> {
    OpenApiRouter::new().routes(routes!(examine))
}

/// What the doctor says.
#[derive(Debug, Serialize, ToSchema)]
struct Report {
    /// Whether nothing failed.
    healthy: bool,
    /// What was looked at.
    checks: Vec<doctor::Check>,
}

/// Look at everything that can be wrong
#[utoipa::path(get, path = "/doctor", tag = "status", responses((status = 200, body = Report)))]
async fn examine(_: Reader, State(control): State<Control>) -> Answer<Json<Report>> {
    let checks = doctor::examine(&control).await?;
    Ok(Json(Report { healthy: checks.iter().all(doctor::Check::is_fine), checks }))
}
