//! The inside of JSON strings: stepping over plain text quickly, and reading escapes.

/// How many bytes from the start are plain text of a string: no quote, no backslash, no control character.
#[must_use]
pub fn plain_run(bytes: &[u8]) -> usize {
    let short = bytes.get(..SHORT).unwrap_or(bytes);
    let run = short_run(short);
    if run < short.len() || run == bytes.len() {
        return run;
    }
    // HOT: a long text (a prompt) is searched by whole vectors: for its end first, then what is before it for controls.
    let rest = bytes.get(run..).unwrap_or_default();
    let end = memchr::memchr2(b'"', b'\\', rest).unwrap_or(rest.len());
    let text = rest.get(..end).unwrap_or_default();
    let (blocks, tail) = text.as_chunks::<BLOCK>();
    let clean = blocks.iter().take_while(|block| block.iter().fold(u8::MAX, |low, byte| low.min(*byte)) > 0x1F).count();
    let suspect = blocks.get(clean).map_or(tail, <[u8; BLOCK]>::as_slice);
    run + clean * BLOCK + short_run(suspect)
}

/// Up to this length a text is stepped through a word at a time.
const SHORT: usize = 128;
/// A vector or a few, whatever the processor has.
const BLOCK: usize = 64;

fn short_run(bytes: &[u8]) -> usize {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGH: u64 = 0x8080_8080_8080_8080;
    // HOT: eight bytes at a time. A byte is zero where `word - ONES` borrows and the byte itself is below 0x80.
    let zeros = |word: u64| word.wrapping_sub(ONES) & !word & HIGH;
    let (words, rest) = bytes.as_chunks::<8>();
    for (index, word) in words.iter().enumerate() {
        let word = u64::from_le_bytes(*word);
        let control = word.wrapping_sub(ONES * 0x20) & !word & HIGH;
        let found = zeros(word ^ (ONES * 0x22)) | zeros(word ^ (ONES * 0x5C)) | control;
        if found != 0 {
            return index * 8 + (found.trailing_zeros() / 8) as usize;
        }
    }
    let tail = rest.iter().take_while(|byte| !matches!(byte, b'"' | b'\\' | 0..=0x1F)).count();
    bytes.len() - rest.len() + tail
}

/// Four hex digits.
#[must_use]
pub fn hex4(digits: Option<&[u8]>) -> Option<u32> {
    let digits = digits.filter(|digits| digits.len() == 4 && digits.iter().all(u8::is_ascii_hexdigit))?;
    u32::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
}

/// The text of a string's inside. `None` when an escape is wrong or half of a pair is missing.
#[must_use]
pub fn unescape(raw: &[u8]) -> Option<String> {
    let mut out = Vec::with_capacity(raw.len());
    let mut rest = raw;
    while let Some(at) = memchr::memchr(b'\\', rest) {
        out.extend_from_slice(rest.get(..at)?);
        let letter = *rest.get(at + 1)?;
        let plain = match letter {
            b'"' | b'\\' | b'/' => letter,
            b'b' => 8,
            b'f' => 12,
            b'n' => b'\n',
            b'r' => b'\r',
            b't' => b'\t',
            b'u' => {
                let mut code = hex4(rest.get(at + 2..at + 6))?;
                let mut used = 6;
                if (0xD800..0xDC00).contains(&code) {
                    let digits = rest.get(at + 6..at + 12)?.strip_prefix(b"\\u");
                    let low = hex4(digits)?.checked_sub(0xDC00).filter(|low| *low < 0x400)?;
                    code = 0x1_0000 + ((code - 0xD800) << 10) + low;
                    used = 12;
                }
                let mut buffer = [0; 4];
                out.extend_from_slice(char::from_u32(code)?.encode_utf8(&mut buffer).as_bytes());
                rest = rest.get(at + used..)?;
                continue;
            }
            _ => return None,
        };
        out.push(plain);
        rest = rest.get(at + 2..)?;
    }
    out.extend_from_slice(rest);
    String::from_utf8(out).ok()
}
