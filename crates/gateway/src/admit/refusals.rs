//! The words in which limits refuse a call: whose limit, how large it is, when there is room again.

use crate::{
    live::{Refused, Whose},
    purse::{Purse, bank::Short},
};
use jiff::Timestamp;
use keyward_domain::{
    Millis, Money,
    budget::Scope,
    refusal::{Reason, Refusal},
};

/// A window that begins anew within this time is worth a `retry-after`.
const SOON: u64 = 60_000;
/// When calls in flight will end is not known; a second is what SDKs would wait at least.
const A_MOMENT: u64 = 1_000;

/// Whose calls a limit counts, as the beginning of a sentence.
const fn who(whose: Whose) -> &'static str {
    match whose {
        Whose::Key | Whose::Scope(Scope::Key(_)) => "this key",
        Whose::Scope(Scope::Organisation) => "the organisation",
        Whose::Scope(Scope::Project(_)) => "this project",
        Whose::Scope(Scope::Environment(..)) => "this environment",
    }
}

pub(super) fn too_many(refused: Refused) -> Refusal {
    let Refused { whose, limit, .. } = refused;
    let message = format!("{} may have {limit} calls open at once: wait for one to end", who(whose));
    Refusal::new(Reason::ConcurrencyLimited, message).retry_after_ms(A_MOMENT)
}

pub(super) fn too_fast(refused: Refused) -> Refusal {
    let Refused { whose, limit, wait } = refused;
    let wait = wait.unwrap_or(A_MOMENT);
    let seconds = wait.div_ceil(1_000);
    let message = format!("{} may make {limit} requests per minute: the next is possible in {seconds} s", who(whose));
    Refusal::new(Reason::RateLimited, message).retry_after_ms(wait)
}

pub(super) fn too_many_tokens(refused: Refused, estimate: u64) -> Refusal {
    let Refused { whose, limit, wait } = refused;
    let who = who(whose);
    match wait {
        Some(wait) => {
            let seconds = wait.div_ceil(1_000);
            let message =
                format!("{who} may use {limit} tokens per minute: {estimate} more are possible in {seconds} s");
            Refusal::new(Reason::TokensLimited, message).retry_after_ms(wait)
        }
        None => Refusal::new(
            Reason::TokensLimited,
            format!(
                "this call may use {estimate} tokens, and {who} may use {limit} per minute: shorten it or lower its output cap"
            ),
        ),
    }
}

/// The refusal of a call for which no money could be set aside.
pub(crate) fn unpaid(short: &Short, now: Millis) -> Refusal {
    match short {
        Short::Unavailable => Refusal::new(
            Reason::BudgetUnavailable,
            "the money for this call cannot be set aside at the moment, because the database does not answer or has no room: try again",
        )
        .retry_after_ms(A_MOMENT),
        Short::Outside(purse) => Refusal::new(
            Reason::BudgetExhausted,
            format!("{} is not for now: its owner must change or remove it", budget(purse)),
        ),
        Short::Money { purse, outlook, amount } => {
            let held = Money::from_nano(outlook.held.max(0));
            let used = Money::from_nano(outlook.used());
            // What is held comes back, all but what the calls really cost.
            let at_once = outlook.held > 0 && outlook.spendable.saturating_add(outlook.held) >= amount.nano();
            let terms = purse.terms();
            let (limit, window) = (terms.limit, &terms.window);
            let resets = window.resets_at(now);
            let why = match resets {
                _ if at_once => "calls in flight hold what is left: try again when they have ended".to_owned(),
                _ if limit == Money::ZERO => {
                    "nothing may be spent there: `keyward budget list` and `keyward doctor` tell why".to_owned()
                }
                None if window.rolling().is_some() => "money comes back as what was spent leaves the span".to_owned(),
                Some(at) => format!("it starts anew at {}", moment(at)),
                None => "it does not start anew: its owner must raise it".to_owned(),
            };
            let message = format!(
                "{} cannot pay this call, which may cost {amount} USD: {used} USD are used and {held} USD held; {why}",
                budget(purse),
            );
            let refusal = Refusal::new(Reason::BudgetExhausted, message);
            let wait = resets.and_then(|at| u64::try_from(at.saturating_sub(now)).ok()).filter(|wait| *wait <= SOON);
            match wait {
                _ if at_once => refusal.retry_after_ms(A_MOMENT),
                Some(wait) => refusal.retry_after_ms(wait.max(1)),
                None => refusal,
            }
        }
    }
}

/// The refusal in whose words a stream is cut that has cost what was held for it.
pub(crate) fn overspent(held: Money) -> Refusal {
    Refusal::new(
        Reason::BudgetExhausted,
        format!(
            "this answer has cost the {held} USD that were set aside for it, so it was cut: the provider did not keep to the output cap"
        ),
    )
}

/// A budget in words: `this key's budget of 5 USD a month`.
fn budget(purse: &Purse) -> String {
    let whose = match purse.scope() {
        Scope::Key(_) => "this key's",
        Scope::Environment(..) => "this environment's",
        Scope::Project(_) => "this project's",
        Scope::Organisation => "the organisation's",
    };
    let terms = purse.terms();
    format!("{whose} budget of {} USD {}", terms.limit, terms.window.words())
}

fn moment(at: Millis) -> String {
    Timestamp::from_millisecond(at).map_or_else(|_| at.to_string(), |at| at.to_string())
}
