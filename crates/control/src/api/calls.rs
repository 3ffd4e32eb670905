//! `/keys/{key}/calls`: a key's single calls, for as long as they are kept.

#![expect(unused_qualifications, reason = "the macro of the description writes whole paths")]

use super::{keys, usage::dollars};
use crate::{
    Control,
    auth::Reader,
    body::Params,
    error::{Answer, ApiError},
};
use axum::{
    Json,
    extract::{Path, State},
};
use keyward_domain::{
    Money, RequestId, times,
    usage::{CostBasis, Outcome, UsageEvent},
};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};

/// A page, unless somebody asks for more, and the most there is in one.
const PAGE: u32 = 100;
const MOST: u32 = 1_000;

pub(crate) fn router() -> OpenApiRouter<Control> {
    OpenApiRouter::new().routes(routes!(list))
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
struct Query {
    /// How many calls, 1 to 1,000; 100 when left out.
    limit: Option<u32>,
    /// Only calls before this one: `next_before` of the page before.
    before: Option<String>,
}

/// A page of calls, newest first.
#[derive(Debug, Serialize, ToSchema)]
struct Page {
    /// The calls.
    items: Vec<Call>,
    /// Where the next page begins, when there is one.
    next_before: Option<String>,
}

/// One call. What was asked and answered is stored nowhere. Token counts never overlap.
#[derive(Debug, Serialize, ToSchema)]
struct Call {
    /// The call's id: what the answer's `keyward-request-id` said.
    id: String,
    /// When it was accepted, in RFC 3339.
    at: String,
    /// The environment.
    environment: String,
    /// The provider's id.
    provider: String,
    /// The model asked for; empty when the operation has none.
    model: String,
    /// The model that answered, as the provider named it.
    answered_model: Option<String>,
    /// The operation.
    operation: String,
    /// The credential that was used last.
    credential_id: String,
    /// The HTTP status sent to the client; 0 when nobody knows.
    status: u16,
    /// How it ended: `completed`, `provider_error`, `client_gone`, `upstream_lost`, `cut` or `lost`.
    #[schema(value_type = String)]
    outcome: Outcome,
    /// How the cost came about: `priced`, `provider`, `estimated`, `free`, `unpriced` or `incomplete`.
    #[schema(value_type = String)]
    basis: CostBasis,
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
    /// What was held for it on each budget, in nano-dollars; null when no budget is above the key.
    held_nano_usd: Option<i64>,
    /// The price list.
    price_version: String,
    /// The service tier that was billed, as the provider named it.
    tier: Option<String>,
    /// Where it was computed, when that is not the provider's usual choice.
    region: Option<String>,
    /// Time to the first byte, in milliseconds.
    first_byte_ms: f64,
    /// Time to the last byte, in milliseconds.
    total_ms: f64,
    /// The client's address.
    client: String,
    /// The client's user agent, cut to 200 characters.
    user_agent: String,
    /// Which of the key's live secrets was presented: 0 for the newest.
    secret_slot: u8,
    /// The provider's own id of the call.
    upstream_id: String,
}

/// A key's single calls
#[utoipa::path(
    get, path = "/keys/{key}/calls", tag = "usage",
    params(("key" = String, Path, description = "id, public id or name"), Query),
    responses((status = 200, body = Page))
)]
async fn list(
    _: Reader,
    State(control): State<Control>,
    Path(key): Path<String>,
    Params(query): Params<Query>,
) -> Answer<Json<Page>> {
    let limit = query.limit.unwrap_or(PAGE).clamp(1, MOST);
    let before = match &query.before {
        None => None,
        Some(text) => Some(text.parse::<RequestId>().map_err(|_| {
            ApiError::invalid("invalid_call", "before: this is not a call's id").hint("take it from next_before")
        })?),
    };
    let key = keys::find(&control, &key).await?.id;
    let calls = control.store().calls_of_key(key, before, limit).await?;
    let full = u32::try_from(calls.len()).is_ok_and(|count| count == limit);
    let next_before = calls.last().filter(|_| full).map(|call| call.id.to_string());
    Ok(Json(Page { items: calls.iter().map(shown).collect(), next_before }))
}

fn shown(call: &UsageEvent) -> Call {
    let (usage, buckets) = (&call.usage, &call.usage.buckets);
    let text = |text: &Option<Box<str>>| text.as_deref().map(str::to_owned);
    Call {
        id: call.id.to_string(),
        at: times::show(call.at),
        environment: call.environment.to_string(),
        provider: (*call.provider).to_owned(),
        model: (*call.model).to_owned(),
        answered_model: text(&usage.model),
        operation: (*call.operation).to_owned(),
        credential_id: call.credential.to_string(),
        status: call.status,
        outcome: call.outcome,
        basis: call.basis,
        input_tokens: buckets.input,
        cache_read_tokens: buckets.cache_read,
        cache_write_tokens: buckets.cache_write.saturating_add(buckets.cache_write_long),
        output_tokens: buckets.output,
        reasoning_tokens: buckets.reasoning,
        audio_tokens: buckets.audio_input.saturating_add(buckets.audio_output),
        image_tokens: buckets.image_input.saturating_add(buckets.image_output),
        cost_usd: dollars(call.cost),
        cost_nano_usd: call.cost.nano(),
        held_nano_usd: call.held.map(Money::nano),
        price_version: (*call.price_version).to_owned(),
        tier: text(&usage.tier),
        region: text(&usage.region),
        first_byte_ms: call.first_byte_us as f64 / 1_000.0,
        total_ms: call.total_us as f64 / 1_000.0,
        client: call.client.to_string(),
        user_agent: (*call.user_agent).to_owned(),
        secret_slot: call.secret_slot,
        upstream_id: (*call.upstream_id).to_owned(),
    }
}
