use super::*;
use crate::tables::tests::{key, tables};
use http::{HeaderMap, Request};
use keyward_domain::token::TokenHash;

fn parts(method: &str, target: &str, headers: &[(&str, &str)]) -> Parts {
    let mut request = Request::builder().method(method).uri(target);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(()).expect("a request").into_parts().0
}

fn read_with(method: &str, target: &str, headers: &[(&str, &str)]) -> Result<Inbound, Rejected> {
    let tables = tables(Vec::new());
    read(&tables.load(), &parts(method, target, headers), [10, 0, 0, 1].into(), &[])
}

fn bearer() -> String {
    format!("Bearer {}", *key(1).text)
}

fn ok(method: &str, target: &str) -> Inbound {
    read_with(method, target, &[("authorization", &bearer())]).expect("readable")
}

fn reason(method: &str, target: &str, headers: &[(&str, &str)]) -> Option<Reason> {
    read_with(method, target, headers).err().map(|rejected| rejected.refusal.reason)
}

#[test]
fn the_path_below_the_root_goes_upstream() {
    for (method, target, upstream) in [
        ("POST", "/openai/v1/chat/completions", "/chat/completions"),
        ("POST", "/openai/v1/chat/completions?", "/chat/completions"),
        ("POST", "/openai/v1/chat/completions?a=1&b=%20x", "/chat/completions?a=1&b=%20x"),
        ("GET", "/openai/v1/files/f-1", "/files/f-1"),
        ("POST", "/openai/v1/models/g%3A2:generate", "/models/g%3A2:generate"),
    ] {
        assert_eq!(ok(method, target).path_and_query, upstream, "{target}");
    }
    assert_eq!(ok("POST", "/openai/v1/models/g%3A2:generate").param("model"), Some("g:2"));
}

#[test]
fn paths_that_could_mean_two_things_are_refused() {
    for target in [
        "/openai/v1/../../admin",
        "/openai/v1/files/..",
        "/openai/v1/files/.",
        "/openai/v1//files",
        "//openai/v1/files",
        "/openai/v1/files/a%2fb",
        "/openai/v1/files/a%2Fb",
        "/openai/v1/files/%2e%2e",
        "/openai/v1/files/a%5cb",
        "/openai/v1/files/a%00",
        "/openai/v1/files/a%0a",
        "/openai/v1/files/a%252fb",
        "/openai/v1/files/a%2",
        "/openai/v1/files/a%zz",
        "/openai/v1/files/..;/x",
    ] {
        assert_eq!(reason("GET", target, &[]), Some(Reason::MalformedRequest), "{target}");
    }
    assert!(path::check("/openai/v1/files/\u{e9}").is_err());
    for (path, fits) in [
        ("/", true),
        ("/a/", true),
        ("/a.b/..c/.d", true),
        ("/a;b/c..", true),
        ("/%41.", true),
        ("//", false),
        ("/a//b", false),
        ("/a//", false),
        ("/.", false),
        ("/a/..", false),
        ("/a/./b", false),
        ("/a/..;/b", false),
        ("/a/..;x", false),
        ("/a/..;%41", false),
        ("/%2e", false),
        ("/%4", false),
    ] {
        assert_eq!(path::check(path).is_ok(), fits, "{path}");
    }
    assert!(path::check("/a\\b").is_err());
    assert!(path::check("/a b").is_err());
    assert!(path::check("*").is_err());
    assert_eq!(reason("GET", "/openai/v1/files/%ff", &[]), Some(Reason::MalformedRequest), "not UTF-8");
}

#[test]
fn what_is_not_there_is_explained() {
    for (method, target, reason, words) in [
        ("GET", "/", Reason::UnknownProvider, "/openai"),
        ("GET", "/nobody/v1", Reason::UnknownProvider, "known are openai"),
        ("GET", "/OpenAI/v1/models", Reason::UnknownProvider, "known are openai"),
        ("POST", "/openai/chat/completions", Reason::UnknownOperation, "ends in /openai/v1"),
        ("POST", "/openai/v1x/chat/completions", Reason::UnknownOperation, "ends in /openai/v1"),
        ("GET", "/openai/v1", Reason::UnknownOperation, "ends in /openai/v1"),
        ("GET", "/openai/v1/organization/admin_api_keys", Reason::UnknownOperation, "what is not in its catalogue"),
        ("GET", "/openai/v1/chat/completions", Reason::UnknownOperation, "takes POST here, not GET"),
        ("DELETE", "/openai/v1/files/f1", Reason::UnknownOperation, "takes GET here, not DELETE"),
        ("post", "/openai/v1/chat/completions", Reason::UnknownOperation, "takes POST here"),
    ] {
        let rejected = read_with(method, target, &[("authorization", &bearer())]).unwrap_err();
        assert_eq!(rejected.refusal.reason, reason, "{target}");
        assert!(rejected.refusal.message.contains(words), "{target}: {}", rejected.refusal.message);
    }
}

