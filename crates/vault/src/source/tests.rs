//! Key files, credentials and variables: what is accepted, what is refused and with which fix.

use super::*;
use keyward_domain::digest::hex;
use std::os::unix::fs::{PermissionsExt, symlink};

fn folder() -> tempfile::TempDir {
    tempfile::tempdir().unwrap()
}

fn mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

fn error(source: &dyn MasterKeySource) -> Error {
    source.load().err().expect("must be refused")
}

#[test]
fn a_key_file_is_made_once_private_and_read_back() {
    let folder = folder();
    let path = folder.path().join("master.key");
    let source = KeyFile::new(path.clone());
    assert!(source.load().unwrap().is_none(), "a first start");
    let key = MasterKey::generate().unwrap();
    source.store(&key).unwrap();
    assert_eq!(fs::metadata(&path).unwrap().mode() & 0o7777, 0o600);
    assert_eq!(source.load().unwrap().unwrap().id(), key.id());
    let other = MasterKey::generate().unwrap();
    assert!(matches!(source.store(&other), Err(Error::KeyFileExists { .. })));
    assert_eq!(source.load().unwrap().unwrap().id(), key.id(), "untouched");
    let names: Vec<_> = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names, ["master.key"], "no draft is left");
}

#[test]
fn looser_modes_are_refused_with_the_fix() {
    let folder = folder();
    let path = folder.path().join("master.key");
    let source = KeyFile::new(path.clone());
    source.store(&MasterKey::generate().unwrap()).unwrap();
    for loose in [0o640, 0o604, 0o660, 0o610, 0o601, 0o644, 0o777] {
        mode(&path, loose);
        let said = error(&source).to_string();
        assert!(said.contains(&format!("(mode {loose:04o}): run: chmod 600 {}", path.display())), "{said}");
    }
    for fine in [0o600, 0o400] {
        mode(&path, fine);
        assert!(source.load().unwrap().is_some(), "{fine:o}");
    }
}

#[test]
fn links_folders_and_pipes_are_refused() {
    let folder = folder();
    let real = folder.path().join("real");
    KeyFile::new(real.clone()).store(&MasterKey::generate().unwrap()).unwrap();
    let link = folder.path().join("link");
    symlink(&real, &link).unwrap();
    let pipe = folder.path().join("pipe");
    unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRUSR).unwrap();
    for path in [link, pipe, folder.path().to_owned()] {
        let refused = error(&KeyFile::new(path.clone()));
        assert!(matches!(&refused, Error::NotAPlainFile { path: named } if *named == path), "{refused}");
    }
    let dangling = folder.path().join("dangling");
    symlink(folder.path().join("nowhere"), &dangling).unwrap();
    assert!(KeyFile::new(dangling).store(&MasterKey::generate().unwrap()).is_err(), "not written through a link");
    assert!(!folder.path().join("nowhere").exists());
}

#[test]
fn a_file_of_somebody_else_is_refused() {
    let folder = folder();
    let mut path = PathBuf::from("/etc/passwd");
    let user = unistd::geteuid();
    if user.is_root() {
        path = folder.path().join("master.key");
        KeyFile::new(path.clone()).store(&MasterKey::generate().unwrap()).unwrap();
        unistd::chown(&path, Some(unistd::Uid::from_raw(1)), None).unwrap();
    }
    let refused = error(&KeyFile::new(path));
    assert!(
        matches!(refused, Error::WrongOwner { owner, user: us, .. } if owner != us && us == user.as_raw()),
        "{refused}"
    );
}

#[test]
fn a_file_that_holds_something_else_is_refused_without_showing_it() {
    let folder = folder();
    let path = folder.path().join("master.key");
    for text in ["", "  \n", "hunter2", &"a".repeat(5_000), "keyward-master-key-v1.0011223344556677.00"] {
        fs::write(&path, text).unwrap();
        mode(&path, 0o600);
        let refused = error(&KeyFile::new(path.clone()));
        assert!(
            matches!(&refused, Error::BadMasterKey { from, .. } if *from == path.display().to_string()),
            "{refused}"
        );
        assert!(text.trim().is_empty() || !refused.to_string().contains(text.trim()), "{refused}");
    }
}

#[test]
fn a_draft_left_by_a_crash_is_no_obstacle() {
    let folder = folder();
    let path = folder.path().join("master.key");
    fs::write(with_suffix(&path, ".draft"), "half a k").unwrap();
    let source = KeyFile::new(path);
    let key = MasterKey::generate().unwrap();
    source.store(&key).unwrap();
    assert_eq!(source.load().unwrap().unwrap().id(), key.id());
}

#[test]
fn a_staged_key_waits_until_it_is_promoted() {
    let folder = folder();
    let source = KeyFile::new(folder.path().join("master.key"));
    let keys: Vec<MasterKey> = (0..3).map(|_| MasterKey::generate().unwrap()).collect();
    source.store(&keys[0]).unwrap();
    assert!(source.staged().unwrap().is_none());
    source.promote().unwrap();
    assert_eq!(source.load().unwrap().unwrap().id(), keys[0].id(), "nothing was staged");
    source.stage(&keys[1]).unwrap();
    source.stage(&keys[2]).unwrap();
    assert_eq!(source.load().unwrap().unwrap().id(), keys[0].id());
    assert_eq!(source.staged().unwrap().unwrap().id(), keys[2].id());
    source.promote().unwrap();
    assert_eq!(source.load().unwrap().unwrap().id(), keys[2].id());
    assert!(source.staged().unwrap().is_none());
}

#[test]
fn a_folder_that_is_not_there_is_named() {
    let folder = folder();
    let source = KeyFile::new(folder.path().join("missing/master.key"));
    let said = source.store(&MasterKey::generate().unwrap()).unwrap_err().to_string();
    assert!(said.contains("missing/master.key"), "{said}");
}

#[test]
fn given_keys_are_read_and_never_written() {
    let folder = folder();
    let path = folder.path().join("credential");
    let key = MasterKey::generate().unwrap();
    fs::write(&path, hex(key.bytes()) + "\n").unwrap();
    mode(&path, 0o440);
    let credential = SystemdCredential::new(path);
    let variable = EnvironmentKey::new("KEYWARD_MASTER_KEY".to_owned(), Some(key.to_text()));
    let sources: [&dyn MasterKeySource; 2] = [&credential, &variable];
    for source in sources {
        assert_eq!(source.load().unwrap().unwrap().id(), key.id());
        assert!(matches!(source.store(&key), Err(Error::ReadOnlySource { .. })));
        assert!(matches!(source.stage(&key), Err(Error::ReadOnlySource { .. })));
        assert!(source.staged().unwrap().is_none());
    }
    assert!(EnvironmentKey::new("X".to_owned(), None).load().unwrap().is_none());
    let garbled = EnvironmentKey::new("X".to_owned(), Some(Zeroizing::new("hunter2".to_owned())));
    let said = error(&garbled).to_string();
    assert!(said.starts_with("environment variable X does not hold") && !said.contains("hunter2"), "{said}");
}
