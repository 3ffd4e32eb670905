//! What a call used, in disjoint buckets, and the event that records it.

use crate::{
    CredentialId, Environment, KeyId, Millis, Money, ProjectId, RequestId,
    budget::{Hold, LeaseId},
};
use serde::{Deserialize, Serialize};
use std::{net::IpAddr, sync::Arc};

/// Token counts that never overlap: their sum is what the provider counted. All in tokens.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Buckets {
    /// Input that was neither read from nor written to a cache, text only.
    pub input: u64,
    /// Input read from a cache.
    pub cache_read: u64,
    /// Input written to a cache with the provider's usual (short) lifetime.
    pub cache_write: u64,
    /// Input written to a cache with a long lifetime (one hour at Anthropic).
    pub cache_write_long: u64,
    /// Text output, without reasoning.
    pub output: u64,
    /// Reasoning or thinking output.
    pub reasoning: u64,
    /// Audio input.
    pub audio_input: u64,
    /// Audio output.
    pub audio_output: u64,
    /// Image input.
    pub image_input: u64,
    /// Image output.
    pub image_output: u64,
}

impl Buckets {
    /// These and others together.
    #[must_use]
    pub const fn plus(&self, other: &Self) -> Self {
        Self {
            input: self.input.saturating_add(other.input),
            cache_read: self.cache_read.saturating_add(other.cache_read),
            cache_write: self.cache_write.saturating_add(other.cache_write),
            cache_write_long: self.cache_write_long.saturating_add(other.cache_write_long),
            output: self.output.saturating_add(other.output),
            reasoning: self.reasoning.saturating_add(other.reasoning),
            audio_input: self.audio_input.saturating_add(other.audio_input),
            audio_output: self.audio_output.saturating_add(other.audio_output),
            image_input: self.image_input.saturating_add(other.image_input),
            image_output: self.image_output.saturating_add(other.image_output),
        }
    }

    /// All input of any kind: what prompt-length price steps look at.
    #[must_use]
    pub fn all_input(&self) -> u64 {
        [self.input, self.cache_read, self.cache_write, self.cache_write_long, self.audio_input, self.image_input]
            .into_iter()
            .fold(0, u64::saturating_add)
    }

    /// All output of any kind.
    #[must_use]
    pub fn all_output(&self) -> u64 {
        [self.output, self.reasoning, self.audio_output, self.image_output].into_iter().fold(0, u64::saturating_add)
    }

    /// Everything: what tokens-per-minute limits count.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.all_input().saturating_add(self.all_output())
    }
}

/// What is billed by something other than tokens.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Units {
    /// Web searches or search units.
    pub searches: u64,
    /// Audio or compute time, in milliseconds.
    pub millis: u64,
    /// Characters of text (speech synthesis).
    pub characters: u64,
    /// Images made.
    pub images: u64,
    /// Pages read (OCR).
    pub pages: u64,
    /// Web searches by an older kind of tool that has a price of its own (OpenAI's preview).
    pub preview_searches: u64,
    /// Searches in the customer's own files at the provider.
    pub file_searches: u64,
    /// Runs of code in the provider's sandbox.
    pub code_runs: u64,
}

impl Units {
    /// These and others together.
    #[must_use]
    pub const fn plus(&self, other: &Self) -> Self {
        Self {
            searches: self.searches.saturating_add(other.searches),
            millis: self.millis.saturating_add(other.millis),
            characters: self.characters.saturating_add(other.characters),
            images: self.images.saturating_add(other.images),
            pages: self.pages.saturating_add(other.pages),
            preview_searches: self.preview_searches.saturating_add(other.preview_searches),
            file_searches: self.file_searches.saturating_add(other.file_searches),
            code_runs: self.code_runs.saturating_add(other.code_runs),
        }
    }
}

/// Everything the provider told about one call's use.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    /// Tokens.
    pub buckets: Buckets,
    /// Other units.
    pub units: Units,
    /// The cost as the provider itself stated it; overrides the price list.
    pub provider_cost: Option<Money>,
    /// The service tier that was billed, as the provider named it (`flex`, `priority`, `batch`…).
    pub tier: Option<Box<str>>,
    /// The model that answered, as the provider named it.
    pub model: Option<Box<str>>,
    /// Where the call was computed, as the provider named it, when that is not its usual choice.
    pub region: Option<Box<str>>,
}

/// How a cost came about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CostBasis {
    /// Real usage times the price list.
    Priced,
    /// The provider stated it.
    Provider,
    /// Usage did not arrive in full (a hang-up, a cut): an upper bound stands in.
    Estimated,
    /// The operation is free, or the provider refused the call.
    Free,
    /// There is no price for the model: the cost is recorded as zero and marked.
    Unpriced,
    /// Something that was used has no price, or is not known yet: the cost is what is known of it.
    Incomplete,
}

