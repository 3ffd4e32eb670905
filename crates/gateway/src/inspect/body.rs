//! From a collected JSON body to facts and edits.

use super::{
    Asked, Edits, Facts, RequestPlan, bare_model,
    cap::{self, Caps, whole_number},
    json::{self, Hit, Kind, Scan},
    malformed,
    plan::Role,
};
use crate::{
    inbound::Inbound,
    near::Near,
    tables::OperationPlan,
    unpack::{self, Packing, Unpackable},
};
use bytes::Bytes;
use http::HeaderMap;
use keyward_domain::{
    policy::{self, Policy},
    refusal::Refusal,
};

/// A collected body that was looked into, and is still open to a change of its output cap.
#[derive(Debug, Clone)]
pub struct Collected {
    /// What it says.
    pub facts: Facts,
    plan: Near<OperationPlan>,
    /// The body as text.
    plain: Bytes,
    /// The body as it came, when that was packed.
    packed: Option<Bytes>,
    caps: Caps,
    /// The changes that do not depend on the cap.
    edits: Edits,
}

/// What goes upstream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finished {
    /// The body.
    pub body: Bytes,
    /// The body was packed and had to be changed: it goes on unpacked, without a `content-encoding`.
    pub unpacked: bool,
}

impl Collected {
    /// Makes the changes: those that metering needs, and the cap. `cap` is the most output over all answers, as
    /// [`Facts::output_cap`] or the bound has it; it is divided among the answers, put where none is, and lowers
    /// what is higher. `None` leaves the client's caps alone. Bytes that need no change go on without a copy.
    #[must_use]
    pub fn finish(self, cap: Option<u64>) -> Finished {
        let edits = match cap {
            Some(cap) => self.caps.set(&self.plan, cap).then(self.edits),
            None => self.edits,
        };
        match self.packed {
            Some(packed) if edits.is_empty() => Finished { body: packed, unpacked: false },
            packed => Finished { body: edits.apply(self.plain), unpacked: packed.is_some() },
        }
    }
}

/// Reads a collected JSON body through, also when it is packed; see [`json()`]. A packed body that needs no change goes
/// on as it is.
///
/// # Errors
/// A [`Refusal`] as [`json()`] has it, or when the body cannot be unpacked or is too large when it is.
pub fn collected(inbound: &Inbound, headers: &HeaderMap, body: Bytes, policy: &Policy) -> Result<Collected, Refusal> {
    let packing = unpack::packing(headers);
    if packing == Packing::None {
        return json(inbound, body, policy);
    }
    let limit = policy.max_body_bytes.unwrap_or(policy::DEFAULT_MAX_BODY);
    let plain = match unpack::whole(packing, &body, limit) {
        Ok(plain) => Bytes::from(plain),
        Err(Unpackable::TooLarge) => {
            policy::check_body(policy, limit.saturating_add(1))?;
            return Err(malformed("the request body is too large when it is unpacked"));
        }
        Err(Unpackable::Broken) => return Err(malformed("the compressed request body cannot be unpacked")),
    };
    Ok(Collected { packed: Some(body), ..json(inbound, plain, policy)? })
}

/// Reads a JSON body through, and notes the changes that metering needs.
///
/// # Errors
/// A [`Refusal`]: the body is not sound JSON, has a deciding field twice, or asks for more than the key allows.
pub fn json(inbound: &Inbound, body: Bytes, policy: &Policy) -> Result<Collected, Refusal> {
    let plan = &inbound.plan.request;
    let mut facts = Facts { model: super::head_model(inbound)?, input_bytes: body.len() as u64, ..Facts::default() };
    let mut read = Collected {
        facts: Facts::default(),
        plan: inbound.plan.clone(),
        plain: body,
        packed: None,
        caps: Caps::default(),
        edits: Edits::default(),
    };
    let body = &read.plain;
    if body.is_empty() {
        super::check_model(&inbound.plan, facts.model.as_deref(), policy)?;
        facts.asked.answers = plan.answers;
        read.facts = facts;
        return Ok(read);
    }
    let scan = json::scan_named(body, &plan.paths, &plan.names).map_err(|error| malformed(error.to_string()))?;
    let Some(Kind::Object { .. }) = scan.top else {
        return Err(malformed("the request body must be a JSON object"));
    };
    if let Some(hit) = first(plan, &scan, Role::Model) {
        let model = json::text_of(body, hit).ok_or_else(|| malformed("the model's name must be a text"))?;
        facts.model = Some(bare_model(&model).into());
    }
    super::check_model(&inbound.plan, facts.model.as_deref(), policy)?;
    facts.also_models = also_models(plan, &scan, body, policy)?;
    facts.stream = first(plan, &scan, Role::Stream).is_some_and(|hit| hit.kind == Kind::True);
    facts.asked = Asked::read(plan, &scan, body);
    let (caps, wish) = Caps::read(plan, &scan, body, policy)?;
    facts.output_cap = wish.cap;
    facts.says_cap = wish.said;
    facts.asked.answers = wish.answers;
    if let Some(id) = wish.unclear {
        facts.asked.unclear = Some(cap::not_a_number(plan, id).message.into());
    }
    read.caps = caps;
    if plan.include_usage && facts.stream {
        facts.strip_usage = ask_for_usage(plan, &scan, &mut read.edits);
    }
    if plan.counts_characters {
        let text = first(plan, &scan, Role::Spoken).and_then(|hit| json::text_of(body, hit));
        facts.characters = text.map(|text| text.chars().count() as u64);
    }
    facts.references = scan.references;
    read.facts = facts;
    Ok(read)
}

