//! Measures what the store costs: CPU time per collected event, and reading 100,000 keys. Run it optimised:
//! `cargo run --release -p keyward-store --example measure [postgres://…]`. Without an address it uses a SQLite file in
//! a temporary directory.

#![expect(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a program that prints figures and may stop at any error"
)]

use keyward_domain::{
    BudgetId, CredentialId, Environment, KeyId, Millis, Money, ProjectId, RequestId,
    audit::Actor,
    budget::{Account, Hold, LeaseId, Wish},
    usage::{Buckets, CostBasis, Outcome, Units, Usage, UsageEvent},
};
use keyward_store::{AuditSeal, Batch, Change, KeyRow, KeyStatus, LeaseAsk, Location, Position, ProjectRow, Store};
use std::{sync::Arc, time::Instant};

/// Seals audit rows about as dearly as the vault does.
struct Hash;

impl AuditSeal for Hash {
    fn code(&self, seq: i64, fields: &[&[u8]]) -> Vec<u8> {
        keyward_domain::digest::sha256(&[fields.concat(), seq.to_be_bytes().to_vec()].concat()).to_vec()
    }

    fn holds(&self, seq: i64, fields: &[&[u8]], code: &[u8]) -> bool {
        self.code(seq, fields) == code
    }
}

const NOW: Millis = 1_795_219_200_000;
const EVENTS: u32 = 200_000;
const KEYS: u32 = 100_000;

fn filling(number: u32) -> [u8; 10] {
    let mut bytes = [0; 10];
    bytes[2..6].copy_from_slice(&number.to_be_bytes());
    bytes[6..].copy_from_slice(&number.wrapping_mul(0x9E37_79B9).to_be_bytes());
    bytes
}

/// A call as it usually is: some token counts, nothing rare.
fn call(number: u32, keys: u32) -> UsageEvent {
    let at = NOW + i64::from(number) / 5;
    UsageEvent {
        id: RequestId::new(at, filling(number)),
        at,
        key: KeyId::new(NOW, filling(number % keys)),
        project: ProjectId::new(NOW, filling(0)),
        environment: Environment::Production,
        provider: "openai".into(),
        model: if number.is_multiple_of(2) { "gpt-5-mini" } else { "gpt-5" }.into(),
        operation: "chat".into(),
        credential: CredentialId::new(NOW, filling(0)),
        usage: Usage {
            buckets: Buckets { input: u64::from(number % 4_000), output: 250, reasoning: 64, ..Buckets::default() },
            units: Units::default(),
            provider_cost: None,
            region: None,
            tier: Some("default".into()),
            model: Some("gpt-5-2026-08-07".into()),
        },
        cost: Money::from_nano(123_456),
        basis: CostBasis::Priced,
        price_version: "2026-11-21".into(),
        status: 200,
        outcome: Outcome::Completed,
        first_byte_us: 312_000,
        total_us: 2_412_000,
        client: std::net::IpAddr::from([203, 0, 113, 7]),
        user_agent: "OpenAI/Python 2.7.1".into(),
        secret_slot: 0,
        upstream_id: "chatcmpl-BxYz0123456789abcdefABCDEF".into(),
        held: None,
        leases: Vec::new(),
    }
}

/// CPU time of this process so far, in microseconds: its own, and the kernel's on its behalf.
fn cpu() -> (f64, f64) {
    let usage = nix::sys::resource::getrusage(nix::sys::resource::UsageWho::RUSAGE_SELF).unwrap();
    let micros = |time: nix::sys::time::TimeVal| time.tv_sec() as f64 * 1e6 + time.tv_usec() as f64;
    (micros(usage.user_time()), micros(usage.system_time()))
}

/// Three budgets above each key: its own, its project's, and the organisation's.
async fn lend(store: &Store, keys: u32) -> Vec<[LeaseId; 3]> {
    let ask = |budget: u32| LeaseAsk {
        wish: Wish {
            account: Account { budget: BudgetId::new(NOW, filling(budget)), start: NOW },
            needed: Money::from_nano(1),
            wanted: Money::from_nano(1 << 50),
        },
        limit: Money::from_nano(1 << 60),
        ends_at: i64::MAX,
        rolling: None,
    };
    let asks: Vec<LeaseAsk> = (0..keys + 2).map(ask).collect();
    let mut leases = Vec::new();
    for asks in asks.chunks(256) {
        leases.extend(store.lease(1, asks, NOW).await.unwrap().into_iter().map(|granted| granted.lease));
    }
    (0..keys as usize).map(|key| [leases[key + 2], leases[1], leases[0]]).collect()
}

/// How the events name leases.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Budgets {
    /// Not at all.
    None,
    /// Three each; all that began has ended in the same batch.
    Three,
    /// Three each; every call ends in the batch after the one it began in.
    ThreeHeld,
}

fn hold(call: &UsageEvent) -> Hold {
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
        amount: call.cost,
        leases: call.leases.clone(),
        price_version: call.price_version.clone(),
    }
}

