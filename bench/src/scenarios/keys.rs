//! A large installation: how long Keyward takes to start, and whether calls notice.

use crate::{
    awake::Awake,
    call,
    figure::Figure,
    house::House,
    keyward::{Keyward, PROJECT},
    report::Section,
    rounds::{self, Turn},
    single,
};
use anyhow::{Context, Result, ensure};
use std::{path::Path, process::Command, sync::Arc};

const STARTS: usize = 3;
/// "No change" as far as can be told: what two runs with the same number of keys differ by, in microseconds.
const NOISE: f64 = 4.0;

/// With very many keys and with one, in turn.
pub fn many(house: &House<'_>, report: &mut Section<'_>) -> Result<()> {
    compare(house, "keys", None, report)
}

/// The same, with a budget for each of them.
pub fn with_budgets(house: &House<'_>, report: &mut Section<'_>) -> Result<()> {
    compare(house, "purses", Some("1000 USD/month"), report)
}

fn compare(house: &House<'_>, name: &str, budget: Option<&str>, report: &mut Section<'_>) -> Result<()> {
    let binary = &house.options.binary;
    let data = house.data(&format!("{name}-many"))?;
    let keys = seed(binary, &data, house.options.keys, budget)?;
    report.note("virtual keys", house.options.keys as f64, "");
    let database = std::fs::metadata(data.join("keyward.db"))?.len();
    report.note("database", database as f64 / f64::from(1 << 20), "MiB");
    let (mut starts, mut spent) = (Vec::new(), Vec::new());
    for _ in 0..STARTS {
        let keyward = Keyward::start(binary, &data, &[])?;
        starts.push(keyward.start.as_secs_f64());
        spent.push(keyward.process.cpu_us()? / 1e6);
    }
    report.at_most("start, until it says that it is ready", Figure::median(starts), 2.0, "s");
    report.note("start, processor time", Figure::median(spent), "s");
    let (few, many) = (house.keyward(&format!("{name}-few"), &[])?, Keyward::start(binary, &data, &[])?);
    if let Some(budget) = budget {
        few.cli(&["budget", "set", "--key", "bench", budget], "")?;
    }
    report.note("start with one key", few.start.as_secs_f64(), "s");
    for keyward in [&few, &many] {
        keyward.process.settle(std::time::Duration::from_secs(1))?;
    }
    report.note("resident memory", many.process.memory("VmRSS")?, "MiB");
    report.note("resident memory with one key", few.process.memory("VmRSS")?, "MiB");
    let body = call::body(false, 0);
    let (mut one_of_many, mut with_many) = (house.call(&many, &body), house.call(&many, &body));
    one_of_many.tokens = keys.iter().take(1).cloned().collect();
    with_many.tokens = keys;
    let targets = [
        House::target("one key", &few, house.call(&few, &body)),
        House::target("one of many keys", &many, one_of_many),
        House::target("many keys", &many, with_many),
    ];
    let awake = Awake::start();
    let rounds = rounds::take(&targets, house.options.rounds * 3, house.options.time() / 3, single::run)?;
    drop(awake);
    let figures: [(&str, fn(&Turn) -> f64); 2] =
        [("median", |turn| turn.seen.p50_us), ("p99", |turn| turn.seen.p99_us)];
    for (name, of) in figures {
        report.note(&format!("{name} with one key"), rounds.of(0, of), "µs");
        report.note(&format!("{name} with one of many keys"), rounds.of(1, of), "µs");
        report.note(&format!("{name} with many keys, used in turn"), rounds.of(2, of), "µs");
    }
    // The same use of both: what differs is how many keys are loaded. Keys used in turn cost what their statistics do.
    report.at_most("median, one of many keys − one key", rounds.added(1, 0, |turn| turn.seen.p50_us), NOISE, "µs");
    report.note("median, many keys in turn − one key", rounds.added(2, 0, |turn| turn.seen.p50_us), "µs");
    report.note("p99, one of many keys − one key", rounds.added(1, 0, |turn| turn.seen.p99_us), "µs");
    Ok(())
}

/// Fills the folder; gives some of the keys.
fn seed(binary: &Path, data: &Path, count: usize, budget: Option<&str>) -> Result<Arc<[String]>> {
    let program = binary.with_file_name("examples").join("seed");
    let output = Command::new(&program).arg(data).args([PROJECT, &count.to_string()]).args(budget).output();
    let output = output.with_context(|| {
        format!("{}: make it with `cargo build --release -p keyward-control --example seed`", program.display())
    })?;
    ensure!(output.status.success(), "seeding failed: {}", String::from_utf8_lossy(&output.stderr));
    Ok(String::from_utf8(output.stdout)?.lines().map(str::to_owned).collect())
}
