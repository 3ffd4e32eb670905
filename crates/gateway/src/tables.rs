//! The gateway's picture of the world: providers, keys, routes and prices, immutable and replaced as a whole.
//! A call loads it once. Changes come in from the control plane as `Update`s; nothing here ever asks back.

mod above;
mod build;
mod plan;
mod router;

pub use plan::{OperationPlan, ProviderPlan};
pub use router::{Found, RawParams, Router};

use crate::{
    live::{Limits, Live},
    near::Near,
    objects::Objects,
    purse::Purse,
    upstream::Origin,
};
use above::Above;
use arc_swap::{ArcSwap, Guard};
use keyward_domain::{
    Environment, KeyId, Millis, ProjectId,
    grant::Grant,
    price::PriceBook,
    secret::PlainKey,
    snapshot::{RouteCredential, Update},
    token::PublicId,
};
use keyward_vault::{Ready, Vault};
use rustc_hash::FxHashMap;
use std::sync::{
    Arc, Mutex, OnceLock, PoisonError,
    atomic::{AtomicI64, Ordering},
};

/// How many parts the table of keys has: a change copies one of them.
const SHARDS: usize = 256;

/// One key: what it may do, and its state from call to call.
#[derive(Debug)]
pub struct LiveGrant {
    /// Who the key belongs to and what it may do.
    pub grant: Grant,
    /// Rates and open calls; carried over when the grant changes.
    pub live: Arc<Live>,
    /// The key's era when this entry was made: calls admitted by it end when the era does.
    pub epoch: u32,
    /// The budgets above the key, its own first.
    pub purses: Box<[Arc<Purse>]>,
    /// Everything that limits the pace of its calls.
    pub(crate) limits: Arc<Limits>,
}

impl LiveGrant {
    /// Whether calls admitted by this entry must end: the key was revoked or forgotten since.
    #[must_use]
    pub fn is_cut(&self) -> bool {
        self.live.epoch() != self.epoch
    }

    /// Everything that limits the pace of the key's calls.
    pub(crate) fn limits(&self) -> Near<Limits> {
        Near::of(&self.limits)
    }
}

/// One credential of a route, with its address read.
#[derive(Debug)]
pub struct LiveCredential {
    /// The credential, sealed.
    pub route: RouteCredential,
    /// Where its calls go.
    pub origin: Arc<Origin>,
    out_until: AtomicI64,
    /// Made when the credential is first used here.
    ready: OnceLock<Ready>,
}

impl LiveCredential {
    /// Opens the secret, for one call.
    ///
    /// # Errors
    /// The vault's: tampered with, or sealed under a key that is not there.
    pub fn open(&self, vault: &Vault) -> Result<PlainKey, keyward_vault::Error> {
        let ready = match self.ready.get() {
            Some(ready) => ready,
            None => {
                let made = vault.ready(&self.route.place, &self.route.sealed)?;
                self.ready.get_or_init(|| made)
            }
        };
        ready.open()
    }

    /// Whether the credential may be used now.
    #[must_use]
    pub fn usable(&self, now: Millis) -> bool {
        self.out_until.load(Ordering::Relaxed) <= now
    }

    /// Takes the credential out until a moment (`i64::MAX`: until somebody acts). The control plane is told by a
    /// `CredentialReport`; this only keeps the next calls of this gateway from trying it.
    /// Returns whether it was in use until now, so that a flood of failures is reported once.
    pub fn take_out(&self, until: Millis, now: Millis) -> bool {
        self.out_until.fetch_max(until, Ordering::AcqRel) <= now
    }
}

/// Which credentials serve a project's calls to one provider, by order.
#[derive(Debug, Default)]
pub struct LiveRoute {
    /// The credentials, lowest order first.
    pub credentials: Vec<Arc<LiveCredential>>,
}

// HOT: the keys of these are made by us or by an administrator, never chosen by a client, so that a plain hash will do.
type Shard = FxHashMap<PublicId, Arc<LiveGrant>>;
type Routes = FxHashMap<(ProjectId, Environment), FxHashMap<Box<str>, Arc<LiveRoute>>>;
type Providers = FxHashMap<Box<str>, Arc<ProviderPlan>>;

/// The picture at one moment.
#[derive(Debug, Clone)]
pub struct Picture {
    providers: Arc<Providers>,
    shards: Vec<Arc<Shard>>,
    routes: Arc<Routes>,
    prices: Arc<PriceBook>,
}

