//! What budgets stand at: no limit is ever exceeded, every call is booked once, and nothing is forgotten.

use crate::{
    bed::Bed,
    rows::{self, MIDNIGHT, NOW},
};
use keyward_domain::{
    BudgetId, Millis, Money,
    budget::{Account, Granted, Hold, LeaseId, Wish},
    usage::{Outcome, UsageEvent},
};
use keyward_store::{Batch, Collected, Error, LeaseAsk, Rest, Rolling, Store};

const MINUTE: Millis = 60_000;

pub(crate) fn usd(nano: i64) -> Money {
    Money::from_nano(nano)
}

pub(crate) fn account(number: u32) -> Account {
    Account { budget: BudgetId::new(NOW, rows::filling(number)), start: MIDNIGHT }
}

pub(crate) fn ask(account: Account, needed: i64, wanted: i64, limit: i64) -> LeaseAsk {
    LeaseAsk {
        wish: Wish { account, needed: usd(needed), wanted: usd(wanted) },
        limit: usd(limit),
        ends_at: MIDNIGHT + keyward_store::DAY,
        rolling: None,
    }
}

pub(crate) async fn lease(store: &Store, node: u64, ask: LeaseAsk) -> Granted {
    store.lease(node, &[ask], NOW).await.unwrap()[0]
}

pub(crate) fn spend(number: u32, at: Millis, cost: i64, leases: &[LeaseId]) -> UsageEvent {
    UsageEvent { cost: usd(cost), held: Some(usd(cost)), leases: leases.to_vec(), ..rows::call(number, at) }
}

pub(crate) fn hold(call: &UsageEvent) -> Hold {
    Hold {
        call: call.id,
        at: call.at,
        key: call.key,
        project: call.project,
        environment: call.environment,
        provider: call.provider.clone(),
        model: call.model.clone(),
        operation: call.operation.clone(),
        credential: call.credential,
        amount: call.held.unwrap(),
        leases: call.leases.clone(),
        price_version: call.price_version.clone(),
    }
}

pub(crate) async fn collect(store: &Store, usage: Vec<UsageEvent>, holds: Vec<Hold>) -> Collected {
    store.collect(&Batch { usage, holds, ..Batch::default() }).await.unwrap()
}

/// What is spent and leased of an account.
pub(crate) async fn stand(store: &Store, account: Account) -> (i64, i64) {
    let (spent, leased) = store.stand(account, None).await.unwrap();
    (spent.nano(), leased.nano())
}

/// Ends a node as a recovery does.
pub(crate) async fn end(store: &Store, node: u64, rest: Rest) -> keyward_store::EndedNode {
    let mut write = rows::begin(store).await;
    let ended = write.end_node(node, rest).await.unwrap();
    rows::commit(write).await;
    ended
}

async fn equal(store: &Store) {
    assert_eq!(store.rebuild_accounts().await.unwrap(), []);
}

pub(crate) async fn a_wish_gets_what_is_left(bed: Bed) {
    let store = bed.store().await;
    store.begin_node(1, "a", "boot", NOW).await.unwrap();
    store.begin_node(2, "b", "boot", NOW).await.unwrap();
    assert!(matches!(store.begin_node(2, "c", "boot", NOW).await, Err(Error::Taken { .. })));
    let first = lease(&store, 1, ask(account(1), 10, 60, 100)).await;
    assert_eq!((first.amount, first.standing.left()), (usd(60), usd(40)));
    let again = lease(&store, 1, ask(account(1), 10, 30, 100)).await;
    assert_eq!((again.lease, again.amount), (first.lease, usd(30)), "one lease for each node and account");
    let other = lease(&store, 2, ask(account(1), 5, 60, 100)).await;
    assert_eq!(other.amount, usd(10), "what is left");
    assert_ne!(other.lease, first.lease);
    let late = lease(&store, 2, ask(account(1), 1, 60, 100)).await;
    assert_eq!((late.amount, late.lease, late.standing.leased), (usd(0), other.lease, usd(100)));
    assert_eq!(stand(&store, account(1)).await, (0, 100));
    // What is given back can be had by others; never more than there was.
    let back = store.give_back(&[(first.lease, usd(50)), (LeaseId(77), usd(9))]).await.unwrap();
    assert_eq!(back, [(first.lease, usd(50))]);
    assert_eq!(store.give_back(&[(first.lease, usd(50))]).await.unwrap(), [(first.lease, usd(40))]);
    assert_eq!(stand(&store, account(1)).await, (0, 10));
    assert_eq!(store.give_back(&[(first.lease, usd(-5))]).await.unwrap(), [(first.lease, usd(0))]);
    // Wishes in one transaction see each other; a lowered limit takes nothing away and gives nothing.
    let wishes = [
        ask(account(1), 50, 50, 100),
        ask(account(2), 1, 7, 10),
        ask(account(1), 50, 50, 100),
        ask(account(1), 40, 40, 100),
    ];
    let amounts: Vec<Money> = store.lease(2, &wishes, NOW).await.unwrap().iter().map(|one| one.amount).collect();
    assert_eq!(amounts, [usd(50), usd(7), usd(0), usd(40)]);
    assert_eq!(lease(&store, 1, ask(account(1), 1, 1, 60)).await.amount, usd(0));
    assert_eq!(lease(&store, 1, ask(account(1), 1, 1, 101)).await.amount, usd(1));
    assert_eq!(lease(&store, 1, ask(account(3), 1, i64::MAX, i64::MAX)).await.amount, usd(1_000_000_000_000_000_000));
    assert_eq!(store.account_of(other.lease).await.unwrap(), Some(account(1)));
    equal(&store).await;
}

