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
    HOLD_NODE = "update nodes set seen_at = seen_at where incarnation = $1 and ended_at is null";
    OPEN_HOLDS = "select count(*) from holds where node = $1";
    LEASES = "select id, budget, start, slot_ms, amount, charged, charged_at from leases where node = $1
        and (amount > 0 or charged > 0) order by budget, start, slot_ms";
    LEASES_OF_ALL = "select l.node, l.amount, l.charged from leases l join nodes n on n.incarnation = l.node
        where n.ended_at is null and (l.amount > 0 or l.charged > 0)";
    HOLDS_OF_ALL = "select node, count(*) as calls from holds group by node";
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
        /// When it last took a lease, or said that it is there.
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
        charged: i64,
        charged_at: Millis,
    }
}

row! {
    struct NodesLease {
        node: u64,
        amount: i64,
        charged: i64,
    }
}

row! {
    struct NodesCalls {
        node: u64,
        calls: i64,
    }
}

/// What a node that is not accounted for has of budgets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeStand {
    /// The node.
    pub node: NodeRow,
    /// On how many accounts it may still spend.
    pub leases: u64,
    /// What it may still spend. A call's money is leased on every budget above its key, and counts on each.
    pub leased: Money,
    /// What was charged of its leases and no call has explained yet.
    pub charged: Money,
    /// Its calls that have no end yet.
    pub calls: u64,
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

    /// The same nodes, with what they have of budgets.
    ///
    /// # Errors
    /// The database's.
    pub async fn node_stands(&self) -> Result<Vec<NodeStand>, Error> {
        let bare = |node: NodeRow| {
            let stand = NodeStand { node, leases: 0, leased: Money::ZERO, charged: Money::ZERO, calls: 0 };
            (stand.node.incarnation, stand)
        };
        let mut stands: BTreeMap<u64, NodeStand> = self.running_nodes().await?.into_iter().map(bare).collect();
        // Added up here: the sum over many budgets may leave the database's range.
        for lease in read!(self, fetch_all, NodesLease, "the leases", LEASES_OF_ALL)? {
            let Some(stand) = stands.get_mut(&lease.node) else { continue };
            stand.leases += u64::from(lease.amount > 0);
            stand.leased = stand.leased.saturating_add(Money::from_nano(lease.amount));
            stand.charged = stand.charged.saturating_add(Money::from_nano(lease.charged));
        }
        for held in read!(self, fetch_all, NodesCalls, "the calls under way", HOLDS_OF_ALL)? {
            if let Some(stand) = stands.get_mut(&held.node) {
                stand.calls = held.calls.unsigned_abs();
            }
        }
        let mut stands: Vec<NodeStand> = stands.into_values().collect();
        stands.sort_by_key(|stand| (stand.node.started_at, stand.node.incarnation));
        Ok(stands)
    }

    /// Notes that a node is there. Answers whether it may still take leases.
    ///
    /// # Errors
    /// The database's.
    pub async fn see_node(&self, node: u64, now: Millis) -> Result<bool, Error> {
        self.condition().writable()?;
        let done = on!(self.writer(), pool => sqlx::query(SEEN).bind(stored(node)).bind(now).execute(pool).await
            .map(|done| done.rows_affected()));
        done.map(|rows| rows > 0).map_err(|error| self.failed(error, "a node"))
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

    /// Charges what is left of a node's leases, of which nobody knows whether it comes back. Nothing else becomes of it:
    /// if it does, or is alive, it goes on, and what it tells leaves what was charged here. So its calls under way stay
    /// what they are, too: their money is part of the leases.
    ///
    /// # Errors
    /// [`Error::NodeEnded`] when there is no such node, or all that it left is accounted for; the database's.
    pub async fn reclaim_node(&mut self, node: u64) -> Result<EndedNode, Error> {
        let now = self.now();
        // No lease of it is under way after this.
        if run!(self, "a node", HOLD_NODE, stored(node))? == 0 {
            return Err(Error::NodeEnded);
        }
        let charged = end_leases(self.open()?, node, Rest::Charge, now).await;
        self.settled(charged, "the leases of a node")
    }
}

async fn end_leases(open: &mut Open, node: u64, rest: Rest, now: Millis) -> Result<EndedNode, sqlx::Error> {
    let (accounts, mut ended) = (accounts_of(open, node).await?, EndedNode::default());
    let mut stands = hold_accounts(open, &accounts).await?;
    // Read again, now that nobody moves them.
    let leases = leases_of(open, node).await?;
    let (mut moves, mut slots) = (BTreeMap::<Account, Move>::new(), BTreeMap::<Account, (Millis, i64)>::new());
    let (mut changed, mut carried) = (Vec::new(), Vec::new());
    for lease in leases {
        let LeaseRow { id, budget, start, slot_ms, amount, charged, charged_at } = lease;
        let account = Account { budget, start };
        let Some(stand) = stands.get_mut(&account) else { continue };
        if rest == Rest::Charge && amount == 0 {
            continue;
        }
        let by = moves.entry(account).or_default();
        by.unleased += amount.min(stand.leased);
        stand.leased -= amount.min(stand.leased);
        let facts = Facts { node: stored(node), account, slot_ms };
        let mut spend = |at: Millis, amount: i64| match facts.slot(at) {
            None => by.spent += amount,
            Some(slot) => slots.entry(slot).or_insert((slot_ms, 0)).1 += amount,
        };
        let (sums, total) = match rest {
            Rest::Charge => {
                spend(now, amount);
                ended.touched.push(Touched { account, rolling: slot_ms > 0, spent: Money::ZERO });
                // What was charged in another slot stays there for good: moved here it would count once more.
                let there = facts.slot(charged_at).filter(|slot| charged > 0 && facts.slot(now) != Some(*slot));
                let before = if let Some(slot) = there {
                    carried.push([Bind::Id(slot.budget.uuid()), Bind::Number(slot.start), Bind::Number(charged)]);
                    0
                } else {
                    charged
                };
                changed.push(set(id, before + amount, now));
                (&mut ended.charged, amount)
            }
            Rest::GiveBack => {
                // All is known now, so nothing of it was spent.
                if charged > 0 {
                    spend(charged_at, -charged);
                }
                changed.push(set(id, 0, charged_at));
                (&mut ended.given_back, amount.saturating_add(charged))
            }
        };
        let sum = sums.entry(account).or_insert(Money::ZERO);
        *sum = sum.saturating_add(Money::from_nano(total));
    }
    run(
        open,
        "with v(i, c, t) as (values ",
        ") update leases set amount = 0, charged = v.c, charged_at = v.t from v where id = v.i",
        &changed,
    )
    .await?;
    run(
        open,
        "with v(b, s, c) as (values ",
        ") update accounts set carried = carried + v.c from v where budget = v.b and start = v.s",
        &carried,
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

/// A lease of which nothing is left, and what was charged of it.
fn set<'a>(lease: LeaseId, charged: i64, at: Millis) -> [Bind<'a>; 3] {
    [Bind::Number(stored(lease.0)), Bind::Number(charged), Bind::Number(at)]
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
