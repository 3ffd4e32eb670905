//! Budgets, and what a node and the database say to each other about them: see `docs/decisions/0001-budgets-that-hold.md`
//! for the protocol and why it holds.

use crate::{BudgetId, Environment, KeyId, Millis, Money, ProjectId, usage::Text, window::Window};
use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr, sync::Arc};

/// Whose spending a budget bounds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// Every call.
    Organisation,
    /// The calls of a project.
    Project(ProjectId),
    /// The calls of one environment of a project.
    Environment(ProjectId, Environment),
    /// The calls of a key.
    Key(KeyId),
}

impl Scope {
    /// Whether a call belongs to it.
    #[must_use]
    pub fn covers(&self, project: ProjectId, environment: Environment, key: KeyId) -> bool {
        match *self {
            Self::Organisation => true,
            Self::Project(wanted) => wanted == project,
            Self::Environment(wanted, stage) => wanted == project && stage == environment,
            Self::Key(wanted) => wanted == key,
        }
    }

    /// The word for its kind.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Organisation => "organisation",
            Self::Project(_) => "project",
            Self::Environment(..) => "environment",
            Self::Key(_) => "key",
        }
    }
}

/// A limit in money over a window.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Budget {
    /// Its id.
    pub id: BudgetId,
    /// Whose spending it bounds.
    pub scope: Scope,
    /// The most that may be spent in a window.
    pub limit: Money,
    /// When it starts anew.
    pub window: Window,
}

/// Rates that all calls of a scope share; a key's own are in its policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct SharedRates {
    /// Whose calls: the organisation's or a project's.
    pub scope: Scope,
    /// Requests per minute.
    pub requests_per_minute: Option<u64>,
    /// Tokens per minute.
    pub tokens_per_minute: Option<u64>,
    /// Calls at once.
    pub concurrency: Option<u32>,
}

/// One budget in one window: what leases, holds and use are counted for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Account {
    /// The budget.
    pub budget: BudgetId,
    /// When the window began; 0 for rolling windows and totals.
    pub start: Millis,
}

/// What an account stands at, as the database knows it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Standing {
    /// The limit.
    pub limit: Money,
    /// What settled calls cost, and holds that nobody can settle any more.
    pub spent: Money,
    /// What nodes may still spend, all together.
    pub leased: Money,
}

impl Standing {
    /// What is neither spent nor leased.
    #[must_use]
    pub const fn left(&self) -> Money {
        Money::from_nano(self.limit.nano().saturating_sub(self.spent.nano()).saturating_sub(self.leased.nano()))
    }
}

/// A lease's number: one node's part of one account.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct LeaseId(pub u64);

/// A node asks for money.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wish {
    /// The account.
    pub account: Account,
    /// Less than this is of no use: the call that waits needs it.
    pub needed: Money,
    /// So much would be good to have.
    pub wanted: Money,
}

/// What a node gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Granted {
    /// The node's lease on the account. The same for as long as the node runs.
    pub lease: LeaseId,
    /// How much was added to it. Zero: less is left than was needed.
    pub amount: Money,
    /// How the account stands now.
    pub standing: Standing,
}

/// What a call holds, in the journal before the call is sent: enough to charge it if nothing else is ever heard of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hold<T = Arc<str>> {
    /// The call.
    pub call: crate::RequestId,
    /// When it was admitted.
    pub at: Millis,
    /// The key.
    pub key: KeyId,
    /// Its project.
    pub project: ProjectId,
    /// Its environment.
    pub environment: Environment,
    /// The provider's id.
    pub provider: T,
    /// The model asked for.
    pub model: T,
    /// The operation's name.
    pub operation: T,
    /// The credential it was sent with first.
    pub credential: crate::CredentialId,
    /// How much is held on each lease.
    pub amount: Money,
    /// The leases.
    pub leases: Vec<LeaseId>,
    /// The price list by which the amount was computed.
    pub price_version: T,
}

