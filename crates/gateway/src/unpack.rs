//! Looking into compressed bodies: gzip and deflate, whole or as they pass by. What goes on is never repacked.

use flate2::{
    Decompress, FlushDecompress, Status,
    read::MultiGzDecoder as MultiGzReader,
    write::{MultiGzDecoder, ZlibDecoder},
};
use http::{HeaderMap, header};
use std::io::{self, Read, Write};

/// So much packed input is worked on at once: what comes out of it is at most about a thousand times as long.
const STEP: usize = 4 << 10;

/// How a body is packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Packing {
    /// Not at all.
    None,
    /// gzip.
    Gzip,
    /// zlib, which HTTP calls deflate.
    Deflate,
    /// In a way that is not known here, or in several ways.
    Other,
}

/// How a message's headers say that its body is packed.
#[must_use]
pub fn packing(headers: &HeaderMap) -> Packing {
    let mut found = Packing::None;
    for value in headers.get_all(header::CONTENT_ENCODING) {
        for name in value.as_bytes().split(|byte| *byte == b',').map(<[u8]>::trim_ascii) {
            let this = match name {
                name if name.is_empty() || name.eq_ignore_ascii_case(b"identity") => continue,
                name if name.eq_ignore_ascii_case(b"gzip") || name.eq_ignore_ascii_case(b"x-gzip") => Packing::Gzip,
                name if name.eq_ignore_ascii_case(b"deflate") => Packing::Deflate,
                _ => Packing::Other,
            };
            found = if found == Packing::None { this } else { Packing::Other };
        }
    }
    found
}

/// Why a body cannot be unpacked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unpackable {
    /// It is not what it says, or not whole.
    Broken,
    /// It is longer than it may be.
    TooLarge,
}

/// Unpacks a whole body of at most `limit` bytes.
///
/// # Errors
/// [`Unpackable`]: what is wrong with it.
pub fn whole(packing: Packing, body: &[u8], limit: u64) -> Result<Vec<u8>, Unpackable> {
    let mut all = Vec::new();
    match packing {
        Packing::Gzip => {
            let mut reader = MultiGzReader::new(body).take(limit.saturating_add(1));
            reader.read_to_end(&mut all).map_err(|_| Unpackable::Broken)?;
        }
        Packing::Deflate => inflate(body, limit, &mut all)?,
        Packing::None | Packing::Other => return Err(Unpackable::Broken),
    }
    if all.len() as u64 > limit { Err(Unpackable::TooLarge) } else { Ok(all) }
}

/// Unpacks zlib until its end, which must be the end of the body; stops soon after the limit.
fn inflate(body: &[u8], limit: u64, all: &mut Vec<u8>) -> Result<(), Unpackable> {
    let mut decoder = Decompress::new(true);
    loop {
        let at = usize::try_from(decoder.total_in()).unwrap_or(usize::MAX);
        let rest = body.get(at..).unwrap_or_default();
        let before = (decoder.total_in(), decoder.total_out());
        all.reserve(STEP * 4);
        let status = decoder.decompress_vec(rest, all, FlushDecompress::None).map_err(|_| Unpackable::Broken)?;
        let ended = decoder.total_in() == body.len() as u64;
        match status {
            Status::StreamEnd if ended => return Ok(()),
            _ if all.len() as u64 > limit => return Err(Unpackable::TooLarge),
            Status::StreamEnd => return Err(Unpackable::Broken),
            Status::Ok | Status::BufError => {
                if before == (decoder.total_in(), decoder.total_out()) {
                    return Err(Unpackable::Broken);
                }
            }
        }
    }
}

/// A body that is unpacked as it passes by.
#[derive(Debug)]
pub struct Stream(Decoder);

#[derive(Debug)]
enum Decoder {
    Gzip(MultiGzDecoder<Vec<u8>>),
    Deflate(ZlibDecoder<Vec<u8>>),
    /// Not what it said it was.
    Broken,
}

impl Stream {
    /// A stream for a kind of packing; `None` when nothing is packed, or in a way that is not known.
    #[must_use]
    pub fn new(packing: Packing) -> Option<Self> {
        match packing {
            Packing::Gzip => Some(Self(Decoder::Gzip(MultiGzDecoder::new(Vec::new())))),
            Packing::Deflate => Some(Self(Decoder::Deflate(ZlibDecoder::new(Vec::new())))),
            Packing::None | Packing::Other => None,
        }
    }

