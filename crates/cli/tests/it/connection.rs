//! Finding the server, speaking to it, and what is said when that does not work.

use crate::fake::{Fake, Reply, TOKEN, User, ok, problem};
use rustls::ServerConfig;
use serde_json::json;
use std::{fs, os::unix::fs::PermissionsExt, sync::Arc};
use tokio_rustls::TlsAcceptor;

fn me() -> Reply {
    ok(json!({"name": "anna", "role": "owner"}))
}

#[test]
fn the_token_travels_in_its_header_and_nowhere_else() {
    let fake = Fake::start(|_| me());
    let run = User::of(&fake).run(&["whoami", "--format", "json"]);
    assert_eq!(run.status, 0, "{run:?}");
    assert_eq!(run.json(), json!({"name": "anna", "role": "owner", "addr": fake.url(), "source": "KEYWARD_TOKEN"}));
    let asked = fake.asked();
    assert_eq!((asked[0].method.as_str(), asked[0].path.as_str()), ("GET", "/api/v1/whoami"));
    assert_eq!(asked[0].authorization, format!("Bearer {TOKEN}"));
    assert!(!asked[0].path.contains(TOKEN) && asked[0].body.is_empty());
    run.says_nowhere(TOKEN);
}

#[test]
fn the_local_server_is_found_by_its_own_file() {
    let fake = Fake::start(|_| me());
    let user = User::new();
    let folder = user.path(".local/share/keyward");
    fs::create_dir_all(&folder).unwrap();
    let file = folder.join("local.json");
    fs::write(&file, json!({"admin": fake.url(), "token": TOKEN}).to_string()).unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    let run = user.run(&["whoami"]);
    assert_eq!(run.status, 0, "{run:?}");
    assert!(run.out.contains("local.json") && run.out.contains("anna"), "{run:?}");
    run.says_nowhere(TOKEN);
}

#[test]
fn refusals_become_an_error_and_what_to_do() {
    let fake = Fake::start(|_| problem(404, "not_found", "there is no project 'shpo'", Some("did you mean shop?")));
    let run = User::of(&fake).run(&["project", "show", "shpo"]);
    assert_eq!(run.status, 2);
    assert_eq!(run.err, "error: there is no project 'shpo'\nhint: did you mean shop?\n");
    assert_eq!(run.out, "");
}

#[test]
fn a_bad_token_says_where_it_came_from() {
    let fake = Fake::start(|_| problem(401, "token_unknown", "this token is not known here", None));
    let run = User::of(&fake).run(&["key", "list"]);
    assert_eq!(run.status, 2);
    assert!(run.err.contains("hint: the token came from KEYWARD_TOKEN"), "{run:?}");
    run.says_nowhere(TOKEN);
}

#[test]
fn nothing_listening_asks_whether_the_server_runs() {
    let address = {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.local_addr().unwrap()
    };
    let user = User::new().with("KEYWARD_ADDR", &format!("http://{address}")).with("KEYWARD_TOKEN", TOKEN);
    let run = user.run(&["key", "list"]);
    assert_eq!(run.status, 2);
    assert!(run.err.contains("hint: is `keyward serve` running?"), "{run:?}");
    run.says_nowhere(TOKEN);
}

#[test]
fn without_a_server_it_says_what_was_tried() {
    let run = User::new().with("KEYWARD_DATA_DIR", "/nowhere").run(&["key", "list"]);
    assert_eq!(run.status, 2);
    assert!(run.err.starts_with("error: no Keyward server was found\n"), "{run:?}");
    assert!(run.err.contains("/nowhere/local.json (not there)") && run.err.contains("keyward serve"), "{run:?}");
}

#[test]
fn a_token_never_goes_to_another_machine_in_the_clear() {
    let user = User::new().with("KEYWARD_ADDR", "http://192.0.2.1:1").with("KEYWARD_TOKEN", TOKEN);
    let run = user.run(&["whoami"]);
    assert_eq!(run.status, 2);
    assert!(run.err.contains("in the clear") && run.err.contains("--insecure-http"), "{run:?}");
    run.says_nowhere(TOKEN);
}

