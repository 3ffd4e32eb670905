//! Prices and what a call costs. Every dimension a provider bills by is a field; nothing is a float.

pub mod bound;

use crate::{
    Millis, Money,
    provider::Counter,
    usage::{Units, Usage},
};
use rustc_hash::FxHashMap;
use serde::{Deserialize, Serialize};

/// Nano-USD per million tokens. Times a token count this gives femto-USD, so no precision is lost before the sum.
pub type PerMillion = i64;

/// Rates for the token buckets. A missing rate falls back to its neighbour: plain input or output.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rates {
    /// Uncached text input.
    pub input: Option<PerMillion>,
    /// Input read from a cache.
    pub cache_read: Option<PerMillion>,
    /// Input written to a cache, short lifetime.
    pub cache_write: Option<PerMillion>,
    /// Input written to a cache, long lifetime.
    pub cache_write_long: Option<PerMillion>,
    /// Text output.
    pub output: Option<PerMillion>,
    /// Reasoning output.
    pub reasoning: Option<PerMillion>,
    /// Audio input.
    pub audio_input: Option<PerMillion>,
    /// Audio output.
    pub audio_output: Option<PerMillion>,
    /// Image input.
    pub image_input: Option<PerMillion>,
    /// Image output.
    pub image_output: Option<PerMillion>,
}

/// Rates that hold from a prompt length on, for the whole call.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LengthStep {
    /// The step applies when all input together is more than this many tokens.
    pub above: u64,
    /// Rates that replace the base rates; fields left out keep the base.
    pub rates: Rates,
}

/// Rates for a service tier, batch included.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TierRates {
    /// The tier as the provider names it in answers: `batch`, `flex`, `priority`, `fast`…
    pub tier: Box<str>,
    /// Rates that replace the base rates; fields left out keep the base.
    pub rates: Rates,
    /// Prompt-length steps within the tier; they replace the tier's own rates.
    #[serde(default)]
    pub steps: Vec<LengthStep>,
}

/// Rates for times of the day, in UTC.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClockRates {
    /// Minutes after midnight UTC, first inside and first outside, per window.
    pub windows: Vec<(u16, u16)>,
    /// Weekdays on which the windows apply, Monday is 0; empty means every day.
    #[serde(default)]
    pub days: Vec<u8>,
    /// Rates that replace the base rates.
    pub rates: Rates,
}

/// Fees for what is not a token. All in nano-USD.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Fees {
    /// Per call.
    pub request: Option<i64>,
    /// Per web search or search unit.
    pub search: Option<i64>,
    /// Per second of audio or compute.
    pub second: Option<i64>,
    /// Per million characters.
    pub million_characters: Option<i64>,
    /// Per image made.
    pub image: Option<i64>,
    /// Per page read.
    pub page: Option<i64>,
    /// Per call that searched the web, however often.
    pub searching: Option<i64>,
    /// Per web search by the older kind of tool; as any search when left out.
    pub preview_search: Option<i64>,
    /// Per search in the customer's own files.
    pub file_search: Option<i64>,
    /// Per run of code in the provider's sandbox.
    pub code_run: Option<i64>,
}

/// What tokens cost where a call was computed somewhere else than usual.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RegionRate {
    /// The region as the provider names it in answers.
    pub region: Box<str>,
    /// Thousandths of the price of tokens: 1100 is a tenth more.
    pub permille: u32,
}

/// The most that one call can use of what is billed besides tokens, where the provider's documentation or the operator
/// says so and the request does not. What has a fee and no bound cannot be held for, and is refused under a budget.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Most {
    /// Web searches or search units.
    pub searches: Option<u64>,
    /// Searches in the customer's own files.
    pub file_searches: Option<u64>,
    /// Runs of code in the provider's sandbox.
    pub code_runs: Option<u64>,
    /// Seconds of sound or compute.
    pub seconds: Option<u64>,
    /// Pages read.
    pub pages: Option<u64>,
    /// Characters spoken.
    pub characters: Option<u64>,
    /// How often the model reads its input while the provider runs tools for it.
    pub turns: Option<u64>,
}

