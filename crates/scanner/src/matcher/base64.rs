//! Base64, both alphabets, read as far as it goes.

/// The six bits of a character.
pub(super) const fn bits(byte: u8) -> Option<u32> {
    Some(match byte {
        b'A'..=b'Z' => byte - b'A',
        b'a'..=b'z' => byte - b'a' + 26,
        b'0'..=b'9' => byte - b'0' + 52,
        b'+' | b'-' => 62,
        b'/' | b'_' => 63,
        _ => return None,
    } as u32)
}

/// Decodes until the text ends or a character is none of base64's.
pub(super) fn decode(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len() / 4 * 3 + 2);
    let (mut held, mut count) = (0_u32, 0_u32);
    for bits in text.iter().map_while(|byte| bits(*byte)) {
        held = held << 6 | bits;
        count += 6;
        if count >= 8 {
            count -= 8;
            out.push(u8::try_from(held >> count & 0xff).unwrap_or(0));
            held &= (1 << count) - 1;
        }
    }
    out
}

/// Encodes, without padding.
pub(super) fn encode(bytes: &[u8]) -> Vec<u8> {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = Vec::with_capacity(bytes.len().div_ceil(3) * 4);
    for group in bytes.chunks(3) {
        let held = (0..3).fold(0_u32, |held, at| held << 8 | u32::from(group.get(at).copied().unwrap_or(0)));
        for sextet in 0..=group.len() {
            let bits = held >> (18 - 6 * sextet) & 63;
            out.extend(ALPHABET.get(bits as usize));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_texts_are_read() {
        assert_eq!(decode(b"T3BlbkFJ"), b"OpenAI");
        assert_eq!(decode(b"YQ=="), b"a");
        assert_eq!(decode(b"YWI="), b"ab");
        assert_eq!(decode(b"_-8"), [0xff, 0xef]);
        assert_eq!(decode(b""), b"");
    }
}
