//! Whose the found secrets are, and stopping those that are ours. No secret leaves: the server is asked with keyed hashes.

use super::super::body;
use crate::{
    client::{Client, Route},
    commands::App,
    connect::{self, NO_SERVER},
    failure::{Failure, Kind},
};
use keyward_domain::{api_token, digest::hex, leak::LeakKey, token};
use keyward_scanner::{
    Fingerprinter,
    report::{Ours, Row, printable},
};
use serde_json::{Value, json};
use std::{collections::HashMap, time::Duration};
use tokio::time::timeout;

/// How long the server may take to say that it is there: a scan does not hang on one that is gone.
const PATIENCE: Duration = Duration::from_secs(3);
/// The same for each answer after that, in milliseconds.
const ANSWER: u64 = 10_000;
/// How many secrets one call asks about.
const BATCH: usize = 500;
/// The longest reason the audit log takes, in characters, with room for what stands around the place.
const LONGEST_PLACE: usize = 400;

/// A server that knows whose secrets are.
pub(super) struct Server {
    client: Client,
    key: LeakKey,
    prints: Fingerprinter,
}

impl Server {
    /// The server that options, variables and files lead to.
    ///
    /// # Errors
    /// When there is none, or it does not answer.
    pub(super) async fn find(app: &App) -> Result<Self, Failure> {
        let mut target = connect::find(&app.wishes, &app.context.variables)?;
        target.timeout_ms = app.wishes.timeout_ms.unwrap_or(ANSWER);
        let client = Client::new(target);
        let asked = timeout(PATIENCE, client.get(Route::new(&["leaks", "key"])?)).await;
        let address = &client.target().address;
        let answer = asked.map_err(|_| Failure::failed(format!("{address} does not answer")))??;
        let key = answer.get("key").and_then(Value::as_str).and_then(LeakKey::from_hex);
        let key = key.ok_or_else(|| Failure::failed(format!("{address} gave no key to ask with")))?;
        let prints = Fingerprinter::keyed(key.bytes());
        Ok(Self { client, key, prints })
    }

    /// The same where one is set up and answers. A scan never fails for the want of a server.
    pub(super) async fn if_known(app: &mut App, quiet: bool) -> Option<Self> {
        match Self::find(app).await {
            Ok(server) => Some(server),
            Err(failure) => {
                if !failure.has_code(NO_SERVER) {
                    unnamed(app, &failure, quiet);
                }
                None
            }
        }
    }

    pub(super) const fn fingerprinter(&self) -> &Fingerprinter {
        &self.prints
    }

    /// Says of each row whose it is.
    ///
    /// # Errors
    /// When the server does not answer, or refuses.
    pub(super) async fn name(&self, rows: &mut [Row]) -> Result<(), Failure> {
        let mut questions: HashMap<String, Value> = HashMap::new();
        let asked: Vec<String> = rows
            .iter()
            .map(|row| {
                let (print, question) = self.question(row.finding.secret.expose());
                questions.insert(print.clone(), question);
                print
            })
            .collect();
        let mut owners: HashMap<String, Ours> = HashMap::new();
        let all: Vec<Value> = questions.into_values().collect();
        for batch in all.chunks(BATCH) {
            let answer = self.client.post(Route::new(&["leaks", "match"])?, &json!({"items": batch})).await?;
            for item in super::super::items(&answer) {
                let print = item.get("fingerprint").and_then(Value::as_str).unwrap_or_default().to_owned();
                let Ok(ours) = serde_json::from_value::<Ours>(item.clone()) else { continue };
                // Of several credentials with one secret, the one that it opens counts.
                let known = owners.entry(print).or_insert_with(|| ours.clone());
                if !known.current && ours.current {
                    *known = ours;
                }
            }
        }
        for (row, print) in rows.iter_mut().zip(asked) {
            row.ours = owners.get(&print).cloned();
        }
        Ok(())
    }

    fn question(&self, secret: &[u8]) -> (String, Value) {
        let text = std::str::from_utf8(secret).unwrap_or_default().trim();
        if let Ok(key) = token::parse(text) {
            let print = hex(&self.key.of_key(&key.hash).0);
            return (print.clone(), json!({"kind": "key", "public_id": key.public_id, "fingerprint": print}));
        }
        let (kind, print) = match api_token::parse(text) {
            Ok(hash) => ("token", self.key.of_token(&hash)),
            Err(_) => ("credential", self.key.of_secret(secret)),
        };
        let print = hex(&print.0);
        (print.clone(), json!({"kind": kind, "fingerprint": print}))
    }

