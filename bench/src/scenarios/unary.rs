//! Unary calls as fast as they go.

use crate::{
    call,
    house::{DIRECT, House, KEYWARD, PROXY, Pair},
    load::Load,
    report::Section,
    rounds::{self, Rounds, Turn},
};
use anyhow::{Context, Result};

/// 64 connections.
pub fn c64(house: &House<'_>, report: &mut Section<'_>) -> Result<()> {
    let rounds = take(house, &house.pair("c64", None)?, 64, 0)?;
    notes(&rounds, report);
    report.at_most("CPU per call ÷ proxy", rounds.ratio(KEYWARD, PROXY, cpu), 1.5, "×");
    report.at_least("calls/s ÷ proxy", rounds.ratio(KEYWARD, PROXY, rate), 0.80, "×");
    Ok(())
}

/// 256 connections.
pub fn c256(house: &House<'_>, report: &mut Section<'_>) -> Result<()> {
    let pair = house.pair("c256", None)?;
    let rounds = take(house, &pair, 256, 0)?;
    notes(&rounds, report);
    report.note("CPU per call ÷ proxy", rounds.ratio(KEYWARD, PROXY, cpu), "×");
    report.at_least("calls/s ÷ proxy", rounds.ratio(KEYWARD, PROXY, rate), 0.85, "×");
    report.at_most("resident memory, peak", pair.keyward.process.memory("VmHWM")?, 50.0, "MiB");
    Ok(())
}

/// 64 connections, prompts of 64 KB.
pub fn prompts(house: &House<'_>, report: &mut Section<'_>) -> Result<()> {
    let pair = house.pair("64k", None)?;
    let rounds = take(house, &pair, 64, 64 << 10)?;
    notes(&rounds, report);
    report.note("CPU per call ÷ proxy", rounds.ratio(KEYWARD, PROXY, cpu), "×");
    report.note("calls/s ÷ proxy", rounds.ratio(KEYWARD, PROXY, rate), "×");
    report.note("resident memory, peak", pair.keyward.process.memory("VmHWM")?, "MiB");
    Ok(())
}

fn take(house: &House<'_>, pair: &Pair, connections: usize, prompt: usize) -> Result<Rounds> {
    let load = Load::new()?;
    let targets = house.targets(pair, &call::body(false, prompt));
    rounds::take(&targets, house.options.rounds, house.options.time(), |call, time| load.run(call, connections, time))
        .with_context(|| pair.keyward.log())
}

fn cpu(turn: &Turn) -> f64 {
    turn.cpu_us
}

fn rate(turn: &Turn) -> f64 {
    turn.seen.rate
}

/// What the ratios come from.
pub fn notes(rounds: &Rounds, report: &mut Section<'_>) {
    report.note("calls/s, direct", rounds.of(DIRECT, rate), "");
    report.note("calls/s, proxy", rounds.of(PROXY, rate), "");
    report.note("calls/s, keyward", rounds.of(KEYWARD, rate), "");
    report.note("p99, proxy", rounds.of(PROXY, |turn| turn.seen.p99_us / 1e3), "ms");
    report.note("p99, keyward", rounds.of(KEYWARD, |turn| turn.seen.p99_us / 1e3), "ms");
    report.note("CPU per call, load generator", rounds.of(DIRECT, |turn| turn.client_us), "µs");
    report.note("CPU per call, proxy", rounds.of(PROXY, cpu), "µs");
    report.note("CPU per call, keyward", rounds.of(KEYWARD, cpu), "µs");
}
