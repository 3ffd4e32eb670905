//! The protocol of `docs/decisions/0001-budgets-that-hold.md`, explored to the last state of small worlds: nodes that crash
//! anywhere, messages that are lost, late or doubled, power cuts, clocks that disagree, limits that change. And the same
//! worlds with a protocol that is broken in one place, each of which must be refuted: a check that cannot fail is none.

mod explorer;
mod promises;
mod protocol;
mod same;
mod steps;
mod world;

use explorer::{Explored, explore};
use protocol::{Broken, World};
use std::collections::HashMap;
use world::Left;

/// More states than any of the worlds has.
const MOST: usize = 100_000;

/// Two nodes, one account, two calls, and nothing that goes wrong.
fn base() -> World {
    World {
        nodes: 2,
        limits: vec![5],
        windows: false,
        lease: 3,
        costs: vec![1, 2],
        unknown: false,
        attempts: 1,
        late_wishes: false,
        lanes_apart: false,
        local: false,
        other_limits: Vec::new(),
        coarse: true,
        left: Left { calls: 2, ..Left::default() },
        broken: None,
    }
}

/// More calls than there is money for, and a node that dies.
fn crash() -> World {
    World { left: Left { calls: 3, kills: 1, ..Left::default() }, limits: vec![4], ..base() }
}

/// Dead again while it recovers.
fn crashes() -> World {
    World { left: Left { calls: 3, kills: 2, ..Left::default() }, limits: vec![4], unknown: true, nodes: 1, ..base() }
}

/// Every step by itself.
fn fine() -> World {
    World { coarse: false, left: Left { calls: 2, kills: 1, ..Left::default() }, unknown: true, nodes: 1, ..base() }
}

/// Statements and answers that are lost, doubled, and late, also after the death of who sent them.
fn messages() -> World {
    let left = Left { calls: 1, kills: 1, losses: 1, twice: 1, ..Left::default() };
    World { left, late_wishes: true, limits: vec![3], costs: vec![2], ..base() }
}

/// Power cuts on a node whose database is elsewhere.
fn power() -> World {
    let left = Left { calls: 2, kills: 1, cuts: 1, ..Left::default() };
    World { left, limits: vec![3], nodes: 1, unknown: true, ..base() }
}

/// Power cuts that also take what the database has not synced.
fn power_with_the_database() -> World {
    World { local: true, left: Left { calls: 2, cuts: 1, twice: 1, ..Left::default() }, unknown: false, ..power() }
}

/// A budget within a budget.
fn nested() -> World {
    World { limits: vec![5, 3], left: Left { calls: 2, kills: 1, ..Left::default() }, nodes: 1, ..base() }
}

/// Two windows, and nodes that disagree on which it is.
fn windows() -> World {
    World {
        limits: vec![3, 3],
        windows: true,
        costs: vec![1],
        left: Left { calls: 2, ticks: 2, ..Left::default() },
        ..base()
    }
}

/// Limits that change.
fn limits() -> World {
    World { other_limits: vec![2, 5], left: Left { calls: 2, limits: 2, ..Left::default() }, ..base() }
}

/// An owner gives a node up, which may be alive.
fn reclaim() -> World {
    World { left: Left { calls: 2, reclaims: 1, ..Left::default() }, costs: vec![1], ..base() }
}

/// It is dead, or comes back.
fn reclaim_of_the_dead() -> World {
    World { left: Left { calls: 1, kills: 1, cuts: 1, reclaims: 1, ..Left::default() }, nodes: 1, ..base() }
}

/// Hold and settlement in different lanes of the journal.
fn lanes() -> World {
    World { lanes_apart: true, left: Left { calls: 2, kills: 1, ..Left::default() }, nodes: 1, ..base() }
}

/// A provider that does not keep to the cap.
fn excess() -> World {
    World { costs: vec![2, 4], limits: vec![6], lease: 4, left: Left { calls: 3, ..Left::default() }, ..base() }
}

/// Calls that are sent again.
fn attempts() -> World {
    World { attempts: 2, lease: 4, left: Left { calls: 2, kills: 1, ..Left::default() }, nodes: 1, ..base() }
}

/// All of them, by name.
fn worlds() -> Vec<(&'static str, World)> {
    vec![
        ("a crash", crash()),
        ("crashes", crashes()),
        ("fine steps", fine()),
        ("messages", messages()),
        ("power", power()),
        ("power with the database", power_with_the_database()),
        ("nested budgets", nested()),
        ("windows", windows()),
        ("limits", limits()),
        ("reclaim", reclaim()),
        ("reclaim of the dead", reclaim_of_the_dead()),
        ("lanes", lanes()),
        ("excess", excess()),
        ("attempts", attempts()),
    ]
}

/// Every way to break it, and a world in which that does harm.
fn mutants() -> Vec<(Broken, World)> {
    vec![
        (Broken::GrantWithoutCondition, crash()),
        (Broken::MemoryBeforeDatabaseOnLease, crash()),
        (Broken::AnswersAreAmounts, messages()),
        (Broken::DatabaseBeforeMemoryOnGivingBack, crash()),
        (Broken::GivingBackIsAnAmount, messages()),
        (Broken::SendBeforeJournal, fine()),
        (Broken::TwoAttemptsOneHold, attempts()),
        (Broken::UnknownIsFree, fine()),
        (Broken::SettleMemoryBeforeJournal, crash()),
        (Broken::ExcessFromTheLease, excess()),
        (Broken::WindowOfTheEnd, windows()),
        (Broken::CollectWithoutPosition, messages()),
        (Broken::HoldAfterUsage, lanes()),
        (Broken::RecoveryGivesBackFirst, crash()),
        (Broken::RecoveryBeforeTheEnd, crash()),
        (Broken::RecoveryWithoutClosing, messages()),
        (Broken::RecoveryByName, crash()),
        (Broken::PowerCutIsACrash, power()),
        (Broken::LostHoldsInFull, power()),
        (Broken::GrantNotSynced, power_with_the_database()),
        (Broken::LeasesExpire, reclaim()),
        (Broken::ReclaimIsForgotten, reclaim()),
        (Broken::ReclaimChargesHolds, World { limits: vec![3], ..reclaim() }),
    ]
}

#[test]
fn the_protocol_holds_in_every_state() {
    let mut kinds = HashMap::new();
    for (name, world) in worlds() {
        let explored = explore(&world, MOST).unwrap_or_else(|refuted| panic!("{name}: {refuted:?}"));
        let Explored { states, steps, at_rest, .. } = explored;
        println!("{name}: {states} states, {steps} steps, {at_rest} states at rest");
        assert!(at_rest > 0, "{name}: nothing ever comes to rest");
        kinds.extend(explored.kinds);
    }
    // A step that is never made proves nothing. The one that is missing belongs to a broken protocol.
    assert_eq!(kinds.len(), protocol::KINDS - 1, "{:?}", kinds.values());
}

#[test]
fn every_broken_protocol_is_refuted() {
    for (broken, world) in mutants() {
        match explore(&World { broken: Some(broken), ..world }, MOST) {
            Err(refuted) => println!("{broken:?}, after {} steps: {}", refuted.trace.len() - 1, refuted.what),
            Ok(explored) => panic!("{broken:?} was not refuted in {} states", explored.states),
        }
    }
}
