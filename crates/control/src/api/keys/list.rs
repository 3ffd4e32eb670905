//! The list of keys, a page at a time.

#![expect(unused_qualifications, reason = "the macro of the description writes whole paths")]

use super::{Around, Key, present};
use crate::{
    Control,
    api::projects,
    auth::Reader,
    body::Params,
    error::{Answer, ApiError},
    publish::ARCHIVED,
};
use axum::{Json, extract::State};
use keyward_domain::{Environment, KeyId, ProjectId};
use keyward_store::{KeyFilter, KeyRow, KeyStatus, ProjectRow};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

const PAGE: u32 = 1_000;
const LARGEST_PAGE: u32 = 10_000;

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct Query {
    /// Only this project's, by id or name.
    project: Option<String>,
    /// Only this environment's.
    #[param(value_type = Option<String>)]
    environment: Option<Environment>,
    /// Only those in this state: `active`, `expired`, `revoked`, or `archived` with their project.
    status: Option<String>,
    /// At most this many, up to 10,000; 1,000 when left out.
    limit: Option<u32>,
    /// Only those after this id: `next_after` of the page before.
    after: Option<String>,
}

/// A page of keys, oldest first.
#[derive(Serialize, ToSchema)]
pub(super) struct KeyPage {
    /// The keys.
    items: Vec<Key>,
    /// Where the next page begins, when there is one.
    next_after: Option<String>,
}

/// Keys
#[utoipa::path(get, path = "/keys", tag = "keys", params(Query), responses((status = 200, body = KeyPage)))]
pub(super) async fn list(
    _: Reader,
    State(control): State<Control>,
    Params(query): Params<Query>,
) -> Answer<Json<KeyPage>> {
    let wanted = query.status.as_deref();
    if wanted.is_some_and(|status| !["active", "expired", "revoked", "archived"].contains(&status)) {
        return Err(ApiError::invalid("invalid_status", "status is active, expired, revoked or archived"));
    }
    let project = match &query.project {
        Some(name) => Some(projects::find(&control, name).await?.id),
        None => None,
    };
    let filter = KeyFilter {
        project,
        environment: query.environment,
        status: match wanted {
            Some("revoked") => Some(KeyStatus::Revoked),
            Some(_) => Some(KeyStatus::Active),
            None => None,
        },
    };
    let limit = query.limit.unwrap_or(PAGE).clamp(1, LARGEST_PAGE);
    let mut after = match &query.after {
        Some(text) => {
            Some(text.parse::<KeyId>().map_err(|error| ApiError::invalid("invalid_query", error.to_string()))?)
        }
        None => None,
    };
    let now = control.now();
    let projects: Projects = control.store().projects().await?.into_iter().map(|row| (row.id, row)).collect();
    let archived = |row: &KeyRow| projects.get(&row.project).is_some_and(|project| project.status == ARCHIVED);
    let fits = |row: &KeyRow| match wanted {
        Some("expired") => row.expires_at.is_some_and(|end| end <= now),
        Some("active") => row.expires_at.is_none_or(|end| end > now) && !archived(row),
        Some("archived") => row.expires_at.is_none_or(|end| end > now) && archived(row),
        _ => true,
    };
    let enough = usize::try_from(limit).unwrap_or(usize::MAX);
    let mut rows: Vec<KeyRow> = Vec::new();
    let mut more = true;
    while more && rows.len() < enough {
        let page = control.store().keys(filter, after, limit).await?;
        more = page.len() >= enough;
        for row in page {
            if rows.len() == enough {
                more = true;
                break;
            }
            after = Some(row.id);
            if fits(&row) {
                rows.push(row);
            }
        }
    }
    let next_after = after.filter(|_| more).map(|id| id.to_string());
    Ok(Json(KeyPage { items: shown(&control, &projects, &rows).await?, next_after }))
}

/// All projects by id.
type Projects = HashMap<ProjectId, ProjectRow>;

async fn shown(control: &Control, projects: &Projects, rows: &[KeyRow]) -> Answer<Vec<Key>> {
    let ids: Vec<Uuid> = rows.iter().map(|row| row.id.uuid()).collect();
    let used = control.store().last_used(&ids).await?;
    let now = control.now();
    Ok(rows
        .iter()
        .map(|row| {
            let around = Around {
                project: projects.get(&row.project),
                effective: None,
                budgets: None,
                last_used: used.get(&row.id.uuid()).copied(),
                now,
            };
            present(control, row, around)
        })
        .collect())
}
