//! Every provider file that comes with the program.

use keyward_catalogue::{
    Catalogue, check,
    reading::{Answer, probed},
    sample, template,
};
use keyward_domain::provider::{Cause, Provider};
use std::{collections::BTreeSet, fs, path::PathBuf, sync::Arc};

fn catalogue() -> Catalogue {
    Catalogue::embedded().expect("the embedded files are right")
}

fn all() -> Vec<Arc<Provider>> {
    catalogue().providers().to_vec()
}

#[test]
fn every_file_passes_the_check_that_operators_use() {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("providers");
    let mut seen = BTreeSet::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let problems = check::file(&path).unwrap();
        let told: Vec<_> = problems.iter().map(ToString::to_string).collect();
        assert!(told.is_empty(), "{}:\n{}", path.display(), told.join("\n"));
        seen.insert(path.file_stem().unwrap().to_str().unwrap().to_owned());
    }
    let ids: BTreeSet<String> = all().iter().map(|provider| provider.id.to_string()).collect();
    assert_eq!(ids, seen, "a file is named after its provider, and every file is embedded");
}

#[test]
fn every_provider_has_documentation_examples_and_a_way_to_test_a_key() {
    for provider in all() {
        let id = &provider.id;
        assert!(provider.docs.starts_with("https://"), "{id} has no documentation");
        assert!(!provider.probes.is_empty(), "{id} has no probe");
        assert!(!provider.sdks.is_empty() || !provider.unverified.is_empty(), "{id} says nothing about SDKs");
        assert!(provider.examples.iter().any(|example| example.cause.is_some()), "{id} shows no error");
        for name in provider.usage.keys() {
            let shown = provider.examples.iter().any(|example| example.usage.as_deref() == Some(name));
            assert!(shown, "{id}: no example shows the usage shape {name}");
        }
    }
}

#[test]
fn shapes_of_operations_that_stream_have_a_streamed_example() {
    for provider in all() {
        for (name, shape) in &provider.usage {
            let streams = provider.operations.iter().any(|operation| {
                operation.usage.as_ref() == Some(name) && (operation.stream_flag.is_some() || operation.websocket)
            });
            let shown = provider
                .examples
                .iter()
                .any(|example| example.usage.as_ref() == Some(name) && &*example.content_type != "application/json");
            assert!(!streams || shown, "{}: no streamed example of {name} ({shape:?})", provider.id);
        }
    }
}

#[test]
fn unverified_rules_and_shapes_are_said_in_words_too() {
    for provider in all() {
        let flagged = provider.errors.iter().any(|rule| rule.unverified)
            || provider.keys.iter().any(|key| key.unverified)
            || provider.probes.iter().any(|probe| probe.unverified)
            || provider.admin.iter().any(|call| call.unverified);
        assert!(!flagged || !provider.unverified.is_empty(), "{} hides what is unverified", provider.id);
    }
}

#[test]
fn generated_keys_have_their_shape_and_damaged_ones_do_not() {
    let catalogue = catalogue();
    for shape in catalogue.shapes() {
        for seed in 0..20 {
            let key = sample::text(&shape.pattern, seed).unwrap();
            assert!(shape.is(&key), "{}/{}", shape.provider, shape.name);
            let line = format!("key = \"{key}\"");
            let found: Vec<_> = shape.find_in(&line).map(|range| (range.start, range.end)).collect();
            assert_eq!(found, [(7, 7 + key.len())], "{}/{}", shape.provider, shape.name);
            for neighbour in [format!("{key}!"), format!("!{key}"), key.replacen(&key[..2], "??", 1)] {
                assert!(!shape.is(&neighbour), "{}/{} takes a neighbour", shape.provider, shape.name);
            }
            // Right in the middle of a longer word it is not a key.
            assert_eq!(shape.find_in(&format!("x{key}x")).count(), 0, "{}/{}", shape.provider, shape.name);
        }
    }
}

#[test]
fn telling_shapes_of_different_providers_do_not_overlap() {
    let catalogue = catalogue();
    // DeepSeek's keys look like those of others, so their file says they need context.
    let telling: Vec<_> = catalogue.shapes().iter().filter(|shape| shape.is_telling()).collect();
    for shape in &telling {
        for seed in 0..10 {
            let key = sample::text(&shape.pattern, seed).unwrap();
            for other in telling.iter().filter(|other| other.provider != shape.provider) {
                assert!(!other.is(&key), "{}/{} is also {}/{}", shape.provider, shape.name, other.provider, other.name);
            }
        }
    }
}

