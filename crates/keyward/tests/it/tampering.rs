//! Whoever can write to the database file but holds no master key gains nothing: changed rows and moved ciphertexts
//! are refused, and it is said which.

use crate::world::{PROJECT, World, assert_answered};
use keyward_testkit::{Script, Service, cli::Run};
use serde_json::json;
use std::{fs, process::Command};

/// Runs SQL on the server's database.
fn sql(world: &World, statement: &str) -> String {
    let mut command = Command::new("sqlite3");
    command.arg(world.server.data().join("keyward.db")).arg(statement);
    Run::of(command, b"").ok().stdout
}

fn stop(world: &mut World) {
    assert!(world.server.stop().success(), "{}", world.server.log());
}

/// Whether the audit log says that the row of this table and name was changed behind the server's back.
fn is_audited(world: &World, table: &str, name: &str) -> bool {
    let hex = sql(world, &format!("select lower(hex(id)) from {table} where name = '{name}'"));
    let log = world.server.api("GET", "/api/v1/audit?limit=200", None).json();
    log["items"].as_array().expect("audit rows").iter().any(|row| {
        let subject = row["subject"].as_str().unwrap_or_default().replace('-', "");
        row["action"] == "tamper.detected" && subject == hex.trim()
    })
}

/// Keeps the database as it is now, beside the server's own.
fn keep(world: &World) -> String {
    let path = world.server.folder().join("earlier.db").to_string_lossy().into_owned();
    let _said = sql(world, &format!("vacuum into '{path}'"));
    path
}

/// Puts one row of a table back as it was when it was kept, code and all.
fn put_back(world: &World, kept: &str, table: &str, which: &str) {
    let row = format!("attach '{kept}' as kept; replace into {table} select * from kept.{table} where {which}");
    assert_eq!(sql(world, &format!("{row}; select changes();")).trim(), "1", "{which}");
}

/// Fails unless the doctor is not content and says this.
#[track_caller]
fn doctor_says(world: &World, parts: &[&str]) {
    let doctor = world.server.run(&["doctor"]);
    assert_eq!(doctor.status, 1, "the doctor finds it: {}", doctor.all());
    for part in parts {
        assert!(doctor.all().contains(part), "{part}: {}", doctor.all());
    }
}

fn refused(world: &World, key: &str) {
    let refused = world.send(&world.call(Service::OpenAi, false, key));
    assert!(refused.status == 401 || refused.status == 403, "{} {}", refused.status, refused.text());
    assert!(refused.header("keyward-error").is_some());
}

#[test]
fn a_revoked_key_put_back_as_it_was_is_refused_by_name() {
    let (mut world, key) = World::simple(Service::OpenAi, Script::default());
    let other = world.key("other", json!({"providers": ["openai"]}));
    let kept = keep(&world);
    let _told = world.server.tell(&["key", "revoke", "web"]);
    stop(&mut world);
    put_back(&world, &kept, "keys", "name = 'web'");
    world.server.launch();
    refused(&world, &key);
    assert_answered(&world.send(&world.call(Service::OpenAi, false, &other)));
    assert!(world.server.log().contains("web"), "the log names the row:\n{}", world.server.log());
    assert!(is_audited(&world, "keys", "web"), "the audit log names the row");
    doctor_says(&world, &["'web'", "an earlier record was put back"]);
    // The revocation said anew mends the record.
    let _told = world.server.tell(&["key", "revoke", "web"]);
    let doctor = world.server.run(&["doctor"]);
    assert!(!doctor.all().contains("put back"), "{}", doctor.all());
    refused(&world, &key);
}

