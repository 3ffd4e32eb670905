//! Files that the client writes: the recovery identity and backups. Private, whole, and never over something else.

use crate::fake::{Asked, Fake, Reply, User, ok, problem};
use keyward_domain::digest;
use serde_json::json;
use std::{
    fs,
    io::Write,
    os::unix::fs::PermissionsExt,
    path::Path,
    sync::{Arc, Mutex},
};

const QUESTION: &[u8] = b"what only the identity can read";

/// Plays the recovery part of the API as the real server does: it knows the recipient and nothing else.
fn recovery() -> impl Fn(&Asked) -> Reply + Send + Sync {
    let recipient = Arc::new(Mutex::new(String::new()));
    move |asked| match (asked.method.as_str(), asked.path.as_str()) {
        ("POST", "/api/v1/vault/recovery") => {
            let given = asked.json()["recipient"].as_str().unwrap().to_owned();
            recipient.lock().unwrap().clone_from(&given);
            Reply::Json(201, json!({"recipient": given, "proven_at": null}))
        }
        ("POST", "/api/v1/vault/recovery/challenge") => {
            let known: age::x25519::Recipient = recipient.lock().unwrap().parse().unwrap();
            let encryptor = age::Encryptor::with_recipients(std::iter::once(&known as &dyn age::Recipient)).unwrap();
            let mut out = encryptor.wrap_output(Vec::new()).unwrap();
            out.write_all(QUESTION).unwrap();
            ok(json!({"id": "challenge-1", "challenge": digest::hex(&out.finish().unwrap())}))
        }
        ("POST", "/api/v1/vault/recovery/prove") => {
            let expected = json!({"id": "challenge-1", "answer": digest::hex(&digest::sha256(QUESTION))});
            if asked.json() == expected {
                ok(json!({"recipient": *recipient.lock().unwrap(), "proven_at": "2026-11-21T08:00:00Z"}))
            } else {
                problem(409, "wrong_answer", "the answer is wrong", None)
            }
        }
        other => panic!("not expected: {other:?}"),
    }
}

fn mode(path: &Path) -> u32 {
    path.metadata().unwrap().permissions().mode() & 0o777
}

#[test]
fn the_recovery_identity_is_made_here_proven_and_never_sent() {
    let fake = Fake::start(recovery());
    let user = User::of(&fake);
    let file = user.path("identity.txt");
    let run = user.run(&["vault", "recovery", "create", "--output", file.to_str().unwrap(), "--format", "json"]);
    assert_eq!(run.status, 0, "{run:?}");
    let recipient = run.json()["recipient"].as_str().unwrap().to_owned();
    assert!(recipient.starts_with("age1"), "{run:?}");
    assert_eq!(run.json()["proven_at"], "2026-11-21T08:00:00Z");
    assert_eq!(mode(&file), 0o600);
    let content = fs::read_to_string(&file).unwrap();
    let identity = content.lines().find(|line| line.starts_with("AGE-SECRET-KEY-1")).unwrap();
    let parsed: age::x25519::Identity = identity.parse().unwrap();
    assert_eq!(parsed.to_public().to_string(), recipient);
    let asked = fake.asked();
    assert_eq!(asked.len(), 3, "accepted, challenged, proven");
    assert!(!asked.iter().any(|asked| asked.body.to_uppercase().contains("AGE-SECRET")), "{asked:?}");
    run.says_nowhere(identity);

    let run = user.run(&["vault", "recovery", "prove", "--identity", file.to_str().unwrap(), "--format", "json"]);
    assert_eq!(run.status, 0, "{run:?}");
    assert_eq!(run.json()["proven"], true);
}

#[test]
fn another_identity_proves_nothing() {
    let fake = Fake::start(recovery());
    let (user, other) = (User::of(&fake), User::of(&fake));
    let (right, wrong) = (user.path("right"), other.path("wrong"));
    assert_eq!(other.run(&["vault", "recovery", "create", "--output", wrong.to_str().unwrap()]).status, 0);
    assert_eq!(user.run(&["vault", "recovery", "create", "--output", right.to_str().unwrap()]).status, 0);
    let run = user.run(&["vault", "recovery", "prove", "--identity", wrong.to_str().unwrap()]);
    assert_eq!(run.status, 1, "{run:?}");
    assert!(run.err.contains("not the one that the server knows"), "{run:?}");
    let run = user.run(&["vault", "recovery", "prove", "--identity", "/nowhere"]);
    assert_eq!(run.status, 2, "{run:?}");
}