/// Paths that a key must never reach, whatever the provider: they mint keys, name the account or delete what others use.
const FORBIDDEN: &[(&str, &str, &str)] = &[
    ("openai", "GET", "/organization/projects"),
    ("openai", "GET", "/organization/admin_api_keys"),
    ("openai", "POST", "/organization/projects/p/service_accounts"),
    ("openai", "GET", "/organization/usage/completions"),
    ("openai", "GET", "/organization/costs"),
    ("openai", "GET", "/me"),
    ("openai", "POST", "/realtime/client_secrets"),
    ("openai", "POST", "/realtime/calls"),
    ("openai", "DELETE", "/models/ft:x"),
    ("openai", "DELETE", "/files/file-1"),
    ("openai", "POST", "/fine_tuning/jobs"),
    ("anthropic", "GET", "/v1/organizations/me"),
    ("anthropic", "GET", "/v1/organizations/api_keys"),
    ("anthropic", "POST", "/v1/organizations/api_keys/k"),
    ("anthropic", "POST", "/v1/oauth/token"),
    ("anthropic", "DELETE", "/v1/files/file_1"),
    ("gemini", "DELETE", "/v1beta/files/x"),
    ("gemini", "DELETE", "/v1beta/tunedModels/x"),
    ("gemini", "POST", "/v1alpha/auth_tokens"),
    ("openrouter", "GET", "/keys"),
    ("openrouter", "POST", "/keys"),
    ("openrouter", "PATCH", "/keys/h"),
    ("openrouter", "DELETE", "/keys/h"),
    ("openrouter", "GET", "/key"),
    ("openrouter", "GET", "/credits"),
    ("openrouter", "GET", "/activity"),
    ("perplexity", "POST", "/generate_auth_token"),
    ("perplexity", "POST", "/revoke_auth_token"),
    ("elevenlabs", "GET", "/v1/service-accounts"),
    ("elevenlabs", "POST", "/v1/service-accounts/s/api-keys"),
    ("elevenlabs", "POST", "/v1/workspaces/api-keys/disable"),
    ("elevenlabs", "GET", "/v1/user/subscription"),
    ("xai", "GET", "/api-key"),
    ("deepseek", "GET", "/user/balance"),
    ("mistral", "GET", "/admin/api-keys"),
    ("mistral", "DELETE", "/models/x"),
    ("mistral", "DELETE", "/files/x"),
    ("cohere", "POST", "/v1/check-api-key"),
    ("replicate", "GET", "/v1/account"),
    ("replicate", "DELETE", "/v1/models/o/n"),
    ("fireworks", "POST", "/v1/accounts/a/users/u/apiKeys"),
    ("groq", "DELETE", "/openai/v1/files/x"),
    ("azure-openai", "DELETE", "/openai/v1/files/x"),
];

#[test]
fn paths_that_mint_keys_or_name_the_account_are_no_operation() {
    let providers = all();
    for (id, method, path) in FORBIDDEN {
        let provider = providers.iter().find(|provider| *provider.id == **id).expect(id);
        for operation in provider.operations.iter().filter(|operation| *operation.method == **method) {
            let segments = template::parse(&operation.path).unwrap();
            assert!(!template::fits(&segments, path), "{id}: {method} {path} is {}", operation.path);
        }
    }
}

#[test]
fn nothing_deletes_files_or_models_and_no_operation_looks_like_administration() {
    for provider in all() {
        for operation in &provider.operations {
            let call = format!("{}: {} {}", provider.id, operation.method, operation.path);
            if &*operation.method == "DELETE" {
                assert!(!operation.path.contains("/files/{") && !operation.path.contains("/models/"), "{call}");
                assert!(operation.object.is_some(), "{call} deletes what it was not shown to own");
            }
            let words = ["organization", "api-key", "api_key", "apikeys", "auth_token", "service-account", "workspace"];
            let path = operation.path.to_ascii_lowercase();
            assert!(words.iter().all(|word| !path.contains(word)), "{call}");
        }
    }
}

#[test]
fn what_belongs_to_somebody_is_guarded() {
    for provider in all() {
        let made: BTreeSet<&str> = provider
            .operations
            .iter()
            .flat_map(|operation| operation.creates.iter().chain(&operation.also_creates))
            .map(|creates| &*creates.kind)
            .collect();
        for operation in &provider.operations {
            let call = format!("{}: {} {}", provider.id, operation.method, operation.path);
            let kinds = operation.object.iter().map(|object| &object.kind);
            for kind in kinds.chain(operation.lists.iter().map(|lists| &lists.kind)) {
                assert!(made.contains(&**kind), "{call} is about a {kind}, and nothing makes one");
            }
            if ["files", "batches", "vector-stores", "containers", "uploads", "caches"].contains(&&*operation.name) {
                assert!(!operation.default_allowed, "{call} must be allowed by name");
                let guarded = operation.creates.is_some() || operation.object.is_some() || operation.lists.is_some();
                assert!(guarded, "{call} is open to everybody");
            }
        }
    }
}

