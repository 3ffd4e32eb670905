//! From a request's head to what it means: provider, operation, the presented key, the client's address, and the path
//! to call upstream. Nothing is looked up about the key here; its shape and checksum are tested first.

mod client;
mod key;
mod path;

pub use client::client_address;
pub use key::{STRIPPED_HEADERS, passes, strip_request, upstream_protocols};

use crate::near::Near;
use crate::tables::{Found, OperationPlan, Picture, ProviderPlan};
use http::request::Parts;
use ipnet::IpNet;
use keyward_domain::{
    provider::{BodyKind, Dialect, ModelSource},
    refusal::{Reason, Refusal},
    token::Presented,
};
use std::{net::IpAddr, sync::Arc};

/// What a request means.
#[derive(Debug, Clone)]
pub struct Inbound {
    /// The operation.
    pub plan: Near<OperationPlan>,
    /// The path below the API root and the query without any key: what is appended to the credential's base URL.
    pub path_and_query: String,
    /// The presented virtual key, its shape and checksum sound.
    pub presented: Presented,
    /// The client's address: the peer's, or what trusted proxies say.
    pub client: IpAddr,
    /// The key came in the query, where logs can catch it.
    pub key_in_query: bool,
    params: Vec<(Box<str>, Box<str>)>,
}

impl Inbound {
    /// A parameter of the path, decoded.
    #[must_use]
    pub fn param(&self, name: &str) -> Option<&str> {
        self.params.iter().find(|(key, _)| **key == *name).map(|(_, value)| &**value)
    }

    /// Whether the model is named only after the call has begun: in a form that streams, or in a WebSocket's messages.
    #[must_use]
    pub fn names_model_later(&self) -> bool {
        let operation = &self.plan.operation;
        let streams = operation.websocket || operation.request == BodyKind::Multipart;
        streams && matches!(operation.model, Some(ModelSource::Body(_)))
    }

    /// A parameter of the query, decoded.
    ///
    /// # Errors
    /// A [`Refusal`] when it is there twice, so that nobody can mean two things at once.
    pub fn query_value(&self, name: &str) -> Result<Option<String>, Refusal> {
        let query = self.path_and_query.split_once('?').map_or("", |(_, query)| query);
        let mut found = None;
        for (key, value) in path::pairs(query) {
            if path::decoded_query(key).as_deref() != Some(name) {
                continue;
            }
            let value = path::decoded_query(value).ok_or_else(|| {
                Refusal::new(Reason::MalformedRequest, format!("the query's '{name}' cannot be decoded"))
            })?;
            if found.replace(value).is_some() {
                return Err(Refusal::new(
                    Reason::MalformedRequest,
                    format!("'{name}' is in the query twice: send it once"),
                ));
            }
        }
        Ok(found)
    }
}

/// A refusal, and the dialect in which the client expects it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejected {
    /// Why.
    pub refusal: Refusal,
    /// The shape of the answer.
    pub dialect: Dialect,
}

/// Reads a request's head.
///
/// # Errors
/// The refusal, in the provider's dialect as soon as the provider is known.
pub fn read(picture: &Picture, head: &Parts, peer: IpAddr, trusted: &[IpNet]) -> Result<Inbound, Rejected> {
    let reject = |dialect| move |refusal| Rejected { refusal, dialect };
    let raw_path = head.uri.path();
    path::check(raw_path).map_err(reject(Dialect::Openai))?;
    let provider = find_provider(picture, raw_path).map_err(reject(Dialect::Openai))?;
    let dialect = provider.provider.api.dialect;
    let (plan, params) = find_operation(provider, head.method.as_str(), raw_path).map_err(reject(dialect))?;
    let reject = reject(plan.dialect);
    let query = head.uri.query();
    path::check_query(query, &provider.provider.api.refused_query).map_err(reject)?;
    let found = key::find(&head.headers, query).map_err(reject)?;
    let presented = key::present(&found.text).map_err(reject)?;
    let below_root = raw_path.get(provider.root().len()..).unwrap_or_default();
    Ok(Inbound {
        plan: Near::of(plan),
        path_and_query: path::with_clean_query(below_root, query, presented.public_id.as_str()),
        presented,
        client: client_address(peer, &head.headers, trusted),
        key_in_query: found.in_query,
        params,
    })
}

fn find_provider<'p>(picture: &'p Picture, path: &str) -> Result<&'p Arc<ProviderPlan>, Refusal> {
    let first = path.trim_start_matches('/').split('/').next().unwrap_or_default();
    picture.provider(first).ok_or_else(|| {
        let mut known: Vec<&str> = picture.provider_ids().collect();
        known.sort_unstable();
        let message = if first.is_empty() {
            format!(
                "this is the gateway: call a provider below its path, such as /{}",
                known.first().unwrap_or(&"openai")
            )
        } else {
            format!("no provider at /{}: known are {}", path::shown(first), known.join(", "))
        };
        Refusal::new(Reason::UnknownProvider, message)
    })
}

type Params = Vec<(Box<str>, Box<str>)>;

fn find_operation<'p>(
    provider: &'p ProviderPlan,
    method: &str,
    path: &str,
) -> Result<(&'p Arc<OperationPlan>, Params), Refusal> {
    let unknown = |message| Refusal::new(Reason::UnknownOperation, message);
    let (root, name) = (provider.root(), &provider.provider.name);
    let below = path.strip_prefix(root).filter(|below| below.starts_with('/')).ok_or_else(|| {
        unknown(format!("the base URL of {name} on this gateway ends in {root}: {} is not below it", path::shown(path)))
    })?;
    match provider.router.find(method, below) {
        Found::Operation(plan, raw) => {
            let mut params = Params::new();
            for (param, value) in raw {
                params.push((param.into(), path::decoded_param(value)?.into()));
            }
            Ok((plan, params))
        }
        Found::OtherMethods(methods) => {
            Err(unknown(format!("{} takes {} here, not {method}", path::shown(path), methods.join(" or "))))
        }
        Found::Nothing => Err(unknown(format!(
            "{name} has no operation at {method} {} that this gateway knows: what is not in its catalogue is refused",
            path::shown(path)
        ))),
    }
}

#[cfg(test)]
mod tests;
