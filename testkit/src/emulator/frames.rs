//! AWS's binary event stream: length-prefixed frames, each with two checksums.

use bytes::Bytes;
use keyward_domain::digest::crc32;
use serde_json::Value;

/// An event's frame.
pub(super) fn event(name: &str, payload: &Value) -> Bytes {
    frame(&[(":event-type", name), (":content-type", "application/json"), (":message-type", "event")], payload)
}

/// An exception's frame.
pub(super) fn exception(name: &str, payload: &Value) -> Bytes {
    frame(&[(":exception-type", name), (":content-type", "application/json"), (":message-type", "exception")], payload)
}

fn frame(headers: &[(&str, &str)], payload: &Value) -> Bytes {
    const STRING: u8 = 7;
    let short = |length: usize| u16::try_from(length).expect("a header is short").to_be_bytes();
    let long = |length: usize| u32::try_from(length).expect("a frame is short").to_be_bytes();
    let mut head = Vec::new();
    for (name, value) in headers {
        head.push(u8::try_from(name.len()).expect("a header's name is short"));
        head.extend(name.as_bytes());
        head.push(STRING);
        head.extend(short(value.len()));
        head.extend(value.as_bytes());
    }
    let payload = payload.to_string();
    let mut out = Vec::new();
    out.extend(long(12 + head.len() + payload.len() + 4));
    out.extend(long(head.len()));
    out.extend(crc32(&out).to_be_bytes());
    out.extend(head);
    out.extend(payload.as_bytes());
    out.extend(crc32(&out).to_be_bytes());
    Bytes::from(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_has_the_lengths_and_checksums_of_the_format() {
        let frame = event("messageStop", &serde_json::json!({"stopReason": "end_turn"}));
        let number = |at: usize| u32::from_be_bytes(frame[at..at + 4].try_into().expect("four bytes"));
        assert_eq!(number(0) as usize, frame.len());
        assert_eq!(number(8), crc32(&frame[..8]));
        assert_eq!(number(frame.len() - 4), crc32(&frame[..frame.len() - 4]));
        let payload = &frame[12 + number(4) as usize..frame.len() - 4];
        assert_eq!(payload, br#"{"stopReason":"end_turn"}"#);
    }
}
