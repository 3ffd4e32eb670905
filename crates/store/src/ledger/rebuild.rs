//! Accounts follow from what is stored besides: what was spent from the calls and the charged rests of leases, what is
//! leased from the leases. Here they are derived from it once more, and folded when single calls are dropped.

use super::{
    CEILING, booked,
    facts::{Facts, resolve},
    rows::{Bind, hold_accounts, run},
};
use crate::{Error, Store, Write, pool::Open, usage::Day};
use keyward_domain::{
    BudgetId, Millis, Money,
    budget::{Account, LeaseId},
};
use sqlx::AssertSqlSafe;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use uuid::Uuid;

statements! {
    DAYS = "select day from usage_days order by day";
    ACCOUNTS = "select budget, start, slot_ms, spent, leased, carried from accounts";
    LEASED = "select budget, start, slot_ms, amount, charged, charged_at from leases where amount > 0 or charged > 0";
    OLD_CHARGES = "select budget, start, slot_ms, amount, charged, charged_at from leases where charged > 0
        and amount = 0
        and (ends_at <= $1 or node in (select incarnation from nodes where ended_at <= $2))";
    FORGET_LEASES = "delete from leases where amount = 0
        and (ends_at <= $1 or node in (select incarnation from nodes where ended_at <= $2))";
    FORGET_SLOT_CHARGES = "update leases set charged = 0 where charged > 0 and slot_ms > 0
        and charged_at - charged_at % slot_ms <= $1 - 61 * slot_ms";
    FORGET_NODES = "delete from nodes where ended_at <= $1
        and not exists (select 1 from leases where leases.node = nodes.incarnation)";
    FORGET_SLOTS = "delete from accounts where slot_ms > 0 and start > 0 and start <= $1 - 61 * slot_ms and leased = 0";
}

/// PostgreSQL only: until the end of the transaction nobody changes what is compared.
const STAND_STILL: &str = "lock table accounts, leases in exclusive mode";
/// How many calls are looked at at once.
const PAGE: i64 = 20_000;
/// Leases outlive the end of their window or node by this much before they are forgotten: clocks may differ.
const SLACK: Millis = 86_400_000;

/// An account that is not what the ledger says.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Difference {
    /// The account; of a rolling budget, the slot.
    pub account: Account,
    /// What differs: `spent` or `leased`.
    pub what: &'static str,
    /// What the account says.
    pub stored: Money,
    /// What follows from the ledger.
    pub derived: Money,
}

row! {
    struct AccountLine {
        budget: BudgetId,
        start: Millis,
        slot_ms: Millis,
        spent: i64,
        leased: i64,
        carried: i64,
    }
}

row! {
    struct LeaseLine {
        budget: BudgetId,
        start: Millis,
        slot_ms: Millis,
        amount: i64,
        charged: i64,
        charged_at: Millis,
    }
}

impl LeaseLine {
    fn account(&self) -> Account {
        Account { budget: self.budget, start: self.start }
    }

    /// Where what was charged counts.
    fn counted(&self) -> Account {
        Facts { node: 0, account: self.account(), slot_ms: self.slot_ms }.counted(self.charged_at)
    }
}

row! {
    struct CallLine {
        id: Uuid,
        at: Millis,
        cost: Money,
        leases: Vec<LeaseId>,
    }
}

/// Sums by account or slot, with the length of the slot.
type Sums = BTreeMap<Account, (Millis, i64)>;

fn add(sums: &mut Sums, to: Account, slot_ms: Millis, amount: i64) {
    let (_, sum) = sums.entry(to).or_insert((slot_ms, 0));
    *sum = sum.saturating_add(amount).min(CEILING);
}

