//! Calls that were sent and whose end is not collected yet.

use super::{
    decode_leases, encode_leases,
    facts::Facts,
    rows::{Bind, run},
};
use crate::{
    Error, Store,
    pool::Open,
    sql::{Stored, clean, stored},
};
use keyward_domain::{
    CredentialId, Environment, KeyId, Millis, Money, ProjectId, RequestId,
    budget::{Hold, LeaseId},
};
use rustc_hash::FxHashMap;

statements! {
    HOLDS_OF = "select call, node, at, key_id, project_id, environment, provider, model, operation, credential_id,
        amount, leases, price_version from holds where node = $1 order by call limit $2";
    HOLDS = "select call, node, at, key_id, project_id, environment, provider, model, operation, credential_id,
        amount, leases, price_version from holds order by call limit $1";
}

const INSERT: &str = "insert into holds (call, node, at, key_id, project_id, environment, provider, model, operation,
    credential_id, amount, leases, price_version) values ";

impl Stored for Vec<LeaseId> {
    type Raw = Vec<u8>;

    fn from_raw(raw: Vec<u8>) -> Option<Self> {
        decode_leases(&raw)
    }
}

row! {
    /// A call that was sent and whose end is not collected yet.
    pub struct HoldRow {
        /// The call.
        pub call: RequestId,
        /// The node that sent it; 0 when none of its leases is known.
        pub node: u64,
        /// When it was admitted.
        pub at: Millis,
        /// The key.
        pub key: KeyId,
        /// Its project.
        pub project: ProjectId,
        /// Its environment.
        pub environment: Environment,
        /// The provider's id.
        pub provider: Box<str>,
        /// The model asked for.
        pub model: Box<str>,
        /// The operation's name.
        pub operation: Box<str>,
        /// The credential it was sent with first.
        pub credential: CredentialId,
        /// How much is held on each lease.
        pub amount: Money,
        /// The leases.
        pub leases: Vec<LeaseId>,
        /// The price list by which the amount was computed.
        pub price_version: Box<str>,
    }
}

/// Stores holds. Those that are there already stay as they are.
pub(super) async fn insert(
    open: &mut Open,
    holds: &[&Hold],
    facts: &FxHashMap<LeaseId, Facts>,
) -> Result<(), sqlx::Error> {
    let rows: Vec<_> = holds
        .iter()
        .map(|hold| {
            let node = hold.leases.iter().find_map(|lease| facts.get(lease)).map_or(0, |facts| facts.node);
            [
                Bind::Id(hold.call.uuid()),
                Bind::Number(node),
                Bind::Number(hold.at),
                Bind::Id(hold.key.uuid()),
                Bind::Id(hold.project.uuid()),
                Bind::Text(hold.environment.name().into()),
                Bind::Text(clean(&hold.provider)),
                Bind::Text(clean(&hold.model)),
                Bind::Text(clean(&hold.operation)),
                Bind::Id(hold.credential.uuid()),
                Bind::Number(hold.amount.nano()),
                Bind::Bytes(encode_leases(&hold.leases)),
                Bind::Text(clean(&hold.price_version)),
            ]
        })
        .collect();
    run(open, INSERT, " on conflict (call) do nothing", &rows).await.map(drop)
}

/// Forgets the holds of calls that ended.
pub(super) async fn delete(open: &mut Open, mut calls: Vec<RequestId>) -> Result<(), sqlx::Error> {
    // In their order, in which they lie beside each other, and in which no two nodes block each other.
    calls.sort_unstable();
    let rows: Vec<_> = calls.into_iter().map(|call| [Bind::Id(call.uuid())]).collect();
    run(open, "delete from holds where call in (values ", ")", &rows).await.map(drop)
}

impl Store {
    /// Calls that a node sent and whose end is not collected yet, at most so many.
    ///
    /// # Errors
    /// The database's.
    pub async fn holds_of(&self, node: u64, limit: u32) -> Result<Vec<HoldRow>, Error> {
        read!(self, fetch_all, HoldRow, "the calls under way", HOLDS_OF, stored(node), i64::from(limit))
    }

    /// Calls that were sent and whose end is not collected yet, on all nodes, oldest first.
    ///
    /// # Errors
    /// The database's.
    pub async fn holds(&self, limit: u32) -> Result<Vec<HoldRow>, Error> {
        read!(self, fetch_all, HoldRow, "the calls under way", HOLDS, i64::from(limit))
    }
}
