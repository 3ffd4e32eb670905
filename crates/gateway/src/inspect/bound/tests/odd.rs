//! Odd bodies of every dialect: if a call is admitted, its hold is not below what a greedy provider bills for the body
//! that goes on. Mutants show that the property can fail.

use super::{
    WORLD, bound, greedy,
    greedy::Dialect::{self, Chat, Converse, Generate, Messages, Responses},
    inbound_of,
};
use crate::inspect::{Facts, json_body};
use bytes::Bytes;
use keyward_domain::{Money, policy::Policy};
use proptest::{prelude::*, sample::select, strategy::ValueTree, test_runner::TestRunner};

const SURFACES: &[(&str, Dialect, &str)] = &[
    ("/openai/v1/chat/completions", Chat, "gpt-5.4"),
    ("/openai/v1/chat/completions", Chat, "gpt-5.6-sol"),
    ("/openai/v1/responses", Responses, "gpt-5.4"),
    ("/anthropic/v1/messages", Messages, "claude-sonnet-4-5"),
    ("/anthropic/v1/messages", Messages, "claude-opus-4-8"),
    ("/gemini/v1beta/models/gemini-2.5-pro:generateContent", Generate, "gemini-2.5-pro"),
    ("/gemini/v1beta/models/gemini-3-flash-preview:generateContent", Generate, "gemini-3-flash-preview"),
    ("/azure-openai/openai/v1/chat/completions", Chat, "gpt-5.4"),
    ("/deepseek/chat/completions", Chat, "deepseek-flash"),
    ("/groq/openai/v1/chat/completions", Chat, "openai/gpt-oss-120b"),
    ("/mistral/v1/chat/completions", Chat, "mistral-large-2512"),
    ("/xai/v1/chat/completions", Chat, "grok-4.3"),
    ("/bedrock/model/amazon.nova-pro-v1:0/converse", Converse, "amazon.nova-pro-v1:0"),
];

/// What is broken on purpose.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mutant {
    None,
    /// The number of answers is ignored.
    OneAnswer,
    /// Content that is not seen is taken for its bytes.
    Unseen,
    /// The tier is taken for the base.
    BaseTier,
    /// The body goes on as the client wrote it.
    Unwritten,
    /// Tools are not heeded.
    NoTools,
    /// The cap that was asked for is believed, whatever else it says.
    LastCap,
}

/// Whether the property holds; `None` when the call is refused.
fn holds(surface: (&str, Dialect, &str), body: &str, share: u8, mutant: Mutant) -> Option<(Money, Money)> {
    let (target, dialect, model) = surface;
    let inbound = inbound_of(target);
    let bytes = Bytes::copy_from_slice(body.as_bytes());
    let read = json_body(&inbound, bytes.clone(), &Policy::default()).ok()?;
    let mut facts: Facts = read.facts.clone();
    match mutant {
        Mutant::OneAnswer => facts.output_cap = facts.output_cap.map(|cap| cap / facts.asked.answers),
        Mutant::Unseen => (facts.asked.unseen, facts.references) = (0, Vec::new()),
        Mutant::BaseTier => facts.asked.tier = Some("default".into()),
        Mutant::NoTools => facts.asked.tools.clear(),
        Mutant::LastCap => facts.output_cap = Some(1),
        Mutant::None | Mutant::Unwritten => {}
    }
    let bound = bound(&facts, &inbound.plan, &WORLD.prices, super::NOW).ok()?;
    // A budget that pays for all of it, or for a part; with ease or not where nobody asked for so much.
    let left = i128::from(bound.whole().nano()) * i128::from(share) / 255;
    let money = |left: i128| Money::from_nano(i64::try_from(left).unwrap_or(i64::MAX));
    let easy = bound.unasked(money(left.saturating_mul(100))).filter(|_| !facts.says_cap && share.is_multiple_of(2));
    let cap = easy.or_else(|| bound.affordable(money(left)))?;
    let written = match mutant {
        Mutant::Unwritten => bytes,
        // These mutants get the price wrong, not the body.
        Mutant::OneAnswer | Mutant::LastCap => read.finish(None).body,
        _ => read.finish(bound.cap.map(|_| cap)).body,
    };
    Some((bound.hold(cap), greedy::bill(dialect, &inbound.plan, model, &written)))
}

fn pick(from: &'static [&'static str]) -> impl Strategy<Value = String> {
    select(from).prop_map(str::to_owned)
}

/// A number as nobody should write it, or as everybody does.
fn number() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => (0_u32..5_000).prop_map(|number| number.to_string()),
        4 => pick(&["null", "0", "-1", "1e3", "1E+2", "2.5", "1e9", "\"7\"", "\" 7\"", "\"1e5\"", "true", "false", "[3]", "{}",
            "99999999999999999999", "18446744073709551616", "4294967297", "1e-9", "-0", "-0.0", "0.0", "1e400", "\"\"",
            "\"NaN\"", "\"+4\"", "\"0x10\"", "\"\\u0039\"", "0.1e1"]),
    ]
}

fn field(names: &'static [&'static str]) -> impl Strategy<Value = String> {
    (pick(names), number()).prop_map(|(name, number)| format!("\"{name}\":{number}"))
}

