//! The order in which the server is looked for.

use super::*;
use serde_json::json;
use std::{fs, os::unix::fs::PermissionsExt, path::Path};

struct Home(tempfile::TempDir);

impl Home {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn local(&self, folder: &str, port: u16) {
        let content = json!({"admin": format!("http://127.0.0.1:{port}"), "token": format!("token-{port}")});
        files::replace(&self.path().join(folder).join("local.json"), content.to_string().as_bytes()).unwrap();
    }

    fn login(&self, addr: &str) {
        let content = json!({"addr": addr, "token": "token-login"});
        files::replace(&self.path().join(".config/keyward/client.json"), content.to_string().as_bytes()).unwrap();
    }

    fn variables(&self, more: &[(&str, &str)]) -> Variables {
        let home = ("HOME", self.path().to_str().unwrap());
        more.iter().copied().chain([home]).collect()
    }

    fn find(&self, more: &[(&str, &str)]) -> Result<(String, String), Failure> {
        let wishes = Wishes { system_dir: Some(self.path().join("system")), ..Wishes::default() };
        let target = find(&wishes, &self.variables(more))?;
        Ok((target.address.to_string(), target.token.to_string()))
    }
}

fn is(addr: &str, token: &str) -> Result<(String, String), Failure> {
    Ok((addr.to_owned(), token.to_owned()))
}

#[test]
fn variables_come_first_then_the_login_then_the_local_server() {
    let home = Home::new();
    home.local(".local/share/keyward", 1);
    assert_eq!(home.find(&[]), is("http://127.0.0.1:1", "token-1"));
    home.login("https://remote.example");
    assert_eq!(home.find(&[]), is("https://remote.example", "token-login"));
    let both = [("KEYWARD_ADDR", "https://other.example"), ("KEYWARD_TOKEN", "mine")];
    assert_eq!(home.find(&both), is("https://other.example", "mine"));
}

#[test]
fn a_named_data_folder_stands_for_itself() {
    let home = Home::new();
    home.login("https://remote.example");
    home.local("data", 2);
    let data = home.path().join("data");
    assert_eq!(home.find(&[("KEYWARD_DATA_DIR", data.to_str().unwrap())]), is("http://127.0.0.1:2", "token-2"));
    let empty = home.path().join("empty");
    let failure = home.find(&[("KEYWARD_DATA_DIR", empty.to_str().unwrap())]).unwrap_err();
    assert!(failure.hints.iter().any(|hint| hint.contains("empty/local.json (not there)")), "{failure:?}");
    home.local("xdg/keyward", 3);
    fs::remove_file(home.path().join(".config/keyward/client.json")).unwrap();
    let xdg = home.path().join("xdg");
    assert_eq!(home.find(&[("XDG_DATA_HOME", xdg.to_str().unwrap())]), is("http://127.0.0.1:3", "token-3"));
}

#[test]
fn an_address_alone_takes_the_token_that_was_stored_for_it_and_no_other() {
    let home = Home::new();
    home.login("https://remote.example");
    assert_eq!(home.find(&[("KEYWARD_ADDR", "https://remote.example/")]), is("https://remote.example", "token-login"));
    let failure = home.find(&[("KEYWARD_ADDR", "https://evil.example")]).unwrap_err();
    assert_eq!(failure.error, "there is no token for https://evil.example");
    assert!(failure.hints.iter().any(|hint| hint.contains("keyward login --addr https://evil.example")));
    assert!(!format!("{failure:?}").contains("token-login"));
}

#[test]
fn a_token_alone_goes_to_the_usual_server() {
    let home = Home::new();
    assert_eq!(home.find(&[("KEYWARD_TOKEN", "mine")]), is(USUAL_ADDRESS, "mine"));
    home.local(".local/share/keyward", 4);
    assert_eq!(home.find(&[("KEYWARD_TOKEN", "mine")]), is("http://127.0.0.1:4", "mine"));
}

#[test]
fn nothing_found_says_what_was_tried_and_what_to_do() {
    let home = Home::new();
    let failure = home.find(&[]).unwrap_err();
    assert_eq!(failure.error, "no Keyward server was found");
    for part in [".config/keyward/client.json", ".local/share/keyward/local.json", "system/local.json", "keyward serve"]
    {
        assert!(failure.hints.iter().any(|hint| hint.contains(part)), "{part}: {failure:?}");
    }
}

#[test]
fn a_token_may_come_from_a_file() {
    let home = Home::new();
    let path = home.path().join("token");
    fs::write(&path, "from-file\n").unwrap();
    let variables = [("KEYWARD_TOKEN_FILE", path.to_str().unwrap())];
    assert_eq!(home.find(&variables), is(USUAL_ADDRESS, "from-file"));
    let gone = [("KEYWARD_TOKEN_FILE", "/nowhere/token")];
    assert!(home.find(&gone).unwrap_err().error.contains("not there"));
}

#[test]
fn a_login_that_others_can_read_is_not_used() {
    let home = Home::new();
    home.login("https://remote.example");
    let path = home.path().join(".config/keyward/client.json");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    assert!(home.find(&[]).unwrap_err().error.contains("can be read by others"));
}

#[test]
fn a_system_service_is_found_last() {
    let home = Home::new();
    home.local("system", 5);
    assert_eq!(home.find(&[]), is("http://127.0.0.1:5", "token-5"));
    home.local(".local/share/keyward", 6);
    assert_eq!(home.find(&[]), is("http://127.0.0.1:6", "token-6"));
}
