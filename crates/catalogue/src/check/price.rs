//! Whether a price file makes sense.

use super::{Findings, Problem, Source, is_day};
use crate::prices::PriceFile;
use keyward_domain::price::{Fees, Price, Rates, RegionRate};

/// A rate above this, in nano-USD per million tokens, is a slip of the unit: 100 000 USD.
const ABSURD: i64 = 100_000_000_000_000;

/// What amounts are in.
const UNIT: &str = "rates are nano-USD per million tokens: 2_500_000_000 is 2.50 USD";

/// Everything that is wrong with what a file says.
pub(super) fn problems(source: &Source<'_>, file: &PriceFile) -> Vec<Problem> {
    let mut findings = Findings::new(source);
    let f = &mut findings;
    f.add_if(!file.as_of.is_empty() && !is_day(&file.as_of), "as_of", "it is not a day", "write it like 2026-11-21");
    let wrong = |amount: &i64| !(0..=ABSURD).contains(amount);
    f.add_if(fees(&file.fees).iter().flatten().any(wrong), "fees", "an amount is negative or absurd", UNIT);
    regions(f, "regions", &file.regions);
    for (index, price) in file.prices.iter().enumerate() {
        let place = format!("prices.{index}");
        entry(f, &place, file, price);
        let clash = file.prices.iter().take(index).find(|other| clashes(file, price, other));
        if let Some(other) = clash {
            f.add(
                &place,
                format!("`{}` already has a price for this time, under `{}`", price.model, other.model),
                "separate them by `from` and `until`",
            );
        }
    }
    findings.found
}

fn entry(findings: &mut Findings<'_>, place: &str, file: &PriceFile, price: &Price) {
    findings.add_if(
        provider(file, price).is_empty(),
        place,
        "the price names no provider",
        "add `provider`, here or at the top of the file",
    );
    findings.add_if(price.model.is_empty(), &format!("{place}.model"), "the model is empty", "");
    findings.add_if(
        price.rates == Rates::default() && price.fees == Fees::default(),
        place,
        "the price has neither rates nor fees",
        "a free model has `rates = { input = 0, output = 0 }`",
    );
    let tiers =
        price.tiers.iter().flat_map(|tier| std::iter::once(&tier.rates).chain(tier.steps.iter().map(|s| &s.rates)));
    let all = std::iter::once(&price.rates)
        .chain(price.steps.iter().map(|step| &step.rates))
        .chain(price.clock.iter().map(|clock| &clock.rates))
        .chain(tiers);
    let amounts = all.flat_map(amounts).chain(fees(&price.fees));
    findings.add_if(
        amounts.flatten().any(|nano| !(0..=ABSURD).contains(&nano)),
        place,
        "an amount is negative or absurd",
        UNIT,
    );
    findings.add_if(
        price.from.zip(price.until).is_some_and(|(from, until)| from >= until),
        &format!("{place}.until"),
        "the price ends before it begins",
        "",
    );
    regions(findings, &format!("{place}.regions"), &price.regions);
    for (index, clock) in price.clock.iter().enumerate() {
        let place = format!("{place}.clock.{index}");
        findings.add_if(
            clock.windows.is_empty() || clock.windows.iter().any(|(from, to)| from >= to || *to > 1440),
            &place,
            "a window is not within one day",
            "windows are minutes after midnight UTC: [[60, 240]] is from 01:00 to 04:00",
        );
        findings.add_if(clock.days.iter().any(|day| *day > 6), &place, "a day is not between 0 and 6", "Monday is 0");
    }
}

fn regions(findings: &mut Findings<'_>, place: &str, regions: &[RegionRate]) {
    findings.add_if(
        regions.iter().any(|rate| rate.region.is_empty() || !(100..=10_000).contains(&rate.permille)),
        place,
        "a region has no name, or a factor that cannot be meant",
        "1100 is a tenth more than the usual price",
    );
}

fn provider<'p>(file: &'p PriceFile, price: &'p Price) -> &'p str {
    if price.provider.is_empty() { &file.provider } else { &price.provider }
}

fn clashes(file: &PriceFile, one: &Price, other: &Price) -> bool {
    let names = |price: &Price| {
        std::iter::once(&price.model).chain(&price.aliases).map(|name| name.to_ascii_lowercase()).collect::<Vec<_>>()
    };
    let before = |a: &Price, b: &Price| a.until.zip(b.from).is_some_and(|(until, from)| until <= from);
    provider(file, one) == provider(file, other)
        && !before(one, other)
        && !before(other, one)
        && names(one).iter().any(|name| names(other).contains(name))
}

const fn amounts(rates: &Rates) -> [Option<i64>; 10] {
    [
        rates.input,
        rates.cache_read,
        rates.cache_write,
        rates.cache_write_long,
        rates.output,
        rates.reasoning,
        rates.audio_input,
        rates.audio_output,
        rates.image_input,
        rates.image_output,
    ]
}

const fn fees(fees: &Fees) -> [Option<i64>; 10] {
    [
        fees.request,
        fees.search,
        fees.second,
        fees.million_characters,
        fees.image,
        fees.page,
        fees.searching,
        fees.preview_search,
        fees.file_search,
        fees.code_run,
    ]
}
