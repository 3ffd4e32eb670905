//! Steps 1 and 5: nodes take leases and give back what they do not need.

use super::{
    CEILING,
    facts::{Facts, resolve},
    nodes,
    rows::{
        Bind, Move, Stand, add_to_slots, fetch, hold_accounts, leases_left, lower_leases, move_accounts, read_accounts,
        run,
    },
};
use crate::{Error, Store, pool::Open, sql::stored};
use keyward_domain::{
    BudgetId, Millis, Money,
    budget::{Account, Granted, LeaseId, Standing, Wish},
    digest,
};
use std::collections::{BTreeMap, BTreeSet, HashMap};

statements! {
    /// The dynamic statement that grants, for one account: no account ever gets more than its limit leaves.
    GRANT = "update accounts set leased = leased + $3 where budget = $1 and start = $2
        and leased + $3 + (case when $5 < 0 then spent else $5 end) <= $4";
}

/// How the slots of a rolling budget are counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rolling {
    /// The length of a slot.
    pub slot_ms: Millis,
    /// The first slot that counts now.
    pub first_slot: Millis,
}

/// A node's wish, with what the budget allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LeaseAsk {
    /// What the node asks for.
    pub wish: Wish,
    /// The budget's limit now.
    pub limit: Money,
    /// When the account's window ends; `i64::MAX`: never.
    pub ends_at: Millis,
    /// The slots, for a rolling budget.
    pub rolling: Option<Rolling>,
}

impl LeaseAsk {
    fn slot_ms(&self) -> Millis {
        self.rolling.map_or(0, |rolling| rolling.slot_ms)
    }

    fn number(&self, node: u64) -> LeaseId {
        number(node, self.wish.account, self.slot_ms())
    }
}

/// What is granted on one account.
struct Grant {
    /// What was spent, as it counts now.
    spent: i64,
    /// What is leased, all wishes before included.
    leased: i64,
    /// What all wishes of this transaction get together.
    added: i64,
    ask: LeaseAsk,
}

/// The number of a node's lease on an account: always the same one, and never another's, also after a restore of an
/// older backup, since no two runs of a node have the same number. A budget whose slots change gets another.
fn number(node: u64, account: Account, slot_ms: Millis) -> LeaseId {
    let (node, start, slot_ms) = (node.to_be_bytes(), account.start.to_be_bytes(), slot_ms.to_be_bytes());
    let sum = digest::sha256(&[&node[..], account.budget.uuid().as_bytes(), &start, &slot_ms].concat());
    let (first, _) = sum.split_first_chunk::<8>().unwrap_or((&[0; 8], &[]));
    LeaseId((u64::from_be_bytes(*first) & i64::MAX.unsigned_abs()).max(1))
}

impl Store {
    /// Grants wishes of a node, in one transaction. When this answers, what was granted is on the disk. A wish gets what
    /// it wants as far as that is left, and nothing when less is left than it needs.
    ///
    /// After an error it is not known whether something was granted. Nobody may spend it then; it stays counted until
    /// the node ends.
    ///
    /// # Errors
    /// [`Error::NodeEnded`] when the node was given up; the database's.
    pub async fn lease(&self, node: u64, asks: &[LeaseAsk], now: Millis) -> Result<Vec<Granted>, Error> {
        self.condition().writable()?;
        let failed = |error| self.failed(error, "a lease");
        let mut open = self.writer().begin().await.map_err(failed)?;
        nodes::require_running(self, &mut open, node, now).await?;
        let mut grants = stands(&mut open, asks).await.map_err(failed)?;
        let granted: Vec<Granted> = asks.iter().filter_map(|ask| grant(node, ask, &mut grants)).collect();
        grants.retain(|_, grant| grant.added > 0);
        if grants.is_empty() {
            // Nothing to keep, so nothing to wait for: an account that is used up must not cost a sync with each call.
            return Ok(granted);
        }
        let raised = raise(&mut open, &grants).await.map_err(failed)?;
        if raised != grants.len() as u64 {
            return Err(Error::BadRow { detail: "an account moved while it was held".to_owned() });
        }
        keep(&mut open, node, &grants, now).await.map_err(failed)?;
        open.commit().await.map_err(failed)?;
        self.condition().wrote();
        let mut cache = self.lease_cache();
        for (account, grant) in &grants {
            let facts = Facts { node: stored(node), account: *account, slot_ms: grant.ask.slot_ms() };
            cache.remember(grant.ask.number(node), facts);
        }
        Ok(granted)
    }

