//! Recovery: round trips, proofs, and what is said when the wrong thing is given.

use super::*;

fn bad_recipient(text: &str) -> String {
    check_recipient(text).expect_err("must be refused").to_string()
}

fn bad_identity(text: &str) -> String {
    recipient_of(text).expect_err("must be refused").to_string()
}

#[test]
fn the_holder_of_the_identity_can_prove_it() {
    let kept = generate();
    let asked = challenge(&kept.recipient).unwrap();
    let answered = answer(&kept.identity, &asked.question).unwrap();
    assert!(proves(&asked.expected, &answered));
    let again = challenge(&kept.recipient).unwrap();
    assert!(!proves(&again.expected, &answered), "an old answer does not serve twice");
    assert!(!proves(&asked.expected, &answered[..31]) && !proves(&asked.expected, &[]));
    assert!(matches!(answer(&generate().identity, &asked.question), Err(Error::WrongIdentity { .. })));
}

#[test]
fn another_identity_and_a_damaged_copy_are_told_apart() {
    let kept = generate();
    let master = MasterKey::generate().unwrap();
    let blob = wrap(&master, &kept.recipient).unwrap();
    assert_eq!(recover(&kept.identity, &blob).unwrap().id(), master.id());
    assert!(matches!(recover(&generate().identity, &blob), Err(Error::WrongIdentity { .. })));
    for position in 0..blob.len() {
        let mut changed = blob.clone();
        changed[position] ^= 1;
        let error = recover(&kept.identity, &changed).err().unwrap_or_else(|| panic!("byte {position} went unnoticed"));
        assert!(matches!(error, Error::Damaged { .. } | Error::WrongIdentity { .. }), "byte {position}: {error}");
        assert!(matches!(recover(&kept.identity, &blob[..position]), Err(Error::Damaged { .. })), "cut at {position}");
    }
}

#[test]
fn what_is_no_master_key_is_not_taken_for_one() {
    let kept = generate();
    for secret in [b"not a master key".to_vec(), vec![b'a'; 10_000], vec![0xff; 64]] {
        let blob = encrypt_small(&kept.recipient, &secret).unwrap();
        assert!(matches!(recover(&kept.identity, &blob), Err(Error::BadMasterKey { .. } | Error::Damaged { .. })));
    }
}

#[test]
fn a_recipient_that_is_none_says_what_it_is() {
    let kept = generate();
    assert_eq!(check_recipient(&format!(" {}\n", kept.recipient)).unwrap(), kept.recipient);
    assert!(bad_recipient("").contains("it is empty"));
    let said = bad_recipient(&kept.identity);
    assert!(said.contains("must stay offline") && !said.contains(&*kept.identity), "{said}");
    let mut typo = kept.recipient;
    typo.replace_range(10..11, if &typo[10..11] == "q" { "p" } else { "q" });
    assert!(bad_recipient(&typo).contains("missing or wrong"));
    assert!(bad_recipient("ssh-ed25519 AAAA").contains("begins with age1"));
}

#[test]
fn an_identity_that_is_none_says_what_it_is() {
    let kept = generate();
    assert!(kept.identity.starts_with("AGE-SECRET-KEY-1"));
    assert_eq!(recipient_of(&format!("# a comment\n\n  {}\n", &*kept.identity)).unwrap(), kept.recipient);
    assert_eq!(recipient_of(&kept.identity.to_lowercase()).unwrap(), kept.recipient);
    assert!(bad_identity("# only a comment\n").contains("it is empty"));
    assert!(bad_identity(&kept.recipient).contains("public recipient"));
    assert!(bad_identity("hello").contains("expected the line"));
    let two = format!("{}\n{}", &*kept.identity, &*kept.identity);
    assert!(bad_identity(&two).contains("more than one line"));
    let cut = &kept.identity[..kept.identity.len() - 1];
    let said = bad_identity(cut);
    assert!(said.contains("missing or wrong") && !said.contains(cut), "{said}");
}

#[test]
fn streams_of_every_length_come_back() {
    let kept = generate();
    for length in [0, 1, 65_535, 65_536, 65_537, 200_000] {
        let text: Vec<u8> = (0..=250_u8).cycle().take(length).collect();
        let mut writer = encrypt_stream(&kept.recipient, Vec::new()).unwrap();
        text.chunks(777).for_each(|chunk| writer.write_all(chunk).unwrap());
        let file = writer.finish().unwrap();
        let mut back = Vec::new();
        decrypt_stream(&kept.identity, file.as_slice()).unwrap().read_to_end(&mut back).unwrap();
        assert!(back == text, "length {length}");
    }
}

#[test]
fn a_stream_that_was_cut_or_changed_does_not_end_well() {
    let kept = generate();
    let mut writer = encrypt_stream(&kept.recipient, Vec::new()).unwrap();
    writer.write_all(&[7; 150_000]).unwrap();
    let file = writer.finish().unwrap();
    let read = |file: &[u8]| {
        let mut back = Vec::new();
        match decrypt_stream(&kept.identity, file) {
            Ok(mut reader) => reader.read_to_end(&mut back).map(|_| ()).map_err(|error| error.to_string()),
            Err(error) => Err(error.to_string()),
        }
    };
    assert_eq!(read(&file), Ok(()));
    for length in [0, 10, file.len() / 3, file.len() - 20_000, file.len() - 1] {
        assert!(read(&file[..length]).expect_err("cut").contains("damaged"), "cut to {length}");
    }
    let mut changed = file;
    *changed.last_mut().unwrap() ^= 1;
    assert!(read(&changed).expect_err("changed").contains("damaged"));
    let unfinished = {
        let mut bytes = Vec::new();
        let mut writer = encrypt_stream(&kept.recipient, &mut bytes).unwrap();
        writer.write_all(&[7; 150_000]).unwrap();
        drop(writer);
        bytes
    };
    assert!(read(&unfinished).is_err(), "never finished");
}

#[test]
fn the_sheet_is_an_identity_file() {
    let kept = generate();
    let text = sheet(&kept.identity, &kept.recipient, "prod\nevil line", "2026-11-21");
    assert_eq!(recipient_of(&text).unwrap(), kept.recipient);
    for wanted in ["prod evil line", "2026-11-21", &kept.recipient, "keyward vault recover"] {
        assert!(text.contains(wanted), "{wanted}");
    }
}