impl<T> Hold<T> {
    /// The same hold with other texts.
    pub fn with_texts<U>(self, mut text: impl FnMut(Text, T) -> U) -> Hold<U> {
        Hold {
            call: self.call,
            at: self.at,
            key: self.key,
            project: self.project,
            environment: self.environment,
            provider: text(Text::Provider, self.provider),
            model: text(Text::Model, self.model),
            operation: text(Text::Operation, self.operation),
            credential: self.credential,
            amount: self.amount,
            leases: self.leases,
            price_version: text(Text::PriceVersion, self.price_version),
        }
    }
}

/// A limit and its window as people write them: `5 USD/month`, `0.50 USD/hour`, `20 USD/month Europe/Vienna`,
/// `10 USD/rolling 24h`, `100 USD/total`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limit {
    /// The most that may be spent.
    pub amount: Money,
    /// In which window.
    pub window: Window,
}

/// Why a text is not a limit.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadLimit {
    /// The two parts are not there.
    #[error("write a budget as AMOUNT USD/WINDOW, for example '5 USD/month' or '0.50 USD/hour'")]
    Shape,
    /// The amount is none, or not above zero.
    #[error("not an amount of money: write it like 5, 0.50 or 0.000001, above zero and below nine billion dollars")]
    Amount,
    /// The window is none.
    #[error(transparent)]
    Window(#[from] crate::window::BadWindow),
}

impl FromStr for Limit {
    type Err = BadLimit;

    fn from_str(text: &str) -> Result<Self, BadLimit> {
        let (amount, window) = text.split_once('/').ok_or(BadLimit::Shape)?;
        let amount = amount.trim();
        let amount = amount.strip_suffix("USD").or_else(|| amount.strip_suffix("usd")).unwrap_or(amount);
        let amount: Money = amount.trim().parse().map_err(|_| BadLimit::Amount)?;
        if amount <= Money::ZERO {
            return Err(BadLimit::Amount);
        }
        Ok(Self { amount, window: window.parse()? })
    }
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} USD/{}", self.amount, self.window)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_read_and_written() {
        for (text, shown) in [
            ("5 USD/month", "5 USD/month"),
            ("$0.50/hour", "0.5 USD/hour"),
            ("20usd / month Europe/Vienna", "20 USD/month Europe/Vienna"),
            ("10 USD/rolling 24h", "10 USD/rolling 24h"),
            ("100 USD/2026-11-01..2026-12-01", "100 USD/2026-11-01..2026-12-01"),
        ] {
            assert_eq!(text.parse::<Limit>().map(|limit| limit.to_string()), Ok(shown.to_owned()), "{text}");
        }
        for (text, error) in [
            ("5 USD", BadLimit::Shape),
            ("0 USD/month", BadLimit::Amount),
            ("-1 USD/month", BadLimit::Amount),
            ("five/month", BadLimit::Amount),
        ] {
            assert_eq!(text.parse::<Limit>(), Err(error), "{text}");
        }
        assert!(matches!("5/fortnight".parse::<Limit>(), Err(BadLimit::Window(_))));
    }

    #[test]
    fn scopes_cover_what_is_below_them() {
        let (project, other) = (ProjectId::new(0, [1; 10]), ProjectId::new(0, [2; 10]));
        let key = KeyId::new(0, [3; 10]);
        let covers = |scope: Scope| scope.covers(project, Environment::Production, key);
        assert!(covers(Scope::Organisation) && covers(Scope::Project(project)) && covers(Scope::Key(key)));
        assert!(covers(Scope::Environment(project, Environment::Production)));
        assert!(!covers(Scope::Environment(project, Environment::Staging)));
        assert!(!covers(Scope::Project(other)) && !covers(Scope::Key(KeyId::new(0, [4; 10]))));
    }

    #[test]
    fn what_is_left_is_neither_spent_nor_leased() {
        let standing =
            Standing { limit: Money::from_nano(10), spent: Money::from_nano(3), leased: Money::from_nano(9) };
        assert_eq!(standing.left(), Money::from_nano(-2));
    }
}