#[test]
fn damaged_files_are_told_about_and_never_bring_the_check_down() {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("providers");
    for name in ["gemini.toml", "bedrock.toml"] {
        let text = fs::read_to_string(folder.join(name)).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        let mut told = 0;
        for at in (0..lines.len()).step_by(lines.len() / 25) {
            let cut: String = lines
                .iter()
                .enumerate()
                .filter(|(index, _)| *index != at)
                .fold(String::new(), |text, (_, line)| text + line + "\n");
            let half: String = text.chars().take(text.chars().count() * at / lines.len()).collect();
            for damaged in [cut, half] {
                let problems = check::text(&damaged);
                told += problems.len();
                assert!(problems.iter().all(|problem| problem.line >= 1 && problem.line <= lines.len() + 1));
            }
        }
        assert!(told > 25, "{name}: only {told} problems were told");
    }
}

#[test]
fn the_documentation_has_a_row_for_every_provider() {
    let page = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../docs/reference/providers.md");
    let page = fs::read_to_string(page).unwrap();
    for provider in all() {
        let row = page.lines().find(|line| line.starts_with(&format!("| `{}` |", provider.id)));
        let row = row.unwrap_or_else(|| panic!("{} has no row", provider.id));
        assert!(row.contains(&format!("`{}`", provider.api.root)), "{row} does not name {}", provider.api.root);
        for sdk in provider.sdks.iter().filter(|sdk| !sdk.base_url_env.is_empty()) {
            let setting = format!("`{}=…{}`", sdk.base_url_env, sdk.base_path);
            assert!(row.contains(&setting), "{row} does not name {setting}");
        }
    }
}

#[test]
fn answers_to_probes_tell_more_than_their_status() {
    let catalogue = catalogue();
    let headers = std::collections::BTreeMap::new();
    for (id, status, body, expected) in [
        ("xai", 200, r#"{"api_key_blocked":false,"api_key_disabled":false,"team_blocked":false}"#, Cause::Healthy),
        ("xai", 200, r#"{"api_key_blocked":false,"api_key_disabled":true,"team_blocked":false}"#, Cause::KeyDisabled),
        ("xai", 400, r#"{"code":"x","error":"Incorrect API key provided: xa***yz."}"#, Cause::KeyUnknown),
        ("cohere", 200, r#"{"valid":true,"organization_id":"o","owner_id":"w"}"#, Cause::Healthy),
        ("cohere", 200, r#"{"valid":false}"#, Cause::KeyUnknown),
        ("deepseek", 200, r#"{"is_available":true,"balance_infos":[]}"#, Cause::Healthy),
        ("deepseek", 200, r#"{"is_available":false,"balance_infos":[]}"#, Cause::NoMoney),
        ("openrouter", 200, r#"{"data":{"limit_remaining":74.5,"is_management_key":false}}"#, Cause::Healthy),
        ("openrouter", 200, r#"{"data":{"limit_remaining":0,"is_management_key":false}}"#, Cause::SpendCapReached),
        ("openrouter", 200, r#"{"data":{"limit_remaining":null,"is_management_key":true}}"#, Cause::KeyRestricted),
        ("bedrock", 400, r#"{"message":"The request is not valid"}"#, Cause::Healthy),
        (
            "bedrock",
            403,
            r#"{"Message":"Authentication failed: Please make sure your API Key is valid."}"#,
            Cause::KeyUnknown,
        ),
        ("perplexity", 401, "<html></html>", Cause::KeyUnknown),
        ("openai", 403, r#"{"error":{"message":"Missing scopes: api.model.read"}}"#, Cause::KeyRestricted),
    ] {
        let provider = catalogue.provider(id).unwrap();
        let probe = provider.probes.iter().find(|probe| !probe.admin).unwrap();
        let answer = Answer { status: Some(status), content_type: "application/json", headers: &headers, body };
        let (cause, remedy) = probed(provider, probe, answer);
        assert_eq!(cause, expected, "{id} {body}");
        assert_eq!(remedy.is_empty(), cause == Cause::Healthy, "{id} {body}");
    }
}

#[test]
fn the_file_that_the_documentation_shows_is_right() {
    let page = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../docs/how-to/add-a-provider.md");
    let page = fs::read_to_string(page).unwrap();
    let file = page.split("<<'END'\n").nth(1).and_then(|rest| rest.split("END\n").next()).unwrap();
    assert_eq!(check::text(file), []);
}

#[test]
fn a_client_of_gemini_cannot_leave_its_use_out_of_the_answer() {
    let catalogue = Catalogue::embedded().unwrap();
    let gemini = catalogue.provider("gemini").unwrap();
    for parameter in ["fields", "$fields", "callback", "$callback", "alt=proto"] {
        assert!(gemini.api.refused_query.iter().any(|refused| **refused == *parameter), "{parameter}");
    }
    assert!(gemini.auth.strip_request.iter().any(|header| **header == *"x-goog-fieldmask"));
}
