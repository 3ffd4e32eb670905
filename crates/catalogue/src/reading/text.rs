//! The text forms that answers come in: server-sent events and base64.

/// A server-sent event.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Event {
    /// Its name, when it has one.
    pub name: Option<String>,
    /// Its data lines, joined by newlines.
    pub data: String,
}

/// Splits a stream into its events. Comments and events without data are left out.
#[must_use]
pub fn events(stream: &str) -> Vec<Event> {
    let mut events = Vec::new();
    let mut name = None;
    let mut data: Vec<&str> = Vec::new();
    // The empty line at the end closes an event that the stream left open.
    for line in stream.lines().chain([""]) {
        if line.is_empty() {
            if !data.is_empty() {
                events.push(Event { name: name.take(), data: data.join("\n") });
            }
            name = None;
            data.clear();
            continue;
        }
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "event" => name = Some(value.to_owned()),
            "data" => data.push(value),
            _ => {}
        }
    }
    events
}

/// Decodes base64 with the usual alphabet into text; `None` when it is not that.
pub(super) fn from_base64(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len() / 4 * 3);
    let (mut bits, mut held) = (0_u32, 0_u32);
    for byte in text.trim_end_matches('=').bytes() {
        let value = match byte {
            b'A'..=b'Z' => byte - b'A',
            b'a'..=b'z' => byte - b'a' + 26,
            b'0'..=b'9' => byte - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => return None,
        };
        bits = (bits << 6) | u32::from(value);
        held += 6;
        if held >= 8 {
            held -= 8;
            bytes.push(u8::try_from((bits >> held) & 0xff).ok()?);
        }
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_split_at_empty_lines() {
        let stream = ": hello\n\nevent: a\ndata: 1\ndata: 2\n\ndata:3\r\n\r\nevent: none\n\nid: 7\ndata: [DONE]";
        let found: Vec<_> = events(stream).into_iter().map(|event| (event.name, event.data)).collect();
        let expected = [(Some("a"), "1\n2"), (None, "3"), (None, "[DONE]")];
        assert_eq!(found, expected.map(|(name, data)| (name.map(str::to_owned), data.to_owned())));
    }

    #[test]
    fn base64_decodes() {
        for (text, expected) in
            [("", ""), ("Zg==", "f"), ("Zm8=", "fo"), ("Zm9v", "foo"), ("eyJhIjoxfQ==", "{\"a\":1}")]
        {
            assert_eq!(from_base64(text).as_deref(), Some(expected));
        }
        assert_eq!(from_base64("a b"), None);
    }
}
