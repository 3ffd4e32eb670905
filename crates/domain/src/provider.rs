//! What a provider is: one TOML file of the catalogue, read into these types. Gateway, checker, rotation, redactor
//! and documentation all read the same descriptor.
//!
//! JSON paths are dotted: `usage.prompt_tokens`. `a[]` means every element of the array `a`; `a[k=V].v` means the
//! `v` of those elements whose `k` is the string `V`. A list of paths means "the first that is there".

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A provider's descriptor.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Provider {
    /// The slug: the first path segment on the gateway and the name in commands.
    pub id: Box<str>,
    /// The vendor's name as people write it.
    pub name: Box<str>,
    /// The vendor's documentation.
    #[serde(default)]
    pub docs: Box<str>,
    /// The day the facts were read, `YYYY-MM-DD`.
    pub as_of: Box<str>,
    /// Statements in this file that could not be verified, in words.
    #[serde(default)]
    pub unverified: Vec<Box<str>>,
    /// Where the API is and how it is reached.
    pub api: Api,
    /// How the credential is sent.
    pub auth: Auth,
    /// What may be called. Everything else is refused.
    pub operations: Vec<Operation>,
    /// Where use is reported, by name.
    #[serde(default)]
    pub usage: BTreeMap<Box<str>, UsageShape>,
    /// Where an error answer keeps its parts.
    #[serde(default)]
    pub error_fields: ErrorFields,
    /// What error answers mean, first match wins.
    #[serde(default)]
    pub errors: Vec<ErrorRule>,
    /// What the provider's secrets look like.
    #[serde(default)]
    pub keys: Vec<KeyShape>,
    /// Zero-cost calls that tell a key's state.
    #[serde(default)]
    pub probes: Vec<Probe>,
    /// Calls of the provider's admin API.
    #[serde(default)]
    pub admin: Vec<AdminCall>,
    /// Official SDKs and the environment variables that point them at the gateway.
    #[serde(default)]
    pub sdks: Vec<Sdk>,
    /// Real-shaped answers with what they must be read as: the tests of this file.
    #[serde(default)]
    pub examples: Vec<Example>,
}

/// The shape of error bodies that the provider's SDKs understand.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Dialect {
    /// `{"error":{"message","type","param","code"}}`
    Openai,
    /// `{"type":"error","error":{"type","message"}}`
    Anthropic,
    /// `{"error":{"code","message","status","details"}}`
    Gemini,
    /// `{"message"}` with `x-amzn-errortype`
    Bedrock,
    /// `{"id","message"}`
    Cohere,
    /// `{"detail":{"status","message"}}`
    Elevenlabs,
    /// `{"title","detail","status"}`
    Replicate,
    /// `{"error"}` as a plain string, with `code` beside it where there is one
    Plain,
}

/// Where the API is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Api {
    /// The API root that a credential's own base URL may replace. Empty: every credential must bring one.
    pub base_url: Box<str>,
    /// The path on the gateway that stands for the API root, such as `/openai/v1`.
    pub root: Box<str>,
    /// The error dialect, unless an operation names another.
    pub dialect: Dialect,
    /// The HTTP version towards the provider.
    #[serde(default)]
    pub http: HttpVersion,
    /// Request headers that always go out unless the client set them, such as `anthropic-version`.
    #[serde(default)]
    pub default_headers: BTreeMap<Box<str>, Box<str>>,
}

/// Which HTTP version is spoken to the provider.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum HttpVersion {
    /// HTTP/1.1: one connection per call in flight. The default: long streams never queue behind each other.
    #[default]
    #[serde(rename = "1.1")]
    Http1,
    /// HTTP/2.
    #[serde(rename = "2")]
    Http2,
}

/// How the credential is sent, and what is removed on the way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Auth {
    /// The header that carries the credential, lower case.
    pub header: Box<str>,
    /// What stands before the credential in that header, such as `Bearer ` (with its space).
    #[serde(default)]
    pub prefix: Box<str>,
    /// Request headers of the caller that are removed, besides all that can carry a credential.
    #[serde(default)]
    pub strip_request: Vec<Box<str>>,
    /// Answer headers that name the real account and are removed.
    #[serde(default)]
    pub strip_response: Vec<Box<str>>,
}

