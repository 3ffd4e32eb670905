//! `kill -9` at random instants, again and again, while keys with budgets at every level spend: what the provider billed
//! is in the ledger once, or a hold was charged for it, and no account ever stands above its limit.

use crate::{
    books::{self, Ledger, Watch},
    spending::{self, Calls, Load, MIXED, Pace, Random, Told},
    world::{PROJECT, World, assert_answered},
};
use keyward_testkit::{Gate, Script, Service, server::Options, wire::Answer};
use serde_json::json;
use std::{path::Path, sync::Arc, time::Duration};

const ROUNDS: u64 = 20;
const PACE: Pace = Pace { kinds: MIXED, callers: 8, rest: Duration::ZERO };
/// Calls that stand in the middle of their answer at every kill.
const STANDING: usize = 2;
/// The kill comes after so many calls of a round at the latest.
const LATEST: u64 = 100;
/// What one crash may make unusable of a budget, in hundredths.
const UNUSABLE: i64 = 1;

/// Two projects below one budget of the organisation: in one, callers at work; in the other a key whose calls are never
/// answered to the end.
struct Town {
    world: World,
    keys: Vec<String>,
    standing: String,
}

fn town(folder: &Path, gate: &Arc<Gate>, calls: &Calls) -> Town {
    let world = World::with_options(&[Service::OpenAi], spending::priced(folder, Options::default(), calls));
    world.credential(Service::OpenAi, "main", Script::default());
    let keys: Vec<String> =
        ["wide", "tiny"].iter().map(|name| world.key(name, json!({"providers": ["openai"]}))).collect();
    let _made = world.server.tell(&["project", "create", "slow"]);
    let secret = world.emulator(Service::OpenAi).key_with(Script::default().stopping_at(1, gate));
    let _made = world.server.add_credential("slow", "openai", "slow", &world.base_url(Service::OpenAi), &secret);
    let standing = world.server.key("slow", "standing", &["--provider", "openai"]);
    for (scope, limit) in [
        (json!({"organisation": true}), "0.06 USD/total"),
        (json!({"project": PROJECT}), "0.05 USD/month Europe/Vienna"),
        (json!({"project": PROJECT, "environment": "production"}), "0.045 USD/rolling 24h"),
        (json!({"key": "wide"}), "0.04 USD/total"),
        (json!({"key": "wide"}), "0.04 USD/hour"),
        // Used up within the first rounds.
        (json!({"key": "tiny"}), "0.0006 USD/total"),
        (json!({"key": "standing"}), "0.01 USD/day"),
    ] {
        let _id = spending::budget(&world, scope, limit);
    }
    Town { world, keys, standing }
}

impl Town {
    /// Opens the calls that are never answered to the end.
    fn stand(&self, calls: &Calls) -> Vec<Answer> {
        let open = |_| {
            let request = spending::request(&self.world, &self.standing, &calls.name(), true);
            let mut answer = self.world.open(&request);
            answer.read_until("Hello");
            answer
        };
        (0..STANDING).map(open).collect()
    }

    /// Load, and a kill after so many calls.
    fn crash(&mut self, calls: &Calls, after: u64) {
        let _standing = self.stand(calls);
        let keys: Vec<&str> = self.keys.iter().map(String::as_str).collect();
        let emulator = self.world.emulator(Service::OpenAi);
        let from = emulator.count();
        let load = Load::begin(&self.world, self.world.server.gateway(), &keys, PACE, calls);
        emulator.wait_for("calls", |all| (all.len() as u64 > from as u64 + after).then_some(()));
        self.world.server.kill();
        load.end();
    }
}

#[test]
fn killed_at_random_instants_no_budget_is_overspent_and_every_bill_is_in_the_ledger() {
    let (folder, gate, calls) = (tempfile::tempdir().expect("a folder"), Gate::new(), Calls::new());
    let mut random = Random::new();
    let mut town = town(folder.path(), &gate, &calls);
    let ledger = Ledger::of(&town.world);
    let watch = Watch::begin(&ledger);
    let mut crashes: i64 = 0;
    for _ in 0..ROUNDS {
        town.crash(&calls, random.below(LATEST));
        crashes += 1;
        ledger.assert_within_limits();
        ledger.assert_holds_are_covered();
        town.world.server.launch();
        if random.below(4) == 0 {
            // Again, while it accounts for the first one.
            town.world.server.kill();
            crashes += 1;
            ledger.assert_within_limits();
            ledger.assert_holds_are_covered();
            town.world.server.launch();
        }
    }
    let looks = watch.end();
    let sums = books::balance(&town.world, &ledger, &calls);
    books::assert_rebuilt(&town.world, &ledger);
    let refused =
        |made: &spending::Made| matches!(&made.told, Told::Refused(_, reason, _) if reason == "budget_exhausted");
    let made = calls.made().clone();
    println!(
        "{crashes} crashes, {} calls billed, {} lost, {looks} looks, {:?} beyond",
        sums.billed, sums.lost, sums.beyond
    );
    assert!(
        made.iter().filter(|call| refused(call)).all(|call| Some(&call.key) == town.keys.get(1)),
        "only the tiny budget is used up"
    );
    assert!(made.iter().any(refused), "the tiny budget is used up");
    let standing = usize::try_from(ROUNDS).unwrap_or(0) * STANDING;
    assert!(sums.lost >= standing, "{} of {standing} calls that stood still are charged as lost", sums.lost);

    // Everything that nobody spent can be spent: the crashes keep nothing but what was held for the calls they cut off.
    assert!(town.world.server.stop().success(), "{}", town.world.server.log());
    for account in ledger.accounts() {
        assert_eq!(account.leased, 0, "{account:?}");
        let Some(key) = account.key.as_deref().filter(|key| *key != "tiny") else { continue };
        let beyond = sums.beyond.get(key).copied().unwrap_or(0);
        assert!(beyond * 100 <= account.limit * UNUSABLE * crashes, "{beyond} of {account:?} in {crashes} crashes");
    }
    town.world.server.launch();
    books::assert_rebuilt(&town.world, &ledger);
    let first = town.keys.first().expect("a key");
    assert_answered(&town.world.send(&spending::request(&town.world, first, &calls.name(), false)));
}
