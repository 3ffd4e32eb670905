//! `kill -9` at random instants under load, again and again: what the provider billed is in the ledger once, or a hold
//! was charged for it, and no budget ever stands above its limit.

use crate::{
    books::{Biller, Entry, Manner},
    figure::Figure,
    house::House,
    keyward::Keyward,
    load::Load,
    report::Section,
    spend::{self, Kind, Seen, Spender, Until},
};
use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;
use std::{
    collections::BTreeMap,
    path::Path,
    process::Command,
    time::{Duration, SystemTime},
};

const CLIENTS: usize = 8;
const TOKENS: u64 = 30;
/// The budget of a key, in dollars. When it is used up, the next round has another key.
const BUDGET: &str = "0.1";
/// The latest instant of a kill, after the load has begun.
const LATEST: u64 = 400;
/// How the names of calls begin.
const ROUND: &str = "round-";
/// What one crash may make unusable, as a share of a budget.
const UNUSABLE: f64 = 1.0;

/// A key, and what was done to it.
struct Purse {
    name: String,
    key: String,
    crashes: usize,
}

/// The rounds, and what they come to.
pub fn all(house: &House<'_>, report: &mut Section<'_>) -> Result<()> {
    let biller = Biller::start()?;
    biller.reset(Manner { tokens: TOKENS, latency_us: 3_000, pace_us: 200, ignore_caps: false })?;
    let (mut keyward, data) = house.apart("crash", biller.address)?;
    let load = Load::new()?;
    let mut random = Random::new();
    report.note("seed", random.0 as f64, "");
    let (mut purses, mut above, mut starts): (Vec<Purse>, usize, Vec<f64>) = (Vec::new(), 0, Vec::new());
    let mut is_empty = true;
    for round in 0..house.options.crashes {
        if is_empty {
            let name = format!("crash-{round}");
            let key = keyward.key(&name, &format!("{BUDGET} USD/total"))?;
            purses.push(Purse { name, key, crashes: 0 });
        }
        let purse = purses.last_mut().context("a purse was just made")?;
        purse.crashes += 1;
        let spender = Spender {
            address: keyward.gateway,
            path: crate::house::PATH_GATEWAY,
            key: purse.key.clone(),
            kinds: [Kind::Unary, Kind::Stream, Kind::Unary].into(),
            cap: Some(TOKENS),
            name: format!("{ROUND}{round}"),
        };
        let seen = crash(&load, keyward, &spender, Duration::from_millis(random.next() % LATEST))?;
        is_empty = seen.count("4") > 0;
        keyward = Keyward::start(&house.options.binary, &data, &[])?;
        starts.push(keyward.start.as_secs_f64());
        let standing = keyward.standing(&purse.name)?;
        above += usize::from(standing.spent + standing.leased > standing.limit);
    }
    let books = biller.books()?;
    report.note("crashes", house.options.crashes as f64, "");
    report.note("calls that the provider billed", books.len() as f64, "");
    report.note("start after a crash", Figure::median(starts), "s");
    report.at_most("instants with spent + leased above the limit", above as f64, 0.0, "");
    money(&keyward, &purses, &books, report)?;
    drop(keyward);
    ledger(&data, &books, report)
}

/// Load, and the kill in the middle of it.
fn crash(load: &Load, keyward: Keyward, spender: &Spender, after: Duration) -> Result<Seen> {
    let until = Until { failures: 4 * CLIENTS, calls: 100_000, time: Duration::from_secs(10) };
    std::thread::scope(|scope| {
        let clients = scope.spawn(|| spend::run(load.runtime(), spender, CLIENTS, until));
        std::thread::sleep(after);
        keyward.process.kill()?;
        clients.join().map_err(|_| anyhow::anyhow!("the clients panicked"))?
    })
}

/// What every purse came to, by the provider's books and by the ledger.
fn money(keyward: &Keyward, purses: &[Purse], books: &[Entry], report: &mut Section<'_>) -> Result<()> {
    let (mut over, mut short, mut unusable) = (0, 0, Vec::new());
    let mut rounds = 0;
    for purse in purses {
        let standing = keyward.settled_standing(&purse.name)?;
        let of = rounds..rounds + purse.crashes;
        rounds = of.end;
        let calls = books.iter().filter(|entry| round(entry).is_some_and(|round| of.contains(&round)));
        let (sent, full) = calls.fold((0, 0), |sum, entry| (sum.0 + entry.sent, sum.1 + entry.full));
        over += usize::from(full > standing.limit || standing.spent + standing.leased > standing.limit);
        short += usize::from(standing.spent < sent);
        let lost = standing.spent as f64 - full as f64;
        unusable.push(100.0 * lost / standing.limit as f64 / purse.crashes as f64);
    }
    report.note("budgets", purses.len() as f64, "");
    report.at_most("budgets above their limit at the end", f64::from(u32::try_from(over)?), 0.0, "");
    report.at_most("budgets charged less than was billed", f64::from(u32::try_from(short)?), 0.0, "");
    let worst = unusable.iter().copied().fold(f64::MIN, f64::max);
    report.note("unusable after a crash, median of the budgets", Figure::median(unusable), "%");
    report.at_most("unusable after a crash, worst budget", worst, UNUSABLE, "%");
    Ok(())
}