impl Default for Picture {
    fn default() -> Self {
        Self {
            providers: Arc::default(),
            shards: (0..SHARDS).map(|_| Arc::default()).collect(),
            routes: Arc::default(),
            prices: Arc::default(),
        }
    }
}

impl Picture {
    /// A provider by the first segment of a path.
    #[must_use]
    pub fn provider(&self, id: &str) -> Option<&Arc<ProviderPlan>> {
        self.providers.get(id)
    }

    /// The ids of all providers, for a helpful "not found".
    pub fn provider_ids(&self) -> impl Iterator<Item = &str> {
        self.providers.keys().map(|id| &**id)
    }

    /// A key by its public id.
    #[must_use]
    pub fn grant(&self, id: &PublicId) -> Option<&Arc<LiveGrant>> {
        self.shards.get(shard_of(id)).and_then(|shard| shard.get(id))
    }

    /// The credentials for a project's calls to a provider.
    #[must_use]
    pub fn route(&self, project: ProjectId, environment: Environment, provider: &str) -> Option<&Arc<LiveRoute>> {
        self.routes.get(&(project, environment))?.get(provider)
    }

    /// All prices.
    #[must_use]
    pub fn prices(&self) -> &Arc<PriceBook> {
        &self.prices
    }

    /// How many keys there are.
    #[must_use]
    pub fn grant_count(&self) -> usize {
        self.shards.iter().map(|shard| shard.len()).sum()
    }
}

/// Public ids are random base 62: two of their characters spread keys evenly.
fn shard_of(id: &PublicId) -> usize {
    let mix = |sum: usize, byte: u8| sum.wrapping_mul(31).wrapping_add(usize::from(byte));
    id.as_str().bytes().take(4).fold(0, mix) % SHARDS
}

/// The current picture and the one way to change it.
#[derive(Debug, Default)]
pub struct Tables {
    current: ArcSwap<Picture>,
    /// Held while changing.
    books: Mutex<Books>,
    objects: Objects,
}

/// What a change is made with.
#[derive(Debug, Default)]
struct Books {
    /// Which public id a key has, so that it can be found when it is to be forgotten.
    by_key: FxHashMap<KeyId, PublicId>,
    /// Budgets and rates by whose they are.
    above: Above,
}

impl Tables {
    /// Nothing known yet: every call is refused.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The picture as it is now: one atomic load. Clone out of it what outlives an `await`.
    pub fn load(&self) -> Guard<Arc<Picture>> {
        self.current.load()
    }

    /// Whose files, batches and stored answers the provider's objects are.
    #[must_use]
    pub const fn objects(&self) -> &Objects {
        &self.objects
    }

    /// Takes a change over. When this returns, new calls see it, and the open calls of revoked keys are being cut.
    pub fn apply(&self, update: Update) {
        let mut guard = self.books.lock().unwrap_or_else(PoisonError::into_inner);
        let books = &mut *guard;
        let old = self.current.load_full();
        let mut changed = Vec::new();
        let mut next = Picture::clone(&old);
        match update {
            Update::Everything(everything) => {
                self.objects.adopt(&everything.objects);
                books.above.replace(everything.budgets, &everything.rates);
                next = Picture {
                    providers: Arc::new(build::providers(&everything.providers)),
                    prices: everything.prices,
                    ..Picture::default()
                };
                next.routes = Arc::new(build::routes(&next.providers, everything.routes));
                build::replace_grants(&old, &mut next, everything.grants, books, &mut changed);
            }
            Update::Grants(grants) => build::change_grants(&mut next, grants, books, &mut changed),
            Update::Forget(keys) => build::forget(&mut next, &keys, &mut books.by_key, &mut changed),
            Update::Routes(routes) => build::change_routes(&mut next, routes),
            Update::Budgets(budgets) => {
                let scopes = budgets.into_iter().flat_map(|budget| books.above.put(budget)).collect();
                build::put_below(&mut next, scopes, books);
            }
            Update::ForgetBudgets(gone) => {
                let scopes = gone.iter().filter_map(|id| books.above.forget(id)).collect();
                build::put_below(&mut next, scopes, books);
            }
            Update::Rates(rates) => {
                let scopes = rates.iter().filter_map(|rates| books.above.set_rates(rates)).collect();
                build::put_below(&mut next, scopes, books);
            }
        }
        self.current.store(Arc::new(next));
        // Only now: whoever was admitted by the old picture carries the old era and ends with it.
        changed.iter().for_each(|live| live.cut());
    }
}

#[cfg(test)]
pub(crate) mod tests;