pub(crate) async fn nodes_that_ask_at_once_never_get_more_than_the_limit(bed: Bed) {
    const LIMIT: i64 = 5_000;
    let stores = [bed.store().await, bed.store().await, bed.store().await];
    let mut tasks = tokio::task::JoinSet::new();
    for number in 0..9_u32 {
        let (store, node) = (stores[number as usize % 3].clone(), u64::from(number) + 1);
        store.begin_node(node, "n", "boot", NOW).await.unwrap();
        tasks.spawn(async move {
            let (mut calls, mut refused) = (0, 0);
            for round in 0..25_u32 {
                // Three budgets above each call, asked for in another order by each node.
                let mut wishes: Vec<LeaseAsk> = [0, 1, 2 + number % 4]
                    .map(|budget| ask(account(budget), 20, 50 + i64::from(round), LIMIT / (1 + i64::from(budget))))
                    .to_vec();
                wishes.rotate_left(number as usize % 3);
                let granted = store.lease(node, &wishes, NOW).await.unwrap();
                for one in &granted {
                    let Granted { amount, standing, .. } = one;
                    assert!(
                        standing.spent.saturating_add(standing.leased) <= standing.limit,
                        "{amount:?} {standing:?}"
                    );
                }
                if granted.iter().any(|one| one.amount == Money::ZERO) {
                    refused += 1;
                    let back: Vec<_> = granted.iter().map(|one| (one.lease, one.amount)).collect();
                    store.give_back(&back).await.unwrap();
                    continue;
                }
                let leases: Vec<LeaseId> = granted.iter().map(|one| one.lease).collect();
                let call = spend(number * 1_000 + round, NOW, 20, &leases);
                let done = collect(&store, vec![call.clone()], vec![hold(&call)]).await;
                assert_eq!(done.overruns, []);
                calls += 1;
                let back: Vec<_> = granted.iter().map(|one| (one.lease, usd(one.amount.nano() - 20))).collect();
                store.give_back(&back).await.unwrap();
            }
            (calls, refused)
        });
    }
    let watch = stores[0].clone();
    let watcher = tokio::spawn(async move {
        loop {
            for budget in 0..6 {
                let (spent, leased) = stand(&watch, account(budget)).await;
                assert!(spent + leased <= LIMIT / (1 + i64::from(budget)), "{budget}: {spent} + {leased}");
            }
            tokio::task::yield_now().await;
        }
    });
    let done = tasks.join_all().await;
    watcher.abort();
    assert!(watcher.await.is_err_and(|error| error.is_cancelled()), "the limit held at every moment");
    let calls: i64 = done.iter().map(|(calls, _)| i64::from(*calls)).sum();
    assert!(calls > 60, "{done:?}");
    assert_eq!(stand(&stores[1], account(0)).await, (calls * 20, 0));
    assert_eq!(stand(&stores[1], account(1)).await, (calls * 20, 0));
    equal(&stores[2]).await;
}

