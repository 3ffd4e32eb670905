use super::*;
use proptest::prelude::*;

fn watch(list: &[&str]) -> Paths {
    let mut paths = Paths::default();
    for (id, path) in (0..).zip(list) {
        paths.add(path, id);
    }
    paths
}

fn found(body: &str, list: &[&str]) -> Vec<(u16, String)> {
    let scan = scan(body.as_bytes(), &watch(list), &[]).expect("sound");
    scan.hits.iter().map(|hit| (hit.id, body[hit.span.clone()].to_owned())).collect()
}

#[test]
fn watched_fields_are_found_with_their_places() {
    let body = r#" {"a" : 1, "b":{"c":[true,{"d":null}],"e":"x\"y"}, "f":-1.5e+3} "#;
    assert_eq!(
        found(body, &["a", "b.e", "b.c[].d", "f", "b.c[]", "nothing"]),
        [(0, "1"), (4, "true"), (2, "null"), (4, r#"{"d":null}"#), (1, r#""x\"y""#), (3, "-1.5e+3")]
            .map(|(id, text)| (id, text.to_owned()))
    );
}

#[test]
fn only_sound_json_passes() {
    for good in ["{}", "[]", "0", "-0.0", "1e9", "\"\"", "null", " [ 1 , {} ] ", r#""\u00e9\n\/""#, "{\"a\":{\"a\":1}}"]
    {
        assert!(scan(good.as_bytes(), &watch(&["a"]), &[]).is_ok(), "{good}");
    }
    for bad in [
        "",
        "{",
        "}",
        "[1,]",
        "{,}",
        r#"{"a"}"#,
        r#"{"a":}"#,
        r#"{"a":1,}"#,
        "01",
        "1.",
        ".5",
        "+1",
        "1e",
        "tru",
        "nul",
        r#"{"a":1}x"#,
        "{}{}",
        r#""\x""#,
        r#""\u12g4""#,
        "\"a\nb\"",
        r#"{'a':1}"#,
        "NaN",
        "[1 2]",
        "\u{feff}{}",
        "//c\n{}",
        "\"unended",
        r#"{"a":1 "b":2}"#,
        "\"\\",
    ] {
        assert!(scan(bad.as_bytes(), &watch(&["a"]), &[]).is_err(), "{bad}");
    }
    assert_eq!(scan(b"{\"a\":\"\xff\"}", &watch(&[]), &[]), Err(Malformed::Utf8(6)));
}

#[test]
fn nesting_has_a_limit_and_no_stack_breaks() {
    let deep = |levels: usize| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
    assert!(scan(deep(128).as_bytes(), &watch(&[]), &[]).is_ok());
    assert_eq!(scan(deep(129).as_bytes(), &watch(&[]), &[]), Err(Malformed::Deep));
    assert_eq!(scan("{\"a\":".repeat(100_000).as_bytes(), &watch(&[]), &[]), Err(Malformed::Deep));
}

#[test]
fn a_deciding_field_is_there_once_however_it_is_spelt() {
    for body in [
        r#"{"model":"a","model":"b"}"#,
        r#"{"model":"a","mod\u0065l":"b"}"#,
        r#"{"x":{"y":1},"x":{}}"#,
        r#"{"x":{"y":1,"y":2}}"#,
    ] {
        let error = scan(body.as_bytes(), &watch(&["model", "x.y"]), &[]).unwrap_err();
        assert!(matches!(error, Malformed::Twice(_)), "{body}: {error}");
    }
    for body in [r#"{"Model":"b"}"#, r#"{"MODEL":"b"}"#, r#"{"mo_del":1}"#, r#"{"generation_config":{}}"#] {
        let error = scan(body.as_bytes(), &watch(&["model", "generationConfig"]), &[]).unwrap_err();
        assert!(matches!(error, Malformed::Misspelt(..)), "{body}: {error}");
    }
    let fine =
        r#"{"model":"a","tools":[{"model":"b"},{"model":"c"}],"meta":{"model":1,"Model":2},"other":1,"other":2}"#;
    assert!(scan(fine.as_bytes(), &watch(&["model"]), &[]).is_ok());
    assert_eq!(found(r#"{"mod\u0065l":"a"}"#, &["model"]), [(0, "\"a\"".to_owned())]);
}

#[test]
fn names_of_objects_are_collected_at_any_depth() {
    let names: Vec<Box<str>> = vec!["file_id".into(), "file_ids".into(), "conversation".into()];
    let body = r#"{"file_id":"a","deep":[{"x":{"file_id":"b\u0062"}}],"file_ids":["c","d",5,{"id":"e","n":"no"}],
        "conversation":{"id":"f","title":"no","more":{"id":"no"}},"id":"no","other":"no","file_id2":"no","k":{"file_id":null}}"#;
    let scan = scan(body.as_bytes(), &watch(&[]), &names).expect("sound");
    assert_eq!(scan.references.iter().map(|text| &**text).collect::<Vec<_>>(), ["a", "bb", "c", "d", "e", "f"]);
}

#[test]
fn escapes_are_read() {
    for (raw, text) in [
        (r"plain", Some("plain")),
        (r#"a\"b\\c\/d"#, Some("a\"b\\c/d")),
        (r"\u0041\u00e9", Some("A\u{e9}")),
        (r"\ud83d\ude00!", Some("\u{1F600}!")),
        (r"\ud83d", None),
        (r"\ud83dx", None),
        (r"\ude00", None),
        (r"\q", None),
        (r"\", None),
    ] {
        assert_eq!(unescape(raw.as_bytes()).as_deref(), text, "{raw}");
    }
}

#[test]
fn a_run_of_plain_text_ends_at_the_first_special_byte_wherever_it_stands() {
    for length in [0, 1, 7, 8, 127, 128, 129, 191, 192, 193, 255, 256, 300] {
        let plain = vec![b'a'; length];
        assert_eq!(plain_run(&plain), length);
        for at in 0..length {
            for special in [b'"', b'\\', 0, 0x1F] {
                let mut text = plain.clone();
                text[at] = special;
                assert_eq!(plain_run(&text), at, "{special} at {at} of {length}");
            }
        }
    }
}

proptest! {
    #[test]
    fn a_run_of_plain_text_ends_where_a_slow_look_says(
        text in proptest::collection::vec(prop_oneof![99 => 0x23..=0x5B_u8, 1 => any::<u8>()], 0..500),
    ) {
        let slow = text.iter().take_while(|byte| !matches!(byte, b'"' | b'\\' | 0..=0x1F)).count();
        prop_assert_eq!(plain_run(&text), slow);
    }

    #[test]
    fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = scan(&bytes, &watch(&["a.b", "model"]), &["id".into()]);
        let _ = unescape(&bytes);
        let _ = elements(&bytes, "data", "id");
    }

    #[test]
    fn it_agrees_with_a_full_parser_on_what_is_json(text in r#"[\{\}\[\]":,0-9eE+\-. truefalsn\\a]{0,24}"#) {
        // A full parser accepts numbers out of range or refuses them; ours has no opinion on size.
        let theirs = serde_json::from_str::<serde::de::IgnoredAny>(&text).is_ok();
        prop_assert_eq!(scan(text.as_bytes(), &watch(&[]), &[]).is_ok(), theirs);
    }

    #[test]
    fn any_value_that_a_serializer_writes_is_sound(text in "\\PC*", number in any::<f64>(), flag in any::<bool>()) {
        let value = serde_json::json!({"a": text, "b": [number, flag, null_or(flag)], "c": {"d": text}});
        let body = serde_json::to_string(&value).unwrap();
        let scan = scan(body.as_bytes(), &watch(&["a", "c.d"]), &[]).unwrap();
        prop_assert_eq!(text_of(body.as_bytes(), scan.hit(0).unwrap()), Some(text.clone()));
        prop_assert_eq!(text_of(body.as_bytes(), scan.hit(1).unwrap()), Some(text));
    }
}

fn null_or(flag: bool) -> Option<bool> {
    flag.then_some(flag)
}
