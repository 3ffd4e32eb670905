//! What a key may do, and the one pure decision every call passes. Nothing is allowed that is not said.

use crate::{
    Environment, Millis,
    glob::Glob,
    hours::Hours,
    provider::OnHangup,
    refusal::{Reason, Refusal},
};
use ipnet::IpNet;
use serde::{Deserialize, Serialize};
use std::net::IpAddr;

/// The largest body a call may have when nothing else is said: 32 MiB.
pub const DEFAULT_MAX_BODY: u64 = 32 << 20;

/// What somebody wrote down for a project, an environment or a key. A field left out is inherited from above.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Policy {
    /// Provider ids.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub providers: Option<Vec<Box<str>>>,
    /// Model names with `*`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub models: Option<Vec<Glob>>,
    /// Operation names.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub operations: Option<Vec<Box<str>>>,
    /// Client networks.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub networks: Option<Vec<IpNet>>,
    /// Hours.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hours: Option<Hours>,
    /// Two-letter country codes, upper case.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub countries: Option<Vec<Box<str>>>,
    /// Requests per minute.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub requests_per_minute: Option<u64>,
    /// Tokens per minute.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tokens_per_minute: Option<u64>,
    /// Calls at once.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub concurrency: Option<u32>,
    /// The most output tokens a call may ask for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_output_tokens: Option<u64>,
    /// The output cap that is added to a call that has none, in tokens. Left out: [`Self::max_output_tokens`], or what
    /// the model gives at most; under a budget as much of that as what is left pays for with ease.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub default_output_tokens: Option<u64>,
    /// What happens to a call that a budget cannot pay as it was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub when_short: Option<WhenShort>,
    /// What becomes of a call whose client hangs up. Left out: what the catalogue says of the provider.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub on_hangup: Option<OnHangup>,
    /// The largest request body, in bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_body_bytes: Option<u64>,
    /// How long the old secret of a key lives on after a rotation, in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rotation_overlap_ms: Option<u64>,
}

/// What happens to a call whose output cap costs more than a budget has left.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum WhenShort {
    /// The cap is lowered to what the budget pays, and an answer header says so.
    #[default]
    Clamp,
    /// The call is refused.
    Refuse,
}

impl Policy {
    /// This policy, with what it leaves out taken from the one above it.
    #[must_use]
    pub fn inheriting(&self, above: &Self) -> Self {
        Self {
            providers: self.providers.clone().or_else(|| above.providers.clone()),
            models: self.models.clone().or_else(|| above.models.clone()),
            operations: self.operations.clone().or_else(|| above.operations.clone()),
            networks: self.networks.clone().or_else(|| above.networks.clone()),
            hours: self.hours.clone().or_else(|| above.hours.clone()),
            countries: self.countries.clone().or_else(|| above.countries.clone()),
            requests_per_minute: self.requests_per_minute.or(above.requests_per_minute),
            tokens_per_minute: self.tokens_per_minute.or(above.tokens_per_minute),
            concurrency: self.concurrency.or(above.concurrency),
            max_output_tokens: self.max_output_tokens.or(above.max_output_tokens),
            default_output_tokens: self.default_output_tokens.or(above.default_output_tokens),
            when_short: self.when_short.or(above.when_short),
            on_hangup: self.on_hangup.or(above.on_hangup),
            max_body_bytes: self.max_body_bytes.or(above.max_body_bytes),
            rotation_overlap_ms: self.rotation_overlap_ms.or(above.rotation_overlap_ms),
        }
    }
}

/// What is known of a call before its body is read.
#[derive(Debug, Clone, Copy)]
pub struct CallHead<'a> {
    /// The provider's id.
    pub provider: &'a str,
    /// The operation's name.
    pub operation: &'a str,
    /// Whether the catalogue lets keys without a list call it.
    pub operation_default: bool,
    /// The client's address: the peer's, or the one a trusted proxy forwards.
    pub client: IpAddr,
    /// The client's country, when a country database is configured and knows it.
    pub country: Option<[u8; 2]>,
    /// The body's declared length, when it has one.
    pub body_bytes: Option<u64>,
}

/// Decides on everything but the model. Order: where and when the key is used, then what it is used for.
///
/// # Errors
/// The first rule that does not hold, as a [`Refusal`] for the client.
pub fn decide(policy: &Policy, environment: Environment, call: &CallHead<'_>, now: Millis) -> Result<(), Refusal> {
    if let Some(networks) = &policy.networks {
        let client = call.client.to_canonical();
        if !networks.iter().any(|network| network.contains(&client)) {
            return Err(Refusal::new(
                Reason::NetworkNotAllowed,
                format!("this key may not be used from {client}: ask its owner to add the network"),
            ));
        }
    }
    if let Some(countries) = &policy.countries {
        let allowed = call.country.is_some_and(|code| countries.iter().any(|name| name.as_bytes() == code));
        if !allowed {
            return Err(Refusal::new(
                Reason::CountryNotAllowed,
                "this key may not be used from this country: ask its owner to add it",
            ));
        }
    }
    if let Some(hours) = policy.hours.as_ref().filter(|hours| !hours.contain(now)) {
        return Err(Refusal::new(Reason::OutsideHours, format!("this key works only during {hours}")));
    }
    let provider_allowed =
        policy.providers.as_ref().is_some_and(|list| list.iter().any(|id| &**id == call.provider || &**id == "*"));
    if !provider_allowed {
        return Err(Refusal::new(
            Reason::ProviderNotAllowed,
            format!("this {environment} key may not use the provider {}", call.provider),
        ));
    }
    let operation_allowed = policy.operations.as_ref().map_or(call.operation_default, |list| {
        list.iter().any(|name| &**name == call.operation || (&**name == "*" && call.operation_default))
    });
    if !operation_allowed {
        return Err(Refusal::new(
            Reason::OperationNotAllowed,
            format!("this key may not call the operation {}", call.operation),
        ));
    }
    check_body(policy, call.body_bytes.unwrap_or(0))
}

/// Decides on a body's length: the declared one, and again on what has really arrived.
///
/// # Errors
/// A [`Refusal`] when the body is larger than the key allows.
pub fn check_body(policy: &Policy, bytes: u64) -> Result<(), Refusal> {
    let limit = policy.max_body_bytes.unwrap_or(DEFAULT_MAX_BODY);
    if bytes <= limit {
        return Ok(());
    }
    Err(Refusal::new(Reason::BodyTooLarge, format!("the request body is larger than this key's {limit} bytes")))
}

/// Decides on the model. `None` is for operations that need one and got none.
///
/// # Errors
/// A [`Refusal`] when the model is missing or not allowed.
pub fn decide_model(policy: &Policy, model: Option<&str>) -> Result<(), Refusal> {
    let Some(model) = model.filter(|model| !model.is_empty()) else {
        return Err(Refusal::new(Reason::MissingModel, "the request names no model"));
    };
    if policy.models.as_ref().is_none_or(|list| list.iter().any(|glob| glob.matches(model))) {
        return Ok(());
    }
    let shown: String = model.chars().filter(|character| !character.is_control()).take(80).collect();
    Err(Refusal::new(Reason::ModelNotAllowed, format!("this key may not use the model {shown}")))
}

#[cfg(test)]
mod tests;
