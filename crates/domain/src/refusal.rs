//! Why the gateway says no: one code per reason, with its status and whether a retry can help.

use serde::{Deserialize, Serialize};
use std::fmt;

macro_rules! refusals {
    ($($(#[$doc:meta])* $name:ident = $code:literal, $status:literal, $retry:literal;)*) => {
        /// The reason for a refusal, as sent in the `keyward-error` header.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        pub enum Reason { $(#[doc = concat!("`", $code, "`.")] $(#[$doc])* #[serde(rename = $code)] $name,)* }

        impl Reason {
            /// Every reason.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// The code in the `keyward-error` header.
            #[must_use]
            pub const fn code(self) -> &'static str { match self { $(Self::$name => $code,)* } }

            /// The HTTP status.
            #[must_use]
            pub const fn status(self) -> u16 { match self { $(Self::$name => $status,)* } }

            /// Whether the same call can succeed later without anybody changing anything.
            #[must_use]
            pub const fn retry_helps(self) -> bool { match self { $(Self::$name => $retry,)* } }
        }
    };
}

refusals! {
    /// No key in any of the provider's places.
    MissingKey = "missing_key", 401, false;
    /// The key does not have our shape.
    MalformedKey = "malformed_key", 401, false;
    /// The key's checksum is wrong.
    DamagedKey = "damaged_key", 401, false;
    /// No such key.
    UnknownKey = "unknown_key", 401, false;
    /// The key was revoked.
    RevokedKey = "revoked_key", 401, false;
    /// The key, or the presented one of its secrets, has expired.
    ExpiredKey = "expired_key", 401, false;
    /// Two different keys in one request.
    AmbiguousKey = "ambiguous_key", 400, false;
    /// The client's address is outside the key's networks.
    NetworkNotAllowed = "network_not_allowed", 403, false;
    /// The client's country is not allowed, or unknown while the key names countries.
    CountryNotAllowed = "country_not_allowed", 403, false;
    /// Outside the key's hours.
    OutsideHours = "outside_hours", 403, true;
    /// No provider at this path.
    UnknownProvider = "unknown_provider", 404, false;
    /// The key may not use this provider.
    ProviderNotAllowed = "provider_not_allowed", 403, false;
    /// The catalogue has no operation at this path: refused by default.
    UnknownOperation = "unknown_operation", 404, false;
    /// The key may not call this operation.
    OperationNotAllowed = "operation_not_allowed", 403, false;
    /// The key may not use this model.
    ModelNotAllowed = "model_not_allowed", 403, false;
    /// The request names no model where it must.
    MissingModel = "missing_model", 400, false;
    /// The body is larger than the key allows.
    BodyTooLarge = "body_too_large", 413, false;
    /// The request cannot be read (not JSON, a field twice, a bad path).
    MalformedRequest = "malformed_request", 400, false;
    /// The object belongs to somebody else, or to nobody known.
    ObjectNotFound = "object_not_found", 404, false;
    /// Too many requests in the last minute.
    RateLimited = "rate_limited", 429, true;
    /// Too many tokens in the last minute.
    TokensLimited = "tokens_limited", 429, true;
    /// Too many calls at once.
    ConcurrencyLimited = "concurrency_limited", 429, true;
    /// A money budget is used up.
    BudgetExhausted = "budget_exhausted", 429, false;
    /// A money budget applies and the model has no price.
    Unpriced = "unpriced", 403, false;
    /// The money for the call could not be set aside: the database did not answer, or had no room.
    BudgetUnavailable = "budget_unavailable", 503, true;
    /// The project has no usable credential for the provider.
    NoCredential = "no_credential", 503, false;
    /// The vault could not open the credential.
    CredentialSealed = "credential_sealed", 503, false;
    /// The provider's address is not one the gateway may reach.
    UpstreamForbidden = "upstream_forbidden", 502, false;
    /// The provider could not be reached.
    UpstreamUnreachable = "upstream_unreachable", 502, true;
    /// The provider did not answer in time.
    UpstreamTimeout = "upstream_timeout", 504, true;
    /// The provider's answer broke HTTP's rules.
    UpstreamInvalid = "upstream_invalid", 502, true;
    /// The disk that holds the journal takes no more.
    StorageFull = "storage_full", 503, true;
    /// The gateway is stopping.
    ShuttingDown = "shutting_down", 503, true;
}

/// A refusal: the reason and a sentence for the person who reads the client's log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// Why.
    pub reason: Reason,
    /// What is wrong and what to do; names no secret.
    pub message: String,
    /// When to try again, in milliseconds from now, where that is known.
    pub retry_after_ms: Option<u64>,
}

impl Refusal {
    /// A refusal without a time.
    pub fn new(reason: Reason, message: impl Into<String>) -> Self {
        Self { reason, message: message.into(), retry_after_ms: None }
    }

    /// The same, with the time after which a retry can succeed.
    #[must_use]
    pub const fn retry_after_ms(mut self, millis: u64) -> Self {
        self.retry_after_ms = Some(millis);
        self
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.reason.code(), self.message)
    }
}
