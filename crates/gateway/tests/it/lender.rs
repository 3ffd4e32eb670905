//! A lender that keeps its accounts in memory, by the very rules that the database has: what it must never do, it asserts.

use keyward_domain::{
    BudgetId, Money,
    budget::{Account, Granted, LeaseId, Standing, Wish},
};
use keyward_gateway::lender::{Answer, Lender, Unavailable};
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard},
};
use tokio::sync::Semaphore;

/// The accounts of a test.
#[derive(Default)]
pub(crate) struct Ledger(Mutex<Accounts>);

#[derive(Default)]
struct Accounts {
    limits: HashMap<BudgetId, i64>,
    spent: HashMap<Account, i64>,
    /// By its number, which is its place here plus one.
    leases: Vec<(Account, i64)>,
    away: bool,
    gate: Option<Arc<Semaphore>>,
    asked: u64,
}

impl Accounts {
    fn leased(&self, account: Account) -> i64 {
        self.leases.iter().filter(|(of, _)| *of == account).map(|(_, amount)| amount).sum()
    }

    fn standing(&self, account: Account) -> Standing {
        Standing {
            limit: Money::from_nano(self.limits.get(&account.budget).copied().unwrap_or(0)),
            spent: Money::from_nano(self.spent.get(&account).copied().unwrap_or(0)),
            leased: Money::from_nano(self.leased(account)),
        }
    }

    fn of(&mut self, lease: LeaseId) -> &mut (Account, i64) {
        let at = usize::try_from(lease.0).ok().and_then(|number| number.checked_sub(1));
        at.and_then(|at| self.leases.get_mut(at)).expect("a lease that was granted")
    }

    fn lend(&mut self, wish: Wish) -> Granted {
        self.asked += 1;
        let left = self.standing(wish.account).left().nano();
        let (needed, wanted) = (wish.needed.nano(), wish.wanted.nano());
        assert!(0 < needed && needed <= wanted, "a wish makes sense: {wish:?}");
        let amount = if left < needed { 0 } else { wanted.min(needed.max(left / 2)) };
        let known = self.leases.iter().position(|(account, _)| *account == wish.account);
        let at = known.unwrap_or_else(|| {
            self.leases.push((wish.account, 0));
            self.leases.len() - 1
        });
        self.leases[at].1 += amount;
        let standing = self.standing(wish.account);
        assert!(amount == 0 || standing.left() >= Money::ZERO, "more was lent than there is: {standing:?}");
        Granted { lease: LeaseId(at as u64 + 1), amount: Money::from_nano(amount), standing }
    }
}

impl Ledger {
    fn lock(&self) -> MutexGuard<'_, Accounts> {
        self.0.lock().expect("no test has failed within")
    }

    /// Sets a budget's limit.
    pub(crate) fn set_limit(&self, budget: BudgetId, nano: i64) {
        self.lock().limits.insert(budget, nano);
    }

    /// Lets nobody have an answer, or again.
    pub(crate) fn set_away(&self, away: bool) {
        self.lock().away = away;
    }

    /// From now on each answer waits for a permit.
    pub(crate) fn gate(&self) -> Arc<Semaphore> {
        let gate = Arc::new(Semaphore::new(0));
        self.lock().gate = Some(Arc::clone(&gate));
        gate
    }

    /// Takes over what a settled call cost and held, as a collector would.
    pub(crate) fn collect(&self, leases: &[LeaseId], cost: Money, held: Option<Money>) {
        let mut accounts = self.lock();
        for lease in leases {
            let (account, amount) = accounts.of(*lease);
            *amount -= held.map_or(cost, |held| held.min(cost)).nano();
            assert!(*amount >= 0, "a call is charged to a lease that does not have so much");
            let account = *account;
            *accounts.spent.entry(account).or_default() += cost.nano();
        }
    }

    /// How an account stands.
    pub(crate) fn standing(&self, account: Account) -> Standing {
        self.lock().standing(account)
    }

    /// How often somebody has asked.
    pub(crate) fn asked(&self) -> u64 {
        self.lock().asked
    }
}

impl Lender for Ledger {
    fn lease(&self, wish: Wish) -> Answer {
        let mut accounts = self.lock();
        if accounts.away {
            return Box::pin(async { Err(Unavailable) });
        }
        let granted = accounts.lend(wish);
        let gate = accounts.gate.clone();
        Box::pin(async move {
            match gate {
                Some(gate) => gate.acquire().await.expect("open").forget(),
                None => tokio::task::yield_now().await,
            }
            Ok(granted)
        })
    }

    fn give_back(&self, lease: LeaseId, amount: Money) {
        let mut accounts = self.lock();
        let (_, leased) = accounts.of(lease);
        assert!(amount > Money::ZERO, "nothing is given back");
        *leased -= amount.nano();
        assert!(*leased >= 0, "more is given back than was lent");
    }
}
