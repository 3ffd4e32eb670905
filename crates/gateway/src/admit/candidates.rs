//! Which credentials can serve a call, and in which order they are tried.

use crate::{
    inbound::Inbound,
    near::Near,
    tables::{LiveCredential, Picture},
};
use keyward_domain::{
    CredentialId, Millis,
    grant::Grant,
    refusal::{Reason, Refusal},
};
use std::sync::Arc;

/// Lower orders first; within an order, drawn by weight. `draw` is the time and a random number.
pub(super) fn order(
    picture: &Picture,
    inbound: &Inbound,
    grant: &Grant,
    pinned: Option<CredentialId>,
    draw: (Millis, u64),
) -> Result<Vec<Near<LiveCredential>>, Refusal> {
    let (now, mut random) = draw;
    let provider = &inbound.plan.provider.id;
    let none = |message: String| Refusal::new(Reason::NoCredential, message);
    let route = picture.route(grant.project, grant.environment, provider).ok_or_else(|| {
        none(format!("this project has no credential for {provider} in {}: its owner must add one", grant.environment))
    })?;
    let fits = |credential: &&Arc<LiveCredential>| {
        credential.usable(now) && pinned.is_none_or(|pinned| credential.route.id == pinned)
    };
    let mut usable: Vec<Near<LiveCredential>> = route.credentials.iter().filter(fits).map(Near::of).collect();
    if usable.is_empty() {
        let all = route.credentials.len();
        return Err(none(match pinned {
            Some(_) => format!("the {provider} credential under which the named object was made cannot be used now"),
            None => format!("none of this project's {all} {provider} credentials can be used now: its owner must look"),
        }));
    }
    let mut done = 0;
    while let Some(first) = usable.get(done).map(|credential| credential.route.order) {
        let same = usable.iter().skip(done).take_while(|credential| credential.route.order == first).count();
        if let Some(group) = usable.get_mut(done..done + same) {
            draw_by_weight(group, &mut random);
        }
        done += same;
    }
    Ok(usable)
}

/// Puts credentials into a random order in which the heavier tend to come first.
fn draw_by_weight(group: &mut [Near<LiveCredential>], random: &mut u64) {
    let mut rest = group;
    while rest.len() > 1 {
        let weight = |credential: &Near<LiveCredential>| u64::from(credential.route.weight.max(1));
        let total: u64 = rest.iter().map(weight).sum();
        let mut mark = next(random) % total;
        let drawn = rest.iter().position(|credential| {
            let weight = weight(credential);
            let hit = mark < weight;
            mark = mark.saturating_sub(weight);
            hit
        });
        rest.swap(0, drawn.unwrap_or(0));
        let (_, tail) = rest.split_at_mut(1);
        rest = tail;
    }
}

/// A small generator; only the first number must be random.
fn next(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let mut mixed = *state;
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    mixed ^ (mixed >> 31)
}
