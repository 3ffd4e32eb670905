//! Tells a credential's state by one call that costs nothing, read with the provider's own error table: what is wrong,
//! and what to do about it.

use crate::{
    error::{Answer, ApiError},
    outbound::{Call, CallError, Outbound, Reply},
};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, header};
use bytes::Bytes;
use keyward_catalogue::reading;
use keyward_domain::{
    provider::{Cause, Probe, Provider},
    secret::PlainKey,
};
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

/// What a check found, and what to do.
#[derive(Debug, Clone)]
pub(crate) struct Verdict {
    /// In one word.
    pub state: State,
    /// As the error table names it; [`Cause::Healthy`] when all is well.
    pub cause: Cause,
    /// What the owner should do; empty when there is nothing to do.
    pub remedy: String,
    /// The HTTP status, when there was an answer.
    pub http_status: Option<u16>,
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

/// Makes the provider's zero-cost call with the secret.
///
/// # Errors
/// 409 when the catalogue knows no such call for the provider.
pub(crate) async fn verify(outbound: &dyn Outbound, target: &Target<'_>, secret: &PlainKey) -> Answer<Verdict> {
    let fits = |probe: &&Probe| !(probe.admin || target.own && is_absolute(probe));
    let probe = target.provider.probes.iter().find(fits).ok_or_else(|| {
        let place = if target.own { "this credential's own API root" } else { &*target.provider.name };
        ApiError::conflict("no_probe", format!("there is no free call that tells a key's state at {place}"))
            .hint("make a small call through the gateway instead; its outcome shows in the credential's health")
    })?;
    let call = call(target, probe, secret)?;
    Ok(match outbound.call(call).await {
        Ok(reply) => judge(target.provider, probe, &reply),
        Err(error) => Verdict {
            state: State::Unreachable,
            cause: Cause::Unknown,
            remedy: match &error {
                CallError::Forbidden(_) => {
                    format!("{error}: if this endpoint is your own, add the credential with --allow-private-address")
                }
                CallError::BadUrl(_) | CallError::Unreachable(_) | CallError::Timeout => {
                    format!("{error}: check the base URL and the server's way out to the internet")
                }
            },
            http_status: None,
        },
    })
}

/// Whether a check goes to an address of its own, and not below the API root.
fn is_absolute(probe: &Probe) -> bool {
    !probe.path.starts_with('/')
}

fn call(target: &Target<'_>, probe: &Probe, secret: &PlainKey) -> Answer<Call> {
    let auth = &target.provider.auth;
    let mut headers = HeaderMap::new();
    headers.insert(header::ACCEPT, HeaderValue::from_static("application/json"));
    headers.insert(header::USER_AGENT, HeaderValue::from_static(concat!("keyward/", env!("CARGO_PKG_VERSION"))));
    for (name, value) in &target.provider.api.default_headers {
        let name = HeaderName::try_from(&**name).map_err(ApiError::internal)?;
        headers.insert(name, HeaderValue::try_from(&**value).map_err(ApiError::internal)?);
    }
    if probe.body.is_some() {
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    }
    // SECRET: written into the provider's own header of the check, marked so that nothing prints it.
    #[expect(clippy::disallowed_methods, reason = "the check presents the credential to its provider")]
    let mut value = {
        let whole = Zeroizing::new([auth.prefix.as_bytes(), secret.expose()].concat());
        HeaderValue::from_bytes(&whole).map_err(|_| {
            ApiError::conflict("secret_unsendable", "the stored secret has characters that cannot stand in a header")
        })?
    };
    value.set_sensitive(true);
    headers.insert(HeaderName::try_from(&*auth.header).map_err(ApiError::internal)?, value);
    let url = if is_absolute(probe) {
        probe.path.to_string()
    } else {
        format!("{}{}", target.base_url.trim_end_matches('/'), probe.path)
    };
    Ok(Call {
        method: Method::from_bytes(probe.method.as_bytes()).map_err(ApiError::internal)?,
        url,
        headers,
        body: probe.body.as_ref().map_or_else(Bytes::new, |body| Bytes::copy_from_slice(body.as_bytes())),
        allow_private: target.allow_private,
    })
}

fn judge(provider: &Provider, probe: &Probe, reply: &Reply) -> Verdict {
    let body = String::from_utf8_lossy(&reply.body);
    let answer = reading::Answer {
        status: Some(reply.status),
        content_type: "application/json",
        headers: &reply.headers,
        body: &body,
    };
    let (cause, remedy) = reading::probed(provider, probe, answer);
    let state = match cause {
        Cause::Healthy => State::Alive,
        cause if cause.is_dead() => State::Dead,
        cause if cause.is_broke() => State::NoMoney,
        Cause::KeyRestricted
        | Cause::NetworkNotAllowed
        | Cause::RateLimited
        | Cause::ModelUnavailable
        | Cause::RegionBlocked => State::Limited,
        _ => State::Unknown,
    };
    let remedy = if remedy.is_empty() && state != State::Alive {
        format!("the provider answered {} in a way the catalogue does not know: ask again later", reply.status)
    } else {
        remedy.to_owned()
    };
    Verdict { state, cause, remedy, http_status: Some(reply.status) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outbound::Pending;
    use keyward_catalogue::Catalogue;
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
        assert_eq!((verdict.state, verdict.cause), (State::Alive, Cause::Healthy));
        assert_eq!(call.url, "https://example.test/v1/models");
        let value = call.headers.get("authorization").expect("sent");
        assert!(value.is_sensitive());
        assert_eq!(value.as_bytes(), b"Bearer secret");
    }

    #[tokio::test]
    async fn a_secret_for_an_own_api_root_goes_nowhere_else() {
        let catalogue = Catalogue::embedded().expect("a catalogue");
        let mut absolute = 0;
        for provider in catalogue.providers() {
            let fake = Fake { reply: reply(200, "{}"), seen: Mutex::new(None) };
            let target = Target { provider, base_url: "https://example.test/v1", own: true, allow_private: false };
            let asked = verify(&fake, &target, &PlainKey::new(b"secret".to_vec())).await;
            match fake.seen.into_inner().expect("not poisoned") {
                Some(call) => {
                    assert!(call.url.starts_with("https://example.test/v1/"), "{}: {}", provider.id, call.url);
                }
                None => assert_eq!(asked.expect_err("not asked").code(), "no_probe", "{}", provider.id),
            }
            absolute += provider.probes.iter().filter(|probe| is_absolute(probe)).count();
        }
        assert!(absolute > 0, "Hugging Face's check is not below its API root");
        let hugging_face = catalogue.provider("huggingface").expect("known");
        let fake = Fake { reply: reply(200, "{}"), seen: Mutex::new(None) };
        let target = Target { provider: hugging_face, base_url: "https://r.test/v1", own: false, allow_private: false };
        verify(&fake, &target, &PlainKey::new(b"secret".to_vec())).await.expect("a verdict");
        let call = fake.seen.into_inner().expect("not poisoned").expect("called");
        assert!(call.url.starts_with("https://huggingface.co/"), "{}", call.url);
    }

    #[tokio::test]
    async fn errors_are_read_with_the_providers_table() {
        let dead = r#"{"error":{"message":"Incorrect API key provided","type":"invalid_request_error","code":"invalid_api_key"}}"#;
        let (verdict, _) = check("openai", reply(401, dead)).await;
        assert_eq!(verdict.state, State::Dead);
        assert!(verdict.cause.is_dead() && !verdict.remedy.is_empty(), "{verdict:?}");
        let broke = r#"{"error":{"message":"You exceeded your current quota","type":"insufficient_quota","code":"insufficient_quota"}}"#;
        let (verdict, _) = check("openai", reply(429, broke)).await;
        assert_eq!(verdict.state, State::NoMoney, "{verdict:?}");
        let (verdict, _) = check("openai", reply(418, "not JSON")).await;
        assert_eq!(verdict.state, State::Unknown, "{verdict:?}");
    }

    #[tokio::test]
    async fn no_answer_is_no_verdict_on_the_key() {
        let (verdict, _) = check("openai", Err(CallError::Timeout)).await;
        assert_eq!((verdict.state, verdict.http_status), (State::Unreachable, None));
    }
}
