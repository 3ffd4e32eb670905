//! Secrets go from standard input into one request body. They are never taken from the command line, and never shown.

use crate::fake::{Fake, Reply, TOKEN, User, ok, problem};
use serde_json::json;

/// A secret of no provider's shape, made up for these tests.
const SECRET: &str = "made-up-secret-0123456789";

fn credential() -> Reply {
    Reply::Json(
        201,
        json!({"id": "c1", "project": "shop", "provider": "openai", "name": "main", "fingerprint": "fp_00",
               "status": "active", "health": "unknown", "version": 1}),
    )
}

const ADD: [&str; 8] = ["credential", "add", "--project", "shop", "--provider", "openai", "--name", "main"];

#[test]
fn a_credential_comes_from_standard_input() {
    let fake = Fake::start(|_| credential());
    let user = User::of(&fake).typing(&format!("{SECRET}\n"));
    let more =
        ["--format", "json", "--base-url", "http://127.0.0.1:9100/v1", "--allow-private-address", "--reason", "new"];
    let run = user.run(&[&ADD[..], &more].concat());
    assert_eq!(run.status, 0, "{run:?}");
    for field in ["id", "provider", "fingerprint", "status"] {
        assert!(run.json()[field].is_string(), "{field}: {run:?}");
    }
    run.says_nowhere(SECRET);
    let asked = &fake.asked()[0];
    assert_eq!((asked.method.as_str(), asked.path.as_str()), ("POST", "/api/v1/credentials"));
    assert_eq!(
        asked.json(),
        json!({"project": "shop", "provider": "openai", "name": "main", "secret": SECRET,
               "base_url": "http://127.0.0.1:9100/v1", "allow_private_address": true, "reason": "new"})
    );
}

#[test]
fn what_looks_wrong_about_a_key_is_said_without_showing_it() {
    let fake = Fake::start(|_| {
        let Reply::Json(status, mut answer) = credential() else { panic!("a credential is JSON") };
        answer["warnings"] = json!(["the credential 'old' holds the same secret"]);
        Reply::Json(status, answer)
    });
    let catalogue = keyward_catalogue::Catalogue::embedded().unwrap();
    let shape = catalogue.shapes().iter().find(|shape| &*shape.provider == "anthropic" && !shape.admin).unwrap();
    let foreign = keyward_catalogue::sample::text(&shape.pattern, 5).unwrap();
    let run = User::of(&fake).typing(&foreign).run(&ADD);
    assert!(run.err.contains("warning: this looks like a key of anthropic"), "{run:?}");
    assert!(run.err.contains("warning: the credential 'old' holds the same secret"), "{run:?}");
    run.says_nowhere(&foreign);
}

#[test]
fn a_credential_may_come_from_a_variable() {
    let fake = Fake::start(|_| credential());
    let run =
        User::of(&fake).with("OPENAI_API_KEY", SECRET).run(&[&ADD[..], &["--from-env", "OPENAI_API_KEY"]].concat());
    assert_eq!(run.status, 0, "{run:?}");
    assert_eq!(fake.asked()[0].json()["secret"], SECRET);
    let run = User::of(&fake).run(&[&ADD[..], &["--from-env", "NOT_THERE"]].concat());
    assert!(run.status == 2 && run.err.contains("NOT_THERE is not set"), "{run:?}");
}

#[test]
fn a_secret_on_the_command_line_is_refused_unrepeated_and_unsent() {
    let fake = Fake::start(|_| credential());
    let user = User::of(&fake).typing("other\n");
    let joined = format!("--secret={SECRET}");
    for more in [
        vec![SECRET],
        vec!["--secret", SECRET],
        vec![joined.as_str()],
        vec!["--api-key", SECRET],
        vec!["--key", SECRET],
        vec!["--token", SECRET],
    ] {
        let run = user.run(&[&ADD[..], &more].concat());
        assert_eq!(run.status, 2, "{more:?}");
        assert!(run.err.contains("secrets are not taken from the command line"), "{run:?}");
        run.says_nowhere(SECRET);
    }
    for arguments in
        [vec!["credential", "replace", "main", SECRET], vec!["login", "--addr", "http://127.0.0.1:1", SECRET]]
    {
        let run = user.run(&arguments);
        assert!(run.status == 2 && run.err.contains("secrets are not taken"), "{run:?}");
        run.says_nowhere(SECRET);
    }
    assert!(fake.asked().is_empty());
}