pub(crate) async fn a_call_is_booked_once(bed: Bed) {
    let (store, other) = (bed.store().await, bed.store().await);
    store.begin_node(1, "a", "boot", NOW).await.unwrap();
    let granted = store.lease(1, &[ask(account(1), 1, 5_000, 9_000), ask(account(2), 1, 900, 900)], NOW).await.unwrap();
    let leases: Vec<LeaseId> = granted.iter().map(|one| one.lease).collect();
    let calls: Vec<UsageEvent> = (0..150).map(|number| spend(number, NOW, 3, &leases)).collect();
    let done = collect(&store, calls[..100].to_vec(), Vec::new()).await;
    assert_eq!(done.touched.iter().map(|one| one.spent).collect::<Vec<_>>(), [usd(300), usd(300)]);
    // Some again, one twice, by a process that knows none of the leases.
    let mut again = calls[50..].to_vec();
    again.push(calls[149].clone());
    let done = collect(&other, again, Vec::new()).await;
    assert_eq!((done.inserted, done.repeated, done.unknown_leases), (50, 51, 0));
    assert_eq!(stand(&store, account(1)).await, (450, 4_550));
    assert_eq!(stand(&store, account(2)).await, (450, 450));
    assert_eq!(collect(&store, calls, Vec::new()).await.touched, []);
    assert_eq!(stand(&store, account(2)).await, (450, 450));
    // Hostile costs neither earn anything nor stop anything; a lease that there is not is said.
    let mut odd = vec![spend(500, NOW, -1_000, &leases), spend(501, NOW, 1, &[LeaseId(5), leases[1]])];
    odd[0].held = None;
    odd[0].leases = leases.clone();
    let done = collect(&store, odd, Vec::new()).await;
    assert_eq!(done.unknown_leases, 1);
    assert_eq!(stand(&store, account(2)).await, (451, 449));
}

pub(crate) async fn holds_end_with_their_calls(bed: Bed) {
    let store = bed.store().await;
    store.begin_node(9, "a", "boot", NOW).await.unwrap();
    let granted = lease(&store, 9, ask(account(1), 1, 5_000, 5_000)).await;
    let calls: Vec<UsageEvent> = (0..200).map(|number| spend(number, NOW, 10, &[granted.lease])).collect();
    let holds: Vec<Hold> = calls.iter().map(hold).collect();
    // One half ends in the same batch, the rest later.
    collect(&store, calls[..100].to_vec(), holds.clone()).await;
    let open = store.holds_of(9, 1_000).await.unwrap();
    assert_eq!(open.len(), 100);
    let (first, wanted) = (&open[0], &holds[100]);
    assert_eq!((first.call, first.at, first.key, first.amount), (wanted.call, wanted.at, wanted.key, wanted.amount));
    assert_eq!((first.node, &first.leases), (9, &wanted.leases));
    assert_eq!((&*first.provider, &*first.model, first.project), (&*wanted.provider, &*wanted.model, wanted.project));
    assert_eq!(stand(&store, account(1)).await, (1_000, 4_000), "a hold is part of its lease");
    collect(&store, calls[100..].to_vec(), Vec::new()).await;
    assert_eq!(store.holds(10).await.unwrap(), []);
    // Once more, as after a crash that lost how far the journal was read: the call is known, so its hold is not charged.
    collect(&store, Vec::new(), holds[..1].to_vec()).await;
    let mut lost = calls[0].clone();
    lost.outcome = Outcome::Lost;
    assert_eq!(collect(&store, vec![lost], Vec::new()).await.repeated, 1);
    assert_eq!(store.holds(10).await.unwrap(), []);
    assert_eq!(stand(&store, account(1)).await, (2_000, 3_000));
    equal(&store).await;
}

