//! The decoder against tables, every split, and random chunkings.

use super::*;
use proptest::prelude::*;

/// Feeds the input in pieces of the given size and collects the payload.
fn run(framing: Framing, input: &[u8], piece: usize) -> Result<(Vec<u8>, usize, bool, Vec<u8>), Broken> {
    let mut decoder = Decoder::new(framing);
    let (mut payload, mut consumed) = (Vec::new(), 0);
    for part in input.chunks(piece.max(1)) {
        let mut buffer = part.to_vec();
        let decoded = decoder.decode(&mut buffer)?;
        payload.extend_from_slice(&buffer[..decoded.payload]);
        consumed += decoded.consumed;
        if decoder.is_done() {
            break;
        }
        assert_eq!(decoded.consumed, part.len(), "only the end leaves bytes over");
    }
    let trailers = decoder.trailers();
    Ok((payload, consumed, decoder.is_done(), trailers))
}

#[test]
fn good_chunks_decode_however_they_are_split() {
    let rows: [(&[u8], &[u8], &[u8]); 6] = [
        (b"0\r\n\r\n", b"", b""),
        (b"5\r\nhello\r\n0\r\n\r\n", b"hello", b""),
        (b"5;a=b;c=\"d\"\r\nhello\r\n6 \t\r\n world\r\n000\r\n\r\n", b"hello world", b""),
        (b"A\r\n0123456789\r\na\r\n0123456789\r\n0\r\n\r\n", b"01234567890123456789", b""),
        (b"1\r\nx\r\n0\r\nx-sum: 1\r\n\r\n", b"x", b"x-sum: 1\r\n\r\n"),
        (b"0000000000000001\r\n\r\r\n0\r\na: b\r\nc: d\r\n\r\n", b"\r", b"a: b\r\nc: d\r\n\r\n"),
    ];
    for (input, payload, trailers) in rows {
        for piece in 1..=input.len() {
            let mut with_rest = input.to_vec();
            with_rest.extend_from_slice(b"HTTP/1.1 200");
            let read = run(Framing::Chunked, &with_rest, piece).expect("well-formed");
            assert_eq!(read, (payload.to_vec(), input.len(), true, trailers.to_vec()), "split by {piece}");
        }
    }
}

#[test]
fn bad_chunks_are_refused() {
    let rows: [(&[u8], Broken); 13] = [
        (b"\r\n", Broken::ChunkSize),
        (b"g\r\n", Broken::ChunkSize),
        (b"-1\r\n", Broken::ChunkSize),
        (b"+5\r\nhello", Broken::ChunkSize),
        (b"0x5\r\nhello", Broken::ChunkSize),
        (b" 5\r\nhello", Broken::ChunkSize),
        (b"5\nhello\r\n", Broken::ChunkSize),
        (b"5;x\nhello\r\n", Broken::ChunkSize),
        (b"5\r\rhello", Broken::ChunkSize),
        (b"00000000000000005\r\nhello", Broken::ChunkSize),
        (b"5\r\nhello!\r\n", Broken::ChunkEnd),
        (b"5\r\nhello\n0\r\n\r\n", Broken::ChunkEnd),
        (b"5 6\r\nhello\r\n", Broken::ChunkSize),
    ];
    for (input, error) in rows {
        for piece in 1..=input.len() {
            assert_eq!(run(Framing::Chunked, input, piece), Err(error), "{:?}", String::from_utf8_lossy(input));
        }
    }
    let long = [b"5;".as_slice(), &vec![b'x'; MAX_EXTENSIONS + 1]].concat();
    assert_eq!(run(Framing::Chunked, &long, 1000), Err(Broken::Extensions));
    let trailers = [b"0\r\n".as_slice(), &vec![b'x'; MAX_TRAILERS + 1]].concat();
    assert_eq!(run(Framing::Chunked, &trailers, 1000), Err(Broken::Trailers));
}

#[test]
fn an_early_close_is_noticed_unless_it_is_the_end() {
    for input in [b"".as_slice(), b"5\r\nhel", b"5\r\nhello\r\n", b"0\r\n", b"0\r\na: b\r\n"] {
        let mut decoder = Decoder::new(Framing::Chunked);
        decoder.decode(&mut input.to_vec()).expect("so far so good");
        assert_eq!(decoder.close(), Err(Broken::Early));
    }
    let mut length = Decoder::new(Framing::Length(5));
    length.decode(&mut b"hell".to_vec()).unwrap();
    assert_eq!(length.close(), Err(Broken::Early));
    length.decode(&mut b"o".to_vec()).unwrap();
    assert_eq!(length.close(), Ok(()));
    let mut open = Decoder::new(Framing::UntilClose);
    assert_eq!(open.decode(&mut b"hello".to_vec()).unwrap(), Decoded { payload: 5, consumed: 5 });
    assert!(!open.is_done());
    assert_eq!(open.close(), Ok(()));
    assert!(open.is_done());
}

#[test]
fn a_length_leaves_what_comes_after_it() {
    for piece in 1..=8 {
        let read = run(Framing::Length(5), b"helloHTTP", piece).unwrap();
        assert_eq!((read.0.as_slice(), read.1, read.2), (b"hello".as_slice(), 5, true));
    }
    assert!(Decoder::new(Framing::Length(0)).is_done());
}

proptest! {
    #[test]
    fn any_chunking_of_any_payload_reads_back(
        chunks in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..200), 0..20),
        upper in any::<bool>(),
        piece in 1_usize..300,
    ) {
        let mut wire = Vec::new();
        for chunk in &chunks {
            let size = if upper { format!("{:X}\r\n", chunk.len()) } else { format!("{:x}\r\n", chunk.len()) };
            wire.extend_from_slice(size.as_bytes());
            wire.extend_from_slice(chunk);
            wire.extend_from_slice(b"\r\n");
        }
        wire.extend_from_slice(b"0\r\n\r\n");
        let (payload, consumed, done, trailers) = run(Framing::Chunked, &wire, piece).expect("well-formed");
        prop_assert_eq!(payload, chunks.concat());
        prop_assert_eq!((consumed, done, trailers.is_empty()), (wire.len(), true, true));
    }

    #[test]
    fn garbage_never_panics_and_never_grows(input in prop::collection::vec(any::<u8>(), 0..400), piece in 1_usize..50) {
        if let Ok((payload, consumed, ..)) = run(Framing::Chunked, &input, piece) {
            prop_assert!(payload.len() <= consumed && consumed <= input.len());
        }
    }
}
