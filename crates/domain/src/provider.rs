//! What a provider is: one TOML file of the catalogue, read into these types. Gateway, checker, rotation, redactor
//! and documentation all read the same descriptor.
//!
//! JSON paths are dotted: `usage.prompt_tokens`. `a[]` means every element of the array `a`; `a[k=V].v` means the
//! `v` of those elements whose `k` is the string `V`; `k` may be dotted too. A list of paths means "the first that is there".

mod errors;
mod shape;

pub use errors::{Cause, ErrorFields, ErrorParts, ErrorRule};
pub use shape::{CostField, CostUnit, Counter, Merge, UsageShape};

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
    /// Texts that may stand before an object's id wherever one is named, the longest first (`files/`, or a whole URL
    /// up to the id). They are taken off before ids are recorded, compared or looked up.
    #[serde(default)]
    pub object_prefixes: Vec<Box<str>>,
    /// Query parameters with which a client could hide from the gateway what an answer says, so that its use would not
    /// be counted: `name`, or `name=value`. A call that has one is refused.
    #[serde(default)]
    pub refused_query: Vec<Box<str>>,
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
    /// A JSON field (dotted path) or form field of the body; of a WebSocket, of each message of the client that has
    /// it. A leading `models/` is not part of the name.
    Body(Box<str>),
    /// A parameter of the path template, or several joined by `/` (`owner/name`), whose values are joined alike.
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
    /// Paths of further model names in the request, each of which the key must be allowed to use: fall-backs
    /// (`models[]`), the calls of a batch. Here a path that ends in `[]` means the elements themselves.
    #[serde(default)]
    pub also_models: Vec<Box<str>>,
    /// The name of the usage shape. None: nothing is billed by what the answer says.
    #[serde(default)]
    pub usage: Option<Box<str>>,
    /// Paths of the output cap in the request, the preferred one first: that one is added when none is there.
    #[serde(default)]
    pub output_cap: Vec<Box<str>>,
    /// Paths of counts that multiply the output (`n`, `best_of`, `candidateCount`).
    #[serde(default)]
    pub multipliers: Vec<Box<str>>,
    /// The path of the text in the request whose characters are billed where the answer reports no use (speech). Of a
    /// WebSocket: that the client's messages are such text, of which their bytes are the upper bound.
    #[serde(default)]
    pub characters: Option<Box<str>>,
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
    /// Further objects that the answer names and that belong to whoever may see it: the result files of a batch.
    #[serde(default)]
    pub also_creates: Vec<Creates>,
    /// A path parameter names an object that must belong to the key's project.
    #[serde(default)]
    pub object: Option<ObjectParam>,
    /// The answer lists objects: those of others are taken out.
    #[serde(default)]
    pub lists: Option<Lists>,
    /// Names of request fields, at any depth, whose values name objects that must belong to the key's project. A value
    /// is a string, an array of strings, or an object whose `id` is the string. Not an object's name, and so not
    /// looked up: the empty string, `null`, and a URL that begins with none of the API's `object_prefixes`.
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
    /// Words, lower case, one of which must stand near a secret of this shape for a scanner to take it for one: for
    /// shapes without a telling prefix.
    #[serde(default)]
    pub context: Vec<Box<str>>,
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
    /// What an answer with such a status can say against the key all the same; the first that fits counts.
    #[serde(default)]
    pub answers: Vec<ProbeAnswer>,
    /// Whether it is for admin keys.
    #[serde(default)]
    pub admin: bool,
    /// Whether the fact is unverified.
    #[serde(default)]
    pub unverified: bool,
}

/// A field in the answer to a probe that tells more than the status.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProbeAnswer {
    /// The path of the field.
    pub path: Box<str>,
    /// Its value as text: `true`, `0`, `inactive`.
    pub is: Box<str>,
    /// What it means.
    pub cause: Cause,
    /// What the owner should do.
    pub remedy: Box<str>,
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
    /// The body. With the content type `application/vnd.amazon.eventstream` it is written as server-sent events
    /// (`event:` and `data:` lines) and stands for the same events in binary frames; with `application/x-ndjson` it
    /// stands for the messages of a WebSocket, one a line.
    pub body: Box<str>,
    /// The counts it must give, by the field names of `Buckets` and `Units`; those left out must be zero.
    #[serde(default)]
    pub counts: BTreeMap<Box<str>, u64>,
    /// The provider's stated cost in nano-USD, when it has one.
    #[serde(default)]
    pub cost_nano: Option<i64>,
    /// The billed tier it must give; none when it is the base tier.
    #[serde(default)]
    pub tier: Option<Box<str>>,
    /// The region it must give; none when it is the usual one.
    #[serde(default)]
    pub region: Option<Box<str>>,
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
