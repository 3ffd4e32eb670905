//! What the server says when it refuses (RFC 9457), as one failure with what to do next.

use crate::{
    connect::{Address, Target},
    failure::Failure,
};
use http::{HeaderMap, StatusCode, header};
use serde::Deserialize;

#[derive(Deserialize)]
struct Problem {
    #[serde(default)]
    title: String,
    #[serde(default)]
    detail: String,
    #[serde(default)]
    code: Option<String>,
    #[serde(default)]
    hint: Option<String>,
}

/// The failure that a refusal is.
pub(super) fn read(status: StatusCode, body: &[u8], target: &Target) -> Failure {
    let problem = serde_json::from_slice::<Problem>(body).ok().filter(|p| !p.detail.is_empty() || !p.title.is_empty());
    let Some(problem) = problem else {
        let failure = Failure::failed(format!("{} answered {status} without saying why", target.address));
        return match status {
            StatusCode::NOT_FOUND => failure.hint("is this a Keyward server's admin address?"),
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => failure.hint(token_hint(target)),
            _ => failure.hint("a proxy in front of the server may be at fault"),
        };
    };
    let text = if problem.detail.is_empty() { problem.title } else { problem.detail };
    let mut failure = Failure::failed(text.trim_end_matches('.'));
    failure.hints.extend(problem.hint.filter(|hint| !hint.is_empty()));
    if status == StatusCode::UNAUTHORIZED {
        failure.hints.push(token_hint(target));
    }
    failure.code = problem.code;
    failure
}

fn token_hint(target: &Target) -> String {
    format!("the token came from {}: check it, or run `keyward login`", target.source)
}

/// The failure when the answer is not of our API.
pub(super) fn foreign(address: &Address) -> Failure {
    Failure::failed(format!("{address} does not answer like a Keyward server"))
        .hint("the admin address is meant (port 8701 by default), not the gateway's")
}

/// The failure when the answer points elsewhere. It is never followed: the token would travel along.
pub(super) fn redirected(headers: &HeaderMap, target: &Target) -> Failure {
    let place = headers.get(header::LOCATION).and_then(|place| place.to_str().ok()).unwrap_or("somewhere else");
    let place: String = place.chars().take(200).collect();
    Failure::failed(format!("{} points to {place}, and redirects are not followed", target.address))
        .hint("if that is the server, use it as the address")
}
