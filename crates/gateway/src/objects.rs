//! Whose the provider's objects are: files, batches, stored answers. One real key stands behind many virtual keys, so
//! the provider cannot tell their objects apart; this map does. What is not in it belongs to nobody here.

mod list;

pub use list::filter_list;

use keyward_domain::{
    CredentialId, KeyId, ProjectId,
    provider::Provider,
    refusal::{Reason, Refusal},
    usage::OwnedObject,
};
use std::{
    collections::{
        HashMap,
        hash_map::{DefaultHasher, Entry},
    },
    hash::{Hash, Hasher},
    sync::{PoisonError, RwLock},
};

const SHARDS: usize = 64;

/// Ids longer than this are nobody's.
pub const LONGEST_ID: usize = 512;

/// Who an object belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Owner {
    /// The project.
    pub project: ProjectId,
    /// The key that made it.
    pub key: KeyId,
    /// The credential under which it exists at the provider.
    pub credential: CredentialId,
    /// The catalogue's word for its kind.
    pub kind: Box<str>,
}

type Shard = HashMap<Box<str>, HashMap<Box<str>, Owner>>;

/// The map of owners. Written when a client makes an object, read when one is named.
#[derive(Debug)]
pub struct Objects {
    shards: Vec<RwLock<Shard>>,
}

impl Default for Objects {
    fn default() -> Self {
        Self { shards: (0..SHARDS).map(|_| RwLock::default()).collect() }
    }
}

impl Objects {
    fn shard(&self, id: &str) -> Option<&RwLock<Shard>> {
        let mut hasher = DefaultHasher::new();
        id.hash(&mut hasher);
        let at = hasher.finish() % SHARDS as u64;
        self.shards.get(usize::try_from(at).unwrap_or(0))
    }

    /// Takes in what the store has. What was noted here and is still on its way to the store stays.
    pub fn adopt(&self, all: &[OwnedObject]) {
        for object in all {
            self.record(object);
        }
    }

    /// Notes who made an object. The first who made it keeps it: an id seen again never changes hands.
    /// Returns whether it is new.
    pub fn record(&self, object: &OwnedObject) -> bool {
        if object.object.is_empty() || object.object.len() > LONGEST_ID {
            return false;
        }
        let Some(shard) = self.shard(&object.object) else { return false };
        let mut shard = shard.write().unwrap_or_else(PoisonError::into_inner);
        match shard.entry(object.provider.clone()).or_default().entry(object.object.clone()) {
            Entry::Occupied(_) => false,
            Entry::Vacant(place) => {
                let (project, key, credential) = (object.project, object.key, object.credential);
                place.insert(Owner { project, key, credential, kind: object.kind.clone() });
                true
            }
        }
    }

    /// Who an object belongs to. The id is taken as the provider's answers write it, without a prefix.
    #[must_use]
    pub fn owner(&self, provider: &str, id: &str) -> Option<Owner> {
        let shard = self.shard(id)?.read().unwrap_or_else(PoisonError::into_inner);
        shard.get(provider)?.get(id).cloned()
    }

    /// Whether a project may see an object.
    #[must_use]
    pub fn belongs(&self, provider: &Provider, written: &str, project: ProjectId) -> bool {
        self.owner(&provider.id, bare_id(provider, written)).is_some_and(|owner| owner.project == project)
    }

    /// Checks that an object which a call names belongs to the project; returns the credential it lives under.
    /// With a kind, the object must be of it.
    ///
    /// # Errors
    /// A [`Refusal`] that is the same whether the object is somebody else's or does not exist.
    pub fn check(
        &self,
        provider: &Provider,
        written: &str,
        kind: Option<&str>,
        project: ProjectId,
    ) -> Result<CredentialId, Refusal> {
        self.owner(&provider.id, bare_id(provider, written))
            .filter(|owner| owner.project == project && kind.is_none_or(|kind| *owner.kind == *kind))
            .map(|owner| owner.credential)
            .ok_or_else(|| not_found(kind.unwrap_or("object"), written))
    }
}

/// The id without what may stand before it (`files/`, a whole URL).
#[must_use]
pub fn bare_id<'i>(provider: &Provider, written: &'i str) -> &'i str {
    provider.api.object_prefixes.iter().find_map(|prefix| written.strip_prefix(&**prefix)).unwrap_or(written)
}

/// Whether a referring field's text names an object at all, rather than nothing or a page of the open web.
#[must_use]
pub fn names_object(provider: &Provider, written: &str) -> bool {
    if written.is_empty() {
        return false;
    }
    let is_url = written.split_once("://").is_some_and(|(scheme, _)| scheme.bytes().all(|b| b.is_ascii_alphanumeric()))
        || written.get(..5).is_some_and(|head| head.eq_ignore_ascii_case("data:"));
    !is_url || provider.api.object_prefixes.iter().any(|prefix| written.starts_with(&**prefix))
}

fn not_found(kind: &str, written: &str) -> Refusal {
    let shown: String = written.chars().filter(|character| !character.is_control()).take(80).collect();
    Refusal::new(Reason::ObjectNotFound, format!("no {kind} {shown} was made with a key of this project"))
}

#[cfg(test)]
mod tests;
