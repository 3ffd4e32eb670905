//! What the database says about money, asked of the database itself; and whether that is what the provider billed.

use crate::{
    spending::{BILL, Calls, Told},
    world::World,
};
use keyward_testkit::{Service, cli::Run, postgres};
use serde_json::Value;
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    thread::JoinHandle,
    time::Duration,
};

/// Outcomes as they are stored.
const COMPLETED: u8 = 0;
const CLIENT_GONE: u8 = 2;
const LOST: u8 = 5;

/// Where the ledger is.
#[derive(Clone)]
pub(crate) enum Ledger {
    /// In a file, which is seen through a program that starts the one that looks.
    File(Vec<String>, PathBuf),
    /// At a server, in the database of this address.
    Postgres(String),
}

/// What `sqlite3` answers, as JSON.
fn sqlite(through: &[String], path: &Path, options: &[&str], sql: &str) -> String {
    let mut words = through.iter().map(String::as_str).chain(["sqlite3"]);
    let mut command = Command::new(words.next().unwrap_or_default());
    command.args(words).args(options).args(["-json", "-cmd", ".timeout 30000"]).arg(path).arg(sql);
    Run::of(command, b"").ok().stdout
}

/// A call in the ledger.
#[derive(Debug, Clone)]
pub(crate) struct Row {
    pub(crate) key: String,
    /// When it was admitted.
    pub(crate) at: i64,
    pub(crate) outcome: u8,
    pub(crate) cost: i64,
    /// When the windows began on whose accounts it is booked, by the budget's id.
    pub(crate) windows: BTreeMap<String, i64>,
}

/// A budget in one window.
#[derive(Debug, Clone)]
pub(crate) struct Account {
    pub(crate) budget: String,
    pub(crate) start: i64,
    pub(crate) spent: i64,
    pub(crate) leased: i64,
    pub(crate) limit: i64,
    pub(crate) key: Option<String>,
}

impl Ledger {
    pub(crate) fn of(world: &World) -> Self {
        Self::File(Vec::new(), world.server.data().join("keyward.db"))
    }

    /// Takes the room back that a file's log keeps for what comes next: then nothing can be written without new room.
    pub(crate) fn truncate_log(&self) {
        let Self::File(through, path) = self else { return };
        let _lines = sqlite(through, path, &[], "pragma wal_checkpoint(truncate)");
    }

    /// Runs a query that both databases understand.
    fn rows(&self, sql: &str) -> Vec<Value> {
        let text = match self {
            Self::File(through, path) => sqlite(through, path, &["-readonly"], sql),
            Self::Postgres(url) => postgres::ask(url, &format!("select coalesce(json_agg(t), '[]') from ({sql}) t")),
        };
        if text.trim().is_empty() {
            return Vec::new();
        }
        match serde_json::from_str(&text) {
            Ok(Value::Array(rows)) => rows,
            other => panic!("{sql}: {other:?}: {text}"),
        }
    }

    /// An expression for bytes in hexadecimal.
    fn hex(&self, column: &str) -> String {
        match self {
            Self::File(..) => format!("lower(hex({column}))"),
            Self::Postgres(..) if column.ends_with("leases") || column.ends_with("detail") => {
                format!("encode({column}, 'hex')")
            }
            Self::Postgres(..) => format!("replace(cast({column} as text), '-', '')"),
        }
    }

    /// Every budget in every window.
    pub(crate) fn accounts(&self) -> Vec<Account> {
        let (budget, text) = (self.hex("a.budget"), "coalesce(k.name, '')");
        let sql = format!(
            "select {budget} as budget, case when a.slot_ms > 0 then 0 else a.start end as start, b.amount, \
             {text} as key, cast(sum(a.spent) as bigint) as spent, cast(sum(a.leased) as bigint) as leased \
             from accounts a join budgets b on b.id = a.budget left join keys k on k.id = b.key_id \
             group by 1, 2, 3, 4 order by 1, 2"
        );
        let account = |row: &Value| Account {
            budget: text_of(row, "budget"),
            start: number(row, "start"),
            spent: number(row, "spent"),
            leased: number(row, "leased"),
            limit: number(row, "amount"),
            key: Some(text_of(row, "key")).filter(|key| !key.is_empty()),
        };
        self.rows(&sql).iter().map(account).collect()
    }

    /// Fails when an account stands above its limit.
    #[track_caller]
    pub(crate) fn assert_within_limits(&self) {
        for account in self.accounts() {
            assert!(account.spent + account.leased <= account.limit, "{account:?}");
        }
    }

