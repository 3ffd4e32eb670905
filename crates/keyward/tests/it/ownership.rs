//! Objects at the provider belong to the project that made them, though the provider's own account sees them all.

use crate::world::{World, assert_answered, assert_refused};
use keyward_testkit::{Script, Service, wire::Request};
use serde_json::{Value, json};

struct Two {
    world: World,
    ours: String,
    theirs: String,
}

/// Two projects with the same real key behind them.
fn two_projects() -> Two {
    two_projects_of(Service::OpenAi, &["files", "batches", "responses", "chat"])
}

fn two_projects_of(service: Service, operations: &[&str]) -> Two {
    let world = World::with(&[service]);
    let secret = world.credential(service, "main", Script::default());
    let _told = world.server.tell(&["project", "create", "other"]);
    let _told = world.server.add_credential("other", service.id(), "main", &world.base_url(service), &secret);
    let policy = json!({"providers": [service.id()], "operations": operations});
    let ours = world.key("ours", policy.clone());
    let made =
        world.make_key(json!({"project": "other", "environment": "production", "name": "theirs", "policy": policy}));
    let theirs = made["key"].as_str().expect("a key").to_owned();
    Two { world, ours, theirs }
}

fn upload(world: &World, key: &str) -> String {
    let form: &[(&str, Option<&str>, &[u8])] = &[("purpose", None, b"batch"), ("file", Some("a.jsonl"), b"{}\n")];
    let made = world.send(&Request::new("POST", "/openai/v1/files").bearer(key).form(form));
    assert_answered(&made);
    made.json()["id"].as_str().expect("an id").to_owned()
}

fn get(world: &World, key: &str, path: &str) -> keyward_testkit::wire::Response {
    world.send(&Request::get(&format!("/openai/v1{path}")).bearer(key))
}

fn ids(list: &Value) -> Vec<String> {
    let items = list["data"].as_array().expect("a list");
    items.iter().filter_map(|item| item["id"].as_str().map(str::to_owned)).collect()
}

#[test]
fn files_and_batches_of_others_are_not_there() {
    let Two { world, ours, theirs } = two_projects();
    let file = upload(&world, &ours);
    assert_answered(&get(&world, &ours, &format!("/files/{file}")));
    let body = json!({"input_file_id": file, "endpoint": "/v1/chat/completions", "completion_window": "24h"});
    let made = world.send(&Request::post("/openai/v1/batches", &body).bearer(&ours));
    assert_answered(&made);
    let batch = made.json()["id"].as_str().expect("an id").to_owned();

    let seen = world.emulator(Service::OpenAi).count();
    for path in [format!("/files/{file}"), format!("/files/{file}/content"), format!("/batches/{batch}")] {
        assert_refused(&get(&world, &theirs, &path), 404, "object_not_found");
    }
    let cancel = Request::new("POST", &format!("/openai/v1/batches/{batch}/cancel")).bearer(&theirs);
    assert_refused(&world.send(&cancel), 404, "object_not_found");
    let borrow = world.send(&Request::post("/openai/v1/batches", &body).bearer(&theirs));
    assert_refused(&borrow, 404, "object_not_found");
    assert_refused(&get(&world, &theirs, "/files/file_emulated9999"), 404, "object_not_found");
    assert_eq!(world.emulator(Service::OpenAi).count(), seen, "nothing of it reached the provider");

    // Another key of the same project may.
    let policy = json!({"providers": ["openai"], "operations": ["files"]});
    let colleague = world.key("colleague", policy);
    assert_answered(&get(&world, &colleague, &format!("/files/{file}")));
}

#[test]
fn lists_show_only_what_is_ours() {
    let Two { world, ours, theirs } = two_projects();
    let (mine, yours) = (upload(&world, &ours), upload(&world, &theirs));
    let listed = get(&world, &ours, "/files");
    assert_answered(&listed);
    assert_eq!(ids(&listed.json()), [mine.as_str()]);
    assert_eq!(ids(&get(&world, &theirs, "/files").json()), [yours.as_str()]);
    assert!(!listed.text().contains(&yours), "not even in first_id or last_id: {}", listed.text());
}

#[test]
fn stored_responses_of_others_cannot_be_read_or_continued() {
    let Two { world, ours, theirs } = two_projects();
    let body = json!({"model": "gpt-5.4", "input": "Hi"});
    for stream in [false, true] {
        let mut body = body.clone();
        body["stream"] = json!(stream);
        let made = world.send(&Request::post("/openai/v1/responses", &body).bearer(&ours));
        assert_answered(&made);
        let text = made.text();
        let at = text.find("resp_emulated").expect("a response id");
        let id = text[at..].split('"').next().expect("an id").to_owned();
        assert_answered(&get(&world, &ours, &format!("/responses/{id}")));
        assert_refused(&get(&world, &theirs, &format!("/responses/{id}")), 404, "object_not_found");
        body["previous_response_id"] = json!(id);
        assert_answered(&world.send(&Request::post("/openai/v1/responses", &body).bearer(&ours)));
        let stolen = world.send(&Request::post("/openai/v1/responses", &body).bearer(&theirs));
        assert_refused(&stolen, 404, "object_not_found");
    }
}

