//! Budgets and shared rates: what is sent, and what people and scripts see.

use crate::fake::{Asked, Fake, User, ok, problem};
use serde_json::{Value, json};

fn budget(limit: &str, window: &str, spent: i64) -> Value {
    json!({
        "id": "b1", "scope": "project", "project": "shop", "environment": null, "key": null, "status": "active",
        "revision": "3", "limit": format!("{limit} USD/{window}"), "limit_usd": limit,
        "limit_nano_usd": limit.parse::<i64>().unwrap() * 1_000_000_000, "window": window,
        "spent_usd": spent.to_string(), "spent_nano_usd": spent * 1_000_000_000, "leased_usd": "1",
        "leased_nano_usd": 1_000_000_000, "left_usd": "4", "percent": 50.0, "thresholds": [50],
        "resets_at": "2026-12-01T00:00:00Z",
    })
}

fn sent(fake: &Fake) -> Vec<Asked> {
    fake.asked().into_iter().filter(|asked| asked.method != "GET").collect()
}

#[test]
fn setting_a_budget_makes_one_or_changes_the_one_there_is() {
    let fake = Fake::start(|asked| match asked.method.as_str() {
        "GET" => ok(json!({"items": [budget("10", "month", 5)], "next_after": null})),
        _ => ok(budget("20", "month", 5)),
    });
    let user = User::of(&fake);
    let run = user.run(&["budget", "set", "--project", "shop", "20 USD/month UTC", "--threshold", "50,80"]);
    assert_eq!(run.status, 0, "{run:?}");
    assert!(run.out.starts_with("project shop: 20 USD/month\n[##########==---"), "{run:?}");
    let [changed] = &sent(&fake)[..] else { panic!("one change") };
    assert_eq!((changed.method.as_str(), changed.path.as_str()), ("PATCH", "/api/v1/budgets/b1"));
    assert_eq!(changed.json(), json!({"limit_usd": "20", "thresholds": [50, 80], "revision": "3"}));
    assert_eq!(fake.asked()[0].path, "/api/v1/budgets?scope=project&project=shop&status=active&limit=10000");
    let run = user.run(&["budget", "set", "--project", "shop", "$3/week", "--reason", "sale", "--format", "json"]);
    assert_eq!((run.status, run.json()["id"].as_str()), (0, Some("b1")), "{run:?}");
    let made = sent(&fake).pop().unwrap();
    assert_eq!((made.method.as_str(), made.path.as_str()), ("POST", "/api/v1/budgets"));
    assert_eq!(made.json(), json!({"project": "shop", "limit": "3 USD/week", "reason": "sale"}));
    let run = user.run(&["budget", "set", "5 USD/month"]);
    assert!(run.status == 2 && run.err.contains("scope"), "{run:?}");
}

#[test]
fn a_limit_that_is_set_already_is_fine() {
    let fake = Fake::start(|asked| match asked.method.as_str() {
        "GET" => ok(json!({"items": [budget("10", "month", 5)], "next_after": null})),
        _ => problem(400, "nothing_to_change", "the body names nothing that would change", None),
    });
    assert_eq!(User::of(&fake).run(&["budget", "set", "--project", "shop", "10 USD/month"]).status, 0);
}

