//! Reads use and errors out of whole answers, the plain way: every event as a JSON value. It checks the examples of
//! provider files; the gateway has its own incremental reader, and both must agree on every example.

mod text;

use crate::{example, path::JsonPath};
use keyward_domain::{
    Money,
    provider::{Cause, CostUnit, Counter, ErrorFields, ErrorParts, Example, Merge, Probe, Provider, UsageShape},
    usage::{Buckets, Units, Usage},
};
use serde_json::{Number, Value};
use std::collections::BTreeMap;

pub use text::{Event, events};

/// A counter's amount in thousandths, so that fractions of seconds survive.
type Thousandths = u128;

/// What an answer says was used. Headers that carry counters are looked up by lower-case name.
#[must_use]
pub fn usage(shape: &UsageShape, example: &Example) -> Usage {
    let mut usage = Usage::default();
    let (mut tier, mut region) = (None, None);
    let reports = reports(&example.content_type, &example.body, shape.payload.as_deref());
    for report in reports.iter().filter(|report| speaks(shape, example, report)) {
        tier = first_text(&shape.tier, report).or(tier);
        region = first_text(&shape.region, report).or(region);
        usage.model = first_text(&shape.model, report).map(Into::into).or(usage.model);
        usage.provider_cost = cost(shape, report, usage.provider_cost);
    }
    let base = |names: &[Box<str>], name: &str| names.iter().any(|base| **base == *name);
    usage.tier = tier.filter(|name| !base(&shape.base_tiers, name)).map(Into::into);
    usage.region = region.filter(|name| !base(&shape.base_regions, name)).map(Into::into);
    let own = counters(shape, example, &reports);
    (usage.buckets, usage.units) = (buckets(shape, |counter| whole(&own, counter)), units(&own));
    if let Some(aside) = &shape.aside {
        let other = counters(&UsageShape { merge: shape.merge, ..(**aside).clone() }, example, &reports);
        usage.buckets = usage.buckets.plus(&buckets(aside, |counter| whole(&other, counter)));
        usage.units = usage.units.plus(&units(&other));
    }
    usage
}

/// Whether an event is one of those that report use; an answer that is no stream always does.
fn speaks(shape: &UsageShape, example: &Example, report: &Value) -> bool {
    let streamed = ["text/event-stream", example::EVENT_STREAM, example::MESSAGES].contains(&&*example.content_type);
    let kind = || report.get("type").and_then(Value::as_str);
    !streamed || shape.events.is_empty() || kind().is_some_and(|kind| shape.events.iter().any(|event| **event == *kind))
}

fn counters(shape: &UsageShape, example: &Example, reports: &[Value]) -> BTreeMap<Counter, Thousandths> {
    let mut counters: BTreeMap<Counter, Thousandths> = BTreeMap::new();
    for (counter, header) in &shape.headers {
        if let Some(amount) = example.headers.get(header).and_then(|text| thousandths(text)) {
            counters.insert(*counter, amount);
        }
    }
    for report in reports.iter().filter(|report| speaks(shape, example, report)) {
        for (counter, amount) in counted(shape, report) {
            let slot = counters.entry(counter).or_default();
            *slot = if shape.merge == Merge::Sum { *slot + amount } else { amount };
        }
    }
    counters
}

fn whole(counters: &BTreeMap<Counter, Thousandths>, counter: Counter) -> u64 {
    counters.get(&counter).map_or(0, |amount| u64::try_from(amount / 1000).unwrap_or(u64::MAX))
}

fn units(counters: &BTreeMap<Counter, Thousandths>) -> Units {
    let whole = |counter| whole(counters, counter);
    let seconds = counters.get(&Counter::Seconds).copied().unwrap_or(0);
    let (preview, searches) = (whole(Counter::PreviewSearch) > 0, whole(Counter::Searches));
    Units {
        searches: if preview { 0 } else { searches },
        preview_searches: if preview { searches } else { 0 },
        millis: u64::try_from(seconds).unwrap_or(u64::MAX),
        characters: whole(Counter::Characters),
        images: whole(Counter::Images),
        pages: whole(Counter::Pages),
        file_searches: whole(Counter::FileSearches),
        code_runs: whole(Counter::CodeRuns),
    }
}

/// An answer as it arrived.
#[derive(Debug, Clone, Copy)]
pub struct Answer<'a> {
    /// The HTTP status; none for an error within a stream.
    pub status: Option<u16>,
    /// Its content type, as far as it is known: it tells streams from documents.
    pub content_type: &'a str,
    /// Its headers, by lower-case name.
    pub headers: &'a BTreeMap<Box<str>, Box<str>>,
    /// Its body.
    pub body: &'a str,
}

