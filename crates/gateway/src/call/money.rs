//! Setting money aside for a call, on every budget above its key: how much it can cost, what is there, and what that makes
//! of its output cap.

use crate::{
    admit::{self, Pass},
    clock,
    inspect::{self, Facts},
    near::Near,
    purse::bank::{Bank, Cost},
    relay,
    tables::{LiveGrant, OperationPlan},
    ward::Guard,
    worker::Worker,
};
use http::{HeaderMap, HeaderName, HeaderValue};
use keyward_domain::{
    Millis, Money,
    policy::WhenShort,
    price::{PriceBook, bound::Bound},
    refusal::Refusal,
};

const REMAINING: HeaderName = HeaderName::from_static("keyward-budget-remaining");
const OUTPUT_CAP: HeaderName = HeaderName::from_static("keyward-output-cap");

/// What the answer says about money.
#[derive(Default)]
pub(super) struct Notes {
    /// The key, when there are budgets above it, and when the call came to them.
    grant: Option<(Near<LiveGrant>, Millis)>,
    /// The output cap, when it is lower than what was asked for, or than what the model gives when nothing was.
    lowered: Option<u64>,
}

impl Notes {
    pub(super) fn write(&self, headers: &mut HeaderMap) {
        let Some((grant, at)) = &self.grant else { return };
        let remaining = Bank::remaining(&grant.purses, *at);
        if let Some(value) = remaining.and_then(|money| HeaderValue::try_from(money.to_string()).ok()) {
            headers.insert(REMAINING, value);
        }
        if let Some(cap) = self.lowered {
            headers.insert(OUTPUT_CAP, HeaderValue::from(cap));
        }
    }
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
    let grant = pass.grant.clone();
    let now = clock::now();
    let mut notes = Notes { grant: None, lowered: None };
    if !plan.operation.free {
        let bound = inspect::bound(facts, plan, prices, now)?;
        let clamp = grant.grant.policy.when_short.unwrap_or_default() == WhenShort::Clamp;
        let wanted = bound.cap.unwrap_or(0);
        let mut line = Line { bound, cap: wanted, clamp, said: facts.says_cap };
        if !line.said
            && let Some(left) = Bank::left(&grant.purses, now)
        {
            line.cap = bound.unasked(left).unwrap_or(wanted);
        }
        let holding = worker.shared.bank.hold(&grant.purses, &mut line, now);
        let held = guard.guard(holding).await.map_err(relay::ended)?;
        pass.money = Some(held.map_err(|short| admit::unpaid(&short, now))?);
        if bound.cap.is_some() {
            facts.output_cap = Some(line.cap);
            notes.lowered = (line.cap < wanted).then_some(line.cap);
        }
    }
    notes.grant = Some((grant, now));
    Ok(notes)
}
