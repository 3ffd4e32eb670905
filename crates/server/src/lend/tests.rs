//! The desk with a keeper that answers when it is told, on a clock that stands still until everybody waits.

use super::*;
use keyward_domain::{
    BudgetId,
    budget::{Account, Standing},
};

type Given = Vec<(LeaseId, Money)>;

#[test]
fn a_database_that_refuses_is_spoken_of_once() {
    let mut silent = false;
    for _ in 0..2 {
        assert_eq!(heard(Err(keyward_store::Error::DiskFull), &mut silent), []);
        assert!(silent, "from now on in a low voice");
    }
    assert_eq!(heard(Ok(Vec::new()), &mut silent), []);
    assert!(!silent, "the next time aloud again");
}

/// Something that the keeper was asked, and how it is to be answered.
enum Asked {
    Wishes(Vec<Wish>, oneshot::Sender<Lent>),
    Back(Given, oneshot::Sender<Result<(), keyward_store::Error>>),
}

/// Passes on what it is asked, and waits for the answer.
#[derive(Clone)]
struct Played(mpsc::UnboundedSender<Asked>);

impl Keeper for Played {
    async fn lend(&self, wishes: &[Wish]) -> Lent {
        let (answer, answered) = oneshot::channel();
        self.0.send(Asked::Wishes(wishes.to_vec(), answer)).expect("the test listens");
        answered.await.expect("an answer, or a panic here")
    }

    async fn take_back(&self, given: &[(LeaseId, Money)]) -> Result<(), keyward_store::Error> {
        let (answer, answered) = oneshot::channel();
        self.0.send(Asked::Back(given.to_vec(), answer)).expect("the test listens");
        answered.await.expect("an answer, or a panic here")
    }
}

/// A desk, what its keeper is asked, and the word that earlier runs are accounted for.
struct House {
    desk: Desk,
    asked: mpsc::UnboundedReceiver<Asked>,
    recovered: watch::Sender<bool>,
}

impl House {
    fn open(recovered: bool) -> Self {
        let (sender, asked) = mpsc::unbounded_channel();
        let (recovered, all_recovered) = watch::channel(recovered);
        Self { desk: open_at(Played(sender), all_recovered), asked, recovered }
    }

    /// Asks for money, without waiting.
    fn ask(&self, budget: u8) -> JoinHandle<Result<Granted, Unavailable>> {
        tokio::spawn(self.desk.lease(wish(budget)))
    }

    async fn wishes(&mut self) -> (Vec<Wish>, oneshot::Sender<Lent>) {
        match self.asked.recv().await.expect("the desk is open") {
            Asked::Wishes(wishes, answer) => (wishes, answer),
            Asked::Back(given, _) => panic!("given back: {given:?}"),
        }
    }

    async fn back(&mut self) -> (Given, oneshot::Sender<Result<(), keyward_store::Error>>) {
        match self.asked.recv().await.expect("the desk is open") {
            Asked::Back(given, answer) => (given, answer),
            Asked::Wishes(wishes, _) => panic!("asked: {wishes:?}"),
        }
    }

    /// Fails when the keeper is asked anything before everybody waits and the clock goes on.
    async fn nothing(&mut self) {
        let more = tokio::time::timeout(Duration::from_millis(1), self.asked.recv()).await;
        match more {
            Err(_) => {}
            Ok(Some(Asked::Wishes(wishes, _))) => panic!("asked: {wishes:?}"),
            Ok(Some(Asked::Back(given, _))) => panic!("given back: {given:?}"),
            Ok(None) => panic!("the desk is closed"),
        }
    }
}

fn usd(nano: i64) -> Money {
    Money::from_nano(nano)
}

fn wish(budget: u8) -> Wish {
    let account = Account { budget: BudgetId::new(1, [budget; 10]), start: 0 };
    Wish { account, needed: usd(10), wanted: usd(100) }
}

fn grant(lease: u64, amount: i64) -> Granted {
    Granted { lease: LeaseId(lease), amount: usd(amount), standing: Standing::default() }
}

fn failure() -> keyward_store::Error {
    keyward_store::Error::DiskFull
}

async fn told(asking: JoinHandle<Result<Granted, Unavailable>>) -> Result<i64, Unavailable> {
    asking.await.expect("no panic").map(|granted| granted.amount.nano())
}

/// Asks and waits until the desk has taken that up.
async fn asked_in_turn(
    house: &House,
    budgets: impl IntoIterator<Item = u8>,
) -> Vec<JoinHandle<Result<Granted, Unavailable>>> {
    let mut asking = Vec::new();
    for budget in budgets {
        asking.push(house.ask(budget));
        tokio::task::yield_now().await;
    }
    asking
}

