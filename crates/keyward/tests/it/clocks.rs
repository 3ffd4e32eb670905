//! Clocks choose the window and nothing else: a server whose clock jumps spends another window's money, never more than
//! there is of it; and where a window ends under load, every call is counted in one window and in one only.

use crate::{
    books::{self, Ledger, Row, Watch},
    spending::{self, BILL, Calls, Kind, Load, Made, Pace, Told},
    world::{PROJECT, World},
};
use keyward_testkit::{Script, Service, clock::Clock, server::Options};
use serde_json::json;
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};
use tempfile::TempDir;

const SECOND: i64 = 1_000;
const HOUR: i64 = 3_600 * SECOND;
const DAY: i64 = 24 * HOUR;
/// The end of summer time in Vienna: 2026-10-25 01:00 UTC, when three o'clock becomes two.
const CHANGE: i64 = 1_792_890_000_000;
/// The day of the change in Vienna: it has 25 hours.
const LONG_DAY: (i64, i64) = (CHANGE - 3 * HOUR, CHANGE + 22 * HOUR);
const KINDS: &[Kind] = &[Kind::Unary, Kind::Stream];
const CALLERS: usize = 4;
const PACE: Pace = Pace { kinds: KINDS, callers: CALLERS, rest: Duration::from_millis(5) };

/// A server that goes by a clock of its own, with a key and its callers.
struct Stage {
    clock: Clock,
    world: World,
    ledger: Ledger,
    calls: Calls,
    key: String,
    _folder: TempDir,
}

impl Stage {
    fn at(time: i64, budgets: &[(serde_json::Value, &str)]) -> Self {
        let (folder, calls, clock) = (TempDir::new().expect("a folder"), Calls::new(), Clock::at(time));
        let options = Options { environment: clock.environment(), ..Options::default() };
        let world = World::with_options(&[Service::OpenAi], spending::priced(folder.path(), options, &calls));
        let ledger = Ledger::of(&world);
        world.credential(Service::OpenAi, "main", Script::default());
        let key = world.key("web", json!({"providers": ["openai"]}));
        for (scope, limit) in budgets {
            let _id = spending::budget(&world, scope.clone(), limit);
        }
        Self { clock, world, ledger, calls, key, _folder: folder }
    }

    fn begin(&self) -> Load {
        Load::begin(&self.world, self.world.server.gateway(), &[&self.key], PACE, &self.calls)
    }

    fn wait_answered(&self, what: &str, count: usize) {
        self.calls.wait_for(what, count, |call| call.told == Told::Answered);
    }

    fn wait_refused(&self, what: &str) {
        self.calls.wait_for(what, 10, is_refused);
    }

    /// Everything is in the ledger, at its bill; gives the calls that have a name.
    fn close(&mut self) -> Vec<Row> {
        let sums = books::balance(&self.world, &self.ledger, &self.calls);
        assert_eq!(sums.lost, 0, "nobody was killed");
        books::assert_rebuilt(&self.world, &self.ledger);
        assert!(self.world.server.stop().success(), "{}", self.world.server.log());
        let rows: Vec<Row> = self.ledger.calls().into_values().flatten().collect();
        assert_eq!(rows.len(), sums.billed);
        assert!(rows.iter().all(|row| row.cost == BILL), "no call was left in the middle");
        rows
    }

    /// What was spent in each window of the budget with this limit, in nano-dollars.
    fn windows(&self, limit: i64) -> BTreeMap<i64, i64> {
        let accounts = self.ledger.accounts();
        accounts.iter().filter(|account| account.limit == limit).map(|account| (account.start, account.spent)).collect()
    }

    /// The id of the budget with this limit.
    fn id(&self, limit: i64) -> String {
        let account = self.ledger.accounts().into_iter().find(|account| account.limit == limit);
        account.expect("the budget was used").budget
    }
}

fn is_refused(made: &Made) -> bool {
    matches!(&made.told, Told::Refused(429, reason, _) if reason == "budget_exhausted")
}

/// Fails unless every call is booked in the window of its moment; so many may have been on their way when the moment
/// changed.
#[track_caller]
fn assert_in_their_windows(rows: &[Row], budget: &str, start: impl Fn(i64) -> i64, on_their_way: usize) {
    let elsewhere: Vec<_> = rows.iter().filter(|row| row.windows.get(budget) != Some(&start(row.at))).collect();
    assert!(elsewhere.len() <= on_their_way, "{} of {}: {elsewhere:?}", elsewhere.len(), rows.len());
}

fn hour(at: i64) -> i64 {
    at - at.rem_euclid(HOUR)
}

