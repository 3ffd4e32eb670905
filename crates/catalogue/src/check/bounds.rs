//! Whether what a provider file says for the bound of a call's price makes sense.

use super::Findings;
use crate::path::JsonPath;
use keyward_domain::provider::{BodyKind, Operation, Provider, TierField};

/// Checks the tool sets.
pub(super) fn tools(findings: &mut Findings<'_>, provider: &Provider) {
    for (name, set) in &provider.tools {
        let place = format!("tools.{name}");
        findings.add_if(
            set.lists.is_empty() && set.fields.is_empty(),
            &place,
            "the tool set looks nowhere",
            "add `lists = [\"tools\"]`",
        );
        let paths = set.lists.iter().chain(set.fields.keys()).chain(&set.limit).chain(&set.kind).chain(&set.uses);
        for path in paths {
            field(findings, &place, path);
        }
        findings.add_if(set.turns == Some(0), &format!("{place}.turns"), "a call has at least one turn", "");
        let used = provider.operations.iter().any(|operation| operation.tools.as_ref() == Some(name));
        findings.add_if(!used, &place, format!("no operation has `tools = \"{name}\"`"), "");
    }
}

/// Checks what an operation says.
pub(super) fn operation(findings: &mut Findings<'_>, provider: &Provider, place: &str, operation: &Operation) {
    if let Some(name) = operation.tools.as_ref().filter(|name| !provider.tools.contains_key(*name)) {
        let known: Vec<&str> = provider.tools.keys().map(|name| &**name).collect();
        findings.add(
            &format!("{place}.tools"),
            format!("there is no tool set `{name}`"),
            format!("the file has: {}", known.join(", ")),
        );
    }
    let fields =
        operation.tier.iter().flat_map(TierField::paths).chain(&operation.thinking).chain(&operation.prediction);
    for path in fields.chain(&operation.overrides) {
        field(findings, place, path);
    }
    for name in &operation.unseen {
        if let Err(message) = JsonPath::parse(name) {
            findings.add(&format!("{place}.unseen"), message, "write a field's name, or a path like `input[].id`");
        }
    }
    let json = operation.websocket || operation.request == BodyKind::Json;
    let reads = !operation.unseen.is_empty() || operation.tools.is_some() || operation.tier.is_some();
    findings.add_if(
        reads && !json,
        place,
        "what a bound depends on is read in JSON requests only",
        "add `request = \"json\"`",
    );
    for (name, zero) in [
        ("default_answers", operation.default_answers == Some(0)),
        ("bytes_per_search", operation.bytes_per_search == Some(0)),
    ] {
        findings.add_if(zero, &format!("{place}.{name}"), "nought cannot be meant", "leave it out");
    }
}

fn field(findings: &mut Findings<'_>, place: &str, path: &str) {
    let plain = JsonPath::parse(path).is_ok_and(|_| !path.is_empty() && !path.contains('['));
    findings.add_if(!plain, place, format!("`{path}` is not the path of a field"), "write names joined by dots");
}
