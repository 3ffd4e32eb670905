//! How far past a budget does a key get? Clients of several kinds spend until everything is refused; then one client
//! asks until everything is refused again, with nothing else in flight; then the provider's books are priced, both if
//! it stops billing when a connection closes and if it does not.

use crate::{
    books::{Biller, Manner, sums},
    house::{House, PATH_GATEWAY},
    keyward::Keyward,
    load::Load,
    report::Section,
    spend::{Kind, Spender, Until},
};
use anyhow::{Context, Result};
use std::time::Duration;

/// What the provider generates for a call that sets no cap, and the cap of calls that do.
const TOKENS: u64 = 100;
pub(super) const HANG_UP: Kind = Kind::HangUp(33);
/// Four answers as a whole, four streams, two streams that are left in the middle.
const MIXED: &[Kind] = &[
    Kind::Unary,
    Kind::Stream,
    Kind::Unary,
    Kind::Stream,
    HANG_UP,
    Kind::Unary,
    Kind::Stream,
    Kind::Unary,
    Kind::Stream,
    HANG_UP,
];
/// One run may take so long, and make so many calls.
const LONGEST: Duration = Duration::from_secs(60);
const MOST: usize = 20_000;
/// A budget that holds so many calls must be used to this share before everything is refused.
const USED: f64 = 95.0;

/// So much of it may be charged without a bill, while the provider answers.
const DOUBT: f64 = 5.0;

/// One run.
pub(super) struct Run {
    pub(super) name: &'static str,
    pub(super) clients: usize,
    /// In dollars.
    pub(super) budget: &'static str,
    pub(super) kinds: &'static [Kind],
    /// Whether clients set a cap.
    pub(super) capped: bool,
    /// Whether the provider ignores caps. Then nothing is promised but that it is seen, and cut where it can be.
    pub(super) ignored: bool,
}

/// What a run came to.
pub(super) struct Spent {
    /// What the provider billed if it stops when a connection closes, in nano-dollars.
    pub(super) sent: u64,
    /// And if it does not.
    pub(super) full: u64,
    /// Calls that were answered.
    pub(super) answered: usize,
    /// Those of them when nothing else ran.
    alone: usize,
    /// What clients saw.
    pub(super) words: String,
}

impl Run {
    /// Its clients, without address and key.
    pub(super) fn spender(&self) -> Spender {
        Spender {
            address: ([127, 0, 0, 1], 0).into(),
            path: PATH_GATEWAY,
            key: String::new(),
            kinds: self.kinds.into(),
            cap: self.capped.then_some(TOKENS),
            name: "burst".to_owned(),
        }
    }

    /// Its budget, in nano-dollars.
    pub(super) fn limit(&self) -> f64 {
        self.budget.parse::<f64>().unwrap_or(f64::NAN) * 1e9
    }
}

pub(super) const fn run(name: &'static str, clients: usize, budget: &'static str) -> Run {
    Run { name, clients, budget, kinds: MIXED, capped: true, ignored: false }
}

const RUNS: &[Run] = &[
    run("1 client, $0.02", 1, "0.02"),
    run("64 clients, $0.002", 64, "0.002"),
    run("64 clients, $0.02", 64, "0.02"),
    run("64 clients, $0.2", 64, "0.2"),
    run("512 clients, $0.02", 512, "0.02"),
    run("512 clients, $0.2", 512, "0.2"),
    Run { capped: false, ..run("64, $0.02, no caps", 64, "0.02") },
    Run { capped: false, ..run("1, $0.02, no caps", 1, "0.02") },
    Run { kinds: &[HANG_UP], ..run("64, $0.02, hang-ups", 64, "0.02") },
    Run { kinds: &[HANG_UP], capped: false, ..run("64, $0.02, hang-ups, no caps", 64, "0.02") },
    Run { kinds: &[HANG_UP], ..run("512, $0.2, hang-ups", 512, "0.2") },
    Run { capped: false, ..run("1, $0.002, no caps", 1, "0.002") },
    Run { ignored: true, ..run("64, $0.02, caps ignored", 64, "0.02") },
];

/// All runs, each with a key and a budget of its own.
pub fn all(house: &House<'_>, report: &mut Section<'_>) -> Result<()> {
    let biller = Biller::start()?;
    let (keyward, _) = house.apart("overspend", biller.address)?;
    let load = Load::new()?;
    for (number, run) in RUNS.iter().enumerate() {
        one(&keyward, &biller, &load, (number, run), report)
            .with_context(|| format!("{}\n{}", run.name, keyward.log()))?;
    }
    Ok(())
}

fn one(
    keyward: &Keyward,
    biller: &Biller,
    load: &Load,
    (number, run): (usize, &Run),
    report: &mut Section<'_>,
) -> Result<()> {
    let key = format!("overspend-{number}");
    let spender = Spender {
        address: keyward.gateway,
        key: keyward.key(&key, &format!("{} USD/total", run.budget))?,
        ..run.spender()
    };
    let Spent { sent, full, answered, alone, words } = spend(biller, load, run, spender)?;
    let standing = keyward.settled_standing(&key)?;
    let limit = standing.limit as f64;
    let over = |billed: u64| 100.0 * (billed as f64 - limit) / limit;
    let label = |what: &str| format!("{}: {what}", run.name);
    if run.ignored {
        report.note(&label("over, sent"), over(sent), "%");
        report.note(&label("over, full"), over(full), "%");
    } else {
        report.at_most(&label("over, sent"), over(sent), 0.0, "%");
        report.at_most(&label("over, full"), over(full), 0.0, "%");
    }
    let used = 100.0 * standing.spent as f64 / limit;
    report.at_least(&label("used when all is refused"), used, USED, "%");
    let doubt = 100.0 * (standing.spent as f64 - full as f64) / limit;
    if run.ignored {
        report.note(&label("charged in doubt"), doubt, "%");
    } else {
        report.at_most(&label("charged in doubt"), doubt, DOUBT, "%");
    }
    report.note(&label("calls answered"), answered as f64, "");
    report.note(&label("  of them when nothing else ran"), alone as f64, "");
    println!("  {words}");
    Ok(())
}

/// Spends with all clients until everything is refused, then with one alone.
pub(super) fn spend(biller: &Biller, load: &Load, run: &Run, mut spender: Spender) -> Result<Spent> {
    biller.reset(Manner {
        tokens: if run.ignored { TOKENS * 3 } else { TOKENS },
        latency_us: 20_000,
        pace_us: 500,
        ignore_caps: run.ignored,
    })?;
    let until = |failures| Until { failures, calls: MOST, time: LONGEST };
    let burst = crate::spend::run(load.runtime(), &spender, run.clients, until(4 * run.clients.max(5)))?;
    // Streams that were left may still be read to their end by the gateway.
    biller.books()?;
    std::thread::sleep(Duration::from_millis(500));
    spender.name = "probe".to_owned();
    let probe = crate::spend::run(load.runtime(), &spender, 1, until(20))?;
    let (sent, full) = sums(&biller.books()?);
    Ok(Spent {
        sent,
        full,
        answered: burst.count("200") + probe.count("200"),
        alone: probe.count("200"),
        words: format!("burst: {}; probe: {}", burst.words(), probe.words()),
    })
}
