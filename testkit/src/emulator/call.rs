//! One call as the dialects see it: routed, authenticated, its body read.

use super::{Shared, account::Account, form, reply::Reply, script::Script};
use crate::keys::Service;
use bytes::Bytes;
use http::{HeaderMap, Method};
use serde_json::Value;

/// When answers were made: the emulators have no clock.
pub(crate) const CREATED: u64 = 1_760_000_000;

/// Which family of paths and error bodies a call belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Surface {
    /// `OpenAI`'s.
    OpenAi,
    /// `Anthropic`'s.
    Anthropic,
    /// The provider's own.
    Native,
}

/// One call.
pub(crate) struct Call<'a> {
    pub(crate) service: Service,
    pub(crate) surface: Surface,
    pub(crate) method: &'a Method,
    /// The path below the surface's root.
    pub(crate) path: &'a str,
    /// The whole path.
    pub(crate) full_path: &'a str,
    pub(crate) query: &'a str,
    pub(crate) headers: &'a HeaderMap,
    pub(crate) body: &'a Bytes,
    /// The body as JSON; null when it is none.
    pub(crate) json: Value,
    pub(crate) account: &'a Account,
    pub(crate) shared: &'a Shared,
}

impl Call<'_> {
    pub(crate) const fn script(&self) -> &Script {
        &self.account.script
    }

    /// The path's segments.
    pub(crate) fn segments(&self) -> Vec<&str> {
        self.path.split('/').filter(|segment| !segment.is_empty()).collect()
    }

    /// The model asked for: in the body, the form or the path.
    pub(crate) fn model(&self) -> String {
        let in_body = self.json.get("model").and_then(Value::as_str).map(str::to_owned);
        let in_form = || form::field(self.body, "model");
        let in_path = || {
            let (_, rest) = self.full_path.split_once("/models/").or_else(|| self.full_path.split_once("/model/"))?;
            let name = rest.rsplit_once(':').map_or(rest, |(name, verb)| if verb.contains('/') { rest } else { name });
            Some(name.split('/').next().unwrap_or(name).to_owned())
        };
        let in_deployment = || {
            let (_, rest) = self.full_path.split_once("/deployments/")?;
            rest.split('/').next().map(str::to_owned)
        };
        in_body.or_else(in_deployment).or_else(in_form).or_else(in_path).unwrap_or_default()
    }

    /// The model that the answer names.
    pub(crate) fn answering_model(&self) -> String {
        self.script().model.clone().unwrap_or_else(|| self.model())
    }

    pub(crate) fn wants_stream(&self) -> bool {
        self.json.get("stream").and_then(Value::as_bool).unwrap_or(false)
    }

    pub(crate) fn query_value(&self, name: &str) -> Option<&str> {
        self.query.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='))
    }

    pub(crate) fn is(&self, method: &Method, path: &str) -> bool {
        self.method == method && self.path == path
    }

    /// Whether the call asks about the key itself, which every key may.
    pub(crate) fn tells_about_key(&self) -> bool {
        tells_about_key(self.service, self.full_path)
    }

    /// Whether the call makes the provider compute something.
    pub(crate) fn is_inference(&self) -> bool {
        let segments = self.segments();
        let housekeeping = ["files", "batches", "uploads", "cachedContents", "check-api-key"];
        self.method == Method::POST && !segments.iter().any(|segment| housekeeping.contains(segment))
    }
}

/// Whether a path tells about the key that calls it.
pub(crate) fn tells_about_key(service: Service, path: &str) -> bool {
    match service {
        Service::OpenRouter => path == "/api/v1/key",
        Service::Xai => path == "/v1/api-key",
        Service::Cohere => path == "/v1/check-api-key",
        Service::HuggingFace => path == "/api/whoami-v2",
        _ => false,
    }
}

/// The answer for a path that the provider does not have.
pub(crate) fn no_such_path(call: &Call<'_>) -> Reply {
    let text = format!("Unknown request URL: {} {}. Please check the URL for typos.", call.method, call.path);
    super::refusals::error(
        call.service,
        call.surface,
        404,
        &super::refusals::Parts {
            kind: "invalid_request_error",
            code: Some("unknown_url"),
            message: &text,
            ..Default::default()
        },
    )
}
