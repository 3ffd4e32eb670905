//! What has the shape of a secret and is none: placeholders, examples, redactions, names.

use super::sieve::Sieve;
use aho_corasick::{AhoCorasick, AhoCorasickKind};
use std::{
    ops::{Range, RangeInclusive},
    sync::LazyLock,
};

/// Words that people write where a secret belongs. Each is long enough not to stand in a random text by chance.
const WORDS: &[&[u8]] = &[
    b"example",
    b"placeholder",
    b"changeme",
    b"change-me",
    b"change_me",
    b"dummy",
    b"sample",
    b"redacted",
    b"insert",
    b"replace",
    b"foobar",
    b"deadbeef",
    b"secret",
    b"apikey",
    b"api-key",
    b"api_key",
    b"token",
    b"password",
    b"goeshere",
    b"goes-here",
    b"goes_here",
    b"testkey",
    b"test-key",
    b"test_key",
    b"testing",
    b"invalid",
    b"notreal",
    b"not-real",
    b"not_real",
    b"abcdef",
    b"qwerty",
    b"123456",
    b"012345",
    b"987654",
    b"hidden",
    b"masked",
    b"censored",
    b"removed",
    b"deleted",
    b"truncated",
    b"lorem",
    b"undefined",
    b"thisis",
    b"this-is",
    b"this_is",
    b"real-key",
    b"fixme",
];

/// Shorter ones, which count only when they are written in one case: by chance they would stand in too many keys.
const SHORT: &[&[u8]] = &[b"fake", b"FAKE", b"todo", b"TODO", b"mock", b"MOCK", b"your", b"YOUR", b"xxxx", b"XXXX"];

static AUTOMATON: LazyLock<Option<AhoCorasick>> = LazyLock::new(|| {
    AhoCorasick::builder().kind(Some(AhoCorasickKind::DFA)).ascii_case_insensitive(true).build(WORDS).ok()
});

/// The groups of bytes in all of them.
static GROUPS: LazyLock<Sieve> = LazyLock::new(|| Sieve::new(WORDS.iter().chain(SHORT).copied()));

static SHORT_ONES: LazyLock<Option<AhoCorasick>> =
    LazyLock::new(|| AhoCorasick::builder().kind(Some(AhoCorasickKind::DFA)).build(SHORT).ok());

/// What stands near a Google key that a web page shows to everybody.
const SHOWN: &[&[u8]] = &[
    b"authDomain",
    b"firebaseapp.com",
    b"messagingSenderId",
    b"storageBucket",
    b"databaseURL",
    b"maps/api/js",
    b"measurementId",
    b"google-services",
    b"mobilesdk_app_id",
    b"project_info",
    b"maps.googleapis.com",
    b"youtube.com/embed",
    b"youtubei",
    b"INNERTUBE",
];

/// Whether a Google key is one that web pages and applications show: it names a project and opens nothing by itself.
pub(super) fn is_shown(around: &[u8]) -> bool {
    SHOWN.iter().any(|word| memchr::memmem::find(around, word).is_some())
}

/// Whether a place in a program is in its tests, or in a comment that documents it.
pub(super) fn is_tested(text: &[u8], span: &Range<usize>) -> bool {
    let before = text.get(..span.start).unwrap_or_default();
    let line = before.rsplit(|byte| *byte == b'\n').next().unwrap_or_default().trim_ascii_start();
    let comment = [&b"///"[..], b"//!", b"* ", b">>> "].iter().any(|sign| line.starts_with(sign));
    comment
        || memchr::memmem::find(before, b"#[cfg(test)]").is_some()
        || memchr::memmem::find(before, b"#[test]").is_some()
}

/// Why a text is not a secret, if it is none. `body` is what follows the telling beginning.
pub(super) fn reason(body: &[u8]) -> Option<&'static str> {
    if body.len() < 8 {
        return None;
    }
    let holds = |words: &Option<AhoCorasick>| words.as_ref().is_some_and(|words| words.is_match(body));
    if GROUPS.may_hold(body) && (holds(&AUTOMATON) || holds(&SHORT_ONES)) {
        return Some("it holds a word of placeholders");
    }
    let [same, up, down] = stretches(body);
    if same >= 6 {
        return Some("one character stands many times in a row");
    }
    if up >= 7 || down >= 7 {
        return Some("its characters follow each other in order");
    }
    if !is_varied(body) {
        return Some("it is not random");
    }
    periodic(body).then_some("it repeats itself")
}

/// The longest stretches in which each byte is the one before, the next in order, and the one before it in order.
fn stretches(body: &[u8]) -> [u32; 3] {
    let (mut best, mut now) = ([1; 3], [1_u32; 3]);
    for (before, byte) in body.iter().zip(body.iter().skip(1)) {
        let step = byte.wrapping_sub(*before);
        for ((now, best), wanted) in now.iter_mut().zip(&mut best).zip([0, 1, u8::MAX]) {
            *now = *now * u32::from(step == wanted) + 1;
            *best = (*best).max(*now);
        }
    }
    best
}

