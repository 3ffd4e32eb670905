//! Where answers report use, and how the reported counters overlap.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A counter that a provider reports. Whether counters overlap is said by the shape's `includes` lists.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Counter {
    /// Input tokens.
    Input,
    /// Input tokens read from a cache.
    CacheRead,
    /// Input tokens written to a cache, all lifetimes or the short one.
    CacheWrite,
    /// Input tokens written to a cache with a long lifetime.
    CacheWriteLong,
    /// Audio tokens among those read from a cache: counted in both, so taken out of audio input.
    CachedAudio,
    /// Image tokens among those read from a cache: counted in both, so taken out of image input.
    CachedImage,
    /// Input tokens that come from tools (Gemini): always added to input.
    ToolInput,
    /// Output tokens.
    Output,
    /// Reasoning tokens.
    Reasoning,
    /// Audio input tokens.
    AudioInput,
    /// Audio output tokens.
    AudioOutput,
    /// Image input tokens.
    ImageInput,
    /// Image output tokens.
    ImageOutput,
    /// Web searches, search units.
    Searches,
    /// Seconds (may be fractional).
    Seconds,
    /// Characters.
    Characters,
    /// Images.
    Images,
    /// Pages.
    Pages,
    /// A mark, not a count: where it is above zero, the searches were those of the preview tool.
    PreviewSearch,
    /// Searches in the customer's own files.
    FileSearches,
    /// Runs of code in the provider's sandbox.
    CodeRuns,
}

/// How several reports within one answer combine.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Merge {
    /// A later report replaces an earlier one, counter by counter (cumulative streams, repeated reports).
    #[default]
    Last,
    /// Reports add up (realtime sessions: one report per response).
    Sum,
}

/// Where an answer reports its use, and how its counters become disjoint buckets.
///
/// A counter's value within one report is that of the first root, and under it the first path, that holds a number
/// (`null` and text do not count). A path through `[]` or `[k=V]` gives the sum over the elements that fit; a path
/// that *ends* in one gives how many elements fit (`data[]`: images made), and none is as good as no number. An answer that is a JSON array is read as a
/// sequence of events (Gemini without `alt=sse`). Later reports combine by [`Merge`]. Then, never below zero:
///
/// - `cache_read` = cache_read; `cache_write` = cache_write, less cache_write_long when
///   `cache_write_includes_long`; `cache_write_long` = cache_write_long;
/// - `audio_input` = audio_input less cached_audio; `image_input` = image_input less cached_image;
/// - `input` = input, less the *buckets* of the counters in `input_includes`, plus tool_input;
/// - `reasoning`, `audio_output`, `image_output` as reported; `output` = output less those in `output_includes`;
/// - `millis` = seconds times 1000, rounded up; `preview_searches` takes the place of `searches` where preview_search
///   is above zero; the other units as reported.
///
/// What `aside` counts is added to all this, and priced by the model that it names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UsageShape {
    /// The objects that hold the counters, in the unary answer and in stream events: `usage`, `message.usage`.
    /// An empty string is the whole answer.
    pub roots: Vec<Box<str>>,
    /// How several reports combine.
    #[serde(default)]
    pub merge: Merge,
    /// Each counter's paths below the root.
    pub counters: BTreeMap<Counter, Vec<Box<str>>>,
    /// Counters that the reported input already contains.
    #[serde(default)]
    pub input_includes: Vec<Counter>,
    /// Counters that the reported output already contains.
    #[serde(default)]
    pub output_includes: Vec<Counter>,
    /// Whether `cache_write` already contains `cache_write_long`.
    #[serde(default)]
    pub cache_write_includes_long: bool,
    /// Answer headers that carry a counter; what the body says replaces them.
    #[serde(default)]
    pub headers: BTreeMap<Counter, Box<str>>,
    /// The provider's own cost: its path from the answer's top, and its unit.
    #[serde(default)]
    pub cost: Option<CostField>,
    /// Paths of the billed service tier, from the answer's top.
    #[serde(default)]
    pub tier: Vec<Box<str>>,
    /// Tier names of the answer that mean the base price.
    #[serde(default)]
    pub base_tiers: Vec<Box<str>>,
    /// Paths of the answering model, from the answer's top.
    #[serde(default)]
    pub model: Vec<Box<str>>,
    /// The field of a stream's event whose base64 text is the model's own JSON, in which all paths are then looked up
    /// (Bedrock's streamed `invoke`: `bytes`). None: events are read as they are.
    #[serde(default)]
    pub payload: Option<Box<str>>,
    /// Counters of what is billed besides tokens: where one is above zero and the price has no fee for it, the call's
    /// cost is incomplete. Images are in order when `aside` has reported the tokens they took.
    #[serde(default)]
    pub apart: Vec<Counter>,
    /// Use within the same answers that another model is billed for: the pictures that a chat had made, the
    /// transcription of what was said. Its roots, counters, includes, events and model count; it combines as this does.
    #[serde(default)]
    pub aside: Option<Box<Self>>,
    /// Paths of where the call was computed, from the answer's top.
    #[serde(default)]
    pub region: Vec<Box<str>>,
    /// Names of regions that mean the base price.
    #[serde(default)]
    pub base_regions: Vec<Box<str>>,
    /// Values of the answer's top-level `status` that mean that the work goes on and its use is not known yet.
    #[serde(default)]
    pub pending: Vec<Box<str>>,
    /// For WebSockets and streams: only events whose top-level `type` is one of these report use. Empty: all.
    #[serde(default)]
    pub events: Vec<Box<str>>,
}

impl UsageShape {
    /// Whether a tier's name means the base price.
    #[must_use]
    pub fn has_base_tier(&self, tier: &str) -> bool {
        self.base_tiers.iter().any(|base| **base == *tier)
    }
}

/// Where the provider states the cost itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CostField {
    /// Paths from the answer's top.
    pub paths: Vec<Box<str>>,
    /// The unit.
    pub unit: CostUnit,
}

/// The unit of a stated cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CostUnit {
    /// Dollars, a decimal number.
    Usd,
    /// Ten-billionths of a dollar (xAI's ticks).
    UsdTicks,
}
