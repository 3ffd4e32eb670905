//! Everything that moves money, in random order, against a model in memory that knows nothing of tables: accounts are
//! always what the model says, and always follow from the ledger, also after days of it were dropped.

use crate::{
    bed::Bed,
    ledger::{account, ask, collect, end, hold, lease, spend, usd},
    rows::{self, MIDNIGHT, NOW},
};
use keyward_domain::{
    Millis, Money,
    budget::{Account, LeaseId},
    usage::{Outcome, UsageEvent},
};
use keyward_store::{DAY, LeaseAsk, Rest, Rolling, Store};
use std::collections::BTreeMap;

/// A small generator, so that a run can be repeated.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % sides
    }

    fn money(&mut self, most: u64) -> i64 {
        i64::try_from(self.roll(most)).unwrap()
    }
}

const LIMIT: i64 = 5_000;
const ACCOUNTS: u32 = 4;

/// The last of them is rolling.
fn is_rolling(number: u32) -> bool {
    number == ACCOUNTS - 1
}

fn place(number: u32) -> Account {
    if is_rolling(number) { Account { start: 0, ..account(number) } } else { account(number) }
}

/// A rolling window so long that nothing leaves it here.
const ROLLING: Rolling = Rolling { slot_ms: DAY, first_slot: 1 };

fn wish(number: u32, needed: i64, wanted: i64) -> LeaseAsk {
    let rolling = is_rolling(number).then_some(ROLLING);
    let ends_at = if is_rolling(number) { i64::MAX } else { MIDNIGHT + DAY };
    LeaseAsk { rolling, ends_at, ..ask(place(number), needed, wanted, LIMIT) }
}

#[derive(Default)]
struct Model {
    spent: [i64; ACCOUNTS as usize],
    /// What is left of each lease, and of which account.
    leases: BTreeMap<LeaseId, (u32, i64)>,
    /// What was charged of each lease and no call has explained yet.
    charged: BTreeMap<LeaseId, i64>,
    open: Vec<UsageEvent>,
    ended: Vec<UsageEvent>,
}

impl Model {
    fn leased(&self, number: u32) -> i64 {
        self.leases.values().filter(|(of, _)| *of == number).map(|(_, left)| left).sum()
    }

    fn book(&mut self, call: &UsageEvent) {
        for lease in &call.leases {
            let (number, left) = self.leases.get_mut(lease).unwrap();
            let charged = self.charged.entry(*lease).or_default();
            // No more than what was held leaves the lease.
            let held = call.held.map_or(call.cost, |held| held.min(call.cost)).nano();
            let late = held.min(*charged);
            *charged -= late;
            self.spent[*number as usize] += call.cost.nano() - late;
            *left -= (held - late).min(*left);
        }
    }
}

impl Model {
    /// The rest of a lease counts as spent.
    fn charge(&mut self, lease: LeaseId) {
        let (number, left) = self.leases.get_mut(&lease).unwrap();
        let left = std::mem::take(left);
        self.spent[*number as usize] += left;
        *self.charged.entry(lease).or_default() += left;
    }

    /// Money goes back, first what was charged. Answers how much it was.
    fn give_back(&mut self, lease: LeaseId, amount: i64) -> i64 {
        let (number, left) = self.leases.get_mut(&lease).unwrap();
        let charged = self.charged.entry(lease).or_default();
        let late = amount.min(*charged);
        *charged -= late;
        self.spent[*number as usize] -= late;
        let rest = (amount - late).min(*left);
        *left -= rest;
        late + rest
    }
}

async fn check(store: &Store, model: &Model, what: &str) {
    for number in 0..ACCOUNTS {
        let rolling = is_rolling(number).then_some(ROLLING);
        let (spent, leased) = store.stand(place(number), rolling).await.unwrap();
        let expected = (usd(model.spent[number as usize]), usd(model.leased(number)));
        assert_eq!((spent, leased), expected, "{what}: account {number}");
    }
    assert_eq!(store.rebuild_accounts().await.unwrap(), [], "{what}");
    assert_eq!(store.holds(10_000).await.unwrap().len(), model.open.len(), "{what}");
}

/// A store and a model that are told the same.
struct Run {
    store: Store,
    dice: Dice,
    model: Model,
    node: u64,
    calls: u32,
    /// The node's lease on each account.
    current: BTreeMap<u32, LeaseId>,
}

