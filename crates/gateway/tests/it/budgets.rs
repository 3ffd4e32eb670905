//! Budgets from outside: what is held before a call is sent, what it costs in the end, and what the client is told.

use crate::house::{House, Plan, Played, message, rest, soon, write};
use keyward_domain::{
    BudgetId, KeyId, Money, ProjectId,
    budget::{Account, Budget, Hold, Scope, SharedRates},
    policy::WhenShort,
    snapshot::Update,
    usage::{CostBasis, GatewayEvent, Outcome, UsageEvent},
};
use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::{io::AsyncReadExt, net::TcpStream};

pub(crate) const CHAT: &str = r#"{"model":"m","max_tokens":10,"messages":[]}"#;
pub(crate) const STREAM: &str = r#"{"model":"m","max_tokens":10,"stream":true,"messages":[]}"#;
pub(crate) const BEGIN: &str = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n";
pub(crate) const PIECE: &str =
    "data: {\"choices\":[{\"delta\":{\"content\":\"x\"},\"finish_reason\":null}],\"usage\":null}\n\n";
/// Seven tokens of input and three of output, at 1 and 10 USD a million.
pub(crate) const USED: i64 = 7 * 1_000 + 3 * 10_000;
pub(crate) const ANSWER: &str = r#"{"id":"x","model":"m","usage":{"prompt_tokens":7,"completion_tokens":3}}"#;

pub(crate) fn ok(body: &str) -> String {
    format!("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}", body.len())
}

fn budget(seed: u8, scope: Scope, nano: i64) -> Budget {
    Budget { id: BudgetId::new(1, [seed; 10]), scope, limit: Money::from_nano(nano), window: "total".parse().unwrap() }
}

fn key() -> Scope {
    Scope::Key(KeyId::new(1, [1; 10]))
}

fn project() -> Scope {
    Scope::Project(ProjectId::new(1, [2; 10]))
}

pub(crate) fn with_budget(nano: i64) -> Plan {
    Plan { budgets: vec![budget(1, key(), nano), budget(2, Scope::Organisation, 10_000_000_000)], ..Plan::default() }
}

fn account(seed: u8) -> Account {
    Account { budget: BudgetId::new(1, [seed; 10]), start: 0 }
}

fn header<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
}

/// The hold and the settlement of the one call that was made.
pub(crate) async fn books(house: &House) -> (Hold, UsageEvent) {
    let [GatewayEvent::Hold(hold), GatewayEvent::Usage(usage)] = &soon(house.events(2)).await[..] else {
        panic!("a hold and a settlement")
    };
    // What a call cost beyond its hold is held as well, where that is free.
    let held = Some(hold.amount.max(usage.cost));
    assert_eq!((hold.call, usage.held, &usage.leases), (usage.id, held, &hold.leases));
    (Hold::clone(hold), UsageEvent::clone(usage))
}

#[tokio::test]
async fn a_hold_is_written_down_before_the_call_is_sent_and_settled_by_what_it_cost() {
    let provider = Played::start().await;
    let house = House::build(provider.address(), with_budget(1_000_000_000));
    let mut client = house.connect().await;
    write(&mut client, house.post("/chat", CHAT)).await;
    let mut upstream = provider.accept().await;
    let (_, body) = message(&mut upstream).await;
    assert_eq!(body, CHAT);
    let [GatewayEvent::Hold(hold)] = &house.events(1).await[..] else { panic!("a hold, while the provider works") };
    assert!(hold.amount > Money::from_nano(USED) && hold.leases.len() == 2, "{hold:?}");
    assert_eq!((&*hold.model, &*hold.operation, hold.key), ("m", "chat", KeyId::new(1, [1; 10])));
    write(&mut upstream, ok(ANSWER).replace("\r\n\r\n", "\r\nx-ratelimit-remaining-tokens: 77\r\n\r\n")).await;
    let (head, _) = message(&mut client).await;
    assert_eq!(header(&head, "x-ratelimit-remaining-tokens"), Some("77"), "the provider's own rates go on");
    let left = Money::from_nano(1_000_000_000 - hold.amount.nano());
    assert_eq!(header(&head, "keyward-budget-remaining"), Some(&*left.to_string()), "the smaller of the two, {head}");
    assert_eq!(header(&head, "keyward-output-cap"), None);
    let (_, usage) = books(&house).await;
    assert_eq!((usage.cost, usage.basis), (Money::from_nano(USED), CostBasis::Priced));
    house.ledger.collect(&usage.leases, usage.cost, usage.held);
    let ledger = house.stop().await;
    for seed in [1, 2] {
        let standing = ledger.standing(account(seed));
        assert_eq!((standing.spent.nano(), standing.leased.nano()), (USED, 0), "what was not needed went back");
    }
}

