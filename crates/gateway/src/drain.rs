//! Telling the open connections of one thread that the service stops: each finishes what it has begun and closes.

use std::{
    cell::{Cell, RefCell},
    future::{Future, poll_fn},
    pin::{Pin, pin},
    task::{Context, Poll, Waker},
};

/// Whether a thread's connections should come to an end.
#[derive(Default)]
pub(crate) struct Drain {
    on: Cell<bool>,
    wakers: RefCell<Vec<Option<Waker>>>,
    free: RefCell<Vec<usize>>,
}

impl Drain {
    /// Tells all connections.
    pub(crate) fn start(&self) {
        self.on.set(true);
        let wakers: Vec<_> = self.wakers.borrow_mut().iter_mut().filter_map(Option::take).collect();
        wakers.into_iter().for_each(Waker::wake);
    }

    /// Whether they have been told.
    pub(crate) fn is_on(&self) -> bool {
        self.on.get()
    }

    /// Drives a connection to its end. `shut` is called once, when the connection is to close after what it has begun.
    pub(crate) async fn drive<C: Future>(&self, connection: C, shut: fn(Pin<&mut C>)) -> C::Output {
        let mut connection = pin!(connection);
        let mut told = false;
        let place = self.place();
        poll_fn(|cx| {
            if self.on.get() && !told {
                told = true;
                shut(connection.as_mut());
            }
            if !told {
                self.wake_with(&place, cx);
            }
            connection.as_mut().poll(cx)
        })
        .await
    }

    /// Waits for something that has not begun to matter: nothing comes of it once the connections are told.
    pub(crate) async fn unless<T>(&self, part: impl Future<Output = T>) -> Option<T> {
        let mut part = pin!(part);
        let place = self.place();
        poll_fn(|cx| {
            if self.on.get() {
                return Poll::Ready(None);
            }
            self.wake_with(&place, cx);
            part.as_mut().poll(cx).map(Some)
        })
        .await
    }

    fn wake_with(&self, place: &Place<'_>, cx: &Context<'_>) {
        if let Some(slot) = self.wakers.borrow_mut().get_mut(place.slot) {
            match slot {
                Some(waker) if waker.will_wake(cx.waker()) => {}
                _ => *slot = Some(cx.waker().clone()),
            }
        }
    }

    fn place(&self) -> Place<'_> {
        let mut wakers = self.wakers.borrow_mut();
        let slot = self.free.borrow_mut().pop().unwrap_or_else(|| {
            wakers.push(None);
            wakers.len() - 1
        });
        Place { drain: self, slot }
    }
}

struct Place<'a> {
    drain: &'a Drain,
    slot: usize,
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        if let Some(waker) = self.drain.wakers.borrow_mut().get_mut(self.slot) {
            *waker = None;
        }
        self.drain.free.borrow_mut().push(self.slot);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::rc::Rc;

    struct Connection<'a>(&'a Cell<u32>);

    impl Future for Connection<'_> {
        type Output = ();

        fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<()> {
            if self.0.get() > 0 { Poll::Ready(()) } else { Poll::Pending }
        }
    }

    #[tokio::test]
    async fn every_connection_is_told_once_and_leaves_no_trace() {
        let drain = Rc::new(Drain::default());
        let told = [Cell::new(0), Cell::new(0)];
        let drive = |cell| drain.drive(Connection(cell), |connection| connection.0.set(connection.0.get() + 1));
        let stop = async {
            tokio::task::yield_now().await;
            assert!(!drain.is_on());
            drain.start();
        };
        let [one, two] = &told;
        tokio::join!(drive(one), drive(two), stop);
        assert_eq!(told, [Cell::new(1), Cell::new(1)]);
        drive(&Cell::new(0)).await;
        assert_eq!(drain.unless(std::future::pending::<()>()).await, None);
        assert_eq!(drain.wakers.borrow().len(), 2, "places are used again");
        assert!(drain.wakers.borrow().iter().all(Option::is_none));
    }
}
