//! Lending, collecting, thresholds and recovery on a control plane of its own.

use super::*;
use crate::{
    Settings, audit_seal,
    clock::{self, Clock},
    keyring,
    outbound::{Call, CallError, Outbound, Pending},
};
use keyward_catalogue::Catalogue;
use keyward_domain::{
    CredentialId, Environment, KeyId, ProjectId, RequestId,
    audit::Actor,
    budget::{Account, Hold, Scope},
    usage::{CostBasis, GatewayEvent, Outcome, Usage, UsageEvent},
};
use keyward_store::{Change, DAY, Location, Store};
use keyward_vault::{MasterKey, Vault};
use serde_json::Value;
use std::sync::Arc;
use tempfile::TempDir;

/// 2026-11-21T10:00:00Z.
const NOW: Millis = 1_795_255_200_000;
const MIDNIGHT: Millis = NOW - 10 * 3_600_000;

struct Nobody;

impl Outbound for Nobody {
    fn call(&self, _: Call) -> Pending<'_> {
        Box::pin(async { Err(CallError::Timeout) })
    }

    fn check_base_url(&self, _: &str, _: bool) -> Result<(), String> {
        Ok(())
    }
}

pub(crate) async fn open(folder: &TempDir) -> (Control, Clock) {
    let store = Store::open(&Location::File(folder.path().join("keyward.db"))).await.unwrap();
    let (vault, rows) = Vault::initialise(MasterKey::generate().unwrap(), NOW).unwrap();
    let vault = Arc::new(vault);
    store.seal_audit_with(audit_seal(&vault));
    let mut write = store.write(Actor::Operator, None, NOW).await.unwrap();
    for row in &rows {
        write.put_keyring(&keyring::to_stored(row)).await.unwrap();
    }
    let said = Change {
        action: "vault.create".to_owned(),
        subject_kind: "vault".to_owned(),
        subject: "vault".to_owned(),
        before: Value::Null,
        after: Value::Null,
        reason: None,
        row_version: None,
    };
    write.commit(vec![said]).await.unwrap();
    let clock = Clock::manual(NOW);
    let settings = Settings {
        version: "0.0.0".into(),
        gateway_url: "http://127.0.0.1:8700".into(),
        node: "test".into(),
        demo: false,
        retention: 90 * DAY,
        bootstrap: None,
        local_token: clock::new_api_token().unwrap().hash,
        setup_token: clock::new_api_token().unwrap().hash,
        clock: clock.clone(),
        outbound: Arc::new(Nobody),
        gateway_metrics: Arc::new(String::new),
    };
    let catalogue = Arc::new(Catalogue::embedded().unwrap());
    let control = Control::open(store, vault, catalogue, settings, |_| ()).await.unwrap();
    (control, clock)
}

fn node(incarnation: u64, name: &str, boot: &str, alone: bool) -> Node {
    Node { incarnation, name: name.to_owned(), boot: boot.to_owned(), alone }
}

fn usd(nano: i64) -> Money {
    Money::from_nano(nano)
}

fn budget(number: u8, limit: i64, window: &str) -> Budget {
    let id = BudgetId::new(0, [number; 10]);
    Budget { id, scope: Scope::Organisation, limit: usd(limit), window: window.parse().unwrap() }
}

fn wish(budget: &Budget, start: Millis, needed: i64) -> Wish {
    Wish { account: Account { budget: budget.id, start }, needed: usd(needed), wanted: usd(needed) }
}

fn call(number: u8, cost: i64, leases: &[LeaseId]) -> UsageEvent {
    UsageEvent {
        id: RequestId::new(NOW, [number; 10]),
        at: NOW,
        key: KeyId::new(0, [1; 10]),
        project: ProjectId::new(0, [2; 10]),
        environment: Environment::Production,
        provider: "openai".into(),
        model: "gpt-5".into(),
        operation: "chat".into(),
        credential: CredentialId::new(0, [3; 10]),
        usage: Usage::default(),
        cost: usd(cost),
        basis: CostBasis::Priced,
        price_version: "2026-11-21".into(),
        status: 200,
        outcome: Outcome::Completed,
        first_byte_us: 1,
        total_us: 2,
        client: [127, 0, 0, 1].into(),
        user_agent: "".into(),
        secret_slot: 0,
        upstream_id: "".into(),
        held: Some(usd(cost)),
        leases: leases.to_vec(),
    }
}

