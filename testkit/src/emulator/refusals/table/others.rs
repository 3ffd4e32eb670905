//! The rows of everybody else.

use crate::{
    emulator::{
        account::State,
        refusals::{Row, table::unknown},
    },
    keys::Service,
};

pub(super) fn openrouter(state: State, model: &str) -> Row {
    match state {
        State::Live | State::Revoked | State::Leaked => unknown(Service::OpenRouter, ""),
        State::Disabled => Row::new(401, "authentication", None, "This API key is disabled."),
        State::Expired => Row::new(401, "authentication", None, "This API key has expired."),
        State::Restricted => {
            Row::new(403, "permission_denied", None, "Only management keys can perform this operation")
        }
        State::WrongIp | State::WrongRegion => Row::new(403, "permission_denied", None, "Access denied."),
        State::ModelUnknown => Row::new(400, "invalid_request", None, format!("{model} is not a valid model ID")),
        State::NoMoney => Row::new(
            402,
            "payment_required",
            None,
            "Insufficient credits. Add more using https://openrouter.ai/credits",
        )
        .because("openrouter_credits"),
        State::CapReached => Row::new(403, "permission_denied", None, "Key limit exceeded (monthly limit).")
            .because("openrouter_key_limit"),
        State::RateLimited => Row::new(429, "rate_limit_exceeded", None, "Rate limit exceeded: free-models-per-min.")
            .with("x-ratelimit-limit", "20")
            .with("x-ratelimit-remaining", "0")
            .with("x-ratelimit-reset", "1760000060000"),
        State::Overloaded => {
            Row::new(503, "provider_unavailable", None, "No provider is available for this model at the moment.")
        }
        State::PromptTooLong => Row::new(
            400,
            "context_length_exceeded",
            None,
            "This endpoint's maximum context length is 200000 tokens. However, you requested about 214315 tokens.",
        ),
    }
}

pub(super) fn deepseek(state: State, secret: &str, model: &str) -> Row {
    match state {
        State::Live
        | State::Revoked
        | State::Disabled
        | State::Expired
        | State::Leaked
        | State::Restricted
        | State::WrongIp
        | State::WrongRegion => unknown(Service::DeepSeek, secret),
        State::ModelUnknown => {
            Row::new(400, "invalid_request_error", Some("invalid_request_error"), format!("Model Not Exist: {model}"))
        }
        State::NoMoney | State::CapReached => {
            Row::new(402, "unknown_error", Some("invalid_request_error"), "Insufficient Balance")
        }
        State::RateLimited => Row::new(429, "rate_limit_error", None, "Too many requests in flight for this model."),
        State::Overloaded => Row::new(
            503,
            "service_unavailable_error",
            None,
            "The server is overloaded. Please retry after a brief wait.",
        ),
        State::PromptTooLong => Row::new(
            400,
            "invalid_request_error",
            Some("invalid_request_error"),
            "This model's maximum context length is 131072 tokens.",
        ),
    }
}

pub(super) fn mistral(state: State, model: &str) -> Row {
    match state {
        State::Live | State::Revoked | State::Disabled | State::Expired | State::Leaked => {
            unknown(Service::Mistral, "")
        }
        State::Restricted | State::WrongIp | State::WrongRegion => {
            Row::new(403, "forbidden", Some("1100"), "You cannot use this resource with your current plan.")
        }
        State::ModelUnknown => Row::new(400, "invalid_model", Some("1500"), format!("Invalid model: {model}")),
        State::NoMoney | State::CapReached => {
            Row::new(402, "payment_required", Some("1600"), "Your workspace has reached its spending limit.")
        }
        State::RateLimited => {
            Row::new(429, "rate_limited", Some("1300"), "Rate limit exceeded").with("retry-after", "2")
        }
        State::Overloaded => Row::new(503, "unreachable_backend", Some("3000"), "Service unavailable."),
        State::PromptTooLong => Row::new(
            400,
            "invalid_request_prompt",
            Some("3051"),
            "Prompt contains 300000 tokens, too large for model with 262144 maximum context length",
        ),
    }
}

