//! How a picture is made from what the control plane sends.

use super::{
    Books, LiveCredential, LiveGrant, LiveRoute, Picture, Providers, Routes, Shard, above::Above, plan::ProviderPlan,
    shard_of,
};
use crate::{
    live::{Limits, Live},
    upstream::Origin,
};
use keyward_domain::{
    KeyId,
    budget::Scope,
    grant::Grant,
    provider::{HttpVersion, Provider},
    snapshot::{Route, RouteCredential},
    token::PublicId,
};
use rustc_hash::FxHashMap;
use std::sync::{Arc, OnceLock, atomic::AtomicI64};

/// The state of keys whose open calls must end.
pub(super) type Changed = Vec<Arc<Live>>;

pub(super) fn providers(all: &[Arc<Provider>]) -> Providers {
    all.iter().map(|provider| (provider.id.clone(), Arc::new(ProviderPlan::new(provider)))).collect()
}

pub(super) fn routes(providers: &Providers, all: Vec<Route>) -> Routes {
    let mut routes = Routes::default();
    for route in all {
        put_route(&mut routes, providers, route);
    }
    routes
}

pub(super) fn change_routes(picture: &mut Picture, changed: Vec<Route>) {
    let providers = Arc::clone(&picture.providers);
    let routes = Arc::make_mut(&mut picture.routes);
    for route in changed {
        put_route(routes, &providers, route);
    }
}

fn put_route(routes: &mut Routes, providers: &Providers, route: Route) {
    let place = routes.entry((route.project, route.environment)).or_default();
    if route.credentials.is_empty() {
        place.remove(&route.provider);
        return;
    }
    let http2 = providers.get(&route.provider).is_some_and(|plan| plan.provider.api.http == HttpVersion::Http2);
    let mut credentials: Vec<_> =
        route.credentials.into_iter().filter_map(|credential| live_credential(credential, http2)).collect();
    credentials.sort_by_key(|credential| credential.route.order);
    place.insert(route.provider, Arc::new(LiveRoute { credentials }));
}

fn live_credential(route: RouteCredential, http2: bool) -> Option<Arc<LiveCredential>> {
    match Origin::parse(&route.base_url, route.allow_private, http2) {
        Ok(origin) => {
            let out_until = AtomicI64::new(route.out_until.unwrap_or(i64::MIN));
            let origin = Arc::new(origin);
            Some(Arc::new(LiveCredential { route, origin, out_until, ready: OnceLock::new() }))
        }
        Err(error) => {
            tracing::error!(credential = %route.id, %error, "credential left out: its address cannot be used");
            None
        }
    }
}

pub(super) fn replace_grants(
    old: &Picture,
    next: &mut Picture,
    grants: Vec<Grant>,
    books: &mut Books,
    changed: &mut Changed,
) {
    let Books { by_key, above } = books;
    let before = std::mem::take(by_key);
    by_key.reserve(grants.len());
    let mut shards: Vec<Shard> = next.shards.iter().map(|_| Shard::default()).collect();
    for grant in grants {
        let old_entry = before.get(&grant.key).and_then(|id| old.grant(id));
        let entry = live_grant(grant, old_entry, above, changed);
        by_key.insert(entry.grant.key, entry.grant.public_id);
        if let Some(shard) = shards.get_mut(shard_of(&entry.grant.public_id)) {
            shard.insert(entry.grant.public_id, entry);
        }
    }
    next.shards = shards.into_iter().map(Arc::new).collect();
    for (key, id) in before {
        if !by_key.contains_key(&key)
            && let Some(gone) = old.grant(&id)
        {
            changed.push(Arc::clone(&gone.live));
        }
    }
}

pub(super) fn change_grants(picture: &mut Picture, grants: Vec<Grant>, books: &mut Books, changed: &mut Changed) {
    let Books { by_key, above } = books;
    for grant in grants {
        let old_id = by_key.insert(grant.key, grant.public_id);
        let old_entry = old_id.and_then(|id| picture.grant(&id)).cloned();
        if let Some(id) = old_id.filter(|id| *id != grant.public_id) {
            remove(picture, &id);
        }
        let entry = live_grant(grant, old_entry.as_ref(), above, changed);
        if let Some(shard) = picture.shards.get_mut(shard_of(&entry.grant.public_id)) {
            Arc::make_mut(shard).insert(entry.grant.public_id, entry);
        }
    }
}

pub(super) fn forget(
    picture: &mut Picture,
    keys: &[KeyId],
    by_key: &mut FxHashMap<KeyId, PublicId>,
    changed: &mut Changed,
) {
    for id in keys.iter().filter_map(|key| by_key.remove(key)) {
        if let Some(gone) = remove(picture, &id) {
            changed.push(Arc::clone(&gone.live));
        }
    }
}

fn remove(picture: &mut Picture, id: &PublicId) -> Option<Arc<LiveGrant>> {
    picture.shards.get_mut(shard_of(id)).and_then(|shard| Arc::make_mut(shard).remove(id))
}

/// Puts the keys of some scopes below the budgets and rates as they are now.
pub(super) fn put_below(picture: &mut Picture, scopes: Vec<Scope>, books: &mut Books) {
    let (mut keys, mut wide) = (Vec::new(), Vec::new());
    for scope in scopes {
        match scope {
            Scope::Key(key) => keys.extend(books.by_key.get(&key).copied()),
            other => wide.push(other),
        }
    }
    for id in keys {
        let Some(shard) = picture.shards.get_mut(shard_of(&id)) else { continue };
        if let Some(entry) = Arc::make_mut(shard).get_mut(&id) {
            *entry = below(entry.grant.clone(), Arc::clone(&entry.live), entry.epoch, &mut books.above);
        }
    }
    if wide.is_empty() {
        return;
    }
    for shard in &mut picture.shards {
        let touched = |entry: &LiveGrant| {
            let grant = &entry.grant;
            wide.iter().any(|scope| scope.covers(grant.project, grant.environment, grant.key))
        };
        if !shard.values().any(|entry| touched(entry)) {
            continue;
        }
        for entry in Arc::make_mut(shard).values_mut().filter(|entry| touched(entry)) {
            *entry = below(entry.grant.clone(), Arc::clone(&entry.live), entry.epoch, &mut books.above);
        }
    }
}

/// A key's entry, with the state it already has.
fn live_grant(grant: Grant, old: Option<&Arc<LiveGrant>>, above: &mut Above, changed: &mut Changed) -> Arc<LiveGrant> {
    let live = old.map_or_else(Arc::default, |entry| Arc::clone(&entry.live));
    if grant.revoked && old.is_some_and(|entry| !entry.grant.revoked) {
        changed.push(Arc::clone(&live));
    }
    let epoch = live.epoch();
    below(grant, live, epoch, above)
}

fn below(grant: Grant, live: Arc<Live>, epoch: u32, above: &mut Above) -> Arc<LiveGrant> {
    let (purses, shared) = (above.purses(&grant), above.rates(&grant));
    let limits = Arc::new(Limits { live: Arc::clone(&live), shared });
    Arc::new(LiveGrant { grant, live, epoch, purses, limits })
}
