//! Bills that are more than tokens times rates: speech, what another model did, work that goes on, tools without a fee.

use super::*;
use crate::tables::tests::operation;
use keyward_domain::{
    price::{Fees, TierRates},
    provider::{Operation, Provider, UsageShape},
    usage::Units,
};
use serde_json::{Value, json};
use std::sync::Arc;

/// An operation whose answers are read by a shape.
fn reads(shape: Value, operation: Operation) -> OperationPlan {
    let shape: UsageShape = serde_json::from_value(shape).expect("a shape");
    let mut provider = Provider::clone(&crate::tables::tests::provider());
    provider.usage.insert("x".into(), shape);
    OperationPlan::new(&Arc::new(provider), &Operation { usage: Some("x".into()), ..operation })
}

fn book() -> PriceBook {
    let tokens = |model: &str, input, output| Price {
        provider: "openai".into(),
        model: model.into(),
        rates: Rates { input: Some(input), output: Some(output), ..Rates::default() },
        ..Price::default()
    };
    let fees = |model: &str, fees| Price { provider: "openai".into(), model: model.into(), fees, ..Price::default() };
    PriceBook::new(
        "v",
        vec![
            tokens("chat", 1_000_000_000, 2_000_000_000),
            tokens("pictures", 5_000_000_000, 40_000_000_000),
            tokens("voice", 600_000_000, 12_000_000_000),
            fees("speaker", Fees { million_characters: Some(15_000_000_000), ..Fees::default() }),
            fees("writer", Fees { second: Some(100_000), ..Fees::default() }),
        ],
    )
}

fn told(plan: &OperationPlan, kind: &str, status: u16, facts: &Facts, body: &[u8], ended: bool) -> Reading {
    let mut meter = Meter::new(plan, status, &headers(kind), facts);
    meter.feed(Bytes::copy_from_slice(body));
    meter.finish(ended)
}

fn speech() -> OperationPlan {
    let shape = json!({"roots": ["usage"], "counters": {"input": ["input_tokens"], "audio_output": ["output_tokens"]}});
    reads(shape, Operation { characters: Some("input".into()), ..operation("POST", "/speech") })
}

#[test]
fn speech_costs_its_characters_and_needs_no_report() {
    let (plan, sound) = (speech(), vec![0_u8; 4_000]);
    let facts = Facts { input_bytes: 100, characters: Some(30), ..Facts::default() };
    let reading = told(&plan, "audio/mpeg", 200, &facts, &sound, true);
    let bill = reading.bill(&book(), &plan, "speaker", 0);
    assert_eq!((bill.cost, bill.basis), (Money::from_nano(450_000), CostBasis::Priced));
    assert_eq!(bill.usage.units, Units { characters: 30, ..Units::default() });
    assert_eq!(bill.usage.buckets, Buckets::default(), "the tokens only stood in");
    // Cut off or not, the whole text is billed.
    let cut = told(&plan, "audio/mpeg", 200, &facts, &sound[..10], false).bill(&book(), &plan, "speaker", 0);
    assert_eq!((cut.cost, cut.basis), (Money::from_nano(450_000), CostBasis::Priced));
    // Where nothing was heard, it is not certain that anything was spoken.
    let silent = Meter::new(&plan, 0, &HeaderMap::new(), &facts).finish(false).bill(&book(), &plan, "speaker", 0);
    assert_eq!((silent.cost, silent.basis), (Money::from_nano(450_000), CostBasis::Estimated));
    let refused = told(&plan, "application/json", 400, &facts, b"{}", true).bill(&book(), &plan, "speaker", 0);
    assert_eq!((refused.cost, refused.basis), (Money::ZERO, CostBasis::Free));
    assert_eq!(refused.usage.units, Units::default());
}

#[test]
fn speech_billed_by_tokens_is_bounded_by_its_text_and_believed_when_it_reports() {
    let plan = speech();
    let facts = Facts { input_bytes: 100, characters: Some(30), ..Facts::default() };
    let bill = told(&plan, "audio/mpeg", 200, &facts, &[0; 4_000], true).bill(&book(), &plan, "voice", 0);
    // 50 tokens in, four for each character out: 50×0.6 + 120×12
    assert_eq!((bill.cost, bill.basis), (Money::from_nano(1_470_000), CostBasis::Estimated));
    let report = b"data: {\"type\":\"speech.audio.done\",\"usage\":{\"input_tokens\":14,\"output_tokens\":101}}\n\n";
    let bill = told(&plan, "text/event-stream", 200, &facts, report, true).bill(&book(), &plan, "voice", 0);
    assert_eq!((bill.cost, bill.basis), (Money::from_nano(14 * 600 + 101 * 12_000), CostBasis::Priced));
    assert_eq!(bill.usage.units.characters, 0);
}