impl<'a> From<&'a Example> for Answer<'a> {
    fn from(example: &'a Example) -> Self {
        let Example { content_type, headers, body, .. } = example;
        Self { status: (example.status >= 400).then_some(example.status), content_type, headers, body }
    }
}

/// The parts of an error answer: the first event (or the whole body) that has any of them.
#[must_use]
pub fn error_parts<'a>(fields: &ErrorFields, answer: impl Into<Answer<'a>>) -> ErrorParts {
    let answer = answer.into();
    let mut parts = reports(answer.content_type, answer.body, None)
        .iter()
        .map(|report| ErrorParts {
            kind: first_text(&fields.kind, report),
            code: first_text(&fields.code, report),
            reason: first_text(&fields.reason, report),
            message: first_text(&fields.message, report),
        })
        .find(|parts| *parts != ErrorParts::default())
        .unwrap_or_default();
    if parts.kind.is_none() {
        let header = fields.kind_header.as_ref().and_then(|name| answer.headers.get(name));
        parts.kind = header.and_then(|text| text.split(':').next()).map(str::to_owned);
    }
    parts
}

/// What the answer to a probe says about the key, and what the owner should do; an empty remedy when the key is well
/// or the catalogue does not know the answer.
#[must_use]
pub fn probed<'p>(provider: &'p Provider, probe: &'p Probe, answer: Answer<'_>) -> (Cause, &'p str) {
    if answer.status.is_some_and(|status| probe.alive.contains(&status)) {
        let report = serde_json::from_str(answer.body).unwrap_or(Value::Null);
        let said = probe.answers.iter().find(|said| {
            let values = JsonPath::parse(&said.path).map(|path| path.values(&report)).unwrap_or_default();
            values.into_iter().any(|value| match value {
                Value::String(text) => **text == *said.is,
                other => serde_json::from_str::<Value>(&said.is).is_ok_and(|is| is == *other),
            })
        });
        return said.map_or((Cause::Healthy, ""), |said| (said.cause, &said.remedy));
    }
    let (cause, rule) = provider.classify(answer.status, &error_parts(&provider.error_fields, answer));
    (cause, rule.map_or("", |rule| &rule.remedy))
}

/// The counts by the field names of `Buckets` and `Units`, without those that are zero.
#[must_use]
pub fn named(usage: &Usage) -> BTreeMap<Box<str>, u64> {
    let Usage { buckets, units, .. } = usage;
    [
        ("input", buckets.input),
        ("cache_read", buckets.cache_read),
        ("cache_write", buckets.cache_write),
        ("cache_write_long", buckets.cache_write_long),
        ("output", buckets.output),
        ("reasoning", buckets.reasoning),
        ("audio_input", buckets.audio_input),
        ("audio_output", buckets.audio_output),
        ("image_input", buckets.image_input),
        ("image_output", buckets.image_output),
        ("searches", units.searches),
        ("millis", units.millis),
        ("characters", units.characters),
        ("images", units.images),
        ("pages", units.pages),
        ("preview_searches", units.preview_searches),
        ("file_searches", units.file_searches),
        ("code_runs", units.code_runs),
    ]
    .into_iter()
    .filter(|(_, count)| *count != 0)
    .map(|(name, count)| (name.into(), count))
    .collect()
}

/// The JSON values that an answer consists of: one, or one per event, message or element of an array.
fn reports(content_type: &str, body: &str, payload: Option<&str>) -> Vec<Value> {
    let json = |text: &str| serde_json::from_str::<Value>(text).ok();
    match content_type {
        "text/event-stream" | example::EVENT_STREAM => events(body)
            .iter()
            .filter_map(|event| json(&event.data))
            .filter_map(|value| match payload {
                None => Some(value),
                Some(field) => json(&text::from_base64(value.get(field)?.as_str()?)?),
            })
            .collect(),
        example::MESSAGES => body.lines().filter_map(json).collect(),
        _ => match json(body) {
            Some(Value::Array(elements)) => elements,
            Some(value) => vec![value],
            None => Vec::new(),
        },
    }
}

fn counted(shape: &UsageShape, report: &Value) -> BTreeMap<Counter, Thousandths> {
    let mut found = BTreeMap::new();
    for root in &shape.roots {
        for holder in JsonPath::parse(root).map(|path| path.values(report)).unwrap_or_default() {
            for (counter, paths) in &shape.counters {
                if let Some(amount) = paths.iter().find_map(|path| amount(path, holder)) {
                    found.entry(*counter).or_insert(amount);
                }
            }
        }
    }
    found
}