pub(crate) async fn a_rolling_budget_counts_by_slots(bed: Bed) {
    let store = bed.store().await;
    store.begin_node(1, "a", "boot", NOW).await.unwrap();
    let whole = Account { start: 0, ..account(1) };
    // An hour in slots of a minute.
    let at = |now: Millis| LeaseAsk {
        ends_at: i64::MAX,
        rolling: Some(Rolling { slot_ms: MINUTE, first_slot: now - 60 * MINUTE }),
        ..ask(whole, 10, 60, 100)
    };
    let first = lease(&store, 1, at(NOW)).await;
    assert_eq!(first.amount, usd(60));
    let calls = [(0, 30), (5, 10), (5 * 60_000, 20)];
    let calls =
        calls.into_iter().zip(0..).map(|((later, cost), number)| spend(number, NOW + later, cost, &[first.lease]));
    let done = collect(&store, calls.collect(), Vec::new()).await;
    assert!(done.touched[0].rolling);
    let now = |now: Millis| Some(Rolling { slot_ms: MINUTE, first_slot: now - 60 * MINUTE });
    assert_eq!(store.stand(whole, now(NOW + 5 * MINUTE)).await.unwrap(), (usd(60), usd(0)));
    assert_eq!(lease(&store, 1, at(NOW + 59 * MINUTE)).await.amount, usd(40));
    assert_eq!(lease(&store, 1, at(NOW + 60 * MINUTE)).await.amount, usd(0), "the first slot still counts");
    let later = lease(&store, 1, at(NOW + 61 * MINUTE)).await;
    assert_eq!((later.amount, later.standing.spent), (usd(40), usd(20)));
    let slots: Vec<_> = store.accounts_of(whole.budget, i64::MAX, 9).await.unwrap();
    assert_eq!(slots.iter().map(|row| row.spent).collect::<Vec<_>>(), [usd(20), usd(40), usd(0)]);
    assert_eq!(end(&store, 1, Rest::Charge).await.charged[&whole], usd(80));
    assert_eq!(store.stand(whole, now(NOW + 61 * MINUTE)).await.unwrap(), (usd(20), usd(0)), "charged when it was");
    equal(&store).await;
}

pub(crate) async fn a_call_that_cost_more_is_booked_whole(bed: Bed) {
    let store = bed.store().await;
    store.begin_node(1, "a", "boot", NOW).await.unwrap();
    let granted = lease(&store, 1, ask(account(1), 1, 50, 100)).await;
    let calls = vec![spend(1, NOW, 30, &[granted.lease]), spend(2, NOW, 45, &[granted.lease])];
    let done = collect(&store, calls, Vec::new()).await;
    assert_eq!(done.overruns.len(), 1);
    assert_eq!((done.overruns[0].account, done.overruns[0].by), (account(1), usd(25)));
    assert_eq!(stand(&store, account(1)).await, (75, 0));
    assert_eq!(lease(&store, 1, ask(account(1), 1, 50, 100)).await.amount, usd(25));
    assert_eq!(collect(&store, vec![spend(3, NOW, 900, &[granted.lease])], Vec::new()).await.overruns[0].by, usd(875));
    assert_eq!(stand(&store, account(1)).await, (975, 0));
    assert_eq!(lease(&store, 1, ask(account(1), 1, 50, 100)).await.amount, usd(0));
    equal(&store).await;
}

pub(crate) async fn what_a_node_leaves_goes_back_or_is_charged(bed: Bed) {
    let store = bed.store().await;
    for (node, boot) in [(1, "old"), (2, "new")] {
        store.begin_node(node, "a", boot, NOW).await.unwrap();
    }
    let gone = lease(&store, 1, ask(account(1), 1, 50, 100)).await;
    let here = lease(&store, 2, ask(account(1), 1, 50, 100)).await;
    let call = spend(1, NOW, 20, &[gone.lease]);
    collect(&store, Vec::new(), vec![hold(&call)]).await;
    let mut write = rows::begin(&store).await;
    let early = write.end_node(1, Rest::GiveBack).await;
    assert!(matches!(early, Err(Error::Stale { .. })), "not while a call is under way");
    drop(write);
    assert_eq!(store.running_nodes().await.unwrap().len(), 2);
    collect(&store, vec![UsageEvent { outcome: Outcome::Lost, ..call }], Vec::new()).await;
    let ended = end(&store, 1, Rest::GiveBack).await;
    assert_eq!((ended.given_back[&account(1)], ended.charged.len()), (usd(30), 0));
    assert_eq!(stand(&store, account(1)).await, (20, 50));
    let ended = end(&store, 2, Rest::Charge).await;
    assert_eq!((ended.charged[&account(1)], ended.touched[0].spent), (usd(50), usd(70)));
    assert_eq!(stand(&store, account(1)).await, (70, 0));
    equal(&store).await;
    assert_eq!(store.running_nodes().await.unwrap(), []);
    // It comes back after all, and what it tells is part of what was charged already.
    let done = collect(&store, vec![spend(2, NOW, 35, &[here.lease])], Vec::new()).await;
    assert_eq!((done.overruns.len(), stand(&store, account(1)).await), (0, (70, 0)));
    let done = collect(&store, vec![spend(3, NOW, 35, &[here.lease])], Vec::new()).await;
    assert_eq!((done.overruns[0].by, stand(&store, account(1)).await), (usd(20), (90, 0)));
    equal(&store).await;
    let mut write = rows::begin(&store).await;
    assert!(matches!(write.end_node(2, Rest::Charge).await, Err(Error::NodeEnded)));
}