pub(super) fn xai(state: State, secret: &str, model: &str) -> Row {
    match state {
        State::Live | State::Revoked | State::Expired => unknown(Service::Xai, secret),
        State::Disabled => Row::new(403, "permission-denied", None, "The API key is disabled."),
        State::Leaked => Row::new(403, "permission-denied", None, "The API key is blocked."),
        State::Restricted | State::WrongIp | State::WrongRegion => Row::new(
            403,
            "permission-denied",
            None,
            "The caller does not have permission to execute the specified operation.",
        ),
        State::ModelUnknown => Row::new(
            404,
            "not-found",
            None,
            format!("The model {model} does not exist or your team does not have access to it."),
        ),
        State::NoMoney | State::CapReached => Row::new(
            429,
            "resource-exhausted",
            None,
            "Your team 5f1c has either used all available credits or reached its monthly spending limit. To continue \
                making API requests, please purchase more credits or raise your spending limit.",
        ),
        State::RateLimited => Row::new(429, "rate-limited", None, "Too many requests. Please slow down."),
        State::Overloaded => {
            Row::new(503, "unavailable", None, "Service temporarily unavailable. The model is at capacity.")
        }
        State::PromptTooLong => Row::new(
            400,
            "invalid-argument",
            None,
            "This model's maximum prompt length is 256000 but the request contains 300000 tokens.",
        ),
    }
}

pub(super) fn other(service: Service, state: State, secret: &str, model: &str) -> Row {
    let kind = "invalid_request_error";
    match state {
        State::Live | State::Revoked | State::Expired => unknown(service, secret),
        State::Leaked | State::Disabled => match service {
            Service::Cohere => Row::new(498, "invalid_token", None, "your api token is blocked"),
            Service::Groq => Row::new(
                403,
                kind,
                Some("organization_restricted"),
                "Your organization has been restricted. Please reach out to support if you believe this was in error.",
            ),
            _ => unknown(service, secret),
        },
        State::Restricted => match service {
            Service::ElevenLabs => Row::new(
                401,
                "missing_permissions",
                None,
                "The API key you used is missing the permission user_read to execute this operation.",
            ),
            _ => Row::new(403, kind, Some("forbidden"), "This token does not have sufficient permissions."),
        },
        State::WrongIp | State::WrongRegion => {
            Row::new(403, kind, Some("forbidden"), "Access from this address is not allowed.")
        }
        State::ModelUnknown => Row::new(
            404,
            kind,
            Some("model_not_found"),
            format!("The model `{model}` does not exist or you do not have access to it."),
        ),
        State::NoMoney | State::CapReached => other_broke(service),
        State::RateLimited => match service {
            Service::ElevenLabs => Row::new(429, "too_many_concurrent_requests", None, "Too many concurrent requests."),
            Service::Groq => Row::new(
                429,
                "tokens",
                Some("rate_limit_exceeded"),
                "Rate limit reached for model on tokens per minute (TPM). Please try again in 2s.",
            )
            .with("retry-after", "2"),
            _ => Row::new(429, "rate_limit", Some("rate_limit_exceeded"), "Request was throttled. Too many requests.")
                .with("retry-after", "2"),
        },
        State::Overloaded => match service {
            Service::ElevenLabs => Row::new(
                429,
                "system_busy",
                None,
                "Our services are experiencing high traffic. Please try again later.",
            ),
            _ => Row::new(
                503,
                "service_unavailable",
                Some("service_unavailable"),
                "The service is overloaded. Please try again later.",
            ),
        },
        State::PromptTooLong => match service {
            Service::ElevenLabs => Row::new(
                400,
                "max_character_limit_exceeded",
                None,
                "This request's text has more characters than the model allows.",
            ),
            _ => Row::new(
                400,
                kind,
                Some("context_length_exceeded"),
                "The prompt is too long for this model's context window.",
            ),
        },
    }
}

fn other_broke(service: Service) -> Row {
    match service {
        Service::ElevenLabs => {
            Row::new(401, "quota_exceeded", None, "This request exceeds your quota. You have 0 credits remaining.")
        }
        Service::Fireworks => Row::new(
            412,
            "error",
            Some("PRECONDITION_FAILED"),
            "Account is suspended, possibly due to reaching the monthly spending limit or failure to pay past \
                invoices.",
        ),
        Service::Replicate => {
            Row::new(402, "Insufficient credit", None, "You have insufficient credit to run this model.")
        }
        _ => Row::new(
            402,
            "payment_required",
            Some("insufficient_credits"),
            "Your account is out of credits: please add a payment method.",
        ),
    }
}
