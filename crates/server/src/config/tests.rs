use super::*;
use crate::advice;

fn environment() -> Environment {
    Environment { home: Some("/home/somebody".into()), ..Environment::default() }
}

fn with_file(text: &str, change: impl FnOnce(&mut ServeArgs)) -> anyhow::Result<Config> {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("keyward.toml"), text).expect("written");
    let mut args = ServeArgs::default();
    args.data.data_dir = Some(folder.path().to_path_buf());
    change(&mut args);
    Config::read(args, &environment())
}

#[test]
fn defaults_are_local_and_modest() {
    let config = Config::read(ServeArgs::default(), &environment()).expect("defaults");
    assert_eq!(config.gateway_listen.to_string(), "127.0.0.1:8700");
    assert_eq!(config.admin_listen.to_string(), "127.0.0.1:8701");
    assert_eq!(config.data.folder, Path::new("/home/somebody/.local/share/keyward"));
    assert_eq!(config.data.master_key.to_string(), "file:/home/somebody/.local/share/keyward/master.key");
    assert_eq!(config.retention_days, 90);
    assert_eq!(config.drain, Duration::from_secs(30));
}

#[test]
fn the_command_line_wins_over_the_file() {
    let file = "gateway_listen = '127.0.0.1:1'\nadmin_listen = '127.0.0.1:2'\ntrusted_proxies = ['10.0.0.0/8', '::1']";
    let config = with_file(file, |args| args.admin_listen = Some("127.0.0.1:3".to_owned())).expect("fits");
    assert_eq!(config.gateway_listen.port(), 1);
    assert_eq!(config.admin_listen.port(), 3);
    assert_eq!(config.trusted_proxies.len(), 2);
}

#[test]
fn what_cannot_be_is_refused_by_name() {
    type Case = (&'static str, fn(&mut ServeArgs), &'static str);
    let cases: [Case; 9] = [
        ("colour = 1", |_| {}, "colour"),
        ("threads = 0", |_| {}, "--threads"),
        ("retention_days = 0", |_| {}, "--retention-days"),
        ("", |args| args.gateway_listen = Some("nowhere".to_owned()), "--gateway-listen"),
        ("", |args| args.tls_cert = Some("a.pem".into()), "--tls-key"),
        ("", |args| args.tls_client_ca = Some("a.pem".into()), "--tls-cert"),
        ("", |args| args.data.database = Some("mysql://x".to_owned()), "--database"),
        ("", |args| args.trusted_proxies = vec!["10.0.0.0/99".to_owned()], "--trusted-proxy"),
        ("", |args| args.drain = Some("soon".to_owned()), "--drain"),
    ];
    for (file, change, named) in cases {
        let error = with_file(file, change).expect_err(named);
        let said = format!("{error:#} {}", advice::hints(&error).join(" "));
        assert!(said.contains(named), "{named}: {said}");
        assert!(!said.contains('\n'), "{said}");
    }
}

#[test]
fn a_mistake_in_the_file_is_told_with_its_line_and_a_way_on() {
    let error = with_file("threads = 2\ncolour = 1\n", |_| {}).expect_err("no such setting");
    assert!(format!("{error:#}").contains("keyward.toml does not fit: line 2: unknown field `colour`"), "{error:#}");
    assert!(advice::hints(&error).concat().contains("serve --help"), "{error:#}");
}

#[test]
fn a_named_file_must_exist() {
    let mut args = ServeArgs::default();
    args.data.config = Some("/nowhere/keyward.toml".into());
    let error = Config::read(args, &environment()).expect_err("missing");
    assert!(format!("{error:#}").contains("/nowhere/keyward.toml"));
}

#[test]
fn passwords_are_masked() {
    for (url, shown) in [
        ("postgres://ada:pw@host:5432/db", "postgres://ada:…@host:5432/db"),
        ("postgres:///db?host=/run&password=pw&x=1", "postgres:///db?host=/run&password=…&x=1"),
        ("postgres://host/db", "postgres://host/db"),
    ] {
        assert_eq!(mask_url(url), shown);
    }
}

#[test]
fn a_control_api_without_tls_is_for_this_machine() {
    for (text, shows) in [
        ("", false),
        ("admin_listen = '[::1]:8701'", false),
        ("admin_listen = '0.0.0.0:8701'", true),
        ("admin_listen = '10.0.0.1:8701'", true),
        ("admin_listen = '0.0.0.0:8701'\ntls_cert = 'a'\ntls_key = 'b'", false),
    ] {
        assert_eq!(with_file(text, |_| ()).expect("fits").shows_tokens(), shows, "{text}");
    }
}

#[test]
fn printed_settings_can_be_read_back() {
    let config = with_file("drain = '90s'", |args| args.threads = Some(3)).expect("fits");
    let printed = config.print().expect("printed");
    let again = with_file(&printed, |args| args.data.data_dir = Some(config.data.folder.clone())).map(|_| ());
    // The folder of the first reading is gone by now; only the text must fit.
    again.expect("fits");
    assert!(printed.contains("threads = 3"), "{printed}");
    assert!(printed.contains("drain = \"90000ms\""), "{printed}");
    let config = with_file("drain = '90s'", |args| args.data.format = Format::Json).expect("fits");
    let printed: serde_json::Value = serde_json::from_str(&config.print().expect("printed")).expect("JSON");
    assert_eq!(printed["drain"], "90000ms");
}
