//! `/usage`: what was called and what it cost, from the rollups.

#![expect(unused_qualifications, reason = "the macro of the description writes whole paths")]

use super::{keys, projects};
use crate::{
    Control,
    auth::Reader,
    body::Params,
    error::{Answer, ApiError},
};
use axum::{Json, extract::State};
use keyward_domain::{CredentialId, Environment, KeyId, Money, ProjectId, times};
use keyward_store::{Group, GroupBy, Totals, UsageFilter, UsageLine, UsageQuery};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};

pub(crate) fn router() -> OpenApiRouter<Control> {
    OpenApiRouter::new().routes(routes!(usage))
}

/// What to group by.
#[derive(Debug, Clone, Copy, Default, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
enum By {
    /// Virtual key.
    #[default]
    Key,
    /// Provider and model.
    Model,
    /// Project.
    Project,
    /// UTC day.
    Day,
    /// Credential.
    Credential,
    /// Operation.
    Operation,
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
struct Query {
    /// What to group by; `key` when left out.
    #[serde(default)]
    #[param(value_type = Option<By>)]
    by: By,
    /// From when: a time, a date, or how long ago (`24h`). Rounded down to the hour; 30 days when left out.
    since: Option<String>,
    /// Until when; rounded up to the hour; now when left out.
    until: Option<String>,
    /// Only this project's, by id or name.
    project: Option<String>,
    /// Only this environment's.
    #[param(value_type = Option<String>)]
    environment: Option<Environment>,
    /// Only this key's, by id, public id or name.
    key: Option<String>,
    /// Only this provider's.
    provider: Option<String>,
    /// Only this model's.
    model: Option<String>,
}

/// One line. What it is about is in the field of the grouping; the others are null.
#[derive(Debug, Default, Serialize, ToSchema)]
struct Row {
    /// The key's name.
    key: Option<String>,
    /// The key's id.
    key_id: Option<String>,
    /// The model asked for.
    model: Option<String>,
    /// The provider's id.
    provider: Option<String>,
    /// The project's name.
    project: Option<String>,
    /// The project's id.
    project_id: Option<String>,
    /// The UTC day, `YYYY-MM-DD`.
    day: Option<String>,
    /// The credential's name.
    credential: Option<String>,
    /// The credential's id.
    credential_id: Option<String>,
    /// The operation.
    operation: Option<String>,
    #[serde(flatten)]
    sums: Sums,
}

/// Sums over calls. Token counts never overlap.
#[derive(Debug, Default, Serialize, ToSchema)]
struct Sums {
    /// Calls.
    requests: u64,
    /// Calls that did not end well.
    errors: u64,
    /// Uncached text input.
    input_tokens: u64,
    /// Input read from a cache.
    cache_read_tokens: u64,
    /// Input written to a cache, any lifetime.
    cache_write_tokens: u64,
    /// Text output without reasoning.
    output_tokens: u64,
    /// Reasoning output.
    reasoning_tokens: u64,
    /// Audio in and out.
    audio_tokens: u64,
    /// Images in and out.
    image_tokens: u64,
    /// What it cost, in dollars.
    cost_usd: f64,
    /// The same in whole nano-dollars, exact.
    cost_nano_usd: i64,
    /// Calls whose cost is an upper bound, because usage did not arrive in full.
    estimated_requests: u64,
    /// Calls without a price, or without one for all that they used; that part of the cost is missing.
    unpriced_requests: u64,
    /// Mean time to the first byte, in milliseconds.
    mean_first_byte_ms: f64,
    /// Mean time to the last byte, in milliseconds.
    mean_total_ms: f64,
}

/// Usage.
#[derive(Debug, Serialize, ToSchema)]
struct Usage {
    /// The lines, dearest first; days in their order.
    rows: Vec<Row>,
    /// The first moment that counts, in RFC 3339.
    since: String,
    /// The first moment that no longer counts, in RFC 3339.
    until: String,
}

/// What was called and what it cost
#[utoipa::path(get, path = "/usage", tag = "usage", params(Query), responses((status = 200, body = Usage)))]
async fn usage(_: Reader, State(control): State<Control>, Params(query): Params<Query>) -> Answer<Json<Usage>> {
    let now = control.now();
    let moment = |field: &str, text: Option<&str>, default: &str| {
        times::since(text.unwrap_or(default), now)
            .map_err(|error| ApiError::invalid("invalid_time", format!("{field}: {error}")))
    };
    let question = UsageQuery {
        by: match query.by {
            By::Key => GroupBy::Key,
            By::Model => GroupBy::Model,
            By::Project => GroupBy::Project,
            By::Day => GroupBy::Day,
            By::Credential => GroupBy::Credential,
            By::Operation => GroupBy::Operation,
        },
        since: moment("since", query.since.as_deref(), "30d")?,
        // One more, so that a call of this very moment counts.
        until: moment("until", query.until.as_deref(), "0s")?.saturating_add(1),
        filter: filter(&control, &query).await?,
    };
    let lines = control.store().usage(&question).await?;
    let names = Names::read(&control, &lines).await?;
    Ok(Json(Usage {
        rows: lines.into_iter().map(|line| names.row(line)).collect(),
        since: times::show(question.since),
        until: times::show(question.until),
    }))
}

async fn filter(control: &Control, query: &Query) -> Answer<UsageFilter> {
    Ok(UsageFilter {
        project: match &query.project {
            Some(name) => Some(projects::find(control, name).await?.id),
            None => None,
        },
        environment: query.environment,
        key: match &query.key {
            Some(name) => Some(keys::find(control, name).await?.id),
            None => None,
        },
        credential: None,
        provider: query.provider.clone(),
        model: query.model.clone(),
        operation: None,
    })
}

/// The names of what lines are about.
#[derive(Default)]
struct Names {
    keys: HashMap<KeyId, String>,
    projects: HashMap<ProjectId, String>,
    credentials: HashMap<CredentialId, String>,
}

impl Names {
    async fn read(control: &Control, lines: &[UsageLine]) -> Answer<Self> {
        let mut names = Self::default();
        let store = control.store();
        for line in lines {
            match line.group {
                Group::Key(id) => {
                    names.keys.extend(store.key(id).await?.map(|row| (id, row.name)));
                }
                Group::Project(id) => {
                    names.projects.extend(store.project(id).await?.map(|row| (id, row.name)));
                }
                Group::Credential(id) => {
                    names.credentials.extend(store.credential(id).await?.map(|row| (id, row.name)));
                }
                Group::Model { .. } | Group::Day(_) | Group::Operation(_) => {}
            }
        }
        Ok(names)
    }

