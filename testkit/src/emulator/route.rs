//! Which family of paths a request belongs to, where its credential stands, and what every answer of a provider has
//! in its headers.

use super::{
    account::Account,
    call::{Call, Surface},
    reply::Reply,
};
use crate::keys::Service;
use http::{HeaderMap, header};

/// The family of a path, and the path below that family's root.
pub(super) fn surface(service: Service, path: &str) -> (Surface, &str) {
    let below = |root: &str| path.strip_prefix(root).filter(|rest| rest.is_empty() || rest.starts_with('/'));
    let first =
        |roots: &[(&str, Surface)]| roots.iter().find_map(|(root, surface)| below(root).map(|rest| (*surface, rest)));
    let found = match service {
        Service::OpenAi | Service::Mistral | Service::Together => first(&[("/v1", Surface::OpenAi)]),
        Service::Anthropic => {
            let rest = below("/v1");
            let compatible = rest.filter(|rest| *rest == "/chat/completions").map(|rest| (Surface::OpenAi, rest));
            compatible.or_else(|| rest.map(|rest| (Surface::Anthropic, rest)))
        }
        Service::Xai => match below("/v1") {
            Some("/api-key") => None,
            Some(rest @ "/messages") => Some((Surface::Anthropic, rest)),
            rest => rest.map(|rest| (Surface::OpenAi, rest)),
        },
        Service::OpenRouter => match below("/api/v1") {
            Some("/key" | "/generation") => None,
            Some(rest) if rest.starts_with("/messages") => Some((Surface::Anthropic, rest)),
            rest => rest.map(|rest| (Surface::OpenAi, rest)),
        },
        Service::Fireworks => match below("/inference/v1") {
            Some(rest @ "/messages") => Some((Surface::Anthropic, rest)),
            rest => rest.map(|rest| (Surface::OpenAi, rest)),
        },
        Service::AzureOpenAi => deployment(path).or_else(|| {
            first(&[
                ("/anthropic/v1", Surface::Anthropic),
                ("/openai/v1", Surface::OpenAi),
                ("/openai", Surface::OpenAi),
            ])
        }),
        Service::Bedrock => {
            first(&[("/openai/v1", Surface::OpenAi), ("/anthropic/v1", Surface::Anthropic), ("/v1", Surface::OpenAi)])
        }
        Service::DeepSeek if path == "/user/balance" => None,
        Service::DeepSeek => {
            first(&[("/anthropic/v1", Surface::Anthropic), ("/v1", Surface::OpenAi), ("", Surface::OpenAi)])
        }
        Service::Groq => first(&[("/openai/v1", Surface::OpenAi)]),
        Service::Gemini => first(&[("/v1beta/openai", Surface::OpenAi)]),
        Service::Cohere => first(&[("/compatibility/v1", Surface::OpenAi)]),
        Service::Perplexity if path == "/search" => None,
        Service::Perplexity => first(&[("/v1", Surface::OpenAi), ("", Surface::OpenAi)]),
        Service::HuggingFace => first(&[("/v1", Surface::OpenAi)]),
        Service::Replicate | Service::ElevenLabs => None,
    };
    found.unwrap_or((Surface::Native, path))
}

/// Azure's older paths: the deployment stands before the operation.
fn deployment(path: &str) -> Option<(Surface, &str)> {
    let rest = path.strip_prefix("/openai/deployments/")?;
    rest.find('/').and_then(|at| rest.get(at..)).map(|rest| (Surface::OpenAi, rest))
}

/// The answer of whichever part of the emulator has the path.
pub(super) fn answer(call: &Call<'_>) -> Reply {
    let found = match (call.surface, call.service) {
        (Surface::OpenAi, _) => super::openai::answer(call),
        (Surface::Anthropic, _) => super::anthropic::answer(call),
        (Surface::Native, Service::Gemini) => super::gemini::answer(call),
        (Surface::Native, Service::Bedrock) => super::bedrock::answer(call),
        (Surface::Native, _) => super::native::answer(call),
    };
    found.unwrap_or_else(|| super::call::no_such_path(call))
}