#[tokio::test(start_paused = true)]
async fn wishes_that_wait_together_are_granted_together_each_its_own() {
    let mut house = House::open(true);
    let first = house.ask(1);
    let (wishes, answer) = house.wishes().await;
    assert_eq!(wishes, [wish(1)]);
    let more = asked_in_turn(&house, 2..=4).await;
    house.nothing().await;
    drop(answer.send(Ok(vec![grant(1, 11)])));
    assert_eq!(told(first).await, Ok(11));
    let (wishes, answer) = house.wishes().await;
    assert_eq!(wishes, [wish(2), wish(3), wish(4)], "in one transaction, in their order");
    drop(answer.send(Ok(vec![grant(2, 22), grant(3, 0), grant(4, 44)])));
    let mut amounts = Vec::new();
    for one in more {
        amounts.push(told(one).await);
    }
    assert_eq!(amounts, [Ok(22), Ok(0), Ok(44)]);
}

#[tokio::test(start_paused = true)]
async fn one_transaction_takes_so_many_and_the_next_one_the_rest() {
    let mut house = House::open(true);
    let first = house.ask(0);
    let (_, answer) = house.wishes().await;
    let many = asked_in_turn(&house, (0..TOGETHER + 20).map(|number| u8::try_from(number % 200).unwrap_or(0))).await;
    house.nothing().await;
    drop(answer.send(Ok(vec![grant(1, 1)])));
    let (wishes, answer) = house.wishes().await;
    assert_eq!(wishes.len(), TOGETHER);
    drop(answer.send(Ok((0..TOGETHER).map(|_| grant(2, 2)).collect())));
    let (wishes, answer) = house.wishes().await;
    assert_eq!(wishes.len(), 20);
    drop(answer.send(Ok((0..20).map(|_| grant(3, 3)).collect())));
    assert_eq!(told(first).await, Ok(1));
    let mut sum = 0;
    for one in many {
        sum += told(one).await.expect("granted");
    }
    assert_eq!(sum, i64::try_from(2 * TOGETHER).unwrap_or(0) + 60);
}

#[tokio::test(start_paused = true)]
async fn nobody_waits_longer_than_a_moment_and_what_comes_too_late_goes_back() {
    let mut house = House::open(true);
    let begun = Instant::now();
    let first = house.ask(1);
    let (_, answer) = house.wishes().await;
    let second = house.ask(2);
    assert_eq!(told(first).await, Err(Unavailable));
    assert_eq!(told(second).await, Err(Unavailable));
    assert_eq!(begun.elapsed().as_secs(), PATIENCE.as_secs());
    drop(answer.send(Ok(vec![grant(7, 100)])));
    let (given, done) = house.back().await;
    assert_eq!(given, [(LeaseId(7), usd(100))]);
    drop(done.send(Ok(())));
    // The second one was never asked for: nobody waits for it.
    house.nothing().await;
    let third = house.ask(3);
    let (wishes, answer) = house.wishes().await;
    assert_eq!(wishes, [wish(3)]);
    drop(answer.send(Ok(vec![grant(8, 5)])));
    assert_eq!(told(third).await, Ok(5), "it goes on by itself");
}

#[tokio::test(start_paused = true)]
async fn what_somebody_does_not_wait_for_any_more_goes_back() {
    let mut house = House::open(true);
    let (gone, stays) = (house.ask(1), house.ask(2));
    let (wishes, answer) = house.wishes().await;
    assert_eq!(wishes, [wish(1), wish(2)]);
    gone.abort();
    assert!(gone.await.is_err(), "it has left");
    drop(answer.send(Ok(vec![grant(1, 30), grant(2, 40)])));
    assert_eq!(told(stays).await, Ok(40));
    let (given, done) = house.back().await;
    assert_eq!(given, [(LeaseId(1), usd(30))]);
    drop(done.send(Ok(())));
    house.nothing().await;
}

#[tokio::test(start_paused = true)]
async fn after_an_error_nobody_has_anything_and_nothing_is_given_back() {
    let mut house = House::open(true);
    for answered in [Some(Err(failure())), None, Some(Ok(Vec::new()))] {
        let asking = [house.ask(1), house.ask(2)];
        let (wishes, answer) = house.wishes().await;
        assert_eq!(wishes.len(), 2);
        match answered {
            Some(lent) => drop(answer.send(lent)),
            // The keeper panics.
            None => drop(answer),
        }
        for one in asking {
            assert_eq!(told(one).await, Err(Unavailable));
        }
        house.nothing().await;
    }
    // An answer that is too short: the others hear that it cannot be had now.
    let begun = house.ask(9);
    let (_, answer) = house.wishes().await;
    let asking = asked_in_turn(&house, 1..=2).await;
    house.nothing().await;
    drop(answer.send(Ok(vec![grant(1, 1)])));
    let (wishes, answer) = house.wishes().await;
    assert_eq!(wishes.len(), 2);
    drop(answer.send(Ok(vec![grant(2, 2)])));
    assert_eq!(told(begun).await, Ok(1));
    let mut amounts = Vec::new();
    for one in asking {
        amounts.push(told(one).await);
    }
    assert_eq!(amounts, [Ok(2), Err(Unavailable)]);
}