    /// Fails when calls under way hold more than their leases have. Only while nobody writes.
    #[track_caller]
    pub(crate) fn assert_holds_are_covered(&self) {
        let leases: BTreeMap<i64, i64> = self
            .rows("select id, amount + charged as amount from leases")
            .iter()
            .map(|row| (number(row, "id"), number(row, "amount")))
            .collect();
        let mut held: BTreeMap<i64, i64> = BTreeMap::new();
        for row in self.rows(&format!("select amount, {} as leases from holds", self.hex("leases"))) {
            for lease in numbers(&text_of(&row, "leases")) {
                *held.entry(lease).or_default() += number(&row, "amount");
            }
        }
        for (lease, held) in held {
            assert!(leases.get(&lease).is_some_and(|amount| held <= *amount), "{lease}: {held} held, {leases:?}");
        }
    }

    /// The calls in the ledger, by name.
    pub(crate) fn calls(&self) -> BTreeMap<String, Vec<Row>> {
        let leases: BTreeMap<i64, (String, i64)> = self
            .rows(&format!("select id, {} as budget, start from leases", self.hex("budget")))
            .iter()
            .map(|row| (number(row, "id"), (text_of(row, "budget"), number(row, "start"))))
            .collect();
        let tables = match self {
            Self::File(..) => "select name from sqlite_master where type = 'table' and name like 'usage_raw_2%'",
            Self::Postgres(..) => "select tablename as name from pg_tables where tablename like 'usage_raw_2%'",
        };
        let mut calls: BTreeMap<String, Vec<Row>> = BTreeMap::new();
        for table in self.rows(tables) {
            let sql = format!(
                "select s.model, k.name as key, r.at, r.cost, {} as detail, coalesce({}, '') as leases from {} r \
                 join usage_series s on s.id = r.series join keys k on k.id = s.key_id",
                self.hex("r.detail"),
                self.hex("r.leases"),
                text_of(&table, "name")
            );
            for row in self.rows(&sql) {
                let windows =
                    numbers(&text_of(&row, "leases")).into_iter().filter_map(|lease| leases.get(&lease).cloned());
                let call = Row {
                    key: text_of(&row, "key"),
                    at: number(&row, "at"),
                    outcome: outcome(&text_of(&row, "detail")).expect("a call's detail has an outcome"),
                    cost: number(&row, "cost"),
                    windows: windows.collect(),
                };
                calls.entry(text_of(&row, "model")).or_default().push(call);
            }
        }
        calls
    }

    /// How many calls are under way by the ledger.
    pub(crate) fn holds(&self) -> i64 {
        self.rows("select count(*) as n from holds").first().map_or(0, |row| number(row, "n"))
    }
}

fn text_of(row: &Value, column: &str) -> String {
    row[column].as_str().unwrap_or_else(|| panic!("no {column} in {row}")).to_owned()
}

fn number(row: &Value, column: &str) -> i64 {
    row[column].as_i64().unwrap_or_else(|| panic!("no {column} in {row}"))
}

/// Leases as they are stored, here in hexadecimal: how many, then each with seven bits a byte, the lowest first; the eighth
/// says that there is more.
fn numbers(text: &str) -> Vec<i64> {
    let digits: Vec<char> = text.chars().collect();
    let byte = |digits: &[char]| u8::from_str_radix(&digits.iter().collect::<String>(), 16).expect("a byte");
    let mut bytes = digits.chunks(2).map(byte);
    let mut number = || {
        let (mut number, mut shift) = (0, 0);
        loop {
            let byte = bytes.next().expect("a number");
            number |= i64::from(byte & 0x7f) << shift;
            shift += 7;
            if byte < 0x80 {
                return number;
            }
        }
    };
    let count = number();
    let leases = (0..count).map(|_| number()).collect();
    assert_eq!(bytes.next(), None, "more than leases");
    leases
}

/// The outcome in what is stored of a call besides: behind the byte that says the form, ten counts of tokens, a list of
/// counts with its length, and the basis of the cost. Counts have seven bits a byte, the eighth says that there is more.
fn outcome(text: &str) -> Option<u8> {
    let digits: Vec<char> = text.chars().collect();
    let byte = |digits: &[char]| u8::from_str_radix(&digits.iter().collect::<String>(), 16).ok();
    let bytes: Vec<u8> = digits.chunks(2).map(byte).collect::<Option<_>>()?;
    let mut rest = bytes.strip_prefix(&[1])?.iter().copied();
    (0..10).for_each(|_| skip(&mut rest));
    let length = rest.next()?;
    (0..length).for_each(|_| skip(&mut rest));
    rest.nth(1)
}