#[test]
fn a_clock_that_jumps_under_load_spends_no_window_twice() {
    // An hour pays about forty calls, a day in Vienna four hours.
    let (hourly, daily) = (360_000, 1_440_000);
    let begin = CHANGE - 20 * HOUR + 20 * 60 * SECOND;
    let mut stage = Stage::at(
        begin,
        &[
            (json!({"key": "web"}), "0.00036 USD/hour"),
            (json!({"project": PROJECT, "environment": "production"}), "0.00144 USD/day Europe/Vienna"),
            (json!({"project": PROJECT}), "5 USD/month"),
            (json!({"organisation": true}), "10 USD/total"),
        ],
    );
    let watch = Watch::begin(&stage.ledger);
    let load = stage.begin();
    stage.wait_refused("refusals in the first hour");
    let mut jumps = 0;
    let mut jump = |to: i64| {
        stage.clock.turn_to(to);
        jumps += 1;
    };
    jump(begin + HOUR);
    stage.wait_answered("calls an hour later", 10);
    stage.wait_refused("refusals an hour later");
    jump(begin + DAY);
    stage.wait_answered("calls a day later", 10);
    stage.wait_refused("refusals a day later");
    // Back into hours that are used up: not a call more than what is left of them.
    for to in [begin, begin + HOUR] {
        jump(to);
        stage.wait_refused("refusals where all was spent before");
    }
    // Back beyond the beginning, and beyond the day's.
    jump(begin - DAY);
    stage.wait_answered("calls a day before", 10);
    stage.wait_refused("refusals a day before");
    jump(begin + 3 * HOUR);
    stage.wait_answered("calls after all that", 10);
    load.end();
    let looks = watch.end();
    let rows = stage.close();

    let hours = stage.windows(hourly);
    let expected = [begin - DAY, begin, begin + HOUR, begin + 3 * HOUR, begin + DAY].map(hour);
    assert_eq!(hours.keys().copied().collect::<BTreeSet<_>>(), expected.into(), "{hours:?}");
    let days = stage.windows(daily);
    let midnight = LONG_DAY.0;
    assert_eq!(days.keys().copied().collect::<Vec<_>>(), [midnight - 2 * DAY, midnight - DAY, midnight], "{days:?}");
    for (windows, limit) in [(&hours, hourly), (&days, daily)] {
        assert!(windows.values().all(|spent| *spent <= limit), "{windows:?} of {limit}");
        assert_eq!(windows.values().sum::<i64>(), i64::try_from(rows.len()).unwrap_or(0) * BILL, "{windows:?}");
    }
    let whole = hours.values().filter(|spent| **spent * 100 >= hourly * 90).count();
    assert!(whole >= 4, "what a window has can be spent: {hours:?}");
    assert_in_their_windows(&rows, &stage.id(hourly), hour, CALLERS * jumps);
    println!("{} calls billed, {jumps} jumps, {looks} looks, {hours:?}", rows.len());
}

#[test]
fn where_windows_end_under_load_no_call_is_counted_twice_or_not_at_all() {
    // Large enough for everything: only where calls are counted is looked at.
    let (hourly, daily) = (1_000_000_000, 2_000_000_000);
    let mut stage = Stage::at(
        CHANGE - 30 * 60 * SECOND,
        &[
            (json!({"key": "web"}), "1 USD/hour"),
            (json!({"project": PROJECT}), "2 USD/day Europe/Vienna"),
            (json!({"organisation": true}), "3 USD/rolling 1h"),
        ],
    );
    let watch = Watch::begin(&stage.ledger);
    let load = stage.begin();
    stage.wait_answered("calls before the change", 40);
    // The last moments of the hour in which the clocks are put back, and of the day that is an hour longer for it: from
    // there the clock goes on by itself.
    for end in [CHANGE, LONG_DAY.1] {
        stage.clock.turn_to(end - 10);
        stage.wait_answered("calls in the next window", 60);
    }
    load.end();
    let looks = watch.end();
    let rows = stage.close();

    let hours = stage.windows(hourly);
    assert!([CHANGE - HOUR, CHANGE, LONG_DAY.1].iter().all(|start| hours.contains_key(start)), "{hours:?}");
    let days = stage.windows(daily);
    assert_eq!(days.keys().copied().collect::<Vec<_>>(), [LONG_DAY.0, LONG_DAY.1], "{days:?}");
    let billed = i64::try_from(rows.len()).unwrap_or(0) * BILL;
    for windows in [&hours, &days, &stage.windows(3_000_000_000)] {
        assert_eq!(windows.values().sum::<i64>(), billed, "{windows:?}");
    }
    assert_in_their_windows(&rows, &stage.id(hourly), hour, CALLERS * 4);
    let day = |at| if at < LONG_DAY.1 { LONG_DAY.0 } else { LONG_DAY.1 };
    assert_in_their_windows(&rows, &stage.id(daily), day, CALLERS * 2);
    println!("{} calls billed, {looks} looks, {hours:?}, {days:?}", rows.len());
}