fn round(entry: &Entry) -> Option<usize> {
    entry.name.strip_prefix(ROUND)?.split('-').next()?.parse().ok()
}

/// Every call that was billed, in the ledger. The row of a call that was lost has no name: there may be no more
/// billed calls without a row than such rows.
fn ledger(data: &Path, books: &[Entry], report: &mut Section<'_>) -> Result<()> {
    let tables =
        query(data, "select name from sqlite_master where type = 'table' and name like 'usage\\_raw\\_%' escape '\\'")?;
    let mut rows: BTreeMap<String, usize> = BTreeMap::new();
    for table in &tables {
        let name = table["name"].as_str().context("a table's name")?;
        for row in query(data, &format!("select hex(detail) as detail from {name}"))? {
            *rows.entry(named(row["detail"].as_str().unwrap_or_default())).or_default() += 1;
        }
    }
    let lost = rows.remove("").unwrap_or(0);
    let twice = rows.values().filter(|count| **count > 1).count();
    let missing = books.iter().filter(|entry| !rows.contains_key(&entry.name)).count();
    report.at_most("calls that are in the ledger twice", twice as f64, 0.0, "");
    report.note("calls that were charged as lost", lost as f64, "");
    report.note("billed calls of which the ledger knows no name", missing as f64, "");
    report.at_most("billed calls without any row", missing.saturating_sub(lost) as f64, 0.0, "");
    Ok(())
}

/// The name that a call's client gave itself, out of the value that holds the call's particulars: texts stand in it as they
/// are, behind their length. Empty when there is none.
fn named(hex: &str) -> String {
    let byte = |at: usize| hex.get(at..at + 2).and_then(|pair| u8::from_str_radix(pair, 16).ok());
    let bytes: Vec<u8> = (0..hex.len()).step_by(2).map_while(byte).collect();
    let begins = bytes.windows(ROUND.len()).position(|part| part == ROUND.as_bytes());
    let name = begins.and_then(|at| bytes.get(at..at + usize::from(*bytes.get(at.checked_sub(1)?)?)));
    name.map(|name| String::from_utf8_lossy(name).into_owned()).unwrap_or_default()
}

/// Asks the database file itself, through the program that the tests use too.
fn query(data: &Path, statement: &str) -> Result<Vec<Value>> {
    let output =
        Command::new("sqlite3").arg("-readonly").arg("-json").arg(data.join("keyward.db")).arg(statement).output();
    let output = output.context("the scenario needs the program sqlite3")?;
    ensure!(output.status.success(), "sqlite3: {}", String::from_utf8_lossy(&output.stderr));
    if output.stdout.is_empty() {
        return Ok(Vec::new());
    }
    match serde_json::from_slice(&output.stdout)? {
        Value::Array(rows) => Ok(rows),
        other => bail!("sqlite3 answered {other}"),
    }
}

/// A small generator (xorshift): only instants are drawn from it.
struct Random(u64);

impl Random {
    fn new() -> Self {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        Self(u64::from(now.subsec_nanos()) | 1)
    }

    const fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_belong_to_their_rounds() {
        let entry = |name: &str| Entry { name: name.to_owned(), sent: 0, full: 0 };
        assert_eq!(round(&entry("round-17-3")), Some(17));
        assert_eq!(round(&entry("probe-3")), None);
    }

    #[test]
    fn a_call_is_known_by_its_name() {
        let hex: String = b"\x01\x07\x0bround-4-123\x05other".iter().map(|byte| format!("{byte:02X}")).collect();
        assert_eq!(named(&hex), "round-4-123");
        assert_eq!((named("0107"), named("zz"), named("726F756E642D")), (String::new(), String::new(), String::new()));
    }

    #[test]
    fn draws_differ() {
        let mut random = Random(1);
        let draws: Vec<u64> = (0..4).map(|_| random.next() % LATEST).collect();
        assert!(draws.windows(2).any(|pair| pair[0] != pair[1]), "{draws:?}");
    }
}
