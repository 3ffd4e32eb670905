use super::*;
use crate::test_lender::Ledger;
use keyward_domain::{
    BudgetId, KeyId, ProjectId,
    budget::{Budget, Scope},
};
use std::sync::atomic::AtomicI64;

const HOUR: Millis = 3_600_000;

/// A price that is a line: so much for each unit, and at least one unit.
struct Units {
    units: i64,
    each: i64,
    clamp: bool,
}

impl Cost for Units {
    fn amount(&self) -> Money {
        Money::from_nano(self.units * self.each)
    }

    fn lower_to(&mut self, affordable: Money) -> bool {
        let units = affordable.nano() / self.each;
        if !self.clamp || units < 1 {
            return false;
        }
        self.units = units;
        true
    }
}

fn plain(amount: i64) -> Units {
    Units { units: 1, each: amount, clamp: false }
}

fn id(seed: u8) -> BudgetId {
    BudgetId::new(1, [seed; 10])
}

struct Scene {
    ledger: Arc<Ledger>,
    bank: Arc<Bank>,
}

impl Scene {
    fn new() -> Self {
        let ledger = Arc::new(Ledger::default());
        let bank = Bank::new(Arc::<Ledger>::clone(&ledger));
        Self { ledger, bank }
    }

    fn purse(&self, seed: u8, scope: Scope, limit: i64, window: &str) -> Arc<Purse> {
        self.ledger.set_limit(id(seed), limit);
        let window = window.parse().expect("a window");
        Arc::new(Purse::new(Budget { id: id(seed), scope, limit: Money::from_nano(limit), window }))
    }

    fn key(&self, limit: i64) -> Arc<Purse> {
        self.purse(1, Scope::Key(KeyId::new(1, [1; 10])), limit, "total")
    }

    async fn hold(&self, purses: &[Arc<Purse>], amount: i64) -> Result<MoneyHold, Short> {
        self.bank.hold(purses, &mut plain(amount), 0).await
    }

    /// Settles as a gateway and a collector do.
    fn settle(&self, mut hold: MoneyHold, cost: i64) {
        hold.sent(hold.leases());
        hold.grow_to(Money::from_nano(cost));
        let (leases, held) = (hold.leases(), hold.amount());
        hold.settle(Money::from_nano(cost));
        self.ledger.collect(&leases, Money::from_nano(cost), Some(held));
    }

    fn standing(&self, seed: u8, start: Millis) -> (i64, i64) {
        let standing = self.ledger.standing(Account { budget: id(seed), start });
        (standing.spent.nano(), standing.leased.nano())
    }
}

fn outlook(short: Short) -> Outlook {
    match short {
        Short::Money { outlook, .. } => outlook,
        other => panic!("not short of money: {other:?}"),
    }
}

#[tokio::test]
async fn what_is_held_is_taken_from_all_budgets_or_none() {
    let scene = Scene::new();
    let purses = [scene.key(500), scene.purse(2, Scope::Organisation, 1_000, "total")];
    let first = scene.hold(&purses, 400).await.expect("there is enough");
    assert_eq!(first.leases().len(), 2);
    let short = outlook(scene.hold(&purses, 101).await.unwrap_err());
    assert_eq!((short.limit, short.spendable, short.held, short.used()), (500, 100, 400, 0));
    let all = scene.hold(&purses[1..], 600).await.expect("the refused call took nothing from the organisation");
    scene.settle(all, 600);
    scene.settle(first, 150);
    let short = outlook(scene.hold(&purses, 300).await.unwrap_err());
    assert_eq!((short.limit, short.spendable, short.held, short.used()), (1_000, 250, 0, 750));
    scene.settle(scene.hold(&purses, 250).await.expect("to the last"), 250);
    assert_eq!(Bank::remaining(&purses, 0), Some(Money::ZERO));
    assert_eq!(scene.standing(2, 0), (1_000, 0));
}

#[tokio::test]
async fn a_hold_that_was_not_sent_comes_back_and_one_that_was_stays() {
    let scene = Scene::new();
    let purses = [scene.key(100)];
    drop(scene.hold(&purses, 100).await.expect("all of it"));
    let mut sent = scene.hold(&purses, 100).await.expect("it came back");
    sent.sent(Vec::new());
    drop(sent);
    let short = outlook(scene.hold(&purses, 1).await.unwrap_err());
    assert_eq!((short.spendable, short.held), (0, 100));
}

