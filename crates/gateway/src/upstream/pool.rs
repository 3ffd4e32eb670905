//! Idle HTTP/1.1 connections of one thread, by endpoint. Which credential was used on them does not matter: HTTP/1.1
//! connections carry no identity of their own.

use crate::{stream::Io, upstream::origin::Endpoint};
use rustc_hash::FxHashMap;
use std::{cell::RefCell, sync::Arc, time::Duration};
use tokio::time::Instant;

/// The most idle connections to one endpoint.
const MAX_IDLE: usize = 1024;
/// Taken off what a provider says it keeps a connection, so that it is not closed while a request is under way.
const MARGIN: Duration = Duration::from_secs(1);
/// A body that cannot be sent twice only goes out on a connection that was idle for less than this.
const FRESH: Duration = Duration::from_millis(500);

/// The idle connections.
pub(crate) struct Pool {
    idle: RefCell<FxHashMap<Arc<Endpoint>, Vec<Idle>>>,
    keep: Duration,
}

struct Idle {
    io: Io,
    since: Instant,
    until: Instant,
}

impl Pool {
    /// Keeps connections for `keep` at most; less where a provider says so.
    pub(crate) fn new(keep: Duration) -> Self {
        Self { idle: RefCell::default(), keep }
    }

    /// A connection that is still quiet, the last used first. `fresh` asks for one that was idle only for a moment.
    pub(crate) fn take(&self, endpoint: &Arc<Endpoint>, fresh: bool, now: Instant) -> Option<Io> {
        let mut idle = self.idle.borrow_mut();
        let list = idle.get_mut(endpoint)?;
        while let Some(mut last) = list.pop() {
            if fresh && now.duration_since(last.since) >= FRESH {
                list.push(last);
                return None;
            }
            if last.until > now && last.io.is_quiet() {
                return Some(last.io);
            }
        }
        None
    }

    /// Takes back a connection after a complete answer. `hint`: how long the provider says it keeps it.
    pub(crate) fn put(&self, endpoint: &Arc<Endpoint>, io: Io, hint: Option<Duration>, now: Instant) {
        let keep = hint.map_or(self.keep, |hint| hint.saturating_sub(MARGIN).min(self.keep));
        if keep.is_zero() {
            return;
        }
        let mut idle = self.idle.borrow_mut();
        let new = Idle { io, since: now, until: now + keep };
        match idle.get_mut(endpoint) {
            Some(list) if list.len() >= MAX_IDLE => {}
            Some(list) => list.push(new),
            None => {
                idle.insert(Arc::clone(endpoint), vec![new]);
            }
        }
    }

    /// Closes what was idle for too long, or was closed by the provider.
    pub(crate) fn sweep(&self, now: Instant) {
        let mut idle = self.idle.borrow_mut();
        idle.retain(|_, list| {
            list.retain_mut(|idle| idle.until > now && idle.io.is_quiet());
            list.shrink_to(2 * list.len());
            !list.is_empty()
        });
    }

    /// How many connections are idle.
    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.idle.borrow().values().map(Vec::len).sum()
    }
}
