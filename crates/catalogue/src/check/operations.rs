//! Whether the operations of a provider file make sense.

use super::{Findings, bounds, is_slug};
use crate::{path::JsonPath, template};
use keyward_domain::provider::{BodyKind, ModelSource, Operation, Provider};
use std::collections::HashMap;

/// Checks every operation by itself and that no two are the same call.
pub(super) fn check(findings: &mut Findings<'_>, provider: &Provider) {
    findings.add_if(provider.operations.is_empty(), "operations", "there are no operations", "");
    let mut seen: HashMap<(String, String, bool), usize> = HashMap::new();
    for (index, operation) in provider.operations.iter().enumerate() {
        let place = format!("operations.{index}");
        let name = &operation.name;
        findings.add_if(
            !is_slug(name),
            &format!("{place}.name"),
            format!("`{name}` is not a name"),
            "use lower-case letters, digits and `-`",
        );
        method(findings, &format!("{place}.method"), &operation.method);
        match template::parse(&operation.path) {
            Ok(segments) => parameters(findings, &place, operation, &template::parameters(&segments)),
            Err(message) => findings.add(&format!("{place}.path"), message, ""),
        }
        usage(findings, provider, &place, operation);
        body(findings, &place, operation);
        objects(findings, &place, operation);
        bounds::operation(findings, provider, &place, operation);
        let call = (operation.method.to_string(), without_names(&operation.path), operation.websocket);
        if let Some(first) = seen.insert(call, index) {
            let other = provider.operations.get(first).map(|other| &*other.name).unwrap_or_default();
            findings.add(
                &format!("{place}.path"),
                format!("{} {} is already the operation `{other}`", operation.method, operation.path),
                "remove one of the two",
            );
        }
    }
}

/// Checks that a word is an HTTP method.
pub(super) fn method(findings: &mut Findings<'_>, place: &str, method: &str) {
    findings.add_if(
        !["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD"].contains(&method),
        place,
        format!("`{method}` is not a method"),
        "write GET, POST, PUT, PATCH, DELETE or HEAD",
    );
}

fn parameters(findings: &mut Findings<'_>, place: &str, operation: &Operation, known: &[&str]) {
    let mut asked = Vec::new();
    if let Some(ModelSource::Path(name)) = &operation.model {
        asked.extend(name.split('/').map(|name| ("model", name)));
    }
    if let Some(object) = &operation.object {
        asked.push(("object", &*object.param));
    }
    for (field, name) in asked {
        findings.add_if(
            !known.contains(&name),
            &format!("{place}.{field}"),
            format!("the path has no parameter `{name}`"),
            if known.is_empty() { String::new() } else { format!("it has: {}", known.join(", ")) },
        );
    }
}

fn usage(findings: &mut Findings<'_>, provider: &Provider, place: &str, operation: &Operation) {
    let Some(name) = &operation.usage else { return };
    let known: Vec<&str> = provider.usage.keys().map(|name| &**name).collect();
    findings.add_if(
        !known.contains(&&**name),
        &format!("{place}.usage"),
        format!("there is no usage shape `{name}`"),
        format!("the file has: {}", known.join(", ")),
    );
    findings.add_if(
        operation.free,
        &format!("{place}.free"),
        "a free operation has no use to report",
        "remove `free` or `usage`",
    );
}

fn body(findings: &mut Findings<'_>, place: &str, operation: &Operation) {
    let readable = operation.websocket || matches!(operation.request, BodyKind::Json | BodyKind::Multipart);
    findings.add_if(
        matches!(operation.model, Some(ModelSource::Body(_))) && !readable,
        &format!("{place}.model"),
        "the model is said to be in the body, and the request has none that is read",
        "add `request = \"json\"`",
    );
    findings.add_if(
        operation.websocket && &*operation.method != "GET",
        &format!("{place}.method"),
        "a WebSocket begins with GET",
        "",
    );
    let json = operation.request == BodyKind::Json;
    findings.add_if(
        operation.include_usage && (operation.stream_flag.is_none() || !json),
        &format!("{place}.include_usage"),
        "usage can be asked for only in a JSON request with a stream flag",
        "add `stream_flag = \"stream\"`",
    );
    let mut paths: Vec<(String, &str)> = Vec::new();
    for (field, list) in [("output_cap", &operation.output_cap), ("multipliers", &operation.multipliers)] {
        findings.add_if(
            !list.is_empty() && !readable,
            &format!("{place}.{field}"),
            format!("{field} names fields of the body, and the request has none that is read"),
            "add `request = \"json\"`",
        );
        paths.extend(list.iter().enumerate().map(|(index, path)| (format!("{place}.{field}.{index}"), &**path)));
    }
    findings.add_if(
        operation.characters.is_some() && (!readable || operation.usage.is_none()),
        &format!("{place}.characters"),
        "characters are counted in a body that is read, for a usage shape",
        "add `request = \"json\"` and `usage`",
    );
    paths.extend(operation.characters.iter().map(|path| (format!("{place}.characters"), &**path)));
    paths.extend(operation.stream_flag.iter().map(|path| (format!("{place}.stream_flag"), &**path)));
    for (index, path) in operation.also_models.iter().enumerate() {
        if let Err(message) = JsonPath::parse(path) {
            findings.add(&format!("{place}.also_models.{index}"), message, "write it like `models[]`");
        }
    }
    if let Some(ModelSource::Body(path)) = &operation.model {
        paths.push((format!("{place}.model"), path));
    }
    for (place, path) in paths {
        let plain = JsonPath::parse(path).is_ok_and(|_| !path.is_empty() && !path.contains('['));
        findings.add_if(!plain, &place, format!("`{path}` is not the path of a field"), "write names joined by dots");
    }
}

fn objects(findings: &mut Findings<'_>, place: &str, operation: &Operation) {
    for creates in operation.creates.iter().chain(&operation.also_creates) {
        let place = format!("{place}.creates");
        findings.add_if(creates.id.is_empty(), &place, "the id of the new object has no path", "");
        for path in &creates.id {
            if let Err(message) = JsonPath::parse(path) {
                findings.add(&place, message, "");
            }
        }
    }
}

fn without_names(path: &str) -> String {
    let mut out = String::with_capacity(path.len());
    let mut inside = false;
    for character in path.chars() {
        match character {
            '{' => {
                inside = true;
                out.push('{');
            }
            '}' => {
                inside = false;
                out.push('}');
            }
            '.' if inside => out.push('.'),
            _ if inside => {}
            other => out.push(other),
        }
    }
    out
}
