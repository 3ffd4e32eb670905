//! Whether the examples of a provider file give what they say they give.

use super::Findings;
use crate::reading;
use keyward_domain::{
    Money,
    provider::{Example, Provider, UsageShape},
    usage::{Buckets, Units, Usage},
};
use std::collections::BTreeMap;

/// Reads every example and compares.
pub(super) fn check(findings: &mut Findings<'_>, provider: &Provider) {
    for (index, example) in provider.examples.iter().enumerate() {
        let place = format!("examples.{index}");
        let header = example.headers.keys().find(|name| name.bytes().any(|byte| byte.is_ascii_uppercase()));
        if let Some(name) = header {
            findings.add(&format!("{place}.headers"), format!("`{name}` is not in lower case"), "");
        }
        match (&example.usage, example.cause) {
            (None, None) => {
                findings.add(&place, "the example shows neither use nor an error", "add `usage` or `cause`");
            }
            (Some(_), Some(_)) => findings.add(&place, "the example shows use and an error at once", "make two of it"),
            (Some(name), None) => match provider.usage.get(name) {
                Some(shape) => usage(findings, &place, shape, example),
                None => findings.add(&format!("{place}.usage"), format!("there is no usage shape `{name}`"), ""),
            },
            (None, Some(_)) => cause(findings, &place, provider, example),
        }
    }
}

fn usage(findings: &mut Findings<'_>, place: &str, shape: &UsageShape, example: &Example) {
    let known = names();
    if let Some(name) = example.counts.keys().find(|name| !known.contains(name)) {
        let known: Vec<_> = known.iter().map(|name| &**name).collect();
        findings.add(
            &format!("{place}.counts"),
            format!("`{name}` is not a count"),
            format!("counts are: {}", known.join(", ")),
        );
    }
    let read = reading::usage(shape, example);
    let given = reading::named(&read);
    let wanted: BTreeMap<_, _> =
        example.counts.iter().filter(|(_, count)| **count != 0).map(|(name, count)| (name.clone(), *count)).collect();
    findings.add_if(
        given != wanted,
        &format!("{place}.counts"),
        format!("the example gives {}, not {}", listed(&given), listed(&wanted)),
        "correct the counts or the usage shape",
    );
    let cost = read.provider_cost.map(Money::nano);
    findings.add_if(
        cost != example.cost_nano,
        &format!("{place}.cost_nano"),
        format!("the example states the cost {cost:?} in nano-USD, not {:?}", example.cost_nano),
        "",
    );
    findings.add_if(
        read.tier != example.tier,
        &format!("{place}.tier"),
        format!("the example gives the tier {:?}, not {:?}", read.tier, example.tier),
        "base tiers are given as none",
    );
    findings.add_if(
        read.region != example.region,
        &format!("{place}.region"),
        format!("the example gives the region {:?}, not {:?}", read.region, example.region),
        "base regions are given as none",
    );
}

fn cause(findings: &mut Findings<'_>, place: &str, provider: &Provider, example: &Example) {
    let answer = reading::Answer::from(example);
    let (cause, _) = provider.classify(answer.status, &reading::error_parts(&provider.error_fields, answer));
    findings.add_if(
        Some(cause) != example.cause,
        &format!("{place}.cause"),
        format!("the error table gives {cause:?} for this example"),
        "the first rule that fits wins",
    );
}

/// The names that counts may have.
fn names() -> Vec<Box<str>> {
    let ones = Buckets {
        input: 1,
        cache_read: 1,
        cache_write: 1,
        cache_write_long: 1,
        output: 1,
        reasoning: 1,
        audio_input: 1,
        audio_output: 1,
        image_input: 1,
        image_output: 1,
    };
    let units = Units {
        searches: 1,
        millis: 1,
        characters: 1,
        images: 1,
        pages: 1,
        preview_searches: 1,
        file_searches: 1,
        code_runs: 1,
    };
    reading::named(&Usage { buckets: ones, units, ..Usage::default() }).into_keys().collect()
}

fn listed(counts: &BTreeMap<Box<str>, u64>) -> String {
    if counts.is_empty() {
        return "nothing".to_owned();
    }
    counts.iter().map(|(name, count)| format!("{name} {count}")).collect::<Vec<_>>().join(", ")
}