impl Run {
    async fn step(&mut self) -> &'static str {
        match self.dice.roll(10) {
            0..=2 => self.lend().await,
            3..=6 => self.batch().await,
            7 if self.dice.roll(4) == 0 => self.reclaim().await,
            7 => self.give_back().await,
            8 if self.dice.roll(3) == 0 => self.die().await,
            9 if self.dice.roll(3) == 0 => self.drop_days().await,
            _ => "nothing",
        }
    }

    async fn lend(&mut self) -> &'static str {
        let number = u32::try_from(self.dice.roll(u64::from(ACCOUNTS))).unwrap();
        let (needed, wanted) = (self.dice.money(100), self.dice.money(600));
        let granted = lease(&self.store, self.node, wish(number, needed, wanted)).await;
        let left = (LIMIT - self.model.spent[number as usize] - self.model.leased(number)).max(0);
        let expected = if left < needed { 0 } else { wanted.max(needed).min(left) };
        assert_eq!(granted.amount, usd(expected));
        if expected > 0 {
            self.model.leases.entry(granted.lease).or_insert((number, 0)).1 += expected;
            self.current.insert(number, granted.lease);
        }
        "a lease"
    }

    /// Some calls begin, some end, some of those that ended are told again.
    async fn batch(&mut self) -> &'static str {
        let (mut usage, mut holds) = (Vec::new(), Vec::new());
        for _ in 0..self.dice.roll(6) {
            let dice = &mut self.dice;
            let leases: Vec<LeaseId> = self.current.values().copied().filter(|_| dice.roll(3) > 0).collect();
            if leases.is_empty() {
                continue;
            }
            let at = NOW - Millis::try_from(dice.roll(4)).unwrap() * DAY - dice.money(36_000_000);
            self.calls += 1;
            let call = spend(self.calls, at, dice.money(60), &leases);
            holds.push(hold(&call));
            self.model.open.push(call);
        }
        for _ in 0..self.dice.roll(6) {
            if self.model.open.is_empty() {
                break;
            }
            let index = usize::try_from(self.dice.roll(self.model.open.len() as u64)).unwrap();
            let mut call = self.model.open.swap_remove(index);
            // Now and then it cost more than was held.
            call.cost = usd(call.cost.nano() / 2 + if self.dice.roll(20) == 0 { 700 } else { 0 });
            self.model.book(&call);
            self.model.ended.push(call.clone());
            usage.push(call);
        }
        let dice = &mut self.dice;
        usage.extend(self.model.ended.iter().rev().take(3).filter(|_| dice.roll(4) == 0).cloned());
        collect(&self.store, usage, holds).await;
        "a batch"
    }

    async fn give_back(&mut self) -> &'static str {
        let index = usize::try_from(self.dice.roll(4)).unwrap();
        if let Some((number, lease)) = self.current.iter().nth(index) {
            let amount = self.dice.money(300);
            let (number, expected) = (*number, self.model.give_back(*lease, amount));
            let back = self.store.give_back(&[(*lease, usd(amount))]).await.unwrap();
            assert_eq!(back, [(*lease, usd(expected))], "account {number}");
        }
        "a lease given back"
    }

    /// The node is given up and is alive: it goes on with what it had.
    async fn reclaim(&mut self) -> &'static str {
        let mut write = rows::begin(&self.store).await;
        write.reclaim_node(self.node).await.unwrap();
        rows::commit(write).await;
        for lease in self.current.values() {
            self.model.charge(*lease);
        }
        "a reclaim"
    }

    /// The node dies: what is under way is lost, the rest goes back or is charged, and another begins.
    async fn die(&mut self) -> &'static str {
        let open = std::mem::take(&mut self.model.open).into_iter();
        let lost: Vec<UsageEvent> = open.map(|call| UsageEvent { outcome: Outcome::Lost, ..call }).collect();
        lost.iter().for_each(|call| self.model.book(call));
        self.model.ended.extend(lost.iter().cloned());
        collect(&self.store, lost, Vec::new()).await;
        let rest = if self.dice.roll(2) == 0 { Rest::GiveBack } else { Rest::Charge };
        end(&self.store, self.node, rest).await;
        for lease in self.current.values() {
            match rest {
                Rest::Charge => self.model.charge(*lease),
                Rest::GiveBack => drop(self.model.give_back(*lease, i64::MAX)),
            }
        }
        self.node += 1;
        self.store.begin_node(self.node, "n", "boot", NOW).await.unwrap();
        // Calls of a node that was given up may still be told.
        if let Some(lease) = self.current.values().next().copied() {
            self.calls += 1;
            let at = NOW - self.dice.money(4) * DAY;
            let call = spend(self.calls, at, self.dice.money(90), &[lease]);
            self.model.book(&call);
            self.model.ended.push(call.clone());
            collect(&self.store, vec![call], Vec::new()).await;
        }
        self.current.clear();
        "a recovery"
    }

    async fn drop_days(&mut self) -> &'static str {
        let before = MIDNIGHT - Millis::try_from(self.dice.roll(4)).unwrap() * DAY;
        let mut write = rows::begin(&self.store).await;
        write.drop_usage_days(before).await.unwrap();
        rows::commit(write).await;
        // What is dropped may not come again: then it would be new.
        self.model.ended.retain(|call| call.at >= before);
        "dropped days"
    }
}

pub(crate) async fn accounts_follow_from_the_ledger(bed: Bed) {
    let store = bed.store().await;
    store.begin_node(1, "n", "boot", NOW).await.unwrap();
    let (dice, model) = (Dice(0x9E37_79B9_7F4A_7C15), Model::default());
    let mut run = Run { store, dice, model, node: 1, calls: 0, current: BTreeMap::new() };
    for step in 0..260 {
        let what = run.step().await;
        if step % 4 == 0 || ["dropped days", "a recovery", "a reclaim"].contains(&what) {
            check(&run.store, &run.model, &format!("step {step}, {what}")).await;
        }
    }
    assert!(run.calls > 100 && run.node > 1, "{} calls, {} nodes", run.calls, run.node);
    let Run { store, model, .. } = run;
    check(&store, &model, "the end").await;
    // What somebody changed behind the store's back is found, and mended.
    bed.tamper("update accounts set spent = spent + 5 where spent > 0").await;
    let found = store.rebuild_accounts().await.unwrap();
    assert!(!found.is_empty() && found.iter().all(|one| one.what == "spent"), "{found:?}");
    assert!(found.iter().all(|one| one.stored == one.derived.saturating_add(Money::from_nano(5))), "{found:?}");
    let mut write = rows::begin(&store).await;
    assert_eq!(write.rebuild_accounts().await.unwrap(), found);
    rows::commit(write).await;
    check(&store, &model, "mended").await;
}
