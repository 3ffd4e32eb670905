//! What this installation's own server knows: the credentials of its vault, and its virtual keys.

use super::{App, Row, progress};
use crate::{client::Route, commands::items, failure::Failure, ui::table};
use keyward_catalogue::probing::{State, Verdict};
use serde_json::{Value, json};

/// Has the server check credentials: it asks their providers itself.
pub(super) async fn credentials(app: &mut App, names: &[String], all: bool) -> Result<Vec<Row>, Failure> {
    let client = app.client()?;
    let mut wanted: Vec<(String, String, String)> = Vec::new();
    if all {
        let known = client.get(Route::new(&["credentials"])?).await?;
        let active = items(&known).iter().filter(|credential| table::at(credential, "/status") == "active");
        wanted.extend(active.map(|credential| {
            let at = |pointer: &str| table::at(credential, pointer);
            (at("/id"), at("/name"), at("/provider"))
        }));
    }
    for name in names {
        let known = client.get(Route::new(&["credentials", name])?).await?;
        let at = |pointer: &str| table::at(&known, pointer);
        if !wanted.iter().any(|(id, ..)| *id == at("/id")) {
            wanted.push((at("/id"), at("/name"), at("/provider")));
        }
    }
    if wanted.is_empty() {
        return Err(Failure::usage("there is no credential in the vault that is in use"));
    }
    let count = wanted.len();
    let mut rows = Vec::with_capacity(count);
    for (at, (id, name, provider)) in wanted.into_iter().enumerate() {
        let checked = client.post(Route::new(&["credentials", &id, "verify"])?, &json!({})).await;
        let verdict = match checked {
            Ok(checked) => read(&checked),
            Err(failure) => refused(&failure),
        };
        rows.push(Row { name, from: "vault".to_owned(), provider, verdict });
        progress(app, at + 1, count);
    }
    Ok(rows)
}

/// What the server found, as if it had been found here.
fn read(checked: &Value) -> Verdict {
    let at = |pointer: &str| table::at(checked, pointer);
    let state = checked.get("detail").cloned().and_then(|state| serde_json::from_value(state).ok());
    let mut verdict = Verdict::unasked(state.unwrap_or(State::Unknown), &at("/cause"), at("/because"), at("/remedy"));
    verdict.usable = checked.get("usable").and_then(Value::as_bool);
    verdict.http_status = checked.get("http_status").and_then(Value::as_u64).and_then(|status| status.try_into().ok());
    verdict.said = checked.get("said").and_then(Value::as_str).map(str::to_owned);
    verdict.facts =
        checked.get("facts").cloned().and_then(|facts| serde_json::from_value(facts).ok()).unwrap_or_default();
    verdict.notes =
        checked.get("notes").cloned().and_then(|notes| serde_json::from_value(notes).ok()).unwrap_or_default();
    verdict
}

fn refused(failure: &Failure) -> Verdict {
    let name = failure.code.as_deref().unwrap_or("not_checked");
    Verdict::unasked(State::Unknown, name, failure.error.clone(), failure.hints.join("; "))
}

/// Asks the server about a virtual key by its public part. Its secret stays here.
pub(super) async fn key(app: &App, public_id: &str) -> Verdict {
    let unknown = |because: String, remedy: String| Verdict::unasked(State::Unknown, "virtual_key", because, remedy);
    let ours = "this is a virtual key of Keyward, not a provider's key";
    let client = match app.client() {
        Ok(client) => client,
        Err(failure) => return unknown(format!("{ours}: {}", failure.error), failure.hints.join("; ")),
    };
    let asked = match Route::new(&["keys", public_id]) {
        Ok(route) => client.get(route).await,
        Err(failure) => Err(failure),
    };
    let known = match asked {
        Ok(known) => known,
        Err(failure) if failure.has_code("not_found") => {
            let because = format!("{ours}, and this server does not know it");
            let remedy = "Ask the server that made it (--addr), or make a new one: keyward key create.";
            return Verdict::unasked(State::Invalid, "virtual_key", because, remedy);
        }
        Err(failure) => return unknown(format!("{ours}: {}", failure.error), failure.hints.join("; ")),
    };
    let at = |pointer: &str| table::at(&known, pointer);
    let (state, remedy) = match at("/status").as_str() {
        "active" => (State::Live, ""),
        "expired" => (State::Expired, "Make a new one: keyward key create."),
        "revoked" | "archived" => (State::Revoked, "Make a new one: keyward key create."),
        _ => (State::Unknown, "Its record was changed outside of Keyward: keyward doctor says more."),
    };
    let because = format!("{ours}: '{}' of project {} ({})", at("/name"), at("/project"), at("/environment"));
    let mut verdict = Verdict::unasked(state, "virtual_key", because, remedy);
    let list = |pointer: &str| {
        let value = at(pointer);
        if value.is_empty() { Vec::new() } else { vec![value] }
    };
    let facts = json!({"name": list("/name"), "project": list("/project"), "expires": list("/expires_at")});
    verdict.facts = serde_json::from_value(facts).unwrap_or_default();
    verdict.notes.push("it was looked up by its public part; its secret was not sent".to_owned());
    verdict
}