    /// Unpacks a piece. What comes out is shown in pieces.
    pub fn feed(&mut self, piece: &[u8], out: &mut impl FnMut(&[u8])) {
        for part in piece.chunks(STEP) {
            self.step(|writer| writer.write_all(part).and_then(|()| writer.flush()), out);
        }
    }

    /// Says that no more comes.
    pub fn finish(&mut self, out: &mut impl FnMut(&[u8])) {
        // What is cut off has shown all it had; nobody needs its checksum.
        self.step(|writer| writer.flush(), out);
    }

    fn step(&mut self, work: impl FnOnce(&mut dyn Write) -> io::Result<()>, out: &mut impl FnMut(&[u8])) {
        let done = match &mut self.0 {
            Decoder::Gzip(decoder) => {
                let done = work(decoder);
                drain(decoder.get_mut(), out);
                done
            }
            Decoder::Deflate(decoder) => {
                let done = work(decoder);
                drain(decoder.get_mut(), out);
                done
            }
            Decoder::Broken => return,
        };
        if done.is_err() {
            self.0 = Decoder::Broken;
        }
    }
}

fn drain(buffer: &mut Vec<u8>, out: &mut impl FnMut(&[u8])) {
    if !buffer.is_empty() {
        out(buffer);
        buffer.clear();
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use flate2::{
        Compression,
        write::{GzEncoder, ZlibEncoder},
    };
    use http::HeaderValue;

    pub(crate) fn gzip(text: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(text).expect("packed");
        encoder.finish().expect("packed")
    }

    fn deflate(text: &[u8]) -> Vec<u8> {
        let mut encoder = ZlibEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(text).expect("packed");
        encoder.finish().expect("packed")
    }

    #[test]
    fn bodies_are_unpacked_whole_and_in_pieces() {
        let text = "some text that is repeated, ".repeat(3_000);
        for (packing, packed) in [(Packing::Gzip, gzip(text.as_bytes())), (Packing::Deflate, deflate(text.as_bytes()))]
        {
            assert!(whole(packing, &packed, text.len() as u64) == Ok(text.clone().into_bytes()), "{packing:?}");
            assert_eq!(whole(packing, &packed, text.len() as u64 - 1), Err(Unpackable::TooLarge));
            for cut in [1, 5, 9, 30] {
                let short = packed.get(..packed.len() - cut).expect("long enough");
                assert!(whole(packing, short, u64::MAX) == Err(Unpackable::Broken), "{packing:?} cut by {cut}");
            }
            assert_eq!(whole(packing, b"not packed at all", u64::MAX), Err(Unpackable::Broken));
            for size in [1, 7, 1_000] {
                let mut stream = Stream::new(packing).expect("known");
                let mut out = Vec::new();
                for piece in packed.chunks(size) {
                    stream.feed(piece, &mut |piece: &[u8]| out.extend_from_slice(piece));
                }
                stream.finish(&mut |piece: &[u8]| out.extend_from_slice(piece));
                assert!(out == text.as_bytes(), "{packing:?} in pieces of {size}");
            }
        }
        let two = [gzip(b"one "), gzip(b"two")].concat();
        assert_eq!(whole(Packing::Gzip, &two, 100), Ok(b"one two".to_vec()), "several members are one body");
    }

    #[test]
    fn a_bomb_stops_at_the_limit() {
        let zeros = vec![0; 20 << 20];
        assert!(whole(Packing::Gzip, &gzip(&zeros), 1 << 20) == Err(Unpackable::TooLarge));
        assert!(whole(Packing::Deflate, &deflate(&zeros), 1 << 20) == Err(Unpackable::TooLarge));
    }

    #[test]
    fn headers_say_how_a_body_is_packed() {
        for (values, packing_found) in [
            (&[][..], Packing::None),
            (&["identity"], Packing::None),
            (&["GZIP"], Packing::Gzip),
            (&["x-gzip"], Packing::Gzip),
            (&["deflate"], Packing::Deflate),
            (&["br"], Packing::Other),
            (&["gzip, gzip"], Packing::Other),
            (&["identity", "gzip"], Packing::Gzip),
            (&["gzip", "br"], Packing::Other),
        ] {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(header::CONTENT_ENCODING, HeaderValue::from_static(value));
            }
            assert_eq!(packing(&headers), packing_found, "{values:?}");
        }
    }
}
