//! The rows of OpenAI, Anthropic, and the three clouds.

use crate::{
    emulator::{
        account::State,
        refusals::{Row, table::unknown},
    },
    keys::Service,
};

pub(super) fn openai(state: State, secret: &str, model: &str) -> Row {
    const KIND: &str = "invalid_request_error";
    match state {
        State::Live | State::Revoked | State::Expired | State::Leaked => unknown(Service::OpenAi, secret),
        State::Disabled => Row::new(
            401,
            KIND,
            Some("account_deactivated"),
            "The OpenAI account associated with this \
            API key has been deactivated.",
        ),
        State::Restricted => Row::new(
            401,
            KIND,
            None,
            "You have insufficient permissions for this operation. Missing \
            scopes: api.model.read. Check that you have the correct role in your organization.",
        ),
        State::WrongIp => Row::new(
            401,
            KIND,
            Some("ip_not_authorized"),
            "Your IP 203.0.113.9 is not authorized to \
            access this project.",
        ),
        State::WrongRegion => Row::new(
            403,
            "request_forbidden",
            Some("unsupported_country_region_territory"),
            "Country, region, or territory not supported",
        ),
        State::ModelUnknown => Row::new(
            404,
            KIND,
            Some("model_not_found"),
            format!("The model `{model}` does not exist or you do not have access to it."),
        ),
        State::NoMoney => Row::new(
            429,
            "insufficient_quota",
            Some("insufficient_quota"),
            "You exceeded your current quota, please check your plan and billing details. For more information on this \
            error, read the docs.",
        ),
        State::CapReached => Row::new(
            429,
            "insufficient_quota",
            Some("project_spend_limit_exceeded"),
            "You exceeded your current quota: the project's spend limit is reached.",
        ),
        State::RateLimited => Row::new(
            429,
            "requests",
            Some("rate_limit_exceeded"),
            format!(
                "Rate limit reached for {model} in organization org-emulated on requests per min (RPM): Limit 3, Used \
            3, Requested 1. Please try again in 1.2s."
            ),
        )
        .with("retry-after", "2")
        .with("retry-after-ms", "1200"),
        State::Overloaded => Row::new(
            503,
            "service_unavailable_error",
            Some("server_is_overloaded"),
            "That model is currently overloaded with other requests.",
        ),
        State::PromptTooLong => Row::new(
            400,
            KIND,
            Some("context_length_exceeded"),
            "This model's maximum context length is 272000 tokens. However, your messages resulted in 300000 tokens.",
        ),
    }
}

pub(super) fn anthropic(state: State, model: &str) -> Row {
    match state {
        State::Live | State::Revoked | State::Disabled | State::Expired | State::Leaked => {
            unknown(Service::Anthropic, "")
        }
        State::Restricted => Row::new(
            403,
            "permission_error",
            None,
            "Your API key does not have permission to use the specified resource.",
        ),
        State::WrongIp | State::WrongRegion => {
            Row::new(403, "permission_error", None, "Your IP address isn't in this organization's allowed range.")
        }
        State::ModelUnknown => Row::new(404, "not_found_error", None, format!("model: {model}")),
        State::NoMoney => Row::new(
            400,
            "invalid_request_error",
            None,
            "Your credit balance is too low to access the Anthropic API. Please go to Plans & Billing to upgrade or \
                purchase credits.",
        ),
        State::CapReached => Row::new(
            400,
            "invalid_request_error",
            None,
            "You have reached your specified API usage limits. You will regain access on 2026-12-01 at 00:00 UTC.",
        ),
        State::RateLimited => Row::new(
            429,
            "rate_limit_error",
            None,
            "This request would exceed your organization's rate limit of 30,000 input tokens per minute.",
        )
        .with("retry-after", "2"),
        State::Overloaded => Row::new(529, "overloaded_error", None, "Overloaded"),
        State::PromptTooLong => {
            Row::new(400, "invalid_request_error", None, "prompt is too long: 214315 tokens > 200000 maximum")
        }
    }
}