macro_rules! all {
    ($open:expr, $row:ty, $sql:expr $(, $bind:expr)*) => {{
        let rows: Result<Vec<$row>, sqlx::Error> = match $open {
            Open::Lite(tx) => sqlx::query_as($sql)$(.bind($bind))*.fetch_all(&mut **tx).await,
            Open::Pg(tx) => sqlx::query_as($sql)$(.bind($bind))*.fetch_all(&mut **tx).await,
        };
        rows
    }};
}

impl Store {
    /// Derives every account from the ledger and answers where one is not what it should be. All is read in one
    /// consistent picture, while everything goes on.
    ///
    /// # Errors
    /// The database's.
    pub async fn rebuild_accounts(&self) -> Result<Vec<Difference>, Error> {
        let failed = |error| self.failed(error, "rebuilding the accounts");
        let mut open = self.readers().begin_picture().await.map_err(failed)?;
        compare(self, &mut open).await.map(|(differences, _)| differences).map_err(failed)
    }
}

impl Write {
    /// Derives every account from the ledger, sets those to it that are not what they should be, and answers which.
    /// Nothing is collected or lent meanwhile.
    ///
    /// # Errors
    /// The database's.
    pub async fn rebuild_accounts(&mut self) -> Result<Vec<Difference>, Error> {
        let store = self.store().clone();
        let mended = mend(&store, self.open()?).await;
        self.settled(mended, "rebuilding the accounts")
    }
}

async fn mend(store: &Store, open: &mut Open) -> Result<Vec<Difference>, sqlx::Error> {
    if let Open::Pg(tx) = open {
        sqlx::query(STAND_STILL).execute(&mut **tx).await?;
    }
    let (differences, derived) = compare(store, open).await?;
    let wrong: BTreeSet<Account> = differences.iter().map(|difference| difference.account).collect();
    let rows: Vec<_> = derived.iter().filter(|(account, _)| wrong.contains(account)).map(set).collect();
    run(
        open,
        "insert into accounts (budget, start, slot_ms, spent, leased, carried) values ",
        " on conflict (budget, start) do update set spent = excluded.spent, leased = excluded.leased",
        &rows,
    )
    .await?;
    Ok(differences)
}

/// What an account should be.
#[derive(Debug, Default)]
struct Should {
    slot_ms: Millis,
    spent: i64,
    leased: i64,
}

fn set<'a>((account, should): (&Account, &Should)) -> [Bind<'a>; 6] {
    let numbers = [account.start, should.slot_ms, should.spent, should.leased, 0].map(Bind::Number);
    let [start, slot_ms, spent, leased, carried] = numbers;
    [Bind::Id(account.budget.uuid()), start, slot_ms, spent, leased, carried]
}

async fn compare(store: &Store, open: &mut Open) -> Result<(Vec<Difference>, BTreeMap<Account, Should>), sqlx::Error> {
    let days: Vec<(Millis,)> = all!(open, (Millis,), DAYS)?;
    let mut spent = Sums::new();
    for (day,) in days {
        sum_day(store, open, Day::of(day), &mut spent).await?;
    }
    let mut leased = BTreeMap::<Account, i64>::new();
    for line in all!(open, LeaseLine, LEASED)? {
        add(&mut spent, line.counted(), line.slot_ms, line.charged);
        *leased.entry(line.account()).or_default() += line.amount;
    }
    let accounts = all!(open, AccountLine, ACCOUNTS)?;
    let mut should = BTreeMap::<Account, Should>::new();
    for (account, (slot_ms, sum)) in spent {
        should.insert(account, Should { slot_ms, spent: sum, leased: 0 });
    }
    for (account, sum) in leased {
        should.entry(account).or_default().leased = sum;
    }
    let mut is = HashMap::new();
    for row in accounts {
        let account = Account { budget: row.budget, start: row.start };
        let should = should.entry(account).or_default();
        should.slot_ms = row.slot_ms;
        should.spent = should.spent.saturating_add(row.carried).min(CEILING);
        is.insert(account, (row.spent, row.leased));
    }
    let mut differences = Vec::new();
    for (account, should) in &should {
        let (spent, leased) = is.get(account).copied().unwrap_or_default();
        for (what, stored, derived) in [("spent", spent, should.spent), ("leased", leased, should.leased)] {
            if stored != derived {
                let (stored, derived) = (Money::from_nano(stored), Money::from_nano(derived));
                differences.push(Difference { account: *account, what, stored, derived });
            }
        }
    }
    Ok((differences, should))
}

