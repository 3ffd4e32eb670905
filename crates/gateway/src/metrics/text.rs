//! Prometheus text.

use super::{BOUNDS, Counts, Histogram};
use crate::{
    journal::Depth,
    purse::bank::{Bank, KINDS},
};
use keyward_domain::{Money, refusal::Reason};
use std::{fmt::Write, sync::atomic::Ordering};

/// What is not counted under the cells' locks.
pub(super) struct Gauges {
    pub(super) open: i64,
    pub(super) received: u64,
    pub(super) sent: u64,
    pub(super) journal: Depth,
}

pub(super) fn write(counts: &Counts, gauges: &Gauges, bank: &Bank) -> String {
    let mut out = String::with_capacity(8 << 10);
    let mut calls = counts.calls.clone();
    calls.sort_unstable();
    head(
        &mut out,
        "keyward_gateway_calls_total",
        "counter",
        "Calls that were sent to a provider, by the status of the answer.",
    );
    for (provider, classes) in &calls {
        for (class, count) in
            ["none", "1xx", "2xx", "3xx", "4xx", "5xx"].iter().zip(classes).filter(|(_, count)| **count > 0)
        {
            line(
                &mut out,
                format_args!("keyward_gateway_calls_total{{provider=\"{provider}\",status=\"{class}\"}} {count}"),
            );
        }
    }
    head(&mut out, "keyward_gateway_refusals_total", "counter", "Calls that Keyward refused, by reason.");
    for (reason, count) in Reason::ALL.iter().zip(&counts.refusals) {
        line(&mut out, format_args!("keyward_gateway_refusals_total{{reason=\"{}\"}} {count}", reason.code()));
    }
    head(&mut out, "keyward_gateway_tokens_total", "counter", "Tokens of all calls.");
    for (direction, count) in ["input", "output"].iter().zip(counts.tokens) {
        line(&mut out, format_args!("keyward_gateway_tokens_total{{direction=\"{direction}\"}} {count}"));
    }
    head(&mut out, "keyward_gateway_body_bytes_total", "counter", "Bytes of bodies, from clients and to them.");
    for (direction, count) in [("received", gauges.received), ("sent", gauges.sent)] {
        line(&mut out, format_args!("keyward_gateway_body_bytes_total{{direction=\"{direction}\"}} {count}"));
    }
    for (name, help, value) in [
        ("keyward_gateway_open_calls", "Calls that are open now.", gauges.open),
        (
            "keyward_gateway_journal_bytes",
            "Bytes in the journal that the database does not have yet.",
            signed(gauges.journal.bytes),
        ),
        ("keyward_gateway_journal_full", "Whether the journal takes no new calls.", i64::from(gauges.journal.full)),
    ] {
        head(&mut out, name, "gauge", help);
        line(&mut out, format_args!("{name} {value}"));
    }
    money(&mut out, bank);
    histogram(
        &mut out,
        "keyward_gateway_first_byte_seconds",
        "Time to the first byte of the answer.",
        &counts.first_byte,
    );
    histogram(&mut out, "keyward_gateway_call_seconds", "Time to the last byte of the answer.", &counts.total);
    out
}

/// What the budgets are doing here.
fn money(out: &mut String, bank: &Bank) {
    let counts = &bank.counts;
    for (name, help, value) in [
        ("keyward_gateway_holds_total", "Calls for which money was held.", counts.holds.sum()),
        (
            "keyward_gateway_clamped_calls_total",
            "Calls whose output cap was lowered to what a budget could pay.",
            counts.clamped.load(Ordering::Relaxed),
        ),
        (
            "keyward_gateway_underestimates_total",
            "Calls that cost more than was held for them.",
            counts.underestimates.load(Ordering::Relaxed),
        ),
    ] {
        head(out, name, "counter", help);
        line(out, format_args!("{name} {value}"));
    }
    let name = "keyward_gateway_lease_requests_total";
    head(out, name, "counter", "How often this node asked for money, by the answer.");
    for (answer, count) in ["granted", "denied", "unavailable"].iter().zip(&counts.asks) {
        line(out, format_args!("{name}{{answer=\"{answer}\"}} {}", count.load(Ordering::Relaxed)));
    }
    let sums = bank.sums();
    let name = "keyward_gateway_budget_accounts";
    head(out, name, "gauge", "Budgets from which this node spends at the moment.");
    line(out, format_args!("{name} {}", sums.accounts));
    let name = "keyward_gateway_budget_usd";
    head(out, name, "gauge", "Money that is leased to this node, by the kind of budget.");
    for (kind, (free, held)) in KINDS.iter().zip(sums.money) {
        for (state, nano) in [("free", free), ("held", held)] {
            let usd = Money::from_nano(nano);
            line(out, format_args!("{name}{{budget=\"{kind}\",state=\"{state}\"}} {usd}"));
        }
    }
}

fn signed(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

fn head(out: &mut String, name: &str, kind: &str, help: &str) {
    line(out, format_args!("# HELP {name} {help}"));
    line(out, format_args!("# TYPE {name} {kind}"));
}

fn line(out: &mut String, text: std::fmt::Arguments<'_>) {
    // Writing to a string cannot fail.
    let _ = writeln!(out, "{text}");
}

fn histogram(out: &mut String, name: &str, help: &str, histogram: &Histogram) {
    head(out, name, "histogram", help);
    let mut below = 0_u64;
    for (at, count) in histogram.buckets.iter().enumerate() {
        below += count;
        let bound = BOUNDS.get(at).map_or_else(|| "+Inf".to_owned(), |micros| seconds(*micros));
        line(out, format_args!("{name}_bucket{{le=\"{bound}\"}} {below}"));
    }
    line(out, format_args!("{name}_sum {}", seconds(histogram.sum)));
    line(out, format_args!("{name}_count {below}"));
}

/// Microseconds as a decimal number of seconds, without floating point.
fn seconds(micros: u64) -> String {
    let (whole, rest) = (micros / 1_000_000, micros % 1_000_000);
    let text = format!("{whole}.{rest:06}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}