fn amount(path: &str, holder: &Value) -> Option<Thousandths> {
    let path = JsonPath::parse(path).ok()?;
    if path.counts() {
        let count = path.values(holder).len();
        return (count > 0).then_some(count as Thousandths * 1000);
    }
    let amounts: Vec<_> = path.values(holder).into_iter().filter_map(Value::as_number).filter_map(milli).collect();
    (!amounts.is_empty()).then(|| amounts.iter().sum())
}

fn milli(number: &Number) -> Option<Thousandths> {
    thousandths(&number.to_string())
}

/// A decimal number in thousandths, rounded up.
fn thousandths(text: &str) -> Option<Thousandths> {
    let nano = Money::from_decimal_ceil(text.trim())?.nano();
    u128::try_from(nano).ok().map(|nano| nano.div_ceil(1_000_000))
}

fn buckets(shape: &UsageShape, count: impl Fn(Counter) -> u64) -> Buckets {
    let mut buckets = Buckets {
        cache_read: count(Counter::CacheRead),
        cache_write: count(Counter::CacheWrite),
        cache_write_long: count(Counter::CacheWriteLong),
        reasoning: count(Counter::Reasoning),
        audio_input: count(Counter::AudioInput).saturating_sub(count(Counter::CachedAudio)),
        audio_output: count(Counter::AudioOutput),
        image_input: count(Counter::ImageInput).saturating_sub(count(Counter::CachedImage)),
        image_output: count(Counter::ImageOutput),
        ..Buckets::default()
    };
    if shape.cache_write_includes_long {
        buckets.cache_write = buckets.cache_write.saturating_sub(buckets.cache_write_long);
    }
    let held = |includes: &[Counter]| includes.iter().map(|counter| bucket(&buckets, *counter)).sum::<u64>();
    let input = count(Counter::Input).saturating_sub(held(&shape.input_includes)) + count(Counter::ToolInput);
    let output = count(Counter::Output).saturating_sub(held(&shape.output_includes));
    Buckets { input, output, ..buckets }
}

const fn bucket(buckets: &Buckets, counter: Counter) -> u64 {
    match counter {
        Counter::CacheRead => buckets.cache_read,
        Counter::CacheWrite => buckets.cache_write,
        Counter::CacheWriteLong => buckets.cache_write_long,
        Counter::Reasoning => buckets.reasoning,
        Counter::AudioInput => buckets.audio_input,
        Counter::AudioOutput => buckets.audio_output,
        Counter::ImageInput => buckets.image_input,
        Counter::ImageOutput => buckets.image_output,
        _ => 0,
    }
}

fn cost(shape: &UsageShape, report: &Value, before: Option<Money>) -> Option<Money> {
    let Some(field) = &shape.cost else { return before };
    let stated = field.paths.iter().find_map(|path| {
        JsonPath::parse(path)
            .ok()?
            .values(report)
            .into_iter()
            .find_map(|value| value.as_number().map(Number::to_string))
    });
    let stated = stated.and_then(|text| match field.unit {
        CostUnit::Usd => Money::from_decimal_ceil(&text),
        CostUnit::UsdTicks => text.parse::<i64>().ok().map(|ticks| Money::from_femto_ceil(i128::from(ticks) * 100_000)),
    });
    match (shape.merge, before, stated) {
        (Merge::Sum, Some(before), Some(stated)) => Some(before.saturating_add(stated)),
        (_, before, stated) => stated.or(before),
    }
}

fn first_text(paths: &[Box<str>], report: &Value) -> Option<String> {
    paths.iter().find_map(|path| {
        JsonPath::parse(path).ok()?.values(report).into_iter().find_map(|value| match value {
            Value::String(text) => Some(text.clone()),
            Value::Number(number) => Some(number.to_string()),
            _ => None,
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_round_up_to_thousandths() {
        for (text, expected) in [("9.25", 9250), ("3.1", 3100), ("0.0001", 1), ("12", 12_000), ("0", 0)] {
            assert_eq!(thousandths(text), Some(expected), "{text}");
        }
        assert_eq!(thousandths("-1"), None);
    }

    #[test]
    fn ticks_are_tenths_of_a_nano_dollar() {
        let shape: UsageShape =
            toml::from_str("roots = ['usage']\ncounters = {}\ncost = { paths = ['usage.ticks'], unit = 'usd-ticks' }")
                .unwrap();
        let report = serde_json::json!({"usage": {"ticks": 1_721_251}});
        assert_eq!(cost(&shape, &report, None), Some(Money::from_nano(172_126)));
    }
}
