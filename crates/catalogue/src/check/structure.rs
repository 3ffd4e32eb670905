//! Whether a file has the fields of its kind, of the right types. Every entry of a list is read by itself too, so that
//! one mistake does not hide the others.

use super::{Problem, Source, from_toml};
use crate::prices::PriceFile;
use keyward_domain::{
    price::Price,
    provider::{AdminCall, ErrorRule, Example, KeyShape, Operation, Probe, Provider, Sdk, UsageShape},
};
use serde::de::DeserializeOwned;
use toml::{
    Spanned,
    de::{DeValue, Deserializer, Error, ValueDeserializer},
};

/// Reads a provider file.
pub(super) fn provider(source: &Source<'_>) -> Result<Provider, Vec<Problem>> {
    whole(
        source,
        &[
            ("operations", entry::<Operation>),
            ("usage", entry::<UsageShape>),
            ("errors", entry::<ErrorRule>),
            ("keys", entry::<KeyShape>),
            ("probes", entry::<Probe>),
            ("admin", entry::<AdminCall>),
            ("sdks", entry::<Sdk>),
            ("examples", entry::<Example>),
        ],
    )
}

/// Reads a price file.
pub(super) fn prices(source: &Source<'_>) -> Result<PriceFile, Vec<Problem>> {
    whole(source, &[("prices", entry::<Price>)])
}

type EntryReader = fn(Spanned<DeValue<'_>>) -> Result<(), Error>;

fn entry<T: DeserializeOwned>(value: Spanned<DeValue<'_>>) -> Result<(), Error> {
    T::deserialize(ValueDeserializer::from(value)).map(drop)
}

fn whole<T: DeserializeOwned>(source: &Source<'_>, lists: &[(&str, EntryReader)]) -> Result<T, Vec<Problem>> {
    let error = match T::deserialize(Deserializer::from(source.table.clone())) {
        Ok(read) => return Ok(read),
        Err(error) => error,
    };
    let mut problems = vec![from_toml(source.text, &error)];
    for (name, read) in lists {
        let entries: Vec<_> = match source.table.get_ref().get(*name).map(Spanned::get_ref) {
            Some(DeValue::Array(entries)) => entries.iter().cloned().collect(),
            Some(DeValue::Table(entries)) => entries.values().cloned().collect(),
            _ => Vec::new(),
        };
        problems.extend(entries.into_iter().filter_map(|entry| read(entry).err()).map(|e| from_toml(source.text, &e)));
    }
    Err(problems)
}
