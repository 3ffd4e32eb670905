//! What kinds of secrets there are: the key shapes of the catalogue, this room's own files, and files of others.

mod compile;
mod file;
mod foreign;

pub(crate) use compile::{Bytes, Compiled, Extent, beginning, extent};
pub(crate) use file::embedded;
#[cfg(test)]
pub(crate) use file::written;
pub(crate) use foreign::CONFIDENCE as FOREIGN;
pub use foreign::{RuleProblem, Rules};

use crate::{Confidence, Kind, OURS};
use keyward_catalogue::{Catalogue, Keys, Shape};
use std::sync::{Arc, OnceLock};

/// What is done with the secrets a rule finds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Proof {
    /// Nothing beyond the shape.
    None,
    /// A key of our own: its checksum must hold.
    Ours,
    /// The last six characters are the CRC-32 of the rest, as GitHub and npm make them.
    Crc,
    /// The signature `T3BlbkFJ` stands in the middle, with as much before as after it.
    OpenAi,
    /// The shape holds a signature that nobody gets by chance.
    Signature,
    /// Base64 of a text that names the account.
    BedrockLong,
    /// Base64 of a signed address that tells when it expires.
    BedrockShort,
    /// The account id is in the key id.
    AwsId,
    /// Three parts of base64, the first a JSON object that names an algorithm.
    Jwt,
}

/// One kind of secret, ready to be looked for. Its patterns are compiled when they are first needed.
#[derive(Debug)]
pub(crate) struct Rule {
    pub(crate) kind: Arc<Kind>,
    /// The pattern of the whole secret.
    pub(crate) pattern: Box<str>,
    /// A wider pattern, for secrets whose length has drifted. Fits less surely.
    pub(crate) loose: Option<Box<str>>,
    /// Literal beginnings.
    pub(crate) prefixes: Vec<Box<str>>,
    /// Words, lower case, that tell whose it is.
    pub(crate) context: Vec<Box<str>>,
    /// How sure it is when nothing near it tells whose it is. None: then it is not one.
    pub(crate) alone: Option<Confidence>,
    /// How sure it is when something does.
    pub(crate) told: Confidence,
    pub(crate) proof: Proof,
    /// Known and public: it is not reported, and nothing else is found in its place.
    pub(crate) public: bool,
    compiled: OnceLock<Option<Compiled>>,
}

impl Rule {
    /// The compiled patterns. None: a pattern is wrong, which the tests of the embedded files and the reader of all
    /// others rule out.
    pub(crate) fn compiled(&self) -> Option<&Compiled> {
        self.compiled.get_or_init(|| Compiled::new(&self.pattern, self.loose.as_deref(), &self.prefixes)).as_ref()
    }
}

/// Which proof a shape of the catalogue has.
fn proof_of(provider: &str, name: &str) -> Proof {
    match (provider, name) {
        ("openai", "legacy" | "project" | "service-account" | "admin") => Proof::OpenAi,
        ("groq", "api") | ("azure-openai", "long") => Proof::Signature,
        ("bedrock", "long-term") => Proof::BedrockLong,
        ("bedrock", "short-term") => Proof::BedrockShort,
        _ => Proof::None,
    }
}

/// The rules that the catalogue's key shapes are.
pub(crate) fn of_catalogue(catalogue: &Catalogue) -> Vec<Rule> {
    let named = |id: &str| catalogue.provider(id).map(|provider| provider.name.to_string());
    of_shapes(catalogue.shapes(), named)
}

/// The same rules, of the catalogue that comes with the program.
pub(crate) fn of_keys(keys: &Keys) -> Vec<Rule> {
    of_shapes(keys.shapes(), |id| keys.name(id).map(str::to_owned))
}

fn of_shapes(shapes: &[Shape], name: impl Fn(&str) -> Option<String>) -> Vec<Rule> {
    let named = |id: &str| name(id).unwrap_or_else(|| id.to_owned());
    let rule = |shape: &Shape| Rule {
        kind: Arc::new(Kind {
            rule: format!("{}/{}", shape.provider, shape.name).into(),
            provider: Some(shape.provider.clone()),
            name: format!("{} {} key", named(&shape.provider), shape.name.replace('-', " ")).into(),
            admin: shape.admin,
        }),
        pattern: shape.pattern.clone(),
        loose: shape.loose.clone(),
        prefixes: shape.prefixes.clone(),
        context: shape.context.clone(),
        alone: match (shape.prefixes.is_empty(), shape.context.is_empty()) {
            // A signature tells as much as a beginning does.
            (true, _) if proof_of(&shape.provider, &shape.name) == Proof::Signature => Some(Confidence::High),
            (true, _) => None,
            (false, true) => Some(Confidence::High),
            (false, false) => Some(Confidence::Medium),
        },
        told: if shape.prefixes.is_empty() { Confidence::Medium } else { Confidence::High },
        proof: proof_of(&shape.provider, &shape.name),
        public: false,
        compiled: OnceLock::new(),
    };
    shapes.iter().map(rule).collect()
}

/// The rules whose secrets no pattern tells: found by code of the matcher, which asks for them by their places here.
pub(crate) fn built_in() -> Vec<Rule> {
    let rule = |id: &str, name: &str| Rule {
        kind: Arc::new(Kind { rule: id.into(), provider: None, name: name.into(), admin: false }),
        pattern: "".into(),
        loose: None,
        prefixes: Vec::new(),
        context: Vec::new(),
        alone: None,
        told: Confidence::Low,
        proof: Proof::None,
        public: false,
        compiled: OnceLock::new(),
    };
    vec![
        rule("private-key/pem", "Private key"),
        rule("address/password", "Password in an address"),
        rule("generic/assignment", "Random text that is named like a secret"),
    ]
}

/// The place of private keys among the rules.
pub(crate) const PRIVATE_KEY: usize = 0;
/// The place of passwords in addresses.
pub(crate) const ADDRESS: usize = 1;
/// The place of random texts that are named like secrets.
pub(crate) const ASSIGNMENT: usize = 2;

/// Our own keys and tokens, which carry a checksum.
pub(crate) fn ours() -> Vec<Rule> {
    let rule = |name: &str, title: &str, pattern: &str, prefixes: &[&str]| Rule {
        kind: Arc::new(Kind {
            rule: format!("{OURS}/{name}").into(),
            provider: Some(OURS.into()),
            name: title.into(),
            admin: name == "control-token",
        }),
        pattern: pattern.into(),
        loose: None,
        prefixes: prefixes.iter().map(|prefix| (*prefix).into()).collect(),
        context: Vec::new(),
        alone: Some(Confidence::Low),
        told: Confidence::Low,
        proof: Proof::Ours,
        public: false,
        compiled: OnceLock::new(),
    };
    let virtual_prefixes = ["kw_dev_", "kw_stg_", "kw_prod_", "sk-kw_dev_", "sk-kw_stg_", "sk-kw_prod_"];
    vec![
        rule("virtual-key", "Keyward virtual key", "(?:sk-)?kw_(?:dev|stg|prod)_[A-Za-z0-9]{51}", &virtual_prefixes),
        rule("control-token", "Keyward control token", "kwt_[A-Za-z0-9]{49}", &["kwt_"]),
    ]
}

#[cfg(test)]
mod tests;