#[test]
fn an_empty_or_foreign_secret_is_refused_before_it_is_sent() {
    let fake = Fake::start(|_| credential());
    for (input, part) in [("", "there is no secret"), ("kw_prod_abc", "virtual key"), ("a b", "more than one word")] {
        let run = User::of(&fake).typing(input).run(&ADD);
        assert!(run.status == 2 && run.err.contains(part), "{run:?}");
    }
    assert!(fake.asked().is_empty());
}

#[test]
fn without_recovery_the_next_command_is_named() {
    let fake = Fake::start(|_| {
        problem(409, "recovery_missing", "no identity", Some("make one now: keyward vault recovery create"))
    });
    let run = User::of(&fake).typing(SECRET).run(&ADD);
    assert_eq!(run.status, 2);
    assert_eq!(run.err, "error: no identity\nhint: make one now: keyward vault recovery create\n");
    run.says_nowhere(SECRET);
}

#[test]
fn a_replaced_secret_goes_into_a_new_version() {
    let fake = Fake::start(|_| credential());
    let run = User::of(&fake).typing(SECRET).run(&["credential", "replace", "main", "--reason", "yearly"]);
    assert_eq!(run.status, 0, "{run:?}");
    let asked = fake.asked();
    let (last, first) = (asked.last().unwrap(), &asked[0]);
    assert_eq!((first.method.as_str(), first.path.as_str()), ("GET", "/api/v1/credentials/main"));
    assert_eq!((last.method.as_str(), last.path.as_str()), ("POST", "/api/v1/credentials/main/versions"));
    assert_eq!(last.json(), json!({"secret": SECRET, "reason": "yearly"}));
    run.says_nowhere(SECRET);
}

fn key() -> Reply {
    Reply::Json(
        201,
        json!({"id": "k1", "key": "kw_prod_theKey", "public_id": "theId", "name": "web", "project": "shop",
               "environment": "production", "expires_at": "2026-12-21T08:00:00Z"}),
    )
}

const CREATE: [&str; 10] =
    ["key", "create", "--project", "shop", "--env", "production", "--name", "web", "--provider", "openai"];

#[test]
fn a_new_key_is_alone_on_standard_output() {
    let fake = Fake::start(|_| key());
    for user in [User::of(&fake), User::of(&fake).at_a_terminal()] {
        let run = user.run(&CREATE);
        assert_eq!((run.status, run.out.as_str()), (0, "kw_prod_theKey\n"));
        assert!(run.err.contains("warning: this key is shown only now"), "{run:?}");
        assert!(!run.err.contains("kw_prod_theKey") && run.err.contains("2026-12-21 08:00:00Z"), "{run:?}");
        run.says_nowhere(TOKEN);
    }
    let run = User::of(&fake).run(&[&CREATE[..], &["--format", "json"]].concat());
    for field in ["id", "key", "expires_at"] {
        assert!(run.json()[field].is_string(), "{field}: {run:?}");
    }
    assert_eq!(run.err, "");
}

#[test]
fn a_new_key_comes_with_the_variables_that_point_an_sdk_at_it() {
    let fake = Fake::start(|asked| match asked.path.as_str() {
        "/api/v1/status" => ok(json!({"gateway": "http://127.0.0.1:8700"})),
        "/api/v1/providers/openai" => ok(json!({"api": {"root": "/openai/v1"}, "sdks": [
            {"name": "openai", "base_url_env": "OPENAI_BASE_URL", "base_path": "/openai/v1", "key_env": ["OPENAI_API_KEY"]}]})),
        _ => key(),
    });
    let run = User::of(&fake).run(&CREATE);
    let line = "openai: OPENAI_BASE_URL=http://127.0.0.1:8700/openai/v1 OPENAI_API_KEY=<the key>";
    assert!(run.err.lines().any(|said| said == line), "{run:?}");
}