/// What the calls of a day cost, by account or slot.
async fn sum_day(store: &Store, open: &mut Open, day: Day, sums: &mut Sums) -> Result<(), sqlx::Error> {
    // INVARIANT: only the eight digits of the day vary.
    let sql = format!(
        "select id, at, cost, leases from {} where id > $1 and leases is not null order by id limit $2",
        day.table()
    );
    let mut after = Uuid::nil();
    loop {
        let calls = all!(open, CallLine, AssertSqlSafe(sql.clone()), after, PAGE)?;
        let wanted = calls.iter().flat_map(|call| call.leases.iter().copied()).collect();
        let facts = resolve(store, open, &wanted).await?;
        for call in &calls {
            for facts in call.leases.iter().filter_map(|lease| facts.get(lease)) {
                add(sums, facts.counted(call.at), facts.slot_ms, booked(call.cost));
            }
        }
        match calls.last() {
            Some(last) if calls.len() as u64 == PAGE.unsigned_abs() => after = last.id,
            _ => return Ok(()),
        }
    }
}

/// Before the single calls of days are dropped: what they cost is carried on in the accounts. Then leases and slots that
/// nothing names any more are forgotten. `before` is the midnight up to which calls are dropped.
pub(crate) async fn fold(write: &mut Write, days: &[Millis], before: Millis) -> Result<(), Error> {
    let store = write.store().clone();
    let done = fold_in(&store, write.open()?, days, before).await;
    write.settled(done, "the accounts of dropped days")
}

async fn fold_in(store: &Store, open: &mut Open, days: &[Millis], before: Millis) -> Result<(), sqlx::Error> {
    let mut sums = Sums::new();
    for day in days {
        let day = Day::of(*day);
        if let Open::Pg(tx) = open {
            // INVARIANT: only the eight digits of the day vary. What is added up is all there will ever be.
            let sql = format!("lock table {} in access exclusive mode", day.table());
            sqlx::query(AssertSqlSafe(sql)).execute(&mut **tx).await?;
        }
        sum_day(store, open, day, &mut sums).await?;
    }
    let (ended, node_ended) = (before, before.saturating_sub(SLACK));
    for line in all!(open, LeaseLine, OLD_CHARGES, ended, node_ended)? {
        add(&mut sums, line.counted(), line.slot_ms, line.charged);
    }
    hold_accounts(open, &sums.keys().copied().collect::<Vec<_>>()).await?;
    let rows: Vec<_> = sums
        .iter()
        .map(|(account, (_, sum))| [Bind::Id(account.budget.uuid()), Bind::Number(account.start), Bind::Number(*sum)])
        .collect();
    run(
        open,
        "with v(b, s, c) as (values ",
        ") update accounts set carried = carried + v.c from v where budget = v.b and start = v.s",
        &rows,
    )
    .await?;
    macro_rules! forget {
        ($tx:expr) => {{
            sqlx::query(FORGET_LEASES).bind(ended).bind(node_ended).execute(&mut **$tx).await?;
            sqlx::query(FORGET_NODES).bind(node_ended).execute(&mut **$tx).await?;
            sqlx::query(FORGET_SLOT_CHARGES).bind(before).execute(&mut **$tx).await?;
            sqlx::query(FORGET_SLOTS).bind(before).execute(&mut **$tx).await?;
        }};
    }
    match open {
        Open::Lite(tx) => forget!(tx),
        Open::Pg(tx) => forget!(tx),
    }
    Ok(())
}