#[tokio::test]
async fn a_call_that_cannot_be_paid_is_made_cheaper_if_it_may_be() {
    let scene = Scene::new();
    let purses = [scene.key(1_000), scene.purse(2, Scope::Organisation, 705, "total")];
    let mut dear = Units { units: 500, each: 10, clamp: true };
    let held = scene.bank.hold(&purses, &mut dear, 0).await.expect("seventy units");
    assert_eq!((dear.units, held.amount()), (70, Money::from_nano(700)));
    let mut none = Units { units: 500, each: 10, clamp: true };
    assert_eq!(outlook(scene.bank.hold(&purses, &mut none, 0).await.unwrap_err()).spendable, 5);
    assert_eq!(none.units, 500, "what cannot be paid at all stays as it was");
    let mut stubborn = Units { units: 500, each: 10, clamp: false };
    assert!(scene.bank.hold(&purses, &mut stubborn, 0).await.is_err());
    assert_eq!(scene.bank.counts.clamped.load(Relaxed), 1);
}

#[tokio::test]
async fn what_a_call_costs_beyond_its_hold_never_comes_out_of_what_others_hold() {
    let scene = Scene::new();
    let purses = [scene.key(1_000)];
    let other = scene.hold(&purses, 100).await.expect("there is enough");
    let cheap = scene.hold(&purses, 300).await.expect("there is enough");
    scene.settle(cheap, 650);
    scene.bank.recall();
    let (spent, leased) = scene.standing(1, 0);
    assert!(spent == 650 && (100..=350).contains(&leased), "{spent} and {leased}: the other call's hold stands");
    assert!(scene.hold(&purses, 251).await.is_err());
    scene.settle(scene.hold(&purses, 250).await.expect("the rest"), 250);
    scene.settle(other, 100);
    assert_eq!(scene.standing(1, 0), (1_000, 0));
}

#[tokio::test]
async fn a_hold_grows_while_there_is_free_money_on_every_account() {
    let scene = Scene::new();
    let purses = [scene.key(1_000), scene.purse(2, Scope::Organisation, 1_000, "total")];
    drop(scene.hold(&purses, 500).await.expect("it comes back, and is free here"));
    let cheap = scene.hold(&purses, 100).await.expect("there is enough");
    scene.settle(cheap, 400);
    assert_eq!((scene.standing(1, 0).0, scene.standing(2, 0).0), (400, 400));
    for (seed, purse) in [(1, &purses[0]), (2, &purses[1])] {
        let left = outlook(scene.hold(std::slice::from_ref(purse), 601).await.unwrap_err());
        assert_eq!((left.spendable, scene.standing(seed, 0).0), (600, 400));
    }
}

#[tokio::test]
async fn a_window_that_is_over_gives_back_what_is_left_also_of_calls_that_end_late() {
    let scene = Scene::new();
    let purses = [scene.purse(1, Scope::Organisation, 1_000, "hour")];
    let hold = |now: Millis| {
        let (bank, purses) = (Arc::clone(&scene.bank), purses.clone());
        async move { bank.hold(&purses, &mut plain(600), now).await }
    };
    let late = hold(HOUR - 1).await.expect("the first hour");
    let next = hold(HOUR).await.expect("a whole new budget");
    assert!(hold(HOUR).await.is_err() && hold(HOUR - 1).await.is_err());
    scene.bank.look(HOUR);
    assert_eq!(scene.standing(1, 0), (0, 600), "what is held stays");
    scene.settle(late, 50);
    scene.bank.look(HOUR);
    assert_eq!(scene.standing(1, 0), (50, 0), "what came back late went back as well");
    scene.settle(next, 600);
    // A clock that is put back spends what the window before has left.
    scene.settle(hold(HOUR - 1).await.expect("950 are left of it"), 600);
    assert_eq!(scene.standing(1, 0).0, 650);
    assert_eq!(scene.standing(1, HOUR).0, 600);
}

