//! Giving up a node that will not come back, and that does after all.

use crate::app::{App, Begin, START, text};
use axum::http::Method;
use keyward_control::{Batch, Node};
use keyward_domain::{
    CredentialId, Environment, KeyId, Money, ProjectId, RequestId,
    budget::{Account, Hold, LeaseId, Wish},
    usage::{CostBasis, GatewayEvent, Outcome, Usage, UsageEvent},
};
use serde_json::{Value, json};
use std::sync::Arc;

const DOLLAR: i64 = 1_000_000_000;

fn usd(dollars: i64) -> Money {
    Money::from_nano(dollars * DOLLAR)
}

fn node(incarnation: u64, name: &str) -> Node {
    Node { incarnation, name: name.to_owned(), boot: "boot".to_owned(), alone: false }
}

fn call(number: u8, held: i64, cost: i64, lease: LeaseId) -> UsageEvent {
    UsageEvent {
        id: RequestId::new(START, [number; 10]),
        at: START,
        key: KeyId::new(0, [1; 10]),
        project: ProjectId::new(0, [2; 10]),
        environment: Environment::Production,
        provider: "openai".into(),
        model: "gpt-5".into(),
        operation: "chat".into(),
        credential: CredentialId::new(0, [3; 10]),
        usage: Usage::default(),
        cost: usd(cost),
        basis: CostBasis::Priced,
        price_version: "2026-11-21".into(),
        status: 200,
        outcome: Outcome::Completed,
        first_byte_us: 1,
        total_us: 2,
        client: [127, 0, 0, 1].into(),
        user_agent: "".into(),
        secret_slot: 0,
        upstream_id: "".into(),
        held: Some(usd(held)),
        leases: vec![lease],
    }
}

fn hold(call: &UsageEvent) -> GatewayEvent {
    GatewayEvent::Hold(Box::new(Hold {
        call: call.id,
        at: call.at,
        key: call.key,
        project: call.project,
        environment: call.environment,
        provider: call.provider.clone(),
        model: call.model.clone(),
        operation: call.operation.clone(),
        credential: call.credential,
        amount: call.held.unwrap(),
        leases: call.leases.clone(),
        price_version: call.price_version.clone(),
    }))
}

async fn collect(app: &App, events: Vec<GatewayEvent>) {
    app.control.collect(&Batch::new(events, [])).await.unwrap();
}

async fn another(one: &App) -> App {
    let begin = Begin { demo: false, bootstrap: None };
    App::on(Arc::clone(&one.folder), one.store.clone(), Arc::clone(&one.vault), begin).await
}

/// What is spent and leased of a budget, in dollars.
async fn stand(app: &App, budget: &str) -> (i64, i64) {
    let shown = app.get(&format!("/budgets/{budget}")).await;
    let dollars = |field: &str| shown[field].as_i64().unwrap() / DOLLAR;
    (dollars("spent_nano_usd"), dollars("leased_nano_usd"))
}

