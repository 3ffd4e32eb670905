//! What error answers mean: the parts of an error body and the table that turns them into a cause and a remedy.

use super::Provider;
use serde::{Deserialize, Serialize};

/// Where an error answer keeps its parts. Lists: first that is there.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ErrorFields {
    /// The error's type or status word.
    pub kind: Vec<Box<str>>,
    /// An answer header that carries the kind up to its first `:` (`x-amzn-errortype`); used when the body has none.
    pub kind_header: Option<Box<str>>,
    /// The error's code.
    pub code: Vec<Box<str>>,
    /// A finer reason.
    pub reason: Vec<Box<str>>,
    /// The text for people.
    pub message: Vec<Box<str>>,
}

/// What an error answer means, whatever its status says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// The provider does not know the key: never existed, deleted or revoked.
    KeyUnknown,
    /// The key has expired.
    KeyExpired,
    /// The provider blocked the key because it leaked.
    KeyLeaked,
    /// The key or its account is switched off.
    KeyDisabled,
    /// The key lives and may not do this.
    KeyRestricted,
    /// The key may not be used from this address.
    NetworkNotAllowed,
    /// The account has no money.
    NoMoney,
    /// A spending cap set at the provider is reached.
    SpendCapReached,
    /// Too many calls or tokens: wait.
    RateLimited,
    /// The provider is overloaded: wait.
    Overloaded,
    /// The model does not exist or is not open to the account.
    ModelUnavailable,
    /// The prompt is too long.
    PromptTooLong,
    /// The content was refused.
    ContentRefused,
    /// The region is not served.
    RegionBlocked,
    /// The request is at fault.
    BadRequest,
    /// The provider is at fault.
    ProviderFault,
    /// Not in the table.
    Unknown,
    /// Not an error: the credential works (reported after it had been out).
    Healthy,
}

impl Cause {
    /// Whether the credential itself is dead, so that another should be used.
    #[must_use]
    pub const fn is_dead(self) -> bool {
        matches!(self, Self::KeyUnknown | Self::KeyExpired | Self::KeyLeaked | Self::KeyDisabled)
    }

    /// Whether the credential's account cannot pay.
    #[must_use]
    pub const fn is_broke(self) -> bool {
        matches!(self, Self::NoMoney | Self::SpendCapReached)
    }
}

/// One line of the error table. All conditions given must hold.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ErrorRule {
    /// HTTP statuses; empty: any. An error within a stream has none: it fits rules by their other conditions, and no
    /// rule that has only statuses.
    #[serde(default)]
    pub status: Vec<u16>,
    /// The error's kind is one of these.
    #[serde(default)]
    pub kind: Vec<Box<str>>,
    /// The error's code is one of these.
    #[serde(default)]
    pub code: Vec<Box<str>>,
    /// The error's reason is one of these.
    #[serde(default)]
    pub reason: Vec<Box<str>>,
    /// The message contains one of these, without regard to ASCII case.
    #[serde(default)]
    pub message: Vec<Box<str>>,
    /// What it means.
    pub cause: Cause,
    /// What the owner should do.
    pub remedy: Box<str>,
    /// Whether the fact is unverified.
    #[serde(default)]
    pub unverified: bool,
}

/// The parts of an error answer, as far as they were there.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ErrorParts {
    /// The error's type or status word.
    pub kind: Option<String>,
    /// The error's code (numbers as text).
    pub code: Option<String>,
    /// A finer reason.
    pub reason: Option<String>,
    /// The text for people.
    pub message: Option<String>,
}

impl Provider {
    /// What an error answer means: the first rule that fits, else a guess from the status alone that never claims a
    /// dead key or an empty purse. `status` is `None` for an error within a stream.
    #[must_use]
    pub fn classify(&self, status: Option<u16>, parts: &ErrorParts) -> (Cause, Option<&ErrorRule>) {
        if let Some(rule) = self.errors.iter().find(|rule| rule.fits(status, parts)) {
            return (rule.cause, Some(rule));
        }
        let cause = match status {
            Some(429) => Cause::RateLimited,
            Some(503 | 529) => Cause::Overloaded,
            Some(413) => Cause::PromptTooLong,
            Some(400 | 405 | 422) => Cause::BadRequest,
            Some(500..) => Cause::ProviderFault,
            _ => Cause::Unknown,
        };
        (cause, None)
    }
}

impl ErrorRule {
    fn fits(&self, status: Option<u16>, parts: &ErrorParts) -> bool {
        let one_of = |wanted: &[Box<str>], given: Option<&String>| {
            wanted.is_empty() || given.is_some_and(|given| wanted.iter().any(|word| **word == **given))
        };
        // An error within a stream has no status: rules that say nothing else do not fit it.
        let says_more =
            !self.kind.is_empty() || !self.code.is_empty() || !self.reason.is_empty() || !self.message.is_empty();
        let status_fits = self.status.is_empty() || status.map_or(says_more, |status| self.status.contains(&status));
        let message_fits = self.message.is_empty()
            || parts.message.as_ref().is_some_and(|text| {
                let text = text.to_ascii_lowercase();
                self.message.iter().any(|part| text.contains(&part.to_ascii_lowercase()))
            });
        status_fits
            && one_of(&self.kind, parts.kind.as_ref())
            && one_of(&self.code, parts.code.as_ref())
            && one_of(&self.reason, parts.reason.as_ref())
            && message_fits
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_within_a_stream_fits_no_rule_of_statuses_alone() {
        let rule = |kind: &[&str]| ErrorRule {
            status: vec![402],
            kind: kind.iter().map(|word| Box::from(*word)).collect(),
            code: Vec::new(),
            reason: Vec::new(),
            message: Vec::new(),
            cause: Cause::NoMoney,
            remedy: "Pay.".into(),
            unverified: false,
        };
        let parts = ErrorParts { kind: Some("broke".to_owned()), ..ErrorParts::default() };
        assert!(!rule(&[]).fits(None, &parts));
        assert!(rule(&[]).fits(Some(402), &parts));
        assert!(rule(&["broke"]).fits(None, &parts));
        assert!(!rule(&["broke"]).fits(Some(429), &parts));
    }
}
