//! Asks providers about keys from this machine: a few small calls, each to the provider that a key belongs to and to nobody
//! else. What is asked and what the answers mean is the catalogue's to say.

mod pace;
mod way;

use crate::{failure::Failure, secret};
use keyward_catalogue::{
    Catalogue,
    probing::{Depth, Inquiry, Target, Verdict},
    reading::Answer,
};
use keyward_domain::{digest, provider::Provider, secret::PlainKey};
use pace::Pace;
use std::{
    collections::{BTreeMap, HashMap},
    path::Path,
    sync::{Arc, Mutex, PoisonError},
};
use tokio::sync::OnceCell;
use way::{Trouble, Way};

/// What is asked about a key.
#[derive(Debug, Clone, Default)]
pub(crate) struct Wanted {
    /// The API root where it is not the provider's own.
    pub(crate) base_url: Option<String>,
    /// Whether that root may be on this machine or in a private network.
    pub(crate) allow_private: bool,
    /// Whether it is an admin key.
    pub(crate) admin: bool,
    /// Whether more than the state is asked for.
    pub(crate) deep: bool,
    /// The model that a paid call is made to.
    pub(crate) model: Option<String>,
}

/// Asks providers, each key once, and no provider too often.
pub(crate) struct Prober {
    catalogue: Catalogue,
    way: Way,
    paces: Mutex<HashMap<Box<str>, Arc<Pace>>>,
    known: Mutex<HashMap<[u8; 32], Arc<OnceCell<Verdict>>>>,
}

impl Prober {
    /// Asks providers of a catalogue. `extra_ca` names further authorities to trust, `limit_ms` bounds each call.
    ///
    /// # Errors
    /// When the file of authorities cannot be used.
    pub(crate) fn new(catalogue: Catalogue, extra_ca: Option<&Path>, limit_ms: Option<u64>) -> Result<Self, Failure> {
        let way = Way::new(extra_ca, limit_ms)?;
        Ok(Self { catalogue, way, paces: Mutex::default(), known: Mutex::default() })
    }

    /// Asks a provider about a secret that was found somewhere, for the state only. A provider that the catalogue does not
    /// have, and what cannot be told for free, is unknown with the reason.
    pub(crate) async fn verify(&self, provider: &str, secret: &PlainKey, allow_private: bool) -> Verdict {
        let Some(known) = self.catalogue.provider(provider).cloned() else {
            let because = format!("the catalogue does not know how to ask '{provider}'");
            let remedy = "Look at the vendor's own pages whether the secret still works, and replace it.";
            return Verdict::unasked(keyward_catalogue::probing::State::Unknown, "no_probe", because, remedy);
        };
        let text = secret::text(secret);
        let fits = |shape: &&keyward_catalogue::Shape| *shape.provider == *known.id && shape.is(text);
        let admin = self.catalogue.shapes().iter().find(fits).is_some_and(|shape| shape.admin);
        self.ask(&known, Wanted { admin, allow_private, ..Wanted::default() }, secret).await
    }

    /// Asks a provider about a key. The same question about the same key is asked once.
    pub(crate) async fn ask(&self, provider: &Provider, wanted: Wanted, secret: &PlainKey) -> Verdict {
        let known = {
            let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(known.entry(fingerprint(provider, &wanted, secret)).or_default())
        };
        known.get_or_init(|| self.inquire(provider, &wanted, secret)).await.clone()
    }

    async fn inquire(&self, provider: &Provider, wanted: &Wanted, secret: &PlainKey) -> Verdict {
        let base_url = wanted.base_url.as_deref().unwrap_or(&provider.api.base_url);
        if base_url.is_empty() {
            let because = format!("{} has an address for each customer, and none was named", provider.name);
            let remedy = "Name the address of your resource with --base-url.";
            return Verdict::unasked(keyward_catalogue::probing::State::Unknown, "no_base_url", because, remedy);
        }
        let own = wanted.base_url.is_some();
        if own && base_url.contains(['?', '#']) {
            // Paths are put behind it; and a key in a query would stand in other people's logs.
            let because = "the base URL is not right: it holds a query or a fragment";
            let remedy = remedy(&Trouble::BadUrl(""));
            return Verdict::unasked(keyward_catalogue::probing::State::Unreachable, "unreachable", because, remedy);
        }
        let depth = Depth { admin: wanted.admin, deep: wanted.deep, model: wanted.model.as_deref() };
        let Ok(mut inquiry) = Inquiry::new(Target { provider, base_url, own }, depth) else {
            return Verdict::untold(provider, own);
        };
        let pace = self.pace(&provider.id);
        while let Some(question) = inquiry.next() {
            let _turn = pace.turn().await;
            match self.way.call(&question, wanted.allow_private, secret).await {
                Ok(reply) => {
                    let body = String::from_utf8_lossy(&reply.body);
                    let content_type = "application/json";
                    let headers: &BTreeMap<_, _> = &reply.headers;
                    let answer = Answer { status: Some(reply.status), content_type, headers, body: &body };
                    // SECRET: only to be taken out of what is kept of the answer.
                    #[expect(clippy::disallowed_methods, reason = "what the provider repeats of the key is masked")]
                    inquiry.heard(answer, secret.expose());
                }
                Err(trouble) => inquiry.unheard(&trouble.to_string(), remedy(&trouble)),
            }
        }
        let verdict = inquiry.verdict();
        if wanted.admin { verdict.of_admin(provider) } else { verdict }
    }

    fn pace(&self, provider: &str) -> Arc<Pace> {
        let mut paces = self.paces.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(paces.entry(provider.into()).or_default())
    }
}

/// What tells one question from another without keeping the secret.
fn fingerprint(provider: &Provider, wanted: &Wanted, secret: &PlainKey) -> [u8; 32] {
    // SECRET: hashed, and kept for as long as the program runs.
    #[expect(clippy::disallowed_methods, reason = "keys that were asked about are told apart by a hash")]
    let of_secret = digest::sha256(secret.expose());
    let what = format!("{}\0{wanted:?}\0", provider.id);
    digest::sha256(&[what.as_bytes(), &of_secret].concat())
}

const fn remedy(trouble: &Trouble) -> &'static str {
    match trouble {
        Trouble::Forbidden(_) => "Check the base URL; if this endpoint is your own, say --allow-private-address.",
        Trouble::PlainHttp => "Write https://; if this endpoint is your own, say --allow-private-address.",
        Trouble::BadUrl(_) => "Correct the base URL: write it as the provider shows it, with https:// and version.",
        Trouble::Unsendable => "Copy the key again: it has characters that no key has.",
        Trouble::Untrusted(_) => "Check the base URL; for an authority of your own name its file with --extra-ca.",
        Trouble::Unreachable(_) | Trouble::Timeout => {
            "Check the base URL and the way out to the internet, and try again."
        }
    }
}

#[cfg(test)]
mod tests;
