//! Asks a provider about a key, without a network of its own: which call comes next, what its answer says, and what
//! follows from all of them. Whoever has a way out makes the calls; control plane and client read them alike.

mod facts;
mod mask;
mod state;
mod verdict;

pub use facts::Told;
pub use mask::{masked, without};
pub use state::State;
pub use verdict::{Trial, Verdict};

use crate::reading::Answer;
use keyward_domain::provider::{Probe, Provider};
use state::closes;
use std::borrow::Cow;

/// What stands for a model's name in a probe.
const MODEL: &str = "{model}";

/// Which endpoint is asked about a key.
#[derive(Debug, Clone, Copy)]
pub struct Target<'a> {
    /// The provider.
    pub provider: &'a Provider,
    /// The API root.
    pub base_url: &'a str,
    /// Whether the API root is one of the key's own. Then its secret is for nobody else: a call at an address of the
    /// provider's is out of the question.
    pub own: bool,
}

/// How much is asked.
#[derive(Debug, Clone, Copy, Default)]
pub struct Depth<'a> {
    /// Whether it is an admin key, of which other calls tell the state.
    pub admin: bool,
    /// Whether more than the state is asked for.
    pub deep: bool,
    /// The model that the smallest possible call is made to. That call costs something.
    pub model: Option<&'a str>,
}

/// A call to be made. The secret is not in it: whoever makes the call puts it behind `secret_prefix` into the header
/// `secret_header`, marked so that nothing prints it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question<'p> {
    /// The HTTP method.
    pub method: &'p str,
    /// The whole URL.
    pub url: String,
    /// The headers, besides the secret's.
    pub headers: Vec<(&'p str, &'p str)>,
    /// The header that the secret goes into.
    pub secret_header: &'p str,
    /// What stands before the secret in it.
    pub secret_prefix: &'p str,
    /// The body; empty when there is none.
    pub body: String,
}

/// There is no call that tells this for free.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NoProbe;

/// What is being asked about one key.
#[derive(Debug)]
pub struct Inquiry<'p> {
    provider: &'p Provider,
    base_url: &'p str,
    model: Option<&'p str>,
    rest: Vec<&'p Probe>,
    verdict: Option<Verdict>,
}

impl<'p> Inquiry<'p> {
    /// Begins to ask about a key.
    ///
    /// # Errors
    /// [`NoProbe`] when the catalogue knows no call for it.
    pub fn new(target: Target<'p>, depth: Depth<'p>) -> Result<Self, NoProbe> {
        let Target { provider, base_url, own } = target;
        let mut rest: Vec<&Probe> = provider
            .probes
            .iter()
            .filter(|probe| probe.admin == depth.admin && !(own && is_absolute(probe)))
            .filter(|probe| if probe.paid { depth.model.is_some() } else { depth.deep || !probe.deep })
            .collect();
        // What tells the state comes first, what costs comes last.
        rest.sort_by_key(|probe| (probe.paid, probe.deep));
        rest.reverse();
        if rest.iter().all(|probe| probe.deep) {
            return Err(NoProbe);
        }
        Ok(Self { provider, base_url, model: depth.model, rest, verdict: None })
    }

    /// The next call to be made; none when everything is known.
    #[must_use]
    pub fn next(&self) -> Option<Question<'p>> {
        let probe = *self.rest.last()?;
        let mut headers = vec![("accept", "application/json")];
        headers.extend(self.provider.api.default_headers.iter().map(|(name, value)| (&**name, &**value)));
        if probe.body.is_some() {
            headers.push(("content-type", "application/json"));
        }
        let path = self.filled(&probe.path, |name| escaped(name).into());
        let url = if is_absolute(probe) {
            path.into_owned()
        } else {
            format!("{}{path}", self.base_url.trim_end_matches('/'))
        };
        let body = probe.body.as_deref().map(|body| self.filled(body, |name| quoted(name).into()).into_owned());
        Some(Question {
            method: &probe.method,
            url,
            headers,
            secret_header: &self.provider.auth.header,
            secret_prefix: &self.provider.auth.prefix,
            body: body.unwrap_or_default(),
        })
    }

    /// Takes the answer to the call that [`Self::next`] named. The secret is there to be taken out of what is kept of it.
    pub fn heard(&mut self, answer: Answer<'_>, secret: &[u8]) {
        let Some(probe) = self.rest.pop() else { return };
        let read = verdict::read(self.provider, probe, answer, secret);
        self.add(probe, read);
    }

    /// Takes it that the call that [`Self::next`] named was not answered: why not, and what to do.
    pub fn unheard(&mut self, why: &str, remedy: &str) {
        let Some(probe) = self.rest.pop() else { return };
        let read = verdict::unreachable(self.provider, why, remedy);
        self.add(probe, read);
    }

    /// What follows from all that was heard.
    #[must_use]
    pub fn verdict(self) -> Verdict {
        let mut verdict =
            self.verdict.unwrap_or_else(|| verdict::unreachable(self.provider, "the provider was not asked", ""));
        verdict.finish(self.provider);
        let tried = verdict.trial.is_some() || closes(verdict.state);
        if self.model.is_some() && !tried {
            verdict.notes.push(format!("the catalogue has no call to a model of {} to try", self.provider.name));
        }
        verdict
    }

    fn add(&mut self, probe: &Probe, read: Verdict) {
        let known = self.verdict.take();
        let verdict = match known {
            Some(known) if probe.deep => known.knowing(read),
            Some(known) if probe.paid => known.tried(read, self.model.unwrap_or_default()),
            None if probe.paid => Verdict::of_trial(read, self.model.unwrap_or_default()),
            Some(known) => known.or(read),
            None => read,
        };
        // A second call for the state only where the first left a doubt; nothing more once the key is known to be no good.
        let doubtful = matches!(verdict.state, State::Restricted | State::Unknown);
        self.rest.retain(|probe| if probe.deep || probe.paid { !closes(verdict.state) } else { doubtful });
        self.verdict = Some(verdict);
    }

    fn filled<'t>(&self, text: &'t str, written: impl Fn(&str) -> Cow<'_, str>) -> Cow<'t, str> {
        match self.model {
            Some(model) if text.contains(MODEL) => text.replace(MODEL, &written(model)).into(),
            _ => text.into(),
        }
    }
}

/// Whether a call goes to an address of its own, and not below the API root.
#[must_use]
pub fn is_absolute(probe: &Probe) -> bool {
    !probe.path.starts_with('/')
}

/// A model's name as a part of a path: its `/` stay, for some names have them, and steps between folders are no names.
fn escaped(name: &str) -> String {
    let segments = name.split('/').map(|segment| {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~:@".contains(&byte);
        if matches!(segment, "." | "..") {
            return segment.replace('.', "%2E");
        }
        segment
            .bytes()
            .map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") })
            .collect::<String>()
    });
    segments.collect::<Vec<_>>().join("/")
}

/// A model's name as the inside of a JSON string.
fn quoted(name: &str) -> String {
    let text = serde_json::Value::from(name).to_string();
    text.trim_matches('"').to_owned()
}

#[cfg(test)]
mod tests;
