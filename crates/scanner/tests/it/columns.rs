//! Columns as editors count them: in UTF-16 code units, whatever the file is written in.

use keyward_catalogue::{Catalogue, sample};
use keyward_scanner::{Bounds, Matcher, Search, Seen, unpack_bytes, unpack_stream};
use std::sync::LazyLock;

static MATCHER: LazyLock<Matcher> = LazyLock::new(|| Matcher::new(&Catalogue::embedded().unwrap()));

fn key() -> String {
    let catalogue = Catalogue::embedded().unwrap();
    let shape = catalogue.shapes().iter().find(|one| &*one.provider == "anthropic" && one.context.is_empty()).unwrap();
    sample::text(&shape.pattern, 3).unwrap()
}

fn seen(bytes: &[u8]) -> Vec<Seen> {
    let mut search = Search::new(&MATCHER, b"");
    unpack_bytes(b"", bytes, &Bounds::default(), &mut search);
    let found = search.finish().0;
    let mut search = Search::new(&MATCHER, b"");
    unpack_stream(b"", bytes, &Bounds::default(), &mut search);
    let places = |found: &[Seen]| found.iter().map(|one| (one.line, one.units, one.end)).collect::<Vec<_>>();
    assert_eq!(places(&found), places(&search.finish().0));
    found
}

#[test]
fn a_column_is_a_place_among_utf_16_code_units() {
    let key = key();
    let long = u64::try_from(key.len()).unwrap();
    for (before, bytes, units) in [
        ("k=", 3, 3),
        ("\t\"", 3, 3),
        ("ä=", 4, 3),
        ("数据=", 8, 4),
        ("🔑🔑=", 10, 6),
        ("e\u{301}=", 5, 4),
        ("\u{feff}k=", 6, 3),
    ] {
        let found = seen(format!("{before}{key}\n").as_bytes());
        assert_eq!((found[0].line, found[0].column, found[0].units), (1, bytes, units), "{before:?}");
        assert_eq!(found[0].end, (1, units + long), "{before:?}");
        let second = seen(format!("ü🔑\r\n{before}{key}").as_bytes());
        // Only at the front of a file it is a mark.
        let units = if before.starts_with('\u{feff}') { 4 } else { units };
        assert_eq!((second[0].line, second[0].units, second[0].end), (2, units, (2, units + long)), "{before:?}");
    }
}

#[test]
fn files_in_other_characters_have_the_same_columns() {
    let key = key();
    let text = format!("ü\nü🔑={key}\n");
    for (big, mark) in [(false, true), (true, true), (false, false)] {
        let units = mark.then_some(0xfeff).into_iter().chain(text.encode_utf16());
        let bytes: Vec<u8> =
            units.flat_map(|unit: u16| if big { unit.to_be_bytes() } else { unit.to_le_bytes() }).collect();
        let found = seen(&bytes);
        assert_eq!((found[0].line, found[0].units), (2, 5), "{big} {mark}");
    }
    // Latin-1: an editor shows a sign for each byte that is no character.
    let found = seen(&[b"\xfc\xe9\xe0=", key.as_bytes()].concat());
    assert_eq!((found[0].column, found[0].units), (5, 5));
}

#[test]
fn long_lines_have_columns_beyond_their_first_window() {
    let key = key();
    let before = "ä🔑 ".repeat((2 << 20) / 7);
    let found = seen(format!("first\n{before}{key}").as_bytes());
    let units = u64::try_from(before.encode_utf16().count()).unwrap() + 1;
    assert_eq!((found[0].line, found[0].units), (2, units));
}

#[test]
fn a_secret_of_several_lines_ends_where_it_ends() {
    let body: String = (0..6).map(|seed| sample::text("[A-Za-z0-9+/]{64}", seed).unwrap() + "\n").collect();
    let block = format!("-----BEGIN RSA PRIVATE KEY{0}\n{body}{0}END RSA PRIVATE KEY{0}", "-----");
    let found = seen(format!("ä {block} and more").as_bytes());
    let last = block.lines().last().unwrap().len();
    assert_eq!((found[0].line, found[0].units), (1, 3));
    assert_eq!(found[0].end, (8, u64::try_from(last).unwrap() + 1));
}
