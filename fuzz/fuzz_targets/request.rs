//! A client's request: head, JSON body and form. Reading never panics; a body that needs no change keeps its bytes,
//! and one that was changed is still sound.
#![no_main]

use bytes::Bytes;
use http::{HeaderMap, Request};
use keyward_domain::{
    Environment, KeyId, ProjectId,
    grant::{Grant, SecretSlot},
    policy::Policy,
    snapshot::{Everything, Update},
    token,
};
use keyward_gateway::{
    inbound::{self, Inbound},
    inspect::{self, Form, json},
    near::Near,
    tables::{LiveGrant, Tables},
};
use libfuzzer_sys::fuzz_target;
use std::sync::{Arc, LazyLock};

struct World {
    tables: Tables,
    key: String,
    grant: Arc<LiveGrant>,
}

static WORLD: LazyLock<World> = LazyLock::new(|| {
    let catalogue = keyward_catalogue::Catalogue::embedded().expect("the embedded catalogue is sound");
    let key = token::generate(Environment::Production, None, &[7; 128]).expect("enough bytes");
    let grant = Grant {
        key: KeyId::new(1, [1; 10]),
        public_id: key.public_id,
        project: ProjectId::new(1, [1; 10]),
        environment: Environment::Production,
        secrets: vec![SecretSlot { hash: key.hash, until: None }],
        revoked: false,
        expires_at: None,
        policy: Arc::new(Policy { max_output_tokens: Some(100), ..Policy::default() }),
    };
    let tables = Tables::new();
    tables.apply(Update::Everything(Box::new(Everything {
        providers: catalogue.providers().to_vec(),
        grants: vec![grant],
        routes: Vec::new(),
        prices: Arc::default(),
        budgets: Vec::new(),
        rates: Vec::new(),
        objects: Vec::new(),
    })));
    let grant = tables.load().grant(&key.public_id).cloned().expect("the key is known");
    World { tables, key: key.text.to_string(), grant }
});

fn read(method: &str, target: &str, headers: &[(&str, &[u8])]) -> Option<(Inbound, HeaderMap)> {
    let mut request = Request::builder().method(method).uri(target).header("x-api-key", &WORLD.key);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let (head, ()) = request.body(()).ok()?.into_parts();
    let inbound = inbound::read(&WORLD.tables.load(), &head, [127, 0, 0, 1].into(), &[]).ok()?;
    Some((inbound, head.headers))
}

fuzz_target!(|data: &[u8]| {
    let Some((which, rest)) = data.split_first() else { return };
    let split = memchr(rest).unwrap_or(rest.len());
    let (first, second) = (&rest[..split], rest.get(split + 1..).unwrap_or_default());
    match which % 3 {
        0 => {
            let Ok(target) = std::str::from_utf8(first) else { return };
            if let Some((inbound, _)) = read("POST", &format!("/{target}"), &[("forwarded", second)]) {
                assert!(inbound.path_and_query.starts_with('/') && !inbound.path_and_query.contains("/../"));
                assert!(!inbound.path_and_query.contains(WORLD.key.as_str()));
            }
        }
        1 => {
            let target =
                ["/openai/v1/chat/completions", "/gemini/v1beta/models/m:generateContent", "/anthropic/v1/messages"];
            let target = target[usize::from(*which) / 3 % target.len()];
            let Some((inbound, _)) = read("POST", target, &[]) else { return };
            let policy = &WORLD.grant.grant.policy;
            if let Ok(read) = inspect::json_body(&inbound, Bytes::copy_from_slice(rest), policy) {
                let cap = read.facts.output_cap;
                let out = read.finish(cap).body;
                let nothing = keyward_gateway::tap::paths::Paths::default();
                assert!(out.is_empty() || json::scan(&out, &nothing, &[]).is_ok(), "an edit broke the body");
            }
        }
        _ => {
            let kind = [&b"multipart/form-data; boundary="[..], first].concat();
            let Some((inbound, headers)) = read("POST", "/openai/v1/audio/transcriptions", &[("content-type", &kind)])
            else {
                return;
            };
            let Ok(mut form) = Form::new(&inbound, &Near::of(&WORLD.grant), &headers) else { return };
            let _ = form.feed(second).and_then(|()| form.finish());
        }
    }
});

fn memchr(bytes: &[u8]) -> Option<usize> {
    bytes.iter().position(|byte| *byte == b'\n')
}
