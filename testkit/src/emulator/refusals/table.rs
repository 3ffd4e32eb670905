//! The failure matrix as data: for each provider, what each state of a key is answered with.

mod clouds;
mod others;

use super::Row;
use crate::{emulator::account::State, keys::Service};

/// No key was sent.
pub(super) fn missing(service: Service) -> Row {
    match service {
        Service::Anthropic => Row::new(401, "authentication_error", None, "x-api-key header is required"),
        Service::Gemini => Row::new(
            403,
            "PERMISSION_DENIED",
            None,
            "Method doesn't allow unregistered callers (callers without established identity). Please use API Key or \
                other form of API consumer identity to call this API.",
        ),
        Service::OpenRouter => Row::new(401, "authentication", None, "Missing Authentication header"),
        Service::Xai => Row::new(
            401,
            "unauthenticated:missing-credentials",
            None,
            "No authorization header or an invalid authorization token is provided.",
        ),
        Service::Bedrock => Row::new(403, "MissingAuthenticationTokenException", None, "Missing Authentication Token"),
        Service::OpenAi => Row::new(
            401,
            "invalid_request_error",
            None,
            "You didn't provide an API key. You need to provide your API key in an Authorization header using Bearer \
                auth.",
        ),
        Service::AzureOpenAi
        | Service::DeepSeek
        | Service::Mistral
        | Service::Groq
        | Service::Cohere
        | Service::Together
        | Service::Fireworks
        | Service::Perplexity
        | Service::HuggingFace
        | Service::Replicate
        | Service::ElevenLabs => unknown(service, ""),
    }
}

/// The key is not one of the provider's.
pub(super) fn unknown(service: Service, secret: &str) -> Row {
    let last = |count: usize| secret.get(secret.len().saturating_sub(count)..).unwrap_or_default();
    let first = |count: usize| secret.get(..count.min(secret.len())).unwrap_or_default();
    match service {
        Service::OpenAi => Row::new(
            401,
            "invalid_request_error",
            Some("invalid_api_key"),
            format!(
                "Incorrect API key provided: {}***{}. You can find your API key at \
                    https://platform.openai.com/account/api-keys.",
                first(5),
                last(4)
            ),
        ),
        Service::Anthropic => Row::new(401, "authentication_error", None, "invalid x-api-key"),
        Service::Gemini => Row::new(400, "INVALID_ARGUMENT", None, "API key not valid. Please pass a valid API key.")
            .because("API_KEY_INVALID"),
        Service::AzureOpenAi => Row::new(
            401,
            "401",
            Some("401"),
            "Access denied due to invalid subscription key or wrong API endpoint. Make sure to provide a valid key \
                for an active subscription and use a correct regional API endpoint for your resource.",
        ),
        Service::Bedrock => Row::new(
            403,
            "AuthenticationFailed",
            None,
            "Authentication failed: Please make sure your API Key is valid.",
        ),
        Service::DeepSeek => Row::new(
            401,
            "authentication_error",
            Some("invalid_request_error"),
            format!("Authentication Fails, Your api key: ****{} is invalid", last(4)),
        ),
        Service::Mistral => Row::new(401, "unauthorized", None, "Unauthorized"),
        Service::OpenRouter => Row::new(401, "authentication", None, "User not found."),
        Service::Xai => Row::new(
            400,
            "invalid-argument",
            None,
            format!(
                "Incorrect API key provided: {}***{}. You can obtain an API key from https://console.x.ai.",
                first(2),
                last(2)
            ),
        ),
        Service::Groq => Row::new(401, "invalid_request_error", Some("invalid_api_key"), "Invalid API Key"),
        Service::Cohere => Row::new(401, "invalid_token", None, "invalid api token"),
        Service::Together => Row::new(
            401,
            "invalid_request_error",
            Some("invalid_api_key"),
            "Invalid API key provided. You can find your API key at https://api.together.ai/settings/api-keys.",
        ),
        Service::Fireworks => Row::new(401, "invalid_request_error", Some("UNAUTHORIZED"), "unauthorized"),
        Service::Perplexity => Row::new(401, "invalid_api_key", None, "Invalid API key provided."),
        Service::HuggingFace => Row::new(401, "unauthorized", None, "Invalid username or password."),
        Service::Replicate => Row::new(401, "Unauthenticated", None, "You did not pass a valid authentication token"),
        Service::ElevenLabs => Row::new(401, "invalid_api_key", None, "Invalid API key"),
    }
}

/// A known key in a state that is not [`State::Live`]. Where a provider has no such state, its answer for the
/// nearest one stands in.
pub(super) fn row(service: Service, state: State, secret: &str, model: &str) -> Row {
    match service {
        Service::OpenAi => clouds::openai(state, secret, model),
        Service::Anthropic => clouds::anthropic(state, model),
        Service::Gemini => clouds::gemini(state, model),
        Service::OpenRouter => others::openrouter(state, model),
        Service::DeepSeek => others::deepseek(state, secret, model),
        Service::Mistral => others::mistral(state, model),
        Service::Xai => others::xai(state, secret, model),
        Service::Bedrock => clouds::bedrock(state, model),
        Service::AzureOpenAi => clouds::azure(state),
        Service::Groq
        | Service::Cohere
        | Service::Together
        | Service::Fireworks
        | Service::Perplexity
        | Service::HuggingFace
        | Service::Replicate
        | Service::ElevenLabs => others::other(service, state, secret, model),
    }
}