#[test]
fn a_policy_put_back_as_it_was_is_refused_by_name() {
    let (mut world, key) = World::simple(Service::OpenAi, Script::default());
    let other = world.key("other", json!({"providers": ["openai"]}));
    let kept = keep(&world);
    let narrow = json!({"policy": {"providers": ["openai"], "models": ["nothing-*"]}});
    assert_eq!(world.server.api("PATCH", "/api/v1/keys/web", Some(&narrow)).status, 200);
    let environment = json!({"environments": {"production": {"max_output_tokens": 100_000}}});
    assert_eq!(world.server.api("PATCH", &format!("/api/v1/projects/{PROJECT}"), Some(&environment)).status, 200);
    stop(&mut world);
    put_back(&world, &kept, "keys", "name = 'web'");
    world.server.launch();
    refused(&world, &key);
    assert_answered(&world.send(&world.call(Service::OpenAi, false, &other)));
    assert!(is_audited(&world, "keys", "web"));
    // A policy is undone as well by taking its row away.
    stop(&mut world);
    let _said = sql(&world, "delete from environments");
    world.server.launch();
    refused(&world, &other);
    doctor_says(&world, &["environment", "the record was removed"]);
}

#[test]
fn a_disabled_credential_put_back_as_it_was_is_not_used() {
    let (mut world, key) = World::simple(Service::OpenAi, Script::default());
    let kept = keep(&world);
    let _told = world.server.tell(&["credential", "disable", "main"]);
    stop(&mut world);
    put_back(&world, &kept, "credentials", "name = 'main'");
    world.server.launch();
    let refused = world.send(&world.call(Service::OpenAi, false, &key));
    assert_eq!(refused.status, 503, "{}", refused.text());
    assert_eq!(world.emulator(Service::OpenAi).count(), 0, "the key was sent");
    assert!(is_audited(&world, "credentials", "main"));
    doctor_says(&world, &["'main'", "put back"]);
}

#[test]
fn a_revoked_token_put_back_as_it_was_opens_nothing() {
    let (mut world, _) = World::simple(Service::OpenAi, Script::default());
    let made = world.server.api("POST", "/api/v1/tokens", Some(&json!({"name": "second", "role": "owner"})));
    let token = made.json()["token"].as_str().expect("a token").to_owned();
    let kept = keep(&world);
    assert_eq!(world.server.api("DELETE", "/api/v1/tokens/second", None).status, 200);
    stop(&mut world);
    put_back(&world, &kept, "tokens", "name = 'second'");
    world.server.launch();
    let try_it = keyward_testkit::wire::Request::get("/api/v1/projects").bearer(&token);
    assert_eq!(try_it.send(world.server.admin()).status, 401);
    assert!(is_audited(&world, "tokens", "second"));
}

#[test]
fn what_is_done_to_the_audit_log_is_noticed() {
    let (mut world, key) = World::simple(Service::OpenAi, Script::default());
    let kept = keep(&world);
    let _told = world.server.tell(&["key", "revoke", "web"]);
    let _later = world.key("later", json!({"providers": ["openai"]}));
    stop(&mut world);
    put_back(&world, &kept, "keys", "name = 'web'");
    let whole = world.server.folder().join("whole.db").to_string_lossy().into_owned();
    let _said = sql(&world, &format!("vacuum into '{whole}'"));
    let again = format!(
        "attach '{whole}' as whole; delete from audit; insert into audit select * from whole.audit; \
        update meta set number = (select max(seq) from audit) where name = 'audit_sequence';"
    );
    let of_log = |world: &World| {
        let log = world.server.api("GET", "/api/v1/audit?subject=gap", None).json();
        log["items"].as_array().is_some_and(|rows| rows.iter().any(|row| row["action"] == "tamper.detected"))
    };
    // Without the row about the revocation.
    let _said = sql(&world, "delete from audit where action = 'key.revoke'");
    world.server.launch();
    assert!(of_log(&world), "the audit log says that it has a gap");
    assert!(world.server.log().contains("rows are missing from the audit log"), "{}", world.server.log());
    doctor_says(&world, &["rows are missing from the audit log"]);
    stop(&mut world);
    // With another version in it.
    let _said = sql(&world, &format!("{again} update audit set row_version = 7 where action = 'key.revoke'"));
    world.server.launch();
    refused(&world, &key);
    doctor_says(&world, &["'web'", "rows of the audit log were changed"]);
    stop(&mut world);
    // As a row about nothing.
    let _said = sql(&world, &format!("{again} update audit set row_version = null where action = 'key.revoke'"));
    world.server.launch();
    doctor_says(&world, &["rows of the audit log were changed"]);
    stop(&mut world);
    // The end of the log cut off, and the counter put back: then the rows are newer than what the log knows.
    let cut = "delete from audit where seq >= (select seq from audit where action = 'key.revoke'); \
        update meta set number = (select max(seq) from audit) where name = 'audit_sequence'";
    let _said = sql(&world, &format!("{again} {cut}"));
    world.server.launch();
    doctor_says(&world, &["'later'", "does not know this version"]);
}

