//! Price files: the list that comes with the program and the operator's entries over it.

use crate::{Problem, check, embedded};
use keyward_domain::{
    digest,
    price::{Fees, Price, PriceBook, RegionRate},
};
use serde::Deserialize;
use std::collections::HashMap;

/// A price file.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PriceFile {
    /// The day on which the file was put together, `YYYY-MM-DD`.
    #[serde(default)]
    pub as_of: Box<str>,
    /// The provider of all entries that do not name one.
    #[serde(default)]
    pub provider: Box<str>,
    /// What readers should know: sources, what was derived, what is unverified.
    #[serde(default)]
    pub notes: Vec<Box<str>>,
    /// Fees of all entries of the provider, as far as an entry does not say otherwise: what its tools cost.
    #[serde(default)]
    pub fees: Fees,
    /// Regions of all entries of the provider that name none.
    #[serde(default)]
    pub regions: Vec<RegionRate>,
    /// The prices, in nano-USD.
    #[serde(default)]
    pub prices: Vec<Price>,
}

impl PriceFile {
    /// Reads a file and fills in the provider and the day where entries leave them out.
    pub(crate) fn read(text: &str) -> Result<Self, Problem> {
        let mut file: Self = toml::from_str(text).map_err(|error| check::from_toml(text, &error))?;
        for price in &mut file.prices {
            if price.provider.is_empty() {
                price.provider = file.provider.clone();
            }
            if price.as_of.is_empty() {
                price.as_of = file.as_of.clone();
            }
        }
        Ok(file)
    }
}

/// Prices in the order in which they win: later ones over earlier ones.
#[derive(Debug, Default)]
pub(crate) struct List {
    as_of: Box<str>,
    digest: [u8; 32],
    overlay: Option<[u8; 32]>,
    prices: Vec<Price>,
    /// What files say for all entries of a provider; a later file's word counts.
    common: HashMap<Box<str>, (Fees, Vec<RegionRate>)>,
}

/// The list that comes with the program.
pub(crate) fn embedded() -> Result<List, (&'static str, Vec<Problem>)> {
    let mut list = List::default();
    for (name, text) in embedded::PRICES {
        let file = PriceFile::read(text).map_err(|problem| (*name, vec![problem]))?;
        list.as_of = file.as_of.clone().max(list.as_of);
        list.digest = chained(list.digest, text);
        list.add(file);
    }
    Ok(list)
}

impl List {
    /// Lays an operator's file over the list.
    pub(crate) fn overlay(&mut self, text: &str) -> Result<(), Problem> {
        self.add(PriceFile::read(text)?);
        self.overlay = Some(chained(self.overlay.unwrap_or_default(), text));
        Ok(())
    }

    fn add(&mut self, file: PriceFile) {
        if !file.provider.is_empty() {
            let (fees, regions) = self.common.entry(file.provider).or_default();
            *fees = file.fees.over(fees);
            if !file.regions.is_empty() {
                *regions = file.regions;
            }
        }
        self.prices.extend(file.prices);
    }

    /// The finished book. Its version is the day and a digest of the files, so that any change shows; with an
    /// overlay, a digest of that too.
    pub(crate) fn into_book(mut self) -> PriceBook {
        for price in &mut self.prices {
            let Some((fees, regions)) = self.common.get(&price.provider) else { continue };
            price.fees = price.fees.over(fees);
            if price.regions.is_empty() {
                price.regions.clone_from(regions);
            }
        }
        let short = |digest: &[u8; 32]| digest::hex(digest).chars().take(8).collect::<String>();
        let mut version = format!("{}.{}", self.as_of, short(&self.digest));
        if let Some(overlay) = &self.overlay {
            version.push('+');
            version.push_str(&short(overlay));
        }
        PriceBook::new(&version, self.prices)
    }
}

fn chained(before: [u8; 32], text: &str) -> [u8; 32] {
    digest::sha256(&[&before[..], text.as_bytes()].concat())
}