fn hold(call: &UsageEvent) -> GatewayEvent {
    GatewayEvent::Hold(Box::new(Hold {
        call: call.id,
        at: call.at,
        key: call.key,
        project: call.project,
        environment: call.environment,
        provider: call.provider.clone(),
        model: call.model.clone(),
        operation: call.operation.clone(),
        credential: call.credential,
        amount: call.cost,
        leases: call.leases.clone(),
        price_version: call.price_version.clone(),
    }))
}

async fn collect(control: &Control, events: Vec<GatewayEvent>) -> crate::Taken {
    control.collect(&crate::Batch::new(events, [])).await.unwrap()
}

fn used(call: UsageEvent) -> GatewayEvent {
    GatewayEvent::Usage(Box::new(call))
}

#[tokio::test]
async fn wishes_are_granted_by_what_is_published() {
    let folder = TempDir::new().unwrap();
    let (control, _) = open(&folder).await;
    let (day, rolling) = (budget(1, 100, "day"), budget(2, 50, "rolling 24h"));
    assert!(control.lend(&[wish(&day, MIDNIGHT, 1)]).await.is_err(), "before the node has begun");
    control.begin_node(node(1, "a", "boot", true)).await.unwrap();
    control.tell_gateway(Update::Budgets(vec![day.clone(), rolling.clone()]));
    let unknown = budget(9, 1, "total");
    let wishes = [
        wish(&unknown, 0, 1),
        wish(&day, MIDNIGHT, 60),
        wish(&day, MIDNIGHT + 1, 60),
        wish(&rolling, 0, 50),
        wish(&rolling, 5, 50),
        wish(&day, MIDNIGHT, 60),
    ];
    let amounts: Vec<i64> = control.lend(&wishes).await.unwrap().iter().map(|one| one.amount.nano()).collect();
    assert_eq!(amounts, [0, 60, 0, 50, 0, 0], "only what there is, and only in its true windows");
    control.tell_gateway(Update::Budgets(vec![budget(1, 200, "day")]));
    control.tell_gateway(Update::ForgetBudgets(vec![rolling.id]));
    let granted = control.lend(&[wish(&day, MIDNIGHT, 60), wish(&rolling, 0, 1)]).await.unwrap();
    assert_eq!((granted[0].amount, granted[0].standing.limit), (usd(60), usd(200)));
    assert_eq!(granted[1].amount, Money::ZERO);
    control.give_back(&[(granted[0].lease, usd(120))]).await.unwrap();
    assert!(control.end_node().await.unwrap());
    assert!(control.lend(&[wish(&day, MIDNIGHT, 1)]).await.is_err(), "it has ended");
}

#[tokio::test]
async fn thresholds_are_said_once_in_a_window() {
    let folder = TempDir::new().unwrap();
    let (control, clock) = open(&folder).await;
    let (day, rolling) = (budget(1, 100, "day"), budget(2, 1_000, "rolling 24h"));
    control.begin_node(node(1, "a", "boot", true)).await.unwrap();
    control.tell_gateway(Update::Budgets(vec![day.clone(), rolling.clone()]));
    for budget in [&day, &rolling] {
        lock(control.budgets()).learn_thresholds(budget.id, vec![50, 80, 100]);
    }
    let granted = control.lend(&[wish(&day, MIDNIGHT, 100), wish(&rolling, 0, 1_000)]).await.unwrap();
    let leases: Vec<LeaseId> = granted.iter().map(|one| one.lease).collect();
    let said = |taken: crate::Taken| -> Vec<(BudgetId, u32)> {
        taken.crossed.iter().map(|one| (one.account.budget, one.percent)).collect()
    };
    assert_eq!(said(collect(&control, vec![used(call(1, 49, &leases))]).await), []);
    assert_eq!(said(collect(&control, vec![used(call(2, 40, &leases))]).await), [(day.id, 50), (day.id, 80)]);
    assert_eq!(said(collect(&control, vec![used(call(3, 0, &leases))]).await), []);
    assert_eq!(said(collect(&control, vec![used(call(4, 411, &leases))]).await), [(day.id, 100), (rolling.id, 50)]);
    // Also a process that has said nothing yet knows what was said.
    lock(control.said_thresholds()).clear();
    assert_eq!(said(collect(&control, vec![used(call(5, 0, &leases))]).await), []);
    let audit = control.store().audit(Some(&day.id.to_string()), None, 9).await.unwrap();
    assert_eq!(audit.iter().filter(|row| row.entry.action == "budget.threshold").count(), 3);
    assert_eq!(audit[0].entry.after["percent"], 100);
    clock.advance(2 * DAY);
    assert_eq!(said(collect(&control, vec![used(call(6, 0, &leases))]).await), [], "nothing of it counts any more");
}