#[test]
fn the_key_is_found_in_every_place() {
    let text = key(1).text;
    let protocol = format!("realtime, openai-insecure-api-key.{}, openai-beta.realtime-v1", *text);
    let styled = format!("Bearer sk-{}", *text);
    for headers in [
        [("authorization", &*bearer())],
        [("authorization", &*bearer().replace("Bearer", "bearer"))],
        [("authorization", &*bearer().replace("Bearer", "Token"))],
        [("authorization", &text)],
        [("authorization", &styled)],
        [("x-api-key", &text)],
        [("x-goog-api-key", &text)],
        [("api-key", &text)],
        [("xi-api-key", &text)],
        [("sec-websocket-protocol", &protocol)],
    ] {
        let inbound =
            read_with("GET", "/openai/v1/models", &headers).unwrap_or_else(|no| panic!("{headers:?}: {no:?}"));
        assert_eq!(inbound.presented.public_id, key(1).public_id);
        assert!(inbound.presented.hash.matches(&TokenHash(key(1).hash.0)));
        assert!(!inbound.key_in_query);
    }
}

#[test]
fn a_key_in_the_query_is_read_removed_and_flagged() {
    let text = key(1).text;
    for (query, upstream) in [
        (format!("key={}", *text), "/models"),
        (format!("a=1&key={}&b=2", *text), "/models?a=1&b=2"),
        (format!("k%65y={}&b=2", *text), "/models?b=2"),
        (format!("key={}&access_token=x&API_KEY=y", *text), "/models"),
        (format!("key={}&other={}", *text, *text), "/models"),
        (format!("key={};b=2&c=3", *text), "/models?c=3"),
    ] {
        let inbound =
            read_with("GET", &format!("/openai/v1/models?{query}"), &[]).unwrap_or_else(|no| panic!("{query}: {no:?}"));
        assert_eq!(inbound.path_and_query, upstream, "{query}");
        assert!(inbound.key_in_query);
    }
}

#[test]
fn a_query_that_would_hide_what_a_call_used_is_refused() {
    let bearer = bearer();
    let reason = |query: &str| {
        let target = format!("/openai/v1/models?{query}");
        reason("GET", &target, &[("authorization", &bearer)])
    };
    for query in ["fields=a", "FIELDS=a", "f%69elds", "a=1;fields=a", "a=1&alt=proto", "alt=PROTO", "%61lt=%70roto+"] {
        assert_eq!(reason(query), Some(Reason::MalformedRequest), "{query}");
    }
    for query in ["alt=sse", "alt", "alt=protocol", "field=a", "a=fields"] {
        assert_eq!(reason(query), None, "{query}");
    }
}

#[test]
fn one_key_is_one_key_and_two_are_too_many() {
    let (one, two) = (key(1).text, key(2).text);
    let styled = format!("sk-{}", *one);
    assert_eq!(reason("GET", "/openai/v1/models", &[("authorization", &bearer()), ("x-api-key", &one)]), None);
    assert_eq!(reason("GET", "/openai/v1/models", &[("authorization", &bearer()), ("api-key", &styled)]), None);
    assert_eq!(reason("GET", "/openai/v1/models", &[("authorization", ""), ("x-api-key", &one)]), None);
    for headers in [
        [("authorization", &*bearer()), ("x-api-key", &*two)],
        [("authorization", &*bearer()), ("x-api-key", "some-real-key")],
        [("x-api-key", &*one), ("x-api-key", &*two)],
        [("authorization", "Basic dXNlcjpwYXNz"), ("x-api-key", &*one)],
    ] {
        assert_eq!(reason("GET", "/openai/v1/models", &headers), Some(Reason::AmbiguousKey), "{headers:?}");
    }
    let target = format!("/openai/v1/models?key={}", *two);
    assert_eq!(reason("GET", &target, &[("authorization", &bearer())]), Some(Reason::AmbiguousKey));
}

#[test]
fn keys_that_cannot_be_ours_are_told_apart_without_a_look_up() {
    let mut damaged = key(1).text.to_string();
    damaged.replace_range(20..21, if damaged.as_bytes()[20] == b'x' { "y" } else { "x" });
    for (value, expected) in [
        ("", Reason::MissingKey),
        ("Bearer ", Reason::MissingKey),
        ("Bearer garbage", Reason::MalformedKey),
        ("Bearer sk-something-else", Reason::MalformedKey),
        ("Basic dXNlcjpwYXNz", Reason::MalformedKey),
        ("Bearer kw_prod_short", Reason::DamagedKey),
        (&format!("Bearer {damaged}"), Reason::DamagedKey),
    ] {
        assert_eq!(reason("GET", "/openai/v1/models", &[("authorization", value)]), Some(expected), "{value}");
    }
    assert_eq!(reason("GET", "/openai/v1/models", &[]), Some(Reason::MissingKey));
}

