//! Calls that go on without their client, because the provider does, or to know what is held for them in vain: so many
//! of a thread at once, and so long at most.
//! What they would learn is only what the call has cost; where there is no room for them, what was held is charged.

use std::{cell::Cell, future::Future, rc::Rc, time::Duration};
use tokio::{runtime::Handle, task::spawn_local, time::timeout};

/// The places of one thread.
pub(crate) struct Alone {
    free: Cell<usize>,
    longest: Duration,
    closed: Cell<bool>,
}

/// One of them.
pub(crate) struct Place(Rc<Alone>);

impl Alone {
    pub(crate) const fn new(places: usize, longest: Duration) -> Self {
        Self { free: Cell::new(places), longest, closed: Cell::new(false) }
    }

    /// Nothing more goes on: the thread ends.
    pub(crate) fn close(&self) {
        self.closed.set(true);
    }

    /// A place, if one is free and the thread still runs.
    pub(crate) fn place(self: &Rc<Self>) -> Option<Place> {
        let free = self.free.get().checked_sub(1).filter(|_| !self.closed.get() && Handle::try_current().is_ok())?;
        self.free.set(free);
        Some(Place(Rc::clone(self)))
    }
}

impl Place {
    /// Runs the rest of a call in a task of its own. Dropped at its time's end, it settles itself.
    pub(crate) fn go_on(self, rest: impl Future<Output = ()> + 'static) {
        let longest = self.0.longest;
        spawn_local(async move {
            let _ = timeout(longest, rest).await;
            drop(self);
        });
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.free.set(self.0.free.get() + 1);
    }
}
