use super::*;
use http::HeaderValue;
use proptest::prelude::*;

/// A key of a provider's shape, made here so that nothing like one is in the tree.
fn key(prefix: &str, length: usize) -> String {
    let body = (0..length).map(|at| char::from(b"aZ9kQ3xW7mB5"[(at * 5 + at / 12) % 12]));
    format!("{prefix}{}", body.collect::<String>())
}

fn rewritten(text: &str, key: &str) -> String {
    let out = rewrite(text.as_bytes(), &Echo::new(key.as_bytes()));
    out.map_or_else(|| text.to_owned(), |bytes| String::from_utf8(bytes).expect("text"))
}

#[test]
fn echoes_of_the_key_are_rewritten() {
    let key = key("sk-proj-", 48);
    let (head, tail) = (&key[..5], &key[key.len() - 4..]);
    let (h2, t2) = (&key[..2], &key[key.len() - 2..]);
    for (text, expected) in [
        (format!("Incorrect API key provided: {key}. You"), "Incorrect API key provided: [redacted]. You"),
        (
            format!("Incorrect API key provided: {head}***{tail}. You can"),
            "Incorrect API key provided: [redacted]. You can",
        ),
        (format!("Your api key: ****{tail} is invalid"), "Your api key: [redacted] is invalid"),
        (format!("key {h2}***{t2}. Obtain one"), "key [redacted]. Obtain one"),
        (format!("key {h2}*{t2}"), "key [redacted]"),
        (format!("key=\"{head}...{tail}\""), "key=\"[redacted]\""),
        (format!("hint {head}\u{2026}{tail}!"), "hint [redacted]!"),
        (format!("hint {head}\u{2022}\u{2022}\u{2022}"), "hint [redacted]"),
        (format!("{{\"key_prefix\":\"{}\"}}", &key[..20]), "{\"key_prefix\":\"[redacted]\"}"),
        (format!("{{\"middle\":\"{}\"}}", &key[20..32]), "{\"middle\":\"[redacted]\"}"),
        (format!("twice {key} and {head}***{tail}"), "twice [redacted] and [redacted]"),
        (format!("token:{head}********************************************{tail}"), "token:[redacted]"),
    ] {
        assert_eq!(rewritten(&text, &key), expected, "{text}");
    }
}

#[test]
fn other_texts_stay_as_they_are() {
    let key = key("sk-proj-", 48);
    for text in [
        "",
        "Please wait... and try again.",
        "**Bold** and *emphasis* stay.",
        "The model `gpt-5.4` does not exist.",
        "skill... ask... risk...",
        "{\"error\":{\"message\":\"You exceeded your current quota\",\"code\":null}}",
        "1...2...3",
        "sk-other***abcd",
    ] {
        assert_eq!(rewrite(text.as_bytes(), &Echo::new(key.as_bytes())), None, "{text}");
    }
    assert_eq!(rewrite(b"anything", &Echo::new(b"")), None);
}

#[test]
fn a_late_error_keeps_its_length() {
    let key = key("sk-", 40);
    let plain = PlainKey::new(key.clone().into_bytes());
    let text = format!("data: {{\"error\":\"bad {key}, {}•••{} too\"}}\n\n", &key[..6], &key[36..]);
    let out = late_error(text.as_bytes(), &plain).expect("echoes");
    assert_eq!(out.len(), text.len());
    let out = String::from_utf8(out.to_vec()).expect("text");
    assert!(!out.contains(&key[..6]) && !out.contains(&key[36..]) && out.ends_with(" too\"}\n\n"), "{out}");
    assert_eq!(late_error(b"data: {\"error\":\"quota\"}", &plain), None);
}

#[test]
fn a_body_without_echo_is_not_copied() {
    let body = Bytes::from_static(b"{\"error\":\"quota\"}");
    let out = error_body(&body, &PlainKey::new(key("sk-", 40).into_bytes()));
    assert_eq!(out.as_ptr(), body.as_ptr());
}

#[test]
fn headers_that_name_the_account_or_bind_the_gateway_are_stripped() {
    let key = key("sk-", 40);
    let auth = Auth {
        header: "authorization".into(),
        prefix: "Bearer ".into(),
        strip_request: Vec::new(),
        strip_response: vec!["OpenAI-Organization".into()],
    };
    let echo = format!("bad key {}***{}", &key[..5], &key[key.len() - 4..]);
    let mut map: HeaderMap = [
        ("openai-organization", "org-1"),
        ("set-cookie", "a=b"),
        ("alt-svc", "h3"),
        ("strict-transport-security", "x"),
        ("www-authenticate", "Bearer"),
        ("x-error-message", &*echo),
        ("x-request-id", "req_1"),
        ("retry-after", "3"),
    ]
    .into_iter()
    .map(|(name, value)| (name.parse::<HeaderName>().unwrap(), HeaderValue::from_str(value).unwrap()))
    .collect();
    let mut behind = map.clone();
    trailers(&mut behind, &auth);
    let mut left: Vec<&str> = behind.keys().map(HeaderName::as_str).collect();
    left.sort_unstable();
    assert_eq!(left, ["retry-after", "x-error-message", "x-request-id"], "as trailers");
    headers(&mut map, &auth, &PlainKey::new(key.into_bytes()));
    let mut left: Vec<&str> = map.keys().map(HeaderName::as_str).collect();
    left.sort_unstable();
    assert_eq!(left, ["retry-after", "x-request-id"]);
}

proptest! {
    #[test]
    fn the_whole_key_never_survives(before in "[ -~]{0,40}", after in "[ -~]{0,40}", length in 20_usize..90) {
        let key = key("sk-", length);
        let out = rewritten(&format!("{before}{key}{after}"), &key);
        prop_assert!(!out.contains(&key));
        for part in key.as_bytes().windows(RUN) {
            prop_assert!(!out.contains(std::str::from_utf8(part).unwrap()));
        }
    }

    #[test]
    fn every_run_of_the_key_is_found_wherever_it_stands(
        before in "[ -~]{0,20}", after in "[ -~]{0,20}", from in 0_usize..30, length in RUN..20,
    ) {
        let key = key("sk-", 60);
        let part = &key[from..from + length];
        let out = rewritten(&format!("{before}{part}{after}"), &key);
        prop_assert!(!out.contains(part), "{}", out);
    }

    #[test]
    fn no_bytes_make_it_panic(text in proptest::collection::vec(any::<u8>(), 0..120), key in proptest::collection::vec(any::<u8>(), 0..30)) {
        let _ = rewrite(&text, &Echo::new(&key));
    }
}
