//! Random text from the operating system's generator.

/// `length` characters of `alphabet`, drawn without bias worth naming for a test.
///
/// # Panics
/// When the operating system gives no random bytes, or the alphabet is empty.
#[must_use]
pub fn text(alphabet: &str, length: usize) -> String {
    let letters: Vec<char> = alphabet.chars().collect();
    let mut bytes = vec![0; length * 2];
    getrandom::fill(&mut bytes).expect("the system has random bytes");
    bytes
        .chunks_exact(2)
        .map(|pair| {
            let number = usize::from(pair[0]) << 8 | usize::from(pair[1]);
            letters[number % letters.len()]
        })
        .collect()
}

/// Letters and digits.
pub const ALNUM: &str = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
/// Lower-case hexadecimal digits.
pub const HEX: &str = "0123456789abcdef";
/// Letters, digits, `-` and `_`.
pub const URL_SAFE: &str = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz-_";
/// The base64 alphabet.
pub const BASE64: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
