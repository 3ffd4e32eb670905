//! Sealing: what opens, and with which error everything else fails.

use super::*;
use crate::{KeyState, Purpose};
use proptest::prelude::*;
use uuid::Uuid;

fn key() -> KeyringKey {
    KeyringKey::generate(Purpose::Wrap, KeyState::Active, 0).unwrap()
}

fn place() -> Place {
    Place { table: "credential", tenant: Uuid::from_u128(1), record: Uuid::from_u128(2), version: 3, field: "secret" }
}

fn sealed(key: &KeyringKey, text: &[u8]) -> Sealed {
    seal(key, &place(), &PlainKey::new(text.to_vec()), Fresh::draw().unwrap()).unwrap()
}

fn try_open(key: &KeyringKey, place: &Place, sealed: &Sealed) -> Result<Vec<u8>, Error> {
    open(|id| (id == key.id).then_some(key), place, sealed).map(|plain| {
        #[expect(clippy::disallowed_methods, reason = "a test looks at what it sealed")]
        plain.expose().to_vec()
    })
}

fn fault(key: &KeyringKey, bytes: Vec<u8>) -> Error {
    try_open(key, &place(), &Sealed::from_bytes(bytes)).expect_err("must not open")
}

#[test]
fn every_flipped_bit_is_refused_with_the_right_error() {
    let key = key();
    let whole = sealed(&key, b"a secret").as_bytes().to_vec();
    for position in 0..whole.len() {
        for bit in 0..8 {
            let mut bytes = whole.clone();
            bytes[position] ^= 1 << bit;
            let error = fault(&key, bytes);
            let right = match position {
                0 | 9 => matches!(error, Error::UnknownFormat { .. }),
                1..=8 => matches!(error, Error::UnknownWrappingKey { .. }),
                _ => matches!(error, Error::Tampered { .. }),
            };
            assert!(right, "byte {position}, bit {bit}: {error}");
            assert!(error.to_string().contains(&format!("credential {}", place().record)), "{error}");
        }
    }
}

/// A value made ready opens to the same, and every change is found: in what is wrapped at once, in the value on opening.
#[test]
fn a_ready_value_opens_as_often_as_one_likes_and_no_flipped_bit_passes() {
    let (key, shelf) = (key(), Shelf::default());
    let whole = sealed(&key, b"a secret").as_bytes().to_vec();
    let make = |bytes: Vec<u8>, place: &Place| {
        ready(|id| (id == key.id).then_some(&key), &shelf, place, &Sealed::from_bytes(bytes))
    };
    let good = make(whole.clone(), &place()).unwrap();
    for _ in 0..3 {
        #[expect(clippy::disallowed_methods, reason = "a test looks at what it sealed")]
        let same = good.open().unwrap().expose() == b"a secret";
        assert!(same);
    }
    assert!(!format!("{good:?}").contains("a secret"));
    for position in 0..whole.len() {
        let mut bytes = whole.clone();
        bytes[position] ^= 1;
        assert!(make(bytes, &place()).and_then(|ready| ready.open()).is_err(), "byte {position}");
    }
    let elsewhere = Place { version: 4, ..place() };
    assert!(make(whole, &elsewhere).is_err());
}

#[test]
fn what_is_cut_short_or_longer_is_refused() {
    let key = key();
    let whole = sealed(&key, b"a secret").as_bytes().to_vec();
    for length in 0..whole.len() {
        let error = fault(&key, whole[..length].to_vec());
        assert!(matches!(error, Error::Tampered { .. }), "cut to {length}: {error}");
    }
    assert!(matches!(fault(&key, [whole.as_slice(), &[0]].concat()), Error::Tampered { .. }));
}

#[test]
fn parts_of_two_ciphertexts_cannot_be_combined() {
    let key = key();
    let (one, two) = (sealed(&key, b"first"), sealed(&key, b"other"));
    for cut in [1 + 8 + 1 + KEY + SALT + WRAPPED, HEAD] {
        let mixed = [&one.as_bytes()[..cut], &two.as_bytes()[cut..]].concat();
        assert!(matches!(fault(&key, mixed), Error::Tampered { .. }), "cut at {cut}");
    }
}

