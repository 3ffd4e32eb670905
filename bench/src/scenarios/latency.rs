//! The time that a call takes longer than without a gateway.

use crate::{
    awake::Awake,
    call,
    house::{DIRECT, House, KEYWARD, PROXY},
    report::Section,
    rounds::{self, Turn},
    single,
};
use anyhow::Result;

/// One connection, one call at a time.
pub fn one(house: &House<'_>, report: &mut Section<'_>) -> Result<()> {
    let pair = house.pair("c1", None)?;
    let targets = house.targets(&pair, &call::body(false, 0));
    let awake = Awake::start();
    report.note("processors kept awake", awake.count() as f64, "");
    // Short turns and more of them: what is compared are differences of microseconds.
    let rounds = rounds::take(&targets, house.options.rounds * 3, house.options.time() / 3, single::run)?;
    // The targets in microseconds come from a machine on which the bare proxy adds 20 and 31; how much that is on this
    // one shows beside it, and the ratio holds on any.
    let figures: [(&str, f64, f64, fn(&Turn) -> f64); 2] =
        [("median", 40.0, 40.0 / 20.0, |turn| turn.seen.p50_us), ("p99", 80.0, 80.0 / 31.0, |turn| turn.seen.p99_us)];
    for (name, target, ratio, of) in figures {
        report.note(&format!("{name}, direct"), rounds.of(DIRECT, of), "µs");
        report.note(&format!("{name}, proxy"), rounds.of(PROXY, of), "µs");
        report.note(&format!("{name}, keyward"), rounds.of(KEYWARD, of), "µs");
        report.note(&format!("added {name}, proxy"), rounds.added(PROXY, DIRECT, of), "µs");
        report.at_most(&format!("added {name}, keyward"), rounds.added(KEYWARD, DIRECT, of), target, "µs");
        let times = rounds.added_ratio([KEYWARD, PROXY], DIRECT, of);
        report.at_most(&format!("added {name} ÷ proxy's"), times, ratio, "×");
    }
    Ok(())
}
