//! What the matcher tells of one place in a text: which rule, how sure, and why.

use std::{fmt, ops::Range, sync::Arc};
use zeroize::Zeroizing;

/// How sure a finding is. Only what is above [`Confidence::Low`] fails a build by default.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Confidence {
    /// It may be a secret: a long random text in a telling place.
    Low,
    /// It has the shape, and something near it says whose it is.
    Medium,
    /// It has a shape that nothing else has.
    High,
    /// A checksum or an embedded signature proves it.
    Certain,
}

/// A secret that was found. It cannot be printed, shown, copied or compared by accident, and is wiped when it goes.
pub struct Secret(Zeroizing<Box<[u8]>>);

impl Secret {
    /// Takes a secret as it reads once all encodings around it are taken away.
    #[must_use]
    pub fn new(bytes: &[u8]) -> Self {
        Self(Zeroizing::new(bytes.into()))
    }

    /// The secret itself: for fingerprints, `--reveal`, and `--verify`. Nothing else may ask.
    #[must_use]
    pub fn expose(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Secret({} bytes)", self.0.len())
    }
}

/// What a rule says of the secrets it finds; shared by all its hits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kind {
    /// The rule's id: `openai/project`, `github/pat`, `generic/assignment`.
    pub rule: Box<str>,
    /// Whose secret it is: a provider's id of the catalogue, another vendor's, or `keyward`. None: nobody can tell.
    pub provider: Option<Box<str>>,
    /// What it is, for people: "OpenAI project key".
    pub name: Box<str>,
    /// Whether it administers an account.
    pub admin: bool,
}

/// One secret in one text.
#[derive(Debug)]
pub struct Hit {
    /// What it is.
    pub kind: Arc<Kind>,
    /// Where it stands in the text as given, in bytes: with the encodings that are around it.
    pub span: Range<usize>,
    /// The secret, decoded.
    pub secret: Secret,
    /// How sure this is.
    pub confidence: Confidence,
    /// Why, in a few words each: `checksum holds`, `"mistral" stands before it`.
    pub reasons: Vec<Box<str>>,
}
