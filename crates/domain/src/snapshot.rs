//! What the control plane tells the gateway. The gateway turns it into its own immutable tables; it never asks back.

use crate::{
    BudgetId, CredentialId, Environment, KeyId, Millis, ProjectId,
    budget::{Budget, SharedRates},
    grant::Grant,
    price::PriceBook,
    provider::Provider,
    secret::{Place, Sealed},
    usage::OwnedObject,
};
use std::sync::Arc;

/// One credential on a route, sealed. It is opened for one call at a time.
#[derive(Debug, Clone)]
pub struct RouteCredential {
    /// Its id.
    pub id: CredentialId,
    /// The version of its secret.
    pub version: u64,
    /// Where the ciphertext belongs.
    pub place: Place,
    /// The ciphertext.
    pub sealed: Sealed,
    /// The API root to call, without a slash at the end: the provider's, or the credential's own.
    pub base_url: Box<str>,
    /// Whether loopback and private addresses may be called: an administrator said so for this credential.
    pub allow_private: bool,
    /// Credentials with a lower order are used first.
    pub order: u32,
    /// Among those with the same order, calls are shared in proportion to this.
    pub weight: u32,
    /// Not to be used until this moment (dead or without money); `i64::MAX` means until somebody acts.
    pub out_until: Option<Millis>,
}

/// Which credentials serve a project's calls to a provider in an environment.
#[derive(Debug, Clone)]
pub struct Route {
    /// The project.
    pub project: ProjectId,
    /// The environment.
    pub environment: Environment,
    /// The provider's id.
    pub provider: Box<str>,
    /// The credentials, by order. Empty: the route is gone.
    pub credentials: Vec<RouteCredential>,
}

/// A change for the gateway. Applied before the control plane's call returns, so that "revoked" means revoked.
#[derive(Debug)]
pub enum Update {
    /// Everything anew: at the start, or when the stored version moved by more than can be told apart.
    Everything(Box<Everything>),
    /// Keys that are new or changed (a revoked key is a changed key).
    Grants(Vec<Grant>),
    /// Keys that are gone for good.
    Forget(Vec<KeyId>),
    /// Routes that are new or changed.
    Routes(Vec<Route>),
    /// Budgets that are new or changed. What was used of them stays.
    Budgets(Vec<Budget>),
    /// Budgets that are gone.
    ForgetBudgets(Vec<BudgetId>),
    /// Rates that all calls of a scope share, new or changed; one without any rate is gone.
    Rates(Vec<SharedRates>),
}

/// The whole picture.
#[derive(Debug)]
pub struct Everything {
    /// All providers.
    pub providers: Vec<Arc<Provider>>,
    /// All keys.
    pub grants: Vec<Grant>,
    /// All routes.
    pub routes: Vec<Route>,
    /// All prices.
    pub prices: Arc<PriceBook>,
    /// All budgets.
    pub budgets: Vec<Budget>,
    /// All rates that scopes share.
    pub rates: Vec<SharedRates>,
    /// All objects that belong to somebody.
    pub objects: Vec<OwnedObject>,
}
