use super::*;
use crate::near::Near;
use keyward_domain::{
    ProjectId,
    budget::{Scope, SharedRates},
    policy::Policy,
};
use std::sync::{
    Arc,
    atomic::{AtomicU32, Ordering},
};

/// A key alone, with its limits as arguments.
#[derive(Default)]
struct Key(Arc<Live>);

impl Key {
    fn limits(&self) -> Near<Limits> {
        Near::of(&Arc::new(Limits { live: Arc::clone(&self.0), shared: Arc::default() }))
    }

    fn take_request(&self, per_minute: u64, now: Millis) -> Result<(), u64> {
        let policy = Policy { requests_per_minute: Some(per_minute), ..Policy::default() };
        self.limits().take_request(&policy, now).map_err(|refused| refused.wait.expect("requests come back"))
    }

    fn take_tokens(&self, estimate: u64, per_minute: u64, now: Millis) -> Result<Taken, Option<u64>> {
        let policy = Policy { tokens_per_minute: Some(per_minute), ..Policy::default() };
        self.limits().take_tokens(estimate, &policy, now).map_err(|refused| refused.wait)
    }

    fn enter(&self, concurrency: Option<u32>) -> Result<InFlight, Refused> {
        self.limits().enter(&Policy { concurrency, ..Policy::default() })
    }
}

fn rates(scope: Scope, requests: u64, tokens: u64, concurrency: u32) -> SharedRates {
    SharedRates {
        scope,
        requests_per_minute: Some(requests),
        tokens_per_minute: Some(tokens),
        concurrency: Some(concurrency),
    }
}

fn project() -> Scope {
    Scope::Project(ProjectId::new(0, [1; 10]))
}

#[test]
fn what_is_shared_is_taken_everywhere_or_nowhere() {
    let project = Arc::new(Shared::new(&rates(project(), 10, 10_000, 10)));
    let all = Arc::new(Shared::new(&rates(Scope::Organisation, 3, 3_000, 3)));
    let key =
        Near::of(&Arc::new(Limits { live: Arc::default(), shared: [Arc::clone(&project), Arc::clone(&all)].into() }));
    let policy = Policy { requests_per_minute: Some(5), tokens_per_minute: Some(5_000), ..Policy::default() };
    for _ in 0..3 {
        key.take_request(&policy, 0).expect("three for all");
        assert!(key.take_tokens(1_000, &policy, 0).is_ok());
    }
    let whose = Whose::Scope(Scope::Organisation);
    assert_eq!(key.take_request(&policy, 0), Err(Refused { whose, limit: 3, wait: Some(20_000) }));
    let refused = key.take_tokens(1_000, &policy, 0).unwrap_err();
    assert_eq!(refused, Refused { whose, limit: 3_000, wait: Some(20_000) });
    // What the refused call took elsewhere is there again, to the last.
    all.change(&SharedRates {
        requests_per_minute: None,
        tokens_per_minute: None,
        ..rates(Scope::Organisation, 0, 0, 3)
    });
    for _ in 0..2 {
        key.take_request(&policy, 0).expect("five for the key");
    }
    assert_eq!(key.take_request(&policy, 0).unwrap_err().whose, Whose::Key);
    let mut taken = key.take_tokens(2_000, &policy, 0).expect("five thousand for the key");
    assert_eq!(key.take_tokens(1, &policy, 0).unwrap_err().whose, Whose::Key);
    taken.settle(1_000);
    assert!(key.take_tokens(1_000, &policy, 0).is_ok(), "all of them were put right");
}

#[test]
fn of_several_limits_the_longest_wait_is_told() {
    let all = Arc::new(Shared::new(&rates(Scope::Organisation, 1, 100, 9)));
    let key = Near::of(&Arc::new(Limits { live: Arc::default(), shared: [all].into() }));
    let policy = Policy { requests_per_minute: Some(2), tokens_per_minute: Some(150), ..Policy::default() };
    let whose = Whose::Scope(Scope::Organisation);
    key.take_request(&Policy::default(), 0).expect("one for all");
    for _ in 0..2 {
        let own = Limits { live: Arc::clone(&key.live), shared: Arc::default() };
        own.take_request(&policy, 0).expect("two for the key");
    }
    let told = key.take_request(&policy, 0).unwrap_err();
    assert_eq!(told, Refused { whose, limit: 1, wait: Some(60_000) }, "not the thirty seconds of the key");
    drop(key.take_tokens(100, &policy, 0).expect("fits"));
    let told = key.take_tokens(90, &policy, 0).unwrap_err();
    assert_eq!(told, Refused { whose, limit: 100, wait: Some(54_000) });
    let told = key.take_tokens(120, &policy, 0).unwrap_err();
    assert_eq!(told, Refused { whose, limit: 100, wait: None }, "never");
}

