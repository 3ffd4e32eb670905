//! `/setup/owner`: the one call that the one-time link opens. It makes the first owner's token and is then closed.

use super::{checked_name, tokens};
use crate::{
    Control,
    auth::{Role, SetUp},
    body::Json as Body,
    error::Answer,
};
use axum::{Json, extract::State, http::StatusCode};
use keyward_domain::audit::Actor;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

pub(crate) fn router() -> OpenApiRouter<Control> {
    OpenApiRouter::new().routes(routes!(owner))
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct NewOwner {
    /// The owner's name, for the audit log.
    name: String,
}

/// The first owner's token, this once.
#[derive(Serialize, ToSchema)]
pub(crate) struct OwnerMade {
    /// The token; shown only here.
    token: String,
    /// Its id.
    id: String,
}

/// Make the first owner, with the one-time set-up token as bearer
#[utoipa::path(post, path = "/setup/owner", tag = "setup", request_body = NewOwner,
    responses((status = 201, body = OwnerMade), (status = 401, description = "The link was used already")))]
async fn owner(
    set_up: SetUp,
    State(control): State<Control>,
    Body(new): Body<NewOwner>,
) -> Answer<(StatusCode, Json<OwnerMade>)> {
    let name = checked_name("owner", &new.name)?;
    // Used up before the token exists: two calls at once get one owner.
    control.use_up_setup_token(&set_up.presented)?;
    let draft = tokens::Draft { name, role: Role::Owner, expires_at: None, reason: None };
    match tokens::make(&control, Actor::Setup, set_up.source, draft).await {
        Ok((row, text)) => {
            let made = OwnerMade { token: text.to_string(), id: row.id.to_string() };
            Ok((StatusCode::CREATED, Json(made)))
        }
        Err(error) => {
            control.give_back_setup_token(set_up.presented);
            Err(error)
        }
    }
}