#[test]
fn no_credential_and_no_trace_of_the_caller_goes_upstream() {
    let inbound = ok("GET", "/openai/v1/models");
    let text = key(1).text;
    let traced = format!("trace {}", *text);
    let protocol = format!("realtime, openai-insecure-api-key.{}", *text);
    let mut headers: HeaderMap = [
        ("authorization", "x"),
        ("x-api-key", "x"),
        ("cookie", "x"),
        ("x-forwarded-for", "1.2.3.4"),
        ("forwarded", "x"),
        ("openai-organization", "org"),
        ("x-http-method-override", "DELETE"),
        ("x-method-override", "DELETE"),
        ("x-custom", &*traced),
        ("user-agent", "u"),
        ("openai-beta", "b"),
        ("sec-websocket-protocol", &*protocol),
        ("content-type", "application/json"),
    ]
    .into_iter()
    .map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()))
    .collect();
    assert_eq!(upstream_protocols(&headers).as_deref(), Some("realtime"));
    strip_request(&mut headers, &inbound);
    let mut left: Vec<&str> = headers.keys().map(http::HeaderName::as_str).collect();
    left.sort_unstable();
    assert_eq!(left, ["content-type", "openai-beta", "sec-websocket-protocol", "user-agent"]);
    assert_eq!(headers["sec-websocket-protocol"], "realtime");
    assert!(STRIPPED_HEADERS.is_sorted(), "the list is searched by halves");
}

#[test]
fn the_header_of_the_credential_is_never_the_callers() {
    let mut inbound = ok("GET", "/openai/v1/models");
    assert!(passes("x-own-key", b"x", &inbound));
    let mut provider = crate::tables::tests::provider_json();
    provider["auth"]["header"] = "x-own-key".into();
    let provider = Arc::new(serde_json::from_value(provider).expect("a provider"));
    inbound.plan = Near::of(&Arc::new(OperationPlan::new(&provider, &inbound.plan.operation)));
    assert!(!passes("x-own-key", b"x", &inbound));
}

#[test]
fn forwarded_addresses_count_only_from_trusted_proxies() {
    let trusted: Vec<IpNet> = ["10.0.0.0/8", "fd00::/8"].map(|net| net.parse().unwrap()).into();
    type Case<'c> = (&'c str, &'c [(&'c str, &'c str)], &'c str);
    let cases: &[Case<'_>] = &[
        ("203.0.113.9", &[("x-forwarded-for", "1.1.1.1")], "203.0.113.9"),
        ("10.0.0.1", &[], "10.0.0.1"),
        ("10.0.0.1", &[("x-forwarded-for", "198.51.100.7")], "198.51.100.7"),
        ("10.0.0.1", &[("x-forwarded-for", "6.6.6.6, 198.51.100.7, 10.2.2.2")], "198.51.100.7"),
        ("10.0.0.1", &[("x-forwarded-for", "6.6.6.6"), ("x-forwarded-for", "198.51.100.7")], "198.51.100.7"),
        ("10.0.0.1", &[("x-forwarded-for", "10.3.3.3, 10.2.2.2")], "10.3.3.3"),
        ("10.0.0.1", &[("x-forwarded-for", "6.6.6.6, nonsense, 10.2.2.2")], "10.2.2.2"),
        ("10.0.0.1", &[("x-forwarded-for", "198.51.100.7:4711")], "198.51.100.7"),
        ("10.0.0.1", &[("x-forwarded-for", "[2001:db8::7]:4711")], "2001:db8::7"),
        ("10.0.0.1", &[("forwarded", "for=6.6.6.6, For=\"[2001:db8::7]\";proto=https")], "2001:db8::7"),
        ("10.0.0.1", &[("forwarded", "for=_hidden")], "10.0.0.1"),
        ("::ffff:10.0.0.1", &[("x-forwarded-for", "::ffff:198.51.100.7")], "198.51.100.7"),
        ("fd00::1", &[("x-forwarded-for", "198.51.100.7")], "198.51.100.7"),
    ];
    for (peer, headers, client) in cases {
        let head = parts("GET", "/", headers);
        let got = client_address(peer.parse().unwrap(), &head.headers, &trusted);
        assert_eq!(got, client.parse::<IpAddr>().unwrap(), "{peer} {headers:?}");
        let untrusted = client_address(peer.parse().unwrap(), &head.headers, &[]);
        assert_eq!(
            untrusted,
            peer.parse::<IpAddr>().unwrap().to_canonical(),
            "a claim without trust counts for nothing"
        );
    }
}
