//! From a collected JSON body to facts and edits.

use super::{
    Edits, Facts, RequestPlan, bare_model,
    json::{self, Hit, Kind, Scan},
    malformed,
    plan::Role,
};
use crate::{
    inbound::Inbound,
    tables::OperationPlan,
    unpack::{self, Packing, Unpackable},
};
use bytes::Bytes;
use http::HeaderMap;
use keyward_domain::{
    policy::{self, Policy},
    refusal::{Reason, Refusal},
};

/// A collected body that was looked into.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Collected {
    /// What it says.
    pub facts: Facts,
    /// What goes upstream.
    pub body: Bytes,
    /// The body was packed and had to be changed: it goes on unpacked, without a `content-encoding`.
    pub unpacked: bool,
}

/// Reads a collected JSON body through, also when it is packed; see [`json()`]. A packed body that needs no change goes
/// on as it is.
///
/// # Errors
/// A [`Refusal`] as [`json()`] has it, or when the body cannot be unpacked or is too large when it is.
pub fn collected(inbound: &Inbound, headers: &HeaderMap, body: Bytes, policy: &Policy) -> Result<Collected, Refusal> {
    let packing = unpack::packing(headers);
    if packing == Packing::None {
        let (facts, body) = json(inbound, body, policy)?;
        return Ok(Collected { facts, body, unpacked: false });
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
    let (facts, edited) = json(inbound, plain.clone(), policy)?;
    let unpacked = edited != plain;
    Ok(Collected { facts, body: if unpacked { edited } else { body }, unpacked })
}

/// Reads a JSON body through and makes the changes that the policy and the metering need. Bytes that need no change
/// come back as they are, without a copy.
///
/// # Errors
/// A [`Refusal`]: the body is not sound JSON, has a deciding field twice, or asks for more than the key allows.
pub fn json(inbound: &Inbound, body: Bytes, policy: &Policy) -> Result<(Facts, Bytes), Refusal> {
    let plan = &inbound.plan.request;
    let mut facts = Facts { model: super::head_model(inbound)?, input_bytes: body.len() as u64, ..Facts::default() };
    if body.is_empty() {
        super::check_model(&inbound.plan, facts.model.as_deref(), policy)?;
        return Ok((facts, body));
    }
    let scan = json::scan(&body, &plan.paths, &plan.references).map_err(|error| malformed(error.to_string()))?;
    let Some(Kind::Object { .. }) = scan.top else {
        return Err(malformed("the request body must be a JSON object"));
    };
    if let Some(hit) = first(plan, &scan, &Role::Model) {
        let model = json::text_of(&body, hit).ok_or_else(|| malformed("the model's name must be a text"))?;
        facts.model = Some(bare_model(&model).into());
    }
    super::check_model(&inbound.plan, facts.model.as_deref(), policy)?;
    also_models(plan, &scan, &body, policy)?;
    facts.stream = first(plan, &scan, &Role::Stream).is_some_and(|hit| hit.kind == Kind::True);
    let mut edits = Edits::default();
    facts.output_cap = output_cap(plan, &scan, &body, super::output_limit(policy), &mut edits)?;
    if plan.include_usage && facts.stream {
        facts.strip_usage = ask_for_usage(plan, &scan, &mut edits);
    }
    if plan.counts_characters {
        let text = first(plan, &scan, &Role::Spoken).and_then(|hit| json::text_of(&body, hit));
        facts.characters = text.map(|text| text.chars().count() as u64);
    }
    facts.references = scan.references;
    Ok((facts, edits.apply(body)))
}

fn all<'s>(plan: &'s RequestPlan, scan: &'s Scan, role: &'s Role) -> impl Iterator<Item = &'s Hit> {
    scan.hits.iter().filter(move |hit| plan.role(hit.id) == Some(role))
}

fn first<'s>(plan: &'s RequestPlan, scan: &'s Scan, role: &'s Role) -> Option<&'s Hit> {
    all(plan, scan, role).next()
}

/// Checks every further model that the body names: fall-backs, the calls of a batch, the models of tools.
fn also_models(plan: &RequestPlan, scan: &Scan, body: &[u8], policy: &Policy) -> Result<(), Refusal> {
    for hit in all(plan, scan, &Role::AlsoModel).filter(|hit| hit.kind != Kind::Null) {
        let model = json::text_of(body, hit).ok_or_else(|| malformed("every model's name must be a text"))?;
        policy::decide_model(policy, Some(bare_model(&model)))?;
    }
    Ok(())
}

