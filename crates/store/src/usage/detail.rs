//! What a call's row holds besides what statements ask for: one value, written once and read whole. As columns it would
//! cost more than all the rest of collecting.

use keyward_domain::{
    Money,
    usage::{Buckets, CostBasis, Outcome, Units, Usage, UsageEvent},
};
use serde::{Deserialize, Serialize};
use std::{net::IpAddr, sync::Arc};

/// The form of what follows the first byte, which says it. INVARIANT: forms are never changed, only added.
const FORM: u8 = 1;

/// INVARIANT: the order is stored; add at the end only.
const BASES: [CostBasis; 6] = [
    CostBasis::Priced,
    CostBasis::Provider,
    CostBasis::Estimated,
    CostBasis::Free,
    CostBasis::Unpriced,
    CostBasis::Incomplete,
];
/// INVARIANT: the order is stored; add at the end only.
const OUTCOMES: [Outcome; 6] = [
    Outcome::Completed,
    Outcome::ProviderError,
    Outcome::ClientGone,
    Outcome::UpstreamLost,
    Outcome::Cut,
    Outcome::Lost,
];

/// The first form. Numbers are short when they are small, so that what a call does not have takes a byte.
#[derive(Serialize, Deserialize)]
struct First<'a> {
    tokens: [u64; 10],
    /// Empty when all are zero, as they nearly always are.
    units: Vec<u64>,
    basis: u8,
    outcome: u8,
    status: u16,
    secret_slot: u8,
    first_byte_us: u64,
    total_us: u64,
    provider_cost: Option<i64>,
    held: Option<i64>,
    client: IpAddr,
    price_version: &'a str,
    user_agent: &'a str,
    upstream_id: &'a str,
    /// The model that answered: empty when it is the one asked for.
    answered: Option<&'a str>,
    tier: Option<&'a str>,
    region: Option<&'a str>,
}

/// A call as far as its row's value tells.
pub(super) struct Detail {
    pub(super) usage: Usage,
    pub(super) basis: CostBasis,
    pub(super) outcome: Outcome,
    pub(super) status: u16,
    pub(super) secret_slot: u8,
    pub(super) first_byte_us: u64,
    pub(super) total_us: u64,
    pub(super) held: Option<Money>,
    pub(super) client: IpAddr,
    pub(super) price_version: Arc<str>,
    pub(super) user_agent: Arc<str>,
    pub(super) upstream_id: Arc<str>,
}

/// The value of an event.
pub(super) fn encode(event: &UsageEvent) -> Vec<u8> {
    let usage = &event.usage;
    // Nearly every provider answers with the model that was asked for: that is stored as nothing at all.
    let answered = usage.model.as_deref().map(|model| if *model == *event.model { "" } else { model });
    let first = First {
        tokens: tokens(&usage.buckets),
        units: units(&usage.units),
        basis: place(&BASES, &event.basis),
        outcome: place(&OUTCOMES, &event.outcome),
        status: event.status,
        secret_slot: event.secret_slot,
        first_byte_us: event.first_byte_us,
        total_us: event.total_us,
        provider_cost: usage.provider_cost.map(Money::nano),
        held: event.held.map(Money::nano),
        client: event.client,
        price_version: &event.price_version,
        user_agent: &event.user_agent,
        upstream_id: &event.upstream_id,
        answered,
        tier: usage.tier.as_deref(),
        region: usage.region.as_deref(),
    };
    // HOT: room for most of them at once.
    let mut value = Vec::with_capacity(160);
    value.push(FORM);
    // A struct of numbers and texts always has a form, and memory has room for it.
    postcard::to_extend(&first, value).unwrap_or_default()
}

/// Reads a value back; `model` is what was asked for. `None` when it is damaged or of a form of a later version.
pub(super) fn decode(value: &[u8], model: &str) -> Option<Detail> {
    let (&FORM, rest) = value.split_first()? else { return None };
    let (first, rest): (First<'_>, _) = postcard::take_from_bytes(rest).ok()?;
    if !rest.is_empty() {
        return None;
    }
    let boxed = |text: Option<&str>| text.map(Box::from);
    Some(Detail {
        usage: Usage {
            buckets: buckets(first.tokens),
            units: of_units(&first.units)?,
            provider_cost: first.provider_cost.map(Money::from_nano),
            tier: boxed(first.tier),
            model: first.answered.map(|answered| if answered.is_empty() { model } else { answered }.into()),
            region: boxed(first.region),
        },
        basis: *BASES.get(usize::from(first.basis))?,
        outcome: *OUTCOMES.get(usize::from(first.outcome))?,
        status: first.status,
        secret_slot: first.secret_slot,
        first_byte_us: first.first_byte_us,
        total_us: first.total_us,
        held: first.held.map(Money::from_nano),
        client: first.client,
        price_version: first.price_version.into(),
        user_agent: first.user_agent.into(),
        upstream_id: first.upstream_id.into(),
    })
}

const fn tokens(buckets: &Buckets) -> [u64; 10] {
    let Buckets {
        input,
        cache_read,
        cache_write,
        cache_write_long,
        output,
        reasoning,
        audio_input,
        audio_output,
        image_input,
        image_output,
    } = *buckets;
    [
        input,
        cache_read,
        cache_write,
        cache_write_long,
        output,
        reasoning,
        audio_input,
        audio_output,
        image_input,
        image_output,
    ]
}

const fn buckets(tokens: [u64; 10]) -> Buckets {
    let [
        input,
        cache_read,
        cache_write,
        cache_write_long,
        output,
        reasoning,
        audio_input,
        audio_output,
        image_input,
        image_output,
    ] = tokens;
    Buckets {
        input,
        cache_read,
        cache_write,
        cache_write_long,
        output,
        reasoning,
        audio_input,
        audio_output,
        image_input,
        image_output,
    }
}

fn units(units: &Units) -> Vec<u64> {
    let Units { searches, millis, characters, images, pages, preview_searches, file_searches, code_runs } = *units;
    let all = [searches, millis, characters, images, pages, preview_searches, file_searches, code_runs];
    if all == [0; 8] { Vec::new() } else { all.to_vec() }
}

fn of_units(stored: &[u64]) -> Option<Units> {
    if stored.is_empty() {
        return Some(Units::default());
    }
    let [searches, millis, characters, images, pages, preview_searches, file_searches, code_runs] =
        <[u64; 8]>::try_from(stored).ok()?;
    Some(Units { searches, millis, characters, images, pages, preview_searches, file_searches, code_runs })
}

fn place<T: PartialEq>(list: &[T], value: &T) -> u8 {
    list.iter().zip(0..).find(|(one, _)| *one == value).map_or(u8::MAX, |(_, index)| index)
}

#[cfg(test)]
mod tests;
