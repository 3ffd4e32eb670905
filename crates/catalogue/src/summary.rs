//! What people ask about providers and prices: rows for commands, pages and the control API.

use crate::Catalogue;
use keyward_domain::{
    Millis,
    glob::Glob,
    price::Price,
    provider::{Operation, Provider},
};
use serde::Serialize;

/// A provider in a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ProviderLine {
    /// The id.
    pub id: Box<str>,
    /// The vendor's name.
    pub name: Box<str>,
    /// The path on the gateway.
    pub root: Box<str>,
    /// The API root; empty when every credential must bring one.
    pub base_url: Box<str>,
    /// The names of its operations that keys may call without being told so.
    pub operations: Vec<Box<str>>,
    /// The names of its operations that a key's policy must list.
    pub listed_operations: Vec<Box<str>>,
    /// How many models have a price.
    pub priced_models: usize,
    /// The environment variables that point SDKs at the gateway.
    pub base_url_variables: Vec<Box<str>>,
    /// The day the facts were read.
    pub as_of: Box<str>,
}

/// All providers, by id.
#[must_use]
pub fn providers(catalogue: &Catalogue) -> Vec<ProviderLine> {
    catalogue.providers().iter().map(|provider| line(catalogue, provider)).collect()
}

/// The prices of a provider or of all, for the models that fit, which hold at a time. In the order of the files.
pub fn prices<'c>(
    catalogue: &'c Catalogue,
    provider: Option<&'c str>,
    model: Option<&'c Glob>,
    at: Millis,
) -> impl Iterator<Item = &'c Price> {
    catalogue.prices().all().iter().filter(move |price| {
        let names = || std::iter::once(&price.model).chain(&price.aliases);
        provider.is_none_or(|id| *price.provider == *id)
            && model.is_none_or(|glob| names().any(|name| glob.matches(name)))
            // An entry that a later one (an operator's) stands before is not the price.
            && catalogue.prices().find(&price.provider, &price.model, at).is_some_and(|found| std::ptr::eq(found, *price))
    })
}

fn line(catalogue: &Catalogue, provider: &Provider) -> ProviderLine {
    let names = |wanted: &dyn Fn(&Operation) -> bool| {
        let mut names: Vec<Box<str>> =
            provider.operations.iter().filter(|op| wanted(op)).map(|op| op.name.clone()).collect();
        names.sort();
        names.dedup();
        names
    };
    let operations = names(&|op| op.default_allowed);
    let mut listed_operations = names(&|op| !op.default_allowed);
    listed_operations.retain(|name| !operations.contains(name));
    let mut variables: Vec<Box<str>> = provider.sdks.iter().map(|sdk| sdk.base_url_env.clone()).collect();
    variables.retain(|name| !name.is_empty());
    variables.sort();
    variables.dedup();
    ProviderLine {
        id: provider.id.clone(),
        name: provider.name.clone(),
        root: provider.api.root.clone(),
        base_url: provider.api.base_url.clone(),
        operations,
        listed_operations,
        priced_models: catalogue.prices().all().iter().filter(|price| price.provider == provider.id).count(),
        base_url_variables: variables,
        as_of: provider.as_of.clone(),
    }
}
