//! Heads out and in, as tables.

use super::*;
use crate::upstream::Auth;
use http::Method;
use keyward_domain::secret::PlainKey;

fn answer(text: &str) -> Result<Head, &'static str> {
    read(text.as_bytes(), false).map(|head| head.expect("a whole head"))
}

/// Where the body ends, and whether the connection may be used again.
type Ends = (Option<Framing>, bool);

#[test]
fn where_the_body_ends_is_read_strictly() {
    let rows: [(&str, Result<Ends, &str>); 19] = [
        ("HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n", Ok((Some(Framing::Length(5)), true))),
        ("HTTP/1.1 200 OK\r\ncontent-length: 5\r\ncontent-length: 5\r\n\r\n", Ok((Some(Framing::Length(5)), true))),
        ("HTTP/1.1 200 OK\r\ncontent-length: 5\r\nconnection: Close\r\n\r\n", Ok((Some(Framing::Length(5)), false))),
        ("HTTP/1.1 200\r\ntransfer-encoding: Chunked\r\n\r\n", Ok((Some(Framing::Chunked), true))),
        ("HTTP/1.1 200 OK\r\n\r\n", Ok((Some(Framing::UntilClose), false))),
        ("HTTP/1.0 200 OK\r\ncontent-length: 5\r\n\r\n", Ok((Some(Framing::Length(5)), false))),
        ("HTTP/1.1 204 No Content\r\n\r\n", Ok((None, true))),
        ("HTTP/1.1 304 Not Modified\r\ncontent-length: 5\r\n\r\n", Ok((None, true))),
        ("HTTP/1.1 100 Continue\r\n\r\n", Ok((None, true))),
        (
            "HTTP/1.1 200 OK\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n",
            Err("both a content-length and a transfer-encoding"),
        ),
        ("HTTP/1.1 200 OK\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\n", Err("two different content-lengths")),
        ("HTTP/1.1 200 OK\r\ncontent-length: 5, 5\r\n\r\n", Err("a content-length that is not a number")),
        ("HTTP/1.1 200 OK\r\ncontent-length: +5\r\n\r\n", Err("a content-length that is not a number")),
        ("HTTP/1.1 200 OK\r\ncontent-length:\r\n\r\n", Err("a content-length that is not a number")),
        (
            "HTTP/1.1 200 OK\r\ncontent-length: 99999999999999999999\r\n\r\n",
            Err("a content-length that is not a number"),
        ),
        ("HTTP/1.1 200 OK\r\ntransfer-encoding: gzip, chunked\r\n\r\n", Err("a transfer-encoding other than chunked")),
        (
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n\r\n",
            Err("a transfer-encoding other than chunked"),
        ),
        ("HTTP/1.0 200 OK\r\ntransfer-encoding: chunked\r\n\r\n", Err("a transfer-encoding in HTTP/1.0")),
        ("HTTP/1.1 200 OK\r\ncontent-length: 5\r\n folded\r\n\r\n", Err("an answer head that cannot be read")),
    ];
    for (text, expected) in rows {
        assert_eq!(answer(text).map(|head| (head.framing, head.reusable)), expected, "{text:?}");
    }
}

#[test]
fn an_answer_to_head_has_no_body() {
    let head = read(b"HTTP/1.1 200 OK\r\ncontent-length: 500\r\n\r\n", true).unwrap().unwrap();
    assert_eq!((head.framing, head.reusable), (None, true));
    assert_eq!(head.headers["content-length"], "500");
}

#[test]
fn a_credential_with_a_line_break_cannot_stand_in_a_header() {
    let header = HeaderName::from_static("authorization");
    for (text, stands) in [
        (&b"sk-plain"[..], true),
        (b"\xc3\xa9", true),
        (b"sk-a\r\nx-other: 1", false),
        (b"sk-a\nsk-b", false),
        (b"sk-\0", false),
        (b"sk-\x7f", false),
    ] {
        let key = PlainKey::new(text.to_vec());
        assert_eq!(can_stand(&Auth { header: &header, prefix: "Bearer ", key: &key }), stands);
    }
}

#[test]
fn headers_of_the_connection_stay_behind() {
    let head = answer(
        "HTTP/1.1 200 OK\r\nconnection: keep-alive, X-Hop\r\nx-hop: 1\r\nkeep-alive: max=9, timeout=5\r\nupgrade: h2c\r\n\
         x-empty:\r\nset-cookie: a\r\nset-cookie: b\r\nContent-Type: text/event-stream\r\n\r\n",
    )
    .unwrap();
    let names: Vec<_> = head.headers.keys().map(HeaderName::as_str).collect();
    assert_eq!(names, ["x-empty", "set-cookie", "content-type"]);
    assert_eq!(head.headers.get_all("set-cookie").iter().count(), 2);
    assert_eq!(head.headers["content-type"], "text/event-stream");
    assert_eq!(head.keep_alive, Some(Duration::from_secs(5)));
}

