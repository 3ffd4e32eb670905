//! What is odd about a secret that somebody offers as a provider's key.

use crate::{OURS, Shapes};
use keyward_domain::{api_token, token};

/// Why a secret is probably not what it is offered as. A warning for people, not a proof: shapes change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Concern {
    /// It is a key or token of Keyward itself.
    Ours,
    /// It administers the provider's account, and must not serve traffic.
    Admin {
        /// The provider it administers.
        provider: Box<str>,
    },
    /// It has the shape of another provider's key.
    Foreign {
        /// Whose it looks like.
        provider: Box<str>,
    },
    /// It has none of the shapes that the provider's keys are known to have.
    Unfamiliar,
}

impl std::fmt::Display for Concern {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Ours => write!(f, "this is a key of {OURS} itself, not of the provider"),
            Self::Admin { provider } => {
                write!(f, "this looks like an admin key of {provider}: it must not serve traffic, make an ordinary key")
            }
            Self::Foreign { provider } => write!(f, "this looks like a key of {provider}: check the provider"),
            Self::Unfamiliar => write!(f, "this does not look like a key of this provider: check that it is whole"),
        }
    }
}

impl Shapes {
    /// What is odd about a secret offered for a provider. `None`: nothing, or nothing is known of its keys.
    #[must_use]
    pub fn concern(&self, provider: &str, secret: &str) -> Option<Concern> {
        if token::looks_like_ours(secret) || secret.starts_with(api_token::PREFIX) {
            return Some(Concern::Ours);
        }
        let fitting: Vec<_> = self.shapes.iter().filter(|shape| shape.is(secret)).collect();
        if let Some(admin) = fitting.iter().find(|shape| shape.admin) {
            return Some(Concern::Admin { provider: admin.provider.clone() });
        }
        if fitting.iter().any(|shape| &*shape.provider == provider) {
            return None;
        }
        // Endpoints of other vendors take keys of any shape, theirs and others'.
        let known = self.shapes.iter().any(|shape| &*shape.provider == provider);
        if let Some(other) = fitting.iter().find(|shape| shape.is_telling()).filter(|_| known) {
            return Some(Concern::Foreign { provider: other.provider.clone() });
        }
        known.then_some(Concern::Unfamiliar)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use keyward_catalogue::{Catalogue, sample};

    #[test]
    fn odd_secrets_are_told() {
        let catalogue = Catalogue::embedded().expect("the embedded files are right");
        let shapes = Shapes::new(&catalogue);
        let key = |provider: &str, name: &str| {
            let shape = catalogue.shapes().iter().find(|s| &*s.provider == provider && &*s.name == name).unwrap();
            sample::text(&shape.pattern, 3).unwrap()
        };
        let project = key("openai", "project");
        assert_eq!(shapes.concern("openai", &project), None);
        assert_eq!(shapes.concern("compatible", &project), None);
        assert_eq!(shapes.concern("anthropic", &project), Some(Concern::Foreign { provider: "openai".into() }));
        for provider in ["openai", "anthropic", "compatible"] {
            let concern = shapes.concern(provider, &key("openai", "admin"));
            assert_eq!(concern, Some(Concern::Admin { provider: "openai".into() }));
            assert_eq!(shapes.concern(provider, "kw_prod_x"), Some(Concern::Ours));
            assert_eq!(shapes.concern(provider, "kwt_x"), Some(Concern::Ours));
        }
        assert_eq!(shapes.concern("deepseek", &key("deepseek", "api")), None);
        assert_eq!(
            shapes.concern("openai", &key("deepseek", "api")),
            Some(Concern::Unfamiliar),
            "many have this shape"
        );
        assert_eq!(shapes.concern("openai", &project[..20]), Some(Concern::Unfamiliar));
        assert_eq!(shapes.concern("compatible", "anything"), None);
    }
}