#[test]
fn calls_at_once_are_counted_for_all_who_share_them() {
    let project = Arc::new(Shared::new(&rates(project(), 10, 10, 2)));
    let key = || Near::of(&Arc::new(Limits { live: Arc::default(), shared: [Arc::clone(&project)].into() }));
    let policy = Policy::default();
    let open = [key().enter(&policy).expect("one"), key().enter(&policy).expect("two")];
    let refused = key().enter(&policy).unwrap_err();
    assert_eq!((refused.whose, refused.limit), (Whose::Scope(project.scope()), 2));
    assert_eq!(project.in_flight(), 2);
    drop(open);
    assert_eq!(project.in_flight(), 0);
    assert!(key().enter(&policy).is_ok());
}

#[test]
fn a_minutes_requests_may_come_at_once_and_then_come_back_evenly() {
    let live = Key::default();
    for _ in 0..60 {
        assert_eq!(live.take_request(60, 1_000_000), Ok(()));
    }
    assert_eq!(live.take_request(60, 1_000_000), Err(1_000));
    assert_eq!(live.take_request(60, 1_000_999), Err(1));
    assert_eq!(live.take_request(60, 1_001_000), Ok(()));
    assert_eq!(live.take_request(60, 1_001_000), Err(1_000));
}

#[test]
fn waiting_as_long_as_told_is_always_enough() {
    for per_minute in [1, 7, 60, 999, 1_000_003] {
        let live = Key::default();
        let mut now = 5_000;
        for _ in 0..per_minute {
            live.take_request(per_minute, now).expect("the allowance is full");
        }
        for _ in 0..5 {
            let wait = std::iter::repeat_with(|| live.take_request(per_minute, now)).find_map(Result::err);
            let wait = wait.expect("the allowance ends");
            now += i64::try_from(wait).unwrap();
            live.take_request(per_minute, now).expect("waited as told");
        }
    }
}

#[test]
fn waiting_for_tokens_as_long_as_told_is_just_enough() {
    for (own, shared) in [(Some(999), None), (None, Some(1_000_003)), (Some(7), Some(5))] {
        let all = Arc::new(Shared::new(&SharedRates {
            requests_per_minute: None,
            tokens_per_minute: shared,
            concurrency: None,
            scope: Scope::Organisation,
        }));
        let key = Near::of(&Arc::new(Limits { live: Arc::default(), shared: [all].into() }));
        let policy = Policy { tokens_per_minute: own, ..Policy::default() };
        let take = |estimate, now| key.take_tokens(estimate, &policy, now);
        let mut now = 5_000;
        for round in 1..5 {
            // A call uses more than was estimated, by another share each time: the wait is for the true number.
            take(1, now).expect("there is room").settle(3 + round);
            let most = own.unwrap_or(u64::MAX).min(shared.unwrap_or(u64::MAX));
            let wait = take(most, now).expect_err("the allowance is not full").wait.expect("it will be");
            let wait = i64::try_from(wait).unwrap();
            assert!(take(most, now + wait - 1).is_err(), "a millisecond less is too little");
            now += wait;
            take(most, now).expect("waited as told").put_back();
        }
    }
}

#[test]
fn a_clock_that_is_put_back_locks_nobody_out() {
    const DAY: Millis = 86_400_000;
    let live = Key::default();
    live.take_request(2, 10 * DAY).expect("first");
    live.take_request(2, 9 * DAY).expect("second, a day earlier");
    assert_eq!(live.take_request(2, 9 * DAY), Err(30_000), "what was taken still counts");
    live.take_request(2, 9 * DAY + 30_000).expect("half a minute later");
    live.take_request(2, 9 * DAY + 29_900).expect_err("a thread that looked a moment before changes nothing");
}

#[test]
fn a_refused_request_costs_nothing() {
    let live = Key::default();
    live.take_request(1, 0).expect("first");
    for _ in 0..100 {
        assert_eq!(live.take_request(1, 30_000), Err(30_000));
    }
    live.take_request(1, 60_000).expect("a minute later");
}

#[test]
fn tokens_are_estimated_then_put_right() {
    let live = Key::default();
    let mut hold = live.take_tokens(900, 1_000, 0).expect("fits");
    assert_eq!(live.take_tokens(200, 1_000, 0).unwrap_err(), Some(6_000));
    hold.settle(100);
    hold.settle(0);
    let mut second = live.take_tokens(900, 1_000, 0).expect("800 came back");
    second.settle(1_900);
    assert_eq!(live.take_tokens(1, 1_000, 0).unwrap_err(), Some(60_060), "a call that used more leaves a debt");
}

