//! Passphrases: with a cheap cost except where the cost itself is the point.

use super::*;
use std::fs;

const CHEAP: Cost = Cost { memory_kib: 64, passes: 1, lanes: 1 };

fn asking(path: &Path, answer: &'static str) -> Passphrase {
    Passphrase::new(path.to_owned(), move |_| Ok(Zeroizing::new(answer.to_owned())))
}

fn file(folder: &Path, master: &MasterKey, passphrase: &str) -> PathBuf {
    let path = folder.join("master.json");
    let text = Wrapped::make(master, passphrase, &random().unwrap(), CHEAP).unwrap();
    drop(fs::remove_file(&path));
    write_new(&path, &text).unwrap();
    path
}

#[test]
fn the_real_cost_stores_and_loads() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("master.json");
    let master = MasterKey::generate().unwrap();
    let source = asking(&path, "five or six random words\n");
    assert!(source.load().unwrap().is_none());
    source.store(&master).unwrap();
    assert_eq!(source.load().unwrap().unwrap().id(), master.id());
    let text = fs::read_to_string(&path).unwrap();
    for wanted in ["\"argon2id\"", "\"memory_kib\": 65536", "\"passes\": 3", "\"lanes\": 1"] {
        assert!(text.contains(wanted), "{wanted} in {text}");
    }
    assert!(!text.contains(&hex(master.bytes())) && !text.contains("random words"));
    assert!(matches!(source.store(&master), Err(Error::KeyFileExists { .. })));
}

#[test]
fn a_wrong_passphrase_is_told_apart_from_a_changed_file() {
    let folder = tempfile::tempdir().unwrap();
    let master = MasterKey::generate().unwrap();
    let path = file(folder.path(), &master, "the right one");
    assert_eq!(asking(&path, "the right one\r\n").load().unwrap().unwrap().id(), master.id());
    for wrong in ["the wrong one", "", " the right one", "The right one"] {
        let error = asking(&path, wrong).load().err().unwrap();
        assert!(matches!(&error, Error::WrongPassphrase { path: named } if *named == path), "{wrong:?}: {error}");
    }
    let text = fs::read_to_string(&path).unwrap();
    for (from, to) in [
        ("\"format\": 1", "\"format\": 2"),
        ("argon2id", "argon2i"),
        ("\"memory_kib\": 64", "\"memory_kib\": 4194304"),
        ("\"passes\": 1", "\"passes\": 0"),
        ("\"salt\": \"", "\"salt\": \"00"),
        ("\"wrapped\": \"", "\"wrapped\": \"zz"),
        (master.id().to_string().as_str(), "0000000000000000"),
        ("\"kdf\"", "\"unknown\""),
    ] {
        let changed = text.replace(from, to);
        assert_ne!(changed, text, "{from}");
        fs::write(&path, changed).unwrap();
        let error = asking(&path, "the right one").load().err().unwrap();
        assert!(matches!(error, Error::BadMasterKey { .. }), "{from}: {error}");
    }
}

#[test]
fn a_short_passphrase_is_not_accepted_as_new() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("master.json");
    let master = MasterKey::generate().unwrap();
    assert!(matches!(asking(&path, "elevenchars\n").store(&master), Err(Error::WeakPassphrase { minimum: 12 })));
    assert!(!path.exists());
}

#[test]
fn the_reader_learns_why_and_its_failure_is_passed_on() {
    let folder = tempfile::tempdir().unwrap();
    let master = MasterKey::generate().unwrap();
    let path = file(folder.path(), &master, "the right one");
    let source = Passphrase::new(path, |why| {
        assert_eq!(why, Ask::Unlock);
        Err(io::Error::other("no terminal"))
    });
    assert!(source.load().err().unwrap().to_string().contains("no terminal"));
    let new = Passphrase::new(folder.path().join("other.json"), |why| {
        assert_eq!(why, Ask::Choose);
        Ok(Zeroizing::new("a long enough phrase".to_owned()))
    });
    new.store(&master).unwrap();
}

/// Made by another implementation of Argon2id, HKDF and AES-GCM. It must open for ever.
#[test]
fn format_1_opens_for_ever() {
    let text = include_str!("../../../tests/vectors/passphrase-1.json");
    let path = Path::new("passphrase-1.json");
    let master = Wrapped::parse(text, path).unwrap().open("vierzehn blaue Vögel", path).unwrap();
    let bytes: Vec<u8> = (0..32).collect();
    assert_eq!(master.bytes().as_slice(), bytes);
}
