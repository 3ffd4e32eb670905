//! The keys an emulator knows, and what state each is in.

use super::script::Script;
use crate::{
    keys::Service,
    random::{self, HEX},
};

/// The state of a key at the provider: the rows of the failure matrix.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum State {
    /// It works.
    Live,
    /// It was deleted.
    Revoked,
    /// It exists and is switched off.
    Disabled,
    /// It is past its end.
    Expired,
    /// It was reported as leaked.
    Leaked,
    /// It may do inference and nothing else.
    Restricted,
    /// It may not be used from this address.
    WrongIp,
    /// The provider does not serve the country that the call comes from.
    WrongRegion,
    /// It has no access to the model.
    ModelUnknown,
    /// The account is out of money.
    NoMoney,
    /// A spending cap of its owner's is reached.
    CapReached,
    /// Too many calls.
    RateLimited,
    /// The provider cannot serve now.
    Overloaded,
    /// The prompt does not fit.
    PromptTooLong,
}

impl State {
    /// Every state.
    pub const ALL: [Self; 14] = [
        Self::Live,
        Self::Revoked,
        Self::Disabled,
        Self::Expired,
        Self::Leaked,
        Self::Restricted,
        Self::WrongIp,
        Self::WrongRegion,
        Self::ModelUnknown,
        Self::NoMoney,
        Self::CapReached,
        Self::RateLimited,
        Self::Overloaded,
        Self::PromptTooLong,
    ];

    /// A name for people and command lines.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::Revoked => "revoked",
            Self::Disabled => "disabled",
            Self::Expired => "expired",
            Self::Leaked => "leaked",
            Self::Restricted => "restricted",
            Self::WrongIp => "wrong-ip",
            Self::WrongRegion => "wrong-region",
            Self::ModelUnknown => "model-unknown",
            Self::NoMoney => "no-money",
            Self::CapReached => "cap-reached",
            Self::RateLimited => "rate-limited",
            Self::Overloaded => "overloaded",
            Self::PromptTooLong => "prompt-too-long",
        }
    }

    /// Whether the state concerns the key whatever it is used for, and not just inference.
    pub(crate) const fn closes_everything(self) -> bool {
        matches!(
            self,
            Self::Revoked | Self::Disabled | Self::Expired | Self::Leaked | Self::WrongIp | Self::WrongRegion
        )
    }
}

/// A key that the provider knows.
#[derive(Debug, Clone)]
pub(crate) struct Account {
    pub(crate) secret: String,
    pub(crate) state: State,
    pub(crate) script: Script,
    /// What names the real account in answer headers.
    pub(crate) organisation: String,
}

impl Account {
    pub(crate) fn new(service: Service, secret: &str, state: State) -> Self {
        let organisation = match service {
            Service::Anthropic => {
                let part = |length| random::text(HEX, length);
                format!("{}-{}-{}-{}-{}", part(8), part(4), part(4), part(4), part(12))
            }
            _ => format!("org-{}", random::text(random::ALNUM, 24)),
        };
        Self { secret: secret.to_owned(), state, script: Script::default(), organisation }
    }
}
