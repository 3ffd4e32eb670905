//! How far a request is looked into: just enough to decide. Finds the model, the flags and the caps, and says which
//! bytes must change; everything around them stays as the client wrote it.

mod asked;
mod body;
mod bound;
mod cap;
mod edit;
mod form;
pub mod json;
mod plan;

pub use asked::{Asked, AskedTool};
pub use body::{Collected, Finished, collected, json as json_body, message};
pub use bound::bound;
pub use edit::Edits;
pub use form::Form;
pub use plan::RequestPlan;

use crate::{
    inbound::Inbound,
    tables::OperationPlan,
    unpack::{self, Packing},
};
use http::{HeaderMap, HeaderValue, header};
use keyward_domain::{
    policy,
    policy::Policy,
    provider::{BodyKind, ModelSource},
    refusal::{Reason, Refusal},
};

/// What is known of a request once it was looked into.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Facts {
    /// The model asked for, without a leading `models/`. None: the operation has none, or a WebSocket will name it.
    pub model: Option<Box<str>>,
    /// Whether the client asked for a stream in the body.
    pub stream: bool,
    /// Whether usage was asked for in the client's stead, so that the extra chunk must be taken out of the answer.
    pub strip_usage: bool,
    /// The length of the body, in bytes.
    pub input_bytes: u64,
    /// The most output tokens over all answers: what the client asked for, lowered to what the policy allows, or the
    /// policy's default. What [`Collected::finish`] takes when no budget says less.
    pub output_cap: Option<u64>,
    /// Somebody says how much output there shall be: the request, or the policy's default. A policy's limit does not.
    pub says_cap: bool,
    /// Further models, any of which may be billed.
    pub also_models: Vec<Box<str>>,
    /// What else the price depends on.
    pub asked: Asked,
    /// The characters of the text that the provider is to speak, where they are billed.
    pub characters: Option<u64>,
    /// What the body names as objects at the provider, as written.
    pub references: Vec<Box<str>>,
}

impl Facts {
    /// How many tokens the input may be, before the provider has counted: a quarter of its bytes.
    #[must_use]
    pub const fn input_estimate(&self) -> u64 {
        self.input_bytes.div_ceil(4)
    }

    /// How many tokens the call may use in all: what tokens-per-minute limits take at first.
    #[must_use]
    pub fn token_estimate(&self) -> u64 {
        self.input_estimate().saturating_add(self.output_cap.unwrap_or(0))
    }
}

/// What to do with a request's body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BodyPlan {
    /// Pass it on unseen, counting its bytes.
    Stream,
    /// Collect it, at most this many bytes, and read it with [`collected`].
    Collect {
        /// In bytes.
        limit: u64,
    },
    /// Pass it on while a [`Form`] reads along.
    Form,
}

/// Decides how a body is read, from the operation and the request's headers.
///
/// # Errors
/// A [`Refusal`] when the body is of a kind, or packed in a way, in which the deciding fields cannot be seen.
pub fn body_plan(inbound: &Inbound, headers: &HeaderMap, max_body: u64) -> Result<BodyPlan, Refusal> {
    let wanted = inbound.plan.operation.request;
    if matches!(wanted, BodyKind::None | BodyKind::Bytes) {
        return Ok(BodyPlan::Stream);
    }
    let packing = unpack::packing(headers);
    if packing == Packing::Other {
        return Err(malformed(
            "this request body is compressed in a way that cannot be looked into: send gzip, deflate or plain text",
        ));
    }
    let mut kinds = headers.get_all(header::CONTENT_TYPE).iter().map(HeaderValue::as_bytes);
    let kind = kinds.next().unwrap_or_default();
    if kinds.next().is_some() {
        return Err(malformed("two content types in one request: send one"));
    }
    let is_form = kind.get(..19).is_some_and(|head| head.eq_ignore_ascii_case(b"multipart/form-data"));
    match wanted {
        BodyKind::Multipart if is_form && packing != Packing::None => {
            Err(malformed("a compressed form cannot be looked into: send it without content-encoding"))
        }
        BodyKind::Multipart if is_form => Ok(BodyPlan::Form),
        _ if is_form => Err(malformed("this operation takes a JSON body, not a form")),
        _ if !may_be_json(kind) => {
            Err(malformed("this operation takes a JSON body: send it with content-type: application/json"))
        }
        _ => Ok(BodyPlan::Collect { limit: max_body }),
    }
}

/// Whether a provider that heeds the content type reads the body as the gateway does: as JSON in UTF-8. What names no
/// kind of text known to be read in another way is left to the provider.
fn may_be_json(kind: &[u8]) -> bool {
    // HOT: what nearly every client says.
    if kind == b"application/json" {
        return true;
    }
    let Ok(kind) = std::str::from_utf8(kind) else { return false };
    let mut parts = kind.split([';', ',']).map(str::trim);
    let is_form = parts.next().is_some_and(|kind| kind.eq_ignore_ascii_case("application/x-www-form-urlencoded"));
    let other_letters = parts.any(|part| {
        let value = part.split_once('=').filter(|(name, _)| name.trim_end().eq_ignore_ascii_case("charset"));
        value.is_some_and(|(_, value)| {
            let value = value.trim().trim_matches(['"', '\'']);
            !["utf-8", "utf8", "us-ascii", "ascii"].iter().any(|known| known.eq_ignore_ascii_case(value))
        })
    });
    !is_form && !other_letters
}

/// The facts of a request whose body is not looked into: the model from its path or query.
///
/// # Errors
/// A [`Refusal`] when the model is named twice.
pub fn head(inbound: &Inbound) -> Result<Facts, Refusal> {
    let asked = Asked { answers: inbound.plan.request.answers, ..Asked::default() };
    Ok(Facts { model: head_model(inbound)?, asked, ..Facts::default() })
}

/// The model as far as path, query or catalogue say it.
pub(crate) fn head_model(inbound: &Inbound) -> Result<Option<Box<str>>, Refusal> {
    let model = match &inbound.plan.operation.model {
        None | Some(ModelSource::Body(_)) => None,
        Some(ModelSource::Fixed(name)) => Some(name.clone()),
        // `owner/name`: several parameters, joined.
        Some(ModelSource::Path(params)) => {
            let parts: Option<Vec<&str>> = params.split('/').map(|param| inbound.param(param)).collect();
            parts.map(|parts| parts.join("/").into())
        }
        Some(ModelSource::Query(name)) => inbound.query_value(name)?.map(Into::into),
    };
    Ok(model.map(|model: Box<str>| bare_model(&model).into()))
}

/// The model's name without a leading `models/`.
#[must_use]
pub fn bare_model(model: &str) -> &str {
    model.strip_prefix("models/").unwrap_or(model)
}

/// Checks a model that was found, and that one was found where one must be.
///
/// # Errors
/// The [`Refusal`] of the key's policy.
pub fn check_model(plan: &OperationPlan, model: Option<&str>, policy: &Policy) -> Result<(), Refusal> {
    if plan.operation.model.is_none() {
        return Ok(());
    }
    policy::decide_model(policy, model)
}

pub(crate) fn malformed(message: impl Into<String>) -> Refusal {
    Refusal::new(Reason::MalformedRequest, message)
}

#[cfg(test)]
mod tests;
