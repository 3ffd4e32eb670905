//! The one error of the API: a problem document (RFC 9457) with a stable `code` for scripts, a `detail` for people and
//! a `hint` on what to do. What went wrong inside goes to the log, never to the caller.

use axum::{
    Json,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::Serialize;
use std::{error::Error as StdError, fmt, sync::Arc};

/// What to do when the database does not answer.
pub(crate) const UNREACHABLE: &str =
    "see whether it runs and lets the server in; calls go on meanwhile and are counted when it is back";
/// What to do when the database can only be read.
pub(crate) const READ_ONLY: &str = "see whether its disk is mounted read-only, its file was moved, or who owns it; with PostgreSQL, \
    whether the address leads to the primary server";

/// An error as the API answers it.
#[derive(Debug)]
pub struct ApiError {
    status: StatusCode,
    code: &'static str,
    detail: String,
    hint: Option<String>,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

/// The body of every error answer.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct Problem {
    /// Always `about:blank`: `code` tells the kinds apart.
    #[serde(rename = "type")]
    #[schema(example = "about:blank")]
    pub kind: &'static str,
    /// The HTTP status in words.
    #[schema(example = "Not Found")]
    pub title: String,
    /// The HTTP status.
    #[schema(example = 404)]
    pub status: u16,
    /// What is wrong, for people.
    pub detail: String,
    /// What is wrong, for scripts; stable.
    #[schema(example = "not_found")]
    pub code: &'static str,
    /// What to do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

/// What the logging middleware finds in an answer that hides its cause.
#[derive(Clone)]
pub(crate) struct Hidden(pub Arc<dyn StdError + Send + Sync>);

impl ApiError {
    /// An error with a status, a stable code and a sentence.
    pub fn new(status: StatusCode, code: &'static str, detail: impl Into<String>) -> Self {
        Self { status, code, detail: detail.into(), hint: None, source: None }
    }

    /// 400: the request is at fault.
    pub fn invalid(code: &'static str, detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, code, detail)
    }

    /// 404: no such record.
    pub fn not_found(kind: &str, name: &str) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", format!("there is no {kind} '{}'", shown(name)))
            .hint(format!("`keyward {kind} list` shows which there are"))
    }

    /// 409: the state of things forbids it.
    pub fn conflict(code: &'static str, detail: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, code, detail)
    }

    /// 403: known, and not allowed.
    pub fn forbidden(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, "forbidden", detail)
    }

    /// 401: not known.
    pub fn unauthorized(code: &'static str, detail: impl Into<String>) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, code, detail)
    }

    /// 500: our fault; the cause goes to the log.
    pub fn internal(cause: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        Self {
            status: StatusCode::INTERNAL_SERVER_ERROR,
            code: "internal",
            detail: "the server could not finish this; its log says why".into(),
            hint: None,
            source: Some(cause.into()),
        }
    }

    /// The same error with advice.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// The same error with a cause for the log.
    #[must_use]
    pub fn caused_by(mut self, cause: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        self.source = Some(cause.into());
        self
    }

    /// The same error as a 404: what is missing is the path itself.
    #[must_use]
    pub const fn gone(mut self) -> Self {
        self.status = StatusCode::NOT_FOUND;
        self
    }

    /// The stable code.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        self.code
    }
}

impl fmt::Display for ApiError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.detail)?;
        self.source.as_ref().map_or(Ok(()), |source| write!(f, ": {source}"))
    }
}

impl StdError for ApiError {}

/// The longest word that is said back, ids apart: the shortest of providers' keys has 25 characters.
const LONGEST_WORD: usize = 24;