    /// Takes back what nodes do not need of their leases, as far as it is left of them. Answers what each gave.
    ///
    /// A node takes the money out of its own memory first. After an error it is not known whether the database did its
    /// part; then it is not to be tried again: what a lease is too high stays counted until the node ends, what it
    /// would be too low could be spent twice.
    ///
    /// # Errors
    /// The database's.
    pub async fn give_back(&self, given: &[(LeaseId, Money)]) -> Result<Vec<(LeaseId, Money)>, Error> {
        self.condition().writable()?;
        let mut wanted = BTreeMap::<LeaseId, i64>::new();
        for (lease, amount) in given {
            let sum = wanted.entry(*lease).or_default();
            *sum = sum.saturating_add(amount.nano().max(0));
        }
        let failed = |error| self.failed(error, "a lease that is given back");
        let mut open = self.writer().begin().await.map_err(failed)?;
        let facts = resolve(self, &mut open, &wanted.keys().copied().collect()).await.map_err(failed)?;
        let accounts: BTreeSet<Account> = facts.values().map(|facts| facts.account).collect();
        let accounts: Vec<Account> = accounts.into_iter().collect();
        let stands = hold_accounts(&mut open, &accounts).await.map_err(failed)?;
        let left = leases_left(&mut open, wanted.keys().copied()).await.map_err(failed)?;
        let (mut lowered, mut moves, mut answer) = (Vec::new(), BTreeMap::<Account, Move>::new(), Vec::new());
        let mut slots = BTreeMap::<Account, (Millis, i64)>::new();
        for (lease, wanted) in wanted {
            let (Some(facts), Some(left)) = (facts.get(&lease), left.get(&lease)) else { continue };
            let by = moves.entry(facts.account).or_default();
            // First what was charged when the node was given up too early: that is spent already.
            let late = wanted.min(left.charged);
            match facts.slot(left.charged_at) {
                None => by.spent -= late,
                Some(_) if late == 0 => {}
                Some(slot) => slots.entry(slot).or_insert((facts.slot_ms, 0)).1 -= late,
            }
            let leased = stands.get(&facts.account).map_or(0, |stand| stand.leased - by.unleased);
            let amount = (wanted - late).min(left.amount).min(leased);
            by.unleased += amount;
            lowered.push((lease, amount, late));
            answer.push((lease, Money::from_nano(amount + late)));
        }
        lower_leases(&mut open, &lowered).await.map_err(failed)?;
        move_accounts(&mut open, &moves).await.map_err(failed)?;
        add_to_slots(&mut open, &slots).await.map_err(failed)?;
        open.commit().await.map_err(failed)?;
        self.condition().wrote();
        Ok(answer)
    }
}

/// Holds all accounts that are asked for, and makes those that are not there.
async fn stands(open: &mut Open, asks: &[LeaseAsk]) -> Result<BTreeMap<Account, Grant>, sqlx::Error> {
    let by_account: BTreeMap<Account, LeaseAsk> = asks.iter().map(|ask| (ask.wish.account, *ask)).collect();
    let accounts: Vec<Account> = by_account.keys().copied().collect();
    // New ones first, while nothing is held: whoever makes one waits for others that make the same, and nobody waits for
    // one that is not committed.
    let known = read_accounts(open, &accounts).await?;
    let missing: Vec<_> = by_account
        .iter()
        .filter(|(account, _)| !known.contains_key(account))
        .map(|(account, ask)| {
            let zero = || Bind::Number(0);
            let key = Bind::Id(account.budget.uuid());
            [key, Bind::Number(account.start), Bind::Number(ask.slot_ms()), zero(), zero(), zero()]
        })
        .collect();
    if !missing.is_empty() {
        run(
            open,
            "insert into accounts (budget, start, slot_ms, spent, leased, carried) values ",
            " on conflict (budget, start) do nothing",
            &missing,
        )
        .await?;
    }
    let found = hold_accounts(open, &accounts).await?;
    let rolled = rolled(open, &by_account).await?;
    Ok(by_account
        .into_iter()
        .filter_map(|(account, ask)| {
            let stand: &Stand = found.get(&account)?;
            let spent = match ask.rolling {
                Some(_) => rolled.get(&account.budget).copied().unwrap_or(0),
                None => stand.spent,
            };
            Some((account, Grant { spent, leased: stand.leased, added: 0, ask }))
        })
        .collect())
}

