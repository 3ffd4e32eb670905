//! Tells a credential's state by calls that cost nothing. Which calls, and what their answers mean, is the catalogue's to
//! say; here they are made.

use crate::{
    error::{Answer, ApiError},
    outbound::{Call, CallError, Outbound, Reply},
};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, header};
use bytes::Bytes;
use keyward_catalogue::{
    probing::{self, Depth, Inquiry, Question, Verdict},
    reading,
};
use keyward_domain::{provider::Provider, secret::PlainKey};
use serde::Serialize;
use zeroize::Zeroizing;

/// What a check found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum State {
    /// The provider takes it.
    Alive,
    /// The provider does not take it, and will not.
    Dead,
    /// It is good, but its account cannot pay.
    NoMoney,
    /// It is good, but may not do everything, or not now.
    Limited,
    /// The provider could not be asked.
    Unreachable,
    /// The answer says nothing about the key.
    Unknown,
}

impl State {
    /// The word for a state that is told more finely.
    pub(crate) const fn of(state: probing::State) -> Self {
        match state {
            probing::State::Live => Self::Alive,
            probing::State::Restricted | probing::State::RateLimited | probing::State::WrongNetwork => Self::Limited,
            probing::State::NoMoney => Self::NoMoney,
            probing::State::Revoked | probing::State::Expired | probing::State::Leaked | probing::State::Invalid => {
                Self::Dead
            }
            probing::State::Unreachable => Self::Unreachable,
            probing::State::Unknown => Self::Unknown,
        }
    }
}

/// Which endpoint a check is for.
pub(crate) struct Target<'a> {
    /// The provider.
    pub provider: &'a Provider,
    /// The API root.
    pub base_url: &'a str,
    /// Whether the API root is one of the credential's own. Then its secret is for nobody else: a check at an address
    /// of the provider's is out of the question.
    pub own: bool,
    /// Whether it may be a private address.
    pub allow_private: bool,
}

/// Makes the provider's zero-cost calls with the secret.
///
/// # Errors
/// 409 when the catalogue knows no such call for the provider.
pub(crate) async fn verify(outbound: &dyn Outbound, target: &Target<'_>, secret: &PlainKey) -> Answer<Verdict> {
    let place = probing::Target { provider: target.provider, base_url: target.base_url, own: target.own };
    let mut inquiry = Inquiry::new(place, Depth::default()).map_err(|_| {
        let place = if target.own { "this credential's own API root" } else { &*target.provider.name };
        ApiError::conflict("no_probe", format!("there is no free call that tells a key's state at {place}"))
            .hint("make a small call through the gateway instead; its outcome shows in the credential's health")
    })?;
    while let Some(question) = inquiry.next() {
        match outbound.call(call(&question, target.allow_private, secret)?).await {
            Ok(reply) => hear(&mut inquiry, &reply, secret),
            Err(error) => inquiry.unheard(&error.to_string(), remedy(&error)),
        }
    }
    Ok(inquiry.verdict())
}

const fn remedy(error: &CallError) -> &'static str {
    match error {
        CallError::Forbidden(_) => {
            "Check the base URL; if this endpoint is your own, add the credential with --allow-private-address."
        }
        CallError::BadUrl(_) | CallError::Unreachable(_) | CallError::Timeout => {
            "Check the base URL and the server's way out to the internet."
        }
    }
}

fn hear(inquiry: &mut Inquiry<'_>, reply: &Reply, secret: &PlainKey) {
    let body = String::from_utf8_lossy(&reply.body);
    let answer = reading::Answer {
        status: Some(reply.status),
        content_type: "application/json",
        headers: &reply.headers,
        body: &body,
    };
    // SECRET: only to be taken out of what is kept of the answer.
    #[expect(clippy::disallowed_methods, reason = "what the provider repeats of the key is masked")]
    inquiry.heard(answer, secret.expose());
}

