use super::*;
use crate::tables::tests::plan;
use keyward_domain::{
    Money,
    price::{Price, PriceBook, Rates},
    usage::{Buckets, CostBasis},
};
use proptest::prelude::*;
use std::sync::Arc;

mod bills;
mod examples;

fn headers(kind: &str) -> HeaderMap {
    [(header::CONTENT_TYPE, kind.parse().expect("a header"))].into_iter().collect()
}

fn facts(strip: bool) -> Facts {
    Facts {
        model: Some("m".into()),
        stream: true,
        strip_usage: strip,
        input_bytes: 200,
        output_cap: None,
        ..Facts::default()
    }
}

fn chunk(text: &str) -> String {
    format!(
        "data: {{\"id\":\"c1\",\"model\":\"gpt-5.4-1\",\"choices\":[{{\"index\":0,\"delta\":{{\"content\":\"{text}\"}},\"finish_reason\":null}}],\"usage\":null}}\n\n"
    )
}

const FINISH: &str = "data: {\"id\":\"c1\",\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}],\"usage\":null}\n\n";
const USAGE: &str = "data: {\"id\":\"c1\",\"model\":\"gpt-5.4-1\",\"service_tier\":\"flex\",\"choices\":[],\"usage\":{\"prompt_tokens\":19,\"completion_tokens\":10,\"prompt_tokens_details\":{\"cached_tokens\":4},\"completion_tokens_details\":{\"reasoning_tokens\":3}}}\n\n";
const DONE: &str = "data: [DONE]\n\n";
/// Azure's first chunk: no choices either, and no use.
const FILTER: &str =
    "data: {\"id\":\"\",\"model\":\"\",\"choices\":[],\"prompt_filter_results\":[{\"x\":\"error\"}]}\n\n";

fn stream() -> String {
    [": OPENROUTER PROCESSING\n\n", FILTER, &chunk("one usage"), &chunk("two"), FINISH, USAGE, DONE].concat()
}

/// What comes out of a stream, and what it was read as.
fn run(meter: &mut Meter, pieces: &[&[u8]], ended: bool) -> (String, Reading) {
    let mut out = Vec::new();
    for piece in pieces {
        out.extend(meter.feed(Bytes::copy_from_slice(piece)).unwrap_or_default());
    }
    out.extend(meter.flush().unwrap_or_default());
    (String::from_utf8(out).expect("text"), meter.finish(ended))
}

fn chat(strip: bool) -> Meter {
    Meter::new(&plan("POST", "/chat/completions"), 200, &headers("text/event-stream"), &facts(strip))
}

#[test]
fn a_stream_passes_unchanged_and_is_counted() {
    let text = stream();
    let mut meter = chat(false);
    assert!(!meter.may_edit());
    let piece = Bytes::copy_from_slice(text.as_bytes());
    assert_eq!(meter.feed(piece.clone()).map(|out| out.as_ptr()), Some(piece.as_ptr()), "not even copied");
    let reading = meter.finish(true);
    let buckets = Buckets { input: 15, cache_read: 4, output: 7, reasoning: 3, ..Buckets::default() };
    assert_eq!(reading.usage.buckets, buckets);
    assert_eq!(reading.usage.tier.as_deref(), Some("flex"));
    assert_eq!(reading.usage.model.as_deref(), Some("gpt-5.4-1"));
    assert_eq!(&*reading.upstream_id, "c1");
    assert!(reading.complete && !reading.refused && reading.error.is_none());
}

#[test]
fn the_usage_chunk_is_taken_out_when_nobody_asked_for_it_wherever_the_pieces_end() {
    let text = stream();
    let expected = text.replace(USAGE, "");
    let (_, whole) = run(&mut chat(false), &[text.as_bytes()], true);
    for at in 0..=text.len() {
        let (first, second) = text.as_bytes().split_at(at);
        let mut meter = chat(true);
        assert!(meter.may_edit());
        let (out, reading) = run(&mut meter, &[first, second], true);
        assert_eq!(out, expected, "split at {at}");
        assert_eq!(reading, whole, "split at {at}");
    }
    let pieces: Vec<&[u8]> = text.as_bytes().chunks(1).collect();
    assert_eq!(run(&mut chat(true), &pieces, true).0, expected);
}

