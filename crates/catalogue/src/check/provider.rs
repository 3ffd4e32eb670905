//! Whether a provider file makes sense, beyond its fields being there.

use super::{Findings, Problem, Source, bounds, examples, is_day, is_slug, operations};
use crate::{path::JsonPath, sample, shape};
use keyward_domain::provider::{KeyShape, Probe, Provider, UsageShape};

/// Everything that is wrong with what a file says.
pub(super) fn problems(source: &Source<'_>, provider: &Provider) -> Vec<Problem> {
    let mut findings = Findings::new(source);
    head(&mut findings, provider);
    addresses(&mut findings, provider);
    headers(&mut findings, provider);
    operations::check(&mut findings, provider);
    bounds::tools(&mut findings, provider);
    for (name, shape) in &provider.usage {
        usage(&mut findings, provider, name, shape);
    }
    errors(&mut findings, provider);
    for (index, key) in provider.keys.iter().enumerate() {
        key_shape(&mut findings, &format!("keys.{index}"), key);
    }
    calls(&mut findings, provider);
    examples::check(&mut findings, provider);
    findings.found
}

fn head(findings: &mut Findings<'_>, provider: &Provider) {
    findings.add_if(
        !is_slug(&provider.id),
        "id",
        format!("`{}` is not an id", provider.id),
        "use lower-case letters, digits and `-`",
    );
    findings.add_if(provider.name.is_empty(), "name", "the name is empty", "");
    findings.add_if(
        !is_day(&provider.as_of),
        "as_of",
        format!("`{}` is not a day", provider.as_of),
        "write it like 2026-11-21",
    );
    let docs = &provider.docs;
    findings.add_if(
        !docs.is_empty() && !docs.starts_with("https://"),
        "docs",
        "the address of the documentation must begin with https://",
        "",
    );
}

fn addresses(findings: &mut Findings<'_>, provider: &Provider) {
    let base = &provider.api.base_url;
    if !base.is_empty()
        && let Err((message, hint)) = api_root(base)
    {
        findings.add("api.base_url", message, hint);
    }
    let root = &provider.api.root;
    let belongs = root.strip_prefix('/').is_some_and(|rest| rest.split('/').next() == Some(&*provider.id));
    findings.add_if(
        !belongs,
        "api.root",
        format!("the path on the gateway must begin with /{}", provider.id),
        "the first segment tells the gateway which provider is meant",
    );
    findings.add_if(root.ends_with('/') || root.contains("//"), "api.root", "the path has an empty segment", "");
}

/// Whether an address may be an API root.
fn api_root(url: &str) -> Result<(), (String, &'static str)> {
    let (scheme, rest) =
        url.split_once("://").ok_or_else(|| (format!("`{url}` is not an address"), "write https://…"))?;
    let authority = rest.split('/').next().unwrap_or("");
    let host = authority.rsplit_once(':').map_or(authority, |(host, _)| host);
    let loopback = ["localhost", "127.0.0.1", "[::1]"].contains(&host);
    if scheme != "https" && !(scheme == "http" && loopback) {
        return Err(("the API root must begin with https://".to_owned(), "only loopback addresses may use http://"));
    }
    if host.is_empty() || authority.contains('@') {
        return Err(("the API root needs a host and no user name".to_owned(), ""));
    }
    if url.ends_with('/') || url.contains(['?', '#', ' ']) {
        return Err(("the API root must not end in `/` or have a query".to_owned(), "leave out what follows the path"));
    }
    Ok(())
}

fn headers(findings: &mut Findings<'_>, provider: &Provider) {
    let auth = &provider.auth;
    let mut names = vec![("auth.header".to_owned(), &auth.header)];
    names.extend(auth.strip_request.iter().enumerate().map(|(i, name)| (format!("auth.strip_request.{i}"), name)));
    names.extend(auth.strip_response.iter().enumerate().map(|(i, name)| (format!("auth.strip_response.{i}"), name)));
    names.extend(provider.api.default_headers.keys().map(|name| (format!("api.default_headers.{name}"), name)));
    names.extend(provider.error_fields.kind_header.iter().map(|name| ("error_fields.kind_header".to_owned(), name)));
    for (shape, usage) in &provider.usage {
        names.extend(usage.headers.values().map(|name| (format!("usage.{shape}.headers"), name)));
    }
    for (place, name) in names {
        let token = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-_.".contains(&byte);
        findings.add_if(
            name.is_empty() || !name.bytes().all(token),
            &place,
            format!("`{name}` is not the name of a header"),
            "header names are written in lower case",
        );
    }
    findings.add_if(
        provider.api.default_headers.contains_key(&auth.header),
        "api.default_headers",
        format!("`{}` carries the credential and cannot have a default", auth.header),
        "",
    );
}

