use super::*;
use crate::{
    live::Live,
    tables::{
        LiveGrant,
        tests::{grant, inbound_of, open_policy},
    },
};
use bytes::Bytes;
use keyward_domain::glob::Glob;
use proptest::prelude::*;
use std::sync::Arc;

/// What a body says, and what goes on of it when no budget says less than the policy.
fn json_body(inbound: &Inbound, body: Bytes, policy: &Policy) -> Result<(Facts, Bytes), Refusal> {
    let read = super::json_body(inbound, body, policy)?;
    let facts = read.facts.clone();
    Ok((facts.clone(), read.finish(facts.output_cap).body))
}

fn chat() -> Inbound {
    inbound_of("POST", "/openai/v1/chat/completions")
}

fn capped(limit: u64) -> Policy {
    Policy { max_output_tokens: Some(limit), ..Policy::default() }
}

fn edited(inbound: &Inbound, body: &str, policy: &Policy) -> (Facts, String) {
    let (facts, out) = json_body(inbound, Bytes::copy_from_slice(body.as_bytes()), policy).expect("accepted");
    (facts, String::from_utf8(out.to_vec()).expect("text"))
}

#[test]
fn a_body_that_needs_no_change_comes_back_uncopied() {
    let body = Bytes::from_static(br#"{"model":"gpt-5.4","messages":[{"role":"user","content":"model"}]}"#);
    let (facts, out) = json_body(&chat(), body.clone(), &Policy::default()).expect("accepted");
    assert_eq!(out.as_ptr(), body.as_ptr());
    assert_eq!(facts.model.as_deref(), Some("gpt-5.4"));
    assert!(!facts.stream && !facts.strip_usage);
    assert_eq!((facts.input_bytes, facts.output_cap), (body.len() as u64, None));
    assert_eq!(facts.token_estimate(), (body.len() as u64).div_ceil(4));
}

#[test]
fn output_caps_are_lowered_added_and_left_alone() {
    for (body, limit, expected, cap) in [
        (r#"{"model":"m","max_tokens":50}"#, 100, r#"{"model":"m","max_tokens":50}"#, 50),
        (r#"{"model":"m","max_tokens": 500 ,"x":1}"#, 100, r#"{"model":"m","max_tokens": 100 ,"x":1}"#, 100),
        (r#"{"model":"m"}"#, 100, r#"{"max_completion_tokens":100,"model":"m"}"#, 100),
        (r#"{ "model":"m"}"#, 100, r#"{"max_completion_tokens":100, "model":"m"}"#, 100),
        (r#"{"model":"m","max_tokens":null}"#, 7, r#"{"max_completion_tokens":7,"model":"m","max_tokens":null}"#, 7),
        (r#"{"max_completion_tokens":null,"model":"m"}"#, 7, r#"{"max_completion_tokens":7,"model":"m"}"#, 7),
        (r#"{"model":"m","max_tokens":-1}"#, 7, r#"{"model":"m","max_tokens":7}"#, 7),
        (r#"{"model":"m","max_tokens":"1e9"}"#, 7, r#"{"model":"m","max_tokens":7}"#, 7),
        (r#"{"model":"m","max_tokens":1e9}"#, 7, r#"{"model":"m","max_tokens":7}"#, 7),
        (r#"{"model":"m","max_tokens":[9]}"#, 7, r#"{"model":"m","max_tokens":7}"#, 7),
        // Written so that a provider that reads no number there knows the cap, too.
        (r#"{"model":"m","max_tokens":"5"}"#, 7, r#"{"model":"m","max_tokens":5}"#, 5),
        (r#"{"model":"m","max_tokens":5.0}"#, 7, r#"{"model":"m","max_tokens":5}"#, 5),
        (r#"{"model":"m","max_tokens":5e0}"#, 7, r#"{"model":"m","max_tokens":5}"#, 5),
        (r#"{"model":"m","max_tokens":4.2}"#, 7, r#"{"model":"m","max_tokens":5}"#, 5),
        (r#"{"model":"m","max_tokens":5}"#, 7, r#"{"model":"m","max_tokens":5}"#, 5),
        (
            r#"{"model":"m","max_tokens":9,"max_completion_tokens":8}"#,
            7,
            r#"{"model":"m","max_tokens":7,"max_completion_tokens":7}"#,
            7,
        ),
        (r#"{"model":"m","n":4,"max_tokens":50}"#, 100, r#"{"model":"m","n":4,"max_tokens":25}"#, 100),
        (
            r#"{"model":"m","n":2,"best_of":5}"#,
            100,
            r#"{"max_completion_tokens":20,"model":"m","n":2,"best_of":5}"#,
            100,
        ),
    ] {
        let (facts, out) = edited(&chat(), body, &capped(limit));
        assert_eq!(out, expected, "{body}");
        assert_eq!(facts.output_cap, Some(cap), "{body}");
    }
    let (facts, _) = edited(&chat(), r#"{"model":"m","max_tokens":50,"n":3}"#, &Policy::default());
    assert_eq!(facts.output_cap, Some(150));
}

#[test]
fn the_text_to_be_spoken_is_counted_in_characters() {
    let speech = inbound_of("POST", "/openai/v1/audio/speech");
    for (body, characters) in [
        (r#"{"model":"m","input":"Hello"}"#, Some(5)),
        (r#"{"model":"m","input":"h\u00e9\n€"}"#, Some(4)),
        (r#"{"model":"m","input":["Hello"]}"#, None),
        (r#"{"model":"m"}"#, None),
    ] {
        let (facts, out) = edited(&speech, body, &Policy::default());
        assert_eq!((facts.characters, out.as_str()), (characters, body));
    }
    assert_eq!(edited(&chat(), r#"{"model":"m","input":"Hello"}"#, &Policy::default()).0.characters, None);
}

#[test]
fn more_answers_than_tokens_are_refused() {
    let body = Bytes::from_static(br#"{"model":"m","n":101}"#);
    assert_eq!(json_body(&chat(), body, &capped(100)).unwrap_err().reason, Reason::MalformedRequest);
}

#[test]
fn a_number_of_answers_that_others_could_read_otherwise_is_refused_where_the_output_is_limited() {
    for n in ["\" 5\"", "\"\\u0035\"", "\"5_0\"", "true", "[5]", "-1", "1e99999999999"] {
        let body = format!(r#"{{"model":"m","max_tokens":50,"n":{n}}}"#);
        let read = |policy: &Policy| json_body(&chat(), Bytes::copy_from_slice(body.as_bytes()), policy);
        assert_eq!(read(&capped(100)).unwrap_err().reason, Reason::MalformedRequest, "{n}");
        assert!(read(&Policy::default()).is_ok(), "{n}");
    }
    for n in ["null", "1", "\"2\"", "2.0"] {
        let (_, out) = edited(&chat(), &format!(r#"{{"model":"m","max_tokens":5,"n":{n}}}"#), &capped(10));
        assert!(out.contains("\"max_tokens\":5"), "{out}");
    }
}

#[test]
fn a_nested_cap_is_added_where_it_belongs() {
    let inbound = inbound_of("POST", "/openai/v1/models/g:generate");
    for (body, expected) in [
        (r#"{"contents":[]}"#, r#"{"generationConfig":{"maxOutputTokens":9},"contents":[]}"#),
        (r#"{}"#, r#"{"generationConfig":{"maxOutputTokens":9}}"#),
        (r#"{"generationConfig":{}}"#, r#"{"generationConfig":{"maxOutputTokens":9}}"#),
        (r#"{"generationConfig":{"topK":1}}"#, r#"{"generationConfig":{"maxOutputTokens":9,"topK":1}}"#),
        (r#"{"generationConfig":{"maxOutputTokens":99}}"#, r#"{"generationConfig":{"maxOutputTokens":9}}"#),
        (r#"{"generationConfig":null}"#, r#"{"generationConfig":{"maxOutputTokens":9}}"#),
    ] {
        let (facts, out) = edited(&inbound, body, &capped(9));
        assert_eq!(out, expected, "{body}");
        assert_eq!(facts.model.as_deref(), Some("g"));
    }
    let sneaky = Bytes::from_static(br#"{"generation_config":{"max_output_tokens":99}}"#);
    assert!(json_body(&inbound, sneaky, &capped(9)).is_err(), "the other spelling must not slip past the cap");
}

#[test]
fn streams_are_made_to_report_their_use() {
    let with = r#"{"include_usage":true}"#;
    for (options, expected, strip) in [
        (String::new(), format!(r#"{{"stream_options":{with},"model":"m","stream":true}}"#), true),
        (r#","stream_options":null"#.into(), format!(r#"{{"model":"m","stream":true,"stream_options":{with}}}"#), true),
        (r#","stream_options":{}"#.into(), format!(r#"{{"model":"m","stream":true,"stream_options":{with}}}"#), true),
        (
            r#","stream_options":{"include_obfuscation":false}"#.into(),
            r#"{"model":"m","stream":true,"stream_options":{"include_usage":true,"include_obfuscation":false}}"#.into(),
            true,
        ),
        (
            r#","stream_options":{"include_usage":false}"#.into(),
            format!(r#"{{"model":"m","stream":true,"stream_options":{with}}}"#),
            true,
        ),
        (
            format!(r#","stream_options":{with}"#),
            format!(r#"{{"model":"m","stream":true,"stream_options":{with}}}"#),
            false,
        ),
    ] {
        let body = format!(r#"{{"model":"m","stream":true{options}}}"#);
        let (facts, out) = edited(&chat(), &body, &Policy::default());
        assert_eq!(out, expected, "{body}");
        assert_eq!((facts.stream, facts.strip_usage), (true, strip), "{body}");
    }
    let (facts, out) = edited(&chat(), r#"{"model":"m","stream":false}"#, &Policy::default());
    assert_eq!((out.as_str(), facts.strip_usage), (r#"{"model":"m","stream":false}"#, false));
}

#[test]
fn two_additions_to_one_object_stay_json() {
    let (_, out) = edited(&chat(), r#"{"model":"m","stream":true}"#, &capped(5));
    assert_eq!(out, r#"{"max_completion_tokens":5,"stream_options":{"include_usage":true},"model":"m","stream":true}"#);
}

#[test]
fn bodies_that_cannot_be_judged_are_refused() {
    let only_gpt = Policy { models: Some(vec![Glob::new("gpt-*")]), ..Policy::default() };
    for (body, reason) in [
        (&b""[..], Reason::MissingModel),
        (b"{}", Reason::MissingModel),
        (b"[]", Reason::MalformedRequest),
        (b"{\"model\":5}", Reason::MalformedRequest),
        (b"{\"model\":[\"gpt-1\"]}", Reason::MalformedRequest),
        (b"{\"model\":\"gpt-1\",\"model\":\"o3\"}", Reason::MalformedRequest),
        (b"{\"model\":\"gpt-1\"", Reason::MalformedRequest),
        (b"{\"model\":\"o3\"}", Reason::ModelNotAllowed),
        (b"{\"model\":\"\"}", Reason::MissingModel),
    ] {
        let refusal = json_body(&chat(), Bytes::copy_from_slice(body), &only_gpt).unwrap_err();
        assert_eq!(refusal.reason, reason, "{}", String::from_utf8_lossy(body));
    }
}

#[test]
fn the_model_comes_from_body_path_query_or_catalogue_without_its_prefix() {
    let (facts, _) = edited(&chat(), r#"{"model":"models/gpt-5.4"}"#, &Policy::default());
    assert_eq!(facts.model.as_deref(), Some("gpt-5.4"));
    let path = inbound_of("POST", "/openai/v1/models/g%3A1:generate");
    assert_eq!(head(&path).unwrap().model.as_deref(), Some("g:1"));
    let query = inbound_of("GET", "/openai/v1/realtime?model=gpt%2Drealtime&x=1");
    assert_eq!(head(&query).unwrap().model.as_deref(), Some("gpt-realtime"));
    let twice = inbound_of("GET", "/openai/v1/realtime?model=a&mod%65l=b");
    assert_eq!(head(&twice).unwrap_err().reason, Reason::MalformedRequest);
}

#[test]
fn a_model_of_several_path_parameters_is_joined() {
    let inbound = inbound_of("POST", "/openai/v1/models/acme/flux-pro/predictions");
    assert_eq!(head(&inbound).unwrap().model.as_deref(), Some("acme/flux-pro"));
}

#[test]
fn every_further_model_must_be_allowed_too() {
    let inbound = inbound_of("POST", "/openai/v1/batches");
    let only_gpt = Policy { models: Some(vec![Glob::new("gpt-*")]), ..Policy::default() };
    for (body, reason) in [
        (
            r#"{"requests":[{"params":{"model":"gpt-1"}},{"params":{"model":"models/gpt-2"}},{"other":1}],"models":["gpt-3"]}"#,
            None,
        ),
        (r#"{"requests":[{"params":{"model":"gpt-1"}},{"params":{"model":"o3"}}]}"#, Some(Reason::ModelNotAllowed)),
        (r#"{"models":["gpt-1","o3"]}"#, Some(Reason::ModelNotAllowed)),
        (r#"{"models":["gpt-1",7]}"#, Some(Reason::MalformedRequest)),
        (r#"{"models":["gpt-1",null]}"#, None),
        (r#"{"requests":[{"params":{"model":"gpt-1","model":"o3"}}]}"#, Some(Reason::MalformedRequest)),
        (r#"{"requests":[{"params":{"Model":"o3"}}]}"#, Some(Reason::MalformedRequest)),
    ] {
        let got = json_body(&inbound, Bytes::copy_from_slice(body.as_bytes()), &only_gpt).err().map(|no| no.reason);
        assert_eq!(got, reason, "{body}");
    }
}

#[test]
fn body_plans_follow_operation_and_headers() {
    let headers = |pairs: &[(&'static str, &'static str)]| -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect()
    };
    let json = headers(&[("content-type", "application/json")]);
    assert_eq!(body_plan(&chat(), &json, 9), Ok(BodyPlan::Collect { limit: 9 }));
    let form = headers(&[("content-type", "Multipart/form-data; boundary=x")]);
    assert!(body_plan(&chat(), &form, 9).is_err());
    let upload = inbound_of("POST", "/openai/v1/audio/transcriptions");
    assert_eq!(body_plan(&upload, &form, 9), Ok(BodyPlan::Form));
    assert_eq!(body_plan(&upload, &json, 9), Ok(BodyPlan::Collect { limit: 9 }));
    for kind in ["application/json; charset=UTF-8", "application/json;charset=\"utf-8\"", "text/plain", ""] {
        assert_eq!(
            body_plan(&chat(), &headers(&[("content-type", kind)]), 9),
            Ok(BodyPlan::Collect { limit: 9 }),
            "{kind}"
        );
    }
    for kinds in [
        &["application/json", "multipart/form-data; boundary=x"][..],
        &["application/json", "application/json"],
        &["application/x-www-form-urlencoded"],
        &["Application/X-WWW-Form-Urlencoded; charset=utf-8"],
        &["application/json; charset=utf-7"],
        &["application/json; Charset = 'UTF-16'"],
    ] {
        let several = kinds.iter().map(|kind| (header::CONTENT_TYPE, kind.parse().unwrap())).collect::<HeaderMap>();
        for inbound in [&chat(), &upload] {
            assert_eq!(body_plan(inbound, &several, 9).unwrap_err().reason, Reason::MalformedRequest, "{kinds:?}");
        }
    }
    let packed = headers(&[("content-encoding", "br")]);
    assert_eq!(body_plan(&chat(), &packed, 9).unwrap_err().reason, Reason::MalformedRequest);
    assert_eq!(body_plan(&inbound_of("GET", "/openai/v1/models"), &packed, 9), Ok(BodyPlan::Stream));
    let gzip = headers(&[("content-encoding", "gzip")]);
    assert_eq!(body_plan(&chat(), &gzip, 9), Ok(BodyPlan::Collect { limit: 9 }));
    let form = headers(&[("content-encoding", "gzip"), ("content-type", "multipart/form-data; boundary=x")]);
    assert_eq!(body_plan(&upload, &form, 9).unwrap_err().reason, Reason::MalformedRequest);
}

#[test]
fn packed_bodies_are_judged_and_go_on_as_they_are_unless_they_must_change() {
    let packed_headers: HeaderMap =
        [(header::CONTENT_ENCODING, "gzip".parse().expect("a header"))].into_iter().collect();
    let gzip = |text: &str| Bytes::from(unpack::tests::gzip(text.as_bytes()));
    let read = |body: Bytes, policy: &Policy| {
        collected(&chat(), &packed_headers, body, policy).map(|read| {
            let facts = read.facts.clone();
            (read.finish(facts.output_cap), facts)
        })
    };
    let body = gzip(r#"{"model":"gpt-1"}"#);
    let (unchanged, facts) = read(body.clone(), &Policy::default()).expect("accepted");
    assert_eq!((unchanged.body, unchanged.unpacked), (body.clone(), false));
    assert_eq!((facts.model.as_deref(), facts.input_bytes), (Some("gpt-1"), 17));
    let (changed, _) = read(body.clone(), &capped(5)).expect("accepted");
    assert_eq!((&*changed.body, changed.unpacked), (&br#"{"max_completion_tokens":5,"model":"gpt-1"}"#[..], true));
    let only_o3 = Policy { models: Some(vec![Glob::new("o3")]), ..Policy::default() };
    assert_eq!(read(body, &only_o3).unwrap_err().reason, Reason::ModelNotAllowed);
    let small = Policy { max_body_bytes: Some(100), ..Policy::default() };
    let bomb = gzip(&format!(r#"{{"model":"m","x":"{}"}}"#, "y".repeat(1_000)));
    assert_eq!(read(bomb, &small).unwrap_err().reason, Reason::BodyTooLarge);
    assert_eq!(read(Bytes::from_static(b"{}"), &small).unwrap_err().reason, Reason::MalformedRequest);
}

fn form_of(policy: Policy, kind: &str) -> Result<Form, Refusal> {
    let inbound = inbound_of("POST", "/openai/v1/audio/transcriptions");
    let grant = Arc::new(LiveGrant {
        grant: grant(1, policy),
        live: Arc::new(Live::default()),
        epoch: 0,
        purses: Box::default(),
        limits: Arc::new(crate::live::Limits { live: Arc::default(), shared: Arc::default() }),
    });
    let headers = [(header::CONTENT_TYPE, kind.parse().expect("a header"))].into_iter().collect();
    Form::new(&inbound, &crate::near::Near::of(&grant), &headers)
}

const KIND: &str = "multipart/form-data; boundary=XyZ";

fn part(head: &str, value: &str) -> String {
    format!("--XyZ\r\nContent-Disposition: form-data; {head}\r\n\r\n{value}\r\n")
}

fn run(parts: &[String], policy: &Policy) -> Result<Facts, Refusal> {
    let body = format!("{}--XyZ--\r\n", parts.concat());
    let mut all = Vec::new();
    for size in [1, 2, 3, 7, 64, body.len()] {
        let mut form = form_of(policy.clone(), KIND)?;
        let result = body.as_bytes().chunks(size).try_for_each(|piece| form.feed(piece)).and_then(|()| form.finish());
        all.push(result.map(|()| form.facts()));
    }
    let last = all.pop().expect("one");
    assert!(all.iter().all(|one| *one == last), "the size of the pieces must not matter: {all:?} {last:?}");
    last
}

#[test]
fn forms_show_their_model_however_they_arrive() {
    let file = part(r#"name="file"; filename="a;b.mp3""#, "\r\n--Xy\r\n--XyQ binary \0 model");
    let model = part(r#"name="model""#, "whisper-1");
    let stream = part("name=stream", "true");
    for parts in [[file.clone(), model.clone(), stream.clone()], [stream, model, file]] {
        let facts = run(&parts, &open_policy()).expect("accepted");
        assert_eq!(facts.model.as_deref(), Some("whisper-1"));
        assert!(facts.stream);
    }
}

#[test]
fn a_form_is_refused_before_its_end_goes_on() {
    let only_gpt = Policy { models: Some(vec![Glob::new("gpt-*")]), ..open_policy() };
    let file = part(r#"name="file"; filename="a""#, "x");
    let good = part(r#"name="model""#, "gpt-1");
    // What a parser that is content with half a line break takes for a part of its own.
    let hidden = "\n--XyZ\nContent-Disposition: form-data; name=\"model\"\n\no3\n--XyZ\n\n";
    let cases = [
        (vec![file.clone()], Reason::MissingModel),
        (vec![file.clone(), part(r#"name="model""#, "whisper-1")], Reason::ModelNotAllowed),
        (vec![part(r#"name="model""#, "gpt-1"), part(r#"name="model""#, "o3")], Reason::MalformedRequest),
        (vec![part(r#"name="model""#, "gpt-1"), part(r#"name="Model""#, "o3")], Reason::MalformedRequest),
        (vec![part(r#"name="model"; filename="m""#, "gpt-1")], Reason::MalformedRequest),
        (vec![part(r#"name="mod\el""#, "o3"), part(r#"name="model""#, "gpt-1")], Reason::MalformedRequest),
        (vec![part(r#"name="x"; name="model""#, "gpt-1")], Reason::MalformedRequest),
        (vec![part(r#"name*=utf-8''model"#, "gpt-1")], Reason::MalformedRequest),
        (vec!["--XyZ\r\nContent-Type: text/plain\r\n\r\nx\r\n".to_owned()], Reason::MalformedRequest),
        (vec!["preamble\r\n".to_owned(), file], Reason::MalformedRequest),
        (vec![part(r#"name="model""#, &"x".repeat(5_000))], Reason::MalformedRequest),
        (vec![part(r#"name="model""#, "gpt-1\0")], Reason::MalformedRequest),
        (vec![part(r#"name="model""#, &format!("gpt-1{hidden}"))], Reason::MalformedRequest),
        (vec![part(r#"name="file""#, &format!("x{hidden}")), good.clone()], Reason::MalformedRequest),
        (vec![good, part(r#"name="file""#, &format!("x{}", hidden.replace('\n', "\r")))], Reason::MalformedRequest),
    ];
    for (parts, reason) in cases {
        let got = run(&parts, &only_gpt).map_err(|refusal| refusal.reason);
        assert_eq!(got, Err(reason), "{parts:?}");
    }
    let mut unended = form_of(open_policy(), KIND).expect("a form");
    unended.feed(part(r#"name="model""#, "m").as_bytes()).expect("so far");
    assert!(unended.finish().is_err());
}

#[test]
fn a_form_larger_than_the_key_allows_is_refused() {
    let small = Policy { max_body_bytes: Some(100), ..open_policy() };
    let refusal = run(&[part(r#"name="file""#, &"x".repeat(200))], &small).unwrap_err();
    assert_eq!(refusal.reason, Reason::BodyTooLarge);
}

#[test]
fn boundaries_are_read_strictly() {
    for (kind, fine) in [
        (KIND, true),
        ("multipart/form-data; boundary=\"XyZ\"", true),
        ("multipart/form-data; charset=utf-8; Boundary=XyZ", true),
        ("multipart/form-data", false),
        ("multipart/form-data; boundary=", false),
        ("multipart/form-data; boundary=a; boundary=b", false),
        ("multipart/form-data; boundary=\"a", false),
    ] {
        assert_eq!(form_of(open_policy(), kind).is_ok(), fine, "{kind}");
    }
}

proptest! {
    #[test]
    fn edits_leave_everything_else_as_it_was(before in "[ -~]{0,30}", after in "[ -~]{0,30}", cap in 1_u64..50) {
        let body = serde_json::json!({"a": before, "model": "m", "max_tokens": 99, "z": after}).to_string();
        let (_, out) = edited(&chat(), &body, &capped(cap));
        prop_assert_eq!(out, body.replace("\"max_tokens\":99", &format!("\"max_tokens\":{cap}")));
    }

    #[test]
    fn no_form_makes_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let mut form = form_of(open_policy(), KIND).expect("a form");
        let _ = form.feed(&bytes);
        let mut started = form_of(open_policy(), KIND).expect("a form");
        let _ = started.feed(b"--XyZ\r\n").and_then(|()| started.feed(&bytes));
    }
}