#[test]
fn a_policy_widened_by_sql_is_refused_by_name() {
    let (mut world, _) = World::simple(Service::OpenAi, Script::default());
    let narrow = world.key("narrow", json!({"providers": ["openai"], "models": ["nothing-*"]}));
    let honest = world.key("honest", json!({"providers": ["openai"]}));
    stop(&mut world);
    let changed =
        sql(&world, "update keys set policy = '{\"providers\":[\"*\"]}' where name = 'narrow'; select changes();");
    assert_eq!(changed.trim(), "1");
    world.server.launch();
    let refused = world.send(&world.call(Service::OpenAi, false, &narrow));
    assert!(refused.status == 401 || refused.status == 403, "{} {}", refused.status, refused.text());
    assert!(refused.header("keyward-error").is_some());
    assert_answered(&world.send(&world.call(Service::OpenAi, false, &honest)));
    assert!(world.server.log().contains("narrow"), "the log names the row:\n{}", world.server.log());
    assert!(is_audited(&world, "keys", "narrow"), "the audit log names the row");
    let doctor = world.server.run(&["doctor"]);
    assert_eq!(doctor.status, 1, "the doctor finds it: {}", doctor.all());
    assert!(doctor.all().contains("narrow"), "{}", doctor.all());
}

#[test]
fn a_revocation_undone_by_sql_is_noticed() {
    let (mut world, key) = World::simple(Service::OpenAi, Script::default());
    let _told = world.server.tell(&["key", "revoke", "web"]);
    stop(&mut world);
    let _said = sql(&world, "update keys set status = 'active', revoked_at = null where name = 'web'");
    world.server.launch();
    let refused = world.send(&world.call(Service::OpenAi, false, &key));
    assert!(refused.header("keyward-error").is_some(), "{} {}", refused.status, refused.text());
    assert_ne!(refused.status, 200);
}

#[test]
fn a_token_with_a_higher_role_by_sql_opens_nothing() {
    let (mut world, _) = World::simple(Service::OpenAi, Script::default());
    let made = world.server.api("POST", "/api/v1/tokens", Some(&json!({"name": "reader", "role": "auditor"})));
    assert_eq!(made.status, 201, "{}", made.text());
    let token = made.json()["token"].as_str().expect("a token").to_owned();
    stop(&mut world);
    let _said = sql(&world, "update tokens set role = 'owner' where name = 'reader'");
    world.server.launch();
    let try_it = keyward_testkit::wire::Request::get("/api/v1/projects").bearer(&token);
    assert_eq!(try_it.send(world.server.admin()).status, 401);
    assert!(is_audited(&world, "tokens", "reader"));
}

#[test]
fn ciphertexts_that_changed_places_do_not_open() {
    let (mut world, key) = World::simple(Service::OpenAi, Script::default());
    world.credential(Service::OpenAi, "spare", Script::default());
    let id = world.credential_state("main")["id"].as_str().expect("an id").to_owned();
    stop(&mut world);
    let swap = "create temp table two as select v.credential_id id, v.sealed sealed from credential_versions v; \
        update credential_versions set sealed = (select sealed from two where id <> credential_id); select changes();";
    assert_eq!(sql(&world, swap).trim(), "2");
    world.server.launch();
    let before = world.emulator(Service::OpenAi).count();
    let refused = world.send(&world.call(Service::OpenAi, false, &key));
    assert_eq!(refused.status, 503, "{}", refused.text());
    let reason = refused.header("keyward-error");
    assert!(matches!(reason, Some("credential_sealed" | "no_credential")), "{reason:?}");
    assert_eq!(world.emulator(Service::OpenAi).count(), before, "no key was sent anywhere");
    let log = world.server.log();
    assert!(log.contains(&id), "the log names the credential {id}:\n{log}");
}

