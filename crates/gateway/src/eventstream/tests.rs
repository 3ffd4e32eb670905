use super::*;
use proptest::prelude::*;

#[derive(Default, Debug, PartialEq, Eq)]
struct Log {
    headers: Vec<(String, String)>,
    payload: Vec<u8>,
    frames: Vec<bool>,
}

impl Frames for Log {
    fn header(&mut self, name: &str, value: &str) {
        self.headers.push((name.to_owned(), value.to_owned()));
    }

    fn payload(&mut self, piece: &[u8]) {
        self.payload.extend_from_slice(piece);
    }

    fn frame(&mut self, sound: bool) {
        self.frames.push(sound);
    }
}

fn read(pieces: &[&[u8]]) -> (Log, Reader) {
    let (mut log, mut reader) = (Log::default(), Reader::default());
    pieces.iter().for_each(|piece| reader.feed(piece, &mut log));
    (log, reader)
}

fn two() -> Vec<u8> {
    let mut bytes = encode(&[(":event-type", "metadata"), (":message-type", "event")], b"{\"a\":1}");
    bytes.extend(encode(&[], b""));
    bytes
}

#[test]
fn frames_are_read_whole_and_in_pieces() {
    let bytes = two();
    let (whole, reader) = read(&[&bytes]);
    assert_eq!(whole.headers.first(), Some(&(":event-type".to_owned(), "metadata".to_owned())));
    assert_eq!((whole.payload.as_slice(), whole.frames.as_slice()), (&b"{\"a\":1}"[..], &[true, true][..]));
    assert!(reader.at_boundary());
    for at in 0..=bytes.len() {
        let (first, second) = bytes.split_at(at);
        assert_eq!(read(&[first, second]).0, whole, "split at {at}");
    }
}

#[test]
fn a_known_frame_is_read() {
    // The documentation's smallest message: no headers, no payload.
    let bytes = [0, 0, 0, 16, 0, 0, 0, 0, 0x05, 0xC2, 0x48, 0xEB, 0x7D, 0x98, 0xC8, 0xFF];
    assert_eq!(read(&[&bytes]).0.frames, [true]);
    assert_eq!(encode(&[], b""), bytes);
}

#[test]
fn damage_is_noticed() {
    let mut payload = two();
    let last = payload.len() - 20;
    payload[last] ^= 1;
    assert_eq!(read(&[&payload]).0.frames.first(), Some(&false));
    let mut length = two();
    length[3] ^= 1;
    let (log, reader) = read(&[&length]);
    assert!(reader.is_broken() && log.frames.is_empty());
    let (log, reader) = read(&[b"data: {\"not\":\"frames\"}\n\n"]);
    assert!(reader.is_broken() && log == Log::default());
}

#[test]
fn headers_of_all_kinds_are_stepped_over() {
    let mut bytes = vec![1, b'b', 0];
    for (kind, length) in [(2_u8, 1), (3, 2), (4, 4), (5, 8), (8, 8), (9, 16)] {
        bytes.extend([1, b'x', kind]);
        bytes.extend(vec![7; length]);
    }
    bytes.extend([1, b'y', 6, 0, 2, 1, 1]);
    bytes.extend([1, b'z', 7, 0, 2, b'o', b'k']);
    let mut told = Vec::new();
    for_each_header(&bytes, |name, value| told.push((name.to_owned(), value.to_owned())));
    assert_eq!(told, [("z".to_owned(), "ok".to_owned())]);
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = read(&[&bytes]);
        for_each_header(&bytes, |_, _| {});
    }
}
