//! The runs of the processes that spend from budgets: how they begin, and how what they leave is accounted for.

use super::{
    Touched,
    facts::Facts,
    rows::{Bind, Move, add_to_slots, hold_accounts, move_accounts, run},
};
use crate::{Error, Store, Write, pool::Open, sql::stored};
use keyward_domain::{
    BudgetId, Millis, Money,
    budget::{Account, LeaseId},
};
use std::collections::{BTreeMap, BTreeSet};

statements! {
    BEGIN = "insert into nodes (incarnation, name, boot, started_at, seen_at) values ($1, $2, $3, $4, $4)";
    RUNNING = "select incarnation, name, boot, started_at, seen_at, ended_at from nodes where ended_at is null
        order by started_at, incarnation";
    SEEN = "update nodes set seen_at = $2 where incarnation = $1 and ended_at is null";
    END = "update nodes set ended_at = $2 where incarnation = $1 and ended_at is null";
    OPEN_HOLDS = "select count(*) from holds where node = $1";
    LEASES = "select id, budget, start, slot_ms, amount from leases where node = $1 and amount > 0
        order by budget, start, slot_ms";
    FORGET_BOOTS = "update nodes set boot = '' where ended_at is null";
}

row! {
    /// A run of a process that spends from budgets.
    pub struct NodeRow {
        /// Its number, which no other run has.
        pub incarnation: u64,
        /// The name of the journal that it writes: a later run with the same name has read that to its end.
        pub name: String,
        /// The run of the machine that it belonged to. Empty: not known, as after a restore.
        pub boot: String,
        /// When it began.
        pub started_at: Millis,
        /// When it last took a lease.
        pub seen_at: Millis,
        /// When all that it left was accounted for.
        pub ended_at: Option<Millis>,
    }
}

row! {
    struct LeaseRow {
        id: LeaseId,
        budget: BudgetId,
        start: Millis,
        slot_ms: Millis,
        amount: i64,
    }
}

/// What happens to what is left of a node's leases.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rest {
    /// All its calls are collected, or charged as lost: the rest was never spent.
    GiveBack,
    /// The end of its journal may be missing: the rest may have been spent, and counts so.
    Charge,
}

/// What was left of a node's leases.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EndedNode {
    /// What went back to the budgets, on each account.
    pub given_back: BTreeMap<Account, Money>,
    /// What was charged, on each account.
    pub charged: BTreeMap<Account, Money>,
    /// Accounts on which something was charged.
    pub touched: Vec<Touched>,
}

/// Requires that a node was not given up, and notes that it was seen. On PostgreSQL nobody can give it up until the end
/// of the transaction.
pub(super) async fn require_running(store: &Store, open: &mut Open, node: u64, now: Millis) -> Result<(), Error> {
    let node = stored(node);
    let done = match open {
        Open::Lite(tx) => {
            sqlx::query(SEEN).bind(node).bind(now).execute(&mut **tx).await.map(|done| done.rows_affected())
        }
        Open::Pg(tx) => {
            sqlx::query(SEEN).bind(node).bind(now).execute(&mut **tx).await.map(|done| done.rows_affected())
        }
    };
    if done.map_err(|error| store.failed(error, "a node"))? == 0 { Err(Error::NodeEnded) } else { Ok(()) }
}

/// After a restore: what the nodes in a backup did since is not known, so that nothing of their leases can go back.
pub(crate) async fn forget_boots(open: &mut Open) -> Result<(), sqlx::Error> {
    match open {
        Open::Lite(tx) => sqlx::query(FORGET_BOOTS).execute(&mut **tx).await.map(drop),
        Open::Pg(tx) => sqlx::query(FORGET_BOOTS).execute(&mut **tx).await.map(drop),
    }
}

impl Store {
    /// Notes that a node begins.
    ///
    /// # Errors
    /// [`Error::Taken`] when its number was used before; the database's.
    pub async fn begin_node(&self, node: u64, name: &str, boot: &str, now: Millis) -> Result<(), Error> {
        self.condition().writable()?;
        let done = on!(self.writer(), pool => sqlx::query(BEGIN).bind(stored(node)).bind(name).bind(boot).bind(now)
            .execute(pool).await.map(drop));
        done.map_err(|error| self.failed(error, "node"))
    }