/// What kind of body a request has, and so how far it is looked into.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum BodyKind {
    /// None, or one that is not looked at.
    #[default]
    None,
    /// JSON.
    Json,
    /// A form with files.
    Multipart,
    /// Bytes that are passed on unseen.
    Bytes,
}

/// Where the model's name stands in a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ModelSource {
    /// A JSON field or form field of the body.
    Body(Box<str>),
    /// A parameter of the path template.
    Path(Box<str>),
    /// A query parameter.
    Query(Box<str>),
    /// Always this name.
    Fixed(Box<str>),
}

/// A named operation: one method and path that keys may be allowed to call.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Operation {
    /// The name in policies, such as `chat`. Several entries may share a name.
    pub name: Box<str>,
    /// The HTTP method.
    pub method: Box<str>,
    /// The path below the root: literal text and `{parameters}`; a parameter never contains `/`, except `{name...}`
    /// at the end, which takes the rest. Text may follow a parameter within a segment: `/models/{model}:generateContent`.
    pub path: Box<str>,
    /// The error dialect where it differs from the provider's (DeepSeek's Anthropic surface).
    #[serde(default)]
    pub dialect: Option<Dialect>,
    /// The request body.
    #[serde(default)]
    pub request: BodyKind,
    /// Where the model's name is. None: the operation has no model.
    #[serde(default)]
    pub model: Option<ModelSource>,
    /// The name of the usage shape. None: nothing is billed by what the answer says.
    #[serde(default)]
    pub usage: Option<Box<str>>,
    /// Paths of the output cap in the request, the preferred one first: that one is added when none is there.
    #[serde(default)]
    pub output_cap: Vec<Box<str>>,
    /// Paths of counts that multiply the output (`n`, `best_of`, `candidateCount`).
    #[serde(default)]
    pub multipliers: Vec<Box<str>>,
    /// The path of the flag that asks for a stream, such as `stream`.
    #[serde(default)]
    pub stream_flag: Option<Box<str>>,
    /// Whether usage in a stream must be asked for with `stream_options.include_usage` (and the extra chunk taken
    /// out again when the client had not asked).
    #[serde(default)]
    pub include_usage: bool,
    /// Whether the call is a WebSocket.
    #[serde(default)]
    pub websocket: bool,
    /// Whether keys without an explicit list of operations may call it.
    #[serde(default = "yes")]
    pub default_allowed: bool,
    /// Whether the provider never bills it.
    #[serde(default)]
    pub free: bool,
    /// The answer describes a new object that belongs to the key: its kind and the path of its id.
    #[serde(default)]
    pub creates: Option<Creates>,
    /// A path parameter names an object that must belong to the key's project.
    #[serde(default)]
    pub object: Option<ObjectParam>,
    /// The answer lists objects: those of others are taken out.
    #[serde(default)]
    pub lists: Option<Lists>,
    /// Names of request fields, at any depth, whose strings name objects that must belong to the key's project.
    #[serde(default)]
    pub references: Vec<Box<str>>,
}

const fn yes() -> bool {
    true
}

/// An operation that makes an object.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Creates {
    /// The kind, such as `file`.
    pub kind: Box<str>,
    /// The paths of the id in the answer (unary and streamed).
    pub id: Vec<Box<str>>,
}

/// An operation on one object.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ObjectParam {
    /// The kind, such as `file`.
    pub kind: Box<str>,
    /// The path parameter.
    pub param: Box<str>,
}

/// An operation that lists objects.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Lists {
    /// The kind, such as `file`.
    pub kind: Box<str>,
    /// The top-level array in the answer, such as `data`.
    pub items: Box<str>,
    /// The field of an element that is its id.
    pub id: Box<str>,
}

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

/// Where an answer reports its use.
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
    /// Answer headers that carry a counter.
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

/// Where an error answer keeps its parts. Lists: first that is there.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ErrorFields {
    /// The error's type or status word.
    pub kind: Vec<Box<str>>,
    /// The error's code.
    pub code: Vec<Box<str>>,
    /// A finer reason.
    pub reason: Vec<Box<str>>,
    /// The text for people.
    pub message: Vec<Box<str>>,
}

