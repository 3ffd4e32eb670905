//! The dearest rates that a call can be billed by.

use super::{Ask, Tiers};
use crate::price::{LengthStep, PerMillion, Price, Rates};

/// The dearest rates of one price, in nano-USD per million tokens.
pub(super) struct Dearest {
    pub(super) input: PerMillion,
    pub(super) output: PerMillion,
}

impl Price {
    /// Over every time of the day, every prompt length that can be reached, and every tier that can be billed.
    pub(super) fn dearest(&self, ask: &Ask<'_>, input: u64, media: bool) -> Dearest {
        let mut dearest = Dearest { input: 0, output: 0 };
        let may = |tier: &str| match ask.tier {
            Tiers::Any | Tiers::Unheard(_) => true,
            Tiers::Base => false,
            // One without a price of its own may cost as much as any other.
            Tiers::Named(name) => name == tier || !self.has_tier(name),
        };
        for clock in std::iter::once(None).chain(self.clock.iter().map(Some)) {
            let by_clock = Layers::of(&self.rates).below(clock.map(|clock| &clock.rates));
            for step in reachable(&self.steps, input) {
                let by_step = by_clock.below(step.map(|step| &step.rates));
                dearest.heed(&by_step, ask, media);
                for tier in self.tiers.iter().filter(|tier| may(&tier.tier)) {
                    let by_tier = by_step.below(Some(&tier.rates));
                    for step in reachable(&tier.steps, input) {
                        dearest.heed(&by_tier.below(step.map(|step| &step.rates)), ask, media);
                    }
                }
            }
        }
        dearest
    }
}

impl Dearest {
    /// Raises these to what the rates can bill for the call.
    fn heed(&mut self, rates: &Layers<'_>, ask: &Ask<'_>, media: bool) {
        let mut input = |rate: Option<PerMillion>| self.input = self.input.max(rate.unwrap_or(0));
        input(rates.get(|rates| rates.input));
        input(rates.get(|rates| rates.cache_read));
        if ask.cache_writes {
            input(rates.get(|rates| rates.cache_write));
            input(rates.get(|rates| rates.cache_write_long));
        }
        if media {
            input(rates.get(|rates| rates.audio_input));
            input(rates.get(|rates| rates.image_input));
        }
        let plain = rates.get(|rates| rates.output).unwrap_or(0);
        let mut output = |rate: Option<PerMillion>| self.output = self.output.max(rate.unwrap_or(plain));
        if ask.output.text {
            output(None);
            output(rates.get(|rates| rates.reasoning));
        }
        if ask.output.sound {
            output(rates.get(|rates| rates.audio_output));
        }
        if ask.output.pictures {
            output(rates.get(|rates| rates.image_output));
        }
    }
}

/// Rates that lie over others: where one says nothing, the one below it counts.
///
/// HOT: put together for each call, so nothing is copied.
#[derive(Clone, Copy)]
struct Layers<'p> {
    /// The lowest first; what is not used is the lowest once more.
    rates: [&'p Rates; 5],
    used: usize,
}

impl<'p> Layers<'p> {
    const fn of(base: &'p Rates) -> Self {
        Self { rates: [base; 5], used: 1 }
    }

    /// These below others: base, hours, steps, tier, its steps make five.
    fn below(mut self, top: Option<&'p Rates>) -> Self {
        if let (Some(place), Some(top)) = (self.rates.get_mut(self.used), top) {
            *place = top;
            self.used += 1;
        }
        self
    }

    fn get(&self, rate: impl Fn(&Rates) -> Option<PerMillion>) -> Option<PerMillion> {
        self.rates.get(..self.used).unwrap_or_default().iter().rev().find_map(|rates| rate(rates))
    }
}

/// No step at all, and every step that a prompt of up to so many tokens can reach.
fn reachable(steps: &[LengthStep], input: u64) -> impl Iterator<Item = Option<&LengthStep>> {
    std::iter::once(None).chain(steps.iter().filter(move |step| input > step.above).map(Some))
}