#[tokio::test]
async fn outside_of_its_span_a_budget_pays_nothing() {
    let scene = Scene::new();
    let purses = [scene.purse(1, Scope::Organisation, 1_000, "2026-11-01..2026-12-01")];
    assert!(matches!(scene.hold(&purses, 1).await, Err(Short::Outside(_))));
}

#[tokio::test]
async fn money_that_is_not_needed_goes_back_and_pots_go_with_it() {
    let scene = Scene::new();
    let purses = [scene.key(1_000)];
    scene.settle(scene.hold(&purses, 100).await.expect("there is enough"), 40);
    let held = scene.hold(&purses, 10).await.expect("there is enough");
    for _ in 0..10 {
        scene.bank.look(0);
    }
    assert_eq!(scene.standing(1, 0), (40, 10), "only what is held is still lent");
    scene.settle(held, 10);
    for _ in 0..10 {
        scene.bank.look(0);
    }
    assert_eq!((scene.standing(1, 0), scene.bank.sums().accounts), ((50, 0), 0));
    scene.settle(scene.hold(&purses, 950).await.expect("the rest is there"), 950);
    scene.bank.stop();
    assert_eq!(scene.standing(1, 0), (1_000, 0));
}

#[tokio::test]
async fn a_lowered_limit_calls_back_what_is_free_and_a_raised_one_is_there_at_once() {
    let scene = Scene::new();
    let purses = [scene.key(1_000)];
    let change = |limit: i64| {
        scene.ledger.set_limit(id(1), limit);
        purses[0].change(Money::from_nano(limit), "total".parse().expect("a window"));
        scene.bank.recall();
    };
    let held = scene.hold(&purses, 400).await.expect("there is enough");
    change(500);
    assert_eq!(scene.standing(1, 0), (0, 400), "what is free went back");
    assert!(scene.hold(&purses, 101).await.is_err());
    let rest = scene.hold(&purses, 100).await.expect("up to the new limit");
    change(300);
    scene.settle(held, 400);
    scene.settle(rest, 50);
    assert!(scene.hold(&purses, 1).await.is_err(), "450 are used of 300");
    change(460);
    scene.settle(scene.hold(&purses, 10).await.expect("ten more"), 10);
    assert!(scene.hold(&purses, 1).await.is_err());
}

#[tokio::test]
async fn an_answer_to_a_question_from_before_a_limit_was_lowered_is_given_back() {
    let scene = Scene::new();
    let purses = [scene.key(1_000)];
    let gate = scene.ledger.gate();
    let (bank, waiting) = (Arc::clone(&scene.bank), purses.clone());
    let waits = tokio::spawn(async move { bank.hold(&waiting, &mut plain(800), 0).await.is_ok() });
    while scene.ledger.asked() == 0 {
        tokio::task::yield_now().await;
    }
    scene.ledger.set_limit(id(1), 100);
    purses[0].change(Money::from_nano(100), "total".parse().expect("a window"));
    gate.add_permits(100);
    assert!(!waits.await.expect("no panic"), "100 do not pay 800");
    let leased = scene.standing(1, 0).1;
    assert!(leased <= 100, "{leased} are lent of 100");
}

#[tokio::test]
async fn without_a_lender_what_fits_goes_on_and_it_comes_back_by_itself() {
    let scene = Scene::new();
    let purses = [scene.key(100_000)];
    scene.settle(scene.hold(&purses, 1_000).await.expect("there is enough"), 0);
    scene.ledger.set_away(true);
    let fits = scene.hold(&purses, 900).await.expect("the lease pays it");
    assert!(matches!(scene.hold(&purses, 50_000).await, Err(Short::Unavailable)));
    scene.ledger.set_away(false);
    assert!(scene.hold(&purses, 50_000).await.is_ok());
    drop(fits);
}

#[tokio::test]
async fn nobody_waits_for_ever() {
    let mut scene = Scene::new();
    let lender = Arc::<Ledger>::clone(&scene.ledger);
    scene.bank = Bank::with_patience(lender, Duration::from_millis(1));
    let purses = [scene.key(1_000)];
    let gate = scene.ledger.gate();
    assert!(matches!(scene.hold(&purses, 10).await, Err(Short::Unavailable)));
    // The answer comes late and is not lost.
    gate.add_permits(100);
    while purses[0].look(0, |pot| pot.is_asking()).unwrap_or(true) {
        tokio::task::yield_now().await;
    }
    assert!(scene.hold(&purses, 10).await.is_ok());
}