/// Charges a node's leases as an owner does.
async fn reclaim(store: &Store, node: u64, now: Millis) -> keyward_store::EndedNode {
    let mut write = rows::begin_at(store, now).await;
    let charged = write.reclaim_node(node).await.unwrap();
    rows::commit(write).await;
    charged
}

pub(crate) async fn a_node_that_was_reclaimed_goes_on(bed: Bed) {
    let store = bed.store().await;
    for node in [1, 2] {
        store.begin_node(node, "a", "boot", NOW).await.unwrap();
    }
    let granted = store.lease(1, &[ask(account(1), 1, 60, 100), ask(account(2), 1, 9, 9)], NOW).await.unwrap();
    let leases = granted.iter().map(|one| one.lease).collect::<Vec<_>>();
    let open = UsageEvent { held: Some(usd(20)), ..spend(1, NOW, 5, &leases[..1]) };
    collect(&store, Vec::new(), vec![hold(&open)]).await;
    let stand_of = |stands: Vec<keyward_store::NodeStand>| {
        stands.into_iter().map(|one| (one.node.incarnation, one.leases, one.leased, one.charged, one.calls))
    };
    let stands = stand_of(store.node_stands().await.unwrap()).collect::<Vec<_>>();
    assert_eq!(stands, [(1, 2, usd(69), usd(0), 1), (2, 0, usd(0), usd(0), 0)]);
    // What nobody committed did not happen.
    let mut write = rows::begin(&store).await;
    write.reclaim_node(1).await.unwrap();
    drop(write);
    assert_eq!(stand(&store, account(1)).await, (0, 60));
    let charged = reclaim(&store, 1, NOW).await;
    assert_eq!((charged.charged[&account(1)], charged.charged[&account(2)]), (usd(60), usd(9)));
    assert_eq!(charged.touched.iter().map(|one| one.spent).collect::<Vec<_>>(), [usd(60), usd(9)]);
    assert_eq!((stand(&store, account(1)).await, stand(&store, account(2)).await), ((60, 0), (9, 0)));
    assert_eq!(store.holds_of(1, 9).await.unwrap().len(), 1, "a call under way stays one: its end may come");
    equal(&store).await;
    let stands = stand_of(store.node_stands().await.unwrap()).next().unwrap();
    assert_eq!(stands, (1, 0, usd(0), usd(69), 1));
    assert_eq!(reclaim(&store, 1, NOW).await, keyward_store::EndedNode::default(), "once");
    // It was alive: the call ends and is booked at its cost; more is leased and spent; what it does not need comes back.
    collect(&store, vec![open], Vec::new()).await;
    assert_eq!(stand(&store, account(1)).await, (60, 0), "part of what was charged");
    let more = lease(&store, 1, ask(account(1), 1, 40, 100)).await;
    assert_eq!((more.lease, more.amount), (leases[0], usd(40)));
    assert_eq!(stand(&store, account(1)).await, (60, 40));
    collect(&store, vec![spend(2, NOW, 25, &leases[..1])], Vec::new()).await;
    assert_eq!(store.give_back(&[(leases[0], usd(50))]).await.unwrap(), [(leases[0], usd(50))]);
    assert_eq!(stand(&store, account(1)).await, (30, 20));
    equal(&store).await;
    // When all is known, all that was not spent comes back, also what is still charged.
    assert_eq!(end(&store, 1, Rest::GiveBack).await.given_back[&account(2)], usd(9));
    assert_eq!((stand(&store, account(1)).await, stand(&store, account(2)).await), ((30, 0), (0, 0)));
    equal(&store).await;
    let mut write = rows::begin(&store).await;
    assert!(matches!(write.reclaim_node(1).await, Err(Error::NodeEnded)));
    drop(write);
    assert!(!store.see_node(1, NOW + 9).await.unwrap() && store.see_node(2, NOW + 9).await.unwrap());
    assert_eq!(store.running_nodes().await.unwrap()[0].seen_at, NOW + 9);
}