/// The price of one model at one provider.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Price {
    /// The provider's id in the catalogue. A file that names its provider once may leave it out.
    #[serde(default)]
    pub provider: Box<str>,
    /// The model's name as clients write it.
    pub model: Box<str>,
    /// Other names with the same price.
    #[serde(default)]
    pub aliases: Vec<Box<str>>,
    /// Base rates.
    #[serde(default)]
    pub rates: Rates,
    /// Prompt-length steps, any order.
    #[serde(default)]
    pub steps: Vec<LengthStep>,
    /// Service tiers.
    #[serde(default)]
    pub tiers: Vec<TierRates>,
    /// Times of the day.
    #[serde(default)]
    pub clock: Vec<ClockRates>,
    /// Fees. Those left out are the file's own, if it has them.
    #[serde(default)]
    pub fees: Fees,
    /// Regions with another price of tokens. None: the file's own, if it has them.
    #[serde(default)]
    pub regions: Vec<RegionRate>,
    /// The context window in tokens, when known.
    #[serde(default)]
    pub context: Option<u64>,
    /// The most output the model gives, in tokens, when known.
    #[serde(default)]
    pub max_output: Option<u64>,
    /// The most that one call can use of what no request bounds.
    #[serde(default)]
    pub most: Most,
    /// Where the figure comes from.
    #[serde(default)]
    pub source: Box<str>,
    /// The day it was read, `YYYY-MM-DD`.
    #[serde(default)]
    pub as_of: Box<str>,
    /// First moment at which the price holds. Files may write a day (`"2026-11-22"`), which begins at midnight UTC.
    #[serde(default, deserialize_with = "moment")]
    pub from: Option<Millis>,
    /// First moment at which it no longer holds. Files may write a day.
    #[serde(default, deserialize_with = "moment")]
    pub until: Option<Millis>,
}

/// Reads milliseconds or a day.
fn moment<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<Millis>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Moment {
        Millis(Millis),
        Day(Box<str>),
    }
    match Option::deserialize(deserializer)? {
        None => Ok(None),
        Some(Moment::Millis(at)) => Ok(Some(at)),
        Some(Moment::Day(day)) => day
            .parse::<jiff::civil::Date>()
            .and_then(|date| date.to_zoned(jiff::tz::TimeZone::UTC))
            .map(|start| Some(start.timestamp().as_millisecond()))
            .map_err(|_| serde::de::Error::custom("not a day: write it like 2026-11-21")),
    }
}

/// Where prices stand, by provider, and by model in lower case.
///
/// HOT: looked into twice for each call. What stands here the operator wrote, and callers only look, so a fast hash that
/// can be guessed is good enough.
type Index = FxHashMap<Box<str>, FxHashMap<Box<str>, Vec<usize>>>;

/// All prices, immutable, with a version that goes onto every recorded call.
#[derive(Debug, Default)]
pub struct PriceBook {
    /// The version: the data file's own, plus a digest of the operator's overlay when there is one.
    pub version: Box<str>,
    prices: Vec<Price>,
    index: Index,
}

impl Fees {
    /// These, and where they say nothing, others.
    #[must_use]
    pub fn over(&self, base: &Self) -> Self {
        Self {
            request: self.request.or(base.request),
            search: self.search.or(base.search),
            second: self.second.or(base.second),
            million_characters: self.million_characters.or(base.million_characters),
            image: self.image.or(base.image),
            page: self.page.or(base.page),
            searching: self.searching.or(base.searching),
            preview_search: self.preview_search.or(base.preview_search),
            file_search: self.file_search.or(base.file_search),
            code_run: self.code_run.or(base.code_run),
        }
    }

