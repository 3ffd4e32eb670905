//! Stored formats that must open for ever. The file was made once, by another implementation, from fixed keys and fixed
//! randomness. It never changes: a new format gets a file of its own.

use keyward_domain::{
    digest::unhex,
    secret::{Place, PlainKey, Sealed},
};
use keyward_vault::{KeyringRow, MasterKey, Vault, seal};
use serde::Deserialize;
use uuid::Uuid;
use zeroize::Zeroizing;

#[derive(Deserialize)]
struct Fixture {
    master_key: String,
    master_key_id: String,
    keyring: Vec<Row>,
    sealed: Vec<Value>,
    row_mac: RowMac,
    fingerprint: Print,
}

#[derive(Deserialize)]
struct Row {
    id: String,
    purpose: String,
    state: String,
    created_at: i64,
    master_id: String,
    wrapped: String,
}

#[derive(Deserialize)]
struct Value {
    table: String,
    tenant: Uuid,
    record: Uuid,
    version: u64,
    field: String,
    wrapping_key: String,
    plain: String,
    sealed: String,
}

#[derive(Deserialize)]
struct RowMac {
    table: String,
    record: String,
    fields: Vec<String>,
    mac: String,
}

#[derive(Deserialize)]
struct Print {
    provider: String,
    secret: String,
    fingerprint: String,
}

fn bytes(text: &str) -> Vec<u8> {
    unhex(text).expect("hex")
}

fn format_1() -> (Vault, Fixture) {
    let fixture: Fixture = serde_json::from_str(include_str!("../vectors/format-1.json")).unwrap();
    let key: [u8; 32] = bytes(&fixture.master_key).try_into().unwrap();
    let master = MasterKey::from_bytes(Zeroizing::new(key)).unwrap();
    assert_eq!(master.id().to_string(), fixture.master_key_id);
    let rows: Vec<KeyringRow> = fixture
        .keyring
        .iter()
        .map(|row| KeyringRow {
            id: row.id.clone(),
            purpose: row.purpose.parse().unwrap(),
            state: row.state.parse().unwrap(),
            created_at: row.created_at,
            master_id: row.master_id.clone(),
            wrapped: bytes(&row.wrapped),
        })
        .collect();
    (Vault::unlock(master, &rows).unwrap(), fixture)
}

fn place(value: &Value) -> Place {
    Place {
        table: Box::leak(value.table.clone().into_boxed_str()),
        tenant: value.tenant,
        record: value.record,
        version: value.version,
        field: Box::leak(value.field.clone().into_boxed_str()),
    }
}

#[test]
fn format_1_opens_for_ever() {
    let (vault, fixture) = format_1();
    assert_eq!(fixture.sealed.len(), 4);
    for value in &fixture.sealed {
        let sealed = Sealed::from_bytes(bytes(&value.sealed));
        let header = seal::inspect(&sealed).unwrap();
        assert_eq!((header.format, header.wrapping_key.to_string()), (1, value.wrapping_key.clone()));
        let plain = vault.open(&place(value), &sealed).unwrap();
        #[expect(clippy::disallowed_methods, reason = "a test looks at what a fixture holds")]
        let plain = plain.expose();
        assert_eq!(plain, value.plain.as_bytes());
    }
}

#[test]
fn format_1_moves_to_the_active_key() {
    let (vault, fixture) = format_1();
    for value in &fixture.sealed {
        let sealed = Sealed::from_bytes(bytes(&value.sealed));
        let moved = vault.rewrap(&place(value), &sealed).unwrap();
        assert_eq!(moved.is_none(), value.wrapping_key == vault.active_wrapping_key().to_string());
        assert!(vault.open(&place(value), &moved.unwrap_or(sealed)).is_ok());
    }
}

#[test]
fn row_seals_and_fingerprints_stay_what_they_were() {
    let (vault, fixture) = format_1();
    let RowMac { table, record, fields, mac } = &fixture.row_mac;
    let fields: Vec<Vec<u8>> = fields.iter().map(|field| bytes(field)).collect();
    let fields: Vec<&[u8]> = fields.iter().map(Vec::as_slice).collect();
    assert_eq!(vault.row_mac(table, &bytes(record), &fields).as_slice(), bytes(mac));
    let Print { provider, secret, fingerprint } = &fixture.fingerprint;
    let print = vault.fingerprint(provider, &PlainKey::new(secret.clone().into_bytes()));
    assert_eq!(print.0.as_slice(), bytes(fingerprint));
}
