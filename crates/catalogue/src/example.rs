//! Examples of provider files as the bytes that travel: tests and emulators send them.

use keyward_domain::{digest, provider::Example};

/// The content type of AWS's binary event streams.
pub const EVENT_STREAM: &str = "application/vnd.amazon.eventstream";
/// The content type under which examples list the messages of a WebSocket, one a line.
pub const MESSAGES: &str = "application/x-ndjson";

/// The body as it travels: text as it stands, events of AWS's streams in their binary frames.
#[must_use]
pub fn body(example: &Example) -> Vec<u8> {
    if &*example.content_type != EVENT_STREAM {
        return example.body.as_bytes().to_vec();
    }
    crate::reading::events(&example.body)
        .into_iter()
        .flat_map(|event| event_frame(event.name.as_deref().unwrap_or("chunk"), event.data.as_bytes()))
        .collect()
}

/// One frame of AWS's event stream: an event with a JSON payload.
#[must_use]
pub fn event_frame(name: &str, payload: &[u8]) -> Vec<u8> {
    let mut headers = Vec::new();
    for (key, value) in [(":event-type", name), (":content-type", "application/json"), (":message-type", "event")] {
        headers.push(u8::try_from(key.len()).unwrap_or(u8::MAX));
        headers.extend(key.as_bytes());
        headers.push(7); // a string
        headers.extend(u16::try_from(value.len()).unwrap_or(u16::MAX).to_be_bytes());
        headers.extend(value.as_bytes());
    }
    let word = |number: usize| u32::try_from(number).unwrap_or(u32::MAX).to_be_bytes();
    // Total length, header length and their checksum; headers; payload; the checksum of all.
    let mut frame = Vec::with_capacity(16 + headers.len() + payload.len());
    frame.extend(word(16 + headers.len() + payload.len()));
    frame.extend(word(headers.len()));
    frame.extend(digest::crc32(&frame).to_be_bytes());
    frame.extend(headers);
    frame.extend(payload);
    frame.extend(digest::crc32(&frame).to_be_bytes());
    frame
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_has_its_lengths_and_checksums() {
        let frame = event_frame("metadata", br#"{"usage":{}}"#);
        let word = |at: usize| u32::from_be_bytes(frame[at..at + 4].try_into().unwrap());
        let (total, headers) = (word(0) as usize, word(4) as usize);
        assert_eq!(total, frame.len());
        assert_eq!(word(8), digest::crc32(&frame[..8]));
        assert_eq!(word(total - 4), digest::crc32(&frame[..total - 4]));
        assert_eq!(&frame[12 + headers..total - 4], br#"{"usage":{}}"#);
        assert_eq!(&frame[12..24], b"\x0b:event-type");
        assert_eq!(&frame[24..27], b"\x07\x00\x08");
    }
}
