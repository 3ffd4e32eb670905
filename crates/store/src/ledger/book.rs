//! Step 4, collecting: what calls cost is booked on their accounts and taken from their leases, in the transaction that
//! stores the calls. A few statements for each batch, however many calls there are in it.

use super::{
    CEILING, Overrun, Touched, booked,
    facts::{Facts, resolve},
    holds,
    rows::{Left, Move, add_to_slots, hold_accounts, leases_left, lower_leases, move_accounts},
};
use crate::{Batch, Store, pool::Open};
use keyward_domain::{
    Millis, Money, RequestId,
    budget::{Account, Hold, LeaseId},
    usage::UsageEvent,
};
use rustc_hash::{FxHashMap, FxHashSet};
use std::collections::{BTreeMap, BTreeSet, HashSet};

/// What booking a batch led to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Booked {
    pub(crate) touched: Vec<Touched>,
    pub(crate) overruns: Vec<Overrun>,
    pub(crate) unknown: u64,
}

/// What a batch's calls cost on one lease.
struct Line {
    facts: Facts,
    cost: i64,
    /// The part of it that was held: no more leaves the lease, for the rest of it is what other calls hold.
    held: i64,
    /// The cost by slot, for a rolling budget.
    slots: BTreeMap<Account, i64>,
}

/// Books calls that are new, and moves holds: each of the batch's calls, new or not, ends its own.
pub(crate) async fn book(
    store: &Store,
    open: &mut Open,
    new: &[&UsageEvent],
    batch: &Batch,
) -> Result<Booked, sqlx::Error> {
    // HOT: one look at each call. Ids are made here, so nobody can choose them to collide.
    let mut wanted = FxHashSet::<LeaseId>::default();
    new.iter().for_each(|event| wanted.extend(&event.leases));
    let mut open_ended: FxHashMap<RequestId, &Hold> = batch.holds.iter().map(|hold| (hold.call, hold)).collect();
    let here: FxHashSet<RequestId> = batch.ended.iter().copied().collect();
    let settled = batch.usage.iter().filter(|event| event.held.is_some()).map(|event| event.id);
    // Nearly all calls end soon after they begin.
    let elsewhere = settled.filter(|call| !here.contains(call) && open_ended.remove(call).is_none()).collect();
    let mut open_ended: Vec<&Hold> = open_ended.into_values().collect();
    open_ended.sort_unstable_by_key(|hold| hold.call);
    wanted.extend(open_ended.iter().flat_map(|hold| &hold.leases));
    let facts = if wanted.is_empty() { FxHashMap::default() } else { resolve(store, open, &wanted).await? };
    let booked = book_costs(open, new, &facts).await?;
    holds::insert(open, &open_ended, &facts).await?;
    holds::delete(open, elsewhere).await?;
    Ok(booked)
}

async fn book_costs(
    open: &mut Open,
    new: &[&UsageEvent],
    facts: &FxHashMap<LeaseId, Facts>,
) -> Result<Booked, sqlx::Error> {
    let (mut lines, mut done) = (FxHashMap::<LeaseId, Line>::default(), Booked::default());
    for event in new {
        for lease in &event.leases {
            let Some(facts) = facts.get(lease) else {
                done.unknown += 1;
                continue;
            };
            let line =
                lines.entry(*lease).or_insert_with(|| Line { facts: *facts, cost: 0, held: 0, slots: BTreeMap::new() });
            let cost = booked(event.cost);
            let held = event.held.map_or(cost, |held| booked(held).min(cost));
            line.cost = line.cost.saturating_add(cost).min(CEILING);
            line.held = line.held.saturating_add(held).min(CEILING);
            if let Some(slot) = facts.slot(event.at) {
                let sum = line.slots.entry(slot).or_default();
                *sum = sum.saturating_add(cost).min(CEILING);
            }
        }
    }
    if lines.is_empty() {
        return Ok(done);
    }
    // In order, so that no two nodes wait for each other.
    let lines: BTreeMap<LeaseId, Line> = lines.into_iter().collect();
    let accounts: BTreeSet<Account> = lines.values().map(|line| line.facts.account).collect();
    let accounts: Vec<Account> = accounts.into_iter().collect();
    let stands = hold_accounts(open, &accounts).await?;
    let left = leases_left(open, lines.keys().copied()).await?;
    let (mut lowered, mut moves, mut slots) = (Vec::new(), BTreeMap::new(), BTreeMap::new());
    for (lease, line) in &lines {
        let account = line.facts.account;
        let (Some(left), Some(stand)) = (left.get(lease), stands.get(&account)) else {
            // Forgotten together with the calls of its time.
            done.unknown += 1;
            continue;
        };
        let (taken, late) = split(line.held, left, stand);
        lowered.push((*lease, taken, late));
        let by: &mut Move = moves.entry(account).or_default();
        by.unleased += taken;
        if line.facts.slot_ms > 0 {
            for (slot, cost) in &line.slots {
                add(&mut slots, *slot, line.facts.slot_ms, *cost);
            }
            if late > 0 {
                add(&mut slots, line.facts.counted(left.charged_at), line.facts.slot_ms, -late);
            }
        } else {
            by.spent = by.spent.saturating_add(line.cost - late).min(CEILING);
        }
        let by = line.cost - taken - late;
        if by > 0 {
            done.overruns.push(Overrun { lease: *lease, account, by: Money::from_nano(by) });
        }
    }
    let rolling: HashSet<Account> =
        lines.values().filter(|line| line.facts.slot_ms > 0).map(|line| line.facts.account).collect();
    lower_leases(open, &lowered).await?;
    let stands = move_accounts(open, &moves).await?;
    add_to_slots(open, &slots).await?;
    done.touched = stands
        .iter()
        .map(|stand| Touched {
            account: stand.account(),
            rolling: rolling.contains(&stand.account()),
            spent: Money::from_nano(stand.spent),
        })
        .collect();
    Ok(done)
}

/// How much of what was held comes out of what is left of a lease, and how much out of what was charged of it when its node
/// was given up: that is spent already.
fn split(held: i64, left: &Left, stand: &super::rows::Stand) -> (i64, i64) {
    let late = held.min(left.charged);
    // What is leased is never less than its leases; a row that somebody tampered with must not stop collecting.
    let taken = (held - late).min(left.amount).min(stand.leased);
    (taken, late)
}

fn add(slots: &mut BTreeMap<Account, (Millis, i64)>, slot: Account, slot_ms: Millis, cost: i64) {
    let (_, sum) = slots.entry(slot).or_insert((slot_ms, 0));
    *sum = sum.saturating_add(cost).min(CEILING);
}