    /// The fees of a call in femto-USD.
    fn of(&self, units: &Units) -> i128 {
        let each = |count: u64, nano: Option<i64>| i128::from(count) * i128::from(nano.unwrap_or(0)) * 1_000_000;
        let searched = u64::from(units.searches > 0 || units.preview_searches > 0);
        let seconds = i128::from(units.millis) * i128::from(self.second.unwrap_or(0)) * 1_000;
        let characters = i128::from(units.characters) * i128::from(self.million_characters.unwrap_or(0));
        each(1, self.request)
            + each(units.searches, self.search)
            + each(searched, self.searching)
            + each(units.preview_searches, self.preview_search.or(self.search))
            + each(units.file_searches, self.file_search)
            + each(units.code_runs, self.code_run)
            + each(units.images, self.image)
            + each(units.pages, self.page)
            + seconds
            + characters
    }

    /// Whether something was counted for which there is no fee.
    fn lacks(&self, counter: Counter, units: &Units) -> bool {
        let (count, fee) = match counter {
            Counter::Searches => {
                let search = self.search.or(self.searching);
                let preview = units.preview_searches > 0 && self.preview_search.or(search).is_none();
                return preview || (units.searches > 0 && search.is_none());
            }
            Counter::FileSearches => (units.file_searches, self.file_search),
            Counter::CodeRuns => (units.code_runs, self.code_run),
            Counter::Seconds => (units.millis, self.second),
            Counter::Characters => (units.characters, self.million_characters),
            Counter::Images => (units.images, self.image),
            Counter::Pages => (units.pages, self.page),
            _ => return false,
        };
        count > 0 && fee.is_none()
    }
}

impl Rates {
    fn over(&self, base: &Self) -> Self {
        Self {
            input: self.input.or(base.input),
            cache_read: self.cache_read.or(base.cache_read),
            cache_write: self.cache_write.or(base.cache_write),
            cache_write_long: self.cache_write_long.or(base.cache_write_long),
            output: self.output.or(base.output),
            reasoning: self.reasoning.or(base.reasoning),
            audio_input: self.audio_input.or(base.audio_input),
            audio_output: self.audio_output.or(base.audio_output),
            image_input: self.image_input.or(base.image_input),
            image_output: self.image_output.or(base.image_output),
        }
    }

    /// The token part of a call's cost in femto-USD. A bucket without a rate of its own is billed like plain input
    /// or output; a cache write never below plain input.
    fn of(&self, buckets: &crate::usage::Buckets) -> i128 {
        let input = self.input.unwrap_or(0);
        let output = self.output.unwrap_or(0);
        let write = self.cache_write.unwrap_or(input);
        [
            (buckets.input, input),
            (buckets.cache_read, self.cache_read.unwrap_or(input)),
            (buckets.cache_write, write),
            (buckets.cache_write_long, self.cache_write_long.unwrap_or(write)),
            (buckets.output, output),
            (buckets.reasoning, self.reasoning.unwrap_or(output)),
            (buckets.audio_input, self.audio_input.unwrap_or(input)),
            (buckets.audio_output, self.audio_output.unwrap_or(output)),
            (buckets.image_input, self.image_input.unwrap_or(input)),
            (buckets.image_output, self.image_output.unwrap_or(output)),
        ]
        .into_iter()
        .map(|(tokens, rate)| i128::from(tokens) * i128::from(rate))
        .sum()
    }
}

impl LengthStep {
    fn reached(steps: &[Self], all_input: u64) -> Option<&Self> {
        steps.iter().filter(|step| all_input > step.above).max_by_key(|step| step.above)
    }
}

impl Price {
    /// The rates that hold for a call: base, then time of day, then prompt length, then service tier.
    #[must_use]
    pub fn rates_for(&self, all_input: u64, tier: Option<&str>, at: Millis) -> Rates {
        let mut rates = self.rates.clone();
        if let Some(clock) = self.clock.iter().find(|clock| clock.contains(at)) {
            rates = clock.rates.over(&rates);
        }
        if let Some(step) = LengthStep::reached(&self.steps, all_input) {
            rates = step.rates.over(&rates);
        }
        if let Some(tier) = self.tiers.iter().find(|entry| tier == Some(&*entry.tier)) {
            rates = tier.rates.over(&rates);
            if let Some(step) = LengthStep::reached(&tier.steps, all_input) {
                rates = step.rates.over(&rates);
            }
        }
        rates
    }