pub(crate) async fn what_was_reclaimed_of_a_rolling_budget(bed: Bed) {
    let store = bed.store().await;
    store.begin_node(1, "a", "boot", NOW).await.unwrap();
    let whole = Account { start: 0, ..account(1) };
    let first = |now: Millis| Rolling { slot_ms: MINUTE, first_slot: now - 60 * MINUTE };
    let at = |now| LeaseAsk { ends_at: i64::MAX, rolling: Some(first(now)), ..ask(whole, 10, 60, 100) };
    let spent = async |now| store.stand(whole, Some(first(now))).await.unwrap().0.nano();
    let granted = lease(&store, 1, at(NOW)).await;
    reclaim(&store, 1, NOW + 5 * MINUTE).await;
    // A call from before is told after: it leaves the slot in which it was charged, and counts in its own.
    collect(&store, vec![spend(1, NOW, 20, &[granted.lease])], Vec::new()).await;
    assert_eq!((spent(NOW + 5 * MINUTE).await, spent(NOW + 61 * MINUTE).await), (60, 40));
    equal(&store).await;
    store.give_back(&[(granted.lease, usd(15))]).await.unwrap();
    assert_eq!((spent(NOW + 5 * MINUTE).await, spent(NOW + 61 * MINUTE).await), (45, 25));
    // Given up once more, in another slot: what was charged before does not count anew.
    assert_eq!(lease(&store, 1, at(NOW + 6 * MINUTE)).await.amount, usd(55));
    reclaim(&store, 1, NOW + 7 * MINUTE).await;
    assert_eq!((spent(NOW + 7 * MINUTE).await, spent(NOW + 66 * MINUTE).await), (100, 55));
    equal(&store).await;
    assert_eq!(end(&store, 1, Rest::GiveBack).await.given_back[&whole], usd(55));
    assert_eq!(spent(NOW + 7 * MINUTE).await, 45);
    equal(&store).await;
}

pub(crate) async fn a_node_that_was_given_up_gets_no_more(bed: Bed) {
    let store = bed.store().await;
    store.begin_node(1, "a", "boot", NOW).await.unwrap();
    end(&store, 1, Rest::GiveBack).await;
    for node in [1, 2] {
        let refused = store.lease(node, &[ask(account(1), 1, 1, 1)], NOW).await;
        assert!(matches!(refused, Err(Error::NodeEnded)), "{refused:?}");
    }
    assert_eq!(store.accounts_of(account(1).budget, i64::MAX, 9).await.unwrap(), []);
}

/// Makes a table refuse new rows, and lets it take them again.
async fn refuse(bed: &Bed, store: &Store, table: &str, refuse: bool) {
    let sql = match (store.kind(), refuse) {
        ("sqlite", true) => {
            format!("create trigger refuse before insert on {table} begin select raise(abort, 'no'); end")
        }
        ("sqlite", false) => "drop trigger refuse".to_owned(),
        (_, true) => format!(
            "create or replace function refuse() returns trigger language plpgsql as
             $$ begin raise exception 'no' using errcode = '53100'; end $$;
             create trigger refuse before insert on {table} for each row execute function refuse()"
        ),
        (_, false) => format!("drop trigger refuse on {table}"),
    };
    bed.tamper(&sql).await;
}

