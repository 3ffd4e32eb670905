//! The control API, one file per kind of resource, each with its own `router()`. Handlers read and answer; what takes
//! more than one effect (seal, store, audit, publish) is here in one function per use.

pub(crate) mod audit;
pub(crate) mod backup;
pub(crate) mod budgets;
pub(crate) mod calls;
pub(crate) mod credentials;
pub(crate) mod doctor;
pub(crate) mod health;
pub(crate) mod keys;
pub(crate) mod leaks;
pub(crate) mod nodes;
pub(crate) mod projects;
pub(crate) mod providers;
pub(crate) mod rates;
pub(crate) mod schema;
pub(crate) mod setup;
pub(crate) mod status;
pub(crate) mod tokens;
pub(crate) mod usage;
pub(crate) mod vault;

use crate::error::{Answer, ApiError};
use serde::{Deserialize, Serialize, Serializer};
use zeroize::Zeroizing;

/// A list.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct Items<T> {
    /// The records.
    pub items: Vec<T>,
}

/// A body that gives a reason and nothing else.
#[derive(Debug, Default, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct ReasonBody {
    /// Why, for the audit log.
    pub reason: Option<String>,
}

/// Refuses a change that was meant for another state of the record.
pub(crate) fn expected(asked: Option<&str>, revision: &str) -> Answer<()> {
    if asked.is_none_or(|asked| asked == revision) {
        return Ok(());
    }
    Err(ApiError::conflict("changed_meanwhile", "somebody changed this record meanwhile: it has another revision")
        .hint("read it again, look whether the change still fits, and send it with the new revision"))
}

/// Writes a secret into the one answer that shows it.
pub(crate) fn shown_once<S: Serializer>(text: &Zeroizing<String>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(text)
}

/// Checks a name that people give to a record: it must be fit to be shown, and must not look like an id.
pub(crate) fn checked_name(kind: &str, name: &str) -> Answer<String> {
    let name = name.trim();
    let length = name.chars().count();
    if !(1..=80).contains(&length) {
        return Err(ApiError::invalid("invalid_name", format!("a {kind}'s name has 1 to 80 characters")));
    }
    // What turns the direction of writing makes a name look like another.
    let turns =
        |character| matches!(character, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    if name.chars().any(|character| character.is_control() || character == '/' || turns(character)) {
        return Err(ApiError::invalid(
            "invalid_name",
            format!("a {kind}'s name has no slash, no control characters and none that turn the direction of writing"),
        ));
    }
    if uuid::Uuid::try_parse(name).is_ok() {
        return Err(ApiError::invalid("invalid_name", format!("a {kind}'s name cannot look like an id")));
    }
    Ok(name.to_owned())
}

/// Checks a reason: short, and fit to be shown.
pub(crate) fn checked_reason(reason: Option<String>) -> Answer<Option<String>> {
    let Some(reason) = reason else { return Ok(None) };
    let reason = reason.trim();
    if reason.chars().count() > 500 || reason.chars().any(|character| character.is_control() && character != '\n') {
        return Err(ApiError::invalid(
            "invalid_reason",
            "a reason has at most 500 characters, without control characters",
        ));
    }
    Ok((!reason.is_empty()).then(|| reason.to_owned()))
}
