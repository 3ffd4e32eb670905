//! Whole calls: what each side sees, and what is recorded.

use crate::house::{House, Plan, Played, REAL, SECOND, head, message, rest, soon, until, write};
use keyward_domain::{
    provider::Cause,
    usage::{GatewayEvent, Outcome},
};

const CHAT: &str = r#"{"model":"m","messages":[]}"#;
const ANSWER: &str = r#"{"id":"x","model":"m","usage":{"prompt_tokens":7,"completion_tokens":3}}"#;

fn ok(body: &str) -> String {
    format!("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}", body.len())
}

#[tokio::test]
async fn the_credential_is_swapped_and_the_call_is_metered() {
    let provider = Played::start().await;
    let house = House::build(provider.address(), Plan::default());
    let mut client = house.connect().await;
    write(&mut client, house.post("/chat", CHAT)).await;
    let mut upstream = provider.accept().await;
    let (seen, body) = message(&mut upstream).await;
    assert!(seen.starts_with("POST /v1/chat HTTP/1.1\r\n"), "{seen}");
    assert!(seen.contains(&format!("authorization: Bearer {REAL}\r\n")), "{seen}");
    assert!(!seen.contains(&house.key) && !seen.contains("kw_"), "{seen}");
    assert_eq!(body, CHAT);
    write(&mut upstream, ok(ANSWER)).await;
    let (answer, body) = message(&mut client).await;
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.contains("keyward-request-id: "), "{answer}");
    assert!(!answer.contains(REAL));
    assert_eq!(body, ANSWER);
    let usage = soon(house.usage()).await;
    assert_eq!((usage.usage.buckets.input, usage.usage.buckets.output), (7, 3));
    assert_eq!((usage.status, usage.outcome, &*usage.model), (200, Outcome::Completed, "m"));
    // The next call of the same client goes out on the same connection.
    write(&mut client, house.post("/chat", CHAT)).await;
    message(&mut upstream).await;
    write(&mut upstream, ok(ANSWER)).await;
    assert_eq!(message(&mut client).await.1, ANSWER);
}

