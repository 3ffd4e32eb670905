//! What answers say about a key, put together: its state, why, what to do, and what it can do.

use super::{Told, facts, state::State, without};
use crate::reading::{self, Answer};
use keyward_domain::provider::{Cause, Fact, Probe, Provider};
use serde::Serialize;

/// What is known of a key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Verdict {
    /// In one word.
    pub state: State,
    /// Whether calls can be made with it. None: it cannot be told.
    pub usable: Option<bool>,
    /// As the provider's error table names it, [`Cause::Healthy`] when all is well.
    #[serde(skip)]
    pub cause: Cause,
    /// The cause's name; finer than the table's where the key was found wanting before anybody was asked.
    #[serde(rename = "cause")]
    pub named: String,
    /// The cause in plain words.
    pub because: String,
    /// What to do; empty when there is nothing to do.
    pub remedy: String,
    /// What the provider said, without anything secret.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub said: Option<String>,
    /// The HTTP status, when there was an answer.
    pub http_status: Option<u16>,
    /// What the provider told about the key besides.
    #[serde(skip_serializing_if = "Told::is_empty")]
    pub facts: Told,
    /// How the smallest call to a model went, when one was made.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trial: Option<Trial>,
    /// What was not told, or is not certain.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
    /// Whether it lives for something else: a key that manages others and calls no models.
    #[serde(skip)]
    unfit: bool,
}

/// How a call to a model went.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Trial {
    /// The model.
    pub model: String,
    /// Whether it answered.
    pub answered: bool,
    /// The cause's name.
    pub cause: String,
    /// What to do; empty when it answered.
    pub remedy: String,
    /// What the provider said, without anything secret.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub said: Option<String>,
    /// The HTTP status, when there was an answer.
    pub http_status: Option<u16>,
}

impl Verdict {
    /// A verdict without asking anybody.
    #[must_use]
    pub fn unasked(state: State, named: &str, because: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self {
            state,
            usable: state.usable(),
            cause: Cause::Unknown,
            named: named.to_owned(),
            because: because.into(),
            remedy: remedy.into(),
            said: None,
            http_status: None,
            facts: Told::default(),
            trial: None,
            notes: Vec::new(),
            unfit: false,
        }
    }

    /// The same of an admin key: it administers an account and has no business in an application.
    #[must_use]
    pub fn of_admin(mut self, provider: &Provider) -> Self {
        if self.usable != Some(true) {
            return self;
        }
        (self.state, self.usable, self.unfit) = (State::Restricted, Some(false), true);
        "admin_key".clone_into(&mut self.named);
        self.because = format!("the key lives and administers the account at {}: it calls no models", provider.name);
        self.remedy =
            format!("Make an ordinary key at {} for calls, and keep this one where no application is.", provider.name);
        self.notes.clear();
        self
    }

    /// That there is no free call to tell it.
    #[must_use]
    pub fn untold(provider: &Provider, own: bool) -> Self {
        let place = if own { "this API root" } else { &*provider.name };
        let because = format!("there is no free call that tells a key's state at {place}");
        let remedy = "It cannot be told for free: make a small call with it, or ask with --deep and --model.";
        Self::unasked(State::Unknown, "no_probe", because, remedy)
    }

    /// Takes a second opinion on the state, after a first one that left a doubt.
    pub(super) fn or(self, other: Self) -> Self {
        // A key that may not do the one thing and may do the other is alive and restricted.
        let (mut kept, dropped) = if self.state == State::Unknown && other.state != State::Unreachable {
            if other.state == State::Unknown { (self, other) } else { (other, self) }
        } else {
            (self, other)
        };
        kept.facts.extend(dropped.facts);
        kept
    }

    /// Takes over facts only.
    pub(super) fn knowing(mut self, other: Self) -> Self {
        if other.state != State::Live {
            self.notes.push(format!("more could not be found out: {}", other.because));
        }
        self.facts.extend(other.facts);
        self
    }

    /// Takes over how a call to a model went.
    pub(super) fn tried(mut self, other: Self, model: &str) -> Self {
        let trial = Trial::of(&other, model);
        let counts = other.state != State::Unknown && other.state != State::Unreachable;
        let better = match (self.state, other.state) {
            // The call proves that the key lives; what it may not do it may not do all the same.
            (State::Restricted, State::Live) => false,
            // The key lives; it is the model that is not there.
            _ if other.cause == Cause::ModelUnavailable => false,
            _ => counts,
        };
        self.facts.extend(other.facts.clone());
        let mut kept = if better { Self { facts: self.facts, notes: self.notes, ..other } } else { self };
        kept.trial = Some(trial);
        kept
    }

    /// The verdict where the call to a model is the only one that can be made.
    pub(super) fn of_trial(other: Self, model: &str) -> Self {
        let trial = Some(Trial::of(&other, model));
        Self { trial, ..other }
    }

    /// Says what was not told, and whether the key can be used for what was asked.
    pub(super) fn finish(&mut self, provider: &Provider) {
        self.usable = if self.unfit { Some(false) } else { self.state.usable() };
        if let Some(trial) = &self.trial {
            let model_fails = ["model_unavailable", "key_restricted"].contains(&&*trial.cause);
            if self.usable == Some(true) && !trial.answered && model_fails {
                self.usable = Some(false);
                if self.remedy.is_empty() {
                    self.remedy.clone_from(&trial.remedy);
                }
            }
        } else if self.state == State::Live
            && [Fact::Credit, Fact::Used].iter().all(|fact| self.facts.of(*fact).is_empty())
        {
            self.notes.push(format!("{} does not tell for free whether the account can pay", provider.name));
        }
    }
}