#[test]
fn geminis_files_are_ours_by_every_name_they_have() {
    let Two { world, ours, theirs } = two_projects_of(Service::Gemini, &["files", "generate"]);
    let upload = Request::new("POST", "/gemini/upload/v1beta/files")
        .header("x-goog-api-key", &ours)
        .header("content-type", "text/plain")
        .body("some text");
    let made = world.send(&upload);
    assert_answered(&made);
    let file = made.json()["file"].clone();
    let (name, uri) = (file["name"].as_str().expect("a name"), file["uri"].as_str().expect("an URI"));
    let read = |key: &str| world.send(&Request::get(&format!("/gemini/v1beta/{name}")).header("x-goog-api-key", key));
    let use_it = |key: &str| {
        let parts = json!([{"text": "What does it say?"}, {"fileData": {"mimeType": "text/plain", "fileUri": uri}}]);
        let body = json!({"contents": [{"role": "user", "parts": parts}]});
        let path = "/gemini/v1beta/models/gemini-3.5-flash:generateContent";
        world.send(&Request::post(path, &body).header("x-goog-api-key", key))
    };
    for owned in [read(&ours), use_it(&ours)] {
        assert_answered(&owned);
    }
    let before = world.emulator(Service::Gemini).count();
    for stolen in [read(&theirs), use_it(&theirs)] {
        assert_refused(&stolen, 404, "object_not_found");
    }
    assert_eq!(world.emulator(Service::Gemini).count(), before);
}

#[test]
fn anthropics_batches_are_ours_too() {
    let Two { world, ours, theirs } = two_projects_of(Service::Anthropic, &["batches"]);
    let call = |method: &str, path: &str, key: &str| {
        let request = Request::new(method, &format!("/anthropic/v1{path}")).header("x-api-key", key);
        world.send(&request.header("anthropic-version", "2023-06-01"))
    };
    let params = json!({"model": "claude-sonnet-5", "max_tokens": 5, "messages": []});
    let body = json!({"requests": [{"custom_id": "one", "params": params}]});
    let made = world.send(&Request::post("/anthropic/v1/messages/batches", &body).header("x-api-key", &ours));
    assert_answered(&made);
    let id = made.json()["id"].as_str().expect("an id").to_owned();
    for path in [format!("/messages/batches/{id}"), format!("/messages/batches/{id}/results")] {
        assert_answered(&call("GET", &path, &ours));
        assert_refused(&call("GET", &path, &theirs), 404, "object_not_found");
    }
    assert_refused(&call("POST", &format!("/messages/batches/{id}/cancel"), &theirs), 404, "object_not_found");
    assert_eq!(ids(&call("GET", "/messages/batches", &ours).json()), [id]);
    assert!(ids(&call("GET", "/messages/batches", &theirs).json()).is_empty());
}

#[test]
fn ownership_outlives_a_restart() {
    let Two { mut world, ours, theirs } = two_projects();
    let file = upload(&world, &ours);
    assert!(world.server.stop().success());
    world.server.launch();
    assert_answered(&get(&world, &ours, &format!("/files/{file}")));
    assert_refused(&get(&world, &theirs, &format!("/files/{file}")), 404, "object_not_found");
}

/// Paths that a key of a provider must never reach, by method.
const FORBIDDEN: &[(Service, &[(&str, &str)])] = &[
    (
        Service::OpenAi,
        &[
            ("GET", "/v1/organization/admin_api_keys"),
            ("POST", "/v1/organization/projects"),
            ("DELETE", "/v1/models/ft:gpt"),
            ("DELETE", "/v1/files/file_emulated0000"),
            ("GET", "/v1/made-up"),
            ("PUT", "/v1/chat/completions"),
        ],
    ),
    (
        Service::Anthropic,
        &[("GET", "/v1/organizations/me"), ("GET", "/v1/organizations/api_keys"), ("POST", "/v1/oauth/token")],
    ),
    (Service::OpenRouter, &[("POST", "/api/v1/keys"), ("GET", "/api/v1/credits"), ("GET", "/api/v1/activity")]),
    (Service::Xai, &[("GET", "/v1/api-key")]),
    (Service::Perplexity, &[("POST", "/generate_auth_token"), ("POST", "/revoke_auth_token")]),
    (Service::ElevenLabs, &[("GET", "/v1/service-accounts"), ("POST", "/v1/workspaces/api-keys/disable")]),
];

#[test]
fn administrative_and_unknown_paths_never_reach_a_provider() {
    let services: Vec<Service> = FORBIDDEN.iter().map(|(service, _)| *service).collect();
    let world = World::with(&services);
    for (service, paths) in FORBIDDEN {
        world.credential(*service, service.id(), Script::default());
        let operations: Vec<&str> =
            world.provider(*service).operations.iter().map(|operation| &*operation.name).collect();
        let key = world.key(service.id(), json!({"providers": [service.id()], "operations": operations}));
        let before = world.emulator(*service).count();
        for (method, path) in *paths {
            let answer = world.send(&Request::new(method, &world.gateway_path(*service, path)).bearer(&key));
            assert_refused(&answer, 404, "unknown_operation");
        }
        assert_eq!(world.emulator(*service).count(), before, "{service:?}");
    }
}