pub(crate) async fn what_fails_leaves_nothing_behind(bed: Bed) {
    let store = bed.store().await;
    store.begin_node(1, "a", "boot", NOW).await.unwrap();
    // The last step of a grant fails.
    refuse(&bed, &store, "leases", true).await;
    store.lease(1, &[ask(account(1), 1, 50, 100)], NOW).await.unwrap_err();
    refuse(&bed, &store, "leases", false).await;
    assert_eq!(stand(&store, account(1)).await, (0, 0));
    let granted = lease(&store, 1, ask(account(1), 1, 50, 100)).await;
    // The last step of collecting fails: no call, no cost, no position; then all of it, once.
    let (ended, open) = (spend(1, NOW, 20, &[granted.lease]), spend(2, NOW, 20, &[granted.lease]));
    let batch = Batch {
        usage: vec![ended.clone()],
        holds: vec![hold(&ended), hold(&open)],
        positions: vec![keyward_store::Position { stream: "s".to_owned(), seq: 3 }],
        ..Batch::default()
    };
    refuse(&bed, &store, "holds", true).await;
    store.collect(&batch).await.unwrap_err();
    assert_eq!(stand(&store, account(1)).await, (0, 50));
    assert_eq!(store.calls_of_key(ended.key, None, 9).await.unwrap(), []);
    assert_eq!(store.journal_positions().await.unwrap(), []);
    refuse(&bed, &store, "holds", false).await;
    for inserted in [1, 0] {
        assert_eq!(store.collect(&batch).await.unwrap().inserted, inserted);
        assert_eq!(stand(&store, account(1)).await, (20, 30));
        assert_eq!(store.holds(9).await.unwrap().len(), 1);
    }
    // An end that is not committed is none.
    collect(&store, vec![open], Vec::new()).await;
    let mut write = rows::begin(&store).await;
    write.end_node(1, Rest::Charge).await.unwrap();
    drop(write);
    assert_eq!(stand(&store, account(1)).await, (40, 10));
    assert_eq!(end(&store, 1, Rest::GiveBack).await.given_back[&account(1)], usd(10));
    equal(&store).await;
}

pub(crate) async fn calls_whose_holds_were_left_out_are_booked_like_others(bed: Bed) {
    let store = bed.store().await;
    store.begin_node(1, "a", "boot", NOW).await.unwrap();
    let granted = lease(&store, 1, ask(account(1), 1, 50, 100)).await;
    let (here, earlier) = (spend(1, NOW, 20, &[granted.lease]), spend(2, NOW, 7, &[granted.lease]));
    collect(&store, Vec::new(), vec![hold(&earlier)]).await;
    let batch = Batch { usage: vec![here.clone(), earlier], ended: vec![here.id], ..Batch::default() };
    assert_eq!(store.collect(&batch).await.unwrap().inserted, 2);
    assert_eq!(stand(&store, account(1)).await, (27, 23));
    assert_eq!(store.holds(9).await.unwrap(), [], "the one of before is gone");
    equal(&store).await;
}

pub(crate) async fn thresholds_are_noted_once(bed: Bed) {
    let store = bed.store().await;
    let mut write = rows::begin(&store).await;
    assert!(write.note_threshold(account(1), 80).await.unwrap());
    assert!(!write.note_threshold(account(1), 80).await.unwrap());
    assert!(write.note_threshold(account(1), 100).await.unwrap());
    rows::commit(write).await;
    let mut write = rows::begin(&store).await;
    assert!(!write.note_threshold(account(1), 100).await.unwrap());
    assert!(write.note_threshold(Account { start: NOW, ..account(1) }, 100).await.unwrap());
    drop(write);
    let noted = store.thresholds(account(1).budget, 0, 9).await.unwrap();
    assert_eq!(noted.iter().map(|row| row.percent).collect::<Vec<_>>(), [100, 80]);
}

pub(crate) async fn a_restore_charges_what_was_leased(bed: Bed) {
    let store = bed.store().await;
    store.begin_node(1, "a", "boot", NOW).await.unwrap();
    let granted = lease(&store, 1, ask(account(1), 1, 50, 100)).await;
    let call = spend(1, NOW, 20, &[granted.lease]);
    collect(&store, vec![call.clone()], vec![hold(&spend(2, NOW, 7, &[granted.lease]))]).await;
    let (file, _) = store.backup_to(Vec::new()).await.unwrap();
    for target in [bed.spare().await, bed.other().await] {
        target.restore_from(std::io::Cursor::new(file.clone())).await.unwrap();
        assert_eq!(stand(&target, account(1)).await, (20, 30));
        assert_eq!(target.holds(9).await.unwrap(), store.holds(9).await.unwrap());
        assert_eq!(target.running_nodes().await.unwrap()[0].boot, "", "what it did since is not known");
        equal(&target).await;
    }
}
