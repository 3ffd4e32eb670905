use super::*;
use proptest::prelude::*;
use std::sync::Arc;

#[derive(Default, Debug, PartialEq, Eq, Clone)]
struct Log(Vec<String>);

impl Sink for Log {
    fn value(&mut self, id: u16, value: Value<'_>) {
        self.0.push(format!("{id}={value:?}"));
    }

    fn document(&mut self) {
        self.0.push("end".to_owned());
    }
}

fn paths(list: &[&str]) -> Arc<Paths> {
    let mut paths = Paths::default();
    for (id, path) in (0..).zip(list) {
        paths.add(path, id);
    }
    Arc::new(paths)
}

fn read(list: &[&str], pieces: &[&[u8]]) -> Vec<String> {
    let mut tap = Tap::new(Near::of(&paths(list)));
    let mut log = Log::default();
    pieces.iter().for_each(|piece| tap.feed(piece, &mut log));
    tap.end(&mut log);
    log.0
}

/// Reads whole, then split at every place, and expects the same each time.
fn check(list: &[&str], body: &str, expected: &[&str]) {
    let body = body.as_bytes();
    assert_eq!(read(list, &[body]), expected);
    for at in 0..=body.len() {
        let (first, second) = body.split_at(at);
        assert_eq!(read(list, &[first, second]), expected, "split at {at}");
    }
    let bytes: Vec<&[u8]> = body.chunks(1).collect();
    assert_eq!(read(list, &bytes), expected, "byte by byte");
}

#[test]
fn values_at_watched_places_are_told() {
    check(
        &["usage.input", "usage.details.cached", "usage", "model", "skip.me"],
        r#"{"id":"x\"y","usage":{"input": 19,"details":{"cached":1.5e3,"other":[{}]},"t":null},"model":"gp\u0074","n":[[1,"]"]],"skip":{"not":1}}"#,
        &["2=Object", "0=Number(\"19\")", "1=Number(\"1.5e3\")", "3=Text(\"gpt\")", "end"],
    );
}

#[test]
fn elements_and_filters() {
    check(
        &["a[].n", "b[kind=X].v", "c[]"],
        r#"{"a":[{"n":1},{"m":2},{"n":3}],"b":[{"v":1,"kind":"X"},{"kind":"Y","v":2},{"kind":"X","v":3},{"v":4}],"c":[1,{},null]}"#,
        &[
            "0=Number(\"1\")",
            "0=Number(\"3\")",
            "1=Number(\"1\")",
            "1=Number(\"3\")",
            "2=Number(\"1\")",
            "2=Object",
            "2=Null",
            "end",
        ],
    );
    check(
        &["a[k.l=X].v", "a[k.l=X]"],
        r#"{"a":[{"k":{"m":0,"l":"X"},"v":1},{"k":{"l":"Y"},"v":2},{"k":"X","v":3},{"l":"X","v":4},{"v":5,"k":{"l":"X"}}]}"#,
        &["1=Object", "0=Number(\"1\")", "1=Object", "0=Number(\"5\")", "end"],
    );
}

#[test]
fn a_top_level_array_and_a_row_of_documents_are_read_one_by_one() {
    check(&["u"], r#"[{"u":1},{"u":2}]"#, &["0=Number(\"1\")", "end", "0=Number(\"2\")", "end", "end"]);
    check(&["u"], "{\"u\":1}\n{\"u\":2}", &["0=Number(\"1\")", "end", "0=Number(\"2\")", "end"]);
}

#[test]
fn scalars_of_every_kind() {
    check(
        &["a", "b", "c", "d", "e", "f"],
        r#"{"a":true,"b":false,"c":null,"d":[],"e":"","f":-0.1}"#,
        &["0=Bool(true)", "1=Bool(false)", "2=Null", "3=Array", "4=Text(\"\")", "5=Number(\"-0.1\")", "end"],
    );
    check(&[""], "17", &["0=Number(\"17\")", "end"]);
}

#[test]
fn what_is_not_json_tells_nothing_more() {
    for body in ["<html>{\"u\":1}</html>", "{\"x\":nonsense,\"u\":1}", "{u:1}", "}{\"u\":1}"] {
        assert_eq!(read(&["u"], &[body.as_bytes()]), Vec::<String>::new(), "{body}");
    }
    assert_eq!(read(&["u"], &[b"{\"u\":1"]), ["0=Number(\"1\")"], "a document that is cut off has no end");
}

#[test]
fn long_texts_and_keys_are_bounded() {
    let long = "x".repeat(100_000);
    let told = read(&["m", "n"], &[format!(r#"{{"{long}":1,"m":"{long}","n":2}}"#).as_bytes()]);
    assert_eq!(told.len(), 3);
    assert!(told[0].len() < 600 && told[1] == "1=Number(\"2\")");
    let mut deep = "{\"a\":".repeat(10_000);
    deep.push('1');
    deep.push_str(&"}".repeat(10_000));
    assert_eq!(read(&["b"], &[deep.as_bytes()]), ["end"]);
}

proptest! {
    #[test]
    fn any_split_reads_the_same(
        text in "[a-z\"\\\\\u{e9}\u{1F600}]{0,12}",
        numbers in proptest::collection::vec(any::<i32>(), 0..4),
        cuts in proptest::collection::vec(any::<prop::sample::Index>(), 0..5),
    ) {
        let body = serde_json::json!({"noise": {"t": text, "l": numbers}, "list": [{"v": text, "k": "K"}, {"v": 1, "k": "L"}], "u": {"n": numbers.len(), "t": text}}).to_string();
        let list = ["u.n", "u.t", "list[k=K].v", "list[]"];
        let whole = read(&list, &[body.as_bytes()]);
        let mut places: Vec<usize> = cuts.iter().map(|cut| cut.index(body.len() + 1)).collect();
        places.sort_unstable();
        let mut pieces = Vec::new();
        let mut from = 0;
        for place in places {
            pieces.push(&body.as_bytes()[from..place]);
            from = place;
        }
        pieces.push(&body.as_bytes()[from..]);
        prop_assert!(whole.contains(&format!("1=Text({text:?})")), "{:?}", whole);
        prop_assert_eq!(read(&list, &pieces), whole);
    }

    #[test]
    fn no_bytes_make_it_panic(pieces in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..40), 0..5)) {
        let pieces: Vec<&[u8]> = pieces.iter().map(Vec::as_slice).collect();
        let _ = read(&["a.b", "a[].c", "a[k=v].d"], &pieces);
    }
}
