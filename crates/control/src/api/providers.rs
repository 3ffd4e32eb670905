//! `/providers` and `/prices`: the catalogue as data.

#![expect(unused_qualifications, reason = "the macro of the description writes whole paths")]

use super::Items;
use crate::{
    Control,
    auth::Reader,
    body::{Name, Params},
    error::Answer,
    policy_check,
};
use axum::{Json, extract::State};
use keyward_domain::{price::Price, provider::Provider};
use serde::{Deserialize, Serialize};
use std::{collections::BTreeSet, sync::Arc};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};

pub(crate) fn router() -> OpenApiRouter<Control> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(show)).routes(routes!(prices))
}

/// A provider in short.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ProviderSummary {
    /// The slug.
    id: String,
    /// The vendor's name.
    name: String,
    /// The vendor's documentation.
    docs: String,
    /// What the base URL ends in on the gateway.
    path: String,
    /// The vendor's API root; empty when every credential must bring one.
    base_url: String,
    /// The operations that keys can be allowed to call.
    operations: BTreeSet<String>,
    /// The day the facts were read.
    as_of: String,
}

fn summary(provider: &Arc<Provider>) -> ProviderSummary {
    ProviderSummary {
        id: provider.id.to_string(),
        name: provider.name.to_string(),
        docs: provider.docs.to_string(),
        path: provider.api.root.to_string(),
        base_url: provider.api.base_url.to_string(),
        operations: provider.operations.iter().map(|operation| operation.name.to_string()).collect(),
        as_of: provider.as_of.to_string(),
    }
}

/// All providers
#[utoipa::path(get, path = "/providers", tag = "catalogue", responses((status = 200, body = Items<ProviderSummary>)))]
async fn list(_: Reader, State(control): State<Control>) -> Json<Items<ProviderSummary>> {
    Json(Items { items: control.catalogue().providers().iter().map(summary).collect() })
}

/// One provider, with everything the catalogue says about it
#[utoipa::path(get, path = "/providers/{provider}", tag = "catalogue", params(("provider" = String, Path,)),
    responses((status = 200, body = Object)))]
async fn show(_: Reader, State(control): State<Control>, Name(id): Name) -> Answer<Json<Arc<Provider>>> {
    let catalogue = control.catalogue();
    catalogue
        .provider(&id)
        .map(|provider| Json(Arc::clone(provider)))
        .ok_or_else(|| policy_check::unknown_provider(&id, catalogue.providers()).gone())
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct PriceQuery {
    /// Only this provider's.
    provider: Option<String>,
    /// Only this model's.
    model: Option<String>,
}

/// The price list.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct PriceList {
    /// Its version, which is recorded with every call.
    version: String,
    /// The prices; rates are nano-USD per million tokens.
    #[schema(value_type = Vec<Object>)]
    items: Vec<Price>,
}

/// What models cost
#[utoipa::path(get, path = "/prices", tag = "catalogue", params(PriceQuery), responses((status = 200, body = PriceList)))]
async fn prices(_: Reader, State(control): State<Control>, Params(query): Params<PriceQuery>) -> Json<PriceList> {
    let book = control.catalogue().prices();
    let fits = |price: &&Price| {
        query.provider.as_ref().is_none_or(|id| **id == *price.provider)
            && query.model.as_ref().is_none_or(|model| {
                std::iter::once(&price.model).chain(&price.aliases).any(|name| name.eq_ignore_ascii_case(model))
            })
    };
    Json(PriceList { version: book.version.to_string(), items: book.all().iter().filter(fits).cloned().collect() })
}
