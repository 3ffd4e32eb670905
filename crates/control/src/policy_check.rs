//! Whether a policy makes sense: every provider and operation it names exists, every limit can be kept. What is wrong
//! is named together with what was probably meant.

use crate::{
    error::{Answer, ApiError, shown},
    nearest,
};
use keyward_domain::{policy::Policy, provider::Provider};
use std::sync::Arc;

/// The most entries of one list.
const MOST: usize = 500;

/// Checks a policy against the catalogue.
///
/// # Errors
/// 400 with `unknown_provider`, `unknown_operation` or `invalid_policy`.
pub(crate) fn check(policy: &Policy, providers: &[Arc<Provider>]) -> Answer<()> {
    for (field, length) in [
        ("providers", policy.providers.as_ref().map(Vec::len)),
        ("models", policy.models.as_ref().map(Vec::len)),
        ("operations", policy.operations.as_ref().map(Vec::len)),
        ("networks", policy.networks.as_ref().map(Vec::len)),
        ("countries", policy.countries.as_ref().map(Vec::len)),
    ] {
        if length.is_some_and(|length| length > MOST) {
            return Err(invalid(format!("{field} has more than {MOST} entries")));
        }
    }
    check_providers(policy, providers)?;
    check_operations(policy, providers)?;
    for model in policy.models.iter().flatten() {
        let text = model.to_string();
        if text.is_empty() || text.len() > 200 || text.chars().any(char::is_control) {
            return Err(invalid("models has an empty, overlong or unprintable entry".to_owned()));
        }
    }
    for country in policy.countries.iter().flatten() {
        if country.len() != 2 || !country.bytes().all(|byte| byte.is_ascii_uppercase()) {
            return Err(invalid(format!(
                "'{}' is not a country: write two capital letters such as AT",
                shown(country)
            )));
        }
    }
    let limits = [
        ("requests_per_minute", policy.requests_per_minute),
        ("tokens_per_minute", policy.tokens_per_minute),
        ("concurrency", policy.concurrency.map(u64::from)),
        ("max_output_tokens", policy.max_output_tokens),
        ("default_output_tokens", policy.default_output_tokens),
        ("max_body_bytes", policy.max_body_bytes),
    ];
    match limits.into_iter().find(|(_, limit)| *limit == Some(0)) {
        Some((field, _)) => Err(invalid(format!("{field} is 0, so nothing could be called"))
            .hint("leave it out for no limit; to stop a key, revoke it")),
        None => Ok(()),
    }
}

fn invalid(detail: String) -> ApiError {
    ApiError::invalid("invalid_policy", detail)
}

fn check_providers(policy: &Policy, providers: &[Arc<Provider>]) -> Answer<()> {
    for id in policy.providers.iter().flatten() {
        if &**id != "*" && !providers.iter().any(|provider| provider.id == *id) {
            return Err(unknown_provider(id, providers));
        }
    }
    Ok(())
}

/// The error for a provider that is not in the catalogue.
pub(crate) fn unknown_provider(id: &str, providers: &[Arc<Provider>]) -> ApiError {
    ApiError::invalid("unknown_provider", format!("there is no provider '{}'", shown(id)))
        .hint(nearest::hint(id, providers.iter().map(|provider| &*provider.id)))
}

fn check_operations(policy: &Policy, providers: &[Arc<Provider>]) -> Answer<()> {
    let named = policy.providers.as_deref().unwrap_or_default();
    let all = named.is_empty() || named.iter().any(|id| &**id == "*");
    let known: Vec<&str> = providers
        .iter()
        .filter(|provider| all || named.contains(&provider.id))
        .flat_map(|provider| provider.operations.iter().map(|operation| &*operation.name))
        .collect();
    for name in policy.operations.iter().flatten() {
        if &**name != "*" && !known.contains(&&**name) {
            let whose = if all { String::new() } else { format!(" at {}", named.join(", ")) };
            return Err(ApiError::invalid(
                "unknown_operation",
                format!("there is no operation '{}'{whose}", shown(name)),
            )
            .hint(nearest::hint(name, known)));
        }
    }
    Ok(())
}