pub(super) fn all<'s>(plan: &'s RequestPlan, scan: &'s Scan, role: Role) -> impl Iterator<Item = &'s Hit> {
    scan.hits.iter().filter(move |hit| plan.role(hit.id) == Some(role))
}

pub(super) fn first<'s>(plan: &'s RequestPlan, scan: &'s Scan, role: Role) -> Option<&'s Hit> {
    all(plan, scan, role).next()
}

/// Checks every further model that the body names: fall-backs, the calls of a batch, the models of tools.
fn also_models(plan: &RequestPlan, scan: &Scan, body: &[u8], policy: &Policy) -> Result<Vec<Box<str>>, Refusal> {
    let mut models = Vec::new();
    for hit in all(plan, scan, Role::AlsoModel).filter(|hit| hit.kind != Kind::Null) {
        let model = json::text_of(body, hit).ok_or_else(|| malformed("every model's name must be a text"))?;
        policy::decide_model(policy, Some(bare_model(&model)))?;
        models.push(bare_model(&model).into());
    }
    Ok(models)
}

/// Makes sure that a stream reports its use. Returns whether the client had not asked for it.
fn ask_for_usage(plan: &RequestPlan, scan: &Scan, edits: &mut Edits) -> bool {
    if let Some(flag) = first(plan, scan, Role::IncludeUsage) {
        if flag.kind == Kind::True {
            return false;
        }
        edits.replace(flag, "true");
        return true;
    }
    match first(plan, scan, Role::StreamOptions) {
        Some(options) if matches!(options.kind, Kind::Object { .. }) => edits.add(options, "\"include_usage\":true"),
        Some(options) => edits.replace(options, "{\"include_usage\":true}"),
        None => {
            if let Some(top) = first(plan, scan, Role::Top) {
                edits.add(top, "\"stream_options\":{\"include_usage\":true}");
            }
        }
    }
    true
}

/// Looks into one message of a WebSocket's client. Messages are not changed: one that asks for more than the key
/// allows is refused. Returns what it names as objects.
///
/// # Errors
/// A [`Refusal`]: the message is not sound JSON, names a model the key may not use, or asks for too much output.
pub fn message(plan: &OperationPlan, message: &[u8], policy: &Policy) -> Result<Vec<Box<str>>, Refusal> {
    let plan = &plan.request;
    let scan = json::scan_named(message, &plan.paths, &plan.names).map_err(|error| malformed(error.to_string()))?;
    if let Some(hit) = first(plan, &scan, Role::Model).filter(|hit| hit.kind != Kind::Null) {
        let model = json::text_of(message, hit).ok_or_else(|| malformed("the model's name must be a text"))?;
        policy::decide_model(policy, Some(bare_model(&model)))?;
    }
    also_models(plan, &scan, message, policy)?;
    if let Some(limit) = policy.max_output_tokens {
        for hit in all(plan, &scan, Role::Cap).filter(|hit| hit.kind != Kind::Null) {
            let asked = whole_number(message.get(hit.span.clone()).unwrap_or_default());
            if asked.is_none_or(|asked| asked > limit) {
                return Err(malformed(format!("a message asks for more than this key's {limit} output tokens")));
            }
        }
    }
    Ok(scan.references)
}
