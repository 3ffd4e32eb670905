//! The vault as its callers see it. Rotation and change of the master key, cut off at every step, are in `tests/it`.

use super::*;
use uuid::Uuid;

fn made() -> (Vault, Vec<KeyringRow>) {
    Vault::initialise(MasterKey::generate().unwrap(), 1_000).unwrap()
}

fn plain(text: &str) -> PlainKey {
    PlainKey::new(text.as_bytes().to_vec())
}

fn place() -> Place {
    Place { table: "credential", tenant: Uuid::nil(), record: Uuid::nil(), version: 1, field: "secret" }
}

fn states(vault: &Vault, purpose: Purpose) -> Vec<KeyState> {
    vault.keyring().into_iter().filter(|key| key.purpose == purpose).map(|key| key.state).collect()
}

#[test]
fn a_new_keyring_has_one_key_of_each_kind_and_unlocks() {
    let text = MasterKey::generate().unwrap().to_text();
    let (vault, rows) = Vault::initialise(MasterKey::parse(&text, "x").unwrap(), 5).unwrap();
    let again = Vault::unlock(MasterKey::parse(&text, "x").unwrap(), &rows).unwrap();
    assert_eq!(vault.keyring(), again.keyring());
    for purpose in [Purpose::Wrap, Purpose::Mac, Purpose::Fingerprint] {
        assert_eq!(states(&again, purpose), [KeyState::Active]);
    }
    let sealed = vault.seal(&place(), &plain("a secret")).unwrap();
    assert!(again.open(&place(), &sealed).is_ok());
    assert_eq!(vault.row_mac("key", b"1", &[b"a"]), again.row_mac("key", b"1", &[b"a"]));
}

#[test]
fn a_wrong_master_key_says_so() {
    let (vault, rows) = made();
    let other = MasterKey::generate().unwrap();
    let (expected, got) = (vault.master_id().to_string(), other.id().to_string());
    let error = Vault::unlock(other, &rows).err().unwrap();
    assert!(error.to_string().contains(&format!("expected master key {expected}, got {got}")), "{error}");
}

#[test]
fn a_keyring_with_a_missing_row_is_refused_by_purpose() {
    let text = MasterKey::generate().unwrap().to_text();
    let key = || MasterKey::parse(&text, "x").unwrap();
    let (_, rows) = Vault::initialise(key(), 5).unwrap();
    for gone in 0..rows.len() {
        let mut rows = rows.clone();
        let purpose = rows.remove(gone).purpose.name();
        let error = Vault::unlock(key(), &rows).err().unwrap();
        assert!(matches!(error, Error::IncompleteKeyring { purpose: named } if named == purpose), "{error}");
    }
    assert!(matches!(Vault::unlock(key(), &[]), Err(Error::EmptyKeyring)));
}

#[test]
fn rotating_changes_nothing_until_it_is_adopted() {
    let (vault, _) = made();
    let before = vault.keyring();
    let rows = vault.rotate(2_000).unwrap();
    assert_eq!(vault.keyring(), before);
    vault.adopt(&rows).unwrap();
    assert_eq!(states(&vault, Purpose::Wrap), [KeyState::Retiring, KeyState::Active]);
    assert_eq!(vault.active_wrapping_key().to_string(), rows[0].id);
    assert_eq!(states(&vault, Purpose::Mac), [KeyState::Active]);
}

#[test]
fn the_new_key_counts_even_when_the_clock_went_back() {
    let (vault, _) = made();
    let rows = vault.rotate(1).unwrap();
    vault.adopt(&rows).unwrap();
    assert_eq!(vault.active_wrapping_key().to_string(), rows[0].id);
}

#[test]
fn two_nodes_that_rotate_at_once_agree() {
    let text = MasterKey::generate().unwrap().to_text();
    let key = || MasterKey::parse(&text, "x").unwrap();
    let (one, rows) = Vault::initialise(key(), 5).unwrap();
    let two = Vault::unlock(key(), &rows).unwrap();
    let (first, second) = (one.rotate(10).unwrap(), two.rotate(10).unwrap());
    for vault in [&one, &two] {
        vault.adopt(&first).unwrap();
        vault.adopt(&second).unwrap();
    }
    assert_eq!(one.active_wrapping_key(), two.active_wrapping_key());
    let next = one.rotate(20).unwrap();
    one.adopt(&next).unwrap();
    let active = states(&one, Purpose::Wrap).into_iter().filter(|state| *state == KeyState::Active).count();
    assert_eq!(active, 1, "the next rotation clears it up");
}

