//! Rows and events for stories, made up from a number.

use keyward_domain::{
    BudgetId, CredentialId, Environment, KeyId, Millis, Money, ProjectId, RequestId, TokenId,
    audit::Actor,
    secret::Sealed,
    usage::{Buckets, CostBasis, Outcome, Units, Usage, UsageEvent},
};
use keyward_store::{
    AuditSeal, BudgetRow, Change, CredentialRow, CredentialVersionRow, KeyRow, KeyStatus, ProjectRow, RatesRow, Store,
    TokenRow, Write,
};
use std::{
    net::{IpAddr, Ipv4Addr},
    sync::Arc,
};

/// 2026-11-21T00:00:00Z.
pub(crate) const MIDNIGHT: Millis = 1_795_219_200_000;
pub(crate) const NOW: Millis = MIDNIGHT + 10 * 3_600_000;

pub(crate) fn filling(number: u32) -> [u8; 10] {
    let mut bytes = [0; 10];
    bytes[6..].copy_from_slice(&number.to_be_bytes());
    bytes
}

pub(crate) fn project_id(number: u32) -> ProjectId {
    ProjectId::new(NOW, filling(number))
}

pub(crate) fn key_id(number: u32) -> KeyId {
    KeyId::new(NOW, filling(number))
}

pub(crate) fn credential_id(number: u32) -> CredentialId {
    CredentialId::new(NOW, filling(number))
}

pub(crate) fn request_id(at: Millis, number: u32) -> RequestId {
    RequestId::new(at, filling(number))
}

pub(crate) fn mac(number: u32) -> Vec<u8> {
    (0..32).map(|index| u8::try_from((number + index) % 256).unwrap()).collect()
}

pub(crate) fn project(number: u32) -> ProjectRow {
    ProjectRow {
        id: project_id(number),
        name: format!("project {number}"),
        status: "active".to_owned(),
        policy: r#"{"providers":["openai"],"x":"ü"}"#.to_owned(),
        created_at: NOW,
        updated_at: NOW,
        archived_at: None,
        row_version: 1,
        mac: mac(number),
    }
}

pub(crate) fn credential(number: u32, project: u32) -> CredentialRow {
    CredentialRow {
        id: credential_id(number),
        project: project_id(project),
        environment: number.is_multiple_of(2).then_some(Environment::Production),
        provider: "openai".to_owned(),
        name: format!("credential {number}"),
        status: "active".to_owned(),
        base_url: (number == 1).then(|| "http://127.0.0.1:9100/v1".to_owned()),
        allow_private: number == 1,
        order: number,
        weight: u32::MAX,
        version: 1,
        fingerprint: mac(number + 7),
        created_at: NOW,
        updated_at: NOW,
        row_version: 1,
        mac: mac(number),
    }
}

pub(crate) fn credential_version(number: u32, version: u64) -> CredentialVersionRow {
    CredentialVersionRow {
        credential: credential_id(number),
        version,
        sealed: Sealed::from_bytes((0..=255).collect()),
        wrapping_key: "old".to_owned(),
        fingerprint: mac(number + 7),
        created_at: NOW,
        erased_at: None,
        leak_mark: (version == 2).then(|| mac(number)),
    }
}

