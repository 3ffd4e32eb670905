//! The one point that every call passes, whatever its route. Deny by default: without an [`Admission`] there is no
//! body, without a [`Pass`] there is no credential.

mod candidates;

use crate::{
    inbound::Inbound,
    inspect::{self, Facts},
    live::{Hold, InFlight},
    objects::{self, Objects},
    tables::{LiveCredential, LiveGrant, Picture},
};
use keyward_domain::{
    CredentialId, Millis, grant,
    policy::{self, CallHead, Policy},
    refusal::{Reason, Refusal},
};
use std::{net::IpAddr, sync::Arc};

/// A call whose head was admitted: the key is right, and may do this from there and now. It counts as open until
/// this is dropped.
#[derive(Debug)]
pub struct Admission {
    /// The key.
    pub grant: Arc<LiveGrant>,
    /// Which of the key's secrets was presented.
    pub slot: u8,
    in_flight: InFlight,
}

/// Admits a call by its head: the key, then where and when, then what; then the rates.
///
/// # Errors
/// The first [`Refusal`]. A refused call costs nothing of the key's rates, unless the rate itself refused it.
pub fn admit(
    picture: &Picture,
    inbound: &Inbound,
    country: impl FnOnce(IpAddr) -> Option<[u8; 2]>,
    body_bytes: Option<u64>,
    now: Millis,
) -> Result<Admission, Refusal> {
    let presented = &inbound.presented;
    let entry = picture.grant(&presented.public_id).ok_or_else(grant::unknown)?;
    let slot = entry.grant.open(&presented.hash, now)?;
    let policy = &*entry.grant.policy;
    let operation = &inbound.plan.operation;
    let call = CallHead {
        provider: &inbound.plan.provider.id,
        operation: &operation.name,
        operation_default: operation.default_allowed,
        client: inbound.client,
        country: policy.countries.as_ref().and_then(|_| country(inbound.client)),
        body_bytes,
    };
    policy::decide(policy, entry.grant.environment, &call, now)?;
    let in_flight = entry.live.enter(policy.concurrency).map_err(|_| too_many(policy))?;
    if let Some(limit) = policy.requests_per_minute {
        entry.live.take_request(limit, now).map_err(|wait| too_fast(limit, wait))?;
    }
    Ok(Admission { grant: Arc::clone(entry), slot, in_flight })
}

fn too_many(policy: &Policy) -> Refusal {
    let limit = policy.concurrency.unwrap_or(0);
    // When a call will end is not known; a second is what SDKs would wait at least.
    let refusal = Refusal::new(
        Reason::ConcurrencyLimited,
        format!("this key may have {limit} calls open at once: wait for one to end"),
    );
    refusal.retry_after_ms(1_000)
}

fn too_fast(limit: u64, wait: u64) -> Refusal {
    let message =
        format!("this key may make {limit} requests per minute: the next is possible in {} s", wait.div_ceil(1_000));
    Refusal::new(Reason::RateLimited, message).retry_after_ms(wait)
}

fn too_many_tokens(limit: u64, estimate: u64, wait: Option<u64>) -> Refusal {
    match wait {
        Some(wait) => Refusal::new(
            Reason::TokensLimited,
            format!(
                "this key may use {limit} tokens per minute: {estimate} more are possible in {} s",
                wait.div_ceil(1_000)
            ),
        )
        .retry_after_ms(wait),
        None => Refusal::new(
            Reason::TokensLimited,
            format!(
                "this call may use {estimate} tokens, more than this key's {limit} per minute: shorten it or lower its output cap"
            ),
        ),
    }
}

impl Admission {
    /// The key's policy.
    #[must_use]
    pub fn policy(&self) -> &Policy {
        &self.grant.grant.policy
    }

    /// The largest body that the key may send, in bytes.
    #[must_use]
    pub fn max_body(&self) -> u64 {
        self.policy().max_body_bytes.unwrap_or(policy::DEFAULT_MAX_BODY)
    }