    /// What a call costs by this price.
    #[must_use]
    pub fn cost(&self, usage: &Usage, at: Millis) -> Money {
        let rates = self.rates_for(usage.buckets.all_input(), usage.tier.as_deref(), at);
        let tokens = rates.of(&usage.buckets);
        let tokens = self.region(usage).map_or(tokens, |rate| {
            let femto = tokens * i128::from(rate.permille);
            // Up, as every fraction of a cost goes.
            femto.div_euclid(1_000) + i128::from(femto.rem_euclid(1_000) > 0)
        });
        Money::from_femto_ceil(tokens + self.fees.of(&usage.units))
    }

    fn region(&self, usage: &Usage) -> Option<&RegionRate> {
        self.regions.iter().find(|rate| usage.region.as_deref() == Some(&*rate.region))
    }

    /// Whether the call used something that this price does not know: a tier, a region, or one of the things that are
    /// billed besides tokens. What [`Self::cost`] says is then only a part of what it cost.
    #[must_use]
    pub fn lacks(&self, usage: &Usage, apart: &[Counter]) -> bool {
        let tier = usage.tier.as_deref().is_some_and(|tier| !self.tiers.iter().any(|entry| *entry.tier == *tier));
        let region = usage.region.is_some() && self.region(usage).is_none();
        tier || region || apart.iter().any(|counter| self.fees.lacks(*counter, &usage.units))
    }

    /// Whether tokens have a price, so that an estimate of them is one of the cost.
    #[must_use]
    pub const fn by_tokens(&self) -> bool {
        self.rates.input.is_some() || self.rates.output.is_some()
    }
}

impl ClockRates {
    fn contains(&self, at: Millis) -> bool {
        const DAY: i64 = 86_400_000;
        let minute = u16::try_from(at.rem_euclid(DAY) / 60_000).unwrap_or(0);
        // 1970-01-01 was a Thursday, day 3 when Monday is 0.
        let day = u8::try_from((at.div_euclid(DAY) + 3).rem_euclid(7)).unwrap_or(0);
        (self.days.is_empty() || self.days.contains(&day))
            && self.windows.iter().any(|(from, to)| (*from..*to).contains(&minute))
    }
}

impl PriceBook {
    /// Builds the book. Later entries for the same provider and model come first when both hold, so that an
    /// operator's overlay wins when it is given last.
    #[must_use]
    pub fn new(version: &str, prices: Vec<Price>) -> Self {
        let mut index = Index::default();
        for (position, price) in prices.iter().enumerate().rev() {
            let models = index.entry(price.provider.clone()).or_default();
            for name in std::iter::once(&price.model).chain(&price.aliases) {
                models.entry(name.to_ascii_lowercase().into()).or_default().push(position);
            }
        }
        Self { version: version.into(), prices, index }
    }

    /// The price that holds for a model at a time; a dated name such as `gpt-5.4-2026-03-05` falls back to `gpt-5.4`.
    #[must_use]
    pub fn find(&self, provider: &str, model: &str, at: Millis) -> Option<&Price> {
        self.exact(provider, model, at).or_else(|| {
            let undated = strip_date(model)?;
            self.exact(provider, undated, at)
        })
    }

    fn exact(&self, provider: &str, model: &str, at: Millis) -> Option<&Price> {
        let models = self.index.get(provider)?;
        // HOT: nearly every name is in lower case already, and is looked up as it is.
        let positions = if model.bytes().any(|byte| byte.is_ascii_uppercase()) {
            models.get(&*model.to_ascii_lowercase())
        } else {
            models.get(model)
        };
        positions?
            .iter()
            .filter_map(|position| self.prices.get(*position))
            .find(|price| price.from.is_none_or(|from| from <= at) && price.until.is_none_or(|until| at < until))
    }

