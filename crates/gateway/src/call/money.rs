//! Setting money aside for a call, on every budget above its key: how much it can cost, what is there, and what that makes
//! of its output cap.

use crate::{
    admit::{self, Pass},
    clock,
    inspect::{self, Facts},
    purse::bank::{Bank, Cost},
    relay,
    tables::OperationPlan,
    ward::Guard,
    worker::Worker,
};
use http::{HeaderMap, HeaderName, HeaderValue};
use keyward_domain::{
    Money,
    policy::WhenShort,
    price::{PriceBook, bound::Bound},
    refusal::Refusal,
};
use std::io::Write as _;

const REMAINING: HeaderName = HeaderName::from_static("keyward-budget-remaining");
const OUTPUT_CAP: HeaderName = HeaderName::from_static("keyward-output-cap");

/// What the answer says about money.
#[derive(Default)]
pub(super) struct Notes {
    /// What is left for further calls, when there are budgets above the key.
    remaining: Option<Money>,
    /// The output cap, when it is lower than what was asked for, or than what the model gives when nothing was.
    lowered: Option<u64>,
}

impl Notes {
    pub(super) fn write(&self, headers: &mut HeaderMap) {
        if let Some(value) = self.remaining.and_then(header) {
            headers.insert(REMAINING, value);
        }
        if let Some(cap) = self.lowered {
            headers.insert(OUTPUT_CAP, HeaderValue::from(cap));
        }
    }
}

/// An amount as a header's value. HOT: written where it takes no memory of its own first.
fn header(money: Money) -> Option<HeaderValue> {
    // The longest has a sign, ten digits, a point, and nine more.
    let mut text = [0; 24];
    let mut rest = &mut text[..];
    write!(rest, "{money}").ok()?;
    let unused = rest.len();
    let used = text.len().saturating_sub(unused);
    HeaderValue::from_bytes(text.get(..used)?).ok()
}

/// A call's price, as a line that ends at the cap.
struct Line {
    bound: Bound,
    cap: u64,
    /// Whether the cap may be lowered.
    clamp: bool,
    /// Whether the cap is somebody's wish.
    said: bool,
}

impl Cost for Line {
    fn amount(&self) -> Money {
        self.bound.hold(self.cap)
    }

    fn lower_to(&mut self, affordable: Money) -> bool {
        let bound = &self.bound;
        let pays = if self.said { bound.affordable(affordable) } else { bound.unasked_when_short(affordable) };
        let lower = pays.filter(|cap| self.clamp && *cap < self.cap);
        self.cap = lower.unwrap_or(self.cap);
        lower.is_some()
    }
}

/// Holds what a call may cost, and writes down what its output cap must be for that to be true.
///
/// # Errors
/// The refusal: it has no price, a budget cannot pay it, or nobody can say whether one can.
pub(super) async fn reserve(
    worker: &Worker,
    guard: &Guard,
    pass: &mut Pass,
    facts: &mut Facts,
    (plan, prices): (&OperationPlan, &PriceBook),
) -> Result<Notes, Refusal> {
    if pass.grant.purses.is_empty() {
        return Ok(Notes::default());
    }
    let now = clock::now();
    if plan.operation.free {
        return Ok(Notes { remaining: Bank::remaining(&pass.grant.purses, now), lowered: None });
    }
    let purses = &pass.grant.purses;
    let bound = inspect::bound(facts, plan, prices, now)?;
    let clamp = pass.policy().when_short.unwrap_or_default() == WhenShort::Clamp;
    let wanted = bound.cap.unwrap_or(0);
    let mut line = Line { bound, cap: wanted, clamp, said: facts.says_cap };
    if !line.said
        && let Some(left) = Bank::left(purses, now)
    {
        line.cap = bound.unasked(left).unwrap_or(wanted);
    }
    let bank = &worker.shared.bank;
    let hold = match bank.hold_at_once(purses, &line, now) {
        Some(hold) => hold,
        None => {
            // On the heap, so that calls that need not wait do not carry its room with them.
            let held = guard.guard(Box::pin(bank.hold(purses, &mut line, now))).await.map_err(relay::ended)?;
            held.map_err(|short| admit::unpaid(&short, now))?
        }
    };
    let mut notes = Notes { remaining: hold.remaining(now), lowered: None };
    pass.money = Some(hold);
    if bound.cap.is_some() {
        facts.output_cap = Some(line.cap);
        notes.lowered = (line.cap < wanted).then_some(line.cap);
    }
    Ok(notes)
}
