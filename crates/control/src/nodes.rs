//! Step 6: what earlier runs of this node left is accounted for, and what this one leaves when it stops; and giving up
//! another node.

use crate::{Control, auth::Caller, lend::Node, thresholds::Crossed};
use keyward_domain::{
    Millis, Money,
    audit::Actor,
    budget::Account,
    times,
    usage::{CostBasis, Outcome, Usage, UsageEvent},
};
use keyward_store::{Batch, Change, EndedNode, Error, HoldRow, NodeRow, NodeStand, Rest};
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr},
};

/// How many lost calls are stored at once.
const PIECE: u32 = 1_000;
/// Where nodes share a database, each says every half minute that it is there: after this it is silent.
const SILENT: Millis = 2 * 60_000;
/// How many accounts an audit row names.
const NAMED: usize = 100;

/// What was found of an earlier run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recovered {
    /// The run.
    pub incarnation: u64,
    /// Calls that were under way, each charged with what was held for it.
    pub lost_calls: u64,
    /// What was held for them.
    pub lost: Money,
    /// What was left of its leases.
    pub leases: EndedNode,
    /// Thresholds that were reached by it.
    pub crossed: Vec<Crossed>,
}

/// A node's id as it is written.
pub(crate) fn id(incarnation: u64) -> String {
    format!("{incarnation:016x}")
}

/// A call that nobody knows the end of.
fn lost(hold: &HoldRow) -> UsageEvent {
    UsageEvent {
        id: hold.call,
        at: hold.at,
        key: hold.key,
        project: hold.project,
        environment: hold.environment,
        provider: (*hold.provider).into(),
        model: (*hold.model).into(),
        operation: (*hold.operation).into(),
        credential: hold.credential,
        usage: Usage::default(),
        cost: hold.amount,
        basis: CostBasis::Estimated,
        price_version: (*hold.price_version).into(),
        status: 0,
        outcome: Outcome::Lost,
        first_byte_us: 0,
        total_us: 0,
        client: IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        user_agent: "".into(),
        secret_slot: 0,
        upstream_id: "".into(),
        held: Some(hold.amount),
        leases: hold.leases.clone(),
    }
}