/// Keeps the output caps within the limit and adds one where there is a limit and no cap. Returns the most output the
/// call can give over all its answers.
fn output_cap(
    plan: &RequestPlan,
    scan: &Scan,
    body: &[u8],
    limit: Option<u64>,
    edits: &mut Edits,
) -> Result<Option<u64>, Refusal> {
    if plan.cap.is_empty() {
        return Ok(None);
    }
    let count = |hit: &Hit| whole_number(body.get(hit.span.clone()).unwrap_or_default());
    // What cannot be read as a count here may be one to a provider that is more generous: `" 5"`, `true`.
    let unread = |hit: &&Hit| hit.kind != Kind::Null && count(hit).is_none();
    if limit.is_some() && all(plan, scan, &Role::Multiplier).any(|hit| unread(&hit)) {
        return Err(malformed("the number of answers must be a whole number"));
    }
    // `n` and `best_of` name the same answers: the larger one is what is generated.
    let answers = all(plan, scan, &Role::Multiplier).filter_map(count).max().unwrap_or(1).max(1);
    if let Some(limit) = limit.filter(|limit| answers > *limit) {
        return Err(Refusal::new(
            Reason::MalformedRequest,
            format!("the call asks for {answers} answers, and this key's calls may have {limit} output tokens in all"),
        ));
    }
    let each = limit.map(|limit| limit / answers);
    let mut cap = None;
    let mut present = false;
    for hit in all(plan, scan, &Role::Cap).filter(|hit| hit.kind != Kind::Null) {
        present = true;
        let asked = if hit.kind == Kind::Number || hit.kind == Kind::String { count(hit) } else { None };
        // What cannot be read as a count (negative, not a number) could mean "no limit" to somebody.
        let granted = match (asked, each) {
            (Some(asked), Some(each)) if asked <= each => asked,
            (_, Some(each)) => {
                edits.replace(hit, each.to_string());
                each
            }
            (Some(asked), None) => asked,
            (None, None) => continue,
        };
        cap = cap.max(Some(granted));
    }
    if let Some(each) = each.filter(|_| !present) {
        add_cap(plan, scan, each, edits);
        cap = Some(each);
    }
    Ok(cap.map(|cap| cap.saturating_mul(answers)))
}

/// Writes the preferred cap into the deepest object on its way that is there.
fn add_cap(plan: &RequestPlan, scan: &Scan, cap: u64, edits: &mut Edits) {
    let own_null = all(plan, scan, &Role::Cap).find(|hit| {
        let first_cap = plan.roles.iter().position(|role| *role == Role::Cap);
        first_cap == Some(usize::from(hit.id))
    });
    if let Some(hit) = own_null {
        edits.replace(hit, cap.to_string());
        return;
    }
    for depth in (0..plan.cap.len()).rev() {
        let role = if depth == 0 { Role::Top } else { Role::CapParent(depth) };
        let names = plan.cap.get(depth..).unwrap_or_default();
        match first(plan, scan, &role) {
            Some(hit) if matches!(hit.kind, Kind::Object { .. }) => {
                edits.add(hit, &field(names, &cap.to_string()));
                return;
            }
            // `"generationConfig": null` or nonsense: replaced by an object that holds the cap.
            Some(hit) => {
                let inner = field(names, &cap.to_string());
                edits.replace(hit, format!("{{{inner}}}"));
                return;
            }
            None => {}
        }
    }
}

/// `"a":{"b":value}` for the names a, b.
fn field(names: &[Box<str>], value: &str) -> String {
    let opening: Vec<String> = names.iter().map(|name| format!("\"{name}\":")).collect();
    let closing = "}".repeat(names.len().saturating_sub(1));
    format!("{}{value}{closing}", opening.join("{"))
}

/// Makes sure that a stream reports its use. Returns whether the client had not asked for it.
fn ask_for_usage(plan: &RequestPlan, scan: &Scan, edits: &mut Edits) -> bool {
    if let Some(flag) = first(plan, scan, &Role::IncludeUsage) {
        if flag.kind == Kind::True {
            return false;
        }
        edits.replace(flag, "true");
        return true;
    }
    match first(plan, scan, &Role::StreamOptions) {
        Some(options) if matches!(options.kind, Kind::Object { .. }) => edits.add(options, "\"include_usage\":true"),
        Some(options) => edits.replace(options, "{\"include_usage\":true}"),
        None => {
            if let Some(top) = first(plan, scan, &Role::Top) {
                edits.add(top, "\"stream_options\":{\"include_usage\":true}");
            }
        }
    }
    true
}

/// A count as clients write them: `100`, `"100"`, `1e3`, `100.0`. `None` when it is not a whole number from 0 up.
fn whole_number(text: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(text).ok()?.trim_matches('"');
    if let Ok(plain) = text.parse::<u64>() {
        return Some(plain);
    }
    if text.starts_with('-') {
        return None;
    }
    crate::tap::number::thousandths(text).map(|value| value.div_ceil(1_000))
}

/// Looks into one message of a WebSocket's client. Messages are not changed: one that asks for more than the key
/// allows is refused. Returns what it names as objects.
///
/// # Errors
/// A [`Refusal`]: the message is not sound JSON, names a model the key may not use, or asks for too much output.
pub fn message(plan: &OperationPlan, message: &[u8], policy: &Policy) -> Result<Vec<Box<str>>, Refusal> {
    let plan = &plan.request;
    let scan = json::scan(message, &plan.paths, &plan.references).map_err(|error| malformed(error.to_string()))?;
    if let Some(hit) = first(plan, &scan, &Role::Model).filter(|hit| hit.kind != Kind::Null) {
        let model = json::text_of(message, hit).ok_or_else(|| malformed("the model's name must be a text"))?;
        policy::decide_model(policy, Some(bare_model(&model)))?;
    }
    also_models(plan, &scan, message, policy)?;
    if let Some(limit) = super::output_limit(policy) {
        for hit in all(plan, &scan, &Role::Cap).filter(|hit| hit.kind != Kind::Null) {
            let asked = whole_number(message.get(hit.span.clone()).unwrap_or_default());
            if asked.is_none_or(|asked| asked > limit) {
                return Err(malformed(format!("a message asks for more than this key's {limit} output tokens")));
            }
        }
    }
    Ok(scan.references)
}
