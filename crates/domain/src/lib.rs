//! The pure core of Keyward: words, money, policy, and the shapes that flow between rooms.
//!
//! Everything here is a value or a function of its arguments. No IO, no clock, no async, no randomness:
//! time and random bytes arrive as parameters, so every rule can be tested as a table.

pub mod address;
pub mod api_token;
pub mod audit;
pub mod budget;
pub mod digest;
pub mod environment;
pub mod glob;
pub mod grant;
pub mod hours;
pub mod id;
pub mod leak;
pub mod money;
pub mod policy;
pub mod price;
pub mod provider;
pub mod refusal;
pub mod secret;
pub mod snapshot;
pub mod times;
pub mod token;
pub mod usage;
pub mod window;

pub use environment::Environment;
pub use id::{AuditId, BudgetId, CredentialId, KeyId, MemberId, ProjectId, RequestId, TokenId};
pub use money::Money;

/// Milliseconds since 1970-01-01T00:00:00Z. The only form of time that is stored or sent between rooms.
pub type Millis = i64;