/// Whether a short block is repeated over (nearly) the whole.
fn periodic(body: &[u8]) -> bool {
    (1..=(body.len() / 2).min(24)).any(|period| {
        let most = (body.len() - period) * 8 / 100;
        let pairs = body.iter().zip(body.iter().skip(period));
        pairs.filter(|(a, b)| a != b).nth(most).is_none()
    })
}

static NAMES: LazyLock<Option<AhoCorasick>> = LazyLock::new(|| {
    let parts = ["key", "token", "secret", "pass", "pwd", "auth", "cred", "bearer", "pat"];
    AhoCorasick::builder().kind(Some(AhoCorasickKind::DFA)).ascii_case_insensitive(true).build(parts).ok()
});

/// Whether a stretch of text may hold a name of secrets: a quick look.
pub(super) fn may_name(text: &[u8]) -> bool {
    NAMES.as_ref().is_none_or(|names| names.is_match(text))
}

/// How often each byte stands in a text.
struct Counts {
    of: [u32; 256],
    all: u32,
}

impl Counts {
    fn new(bytes: impl Iterator<Item = u8>) -> Self {
        let mut counts = Self { of: [0; 256], all: 0 };
        for byte in bytes {
            if let Some(count) = counts.of.get_mut(usize::from(byte)) {
                *count += 1;
                counts.all += 1;
            }
        }
        counts
    }

    /// How many of the bytes are in a range.
    fn within(&self, range: RangeInclusive<u8>) -> u32 {
        let range = usize::from(*range.start())..=usize::from(*range.end());
        self.of.get(range).unwrap_or_default().iter().sum()
    }

    /// Bits of information per byte.
    fn entropy(&self) -> f64 {
        if self.all == 0 {
            return 0.0;
        }
        let parts = self.of.iter().filter(|count| **count > 1).map(|count| weight(*count));
        log2(self.all) - parts.sum::<f64>() / f64::from(self.all)
    }
}

/// The logarithms of the first numbers: most counts are among them.
static LOG2: LazyLock<[f64; 256]> = LazyLock::new(|| {
    let mut all = [0.0; 256];
    all.iter_mut().zip(0_u32..).skip(1).for_each(|(log, number)| *log = f64::from(number).log2());
    all
});

fn log2(number: u32) -> f64 {
    usize::try_from(number).ok().and_then(|at| LOG2.get(at)).copied().unwrap_or_else(|| f64::from(number).log2())
}

fn weight(count: u32) -> f64 {
    f64::from(count) * log2(count)
}

/// Bits of information per byte, by how often each byte stands in the text.
pub(crate) fn entropy(body: &[u8]) -> f64 {
    Counts::new(body.iter().copied()).entropy()
}

/// Whether the text has as many different characters as a random one of its length and kind would.
fn is_varied(body: &[u8]) -> bool {
    let counts = Counts::new(body.iter().copied().filter(u8::is_ascii_alphanumeric));
    let digits = counts.within(b'0'..=b'9');
    let hex = digits + counts.within(b'a'..=b'f').max(counts.within(b'A'..=b'F'));
    let kinds = if digits * 10 >= counts.all * 8 {
        10
    } else if hex * 10 >= counts.all * 8 {
        16
    } else {
        36
    };
    // A random text of n characters out of k has about this many bits; real ones are close to it.
    let expected = log2(counts.all.max(1)).min(log2(kinds));
    counts.entropy() >= expected * 0.75
}

/// Whether the text could be a hash: hexadecimal digits in one case.
pub(super) fn is_hexadecimal(body: &[u8]) -> bool {
    let all = |letters: RangeInclusive<u8>| body.iter().all(|b| b.is_ascii_digit() || letters.contains(b));
    all(b'a'..=b'f') || all(b'A'..=b'F')
}

/// Whether the text has the mixture that only chance makes: digits among letters, not words; and nothing else speaks
/// against it.
pub(super) fn is_random(body: &[u8]) -> bool {
    Tally::of(body).is_mixed(body) && reason(body).is_none()
}

/// How many bytes of a text are of which kind.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Tally {
    all: usize,
    digits: usize,
    upper: usize,
    lower: usize,
}

/// What each byte adds to a tally: ten bits for each kind.
static KINDS: [u32; 256] = {
    let mut table = [0; 256];
    let mut byte = 0_u8;
    while byte < 128 {
        table[byte as usize] = byte.is_ascii_digit() as u32
            | (byte.is_ascii_uppercase() as u32) << 10
            | (byte.is_ascii_lowercase() as u32) << 20;
        byte += 1;
    }
    table
};

