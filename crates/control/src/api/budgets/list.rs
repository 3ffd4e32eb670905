//! The list of budgets, a page at a time, and what was spent in the windows of one.

#![expect(unused_qualifications, reason = "the macro of the description writes whole paths")]

use super::{
    find,
    shape::{Budget, Names, present},
};
use crate::{
    Control,
    api::{Items, keys, projects},
    auth::Reader,
    body::{Name, Params},
    budgets::Terms,
    error::{Answer, ApiError},
};
use axum::{Json, extract::State};
use keyward_domain::{BudgetId, Environment, Millis, times};
use keyward_store::{BudgetFilter, BudgetRow};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

const PAGE: u32 = 1_000;
const LARGEST_PAGE: u32 = 10_000;
/// So many windows of the past are told when nobody says.
const WINDOWS: u32 = 24;
const MOST_WINDOWS: u32 = 1_000;

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct Query {
    /// Only this project's, its environments' and its keys', by id or name.
    project: Option<String>,
    /// Only those of this environment of the project, and of its keys.
    #[param(value_type = Option<String>)]
    environment: Option<Environment>,
    /// Only those on this key, by id, public id or name.
    key: Option<String>,
    /// Only those of this kind of scope: `organisation`, `project`, `environment` or `key`.
    scope: Option<String>,
    /// Only those in this state: `active`, `archived`, `revoked` with their key, or `tampered`.
    status: Option<String>,
    /// At most this many, up to 10,000; 1,000 when left out.
    limit: Option<u32>,
    /// Only those after this id: `next_after` of the page before.
    after: Option<String>,
}

/// A page of budgets, oldest first.
#[derive(Serialize, ToSchema)]
pub(super) struct BudgetPage {
    /// The budgets.
    items: Vec<Budget>,
    /// Where the next page begins, when there is one.
    next_after: Option<String>,
}

impl Query {
    async fn filter(&self, control: &Control) -> Answer<BudgetFilter> {
        let one_of = |field: &str, value: &Option<String>, words: &[&str]| match value {
            Some(value) if !words.contains(&value.as_str()) => {
                Err(ApiError::invalid("invalid_query", format!("{field} is one of {}", words.join(", "))))
            }
            _ => Ok(()),
        };
        one_of("scope", &self.scope, &["organisation", "project", "environment", "key"])?;
        one_of("status", &self.status, &["active", "archived", "revoked", "tampered"])?;
        if self.environment.is_some() && self.project.is_none() {
            return Err(ApiError::invalid("invalid_query", "environment needs a project: environments belong to one"));
        }
        let project = match &self.project {
            Some(name) => Some(projects::find(control, name).await?.id),
            None => None,
        };
        let key = match &self.key {
            Some(name) => Some(keys::find(control, name).await?.id),
            None => None,
        };
        Ok(BudgetFilter { project, environment: self.environment, key, scope: self.scope.clone(), status: None })
    }
}

/// Budgets
#[utoipa::path(get, path = "/budgets", tag = "budgets", params(Query), responses((status = 200, body = BudgetPage)))]
pub(super) async fn list(
    _: Reader,
    State(control): State<Control>,
    Params(query): Params<Query>,
) -> Answer<Json<BudgetPage>> {
    let filter = query.filter(&control).await?;
    let limit = query.limit.unwrap_or(PAGE).clamp(1, LARGEST_PAGE);
    let enough = usize::try_from(limit).unwrap_or(usize::MAX);
    let mut after = match &query.after {
        Some(text) => {
            Some(text.parse::<BudgetId>().map_err(|error| ApiError::invalid("invalid_query", error.to_string()))?)
        }
        None => None,
    };
    let mut names = Names::default();
    let mut items: Vec<Budget> = Vec::new();
    let mut more = true;
    while more && items.len() < enough {
        let page: Vec<BudgetRow> = control.store().budgets(&filter, after, limit).await?;
        more = page.len() >= enough;
        for row in page {
            if items.len() == enough {
                more = true;
                break;
            }
            after = Some(row.id);
            names.learn(&control, &row).await?;
            if query.status.as_deref().is_none_or(|wanted| wanted == names.status(&control, &row)) {
                items.push(present(&control, &row, &names).await?);
            }
        }
    }
    let next_after = after.filter(|_| more).map(|id| id.to_string());
    Ok(Json(BudgetPage { items, next_after }))
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct Extent {
    /// At most this many windows, up to 1,000; 24 when left out.
    limit: Option<u32>,
}

/// What was spent in one window of a budget.
#[derive(Serialize, ToSchema)]
pub(super) struct Window {
    /// When it began, in RFC 3339; null for all time and for rolling windows.
    start: Option<String>,
    /// When it ended or ends, in RFC 3339; null when it does not.
    end: Option<String>,
    /// Whether it is the one that is now.
    current: bool,
    /// What settled calls cost, in dollars; for a rolling window what still counts.
    spent_usd: String,
    /// The same in nano-dollars.
    spent_nano_usd: i64,
    /// What nodes have set aside, in dollars.
    leased_usd: String,
    /// The same in nano-dollars.
    leased_nano_usd: i64,
}

/// What was spent in a budget's windows, the newest first
#[utoipa::path(get, path = "/budgets/{budget}/history", tag = "budgets",
    params(("budget" = String, Path, description = "Id"), Extent), responses((status = 200, body = Items<Window>)))]
pub(super) async fn history(
    _: Reader,
    State(control): State<Control>,
    Name(name): Name,
    Params(extent): Params<Extent>,
) -> Answer<Json<Items<Window>>> {
    let row = find(&control, &name).await?;
    let Some(terms) = Terms::read(&row) else {
        return Err(ApiError::conflict("tampered", "the record of this budget cannot be read")
            .hint("archive it and set a new one; `keyward doctor` lists such records"));
    };
    let now = control.now();
    let most = extent.limit.unwrap_or(WINDOWS).clamp(1, MOST_WINDOWS);
    let edge = |at: Millis| (at != 0 && at != Millis::MAX).then(|| times::show(at));
    let past = control.past(&terms.budget, now, most).await?;
    let items = past
        .into_iter()
        .map(|past| Window {
            start: edge(past.start),
            end: edge(past.end),
            current: past.start <= now && now < past.end,
            spent_usd: past.spent.to_string(),
            spent_nano_usd: past.spent.nano(),
            leased_usd: past.leased.to_string(),
            leased_nano_usd: past.leased.nano(),
        })
        .collect();
    Ok(Json(Items { items }))
}