#[test]
fn an_estimate_beyond_the_whole_allowance_can_never_pass() {
    let live = Key::default();
    assert_eq!(live.take_tokens(1_001, 1_000, 0).unwrap_err(), None);
    assert!(live.take_tokens(1_000, 1_000, 0).is_ok());
    assert!(Key::default().take_tokens(u64::MAX, u64::MAX, 0).is_ok());
}

#[test]
fn a_hold_that_is_dropped_keeps_its_estimate() {
    let live = Key::default();
    drop(live.take_tokens(1_000, 1_000, 0).expect("fits"));
    assert_eq!(live.take_tokens(500, 1_000, 0).unwrap_err(), Some(30_000));
}

#[test]
fn calls_at_once_are_counted_by_guards() {
    let live = Key::default();
    let first = live.enter(Some(2)).expect("one");
    let second = live.enter(Some(2)).expect("two");
    assert!(live.enter(Some(2)).is_err());
    assert_eq!(live.0.in_flight(), 2, "the refused call left no trace");
    drop(first);
    assert!(live.enter(Some(2)).is_ok());
    drop(second);
    assert_eq!(live.0.in_flight(), 0);
    assert!(live.enter(Some(0)).is_err());
}

#[test]
fn concurrent_takers_never_get_more_than_the_allowance() {
    let live = Key::default();
    let taken = AtomicU32::new(0);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..1_000 {
                    if live.take_request(500, 0).is_ok() {
                        taken.fetch_add(1, Ordering::Relaxed);
                    }
                }
            });
        }
    });
    assert_eq!(taken.load(Ordering::Relaxed), 500);
}

#[test]
fn a_cut_ends_the_era() {
    let live = Key::default();
    let before = live.0.epoch();
    live.0.cut();
    assert_ne!(live.0.epoch(), before);
}

/// A key with so many calls open that its threads take ahead what they need.
fn busy() -> (Key, Vec<InFlight>) {
    let key = Key::default();
    let open = (0..40).map(|_| key.enter(None).expect("no limit")).collect();
    (key, open)
}

fn on_four_threads(run: impl Fn() -> u64 + Sync) -> u64 {
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..4).map(|_| scope.spawn(&run)).collect();
        threads.into_iter().map(|thread| thread.join().expect("no panic")).sum()
    })
}

#[test]
fn of_wide_rates_threads_together_take_nearly_all_and_never_more() {
    let (key, _open) = busy();
    let requests = 600_000;
    let taken = on_four_threads(|| {
        let mut taken = 0;
        while key.take_request(requests, 0).is_ok() {
            taken += 1;
        }
        taken
    });
    assert!(taken <= requests && taken * 100 > requests * 99, "{taken}");
    assert!(key.take_request(requests, 1_000).is_ok(), "they come back");

    let tokens = 60_000_000;
    let used = on_four_threads(|| {
        let mut used = 0;
        while let Ok(mut taken) = key.take_tokens(1_000, tokens, 0) {
            taken.settle(900);
            used += 900;
        }
        used
    });
    assert!(used <= tokens && used * 100 > tokens * 99, "{used}");
}

#[test]
fn a_wide_rate_gives_all_of_its_minute_to_one_call_and_says_how_long_to_wait_for_the_next() {
    let (key, _open) = busy();
    let tokens = 60_000_000;
    let all = key.take_tokens(tokens, tokens, 0).expect("a full allowance");
    let wait = key.take_tokens(1_000_000, tokens, 0).unwrap_err().expect("they come back");
    assert!(key.take_tokens(1_000_000, tokens, i64::try_from(wait).unwrap()).is_ok(), "after {wait} ms as told");
    drop(all);
}

#[test]
fn threads_with_places_ahead_never_open_more_calls_than_may_be() {
    let (key, open) = busy();
    drop(open);
    assert_eq!(key.0.in_flight(), 0);
    let (now, most) = (AtomicU32::new(0), AtomicU32::new(0));
    on_four_threads(|| {
        let mut held = Vec::new();
        for round in 0..20_000_usize {
            if let Ok(guard) = key.enter(Some(20)) {
                most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                held.push(guard);
            }
            if round % 7 < 4 && !held.is_empty() {
                now.fetch_sub(1, Ordering::SeqCst);
                held.pop();
            }
        }
        now.fetch_sub(u32::try_from(held.len()).expect("few"), Ordering::SeqCst);
        0
    });
    assert!((1..=20).contains(&most.load(Ordering::SeqCst)), "{most:?}");
    // Whatever the threads had left over, all places are there.
    let all: Vec<_> = (0..20).map(|_| key.enter(Some(20)).expect("a place")).collect();
    assert_eq!(key.enter(Some(20)).unwrap_err().limit, 20);
    drop(all);
    assert_eq!(key.0.in_flight(), 0);
}
