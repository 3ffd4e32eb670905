//! `keyward check` against every provider's emulator in every state a key can be in: what it says, that it asks the right
//! provider only, and that nothing secret shows.

use crate::world::{BINARY, PROJECT, World};
use keyward_catalogue::Catalogue;
use keyward_testkit::{Emulator, Gate, Script, Service, State, cli::Run, emulator::Echo, terminal::Terminal};
use serde_json::{Value, json};
use std::{fs, path::Path, process::Command, sync::Arc};

/// A run of the program far from any server. `variables` are all there are.
fn run(folder: &Path, arguments: &[&str], variables: &[(&str, &str)], input: &str) -> Run {
    let mut command = Command::new(BINARY);
    command.args(arguments).current_dir(folder).env_clear().env("HOME", folder).envs(variables.iter().copied());
    Run::of(command, input.as_bytes())
}

/// What a key of a provider and state is, when nothing is paid for.
fn expected(service: Service, state: State) -> &'static str {
    use Service as S;
    match (service, state) {
        // A call for nothing still goes through what its region can serve.
        (S::Bedrock, State::NoMoney | State::CapReached) => "no_money",
        (S::Bedrock, State::RateLimited) => "rate_limited",
        (S::Bedrock, State::Overloaded) => "unknown",
        (S::Bedrock, State::ModelUnknown | State::WrongIp | State::WrongRegion) => "live_restricted",
        (S::DeepSeek | S::OpenRouter, State::CapReached) | (S::DeepSeek, State::NoMoney) => "no_money",
        (
            _,
            State::Live
            | State::ModelUnknown
            | State::NoMoney
            | State::CapReached
            | State::RateLimited
            | State::Overloaded
            | State::PromptTooLong,
        ) => "live",
        (S::Gemini | S::OpenRouter, State::Expired) => "expired",
        (S::Gemini | S::Xai, State::Leaked) => "leaked",
        (S::Groq | S::Cohere, State::Leaked | State::Disabled) => "revoked",
        (S::OpenAi | S::OpenRouter | S::Xai, State::Disabled) => "revoked",
        (_, State::Revoked | State::Disabled | State::Expired | State::Leaked) => "invalid",
        // It may ask about itself, or its one right is all that is asked for.
        (S::OpenRouter | S::Xai | S::Cohere | S::HuggingFace | S::Bedrock | S::Perplexity, State::Restricted) => "live",
        (S::DeepSeek | S::Fireworks, State::Restricted | State::WrongIp | State::WrongRegion) => "invalid",
        (S::OpenAi | S::Anthropic | S::Gemini | S::AzureOpenAi, State::WrongIp | State::WrongRegion) => "wrong_network",
        (_, State::Restricted | State::WrongIp | State::WrongRegion) => "live_restricted",
    }
}

/// A folder with the provider's file as it is, but for an address that only the real provider has.
fn catalogue_folder(folder: &Path) -> String {
    let path = folder.join("own/providers");
    fs::create_dir_all(&path).expect("a folder");
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("../catalogue/providers/huggingface.toml");
    let text = fs::read_to_string(source).expect("the provider's file");
    let text = text.replace("https://huggingface.co/api/whoami-v2", "/api/whoami-v2");
    fs::write(path.join("huggingface.toml"), text).expect("written");
    folder.join("own").display().to_string()
}

/// The root that stands for the provider's.
fn base_url(emulator: &Emulator) -> String {
    let service = emulator.service();
    // Hugging Face is asked about a token at another place than its models.
    if service == Service::HuggingFace {
        return emulator.origin();
    }
    let catalogue = Catalogue::embedded().expect("a catalogue");
    let base = &catalogue.provider(service.id()).expect("known").api.base_url;
    let path = base.split_once("://").and_then(|(_, rest)| rest.split_once('/')).map_or("", |(_, path)| path);
    format!("{}/{path}", emulator.origin()).trim_end_matches('/').to_owned()
}

/// One line for a key in each of some states, named after provider and state.
fn lines(emulator: &Emulator, states: &[State]) -> (String, Vec<String>) {
    let keys: Vec<String> = states.iter().map(|state| emulator.key(*state)).collect();
    let name = |state: &State| format!("{}_KEY_{}", emulator.service().id(), state.name()).replace('-', "_");
    let lines = states.iter().zip(&keys).map(|(state, key)| format!("{}={key}\n", name(state))).collect();
    (lines, keys)
}