#[test]
fn an_existing_file_is_never_overwritten_by_an_identity() {
    let fake = Fake::start(recovery());
    let user = User::of(&fake);
    let file = user.path("precious");
    fs::write(&file, "keep me").unwrap();
    let run = user.run(&["vault", "recovery", "create", "--output", file.to_str().unwrap()]);
    assert!(run.status == 2 && run.err.contains("exists already"), "{run:?}");
    assert_eq!(fs::read_to_string(&file).unwrap(), "keep me");
    assert!(fake.asked().is_empty(), "the server is not asked when the identity cannot be kept");
}

#[test]
fn a_refused_identity_leaves_no_file_and_an_unclear_one_does() {
    let fake = Fake::start(|_| problem(409, "recovery_exists", "there is one already", Some("say --replace")));
    let user = User::of(&fake);
    let file = user.path("identity");
    let run = user.run(&["vault", "recovery", "create", "--output", file.to_str().unwrap()]);
    assert!(run.status == 2 && run.err.contains("--replace"), "{run:?}");
    assert!(!file.exists());
    let nobody = User::new().with("KEYWARD_ADDR", "http://127.0.0.1:1").with("KEYWARD_TOKEN", "x");
    let file = nobody.path("identity");
    assert_eq!(nobody.run(&["vault", "recovery", "create", "--output", file.to_str().unwrap()]).status, 2);
    assert!(!file.exists(), "a server that was never reached has accepted nothing");
    let fake = Fake::start(|_| Reply::Silence);
    let user = User::of(&fake);
    let file = user.path("identity");
    let run = user.run(&["vault", "recovery", "create", "--output", file.to_str().unwrap(), "--timeout", "50ms"]);
    assert!(run.status == 2 && run.err.contains("is kept"), "{run:?}");
    assert!(file.exists(), "the server may have accepted it");
}

#[test]
fn a_backup_is_private_whole_and_not_over_another() {
    let fake = Fake::start(|_| Reply::Raw(200, "application/octet-stream", b"age-encryption.org/v1 sealed".to_vec()));
    let user = User::of(&fake);
    let file = user.path("keyward.backup");
    let run = user.run(&["backup", file.to_str().unwrap(), "--format", "json"]);
    assert_eq!(run.status, 0, "{run:?}");
    assert_eq!(run.json(), json!({"file": file.to_str().unwrap(), "bytes": 28}));
    assert_eq!((mode(&file), fs::read(&file).unwrap()), (0o600, b"age-encryption.org/v1 sealed".to_vec()));
    let run = user.run(&["backup", file.to_str().unwrap()]);
    assert!(run.status == 2 && run.err.contains("exists already"), "{run:?}");
    assert_eq!(fake.asked().len(), 1, "nothing is fetched for a file that cannot be written");
    assert_eq!(fs::read_dir(user.home()).unwrap().count(), 1, "no draft is left");
    let run = user.run(&["backup", "-"]);
    assert_eq!((run.status, run.out.as_str()), (0, "age-encryption.org/v1 sealed"));
    let run = User::of(&fake).at_a_terminal().run(&["backup", "-"]);
    assert!(run.status == 2 && run.out.is_empty(), "{run:?}");
}

#[test]
fn half_a_backup_is_none() {
    let fake = Fake::start(|_| Reply::Broken(b"half".to_vec()));
    let user = User::of(&fake);
    let run = user.run(&["backup", user.path("b").to_str().unwrap()]);
    assert!(run.status == 2 && run.err.contains("broke off"), "{run:?}");
    assert_eq!(fs::read_dir(user.home()).unwrap().count(), 0, "neither the backup nor a draft is left");
    let fake = Fake::start(|_| problem(409, "recovery_missing", "no recipient", None));
    let user = User::of(&fake);
    assert_eq!(user.run(&["backup", user.path("b").to_str().unwrap()]).status, 2);
    assert_eq!(fs::read_dir(user.home()).unwrap().count(), 0);
}

#[test]
fn manual_pages_are_written_for_every_command() {
    let user = User::new();
    let folder = user.path("man");
    let run = user.run(&["man", "--dir", folder.to_str().unwrap()]);
    assert_eq!(run.status, 0, "{run:?}");
    for page in ["keyward.1", "keyward-key-create.1", "keyward-vault-recovery-prove.1"] {
        let text = fs::read_to_string(folder.join(page)).unwrap_or_else(|error| panic!("{page}: {error}"));
        assert!(text.contains(".TH"), "{page}");
    }
    let text = fs::read_to_string(folder.join("keyward-key-create.1")).unwrap();
    assert!(text.contains("Examples") && text.contains("max\\-output\\-tokens"), "{text}");
}
