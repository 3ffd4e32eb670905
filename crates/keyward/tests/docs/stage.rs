//! A server with an emulated provider, a project and a credential: what a page of the reference is held against.

use keyward_testkit::{
    Emulator, Keyward, Script, Service,
    calls::main_call,
    wire::{Request, Response},
};
use serde_json::{Value, json};

const PROJECT: &str = "shop";
/// The model of every call.
pub(crate) const MODEL: &str = "gpt-5.4-mini";

/// The server and what stands behind it.
pub(crate) struct Stage {
    pub(crate) server: Keyward,
    pub(crate) emulator: Emulator,
    /// The real key of the one credential.
    pub(crate) secret: String,
}

impl Stage {
    pub(crate) fn set() -> Self {
        let server = Keyward::start(crate::BINARY);
        server.prepare(PROJECT);
        let emulator = Emulator::start(Service::OpenAi);
        let secret = emulator.key_with(Script::default());
        let _added = server.add_credential(PROJECT, "openai", "main", &emulator.base_url(), &secret);
        Self { server, emulator, secret }
    }

    /// A key with a policy; gives its text.
    pub(crate) fn key(&self, name: &str, policy: &Value) -> String {
        let body = json!({"project": PROJECT, "environment": "production", "name": name, "policy": policy});
        let made = self.server.api("POST", "/api/v1/keys", Some(&body));
        assert_eq!(made.status, 201, "{name}: {}", made.text());
        made.json()["key"].as_str().expect("a new key is told").to_owned()
    }

    /// The request of a chat by a key.
    pub(crate) fn chat(&self, key: &str, stream: bool) -> Request {
        let sample = main_call(Service::OpenAi, stream).with("model", json!(MODEL));
        sample.request_at("/openai/v1/chat/completions", key)
    }

    /// A chat by a key.
    pub(crate) fn call(&self, key: &str) -> Response {
        self.chat(key, false).send(self.server.gateway())
    }

    /// A page of the admin listener.
    pub(crate) fn admin(&self, path: &str) -> Response {
        Request::get(path).send(self.server.admin())
    }
}
