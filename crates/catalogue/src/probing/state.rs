//! In which state a key is, in one word.

use keyward_domain::provider::Cause;
use serde::{Deserialize, Serialize};

/// What is known of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// The provider takes it.
    Live,
    /// The provider takes it, but not for everything.
    #[serde(rename = "live_restricted")]
    Restricted,
    /// It is good, but too many calls were made with it just now.
    RateLimited,
    /// It is good, but its account cannot pay, or a spending limit is reached.
    NoMoney,
    /// It is good, but not at this address or in this country.
    WrongNetwork,
    /// It, or its account, was switched off.
    Revoked,
    /// It is past its end.
    Expired,
    /// The provider blocked it because it was reported as leaked.
    Leaked,
    /// The provider does not know it: it never was a key, or was deleted or revoked. Most providers have one answer for all
    /// of these.
    Invalid,
    /// The provider could not be asked.
    Unreachable,
    /// It cannot be told.
    Unknown,
}

impl State {
    /// The state that a cause leads to.
    #[must_use]
    pub const fn of(cause: Cause) -> Self {
        match cause {
            Cause::Healthy => Self::Live,
            Cause::KeyUnknown => Self::Invalid,
            Cause::KeyExpired => Self::Expired,
            Cause::KeyLeaked => Self::Leaked,
            Cause::KeyDisabled => Self::Revoked,
            Cause::KeyRestricted | Cause::ModelUnavailable => Self::Restricted,
            Cause::NetworkNotAllowed | Cause::RegionBlocked => Self::WrongNetwork,
            Cause::NoMoney | Cause::SpendCapReached => Self::NoMoney,
            Cause::RateLimited => Self::RateLimited,
            Cause::Overloaded
            | Cause::PromptTooLong
            | Cause::ContentRefused
            | Cause::BadRequest
            | Cause::ProviderFault
            | Cause::Unknown => Self::Unknown,
        }
    }

    /// The name in JSON.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::Restricted => "live_restricted",
            Self::RateLimited => "rate_limited",
            Self::NoMoney => "no_money",
            Self::WrongNetwork => "wrong_network",
            Self::Revoked => "revoked",
            Self::Expired => "expired",
            Self::Leaked => "leaked",
            Self::Invalid => "invalid",
            Self::Unreachable => "unreachable",
            Self::Unknown => "unknown",
        }
    }

    /// The words for people.
    #[must_use]
    pub const fn words(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::Restricted => "live, restricted",
            Self::RateLimited => "rate limited",
            Self::NoMoney => "no money",
            Self::WrongNetwork => "wrong network",
            Self::Revoked => "revoked",
            Self::Expired => "expired",
            Self::Leaked => "reported leaked",
            Self::Invalid => "invalid",
            Self::Unreachable => "unreachable",
            Self::Unknown => "unknown",
        }
    }

    /// Whether calls can be made with the key. `None`: it cannot be told.
    #[must_use]
    pub const fn usable(self) -> Option<bool> {
        match self {
            Self::Live | Self::Restricted | Self::RateLimited => Some(true),
            Self::NoMoney | Self::WrongNetwork | Self::Revoked | Self::Expired | Self::Leaked | Self::Invalid => {
                Some(false)
            }
            Self::Unreachable | Self::Unknown => None,
        }
    }

    /// Whether somebody who finds the key can still do harm with it, or may. What is not known counts as harm.
    #[must_use]
    pub const fn is_dangerous(self) -> bool {
        !matches!(self, Self::Revoked | Self::Expired | Self::Leaked | Self::Invalid)
    }
}

/// Whether nothing more needs to be asked: the key is no good, or nobody answers.
pub(super) const fn closes(state: State) -> bool {
    !matches!(state, State::Live | State::Restricted | State::RateLimited | State::Unknown)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_json() {
        for state in [
            State::Live,
            State::Restricted,
            State::RateLimited,
            State::NoMoney,
            State::WrongNetwork,
            State::Revoked,
            State::Expired,
            State::Leaked,
            State::Invalid,
            State::Unreachable,
            State::Unknown,
        ] {
            assert_eq!(serde_json::to_value(state).unwrap(), state.name());
            assert_eq!(state.usable().is_none(), matches!(state, State::Unreachable | State::Unknown));
        }
    }
}