fn call(question: &Question<'_>, allow_private: bool, secret: &PlainKey) -> Answer<Call> {
    let mut headers = HeaderMap::new();
    headers.insert(header::USER_AGENT, HeaderValue::from_static(concat!("keyward/", env!("CARGO_PKG_VERSION"))));
    for (name, value) in &question.headers {
        let name = HeaderName::try_from(*name).map_err(ApiError::internal)?;
        headers.insert(name, HeaderValue::try_from(*value).map_err(ApiError::internal)?);
    }
    // SECRET: written into the provider's own header of the check, marked so that nothing prints it.
    #[expect(clippy::disallowed_methods, reason = "the check presents the credential to its provider")]
    let mut value = {
        let whole = Zeroizing::new([question.secret_prefix.as_bytes(), secret.expose()].concat());
        HeaderValue::from_bytes(&whole).map_err(|_| {
            ApiError::conflict("secret_unsendable", "the stored secret has characters that cannot stand in a header")
        })?
    };
    value.set_sensitive(true);
    headers.insert(HeaderName::try_from(question.secret_header).map_err(ApiError::internal)?, value);
    Ok(Call {
        method: Method::from_bytes(question.method.as_bytes()).map_err(ApiError::internal)?,
        url: question.url.clone(),
        headers,
        body: Bytes::from(question.body.clone()),
        allow_private,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outbound::Pending;
    use keyward_catalogue::Catalogue;
    use keyward_domain::provider::Cause;
    use std::sync::Mutex;

    /// Answers every call with one reply, and keeps the call.
    struct Fake {
        reply: Result<Reply, CallError>,
        seen: Mutex<Option<Call>>,
    }

    impl Outbound for Fake {
        fn call(&self, call: Call) -> Pending<'_> {
            *self.seen.lock().expect("not poisoned") = Some(call);
            let reply = self.reply.clone();
            Box::pin(async move { reply })
        }

        fn check_base_url(&self, _: &str, _: bool) -> Result<(), String> {
            Ok(())
        }
    }

    async fn check(provider: &str, reply: Result<Reply, CallError>) -> (Verdict, Call) {
        let catalogue = Catalogue::embedded().expect("a catalogue");
        let provider = catalogue.provider(provider).expect("known");
        let fake = Fake { reply, seen: Mutex::new(None) };
        let target = Target { provider, base_url: "https://example.test/v1/", own: true, allow_private: false };
        let verdict = verify(&fake, &target, &PlainKey::new(b"secret".to_vec())).await.expect("a verdict");
        (verdict, fake.seen.into_inner().expect("not poisoned").expect("called"))
    }

    fn reply(status: u16, body: &'static str) -> Result<Reply, CallError> {
        Ok(Reply { status, headers: std::collections::BTreeMap::new(), body: Bytes::from_static(body.as_bytes()) })
    }

    #[tokio::test]
    async fn a_living_key_is_alive_and_its_header_is_sensitive() {
        let (verdict, call) = check("openai", reply(200, "{}")).await;
        assert_eq!((State::of(verdict.state), verdict.cause), (State::Alive, Cause::Healthy));
        assert_eq!(call.url, "https://example.test/v1/models");
        let value = call.headers.get("authorization").expect("sent");
        assert!(value.is_sensitive());
        assert_eq!(value.as_bytes(), b"Bearer secret");
    }

    #[tokio::test]
    async fn a_secret_for_an_own_api_root_goes_nowhere_else() {
        let catalogue = Catalogue::embedded().expect("a catalogue");
        let provider = catalogue.provider("huggingface").expect("known");
        let fake = Fake { reply: reply(200, "{}"), seen: Mutex::new(None) };
        let target = Target { provider, base_url: "https://example.test/v1", own: true, allow_private: false };
        let refused = verify(&fake, &target, &PlainKey::new(b"secret".to_vec())).await.expect_err("not asked");
        assert_eq!(refused.code(), "no_probe");
        let target = Target { own: false, ..target };
        verify(&fake, &target, &PlainKey::new(b"secret".to_vec())).await.expect("a verdict");
        let call = fake.seen.into_inner().expect("not poisoned").expect("called");
        assert!(call.url.starts_with("https://huggingface.co/"), "{}", call.url);
    }

    #[tokio::test]
    async fn errors_are_read_with_the_providers_table() {
        let dead = r#"{"error":{"message":"Incorrect API key provided","type":"invalid_request_error","code":"invalid_api_key"}}"#;
        let (verdict, _) = check("openai", reply(401, dead)).await;
        assert_eq!(State::of(verdict.state), State::Dead);
        assert!(verdict.cause.is_dead() && !verdict.remedy.is_empty(), "{verdict:?}");
        let broke = r#"{"error":{"message":"You exceeded your current quota","type":"insufficient_quota","code":"insufficient_quota"}}"#;
        let (verdict, _) = check("openai", reply(429, broke)).await;
        assert_eq!(State::of(verdict.state), State::NoMoney, "{verdict:?}");
        let (verdict, _) = check("openai", reply(418, "not JSON")).await;
        assert_eq!(State::of(verdict.state), State::Unknown, "{verdict:?}");
    }

    #[tokio::test]
    async fn no_answer_is_no_verdict_on_the_key() {
        let (verdict, _) = check("openai", Err(CallError::Timeout)).await;
        assert_eq!((State::of(verdict.state), verdict.http_status), (State::Unreachable, None));
    }
}