impl Control {
    /// How a node is: `here`, `running` or `silent`.
    pub(crate) fn node_status(&self, stand: &NodeStand) -> &'static str {
        let is_here = self.node().is_some_and(|own| own.incarnation == stand.node.incarnation);
        let is_silent = self.now().saturating_sub(stand.node.seen_at) > SILENT;
        match (is_here, is_silent) {
            (true, _) => "here",
            (false, true) => "silent",
            (false, false) => "running",
        }
    }

    /// Accounts for the earlier runs of this node, once everything that their journals hold is collected: calls without
    /// an end are charged with their holds, what is then left of the leases goes back. Where the end of a journal may
    /// be missing (`whole` is false, or the machine was started anew), what is left is charged instead.
    ///
    /// # Errors
    /// The database's. What was done is kept; calling again goes on.
    pub async fn recover_nodes(&self, whole: bool) -> Result<Vec<Recovered>, Error> {
        let own = self.node().ok_or(Error::NodeEnded)?;
        let mut recovered = Vec::new();
        for earlier in self.store().running_nodes().await? {
            let ours = own.alone || earlier.name == own.name;
            if earlier.incarnation != own.incarnation && ours {
                recovered.push(self.recover_node(&own, &earlier, whole).await?);
            }
        }
        if own.alone {
            // Calls whose leases are not known, as after the restore of an older backup.
            self.charge_holds(0).await?;
        }
        Ok(recovered)
    }

    async fn recover_node(&self, own: &Node, earlier: &NodeRow, whole: bool) -> Result<Recovered, Error> {
        let (lost_calls, lost, mut crossed) = self.charge_holds(earlier.incarnation).await?;
        let (rest, why) = if earlier.name != own.name || earlier.boot.is_empty() {
            (Rest::Charge, "its journal is not here")
        } else if earlier.boot != own.boot || own.boot.is_empty() {
            (Rest::Charge, "the machine was started anew, so that the end of its journal may be missing")
        } else if !whole {
            (Rest::Charge, "its journal is damaged")
        } else {
            (Rest::GiveBack, "its journal was read to its end")
        };
        let actor = Actor::System { part: "recovery".to_owned() };
        let mut write = self.store().write(actor, None, self.now()).await?;
        let leases = write.end_node(earlier.incarnation, rest).await?;
        let said = change(
            "node.recover",
            earlier.incarnation,
            json!({
                "started_at": times::show(earlier.started_at), "lost_calls": lost_calls, "lost_usd": lost.to_string(),
                "why": why, "given_back": amounts(&leases.given_back), "charged": amounts(&leases.charged)
            }),
        );
        self.commit(write, vec![said]).await?;
        let node = id(earlier.incarnation);
        if leases.charged.is_empty() && lost_calls == 0 {
            tracing::info!(node, why, "an earlier run of this node is accounted for");
        } else {
            let charged = leases.charged.len();
            tracing::warn!(
                node, why, lost_calls, %lost, accounts_charged = charged,
                "an earlier run of this node ended badly: what it may have spent counts as spent"
            );
        }
        crossed.extend(self.say_thresholds(&leases.touched).await);
        Ok(Recovered { incarnation: earlier.incarnation, lost_calls, lost, leases, crossed })
    }

    /// Charges the calls of a node that have no end.
    async fn charge_holds(&self, node: u64) -> Result<(u64, Money, Vec<Crossed>), Error> {
        let (mut calls, mut sum, mut crossed) = (0, Money::ZERO, Vec::new());
        let mut before = None;
        loop {
            let holds = self.store().holds_of(node, PIECE).await?;
            let first = holds.first().map(|hold| hold.call);
            if first.is_none() {
                return Ok((calls, sum, crossed));
            }
            if first == before {
                return Err(Error::Stale { what: "a call under way" });
            }
            before = first;
            let usage: Vec<UsageEvent> = holds.iter().map(lost).collect();
            // Those whose end was stored before change nothing.
            let taken = self.take(&Batch { usage, ..Batch::default() }).await?;
            calls += taken.collected.inserted;
            sum = holds.iter().fold(sum, |sum, hold| sum.saturating_add(hold.amount));
            crossed.extend(taken.crossed);
        }
    }

    /// At the end of a graceful stop, when everything is collected: gives back all leases of this run. Answers whether
    /// that was possible; while calls are under way it is left to the next start.
    ///
    /// # Errors
    /// The database's.
    pub async fn end_node(&self) -> Result<bool, Error> {
        let Some(node) = self.node() else { return Ok(true) };
        if !self.store().holds_of(node.incarnation, 1).await?.is_empty() {
            return Ok(false);
        }
        let actor = Actor::System { part: "stop".to_owned() };
        let mut write = self.store().write(actor, None, self.now()).await?;
        let leases = write.end_node(node.incarnation, Rest::GiveBack).await?;
        let said = change("node.stop", node.incarnation, json!({"given_back": amounts(&leases.given_back)}));
        self.commit(write, vec![said]).await?;
        Ok(true)
    }

    /// Charges what is left of the leases of a node that will not come back. Answers what was charged on each account.
    /// Its calls under way are not charged one by one: if it is alive after all, their ends say what they cost, and
    /// what was charged for them here must come back whole.
    ///
    /// # Errors
    /// [`Error::NodeEnded`] when all that it left is accounted for; the database's.
    pub(crate) async fn reclaim_node(
        &self,
        caller: &Caller,
        node: u64,
        reason: Option<String>,
    ) -> Result<BTreeMap<Account, Money>, Error> {
        let mut write = self.store().write(caller.actor.clone(), caller.source, self.now()).await?;
        let leases = write.reclaim_node(node).await?;
        if leases.charged.is_empty() {
            // Nothing changed, so there is nothing to write down.
            return Ok(leases.charged);
        }
        let said = change("node.reclaim", node, json!({"charged": amounts(&leases.charged)}));
        self.commit(write, vec![Change { reason, ..said }]).await?;
        self.say_thresholds(&leases.touched).await;
        Ok(leases.charged)
    }
}

fn amounts(by_account: &BTreeMap<Account, Money>) -> Value {
    let named = by_account.iter().take(NAMED).map(|(account, amount)| {
        let start = times::show(account.start);
        json!({"budget": account.budget.to_string(), "window_start": start, "usd": amount.to_string()})
    });
    json!({"accounts": by_account.len(), "first": named.collect::<Vec<_>>()})
}

fn change(action: &str, node: u64, after: Value) -> Change {
    Change {
        action: action.to_owned(),
        subject_kind: "node".to_owned(),
        subject: id(node),
        before: Value::Null,
        after,
        reason: None,
        row_version: None,
    }
}