/// Every credential in a request, in the places where the provider looks, without duplicates.
pub(super) fn presented(service: Service, surface: Surface, headers: &HeaderMap, query: &str) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    let mut add = |text: &str| {
        if !text.is_empty() && !found.iter().any(|known| known == text) {
            found.push(text.to_owned());
        }
    };
    let own_headers: &[&str] = match (service, surface) {
        (Service::AzureOpenAi, Surface::Anthropic) => &["api-key", "x-api-key"],
        (_, Surface::Anthropic) => &["x-api-key"],
        (Service::Gemini, Surface::Native) => &["x-goog-api-key"],
        (Service::AzureOpenAi, _) => &["api-key"],
        (Service::ElevenLabs, _) => &["xi-api-key"],
        _ => &[],
    };
    for name in own_headers {
        headers.get_all(*name).iter().filter_map(|value| value.to_str().ok()).for_each(&mut add);
    }
    // Anthropic's SDKs of autumn 2026 send API keys as Bearer tokens too.
    let takes_bearer = service != Service::ElevenLabs;
    for value in headers.get_all(header::AUTHORIZATION).iter().filter_map(|value| value.to_str().ok()) {
        let secret = value
            .strip_prefix("Bearer ")
            .or_else(|| value.strip_prefix("Token ").filter(|_| service == Service::Replicate));
        secret.filter(|_| takes_bearer).into_iter().for_each(&mut add);
    }
    if service == Service::Gemini {
        query.split('&').filter_map(|pair| pair.strip_prefix("key=")).for_each(&mut add);
    }
    for value in headers.get_all("sec-websocket-protocol").iter().filter_map(|value| value.to_str().ok()) {
        value.split(',').filter_map(|each| each.trim().strip_prefix("openai-insecure-api-key.")).for_each(&mut add);
    }
    found
}

/// The headers of every answer: request ids, limits, and the names of the real account.
pub(super) fn dressed(service: Service, account: Option<&Account>, mut reply: Reply) -> Reply {
    let always: &[(&str, &str)] = match service {
        Service::OpenAi => &[
            ("x-request-id", "req_emulated"),
            ("openai-processing-ms", "275"),
            ("openai-version", "2020-10-01"),
            ("x-ratelimit-limit-requests", "5000"),
            ("x-ratelimit-remaining-requests", "4999"),
            ("x-ratelimit-reset-requests", "12ms"),
            ("x-ratelimit-limit-tokens", "800000"),
            ("x-ratelimit-remaining-tokens", "799900"),
            ("x-ratelimit-reset-tokens", "6m0s"),
        ],
        Service::Anthropic => &[
            ("request-id", "req_emulated"),
            ("anthropic-ratelimit-requests-limit", "4000"),
            ("anthropic-ratelimit-requests-remaining", "3999"),
            ("anthropic-ratelimit-requests-reset", "2026-11-21T12:00:00Z"),
        ],
        Service::AzureOpenAi => &[
            ("apim-request-id", "emulated"),
            ("x-request-id", "emulated"),
            ("x-ms-region", "East US"),
            ("x-ratelimit-remaining-requests", "99"),
            ("x-ratelimit-remaining-tokens", "99999"),
        ],
        Service::Bedrock => &[("x-amzn-requestid", "emulated")],
        Service::Mistral => &[
            ("mistral-correlation-id", "emulated"),
            ("x-ratelimit-limit-tokens-minute", "500000"),
            ("x-ratelimit-remaining-tokens-minute", "499000"),
            ("x-ratelimit-tokens-query-cost", "29"),
        ],
        Service::Groq => &[
            ("x-request-id", "req_emulated"),
            ("x-ratelimit-limit-requests", "14400"),
            ("x-ratelimit-limit-tokens", "18000"),
            ("x-ratelimit-remaining-requests", "14370"),
            ("x-ratelimit-remaining-tokens", "17997"),
        ],
        Service::HuggingFace => &[("x-request-id", "emulated")],
        _ => &[],
    };
    reply.headers.extend(always.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
    if let Some(account) = account {
        let named: &[&str] = match service {
            Service::OpenAi => &["openai-organization", "openai-project"],
            Service::Anthropic => &["anthropic-organization-id", "anthropic-workspace-id"],
            _ => &[],
        };
        reply.headers.extend(named.iter().map(|name| ((*name).to_owned(), account.organisation.clone())));
        reply.headers.extend(account.script.headers.iter().cloned());
    }
    reply
}
