//! Plain contents: windows, wide characters, dumps.

use crate::support::{Finder, NEEDLE, unpack};
use keyward_scanner::{Bounds, unpack_bytes, unpack_reader, unpack_stream};
use std::io::{self, Cursor, Read};

/// Where windows begin and end, wherever that is: a needle at any place of a large content is found once, and its place
/// is told right.
#[test]
fn large_contents_are_read_without_seams() {
    let size = 5 << 20;
    let line = b"some text that fills the line\n";
    let plain: Vec<u8> = line.iter().copied().cycle().take(size).collect();
    for border in [1 << 20, (1 << 20) + (64 << 10), 2 << 20, 3 << 20, (3 << 20) + (64 << 10)] {
        for shift in [0, 1, 16, NEEDLE.len() - 1, NEEDLE.len()] {
            let at = border - shift;
            let mut content = plain.clone();
            content[at..at + NEEDLE.len()].copy_from_slice(NEEDLE.as_bytes());
            let told = unpack(&content);
            assert_eq!(told.found.len(), 1, "at {at}");
            let before = &content[..at];
            let lines = before.iter().filter(|byte| **byte == b'\n').count();
            let column = at - before.iter().rposition(|byte| *byte == b'\n').unwrap();
            let found = &told.found[0];
            assert_eq!(usize::try_from(found.span.start).unwrap(), at);
            assert_eq!(usize::try_from(found.line).unwrap(), lines + 1);
            assert_eq!(usize::try_from(found.column).unwrap(), column);
        }
    }
}

#[test]
fn one_huge_line_has_columns() {
    let mut content = vec![b'x'; 3 << 20];
    let at = (2 << 20) + 77;
    content[at..at + NEEDLE.len()].copy_from_slice(NEEDLE.as_bytes());
    let told = unpack(&content);
    assert_eq!((told.found[0].line, usize::try_from(told.found[0].column).unwrap()), (1, at + 1));
}

/// A reader that hands out a few bytes at a time.
struct Drips<R>(R);

impl<R: Read> Read for Drips<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let most = into.len().min(7);
        self.0.read(&mut into[..most])
    }
}

#[test]
fn streams_may_come_in_drips() {
    let content = [&b"a\n".repeat(1000)[..], NEEDLE.as_bytes()].concat();
    let mut told = Finder::default();
    unpack_stream(b"-", Drips(&*content), &Bounds::default(), &mut told);
    assert_eq!((told.found[0].line, told.found[0].span.start), (1001, 2000));
}

fn utf16(text: &str, big: bool, mark: bool) -> Vec<u8> {
    let units = mark.then_some(0xfeff).into_iter().chain(text.encode_utf16());
    units.flat_map(|unit: u16| if big { unit.to_be_bytes() } else { unit.to_le_bytes() }).collect()
}

fn utf32(text: &str, big: bool, mark: bool) -> Vec<u8> {
    let units = mark.then_some('\u{feff}').into_iter().chain(text.chars()).map(u32::from);
    units.flat_map(|unit| if big { unit.to_be_bytes() } else { unit.to_le_bytes() }).collect()
}

#[test]
fn wide_characters_are_read_with_and_without_a_mark() {
    let text = format!("first 🦀 line\nkey = {NEEDLE}\n");
    let ordinary = text.replace('🦀', "and");
    for big in [false, true] {
        for (content, unit, mark) in [
            (utf16(&text, big, true), 2, 1),
            (utf16(&ordinary, big, false), 2, 0),
            (utf32(&text, big, true), 4, 1),
            (utf32(&ordinary, big, false), 4, 0),
        ] {
            let told = unpack(&content);
            assert_eq!(told.found.len(), 1, "{unit} {big} {mark}");
            let found = &told.found[0];
            let text = if mark == 1 { &text } else { &ordinary };
            let before: usize = text[..text.find(NEEDLE).unwrap()]
                .chars()
                .map(|one| if unit == 4 { 4 } else { one.len_utf16() * 2 })
                .sum();
            let start = u64::try_from(before + mark * unit).unwrap();
            assert_eq!(found.span, start..start + u64::try_from(NEEDLE.len() * unit).unwrap());
            assert_eq!((found.line, found.column), (2, 7));
        }
    }
}

#[test]
fn large_wide_contents_are_read_without_seams() {
    for shift in [0, 2, 30, 64] {
        let lines = "sixteen letters\n".repeat((1 << 20) / 32 - 1);
        let content = utf16(&format!("{lines}{}{NEEDLE}\n{lines}", "y".repeat(16 - shift / 8)), false, true);
        let told = unpack(&content);
        assert_eq!(told.found.len(), 1);
        let at = memchr::memmem::find(&content, &utf16(NEEDLE, false, false)).unwrap();
        assert_eq!(usize::try_from(told.found[0].span.start).unwrap(), at);
        assert_eq!(usize::try_from(told.found[0].line).unwrap(), (1 << 20) / 32);
    }
}

#[test]
fn wide_texts_among_other_bytes_are_found() {
    let noise: Vec<u8> = (0..5000_u32).map(|at| u8::try_from(at.wrapping_mul(2_654_435_761) >> 24).unwrap()).collect();
    for big in [false, true] {
        for shift in 0..9 {
            let wide = utf16(&format!("key={NEEDLE}"), big, false);
            let content = [&noise[..1000 + shift], &[0, 0, 1], &wide, &[1, 0, 0], &noise].concat();
            let told = unpack(&content);
            let at = u64::try_from(1000 + shift + 3 + 8 + usize::from(big)).unwrap();
            let starts: Vec<_> = told.found.iter().map(|found| found.span.start & !1).collect();
            assert!(starts.iter().any(|start| start.abs_diff(at) <= 1), "{big} {shift} {starts:?}");
        }
    }
}