fn cap(dialect: Dialect) -> BoxedStrategy<String> {
    match dialect {
        Chat => field(&[
            "max_tokens",
            "max_completion_tokens",
            "max_tok\\u0065ns",
            "Max_Tokens",
            "maxTokens",
            "max_tokens_",
        ])
        .boxed(),
        Responses => field(&["max_output_tokens", "max_tokens", "max\\u005foutput_tokens", "maxOutputTokens"]).boxed(),
        Messages => field(&["max_tokens", "\\u006dax_tokens", "MAX_TOKENS", "max_tokens_to_sample"]).boxed(),
        Generate => (
            pick(&["generationConfig", "generation_config", "generat\\u0069onConfig"]),
            proptest::collection::vec(field(&["maxOutputTokens", "max_output_tokens", "candidateCount", "topK"]), 0..3),
        )
            .prop_map(|(name, inner)| format!("\"{name}\":{{{}}}", inner.join(",")))
            .boxed(),
        Converse => (pick(&["inferenceConfig", "InferenceConfig"]), field(&["maxTokens", "max_tokens", "topP"]))
            .prop_map(|(name, inner)| format!("\"{name}\":{{{inner}}}"))
            .boxed(),
    }
}

fn anything() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => field(&["n", "N", "best_of", "candidateCount", "\\u006e"]),
        2 => pick(&[r#""service_tier":"flex""#, r#""service_tier":"default""#, r#""service_tier":"auto""#,
            r#""service_tier":null"#, r#""service_tier":"priority""#, r#""speed":"fast""#, r#""speed":"standard""#,
            r#""Service_Tier":"flex""#, r#""serviceTier":"priority""#, r#""serviceTier":"standard""#,
            r#""serviceTier":"flex""#, r#""service_tier":"standard""#, r#""serviceTi\u0065r":"SERVICE_TIER_PRIORITY""#]),
        4 => pick(&[
            r#""messages":[{"role":"user","content":"h\u00e9llo \ud83d\ude00"}]"#,
            r#""messages":[{"role":"user","content":[{"type":"image_url","image_url":{"url":"data:image/png;base64,AA"}}]}]"#,
            r#""messages":[{"role":"user","content":[{"type":"image","source":{"type":"base64","data":"AA"}}]}]"#,
            r#""messages":[{"content":[{"imageUrl":"http://x/"},{"cache_control":{"type":"ephemeral","ttl":"1h"}}]}]"#,
            r#""messages":[{"role":"user","content":"a","content":"bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"}]"#,
            r#""contents":{"parts":{"inline_data":{"mimeType":"image/png","data":"AA"}}}"#,
            r#""input":[{"type":"input_file","file_id":"file-1"}]"#,
            r#""input":"x","previous_response_id":"resp_1""#,
            r#""metadata":{"max_tokens":1,"n":9,"model":"x"}"#,
            r#""x":[[[[{"max_tokens":5}]]]]"#,
        ]),
        3 => pick(&[
            r#""tools":[{"type":"function","function":{"name":"f","parameters":{"type":"object"}}}]"#,
            r#""tools":[{"type":"web_search"}]"#,
            r#""tools":[{"type":"web_search","max_uses":2}],"max_tool_calls":2"#,
            r#""tools":[{"type":"web_search_20250305","name":"web_search","max_uses":3}]"#,
            r#""tools":[{"type":"web_search_20250305","max_uses":"2"},{"type":"web_search_20250305","max_uses":1}]"#,
            r#""tools":[{"type":"bash_20250124","name":"bash"},{"type":"bash_20250124","name":"bash"}]"#,
            r#""tools":[{"t\u0079pe":"web_search"}],"max_tool_calls":"3""#,
            r#""tools":[{"Type":"web_search"}]"#,
            r#""tools":[{"googleSearch":{}}]"#, r#""tools":{"google_search":{}}"#, r#""tools":[{"functionDeclarations":[]}]"#,
        ]),
    ]
}

fn body(dialect: Dialect, model: &'static str) -> impl Strategy<Value = String> {
    let caps = proptest::collection::vec(cap(dialect), 0..3);
    let others = proptest::collection::vec(anything(), 0..4);
    (caps, others, any::<u64>()).prop_map(move |(caps, others, order)| {
        let mut fields: Vec<String> =
            caps.into_iter().chain(others).chain([format!("\"model\":\"{model}\"")]).collect();
        let places = fields.len() as u64;
        fields.rotate_left(usize::try_from(order % places).unwrap_or(0));
        format!("{{{}}}", fields.join(","))
    })
}

fn case() -> impl Strategy<Value = ((&'static str, Dialect, &'static str), String, u8)> {
    select(SURFACES)
        .prop_flat_map(|surface| (Just(surface), body(surface.1, surface.2), prop_oneof![Just(255), 1_u8..=255]))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_500, ..ProptestConfig::default() })]
    #[test]
    fn no_odd_body_is_billed_more_than_is_held(case in case()) {
        let (surface, body, share) = case;
        if let Some((hold, bill)) = holds(surface, &body, share, Mutant::None) {
            prop_assert!(hold >= bill, "{} {}: {} held, {} billed", surface.0, body, hold, bill);
        }
    }
}

/// How many of so many generated cases are admitted, and how many of these are billed more than is held.
fn tally(mutant: Mutant) -> (u32, u32) {
    let mut runner = TestRunner::deterministic();
    let (mut admitted, mut broken) = (0, 0);
    for _ in 0..1_500 {
        let (surface, body, share) = case().new_tree(&mut runner).expect("a case").current();
        if let Some((hold, bill)) = holds(surface, &body, share, mutant) {
            admitted += 1;
            broken += u32::from(hold < bill);
        }
    }
    (admitted, broken)
}

#[test]
fn the_property_is_not_empty_and_every_mutant_breaks_it() {
    let (admitted, broken) = tally(Mutant::None);
    assert!(admitted > 150, "only {admitted} cases are admitted");
    assert_eq!(broken, 0);
    for mutant in
        [Mutant::OneAnswer, Mutant::Unseen, Mutant::BaseTier, Mutant::Unwritten, Mutant::NoTools, Mutant::LastCap]
    {
        let (_, broken) = tally(mutant);
        assert!(broken > 0, "{mutant:?} is not found");
    }
}