/// Text from a caller, fit to be said back: without control characters, not too long, and without words so long that
/// they could be a key that somebody pasted in the wrong place.
pub(crate) fn shown(text: &str) -> String {
    let clean: String = text.chars().filter(|character| !character.is_control()).take(120).collect();
    let words = clean.split_inclusive([' ', '/']);
    words
        .map(|word| {
            let bare = word.trim_end_matches([' ', '/']);
            if bare.chars().count() > LONGEST_WORD && uuid::Uuid::try_parse(bare).is_err() {
                let beginning: String = word.chars().take(6).collect();
                format!("{beginning}…")
            } else {
                word.to_owned()
            }
        })
        .collect()
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let problem = Problem {
            kind: "about:blank",
            title: self.status.canonical_reason().unwrap_or("Error").to_owned(),
            status: self.status.as_u16(),
            detail: self.detail,
            code: self.code,
            hint: self.hint,
        };
        let mut response = (self.status, Json(problem)).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if self.status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"keyward\""));
        }
        if let Some(source) = self.source {
            response.extensions_mut().insert(Hidden(Arc::from(source)));
        }
        response
    }
}

impl From<crate::clock::NoRandomness> for ApiError {
    fn from(error: crate::clock::NoRandomness) -> Self {
        Self::internal(error)
    }
}

impl From<keyward_store::Error> for ApiError {
    fn from(error: keyward_store::Error) -> Self {
        use keyward_store::Error;
        let text = error.to_string();
        match &error {
            Error::Taken { .. } => Self::conflict("name_taken", text).hint("choose another"),
            Error::Stale { .. } => Self::conflict("changed_meanwhile", text),
            Error::Dangling { .. } => Self::conflict("missing_record", text),
            Error::DiskFull => Self::new(StatusCode::INSUFFICIENT_STORAGE, "storage_full", text)
                .hint("free space on the disk that holds the data folder"),
            Error::ReadOnly => {
                Self::new(StatusCode::SERVICE_UNAVAILABLE, "database_read_only", text).hint(READ_ONLY).caused_by(error)
            }
            Error::Corrupt { .. } => Self::new(StatusCode::SERVICE_UNAVAILABLE, "database_damaged", text)
                .hint("restore the last backup: keyward restore"),
            Error::Unreachable { .. } => {
                let unreachable = Self::new(StatusCode::SERVICE_UNAVAILABLE, "database_unreachable", text);
                unreachable.hint(UNREACHABLE).caused_by(error)
            }
            _ => Self::internal(error),
        }
    }
}

impl From<keyward_vault::Error> for ApiError {
    fn from(error: keyward_vault::Error) -> Self {
        use keyward_vault::Error;
        let text = error.to_string();
        match &error {
            Error::BadRecipient { .. } => Self::invalid("invalid_recipient", text),
            Error::Tampered { .. } | Error::WrongWrappingKey { .. } | Error::UnknownWrappingKey { .. } => {
                Self::conflict("secret_unreadable", text).caused_by(error)
            }
            _ => Self::internal(error),
        }
    }
}

/// Names the name that is taken, where the store only says that one is.
pub(crate) fn taken(kind: &'static str, name: &str) -> impl FnOnce(keyward_store::Error) -> ApiError {
    move |error| match error {
        keyward_store::Error::Taken { .. } => {
            ApiError::conflict("name_taken", format!("there is a {kind} with the name '{}' already", shown(name)))
                .hint(format!("choose another name; `keyward {kind} list` shows which there are"))
        }
        error => error.into(),
    }
}

/// What a handler answers.
pub(crate) type Answer<T> = Result<T, ApiError>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_back_could_not_be_a_key() {
        let key = "k".repeat(40);
        for (text, said) in [
            ("a name with spaces", "a name with spaces"),
            ("01890a5d-ac96-774b-bcce-b302099a8057", "01890a5d-ac96-774b-bcce-b302099a8057"),
            ("line\nbreak", "linebreak"),
            (key.as_str(), "kkkkkk…"),
            ("a-name-of-twenty-four-ch", "a-name-of-twenty-four-ch"),
            // As short as the shortest of providers' keys.
            (&format!("fw_{}", "k".repeat(22)), "fw_kkk…"),
            (&format!("/api/v1/{key}/x"), "/api/v1/kkkkkk…x"),
        ] {
            assert_eq!(shown(text), said);
        }
    }
}