#[tokio::test]
async fn what_an_earlier_run_left_is_accounted_for() {
    // Its name, its boot, whether the journal is whole, whether others may be alive; what goes back of 100 after a lost
    // call of 30, or None when it is left alone.
    for (name, boot, whole, alone, back) in [
        ("a", "boot", true, true, Some(70)),
        ("a", "boot", true, false, Some(70)),
        ("a", "another", true, false, Some(0)),
        ("a", "", true, true, Some(0)),
        ("a", "boot", false, true, Some(0)),
        ("b", "boot", true, true, Some(0)),
        ("b", "boot", true, false, None),
    ] {
        let folder = TempDir::new().unwrap();
        let (control, _) = open(&folder).await;
        let day = budget(1, 100, "day");
        let account = Account { budget: day.id, start: MIDNIGHT };
        control.store().begin_node(7, name, boot, NOW).await.unwrap();
        let asked = ask(&day, wish(&day, MIDNIGHT, 100), NOW).unwrap();
        let lease = control.store().lease(7, &[asked], NOW).await.unwrap()[0].lease;
        control.begin_node(node(8, "a", "boot", alone)).await.unwrap();
        control.tell_gateway(Update::Budgets(vec![day.clone()]));
        lock(control.budgets()).learn_thresholds(day.id, vec![50, 80, 100]);
        let lost = call(1, 30, &[lease]);
        collect(&control, vec![hold(&lost)]).await;
        let recovered = control.recover_nodes(whole).await.unwrap();
        let (spent, leased) = control.store().stand(account, None).await.unwrap();
        let calls = control.store().calls_of_key(lost.key, None, 9).await.unwrap();
        let place = format!("{name} {boot} {whole} {alone}");
        let Some(back) = back else {
            assert_eq!((recovered, spent, leased, calls), (vec![], usd(0), usd(100), vec![]), "{place}");
            continue;
        };
        assert_eq!((spent, leased), (usd(100 - back), usd(0)), "{place}");
        assert_eq!((recovered[0].lost_calls, recovered[0].lost), (1, usd(30)), "{place}");
        assert_eq!((calls[0].outcome, calls[0].basis, calls[0].cost), (Outcome::Lost, CostBasis::Estimated, usd(30)));
        assert_eq!(recovered[0].crossed.len(), if back == 0 { 3 } else { 0 }, "{place}");
        let audit = control.store().audit(Some("0000000000000007"), None, 9).await.unwrap();
        assert_eq!((audit.len(), audit[0].entry.action.as_str()), (1, "node.recover"), "{place}");
        assert_eq!(audit[0].entry.after["lost_calls"], 1);
        // Once: the call may come after all, and is known.
        assert_eq!(control.recover_nodes(whole).await.unwrap(), []);
        assert_eq!(collect(&control, vec![used(lost)]).await.collected.repeated, 1);
        assert_eq!(control.store().stand(account, None).await.unwrap().0, usd(100 - back), "{place}");
        assert_eq!(control.store().rebuild_accounts().await.unwrap(), [], "{place}");
    }
}

#[tokio::test]
async fn a_stop_with_calls_under_way_is_left_to_the_next_start() {
    let folder = TempDir::new().unwrap();
    let (control, _) = open(&folder).await;
    let day = budget(1, 100, "day");
    assert!(control.end_node().await.unwrap(), "nothing has begun");
    control.begin_node(node(1, "a", "boot", true)).await.unwrap();
    control.tell_gateway(Update::Budgets(vec![day.clone()]));
    let lease = control.lend(&[wish(&day, MIDNIGHT, 100)]).await.unwrap()[0].lease;
    let open = call(1, 30, &[lease]);
    collect(&control, vec![hold(&open)]).await;
    assert!(!control.end_node().await.unwrap());
    collect(&control, vec![used(open)]).await;
    assert!(control.end_node().await.unwrap());
    let account = Account { budget: day.id, start: MIDNIGHT };
    assert_eq!(control.store().stand(account, None).await.unwrap(), (usd(30), usd(0)));
    assert_eq!(control.store().running_nodes().await.unwrap(), []);
}
