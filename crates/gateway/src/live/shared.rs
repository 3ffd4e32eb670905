//! The rates above a call: its key's own, its project's, the organisation's. Taken from all of them or from none.

use super::{Live, Pace};
use crate::near::Near;
use keyward_domain::{
    Millis,
    budget::{Scope, SharedRates},
    policy::Policy,
};
use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

/// No limit.
const NONE: u64 = u64::MAX;

/// The rates that all calls of a scope share. It outlives every change of the limits.
#[derive(Debug)]
pub struct Shared {
    scope: Scope,
    requests: AtomicU64,
    tokens: AtomicU64,
    concurrency: AtomicU64,
    pace: Pace,
}

impl Shared {
    /// Rates of which nothing is used yet.
    #[must_use]
    pub fn new(rates: &SharedRates) -> Self {
        let shared = Self {
            scope: rates.scope,
            requests: AtomicU64::new(NONE),
            tokens: AtomicU64::new(NONE),
            concurrency: AtomicU64::new(NONE),
            pace: Pace::default(),
        };
        shared.change(rates);
        shared
    }

    /// Takes new limits over; what was used stays.
    pub fn change(&self, rates: &SharedRates) {
        self.requests.store(rates.requests_per_minute.unwrap_or(NONE), Ordering::Relaxed);
        self.tokens.store(rates.tokens_per_minute.unwrap_or(NONE), Ordering::Relaxed);
        self.concurrency.store(rates.concurrency.map_or(NONE, u64::from), Ordering::Relaxed);
    }

    /// Whose calls share them.
    #[must_use]
    pub const fn scope(&self) -> Scope {
        self.scope
    }

    /// How many calls are open.
    #[must_use]
    pub fn in_flight(&self) -> u32 {
        self.pace.in_flight()
    }
}

/// Whose limit it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Whose {
    /// The key's own.
    Key,
    /// That of a scope above it.
    Scope(Scope),
}

/// A limit that has no room for a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refused {
    /// Whose.
    pub whose: Whose,
    /// The limit.
    pub limit: u64,
    /// The milliseconds after which there is room. None: nobody knows, or there never is.
    pub wait: Option<u64>,
}

impl Refused {
    /// The one of two that a caller must wait for longer.
    fn later(self, other: Self) -> Self {
        let is_later = match (self.wait, other.wait) {
            (None, _) => false,
            (_, None) => true,
            (Some(wait), Some(other)) => other > wait,
        };
        if is_later { other } else { self }
    }
}

/// Everything that limits a call's pace.
#[derive(Debug)]
pub(crate) struct Limits {
    pub(crate) live: Arc<Live>,
    pub(crate) shared: Arc<[Arc<Shared>]>,
}

/// One of them, with its limits: the key's own first, which is the one that refuses most.
struct Limit<'l> {
    pace: &'l Pace,
    whose: Whose,
    requests: Option<u64>,
    tokens: Option<u64>,
    concurrency: Option<u64>,
}

impl Limits {
    fn each<'l>(&'l self, policy: &'l Policy) -> impl Iterator<Item = Limit<'l>> {
        let own = Limit {
            pace: &self.live.pace,
            whose: Whose::Key,
            requests: policy.requests_per_minute,
            tokens: policy.tokens_per_minute,
            concurrency: policy.concurrency.map(u64::from),
        };
        let read = |limit: &AtomicU64| Some(limit.load(Ordering::Relaxed)).filter(|limit| *limit != NONE);
        let shared = self.shared.iter().map(move |shared| Limit {
            pace: &shared.pace,
            whose: Whose::Scope(shared.scope),
            requests: read(&shared.requests),
            tokens: read(&shared.tokens),
            concurrency: read(&shared.concurrency),
        });
        std::iter::once(own).chain(shared)
    }

    fn paces(&self) -> impl Iterator<Item = &Pace> {
        std::iter::once(&self.live.pace).chain(self.shared.iter().map(|shared| &shared.pace))
    }