/// How a call ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// The provider answered and the client got it all.
    Completed,
    /// The provider answered with an error, before or within the stream.
    ProviderError,
    /// The client hung up.
    ClientGone,
    /// The provider hung up, timed out or could not be reached after the call was sent.
    UpstreamLost,
    /// Keyward cut the call: the key was revoked, or the service stopped.
    Cut,
    /// Nobody knows: the gateway ended while the call was open. What was held for it is charged.
    Lost,
}

/// One metered call. Prompts and answers are never part of it. Its texts are its own, or borrowed from those who write it
/// down.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UsageEvent<T = Arc<str>> {
    /// The call; unique for ever, so that an event that arrives twice is stored once.
    pub id: RequestId,
    /// When the call was accepted.
    pub at: Millis,
    /// The virtual key.
    pub key: KeyId,
    /// Its project.
    pub project: ProjectId,
    /// Its environment.
    pub environment: Environment,
    /// The provider's id.
    pub provider: T,
    /// The model asked for; empty when the operation has none.
    pub model: T,
    /// The operation's name in the catalogue.
    pub operation: T,
    /// The credential that was used last.
    pub credential: CredentialId,
    /// What was used.
    pub usage: Usage,
    /// What it cost.
    pub cost: Money,
    /// How the cost came about.
    pub basis: CostBasis,
    /// The price list it was computed with.
    pub price_version: T,
    /// The HTTP status sent to the client.
    pub status: u16,
    /// How it ended.
    pub outcome: Outcome,
    /// Time to the first byte of the answer, in microseconds.
    pub first_byte_us: u64,
    /// Time to the last byte, in microseconds.
    pub total_us: u64,
    /// The client's address (through trusted proxies only).
    pub client: IpAddr,
    /// The client's user agent, cut to 200 characters.
    pub user_agent: T,
    /// Which of the key's live secrets was presented: 0 for the newest.
    pub secret_slot: u8,
    /// The provider's own id of the call, when it gave one.
    pub upstream_id: T,
    /// What was held for the call on each of its leases. None: no budget was above the key.
    pub held: Option<Money>,
    /// The leases that its cost is taken from.
    pub leases: Vec<LeaseId>,
}

/// The texts of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Text {
    /// The provider's id.
    Provider,
    /// The model asked for.
    Model,
    /// The operation's name.
    Operation,
    /// The price list.
    PriceVersion,
    /// The client's user agent.
    UserAgent,
    /// The provider's own id of the call.
    UpstreamId,
}

impl<T> UsageEvent<T> {
    /// The same event with other texts.
    pub fn with_texts<U>(self, mut text: impl FnMut(Text, T) -> U) -> UsageEvent<U> {
        UsageEvent {
            id: self.id,
            at: self.at,
            key: self.key,
            project: self.project,
            environment: self.environment,
            provider: text(Text::Provider, self.provider),
            model: text(Text::Model, self.model),
            operation: text(Text::Operation, self.operation),
            credential: self.credential,
            usage: self.usage,
            cost: self.cost,
            basis: self.basis,
            price_version: text(Text::PriceVersion, self.price_version),
            status: self.status,
            outcome: self.outcome,
            first_byte_us: self.first_byte_us,
            total_us: self.total_us,
            client: self.client,
            user_agent: text(Text::UserAgent, self.user_agent),
            secret_slot: self.secret_slot,
            upstream_id: text(Text::UpstreamId, self.upstream_id),
            held: self.held,
            leases: self.leases,
        }
    }
}

/// An object at the provider (a file, a batch, a stored response) that belongs to whoever made it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OwnedObject {
    /// The provider's id.
    pub provider: Box<str>,
    /// The object's id at the provider.
    pub object: Box<str>,
    /// The catalogue's word for its kind, such as `file`.
    pub kind: Box<str>,
    /// The project it belongs to.
    pub project: ProjectId,
    /// The key that made it.
    pub key: KeyId,
    /// The credential under which it exists at the provider.
    pub credential: CredentialId,
    /// When it was made.
    pub at: Millis,
}

/// A credential's health as seen on the path of a call.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CredentialReport {
    /// Which credential.
    pub credential: CredentialId,
    /// The credential's version that was used.
    pub version: u64,
    /// What the provider's answer means.
    pub cause: crate::provider::Cause,
    /// When.
    pub at: Millis,
}

/// Everything the gateway tells the control plane, in the order it happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GatewayEvent {
    /// A call ended.
    Usage(Box<UsageEvent>),
    /// A client made an object at the provider.
    Object(OwnedObject),
    /// A credential was found dead, without money, or well again.
    Credential(CredentialReport),
    /// A call is about to be sent, and so much is held for it.
    Hold(Box<Hold>),
}
