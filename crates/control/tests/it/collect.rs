//! What the gateway reports: calls become usage, objects are kept, a credential's health is stored, shown and told back.

use crate::app::{App, START, marked_secret, text};
use axum::http::Method;
use keyward_control::Batch;
use keyward_domain::{
    CredentialId, Environment, KeyId, Millis, Money, ProjectId, RequestId,
    provider::Cause,
    usage::{Buckets, CostBasis, CredentialReport, GatewayEvent, Outcome, OwnedObject, Usage, UsageEvent},
};
use serde_json::{Value, json};

struct Ids {
    project: ProjectId,
    key: KeyId,
    credential: CredentialId,
}

async fn begin(app: &App) -> Ids {
    app.recovery().await;
    let project = text(&app.project("shop").await, "id").parse().unwrap();
    let credential = text(&app.credential("shop", "main", &marked_secret()).await, "id").parse().unwrap();
    let key = text(&app.key("shop", "web").await, "id").parse().unwrap();
    Ids { project, key, credential }
}

fn call(ids: &Ids, number: u8, model: &str) -> GatewayEvent {
    GatewayEvent::Usage(Box::new(UsageEvent {
        id: RequestId::new(START, [number; 10]),
        at: START,
        key: ids.key,
        project: ids.project,
        environment: Environment::Production,
        provider: "openai".into(),
        model: model.into(),
        operation: "chat".into(),
        credential: ids.credential,
        usage: Usage {
            buckets: Buckets { input: 10, cache_read: 5, output: 20, reasoning: 7, ..Buckets::default() },
            ..Usage::default()
        },
        cost: Money::from_nano(1_250_000),
        basis: CostBasis::Priced,
        price_version: "2026-11-21".into(),
        status: 200,
        outcome: Outcome::Completed,
        first_byte_us: 2_000,
        total_us: 4_000,
        client: [127, 0, 0, 1].into(),
        user_agent: "test".into(),
        secret_slot: 0,
        upstream_id: "".into(),
        held: None,
        leases: Vec::new(),
    }))
}

#[tokio::test]
async fn calls_are_counted_once_and_summed_by_everything() {
    let app = App::new().await;
    let ids = begin(&app).await;
    let events = || vec![call(&ids, 1, "gpt-5.4"), call(&ids, 2, "gpt-5.4"), call(&ids, 3, "gpt-5.4-mini")];
    app.control.collect(&Batch::new(events(), [(7, 3)])).await.unwrap();
    app.control.collect(&Batch::new(events(), [(7, 3)])).await.unwrap();
    assert_eq!(app.control.journal_positions().await.unwrap(), [(7, 3)]);
    let by = |word: &'static str| {
        let app = &app;
        async move { app.get(&format!("/usage?by={word}&since=24h")).await["rows"].as_array().unwrap().clone() }
    };
    let keys = by("key").await;
    assert_eq!(keys.len(), 1);
    assert_eq!((&keys[0]["key"], &keys[0]["requests"]), (&json!("web"), &json!(3)));
    assert_eq!(keys[0]["key_id"], json!(ids.key.to_string()));
    assert_eq!((&keys[0]["input_tokens"], &keys[0]["cache_read_tokens"]), (&json!(30), &json!(15)));
    assert_eq!((&keys[0]["output_tokens"], &keys[0]["reasoning_tokens"]), (&json!(60), &json!(21)));
    assert_eq!((&keys[0]["cost_nano_usd"], &keys[0]["cost_usd"]), (&json!(3_750_000), &json!(0.00375)));
    assert_eq!(keys[0]["mean_first_byte_ms"], json!(2.0));
    let models = by("model").await;
    assert_eq!((&models[0]["model"], &models[0]["provider"]), (&json!("gpt-5.4"), &json!("openai")));
    assert_eq!(models[1]["requests"], 1);
    assert_eq!(by("project").await[0]["project"], "shop");
    assert_eq!(by("credential").await[0]["credential"], "main");
    assert_eq!(by("operation").await[0]["operation"], "chat");
    assert_eq!(by("day").await[0]["day"], "2026-11-21");
    assert_eq!(app.get("/usage?model=gpt-5.4-mini&project=shop&key=web").await["rows"][0]["requests"], 1);
    assert!(app.get("/usage?until=2h&since=4h").await["rows"].as_array().unwrap().is_empty());
    assert!(app.get("/keys/web").await["last_used_at"].is_string());
    assert!(app.get("/credentials/main").await["last_used_at"].is_string());
    // Call by call, the latest first, page by page.
    let first = app.get("/keys/web/calls?limit=2").await;
    let models = |page: &Value| -> Vec<Value> {
        page["items"].as_array().unwrap().iter().map(|call| call["model"].clone()).collect()
    };
    assert_eq!(models(&first), ["gpt-5.4-mini", "gpt-5.4"]);
    assert_eq!(first["items"][0]["cost_nano_usd"], json!(1_250_000));
    let rest = app.get(&format!("/keys/web/calls?before={}", first["next_before"].as_str().unwrap())).await;
    assert_eq!((models(&rest), &rest["next_before"]), (vec![json!("gpt-5.4")], &Value::Null));
    app.refused_as(Method::GET, "/keys/web/calls?before=x", Value::Null, 400, "invalid_call").await;
    app.refused_as(Method::GET, "/keys/nobody/calls", Value::Null, 404, "not_found").await;
    app.refused_as(Method::GET, "/usage?since=soon", Value::Null, 400, "invalid_time").await;
    app.refused_as(Method::GET, "/usage?by=colour", Value::Null, 400, "invalid_query").await;
}

