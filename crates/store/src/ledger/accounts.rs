//! Reading what budgets stand at.

use super::lend::Rolling;
use crate::{Error, Store};
use keyward_domain::{BudgetId, Millis, Money, budget::Account};

statements! {
    STAND = "select budget, start, spent, leased, carried from accounts where budget = $1 and start = $2";
    SLOTS = "select cast(coalesce(sum(spent), 0) as bigint) from accounts where budget = $1 and start > 0
        and start > $2 - 86400000 and (start >= $2 or start + slot_ms > $2)";
    HISTORY = "select budget, start, spent, leased, carried from accounts where budget = $1 and start < $2
        order by start desc limit $3";
}

row! {
    /// A budget in one window, or one slot of a rolling budget.
    pub struct AccountRow {
        /// The budget.
        pub budget: BudgetId,
        /// When the window, or the slot, began.
        pub start: Millis,
        /// What was spent.
        pub spent: Money,
        /// What nodes may still spend.
        pub leased: Money,
        /// That part of what was spent whose single calls are no longer kept.
        pub carried: Money,
    }
}

row! {
    struct Sum { spent: Money, }
}

impl Store {
    /// What was spent of an account, as it counts now, and what is leased of it: nothing when it was never used.
    ///
    /// # Errors
    /// The database's.
    pub async fn stand(&self, account: Account, rolling: Option<Rolling>) -> Result<(Money, Money), Error> {
        let (budget, start) = (account.budget.uuid(), account.start);
        let row = read!(self, fetch_optional, AccountRow, "an account", STAND, budget, start)?;
        let (spent, leased) = row.map_or((Money::ZERO, Money::ZERO), |row| (row.spent, row.leased));
        let Some(rolling) = rolling else { return Ok((spent, leased)) };
        let first = rolling.first_slot.max(1);
        Ok((read!(self, fetch_one, Sum, "the slots of an account", SLOTS, budget, first)?.spent, leased))
    }

    /// The windows of a budget, newest first, before a moment; of a rolling budget its slots.
    ///
    /// # Errors
    /// The database's.
    pub async fn accounts_of(&self, budget: BudgetId, before: Millis, limit: u32) -> Result<Vec<AccountRow>, Error> {
        read!(self, fetch_all, AccountRow, "the accounts", HISTORY, budget.uuid(), before, i64::from(limit))
    }
}