    /// Takes a secret's power away.
    async fn stop(&self, ours: &Ours, reason: &str) -> Result<&'static str, Failure> {
        let body = body([("reason", Some(json!(reason)))]);
        match ours.kind.as_str() {
            "key" => {
                self.client.post(Route::new(&["keys", &ours.id, "revoke"])?, &body).await?;
                Ok("revoked")
            }
            "token" => {
                self.client.delete(Route::new(&["tokens", &ours.id])?, &body).await?;
                Ok("revoked")
            }
            _ => {
                self.client.post(Route::new(&["credentials", &ours.id, "disable"])?, &body).await?;
                Ok("disabled")
            }
        }
    }
}

/// Says that nobody could tell whose the secrets are.
pub(super) fn unnamed(app: &mut App, failure: &Failure, quiet: bool) {
    if !quiet {
        app.context
            .ui
            .warn(&format!("whose the secrets are could not be asked: {} (--offline asks nobody)", failure.error));
    }
}

/// Stops every secret that is ours and works, after asking. Gives what could not be done.
///
/// # Errors
/// When the person who is asked cannot be heard.
pub(super) async fn contain(
    app: &mut App,
    server: &Server,
    rows: &mut [Row],
    agreed: bool,
) -> Result<Vec<Failure>, Failure> {
    let mut undone = Vec::new();
    let mut done: Vec<String> = Vec::new();
    for index in 0..rows.len() {
        let Some(ours) = rows.get(index).and_then(|row| row.ours.clone()) else { continue };
        if !ours.current || ours.status != "active" || done.contains(&ours.id) {
            continue;
        }
        done.push(ours.id.clone());
        let places: Vec<String> =
            rows.iter().filter(|row| row.ours.as_ref().is_some_and(|other| other.id == ours.id)).map(place).collect();
        let first = places.first().cloned().unwrap_or_default();
        let more = match places.len().saturating_sub(1) {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        if !agreed && !asked(app, &ours, &format!("{first}{more}"))? {
            set(rows, &ours.id, None, "left as it is");
            continue;
        }
        let place: String = first.chars().take(LONGEST_PLACE).collect();
        match server.stop(&ours, &format!("found by scan at {place}{more}")).await {
            Ok(how) => set(rows, &ours.id, Some(how), &format!("{how} just now")),
            Err(failure) => {
                set(rows, &ours.id, None, &format!("could not be stopped: {}", failure.error));
                let name = printable(ours.name.as_bytes());
                let error = format!("\"{name}\" could not be stopped: {}", failure.error);
                undone.push(Failure { kind: Kind::Failed, error, ..failure });
            }
        }
    }
    Ok(undone)
}

/// Asks a person. What is not answered with yes is no.
fn asked(app: &mut App, ours: &Ours, places: &str) -> Result<bool, Failure> {
    let verb = if ours.kind == "credential" { "Disable the credential" } else { "Revoke the" };
    let kind = if ours.kind == "credential" { "" } else { ours.kind.as_str() };
    let name = printable(ours.name.as_bytes());
    let project = ours.project.as_deref().map_or_else(String::new, |project| format!(" of {project}"));
    app.context.ui.ask(&format!("{} \"{name}\"{project}, found at {places}? [y/N]", format!("{verb} {kind}").trim()));
    let answer = app.context.input.line()?.unwrap_or_default().to_ascii_lowercase();
    Ok(matches!(answer.as_str(), "y" | "yes"))
}

fn set(rows: &mut [Row], id: &str, status: Option<&str>, done: &str) {
    for ours in rows.iter_mut().filter_map(|row| row.ours.as_mut()).filter(|ours| ours.id == id) {
        ours.contained = Some(done.to_owned());
        if let Some(status) = status {
            status.clone_into(&mut ours.status);
        }
    }
}

fn place(row: &Row) -> String {
    let place = &row.finding.place;
    let mut text = printable(&place.path);
    for step in &place.within {
        text.push_str(" > ");
        text.push_str(&printable(step.as_bytes()));
    }
    let commit = place.commits.first().and_then(|commit| commit.id.get(..12));
    let commit = commit.map_or_else(String::new, |id| format!(" in commit {id}"));
    format!("{text}:{}{commit}", row.finding.line)
}
