//! What budgets and shared rates cost a call. They are on and are never reached.

use crate::{
    awake::Awake,
    call,
    house::{House, KEYWARD, PROXY},
    keyward,
    load::Load,
    report::Section,
    rounds::{self, Turn},
    single,
};
use anyhow::{Context, Result};

/// The place of the Keyward with budgets, behind those of [`House::targets`].
const WITH: usize = 3;
/// "Within 5 %".
const SLOWER: f64 = 0.95;
const DEARER: f64 = 1.05;
/// What two runs of the same server differ by, in microseconds.
const NOISE: f64 = 4.0;

/// With three nested budgets and three rates, and without, in turn.
pub fn nested(house: &House<'_>, report: &mut Section<'_>) -> Result<()> {
    let body = call::body(false, 0);
    let pair = house.pair("budgets-without", None)?;
    let with = house.keyward("budgets-with", &[])?;
    with.bind()?;
    let mut targets = Vec::from(house.targets(&pair, &body));
    targets.push(House::target("budgets", &with, house.call(&with, &body)));
    let options = house.options;
    let load = Load::new()?;
    let many = rounds::take(&targets, options.rounds, options.time(), |call, time| load.run(call, 64, time))
        .with_context(|| with.log())?;
    let figures: [(&str, fn(&Turn) -> f64); 2] =
        [("CPU per call", |turn| turn.cpu_us), ("calls/s", |turn| turn.seen.rate)];
    for (name, of) in figures {
        report.note(&format!("c64: {name}, without budgets"), many.of(KEYWARD, of), "");
        report.note(&format!("c64: {name}, with budgets"), many.of(WITH, of), "");
        report.note(&format!("c64: {name} ÷ proxy, with budgets"), many.ratio(WITH, PROXY, of), "×");
    }
    report.at_most("c64: CPU per call, with ÷ without", many.ratio(WITH, KEYWARD, |turn| turn.cpu_us), DEARER, "×");
    report.at_least("c64: calls/s, with ÷ without", many.ratio(WITH, KEYWARD, |turn| turn.seen.rate), SLOWER, "×");

    targets.remove(0);
    let awake = Awake::start();
    let one = rounds::take(&targets, options.rounds * 3, options.time() / 3, single::run)?;
    drop(awake);
    let (proxy, without, with) = (PROXY - 1, KEYWARD - 1, WITH - 1);
    report.note("c1: added median, without budgets", one.added(without, proxy, |turn| turn.seen.p50_us), "µs");
    report.note("c1: added median, with budgets", one.added(with, proxy, |turn| turn.seen.p50_us), "µs");
    report.at_most("c1: median, with − without", one.added(with, without, |turn| turn.seen.p50_us), NOISE, "µs");
    report.note("c1: p99, with − without", one.added(with, without, |turn| turn.seen.p99_us), "µs");
    Ok(())
}

/// Very many connections that all spend from one budget.
pub fn contention(house: &House<'_>, report: &mut Section<'_>) -> Result<()> {
    let pair = house.pair("contention", None)?;
    pair.keyward.cli(&["budget", "set", "--key", "bench", keyward::AMPLE], "")?;
    let targets = house.targets(&pair, &call::body(false, 0));
    let options = house.options;
    let load = Load::new()?;
    let rounds = rounds::take(&targets, options.rounds, options.time(), |call, time| load.run(call, 512, time))
        .with_context(|| pair.keyward.log())?;
    super::unary::notes(&rounds, report);
    report.at_least("calls/s ÷ proxy", rounds.ratio(KEYWARD, PROXY, |turn| turn.seen.rate), 0.70, "×");
    Ok(())
}