impl Trial {
    fn of(read: &Verdict, model: &str) -> Self {
        Self {
            model: model.to_owned(),
            answered: read.cause == Cause::Healthy,
            cause: read.named.clone(),
            remedy: read.remedy.clone(),
            said: read.said.clone(),
            http_status: read.http_status,
        }
    }
}

/// What one answer says.
pub(super) fn read(provider: &Provider, probe: &Probe, answer: Answer<'_>, secret: &[u8]) -> Verdict {
    let status = answer.status;
    let (mut cause, remedy) = reading::probed(provider, probe, answer);
    let mut remedy = remedy.to_owned();
    let mut because = words(cause, provider);
    let own_words = reading::error_parts(&provider.error_fields, answer).message;
    let number = status.map_or_else(String::new, |status| status.to_string());
    if cause == Cause::Healthy && !looks_like_json(answer.body) {
        // A page that greets everybody is no proof of a key.
        cause = Cause::Unknown;
        because = format!("the answer ({number}) is not what the API says");
        "Check the base URL: this address answers, but not as the API does.".clone_into(&mut remedy);
    } else if matches!(status, Some(300..=399)) {
        because = format!("the address leads elsewhere ({number}), and a key is not sent after it");
        "Check the base URL: name the address that the API itself has.".clone_into(&mut remedy);
    } else if cause == Cause::ModelUnavailable && !names_model(probe) {
        cause = Cause::Unknown;
        because = format!("the address does not have what tells a key's state ({number})");
        "Check the base URL, with its version: this path is not there.".clone_into(&mut remedy);
    } else if remedy.is_empty() && cause != Cause::Healthy {
        remedy = format!("The provider answered {number} in a way the catalogue does not know: ask again later.");
    }
    let state = State::of(cause);
    let mut notes = Vec::new();
    let taken = status.is_some_and(|status| probe.alive.contains(&status));
    let rule = provider.classify(status, &reading::error_parts(&provider.error_fields, answer)).1;
    if taken && probe.unverified {
        notes.push("that this answer means a good key is not verified".to_owned());
    } else if !taken && state != State::Unknown && rule.is_some_and(|rule| rule.unverified) {
        notes.push("that this answer means so is not verified".to_owned());
    }
    Verdict {
        state,
        usable: state.usable(),
        cause,
        named: name(cause),
        because,
        remedy,
        said: own_words.filter(|_| cause != Cause::Healthy).map(|text| without(&text, secret)),
        http_status: status,
        facts: facts::told(probe, answer, cause == Cause::Healthy, secret),
        trial: None,
        notes,
        unfit: taken && cause == Cause::KeyRestricted,
    }
}

/// That nobody answered.
pub(super) fn unreachable(provider: &Provider, why: &str, remedy: &str) -> Verdict {
    let because = if why.is_empty() { format!("{} could not be reached", provider.name) } else { why.to_owned() };
    Verdict::unasked(State::Unreachable, "unreachable", because, remedy)
}

/// Whether a call names a model, so that the answer can be about it.
fn names_model(probe: &Probe) -> bool {
    probe.paid || probe.path.contains("/model/") || probe.body.as_ref().is_some_and(|body| body.contains("model"))
}

fn looks_like_json(body: &str) -> bool {
    body.trim_start().starts_with(['{', '['])
}

/// The name of a cause, as in the catalogue.
fn name(cause: Cause) -> String {
    match serde_json::to_value(cause) {
        Ok(serde_json::Value::String(name)) => name,
        _ => "unknown".to_owned(),
    }
}

/// A cause in plain words.
fn words(cause: Cause, provider: &Provider) -> String {
    let who = &provider.name;
    match cause {
        Cause::Healthy => format!("{who} takes the key"),
        Cause::KeyUnknown => format!("{who} does not know this key: it never was one, or it was deleted or revoked"),
        Cause::KeyExpired => "the key is past its end".to_owned(),
        Cause::KeyLeaked => format!("{who} blocked the key because it was reported as leaked"),
        Cause::KeyDisabled => format!("{who} switched the key off, or the account it belongs to"),
        Cause::KeyRestricted => "the key lives, but may not do this".to_owned(),
        Cause::NetworkNotAllowed => "the key may not be used from this address".to_owned(),
        Cause::NoMoney => "the key lives, but its account cannot pay".to_owned(),
        Cause::SpendCapReached => format!("the key lives, but a spending limit at {who} is reached"),
        Cause::RateLimited => "the key lives, but too many calls were made just now".to_owned(),
        Cause::Overloaded => format!("{who} is overloaded and did not answer the question"),
        Cause::ModelUnavailable => "the model does not exist, or is not open to this key".to_owned(),
        Cause::PromptTooLong => "the request was too long".to_owned(),
        Cause::ContentRefused => "the content of the request was refused".to_owned(),
        Cause::RegionBlocked => format!("{who} does not serve the country that the call came from"),
        Cause::BadRequest => format!("{who} did not understand the question, and so did not judge the key"),
        Cause::ProviderFault => format!("{who} had a fault of its own"),
        Cause::Unknown => "the answer says nothing about the key".to_owned(),
    }
}
