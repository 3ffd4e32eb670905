use super::*;

const DIALECTS: [Dialect; 8] = [
    Dialect::Openai,
    Dialect::Anthropic,
    Dialect::Gemini,
    Dialect::Bedrock,
    Dialect::Cohere,
    Dialect::Elevenlabs,
    Dialect::Replicate,
    Dialect::Plain,
];

fn answer(dialect: Dialect, reason: Reason) -> Response<Bytes> {
    refusal(dialect, &Refusal::new(reason, "what is wrong and what to do"), "id-1")
}

fn header<'r>(response: &'r Response<Bytes>, name: &str) -> Option<&'r str> {
    response.headers().get(name).map(|value| value.to_str().expect("text"))
}

#[test]
fn every_refusal_says_why_in_every_dialect() {
    for dialect in DIALECTS {
        for reason in Reason::ALL {
            let response = answer(dialect, *reason);
            // A call that is larger than the whole allowance has no time to wait for.
            let helps = reason.retry_helps() && *reason != Reason::TokensLimited;
            assert_eq!(response.status().as_u16(), reason.status());
            assert_eq!(header(&response, "keyward-error"), Some(reason.code()));
            assert_eq!(header(&response, "keyward-request-id"), Some("id-1"));
            assert_eq!(header(&response, "content-type"), Some("application/json"));
            assert_eq!(header(&response, "x-should-retry"), (!helps).then_some("false"), "{reason:?}");
            assert_eq!(header(&response, "www-authenticate").is_some(), reason.status() == 401);
            let body: Value = serde_json::from_slice(response.body()).expect("JSON");
            assert!(body.to_string().contains("what is wrong and what to do"), "{dialect:?} {reason:?}");
        }
    }
}

#[test]
fn bodies_have_the_shape_of_each_dialect() {
    let text = |dialect, reason| String::from_utf8(answer(dialect, reason).body().to_vec()).expect("text");
    let m = "what is wrong and what to do";
    for (dialect, reason, expected) in [
        (
            Dialect::Openai,
            Reason::UnknownKey,
            json!({"error":{"message":m,"type":"invalid_request_error","param":null,"code":"unknown_key"}}),
        ),
        (
            Dialect::Openai,
            Reason::TokensLimited,
            json!({"error":{"message":m,"type":"tokens","param":null,"code":"tokens_limited"}}),
        ),
        (
            Dialect::Openai,
            Reason::BudgetExhausted,
            json!({"error":{"message":m,"type":"insufficient_quota","param":null,"code":"budget_exhausted"}}),
        ),
        (
            Dialect::Openai,
            Reason::NoCredential,
            json!({"error":{"message":m,"type":"server_error","param":null,"code":"no_credential"}}),
        ),
        (
            Dialect::Anthropic,
            Reason::RevokedKey,
            json!({"type":"error","error":{"type":"authentication_error","message":m},"request_id":"id-1"}),
        ),
        (
            Dialect::Anthropic,
            Reason::ModelNotAllowed,
            json!({"type":"error","error":{"type":"permission_error","message":m},"request_id":"id-1"}),
        ),
        (
            Dialect::Anthropic,
            Reason::BodyTooLarge,
            json!({"type":"error","error":{"type":"request_too_large","message":m},"request_id":"id-1"}),
        ),
        (
            Dialect::Gemini,
            Reason::ModelNotAllowed,
            json!({"error":{"code":403,"message":m,"status":"PERMISSION_DENIED","details":[
            {"@type":"type.googleapis.com/google.rpc.ErrorInfo","reason":"MODEL_NOT_ALLOWED","domain":"keyward"}]}}),
        ),
        (Dialect::Bedrock, Reason::UnknownKey, json!({"message":m})),
        (Dialect::Cohere, Reason::UnknownKey, json!({"id":"id-1","message":m})),
        (Dialect::Elevenlabs, Reason::UnknownKey, json!({"detail":{"status":"unknown_key","message":m}})),
        (Dialect::Replicate, Reason::UnknownKey, json!({"title":"Unauthorized","detail":m,"status":401})),
        (Dialect::Plain, Reason::UnknownKey, json!({"code":"unknown_key","error":m})),
    ] {
        let body: Value = serde_json::from_str(&text(dialect, reason)).expect("JSON");
        assert_eq!(body, expected, "{dialect:?} {reason:?}");
    }
    assert_eq!(header(&answer(Dialect::Bedrock, Reason::RateLimited), "x-amzn-errortype"), Some("ThrottlingException"));
}

#[test]
fn waits_are_told_exactly() {
    let response = refusal(Dialect::Gemini, &Refusal::new(Reason::RateLimited, "m").retry_after_ms(1_500), "id");
    assert_eq!(header(&response, "retry-after"), Some("2"));
    assert_eq!(header(&response, "retry-after-ms"), Some("1500"));
    assert_eq!(header(&response, "x-should-retry"), None);
    assert!(response.body().windows(16).any(|part| part == b"\"retryDelay\":\"2s"));
    let never = refusal(Dialect::Openai, &Refusal::new(Reason::TokensLimited, "too large for ever"), "id");
    assert_eq!(header(&never, "x-should-retry"), Some("false"));
}

#[test]
fn streams_end_in_words_that_sdks_raise() {
    let no = Refusal::new(Reason::RevokedKey, "cut");
    let words = |dialect, kind| {
        stream_end(dialect, kind, &no).map(|bytes| String::from_utf8(bytes.to_vec()).expect("text")).unwrap_or_default()
    };
    let data = |text: &str| -> Value {
        let line = text.lines().find_map(|line| line.strip_prefix("data: ")).expect("a data line");
        serde_json::from_str(line).expect("JSON")
    };
    for dialect in DIALECTS {
        let text = words(dialect, "text/event-stream; charset=utf-8");
        assert!(text.starts_with("\n\n") && text.ends_with("\n\n"), "{dialect:?}");
        assert!(data(&text).to_string().contains("cut"), "{dialect:?}");
    }
    let openai = words(Dialect::Openai, "text/event-stream");
    assert!(openai.contains("event: error\n"));
    assert_eq!(data(&openai)["error"]["code"], "revoked_key");
    let anthropic = data(&words(Dialect::Anthropic, "text/event-stream"));
    assert_eq!((&anthropic["type"], &anthropic["error"]["type"]), (&json!("error"), &json!("authentication_error")));
    assert_eq!(data(&words(Dialect::Gemini, "text/event-stream"))["error"]["status"], "UNAUTHENTICATED");
    assert!(words(Dialect::Openai, "application/x-ndjson").starts_with("\n{"));
    assert_eq!(stream_end(Dialect::Openai, "application/json", &no), None);
}

#[test]
fn frames_that_end_a_connection_are_sound() {
    let frame = close_frame(&Refusal::new(Reason::RevokedKey, "\u{e9}".repeat(200)));
    assert_eq!(frame.first(), Some(&0x88));
    assert_eq!(usize::from(frame[1]), frame.len() - 2);
    assert!(frame.len() <= 127 && std::str::from_utf8(&frame[4..]).is_ok());
    assert_eq!(frame[2..4], 1008_u16.to_be_bytes());
    assert_eq!(close_frame(&Refusal::new(Reason::ShuttingDown, "x"))[2..4], 1001_u16.to_be_bytes());
    let exception = exception_frame(&Refusal::new(Reason::RevokedKey, "cut"));
    assert!(exception.windows(27).any(|part| part == b"UnrecognizedClientException"));
}
