//! The most that a call can cost, from what its request says and its operation's description.

use super::{Asked, AskedTool, Facts, malformed};
use crate::tables::OperationPlan;
use keyward_domain::{
    Millis,
    price::{
        Price, PriceBook,
        bound::{Ask, Bound, Count, Output, Run, Tiers, Tool, Unbounded},
    },
    provider::{BodyKind, Counter, ToolUse},
    refusal::{Reason, Refusal},
};

/// The bound of a call: what must be held for it so that no bill is larger.
///
/// # Errors
/// A [`Refusal`]: the price has no bound, with what to do about it, or the request can be read in two ways.
pub fn bound(facts: &Facts, plan: &OperationPlan, prices: &PriceBook, now: Millis) -> Result<Bound, Refusal> {
    let operation = &plan.operation;
    if operation.free {
        return Ok(Bound::free());
    }
    let asked = &facts.asked;
    if let Some(unclear) = &asked.unclear {
        return Err(malformed(unclear.to_string()));
    }
    let unbounded = |why: Unbounded| Refusal::new(Reason::Unpriced, format!("under a budget, {why}"));
    if operation.websocket {
        return Err(unbounded(Unbounded::Session(operation.name.clone())));
    }
    if operation.usage.is_none() {
        return Err(unbounded(Unbounded::Unmetered(operation.name.clone())));
    }
    let priced = |model: &str| -> Result<&Price, Unbounded> {
        prices.find(&plan.provider.id, model, now).ok_or_else(|| Unbounded::NoPrice(shown(model)))
    };
    let models = facts.model.iter().chain(&facts.also_models).map(|model| priced(model));
    let models = models.collect::<Result<Vec<_>, _>>().map_err(unbounded)?;
    let ask = ask(facts, plan);
    let least = asked.thinking.saturating_add(u64::from(asked.thinking > 0));
    Bound::of(models, &ask, facts.output_cap, least).map_err(unbounded)
}

fn shown(model: &str) -> Box<str> {
    model.chars().filter(|character| !character.is_control()).take(80).collect::<String>().into()
}

fn ask<'a>(facts: &'a Facts, plan: &'a OperationPlan) -> Ask<'a> {
    let operation = &plan.operation;
    let asked = &facts.asked;
    let answers = asked.answers.max(1);
    let counts = |counter: Counter| plan.answer.counts(counter);
    let references = facts.references.len() as u64;
    // Where answers are pictures there are as many of them; where not, one takes at least a byte of the request.
    let made = plan.request.tools.is_none() && counts(Counter::Images);
    let makes_pictures = made && !operation.multipliers.is_empty();
    let pictures = if makes_pictures { answers } else { facts.input_bytes };
    let untold = |there: bool| if there { Count::Untold } else { Count::None };
    let searches = match operation.bytes_per_search {
        Some(bytes) => Count::Most(facts.input_bytes.div_ceil(bytes.max(1)).saturating_add(1)),
        None => untold(operation.always_searches),
    };
    let tool = |tool: &'a AskedTool| Tool { name: &tool.name, run: run(tool.used), uses: tool.uses };
    Ask {
        bytes: facts.input_bytes,
        added: operation.added_input,
        unseen: asked.unseen.saturating_add(references).saturating_add(u64::from(operation.opaque)),
        apart: operation.output_cap.is_empty() && !operation.opaque && operation.request == BodyKind::Json,
        cache_writes: operation.cache_marks.is_empty() || asked.cached,
        tier: tiers(plan, asked),
        tools: asked.tools.iter().map(tool).collect(),
        provided_tools: asked.provided_tools,
        any_tools: asked.any_tools || operation.opaque,
        tool_calls: asked.tool_calls,
        turns: plan.request.tools.as_ref().and_then(|set| set.turns),
        output: Output {
            text: counts(Counter::Output) || counts(Counter::Reasoning),
            sound: counts(Counter::AudioOutput),
            pictures: counts(Counter::ImageOutput),
            capped: !operation.output_cap.is_empty() && !asked.overridden,
            reasoning_beside: operation.reasoning_beside_cap,
        },
        answers,
        predicted: asked.predicted,
        pictures: if made { pictures } else { 0 },
        makes_pictures,
        characters: match (&operation.characters, facts.characters) {
            (Some(_), Some(characters)) => Count::Most(characters),
            // Not a plain text: each character takes at least a byte.
            (Some(_), None) => Count::Most(facts.input_bytes),
            (None, _) => untold(counts(Counter::Characters)),
        },
        searches,
        seconds: untold(counts(Counter::Seconds)),
        pages: untold(counts(Counter::Pages)),
    }
}

const fn run(used: ToolUse) -> Run {
    match used {
        ToolUse::Searches => Run::Search,
        ToolUse::PreviewSearches => Run::PreviewSearch,
        ToolUse::FileSearches => Run::FileSearch,
        ToolUse::CodeRuns => Run::Code,
        ToolUse::Turns | ToolUse::Client | ToolUse::Provided => Run::Turn,
        ToolUse::Unpriced => Run::Unpriced,
    }
}

fn tiers<'a>(plan: &OperationPlan, asked: &'a Asked) -> Tiers<'a> {
    let Some(field) = &plan.operation.tier else { return Tiers::Any };
    let Some(tier) = &asked.tier else { return if field.absent.is_some() { Tiers::Base } else { Tiers::Any } };
    let fixed = field.fixed.iter().any(|known| **known == **tier);
    match (fixed, plan.answer.has_base_tier(tier)) {
        (true, true) => Tiers::Base,
        (true, false) => Tiers::Named(tier),
        // `auto` means the base price in an answer, and leaves the choice to the provider in a request.
        (false, true) => Tiers::Any,
        (false, false) => Tiers::Unheard(tier),
    }
}

#[cfg(test)]
mod tests;
