//! Deadlines, cuts and stops, tick by tick: no clock is involved.

use super::*;
use crate::settings::Limits;
use futures_util::FutureExt;

fn wards() -> Wards {
    let limit = Duration::from_secs(2);
    Wards::new(&Limits { request_body: limit, answer_idle: limit * 2, client_stall: TICK, ..Limits::default() })
}

fn ticks(wards: &Wards, count: u32) {
    (0..count).for_each(|_| wards.tick());
}

struct Recorder(Cell<Option<End>>);

impl Held for Recorder {
    fn end(&self, end: End) {
        assert_eq!(self.0.replace(Some(end)), None, "ended once");
    }
}

#[test]
fn a_call_ends_when_nothing_happened_for_too_long_and_not_before() {
    let wards = wards();
    let call = wards.open();
    ticks(&wards, 4);
    assert_eq!(call.ended(), None);
    call.wait_for(Waiting::Body);
    ticks(&wards, 4);
    assert_eq!(call.ended(), None, "something happened");
    call.now_waits_for(Waiting::Body);
    ticks(&wards, 1);
    assert_eq!(call.ended(), Some(End::Overdue(Waiting::Body)), "asking again is no progress");

    let call = wards.open();
    call.now_waits_for(Waiting::More);
    ticks(&wards, 8);
    assert_eq!(call.ended(), None);
    ticks(&wards, 1);
    assert_eq!(call.ended(), Some(End::Overdue(Waiting::More)));
}

#[test]
fn calls_of_an_era_that_has_passed_end_and_others_go_on() {
    let wards = wards();
    let (mine, other) = (Arc::new(Live::default()), Arc::new(Live::default()));
    let (first, second, unknown) = (wards.open(), wards.open(), wards.open());
    first.belongs_to(&mine, mine.epoch());
    second.belongs_to(&other, other.epoch());
    mine.cut();
    let later = wards.open();
    later.belongs_to(&mine, mine.epoch());
    wards.cut_revoked();
    assert_eq!(first.ended(), Some(End::Revoked));
    assert_eq!([second.ended(), unknown.ended(), later.ended()], [None; 3]);
    other.cut();
    wards.tick();
    assert_eq!(second.ended(), Some(End::Revoked), "a tick sees it too");
}

#[test]
fn what_a_call_holds_is_let_go_once() {
    let wards = wards();
    let call = wards.open();
    let held = Rc::new(Recorder(Cell::new(None)));
    call.hold(Rc::<Recorder>::clone(&held));
    wards.stop();
    wards.stop();
    ticks(&wards, 100);
    assert_eq!(held.0.get(), Some(End::Stopped));
    drop(call);
    assert_eq!(Rc::strong_count(&held), 1, "nothing is left behind");
}

#[test]
fn a_guarded_part_ends_with_its_call() {
    let wards = wards();
    let call = wards.open();
    assert_eq!(call.guard(async { 7 }).now_or_never(), Some(Ok(7)));
    let mut waits = std::pin::pin!(call.guard(std::future::pending::<()>()));
    assert_eq!(waits.as_mut().now_or_never(), None);
    wards.stop();
    assert_eq!(waits.as_mut().now_or_never(), Some(Err(End::Stopped)));
}

#[test]
fn places_are_used_again() {
    let wards = wards();
    let calls: Vec<_> = (0..10).map(|_| wards.open()).collect();
    assert_eq!(wards.len(), 10);
    drop(calls);
    assert_eq!(wards.len(), 0);
    let again: Vec<_> = (0..10).map(|_| wards.open()).collect();
    assert_eq!(wards.0.calls.borrow().slots.len(), 10);
    drop(again);
}

#[test]
fn a_call_that_closes_others_while_it_ends_does_no_harm() {
    struct Closes(RefCell<Option<Guard>>);
    impl Held for Closes {
        fn end(&self, _: End) {
            drop(self.0.take());
        }
    }
    let wards = wards();
    let first = wards.open();
    first.hold(Rc::new(Closes(RefCell::new(Some(wards.open())))));
    wards.stop();
    assert_eq!(wards.len(), 1);
}