#[tokio::test]
async fn many_who_wait_are_served_by_few_questions() {
    let scene = Scene::new();
    let purses = [scene.key(1_000_000)];
    let calls: Vec<_> = (0..500)
        .map(|_| {
            let (bank, purses) = (Arc::clone(&scene.bank), purses.clone());
            tokio::spawn(async move { bank.hold(&purses, &mut plain(1_000), 0).await.map(std::mem::forget).is_ok() })
        })
        .collect();
    for call in calls {
        assert!(call.await.expect("no panic"));
    }
    assert!(scene.ledger.asked() < 100, "{} questions", scene.ledger.asked());
}

/// A small generator, so that a run can be repeated.
fn next(state: &mut u64) -> i64 {
    *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    i64::try_from(*state >> 40).unwrap_or(0)
}

/// Σ settled + Σ held ≤ limit at every instant, on two nodes with four threads each, three budgets one above the other, looks
/// and recalls in between; and in the end everything is used.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_order_of_events_spends_more_than_there_is() {
    const LIMITS: [i64; 3] = [900_000, 1_000_000, 2_500_000];
    let scene = Scene::new();
    let nodes: Vec<_> = (0..2).map(|_| Bank::new(Arc::<Ledger>::clone(&scene.ledger))).collect();
    let scopes = [Scope::Key(KeyId::new(1, [1; 10])), Scope::Project(ProjectId::new(1, [1; 10])), Scope::Organisation];
    let used: Arc<[AtomicI64; 3]> = Arc::default();
    let mut tasks = Vec::new();
    for (number, bank) in nodes.iter().enumerate() {
        let purses: Vec<_> = (1..)
            .zip(scopes)
            .zip(LIMITS)
            .map(|((seed, scope), limit)| scene.purse(seed, scope, limit, "total"))
            .collect();
        for task in 0..4_u64 {
            let (bank, purses, ledger) = (Arc::clone(bank), purses.clone(), Arc::clone(&scene.ledger));
            let used = Arc::clone(&used);
            let mut random = number as u64 * 1_000 + task + 1;
            tasks.push(tokio::spawn(async move {
                for _ in 0..4_000 {
                    // Some calls belong to fewer budgets.
                    let from = usize::try_from(next(&mut random) % 3).unwrap_or(0);
                    let mut cost =
                        Units { units: 1 + next(&mut random) % 300, each: 3, clamp: next(&mut random) % 2 == 0 };
                    match next(&mut random) % 50 {
                        0 => bank.look(0),
                        1 => bank.recall(),
                        _ => {}
                    }
                    let Ok(mut hold) = bank.hold(&purses[from..], &mut cost, 0).await else { continue };
                    let amount = hold.amount().nano();
                    for (used, limit) in used.iter().zip(LIMITS).skip(from) {
                        let now = used.fetch_add(amount, std::sync::atomic::Ordering::SeqCst) + amount;
                        assert!(now <= limit, "{now} are used and held of {limit}");
                    }
                    if next(&mut random) % 3 == 0 {
                        tokio::task::yield_now().await;
                    }
                    let truth = next(&mut random) % (amount + 1);
                    for used in used.iter().skip(from) {
                        used.fetch_sub(amount - truth, std::sync::atomic::Ordering::SeqCst);
                    }
                    hold.sent(hold.leases());
                    let leases = hold.leases();
                    hold.settle(Money::from_nano(truth));
                    ledger.collect(&leases, Money::from_nano(truth), None);
                }
            }));
        }
    }
    for task in tasks {
        task.await.expect("no panic");
    }
    nodes.iter().for_each(|bank| bank.stop());
    let used: Vec<_> = used.iter().map(|used| used.load(std::sync::atomic::Ordering::SeqCst)).collect();
    for (seed, used) in (1..).zip(&used) {
        assert_eq!(scene.standing(seed, 0), (*used, 0), "what nodes had is back");
    }
    // Which of them ends the calls first depends on their order.
    assert!(
        used.iter().zip(LIMITS).any(|(used, limit)| used * 100 >= limit * 95),
        "{used:?} of {LIMITS:?} could be used"
    );
}