#[test]
fn latin_1_and_broken_utf_8_are_read_as_they_are() {
    let content = [&b"caf\xe9 \xff\xc3\n"[..], NEEDLE.as_bytes()].concat();
    assert_eq!(unpack(&content).found[0].span.start, 8);
}

fn dump() -> String {
    format!(
        "-- MySQL dump 10.13\nCREATE TABLE `shop_orders` (\n  `id` int NOT NULL DEFAULT '0,1',\n  `note` varchar(20),\n  \
         PRIMARY KEY (`id`)\n);\nINSERT INTO `shop_orders` VALUES (1,'a'),(2,'it\\'s (b), \\\\'),(3,'{NEEDLE}'),(4,'x');\n\
         INSERT INTO `wp_options` VALUES (1,'siteurl','https://example.org','yes'),\
         (2,'ai_key','a:1:{{s:3:\\\"key\\\";s:33:\\\"{NEEDLE}\\\";}}','yes'),(3,'x','y','no');\n\
         INSERT INTO wp_usermeta (umeta_id, user_id, meta_key, meta_value) VALUES\n(7, 1, 'token', '{NEEDLE}');\n\
         SELECT 1; -- {NEEDLE}\n"
    )
}

#[test]
fn dumps_name_table_and_row() {
    let dump = dump();
    let told = unpack(dump.as_bytes());
    assert_eq!(
        told.ways(),
        [
            "shop_orders > id=3 > note",
            "wp_options > option_name=ai_key > option_value",
            "wp_usermeta > meta_key=token > meta_value",
            ""
        ]
    );
    for found in &told.found {
        let span = usize::try_from(found.span.start).unwrap()..usize::try_from(found.span.end).unwrap();
        assert_eq!(&dump[span], NEEDLE, "spans are of the file");
    }
    let wide = unpack(&utf16(&dump, false, true));
    assert_eq!(wide.ways(), told.ways(), "also as PowerShell writes them");
}

#[test]
fn copied_rows_are_named() {
    let text = format!(
        "COPY public.settings (id, name, value) FROM stdin;\n1\ta\tb\n2\tmail_key\t{NEEDLE}\n\\.\n\n{NEEDLE}\n\
         INSERT INTO public.logs VALUES (1, 'it''s', '{NEEDLE}');\n"
    );
    assert_eq!(unpack(text.as_bytes()).ways(), ["settings > name=mail_key > value", "", "logs"]);
}

#[test]
fn rows_of_large_dumps_are_named_across_windows() {
    let rows: Vec<String> =
        (0..90_000).map(|at| format!("({at},'name_{at}','some value of row {at}','yes')")).collect();
    let mut rows = rows;
    for at in [10, 40_000, 89_999] {
        rows[at] = format!("({at},'opt_{at}','{NEEDLE}','no')");
    }
    let text = format!(
        "CREATE TABLE `x_settings` (`n` int, `option_name` text, `v` text, `a` text);\n\
         INSERT INTO `x_settings` VALUES {};\n{NEEDLE}",
        rows.join(",")
    );
    let expected: Vec<_> =
        [10, 40_000, 89_999].iter().map(|at| format!("x_settings > option_name=opt_{at} > v")).collect();
    let told = unpack(text.as_bytes());
    let mut ways = told.ways();
    assert_eq!(ways.pop().unwrap(), "");
    assert_eq!(ways, expected);
}

#[test]
fn a_name_never_shows_what_was_found() {
    let text = format!("INSERT INTO t (id, name, key) VALUES (1, 'n', '{NEEDLE}'), (2, '{NEEDLE}', 'k');\n");
    assert_eq!(unpack(text.as_bytes()).ways(), ["t > name=n > key", "t > key=k > name"]);
}

/// Many finds in one dump take time in proportion, not its square.
#[test]
fn dumps_full_of_finds_are_named() {
    let rows: Vec<String> = (0..8000).map(|at| format!("({at},'{NEEDLE}')")).collect();
    let text = format!("INSERT INTO t (id, v) VALUES {};\n", rows.join(","));
    let mut told = Finder::default();
    unpack_bytes(b"file", text.as_bytes(), &Bounds::default(), &mut told);
    assert_eq!(told.found.len(), 8000);
    assert_eq!(told.ways()[7999], "t > id=7999 > v");
}

/// Text that looks like the beginnings of very many statements takes no longer than other text.
#[test]
fn beginnings_without_end_take_no_time() {
    for part in [
        "CREATE TABLE a(",
        "CREATE TABLE a(b,",
        "INSERT INTO a VALUES (",
        "COPY ",
        "\nCOPY a ",
        "INSERT INTO ",
        "(",
        "'",
    ] {
        let text = format!("{}\n{NEEDLE}", part.repeat((3 << 20) / part.len()));
        let told = unpack(text.as_bytes());
        assert_eq!(told.found.len(), 1, "{part}");
    }
}

#[test]
fn notebooks_and_minified_files_are_plain_text() {
    let notebook = format!(r#"{{"cells":[{{"cell_type":"code","source":["key = \"{NEEDLE}\"\n"]}}]}}"#);
    let mut told = Finder::default();
    unpack_reader(b"a.ipynb", Cursor::new(&notebook), &Bounds::default(), &mut told);
    assert_eq!(told.found.len(), 1);
}
