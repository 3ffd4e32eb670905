//! Several credentials: one that is dead or without money is taken out by what the error means, never by its status
//! alone, and the next one serves the same call.

use crate::world::{PROJECT, World, assert_answered, eventually};
use keyward_testkit::{
    Script, Service, State,
    emulator::{Fault, Recorded},
    wire::Request,
};
use serde_json::json;

/// The real key a request carried upstream.
fn carried(record: &Recorded) -> String {
    let names = ["authorization", "x-api-key", "x-goog-api-key"];
    let value = names.iter().find_map(|name| record.header(name).next()).unwrap_or_default();
    value.trim_start_matches("Bearer ").to_owned()
}

/// States that must make the gateway go on to the next credential, by provider, with the status they hide behind.
const TAKEN_OUT: &[(Service, &[State])] = &[
    (Service::OpenAi, &[State::Revoked, State::NoMoney, State::CapReached]),
    (Service::Anthropic, &[State::Disabled, State::NoMoney, State::CapReached]),
    (Service::Gemini, &[State::Revoked, State::Expired, State::Leaked, State::NoMoney]),
    (Service::Xai, &[State::Revoked, State::NoMoney]),
    (Service::DeepSeek, &[State::Revoked, State::NoMoney]),
    (Service::OpenRouter, &[State::Disabled, State::NoMoney]),
];

/// States that say nothing against the credential: the answer is the client's.
const PASSED_ON: &[(Service, &[State])] = &[
    (Service::OpenAi, &[State::RateLimited, State::Overloaded, State::ModelUnknown, State::PromptTooLong]),
    (Service::Anthropic, &[State::RateLimited, State::Overloaded, State::ModelUnknown, State::PromptTooLong]),
    (Service::Gemini, &[State::RateLimited, State::Overloaded, State::PromptTooLong]),
    (Service::Xai, &[State::RateLimited, State::ModelUnknown]),
];

#[test]
fn dead_and_broke_credentials_are_taken_out_and_the_next_one_serves() {
    let services: Vec<Service> = TAKEN_OUT.iter().map(|(service, _)| *service).collect();
    let world = World::with(&services);
    for (service, states) in TAKEN_OUT {
        for state in *states {
            let project = format!("{}-{}", service.id(), state.name());
            let _told = world.server.tell(&["project", "create", &project]);
            let emulator = world.emulator(*service);
            let (bad, good) = (emulator.key(*state), emulator.key_with(Script::default()));
            let base_url = world.base_url(*service);
            let _told = world.server.add_credential(&project, service.id(), "first", &base_url, &bad);
            add_second(&world, &project, *service, &base_url, &good);
            let made = world.make_key(json!({"project": project, "environment": "production", "name": project,
                                             "policy": {"providers": [service.id()]}}));
            let key = made["key"].as_str().expect("a key");
            let before = emulator.count();
            let answer = world.send(&world.call(*service, false, key));
            assert_answered(&answer);
            let tried: Vec<String> = emulator.requests()[before..].iter().map(carried).collect();
            assert_eq!(tried, [bad.clone(), good.clone()], "{project}");

            // The next call does not try the bad one again.
            let before = emulator.count();
            assert_answered(&world.send(&world.call(*service, true, key)));
            assert_eq!(carried(&emulator.requests()[before]), good, "{project}");

            // It is said where the owner looks.
            let path = format!("/api/v1/credentials?project={project}");
            let wanted = if matches!(state, State::NoMoney | State::CapReached) { "no_money" } else { "dead" };
            eventually(&format!("{project} to be called {wanted}"), || {
                let all = world.server.api("GET", &path, None).json();
                let first = all["items"].as_array()?.iter().find(|item| item["name"] == "first")?.clone();
                first["health"].to_string().contains(wanted).then_some(())
            });
            assert!(world.server.log().contains("taken out"), "the log tells");
        }
    }
}

fn add_second(world: &World, project: &str, service: Service, base_url: &str, secret: &str) {
    let made = world.server.run_with(
        &[
            "credential",
            "add",
            "--project",
            project,
            "--provider",
            service.id(),
            "--name",
            "second",
            "--base-url",
            base_url,
            "--allow-private-address",
            "--order",
            "1",
        ],
        secret.as_bytes(),
    );
    let _told = made.ok();
}