#[test]
fn a_spoken_stream_costs_at_most_what_the_client_sent() {
    let shape = json!({"roots": [], "counters": {}});
    let operation = Operation { websocket: true, characters: Some("text".into()), ..operation("GET", "/speak") };
    let plan = reads(shape, operation);
    let mut meter = Meter::websocket(&plan);
    meter.add_input(50);
    let bill = meter.finish(true).bill(&book(), &plan, "speaker", 0);
    assert_eq!((bill.cost, bill.basis), (Money::from_nano(750_000), CostBasis::Estimated));
    assert_eq!(bill.usage.units.characters, 50);
    let idle = Meter::websocket(&plan).finish(true).bill(&book(), &plan, "speaker", 0);
    assert_eq!((idle.cost, idle.basis), (Money::ZERO, CostBasis::Priced), "nothing was said");
}

fn responses() -> OperationPlan {
    let picture = json!({
        "roots": ["tool_usage.image_gen", "response.tool_usage.image_gen"],
        "events": ["response.completed"],
        "counters": {"input": ["input_tokens"], "output": ["output_tokens"]},
        "model": ["tools[type=image_generation].model", "response.tools[type=image_generation].model"],
    });
    let shape = json!({
        "roots": ["", "response"],
        "events": ["response.completed"],
        "pending": ["queued"],
        "apart": ["searches", "code_runs", "images"],
        "counters": {
            "input": ["usage.input_tokens"], "output": ["usage.output_tokens"],
            "searches": ["output[action.type=search]", "output[type=web_search_call]"],
            "preview_search": ["tools[type=web_search_preview]"],
            "code_runs": ["output[type=code_interpreter_call]"],
            "images": ["output[type=image_generation_call]"],
        },
        "aside": picture,
    });
    reads(shape, operation("POST", "/responses"))
}

fn of_response(body: &Value) -> (Money, CostBasis, Usage) {
    let plan = responses();
    let mut all = Vec::new();
    let event = json!({"type": "response.completed", "response": body});
    for (kind, text) in [("application/json", body.to_string()), ("text/event-stream", format!("data: {event}\n\n"))] {
        let reading = told(&plan, kind, 200, &Facts::default(), text.as_bytes(), true);
        let bill = reading.bill(&book(), &plan, "chat", 0);
        all.push((bill.cost, bill.basis, bill.usage));
    }
    assert_eq!(all.first(), all.last(), "unary and streamed");
    all.pop().expect("two")
}

#[test]
fn pictures_are_paid_at_their_own_models_price() {
    let mut body = json!({
        "output": [{"type": "image_generation_call", "id": "ig_1", "action": "generate"}],
        "tools": [{"type": "image_generation", "model": "pictures"}],
        "tool_usage": {"image_gen": {"input_tokens": 20, "output_tokens": 272}},
        "usage": {"input_tokens": 50, "output_tokens": 9},
    });
    let (cost, basis, usage) = of_response(&body);
    // 50×1 + 9×2, and 20×5 + 272×40
    assert_eq!((cost, basis), (Money::from_nano(68_000 + 10_980_000), CostBasis::Priced));
    assert_eq!((usage.buckets.input, usage.buckets.output, usage.units.images), (70, 281, 1));
    body["tools"][0]["model"] = json!("unknown");
    assert_eq!(of_response(&body).1, CostBasis::Incomplete, "a model without a price");
    body["tool_usage"]["image_gen"] = json!({"input_tokens": 0, "output_tokens": 0});
    let (cost, basis, _) = of_response(&body);
    assert_eq!((cost, basis), (Money::from_nano(68_000), CostBasis::Incomplete), "a picture that nobody counted");
    body["output"] = json!([]);
    assert_eq!(of_response(&body).1, CostBasis::Priced, "noughts are nothing");
}

#[test]
fn tools_without_a_fee_make_a_cost_incomplete() {
    let usage = json!({"input_tokens": 50, "output_tokens": 9});
    let body = json!({"output": [{"type": "code_interpreter_call", "id": "ci_1"}], "usage": usage});
    let (cost, basis, used) = of_response(&body);
    assert_eq!((cost, basis, used.units.code_runs), (Money::from_nano(68_000), CostBasis::Incomplete, 1));
    let body = json!({"output": [{"type": "web_search_call", "action": {"type": "search"}}], "usage": usage,
                      "tools": [{"type": "web_search_preview"}]});
    let (_, basis, used) = of_response(&body);
    assert_eq!((basis, used.units.searches, used.units.preview_searches), (CostBasis::Incomplete, 0, 1));
    let (cost, basis, _) = of_response(&json!({"output": [{"type": "message"}], "usage": usage}));
    assert_eq!((cost, basis), (Money::from_nano(68_000), CostBasis::Priced));
}

