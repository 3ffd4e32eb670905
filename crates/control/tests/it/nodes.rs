//! Two nodes on one database: what one changes, the other's gateway knows soon, without asking for everything anew.

use crate::app::{App, Begin, START, marked_secret, text};
use axum::http::Method;
use keyward_control::Node;
use keyward_domain::budget::Scope;
use serde_json::{Value, json};
use std::{sync::Arc, time::Duration};

async fn until(what: &str, is_so: impl Fn() -> bool) {
    let waiting = async {
        while !is_so() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), waiting).await.unwrap_or_else(|_| panic!("never seen: {what}"));
}

#[tokio::test]
async fn the_other_node_follows() {
    let one = App::new().await;
    one.recovery().await;
    let project = text(&one.project("shop").await, "id").to_owned();
    let begin = Begin { demo: false, bootstrap: None };
    let two = App::on(Arc::clone(&one.folder), one.store.clone(), Arc::clone(&one.vault), begin).await;
    let _jobs = two.control.start_jobs();
    let key = one.key("shop", "web").await;
    let id = text(&key, "id").to_owned();
    until("a new key", || two.gateway.grant(&id).is_some()).await;
    one.ok(Method::PATCH, "/projects/shop", json!({"policy": {"providers": ["openai"], "concurrency": 4}})).await;
    until("a project's policy", || two.gateway.grant(&id).is_some_and(|grant| grant.policy.concurrency == Some(4)))
        .await;
    let body = json!({"environments": {"production": {"concurrency": 5}}});
    one.ok(Method::PATCH, "/projects/shop", body).await;
    until("an environment's policy", || {
        two.gateway.grant(&id).is_some_and(|grant| grant.policy.concurrency == Some(5))
    })
    .await;
    one.credential("shop", "main", &marked_secret()).await;
    until("a credential", || two.gateway.credentials(&project, "production", "openai").len() == 1).await;
    one.post("/credentials/main/disable", Value::Null).await;
    until("a credential switched off", || two.gateway.credentials(&project, "production", "openai").is_empty()).await;
    let budget = one.post("/budgets", json!({"key": "web", "limit": "5 USD/month"})).await;
    let budget = text(&budget, "id").to_owned();
    until("a budget", || two.gateway.budget(&budget).is_some()).await;
    one.ok(Method::PATCH, &format!("/budgets/{budget}"), json!({"limit_usd": "4"})).await;
    until("a lower limit", || two.gateway.budget(&budget).is_some_and(|budget| budget.limit.nano() == 4_000_000_000))
        .await;
    one.ok(Method::PATCH, "/rates/organisation", json!({"concurrency": 9})).await;
    until("shared rates", || two.gateway.rates(Scope::Organisation).is_some_and(|rates| rates.concurrency == Some(9)))
        .await;
    one.post("/keys/web/revoke", Value::Null).await;
    until("a revocation", || two.gateway.grant(&id).is_some_and(|grant| grant.revoked)).await;
}

/// The job's row, when that is as wanted.
async fn job_until(app: &App, is_so: impl Fn(&keyward_store::JobRow) -> bool) -> keyward_store::JobRow {
    let waiting = async {
        loop {
            if let Some(row) = app.store.job("rewrap").await.unwrap().filter(&is_so) {
                return row;
            }
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), waiting).await.expect("it never came")
}

#[tokio::test]
async fn a_job_of_a_node_that_cannot_be_alive_is_taken_over_at_once_and_another_one_is_left_alone() {
    const LONG: i64 = START + 1_000_000_000;
    for alone in [true, false] {
        let app = App::new().await;
        // As a backup of a database with several nodes has it, or one that a killed process left behind.
        assert!(app.store.claim_job("rewrap", "somebody", LONG, START - 5).await.unwrap());
        let node = Node { incarnation: 1, name: "a".into(), boot: "b".into(), alone };
        app.control.begin_node(node).await.unwrap();
        let _jobs = app.control.start_jobs();
        if alone {
            let row = job_until(&app, |row| row.started_at == Some(START) && row.owner.is_none()).await;
            assert_eq!(row.outcome.as_deref(), Some("0 secrets moved, 0 cannot be moved"));
        } else {
            // All jobs have had their first look when another one has run.
            let waiting = async {
                while app.store.job("retention").await.unwrap().is_none_or(|row| row.finished_at.is_none()) {
                    tokio::task::yield_now().await;
                }
            };
            tokio::time::timeout(Duration::from_secs(60), waiting).await.expect("it never came");
            let row = job_until(&app, |_| true).await;
            assert_eq!((row.owner.as_deref(), row.lease_until), (Some("somebody"), LONG));
        }
    }
}
