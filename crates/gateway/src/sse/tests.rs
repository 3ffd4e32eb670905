use super::*;
use proptest::prelude::*;

#[derive(Default)]
struct Log {
    name: Option<String>,
    data: Vec<u8>,
}

impl Events for Log {
    fn name(&mut self, name: &[u8]) {
        self.name = Some(String::from_utf8_lossy(name).into_owned());
    }

    fn data(&mut self, piece: &[u8]) {
        self.data.extend_from_slice(piece);
    }
}

type Event = (Option<String>, String);

fn read(pieces: &[&[u8]]) -> Vec<Event> {
    let mut splitter = Splitter::default();
    let mut log = Log::default();
    let mut all = Vec::new();
    for piece in pieces {
        let mut rest = *piece;
        while !rest.is_empty() {
            let (used, ended) = splitter.feed(rest, &mut log);
            assert!(used > 0 || ended);
            rest = &rest[used..];
            if ended {
                let done = std::mem::take(&mut log);
                if done.name.is_some() || !done.data.is_empty() {
                    all.push((done.name, String::from_utf8(done.data).expect("text")));
                }
            }
        }
    }
    all
}

fn event(name: Option<&str>, data: &str) -> Event {
    (name.map(ToOwned::to_owned), data.to_owned())
}

#[test]
fn events_are_split_whatever_the_line_ends_and_the_pieces() {
    let expected = [
        event(None, "one"),
        event(Some("two"), "a\nb"),
        event(None, " spaced"),
        event(Some("x"), ""),
        event(None, "last: colon"),
    ];
    for end in ["\n", "\r\n", "\r"] {
        let text = ": comment\n\n: OPENROUTER PROCESSING\ndata: one\n\nevent: two\ndata:a\nid: 7\ndata: b\n\ndata:  spaced\n\nretry: 5\nevent: x\n\nnonsense\ndata: last: colon\n\ndata: never ended\n"
            .replace('\n', end);
        let bytes = text.as_bytes();
        assert_eq!(read(&[bytes]), expected, "{end:?}");
        for at in 0..=bytes.len() {
            let (first, second) = bytes.split_at(at);
            assert_eq!(read(&[first, second]), expected, "{end:?} split at {at}");
        }
        assert_eq!(read(&bytes.chunks(1).collect::<Vec<_>>()), expected, "{end:?} byte by byte");
    }
}

#[test]
fn a_byte_order_mark_at_the_start_does_not_count() {
    assert_eq!(read(&[b"\xEF\xBB\xBFdata: x\n\n"]), [event(None, "x")]);
    assert_eq!(read(&[b"\xEF", b"\xBB", b"\xBFdata: x\n\n"]), [event(None, "x")]);
}

#[test]
fn boundaries_are_known() {
    let mut splitter = Splitter::default();
    let mut log = Log::default();
    assert!(splitter.at_boundary());
    splitter.feed(b"data: x", &mut log);
    assert!(!splitter.at_boundary() && splitter.in_event());
    splitter.feed(b"\n\n", &mut log);
    assert!(splitter.at_boundary() && !splitter.in_event());
    splitter.feed(b": comm", &mut log);
    assert!(!splitter.at_boundary() && !splitter.in_event(), "a comment is no event");
    splitter.feed(b"ent\n", &mut log);
    assert!(splitter.at_boundary());
}

#[test]
fn the_quick_look_finds_ends() {
    for (bytes, end) in [
        (&b"data: x\n\nmore"[..], Some(9)),
        (b"data: x\r\n\r\n", Some(11)),
        (b"data: x\ndata: y\n\n", Some(17)),
        (b"data: x\n", None),
        (b"data: x\n\r", None),
        (b"data: x", None),
        (b"", None),
    ] {
        assert_eq!(event_end(bytes), end, "{}", String::from_utf8_lossy(bytes));
    }
}

proptest! {
    #[test]
    fn any_split_reads_the_same(text in "[data: \n\r:evnt]{0,60}", cut in any::<prop::sample::Index>()) {
        let bytes = text.as_bytes();
        let (first, second) = bytes.split_at(cut.index(bytes.len() + 1));
        prop_assert_eq!(read(&[first, second]), read(&[bytes]));
    }
}