#[test]
fn whole_events_are_never_held_back() {
    let mut meter = chat(true);
    for event in [": keep-alive\n\n", ": half a comment", FILTER, &chunk("x"), FINISH] {
        assert_eq!(meter.feed(Bytes::copy_from_slice(event.as_bytes())).as_deref(), Some(event.as_bytes()), "{event}");
    }
    assert_eq!(meter.feed(Bytes::from_static(USAGE.as_bytes())), None);
    assert_eq!(meter.feed(Bytes::from_static(DONE.as_bytes())).as_deref(), Some(DONE.as_bytes()));
}

#[test]
fn an_event_too_large_to_be_the_usage_chunk_is_let_go() {
    let mut meter = chat(true);
    let start = format!("data: {{\"x\":\"{}", "y".repeat(MOST_HELD));
    assert_eq!(meter.feed(Bytes::copy_from_slice(start.as_bytes())).as_deref(), Some(start.as_bytes()));
    assert_eq!(meter.feed(Bytes::from_static(b"y\"}\n\n")).as_deref(), Some(&b"y\"}\n\n"[..]));
}

#[test]
fn a_stream_that_is_cut_is_an_upper_bound() {
    let text = [chunk("one"), chunk("two")].concat();
    let (_, reading) = run(&mut chat(false), &[text.as_bytes()], false);
    assert!(!reading.complete && !reading.refused);
    assert_eq!(reading.usage.buckets.input, 100, "a token per two bytes of the request");
    assert_eq!(reading.usage.buckets.output, text.len() as u64 / 4);
    let mut capped = Meter::new(
        &plan("POST", "/chat/completions"),
        200,
        &headers("text/event-stream"),
        &Facts { output_cap: Some(5), ..facts(false) },
    );
    assert_eq!(run(&mut capped, &[text.as_bytes()], false).1.usage.buckets.output, 5);
    let (_, ended) = run(&mut chat(false), &[text.as_bytes()], true);
    assert!(!ended.complete, "a stream that ends without a report was not counted by the provider");
}

#[test]
fn a_client_that_hangs_up_behind_the_report_changes_nothing() {
    let text = [&chunk("one"), FINISH, USAGE].concat();
    let (_, reading) = run(&mut chat(false), &[text.as_bytes()], false);
    assert!(reading.complete);
    assert_eq!(reading.usage.buckets.all_output(), 10);
}

#[test]
fn a_report_within_an_unfinished_answer_is_not_the_last_word() {
    let early = "data: {\"choices\":[{\"delta\":{\"content\":\"x\"},\"finish_reason\":null}],\"usage\":{\"prompt_tokens\":19,\"completion_tokens\":1}}\n\n";
    let (_, reading) = run(&mut chat(false), &[early.as_bytes()], false);
    assert!(!reading.complete);
    assert_eq!((reading.usage.buckets.input, reading.usage.buckets.output), (19, early.len() as u64 / 4));
}

#[test]
fn unary_answers_are_read_and_no_error_is_seen_where_none_is() {
    let body = r#"{"id":"chatcmpl-1","model":"gpt-5.4","choices":[{"message":{"content":"usage error"},"finish_reason":"stop"}],"error":null,"usage":{"prompt_tokens":5,"completion_tokens":2}}"#;
    let mut meter = Meter::new(&plan("POST", "/chat/completions"), 200, &headers("application/json"), &facts(true));
    assert!(!meter.may_edit(), "nothing is taken out of an answer that is no stream");
    let (out, reading) = run(&mut meter, &[body.as_bytes()], true);
    assert_eq!(out, body);
    assert_eq!((reading.usage.buckets.input, reading.usage.buckets.output), (5, 2));
    assert!(reading.complete && reading.error.is_none());
}

