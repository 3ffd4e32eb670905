//! The bytes of a record, and of the head of a file.
//!
//! A file begins with a head of 64 bytes: magic, stream, number, first sequence, salt, checksum. Then records, each
//! aligned to eight: length (stored last), checksum over salt, sequence and payload, sequence, payload. The payload
//! is a version byte and the event. Files are used again without being cleared: what they held before has another
//! salt, so its checksums are wrong.

use keyward_domain::{
    budget::Hold,
    usage::{CredentialReport, GatewayEvent, OwnedObject, Text, UsageEvent},
};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// The head of a file.
pub(super) const HEAD: usize = 64;
/// What stands before a payload.
pub(super) const PREFIX: usize = 16;
/// The longest payload.
pub(super) const LONGEST: usize = 2_048;
/// The most room that one record takes.
pub(super) const MOST: usize = PREFIX + LONGEST;

const MAGIC: &[u8; 8] = b"KWJRNL01";
const VERSION: u8 = 1;

/// Where a record stands: never used twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Position {
    /// Which row of files: one per writer and process.
    pub stream: u64,
    /// The record's number in it, from 1.
    pub sequence: u64,
}

/// What the head of a file says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) stream: u64,
    pub(super) number: u64,
    pub(super) first: u64,
    pub(super) salt: u64,
}

impl Head {
    pub(super) fn encode(&self) -> [u8; HEAD] {
        let mut out = [0; HEAD];
        let words = [u64::from_le_bytes(*MAGIC), self.stream, self.number, self.first, self.salt];
        for (slot, word) in out.chunks_exact_mut(8).zip(words) {
            slot.copy_from_slice(&word.to_le_bytes());
        }
        let checksum = crc32fast::hash(out.get(..40).unwrap_or_default());
        if let Some(slot) = out.get_mut(40..44) {
            slot.copy_from_slice(&checksum.to_le_bytes());
        }
        out
    }

    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        let checksum = u32::from_le_bytes(bytes.get(40..44)?.try_into().ok()?);
        let sound = bytes.get(..8)? == MAGIC && crc32fast::hash(bytes.get(..40)?) == checksum;
        let word = |at: usize| bytes.get(at..at + 8).and_then(|eight| eight.try_into().ok()).map(u64::from_le_bytes);
        sound.then_some(Self { stream: word(8)?, number: word(16)?, first: word(24)?, salt: word(32)? })
    }
}

/// The room that a record with a payload of this length takes.
pub(super) const fn room(payload: usize) -> usize {
    (PREFIX + payload).next_multiple_of(8)
}

pub(super) fn checksum(salt: u64, sequence: u64, payload: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    let mut start = [0; 16];
    let (first, second) = start.split_at_mut(8);
    first.copy_from_slice(&salt.to_le_bytes());
    second.copy_from_slice(&sequence.to_le_bytes());
    hasher.update(&start);
    hasher.update(payload);
    hasher.finalize()
}

/// The record at the start of the bytes: its payload, and the room it takes. `None` when there is none, or not whole.
pub(super) fn decode(bytes: &[u8], salt: u64, sequence: u64) -> Option<(&[u8], usize)> {
    let word = |at: usize| bytes.get(at..at + 4).and_then(|four| four.try_into().ok()).map(u32::from_le_bytes);
    let length = usize::try_from(word(0)?).ok().filter(|length| (1..=LONGEST).contains(length))?;
    let told = u64::from_le_bytes(bytes.get(8..16)?.try_into().ok()?);
    let payload = bytes.get(PREFIX..PREFIX + length)?;
    (told == sequence && word(4)? == checksum(salt, sequence, payload)).then_some((payload, room(length)))
}

/// An event as it is written: its texts are borrowed, so that writing it down costs no copies.
// INVARIANT: the same variants in the same order as `Stored`, which reads them back.
#[derive(Debug, Clone, Serialize)]
pub enum Entry<'e> {
    /// A call ended.
    Usage(&'e UsageEvent<&'e str>),
    /// A client made an object at the provider.
    Object(&'e OwnedObject),
    /// A credential was found dead, without money, or well again.
    Credential(&'e CredentialReport),
    /// A call is about to be sent, and so much is held for it.
    Hold(&'e Hold<&'e str>),
}

/// Where the variant of an event stands, behind the version; then, of a call or a hold, the length of its id and the id.
const KIND: usize = 1;
const ID: usize = 3;
const USAGE: u8 = 0;
const HOLD: u8 = 3;

/// What a record is about, as far as its first bytes tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum About {
    /// What is held for the call with this id.
    Hold([u8; 16]),
    /// The end of the call with this id.
    Usage([u8; 16]),
    /// Something else.
    Other,
}