    /// All prices, in file order.
    #[must_use]
    pub fn all(&self) -> &[Price] {
        &self.prices
    }

    /// The price that holds for a call: that of the model that answered or, when that has none, of the model asked for.
    #[must_use]
    pub fn of_call(&self, provider: &str, asked: &str, answered: Option<&str>, at: Millis) -> Option<&Price> {
        answered.and_then(|model| self.find(provider, model, at)).or_else(|| self.find(provider, asked, at))
    }
}

/// `gpt-5.4-2026-03-05` → `gpt-5.4`, `claude-sonnet-4-5-20250929` → `claude-sonnet-4-5`.
fn strip_date(model: &str) -> Option<&str> {
    let dated = |text: &str| {
        text.bytes()
            .enumerate()
            .all(|(index, byte)| if index == 4 || index == 7 { byte == b'-' } else { byte.is_ascii_digit() })
    };
    if let Some((head, tail)) = model.len().checked_sub(11).and_then(|at| model.split_at_checked(at))
        && tail.strip_prefix('-').is_some_and(dated)
    {
        return Some(head);
    }
    let (head, tail) = model.len().checked_sub(9).and_then(|at| model.split_at_checked(at))?;
    let digits = tail.strip_prefix('-')?;
    digits.bytes().all(|byte| byte.is_ascii_digit()).then_some(head)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::usage::Buckets;

    fn price() -> Price {
        Price {
            provider: "openai".into(),
            model: "gpt-5.4".into(),
            rates: Rates {
                input: Some(2_500_000_000),
                cache_read: Some(250_000_000),
                output: Some(15_000_000_000),
                ..Rates::default()
            },
            steps: vec![LengthStep { above: 272_000, rates: Rates { input: Some(5_000_000_000), ..Rates::default() } }],
            tiers: vec![TierRates {
                tier: "flex".into(),
                rates: Rates { output: Some(7_500_000_000), ..Rates::default() },
                steps: vec![LengthStep {
                    above: 272_000,
                    rates: Rates { output: Some(11_250_000_000), ..Rates::default() },
                }],
            }],
            fees: Fees { search: Some(10_000_000), second: Some(100_000), ..Fees::default() },
            ..Price::default()
        }
    }

    fn usage(buckets: Buckets) -> Usage {
        Usage { buckets, ..Usage::default() }
    }

    #[test]
    fn a_call_costs_its_buckets_times_their_rates() {
        let call = usage(Buckets { input: 9, cache_read: 10, output: 10, reasoning: 5, ..Buckets::default() });
        // 9*2500 + 10*250 + 15*15000 nano-USD
        assert_eq!(price().cost(&call, 0), Money::from_nano(22_500 + 2_500 + 225_000));
    }

    #[test]
    fn the_length_step_covers_the_whole_call() {
        let call = usage(Buckets { input: 200_000, cache_read: 100_000, ..Buckets::default() });
        assert_eq!(price().cost(&call, 0), Money::from_nano(200_000 * 5_000 + 100_000 * 250));
    }

    #[test]
    fn a_tier_has_its_own_length_steps() {
        let rates = price().rates_for(272_001, Some("flex"), 0);
        assert_eq!((rates.input, rates.output), (Some(5_000_000_000), Some(11_250_000_000)));
        assert_eq!(price().rates_for(272_000, Some("flex"), 0).output, Some(7_500_000_000));
    }

    #[test]
    fn tiers_and_fees_add_up() {
        let mut call = usage(Buckets { output: 10, ..Buckets::default() });
        call.tier = Some("flex".into());
        call.units = Units { searches: 2, millis: 1_500, ..Units::default() };
        assert_eq!(price().cost(&call, 0), Money::from_nano(75_000 + 20_000_000 + 150_000));
    }

    #[test]
    fn tools_have_fees_of_their_own_and_what_has_none_is_lacking() {
        let apart = [Counter::Searches, Counter::FileSearches, Counter::CodeRuns];
        let mut price = price();
        price.fees = Fees { search: Some(10_000_000), file_search: Some(2_500_000), ..Fees::default() };
        let mut call = usage(Buckets::default());
        call.units = Units { searches: 2, preview_searches: 1, file_searches: 3, ..Units::default() };
        assert_eq!(price.cost(&call, 0), Money::from_nano(20_000_000 + 10_000_000 + 7_500_000));
        assert!(!price.lacks(&call, &apart));
        price.fees.preview_search = Some(25_000_000);
        assert_eq!(price.cost(&call, 0), Money::from_nano(20_000_000 + 25_000_000 + 7_500_000));
        call.units.code_runs = 1;
        assert!(price.lacks(&call, &apart), "code runs have no price");
        assert!(!price.lacks(&call, &apart[..2]), "and are not billed apart everywhere");
        // A fee for the call that searched, however often it did.
        price.fees = Fees { searching: Some(35_000_000), ..Fees::default() };
        call.units = Units { searches: 4, ..Units::default() };
        assert_eq!(price.cost(&call, 0), Money::from_nano(35_000_000));
        assert!(!price.lacks(&call, &apart));
        price.fees = Fees::default();
        assert!(price.lacks(&call, &apart));
        assert!(!price.lacks(&usage(Buckets { output: 9, ..Buckets::default() }), &apart));
    }

    #[test]
    fn a_region_multiplies_tokens_and_no_fees() {
        let mut price = price();
        price.regions = vec![RegionRate { region: "us".into(), permille: 1_100 }];
        let mut call = usage(Buckets { input: 3, ..Buckets::default() });
        call.units.searches = 1;
        call.region = Some("us".into());
        assert_eq!(price.cost(&call, 0), Money::from_nano(8_250 + 10_000_000));
        assert!(!price.lacks(&call, &[]));
        call.region = Some("eu".into());
        assert_eq!(price.cost(&call, 0), Money::from_nano(7_500 + 10_000_000));
        assert!(price.lacks(&call, &[]), "a region without a price");
        call.region = None;
        call.tier = Some("scale".into());
        assert!(price.lacks(&call, &[]), "a tier without a price");
        call.tier = Some("flex".into());
        assert!(!price.lacks(&call, &[]));
    }

    #[test]
    fn dated_names_fall_back_and_validity_is_kept() {
        let mut old = price();
        old.until = Some(1_000);
        let mut new = price();
        new.from = Some(1_000);
        new.rates.input = Some(1);
        let book = PriceBook::new("v", vec![old, new]);
        assert_eq!(book.find("openai", "gpt-5.4-2026-03-05", 999).unwrap().rates.input, Some(2_500_000_000));
        assert_eq!(book.find("openai", "GPT-5.4", 1_000).unwrap().rates.input, Some(1));
        assert!(book.find("openai", "gpt-5.4-mini", 0).is_none());
        assert!(book.find("azure", "gpt-5.4", 0).is_none());
    }

    #[test]
    fn days_in_files_begin_at_midnight_utc() {
        let read = |until: &str| serde_json::from_str::<Price>(&format!(r#"{{"model":"m","until":{until}}}"#));
        assert_eq!(read("\"1970-01-02\"").unwrap().until, Some(86_400_000));
        assert_eq!(read("86400001").unwrap().until, Some(86_400_001));
        assert_eq!(read("null").unwrap().until, None);
        assert!(read("\"tomorrow\"").is_err());
    }

    #[test]
    fn peak_hours_follow_utc() {
        let clock = ClockRates { windows: vec![(60, 240)], days: vec![0, 1, 2, 3, 4], rates: Rates::default() };
        let thursday_0130 = 90 * 60_000;
        assert!(clock.contains(thursday_0130));
        assert!(!clock.contains(thursday_0130 + 2 * 86_400_000));
        assert!(!clock.contains(240 * 60_000));
    }
}