pub(super) fn gemini(state: State, model: &str) -> Row {
    match state {
        State::Live => unknown(Service::Gemini, ""),
        State::Revoked | State::Disabled => {
            Row::new(400, "INVALID_ARGUMENT", None, "API Key not found. Please pass a valid API key.")
                .because("API_KEY_INVALID")
        }
        State::Expired => Row::new(400, "INVALID_ARGUMENT", None, "API key expired. Please renew the API key.")
            .because("API_KEY_INVALID"),
        State::Leaked => Row::new(
            403,
            "PERMISSION_DENIED",
            None,
            "Your API key was reported as leaked. Please use \
            another API key.",
        ),
        State::Restricted => Row::new(403, "PERMISSION_DENIED", None, "Requests to this API method are blocked.")
            .because("API_KEY_SERVICE_BLOCKED"),
        State::WrongIp => Row::new(
            403,
            "PERMISSION_DENIED",
            None,
            "The provided API key has an IP address \
            restriction. The originating IP address of the call (203.0.113.9) violates this \
            restriction.",
        )
        .because("API_KEY_IP_ADDRESS_BLOCKED"),
        State::WrongRegion => {
            Row::new(400, "FAILED_PRECONDITION", None, "User location is not supported for the API use.")
        }
        State::ModelUnknown => Row::new(
            404,
            "NOT_FOUND",
            None,
            format!(
                "models/{model} is not found for API version \
            v1beta, or is not supported for generateContent."
            ),
        ),
        State::NoMoney => Row::new(
            402,
            "RESOURCE_EXHAUSTED",
            None,
            "Your prepayment credits are depleted. Please add \
            credits to continue.",
        ),
        State::CapReached => {
            Row::new(403, "PERMISSION_DENIED", None, "This API method requires billing to be enabled.")
                .because("BILLING_DISABLED")
        }
        State::RateLimited => Row::new(
            429,
            "RESOURCE_EXHAUSTED",
            None,
            "You exceeded your current quota, please \
            check your plan and billing details. Quota exceeded for metric: generate_content_requests, limit: 10. \
            Please retry in 2s.",
        ),
        State::Overloaded => Row::new(503, "UNAVAILABLE", None, "The model is overloaded. Please try again later."),
        State::PromptTooLong => Row::new(
            400,
            "INVALID_ARGUMENT",
            None,
            "The input token count (1200000) exceeds the \
            maximum number of tokens allowed (1048576).",
        ),
    }
}

pub(super) fn bedrock(state: State, model: &str) -> Row {
    match state {
        State::Live | State::Revoked | State::Disabled | State::Expired | State::Leaked => {
            unknown(Service::Bedrock, "")
        }
        State::Restricted | State::WrongIp | State::WrongRegion => Row::new(
            403,
            "AccessDeniedException",
            None,
            "User is not authorized to perform: bedrock:InvokeModel with an explicit deny in an identity-based policy",
        ),
        State::ModelUnknown => {
            Row::new(404, "ResourceNotFoundException", None, format!("Model {model} is not found in this region."))
        }
        State::NoMoney | State::CapReached => Row::new(
            403,
            "AccessDeniedException",
            None,
            "Access to Amazon Bedrock is denied for this account because of an invalid payment instrument.",
        ),
        State::RateLimited => {
            Row::new(429, "ThrottlingException", None, "Too many requests, please wait before trying again.")
        }
        State::Overloaded => {
            Row::new(503, "ServiceUnavailableException", None, "Bedrock is unable to process your request.")
        }
        State::PromptTooLong => Row::new(400, "ValidationException", None, "Input is too long for requested model."),
    }
}

pub(super) fn azure(state: State) -> Row {
    match state {
        State::Live | State::Revoked | State::Disabled | State::Expired | State::Leaked => {
            unknown(Service::AzureOpenAi, "")
        }
        State::Restricted => Row::new(
            403,
            "403",
            Some("403"),
            "The principal lacks the required data action to \
            perform this operation.",
        ),
        State::WrongIp | State::WrongRegion => {
            Row::new(403, "403", Some("403"), "Access denied due to Virtual Network/Firewall rules.")
        }
        State::ModelUnknown => Row::new(
            404,
            "DeploymentNotFound",
            Some("DeploymentNotFound"),
            "The API deployment for this resource does not exist. If you created the deployment within the last 5 \
            minutes, please wait a moment and try again.",
        ),
        State::NoMoney | State::CapReached => {
            Row::new(403, "403", Some("403"), "Access denied: the subscription is disabled.")
        }
        State::RateLimited => Row::new(
            429,
            "RateLimitReached",
            Some("429"),
            "Requests to the ChatCompletions_Create \
            Operation have exceeded token rate limit of your current pricing tier. Please retry after 6 \
            seconds.",
        )
        .with("retry-after", "6")
        .with("retry-after-ms", "6000"),
        State::Overloaded => Row::new(
            503,
            "InternalServerError",
            Some("503"),
            "The service is temporarily unable to \
            process your request. Please try again later.",
        ),
        State::PromptTooLong => Row::new(
            400,
            "context_length_exceeded",
            Some("context_length_exceeded"),
            "This model's maximum context length is 272000 tokens.",
        ),
    }
}