#[test]
fn budgets_are_shown_with_a_bar_that_fits_the_place() {
    let fake = Fake::start(|asked| {
        if asked.path.contains("/budgets?") {
            ok(json!({"items": [budget("10", "month", 5), budget("10", "day", 0)], "next_after": null}))
        } else {
            ok(budget("10", "month", 5))
        }
    });
    let run = User::of(&fake).run(&["budget", "show", "b1"]);
    assert!(run.out.is_ascii() && run.out.contains("[####################====----------------] 50.0%"), "{run:?}");
    for line in ["spent       $5", "leased      $1", "left        $4", "resets      2026-12-01 00:00:00Z"] {
        assert!(run.out.lines().any(|found| found == line), "{line}: {run:?}");
    }
    let run = User::of(&fake).at_a_terminal().run(&["budget", "show", "b1"]);
    assert!(run.out.contains("████████████████████▒▒▒▒░░░░"), "{run:?}");
    let run = User::of(&fake).run(&["budget", "show", "--project", "shop"]);
    assert_eq!(run.out.matches("project shop: ").count(), 2, "{run:?}");
    assert_eq!(fake.asked().last().unwrap().path, "/api/v1/budgets?project=shop&status=active&limit=10000");
    let run = User::of(&fake).run(&["budget", "list", "--organisation"]);
    assert!(run.out.starts_with("SCOPE    PROJECT  LIMIT"), "{run:?}");
    let run = User::of(&fake).run(&["budget", "show", "b1", "--format", "json"]);
    assert_eq!(run.json(), budget("10", "month", 5));
}

#[test]
fn history_and_archive() {
    let fake = Fake::start(|asked| {
        if asked.path.contains("history") {
            ok(json!({"items": [{"start": "2026-11-01T00:00:00Z", "end": "2026-12-01T00:00:00Z", "spent_usd": "2.5",
                "leased_usd": "0", "current": true}]}))
        } else {
            ok(budget("10", "month", 5))
        }
    });
    let run = User::of(&fake).run(&["budget", "history", "b1", "--limit", "3"]);
    assert!(run.out.contains("2026-11-01 00:00:00Z") && run.out.contains("$2.5"), "{run:?}");
    assert_eq!(fake.asked()[0].path, "/api/v1/budgets/b1/history?limit=3");
    assert_eq!(User::of(&fake).run(&["budget", "archive", "b1", "--reason", "done"]).status, 0);
    let [archived] = &sent(&fake)[..] else { panic!("one change") };
    assert_eq!((archived.path.as_str(), archived.json()), ("/api/v1/budgets/b1/archive", json!({"reason": "done"})));
}

#[test]
fn nodes_are_listed_and_given_up() {
    let node = json!({"id": "3f9c2d1e8b7a6054", "name": "0a1b", "status": "silent", "seen_at": "2026-11-01T00:00:00Z",
        "started_at": "2026-10-01T00:00:00Z", "leases": 2, "leased_usd": "7.5", "charged_usd": "0", "calls": 3});
    let fake = Fake::start(move |asked| match asked.path.as_str() {
        "/api/v1/nodes" => ok(json!({"items": [node.clone()]})),
        path if path.contains("running") => {
            problem(409, "node_is_running", "this node was seen 3 seconds ago", Some("wait two minutes or add --force"))
        }
        path if path.contains("bare") => ok(json!({"node": node, "accounts": 0, "charged_usd": "0", "charged": []})),
        _ => ok(json!({"node": node, "accounts": 1, "charged_usd": "7.5",
            "charged": [{"budget": "b1", "window_start": "2026-11-01T00:00:00Z", "usd": "7.5"}]})),
    });
    let user = User::of(&fake);
    let run = user.run(&["budget", "nodes"]);
    let row = run.out.lines().nth(1).unwrap_or_default().split_whitespace().collect::<Vec<_>>();
    assert_eq!(row[..3], ["3f9c2d1e8b7a6054", "0a1b", "silent"], "{run:?}");
    assert!(row.contains(&"$7.5") && row.contains(&"3"), "{run:?}");
    assert_eq!(user.run(&["budget", "nodes", "--format", "json"]).json()["items"][0]["leases"], 2);
    let run = user.run(&["budget", "reclaim", "3f9c2d1e8b7a6054", "--yes", "--reason", "its disk is lost"]);
    assert!(run.status == 0 && run.out.contains("b1") && run.out.contains("$7.5"), "{run:?}");
    let run = user.run(&["budget", "reclaim", "bare", "--force", "--yes"]);
    assert_eq!((run.status, run.out.as_str()), (0, "it has nothing set aside: nothing was charged\n"), "{run:?}");
    let asked = sent(&fake).into_iter().map(|asked| (asked.path.clone(), asked.json())).collect::<Vec<_>>();
    let path = |node: &str| format!("/api/v1/nodes/{node}/reclaim");
    assert_eq!(asked[0], (path("3f9c2d1e8b7a6054"), json!({"reason": "its disk is lost"})));
    assert_eq!(asked[1], (path("bare"), json!({"force": true})));
    let run = user.run(&["budget", "reclaim", "running", "--yes"]);
    assert!(run.status == 2 && run.err.contains("seen 3 seconds ago") && run.err.contains("--force"), "{run:?}");
    assert_eq!(user.run(&["budget", "reclaim"]).status, 2);
}

