//! Identifiers: one newtype per kind of record, all UUID version 7, so that ids sort by creation time.
//! An id is made from a time and random bytes that the caller supplies.

use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};
use uuid::Uuid;

/// An identifier that could not be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not an id: expected the 36 characters of a UUID such as 01890a5d-ac96-774b-bcce-b302099a8057")]
pub struct BadId;

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(Uuid);

        impl $name {
            /// Builds a version 7 id from a time and ten random bytes.
            #[must_use]
            pub fn new(now: crate::Millis, random: [u8; 10]) -> Self {
                let millis = u64::try_from(now).unwrap_or(0);
                Self(uuid::Builder::from_unix_timestamp_millis(millis, &random).into_uuid())
            }

            /// Wraps a UUID read from storage.
            #[must_use]
            pub const fn from_uuid(uuid: Uuid) -> Self {
                Self(uuid)
            }

            /// The UUID inside, for storage.
            #[must_use]
            pub const fn uuid(self) -> Uuid {
                self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl FromStr for $name {
            type Err = BadId;

            fn from_str(text: &str) -> Result<Self, BadId> {
                Uuid::try_parse(text).map(Self).map_err(|_| BadId)
            }
        }
    };
}

id!(
    /// A project: one site, client or application.
    ProjectId
);
id!(
    /// A credential: one real provider key (with its versions) in the vault.
    CredentialId
);
id!(
    /// A virtual key. Not secret; the secret part lives only in the token.
    KeyId
);
id!(
    /// A person.
    MemberId
);
id!(
    /// A service token for the control API.
    TokenId
);
id!(
    /// A budget.
    BudgetId
);
id!(
    /// One call through the gateway.
    RequestId
);
id!(
    /// One row of the audit log.
    AuditId
);