    /// Checks a length that has really arrived.
    ///
    /// # Errors
    /// A [`Refusal`] when it is more than the key may send.
    pub fn check_body(&self, bytes: u64) -> Result<(), Refusal> {
        policy::check_body(self.policy(), bytes)
    }

    /// Decides on what the request's body said, and sets aside what the call may use. The last word before the
    /// credential is opened. A WebSocket or a form that streams is decided on by what its head says; its tap refuses
    /// what it names later.
    ///
    /// # Errors
    /// A [`Refusal`]: the model, an object of somebody else, or the rate of tokens.
    pub fn decide(self, inbound: &Inbound, facts: &Facts, objects: &Objects, now: Millis) -> Result<Pass, Refusal> {
        let named_later = facts.model.is_none() && inbound.names_model_later();
        if !named_later {
            inspect::check_model(&inbound.plan, facts.model.as_deref(), self.policy())?;
        }
        let pinned = self.owned(inbound, facts, objects)?;
        let hold = self.reserve(facts, now)?;
        Ok(Pass { grant: self.grant, slot: self.slot, pinned, _in_flight: self.in_flight, hold })
    }

    /// Checks every object that the call names; returns the credential under which they live.
    fn owned(&self, inbound: &Inbound, facts: &Facts, objects: &Objects) -> Result<Option<CredentialId>, Refusal> {
        let (provider, project) = (&*inbound.plan.provider, self.grant.grant.project);
        let mut pinned: Option<CredentialId> = None;
        let mut pin = |credential: CredentialId| {
            if pinned.replace(credential).is_some_and(|before| before != credential) {
                return Err(Refusal::new(
                    Reason::ObjectNotFound,
                    "the objects of this call live under different credentials: make them anew under one",
                ));
            }
            Ok(())
        };
        if let Some(object) = &inbound.plan.operation.object {
            let written = inbound.param(&object.param).unwrap_or_default();
            pin(objects.check(provider, written, Some(&object.kind), project)?)?;
        }
        for written in facts.references.iter().filter(|written| objects::names_object(provider, written)) {
            pin(objects.check(provider, written, None, project)?)?;
        }
        Ok(pinned)
    }

    /// Sets aside what the call may use. Budgets in money will join here: this is the only place that reserves.
    fn reserve(&self, facts: &Facts, now: Millis) -> Result<Hold, Refusal> {
        let Some(limit) = self.policy().tokens_per_minute else { return Ok(Hold::none()) };
        let estimate = facts.token_estimate();
        self.grant.live.take_tokens(estimate, limit, now).map_err(|wait| too_many_tokens(limit, estimate, wait))
    }
}

/// A call that may be sent.
#[derive(Debug)]
pub struct Pass {
    /// The key.
    pub grant: Arc<LiveGrant>,
    /// Which of the key's secrets was presented.
    pub slot: u8,
    /// The call names an object that lives under this credential: no other can serve it.
    pub pinned: Option<CredentialId>,
    /// Held for its drop: the call counts as open until then.
    _in_flight: InFlight,
    hold: Hold,
}

impl Pass {
    /// The credentials that can serve the call, in the order to try them. `pick` is random and shares calls among
    /// credentials of the same order in proportion to their weights.
    ///
    /// # Errors
    /// A [`Refusal`] when there is none.
    pub fn candidates(
        &self,
        picture: &Picture,
        inbound: &Inbound,
        now: Millis,
        pick: u64,
    ) -> Result<Vec<Arc<LiveCredential>>, Refusal> {
        candidates::order(picture, inbound, &self.grant.grant, self.pinned, (now, pick))
    }

    /// Whether the key was revoked while the call was open, so that it must end.
    #[must_use]
    pub fn is_cut(&self) -> bool {
        self.grant.is_cut()
    }

    /// Puts the true use in the place of the estimate. Once; dropped without it, the estimate stands.
    pub fn settle(&mut self, used_tokens: u64) {
        self.hold.settle(used_tokens);
    }
}

/// The refusal in whose words a call is cut.
#[must_use]
pub fn cut() -> Refusal {
    Refusal::new(Reason::RevokedKey, "this key was revoked while the call was open")
}

#[cfg(test)]
mod tests;