/// Looks at the first bytes of a payload only.
pub(super) fn about(payload: &[u8]) -> About {
    let id = || payload.get(ID..ID + 16)?.try_into().ok();
    match (payload.first(), payload.get(KIND), payload.get(KIND + 1)) {
        (Some(&VERSION), Some(&USAGE), Some(16)) => id().map_or(About::Other, About::Usage),
        (Some(&VERSION), Some(&HOLD), Some(16)) => id().map_or(About::Other, About::Hold),
        _ => About::Other,
    }
}

/// Writes an event into a buffer and tells how much of it it takes; `None` when it does not fit.
pub(super) fn encode_event(event: &Entry<'_>, buffer: &mut [u8; LONGEST]) -> Option<usize> {
    let (version, rest) = buffer.split_first_mut()?;
    *version = VERSION;
    postcard::to_slice(event, rest).ok().map(|used| used.len() + 1)
}

/// The same with every text that a client or a provider chose cut to a length that fits for certain.
pub(super) fn encode_shortened(event: &Entry<'_>, buffer: &mut [u8; LONGEST]) -> Option<usize> {
    match event {
        Entry::Usage(usage) => {
            let mut usage = (*usage).clone();
            for (text, longest) in [
                (&mut usage.model, 200),
                (&mut usage.user_agent, 200),
                (&mut usage.upstream_id, 128),
                (&mut usage.price_version, 128),
                (&mut usage.provider, 64),
                (&mut usage.operation, 64),
            ] {
                *text = cut(text, longest);
            }
            for (text, longest) in
                [(&mut usage.usage.tier, 64), (&mut usage.usage.model, 200), (&mut usage.usage.region, 64)]
            {
                text.iter_mut().for_each(|text| *text = cut(text, longest).into());
            }
            encode_event(&Entry::Usage(&usage), buffer)
        }
        Entry::Object(object) => {
            // An id that was cut would name something else; ids of such length are nobody's.
            let object = OwnedObject {
                object: cut(&object.object, crate::objects::LONGEST_ID).into(),
                kind: cut(&object.kind, 64).into(),
                provider: cut(&object.provider, 64).into(),
                ..(*object).clone()
            };
            encode_event(&Entry::Object(&object), buffer)
        }
        Entry::Hold(hold) => {
            let mut hold = (*hold).clone();
            for (text, longest) in [
                (&mut hold.model, 200),
                (&mut hold.price_version, 128),
                (&mut hold.provider, 64),
                (&mut hold.operation, 64),
            ] {
                *text = cut(text, longest);
            }
            encode_event(&Entry::Hold(&hold), buffer)
        }
        Entry::Credential(_) => encode_event(event, buffer),
    }
}

/// An event as it stands in a record. INVARIANT: the same variants in the same order as [`Entry`].
#[derive(Deserialize)]
#[expect(clippy::large_enum_variant, reason = "it lives for a moment, and nearly always is the largest")]
enum Stored<'e> {
    #[serde(borrow)]
    Usage(UsageEvent<&'e str>),
    Object(OwnedObject),
    Credential(CredentialReport),
    #[serde(borrow)]
    Hold(Hold<&'e str>),
}

/// Texts that many events share: each is made once for as long as the same one comes again, and then only counted.
#[derive(Debug, Default)]
pub(super) struct Texts([Option<Arc<str>>; 5]);

impl Texts {
    // HOT: a copy of every text of every event would be a good part of what reading costs.
    fn of(&mut self, which: Text, text: &str) -> Arc<str> {
        let [provider, model, operation, price_version, user_agent] = &mut self.0;
        let last = match which {
            Text::Provider => provider,
            Text::Model => model,
            Text::Operation => operation,
            Text::PriceVersion => price_version,
            Text::UserAgent => user_agent,
            // No two calls have the same.
            Text::UpstreamId => return text.into(),
        };
        match last {
            Some(last) if **last == *text => Arc::clone(last),
            _ => Arc::clone(last.insert(text.into())),
        }
    }
}

/// Reads an event back.
pub(super) fn decode_event(payload: &[u8], texts: &mut Texts) -> Option<GatewayEvent> {
    let (&VERSION, rest) = payload.split_first()? else { return None };
    Some(match postcard::from_bytes(rest).ok()? {
        Stored::Usage(event) => GatewayEvent::Usage(Box::new(event.with_texts(|which, text| texts.of(which, text)))),
        Stored::Object(object) => GatewayEvent::Object(object),
        Stored::Credential(report) => GatewayEvent::Credential(report),
        Stored::Hold(hold) => GatewayEvent::Hold(Box::new(hold.with_texts(|which, text| texts.of(which, text)))),
    })
}

fn cut(text: &str, longest: usize) -> &str {
    if text.len() <= longest {
        return text;
    }
    let mut end = longest;
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.get(..end).unwrap_or_default()
}
