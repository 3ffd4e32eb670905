//! Every example of the catalogue is read to its stated counts: whole, and split at every place.

use super::super::*;
use crate::{eventstream, tables::tests::operation};
use http::{HeaderName, HeaderValue};
use keyward_domain::{
    Money,
    price::PriceBook,
    provider::{Cause, Example, Provider},
};
use std::sync::Arc;
use std::{collections::BTreeMap, fs, path::Path};

fn providers() -> Vec<Arc<Provider>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../catalogue/providers");
    let mut all = Vec::new();
    for entry in fs::read_dir(folder).expect("the catalogue") {
        let path = entry.expect("a file").path();
        let text = fs::read_to_string(&path).expect("text");
        let provider: Provider = toml::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        all.push(Arc::new(provider));
    }
    assert!(all.len() > 1, "the catalogue is there");
    all
}

/// The bytes that an example stands for, and whether they come over a WebSocket.
fn bytes_of(example: &Example) -> (Vec<u8>, bool) {
    match &*example.content_type {
        "application/vnd.amazon.eventstream" => (frames(&example.body), false),
        "application/x-ndjson" => (messages(&example.body), true),
        _ => (example.body.as_bytes().to_vec(), false),
    }
}

fn frames(events: &str) -> Vec<u8> {
    let mut out = Vec::new();
    for event in events.trim().split("\n\n") {
        let line = |name: &str| event.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
        let name = line("event:").unwrap_or("chunk");
        let kind =
            if name.ends_with("Exception") { (":exception-type", "exception") } else { (":event-type", "event") };
        let headers = [(kind.0, name), (":content-type", "application/json"), (":message-type", kind.1)];
        out.extend(eventstream::encode(&headers, line("data:").unwrap_or_default().as_bytes()));
    }
    out
}

fn messages(lines: &str) -> Vec<u8> {
    let mut out = Vec::new();
    for line in lines.lines().filter(|line| !line.trim().is_empty()) {
        out.extend([0x81, 127]);
        out.extend((line.len() as u64).to_be_bytes());
        out.extend(line.as_bytes());
    }
    out
}

fn plan(provider: &Arc<Provider>, example: &Example) -> Arc<OperationPlan> {
    let operation = keyward_domain::provider::Operation { usage: example.usage.clone(), ..operation("POST", "/x") };
    Arc::new(OperationPlan::new(provider, &operation))
}

fn headers(example: &Example) -> HeaderMap {
    let mut headers: HeaderMap = example
        .headers
        .iter()
        .map(|(name, value)| {
            (HeaderName::from_bytes(name.as_bytes()).expect("a name"), HeaderValue::from_str(value).expect("a value"))
        })
        .collect();
    headers.insert("content-type", HeaderValue::from_str(&example.content_type).expect("a type"));
    headers
}

fn read(plan: &OperationPlan, example: &Example, pieces: &[&[u8]], socket: bool) -> Reading {
    let mut meter = if socket {
        Meter::websocket(plan)
    } else {
        Meter::new(plan, example.status, &headers(example), &Facts::default())
    };
    for piece in pieces {
        let out = meter.feed(Bytes::copy_from_slice(piece));
        assert_eq!(out.as_deref(), Some(*piece), "what passes by is not changed");
    }
    assert_eq!(meter.flush(), None);
    meter.finish(true)
}

/// What a reading says, by the field names of an example.
fn counts(plan: &OperationPlan, reading: &Reading) -> BTreeMap<String, u64> {
    let mut all = BTreeMap::new();
    let usage = reading.bill(&PriceBook::default(), plan, "", 0).usage;
    for part in [serde_json::to_value(usage.buckets), serde_json::to_value(usage.units)] {
        for (name, value) in part.expect("JSON").as_object().expect("fields") {
            if let Some(count) = value.as_u64().filter(|count| *count > 0) {
                all.insert(name.clone(), count);
            }
        }
    }
    all
}

#[test]
fn every_example_reads_to_its_counts_whole_and_split_anywhere() {
    let mut examples = 0;
    for provider in providers() {
        for example in provider.examples.iter().filter(|example| example.usage.is_some()) {
            let name = format!("{}: {}", provider.id, example.name);
            let plan = plan(&provider, example);
            let (bytes, socket) = bytes_of(example);
            let whole = read(&plan, example, &[&bytes], socket);
            let expected: BTreeMap<String, u64> = example
                .counts
                .iter()
                .filter(|(_, count)| **count > 0)
                .map(|(name, count)| (name.to_string(), *count))
                .collect();
            // Where nothing is reported, what stands in is no count of the answer's.
            let told = if whole.complete || whole.pending { counts(&plan, &whole) } else { BTreeMap::new() };
            assert_eq!(told, expected, "{name}");
            assert_eq!(whole.usage.provider_cost.map(Money::nano), example.cost_nano, "{name}");
            assert_eq!(whole.usage.tier, example.tier, "{name}");
            assert_eq!(whole.usage.region, example.region, "{name}");
            let step = 1 + bytes.len() / 1_500;
            for at in (0..=bytes.len()).step_by(step) {
                let (first, second) = bytes.split_at(at);
                assert_eq!(read(&plan, example, &[first, second], socket), whole, "{name}: split at {at}");
            }
            let pieces: Vec<&[u8]> = bytes.chunks(1).collect();
            assert_eq!(read(&plan, example, &pieces, socket), whole, "{name}: byte by byte");
            examples += 1;
        }
    }
    assert!(examples > 20, "{examples} examples");
}

#[test]
fn every_error_example_is_classified() {
    let mut examples = 0;
    for provider in providers() {
        for example in &provider.examples {
            let Some(cause) = example.cause else { continue };
            let plan = plan(&provider, example);
            let (bytes, socket) = bytes_of(example);
            let (status, parts) = if example.status >= 400 {
                (Some(example.status), error_parts(&plan, &headers(example), &bytes))
            } else {
                (None, read(&plan, example, &[&bytes], socket).error.unwrap_or_default())
            };
            let (found, _) = provider.classify(status, &parts);
            assert_eq!(found, cause, "{}: {} ({parts:?})", provider.id, example.name);
            assert!(found != Cause::Unknown, "{}: {}", provider.id, example.name);
            examples += 1;
        }
    }
    assert!(examples > 20, "{examples} examples");
}
