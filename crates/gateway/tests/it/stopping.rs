//! The end of the service: what is under way may finish, what takes too long is cut, everything is settled.

use crate::house::{House, Plan, Played, message, rest, soon, until, write};
use keyward_domain::usage::{GatewayEvent, Outcome};
use std::time::Duration;

#[tokio::test]
async fn calls_under_way_may_finish() {
    let provider = Played::start().await;
    let house = House::build(provider.address(), Plan::default());
    let mut idle = house.connect().await;
    let mut client = house.connect().await;
    write(&mut client, house.head("GET", "/files/a", "")).await;
    let mut upstream = provider.accept().await;
    message(&mut upstream).await;
    let (address, journal) = (house.gateway.address(), house.gateway.journal());
    let stopping = tokio::task::spawn_blocking(move || house.gateway.stop(Duration::from_secs(60)));
    // A connection without a call is closed at once.
    assert_eq!(soon(rest(&mut idle)).await, "");
    soon(async { while tokio::net::TcpStream::connect(address).await.is_ok() {} }).await;
    write(&mut upstream, "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await;
    assert!(soon(rest(&mut client)).await.ends_with("\r\n\r\nok"));
    let report = soon(stopping).await.unwrap();
    assert!(report.in_time && report.cut == 0, "{report:?}");
    drop(journal);
}

#[tokio::test]
async fn calls_that_take_too_long_are_cut_and_settled() {
    let provider = Played::start().await;
    let house = House::build(provider.address(), Plan::default());
    let mut client = house.connect().await;
    write(&mut client, house.post("/chat", r#"{"model":"m","stream":true}"#)).await;
    let mut upstream = provider.accept().await;
    message(&mut upstream).await;
    write(&mut upstream, "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\ndata: {}\n\n").await;
    soon(until(&mut client, "data: {}")).await;
    let mut journal = house.gateway.journal();
    let stopping = tokio::task::spawn_blocking(move || house.gateway.stop(Duration::ZERO));
    assert!(soon(rest(&mut client)).await.contains("stopping"));
    assert_eq!(soon(rest(&mut upstream)).await, "");
    let report = soon(stopping).await.unwrap();
    assert!(!report.in_time && report.cut == 1, "{report:?}");
    let events = journal.next_batch(10);
    let [(_, GatewayEvent::Usage(usage))] = &events[..] else { panic!("{events:?}") };
    assert_eq!(usage.outcome, Outcome::Cut);
}