pub(crate) fn key(number: u32, project: u32) -> KeyRow {
    KeyRow {
        id: key_id(number),
        public_id: format!("{number:012}").parse().unwrap(),
        project: project_id(project),
        environment: if number.is_multiple_of(2) { Environment::Staging } else { Environment::Production },
        name: format!("key {}", number % 10),
        status: if number.is_multiple_of(3) { KeyStatus::Revoked } else { KeyStatus::Active },
        style: "kw".to_owned(),
        secrets: format!(r#"[{{"hash":"{}"}}]"#, keyward_domain::digest::hex(&mac(number))),
        policy: "{}".to_owned(),
        expires_at: (number == 5).then_some(i64::MAX),
        created_at: NOW,
        updated_at: NOW,
        revoked_at: None,
        row_version: 1,
        mac: mac(number),
    }
}

/// Budgets of each kind of scope in turn.
pub(crate) fn budget(number: u32) -> BudgetRow {
    let kind = ["organisation", "project", "environment", "key"][number as usize % 4];
    BudgetRow {
        id: BudgetId::new(NOW, filling(number)),
        scope: kind.to_owned(),
        project: (kind != "organisation").then(|| project_id(0)),
        environment: matches!(kind, "environment" | "key").then_some(Environment::Staging),
        key: (kind == "key").then(|| key_id(2)),
        amount: i64::MAX - i64::from(number),
        window: "month Europe/Vienna".to_owned(),
        thresholds: "[50,80,100]".to_owned(),
        status: if number >= 4 { "archived" } else { "active" }.to_owned(),
        created_at: NOW,
        updated_at: NOW,
        archived_at: (number >= 4).then_some(NOW),
        row_version: 1,
        mac: mac(number),
    }
}

pub(crate) fn rates(scope: &str) -> RatesRow {
    RatesRow {
        scope: scope.to_owned(),
        requests_per_minute: Some(600),
        tokens_per_minute: None,
        concurrency: Some(u32::MAX),
        updated_at: NOW,
        row_version: 1,
        mac: mac(1),
    }
}

pub(crate) fn token(number: u32) -> TokenRow {
    TokenRow {
        id: TokenId::new(NOW, filling(number)),
        name: format!("token {number}"),
        role: "owner".to_owned(),
        hash: mac(number),
        created_at: NOW,
        expires_at: None,
        revoked_at: None,
        row_version: 1,
        mac: mac(number),
    }
}

/// A call with something in every field.
pub(crate) fn call(number: u32, at: Millis) -> UsageEvent {
    UsageEvent {
        id: request_id(at, number),
        at,
        key: key_id(number % 3),
        project: project_id(number % 2),
        environment: Environment::Production,
        provider: "openai".into(),
        model: if number.is_multiple_of(2) { "gpt-a" } else { "gpt-b" }.into(),
        operation: "chat".into(),
        credential: credential_id(1),
        usage: Usage {
            buckets: Buckets {
                input: 1_000 + u64::from(number),
                cache_read: 2,
                cache_write: 3,
                cache_write_long: 4,
                output: 50,
                reasoning: 6,
                audio_input: 7,
                audio_output: 8,
                image_input: 9,
                image_output: 10,
            },
            units: Units {
                searches: 1,
                millis: 2,
                characters: 3,
                images: 4,
                pages: 5,
                preview_searches: 6,
                file_searches: 7,
                code_runs: 8,
            },
            provider_cost: Some(Money::from_nano(12)),
            tier: Some("flex".into()),
            model: Some("gpt-a-2026".into()),
            region: Some("us".into()),
        },
        cost: Money::from_nano(1_000),
        basis: CostBasis::Priced,
        price_version: "2026-11-01".into(),
        status: 200,
        outcome: Outcome::Completed,
        first_byte_us: 300,
        total_us: 4_000,
        client: IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1)),
        user_agent: "curl/8.5".into(),
        secret_slot: 1,
        upstream_id: "req_1".into(),
        held: None,
        leases: Vec::new(),
    }
}

pub(crate) fn change(action: &str, subject: &str) -> Change {
    Change {
        action: action.to_owned(),
        subject_kind: action.split('.').next().unwrap().to_owned(),
        subject: subject.to_owned(),
        before: serde_json::Value::Null,
        after: serde_json::json!({"name": subject}),
        reason: Some("because".to_owned()),
        row_version: None,
    }
}

/// Seals audit rows with a hash, which is all that stories need.
pub(crate) struct Hash;

impl AuditSeal for Hash {
    fn code(&self, seq: i64, fields: &[&[u8]]) -> Vec<u8> {
        let mut text = seq.to_be_bytes().to_vec();
        for field in fields {
            text.extend(field.len().to_be_bytes());
            text.extend_from_slice(field);
        }
        keyward_domain::digest::sha256(&text).to_vec()
    }

    fn holds(&self, seq: i64, fields: &[&[u8]], code: &[u8]) -> bool {
        self.code(seq, fields) == code
    }
}

pub(crate) fn somebody() -> Actor {
    Actor::Token { id: TokenId::new(NOW, filling(1)), name: "Ann".to_owned() }
}

pub(crate) async fn begin(store: &Store) -> Write {
    begin_at(store, NOW).await
}

/// The same at another moment.
pub(crate) async fn begin_at(store: &Store, now: Millis) -> Write {
    store.seal_audit_with(Arc::new(Hash));
    store.write(somebody(), Some(IpAddr::V4(Ipv4Addr::LOCALHOST)), now).await.unwrap()
}

/// Commits with one audit entry.
pub(crate) async fn commit(write: Write) -> keyward_store::Committed {
    write.commit(vec![change("test.write", "it")]).await.unwrap()
}

/// A store with projects 0 and 1, two credentials with a secret each, and ten keys.
pub(crate) async fn furnish(store: &Store) {
    let mut write = begin(store).await;
    for number in 0..2 {
        write.insert_project(&project(number)).await.unwrap();
    }
    for number in 1..3 {
        write.insert_credential(&credential(number, 0)).await.unwrap();
        write.insert_credential_version(&credential_version(number, 1)).await.unwrap();
    }
    for number in 0..10 {
        write.insert_key(&key(number, number % 2)).await.unwrap();
    }
    commit(write).await;
}