row! {
    struct Rolled {
        budget: BudgetId,
        spent: i64,
    }
}

/// What was spent in the slots of rolling budgets that count now.
async fn rolled(open: &mut Open, asks: &BTreeMap<Account, LeaseAsk>) -> Result<HashMap<BudgetId, i64>, sqlx::Error> {
    let rows: Vec<_> = asks
        .iter()
        .filter_map(|(account, ask)| Some((account.budget, ask.rolling?)))
        .map(|(budget, rolling)| [Bind::Id(budget.uuid()), Bind::Number(rolling.first_slot.max(1))])
        .collect();
    let found: Vec<Rolled> = fetch(
        open,
        "with w(b, f) as (values ",
        // A slot of a former, longer window counts while any of it does; none of those is longer than a day.
        ") select w.b, cast(sum(a.spent) as bigint) from w join accounts a on a.budget = w.b and a.start > 0
         and a.start > w.f - 86400000 and (a.start >= w.f or a.start + a.slot_ms > w.f) group by w.b",
        "",
        &rows,
    )
    .await?;
    Ok(found.into_iter().map(|row| (row.budget, row.spent)).collect())
}

/// What one wish gets.
fn grant(node: u64, ask: &LeaseAsk, grants: &mut BTreeMap<Account, Grant>) -> Option<Granted> {
    let Wish { account, needed, wanted } = ask.wish;
    let on = grants.get_mut(&account)?;
    // Several wishes on one account go by one limit, whatever they say.
    let limit = on.ask.limit.nano().min(CEILING);
    let left = limit.saturating_sub(on.spent).saturating_sub(on.leased).max(0);
    let amount = if left < needed.nano() { 0 } else { wanted.nano().max(needed.nano()).clamp(0, left) };
    on.leased += amount;
    on.added += amount;
    let standing =
        Standing { limit: on.ask.limit, spent: Money::from_nano(on.spent), leased: Money::from_nano(on.leased) };
    Some(Granted { lease: on.ask.number(node), amount: Money::from_nano(amount), standing })
}

/// Raises what is leased where the limit allows it, in the database's own words once more. Answers how many it allowed.
async fn raise(open: &mut Open, grants: &BTreeMap<Account, Grant>) -> Result<u64, sqlx::Error> {
    let rows: Vec<_> = grants
        .iter()
        .map(|(account, grant)| {
            let rolled = if grant.ask.rolling.is_some() { grant.spent } else { -1 };
            [
                Bind::Id(account.budget.uuid()),
                Bind::Number(account.start),
                Bind::Number(grant.added),
                Bind::Number(grant.ask.limit.nano()),
                Bind::Number(rolled),
            ]
        })
        .collect();
    run(
        open,
        "with v(b, s, g, m, r) as (values ",
        ") update accounts set leased = leased + v.g from v where budget = v.b and start = v.s
         and leased + v.g + (case when v.r < 0 then spent else v.r end) <= v.m",
        &rows,
    )
    .await
}

/// Writes the leases down.
async fn keep(open: &mut Open, node: u64, grants: &BTreeMap<Account, Grant>, now: Millis) -> Result<(), sqlx::Error> {
    let rows: Vec<_> = grants
        .iter()
        .map(|(account, grant)| {
            [
                Bind::Number(stored(grant.ask.number(node).0)),
                Bind::Number(stored(node)),
                Bind::Id(account.budget.uuid()),
                Bind::Number(account.start),
                Bind::Number(grant.ask.slot_ms()),
                Bind::Number(grant.ask.ends_at),
                Bind::Number(grant.added),
                Bind::Number(0),
                Bind::Number(0),
                Bind::Number(now),
            ]
        })
        .collect();
    run(
        open,
        "insert into leases (id, node, budget, start, slot_ms, ends_at, amount, charged, charged_at, granted_at) values ",
        " on conflict (id) do update set amount = leases.amount + excluded.amount, granted_at = excluded.granted_at,
         ends_at = excluded.ends_at",
        &rows,
    )
    .await
    .map(drop)
}
