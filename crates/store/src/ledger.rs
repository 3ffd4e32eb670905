//! What budgets stand at: accounts, the leases that nodes spend from, the holds of calls that are under way, and how all
//! of it follows from the usage that is stored. The protocol is in `docs/decisions/0001-budgets-that-hold.md`.
//!
//! INVARIANT: whoever changes an account or one of its leases holds the account's row, and takes several in the order
//! of [`Account`]: so nodes wait for each other instead of blocking each other, and what was read of an account and
//! its leases stays true until the commit.

mod accounts;
mod book;
mod facts;
mod holds;
mod lend;
mod nodes;
mod rebuild;
mod rows;
mod thresholds;

pub(crate) use accounts::ALL as ALL_ACCOUNTS;
pub(crate) use book::{Booked, book};
pub(crate) use facts::{ALL as ALL_FACTS, LeaseCache};
pub(crate) use holds::ALL as ALL_HOLDS;
pub(crate) use lend::ALL as ALL_LEND;
pub(crate) use nodes::{ALL as ALL_NODES, forget_boots};
pub(crate) use rebuild::{ALL as ALL_REBUILD, fold};
pub(crate) use thresholds::ALL as ALL_THRESHOLDS;

pub use accounts::AccountRow;
pub use holds::HoldRow;
pub use lend::{LeaseAsk, Rolling};
pub use nodes::{EndedNode, NodeRow, NodeStand, Rest};
pub use rebuild::Difference;
pub use thresholds::ThresholdRow;

use keyward_domain::{
    Millis, Money,
    budget::{Account, LeaseId},
};

/// No account grows beyond this, so that no sum of a few leaves the range of 64 bits.
const CEILING: i64 = 1_000_000_000_000_000_000;
/// No single call counts for more than this, as in the totals.
const MOST: i64 = 1_000_000_000_000_000;

/// What a call's cost counts for.
fn booked(cost: Money) -> i64 {
    cost.nano().clamp(0, MOST)
}

/// A call, or several, cost more than was left of a lease: the rest was booked all the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Overrun {
    /// The lease.
    pub lease: LeaseId,
    /// Its account.
    pub account: Account,
    /// How much more.
    pub by: Money,
}

/// An account on which something was booked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Touched {
    /// The account.
    pub account: Account,
    /// Whether it is a rolling budget's: then what was spent is in its slots.
    pub rolling: bool,
    /// What its row says was spent now.
    pub spent: Money,
}

/// The slot of a rolling budget that a moment belongs to.
fn slot(at: Millis, slot_ms: Millis) -> Millis {
    let at = crate::usage::within(at);
    at - at.rem_euclid(slot_ms.max(1))
}

/// Leases as they are stored in a row: how many, then each in as few bytes as its number needs.
pub(crate) fn encode_leases(leases: &[LeaseId]) -> Vec<u8> {
    // HOT: in every row under a budget. Numbers always have a form, and memory has room for it.
    postcard::to_extend(leases, Vec::with_capacity(1 + 10 * leases.len())).unwrap_or_default()
}

/// Reads what [`encode_leases`] wrote.
pub(crate) fn decode_leases(bytes: &[u8]) -> Option<Vec<LeaseId>> {
    let (leases, rest) = postcard::take_from_bytes(bytes).ok()?;
    rest.is_empty().then_some(leases)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn leases_take_few_bytes() {
        let leases = [LeaseId(1), LeaseId(300), LeaseId(i64::MAX.unsigned_abs())];
        let bytes = encode_leases(&leases);
        assert_eq!(bytes.len(), 1 + 1 + 2 + 9);
        assert_eq!(decode_leases(&bytes), Some(leases.to_vec()));
        assert_eq!(decode_leases(&encode_leases(&[])), Some(Vec::new()));
        for wrong in [&[][..], &[2, 1], &[1, 1, 1], &[1, 0x80], &[0xff; 30]] {
            assert_eq!(decode_leases(wrong), None, "{wrong:?}");
        }
    }

    #[test]
    fn slots_hold_any_moment() {
        for (at, expected) in [(119, 60), (120, 120), (-5, 0), (i64::MIN, 0)] {
            assert_eq!(slot(at, 60), expected);
        }
    }
}