#[test]
fn work_that_goes_on_is_not_guessed_at() {
    let plan = responses();
    let facts = Facts { input_bytes: 100, ..Facts::default() };
    let begun = br#"{"id":"r","status":"queued","output":[],"tools":[{"type":"web_search_preview"}],"usage":null}"#;
    let reading = told(&plan, "application/json", 200, &facts, begun, true);
    assert!(reading.pending && !reading.complete);
    let bill = reading.bill(&book(), &plan, "chat", 0);
    assert_eq!((bill.cost, bill.basis), (Money::ZERO, CostBasis::Incomplete));
    assert_eq!((bill.usage.buckets, bill.usage.units), (Buckets::default(), Units::default()));
    // The echo of a tool at a stream's beginning is no report: cut there, the call is an estimate.
    let created = b"data: {\"type\":\"response.created\",\"response\":{\"status\":\"in_progress\",\"output\":[],\"tools\":[{\"type\":\"web_search_preview\"}]}}\n\ndata: {\"type\":\"response.output_text.delta\",\"delta\":\"x\"}\n\n";
    let reading = told(&plan, "text/event-stream", 200, &facts, created, false);
    assert!(!reading.complete && !reading.pending && reading.usage.buckets.input == 50);
}

#[test]
fn an_estimate_of_tokens_says_nothing_where_tokens_are_not_billed() {
    let plan = reads(json!({"roots": [""], "counters": {"seconds": ["duration"]}}), operation("POST", "/write"));
    let reading = told(&plan, "application/json", 200, &Facts::default(), br#"{"text":"hi"}"#, true);
    assert_eq!(reading.bill(&book(), &plan, "writer", 0).basis, CostBasis::Incomplete);
    assert_eq!(reading.bill(&book(), &plan, "chat", 0).basis, CostBasis::Estimated);
}

#[test]
fn a_session_pays_for_what_another_model_wrote_down() {
    let shape = json!({
        "roots": ["response.usage"], "merge": "sum", "events": ["response.done"],
        "counters": {"input": ["input_tokens"], "output": ["output_tokens"]},
        "aside": {
            "roots": ["usage"], "events": ["transcribed"], "model": ["session.transcription.model"],
            "counters": {"input": ["input_tokens"], "output": ["output_tokens"], "seconds": ["seconds"]},
        },
    });
    let plan = reads(shape, Operation { websocket: true, ..operation("GET", "/realtime") });
    let session = |model: &str| {
        let mut meter = Meter::websocket(&plan);
        for text in [
            format!(r#"{{"type":"session.updated","session":{{"transcription":{{"model":"{model}"}}}}}}"#),
            r#"{"type":"transcribed","usage":{"type":"tokens","input_tokens":7,"output_tokens":3}}"#.to_owned(),
            r#"{"type":"response.done","response":{"usage":{"input_tokens":5,"output_tokens":2}}}"#.to_owned(),
            r#"{"type":"transcribed","usage":{"type":"duration","seconds":1.5}}"#.to_owned(),
            r#"{"type":"transcribed","usage":{"type":"tokens","input_tokens":1,"output_tokens":0}}"#.to_owned(),
        ] {
            meter.feed(Bytes::from(message(&text)));
        }
        meter.finish(true).bill(&book(), &plan, "chat", 0)
    };
    let bill = session("voice");
    // 5×1 + 2×2, and 8×0.6 + 3×12
    assert_eq!((bill.cost, bill.basis), (Money::from_nano(9_000 + 4_800 + 36_000), CostBasis::Priced));
    assert_eq!((bill.usage.buckets.input, bill.usage.buckets.output, bill.usage.units.millis), (13, 5, 1_500));
    let bill = session("nobody");
    assert_eq!((bill.cost, bill.basis), (Money::from_nano(9_000), CostBasis::Incomplete));
}

#[test]
fn a_tier_that_no_answer_tells_is_the_one_that_was_asked_for_unless_that_is_cheaper() {
    let shape = |tier: &[&str]| json!({"roots": ["usage"], "counters": {"input": ["i"], "output": ["o"]}, "tier": tier, "base_tiers": ["flat"]});
    let rates = |input| Rates { input: Some(input), ..Rates::default() };
    let tier = |name: &str, input| TierRates { tier: name.into(), rates: rates(input), steps: Vec::new() };
    let price = Price {
        provider: "openai".into(),
        model: "m".into(),
        rates: rates(5_000_000),
        tiers: vec![tier("fast", 9_000_000), tier("slow", 2_000_000)],
        ..Price::default()
    };
    let book = PriceBook::new("v", vec![price]);
    let body = br#"{"usage":{"i":1000},"tier":"slow"}"#;
    for (told, wish, cost, basis) in [
        (&[][..], Some("fast"), 9, CostBasis::Priced),
        (&[], Some("flat"), 5, CostBasis::Priced),
        (&[], Some("slow"), 5, CostBasis::Priced),
        (&[], Some("unheard-of"), 5, CostBasis::Incomplete),
        (&[], None, 5, CostBasis::Priced),
        (&["tier"], Some("fast"), 2, CostBasis::Priced),
        (&["other"], Some("fast"), 9, CostBasis::Priced),
    ] {
        let plan = reads(shape(told), operation("POST", "/chat"));
        let asked = crate::inspect::Asked { tier: wish.map(Into::into), ..Default::default() };
        let facts = Facts { asked, ..Facts::default() };
        let bill = self::told(&plan, "application/json", 200, &facts, body, true).bill(&book, &plan, "m", 0);
        assert_eq!((bill.cost, bill.basis), (Money::from_nano(cost * 1_000), basis), "{told:?} {wish:?}");
    }
}