/// What an error answer means, whatever its status says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// The provider does not know the key: never existed, deleted or revoked.
    KeyUnknown,
    /// The key has expired.
    KeyExpired,
    /// The provider blocked the key because it leaked.
    KeyLeaked,
    /// The key or its account is switched off.
    KeyDisabled,
    /// The key lives and may not do this.
    KeyRestricted,
    /// The key may not be used from this address.
    NetworkNotAllowed,
    /// The account has no money.
    NoMoney,
    /// A spending cap set at the provider is reached.
    SpendCapReached,
    /// Too many calls or tokens: wait.
    RateLimited,
    /// The provider is overloaded: wait.
    Overloaded,
    /// The model does not exist or is not open to the account.
    ModelUnavailable,
    /// The prompt is too long.
    PromptTooLong,
    /// The content was refused.
    ContentRefused,
    /// The region is not served.
    RegionBlocked,
    /// The request is at fault.
    BadRequest,
    /// The provider is at fault.
    ProviderFault,
    /// Not in the table.
    Unknown,
    /// Not an error: the credential works (reported after it had been out).
    Healthy,
}

impl Cause {
    /// Whether the credential itself is dead, so that another should be used.
    #[must_use]
    pub const fn is_dead(self) -> bool {
        matches!(self, Self::KeyUnknown | Self::KeyExpired | Self::KeyLeaked | Self::KeyDisabled)
    }

    /// Whether the credential's account cannot pay.
    #[must_use]
    pub const fn is_broke(self) -> bool {
        matches!(self, Self::NoMoney | Self::SpendCapReached)
    }
}

/// One line of the error table. All conditions given must hold.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ErrorRule {
    /// HTTP statuses; empty: any (also an error within a stream, which has none).
    #[serde(default)]
    pub status: Vec<u16>,
    /// The error's kind is one of these.
    #[serde(default)]
    pub kind: Vec<Box<str>>,
    /// The error's code is one of these.
    #[serde(default)]
    pub code: Vec<Box<str>>,
    /// The error's reason is one of these.
    #[serde(default)]
    pub reason: Vec<Box<str>>,
    /// The message contains one of these, without regard to ASCII case.
    #[serde(default)]
    pub message: Vec<Box<str>>,
    /// What it means.
    pub cause: Cause,
    /// What the owner should do.
    pub remedy: Box<str>,
    /// Whether the fact is unverified.
    #[serde(default)]
    pub unverified: bool,
}

/// What a kind of secret looks like.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeyShape {
    /// A name, such as `project` or `admin`.
    pub name: Box<str>,
    /// A regular expression for the whole secret, without edges; also what tests generate examples from.
    pub pattern: Box<str>,
    /// Literal beginnings, for the prefilter. Empty: the shape needs context.
    #[serde(default)]
    pub prefixes: Vec<Box<str>>,
    /// Whether this secret administers the account and must never serve traffic.
    #[serde(default)]
    pub admin: bool,
    /// Whether the shape is unverified.
    #[serde(default)]
    pub unverified: bool,
}

/// A call that costs nothing and tells a key's state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Probe {
    /// What it tells, in words.
    pub tells: Box<str>,
    /// The HTTP method.
    pub method: Box<str>,
    /// The path below the API root, or a whole URL where the host differs.
    pub path: Box<str>,
    /// A body, when the call needs one.
    #[serde(default)]
    pub body: Option<Box<str>>,
    /// Statuses that mean the key lives. Others go through the error table.
    pub alive: Vec<u16>,
    /// Whether it is for admin keys.
    #[serde(default)]
    pub admin: bool,
    /// Whether the fact is unverified.
    #[serde(default)]
    pub unverified: bool,
}

