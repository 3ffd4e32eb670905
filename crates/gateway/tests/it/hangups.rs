//! Clients that hang up: whether their call goes on without them, and what it is charged with.

use crate::{
    budgets::{ANSWER, BEGIN, CHAT, PIECE, STREAM, USED, books, ok, with_budget},
    house::{House, Plan, Played, message, rest, soon, until, write},
};
use keyward_domain::{
    Money,
    provider::OnHangup,
    usage::{CostBasis, Outcome},
};
use std::time::Duration;
use tokio::{io::AsyncReadExt, net::TcpStream};

const BUDGET: i64 = 1_000_000_000;
const END: &str = "data: {\"choices\":[],\"model\":\"m\",\"usage\":{\"prompt_tokens\":7,\"completion_tokens\":3}}\n\n";

/// When the client is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Gone {
    /// The provider has the call and has not answered.
    BeforeAnswer,
    /// In the middle of a stream.
    InStream,
    /// In the middle of an answer in one piece.
    InAnswer,
}

const ALWAYS: [Gone; 3] = [Gone::BeforeAnswer, Gone::InStream, Gone::InAnswer];

/// A call whose client hangs up; gives the provider's side of it, with what it has not yet said.
async fn hang_up(house: &House, provider: &Played, gone: Gone) -> (TcpStream, String) {
    let body = if gone == Gone::InStream { STREAM } else { CHAT };
    let mut client = house.connect().await;
    write(&mut client, house.post("/chat", body)).await;
    let mut upstream = soon(provider.accept()).await;
    message(&mut upstream).await;
    let left = match gone {
        Gone::BeforeAnswer => ok(ANSWER),
        Gone::InStream => {
            write(&mut upstream, format!("{BEGIN}{PIECE}")).await;
            soon(until(&mut client, "delta")).await;
            END.to_owned()
        }
        Gone::InAnswer => {
            let answer = ok(ANSWER);
            let (first, left) = answer.split_at(answer.len() - 20);
            write(&mut upstream, first).await;
            soon(until(&mut client, "\"id\":")).await;
            left.to_owned()
        }
    };
    drop(client);
    (upstream, left)
}

/// The provider's connection is closed at once, and all that was held is charged.
async fn is_cancelled(plan: Plan, gone: Gone) {
    let provider = Played::start().await;
    let house = House::build(provider.address(), plan);
    let (mut upstream, _) = hang_up(&house, &provider, gone).await;
    assert_eq!(soon(rest(&mut upstream)).await, "", "{gone:?}: it is told at once");
    let (hold, usage) = books(&house).await;
    assert_eq!((usage.cost, usage.outcome), (hold.amount, Outcome::ClientGone), "{gone:?}");
}

/// The answer is read to its end, and what it cost is charged.
async fn is_drained(plan: Plan, gone: Gone) {
    let provider = Played::start().await;
    let house = House::build(provider.address(), plan);
    let (mut upstream, left) = hang_up(&house, &provider, gone).await;
    write(&mut upstream, left).await;
    // What streams until it ends, ends with its connection.
    drop(upstream);
    let (hold, usage) = books(&house).await;
    assert_eq!((usage.cost, usage.basis), (Money::from_nano(USED), CostBasis::Priced), "{gone:?}");
    assert!(usage.cost < hold.amount);
}

#[tokio::test]
async fn the_call_goes_on_where_the_provider_does_and_where_money_is_held() {
    for on_hangup in ["drain", "settle"] {
        for gone in ALWAYS {
            is_drained(Plan { on_hangup, ..with_budget(BUDGET) }, gone).await;
        }
    }
    for gone in ALWAYS {
        is_cancelled(Plan { on_hangup: "cancel", ..with_budget(BUDGET) }, gone).await;
    }
}

#[tokio::test]
async fn the_keys_policy_knows_better_than_the_catalogue() {
    for gone in ALWAYS {
        let mut plan = Plan { on_hangup: "drain", ..with_budget(BUDGET) };
        plan.policy.on_hangup = Some(OnHangup::Cancel);
        is_cancelled(plan, gone).await;
        let mut plan = Plan { on_hangup: "cancel", ..with_budget(BUDGET) };
        plan.policy.on_hangup = Some(OnHangup::Drain);
        is_drained(plan, gone).await;
    }
}

#[tokio::test]
async fn without_a_budget_only_a_provider_that_goes_on_is_read_to_the_end() {
    for (on_hangup, drained) in [("settle", false), ("drain", true)] {
        let provider = Played::start().await;
        let house = House::build(provider.address(), Plan { on_hangup, ..Plan::default() });
        let (mut upstream, left) = hang_up(&house, &provider, Gone::InStream).await;
        if drained {
            write(&mut upstream, left).await;
            drop(upstream);
        } else {
            assert_eq!(soon(rest(&mut upstream)).await, "", "it is told at once");
        }
        let usage = soon(house.usage()).await;
        let basis = if drained { CostBasis::Priced } else { CostBasis::Estimated };
        assert_eq!((usage.outcome, usage.basis), (Outcome::ClientGone, basis));
    }
}

#[tokio::test]
async fn without_room_or_time_for_it_the_hold_is_charged() {
    for gone in ALWAYS {
        let settings = Box::new(|settings: &mut keyward_gateway::Settings| settings.limits.hangup_drains = 0);
        is_cancelled(Plan { on_hangup: "settle", settings, ..with_budget(BUDGET) }, gone).await;
        let settings = Box::new(|settings: &mut keyward_gateway::Settings| {
            settings.limits.hangup_drain = Duration::from_millis(1);
        });
        is_cancelled(Plan { on_hangup: "settle", settings, ..with_budget(BUDGET) }, gone).await;
    }
}

#[tokio::test]
async fn a_call_that_never_reached_its_provider_costs_nothing() {
    let provider = Played::start().await;
    // A handshake that nobody answers.
    let base_url = Some(format!("https://{}/v1", provider.address()));
    let house = House::build(provider.address(), Plan { base_url, on_hangup: "settle", ..with_budget(BUDGET) });
    let mut client = house.connect().await;
    write(&mut client, house.post("/chat", CHAT)).await;
    let mut upstream = soon(provider.accept()).await;
    assert!(soon(upstream.read(&mut [0; 16])).await.unwrap() > 0, "its greeting");
    drop(client);
    let (_, usage) = books(&house).await;
    assert_eq!((usage.cost, usage.basis, usage.outcome), (Money::ZERO, CostBasis::Free, Outcome::ClientGone));
}