fn usage(findings: &mut Findings<'_>, provider: &Provider, name: &str, shape: &UsageShape) {
    let place = format!("usage.{name}");
    let mut uses = provider.operations.iter().filter(|operation| operation.usage.as_deref() == Some(name)).peekable();
    let used = uses.peek().is_some();
    let spoken = uses.any(|operation| operation.characters.is_some());
    findings.add_if(!used, &place, format!("no operation uses the usage shape `{name}`"), "remove it or name it");
    findings.add_if(
        shape.counters.is_empty() && shape.headers.is_empty() && shape.cost.is_none() && !spoken,
        &place,
        format!("the usage shape `{name}` counts nothing"),
        "name counters, headers or a cost, or the characters of the operation",
    );
    fields(findings, &place, shape);
    for counter in &shape.apart {
        findings.add_if(
            !shape.counters.contains_key(counter) && !shape.headers.contains_key(counter),
            &format!("{place}.apart"),
            format!("{counter:?} is billed apart, but it is not counted"),
            "add it to the counters or remove it here",
        );
    }
    if let Some(aside) = &shape.aside {
        let place = format!("{place}.aside");
        fields(findings, &place, aside);
        findings.add_if(
            aside.model.is_empty() || aside.counters.is_empty(),
            &place,
            "what another model is billed for needs counters and the model",
            "name both",
        );
    }
}

/// Checks the paths and lists of a shape, or of what a shape has aside.
fn fields(findings: &mut Findings<'_>, place: &str, shape: &UsageShape) {
    findings.add_if(
        shape.roots.is_empty() && !shape.counters.is_empty(),
        place,
        "counters are looked up below roots, and there are none",
        "add `roots = [\"usage\"]`, or `\"\"` for the whole answer",
    );
    let lists = [("roots", &shape.roots), ("tier", &shape.tier), ("region", &shape.region), ("model", &shape.model)];
    for (field, list) in lists {
        paths(findings, &format!("{place}.{field}"), list);
    }
    for (counter, list) in &shape.counters {
        let counter = serde_json::to_value(counter).ok().and_then(|word| word.as_str().map(str::to_owned));
        paths(findings, &format!("{place}.counters.{}", counter.unwrap_or_default()), list);
    }
    if let Some(cost) = &shape.cost {
        paths(findings, &format!("{place}.cost.paths"), &cost.paths);
        findings.add_if(cost.paths.is_empty(), &format!("{place}.cost"), "the cost has no paths", "");
    }
    for (field, list) in [("input_includes", &shape.input_includes), ("output_includes", &shape.output_includes)] {
        for counter in list {
            findings.add_if(
                !shape.counters.contains_key(counter) && !shape.headers.contains_key(counter),
                &format!("{place}.{field}"),
                format!("{counter:?} is included, but it is not counted"),
                "add it to the counters or remove it here",
            );
        }
    }
}

fn paths(findings: &mut Findings<'_>, place: &str, list: &[Box<str>]) {
    for (index, path) in list.iter().enumerate() {
        if let Err(message) = JsonPath::parse(path) {
            findings.add(&format!("{place}.{index}"), message, "write it like `usage.details[kind=X].count`");
        }
    }
}

fn errors(findings: &mut Findings<'_>, provider: &Provider) {
    let fields = &provider.error_fields;
    let lists =
        [("kind", &fields.kind), ("code", &fields.code), ("reason", &fields.reason), ("message", &fields.message)];
    for (field, list) in lists {
        paths(findings, &format!("error_fields.{field}"), list);
    }
    for (index, rule) in provider.errors.iter().enumerate() {
        let place = format!("errors.{index}");
        let conditions = [&rule.kind, &rule.code, &rule.reason, &rule.message];
        findings.add_if(
            rule.status.is_empty() && conditions.iter().all(|list| list.is_empty()),
            &place,
            "the rule fits every error",
            "give a status, kind, code, reason or message",
        );
        for ((field, list), condition) in lists.iter().zip(conditions) {
            let header = *field == "kind" && fields.kind_header.is_some();
            findings.add_if(
                !condition.is_empty() && list.is_empty() && !header,
                &format!("{place}.{field}"),
                format!("the rule asks for a {field}, but error_fields.{field} does not say where it is"),
                "",
            );
        }
        for status in &rule.status {
            findings.add_if(
                !(400..600).contains(status),
                &format!("{place}.status"),
                format!("{status} is not the status of an error"),
                "",
            );
        }
        remedy(findings, &place, &rule.remedy);
    }
}