#[test]
fn every_state_of_every_provider_is_told_for_free() {
    let folder = tempfile::tempdir().expect("a folder");
    let config = catalogue_folder(folder.path());
    let mut wrong = Vec::new();
    for service in Service::ALL {
        let emulator = Emulator::start(service);
        let (input, keys) = lines(&emulator, &State::ALL);
        let base = base_url(&emulator);
        let arguments =
            ["check", "--format", "json", "--config-dir", &config, "--base-url", &base, "--allow-private-address"];
        let found = run(folder.path(), &arguments, &[], &input);
        assert_eq!(found.status, 1, "{}: {}", service.id(), found.all());
        let answer = found.json();
        let items = answer["items"].as_array().expect("items");
        assert_eq!(items.len(), State::ALL.len(), "{}: {}", service.id(), found.all());
        for (state, item) in State::ALL.iter().zip(items) {
            let told = item["state"].as_str().unwrap_or_default();
            if told != expected(service, *state) {
                wrong.push(format!("{} {}: {item}", service.id(), state.name()));
            }
            assert_eq!(item["provider"], service.id());
            let advised = item["remedy"].as_str().is_some_and(|remedy| !remedy.is_empty());
            assert!(told == "live" || advised, "{} {}: no remedy: {item}", service.id(), state.name());
            assert!(item["because"].as_str().is_some_and(|because| !because.is_empty()), "{item}");
        }
        for key in keys {
            assert!(!found.all().contains(&key), "{} shows a key", service.id());
        }
        let paid = emulator.requests().into_iter().filter(|request| request.method == "POST" && request.body.len() > 2);
        assert_eq!(paid.count(), 0, "{}: a model was called", service.id());
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_call_that_is_paid_for_tells_the_rest() {
    let states = [State::Live, State::NoMoney, State::RateLimited, State::ModelUnknown, State::Overloaded];
    let folder = tempfile::tempdir().expect("a folder");
    let config = catalogue_folder(folder.path());
    let mut wrong = Vec::new();
    for service in Service::ALL {
        let emulator = Emulator::start(service);
        let (input, _) = lines(&emulator, &states);
        // The emulator of the router has its models beside it.
        let base = if service == Service::HuggingFace { emulator.base_url() } else { base_url(&emulator) };
        let arguments = [
            "check",
            "--format",
            "json",
            "--config-dir",
            &config,
            "--base-url",
            &base,
            "--allow-private-address",
            "--deep",
            "--model",
            service.model(),
        ];
        let found = run(folder.path(), &arguments, &[], &input);
        let answer = found.json();
        let items = answer["items"].as_array().expect("items");
        let paid = service != Service::ElevenLabs;
        for (state, item) in states.iter().zip(items) {
            let told = (item["state"].as_str().unwrap_or_default(), item["usable"].as_bool());
            let fits = match state {
                State::Live => told == ("live", Some(true)) && (!paid || item["trial"]["answered"] == true),
                _ if !paid => told == ("live", Some(true)),
                // What Groq says of an empty purse is not known.
                State::NoMoney if service == Service::Groq => told.0 == "live",
                State::NoMoney => told == ("no_money", Some(false)),
                State::RateLimited => told == ("rate_limited", Some(true)),
                State::ModelUnknown => told.1 != Some(true) && item["trial"]["answered"] != true,
                _ => item["trial"]["answered"] != true,
            };
            if !fits {
                wrong.push(format!("{} {}: {item}", service.id(), state.name()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_key_tells_what_it_has() {
    let folder = tempfile::tempdir().expect("a folder");
    let facts = |service: Service| {
        let emulator = Emulator::start(service);
        let key = emulator.key(State::Live);
        let name = format!("{}_KEY", service.id());
        let base = base_url(&emulator);
        let arguments =
            ["check", "--format", "json", "--base-url", &base, "--allow-private-address", "--from-env", &name];
        let found = run(folder.path(), &arguments, &[(&name, &key)], "").ok();
        found.json()["items"][0]["facts"].clone()
    };
    let openai = facts(Service::OpenAi);
    assert_eq!(openai["models"], json!(["gpt-5.4", "another-model"]));
    assert!(openai["organization"][0].as_str().is_some_and(|name| name.starts_with("org-")), "{openai}");
    assert_eq!((&openai["request_limit"], &openai["tokens_left"]), (&json!(["5000"]), &json!(["799900"])));
    assert_eq!(facts(Service::Together)["models"][0], Service::Together.model());
    assert_eq!(facts(Service::DeepSeek)["credit"], json!(["110.00 USD"]));
    assert_eq!(facts(Service::OpenRouter)["credit"], json!(["74.5 USD"]));
    assert_eq!(facts(Service::Xai)["scopes"], json!(["api-key:endpoint:*", "api-key:model:*"]));
    let elevenlabs = facts(Service::ElevenLabs);
    assert_eq!((&elevenlabs["used"], &elevenlabs["plan"]), (&json!(["100 characters"]), &json!(["creator"])));
    assert_eq!(facts(Service::Replicate)["owner"], json!(["emulated"]));
    assert!(facts(Service::Anthropic)["project"][0].is_string());
}

#[test]
fn what_was_copied_wrongly_is_told_and_not_sent() {
    let folder = tempfile::tempdir().expect("a folder");
    let emulator = Emulator::start(Service::OpenAi);
    let (base, key) = (emulator.base_url(), emulator.key(State::Live));
    let (half, rest) = key.split_at(80);
    let check = |text: &str| {
        let arguments = [
            "check",
            "--format",
            "json",
            "--provider",
            "openai",
            "--base-url",
            &base,
            "--allow-private-address",
            "--from-env",
            "K",
        ];
        run(folder.path(), &arguments, &[("K", text)], "")
    };
    let foreign = Service::Anthropic.new_key();
    let cases = [
        (half.to_owned(), "truncated"),
        (format!("{half} {rest}"), "space"),
        (format!("{half}\n{rest}"), "line_break"),
        (format!("\"{key}\""), "quotes"),
        (format!("\u{201c}{key}\u{201d}"), "quotes"),
        (key.replacen('-', "\u{2014}", 1), "dash"),
        (format!("Bearer {key}"), "header"),
        (format!("{}…{}", &key[..8], &key[key.len() - 4..]), "masked"),
        ("your-api-key-here".to_owned(), "placeholder"),
        (foreign.clone(), "foreign_key"),
        ("org-0123456789abcdefghijklmn".to_owned(), "other_kind"),
        (Service::Groq.new_key(), "foreign_key"),
    ];
    for (text, cause) in &cases {
        let found = check(text);
        assert_eq!(found.status, 1, "{cause}: {}", found.all());
        let item = &found.json()["items"][0];
        assert_eq!((item["cause"].as_str(), item["state"].as_str()), (Some(*cause), Some("invalid")), "{item}");
        assert!(item["remedy"].as_str().is_some_and(|remedy| remedy.len() > 10), "{item}");
        for secret in [half, rest, &foreign] {
            assert!(!found.all().contains(secret), "{cause} shows a key");
        }
    }
    assert_eq!(emulator.count(), 0, "something was sent");
    assert_eq!(check(&key).ok().json()["items"][0]["state"], "live");
    assert_eq!(emulator.count(), 1);
}

#[test]
fn a_key_is_never_shown_to_somebody_elses_provider() {
    let folder = tempfile::tempdir().expect("a folder");
    let emulator = Emulator::start(Service::Mistral);
    let (base, key) = (base_url(&emulator), emulator.key(State::Live));
    let place = ["--base-url", &base, "--allow-private-address"];
    let check = |more: &[&str], input: &str| run(folder.path(), &[&["check"], &place[..], more].concat(), &[], input);
    // Without a name, 32 letters and digits are anybody's.
    let found = check(&[], &key);
    assert_eq!(found.status, 2, "{}", found.all());
    assert!(found.stderr.contains("--provider") && found.stderr.contains("nothing was sent"), "{}", found.all());
    // Beside another key it is left out, and the other one is asked about.
    let found = check(&["--format", "json"], &format!("{key}\nMISTRAL_API_KEY={key}\n"));
    let answer = found.json();
    assert_eq!((found.status, &answer["usable"], &answer["unknown"]), (2, &json!(1), &json!(1)), "{}", found.all());
    assert_eq!(answer["items"][0]["cause"], "provider_unknown");
    assert_eq!(check(&["--provider", "mistral"], &key).status, 0);
    assert_eq!(emulator.count(), 2);
    // Keys of two providers do not go to one address.
    let found = check(&[], &format!("MISTRAL_API_KEY={key}\n{}\n", Service::Anthropic.new_key()));
    assert_eq!(found.status, 2, "{}", found.all());
    assert!(found.stderr.contains("anthropic, mistral"), "{}", found.all());
    assert_eq!(emulator.count(), 2);
    // And no key goes anywhere in the clear, or to an address inside, unless that was allowed.
    let found = run(folder.path(), &["check", "--provider", "mistral", "--base-url", &base], &[], &key);
    assert_eq!(found.status, 2, "{}", found.all());
    assert!(found.stdout.contains("--allow-private-address"), "{}", found.all());
    assert_eq!(emulator.count(), 2);
    assert!(!found.all().contains(&key));
}

#[test]
fn env_files_are_read_for_the_keys_in_them() {
    let folder = tempfile::tempdir().expect("a folder");
    let emulator = Emulator::start(Service::Groq);
    let (live, dead) = (emulator.key(State::Live), emulator.key(State::Revoked));
    let path = folder.path().join(".env");
    let text = format!(
        "# settings\nDEBUG=true\nSECRET_KEY=nothing-of-ours\nexport GROQ_API_KEY=\"{live}\"\nGROQ_OLD_KEY='{dead}' # last year\n"
    );
    fs::write(&path, text).expect("written");
    let (base, file) = (base_url(&emulator), path.display().to_string());
    let place = ["check", "--env-file", &file, "--base-url", &base, "--allow-private-address"];
    let found = run(folder.path(), &[&place[..], &["--format", "json"]].concat(), &[], "");
    assert_eq!(found.status, 1, "{}", found.all());
    let items = found.json()["items"].clone();
    let told = |at: usize, field: &str| items[at][field].as_str().unwrap_or_default().to_owned();
    assert_eq!((told(0, "name"), told(0, "state")), ("GROQ_API_KEY".to_owned(), "live".to_owned()));
    assert_eq!((told(1, "name"), told(1, "state")), ("GROQ_OLD_KEY".to_owned(), "invalid".to_owned()));
    let people = run(folder.path(), &place, &[], "");
    assert!(people.stdout.contains("1 can be used, 1 cannot, 0 not known"), "{}", people.all());
    for key in [live, dead] {
        assert!(!people.all().contains(&key) && !found.all().contains(&key));
    }
    let nothing = run(folder.path(), &["check", "--from-env", "NOT_SET"], &[], "");
    assert_eq!(nothing.status, 2, "{}", nothing.all());
    let argument = run(folder.path(), &["check", "a-key-in-the-arguments-0123456789"], &[], "");
    assert_eq!(argument.status, 2);
    assert!(!argument.all().contains("0123456789"), "{}", argument.all());
}

#[test]
fn a_provider_that_repeats_the_key_is_not_repeated() {
    let folder = tempfile::tempdir().expect("a folder");
    let emulator = Emulator::start(Service::OpenAi);
    let key = emulator.key(State::Restricted);
    emulator.script(&key, Script { echo: Echo::Whole, ..Script::default() });
    let base = emulator.base_url();
    let arguments = ["check", "--base-url", &base, "--allow-private-address"];
    let found = run(folder.path(), &arguments, &[], &key);
    assert_eq!(found.status, 0, "{}", found.all());
    assert!(found.stdout.contains("live, restricted") && found.stdout.contains("api.model.read"), "{}", found.all());
    assert!(!found.all().contains(&key) && !found.all().contains(&key[8..40]), "{}", found.all());
}

#[test]
fn the_vault_and_virtual_keys_are_asked_of_the_server() {
    let world = World::with(&[Service::OpenAi]);
    let (good, bad) =
        (world.emulator(Service::OpenAi).key(State::Live), world.emulator(Service::OpenAi).key(State::Revoked));
    let _told = (world.add(Service::OpenAi, "main", &good), world.add(Service::OpenAi, "old", &bad));
    let found = world.server.run(&["check", "--vault"]);
    assert_eq!(found.status, 1, "{}", found.all());
    let answer = found.json();
    let state = |name: &str| {
        let items = answer["items"].as_array().expect("items");
        let item = items.iter().find(|item| item["name"] == name).expect("checked");
        (item["state"].clone(), item["facts"]["models"].clone())
    };
    assert_eq!(state("main"), (json!("live"), json!(["gpt-5.4", "another-model"])));
    assert_eq!(state("old").0, "invalid");
    let one = world.server.run(&["check", "--credential", "main"]).ok();
    assert_eq!(one.json()["items"][0]["provider"], "openai");
    let verified = world.server.run_for_people(&["credential", "verify", "main"]).ok();
    assert!(verified.stdout.contains("gpt-5.4"), "{}", verified.all());

    let key = world.key("web", json!({"providers": ["openai"]}));
    let before = world.emulator(Service::OpenAi).count();
    let found = world.server.run_with(&["check"], key.as_bytes()).ok();
    let item = found.json()["items"][0].clone();
    assert_eq!((&item["state"], &item["provider"]), (&json!("live"), &json!("keyward")), "{item}");
    assert!(item["because"].as_str().is_some_and(|because| because.contains("'web' of project")), "{item}");
    assert_eq!(item["facts"]["project"], json!([PROJECT]));
    let _told = world.server.tell(&["key", "revoke", "web"]);
    let found = world.server.run_with(&["check"], key.as_bytes());
    assert_eq!((found.status, &found.json()["items"][0]["state"]), (1, &json!("revoked")), "{}", found.all());
    assert_eq!(world.emulator(Service::OpenAi).count(), before, "a virtual key is nobody else's business");
    assert!(!found.all().contains(&key));
    let log: Value = json!(world.server.log());
    assert!(!log.to_string().contains(&key) && !log.to_string().contains(&good));
}

#[test]
fn a_scan_asks_the_right_provider_and_hides_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let emulator = Emulator::start(Service::Anthropic);
    let (live, dead, old) = (emulator.key(State::Live), emulator.key(State::Revoked), Service::AzureOpenAi.new_key());
    let path = folder.path().join("own/providers");
    fs::create_dir_all(&path).expect("a folder");
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("../catalogue/providers/anthropic.toml");
    let text = fs::read_to_string(source).expect("the provider's file");
    fs::write(
        path.join("anthropic.toml"),
        text.replace("base_url = \"https://api.anthropic.com\"", &format!("base_url = \"{}\"", emulator.origin())),
    )
    .expect("written");
    let tree = folder.path().join("tree");
    fs::create_dir_all(&tree).expect("a folder");
    fs::write(tree.join("a.env"), format!("A={live}\nB={dead}\nAZURE_OPENAI_API_KEY={old}\n")).expect("written");
    fs::write(tree.join("b.txt"), format!("the same again: {live}\n")).expect("written");
    let (tree, config) = (tree.display().to_string(), folder.path().join("own").display().to_string());
    let scan = |more: &[&str]| {
        run(folder.path(), &[&["scan", &tree, "--format", "json", "--config-dir", &config], more].concat(), &[], "")
    };
    let found = scan(&["--verify", "--allow-private-address"]);
    assert_eq!(found.status, 1, "{}", found.all());
    let answer = found.json();
    let findings = answer["findings"].as_array().expect("findings");
    let states = |provider: &str| {
        let own = findings.iter().filter(|finding| finding["provider"] == provider);
        let mut states: Vec<&str> = own.filter_map(|finding| finding["verified"]["state"].as_str()).collect();
        states.sort_unstable();
        states
    };
    assert_eq!(states("anthropic"), ["invalid", "live", "live"], "{}", found.all());
    assert_eq!(states("azure-openai"), ["unknown"], "{}", found.all());
    assert_eq!(emulator.count(), 2, "each secret is asked about once");
    for secret in [&live, &dead, &old] {
        assert!(!found.all().contains(secret.as_str()));
    }
    // Nothing is sent into a private network unless that was allowed, and nothing at all unless it was asked for.
    let refused = scan(&["--verify"]);
    assert_eq!(refused.json()["findings"][0]["verified"]["state"], "unreachable", "{}", refused.all());
    let quiet = run(folder.path(), &["scan", &tree, "--format", "json"], &[], "");
    assert_eq!(quiet.status, 1, "{}", quiet.all());
    assert_eq!(emulator.count(), 2);
}

#[test]
fn many_keys_are_asked_about_at_once() {
    let folder = tempfile::tempdir().expect("a folder");
    let emulator = Emulator::start(Service::Perplexity);
    let gate = Gate::new();
    let held = || emulator.key_with(Script { hold: Some(Arc::clone(&gate)), ..Script::default() });
    let input: String = (0..3).map(|_| format!("{}\n", held())).collect();
    let (base, path) = (emulator.base_url(), folder.path().to_owned());
    let arguments = move || {
        let arguments = ["check", "--base-url", &base, "--allow-private-address", "--format", "json"];
        run(&path, &arguments, &[], &input)
    };
    let running = std::thread::spawn(arguments);
    // None is answered before all three were asked.
    gate.wait_reached_by(3);
    gate.open();
    let found = running.join().expect("the run ends").ok();
    assert_eq!(found.json()["usable"], 3, "{}", found.all());
}

#[test]
fn a_person_is_asked_for_the_key_and_whose_it_is() {
    let emulator = Emulator::start(Service::Mistral);
    let (base, key) = (base_url(&emulator), emulator.key(State::Live));
    let mut terminal = Terminal::run(BINARY, &["check", "--base-url", &base, "--allow-private-address"]);
    terminal.wait_for("Key (not shown):");
    terminal.type_hidden(&key);
    terminal.wait_for("The provider's id");
    assert_eq!(emulator.count(), 0, "nothing is sent before somebody said whose it is");
    terminal.type_line("mistral");
    terminal.wait_for("1 of 1 keys");
    terminal.wait_for("live");
    terminal.wait_for(Service::Mistral.model());
    assert!(!terminal.shown().contains(&key), "{}", terminal.shown());
}
