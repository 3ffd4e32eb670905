//! What a request says about tools and service tiers, as far as the price depends on it.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Where a request names tools, and what each kind is billed as. A kind that is not listed has no price: such a call is
/// refused under a budget, so a provider's newest tool never costs unseen.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ToolSet {
    /// Paths of arrays whose elements are tools: `tools`. One that is an object is read as its only element.
    pub lists: Vec<Box<str>>,
    /// The field of an element that is its kind; an element without it has the kind `""`. None: the names of an
    /// element's fields are kinds (`{"googleSearch": {}}`), in any letters and with or without underscores.
    pub kind: Option<Box<str>>,
    /// The kinds. A `*` at the end stands for any ending, such as a date.
    pub kinds: BTreeMap<Box<str>, ToolUse>,
    /// Paths of fields that are billed like a tool when they are there and not `null`.
    pub fields: BTreeMap<Box<str>, ToolUse>,
    /// The path of the most runs of all tools in a call.
    pub limit: Option<Box<str>>,
    /// The field of an element that is the most runs of that tool.
    pub uses: Option<Box<str>>,
    /// How often the provider lets the model go on by itself within one call.
    pub turns: Option<u64>,
}

/// What a tool is billed as.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ToolUse {
    /// The client runs it: only its definition, which is in the request, takes tokens.
    Client,
    /// The client runs it, and the provider writes its definition.
    Provided,
    /// Web searches.
    Searches,
    /// Web searches of the older kind.
    PreviewSearches,
    /// Searches in the customer's own files.
    FileSearches,
    /// Runs of code.
    CodeRuns,
    /// No fee, but the model reads on with what the tool brought.
    Turns,
    /// No price is known.
    Unpriced,
}

/// Where a request names its service tier.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TierField {
    /// The path.
    pub path: Box<str>,
    /// Other spellings of it that the provider takes as well. A request that has more than one is refused.
    #[serde(default)]
    pub also: Vec<Box<str>>,
    /// Values of the request that mean that value's tier or the base price and no other; the base price alone where the
    /// usage shape has them among its `base_tiers`. What else stands there may be billed as any tier. A value that is in
    /// neither list, nor a tier of the price, has no bound.
    pub fixed: Vec<Box<str>>,
    /// What a request without the field means. None: any tier, for the account may have a default of its own.
    #[serde(default)]
    pub absent: Option<Box<str>>,
}

impl TierField {
    /// The path in every spelling.
    pub fn paths(&self) -> impl Iterator<Item = &Box<str>> {
        std::iter::once(&self.path).chain(&self.also)
    }
}

impl ToolSet {
    /// What a kind is billed as.
    #[must_use]
    pub fn of_kind(&self, kind: &str) -> ToolUse {
        let named = |known: &str| {
            let known_stem = known.strip_suffix('*');
            match (known_stem, self.kind.is_some()) {
                (Some(stem), _) => kind.starts_with(stem),
                (None, true) => known == kind,
                (None, false) => same_letters(known, kind),
            }
        };
        // The longest name that fits: `web_search_preview*` before `web_search*`.
        let best = self.kinds.iter().filter(|(known, _)| named(known)).max_by_key(|(known, _)| known.len());
        best.map_or(ToolUse::Unpriced, |(_, used)| *used)
    }
}

/// Whether two names are the same but for the case of letters and underscores.
fn same_letters(one: &str, other: &str) -> bool {
    let letters = |text: &str| -> Vec<u8> {
        text.bytes().filter(|byte| *byte != b'_').map(|byte| byte.to_ascii_lowercase()).collect()
    };
    letters(one) == letters(other)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kind_is_found_by_its_longest_name_and_unknown_ones_have_no_price() {
        let kinds = [
            ("", ToolUse::Client),
            ("web_search*", ToolUse::Searches),
            ("web_search_preview*", ToolUse::PreviewSearches),
        ];
        let kinds = kinds.map(|(name, used)| (name.into(), used)).into_iter().collect();
        let set = ToolSet { kind: Some("type".into()), kinds, ..ToolSet::default() };
        for (kind, used) in [
            ("", ToolUse::Client),
            ("web_search", ToolUse::Searches),
            ("web_search_20250305", ToolUse::Searches),
            ("web_search_preview_2025_03_11", ToolUse::PreviewSearches),
            ("Web_search", ToolUse::Unpriced),
            ("function", ToolUse::Unpriced),
        ] {
            assert_eq!(set.of_kind(kind), used, "{kind}");
        }
    }

    #[test]
    fn kinds_that_are_names_of_fields_fit_in_any_letters() {
        let kinds = [("googleSearch", ToolUse::Searches)].map(|(name, used)| (name.into(), used)).into_iter().collect();
        let set = ToolSet { kinds, ..ToolSet::default() };
        for (kind, used) in [
            ("googleSearch", ToolUse::Searches),
            ("google_search", ToolUse::Searches),
            ("GOOGLESEARCH", ToolUse::Searches),
            ("googleSearchRetrieval", ToolUse::Unpriced),
        ] {
            assert_eq!(set.of_kind(kind), used, "{kind}");
        }
    }
}
