//! Budgets: set, shown, changed, archived; what the gateway knows at each moment; and that one whose record was changed or
//! removed outside of Keyward closes its scope instead of vanishing.

use crate::app::{App, Begin, START, made_up, text};
use axum::http::Method;
use keyward_control::proof;
use keyward_domain::{BudgetId, Environment, KeyId, Money, ProjectId, audit::Actor, budget::Scope};
use keyward_store::BudgetRow;
use serde_json::{Value, json};
use std::process::Command;

async fn set(app: &App, body: Value) -> String {
    text(&app.post("/budgets", body).await, "id").to_owned()
}

fn project_scope(project: &Value) -> Scope {
    Scope::Project(text(project, "id").parse::<ProjectId>().unwrap())
}

async fn restarted(app: App) -> App {
    App::on(app.folder, app.store, app.vault, Begin { demo: false, bootstrap: None }).await
}

/// Writes a budget's row behind Keyward's back, with whatever code is on it.
async fn overwrite(app: &App, row: &BudgetRow, from: i64) {
    let mut write = app.store.write(Actor::Operator, None, START).await.unwrap();
    write.update_budget(row, from).await.unwrap();
    write.commit(vec![made_up("somebody.else", "nothing", "nothing")]).await.unwrap();
}

async fn stored(app: &App, id: &str) -> BudgetRow {
    app.store.budget(id.parse::<BudgetId>().unwrap()).await.unwrap().unwrap()
}

/// Runs SQL on the database's file.
fn sql(app: &App, sql: &str) {
    let file = app.folder.path().join("keyward.db");
    let done = Command::new("sqlite3").arg(file).arg(sql).output().unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
}

#[tokio::test]
async fn budgets_of_every_scope_are_set_shown_and_told() {
    let app = App::new().await;
    let project = app.project("shop").await;
    let key = app.key("shop", "web").await;
    let key_scope = Scope::Key(text(&key, "id").parse::<KeyId>().unwrap());
    let stage = Environment::Production;
    let Scope::Project(id) = project_scope(&project) else { panic!() };
    for (body, scope, shown, resets) in [
        (
            json!({"organisation": true, "limit": "500 USD/month"}),
            Scope::Organisation,
            "500 USD/month",
            json!("2026-12-01T00:00:00Z"),
        ),
        (
            json!({"project": "shop", "limit": "20 USD/month Europe/Vienna", "thresholds": [90, 10]}),
            Scope::Project(id),
            "20 USD/month Europe/Vienna",
            json!("2026-11-30T23:00:00Z"),
        ),
        (
            json!({"project": "shop", "environment": "production", "limit_usd": "0.50", "window": "hour"}),
            Scope::Environment(id, stage),
            "0.5 USD/hour",
            json!("2026-11-21T01:00:00Z"),
        ),
        (json!({"key": "web", "limit": "$100/total"}), key_scope, "100 USD/total", Value::Null),
        (json!({"key": "web", "limit": "1 USD/rolling 60m"}), key_scope, "1 USD/rolling 60m", Value::Null),
    ] {
        let made = app.post("/budgets", body.clone()).await;
        assert_eq!(
            (&made["scope"], &made["limit"], &made["resets_at"]),
            (&json!(scope.kind()), &json!(shown), &resets)
        );
        assert_eq!((&made["status"], &made["revision"]), (&json!("active"), &json!("1")));
        assert_eq!((&made["spent_usd"], &made["left_usd"]), (&json!("0"), &made["limit_usd"]));
        let told = app.gateway.budget(text(&made, "id")).expect("told before the answer");
        assert_eq!((told.scope, told.limit.nano()), (scope, made["limit_nano_usd"].as_i64().unwrap()));
        assert_eq!(app.get(&format!("/budgets/{}", text(&made, "id"))).await, made);
        let history = app.get(&format!("/budgets/{}/history", text(&made, "id"))).await;
        assert_eq!(history["items"][0]["current"], true, "{history}");
    }
    let listed = async |query: &str| app.get(&format!("/budgets{query}")).await["items"].as_array().unwrap().len();
    assert_eq!(listed("").await, 5);
    assert_eq!(listed("?project=shop").await, 4);
    assert_eq!(listed("?project=shop&environment=production").await, 3);
    assert_eq!(listed("?key=web").await, 2);
    assert_eq!(listed("?scope=organisation").await, 1);
    assert_eq!(listed("?status=archived").await, 0);
    let page = app.get("/budgets?limit=3").await;
    assert_eq!(listed(&format!("?after={}", text(&page, "next_after"))).await, 2);
    let app = restarted(app).await;
    assert_eq!(app.gateway.budgets.lock().unwrap().len(), 5, "after a start, too");
}