fn skip(bytes: &mut impl Iterator<Item = u8>) {
    while bytes.next().is_some_and(|byte| byte >= 0x80) {}
}

/// Looks at the accounts again and again until it is ended: at no instant does one stand above its limit.
pub(crate) struct Watch {
    stop: Arc<AtomicBool>,
    looking: JoinHandle<usize>,
}

impl Watch {
    pub(crate) fn begin(ledger: &Ledger) -> Self {
        let (ledger, stop) = (ledger.clone(), Arc::new(AtomicBool::new(false)));
        let stopped = Arc::clone(&stop);
        let looking = std::thread::spawn(move || {
            let mut looks = 0;
            while !stopped.load(Relaxed) {
                ledger.assert_within_limits();
                looks += 1;
                std::thread::park_timeout(Duration::from_millis(50));
            }
            looks
        });
        Self { stop, looking }
    }

    /// Ends it; fails if what it saw was wrong. Gives how often it looked.
    pub(crate) fn end(self) -> usize {
        self.stop.store(true, Relaxed);
        self.looking.thread().unpark();
        self.looking.join().expect("no account stood above its limit")
    }
}

/// What the books come to.
#[derive(Debug, Default)]
pub(crate) struct Sums {
    /// Calls that the provider billed.
    pub(crate) billed: usize,
    /// Calls that were charged because nobody knows their end.
    pub(crate) lost: usize,
    /// What those were charged beyond their bill, by key.
    pub(crate) beyond: BTreeMap<String, i64>,
}

/// Compares what the provider billed with the ledger, call by call: each is there once, at its bill, or at more where
/// its end is not known; and nothing is there that was not made. Waits until everything has arrived.
#[track_caller]
pub(crate) fn balance(world: &World, ledger: &Ledger, calls: &Calls) -> Sums {
    // Whatever request has come in whole is billed in full, whoever waits for its answer.
    let billed: Vec<String> = world
        .emulator(Service::OpenAi)
        .requests()
        .iter()
        .filter(|request| request.body_complete)
        .map(|request| text_of(&request.json(), "model"))
        .collect();
    let rows = crate::world::eventually("every billed call in the ledger", || {
        let rows = ledger.calls();
        (billed.iter().all(|name| rows.contains_key(name)) && ledger.holds() == 0).then_some(rows)
    });
    let mut sums = Sums { billed: billed.len(), ..Sums::default() };
    let mut times: BTreeMap<&str, usize> = BTreeMap::new();
    billed.iter().for_each(|name| *times.entry(name).or_default() += 1);
    for (name, count) in &times {
        assert_eq!(*count, 1, "{name} was sent {count} times");
    }
    for (name, rows) in &rows {
        let [row] = rows.as_slice() else { panic!("{name} is in the ledger {} times: {rows:?}", rows.len()) };
        let bill = if times.contains_key(name.as_str()) { BILL } else { 0 };
        assert!(row.cost >= bill, "{name} cost {bill}: {row:?}");
        match row.outcome {
            COMPLETED => assert_eq!(row.cost, bill, "{name}: {row:?}"),
            CLIENT_GONE => {}
            LOST => {
                sums.lost += 1;
                *sums.beyond.entry(row.key.clone()).or_default() += row.cost - bill;
            }
            other => assert!(bill == 0 || row.cost >= bill, "{name} ended as {other}: {row:?}"),
        }
    }
    for made in calls.made().iter().filter(|made| made.told == Told::Answered) {
        assert!(times.contains_key(made.name.as_str()), "{made:?} was answered and not made");
    }
    sums
}

/// Fails unless the accounts are what follows from the ledger, by the product's own word and by the rows.
#[track_caller]
pub(crate) fn assert_rebuilt(world: &World, ledger: &Ledger) {
    let run = world.server.run(&["doctor", "--rebuild"]);
    assert_eq!(run.status, 0, "{}", run.all());
    let mut spent: BTreeMap<(String, i64), i64> = BTreeMap::new();
    for row in ledger.calls().values().flatten() {
        for (budget, start) in &row.windows {
            *spent.entry((budget.clone(), *start)).or_default() += row.cost;
        }
    }
    for account in ledger.accounts() {
        let booked = spent.get(&(account.budget.clone(), account.start)).copied().unwrap_or(0);
        assert_eq!(account.spent, booked, "{account:?}");
    }
}
