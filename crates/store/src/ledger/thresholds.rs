//! Thresholds of budgets that were reached: each once in a window.

use crate::{Error, Store, Write};
use keyward_domain::{BudgetId, Millis, budget::Account};

statements! {
    NOTE = "insert into budget_events (budget, start, percent, at) values ($1, $2, $3, $4)
        on conflict (budget, start, percent) do nothing";
    REACHED = "select budget, start, percent, at from budget_events where budget = $1 and start >= $2
        order by start desc, percent desc limit $3";
}

row! {
    /// A threshold that was reached.
    pub struct ThresholdRow {
        /// The budget.
        pub budget: BudgetId,
        /// The window.
        pub start: Millis,
        /// The part of the limit that was spent, in percent.
        pub percent: u32,
        /// When it was noticed.
        pub at: Millis,
    }
}

impl Write {
    /// Notes that a threshold was reached. Answers whether that is new.
    ///
    /// # Errors
    /// The database's.
    pub async fn note_threshold(&mut self, account: Account, percent: u32) -> Result<bool, Error> {
        let at = self.now();
        let (budget, start) = (account.budget.uuid(), account.start);
        Ok(run!(self, "a threshold", NOTE, budget, start, i64::from(percent), at)? > 0)
    }
}

impl Store {
    /// The thresholds that a budget reached in windows that began at a moment or later, newest first.
    ///
    /// # Errors
    /// The database's.
    pub async fn thresholds(&self, budget: BudgetId, since: Millis, limit: u32) -> Result<Vec<ThresholdRow>, Error> {
        read!(self, fetch_all, ThresholdRow, "the thresholds", REACHED, budget.uuid(), since, i64::from(limit))
    }
}