#[tokio::test]
async fn a_limit_changes_and_a_window_does_not() {
    let app = App::new().await;
    app.project("shop").await;
    let made = app.post("/budgets", json!({"project": "shop", "limit": "20 USD/month"})).await;
    let id = text(&made, "id").to_owned();
    let path = format!("/budgets/{id}");
    assert_eq!(made["thresholds"], json!([50, 80, 100]));
    for (body, limit) in
        [(json!({"limit": "30 USD/month UTC"}), 30), (json!({"limit_usd": "7", "thresholds": [75]}), 7)]
    {
        let changed = app.ok(Method::PATCH, &path, body).await;
        assert_eq!(changed["limit_nano_usd"], json!(limit * 1_000_000_000_i64));
        assert_eq!(app.gateway.budget(&id).unwrap().limit, Money::from_nano(limit * 1_000_000_000));
    }
    assert_eq!(app.get(&path).await["thresholds"], json!([75]));
    app.refused_as(Method::PATCH, &path, json!({"limit": "7 USD/week"}), 409, "window_is_fixed").await;
    app.refused_as(Method::PATCH, &path, json!({"limit_usd": "7"}), 400, "nothing_to_change").await;
    let body = json!({"limit_usd": "9", "revision": "1"});
    app.refused_as(Method::PATCH, &path, body, 409, "changed_meanwhile").await;
    app.ok(Method::PATCH, &path, json!({"limit_usd": "9", "revision": "3", "reason": "Christmas"})).await;
    let archived = app.post(&format!("{path}/archive"), Value::Null).await;
    assert_eq!(archived["status"], "archived");
    assert!(archived["archived_at"].is_string());
    assert!(app.gateway.budget(&id).is_none());
    assert_eq!(app.post(&format!("{path}/archive"), Value::Null).await, archived, "twice is as good as once");
    app.refused_as(Method::PATCH, &path, json!({"limit_usd": "10"}), 409, "budget_archived").await;
    // The window is free again.
    set(&app, json!({"project": "shop", "limit": "20 USD/month"})).await;
    let actions = app.actions().await;
    assert_eq!(actions.iter().filter(|action| action.starts_with("budget.")).count(), 6, "{actions:?}");
}

#[tokio::test]
async fn what_makes_no_sense_is_refused() {
    let app = App::new().await;
    let project = app.project("shop").await;
    app.key("shop", "web").await;
    let first = set(&app, json!({"project": "shop", "limit": "20 USD/rolling 24h"})).await;
    for (body, status, code) in [
        (json!({"limit": "5 USD/month"}), 400, "invalid_scope"),
        (json!({"organisation": true, "project": "shop", "limit": "5 USD/month"}), 400, "invalid_scope"),
        (json!({"project": "shop", "key": "web", "limit": "5 USD/month"}), 400, "invalid_scope"),
        (json!({"key": "web", "environment": "staging", "limit": "5 USD/month"}), 400, "invalid_scope"),
        (json!({"environment": "staging", "limit": "5 USD/month"}), 400, "invalid_scope"),
        (json!({"project": "none", "limit": "5 USD/month"}), 404, "not_found"),
        (json!({"key": "none", "limit": "5 USD/month"}), 404, "not_found"),
        (json!({"project": "shop", "limit": "-5 USD/month"}), 400, "invalid_limit"),
        (json!({"project": "shop", "limit": "0 USD/month"}), 400, "invalid_limit"),
        (json!({"project": "shop", "limit": "NaN USD/month"}), 400, "invalid_limit"),
        (json!({"project": "shop", "limit": "1e30 USD/month"}), 400, "invalid_limit"),
        (json!({"project": "shop", "limit": "5 USD/month Mars/Base"}), 400, "invalid_limit"),
        (json!({"project": "shop", "limit": "5 USD/rolling 3s"}), 400, "invalid_limit"),
        (json!({"project": "shop", "limit_usd": 5, "window": "month"}), 400, "invalid_field"),
        (json!({"project": "shop", "limit": "5 USD/month", "thresholds": [101]}), 400, "invalid_thresholds"),
        (json!({"project": "shop", "limit": "5 USD/month", "thresholds": [-1]}), 400, "invalid_field"),
        (json!({"project": "shop", "limit": "30 USD/rolling 1d"}), 409, "budget_exists"),
    ] {
        let problem = app.refused_as(Method::POST, "/budgets", body.clone(), status, code).await;
        if code == "budget_exists" {
            assert!(text(&problem, "detail").contains(&first), "it names the one there is: {problem}");
        }
    }
    for minutes in 1..16 {
        set(&app, json!({"project": "shop", "limit": format!("5 USD/rolling {minutes}m")})).await;
    }
    let one_more = json!({"project": "shop", "limit": "5 USD/month"});
    app.refused_as(Method::POST, "/budgets", one_more, 409, "too_many_budgets").await;
    for query in ["?scope=x", "?status=x", "?environment=staging", "?after=x", "?colour=x"] {
        app.refused_as(Method::GET, &format!("/budgets{query}"), Value::Null, 400, "invalid_query").await;
    }
    for path in ["/budgets/x", &format!("/budgets/{}", text(&project, "id"))] {
        app.refused_as(Method::GET, path, Value::Null, 404, "not_found").await;
    }
    app.post("/projects/shop/archive", Value::Null).await;
    let late = json!({"project": "shop", "limit": "5 USD/day"});
    app.refused_as(Method::POST, "/budgets", late, 409, "project_archived").await;
}

