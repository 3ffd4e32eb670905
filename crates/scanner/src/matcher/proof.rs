//! What can be proved of a secret offline: checksums, embedded signatures, and what it says of itself.

use super::base64;
use crate::{Confidence, rule::Proof};
use keyward_domain::{api_token, digest, token};
use std::borrow::Cow;

/// What a proof says.
pub(super) enum Verdict {
    /// It is certain, and why.
    Holds(Cow<'static, str>),
    /// It is at most that sure (None: it is none at all), and why.
    Fails(Option<Confidence>, Cow<'static, str>),
    /// It says something of itself.
    Says(Cow<'static, str>),
    /// Nothing to prove.
    Nothing,
}

/// Proves what can be proved.
pub(super) fn of(proof: Proof, secret: &[u8]) -> Verdict {
    match proof {
        Proof::None => Verdict::Nothing,
        Proof::Ours => ours(secret),
        Proof::Crc => crc(secret),
        Proof::OpenAi => openai(secret),
        Proof::Signature => Verdict::Holds("its signature is there".into()),
        Proof::BedrockLong => bedrock_long(secret),
        Proof::BedrockShort => bedrock_short(secret),
        Proof::AwsId => aws_id(secret),
        Proof::Jwt => jwt(secret),
    }
}

fn ours(secret: &[u8]) -> Verdict {
    let holds =
        std::str::from_utf8(secret).is_ok_and(|text| token::parse(text).is_ok() || api_token::parse(text).is_ok());
    if holds {
        Verdict::Holds("its checksum holds".into())
    } else {
        Verdict::Fails(None, "its checksum does not hold".into())
    }
}

/// GitHub's and npm's: the last six characters are the checksum of what stands between the prefix and them.
fn crc(secret: &[u8]) -> Verdict {
    let body = secret.iter().position(|byte| *byte == b'_').and_then(|at| secret.get(at + 1..)).unwrap_or_default();
    match body.split_last_chunk() {
        Some((covered, last)) if checksum(covered) == *last => Verdict::Holds("its checksum holds".into()),
        Some(_) => Verdict::Fails(Some(Confidence::Low), "its checksum does not hold".into()),
        None => Verdict::Nothing,
    }
}

/// The CRC-32 of a text, in base 62.
pub(super) fn checksum(covered: &[u8]) -> [u8; 6] {
    const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    let mut crc = digest::crc32(covered);
    let mut out = [b'0'; 6];
    for slot in out.iter_mut().rev() {
        *slot = ALPHABET.get((crc % 62) as usize).copied().unwrap_or(b'0');
        crc /= 62;
    }
    out
}

/// OpenAI's: the signature in the middle, with as much before it as after.
fn openai(secret: &[u8]) -> Verdict {
    const SIGNATURE: &[u8] = b"T3BlbkFJ";
    let Some(at) = memchr::memmem::find(secret, SIGNATURE) else { return Verdict::Nothing };
    let after = secret.len() - at - SIGNATURE.len();
    // Before it stands a prefix too, of one to three parts.
    let whole = secret.get(..at).unwrap_or_default();
    let symmetric = whole
        .len()
        .checked_sub(after)
        .and_then(|prefix| whole.get(..prefix))
        .is_some_and(|prefix| prefix.ends_with(b"-"));
    if symmetric {
        Verdict::Holds("its signature stands in the middle".into())
    } else {
        Verdict::Fails(Some(Confidence::Medium), "its signature does not stand in the middle".into())
    }
}

fn bedrock_long(secret: &[u8]) -> Verdict {
    let text = base64::decode(secret.get(4..).unwrap_or_default());
    let text = String::from_utf8_lossy(&text);
    let Some(rest) = text.strip_prefix("BedrockAPIKey-") else {
        return Verdict::Fails(Some(Confidence::Medium), "it does not read as a Bedrock key".into());
    };
    let account: String =
        rest.split_once("-at-").map_or("", |(_, rest)| rest).chars().take_while(char::is_ascii_digit).collect();
    if account.len() == 12 {
        Verdict::Holds(format!("it names the AWS account {account}").into())
    } else {
        Verdict::Says("it reads as a Bedrock key".into())
    }
}

fn bedrock_short(secret: &[u8]) -> Verdict {
    let coded = secret.get("bedrock-api-key-".len()..).unwrap_or_default();
    let text = base64::decode(coded);
    let text = String::from_utf8_lossy(&text);
    let parameter = |name: &str| {
        let rest = text.split_once(&format!("{name}=")).map(|(_, rest)| rest)?;
        Some(rest.split('&').next().unwrap_or("").to_owned())
    };
    match (parameter("X-Amz-Date"), parameter("X-Amz-Expires")) {
        (Some(date), Some(expires)) => Verdict::Holds(format!("made at {date}, good for {expires} s").into()),
        _ if text.starts_with("bedrock.amazonaws.com/") => {
            Verdict::Says("it reads as a signed address of Bedrock".into())
        }
        _ => Verdict::Fails(Some(Confidence::Medium), "it does not read as a Bedrock key".into()),
    }
}

/// The account that an AWS key id belongs to: 40 bits of its base 32.
fn aws_id(secret: &[u8]) -> Verdict {
    let mut value = 0_u64;
    for byte in secret.get(4..14).unwrap_or_default() {
        let digit = match byte {
            b'A'..=b'Z' => byte - b'A',
            b'2'..=b'7' => byte - b'2' + 26,
            _ => return Verdict::Fails(Some(Confidence::Medium), "it is not in base 32".into()),
        };
        value = value << 5 | u64::from(digit);
    }
    // Ten characters are fifty bits: 48 of them are six bytes, of which one bit above and seven below are not the id's.
    let account = (value >> 2 & 0x7fff_ffff_ff80) >> 7;
    Verdict::Says(format!("it is of the AWS account {account:012}").into())
}

fn jwt(secret: &[u8]) -> Verdict {
    let mut parts = secret.split(|byte| *byte == b'.').map(base64::decode);
    let mut object = || {
        parts.next().and_then(|part| serde_json::from_slice::<serde_json::Map<String, serde_json::Value>>(&part).ok())
    };
    let (Some(head), Some(claims)) = (object(), object()) else {
        return Verdict::Fails(None, "its parts are not JSON".into());
    };
    let text = |name: &str| claims.get(name).and_then(serde_json::Value::as_str);
    match head.get("alg").and_then(serde_json::Value::as_str) {
        None => return Verdict::Fails(None, "it names no algorithm".into()),
        Some("none") => return Verdict::Fails(Some(Confidence::Low), "it is not signed".into()),
        Some(_) => {}
    }
    if text("name") == Some("John Doe") || text("sub") == Some("1234567890") || text("role") == Some("anon") {
        return Verdict::Fails(Some(Confidence::Low), "it is an example, or public".into());
    }
    match claims.get("exp").and_then(serde_json::Value::as_i64) {
        Some(expires) => Verdict::Says(format!("it expires at {expires} (Unix time)").into()),
        None => Verdict::Says("it reads as a signed token".into()),
    }
}