    /// The nodes that are not accounted for: those that run, and those that did not end well.
    ///
    /// # Errors
    /// The database's.
    pub async fn running_nodes(&self) -> Result<Vec<NodeRow>, Error> {
        read!(self, fetch_all, NodeRow, "the nodes", RUNNING)
    }
}

impl Write {
    /// Accounts for what is left of a node's leases, and ends it: from then on it gets no more.
    ///
    /// # Errors
    /// [`Error::NodeEnded`] when that was done before; [`Error::Stale`] while calls of it are under way; the
    /// database's.
    pub async fn end_node(&mut self, node: u64, rest: Rest) -> Result<EndedNode, Error> {
        let now = self.now();
        if run!(self, "a node", END, stored(node), now)? == 0 {
            return Err(Error::NodeEnded);
        }
        let holds: Result<i64, _> = match self.open()? {
            Open::Lite(tx) => sqlx::query_scalar(OPEN_HOLDS).bind(stored(node)).fetch_one(&mut **tx).await,
            Open::Pg(tx) => sqlx::query_scalar(OPEN_HOLDS).bind(stored(node)).fetch_one(&mut **tx).await,
        };
        if self.settled(holds, "the calls under way")? > 0 {
            return self.found(0, "a node whose calls are under way").map(|()| EndedNode::default());
        }
        let ended = end_leases(self.open()?, node, rest, now).await;
        self.settled(ended, "the leases of a node")
    }
}

async fn end_leases(open: &mut Open, node: u64, rest: Rest, now: Millis) -> Result<EndedNode, sqlx::Error> {
    let (accounts, mut ended) = (accounts_of(open, node).await?, EndedNode::default());
    let mut stands = hold_accounts(open, &accounts).await?;
    // Read again, now that nobody moves them.
    let leases = leases_of(open, node).await?;
    let (mut moves, mut slots, mut lowered) = (BTreeMap::<Account, Move>::new(), BTreeMap::new(), Vec::new());
    for LeaseRow { id, budget, start, slot_ms, amount } in leases {
        let account = Account { budget, start };
        let Some(stand) = stands.get_mut(&account) else { continue };
        let by = moves.entry(account).or_default();
        by.unleased += amount.min(stand.leased);
        stand.leased -= amount.min(stand.leased);
        let charged = if rest == Rest::Charge { amount } else { 0 };
        lowered.push([Bind::Number(stored(id.0)), Bind::Number(amount), Bind::Number(charged), Bind::Number(now)]);
        let to = if rest == Rest::Charge { &mut ended.charged } else { &mut ended.given_back };
        let sum = to.entry(account).or_insert(Money::ZERO);
        *sum = sum.saturating_add(Money::from_nano(amount));
        if charged == 0 {
            continue;
        }
        let facts = Facts { node: stored(node), account, slot_ms };
        match facts.slot(now) {
            None => by.spent += charged,
            Some(slot) => slots.entry(slot).or_insert((slot_ms, 0_i64)).1 += charged,
        }
        ended.touched.push(Touched { account, rolling: slot_ms > 0, spent: Money::ZERO });
    }
    run(
        open,
        "with v(i, a, c, n) as (values ",
        ") update leases set amount = amount - v.a, charged = charged + v.c,
         charged_at = case when v.c > 0 then v.n else charged_at end from v where id = v.i",
        &lowered,
    )
    .await?;
    for stand in move_accounts(open, &moves).await? {
        for touched in ended.touched.iter_mut().filter(|touched| touched.account == stand.account()) {
            touched.spent = Money::from_nano(stand.spent);
        }
    }
    add_to_slots(open, &slots).await?;
    Ok(ended)
}

async fn leases_of(open: &mut Open, node: u64) -> Result<Vec<LeaseRow>, sqlx::Error> {
    let node = stored(node);
    match open {
        Open::Lite(tx) => sqlx::query_as(LEASES).bind(node).fetch_all(&mut **tx).await,
        Open::Pg(tx) => sqlx::query_as(LEASES).bind(node).fetch_all(&mut **tx).await,
    }
}

async fn accounts_of(open: &mut Open, node: u64) -> Result<Vec<Account>, sqlx::Error> {
    let leases = leases_of(open, node).await?;
    let accounts: BTreeSet<Account> =
        leases.into_iter().map(|row| Account { budget: row.budget, start: row.start }).collect();
    Ok(accounts.into_iter().collect())
}
