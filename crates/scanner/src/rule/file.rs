//! Files of rules: this room's own, as TOML.

use super::{Proof, Rule};
use crate::{Confidence, Kind};
use std::sync::{Arc, OnceLock};

include!(concat!(env!("OUT_DIR"), "/rules.rs"));

/// One rule of a file of ours.
#[derive(Debug, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Written {
    pub(crate) id: Box<str>,
    #[serde(default)]
    pub(crate) provider: Option<Box<str>>,
    pub(crate) name: Box<str>,
    pub(crate) pattern: Box<str>,
    #[serde(default)]
    pub(crate) loose: Option<Box<str>>,
    #[serde(default)]
    pub(crate) prefixes: Vec<Box<str>>,
    #[serde(default)]
    pub(crate) context: Vec<Box<str>>,
    #[serde(default)]
    pub(crate) alone: Option<Alone>,
    #[serde(default)]
    pub(crate) told: Option<Confidence>,
    #[serde(default)]
    pub(crate) proof: Option<Box<str>>,
    #[serde(default)]
    pub(crate) admin: bool,
    #[serde(default)]
    pub(crate) public: bool,
    /// Whose rules for the same secret fit the same texts, or who has documented the shape.
    #[serde(default)]
    #[cfg_attr(not(test), expect(dead_code, reason = "the page of all rules tells it"))]
    pub(crate) source: Option<Box<str>>,
    /// The shape comes from no source that could be checked.
    #[serde(default)]
    #[cfg_attr(not(test), expect(dead_code, reason = "the page of all rules tells it"))]
    pub(crate) unverified: bool,
    /// Texts in which a secret of the pattern, put for `{}`, must be found.
    #[serde(default)]
    #[cfg_attr(not(test), expect(dead_code, reason = "tests read them"))]
    pub(crate) examples: Vec<Box<str>>,
    /// Texts in which nothing may be found above [`Confidence::Low`]; `{}` as above.
    #[serde(default)]
    #[cfg_attr(not(test), expect(dead_code, reason = "tests read them"))]
    pub(crate) counters: Vec<Box<str>>,
}

/// How sure a shape is when nothing near it tells whose it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Alone {
    Nothing,
    Low,
    Medium,
    High,
}

#[derive(Debug, serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    rules: Vec<Written>,
}

/// The rules of this room's own files as they are written.
pub(crate) fn written() -> Result<Vec<Written>, toml::de::Error> {
    let mut all = Vec::new();
    for (_, text) in RULES {
        all.extend(toml::from_str::<File>(text)?.rules);
    }
    Ok(all)
}

/// The rules of this room's own files. They are right in a program whose tests passed.
pub(crate) fn embedded() -> Vec<Rule> {
    written().unwrap_or_default().into_iter().map(rule).collect()
}

fn rule(written: Written) -> Rule {
    let alone = match written.alone {
        Some(Alone::Nothing) => None,
        Some(Alone::Low) => Some(Confidence::Low),
        Some(Alone::Medium) => Some(Confidence::Medium),
        Some(Alone::High) => Some(Confidence::High),
        None if written.prefixes.is_empty() => None,
        None if written.context.is_empty() => Some(Confidence::High),
        None => Some(Confidence::Medium),
    };
    let usual = if written.prefixes.is_empty() { Confidence::Medium } else { Confidence::High };
    Rule {
        kind: Arc::new(Kind { rule: written.id, provider: written.provider, name: written.name, admin: written.admin }),
        pattern: written.pattern,
        loose: written.loose,
        prefixes: written.prefixes,
        context: written.context,
        alone,
        told: written.told.unwrap_or(usual),
        proof: written.proof.as_deref().map_or(Proof::None, proof),
        public: written.public,
        compiled: OnceLock::new(),
    }
}

fn proof(name: &str) -> Proof {
    match name {
        "crc" => Proof::Crc,
        "signature" => Proof::Signature,
        "aws-id" => Proof::AwsId,
        "jwt" => Proof::Jwt,
        _ => Proof::None,
    }
}
