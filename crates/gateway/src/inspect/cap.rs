//! The output cap: what the client asked for, what the policy makes of it, and how it is written into the body once it
//! is known what a budget can pay.

use super::{
    Edits,
    json::{Hit, Kind, Scan},
    malformed,
    plan::{RequestPlan, Role},
};
use crate::{inspect::body::all, tables::OperationPlan};
use keyward_domain::{
    policy::Policy,
    refusal::{Reason, Refusal},
};

/// A body's caps, open to be changed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Caps {
    /// The caps that are there, each with what it says, as far as it can be read, and whether it is written so that every
    /// parser reads the same from it.
    present: Vec<(Hit, Option<u64>, bool)>,
    /// Where one is put that is not there: the innermost object on its way, and how many names lead there.
    place: Option<(Hit, usize)>,
    answers: u64,
}

/// What request and policy say about the output.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Wish {
    /// The number of answers.
    pub(super) answers: u64,
    /// The most output tokens over all of them.
    pub(super) cap: Option<u64>,
    /// Whether the cap is somebody's wish, and not only a limit.
    pub(super) said: bool,
    /// The field whose number of answers can be read in two ways.
    pub(super) unclear: Option<u16>,
}

impl Caps {
    /// Reads a body's caps and number of answers.
    ///
    /// # Errors
    /// A [`Refusal`] when the policy limits the output and the number of answers cannot be read or is above the limit.
    pub(super) fn read(plan: &RequestPlan, scan: &Scan, body: &[u8], policy: &Policy) -> Result<(Self, Wish), Refusal> {
        let limit = policy.max_output_tokens.filter(|_| !plan.cap.is_empty());
        let count = |hit: &Hit| whole_number(body.get(hit.span.clone()).unwrap_or_default());
        let multipliers = || all(plan, scan, Role::Multiplier).filter(|hit| hit.kind != Kind::Null);
        // What cannot be read as a count here may be one to a provider that is more generous: `" 5"`, `true`.
        let unclear = multipliers().find(|hit| count(hit).is_none()).map(|hit| hit.id);
        if let Some(id) = unclear.filter(|_| limit.is_some()) {
            return Err(not_a_number(plan, id));
        }
        // `n` and `best_of` name the same answers: the larger one is what is generated.
        let answers = multipliers().filter_map(count).max().unwrap_or(plan.answers).max(1);
        if let Some(limit) = limit.filter(|limit| answers > *limit) {
            return Err(Refusal::new(
                Reason::MalformedRequest,
                format!(
                    "the call asks for {answers} answers, and this key's calls may have {limit} output tokens in all"
                ),
            ));
        }
        if plan.cap.is_empty() {
            return Ok((Self::default(), Wish { answers, cap: None, said: false, unclear }));
        }
        let present: Vec<_> = all(plan, scan, Role::Cap)
            .filter(|hit| hit.kind != Kind::Null)
            .map(|hit| {
                let readable = hit.kind == Kind::Number || hit.kind == Kind::String;
                let text = body.get(hit.span.clone()).unwrap_or_default();
                let plain = hit.kind == Kind::Number && text.iter().all(u8::is_ascii_digit);
                (hit.clone(), if readable { count(hit) } else { None }, plain)
            })
            .collect();
        let asked = present
            .iter()
            .map(|(_, asked, _)| asked.filter(|asked| *asked > 0))
            .try_fold(0, |most: u64, asked| asked.map(|asked| most.max(asked)));
        let total = |each: u64| each.max(1).saturating_mul(answers);
        let limit = limit.map(|limit| total(limit / answers));
        let wish = if present.is_empty() {
            policy.default_output_tokens.map(|default| total(default / answers))
        } else {
            // One that cannot be read, or is nought, could mean "no limit" to somebody.
            asked.map(total)
        };
        let cap = wish.map(|wish| limit.unwrap_or(u64::MAX).min(wish)).or(limit);
        let place = if present.is_empty() { place(plan, scan) } else { None };
        Ok((Self { present, place, answers }, Wish { answers, cap, said: wish.is_some(), unclear }))
    }

    /// The changes that make this the most output over all answers.
    pub(super) fn set(self, plan: &OperationPlan, cap: u64) -> Edits {
        let mut edits = Edits::default();
        let each = (cap / self.answers.max(1)).max(1);
        for (hit, asked, plain) in &self.present {
            match asked {
                Some(asked) if *plain && (1..=each).contains(asked) => {}
                // `5.0`, `"5"`: a provider that does not read a number there would know of no cap.
                Some(asked) if (1..=each).contains(asked) => edits.replace(hit, asked.to_string()),
                // As near to nothing as every parser understands.
                Some(0) => edits.replace(hit, "1"),
                _ => edits.replace(hit, each.to_string()),
            }
        }
        if let Some((hit, depth)) = &self.place {
            put(&plan.request, hit, *depth, each, &mut edits);
        }
        edits
    }
}

pub(super) fn not_a_number(plan: &RequestPlan, id: u16) -> Refusal {
    malformed(format!("the field '{}' must be a whole number that is written as one", plan.field(id)))
}

/// Where the preferred cap belongs: its own place when that holds `null`, else the deepest object on its way.
fn place(plan: &RequestPlan, scan: &Scan) -> Option<(Hit, usize)> {
    let first_cap = plan.roles.iter().position(|role| *role == Role::Cap);
    if let Some(own) = all(plan, scan, Role::Cap).find(|hit| first_cap == Some(usize::from(hit.id))) {
        return Some((own.clone(), plan.cap.len()));
    }
    (0..plan.cap.len()).rev().find_map(|depth| {
        let role = if depth == 0 { Role::Top } else { Role::CapParent(depth) };
        all(plan, scan, role).next().map(|hit| (hit.clone(), depth))
    })
}

/// Writes the cap at the end of so many of its names.
fn put(plan: &RequestPlan, hit: &Hit, depth: usize, cap: u64, edits: &mut Edits) {
    let names = plan.cap.get(depth..).unwrap_or_default();
    if names.is_empty() {
        edits.replace(hit, cap.to_string());
        return;
    }
    let inner = field(names, &cap.to_string());
    if matches!(hit.kind, Kind::Object { .. }) {
        edits.add(hit, &inner);
    } else {
        // `"generationConfig": null` or nonsense: replaced by an object that holds the cap.
        edits.replace(hit, format!("{{{inner}}}"));
    }
}

/// `"a":{"b":value}` for the names a, b.
fn field(names: &[Box<str>], value: &str) -> String {
    let opening: Vec<String> = names.iter().map(|name| format!("\"{name}\":")).collect();
    let closing = "}".repeat(names.len().saturating_sub(1));
    format!("{}{value}{closing}", opening.join("{"))
}

/// A count as clients write them: `100`, `"100"`, `1e3`, `100.0`. `None` when it is not a whole number from 0 up.
pub(super) fn whole_number(text: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(text).ok()?.trim_matches('"');
    if let Ok(plain) = text.parse::<u64>() {
        return Some(plain);
    }
    if text.starts_with('-') {
        return None;
    }
    crate::tap::number::thousandths(text).map(|value| value.div_ceil(1_000))
}