#[tokio::test(start_paused = true)]
async fn a_no_is_said_only_when_earlier_runs_are_accounted_for() {
    let mut house = House::open(false);
    let (nothing, something) = (house.ask(1), house.ask(2));
    let (wishes, answer) = house.wishes().await;
    assert_eq!(wishes, [wish(1), wish(2)]);
    drop(answer.send(Ok(vec![grant(1, 0), grant(2, 20)])));
    assert_eq!(told(something).await, Ok(20), "what there is, is lent at once");
    house.nothing().await;
    assert!(!nothing.is_finished());
    house.recovered.send_replace(true);
    let (wishes, answer) = house.wishes().await;
    assert_eq!(wishes, [wish(1)]);
    drop(answer.send(Ok(vec![grant(1, 10)])));
    assert_eq!(told(nothing).await, Ok(10));
    // From then on a no is a no.
    let nothing = house.ask(3);
    let (_, answer) = house.wishes().await;
    drop(answer.send(Ok(vec![grant(3, 0)])));
    assert_eq!(told(nothing).await, Ok(0));
    house.nothing().await;
}

#[tokio::test(start_paused = true)]
async fn nobody_waits_for_ever_for_earlier_runs() {
    let mut house = House::open(false);
    let begun = Instant::now();
    let nothing = house.ask(1);
    let (_, answer) = house.wishes().await;
    drop(answer.send(Ok(vec![grant(1, 0)])));
    assert_eq!(told(nothing).await, Err(Unavailable));
    assert_eq!(begun.elapsed().as_secs(), PATIENCE.as_secs());
    house.recovered.send_replace(true);
    house.nothing().await;
}

#[tokio::test(start_paused = true)]
async fn what_is_given_back_is_summed_goes_one_after_the_other_and_is_never_tried_twice() {
    let mut house = House::open(true);
    house.desk.give_back(LeaseId(1), usd(5));
    let (given, done) = house.back().await;
    assert_eq!(given, [(LeaseId(1), usd(5))]);
    for (lease, amount) in [(2, 10), (1, 1), (2, 30)] {
        house.desk.give_back(LeaseId(lease), usd(amount));
    }
    house.nothing().await;
    // While that takes its time, money is lent all the same.
    let asking = house.ask(1);
    let (_, answer) = house.wishes().await;
    drop(answer.send(Ok(vec![grant(3, 3)])));
    assert_eq!(told(asking).await, Ok(3));
    drop(done.send(Err(failure())));
    let (given, done) = house.back().await;
    assert_eq!(given, [(LeaseId(1), usd(1)), (LeaseId(2), usd(40))], "and not what failed");
    // A keeper that panics.
    drop(done);
    house.nothing().await;
    house.desk.give_back(LeaseId(4), usd(4));
    let (given, done) = house.back().await;
    assert_eq!(given, [(LeaseId(4), usd(4))]);
    drop(done.send(Ok(())));
}

#[tokio::test(start_paused = true)]
async fn while_lending_hangs_money_still_goes_back() {
    let mut house = House::open(true);
    let _hangs = house.ask(1);
    let (_, _answer) = house.wishes().await;
    house.desk.give_back(LeaseId(1), usd(5));
    let (given, _) = house.back().await;
    assert_eq!(given, [(LeaseId(1), usd(5))]);
}

#[tokio::test(start_paused = true)]
async fn a_desk_that_is_closed_or_full_says_so_at_once() {
    let (desk, messages) = mpsc::channel(1);
    let desk = Desk(desk);
    let _waits = desk.lease(wish(1));
    assert_eq!(desk.lease(wish(2)).await, Err(Unavailable), "full");
    drop(messages);
    assert_eq!(desk.lease(wish(3)).await, Err(Unavailable), "closed");
}

/// The desk's own task ends with the last of those who may ask.
#[tokio::test(start_paused = true)]
async fn it_closes_when_nobody_can_ask_any_more() {
    let House { desk, mut asked, .. } = House::open(true);
    drop(desk);
    // Its keeper is gone, and with it the other end.
    assert!(asked.recv().await.is_none());
}
