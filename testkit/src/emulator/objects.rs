//! Things that callers leave at a provider: files, batches, stored responses. They belong to the provider's account,
//! not to whoever made them: any key of the account sees them all, as it is in truth.

use super::{
    call::{CREATED, Call},
    form,
    reply::Reply,
};
use http::Method;
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

/// All objects, by kind and id.
#[derive(Debug, Default)]
pub(crate) struct Objects {
    next: AtomicU64,
    all: Mutex<BTreeMap<(String, String), Value>>,
    contents: Mutex<BTreeMap<String, Vec<u8>>>,
}

impl Objects {
    pub(crate) fn new_id(&self, prefix: &str) -> String {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        format!("{prefix}_emulated{number:04}")
    }

    pub(crate) fn put(&self, kind: &str, id: &str, value: Value) {
        self.all.lock().unwrap_or_else(PoisonError::into_inner).insert((kind.to_owned(), id.to_owned()), value);
    }

    pub(crate) fn one(&self, kind: &str, id: &str) -> Option<Value> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner).get(&(kind.to_owned(), id.to_owned())).cloned()
    }

    pub(crate) fn remove(&self, kind: &str, id: &str) -> bool {
        self.all.lock().unwrap_or_else(PoisonError::into_inner).remove(&(kind.to_owned(), id.to_owned())).is_some()
    }

    pub(crate) fn list(&self, kind: &str) -> Vec<Value> {
        let all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        all.iter().filter(|((each, _), _)| each == kind).map(|(_, value)| value.clone()).collect()
    }

    fn put_content(&self, id: &str, bytes: Vec<u8>) {
        self.contents.lock().unwrap_or_else(PoisonError::into_inner).insert(id.to_owned(), bytes);
    }

    fn content(&self, id: &str) -> Option<Vec<u8>> {
        self.contents.lock().unwrap_or_else(PoisonError::into_inner).get(id).cloned()
    }
}

fn not_found(call: &Call<'_>, what: &str, id: &str) -> Reply {
    let message = format!("No such {what} object: {id}");
    let parts = super::refusals::Parts {
        kind: "invalid_request_error",
        param: Some("id"),
        message: &message,
        ..Default::default()
    };
    super::refusals::error(call.service, call.surface, 404, &parts)
}

/// `/files`, in `OpenAI`'s shape.
pub(super) fn files(call: &Call<'_>) -> Option<Reply> {
    let objects = &call.shared.objects;
    let segments = call.segments();
    let reply = match (call.method, segments.as_slice()) {
        (&Method::POST, ["files"]) => {
            let id = objects.new_id("file");
            let (name, bytes) = form_file(call.body);
            let file = json!({"id": id, "object": "file", "bytes": bytes.len(), "created_at": CREATED,
            "expires_at": null,
                              "filename": name, "purpose": form::field(call.body,
                              "purpose").unwrap_or_else(|| "user_data".to_owned()),
                              "status": "processed", "status_details": null});
            objects.put_content(&id, bytes);
            objects.put("file", &id, file.clone());
            Reply::json(200, &file)
        }
        (&Method::GET, ["files"]) => list(&objects.list("file")),
        (&Method::GET, ["files", id]) => {
            objects.one("file", id).map_or_else(|| not_found(call, "File", id), |file| Reply::json(200, &file))
        }
        (&Method::GET, ["files", id, "content"]) => objects
            .content(id)
            .map_or_else(|| not_found(call, "File", id), |bytes| Reply::whole(200, "application/octet-stream", bytes)),
        (&Method::DELETE, ["files", id]) => {
            if objects.remove("file", id) {
                Reply::json(200, &json!({"id": id, "object": "file", "deleted": true}))
            } else {
                not_found(call, "File", id)
            }
        }
        _ => return None,
    };
    Some(reply)
}

/// The name and the bytes of the file in a form.
fn form_file(body: &[u8]) -> (String, Vec<u8>) {
    let parts = form::parts(body);
    let found = parts.iter().find_map(|part| part.file.clone().map(|name| (name, part.content.to_vec())));
    found.unwrap_or_default()
}

/// `/batches`, in `OpenAI`'s shape.
pub(super) fn batches(call: &Call<'_>) -> Option<Reply> {
    let objects = &call.shared.objects;
    let segments = call.segments();
    let reply = match (call.method, segments.as_slice()) {
        (&Method::POST, ["batches"]) => {
            let input = call.json.get("input_file_id").and_then(Value::as_str).unwrap_or_default();
            if objects.one("file", input).is_none() {
                return Some(not_found(call, "File", input));
            }
            let id = objects.new_id("batch");
            let batch = json!({"id": id, "object": "batch", "endpoint": call.json["endpoint"], "errors": null,
                               "input_file_id": input, "completion_window": "24h", "status": "validating",
                               "output_file_id": null, "error_file_id": null, "created_at": CREATED,
                               "request_counts": {"total": 0, "completed": 0, "failed": 0}, "metadata": null});
            objects.put("batch", &id, batch.clone());
            Reply::json(200, &batch)
        }
        (&Method::GET, ["batches"]) => list(&objects.list("batch")),
        (&Method::GET, ["batches", id]) => {
            objects.one("batch", id).map_or_else(|| not_found(call, "Batch", id), |batch| Reply::json(200, &batch))
        }
        (&Method::POST, ["batches", id, "cancel"]) => match objects.one("batch", id) {
            Some(mut batch) => {
                batch["status"] = json!("cancelling");
                objects.put("batch", id, batch.clone());
                Reply::json(200, &batch)
            }
            None => not_found(call, "Batch", id),
        },
        _ => return None,
    };
    Some(reply)
}

/// Stored responses.
pub(super) fn responses(call: &Call<'_>) -> Option<Reply> {
    let objects = &call.shared.objects;
    let segments = call.segments();
    let reply = match (call.method, segments.as_slice()) {
        (&Method::GET, ["responses", id]) => objects
            .one("response", id)
            .map_or_else(|| not_found(call, "Response", id), |found| Reply::json(200, &found)),
        (&Method::GET, ["responses", id, "input_items"]) => match objects.one("response", id) {
            Some(_) => list(&[]),
            None => not_found(call, "Response", id),
        },
        (&Method::POST, ["responses", id, "cancel"]) => match objects.one("response", id) {
            Some(mut found) => {
                found["status"] = json!("cancelled");
                Reply::json(200, &found)
            }
            None => not_found(call, "Response", id),
        },
        (&Method::DELETE, ["responses", id]) => {
            if objects.remove("response", id) {
                Reply::json(200, &json!({"id": id, "object": "response", "deleted": true}))
            } else {
                not_found(call, "Response", id)
            }
        }
        _ => return None,
    };
    Some(reply)
}

fn list(items: &[Value]) -> Reply {
    let edge = |item: Option<&Value>| item.map_or(Value::Null, |item| item["id"].clone());
    let (first, last) = (edge(items.first()), edge(items.last()));
    Reply::json(200, &json!({"object": "list", "data": items, "has_more": false, "first_id": first, "last_id": last}))
}
