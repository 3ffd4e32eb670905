//! The one point that every call passes, whatever its route. Deny by default: without an [`Admission`] there is no
//! body, without a [`Pass`] there is no credential.

mod candidates;
mod refusals;

pub(crate) use refusals::{overspent, unpaid};

use crate::{
    inbound::Inbound,
    inspect::{self, Facts},
    live::{InFlight, Taken},
    near::Near,
    objects::{self, Objects},
    purse::hold::MoneyHold,
    tables::{LiveCredential, LiveGrant, Picture},
};
use keyward_domain::{
    CredentialId, Millis, grant,
    policy::{self, CallHead, Policy},
    refusal::{Reason, Refusal},
};
use std::net::IpAddr;

/// A call whose head was admitted: the key is right, and may do this from there and now. It counts as open until
/// this is dropped.
#[derive(Debug)]
pub struct Admission {
    /// The key.
    pub grant: Near<LiveGrant>,
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
    let limits = entry.limits();
    let in_flight = limits.enter(policy).map_err(refusals::too_many)?;
    limits.take_request(policy, now).map_err(refusals::too_fast)?;
    Ok(Admission { grant: Near::of(entry), slot, in_flight })
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
        let estimate = facts.token_estimate();
        let tokens = self.in_flight.limits().take_tokens(estimate, self.policy(), now);
        let tokens = tokens.map_err(|refused| refusals::too_many_tokens(refused, estimate))?;
        let Self { grant, slot, in_flight } = self;
        Ok(Pass { grant, slot, pinned, _in_flight: in_flight, tokens, money: None })
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
}

/// A call that may be sent.
#[derive(Debug)]
pub struct Pass {
    /// The key.
    pub grant: Near<LiveGrant>,
    /// Which of the key's secrets was presented.
    pub slot: u8,
    /// The call names an object that lives under this credential: no other can serve it.
    pub pinned: Option<CredentialId>,
    /// Held for its drop: the call counts as open until then.
    _in_flight: InFlight,
    tokens: Taken,
    /// What is held of the budgets above the key. None: there is none, or the call is never billed.
    pub(crate) money: Option<MoneyHold>,
}

impl Pass {
    /// The key's policy.
    #[must_use]
    pub fn policy(&self) -> &Policy {
        &self.grant.grant.policy
    }

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
    ) -> Result<Vec<Near<LiveCredential>>, Refusal> {
        candidates::order(picture, inbound, &self.grant.grant, self.pinned, (now, pick))
    }

    /// Whether the key was revoked while the call was open, so that it must end.
    #[must_use]
    pub fn is_cut(&self) -> bool {
        self.grant.is_cut()
    }

    /// Puts the true use in the place of the estimate. Once; dropped without it, the estimate stands.
    pub fn settle_tokens(&mut self, used: u64) {
        self.tokens.settle(used);
    }

    /// The call is refused after all: what was taken for it is there again.
    pub fn put_back(mut self) {
        self.tokens.put_back();
    }
}

/// The refusal in whose words a call is cut.
#[must_use]
pub fn cut() -> Refusal {
    Refusal::new(Reason::RevokedKey, "this key was revoked while the call was open")
}

#[cfg(test)]
mod tests;