#[test]
fn unreasonable_heads_are_refused() {
    let long = format!("HTTP/1.1 200 OK\r\nx: {}", "a".repeat(MAX_HEAD));
    assert_eq!(read(long.as_bytes(), false).unwrap_err(), "an answer head that is too large");
    let many = format!("HTTP/1.1 200 OK\r\n{}\r\n", "x: y\r\n".repeat(MAX_HEADERS + 1));
    assert_eq!(read(many.as_bytes(), false).unwrap_err(), "an answer with too many headers");
    for garbage in [
        "HTTP/2 200\r\n\r\n",
        "\0\0\0\0\0",
        "<html>\r\n\r\n",
        "HTTP/1.1 20 OK\r\n\r\n",
        "HTTP/1.1 200 OK\r\nx y: 1\r\n\r\n",
    ] {
        assert!(read(garbage.as_bytes(), false).is_err(), "{garbage:?}");
    }
    for part in ["", "HTTP/1.1", "HTTP/1.1 200 OK\r\n", "HTTP/1.1 200 OK\r\nx: y\r\n"] {
        assert!(read(part.as_bytes(), false).unwrap().is_none(), "{part:?}");
    }
}

#[test]
fn a_request_carries_the_credential_and_nothing_of_the_connection() {
    let mut headers = HeaderMap::new();
    for (name, value) in [
        ("host", "gateway.example"),
        ("authorization", "Bearer virtual"),
        ("content-length", "1"),
        ("connection", "close, X-Private"),
        ("x-private", "1"),
        ("transfer-encoding", "chunked"),
        ("expect", "100-continue"),
        ("te", "trailers"),
        ("accept-encoding", "gzip"),
        ("anthropic-version", "2023-06-01"),
        ("x-twice", "a"),
        ("x-twice", "b"),
    ] {
        headers.append(HeaderName::from_static(name), HeaderValue::from_static(value));
    }
    let key = PlainKey::new(b"real".to_vec());
    let extra = [
        (HeaderName::from_static("anthropic-version"), HeaderValue::from_static("other")),
        (HeaderName::from_static("x-default"), HeaderValue::from_static("set")),
    ];
    let outgoing = Outgoing {
        method: &Method::POST,
        path: "/chat?a=b",
        headers: &headers,
        passes: &|name, _| *name != header::AUTHORIZATION,
        extra: &extra,
        auth: Some(Auth { header: &header::AUTHORIZATION, prefix: "Bearer ", key: &key }),
        identity: true,
        upgrade: None,
        once: false,
    };
    let origin = Origin::parse("https://api.example.com/v1/", false, false).unwrap();
    let head = write(&origin, &outgoing, Length::Known(1234));
    let expected = "POST /v1/chat?a=b HTTP/1.1\r\nhost: api.example.com\r\nauthorization: Bearer real\r\n\
        anthropic-version: 2023-06-01\r\nx-twice: a\r\nx-twice: b\r\nx-default: set\r\naccept-encoding: identity\r\n\
        content-length: 1234\r\n\r\n";
    assert_eq!(std::str::from_utf8(&head).unwrap(), expected);

    let map = map(&outgoing, Length::Known(1234)).unwrap();
    assert!(map["authorization"].is_sensitive());
    assert_eq!(map["authorization"], "Bearer real");
    assert_eq!((&map["anthropic-version"], &map["x-default"]), (&headers["anthropic-version"], &extra[1].1));
}

#[test]
fn lengths_are_said_in_the_way_they_are_sent() {
    let headers = HeaderMap::new();
    let outgoing = Outgoing {
        method: &Method::GET,
        path: "/",
        headers: &headers,
        passes: &|_, _| true,
        extra: &[],
        auth: None,
        identity: false,
        upgrade: Some("websocket"),
        once: false,
    };
    let origin = Origin::parse("http://127.0.0.1:1", true, false).unwrap();
    let end = |length| {
        let head = write(&origin, &outgoing, length);
        std::str::from_utf8(&head).unwrap().strip_prefix("GET / HTTP/1.1\r\nhost: 127.0.0.1:1\r\n").unwrap().to_owned()
    };
    let upgrade = "connection: upgrade\r\nupgrade: websocket\r\n";
    assert_eq!(end(Length::None), format!("{upgrade}\r\n"));
    assert_eq!(end(Length::Chunked), format!("{upgrade}transfer-encoding: chunked\r\n\r\n"));
    for value in [0, 7, 10, 1_000_000, u64::MAX] {
        assert_eq!(end(Length::Known(value)), format!("{upgrade}content-length: {value}\r\n\r\n"));
    }
}

#[test]
fn trailers_that_would_change_the_meaning_are_left_out() {
    let map = trailers(b"x-checksum: 1\r\ncontent-length: 5\r\nauthorization: x\r\nx-api-key: y\r\n\r\n").unwrap();
    assert_eq!(map.keys().map(HeaderName::as_str).collect::<Vec<_>>(), ["x-checksum"]);
    assert!(trailers(b"no colon\r\n\r\n").is_none());
}