async fn collect(store: &Store, first: u32, size: usize, keys: u32, budgets: Budgets) {
    let leases = if budgets == Budgets::None { Vec::new() } else { lend(store, keys).await };
    let mut events: Vec<UsageEvent> = (0..EVENTS).map(|number| call(first + number, keys)).collect();
    for (event, number) in events.iter_mut().zip(first..).filter(|_| budgets != Budgets::None) {
        event.held = Some(event.cost);
        event.leases = leases[(number % keys) as usize].to_vec();
    }
    let holds: Vec<Hold> = events.iter().filter(|event| event.held.is_some()).map(hold).collect();
    // What is held in a batch: its own calls, or those of the next.
    let mut holds = holds.chunks(size).map(<[Hold]>::to_vec);
    if budgets == Budgets::ThreeHeld {
        drop(holds.next());
    }
    let batches: Vec<Batch> = events
        .chunks(size)
        .zip(1..)
        .map(|(usage, seq)| Batch {
            usage: usage.to_vec(),
            holds: holds.next().unwrap_or_default(),
            positions: vec![Position { stream: "s".to_owned(), seq }],
            ..Batch::default()
        })
        .collect();
    let (began, before) = (Instant::now(), cpu());
    for batch in &batches {
        store.collect(batch).await.unwrap();
    }
    let after = cpu();
    let (own, kernel) = ((after.0 - before.0) / f64::from(EVENTS), (after.1 - before.1) / f64::from(EVENTS));
    println!(
        "collect {EVENTS} events of {keys} keys in batches of {size}, budgets {budgets:?}: {:.2} us CPU ({own:.2} own, {kernel:.2} kernel), \
         {:.2} us wall per event",
        own + kernel,
        began.elapsed().as_secs_f64() * 1e6 / f64::from(EVENTS)
    );
}

async fn add_keys(store: &Store) {
    let mut write = store.write(Actor::Operator, None, NOW).await.unwrap();
    let project = ProjectRow {
        id: ProjectId::new(NOW, filling(0)),
        name: "measured".to_owned(),
        status: "active".to_owned(),
        policy: "{}".to_owned(),
        created_at: NOW,
        updated_at: NOW,
        archived_at: None,
        row_version: 1,
        mac: vec![0; 32],
    };
    write.insert_project(&project).await.unwrap();
    for number in 0..KEYS {
        let row = KeyRow {
            id: KeyId::new(NOW, filling(number)),
            public_id: format!("{number:012}").parse().unwrap(),
            project: project.id,
            environment: Environment::Production,
            name: format!("key {number}"),
            status: KeyStatus::Active,
            style: "kw".to_owned(),
            secrets: format!(r#"[{{"hash":"{}"}}]"#, "0".repeat(64)),
            policy: r#"{"providers":["openai"],"models":["gpt-*"],"requests_per_minute":60}"#.to_owned(),
            expires_at: None,
            created_at: NOW,
            updated_at: NOW,
            revoked_at: None,
            row_version: 1,
            mac: vec![0; 32],
        };
        write.insert_key(&row).await.unwrap();
    }
    let said = |number: u32| Change {
        action: "key.create".to_owned(),
        subject_kind: "key".to_owned(),
        subject: KeyId::new(NOW, filling(number)).to_string(),
        before: serde_json::Value::Null,
        after: serde_json::json!({
            "name": format!("key {number}"), "public_id": format!("{number:012}"), "project": project.id.to_string(),
            "environment": "production", "status": "active", "expires_at": null,
            "policy": {"providers": ["openai"], "models": ["gpt-*"], "requests_per_minute": 60}
        }),
        reason: None,
        row_version: Some(1),
    };
    write.commit((0..KEYS).map(said).collect()).await.unwrap();
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let files = tempfile::TempDir::new().unwrap();
    let location = match std::env::args().nth(1) {
        Some(address) => address.parse().unwrap(),
        None => Location::File(files.path().join("keyward.db")),
    };
    let store = Store::open(&location).await.unwrap();
    store.seal_audit_with(Arc::new(Hash));
    println!("{}", store.kind());
    store.begin_node(1, "measured", "boot", NOW).await.unwrap();
    let rounds = [
        (500, 50, Budgets::None),
        (1_000, 50, Budgets::None),
        (2_000, 50, Budgets::None),
        (1_000, 1_000, Budgets::None),
        (1_000, 50, Budgets::Three),
        (1_000, 1_000, Budgets::Three),
        (1_000, 50, Budgets::ThreeHeld),
        (1_000, 1_000, Budgets::ThreeHeld),
    ];
    for (round, (size, keys, budgets)) in rounds.into_iter().enumerate() {
        collect(&store, u32::try_from(round).unwrap() * EVENTS, size, keys, budgets).await;
    }
    let began = Instant::now();
    add_keys(&store).await;
    println!("insert {KEYS} keys: {:.2} s", began.elapsed().as_secs_f64());
    store.close().await;
    let (began, before) = (Instant::now(), cpu());
    let store = Store::open(&location).await.unwrap();
    let opened = cpu();
    let spent = (opened.0 + opened.1 - before.0 - before.1) / 1e6;
    println!("open: {:.3} s, {spent:.3} s CPU", began.elapsed().as_secs_f64());
    let mut count = 0;
    store.each_key(None, |_| count += 1).await.unwrap();
    let after = cpu();
    let spent = (after.0 + after.1 - before.0 - before.1) / 1e6;
    println!("open and read {count} keys: {:.3} s, {spent:.3} s CPU", began.elapsed().as_secs_f64());
    store.seal_audit_with(Arc::new(Hash));
    let (began, before, mut count) = (Instant::now(), after, 0);
    store.each_audited_version(keyward_store::Kinds::All, |version| count += u32::from(version.holds)).await.unwrap();
    let extent = store.audit_extent().await.unwrap();
    let after = cpu();
    let spent = (after.0 + after.1 - before.0 - before.1) / 1e6;
    let took = began.elapsed().as_secs_f64();
    println!("read {count} audited versions of {} rows: {took:.3} s, {spent:.3} s CPU", extent.rows);
    if let Location::File(path) = &location {
        println!("file: {} MB", std::fs::metadata(path).unwrap().len() >> 20);
    }
}
