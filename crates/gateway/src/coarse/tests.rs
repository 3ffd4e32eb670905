use super::*;
use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::Wake,
};

/// Counts how often it is woken.
#[derive(Default)]
struct Count(AtomicUsize);

impl Wake for Count {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

fn sleepers() -> usize {
    THREAD.with_borrow(|thread| thread.sleepers.iter().flatten().count())
}

#[test]
fn sleepers_wake_at_the_tick_behind_their_time() {
    let begin = Coarse.now();
    let count = Arc::new(Count::default());
    let waker = Waker::from(Arc::clone(&count));
    let mut cx = Context::from_waker(&waker);
    let mut one = Coarse.sleep(Duration::from_secs(2));
    let mut two = Coarse.sleep(Duration::from_secs(5));
    assert!(one.as_mut().poll(&mut cx).is_pending() && two.as_mut().poll(&mut cx).is_pending());
    assert!(one.as_mut().poll(&mut cx).is_pending(), "and again");
    assert_eq!(sleepers(), 2);
    tick_at(begin + Duration::from_millis(1_999));
    assert_eq!(count.0.load(Ordering::SeqCst), 0);
    assert!(one.as_mut().poll(&mut cx).is_pending(), "not before a tick");
    tick_at(begin + Duration::from_secs(2));
    assert_eq!(count.0.load(Ordering::SeqCst), 1);
    assert!(one.as_mut().poll(&mut cx).is_ready() && two.as_mut().poll(&mut cx).is_pending());
    drop((one, two));
    assert_eq!(sleepers(), 0);
    tick_at(begin + Duration::from_secs(9));
    assert_eq!(count.0.load(Ordering::SeqCst), 1, "who is gone is not woken");
}

#[test]
fn places_are_used_again() {
    let mut cx = Context::from_waker(Waker::noop());
    for _ in 0..100 {
        let mut sleeper = Coarse.sleep_until(Coarse.now() + Duration::from_secs(1));
        assert!(sleeper.as_mut().poll(&mut cx).is_pending());
    }
    assert_eq!(THREAD.with_borrow(|thread| thread.sleepers.len()), 1);
    let mut reset = Coarse.sleep(Duration::from_secs(1));
    assert!(reset.as_mut().poll(&mut cx).is_pending());
    Coarse.reset(&mut reset, Coarse.now());
    assert!(reset.as_mut().poll(&mut cx).is_ready());
}