#[test]
fn redirects_are_not_followed() {
    let elsewhere = Fake::start(|_| me());
    let place = format!("{}/api/v1/whoami", elsewhere.url());
    let fake = Fake::start(move |_| Reply::Redirect(place.clone()));
    let run = User::of(&fake).run(&["whoami"]);
    assert_eq!(run.status, 2);
    assert!(run.err.contains("redirects are not followed"), "{run:?}");
    assert!(elsewhere.asked().is_empty());
}

#[test]
fn a_server_that_stays_silent_is_given_up_on() {
    let fake = Fake::start(|_| Reply::Silence);
    let run = User::of(&fake).run(&["whoami", "--timeout", "50ms"]);
    assert_eq!(run.status, 2);
    assert!(run.err.contains("took longer than 50 ms"), "{run:?}");
}

#[test]
fn what_is_no_keyward_server_is_said_to_be_none() {
    let fake = Fake::start(|_| Reply::Raw(200, "text/html", b"<html>hello".to_vec()));
    let run = User::of(&fake).run(&["whoami"]);
    assert!(run.status == 2 && run.err.contains("does not answer like a Keyward server"), "{run:?}");
    let fake = Fake::start(|_| Reply::Raw(502, "text/html", b"<html>bad gateway".to_vec()));
    let run = User::of(&fake).run(&["whoami"]);
    assert!(run.status == 2 && run.err.contains("502 Bad Gateway without saying why"), "{run:?}");
}

/// A certificate for a name, as a TLS acceptor and as PEM. With an authority, that one's PEM.
fn certificate(name: &str, authority: bool) -> (TlsAcceptor, String) {
    let mut about = rcgen::CertificateParams::new([name.to_owned()]).unwrap();
    let key = rcgen::KeyPair::generate().unwrap();
    let (certificate, pem) = if authority {
        let mut above = rcgen::CertificateParams::default();
        above.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let above_key = rcgen::KeyPair::generate().unwrap();
        let pem = above.self_signed(&above_key).unwrap().pem();
        let certificate = about.signed_by(&key, &rcgen::Issuer::new(above, above_key)).unwrap();
        (certificate, pem)
    } else {
        // As the usual one-line commands make them: signed by itself, and marked as an authority.
        about.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let certificate = about.self_signed(&key).unwrap();
        let pem = certificate.pem();
        (certificate, pem)
    };
    let key = rustls_pki_types::PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], key)
        .unwrap();
    (TlsAcceptor::from(Arc::new(config)), pem)
}

#[test]
fn tls_trusts_the_named_authority_and_nobody_unknown() {
    let (acceptor, pem) = certificate("127.0.0.1", true);
    let fake = Fake::start_with(Some(acceptor), |_| me());
    let address = format!("https://{}", fake.address);
    let user = User::new().with("KEYWARD_ADDR", &address).with("KEYWARD_TOKEN", TOKEN);
    let run = user.run(&["whoami"]);
    assert_eq!(run.status, 2, "{run:?}");
    assert!(run.err.contains("cannot speak TLS") && run.err.contains("--ca"), "{run:?}");
    assert!(fake.asked().is_empty(), "nothing was sent before the server was known");
    let file = user.path("ca.pem");
    fs::write(&file, pem).unwrap();
    let run = user.run(&["whoami", "--ca", file.to_str().unwrap()]);
    assert_eq!(run.status, 0, "{run:?}");
    let (_, other) = certificate("127.0.0.1", true);
    fs::write(&file, other).unwrap();
    let run = user.run(&["whoami", "--ca", file.to_str().unwrap()]);
    assert!(run.status == 2 && run.err.contains("hold the authority"), "{run:?}");
    fs::write(&file, "nothing").unwrap();
    let run = user.run(&["whoami", "--ca", file.to_str().unwrap()]);
    assert!(run.status == 2 && run.err.contains("holds no certificate"), "{run:?}");
}