#[tokio::test]
async fn a_node_that_comes_back_after_it_was_given_up_goes_on() {
    let one = App::new().await;
    one.recovery().await;
    let budget = one.post("/budgets", json!({"organisation": true, "limit": "100 USD/total"})).await;
    let budget = text(&budget, "id").to_owned();
    let two = another(&one).await;
    one.control.begin_node(node(1, "first")).await.unwrap();
    two.control.begin_node(node(2, "second")).await.unwrap();
    let account = Account { budget: budget.parse().unwrap(), start: 0 };
    let wish = |dollars| Wish { account, needed: usd(1), wanted: usd(dollars) };
    let lease = two.control.lend(&[wish(60)]).await.unwrap()[0].lease;
    let open = call(1, 20, 5, lease);
    collect(&two, vec![hold(&open)]).await;

    let nodes = one.get("/nodes").await;
    let (here, other) = (&nodes["items"][0], &nodes["items"][1]);
    assert_eq!((text(here, "status"), text(other, "status")), ("here", "running"), "{nodes}");
    assert_eq!((text(other, "id"), text(other, "name")), ("0000000000000002", "second"));
    assert_eq!(
        (text(other, "leased_usd"), other["leases"].as_u64(), other["calls"].as_u64()),
        ("60", Some(1), Some(1))
    );
    let refused = async |name: &str, status, code| {
        let path = format!("/nodes/{name}/reclaim");
        one.refused_as(Method::POST, &path, Value::Null, status, code).await
    };
    let said = refused("second", 409, "node_is_running").await;
    assert!(text(&said, "hint").contains("--force"), "{said}");
    refused("0000000000000001", 409, "node_is_here").await;
    refused("third", 404, "not_found").await;
    let admin = one.token("admin").await;
    let (status, _) = one.with(&admin, Method::POST, "/nodes/second/reclaim", &Value::Null).await;
    assert_eq!(status, 403);
    assert_eq!(stand(&one, &budget).await, (0, 60));

    // Nobody has seen it for a while.
    one.clock.advance(121_000);
    let doctor = one.get("/doctor").await.to_string();
    assert!(doctor.contains("0000000000000002, last seen") && doctor.contains("has set 60 USD aside"), "{doctor}");
    let said = one.post("/nodes/second/reclaim", json!({"reason": "its disk is lost"})).await;
    assert_eq!((text(&said, "charged_usd"), said["accounts"].as_u64()), ("60", Some(1)), "{said}");
    assert_eq!((said["charged"][0]["budget"].as_str(), &said["node"]["leases"]), (Some(&*budget), &json!(0)));
    assert_eq!(text(&said["node"], "charged_usd"), "60");
    assert_eq!(stand(&one, &budget).await, (60, 0));
    let again = one.post("/nodes/second/reclaim", Value::Null).await;
    assert_eq!(text(&again, "charged_usd"), "0", "once");
    let log = one.get("/audit?limit=100").await;
    let rows: Vec<&Value> =
        log["items"].as_array().unwrap().iter().filter(|row| row["action"] == "node.reclaim").collect();
    assert_eq!(rows.len(), 1, "what changes nothing is not written down");
    assert_eq!(
        (rows[0]["subject"].as_str(), rows[0]["reason"].as_str()),
        (Some("0000000000000002"), Some("its disk is lost"))
    );

    // It was alive: its call costs what it cost, it leases more, gives back what it does not need, and says that it is here.
    collect(&two, vec![GatewayEvent::Usage(Box::new(open.clone()))]).await;
    collect(&two, vec![GatewayEvent::Usage(Box::new(open))]).await;
    assert_eq!(stand(&one, &budget).await, (60, 0), "part of what was charged");
    assert_eq!(two.control.lend(&[wish(40)]).await.unwrap()[0].amount, usd(40));
    assert_eq!(two.control.lend(&[wish(1)]).await.unwrap()[0].amount, Money::ZERO, "not more than the limit");
    two.control.give_back(&[(lease, usd(65))]).await.unwrap();
    assert_eq!(stand(&one, &budget).await, (5, 30));

    // It is given up again, dies, and its next run accounts for everything: a call without an end, and the rest.
    let lost = call(2, 10, 10, lease);
    collect(&two, vec![hold(&lost)]).await;
    one.post("/nodes/0000000000000002/reclaim", json!({"force": true})).await;
    assert_eq!(stand(&one, &budget).await, (35, 0));
    let three = another(&one).await;
    three.control.begin_node(node(3, "second")).await.unwrap();
    let recovered = three.control.recover_nodes(true).await.unwrap();
    assert_eq!((recovered[0].lost_calls, recovered[0].leases.given_back[&account]), (1, usd(20)));
    assert_eq!(stand(&one, &budget).await, (15, 0));
    refused("0000000000000002", 404, "not_found").await;
    assert_eq!(one.store.rebuild_accounts().await.unwrap(), []);
}