#[test]
fn a_key_is_made_and_shown_with_its_budgets() {
    let key = json!({"id": "k1", "name": "web", "project": "shop", "status": "active", "policy": {},
        "budgets": [budget("10", "month", 5)], "key": "kw_prod_x"});
    let fake = Fake::start(move |_| ok(key.clone()));
    let arguments = ["key", "create", "--project", "shop", "--env", "production", "--name", "web"];
    let run =
        User::of(&fake).run(&[&arguments[..], &["--budget", "10 USD/month", "--budget", "0.50 USD/hour"]].concat());
    assert_eq!((run.status, run.out.as_str()), (0, "kw_prod_x\n"), "{run:?}");
    assert!(run.err.contains("10 USD/month"), "{run:?}");
    assert_eq!(sent(&fake)[0].json()["budgets"], json!(["10 USD/month", "0.5 USD/hour"]));
    let run = User::of(&fake).run(&["key", "show", "web"]);
    assert!(run.out.contains("budget of project shop: 10 USD/month"), "{run:?}");
    let run = User::of(&fake).run(&[&arguments[..], &["--budget", "NaN USD/month"]].concat());
    assert!(run.status == 2 && run.err.contains("not an amount"), "{run:?}");
}

#[test]
fn shared_rates_are_set_listed_and_cleared() {
    let rates = json!({"scope": "project", "project": "shop", "status": "active", "requests_per_minute": 600});
    let list = rates.clone();
    let fake = Fake::start(move |asked| {
        ok(if asked.method == "GET" { json!({"items": [list.clone()]}) } else { rates.clone() })
    });
    let user = User::of(&fake);
    assert_eq!(user.run(&["rate", "set", "--project", "shop", "--rpm", "600", "--unset", "tpm"]).status, 0);
    assert_eq!(user.run(&["rate", "set", "--organisation", "--concurrency", "5"]).status, 0);
    assert_eq!(user.run(&["rate", "clear", "--project", "shop"]).status, 0);
    let sent: Vec<_> =
        sent(&fake).into_iter().map(|asked| (asked.method.clone(), asked.path.clone(), asked.json())).collect();
    let (patch, delete) = ("PATCH".to_owned(), "DELETE".to_owned());
    let (organisation, shop) = ("/api/v1/rates/organisation".to_owned(), "/api/v1/rates/projects/shop".to_owned());
    assert_eq!(sent[0], (patch.clone(), shop.clone(), json!({"requests_per_minute": 600, "tokens_per_minute": null})));
    assert_eq!(sent[1], (patch, organisation, json!({"concurrency": 5})));
    assert_eq!(sent[2], (delete, shop, json!({})));
    assert!(user.run(&["rate", "list"]).out.contains("600"));
    for arguments in [
        &["rate", "set", "--project", "shop"][..],
        &["rate", "set", "--rpm", "5"],
        &["rate", "set", "--organisation", "--project", "shop", "--rpm", "5"],
        &["rate", "set", "--organisation", "--rpm", "0"],
        &["rate", "clear"],
    ] {
        assert_eq!(user.run(arguments).status, 2, "{arguments:?}");
    }
}