#[tokio::test]
async fn a_key_is_made_with_its_budgets_or_not_at_all() {
    let app = App::new().await;
    app.project("shop").await;
    let body =
        |budgets: Value| json!({"project": "shop", "environment": "production", "name": "web", "budgets": budgets});
    for budgets in [json!(["5 USD/fortnight"]), json!(["5 USD/month", "6 USD/month"]), json!(["-1 USD/month"])] {
        app.refused_as(Method::POST, "/keys", body(budgets), 400, "invalid_limit").await;
    }
    assert_eq!(app.get("/keys").await["items"], json!([]), "nothing was made");
    let key = app.post("/keys", body(json!(["5 USD/month", "0.50 USD/hour"]))).await;
    let limits = |key: &Value| -> Vec<String> {
        let budgets = key["budgets"].as_array().unwrap().iter();
        let mut limits: Vec<String> = budgets.map(|budget| text(budget, "limit").to_owned()).collect();
        limits.sort();
        limits
    };
    assert_eq!(limits(&key), ["0.5 USD/hour", "5 USD/month"]);
    assert_eq!(limits(&app.get("/keys/web").await), limits(&key));
    let id = text(&key["budgets"][0], "id").to_owned();
    assert!(app.gateway.budget(&id).is_some());
    // Revoked with its key: kept, and not counted.
    app.post("/keys/web/revoke", Value::Null).await;
    assert!(app.gateway.budget(&id).is_none());
    assert_eq!(app.get(&format!("/budgets/{id}")).await["status"], "revoked");
    assert_eq!(app.get("/budgets?status=active").await["items"], json!([]));
    app.refused_as(Method::POST, "/budgets", json!({"key": "web", "limit": "1 USD/day"}), 409, "key_revoked").await;
    let app = restarted(app).await;
    assert!(app.gateway.budget(&id).is_none());
    app.post("/projects/shop/archive", Value::Null).await;
    assert_eq!(app.get("/budgets?status=archived").await["items"].as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn a_developer_sets_the_budgets_of_keys_only() {
    let app = App::new().await;
    app.project("shop").await;
    app.key("shop", "web").await;
    let developer = app.token("developer").await;
    let whole = set(&app, json!({"project": "shop", "limit": "5 USD/month"})).await;
    let own = json!({"key": "web", "limit": "5 USD/month"});
    let (status, own) = app.with(&developer, Method::POST, "/budgets", &own).await;
    assert_eq!(status, 201, "{own}");
    for (id, expected) in [(text(&own, "id"), 200), (whole.as_str(), 403)] {
        let path = format!("/budgets/{id}");
        let (status, _) = app.with(&developer, Method::PATCH, &path, &json!({"limit_usd": "6"})).await;
        assert_eq!(status, expected);
        let (status, _) = app.with(&developer, Method::POST, &format!("{path}/archive"), &Value::Null).await;
        assert_eq!(status, expected);
    }
    let (status, _) =
        app.with(&developer, Method::POST, "/budgets", &json!({"organisation": true, "limit": "5 USD/day"})).await;
    assert_eq!(status, 403);
}

/// The gateway was told that nothing may be spent in the scope, and everybody who asks is told why.
async fn assert_closed(app: &App, id: &str, scope: Scope) {
    let told = app.gateway.budget(id).expect("it did not vanish");
    assert_eq!((told.scope, told.limit), (scope, Money::ZERO));
    let doctor = app.get("/doctor").await;
    assert!(doctor["healthy"] == false && doctor.to_string().contains(id), "{doctor}");
    assert!(app.actions().await.contains(&"tamper.detected".to_owned()));
    let proof = proof::prove(&app.store, &app.vault).await.unwrap();
    assert!(proof.bad.iter().any(|line| line.contains(id)), "{proof:?}");
}

#[tokio::test]
async fn a_changed_budget_closes_the_scope_that_it_had() {
    let app = App::new().await;
    let project = app.project("shop").await;
    app.project("other").await;
    let other = app.key("other", "free").await;
    let id = set(&app, json!({"project": "shop", "limit": "5 USD/month"})).await;
    let sound = stored(&app, &id).await;
    let stolen = BudgetRow { scope: "key".to_owned(), key: Some(text(&other, "id").parse().unwrap()), ..sound.clone() };
    let changes = [
        stolen,
        BudgetRow { amount: i64::MAX, ..sound.clone() },
        BudgetRow { window: "hour".to_owned(), ..sound.clone() },
        BudgetRow { status: "archived".to_owned(), ..sound.clone() },
        BudgetRow { thresholds: "[]".to_owned(), ..sound.clone() },
    ];
    let mut app = app;
    for changed in &changes {
        overwrite(&app, changed, 1).await;
        app = restarted(app).await;
        assert_closed(&app, &id, project_scope(&project)).await;
        assert_eq!(app.get(&format!("/budgets/{id}")).await["status"], "tampered");
        let path = format!("/budgets/{id}");
        app.refused_as(Method::PATCH, &path, json!({"thresholds": [1]}), 409, "tampered").await;
        overwrite(&app, &sound, 1).await;
    }
    // Found without a start, too, and mended by archiving: the record says again whose it was.
    overwrite(&app, &changes[0], 1).await;
    assert_eq!(app.get("/doctor").await["healthy"], false);
    assert_closed(&app, &id, project_scope(&project)).await;
    let developer = app.token("developer").await;
    let (status, _) = app.with(&developer, Method::POST, &format!("/budgets/{id}/archive"), &Value::Null).await;
    assert_eq!(status, 403, "whose it is cannot be read from the record");
    let archived = app.post(&format!("/budgets/{id}/archive"), Value::Null).await;
    assert_eq!((&archived["status"], &archived["scope"]), (&json!("archived"), &json!("project")));
    assert!(app.gateway.budget(&id).is_none());
    assert_eq!(app.get("/doctor").await["checks"][1]["state"], "ok");
}

#[tokio::test]
async fn an_earlier_budget_put_back_closes_its_scope() {
    let app = App::new().await;
    let project = app.project("shop").await;
    let id = set(&app, json!({"project": "shop", "limit": "500 USD/month"})).await;
    let first = stored(&app, &id).await;
    app.ok(Method::PATCH, &format!("/budgets/{id}"), json!({"limit_usd": "5"})).await;
    overwrite(&app, &first, 2).await;
    let app = restarted(app).await;
    assert_closed(&app, &id, project_scope(&project)).await;
    app.post(&format!("/budgets/{id}/archive"), Value::Null).await;
    // What was archived bounds nothing, also when an earlier record of it is put back; that is only reported.
    overwrite(&app, &first, 3).await;
    let app = restarted(app).await;
    assert!(app.gateway.budget(&id).is_none());
    assert_eq!(app.get("/doctor").await["healthy"], false);
}

#[tokio::test]
async fn a_removed_budget_closes_its_scope_until_it_is_archived() {
    let app = App::new().await;
    let project = app.project("shop").await;
    let id = set(&app, json!({"project": "shop", "limit": "5 USD/month"})).await;
    let old = set(&app, json!({"project": "shop", "limit": "5 USD/day"})).await;
    app.post(&format!("/budgets/{old}/archive"), Value::Null).await;
    sql(&app, "delete from budgets");
    // The sweep finds it while the server runs, and so does a start.
    assert_eq!(app.get("/doctor").await["healthy"], false);
    assert_closed(&app, &id, project_scope(&project)).await;
    let app = restarted(app).await;
    assert_closed(&app, &id, project_scope(&project)).await;
    assert!(app.gateway.budget(&old).is_none(), "what was archived bounded nothing");
    app.refused_as(Method::GET, &format!("/budgets/{id}"), Value::Null, 404, "not_found").await;
    for id in [&id, &old] {
        let archived = app.post(&format!("/budgets/{id}/archive"), Value::Null).await;
        assert_eq!((&archived["status"], &archived["project"]), (&json!("archived"), &json!("shop")));
    }
    assert!(app.gateway.budget(&id).is_none());
    assert_eq!(app.get("/doctor").await["checks"][1]["state"], "ok");
}

#[tokio::test]
async fn a_budget_that_nobody_can_place_closes_everything() {
    let app = App::new().await;
    app.project("shop").await;
    let id = set(&app, json!({"project": "shop", "limit": "5 USD/month"})).await;
    sql(&app, "update audit set after = '{}' where subject_kind = 'budget'; update budgets set scope = 'nobody'");
    let app = restarted(app).await;
    assert_closed(&app, &id, Scope::Organisation).await;
    app.post(&format!("/budgets/{id}/archive"), Value::Null).await;
    assert!(app.gateway.budget(&id).is_none());
}
