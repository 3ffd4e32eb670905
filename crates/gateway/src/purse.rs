//! One budget as this node sees it: its terms, and the pot of the window that is now. Made for every budget there is, so
//! it is small; a pot is made when a call first spends from it, and goes when nothing is left in it.

pub(crate) mod bank;
pub(crate) mod hold;
pub(crate) mod pot;
pub(crate) mod till;

use arc_swap::{ArcSwap, ArcSwapOption};
use keyward_domain::{
    BudgetId, Millis, Money,
    budget::{Account, Budget, Scope},
    window::Window,
};
use pot::{Pot, Taken};
use std::sync::Arc;
use till::{Apart, drawers};

/// A budget's limit and window, as they are now.
#[derive(Debug)]
pub(crate) struct Terms {
    pub(crate) limit: Money,
    pub(crate) window: Window,
}

/// One budget on this node. It outlives every change of its terms: editing a limit resets nothing.
#[derive(Debug)]
pub struct Purse {
    id: BudgetId,
    scope: Scope,
    terms: ArcSwap<Terms>,
    /// The pot that was used last; the right one for as long as now is within its span.
    current: ArcSwapOption<Open>,
}

/// A pot in use, with a place at it for each thread.
#[derive(Debug)]
struct Open {
    pot: Arc<Pot>,
    places: Box<[Arc<Place>]>,
}

impl Open {
    fn new(pot: Arc<Pot>) -> Self {
        let places = (0..drawers()).map(|seat| Arc::new(Place(Apart((Arc::clone(&pot), seat))))).collect();
        Self { pot, places }
    }
}

/// A thread's place at a pot. How many calls hold it is counted where no other thread counts.
#[derive(Debug)]
pub(crate) struct Place(Apart<(Arc<Pot>, usize)>);

impl Place {
    pub(crate) fn pot(&self) -> &Arc<Pot> {
        &self.0.0.0
    }

    pub(crate) fn take(&self, amount: i64) -> Result<Taken, i64> {
        self.pot().take(self.0.0.1, amount)
    }

    pub(crate) fn end(&self, held: i64, cost: i64) {
        self.pot().end(self.0.0.1, held, cost);
    }
}

impl Purse {
    /// A budget of which nothing is used here yet.
    #[must_use]
    pub fn new(budget: Budget) -> Self {
        let Budget { id, scope, limit, window } = budget;
        Self { id, scope, terms: ArcSwap::from_pointee(Terms { limit, window }), current: ArcSwapOption::empty() }
    }

    /// Whose spending it bounds.
    #[must_use]
    pub const fn scope(&self) -> Scope {
        self.scope
    }

    pub(crate) fn terms(&self) -> Arc<Terms> {
        self.terms.load_full()
    }

    /// Takes new terms over. Another limit leaves the account as it is; another window is another account.
    pub(crate) fn change(&self, limit: Money, window: Window) {
        let before = self.terms.swap(Arc::new(Terms { limit, window }));
        let same = before.window == self.terms.load().window;
        match self.current.load_full() {
            Some(_) if !same => self.close(),
            Some(open) if before.limit != limit => open.pot.limit_changed(limit),
            _ => {}
        }
    }

    /// The budget is gone, or its window is: what is free goes back, what is held runs out.
    pub(crate) fn close(&self) {
        if let Some(open) = self.current.swap(None) {
            open.pot.close();
        }
    }

    /// The thread's place at the pot for a call that is admitted now. None: the budget's span is over or has not begun.
    /// `keep` puts a new pot where looks find it, or gives the one of the same account that is there.
    pub(crate) fn place(&self, seat: usize, now: Millis, keep: impl Fn(Arc<Pot>) -> Arc<Pot>) -> Option<Arc<Place>> {
        let place = |open: &Open| open.places.get(seat % open.places.len()).cloned();
        // HOT: one load; windows are computed only when time has left the one before.
        let current = self.current.load();
        if let Some(open) = current.as_ref().filter(|open| open.pot.contains(now)) {
            return place(open);
        }
        drop(current);
        loop {
            let terms = self.terms.load_full();
            let span = terms.window.span(now)?;
            let account = Account { budget: self.id, start: span.start };
            let open = Arc::new(Open::new(keep(Arc::new(Pot::new(account, span, self.scope, terms.limit)))));
            self.current.store(Some(Arc::clone(&open)));
            // Terms that changed meanwhile have not met this pot.
            if Arc::ptr_eq(&terms, &self.terms.load()) {
                return place(&open);
            }
            self.close();
        }
    }

    /// Looks at the pot of now, if a call has used it.
    pub(crate) fn look<T>(&self, now: Millis, look: impl FnOnce(&Arc<Pot>) -> T) -> Option<T> {
        self.current.load().as_ref().filter(|open| open.pot.contains(now)).map(|open| look(&open.pot))
    }

    /// Lets go of a pot in which nothing is left.
    pub(crate) fn forget(&self, pot: &Arc<Pot>) {
        let current = self.current.load();
        if current.as_ref().is_some_and(|open| Arc::ptr_eq(&open.pot, pot)) {
            self.current.compare_and_swap(&current, None);
        }
    }
}