#[test]
fn it_opens_nowhere_else() {
    let key = key();
    let sealed = sealed(&key, b"a secret");
    assert_eq!(try_open(&key, &place(), &sealed).unwrap(), b"a secret");
    let moved = [
        Place { table: "setting", ..place() },
        Place { tenant: Uuid::from_u128(9), ..place() },
        Place { record: Uuid::from_u128(9), ..place() },
        Place { version: 2, ..place() },
        Place { field: "token", ..place() },
        Place { tenant: place().record, record: place().tenant, ..place() },
        Place { table: "credentials", field: "ecret", ..place() },
    ];
    for place in moved {
        let error = try_open(&key, &place, &sealed).expect_err("must not open");
        assert!(matches!(error, Error::Tampered { .. }), "{place:?}: {error}");
    }
}

#[test]
fn a_wrong_key_is_told_apart_from_tampering() {
    let key = key();
    let sealed = sealed(&key, b"a secret");
    let other = KeyringKey::new(key.id, Purpose::Wrap, KeyState::Active, 0, &random_key().unwrap()).unwrap();
    let error = try_open(&other, &place(), &sealed).expect_err("must not open");
    assert!(matches!(&error, Error::WrongWrappingKey { id, .. } if *id == key.id.to_string()), "{error}");
    let stranger = self::key();
    let error = try_open(&stranger, &place(), &sealed).expect_err("must not open");
    assert!(matches!(&error, Error::UnknownWrappingKey { id, .. } if *id == key.id.to_string()), "{error}");
}

#[test]
fn rewrapping_moves_the_data_key_and_nothing_else() {
    let (old, new) = (key(), key());
    let before = sealed(&old, b"a secret");
    let after = rewrap(|_| Some(&old), &new, &place(), &before).unwrap().expect("moved");
    assert_eq!(try_open(&new, &place(), &after).unwrap(), b"a secret");
    assert_eq!(inspect(&after).unwrap().wrapping_key, new.id);
    let tail = HEAD - NONCE;
    assert_eq!(before.as_bytes()[tail..], after.as_bytes()[tail..]);
    assert!(rewrap(|_| None, &new, &place(), &after).unwrap().is_none(), "there already");
    let elsewhere = Place { version: 4, ..place() };
    assert!(matches!(rewrap(|_| Some(&old), &new, &elsewhere, &before), Err(Error::Tampered { .. })));
    assert!(matches!(rewrap(|_| None, &new, &place(), &before), Err(Error::UnknownWrappingKey { .. })));
}

#[test]
fn the_header_is_readable_without_a_key() {
    let key = key();
    let header = inspect(&sealed(&key, b"12345")).unwrap();
    assert_eq!(header, Header { format: 1, algorithm: 1, wrapping_key: key.id, length: 5 });
    assert!(matches!(inspect(&Sealed::from_bytes(vec![2; 200])), Err(Error::UnknownFormat { .. })));
    assert!(matches!(inspect(&Sealed::from_bytes(vec![1; HEAD + TAG - 1])), Err(Error::Tampered { .. })));
    assert!(matches!(inspect(&Sealed::from_bytes(Vec::new())), Err(Error::Tampered { .. })));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_goes_in_comes_out(text in proptest::collection::vec(any::<u8>(), 0..2_000), version: u64, record: u128) {
        let key = key();
        let place = Place { version, record: Uuid::from_u128(record), ..place() };
        let plain = PlainKey::new(text.clone());
        let one = seal(&key, &place, &plain, Fresh::draw().unwrap()).unwrap();
        let two = seal(&key, &place, &plain, Fresh::draw().unwrap()).unwrap();
        prop_assert_ne!(one.as_bytes(), two.as_bytes());
        prop_assert_eq!(one.as_bytes().len(), HEAD + text.len() + TAG);
        if text.len() >= 8 {
            prop_assert!(!one.as_bytes().windows(text.len()).any(|window| window == text));
        }
        prop_assert_eq!(try_open(&key, &place, &one).unwrap(), text);
    }

    #[test]
    fn whatever_bytes_come_in_are_refused_without_a_panic(mut bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        let key = key();
        let sealed = Sealed::from_bytes(bytes.clone());
        prop_assert!(try_open(&key, &place(), &sealed).is_err());
        // The same with a head that gets past the first checks.
        if let Some(head) = bytes.first_chunk_mut::<10>() {
            head[0] = FORMAT;
            head[1..9].copy_from_slice(&key.id.0);
            head[9] = ALGORITHM;
        }
        prop_assert!(try_open(&key, &place(), &Sealed::from_bytes(bytes)).is_err());
    }
}