    /// Takes one request from every minute's allowance.
    ///
    /// # Errors
    /// The limit that has none for the longest time; nothing is taken.
    pub(crate) fn take_request(&self, policy: &Policy, now: Millis) -> Result<(), Refused> {
        for (at, limit) in self.each(policy).enumerate() {
            let Some(per_minute) = limit.requests else { continue };
            if let Err(wait) = limit.pace.take_request(per_minute, now) {
                for taken in self.each(policy).take(at) {
                    if let Some(per_minute) = taken.requests {
                        taken.pace.requests.put_back(1, per_minute);
                    }
                }
                let first = Refused { whose: limit.whose, limit: per_minute, wait: Some(wait) };
                let others = self.each(policy).skip(at + 1).filter_map(|other| {
                    let limit = other.requests?;
                    let wait = Some(other.pace.wait_for_request(limit, now)?);
                    Some(Refused { whose: other.whose, limit, wait })
                });
                return Err(others.fold(first, Refused::later));
            }
        }
        Ok(())
    }
}

impl Near<Limits> {
    /// Opens a call everywhere. The places are free again when the guard is dropped.
    ///
    /// # Errors
    /// The limit that is reached already.
    pub(crate) fn enter(&self, policy: &Policy) -> Result<InFlight, Refused> {
        // Counted first, so that the guard takes back what was counted, however far this gets.
        for pace in self.paces() {
            pace.enter();
        }
        let guard = InFlight(self.clone());
        for limit in self.each(policy) {
            if let Some(most) = limit.concurrency.filter(|most| limit.pace.is_over(*most)) {
                return Err(Refused { whose: limit.whose, limit: most, wait: None });
            }
        }
        Ok(guard)
    }

    /// Takes tokens from every minute's allowance, by estimate: [`Taken::settle`] puts the difference right.
    ///
    /// # Errors
    /// The limit that has not so many for the longest time, or never; nothing is taken.
    pub(crate) fn take_tokens(&self, estimate: u64, policy: &Policy, now: Millis) -> Result<Taken, Refused> {
        let mut taken = Taken::default();
        for (at, limit) in self.each(policy).enumerate() {
            let Some(per_minute) = limit.tokens else { continue };
            let fits = estimate <= per_minute;
            let got = if fits { limit.pace.take_tokens(estimate, per_minute, now).map_err(Some) } else { Err(None) };
            if let Err(wait) = got {
                taken.put_back();
                let first = Refused { whose: limit.whose, limit: per_minute, wait };
                let others = self.each(policy).skip(at + 1).filter_map(|other| {
                    let limit = other.tokens?;
                    let fits = estimate <= limit;
                    let wait = if fits { Some(other.pace.wait_for_tokens(estimate, limit, now)?) } else { None };
                    Some(Refused { whose: other.whose, limit, wait })
                });
                return Err(others.fold(first, Refused::later));
            }
            let (_, places) = taken.0.get_or_insert_with(|| (self.clone(), Vec::with_capacity(1 + self.shared.len())));
            places.push((at, per_minute));
            taken.1 = estimate;
        }
        Ok(taken)
    }
}

/// An open call.
#[derive(Debug)]
pub(crate) struct InFlight(Near<Limits>);

impl InFlight {
    /// Everything that limits the call's pace.
    pub(crate) const fn limits(&self) -> &Near<Limits> {
        &self.0
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        for pace in self.0.paces() {
            pace.leave();
        }
    }
}

/// Tokens that a call has taken: from which allowances, by their place and what the limit was then, and how many.
/// Dropped without a settlement (a panic, a lost task), the estimate stands: in doubt it is charged.
#[derive(Debug, Default)]
pub(crate) struct Taken(Option<(Near<Limits>, Places)>, u64);

/// Allowances by their place among all, and what their limits were.
type Places = Vec<(usize, u64)>;

impl Taken {
    /// Replaces the estimate by what was used. Settling twice changes nothing the second time.
    pub(crate) fn settle(&mut self, used: u64) {
        let Some((limits, places)) = self.0.take() else { return };
        for (place, per_minute) in places {
            if let Some(pace) = limits.paces().nth(place) {
                pace.correct_tokens(self.1, used, per_minute);
            }
        }
    }

    /// The call is refused after all.
    pub(crate) fn put_back(&mut self) {
        self.settle(0);
    }
}
