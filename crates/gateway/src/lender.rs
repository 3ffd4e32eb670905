//! Where the money comes from that a node may spend without asking: the one seam between the gateway and whoever keeps
//! the budgets. See `docs/decisions/0001-budgets-that-hold.md`, steps 1 and 5.

use keyward_domain::{
    Money,
    budget::{Granted, LeaseId, Wish},
};
use std::pin::Pin;

/// An answer on its way.
pub type Answer = Pin<Box<dyn Future<Output = Result<Granted, Unavailable>> + Send>>;

/// Nobody can say at the moment whether there is money: the database is away, or too slow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the money cannot be had at the moment: the database does not answer")]
pub struct Unavailable;

/// Who lends money to this node.
pub trait Lender: Send + Sync + 'static {
    /// Asks for money. What is granted stands in the database, durably, before this answers; it must answer some time,
    /// since an account asks only once at a time. The answer is waited for on the gateway's threads, so the work is
    /// done elsewhere.
    fn lease(&self, wish: Wish) -> Answer;

    /// Takes back what this node does not need. Whoever calls this has taken it out of its memory already, so it may
    /// be late, but it must not be done twice.
    fn give_back(&self, lease: LeaseId, amount: Money);
}