#[tokio::test]
async fn without_a_cap_of_the_clients_one_is_added_and_a_small_budget_lowers_it() {
    let provider = Played::start().await;
    let house = House::build(provider.address(), with_budget(1_000_000_000));
    let mut client = house.connect().await;
    write(&mut client, house.post("/chat", r#"{"model":"m","messages":[]}"#)).await;
    let mut upstream = provider.accept().await;
    let (_, body) = message(&mut upstream).await;
    assert!(String::from_utf8_lossy(&body).contains("\"max_tokens\":1000"), "what the model gives at most: {body:?}");
    write(&mut upstream, ok(ANSWER)).await;
    assert_eq!(header(&message(&mut client).await.0, "keyward-output-cap"), None);

    let house = House::build(provider.address(), with_budget(2_000_000));
    let mut client = house.connect().await;
    write(&mut client, house.post("/chat", r#"{"model":"m","messages":[]}"#)).await;
    let mut upstream = provider.accept().await;
    let (_, body) = message(&mut upstream).await;
    write(&mut upstream, ok(ANSWER)).await;
    let (head, _) = message(&mut client).await;
    let cap = header(&head, "keyward-output-cap").expect("it was lowered").to_owned();
    assert!(String::from_utf8_lossy(&body).contains(&format!("\"max_tokens\":{cap}")), "{cap}: {body:?}");
    assert!((1..1_000).contains(&cap.parse::<u64>().unwrap()));
    assert!(books(&house).await.0.amount <= Money::from_nano(2_000_000));
}

#[tokio::test]
async fn calls_that_say_no_cap_leave_room_for_each_other() {
    let provider = Played::start().await;
    // The largest answer of this model costs a dollar.
    let house = House::build(provider.address(), with_budget(1_000_000_000));
    let mut open = Vec::new();
    for _ in 0..9 {
        let mut client = house.connect().await;
        write(&mut client, house.post("/chat", r#"{"model":"large","messages":[]}"#)).await;
        let mut upstream = soon(provider.accept()).await;
        let (_, body) = message(&mut upstream).await;
        let body: serde_json::Value = serde_json::from_slice(&body).unwrap();
        open.push((client, upstream, body["max_tokens"].as_u64().unwrap()));
    }
    let caps: Vec<u64> = open.iter().map(|(_, _, cap)| *cap).collect();
    // An eighth of what the model gives; then half of what is left, and half of that.
    assert_eq!(caps[..7], [12_500; 7]);
    assert!((6_000..6_250).contains(&caps[7]) && (3_000..3_125).contains(&caps[8]), "{caps:?}");
    for (client, upstream, cap) in &mut open {
        write(upstream, ok(ANSWER)).await;
        let (head, _) = message(client).await;
        assert_eq!(header(&head, "keyward-output-cap"), Some(&*cap.to_string()));
    }
}

#[tokio::test]
async fn a_cap_that_somebody_says_is_not_second_guessed() {
    for (default, cap) in [(None, "\"max_tokens\":90000,"), (Some(90_000), "")] {
        let provider = Played::start().await;
        let mut plan = with_budget(1_000_000_000);
        plan.policy.default_output_tokens = default;
        let house = House::build(provider.address(), plan);
        let mut client = house.connect().await;
        write(&mut client, house.post("/chat", &format!(r#"{{"model":"large",{cap}"messages":[]}}"#))).await;
        let mut upstream = soon(provider.accept()).await;
        let (_, body) = message(&mut upstream).await;
        let body: serde_json::Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(body["max_tokens"], 90_000);
        write(&mut upstream, ok(ANSWER)).await;
        assert_eq!(header(&message(&mut client).await.0, "keyward-output-cap"), None);
    }
}

#[tokio::test]
async fn a_refusal_says_which_budget_and_what_is_left_of_it() {
    let provider = Played::start().await;
    let mut plan = with_budget(2_000_000);
    plan.policy.when_short = Some(WhenShort::Refuse);
    let house = House::build(provider.address(), plan);
    let mut client = house.connect().await;
    write(&mut client, house.post("/chat", r#"{"model":"m","messages":[]}"#)).await;
    let (head, body) = message(&mut client).await;
    let body = String::from_utf8_lossy(&body).into_owned();
    assert!(head.starts_with("HTTP/1.1 429 "), "{head}");
    assert_eq!(header(&head, "keyward-error"), Some("budget_exhausted"));
    assert_eq!(header(&head, "x-should-retry"), Some("false"));
    for words in ["this key's budget of 0.002 USD in total", "0 USD are used", "does not start anew"] {
        assert!(body.contains(words), "{words} in {body}");
    }
}

#[tokio::test]
async fn money_that_calls_in_flight_hold_is_worth_a_retry() {
    let provider = Played::start().await;
    let mut plan = with_budget(10_400_000);
    plan.settings = Box::new(|settings| settings.threads = 1);
    plan.policy.when_short = Some(WhenShort::Refuse);
    let house = House::build(provider.address(), plan);
    let mut first = house.connect().await;
    let all = r#"{"model":"m","max_tokens":1000,"messages":[]}"#;
    write(&mut first, house.post("/chat", all)).await;
    let mut upstream = provider.accept().await;
    message(&mut upstream).await;
    let mut second = house.connect().await;
    write(&mut second, house.post("/chat", all)).await;
    let (head, body) = message(&mut second).await;
    assert_eq!((header(&head, "retry-after"), header(&head, "x-should-retry")), (Some("1"), None), "{head}");
    assert!(String::from_utf8_lossy(&body).contains("calls in flight hold what is left"), "{body:?}");
    write(&mut upstream, ok(ANSWER)).await;
    message(&mut first).await;
    write(&mut second, house.post("/chat", all)).await;
    message(&mut upstream).await;
    write(&mut upstream, ok(ANSWER)).await;
    assert!(message(&mut second).await.0.starts_with("HTTP/1.1 200 "));
}

#[tokio::test]
async fn what_has_no_price_is_refused_under_a_budget() {
    let provider = Played::start().await;
    let house = House::build(provider.address(), with_budget(1_000_000_000));
    for request in [
        house.post("/chat", r#"{"model":"unheard-of","messages":[]}"#),
        house.head("GET", "/live", "connection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n"),
    ] {
        let mut client = house.connect().await;
        write(&mut client, request).await;
        let (head, _) = message(&mut client).await;
        assert_eq!(header(&head, "keyward-error"), Some("unpriced"), "{head}");
    }
}

#[tokio::test]
async fn a_stream_that_does_not_keep_to_its_cap_is_cut() {
    let provider = Played::start().await;
    let house = House::build(provider.address(), with_budget(1_000_000_000));
    let mut client = house.connect().await;
    write(&mut client, house.post("/chat", STREAM)).await;
    let mut upstream = provider.accept().await;
    message(&mut upstream).await;
    write(&mut upstream, BEGIN).await;
    let (mut reads, mut writes) = upstream.split();
    let floods = async {
        use tokio::io::AsyncWriteExt;
        while writes.write_all(PIECE.as_bytes()).await.is_ok() {
            tokio::task::yield_now().await;
        }
    };
    let watches = async {
        let mut byte = [0];
        let _ = reads.read(&mut byte).await;
    };
    let (end, ()) = soon(async {
        tokio::join!(rest(&mut client), async {
            tokio::select! { () = floods => (), () = watches => () }
        })
    })
    .await;
    assert!(end.contains("event: error") && end.contains("budget_exhausted") && end.contains("set aside"), "{end:?}");
    assert!(!end.ends_with("0\r\n\r\n"), "no proper end");
    let (hold, usage) = books(&house).await;
    assert_eq!(usage.outcome, Outcome::Cut);
    assert!(usage.cost >= hold.amount, "{} of {}", usage.cost, hold.amount);
    // What one read brings comes on top.
    assert!(usage.cost < Money::from_nano(20_000_000), "and soon: {} of {}", usage.cost, hold.amount);
}

#[tokio::test]
async fn what_was_not_sent_or_was_refused_costs_nothing() {
    // Nobody listens there.
    let nowhere = Played::start().await.address();
    let house = House::build(nowhere, with_budget(1_000_000_000));
    let mut client = house.connect().await;
    write(&mut client, house.post("/chat", CHAT)).await;
    assert!(message(&mut client).await.0.starts_with("HTTP/1.1 502 "));
    assert_eq!(books(&house).await.1.cost, Money::ZERO);

    let provider = Played::start().await;
    let house = House::build(provider.address(), with_budget(1_000_000_000));
    let mut client = house.connect().await;
    write(&mut client, house.post("/chat", CHAT)).await;
    let mut upstream = provider.accept().await;
    message(&mut upstream).await;
    write(&mut upstream, "HTTP/1.1 500 Oh\r\ncontent-length: 2\r\n\r\nno").await;
    message(&mut client).await;
    assert_eq!(books(&house).await.1.cost, Money::ZERO);
}

#[tokio::test]
async fn a_dead_credential_gives_way_under_one_and_the_same_hold() {
    let provider = Played::start().await;
    let credentials = vec![crate::house::REAL, crate::house::SECOND];
    let house = House::build(provider.address(), Plan { credentials, ..with_budget(1_000_000_000) });
    let mut client = house.connect().await;
    write(&mut client, house.post("/chat", CHAT)).await;
    let mut upstream = provider.accept().await;
    message(&mut upstream).await;
    let dead = r#"{"error":{"code":"dead","message":"no"}}"#;
    write(&mut upstream, ok(dead).replace("200 OK", "401 Unauthorized")).await;
    message(&mut upstream).await;
    write(&mut upstream, ok(ANSWER)).await;
    message(&mut client).await;
    let events = soon(house.events(3)).await;
    let [GatewayEvent::Hold(_), GatewayEvent::Credential(_), GatewayEvent::Usage(usage)] = &events[..] else {
        panic!("{events:?}")
    };
    assert_eq!(usage.cost, Money::from_nano(USED));
}

#[tokio::test]
async fn without_the_database_calls_that_fit_go_on_and_others_are_told_to_try_again() {
    let provider = Played::start().await;
    let house = House::build(provider.address(), with_budget(1_000_000_000));
    let mut client = house.connect().await;
    write(&mut client, house.post("/chat", CHAT)).await;
    let mut upstream = provider.accept().await;
    message(&mut upstream).await;
    house.ledger.set_away(true);
    write(&mut upstream, ok(ANSWER)).await;
    message(&mut client).await;
    write(&mut client, house.post("/chat", CHAT)).await;
    message(&mut upstream).await;
    write(&mut upstream, ok(ANSWER)).await;
    assert!(message(&mut client).await.0.starts_with("HTTP/1.1 200 "), "the lease still pays");
    house.gateway.apply(Update::Budgets(vec![budget(3, project(), 1_000_000_000)]));
    write(&mut client, house.post("/chat", CHAT)).await;
    let (head, _) = message(&mut client).await;
    assert_eq!(header(&head, "keyward-error"), Some("budget_unavailable"), "{head}");
    assert_eq!(header(&head, "retry-after"), Some("1"));
    house.ledger.set_away(false);
    house.ledger.set_limit(BudgetId::new(1, [3; 10]), 1_000_000_000);
    write(&mut client, house.post("/chat", CHAT)).await;
    message(&mut upstream).await;
    write(&mut upstream, ok(ANSWER)).await;
    assert!(message(&mut client).await.0.starts_with("HTTP/1.1 200 "));
}

#[tokio::test]
async fn a_client_that_does_not_wait_for_the_money_leaves_none_behind() {
    let provider = Played::start().await;
    let house = House::build(provider.address(), with_budget(1_000_000_000));
    let gate = house.ledger.gate();
    let mut client = house.connect().await;
    write(&mut client, house.post("/chat", CHAT)).await;
    soon(async {
        while house.ledger.asked() == 0 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    drop(client);
    // Enough connections that each thread has one: a thread that answers has seen before that the other client is gone.
    let mut others = Vec::new();
    for _ in 0..3 {
        let mut other = house.connect().await;
        write(&mut other, house.post("/nowhere", CHAT)).await;
        assert!(message(&mut other).await.0.starts_with("HTTP/1.1 404 "));
        others.push(other);
    }
    gate.add_permits(100);
    let mut client = house.connect().await;
    write(&mut client, house.post("/chat", CHAT)).await;
    let mut upstream = provider.accept().await;
    message(&mut upstream).await;
    write(&mut upstream, ok(ANSWER)).await;
    message(&mut client).await;
    let (_, usage) = books(&house).await;
    house.ledger.collect(&usage.leases, usage.cost, usage.held);
    let ledger = house.stop().await;
    assert_eq!(ledger.standing(account(1)).leased, Money::ZERO);
}

#[tokio::test]
async fn a_project_and_the_organisation_have_rates_too() {
    let provider = Played::start().await;
    let none = SharedRates { scope: project(), requests_per_minute: None, tokens_per_minute: None, concurrency: None };
    let all = SharedRates { scope: Scope::Organisation, requests_per_minute: Some(1), ..none };
    let house = House::build(provider.address(), Plan { rates: vec![all], ..Plan::default() });
    let mut client = house.connect().await;
    write(&mut client, house.post("/chat", CHAT)).await;
    let mut upstream = provider.accept().await;
    message(&mut upstream).await;
    write(&mut upstream, ok(ANSWER)).await;
    message(&mut client).await;
    for (rates, error, who) in [
        (all, "rate_limited", "the organisation may make 1 requests"),
        (SharedRates { tokens_per_minute: Some(1), ..none }, "tokens_limited", "this project may use 1"),
        (SharedRates { concurrency: Some(0), ..none }, "concurrency_limited", "this project may have 0 calls"),
    ] {
        house.gateway.apply(Update::Rates(vec![rates]));
        write(&mut client, house.post("/chat", CHAT)).await;
        let (head, body) = message(&mut client).await;
        assert_eq!(header(&head, "keyward-error"), Some(error), "{head}");
        assert!(String::from_utf8_lossy(&body).contains(who), "{body:?}");
        house.gateway.apply(Update::Rates(vec![SharedRates { scope: Scope::Organisation, ..none }, none]));
    }
}

/// A provider that serves everybody, bills by what it was asked for, and counts.
async fn serve(provider: Played, billed: Arc<AtomicI64>, served: Arc<AtomicU64>) {
    loop {
        let mut stream = provider.accept().await;
        let (billed, served) = (Arc::clone(&billed), Arc::clone(&served));
        tokio::spawn(async move {
            let mut buffer = vec![0; 8 << 10];
            let mut seen = Vec::new();
            loop {
                let Ok(count @ 1..) = stream.read(&mut buffer).await else { return };
                seen.extend_from_slice(&buffer[..count]);
                let text = String::from_utf8_lossy(&seen).into_owned();
                let Some((_, body)) = text.split_once("\r\n\r\n").filter(|(_, body)| body.ends_with("]}")) else {
                    continue;
                };
                let body: serde_json::Value = serde_json::from_str(body).unwrap();
                let cap = body["max_tokens"].as_i64().unwrap();
                let number = served.fetch_add(1, Ordering::SeqCst);
                // Some answers are shorter than they might be.
                let output = if number.is_multiple_of(3) { cap } else { cap.min(40) };
                billed.fetch_add(20 * 1_000 + output * 10_000, Ordering::SeqCst);
                let answer =
                    format!(r#"{{"id":"x","model":"m","usage":{{"prompt_tokens":20,"completion_tokens":{output}}}}}"#);
                seen.clear();
                tokio::task::yield_now().await;
                if tokio::io::AsyncWriteExt::write_all(&mut stream, ok(&answer).as_bytes()).await.is_err() {
                    return;
                }
            }
        });
    }
}

#[tokio::test]
async fn five_hundred_and_twelve_at_once_never_spend_more_than_there_is_and_nearly_all_of_it() {
    const LIMIT: i64 = 500_000_000;
    let provider = Played::start().await;
    let address = provider.address();
    let (billed, served) = (Arc::new(AtomicI64::new(0)), Arc::new(AtomicU64::new(0)));
    let serving = tokio::spawn(serve(provider, Arc::clone(&billed), Arc::clone(&served)));
    let house = House::build(address, with_budget(LIMIT));
    let mut journal = house.gateway.journal();
    let clients: Vec<_> = (0..512)
        .map(|number: u32| {
            let cap = if number.is_multiple_of(2) { "\"max_tokens\":100," } else { "" };
            let call = house.post("/chat", &format!(r#"{{"model":"m",{cap}"messages":[]}}"#));
            let gateway = house.gateway.address();
            tokio::spawn(async move {
                let mut client = TcpStream::connect(gateway).await.unwrap();
                let mut refused = 0;
                while refused < 3 {
                    write(&mut client, &call).await;
                    let (head, _) = message(&mut client).await;
                    refused = if head.starts_with("HTTP/1.1 200 ") { 0 } else { refused + 1 };
                }
            })
        })
        .collect();
    for client in clients {
        tokio::time::timeout(Duration::from_secs(120), client).await.expect("in time").unwrap();
    }
    // One after the other until nothing fits: the least call is one token of output.
    let mut client = house.connect().await;
    loop {
        write(&mut client, house.post("/chat", r#"{"model":"m","messages":[]}"#)).await;
        if !message(&mut client).await.0.starts_with("HTTP/1.1 200 ") {
            break;
        }
    }
    let billed = billed.load(Ordering::SeqCst);
    assert!(billed <= LIMIT, "{billed} of {LIMIT} were billed");
    assert!(billed * 100 >= LIMIT * 95, "only {billed} of {LIMIT} could be used");
    let ledger = house.stop().await;
    loop {
        let batch = journal.next_batch(1_000);
        if batch.is_empty() {
            break;
        }
        for (_, event) in batch {
            if let GatewayEvent::Usage(usage) = event {
                ledger.collect(&usage.leases, usage.cost, usage.held);
            }
        }
    }
    let standing = ledger.standing(account(1));
    assert_eq!((standing.spent.nano(), standing.leased.nano()), (billed, 0), "to the nano-dollar");
    let (asked, served) = (ledger.asked(), served.load(Ordering::SeqCst));
    assert!(asked < served, "the lender is not asked for every call: {asked} times for {served}");
    serving.abort();
}

#[tokio::test]
async fn a_call_that_may_have_arrived_is_not_sent_again_under_one_hold() {
    let provider = Played::start().await;
    let house = House::build(provider.address(), with_budget(1_000_000_000));
    let mut client = house.connect().await;
    write(&mut client, house.post("/chat", CHAT)).await;
    let mut upstream = provider.accept().await;
    message(&mut upstream).await;
    write(&mut upstream, ok(ANSWER)).await;
    message(&mut client).await;
    let _ = books(&house).await;
    write(&mut client, house.post("/chat", CHAT)).await;
    // On the same connection, or on another if this took long.
    tokio::select! {
        biased;
        _ = message(&mut upstream) => drop(upstream),
        mut other = provider.accept() => drop(message(&mut other).await),
    }
    let (head, _) = message(&mut client).await;
    assert!(head.starts_with("HTTP/1.1 502 "), "it was read, and nobody answered: {head}");
    assert_eq!(header(&head, "keyward-error"), Some("upstream_unreachable"));
    let events = soon(house.events(4)).await;
    let [_, _, GatewayEvent::Hold(hold), GatewayEvent::Usage(usage)] = &events[..] else { panic!("{events:?}") };
    assert_eq!((usage.cost, usage.held), (hold.amount, Some(hold.amount)), "what nobody knows is charged");
}
