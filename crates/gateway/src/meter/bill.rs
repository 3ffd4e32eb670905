//! What an answer cost, and what is written down of its use.

use super::Reading;
use crate::tables::OperationPlan;
use keyward_domain::{
    Millis, Money,
    price::PriceBook,
    usage::{Buckets, CostBasis, Usage},
};

/// What one call is to be charged with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bill {
    /// What was used, by whichever models.
    pub usage: Usage,
    /// What it cost.
    pub cost: Money,
    /// How the cost came about.
    pub basis: CostBasis,
}

impl Reading {
    /// What the call cost, and how that came about.
    #[must_use]
    pub fn bill(&self, prices: &PriceBook, plan: &OperationPlan, asked: &str, at: Millis) -> Bill {
        let mut usage = self.usage.clone();
        let (cost, basis) = self.cost(prices, plan, asked, at, &mut usage);
        if let Some(aside) = &self.aside {
            usage.buckets = usage.buckets.plus(&aside.buckets);
            usage.units = usage.units.plus(&aside.units);
        }
        Bill { usage, cost, basis }
    }

    fn cost(
        &self,
        prices: &PriceBook,
        plan: &OperationPlan,
        asked: &str,
        at: Millis,
        usage: &mut Usage,
    ) -> (Money, CostBasis) {
        let provider = &*plan.provider.id;
        if plan.operation.free || (self.refused && usage.provider_cost.is_none()) {
            return (Money::ZERO, CostBasis::Free);
        }
        if let Some(stated) = usage.provider_cost {
            return (stated, CostBasis::Provider);
        }
        let Some(price) = prices.of_call(provider, asked, usage.model.as_deref(), at) else {
            return (Money::ZERO, CostBasis::Unpriced);
        };
        let by_characters = usage.units.characters > 0 && price.fees.million_characters.is_some();
        let complete = self.complete || (self.spoken && by_characters);
        if self.spoken && by_characters {
            // The text is all that is billed: the tokens only stood in for a report.
            usage.buckets = Buckets::default();
        }
        let mut cost = price.cost(usage, at);
        if let Some(tier) = &self.presumed_tier {
            let presumed = Usage { tier: Some(tier.clone()), ..usage.clone() };
            let dearer = price.cost(&presumed, at);
            if dearer > cost || price.lacks(&presumed, &[]) {
                (*usage, cost) = (presumed, dearer.max(cost));
            }
        }
        let mut lacks = self.pending || (!complete && !price.by_tokens() && !by_characters);
        if let Some(aside) = &self.aside {
            let of_aside = prices.of_call(provider, "", aside.model.as_deref(), at);
            cost = cost.saturating_add(of_aside.map_or(Money::ZERO, |price| price.cost(aside, at)));
            lacks |= of_aside.is_none_or(|price| price.lacks(aside, &[]));
            // Pictures whose tokens were reported are paid for by these.
            let units = keyward_domain::usage::Units { images: 0, ..usage.units };
            lacks |= price.lacks(&Usage { units, ..usage.clone() }, plan.answer.apart());
        } else {
            lacks |= price.lacks(usage, plan.answer.apart());
        }
        match (lacks, complete) {
            (true, _) => (cost, CostBasis::Incomplete),
            (false, false) => (cost, CostBasis::Estimated),
            (false, true) => (cost, CostBasis::Priced),
        }
    }
}