#[test]
fn a_credential_pointed_elsewhere_by_sql_is_not_used() {
    let (mut world, key) = World::simple(Service::OpenAi, Script::default());
    let thief = keyward_testkit::Emulator::start(Service::OpenAi);
    stop(&mut world);
    let _said = sql(&world, &format!("update credentials set base_url = '{}'", thief.base_url()));
    world.server.launch();
    let refused = world.send(&world.call(Service::OpenAi, false, &key));
    assert_eq!(refused.status, 503, "{}", refused.text());
    assert_eq!(thief.count(), 0, "the real key went to the thief");
}

#[test]
fn a_wrong_master_key_says_so() {
    let (mut world, key) = World::simple(Service::OpenAi, Script::default());
    stop(&mut world);
    let path = world.server.data().join("master.key");
    let right = fs::read(&path).expect("the master key's file");
    let other = World::with(&[]);
    let wrong = fs::read(other.server.data().join("master.key")).expect("the other master key's file");
    fs::write(&path, &wrong).expect("the file can be written");
    let said = world.server.try_launch().expect_err("a server with a wrong master key does not start");
    assert!(said.contains("expected") && said.contains("got"), "{said}");
    fs::remove_file(&path).expect("the file can be removed");
    let said = world.server.try_launch().expect_err("a server with data and without its master key does not start");
    assert!(said.contains("master"), "{said}");
    write_private(&path, &right);
    world.server.launch();
    assert_answered(&world.send(&world.call(Service::OpenAi, false, &key)));
}

#[test]
fn a_master_key_that_others_may_read_is_refused_with_the_fix() {
    use std::os::unix::fs::PermissionsExt as _;
    let (mut world, _) = World::simple(Service::OpenAi, Script::default());
    stop(&mut world);
    let path = world.server.data().join("master.key");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).expect("the mode can be changed");
    let said = world.server.try_launch().expect_err("a loose mode is refused");
    assert!(said.contains("chmod 600"), "{said}");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("the mode can be changed");
    world.server.launch();
}

fn write_private(path: &std::path::Path, bytes: &[u8]) {
    use std::{io::Write as _, os::unix::fs::OpenOptionsExt as _};
    let mut file = fs::File::options().write(true).create_new(true).mode(0o600).open(path).expect("a new file");
    file.write_all(bytes).expect("the file can be written");
}

#[test]
fn recovery_backup_and_restore_bring_everything_back() {
    let (mut world, key) = World::simple(Service::OpenAi, Script::default());
    let backup = world.server.folder().join("all.backup");
    let name = backup.to_string_lossy().into_owned();
    let _told = world.server.tell(&["backup", &name]);
    assert_ne!(world.server.run(&["backup", &name]).status, 0, "a backup is never overwritten");
    stop(&mut world);

    let identity = world.server.folder().join("identity.txt").to_string_lossy().into_owned();
    let data = world.server.data().to_string_lossy().into_owned();
    let onto_itself = world.server.run(&["restore", &name, "--identity", &identity, "--data-dir", &data]);
    assert_ne!(onto_itself.status, 0, "restore never overwrites");
    fs::remove_dir_all(world.server.data()).expect("the data can be removed");
    let wrong = World::with(&[]);
    let wrong = wrong.server.folder().join("identity.txt").to_string_lossy().into_owned();
    assert_ne!(world.server.run(&["restore", &name, "--identity", &wrong, "--data-dir", &data]).status, 0);
    let restored = world.server.run(&["restore", &name, "--identity", &identity, "--data-dir", &data]);
    let _told = restored.ok();
    world.server.launch();
    assert_answered(&world.send(&world.call(Service::OpenAi, false, &key)));
    assert!(world.server.api("GET", &format!("/api/v1/projects/{PROJECT}"), None).status == 200);
}
