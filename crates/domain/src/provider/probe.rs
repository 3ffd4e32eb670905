//! The calls that tell a key's state, and what else their answers say about the key and its account.

use super::Cause;
use serde::{Deserialize, Serialize};

/// A call that tells a key's state. It costs nothing unless it is `paid`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Probe {
    /// What it tells, in words.
    pub tells: Box<str>,
    /// The HTTP method.
    pub method: Box<str>,
    /// The path below the API root, or a whole URL where the host differs. `{model}` stands for a model's name.
    pub path: Box<str>,
    /// A body, when the call needs one. `{model}` stands for a model's name.
    #[serde(default)]
    pub body: Option<Box<str>>,
    /// Statuses that mean the key lives. Others go through the error table.
    pub alive: Vec<u16>,
    /// What an answer with such a status can say against the key all the same; the first that fits counts.
    #[serde(default)]
    pub answers: Vec<ProbeAnswer>,
    /// What else the answer says.
    #[serde(default)]
    pub facts: Vec<ProbeFact>,
    /// Whether it is for admin keys.
    #[serde(default)]
    pub admin: bool,
    /// Whether it is made only when more than the state is asked for, and says nothing about the state: a list of models
    /// that everybody may read.
    #[serde(default)]
    pub deep: bool,
    /// Whether it costs something: the smallest call to a model, made only when somebody asked for it.
    #[serde(default)]
    pub paid: bool,
    /// Whether the fact is unverified.
    #[serde(default)]
    pub unverified: bool,
}

/// A field in the answer to a probe that tells more than the status.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProbeAnswer {
    /// The path of the field.
    pub path: Box<str>,
    /// Its value as text: `true`, `0`, `inactive`.
    pub is: Box<str>,
    /// What it means.
    pub cause: Cause,
    /// What the owner should do.
    pub remedy: Box<str>,
}

/// Where the answer to a probe says something about the key or its account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProbeFact {
    /// What it says.
    pub what: Fact,
    /// The path of the value in the body. Where the body is an array, it is one as if it stood under `items`.
    #[serde(default)]
    pub path: Option<Box<str>>,
    /// The answer header that holds it, lower case.
    #[serde(default)]
    pub header: Option<Box<str>>,
    /// What it is counted in, such as `USD` or `characters`.
    #[serde(default)]
    pub unit: Option<Box<str>>,
    /// The path of the unit, where the answer names it: as many values as `path` has.
    #[serde(default)]
    pub unit_path: Option<Box<str>>,
}

/// A kind of thing that a provider tells about a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fact {
    /// The models it can use.
    Models,
    /// What it may do.
    Scopes,
    /// The organization it belongs to.
    Organization,
    /// The project or workspace it belongs to.
    Project,
    /// The team it belongs to.
    Team,
    /// Whose it is.
    Owner,
    /// What it is called at the provider.
    Name,
    /// The plan of the account.
    Plan,
    /// When it ends.
    Expires,
    /// What is left to spend.
    Credit,
    /// How much may be used.
    Limit,
    /// How much was used.
    Used,
    /// When the limit starts anew.
    Resets,
    /// How many requests it may make.
    RequestLimit,
    /// How many requests are left at the moment.
    RequestsLeft,
    /// How many tokens it may use.
    TokenLimit,
    /// How many tokens are left at the moment.
    TokensLeft,
}

impl Fact {
    /// The name in JSON and in provider files.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Models => "models",
            Self::Scopes => "scopes",
            Self::Organization => "organization",
            Self::Project => "project",
            Self::Team => "team",
            Self::Owner => "owner",
            Self::Name => "name",
            Self::Plan => "plan",
            Self::Expires => "expires",
            Self::Credit => "credit",
            Self::Limit => "limit",
            Self::Used => "used",
            Self::Resets => "resets",
            Self::RequestLimit => "request_limit",
            Self::RequestsLeft => "requests_left",
            Self::TokenLimit => "token_limit",
            Self::TokensLeft => "tokens_left",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_the_files() {
        for fact in [Fact::Models, Fact::Credit, Fact::RequestLimit, Fact::TokensLeft, Fact::Resets] {
            assert_eq!(serde_json::to_value(fact).unwrap(), fact.name());
        }
    }
}