#[test]
fn a_new_key_sends_its_whole_policy() {
    let fake = Fake::start(|_| key());
    let more = [
        "--model",
        "gpt-*",
        "--operation",
        "chat",
        "--cidr",
        "127.0.0.0/8",
        "--expires",
        "30d",
        "--rpm",
        "60",
        "--tpm",
        "100000",
        "--concurrency",
        "8",
        "--max-output-tokens",
        "4096",
        "--max-body",
        "32MiB",
        "--overlap",
        "24h",
        "--style",
        "sk",
        "--hours",
        "mon-fri 08:00-18:00 Europe/Vienna",
        "--country",
        "AT",
        "--reason",
        "launch",
    ];
    assert_eq!(User::of(&fake).run(&[&CREATE[..], &more, &["--format", "json"]].concat()).status, 0);
    let asked = fake.asked();
    let body = asked.iter().find(|asked| asked.method == "POST").unwrap().json();
    assert_eq!(
        body,
        json!({"project": "shop", "environment": "production", "name": "web", "expires_in": "30d", "style": "sk",
            "reason": "launch", "policy": {
                "providers": ["openai"], "models": ["gpt-*"], "operations": ["chat"], "networks": ["127.0.0.0/8"],
                "hours": "mon-fri 08:00-18:00 Europe/Vienna", "countries": ["AT"], "requests_per_minute": 60,
                "tokens_per_minute": 100_000, "concurrency": 8, "max_output_tokens": 4096,
                "max_body_bytes": 33_554_432, "rotation_overlap_ms": 86_400_000}})
    );
}

#[test]
fn mistakes_in_options_are_found_here_and_explained() {
    let fake = Fake::start(|_| key());
    for (more, part) in [
        (["--cidr", "10.0.0.1/8"], "10.0.0.0/8"),
        (["--hours", "sometimes"], "mon-fri 08:00-18:00"),
        (["--expires", "soon"], "30d"),
        (["--max-body", "huge"], "32MiB"),
        (["--rpm", "0"], "0 is not in 1.."),
    ] {
        let run = User::of(&fake).run(&[&CREATE[..], &more].concat());
        assert!(run.status == 2 && run.err.contains(part), "{run:?}");
    }
    let run = User::of(&fake).run(&["key", "create", "--project", "shop", "--env", "live", "--name", "web"]);
    assert!(run.status == 2 && run.err.contains("development, staging or production"), "{run:?}");
    assert!(fake.asked().is_empty());
}

#[test]
fn a_new_token_is_alone_on_standard_output() {
    let fake = Fake::start(|_| ok(json!({"id": "t1", "token": "kwt_shownOnce", "name": "ci", "role": "developer"})));
    let run = User::of(&fake).run(&["token", "create", "ci", "--role", "developer", "--expires", "90d"]);
    assert_eq!((run.status, run.out.as_str()), (0, "kwt_shownOnce\n"));
    assert!(run.err.contains("shown only now"), "{run:?}");
    assert_eq!(fake.asked()[0].json(), json!({"name": "ci", "role": "developer", "expires_in": "90d"}));
}

#[test]
fn a_key_in_a_wrong_place_is_not_repeated() {
    let key = format!("kw_prod_{}", "a1B2c3D4".repeat(7));
    let user = User::new();
    for arguments in [vec![key.as_str()], vec!["key", "list", key.as_str()], vec!["usage", "--by", key.as_str()]] {
        let run = user.run(&arguments);
        assert_eq!(run.status, 2, "{run:?}");
        run.says_nowhere(&key);
    }
}