#[test]
fn an_answer_without_a_report_is_estimated_and_a_refused_one_used_nothing() {
    let chat = plan("POST", "/chat/completions");
    let mut silent = Meter::new(&chat, 200, &headers("application/json"), &facts(false));
    let (_, reading) = run(&mut silent, &[b"{\"id\":\"x\"}"], true);
    assert!(!reading.complete && reading.usage.buckets.input == 100);
    let mut refused = Meter::new(&chat, 429, &headers("application/json"), &facts(false));
    let (_, reading) =
        run(&mut refused, &[br#"{"error":{"type":"tokens","code":"rate_limit_exceeded","message":"slow"}}"#], true);
    assert!(reading.complete && reading.refused);
    assert_eq!(reading.usage.buckets, Buckets::default());
    assert_eq!(reading.error.and_then(|parts| parts.code).as_deref(), Some("rate_limit_exceeded"));
}

#[test]
fn a_packed_answer_is_read_and_passes_packed() {
    let chat = plan("POST", "/chat/completions");
    for (kind, text) in [
        ("application/json", r#"{"usage":{"prompt_tokens":5,"completion_tokens":2}}"#),
        ("text/event-stream", &*stream()),
    ] {
        let packed = unpack::tests::gzip(text.as_bytes());
        let mut map = headers(kind);
        let mut plain = Meter::new(&chat, 200, &map, &facts(false));
        plain.feed(Bytes::copy_from_slice(text.as_bytes()));
        let expected = plain.finish(true);
        map.insert(header::CONTENT_ENCODING, "gzip".parse().expect("a header"));
        for size in [1, 10, packed.len()] {
            let mut meter = Meter::new(&chat, 200, &map, &facts(true));
            assert!(!meter.may_edit(), "nothing is taken out of what is packed");
            let mut out = Vec::new();
            for piece in packed.chunks(size) {
                out.extend(meter.feed(Bytes::copy_from_slice(piece)).unwrap_or_default());
            }
            assert_eq!(out, packed);
            assert_eq!(meter.finish(true), expected, "{kind} in pieces of {size}");
        }
        map.insert(header::CONTENT_ENCODING, "br".parse().expect("a header"));
        let mut unknown = Meter::new(&chat, 200, &map, &facts(false));
        unknown.feed(Bytes::copy_from_slice(&packed));
        assert!(!unknown.finish(true).complete, "what cannot be read is estimated");
    }
}

#[test]
fn an_error_after_status_200_costs_nothing_when_nothing_was_generated() {
    let plan = plan("POST", "/responses");
    let begin = "event: response.created\ndata: {\"type\":\"response.created\",\"response\":{\"id\":\"resp_1\",\"usage\":null}}\n\n";
    let nested = "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"insufficient_quota\",\"code\":\"insufficient_quota\",\"message\":\"quota\"}}\n\n";
    let failed = "event: response.failed\ndata: {\"type\":\"response.failed\",\"response\":{\"id\":\"resp_1\",\"error\":{\"code\":\"other\",\"message\":\"m\"}}}\n\n";
    let delta =
        "event: response.output_text.delta\ndata: {\"type\":\"response.output_text.delta\",\"delta\":\"x\"}\n\n";
    let mut meter = Meter::new(&plan, 200, &headers("text/event-stream"), &facts(false));
    let (_, reading) = run(&mut meter, &[[begin, nested, failed].concat().as_bytes()], true);
    assert!(reading.refused && reading.complete);
    assert_eq!(
        reading.error.and_then(|parts| parts.code).as_deref(),
        Some("insufficient_quota"),
        "the first error counts"
    );
    let mut meter = Meter::new(&plan, 200, &headers("text/event-stream"), &facts(false));
    let (_, reading) = run(&mut meter, &[[begin, delta, nested].concat().as_bytes()], true);
    assert!(!reading.refused && !reading.complete && reading.error.is_some());
    let plain = "event: error\ndata: not json\n\n";
    let mut meter = Meter::new(&plan, 200, &headers("text/event-stream"), &facts(false));
    assert!(run(&mut meter, &[plain.as_bytes()], true).1.error.is_some());
}

#[test]
fn objects_show_as_soon_as_they_are_named_and_once() {
    let plan = plan("POST", "/responses");
    let mut meter = Meter::new(&plan, 200, &headers("text/event-stream"), &facts(false));
    assert!(meter.take_made().is_empty());
    meter.feed(Bytes::from_static(b"data: {\"type\":\"response.created\",\"response\":{\"id\":\"resp_1\"}}\n\n"));
    assert_eq!(meter.take_made(), [Made { kind: "response".into(), id: "resp_1".into() }]);
    meter.feed(Bytes::from_static(b"data: {\"type\":\"response.completed\",\"response\":{\"id\":\"resp_1\",\"usage\":{\"input_tokens\":1,\"output_tokens\":2}}}\n\n"));
    assert!(meter.take_made().is_empty());
    assert_eq!(meter.finish(true).usage.buckets.all_input(), 1);
    let files = plan_files();
    let mut meter = Meter::new(&files, 200, &headers("application/json"), &facts(false));
    meter.feed(Bytes::from_static(br#"{"object":"file","id":"files/abc"}"#));
    assert_eq!(meter.take_made(), [Made { kind: "file".into(), id: "abc".into() }]);
}

fn plan_files() -> Arc<OperationPlan> {
    plan("POST", "/files")
}

fn message(text: &str) -> Vec<u8> {
    let mut out = vec![0x81, 126];
    out.extend(u16::try_from(text.len()).expect("short").to_be_bytes());
    out.extend(text.as_bytes());
    out
}

#[test]
fn a_sessions_reports_add_up_and_an_open_response_is_estimated() {
    let plan = plan("GET", "/realtime");
    let created = message(r#"{"type":"response.created","response":{"id":"r","usage":null}}"#);
    let done = message(r#"{"type":"response.done","response":{"usage":{"input_tokens":7,"output_tokens":3}}}"#);
    let other = message(r#"{"type":"other","response":{"usage":{"input_tokens":100,"output_tokens":100}}}"#);
    let delta = message(r#"{"type":"response.output_text.delta","delta":"xxxxxxxxxxxxxxxxxxxxxxxx"}"#);
    let (_, reading) = {
        let mut meter = Meter::websocket(&plan);
        for piece in [&created, &delta, &done, &other, &created, &done] {
            meter.feed(Bytes::copy_from_slice(piece));
        }
        ((), meter.finish(false))
    };
    assert!(reading.complete);
    assert_eq!((reading.usage.buckets.input, reading.usage.buckets.output), (14, 6));

    let mut meter = Meter::websocket(&plan);
    for piece in [&created, &done, &created, &delta] {
        meter.feed(Bytes::copy_from_slice(piece));
    }
    assert!(meter.close_frame(&Refusal::new(keyward_domain::refusal::Reason::RevokedKey, "x")).is_some());
    let reading = meter.finish(true);
    assert!(!reading.complete, "the second response never reported");
    assert_eq!(reading.usage.buckets.output, 3 + (created.len() + delta.len()) as u64 / 4);

    let mut silent = Meter::websocket(&plan);
    silent.feed(Bytes::from(message(r#"{"type":"session.created"}"#)));
    let reading = silent.finish(false);
    assert!(reading.complete && reading.usage.buckets == Buckets::default());
    let mut half = Meter::websocket(&plan);
    half.feed(Bytes::copy_from_slice(&done[..5]));
    assert!(half.close_frame(&Refusal::new(keyward_domain::refusal::Reason::RevokedKey, "x")).is_none());
}

#[test]
fn prices_follow_the_reading() {
    let plan = plan("POST", "/chat/completions");
    let price = Price {
        provider: "openai".into(),
        model: "m".into(),
        rates: Rates { input: Some(1_000_000_000), output: Some(2_000_000_000), ..Rates::default() },
        ..Price::default()
    };
    let book = PriceBook::new("v", vec![price]);
    let usage = Usage { buckets: Buckets { input: 10, output: 5, ..Buckets::default() }, ..Usage::default() };
    let reading = |complete, refused| Reading { usage: usage.clone(), complete, refused, ..Reading::default() };
    let bill = |reading: &Reading, plan: &OperationPlan, asked: &str| {
        let bill = reading.bill(&book, plan, asked, 0);
        (bill.cost, bill.basis)
    };
    let cost = Money::from_nano(20_000);
    assert_eq!(bill(&reading(true, false), &plan, "m"), (cost, CostBasis::Priced));
    assert_eq!(bill(&reading(false, false), &plan, "m"), (cost, CostBasis::Estimated));
    assert_eq!(bill(&reading(true, true), &plan, "m"), (Money::ZERO, CostBasis::Free));
    assert_eq!(bill(&reading(true, false), &plan, "other"), (Money::ZERO, CostBasis::Unpriced));
    assert_eq!(bill(&reading(true, false), &plan_files(), "m"), (Money::ZERO, CostBasis::Free));
    let stated =
        Reading { usage: Usage { provider_cost: Some(Money::from_nano(7)), ..usage.clone() }, ..reading(true, false) };
    assert_eq!(bill(&stated, &plan, "m"), (Money::from_nano(7), CostBasis::Provider));
    assert_eq!(bill(&Reading::unsent(), &plan, "m"), (Money::ZERO, CostBasis::Free));
    let tier = Reading { usage: Usage { tier: Some("scale".into()), ..usage.clone() }, ..reading(true, false) };
    assert_eq!(bill(&tier, &plan, "m"), (cost, CostBasis::Incomplete), "nobody said what this tier costs");
}

#[test]
fn error_parts_are_found_or_the_words_themselves_kept() {
    let plan = plan("POST", "/chat/completions");
    let parts = error_parts(&plan, &HeaderMap::new(), br#"{"error":{"type":"t","code":429,"message":"m\"x"}}"#);
    assert_eq!(
        (parts.kind.as_deref(), parts.code.as_deref(), parts.message.as_deref()),
        (Some("t"), Some("429"), Some("m\"x"))
    );
    let html = error_parts(&plan, &HeaderMap::new(), b"<html>413 Request Entity Too Large</html>");
    assert_eq!(html.message.as_deref(), Some("<html>413 Request Entity Too Large</html>"));
    let amazon =
        [("x-error-kind".parse().unwrap(), "ThrottlingException:http://x".parse().unwrap())].into_iter().collect();
    let parts = error_parts(&plan, &amazon, br#"{"message":"slow"}"#);
    assert_eq!((parts.kind.as_deref(), parts.message.as_deref()), (Some("ThrottlingException"), Some("slow")));
    let both = error_parts(&plan, &amazon, br#"{"error":{"type":"body"}}"#);
    assert_eq!(both.kind.as_deref(), Some("body"), "the body's word counts more");
    assert_eq!(error_parts(&plan, &amazon, b"").kind.as_deref(), Some("ThrottlingException"));
}

proptest! {
    #[test]
    fn what_is_not_stripped_passes_byte_by_byte(
        events in proptest::collection::vec("[a-z {}\":\\[\\],]{0,30}", 0..8),
        cuts in proptest::collection::vec(any::<prop::sample::Index>(), 0..6),
    ) {
        let text: String = events.iter().map(|event| format!("data: {event}\n\n")).collect();
        let mut places: Vec<usize> = cuts.iter().map(|cut| cut.index(text.len() + 1)).collect();
        places.sort_unstable();
        let mut pieces = Vec::new();
        let mut from = 0;
        for place in places {
            pieces.push(&text.as_bytes()[from..place]);
            from = place;
        }
        pieces.push(&text.as_bytes()[from..]);
        let (out, _) = run(&mut chat(true), &pieces, true);
        prop_assert_eq!(&out, &text);
    }

    #[test]
    fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200), kind in 0_usize..5) {
        let kinds = ["text/event-stream", "application/json", "application/x-ndjson", "application/vnd.amazon.eventstream", "text/html"];
        let mut meter = Meter::new(&plan("POST", "/chat/completions"), 200, &headers(kinds[kind]), &facts(kind == 0));
        let _ = meter.feed(Bytes::from(bytes));
        let _ = meter.flush();
        let _ = meter.finish(true);
    }
}

#[test]
fn a_watched_stream_tells_what_it_has_surely_used() {
    let mut meter = chat(true);
    meter.watch();
    let mut feed = |text: &str| {
        meter.feed(Bytes::copy_from_slice(text.as_bytes()));
        meter.sure().map(|usage| usage.buckets.output)
    };
    let pieces: Vec<_> = (0..96).filter_map(|_| feed(&chunk("a \\\"delta\\\": b"))).collect();
    assert_eq!(pieces, [0, 32, 64], "a look now and then, and less than there were pieces");
    assert_eq!(feed(USAGE), None, "the final report is settled anyway");
    let mut unwatched = chat(true);
    unwatched.feed(Bytes::from(chunk("x").repeat(100)));
    assert_eq!(unwatched.sure(), None);
}

#[test]
fn a_report_within_a_stream_is_looked_at_when_it_comes() {
    let mut meter = Meter::new(&plan("POST", "/responses"), 200, &headers("text/event-stream"), &facts(false));
    meter.watch();
    let report = "data: {\"response\":{\"usage\":{\"input_tokens\":5,\"output_tokens\":7}},\"choices\":[{}]}\n\n";
    meter.feed(Bytes::from_static(report.as_bytes()));
    let usage = meter.sure();
    assert!(usage.is_none_or(|usage| usage.buckets.output == 7));
    assert_eq!(meter.sure(), None, "nothing new");
}

#[test]
fn a_meter_is_small() {
    // What is larger than this the system's allocator gives out in a slower way, once for each call.
    assert!(size_of::<Meter>() <= 1_032, "{}", size_of::<Meter>());
}
