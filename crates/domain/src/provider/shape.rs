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
/// that *ends* in one gives how many elements fit (`data[]`: images made). An answer that is a JSON array is read as a
/// sequence of events (Gemini without `alt=sse`). Later reports combine by [`Merge`]. Then, never below zero:
///
/// - `cache_read` = cache_read; `cache_write` = cache_write, less cache_write_long when
///   `cache_write_includes_long`; `cache_write_long` = cache_write_long;
/// - `audio_input` = audio_input less cached_audio; `image_input` = image_input less cached_image;
/// - `input` = input, less the *buckets* of the counters in `input_includes`, plus tool_input;
/// - `reasoning`, `audio_output`, `image_output` as reported; `output` = output less those in `output_includes`;
/// - `millis` = seconds times 1000, rounded up; the other units as reported.
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
    /// For WebSockets and streams: only events whose top-level `type` is one of these report use. Empty: all.
    #[serde(default)]
    pub events: Vec<Box<str>>,
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