impl Tally {
    pub(super) fn of(body: &[u8]) -> Self {
        let mut all = Self { all: body.len(), ..Self::default() };
        for part in body.chunks(1000) {
            let sum: u32 = part.iter().map(|byte| KINDS.get(usize::from(*byte)).copied().unwrap_or(0)).sum();
            let kind = |at: u32| (sum >> (at * 10) & 1023) as usize;
            all.digits += kind(0);
            all.upper += kind(1);
            all.lower += kind(2);
        }
        all
    }

    /// Whether a part of the text may have the mixture of chance: a quick look.
    pub(super) fn may_be_random(&self) -> bool {
        self.digits * 40 >= self.all || self.upper * 5 >= self.all
    }

    /// Whether a part of a text of key bytes may have that mixture, however short the part: a quicker look.
    pub(super) fn may_hold_random(&self) -> bool {
        self.digits >= 2 || self.upper >= 4
    }

    /// Whether the text, of which this is the tally, has that mixture, which is seen soon.
    pub(super) fn is_mixed(&self, body: &[u8]) -> bool {
        let Self { digits, upper, lower, .. } = *self;
        let letters = upper + lower;
        // Letters of both cases that change as often as chance would have it.
        let differ = |pair: &&[u8]| matches!(pair, [a, b] if a.is_ascii_uppercase() != b.is_ascii_uppercase());
        let changes = || body.windows(2).filter(differ).count();
        // Names in programs have hardly ever capitals side by side; of random texts, one in three hundred has few changes.
        let capitals = || body.windows(2).filter(|pair| pair.iter().all(u8::is_ascii_uppercase)).count();
        let mixed =
            |changes: usize| changes * 5 >= letters * 2 || changes * 10 >= letters * 3 && capitals() * 8 >= letters;
        let cased = || letters >= 16 && upper.min(lower) * 4 >= letters && mixed(changes());
        let figures = || letters > 0 && digits * 16 >= self.all && !self.is_words(body);
        figures() || cased()
    }

    /// Whether the text reads as words: stretches of lower-case letters, vowels in them, few digits.
    fn is_words(&self, body: &[u8]) -> bool {
        let lower = |byte: &u8| byte.is_ascii_lowercase();
        if self.digits * 8 >= self.all {
            return false;
        }
        let mut in_words = 0;
        for part in body.split(|byte| !byte.is_ascii_alphabetic()) {
            let tail = part.get(1..).unwrap_or_default();
            if part.len() >= 3 && (tail.iter().all(lower) || part.iter().all(u8::is_ascii_uppercase)) {
                in_words += part.len();
            }
        }
        in_words * 2 >= body.len() && in_words >= 8
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use keyward_catalogue::sample;

    #[test]
    fn random_texts_are_no_fakes() {
        let mut wrong = 0;
        for seed in 0..400 {
            for pattern in ["[a-f0-9]{32}", "[A-Za-z0-9]{32}", "[A-Za-z0-9_-]{93}", "[A-Za-z0-9]{20}", "[A-Z2-7]{16}"] {
                let text = sample::text(pattern, seed).unwrap();
                wrong += usize::from(reason(text.as_bytes()).is_some());
            }
        }
        assert!(wrong <= 3, "{wrong} of 2000 random texts are taken for fakes");
    }

    #[test]
    fn fakes_are_told() {
        let words = [
            "your-api-key-goes-here",
            "IOSFODNN7EXAMPLE",
            "abcdefghijklmnopqrstuv",
            "0123456789abcdef0123456789abcdef",
        ];
        for text in words {
            assert!(reason(text.as_bytes()).is_some(), "{text}");
        }
        assert!(reason("x".repeat(40).as_bytes()).is_some());
        assert!(reason("a1b2".repeat(10).as_bytes()).is_some());
    }

    #[test]
    fn names_are_not_random() {
        let names = [
            "some_long_function_name_v2",
            "getElementsByClassNameAndId",
            "error-handling-2-of-the-parser",
            "XMLHttpRequestFactoryBuilderImpl",
            "MistralChatCompletionRequestBuilder",
            "AbstractHTTPServerURLConnectionFactory",
            "NSURLSessionDataDelegateProxyImplementation",
        ];
        for text in names {
            assert!(!is_random(text.as_bytes()), "{text}");
        }
    }

    #[test]
    fn hardly_any_random_text_is_taken_for_a_name() {
        let random = |seed: &u64| is_random(sample::text("[A-Za-z0-9]{40}", *seed).unwrap().as_bytes());
        let wrong = (0..4_000).filter(|seed| !random(seed)).count();
        assert!(wrong <= 3, "{wrong} of 4000 random texts are taken for names");
    }
}
