//! `/nodes`: the runs of servers that spend from budgets and are not accounted for, and giving up one that never will be.
//! A node that starts again on its data folder accounts for what it left, and gives back what it did not spend; this is
//! for those whose folder is gone.

use super::{Items, checked_reason};
use crate::{
    Control,
    auth::{Owner, Reader},
    body::{MaybeJson, Name},
    error::{Answer, ApiError},
    nodes::id,
};
use axum::{Json, extract::State};
use keyward_domain::{Money, budget::Account, times};
use keyward_store::NodeStand;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

/// How many accounts an answer names.
const NAMED: usize = 100;

pub(crate) fn router() -> OpenApiRouter<Control> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(reclaim))
}

/// A run of a server that spends from budgets, and what it has set aside. Amounts are sums over budgets: what is set aside
/// for one call counts on every budget above its key.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Node {
    /// Its id: another for each run.
    id: String,
    /// Its name: the same for all runs on one data folder, where the file `node` says it.
    name: String,
    /// `here`: the server that answers; `running`: seen within two minutes; `silent`.
    status: &'static str,
    /// When the run began, in RFC 3339.
    started_at: String,
    /// When it was last seen, in RFC 3339.
    seen_at: String,
    /// Of how many budgets' windows it has money.
    leases: u64,
    /// What it may still spend.
    leased_usd: String,
    /// The same in nano-dollars.
    leased_nano_usd: i64,
    /// What was charged when it was given up, and that no call has explained since. It comes back if the node does.
    charged_usd: String,
    /// The same in nano-dollars.
    charged_nano_usd: i64,
    /// Calls whose end is not known yet.
    calls: u64,
}

/// How a node is to be given up.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Reclaim {
    /// Also when it was seen a moment ago.
    force: bool,
    /// Why, for the audit log.
    reason: Option<String>,
}

/// What was charged of a node's leases.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Reclaimed {
    /// The node, as it is now.
    node: Node,
    /// On how many budgets' windows something was charged.
    accounts: usize,
    /// What was charged altogether.
    charged_usd: String,
    /// The same in nano-dollars.
    charged_nano_usd: i64,
    /// The first hundred of them.
    charged: Vec<ChargedAccount>,
}

/// What was charged on one budget.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ChargedAccount {
    /// The budget's id.
    budget: String,
    /// When the window began, in RFC 3339.
    window_start: String,
    /// What counts as spent in it now.
    usd: String,
    /// The same in nano-dollars.
    nano_usd: i64,
}

fn shown(control: &Control, stand: &NodeStand) -> Node {
    Node {
        id: id(stand.node.incarnation),
        name: stand.node.name.clone(),
        status: control.node_status(stand),
        started_at: times::show(stand.node.started_at),
        seen_at: times::show(stand.node.seen_at),
        leases: stand.leases,
        leased_usd: stand.leased.to_string(),
        leased_nano_usd: stand.leased.nano(),
        charged_usd: stand.charged.to_string(),
        charged_nano_usd: stand.charged.nano(),
        calls: stand.calls,
    }
}

fn unknown(name: &str) -> ApiError {
    ApiError::not_found("node", name)
        .hint("`keyward budget nodes` shows those that run or left something; all others are accounted for")
}

/// Finds a node that is not accounted for, by the id of its run or by its name.
async fn find(control: &Control, name: &str) -> Answer<NodeStand> {
    let is_it = |stand: &NodeStand| id(stand.node.incarnation) == name || stand.node.name == name;
    let mut found = control.store().node_stands().await?.into_iter().filter(is_it);
    let first = found.next().ok_or_else(|| unknown(name))?;
    if found.next().is_some() {
        return Err(ApiError::conflict("ambiguous_name", "several runs have this name")
            .hint("name the run by its id: keyward budget nodes"));
    }
    Ok(first)
}

/// Servers that spend from budgets, and what each has set aside
#[utoipa::path(get, path = "/nodes", tag = "budgets", responses((status = 200, body = Items<Node>)))]
async fn list(_: Reader, State(control): State<Control>) -> Answer<Json<Items<Node>>> {
    let stands = control.store().node_stands().await?;
    Ok(Json(Items { items: stands.iter().map(|stand| shown(&control, stand)).collect() }))
}

/// Give up a node that will never come back: what it had set aside counts as spent
#[utoipa::path(post, path = "/nodes/{node}/reclaim", tag = "budgets", request_body = Reclaim,
    params(("node" = String, Path, description = "Id of the run, or name")),
    responses((status = 200, body = Reclaimed), (status = 409, description = "It runs, as far as can be told")))]
async fn reclaim(
    Owner(caller): Owner,
    State(control): State<Control>,
    Name(name): Name,
    MaybeJson(asked): MaybeJson<Reclaim>,
) -> Answer<Json<Reclaimed>> {
    let reason = checked_reason(asked.reason)?;
    let stand = find(&control, &name).await?;
    match control.node_status(&stand) {
        "here" => {
            return Err(ApiError::conflict("node_is_here", "this is the server that answers you")
                .hint("it gives back what it does not need by itself, and everything when it stops"));
        }
        "running" if !asked.force => {
            let ago = control.now().saturating_sub(stand.node.seen_at).max(0) / 1_000;
            return Err(ApiError::conflict("node_is_running", format!("this node was seen {ago} seconds ago")).hint(
                "one that stops gives everything back by itself; if its machine is gone for good, wait two minutes or add --force",
            ));
        }
        _ => {}
    }
    let charged = control.reclaim_node(&caller, stand.node.incarnation, reason).await.map_err(|error| match error {
        keyward_store::Error::NodeEnded => unknown(&name),
        error => error.into(),
    })?;
    let sum = charged.values().fold(Money::ZERO, |sum, amount| sum.saturating_add(*amount));
    let mut stands = control.store().node_stands().await?.into_iter();
    let after = stands.find(|after| after.node.incarnation == stand.node.incarnation);
    Ok(Json(Reclaimed {
        node: shown(&control, &after.unwrap_or(stand)),
        accounts: charged.len(),
        charged_usd: sum.to_string(),
        charged_nano_usd: sum.nano(),
        charged: named(&charged),
    }))
}

fn named(charged: &BTreeMap<Account, Money>) -> Vec<ChargedAccount> {
    let one = |(account, amount): (&Account, &Money)| ChargedAccount {
        budget: account.budget.to_string(),
        window_start: times::show(account.start),
        usd: amount.to_string(),
        nano_usd: amount.nano(),
    };
    charged.iter().take(NAMED).map(one).collect()
}