#[test]
fn what_says_nothing_against_the_credential_is_passed_on() {
    let services: Vec<Service> = PASSED_ON.iter().map(|(service, _)| *service).collect();
    let world = World::with(&services);
    for (service, states) in PASSED_ON {
        for state in *states {
            let project = format!("{}-{}", service.id(), state.name());
            let _told = world.server.tell(&["project", "create", &project]);
            let emulator = world.emulator(*service);
            let (bad, good) = (emulator.key(*state), emulator.key_with(Script::default()));
            let base_url = world.base_url(*service);
            let _told = world.server.add_credential(&project, service.id(), "first", &base_url, &bad);
            add_second(&world, &project, *service, &base_url, &good);
            let made = world.make_key(json!({"project": project, "environment": "production", "name": project,
                                             "policy": {"providers": [service.id()]}}));
            let key = made["key"].as_str().expect("a key");
            let before = emulator.count();
            let answer = world.send(&world.call(*service, false, key));
            assert!(answer.status >= 400 && answer.header("keyward-error").is_none(), "{project}: {}", answer.text());
            let tried: Vec<String> = emulator.requests()[before..].iter().map(carried).collect();
            assert_eq!(tried, [bad], "{project}");
        }
    }
}

#[test]
fn a_credential_that_works_again_comes_back() {
    let world = World::with(&[Service::OpenAi]);
    let emulator = world.emulator(Service::OpenAi);
    let secret = emulator.key(State::Revoked);
    world.add(Service::OpenAi, "main", &secret);
    let key = world.key("web", json!({"providers": ["openai"]}));
    let call = world.call(Service::OpenAi, false, &key);
    let first = world.send(&call);
    assert_eq!(first.status, 401, "the only credential's answer is passed on, or refused: {}", first.text());
    emulator.set_state(&secret, State::Live);
    let verified = world.server.tell(&["credential", "verify", "main"]);
    assert!(verified["state"].is_string(), "{verified}");
    eventually("the credential to serve again", || (world.send(&call).status == 200).then_some(()));
}

#[test]
fn every_probe_tells_what_is_wrong_and_what_to_do() {
    let services = [Service::OpenAi, Service::Anthropic, Service::Gemini, Service::Xai];
    let world = World::with(&services);
    for service in services {
        let emulator = world.emulator(service);
        for (state, dead) in [(State::Live, false), (State::Revoked, true), (State::Expired, true)] {
            let secret = emulator.key(state);
            let name = format!("{}-{}", service.id(), state.name());
            world.add(service, &name, &secret);
            let run = world.server.run(&["credential", "verify", &name]);
            let told = run.json();
            let cause = told["cause"].as_str().unwrap_or_default();
            assert_eq!(cause.starts_with("key_"), dead, "{name}: {told}");
            assert_eq!(run.status, i32::from(dead), "the exit status answers too: {told}");
            if dead {
                assert!(told["remedy"].as_str().is_some_and(|remedy| remedy.len() > 10), "{told}");
            }
        }
    }
}

#[test]
fn an_empty_purse_within_a_stream_is_remembered() {
    let world = World::with(&[Service::OpenAi]);
    let emulator = world.emulator(Service::OpenAi);
    let broke = world.credential(Service::OpenAi, "first", Script::default().failing(Fault::NoMoneyAt(0)));
    let good = emulator.key_with(Script::default());
    add_second(&world, PROJECT, Service::OpenAi, &world.base_url(Service::OpenAi), &good);
    let key = world.key("web", json!({"providers": ["openai"]}));
    let body = json!({"model": "gpt-5.4", "input": "Hi", "stream": true});
    let call = Request::post("/openai/v1/responses", &body).bearer(&key);
    // HTTP 200 was already said: this one call fails as the provider says it.
    let first = world.send(&call);
    assert_eq!(first.status, 200);
    assert!(first.text().contains("insufficient_quota"), "{}", first.text());
    assert_eq!(carried(&emulator.last()), broke);
    // The next one goes to the other credential.
    let second = eventually("the credential to be out", || {
        let answer = world.send(&call);
        answer.text().contains("response.completed").then_some(answer)
    });
    assert_eq!(second.status, 200);
    assert_eq!(carried(&emulator.last()), good);
    eventually("the credential to be called without money", || {
        world.credential_state("first")["health"].to_string().contains("no_money").then_some(())
    });
}

#[test]
fn refusals_that_pass_by_themselves_keep_the_credential() {
    // OpenRouter answers 402 both for an empty purse and for a moment's shortage; 401 at Mistral can mean a plan.
    let budget = json!({"error": {"code": 402, "message": "In-flight budget exhausted",
                                  "metadata": {"error_type": "in_flight_budget_exhausted"}}});
    let rows = [(Service::OpenRouter, 402, budget)];
    for (service, status, body) in rows {
        let (world, key) = World::simple(service, Script::raw(status, "application/json", body.to_string()));
        let call = world.call(service, false, &key);
        for _ in 0..2 {
            let answer = world.send(&call);
            assert_eq!((answer.status, answer.header("keyward-error")), (status, None), "{}", answer.text());
        }
        assert_eq!(world.emulator(service).count(), 2, "{service:?}: the credential was taken out");
    }
}
