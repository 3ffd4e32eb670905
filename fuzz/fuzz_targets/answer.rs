//! A provider's answer, cut into pieces: the reader never panics and changes no byte that it should not.
#![no_main]

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, header};
use keyward_domain::provider::Provider;
use keyward_gateway::{
    inspect::Facts,
    meter::{Meter, Reading},
    tables::OperationPlan,
};
use libfuzzer_sys::fuzz_target;
use std::sync::{Arc, LazyLock};

static PLANS: LazyLock<Vec<OperationPlan>> = LazyLock::new(|| {
    let catalogue = keyward_catalogue::Catalogue::embedded().expect("the embedded catalogue is sound");
    let plan = |provider: &Arc<Provider>| {
        let mut metered = provider.operations.iter().filter(|operation| operation.usage.is_some());
        metered.next().map(|operation| OperationPlan::new(provider, operation))
    };
    catalogue.providers().iter().filter_map(plan).collect()
});

const KINDS: [&str; 4] =
    ["text/event-stream", "application/json", "application/x-ndjson", "application/vnd.amazon.eventstream"];

fn run(plan: &OperationPlan, kind: &'static str, pieces: &[&[u8]], strip: bool) -> (Vec<u8>, Reading) {
    let mut headers = HeaderMap::new();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    let facts = Facts { strip_usage: strip, ..Facts::default() };
    let mut meter = Meter::new(plan, 200, &headers, &facts);
    let mut out = Vec::new();
    for piece in pieces {
        out.extend(meter.feed(Bytes::copy_from_slice(piece)).unwrap_or_default());
    }
    out.extend(meter.flush().unwrap_or_default());
    (out, meter.finish(true))
}

fuzz_target!(|data: &[u8]| {
    let [which, kind, cut, body @ ..] = data else { return };
    let Some(plan) = PLANS.get(usize::from(*which) % PLANS.len()) else { return };
    let kind = KINDS[usize::from(*kind) % KINDS.len()];
    let (first, second) = body.split_at(usize::from(*cut).min(body.len()));
    for pieces in [&[body][..], &[first, second]] {
        let (out, _) = run(plan, kind, pieces, false);
        assert_eq!(out, body, "what passes is not changed");
        let (stripped, _) = run(plan, kind, pieces, true);
        assert!(stripped.len() <= body.len());
    }
});