    fn row(&self, line: UsageLine) -> Row {
        let mut row = Row { sums: sums(&line.totals), ..Row::default() };
        match line.group {
            Group::Key(id) => {
                row.key = Some(self.keys.get(&id).cloned().unwrap_or_else(|| id.to_string()));
                row.key_id = Some(id.to_string());
            }
            Group::Project(id) => {
                row.project = Some(self.projects.get(&id).cloned().unwrap_or_else(|| id.to_string()));
                row.project_id = Some(id.to_string());
            }
            Group::Credential(id) => {
                row.credential = Some(self.credentials.get(&id).cloned().unwrap_or_else(|| id.to_string()));
                row.credential_id = Some(id.to_string());
            }
            Group::Model { provider, model } => (row.provider, row.model) = (Some(provider), Some(model)),
            Group::Day(midnight) => row.day = Some(times::show(midnight).chars().take(10).collect()),
            Group::Operation(name) => row.operation = Some(name),
        }
        row
    }
}

fn sums(totals: &Totals) -> Sums {
    let mean_ms = |sum: u64| if totals.requests == 0 { 0.0 } else { sum as f64 / totals.requests as f64 / 1_000.0 };
    Sums {
        requests: totals.requests,
        errors: totals.errors,
        input_tokens: totals.input,
        cache_read_tokens: totals.cache_read,
        cache_write_tokens: totals.cache_write.saturating_add(totals.cache_write_long),
        output_tokens: totals.output,
        reasoning_tokens: totals.reasoning,
        audio_tokens: totals.audio_input.saturating_add(totals.audio_output),
        image_tokens: totals.image_input.saturating_add(totals.image_output),
        cost_usd: dollars(totals.cost),
        cost_nano_usd: totals.cost.nano(),
        estimated_requests: totals.estimated,
        unpriced_requests: totals.unpriced,
        mean_first_byte_ms: mean_ms(totals.first_byte_us),
        mean_total_ms: mean_ms(totals.total_us),
    }
}

/// Dollars as the nearest floating-point number; only for show, beside the exact amount.
pub(super) fn dollars(cost: Money) -> f64 {
    cost.to_string().parse().unwrap_or(0.0)
}
