//! Tokens for the control API: what people and automation hold, unlike a virtual key, which only opens the gateway.
//!
//! `kwt_<secret><checksum>`: the secret (43 characters, 256 bits) is never stored; the checksum (6 characters, as in
//! virtual keys) turns away garbage before any look-up and makes a leak scanner's hit certain.

use crate::{
    digest,
    token::{self, Malformed, TokenHash},
};
use zeroize::Zeroizing;

/// What every token of the control API begins with.
pub const PREFIX: &str = "kwt_";
const SECRET: usize = 43;

/// A new token, alive only until it has been shown.
pub struct NewApiToken {
    /// The text to show once.
    pub text: Zeroizing<String>,
    /// What to store.
    pub hash: TokenHash,
}

/// Reads a presented token: shape, then checksum, then the hash.
///
/// # Errors
/// [`Malformed`] when the shape or the checksum is wrong. Says nothing about whether the token exists.
pub fn parse(text: &str) -> Result<TokenHash, Malformed> {
    let body = text.strip_prefix(PREFIX).ok_or(Malformed::Shape)?;
    if body.len() != SECRET + token::CHECKSUM || !body.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        return Err(Malformed::Shape);
    }
    let (covered, checksum) = text.split_at(text.len() - token::CHECKSUM);
    if checksum.as_bytes() != token::encode_checksum(digest::crc32(covered.as_bytes())) {
        return Err(Malformed::Checksum);
    }
    Ok(TokenHash(digest::sha256(text.as_bytes())))
}

/// Makes a token. `random` must come from the operating system's generator; bytes that would bias the choice are
/// skipped, and 128 bytes are enough in all but one of 10^60 cases. Returns `None` when they ran out.
#[must_use]
pub fn generate(random: &[u8; 128]) -> Option<NewApiToken> {
    let mut characters = token::characters(random);
    let mut text = Zeroizing::new(String::with_capacity(PREFIX.len() + SECRET + token::CHECKSUM));
    text.push_str(PREFIX);
    for _ in 0..SECRET {
        text.push(char::from(characters.next()?));
    }
    let checksum = token::encode_checksum(digest::crc32(text.as_bytes()));
    text.extend(checksum.into_iter().map(char::from));
    let hash = TokenHash(digest::sha256(text.as_bytes()));
    Some(NewApiToken { text, hash })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made() -> NewApiToken {
        let mut random = [0; 128];
        random.iter_mut().zip(3..).for_each(|(byte, fill): (&mut u8, u8)| *byte = fill);
        generate(&random).expect("enough bytes")
    }

    #[test]
    fn a_new_token_reads_back() {
        let new = made();
        assert!(parse(&new.text).expect("valid").matches(&new.hash));
        assert_eq!(new.text.len(), PREFIX.len() + SECRET + 6);
    }

    #[test]
    fn any_changed_character_is_noticed() {
        let new = made();
        for position in 0..new.text.len() {
            let mut bytes = new.text.as_bytes().to_vec();
            bytes[position] = if bytes[position] == b'x' { b'y' } else { b'x' };
            assert!(parse(std::str::from_utf8(&bytes).unwrap()).is_err(), "position {position} went unnoticed");
        }
    }

    #[test]
    fn foreign_text_and_virtual_keys_are_turned_away() {
        for text in ["", "kwt_", "kw_prod_abc", "kwt_\u{1F600}", "Bearer kwt_"] {
            assert_eq!(parse(text).err(), Some(Malformed::Shape), "{text}");
        }
        assert!(generate(&[255; 128]).is_none(), "biased bytes are skipped");
    }
}