fn remedy(findings: &mut Findings<'_>, place: &str, remedy: &str) {
    findings.add_if(
        !remedy.ends_with('.'),
        &format!("{place}.remedy"),
        "the remedy is not a sentence",
        "say in one sentence what the owner should do, with a full stop",
    );
}

fn key_shape(findings: &mut Findings<'_>, place: &str, key: &KeyShape) {
    findings.add_if(!is_slug(&key.name), &format!("{place}.name"), format!("`{}` is not a name", key.name), "");
    let pattern = format!("{place}.pattern");
    if let Err(error) = shape::compile(&key.pattern) {
        let message = error.to_string();
        findings.add(&pattern, format!("the pattern is wrong: {}", message.lines().last().unwrap_or("")), "");
        return;
    }
    if let Some(loose) = &key.loose
        && let Err(error) = shape::compile(loose)
    {
        let message = error.to_string();
        findings.add(
            &format!("{place}.loose"),
            format!("the pattern is wrong: {}", message.lines().last().unwrap_or("")),
            "",
        );
    }
    let Some(samples) = (0..32).map(|seed| sample::text(&key.pattern, seed)).collect::<Option<Vec<_>>>() else {
        findings.add(&pattern, "no example can be made from the pattern", "use literals, classes and repetitions only");
        return;
    };
    let least = samples.iter().map(String::len).min().unwrap_or(0);
    findings.add_if(least < 16, &pattern, "the pattern fits texts shorter than 16 characters", "make it more exact");
    let begins = |text: &String| key.prefixes.iter().any(|prefix| text.starts_with(&**prefix));
    findings.add_if(
        !key.prefixes.is_empty() && !samples.iter().all(begins),
        &format!("{place}.prefixes"),
        "the pattern fits texts that begin with none of the prefixes",
        "list every beginning, or none",
    );
    findings.add_if(
        key.prefixes.is_empty() && key.context.is_empty(),
        place,
        "the shape has neither prefixes nor context, so nothing tells it from any other text",
        "add the words that stand near such a key as `context`",
    );
}

fn facts(findings: &mut Findings<'_>, place: &str, probe: &Probe) {
    for (index, fact) in probe.facts.iter().enumerate() {
        let place = format!("{place}.facts.{index}");
        findings.add_if(
            fact.path.is_none() && fact.header.is_none(),
            &place,
            "nothing says where this stands",
            "add its `path` in the body, or its `header`",
        );
        for path in [&fact.path, &fact.unit_path].into_iter().flatten() {
            if let Err(message) = JsonPath::parse(path) {
                findings.add(&place, message, "");
            }
        }
    }
}

fn calls(findings: &mut Findings<'_>, provider: &Provider) {
    for (index, probe) in provider.probes.iter().enumerate() {
        let place = format!("probes.{index}");
        operations::method(findings, &format!("{place}.method"), &probe.method);
        findings.add_if(
            !probe.path.starts_with('/') && !probe.path.starts_with("https://"),
            &format!("{place}.path"),
            "the path must begin with `/`, or be a whole address with https://",
            "",
        );
        findings.add_if(probe.alive.is_empty(), &place, "no status means alive", "add `alive = [200]`");
        for (index, answer) in probe.answers.iter().enumerate() {
            let place = format!("{place}.answers.{index}");
            if let Err(message) = JsonPath::parse(&answer.path) {
                findings.add(&format!("{place}.path"), message, "");
            }
            remedy(findings, &place, &answer.remedy);
        }
        facts(findings, &place, probe);
        let model = "{model}";
        let names = probe.path.contains(model) || probe.body.as_ref().is_some_and(|body| body.contains(model));
        findings.add_if(names && !probe.paid, &place, "a call to a model costs something", "add `paid = true`");
        findings.add_if(probe.paid && probe.deep, &place, "`paid` and `deep` exclude each other", "leave one out");
    }
    for (index, call) in provider.admin.iter().enumerate() {
        let place = format!("admin.{index}");
        operations::method(findings, &format!("{place}.method"), &call.method);
        findings.add_if(!is_slug(&call.name), &format!("{place}.name"), format!("`{}` is not a name", call.name), "");
        findings.add_if(
            !call.url.starts_with("https://"),
            &format!("{place}.url"),
            "the address must begin with https://",
            "",
        );
    }
    for (index, sdk) in provider.sdks.iter().enumerate() {
        let place = format!("sdks.{index}");
        let first = |path: &str| path.split('/').nth(1).map(str::to_owned);
        findings.add_if(
            !sdk.base_url_env.is_empty() && first(&sdk.base_path) != first(&provider.api.root),
            &format!("{place}.base_path"),
            format!("the base path does not lead to {}", provider.api.root),
            "",
        );
        findings.add_if(sdk.key_env.is_empty(), &place, "no environment variable holds the key", "");
    }
}