#[test]
fn an_authoritys_certificate_must_still_bear_the_right_name() {
    let (acceptor, pem) = certificate("elsewhere.example", true);
    let fake = Fake::start_with(Some(acceptor), |_| me());
    let user = User::new().with("KEYWARD_ADDR", &format!("https://{}", fake.address)).with("KEYWARD_TOKEN", TOKEN);
    let file = user.path("ca.pem");
    fs::write(&file, pem).unwrap();
    let run = user.run(&["whoami", "--ca", file.to_str().unwrap()]);
    assert_eq!(run.status, 2, "{run:?}");
    assert!(fake.asked().is_empty());
}

#[test]
fn a_certificate_that_is_named_itself_is_trusted() {
    let (acceptor, pem) = certificate("keyward.example", false);
    let fake = Fake::start_with(Some(acceptor), |_| me());
    let user = User::new();
    let (file, folder) = (user.path("server.pem"), user.path(".local/share/keyward"));
    fs::write(&file, pem).unwrap();
    fs::create_dir_all(&folder).unwrap();
    let local = json!({"admin": format!("https://{}", fake.address), "token": TOKEN, "ca": file.to_str().unwrap()});
    fs::write(folder.join("local.json"), local.to_string()).unwrap();
    fs::set_permissions(folder.join("local.json"), fs::Permissions::from_mode(0o600)).unwrap();
    let run = user.run(&["whoami"]);
    assert_eq!(run.status, 0, "the local server's own certificate, whatever its name: {run:?}");
    let (_, other) = certificate("keyward.example", false);
    fs::write(&file, other).unwrap();
    assert_eq!(user.run(&["whoami"]).status, 2, "and no other");
}

#[test]
fn plain_http_and_tls_are_told_apart() {
    let fake = Fake::start(|_| me());
    let user = User::new().with("KEYWARD_ADDR", &format!("https://{}", fake.address)).with("KEYWARD_TOKEN", TOKEN);
    let run = user.run(&["whoami"]);
    assert!(run.status == 2 && run.err.contains("plain HTTP?"), "{run:?}");
    let (acceptor, _) = certificate("127.0.0.1", false);
    let fake = Fake::start_with(Some(acceptor), |_| me());
    let run = User::of(&fake).run(&["whoami"]);
    assert!(run.status == 2, "{run:?}");
    run.says_nowhere(TOKEN);
}

#[test]
fn a_login_is_tried_stored_privately_used_and_forgotten() {
    let fake = Fake::start(|asked| {
        if asked.authorization.ends_with("right") { me() } else { problem(401, "token_unknown", "not known", None) }
    });
    let url = fake.url();
    let user = User::new().typing("wrong\n");
    assert_eq!(user.run(&["login", "--addr", &url]).status, 2);
    let file = user.path(".config/keyward/client.json");
    assert!(!file.exists(), "what does not work is not stored");
    let user = user.typing("right\n");
    let run = user.run(&["login", "--addr", &url, "--format", "json"]);
    assert_eq!(run.status, 0, "{run:?}");
    assert_eq!((run.json()["name"].as_str(), run.json()["addr"].as_str()), (Some("anna"), Some(url.as_str())));
    run.says_nowhere("right");
    assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    let run = user.run(&["whoami"]);
    assert!(run.status == 0 && run.out.contains("client.json"), "{run:?}");
    assert_eq!(user.run(&["logout"]).status, 0);
    assert!(!file.exists());
    assert!(user.run(&["logout"]).out.contains("no stored login"));
}

#[test]
fn a_login_refuses_what_is_no_token_before_sending_it() {
    let fake = Fake::start(|_| me());
    for token in ["kw_prod_abc", "sk-kw_prod_abc"] {
        let run = User::new().typing(token).run(&["login", "--addr", &fake.url()]);
        assert!(run.status == 2 && run.err.contains("virtual key"), "{run:?}");
        run.says_nowhere(token);
    }
    assert!(fake.asked().is_empty());
}