/// A call of the provider's admin API, for rotation, revocation and reconciliation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AdminCall {
    /// What it does: `create-key`, `list-keys`, `disable-key`, `delete-key`, `usage`, `cost`…
    pub name: Box<str>,
    /// The HTTP method.
    pub method: Box<str>,
    /// The URL, with `{parameters}`.
    pub url: Box<str>,
    /// The JSON body, with `{parameters}`.
    #[serde(default)]
    pub body: Option<Box<str>>,
    /// Paths in the answer, by what they are: `id`, `secret`, `status`…
    #[serde(default)]
    pub answer: BTreeMap<Box<str>, Box<str>>,
    /// What to know before using it.
    #[serde(default)]
    pub note: Box<str>,
    /// Whether the fact is unverified.
    #[serde(default)]
    pub unverified: bool,
}

/// An official SDK and how it is pointed at the gateway without a change of code.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sdk {
    /// Name and registry, such as `openai (PyPI)`.
    pub name: Box<str>,
    /// The environment variable of the base URL; empty when there is none.
    #[serde(default)]
    pub base_url_env: Box<str>,
    /// What the base URL ends in on the gateway, such as `/openai/v1`.
    #[serde(default)]
    pub base_path: Box<str>,
    /// The environment variables of the key, in the order the SDK looks.
    pub key_env: Vec<Box<str>>,
    /// What to know.
    #[serde(default)]
    pub note: Box<str>,
}

/// A real-shaped answer and what it must be read as.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Example {
    /// What it shows.
    pub name: Box<str>,
    /// The usage shape it is read with; none for error examples.
    #[serde(default)]
    pub usage: Option<Box<str>>,
    /// The HTTP status; 200 when left out.
    #[serde(default = "ok")]
    pub status: u16,
    /// The content type; `application/json` when left out.
    #[serde(default = "json")]
    pub content_type: Box<str>,
    /// Answer headers.
    #[serde(default)]
    pub headers: BTreeMap<Box<str>, Box<str>>,
    /// The body.
    pub body: Box<str>,
    /// The counts it must give, by the field names of `Buckets` and `Units`; those left out must be zero.
    #[serde(default)]
    pub counts: BTreeMap<Box<str>, u64>,
    /// The provider's stated cost in nano-USD, when it has one.
    #[serde(default)]
    pub cost_nano: Option<i64>,
    /// What the error must be classified as.
    #[serde(default)]
    pub cause: Option<Cause>,
}

const fn ok() -> u16 {
    200
}

fn json() -> Box<str> {
    "application/json".into()
}

/// The parts of an error answer, as far as they were there.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ErrorParts {
    /// The error's type or status word.
    pub kind: Option<String>,
    /// The error's code (numbers as text).
    pub code: Option<String>,
    /// A finer reason.
    pub reason: Option<String>,
    /// The text for people.
    pub message: Option<String>,
}

impl Provider {
    /// What an error answer means: the first rule that fits, else a guess from the status alone that never claims a
    /// dead key or an empty purse. `status` is `None` for an error within a stream.
    #[must_use]
    pub fn classify(&self, status: Option<u16>, parts: &ErrorParts) -> (Cause, Option<&ErrorRule>) {
        if let Some(rule) = self.errors.iter().find(|rule| rule.fits(status, parts)) {
            return (rule.cause, Some(rule));
        }
        let cause = match status {
            Some(429) => Cause::RateLimited,
            Some(503 | 529) => Cause::Overloaded,
            Some(413) => Cause::PromptTooLong,
            Some(400 | 405 | 422) => Cause::BadRequest,
            Some(500..) => Cause::ProviderFault,
            _ => Cause::Unknown,
        };
        (cause, None)
    }
}

impl ErrorRule {
    fn fits(&self, status: Option<u16>, parts: &ErrorParts) -> bool {
        let one_of = |wanted: &[Box<str>], given: Option<&String>| {
            wanted.is_empty() || given.is_some_and(|given| wanted.iter().any(|word| **word == **given))
        };
        let status_fits = self.status.is_empty() || status.is_none_or(|status| self.status.contains(&status));
        let message_fits = self.message.is_empty()
            || parts.message.as_ref().is_some_and(|text| {
                let text = text.to_ascii_lowercase();
                self.message.iter().any(|part| text.contains(&part.to_ascii_lowercase()))
            });
        status_fits
            && one_of(&self.kind, parts.kind.as_ref())
            && one_of(&self.code, parts.code.as_ref())
            && one_of(&self.reason, parts.reason.as_ref())
            && message_fits
    }
}