#[tokio::test]
async fn the_first_byte_leaves_when_it_comes() {
    let provider = Played::start().await;
    let house = House::build(provider.address(), Plan::default());
    let mut client = house.connect().await;
    write(&mut client, house.post("/chat", r#"{"model":"m","stream":true,"stream_options":{"include_usage":true}}"#))
        .await;
    let mut upstream = provider.accept().await;
    message(&mut upstream).await;
    write(&mut upstream, "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n")
        .await;
    soon(until(&mut client, "\r\n\r\n")).await;
    for number in 0..3 {
        // The next piece is sent only when this one has arrived.
        let event = format!("data: {{\"number\":{number}}}\n\n");
        write(&mut upstream, format!("{:x}\r\n{event}\r\n", event.len())).await;
        soon(until(&mut client, &format!("\"number\":{number}"))).await;
    }
    write(&mut upstream, "0\r\n\r\n").await;
    soon(until(&mut client, "0\r\n\r\n")).await;
    assert_eq!(soon(house.usage()).await.outcome, Outcome::Completed);
}

#[tokio::test]
async fn a_client_that_hangs_up_ends_the_call_at_the_provider() {
    for answered in [false, true] {
        let provider = Played::start().await;
        let house = House::build(provider.address(), Plan::default());
        let mut client = house.connect().await;
        write(&mut client, house.post("/chat", r#"{"model":"m","stream":true}"#)).await;
        let mut upstream = provider.accept().await;
        message(&mut upstream).await;
        if answered {
            let begin = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\ndata: {}\n\n";
            write(&mut upstream, begin).await;
            soon(until(&mut client, "data: {}")).await;
        }
        drop(client);
        // The provider is silent: only the hang-up can end this.
        assert_eq!(soon(rest(&mut upstream)).await, "");
        assert_eq!(soon(house.usage()).await.outcome, Outcome::ClientGone);
    }
}

#[tokio::test]
async fn a_revoked_key_is_cut_in_the_middle_and_refused_afterwards() {
    let provider = Played::start().await;
    let house = House::build(provider.address(), Plan::default());
    let mut client = house.connect().await;
    write(&mut client, house.post("/chat", r#"{"model":"m","stream":true}"#)).await;
    let mut upstream = provider.accept().await;
    message(&mut upstream).await;
    write(&mut upstream, "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\ndata: {}\n\n").await;
    soon(until(&mut client, "data: {}")).await;
    house.change(|grant| grant.revoked = true);
    assert_eq!(soon(rest(&mut upstream)).await, "");
    let end = soon(rest(&mut client)).await;
    assert!(end.contains("revoked") && !end.ends_with("0\r\n\r\n"), "the SDK hears why, and no proper end: {end:?}");
    assert_eq!(soon(house.usage()).await.outcome, Outcome::Cut);
    let mut client = house.connect().await;
    write(&mut client, house.post("/chat", CHAT)).await;
    let (answer, _) = message(&mut client).await;
    assert!(answer.starts_with("HTTP/1.1 401 ") && answer.contains("keyward-error: revoked_key\r\n"), "{answer}");
}

#[tokio::test]
async fn a_changed_key_does_not_cut_what_is_under_way() {
    let provider = Played::start().await;
    let house = House::build(provider.address(), Plan::default());
    let mut client = house.connect().await;
    write(&mut client, house.post("/chat", CHAT)).await;
    let mut upstream = provider.accept().await;
    message(&mut upstream).await;
    house.change(|grant| grant.policy = std::sync::Arc::default());
    write(&mut upstream, ok(ANSWER)).await;
    assert_eq!(soon(message(&mut client)).await.1, ANSWER);
    write(&mut client, house.post("/chat", CHAT)).await;
    assert!(message(&mut client).await.0.contains("keyward-error: provider_not_allowed\r\n"));
}

#[tokio::test]
async fn a_dead_credential_gives_way_to_the_next() {
    let provider = Played::start().await;
    let house = House::build(provider.address(), Plan { credentials: vec![REAL, SECOND], ..Plan::default() });
    let mut client = house.connect().await;
    write(&mut client, house.post("/chat", CHAT)).await;
    let mut upstream = provider.accept().await;
    assert!(message(&mut upstream).await.0.contains(REAL));
    let dead = r#"{"error":{"code":"dead","message":"no such key"}}"#;
    write(&mut upstream, ok(dead).replace("200 OK", "401 Unauthorized")).await;
    let (seen, body) = message(&mut upstream).await;
    assert!(seen.contains(SECOND), "{seen}");
    assert_eq!(body, CHAT, "the same request again");
    write(&mut upstream, ok(ANSWER)).await;
    assert_eq!(message(&mut client).await.1, ANSWER);
    let events = soon(house.events(2)).await;
    let [GatewayEvent::Credential(report), GatewayEvent::Usage(usage)] = &events[..] else { panic!("{events:?}") };
    assert_eq!(report.cause, Cause::KeyUnknown);
    assert_ne!(usage.credential, report.credential);
    // It is out: the next call does not try it.
    write(&mut client, house.post("/chat", CHAT)).await;
    assert!(message(&mut upstream).await.0.contains(SECOND));
}

#[tokio::test]
async fn an_error_within_a_stream_is_passed_on_without_the_key() {
    let provider = Played::start().await;
    let house = House::build(provider.address(), Plan::default());
    let mut client = house.connect().await;
    write(&mut client, house.post("/chat", r#"{"model":"m","stream":true}"#)).await;
    let mut upstream = provider.accept().await;
    message(&mut upstream).await;
    write(&mut upstream, "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\ndata: {}\n\n").await;
    soon(until(&mut client, "data: {}")).await;
    let (begin, end) = (&REAL[..6], &REAL[REAL.len() - 6..]);
    let error = format!(r#"{{"error":{{"code":"dead","message":"no such key {REAL} ({begin}***{end}), sorry"}}}}"#);
    write(&mut upstream, format!("data: {error}\n\n")).await;
    let seen = soon(until(&mut client, "sorry")).await;
    assert!(seen.contains("no such key ***") && !seen.contains(begin) && !seen.contains(end), "{seen}");
}

#[tokio::test]
async fn a_providers_error_is_passed_on_without_the_key() {
    let provider = Played::start().await;
    let house = House::build(provider.address(), Plan::default());
    let mut client = house.connect().await;
    write(&mut client, house.post("/chat", CHAT)).await;
    let mut upstream = provider.accept().await;
    message(&mut upstream).await;
    let echo = format!(r#"{{"error":{{"code":"other","message":"bad request with {REAL}"}}}}"#);
    let answer = ok(&echo).replace("200 OK", "400 Bad Request\r\nx-account: acme\r\nretry-after: 7");
    write(&mut upstream, answer).await;
    let (answer, body) = message(&mut client).await;
    assert!(answer.starts_with("HTTP/1.1 400 Bad Request\r\n") && answer.contains("retry-after: 7\r\n"), "{answer}");
    let text = String::from_utf8(body.to_vec()).unwrap();
    assert!(!answer.contains("acme") && !text.contains(REAL) && text.contains("bad request"), "{answer}{text}");
    let usage = soon(house.usage()).await;
    assert_eq!((usage.status, usage.outcome), (400, Outcome::ProviderError));
}

#[tokio::test]
async fn what_goes_wrong_upstream_is_said_in_the_clients_dialect() {
    for (answer, code) in [
        ("", "upstream_unreachable"),
        ("HTTP/1.1 200 OK\r\ncontent-length: 1\r\ntransfer-encoding: chunked\r\n\r\n", "upstream_invalid"),
        ("HTTP/1.1 200 OK\r\n folded: yes\r\n\r\n", "upstream_invalid"),
    ] {
        let provider = Played::start().await;
        let house = House::build(provider.address(), Plan::default());
        let mut client = house.connect().await;
        write(&mut client, house.post("/chat", CHAT)).await;
        let mut upstream = provider.accept().await;
        message(&mut upstream).await;
        write(&mut upstream, answer).await;
        drop(upstream);
        let (head, body) = soon(message(&mut client)).await;
        assert!(head.starts_with("HTTP/1.1 502 ") && head.contains(&format!("keyward-error: {code}\r\n")), "{head}");
        assert!(body.starts_with(br#"{"error":{"#), "{body:?}");
        assert_eq!(soon(house.usage()).await.outcome, Outcome::UpstreamLost);
    }
}

#[tokio::test]
async fn an_answer_that_breaks_off_does_not_look_whole() {
    let provider = Played::start().await;
    let house = House::build(provider.address(), Plan::default());
    let mut client = house.connect().await;
    write(&mut client, house.post("/chat", CHAT)).await;
    let mut upstream = provider.accept().await;
    message(&mut upstream).await;
    write(&mut upstream, "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n").await;
    drop(upstream);
    let all = soon(rest(&mut client)).await;
    assert!(all.contains("hello") && !all.ends_with("0\r\n\r\n"), "{all:?}");
    assert_eq!(soon(house.usage()).await.outcome, Outcome::UpstreamLost);
}

#[tokio::test]
async fn private_addresses_need_permission() {
    let provider = Played::start().await;
    let house = House::build(provider.address(), Plan { allow_private: false, ..Plan::default() });
    let mut client = house.connect().await;
    write(&mut client, house.post("/chat", CHAT)).await;
    // The base URL is plain HTTP on loopback: the credential is left out when it arrives.
    assert!(soon(message(&mut client)).await.0.contains("keyward-error: no_credential\r\n"));
}

#[tokio::test]
async fn answers_without_a_body_have_none() {
    let provider = Played::start().await;
    let house = House::build(provider.address(), Plan::default());
    let mut client = house.connect().await;
    write(&mut client, house.head("HEAD", "/files/a", "")).await;
    let mut upstream = provider.accept().await;
    assert!(message(&mut upstream).await.0.starts_with("HEAD /v1/files/a HTTP/1.1\r\n"));
    write(&mut upstream, "HTTP/1.1 200 OK\r\ncontent-length: 500\r\n\r\n").await;
    assert!(soon(head(&mut client)).await.0.contains("content-length: 500\r\n"));
    write(&mut client, house.head("GET", "/files/a", "")).await;
    message(&mut upstream).await;
    write(&mut upstream, "HTTP/1.1 204 No Content\r\n\r\n").await;
    assert!(soon(head(&mut client)).await.0.starts_with("HTTP/1.1 204 "));
    write(&mut client, house.head("GET", "/files/a", "")).await;
    message(&mut upstream).await;
    write(&mut upstream, ok("after all that")).await;
    assert_eq!(soon(message(&mut client)).await.1, "after all that");
}

#[tokio::test]
async fn redirects_are_not_followed() {
    let provider = Played::start().await;
    let house = House::build(provider.address(), Plan::default());
    let mut client = house.connect().await;
    write(&mut client, house.head("GET", "/files/a", "")).await;
    let mut upstream = provider.accept().await;
    message(&mut upstream).await;
    write(&mut upstream, "HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1:1/\r\ncontent-length: 0\r\n\r\n").await;
    assert!(soon(head(&mut client)).await.0.starts_with("HTTP/1.1 302 Found\r\n"));
}

#[tokio::test]
async fn what_could_be_read_in_two_ways_never_reaches_the_provider() {
    let provider = Played::start().await;
    let house = House::build(provider.address(), Plan::default());
    let smuggled = format!("{CHAT}GET /admin HTTP/1.1\r\n\r\n");
    for more in [
        format!("content-length: {}\r\ntransfer-encoding: chunked\r\n", CHAT.len()),
        format!("content-length: {}\r\ncontent-length: {}\r\n", CHAT.len(), CHAT.len() + 1),
        "transfer-encoding: xchunked\r\n".to_owned(),
        format!("content-length: {}, 0\r\n", CHAT.len()),
        format!("content-length: +{}\r\n", CHAT.len()),
    ] {
        let mut client = house.connect().await;
        write(&mut client, house.head("POST", "/chat", &more) + &smuggled).await;
        let answer = soon(rest(&mut client)).await;
        assert!(answer.starts_with("HTTP/1.1 400 "), "{more:?}: {answer:?}");
        assert_eq!(answer.matches("HTTP/1.1").count(), 1, "one answer, then the end: {answer:?}");
    }
    assert!(soon_nothing(&provider).await, "nothing was sent on");
}

/// Whether nobody is waiting to be accepted.
async fn soon_nothing(provider: &Played) -> bool {
    use futures_util::FutureExt;
    tokio::task::yield_now().await;
    provider.accept().now_or_never().is_none()
}

#[tokio::test]
async fn silence_has_its_limits() {
    let provider = Played::start().await;
    let impatient = |settings: &mut keyward_gateway::Settings| {
        settings.limits.first_byte = std::time::Duration::from_millis(1);
        settings.limits.request_body = std::time::Duration::from_millis(1);
    };
    let house = House::build(provider.address(), Plan { settings: Box::new(impatient), ..Plan::default() });
    let mut client = house.connect().await;
    write(&mut client, house.post("/chat", CHAT)).await;
    let mut upstream = provider.accept().await;
    message(&mut upstream).await;
    let (answer, _) = soon(message(&mut client)).await;
    assert!(answer.starts_with("HTTP/1.1 504 ") && answer.contains("keyward-error: upstream_timeout\r\n"), "{answer}");
    assert_eq!(soon(rest(&mut upstream)).await, "", "the provider is not left waiting");
    assert_eq!(soon(house.usage()).await.outcome, Outcome::UpstreamLost);
    // A body that never comes does not hold its place for ever either.
    let mut client = house.connect().await;
    write(&mut client, house.head("POST", "/chat", "content-length: 100\r\n")).await;
    assert!(soon(message(&mut client)).await.0.contains("keyward-error: malformed_request\r\n"));
}

/// There is no limit on a call as a whole: one on which something happens may take 30 minutes or a day. Limits of one
/// tick here, and a call that lasts several of them.
#[tokio::test]
async fn a_call_that_goes_on_outlives_every_limit() {
    const LIMIT: std::time::Duration = std::time::Duration::from_secs(2);
    let provider = Played::start().await;
    let impatient = |settings: &mut keyward_gateway::Settings| {
        let limits = &mut settings.limits;
        for limit in [
            &mut limits.client_idle,
            &mut limits.request_body,
            &mut limits.client_stall,
            &mut limits.connect,
            &mut limits.first_byte,
            &mut limits.answer_idle,
            &mut limits.keep_alive,
        ] {
            *limit = LIMIT;
        }
    };
    let house = House::build(provider.address(), Plan { settings: Box::new(impatient), ..Plan::default() });
    let mut client = house.connect().await;
    // The request's body takes longer than any limit, and then the answer's.
    write(&mut client, house.head("POST", "/raw", "transfer-encoding: chunked\r\n") + "1\r\nx\r\n").await;
    let mut upstream = provider.accept().await;
    soon(until(&mut upstream, "\r\nx\r\n")).await;
    let begun = std::time::Instant::now();
    while begun.elapsed() < 2 * LIMIT {
        write(&mut client, "1\r\ny\r\n").await;
        soon(until(&mut upstream, "y")).await;
    }
    write(&mut client, "0\r\n\r\n").await;
    soon(until(&mut upstream, "0\r\n\r\n")).await;
    write(&mut upstream, "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\na\r\n").await;
    soon(until(&mut client, "\r\na\r\n")).await;
    while begun.elapsed() < 4 * LIMIT {
        write(&mut upstream, "1\r\nb\r\n").await;
        soon(until(&mut client, "b")).await;
    }
    write(&mut upstream, "1\r\nz\r\n0\r\n\r\n").await;
    soon(until(&mut client, "z\r\n0\r\n\r\n")).await;
    let usage = soon(house.usage()).await;
    assert_eq!((usage.outcome, usage.status), (Outcome::Completed, 200));
    assert!(usage.total_us >= 8_000_000, "it lasted {} µs", usage.total_us);
}
