//! A virtual key as the gateway sees it: who it belongs to, which secrets open it, and what it may do.

use crate::{
    Environment, KeyId, Millis, ProjectId,
    policy::Policy,
    refusal::{Reason, Refusal},
    token::{PublicId, TokenHash},
};
use std::sync::Arc;

/// One secret of a key. Two can be alive during a rotation; the newest comes first.
#[derive(Debug, Clone, Copy)]
pub struct SecretSlot {
    /// The hash of the whole key text.
    pub hash: TokenHash,
    /// First moment at which this secret no longer works.
    pub until: Option<Millis>,
}

/// A virtual key with its effective policy: everything inherited is already in it.
#[derive(Debug, Clone)]
pub struct Grant {
    /// The key's id.
    pub key: KeyId,
    /// The public id in the key text.
    pub public_id: PublicId,
    /// The project.
    pub project: ProjectId,
    /// The environment.
    pub environment: Environment,
    /// The secrets, newest first.
    pub secrets: Vec<SecretSlot>,
    /// Whether the key was revoked. Revoked keys stay known, so that the answer can say so.
    pub revoked: bool,
    /// First moment at which the key no longer works.
    pub expires_at: Option<Millis>,
    /// What the key may do. Equal policies share one allocation.
    pub policy: Arc<Policy>,
}

impl Grant {
    /// Checks that a presented secret opens this key now; returns which slot it is. Every slot is compared, so the
    /// time taken does not tell which one fits.
    ///
    /// # Errors
    /// A [`Refusal`]: unknown (wrong secret), revoked or expired. Only who holds a right secret learns the last two.
    pub fn open(&self, presented: &TokenHash, now: Millis) -> Result<u8, Refusal> {
        let mut found = None;
        for (slot, secret) in self.secrets.iter().enumerate() {
            if secret.hash.matches(presented) {
                found = u8::try_from(slot).ok().map(|slot| (slot, secret.until));
            }
        }
        let Some((slot, until)) = found else { return Err(unknown()) };
        if self.revoked {
            return Err(Refusal::new(Reason::RevokedKey, "this key was revoked: ask its owner for a new one"));
        }
        if self.expires_at.is_some_and(|end| end <= now) {
            return Err(Refusal::new(Reason::ExpiredKey, "this key has expired: ask its owner for a new one"));
        }
        if until.is_some_and(|end| end <= now) {
            return Err(Refusal::new(
                Reason::ExpiredKey,
                "this key was rotated and its old secret has expired: use the new one",
            ));
        }
        Ok(slot)
    }
}

/// The refusal for a key that nobody has, or whose secret is wrong: the two are not told apart.
#[must_use]
pub fn unknown() -> Refusal {
    Refusal::new(
        Reason::UnknownKey,
        "this key does not exist here: check that it was copied whole and from this server",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grant() -> Grant {
        Grant {
            key: KeyId::new(0, [0; 10]),
            public_id: "ABCDEFGHIJKL".parse().unwrap(),
            project: ProjectId::new(0, [0; 10]),
            environment: Environment::Production,
            secrets: vec![
                SecretSlot { hash: TokenHash([1; 32]), until: None },
                SecretSlot { hash: TokenHash([2; 32]), until: Some(100) },
            ],
            revoked: false,
            expires_at: Some(1_000),
            policy: Arc::default(),
        }
    }

    #[test]
    fn both_secrets_open_until_the_old_one_ends() {
        assert_eq!(grant().open(&TokenHash([1; 32]), 99), Ok(0));
        assert_eq!(grant().open(&TokenHash([2; 32]), 99), Ok(1));
        assert_eq!(grant().open(&TokenHash([2; 32]), 100).unwrap_err().reason, Reason::ExpiredKey);
    }

    #[test]
    fn only_who_holds_the_secret_learns_that_the_key_is_revoked_or_expired() {
        let revoked = Grant { revoked: true, ..grant() };
        assert_eq!(revoked.open(&TokenHash([1; 32]), 0).unwrap_err().reason, Reason::RevokedKey);
        assert_eq!(revoked.open(&TokenHash([9; 32]), 0).unwrap_err().reason, Reason::UnknownKey);
        assert_eq!(grant().open(&TokenHash([1; 32]), 1_000).unwrap_err().reason, Reason::ExpiredKey);
    }
}