#[tokio::test]
async fn objects_belong_to_their_maker_after_a_restart() {
    let app = App::new().await;
    let ids = begin(&app).await;
    let object = OwnedObject {
        provider: "openai".into(),
        object: "file-1".into(),
        kind: "file".into(),
        project: ids.project,
        key: ids.key,
        credential: ids.credential,
        at: START,
    };
    app.control.collect(&Batch::new([GatewayEvent::Object(object.clone())], [])).await.unwrap();
    assert_eq!(app.store.object("openai", "file-1").await.unwrap(), Some(object));
}

#[tokio::test]
async fn a_sick_credential_is_taken_out_and_comes_back() {
    let app = App::new().await;
    let ids = begin(&app).await;
    let id = ids.credential.to_string();
    let report = |version, cause, at| {
        let report = CredentialReport { credential: ids.credential, version, cause, at };
        Batch::new([GatewayEvent::Credential(report)], [])
    };
    app.control.collect(&report(1, Cause::NoMoney, START)).await.unwrap();
    let out = app.gateway.out_until(&id).expect("out");
    assert!(out > START && out < Millis::MAX, "money may come: it is tried again");
    let shown = app.get("/credentials/main").await;
    assert_eq!((&shown["health"], &shown["health_cause"]), (&json!("no_money"), &json!("no_money")));
    assert!(shown["out_until"].is_string() && shown["health_remedy"].is_string(), "{shown}");
    app.control.collect(&report(1, Cause::KeyLeaked, START + 1)).await.unwrap();
    assert_eq!(app.gateway.out_until(&id), Some(Millis::MAX));
    app.control.collect(&report(1, Cause::Healthy, START + 2)).await.unwrap();
    assert_eq!(app.gateway.out_until(&id), None);
    app.control.collect(&report(9, Cause::KeyLeaked, START + 3)).await.unwrap();
    assert_eq!(app.gateway.out_until(&id), None, "a report on another version says nothing");
    app.control.collect(&report(1, Cause::KeyLeaked, START + 1)).await.unwrap();
    assert_eq!(app.gateway.out_until(&id), None, "what was seen before the cure says nothing any more");
    let changes = app.actions().await.into_iter().filter(|action| action == "credential.health").count();
    assert_eq!(changes, 3);
    app.control.collect(&report(1, Cause::KeyUnknown, START + 4)).await.unwrap();
    app.post("/credentials/main/enable", Value::Null).await;
    assert_eq!(app.gateway.out_until(&id), None, "somebody acted");
}
