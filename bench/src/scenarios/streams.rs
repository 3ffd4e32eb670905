//! Streamed answers of 50 chunks.

use crate::{
    call,
    house::{House, KEYWARD, PROXY},
    load::Load,
    report::Section,
    rounds::{self, Rounds},
    scenarios::unary,
};
use anyhow::Result;

const CONNECTIONS: usize = 64;
const CHUNKS: u32 = 50;
/// Microseconds between the chunks of a paced stream.
const PACE: u32 = 10_000;

/// Chunks as fast as they come.
pub fn fast(house: &House<'_>, report: &mut Section<'_>) -> Result<()> {
    let rounds = take(house, "sse", 0, report)?;
    report.at_most("CPU per stream ÷ proxy", rounds.ratio(KEYWARD, PROXY, |turn| turn.cpu_us), 1.0, "×");
    report.at_least("streams/s ÷ proxy", rounds.ratio(KEYWARD, PROXY, |turn| turn.seen.rate), 1.0, "×");
    Ok(())
}

/// Chunks 10 ms apart, as a model writes them.
pub fn paced(house: &House<'_>, report: &mut Section<'_>) -> Result<()> {
    let rounds = take(house, "paced", PACE, report)?;
    report.at_most("CPU per stream ÷ proxy", rounds.ratio(KEYWARD, PROXY, |turn| turn.cpu_us), 1.15, "×");
    Ok(())
}

fn take(house: &House<'_>, name: &str, pace: u32, report: &mut Section<'_>) -> Result<Rounds> {
    let pair = house.pair(name, None)?;
    let mut targets = house.targets(&pair, &call::body(true, 0));
    targets.iter_mut().for_each(|target| target.call.stream = Some((CHUNKS, pace)));
    let load = Load::new()?;
    let time = house.options.time();
    let rounds = rounds::take(&targets, house.options.rounds, time, |call, time| load.run(call, CONNECTIONS, time))?;
    unary::notes(&rounds, report);
    Ok(rounds)
}