#[test]
fn only_keys_that_nobody_needs_are_retired_and_even_those_open() {
    let (vault, _) = made();
    let old = vault.active_wrapping_key().to_string();
    let straggler = vault.seal(&place(), &plain("left behind")).unwrap();
    vault.adopt(&vault.rotate(2_000).unwrap()).unwrap();
    assert!(vault.retire(std::slice::from_ref(&old)).unwrap().is_empty(), "still in use");
    let rows = vault.retire(&[]).unwrap();
    assert_eq!(rows.iter().map(|row| (row.id.as_str(), row.state)).collect::<Vec<_>>(), [(&*old, KeyState::Retired)]);
    vault.adopt(&rows).unwrap();
    assert!(vault.open(&place(), &straggler).is_ok());
    assert!(vault.rewrap(&place(), &straggler).unwrap().is_some());
}

#[test]
fn rows_that_do_not_fit_leave_the_vault_as_it_was() {
    let (vault, rows) = made();
    let before = vault.keyring();
    let mut changed = rows;
    changed[0].state = KeyState::Retired;
    assert!(matches!(vault.adopt(&changed), Err(Error::KeyringTampered { .. })));
    let (_, foreign) = made();
    assert!(matches!(vault.adopt(&foreign), Err(Error::WrongMasterKey { .. })));
    assert!(matches!(vault.adopt(&[]), Err(Error::EmptyKeyring)));
    assert_eq!(vault.keyring(), before);
}

#[test]
fn calls_open_while_the_keyring_changes() {
    let (vault, _) = made();
    let sealed = vault.seal(&place(), &plain("a secret")).unwrap();
    let sealed = &sealed;
    std::thread::scope(|scope| {
        let readers: Vec<_> = (0..2)
            .map(|_| scope.spawn(|| (0..2_000).filter(|_| vault.open(&place(), sealed).is_ok()).count()))
            .collect();
        for now in 0..20 {
            vault.adopt(&vault.rotate(now).unwrap()).unwrap();
        }
        for reader in readers {
            assert_eq!(reader.join().unwrap(), 2_000);
        }
    });
    assert_eq!(states(&vault, Purpose::Wrap).len(), 21);
}

#[test]
fn row_seals_hold_for_exactly_one_row() {
    let (vault, _) = made();
    let mac = vault.row_mac("key", b"id-1", &[b"policy", b"active"]);
    assert!(vault.row_mac_holds("key", b"id-1", &[b"policy", b"active"], &mac));
    // Table, record, and the fields with a bar between them.
    for (table, record, fields) in [
        ("token", "id-1", "policy|active"),
        ("key", "id-2", "policy|active"),
        ("key", "id-1", "policy|revoked"),
        ("key", "id-1", "policya|ctive"),
        ("key", "id-1", "policyactive"),
        ("key", "id-1", "policy|active|"),
        ("keyid", "-1", "policy|active"),
    ] {
        let fields: Vec<&[u8]> = fields.split('|').map(str::as_bytes).collect();
        assert!(!vault.row_mac_holds(table, record.as_bytes(), &fields, &mac), "{table} {record} {fields:?}");
    }
    assert!(!vault.row_mac_holds("key", b"id-1", &[b"policy", b"active"], &mac[..31]));
    assert!(!vault.row_mac_holds("key", b"id-1", &[b"policy", b"active"], &[]));
    assert!(!made().0.row_mac_holds("key", b"id-1", &[b"policy", b"active"], &mac), "another installation");
}

#[test]
fn fingerprints_tell_secrets_and_providers_apart_but_not_blank_space() {
    let (vault, _) = made();
    let print = vault.fingerprint("openai", &plain("abc"));
    assert_eq!(print, vault.fingerprint("openai", &plain("  abc\r\n")));
    assert_ne!(print, vault.fingerprint("openai", &plain("abd")));
    assert_ne!(print, vault.fingerprint("groq", &plain("abc")));
    assert_ne!(print, made().0.fingerprint("openai", &plain("abc")), "another installation");
}

#[test]
fn a_question_about_a_secret_is_answered_by_its_mark() {
    let (vault, _) = made();
    let print = vault.leak_key().of_secret(b"abc");
    assert_eq!(vault.leak_mark(&print), vault.leak_mark_of(&plain(" abc\n")));
    assert_ne!(vault.leak_mark(&print), print.0, "what is stored is not what is asked");
    assert_ne!(vault.leak_mark_of(&plain("abd")), vault.leak_mark(&print));
    let other = made().0;
    assert_ne!(other.leak_key().bytes(), vault.leak_key().bytes());
    assert_ne!(other.leak_mark(&print), vault.leak_mark(&print));
}

#[test]
fn the_recovery_copy_gives_the_master_key_back() {
    let (vault, rows) = made();
    let kept = recovery::generate();
    let blob = vault.recovery_blob(&kept.recipient).unwrap();
    let master = recovery::recover(&kept.identity, &blob).unwrap();
    assert_eq!(master.id(), vault.master_id());
    let sealed = vault.seal(&place(), &plain("a secret")).unwrap();
    assert!(Vault::unlock(master, &rows).unwrap().open(&place(), &sealed).is_ok());
}
